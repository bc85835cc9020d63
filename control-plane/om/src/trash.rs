//! The trash of files: what `ozone fs -rm` moved away goes for good when its time is over.
//!
//! Shape   a client moves what it deletes to `.Trash/<user>/Current` of its bucket. A round renames each `Current` to a checkpoint
//!         named by the time, and deletes checkpoints that are old enough. Only FILE_SYSTEM_OPTIMIZED buckets: a directory of
//!         another bucket is no one thing to rename or delete.
//! Law     off by default, as with Ozone. Only the leader works, by requests like any client's, as OM's own user.
#![allow(
    clippy::disallowed_methods,
    reason = "the pace between rounds follows tokio's clock, which tests pause"
)]

use std::sync::Arc;
use std::time::Duration;

use allotrope_consensus::{Origin, Role};
use allotrope_proto::om::{
    DeleteKeyRequest, KeyArgs, ListStatusRequest, OmRequest, OmResponse, OzoneFileStatusProtoLight,
    RenameKeyRequest, Type,
};
use allotrope_types::{BucketLayout, OmStatus};

use crate::blocks::Blocks;
use crate::namespace::buckets;
use crate::refusal::Refusal;
use crate::requests::Who;
use crate::server::OmService;
use crate::tables::BUCKETS;
use crate::tx::Db;

/// Entries of one page of a listing.
const PAGE: u64 = 1000;
const TRASH: &str = ".Trash";
const CURRENT: &str = "Current";

/// Runs rounds until it is dropped: `kept` is how long what was thrown away stays, and how often is looked.
pub(crate) async fn run<B: Blocks>(service: Arc<OmService<B>>, kept: Duration) {
    loop {
        tokio::time::sleep(kept).await;
        if service.replica.status().now().role == Role::Leader
            && let Err(error) = round(&service, service.unix_ms(), kept).await
        {
            tracing::debug!(%error, "the trash waits for the next round");
        }
    }
}

/// Sets aside what was thrown away, and deletes what was set aside `kept` before `now_ms`.
pub(crate) async fn round<B: Blocks>(
    service: &OmService<B>,
    now_ms: u64,
    kept: Duration,
) -> Result<(), Refusal> {
    let elsewhere = |e: &dyn std::fmt::Display| Refusal::new(OmStatus::InternalError, e.to_string());
    let found = service.replica.read(|view| -> Result<Vec<(String, String)>, Refusal> {
        let mut found = Vec::new();
        for pair in Db::new(view).scan(BUCKETS, b"/")? {
            let (_, bucket) = pair?;
            if !buckets::is_link(&bucket) && buckets::layout(&bucket) == BucketLayout::FileSystemOptimized {
                found.push((bucket.volume_name, bucket.bucket_name));
            }
        }
        Ok(found)
    });
    let old_ms = now_ms.saturating_sub(u64::try_from(kept.as_millis()).unwrap_or(u64::MAX));
    for (volume, bucket) in found.await.map_err(|e| elsewhere(&e))?? {
        let bin = Bin { service, volume: &volume, bucket: &bucket };
        for user in bin.list(TRASH).await? {
            let home = path(&user);
            for child in bin.list(&home).await? {
                let of = path(&child);
                let name = of.rsplit('/').next().unwrap_or(&of);
                let since = child.basic_key_info.as_ref().and_then(|key| key.modification_time).unwrap_or(0);
                if name == CURRENT {
                    bin.rename(&of, &format!("{home}/{}", stamp(now_ms))).await?;
                } else if since <= old_ms {
                    bin.delete(&of).await?;
                }
            }
        }
    }
    Ok(())
}

fn path(status: &OzoneFileStatusProtoLight) -> String {
    status
        .basic_key_info
        .as_ref()
        .map(|key| key.key_name().trim_end_matches('/').to_owned())
        .unwrap_or_default()
}

