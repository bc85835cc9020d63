//! Calls to OM.
//!
//! Shape   a call is one value of the edge, an [`OmCall`]. [`Om::submit`] puts it into the envelope, carries it to whichever OM
//!         leads, judges the answer and gives back what it holds; the files beside this hold the calls, one file a noun, and
//!         the values they return.
//! Errors  [`Error::Refused`] with OM's status, [`Error::OmSilent`] when the retries are spent, [`Error::OmAnswer`] for an
//!         answer that names its message and field that lacks something or holds what cannot be.
//! Source  `/hadoop.ozone.OzoneManagerService/submitRequest`.

/// Asks OM and takes the answer to that very call: `ask!(om, &act, InfoVolume(call))?`.
macro_rules! ask {
    ($om:expr, $act:expr, $kind:ident($call:expr)) => {
        match $om.submit($act, ::allotrope_proto::edge::om::OmCall::$kind($call)).await {
            Ok(::allotrope_proto::edge::om::OmAnswer::$kind(answer)) => Ok(answer),
            Ok(_) => unreachable!("an answer to another command was refused"),
            Err(error) => Err(error),
        }
    };
}

mod acl;
mod answer;
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
pub(crate) use answer::{part, unusable};
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

use allotrope_proto::edge::om::{OmAnswer, OmCall, OmRequest, OmResponse, UserInfo};
use allotrope_proto::{Rope, WireError, decode, om as wire};
use allotrope_types::OmStatus;
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

/// An error, and whether an earlier attempt may have been carried out.
pub(crate) type Watched = (Box<Error>, bool);

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

    /// The envelope of a call.
    fn request(&self, call: OmCall) -> OmRequest {
        OmRequest {
            call,
            trace_id: Some(String::new()),
            client_id: self.client_id.clone(),
            user_info: Some(UserInfo {
                user_name: Some(self.user.clone()),
                remote_address: None,
                host_name: None,
            }),
            version: Some(CLIENT_VERSION),
            layout_version: None,
            read_consistency_hint: None,
            s3_authentication: None,
            update_get_delegation_token_request: None,
            updated_renew_delegation_token_request: None,
            update_get_s3_secret_request: None,
            set_snapshot_property_requests: Vec::new(),
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

    /// Carries `call` to OM and gives back what OM says to it; `act` names it in errors, to be read after "cannot".
    pub(crate) async fn submit(&self, act: &str, call: OmCall) -> Result<OmAnswer, Error> {
        let response = self.carry(act, call, None).await.map_err(|(error, _)| *error)?;
        response.answered().map_err(|why| unusable(act, &why))
    }

    /// As [`Om::submit`], for a call of which no more is to be known than that it was done.
    pub(crate) async fn order(&self, act: &str, call: OmCall) -> Result<(), Error> {
        self.carry(act, call, None).await.map(drop).map_err(|(error, _)| *error)
    }

    /// As [`Om::submit`], and takes an answer of status `also` for one, too: its payload says the rest.
    pub(crate) async fn submit_accepting(
        &self,
        act: &str,
        call: OmCall,
        also: OmStatus,
    ) -> Result<OmAnswer, Error> {
        let response = self.carry(act, call, Some(also)).await.map_err(|(error, _)| *error)?;
        response.answered().map_err(|why| unusable(act, &why))
    }

    /// As [`Om::submit`]; an error comes with whether an earlier attempt may have been carried out, and an answer that says no
    /// more than that it was done is one.
    pub(crate) async fn submit_watching(&self, act: &str, call: OmCall) -> Result<Option<OmAnswer>, Watched> {
        self.carry(act, call, None).await.map(|response| response.answer)
    }

    async fn carry(&self, act: &str, call: OmCall, also: Option<OmStatus>) -> Result<OmResponse, Watched> {
        let asked = call.kind();
        let message = Bytes::from(wire::OmRequest::from(self.request(call)).encode_to_vec());
        let began = Instant::now();
        let mut unclear = false;
        for attempt in 1.. {
            let (_, at) = self.channel();
            let outcome = self.attempt(at, message.clone()).await;
            let failure = match &outcome {
                Ok(Ok(response)) if is_busy(response.status) => Failure::Busy,
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
                        Ok(Ok(response)) => answer::judged(act, asked, response, also),
                        Ok(Err(why)) => Err(unusable(act, &why)),
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

    /// One attempt: what came back, or what is wrong with it; and why nothing came back.
    async fn attempt(&self, at: usize, message: Bytes) -> Result<Result<OmResponse, WireError>, CallError> {
        let answer = self.channels[at].call(SUBMIT, Rope::from(message), self.deadline).await?;
        Ok(decode::<wire::OmResponse>(answer.join()).and_then(OmResponse::try_from))
    }
}

/// Statuses that pass by themselves, without having changed anything.
fn is_busy(status: OmStatus) -> bool {
    matches!(status, OmStatus::ScmInSafeMode | OmStatus::NotSupportedOperationWhenPrepared)
}
