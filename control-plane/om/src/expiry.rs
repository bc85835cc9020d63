//! What was begun and never ended: open sessions and multipart uploads expire.
//!
//! Shape   rounds, a day apart as with Ozone: walk the open tables and the upload table a page at a time, find what is too old by
//!         the leader's clock, and let the log end it.
//! Law     only the leader works. A page is read and ended before the next, so memory holds one.
#![allow(
    clippy::disallowed_methods,
    reason = "the pace between rounds follows tokio's clock, which tests pause"
)]

use std::sync::Arc;
use std::time::Duration;

use allotrope_consensus::{Clock, Handle, KeyCodec, Origin, Proto, Role, Table};
use allotrope_proto::om::{
    DeleteOpenKeysRequest, ExpiredMultipartUploadInfo, ExpiredMultipartUploadsBucket, KeyInfo,
    MultipartUploadsExpiredAbortRequest, OmRequest, OpenKey as OpenKeyName, OpenKeyBucket, Type,
};
use allotrope_types::OmStatus;

use crate::machine::Namespace;
use crate::namespace::lease;
use crate::refusal::Refusal;
use crate::tables::{OPEN_FILES, OPEN_KEYS, TextKey, UPLOADS};
use crate::tx::Db;

/// When what was begun is too old.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Expiry {
    /// Between two rounds (`ozone.om.open.key.cleanup.service.interval`). Default 24 h.
    pub interval: Duration,
    /// The age of an open session (`ozone.om.open.key.expire.threshold`). Default 7 days.
    pub session_age_max: Duration,
    /// How long the writer of a synced file may be silent (`ozone.om.lease.hard.limit`). Default 7 days.
    pub lease_hard_limit: Duration,
    /// The age of a multipart upload (`ozone.om.open.mpu.expire.threshold`). Default 30 days.
    pub upload_age_max: Duration,
}

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

impl Default for Expiry {
    fn default() -> Expiry {
        Expiry {
            interval: DAY,
            session_age_max: 7 * DAY,
            lease_hard_limit: 7 * DAY,
            upload_age_max: 30 * DAY,
        }
    }
}

/// Rows looked at in one read, and ended in one entry of the log at most.
const PAGE: usize = 1000;

/// Runs rounds until it is dropped.
pub(crate) async fn run(replica: Handle<Namespace>, clock: Arc<dyn Clock>, expiry: Expiry) {
    loop {
        tokio::time::sleep(expiry.interval).await;
        if replica.status().now().role == Role::Leader
            && let Err(error) = round(&replica, clock.unix_ms(), &expiry).await
        {
            tracing::debug!(%error, "what has expired waits for the next round");
        }
    }
}

/// Ends everything that is too old at `now_ms`. How many rows that were.
pub(crate) async fn round(
    replica: &Handle<Namespace>,
    now_ms: u64,
    expiry: &Expiry,
) -> Result<usize, Refusal> {
    let before = |age: Duration| now_ms.saturating_sub(u64::try_from(age.as_millis()).unwrap_or(u64::MAX));
    let (session, silent, upload) =
        (before(expiry.session_age_max), before(expiry.lease_hard_limit), before(expiry.upload_age_max));
    let is_old = move |key: &KeyInfo| match lease::has(key, lease::HSYNC) {
        true => key.modification_time < silent,
        false => key.creation_time.max(key.modification_time) < session,
    };
    Ok(walk(replica, OPEN_KEYS, is_old, end_sessions).await?
        + walk(replica, OPEN_FILES, is_old, end_sessions).await?
        + walk(replica, UPLOADS, |row| row.creation_time < upload, end_uploads).await?)
}

fn end_sessions(rows: Vec<String>) -> OmRequest {
    let keys = rows.into_iter().map(|name| OpenKeyName { name, client_id: None }).collect();
    let bucket = OpenKeyBucket { keys, ..OpenKeyBucket::default() };
    OmRequest {
        cmd_type: Type::DeleteOpenKeys as i32,
        delete_open_keys_request: Some(Box::new(DeleteOpenKeysRequest {
            open_keys_per_bucket: vec![bucket],
            bucket_layout: None,
        })),
        ..OmRequest::default()
    }
}

fn end_uploads(rows: Vec<String>) -> OmRequest {
    let multipart_uploads = rows.into_iter().map(|name| ExpiredMultipartUploadInfo { name }).collect();
    let bucket = ExpiredMultipartUploadsBucket { multipart_uploads, ..Default::default() };
    OmRequest {
        cmd_type: Type::AbortExpiredMultiPartUploads as i32,
        multipart_uploads_expired_abort_request: Some(Box::new(MultipartUploadsExpiredAbortRequest {
            expired_multipart_uploads_per_bucket: vec![bucket],
        })),
        ..OmRequest::default()
    }
}

/// Walks a table and lets the log end the rows that `is_old` names. How many they were.
async fn walk<K, V>(
    replica: &Handle<Namespace>,
    table: Table<K, Proto<V>>,
    is_old: impl Fn(&V) -> bool,
    end: fn(Vec<String>) -> OmRequest,
) -> Result<usize, Refusal>
where
    K: KeyCodec<Item = K> + TextKey + 'static,
    V: prost::Message + Default + 'static,
{
    let elsewhere = |e: &dyn std::fmt::Display| Refusal::new(OmStatus::InternalError, e.to_string());
    let (mut ended, mut from) = (0, Vec::new());
    loop {
        let start = std::mem::take(&mut from);
        let page = replica
            .read(|view| -> Result<(Vec<String>, Option<Vec<u8>>), Refusal> {
                let (mut old, mut last, mut seen) = (Vec::new(), None, 0);
                for pair in Db::new(view).scan_from(table, b"/", start)?.take(PAGE) {
                    let (row, value) = pair?;
                    seen += 1;
                    if is_old(&value) {
                        old.push(row.as_str().to_owned());
                    }
                    last = Some(row);
                }
                let next = last.filter(|_| seen == PAGE).map(|row| {
                    let mut next = K::to_bytes(&row);
                    next.push(0);
                    next
                });
                Ok((old, next))
            })
            .await;
        let (old, next) = page.map_err(|e| elsewhere(&e))??;
        if !old.is_empty() {
            ended += old.len();
            replica.propose(Origin::Service, &end(old)).await.map_err(|e| elsewhere(&e))?;
        }
        match next {
            Some(next) => from = next,
            None => return Ok(ended),
        }
    }
}
