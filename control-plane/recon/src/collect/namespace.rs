//! Volumes and buckets, page by page. Keys are not kept: they are asked for when somebody looks.

use allotrope_proto::om::list_volume_request::Scope;
use allotrope_proto::om::{ListBucketsRequest, ListVolumeRequest, Type, VolumeInfo};

use crate::model::{Bucket, Volume};
use crate::recon::{AskError, Recon};
use crate::state::{BUCKETS_MAX, VOLUMES_MAX};

/// Names a question.
const PAGE: u32 = 1000;

/// Asks for all of it once.
pub(super) async fn round(recon: &Recon) -> Result<(), AskError> {
    let infos = volumes(recon).await?;
    let (mut volumes, mut buckets, mut buckets_all) = (Vec::new(), Vec::new(), 0);
    for info in &infos {
        let mut volume = Volume { info: info.clone(), buckets: 0, used: 0, names: 0 };
        let mut after = String::new();
        loop {
            let page = bucket_page(recon, &info.volume, &after).await?;
            let Some(last) = page.last() else { break };
            after.clone_from(&last.bucket_name);
            let is_last = page.len() < PAGE as usize;
            for bucket in page {
                // A link counts where it leads.
                if bucket.source_bucket.is_none() {
                    volume.used = volume.used.saturating_add(bucket.used_bytes.unwrap_or(0));
                    volume.names = volume.names.saturating_add(bucket.used_namespace.unwrap_or(0));
                }
                volume.buckets += 1;
                buckets_all += 1;
                if buckets.len() < BUCKETS_MAX {
                    buckets.push(bucket);
                }
            }
            if is_last {
                break;
            }
        }
        volumes.push(volume);
    }
    let mut state = recon.state();
    state.volumes_all = infos.len() as u64;
    (state.volumes, state.buckets, state.buckets_all) = (volumes, buckets, buckets_all);
    Ok(())
}

async fn volumes(recon: &Recon) -> Result<Vec<VolumeInfo>, AskError> {
    let mut all: Vec<VolumeInfo> = Vec::new();
    while all.len() < VOLUMES_MAX {
        let after = all.last().map(|volume| volume.volume.clone());
        let answer = recon.ask_om(Type::ListVolume, |request| {
            request.list_volume_request = Some(Box::new(ListVolumeRequest {
                scope: Scope::VolumesByCluster as i32,
                prev_key: after.clone(),
                max_keys: Some(PAGE),
                ..Default::default()
            }));
        });
        let mut page = answer.await?.list_volume_response.ok_or(AskError::Empty("ListVolume"))?.volume_info;
        let is_last = page.len() < PAGE as usize;
        page.retain(|volume| after.as_ref().is_none_or(|after| volume.volume > *after));
        if page.is_empty() {
            break;
        }
        all.extend(page);
        if is_last {
            break;
        }
    }
    all.truncate(VOLUMES_MAX);
    Ok(all)
}

async fn bucket_page(recon: &Recon, volume: &str, after: &str) -> Result<Vec<Bucket>, AskError> {
    let answer = recon.ask_om(Type::ListBuckets, |request| {
        request.list_buckets_request = Some(Box::new(ListBucketsRequest {
            volume_name: volume.to_owned(),
            start_key: Some(after.to_owned()),
            count: i32::try_from(PAGE).ok(),
            ..Default::default()
        }));
    });
    match answer.await {
        Ok(answer) => Ok(answer.list_buckets_response.ok_or(AskError::Empty("ListBuckets"))?.bucket_info),
        // It went since it was listed.
        Err(AskError::NotFound(_)) => Ok(Vec::new()),
        Err(error) => Err(error),
    }
}