/// The time as checkpoints are named: two digits each of year, month, day, hour, minute and second, in UTC.
fn stamp(unix_ms: u64) -> String {
    let seconds = unix_ms / 1000;
    let (days, of_day) = ((seconds / 86_400).cast_signed(), seconds % 86_400);
    // Days since 1 March of the year 0, in eras of 400 years.
    let days = days + 719_468;
    let (era, of_era) = (days.div_euclid(146_097), days.rem_euclid(146_097));
    let year = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year + year / 4 - year / 100);
    let month = (5 * of_year + 2) / 153;
    let day = of_year - (153 * month + 2) / 5 + 1;
    let (month, carried) = if month < 10 { (month + 3, 0) } else { (month - 9, 1) };
    let year = (era * 400 + year + carried).rem_euclid(100);
    let (hour, minute, second) = (of_day / 3600, of_day / 60 % 60, of_day % 60);
    format!("{year:02}{month:02}{day:02}{hour:02}{minute:02}{second:02}")
}

/// One bucket, asked as any client asks.
struct Bin<'a, B> {
    service: &'a OmService<B>,
    volume: &'a str,
    bucket: &'a str,
}

impl<B: Blocks> Bin<'_, B> {
    fn args(&self, key: &str) -> KeyArgs {
        KeyArgs {
            volume_name: self.volume.to_owned(),
            bucket_name: self.bucket.to_owned(),
            key_name: key.to_owned(),
            recursive: Some(true),
            ..KeyArgs::default()
        }
    }

    async fn ask(&self, request: OmRequest) -> Result<OmResponse, Refusal> {
        let who = Who { user: self.service.own_user().to_owned(), ..Who::default() };
        let answer = self.service.answer(&who, Origin::Service, request).await;
        answer.map_err(|fault| Refusal::new(OmStatus::InternalError, fault.to_string()))
    }

    /// The directories in `path`; none where it is missing.
    async fn list(&self, path: &str) -> Result<Vec<OzoneFileStatusProtoLight>, Refusal> {
        let mut found: Vec<OzoneFileStatusProtoLight> = Vec::new();
        let mut start_key = String::new();
        loop {
            let asked = ListStatusRequest {
                key_args: self.args(path),
                recursive: false,
                start_key: start_key.clone(),
                num_entries: PAGE,
                allow_partial_prefix: None,
            };
            let answer = self
                .ask(OmRequest {
                    cmd_type: Type::ListStatusLight as i32,
                    list_status_request: Some(Box::new(asked)),
                    ..OmRequest::default()
                })
                .await?;
            let page = answer.list_status_light_response.unwrap_or_default().statuses;
            let full = page.len() as u64 == PAGE;
            // A page begins with the entry that the last one ended with.
            let next = page.last().map(self::path).unwrap_or_default();
            let seen = std::mem::replace(&mut start_key, next);
            found.extend(page.into_iter().filter(|entry| entry.is_directory() && self::path(entry) != seen));
            if !full {
                return Ok(found);
            }
        }
    }

    async fn rename(&self, from: &str, to: &str) -> Result<(), Refusal> {
        let asked =
            RenameKeyRequest { key_args: self.args(from), to_key_name: to.to_owned(), update_id: None };
        let request = OmRequest {
            cmd_type: Type::RenameKey as i32,
            rename_key_request: Some(Box::new(asked)),
            ..OmRequest::default()
        };
        self.ask(request).await.map(drop)
    }

    async fn delete(&self, path: &str) -> Result<(), Refusal> {
        let asked = DeleteKeyRequest { key_args: self.args(path) };
        let request = OmRequest {
            cmd_type: Type::DeleteKey as i32,
            delete_key_request: Some(Box::new(asked)),
            ..OmRequest::default()
        };
        self.ask(request).await.map(drop)
    }
}

#[cfg(test)]
mod tests {
    use super::stamp;

    #[test]
    fn a_checkpoint_is_named_by_its_time() {
        assert_eq!(stamp(0), "700101000000");
        assert_eq!(stamp(951_782_399_000), "000228235959");
        assert_eq!(stamp(951_782_400_000), "000229000000");
        assert_eq!(stamp(1_795_265_343_000), "261121124903");
    }
}
