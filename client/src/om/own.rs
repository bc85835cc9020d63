//! OM's services of our own, beside Ozone's one: messages that do not name their user, and refusals that are gRPC statuses.

use allotrope_proto::edge::om::key::ListedKeys;
use allotrope_proto::edge::om::multipart::ListUploads;
use allotrope_proto::edge::om::tenant::{GetS3Secret, S3Secret};
use allotrope_proto::{Checked, Rope, WireError, decode, om as wire};
use allotrope_types::OmStatus;
use bytes::Bytes;
use prost::Message;
use tokio::time::Instant;

use super::{Key, Om, unusable};
use crate::channel::CallError;
use crate::client::Client;
use crate::error::Error;
use crate::path::BucketPath;
use crate::retry::Next;

const SECRET: &str = "/allotrope.v1.OmS3SecretService/Get";
const VERSIONS: &str = "/allotrope.v1.OmVersionService/List";
/// What a refusal by OM begins with; its status by name and its words follow.
const REFUSAL: &str = "org.apache.hadoop.ozone.om.exceptions.OMException: ";

/// Some versions of a bucket's objects, by name, each name's newest first.
#[derive(Clone, Debug, PartialEq)]
pub struct VersionPage {
    /// The versions. Which is which, and what is a delete marker, is in [`Key::metadata`].
    pub versions: Vec<Key>,
    /// Whether more follow the last.
    pub more: bool,
}

impl Client {
    /// The secret of `access_id`, for a gateway that verifies what clients sign with it.
    ///
    /// # Errors
    /// [`Error::Refused`] with `ACCESS_ID_NOT_FOUND` when there is none, `USER_MISMATCH` when this client's user is no
    /// administrator.
    pub async fn s3_secret_of(&self, access_id: &str) -> Result<String, Error> {
        let act = format!("look up the S3 secret of {access_id}");
        let call = GetS3Secret { kerberos_id: access_id.to_owned(), create_if_not_exist: Some(false) };
        let request = wire::GetS3SecretRequest::from(call);
        let secret: S3Secret = self.om().ask::<wire::GetS3SecretResponse, _>(&act, SECRET, &request).await?;
        Ok(secret.aws_secret)
    }

    /// Versions of objects whose names begin with `prefix`, behind the version `after_version` of the name `after_key` (without
    /// a version: behind all of them), at most `count_max`.
    ///
    /// # Errors
    /// [`Error::Refused`] with `BUCKET_NOT_FOUND`, `NOT_SUPPORTED_OPERATION` for a bucket that keeps none.
    pub async fn list_versions(
        &self,
        bucket: &BucketPath,
        prefix: &str,
        (after_key, after_version): (&str, &str),
        count_max: u32,
    ) -> Result<VersionPage, Error> {
        let act = format!("list the versions in {bucket}");
        let text = |text: &str| (!text.is_empty()).then(|| text.to_owned());
        let call = ListUploads {
            volume: bucket.volume.clone(),
            bucket: bucket.bucket.clone(),
            prefix: prefix.to_owned(),
            key_marker: text(after_key),
            upload_id_marker: text(after_version),
            max_uploads: Some(count_max.cast_signed()),
            with_pagination: Some(true),
        };
        let request = wire::ListMultipartUploadsRequest::from(call);
        let list: ListedKeys = self.om().ask::<wire::ListKeysResponse, _>(&act, VERSIONS, &request).await?;
        let versions = list.key_info.into_iter().map(|info| Key::read(info, false));
        Ok(VersionPage {
            versions: versions.collect::<Result<_, _>>().map_err(|why| unusable(&act, &why))?,
            // As for Java, an answer that does not say so is the last.
            more: list.is_truncated.unwrap_or(false),
        })
    }
}

impl Om {
    /// Carries a question of our own to whichever OM leads. Questions change nothing, so they are asked again freely.
    async fn ask<M, A>(&self, act: &str, path: &'static str, request: &impl Message) -> Result<A, Error>
    where
        M: Checked,
        A: TryFrom<M, Error = WireError>,
    {
        let message = Bytes::from(request.encode_to_vec());
        let began = Instant::now();
        for attempt in 1.. {
            let (channel, at) = self.channel();
            let rope = Rope::from(message.clone());
            let answered = channel.call_as(path, rope, self.deadline, Some(self.user())).await;
            let error = match answered {
                Ok(answer) => {
                    let read = decode::<M>(answer.join()).and_then(A::try_from);
                    return read.map_err(|why| unusable(act, &why));
                }
                Err(error) => error,
            };
            if let Some((status, message)) = refusal(&error) {
                return Err(Error::Refused { act: act.to_owned(), status, message });
            }
            match self.retry.next(error.failure(), attempt, began.elapsed(), self.chance()) {
                Next::Again { after, elsewhere } => {
                    if elsewhere {
                        self.turn_from(at);
                    }
                    tokio::time::sleep(after).await;
                }
                Next::GiveUp => {
                    let (act, source) = (act.to_owned(), Box::new(error));
                    return Err(Error::OmSilent { act, attempts: attempt, source });
                }
            }
        }
        unreachable!("attempts are counted up until the policy gives up")
    }
}

/// OM's refusal in a gRPC status.
fn refusal(error: &CallError) -> Option<(OmStatus, String)> {
    let CallError::Status { message, .. } = error else { return None };
    let (name, words) = message.strip_prefix(REFUSAL)?.split_once(": ")?;
    Some((OmStatus::from_name(name)?, words.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::channel::{Address, GrpcCode};

    #[test]
    fn a_refusal_is_read_from_its_text() {
        let error = |message: &str| CallError::Status {
            peer: Address::new("om1", 1),
            code: GrpcCode::INTERNAL,
            message: message.to_owned(),
        };
        let found = refusal(&error(&format!("{REFUSAL}BUCKET_NOT_FOUND: no bucket: b")));
        assert_eq!(found, Some((OmStatus::BucketNotFound, "no bucket: b".to_owned())));
        assert_eq!(refusal(&error("java.io.IOException: x")), None);
        assert_eq!(refusal(&error(&format!("{REFUSAL}WHATEVER: x"))), None);
    }
}
