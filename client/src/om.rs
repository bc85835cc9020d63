//! Calls to OM.
//!
//! Shape   [`Om::submit`] carries one request to whichever OM leads and judges the answer; the files beside this hold
//!         the calls, one file a noun, and the values they return.
//! Errors  [`Error::Refused`] with OM's status, [`Error::OmSilent`] when the retries are spent, [`Error::OmAnswer`].
//! Source  `/hadoop.ozone.OzoneManagerService/submitRequest`.

mod acl;
mod bucket;
mod delete_all;
mod key;
mod key_list;
mod own;
mod quota;
mod s3;
mod upload;
mod volume;

pub use acl::{Acl, AclError, AclTarget};
pub use bucket::{Bucket, BucketOptions};
pub use key::{DELETE_MARKER, Deletion, Key, PutOptions, VERSION_ID};
pub(crate) use key::{Exclusions, Session};
pub use key_list::{KeyEntry, KeyListing};
pub use own::VersionPage;
pub use quota::{Quota, QuotaChange};
pub use s3::KeyDeletion;
pub use upload::{ListedPart, ListedUpload, PartOfUpload, PartPage, UploadPage};
pub use volume::{Volume, VolumeOptions};

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use allotrope_proto::om::{OmRequest, OmResponse, Type, UserInfo};
use allotrope_proto::{Rope, decode};
use allotrope_types::{Advice, OmStatus};
use bytes::Bytes;
use prost::Message;
use tokio::time::Instant;

use crate::channel::{CallError, Channel};
use crate::config::Config;
use crate::error::Error;
use crate::retry::{Failure, Next, RetryPolicy};

const SUBMIT: &str = "/hadoop.ozone.OzoneManagerService/submitRequest";
/// `ozone.om.grpc.maximum.response.length`.
const RESPONSE_LEN_MAX: usize = 128 << 20;
/// `ClientVersion` of a client that knows bucket layouts.
const CLIENT_VERSION: u32 = 3;

/// The OMs of one service, as one user sees them. Clones share their connections.
#[derive(Clone, Debug)]
pub(crate) struct Om {
    channels: Arc<Vec<Channel>>,
    /// Which of them answered last.
    leader: Arc<AtomicUsize>,
    client_id: String,
    user: String,
    deadline: Duration,
    retry: RetryPolicy,
    chance: Arc<Mutex<fastrand::Rng>>,
}

impl Om {
    pub(crate) fn new(config: &Config) -> Om {
        let mut chance = fastrand::Rng::with_seed(config.seed);
        let channel = |address: &crate::channel::Address| {
            Channel::new(address.clone(), config.connect_deadline, RESPONSE_LEN_MAX)
        };
        Om {
            channels: Arc::new(config.om.iter().map(channel).collect()),
            leader: Arc::new(AtomicUsize::new(0)),
            client_id: format!("client-{:012X}", chance.u64(..) >> 16),
            user: config.user.clone(),
            deadline: config.om_deadline,
            retry: config.om_retry,
            chance: Arc::new(Mutex::new(chance)),
        }
    }

    /// The same OMs on behalf of `user`.
    pub(crate) fn of_user(&self, user: &str) -> Om {
        Om { user: user.to_owned(), ..self.clone() }
    }

    /// The user on whose behalf requests go out.
    pub(crate) fn user(&self) -> &str {
        &self.user
    }

    /// An empty request of kind `kind`.
    pub(crate) fn request(&self, kind: Type) -> OmRequest {
        OmRequest {
            cmd_type: kind as i32,
            trace_id: Some(String::new()),
            client_id: self.client_id.clone(),
            version: Some(CLIENT_VERSION),
            user_info: Some(Box::new(UserInfo { user_name: Some(self.user.clone()), ..Default::default() })),
            ..Default::default()
        }
    }

    /// The OM that answered last, and its place.
    fn channel(&self) -> (&Channel, usize) {
        let at = self.leader.load(Ordering::Relaxed) % self.channels.len();
        (&self.channels[at], at)
    }

    /// The OM at `at` does not lead: the next one is asked.
    fn turn_from(&self, at: usize) {
        self.leader.store(at + 1, Ordering::Relaxed);
    }

