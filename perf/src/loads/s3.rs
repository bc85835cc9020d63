//! S3: objects put, read whole or in part, and listed; buckets made.

use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use hyper::Method;

use super::key_read::place_of;
use crate::content::{Content, mixed};
use crate::load::{Done, Load, Trouble, TroubleKind};
use crate::wire::{S3, S3Account, S3Answer, between, encoded};

/// The objects that a load works on: number N is `PREFIX/N` of a bucket, holds `len` bytes, and which ones the seed says.
#[derive(Clone, Debug)]
pub struct S3Objects {
    pub(super) s3: Arc<S3>,
    pub(super) bucket: String,
    pub(super) prefix: String,
    pub(super) len: u64,
    pub(super) content: Content,
}

impl S3Objects {
    /// The objects of `bucket` behind the gateway that `account` names. Nothing is sent yet.
    pub fn new(account: S3Account, bucket: String, prefix: String, len: u64, content: Content) -> S3Objects {
        S3Objects { s3: Arc::new(S3::new(account)), bucket, prefix, len, content }
    }

    /// Makes the bucket, where it is not there.
    ///
    /// # Errors
    /// What the gateway refused, that it cannot be reached, or that it does not answer within `deadline`.
    pub async fn make_bucket(&self, deadline: Duration) -> Result<(), Trouble> {
        let path = format!("/{}", encoded(&self.bucket, false));
        let asked = async { self.s3.ask(Method::PUT, &path, "", None, Bytes::new()).await?.text().await };
        match tokio::time::timeout(deadline, asked).await.unwrap_or_else(|_| Err(Trouble::late(deadline))) {
            Ok(_) => Ok(()),
            Err(trouble) if trouble.text.contains("BucketAlready") => Ok(()),
            Err(trouble) => Err(trouble),
        }
    }

    pub(super) fn path(&self, number: u64) -> String {
        let name = format!("{}/{number}", self.prefix);
        format!("/{}/{}", encoded(&self.bucket, false), encoded(&name, true))
    }

    pub(super) async fn put(&self, number: u64) -> Result<u64, Trouble> {
        let body = self.content.whole(number, 0..self.len);
        let answer = self.s3.ask(Method::PUT, &self.path(number), "", None, body).await?;
        answer.text().await?;
        Ok(self.len)
    }

    pub(super) async fn get(&self, number: u64, range: Range<u64>) -> Result<u64, Trouble> {
        let path = self.path(number);
        let part = (range != (0..self.len)).then(|| range.clone());
        let mut answer: S3Answer = self.s3.ask(Method::GET, &path, "", part, Bytes::new()).await?;
        let corrupt = |what: String| Trouble::new(TroubleKind::Corrupt, format!("GET {path}: {what}"));
        let mut at = range.start;
        while let Some(bytes) = answer.next().await? {
            self.content.check(number, at, &bytes).map_err(|wrong| corrupt(wrong.to_string()))?;
            at += bytes.len() as u64;
        }
        match at == range.end {
            true => Ok(range.end - range.start),
            false => Err(corrupt(format!("it ends at byte {at} instead of {}", range.end))),
        }
    }

    /// Lists up to `count_max` names behind that of `number`.
    pub(super) async fn list(&self, number: u64, count_max: u32) -> Result<(), Trouble> {
        let (prefix, after) = (format!("{}/", self.prefix), format!("{}/{number}", self.prefix));
        let query = format!(
            "list-type=2&max-keys={count_max}&prefix={}&start-after={}",
            encoded(&prefix, false),
            encoded(&after, false)
        );
        let path = format!("/{}", encoded(&self.bucket, false));
        let text = self.s3.ask(Method::GET, &path, &query, None, Bytes::new()).await?.text().await?;
        let mut before = after;
        for found in text.split("<Key>").skip(1) {
            let name = found.split_once("</Key>").map_or(found, |(name, _)| name);
            if name <= before.as_str() || !name.starts_with(&prefix) {
                let text = format!("a listing of {prefix} gives {name} behind {before}");
                return Err(Trouble::new(TroubleKind::Corrupt, text));
            }
            name.clone_into(&mut before);
        }
        match between(&text, "<ListBucketResult", "</ListBucketResult>") {
            Some(_) => Ok(()),
            None => Err(Trouble::new(TroubleKind::Broken, format!("GET {path}: it is no listing"))),
        }
    }
}

/// Puts objects.
#[derive(Clone, Debug)]
pub struct S3Put {
    /// The objects.
    pub objects: S3Objects,
}

impl Load for S3Put {
    fn kinds(&self) -> &[&'static str] {
        &["put"]
    }

    fn operate(&self, number: u64) -> BoxFuture<'_, Result<Done, Trouble>> {
        async move { Ok(Done::moved(self.objects.put(number).await?)) }.boxed()
    }
}

/// Reads objects that were put before, each byte compared.
#[derive(Debug)]
pub struct S3Get {
    objects: S3Objects,
    range_len: Option<u64>,
    seed: u64,
    turn: AtomicU64,
}

impl S3Get {
    /// Reads each object whole, or `range_len` bytes of it at a place that `seed` chooses.
    pub fn new(objects: S3Objects, range_len: Option<u64>, seed: u64) -> S3Get {
        S3Get { objects, range_len, seed, turn: AtomicU64::new(0) }
    }
}

impl Load for S3Get {
    fn kinds(&self) -> &[&'static str] {
        &["get"]
    }

    fn operate(&self, number: u64) -> BoxFuture<'_, Result<Done, Trouble>> {
        async move {
            let range = match self.range_len {
                None => 0..self.objects.len,
                Some(len) => {
                    let turn = self.turn.fetch_add(1, Ordering::Relaxed);
                    place_of(self.objects.len, len, mixed(self.seed ^ mixed(turn)))
                }
            };
            Ok(Done::moved(self.objects.get(number, range).await?))
        }
        .boxed()
    }
}

/// Lists objects.
#[derive(Clone, Debug)]
pub struct S3List {
    /// The objects.
    pub objects: S3Objects,
    /// Most names of one listing.
    pub count_max: u32,
}

impl Load for S3List {
    fn kinds(&self) -> &[&'static str] {
        &["list"]
    }

    fn operate(&self, number: u64) -> BoxFuture<'_, Result<Done, Trouble>> {
        async move {
            self.objects.list(number, self.count_max).await?;
            Ok(Done::moved(0))
        }
        .boxed()
    }
}

/// Makes buckets `PREFIX-N`.
#[derive(Clone, Debug)]
pub struct S3Bucket {
    /// Whose gateway and prefix are used.
    pub objects: S3Objects,
}

impl Load for S3Bucket {
    fn kinds(&self) -> &[&'static str] {
        &["make-bucket"]
    }

    fn operate(&self, number: u64) -> BoxFuture<'_, Result<Done, Trouble>> {
        async move {
            let path = format!("/{}", encoded(&format!("{}-{number}", self.objects.prefix), false));
            let answer = self.objects.s3.ask(Method::PUT, &path, "", None, Bytes::new()).await?;
            answer.text().await?;
            Ok(Done::moved(0))
        }
        .boxed()
    }
}
