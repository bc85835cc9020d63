//! S3: uploads in parts, and mixes.

use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use hyper::Method;

use super::{Mix, S3Objects};
use crate::content::mixed;
use crate::load::{Done, Load, Trouble, TroubleKind};
use crate::wire::{between, encoded};

/// Writes objects in parts: an operation begins an upload, puts its parts one after the other and completes it.
#[derive(Clone, Debug)]
pub struct S3Multipart {
    /// The objects; their length is that of one part.
    pub objects: S3Objects,
    /// Parts of an object.
    pub parts: u32,
}

impl S3Multipart {
    async fn upload(&self, number: u64) -> Result<u64, Trouble> {
        let S3Objects { s3, len, content, .. } = &self.objects;
        let path = self.objects.path(number);
        let begun = s3.ask(Method::POST, &path, "uploads=", None, Bytes::new()).await?.text().await?;
        let broken = |what: &str| Trouble::new(TroubleKind::Broken, format!("POST {path}: {what}"));
        let id = between(&begun, "<UploadId>", "</UploadId>").ok_or_else(|| broken("it names no upload"))?;
        let mut list = String::from("<CompleteMultipartUpload>");
        for part in 1..=self.parts {
            let at = u64::from(part - 1) * len;
            let query = format!("partNumber={part}&uploadId={}", encoded(id, false));
            let put = s3.ask(Method::PUT, &path, &query, None, content.whole(number, at..at + len)).await?;
            let etag = put.etag.clone();
            put.text().await?;
            list.push_str(&format!("<Part><PartNumber>{part}</PartNumber><ETag>{etag}</ETag></Part>"));
        }
        list.push_str("</CompleteMultipartUpload>");
        let query = format!("uploadId={}", encoded(id, false));
        let done = s3.ask(Method::POST, &path, &query, None, list.into()).await?.text().await?;
        // An upload can fail behind a status of 200.
        match done.contains("<ETag>") {
            true => Ok(u64::from(self.parts) * len),
            false => {
                let code = between(&done, "<Code>", "</Code>").unwrap_or("no object was made");
                Err(Trouble::new(TroubleKind::Refused, format!("POST {path}: {code}")))
            }
        }
    }
}

impl Load for S3Multipart {
    fn kinds(&self) -> &[&'static str] {
        &["upload"]
    }

    fn operate(&self, number: u64) -> BoxFuture<'_, Result<Done, Trouble>> {
        async move { Ok(Done::moved(self.upload(number).await?)) }.boxed()
    }
}

/// Puts, gets and lists, mixed by their shares. The objects must have been put before.
#[derive(Debug)]
pub struct S3Mixed {
    objects: S3Objects,
    mix: Mix,
    list_max: u32,
    seed: u64,
    turn: AtomicU64,
}

impl S3Mixed {
    /// A `mix` that `seed` chooses; a listing takes up to `list_max` names.
    pub fn new(objects: S3Objects, mix: Mix, list_max: u32, seed: u64) -> S3Mixed {
        S3Mixed { objects, mix, list_max, seed, turn: AtomicU64::new(0) }
    }
}

impl Load for S3Mixed {
    fn kinds(&self) -> &[&'static str] {
        &["put", "get", "list"]
    }

    fn operate(&self, number: u64) -> BoxFuture<'_, Result<Done, Trouble>> {
        async move {
            let turn = self.turn.fetch_add(1, Ordering::Relaxed);
            let kind = self.mix.choose(mixed(self.seed ^ mixed(turn)));
            let bytes = match kind {
                0 => self.objects.put(number).await?,
                1 => self.objects.get(number, 0..self.objects.len).await?,
                _ => {
                    self.objects.list(number, self.list_max).await?;
                    0
                }
            };
            Ok(Done::of(kind, bytes))
        }
        .boxed()
    }
}