    fn chance(&self) -> f64 {
        self.chance.lock().expect("nothing panics while it holds the lock").f64()
    }

    /// Carries `request` to OM; `act` names it in errors, to be read after "cannot".
    pub(crate) async fn submit(&self, act: &str, request: &OmRequest) -> Result<OmResponse, Error> {
        self.submit_watching(act, request).await.map_err(|(error, _)| *error)
    }

    /// As [`Om::submit`], and takes an answer of status `also` for one, too: its payload says the rest.
    pub(crate) async fn submit_accepting(
        &self,
        act: &str,
        request: &OmRequest,
        also: OmStatus,
    ) -> Result<OmResponse, Error> {
        self.submit_judging(act, request, Some(also)).await.map_err(|(error, _)| *error)
    }

    /// As [`Om::submit`]; an error comes with whether an earlier attempt may have been carried out.
    pub(crate) async fn submit_watching(
        &self,
        act: &str,
        request: &OmRequest,
    ) -> Result<OmResponse, (Box<Error>, bool)> {
        self.submit_judging(act, request, None).await
    }

    async fn submit_judging(
        &self,
        act: &str,
        request: &OmRequest,
        also: Option<OmStatus>,
    ) -> Result<OmResponse, (Box<Error>, bool)> {
        let message = Bytes::from(request.encode_to_vec());
        let began = Instant::now();
        let mut unclear = false;
        for attempt in 1.. {
            let (_, at) = self.channel();
            let outcome = self.attempt(at, message.clone()).await;
            let failure = match &outcome {
                Ok(response) if status_of(response).is_some_and(is_busy) => Failure::Busy,
                Ok(_) => Failure::Final,
                Err(error) => error.failure(),
            };
            unclear |= failure == Failure::Unclear;
            match self.retry.next(failure, attempt, began.elapsed(), self.chance()) {
                Next::Again { after, elsewhere } => {
                    if elsewhere {
                        self.turn_from(at);
                    }
                    tokio::time::sleep(after).await;
                }
                Next::GiveUp => {
                    let judged = match outcome {
                        Ok(response) => Om::judged(act, request, response, also),
                        Err(source) => {
                            let (act, source) = (act.to_owned(), Box::new(source));
                            Err(Error::OmSilent { act, attempts: attempt, source })
                        }
                    };
                    return judged.map_err(|error| (Box::new(error), unclear));
                }
            }
        }
        unreachable!("attempts are counted up until the policy gives up")
    }

    async fn attempt(&self, at: usize, message: Bytes) -> Result<OmResponse, CallError> {
        let channel = &self.channels[at];
        let answer = channel.call(SUBMIT, Rope::from(message), self.deadline).await?;
        let peer = || channel.address().clone();
        decode(answer.join()).map_err(|source| CallError::Garbled { peer: peer(), source })
    }

    fn judged(
        act: &str,
        request: &OmRequest,
        response: OmResponse,
        also: Option<OmStatus>,
    ) -> Result<OmResponse, Error> {
        let unusable = |why| Error::OmAnswer { act: act.to_owned(), why };
        match status_of(&response) {
            Some(status) if status.advice() == Advice::Proceed || Some(status) == also => {
                let (asked, answered) = (request.cmd_type, response.cmd_type);
                match asked == answered {
                    true => Ok(response),
                    false => Err(unusable(format!("it answers command {answered} instead of {asked}"))),
                }
            }
            Some(status) => {
                let message = response.message.unwrap_or_default();
                Err(Error::Refused { act: act.to_owned(), status, message })
            }
            None => Err(unusable(format!("its status {} names nothing", response.status))),
        }
    }
}

fn status_of(response: &OmResponse) -> Option<OmStatus> {
    OmStatus::from_number(response.status)
}

/// Statuses that pass by themselves, without having changed anything.
fn is_busy(status: OmStatus) -> bool {
    matches!(status, OmStatus::ScmInSafeMode | OmStatus::NotSupportedOperationWhenPrepared)
}

/// A part of the answer that must be there.
pub(crate) fn part<T>(act: &str, part: Option<T>, name: &str) -> Result<T, Error> {
    part.ok_or_else(|| Error::OmAnswer { act: act.to_owned(), why: format!("it lacks {name}") })
}
