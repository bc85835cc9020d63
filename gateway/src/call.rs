//! One request on its way through the gateway: what the front found out, and what the operation adds for the log.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, OnceLock};
use std::time::Duration;

use allotrope_client::{BucketPath, Client, KeyPath};
use s3s::S3Request;
use tokio::time::Instant;

use crate::auth::Payload;
use crate::fault::{Fault, of_client};
use crate::intake::Intake;
use crate::intake::hashing::HashPool;
use crate::intake::promise::{BodyChecksum, Promise};
use crate::ops::versions::Versioning;

/// A verified request.
#[derive(Debug)]
pub(crate) struct Call {
    /// The cluster as the sender sees it.
    pub(crate) client: Client,
    /// The sender.
    pub(crate) user: String,
    pub(crate) volume: String,
    /// What the signature and the headers say of a body that the operation reads itself.
    body: Mutex<Option<(Payload, Promise)>>,
    operation: OnceLock<&'static str>,
    versioning: Arc<VersioningCache>,
    /// Why the operation failed, with details that s3s does not carry.
    fault: Mutex<Option<Fault>>,
}

impl Call {
    pub(crate) fn new(
        client: Client,
        user: String,
        volume: String,
        body: Option<(Payload, Promise)>,
        versioning: Arc<VersioningCache>,
    ) -> Call {
        Call {
            client,
            user,
            volume,
            body: Mutex::new(body),
            operation: OnceLock::new(),
            fault: Mutex::default(),
            versioning,
        }
    }

    /// The call that `request` belongs to.
    pub(crate) fn of<T>(request: &S3Request<T>) -> Arc<Call> {
        request.extensions.get::<Arc<Call>>().expect("the front puts it there").clone()
    }

    /// Notes the operation's name.
    pub(crate) fn named(&self, operation: &'static str) {
        // The first name stays; there is one operation a request.
        let _ = self.operation.set(operation);
    }

    pub(crate) fn operation(&self) -> Option<&'static str> {
        self.operation.get().copied()
    }

    pub(crate) fn bucket(&self, name: &str) -> BucketPath {
        BucketPath::new(self.volume.clone(), name)
    }

    pub(crate) fn key(&self, bucket: &str, key: &str) -> KeyPath {
        self.bucket(bucket).key(key)
    }

    /// Keeps a fault for its details, and gives s3s what it can carry.
    pub(crate) fn failed(&self, fault: Fault) -> s3s::S3Error {
        let error = s3s::S3Error::from(fault.clone());
        *self.fault.lock().expect("nothing panics while it is held") = Some(fault);
        error
    }

    pub(crate) fn take_fault(&self) -> Option<Fault> {
        self.fault.lock().expect("nothing panics while it is held").take()
    }

    /// The request's body, to be read once. `noted` is the checksum to compute where the request names none.
    pub(crate) fn intake(
        &self,
        body: Option<s3s::dto::StreamingBlob>,
        noted: BodyChecksum,
        pool: &HashPool,
    ) -> Result<Intake, Fault> {
        let promised = self.body.lock().expect("nothing panics while it is held").take();
        let no_body = || Fault::new(s3s::S3ErrorCode::InternalError, "The request has no body to read.");
        let (payload, mut promise) = promised.ok_or_else(no_body)?;
        promise.checksum.get_or_insert(noted);
        let body = body.ok_or_else(no_body)?;
        Ok(Intake::new(body, payload, promise, pool.clone()))
    }

    /// What the bucket does with what is written over, as it was a second ago at most.
    pub(crate) async fn versioning(&self, bucket: &str) -> Result<Versioning, Fault> {
        if let Some(known) = self.versioning.get(bucket) {
            return Ok(known);
        }
        let found = self.client.bucket(&self.bucket(bucket)).await.map_err(of_client)?;
        let versioning = Versioning::of(&found);
        self.versioning.put(bucket, versioning);
        Ok(versioning)
    }

    pub(crate) fn forget_versioning(&self, bucket: &str) {
        self.versioning.forget(bucket);
    }

    /// Refuses if the bucket's owner is not the one that the sender expects.
    pub(crate) async fn check_owner(&self, bucket: &str, expected: Option<&str>) -> Result<(), Fault> {
        let Some(expected) = expected else { return Ok(()) };
        let found = self.client.bucket(&self.bucket(bucket)).await.map_err(of_client)?;
        if found.owner == expected {
            return Ok(());
        }
        Err(Fault::new(s3s::S3ErrorCode::AccessDenied, "Access Denied"))
    }
}

/// How long a bucket's versioning is believed without asking OM again.
const VERSIONING_FRESH: Duration = Duration::from_secs(1);
/// Buckets that are remembered; the table is emptied when it is full of others.
const VERSIONING_MAX: usize = 10_000;

/// What buckets do with what is written over, remembered for a moment: a put says which version it became.
#[derive(Debug, Default)]
pub(crate) struct VersioningCache(Mutex<HashMap<String, (Versioning, Instant)>>);

impl VersioningCache {
    fn get(&self, bucket: &str) -> Option<Versioning> {
        let known = self.0.lock().expect("nothing panics while it is held");
        known.get(bucket).filter(|(_, at)| at.elapsed() < VERSIONING_FRESH).map(|(versioning, _)| *versioning)
    }

    fn put(&self, bucket: &str, versioning: Versioning) {
        let mut known = self.0.lock().expect("nothing panics while it is held");
        if known.len() >= VERSIONING_MAX {
            known.clear();
        }
        known.insert(bucket.to_owned(), (versioning, Instant::now()));
    }

    fn forget(&self, bucket: &str) {
        self.0.lock().expect("nothing panics while it is held").remove(bucket);
    }
}
