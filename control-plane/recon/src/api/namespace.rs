//! `/volumes`, `/buckets`, and how much lies under a path.

use serde_json::{Map, Value, json};

use allotrope_proto::hdds::{KeyValue, StorageTypeProto};
use allotrope_proto::om::{OzoneAclInfo, ozone_acl_info};

use allotrope_types::BucketLayout;

use super::walk::{self, Found, Path};
use super::{Query, Trouble};
use crate::model::{Bucket, Replication, Volume};
use crate::recon::Recon;
use crate::state::State;

/// Ozone's words for the rights, by their bit.
const RIGHTS: [&str; 9] =
    ["READ", "WRITE", "CREATE", "LIST", "DELETE", "READ_ACL", "WRITE_ACL", "ALL", "NONE"];

fn acl(wire: &OzoneAclInfo) -> Value {
    let kind =
        ozone_acl_info::OzoneAclType::try_from(wire.r#type).map_or("UNKNOWN", |kind| kind.as_str_name());
    let has = |bit: usize| wire.rights.get(bit / 8).is_some_and(|byte| byte >> (bit % 8) & 1 == 1);
    let rights: Vec<&str> =
        RIGHTS.iter().enumerate().filter(|(bit, _)| has(*bit)).map(|(_, word)| *word).collect();
    json!({
        "type": kind,
        "name": wire.name,
        "scope": if wire.acl_scope == 0 { "ACCESS" } else { "DEFAULT" },
        "aclList": rights,
    })
}

fn metadata(pairs: &[KeyValue]) -> Map<String, Value> {
    pairs.iter().map(|pair| (pair.key.clone(), json!(pair.value.as_deref().unwrap_or_default()))).collect()
}

/// `/volumes`.
pub(super) fn volumes(state: &State, query: &Query) -> Result<Value, Trouble> {
    let after = query.text("prevKey");
    let one = |volume: &Volume| {
        let info = &volume.info;
        json!({
            "metadata": metadata(&info.metadata),
            "name": info.volume,
            "quotaInBytes": info.quota_in_bytes.map_or(-1, u64::cast_signed),
            "quotaInNamespace": info.quota_in_namespace.unwrap_or(-1),
            "usedNamespace": info.used_namespace.unwrap_or(0),
            "creationTime": info.creation_time.unwrap_or(0),
            "modificationTime": info.modification_time.unwrap_or(0),
            "acls": info.volume_acls.iter().map(acl).collect::<Value>(),
            "admin": info.admin_name,
            "owner": info.owner_name,
        })
    };
    let page = state.volumes.iter().filter(|volume| *volume.info.volume > *after).take(query.limit()?);
    Ok(json!({ "totalCount": state.volumes_all, "volumes": page.map(one).collect::<Value>() }))
}

pub(super) fn layout_name(bucket: &Bucket) -> &'static str {
    let known = bucket.bucket_layout.and_then(BucketLayout::from_number);
    known.map_or("LEGACY", BucketLayout::name)
}

pub(super) fn replication_of(bucket: &Bucket) -> Option<Replication> {
    let config = bucket.default_replication_config.as_ref()?;
    Some(Replication::read(config.r#type, config.factor, config.ec_replication_config.as_ref()))
}

/// `/buckets?volume=`.
pub(super) fn buckets(state: &State, query: &Query) -> Result<Value, Trouble> {
    let (volume, after) = (query.text("volume"), query.text("prevKey"));
    let wanted = |bucket: &&Bucket| {
        (volume.is_empty() || bucket.volume_name == volume)
            // Behind a name where one volume is meant, behind volume/name where all are.
            && match after.split_once('/') {
                _ if after.is_empty() => true,
                Some((v, b)) => (bucket.volume_name.as_str(), bucket.bucket_name.as_str()) > (v, b),
                None => bucket.bucket_name.as_str() > after,
            }
    };
    let all = state.buckets.iter().filter(|bucket| volume.is_empty() || bucket.volume_name == volume).count();
    let page = state.buckets.iter().filter(wanted).take(query.limit()?);
    Ok(json!({ "totalCount": all, "buckets": page.map(bucket_json).collect::<Value>() }))
}

fn bucket_json(bucket: &Bucket) -> Value {
    let replication = replication_of(bucket);
    json!({
        "metadata": metadata(&bucket.metadata),
        "name": bucket.bucket_name,
        "quotaInBytes": bucket.quota_in_bytes.unwrap_or(-1),
        "quotaInNamespace": bucket.quota_in_namespace.unwrap_or(-1),
        "usedNamespace": bucket.used_namespace.unwrap_or(0),
        "creationTime": bucket.creation_time.unwrap_or(0),
        "modificationTime": bucket.modification_time.unwrap_or(0),
        "acls": bucket.acls.iter().map(acl).collect::<Value>(),
        "volumeName": bucket.volume_name,
        "storageType": StorageTypeProto::try_from(bucket.storage_type).map_or("DISK", |kind| kind.as_str_name()),
        "versioning": bucket.is_version_enabled,
        "usedBytes": bucket.used_bytes.unwrap_or(0),
        "snapshotUsedBytes": bucket.snapshot_used_bytes.unwrap_or(0),
        "encryptionInfo": null,
        "replicationConfigInfo": replication.map(|r| json!({ "type": r.kind, "replication": r.scheme })),
        "sourceVolume": bucket.source_volume,
        "sourceBucket": bucket.source_bucket,
        "bucketLayout": layout_name(bucket),
        "owner": bucket.owner,
    })
}

/// What lies at `path`; the status that Ozone gives it.
async fn find(recon: &Recon, path: &str) -> Result<(Path, Option<Found>), Trouble> {
    let path = Path::read(path)?;
    let found = walk::find(recon, &path).await?;
    Ok((path, found))
}

fn not_found() -> Value {
    json!({ "status": "PATH_NOT_FOUND" })
}

/// `/namespace/summary?path=`. In a bucket the numbers are counted key by key, up to a bound; above buckets they are OM's.
pub(super) async fn summary(recon: &Recon, path: &str) -> Result<Value, Trouble> {
    let (path, Some(found)) = find(recon, path).await? else { return Ok(not_found()) };
    let walked = match found {
        Found::Bucket | Found::Directory => Some(walk::under(recon, &path).await?),
        _ => None,
    };
    let state = recon.state();
    let volumes =
        state.volumes.iter().filter(|volume| path.volume().is_none_or(|name| volume.info.volume == *name));
    let (mut names, mut buckets, mut count) = (0, 0, 0);
    for volume in volumes {
        names += volume.names;
        buckets += volume.buckets;
        count += 1;
    }
    let (volumes, buckets, dirs, keys) = match found {
        Found::Root => (count, buckets.cast_signed(), -1, names.cast_signed()),
        Found::Volume => (-1, buckets.cast_signed(), -1, names.cast_signed()),
        Found::Key(_) => (-1, -1, -1, 0),
        Found::Bucket | Found::Directory => {
            let sum = walked.as_ref().map(|walked| walked.sum).unwrap_or_default();
            (-1, -1, sum.directories.cast_signed(), sum.keys.cast_signed())
        }
    };
    Ok(json!({
        "path": path.to_string(),
        "status": "OK",
        "type": found.kind(),
        "countStats": { "numVolume": volumes, "numBucket": buckets, "numDir": dirs, "numKey": keys },
        "numVolume": volumes,
        "numBucket": buckets,
        "numDir": dirs,
        "numKey": keys,
        "complete": walked.is_none_or(|walked| walked.is_complete),
    }))
}

/// `/namespace/du?path=` (`usage` in newer releases): what each child takes. Above buckets only what is on disk is known, all
/// replicas counted; a size that is not known is -1.
pub(super) async fn usage(recon: &Recon, query: &Query) -> Result<Value, Trouble> {
    let (path, Some(found)) = find(recon, query.text("path")).await? else { return Ok(not_found()) };
    let row = |path: String, size: i64, on_disk: u64, is_key: bool| json!({ "path": path, "size": size, "sizeWithReplica": on_disk, "isKey": is_key });
    let (mut rows, mut size, mut on_disk, mut direct, mut complete) = (Vec::new(), -1, 0_u64, 0, true);
    match &found {
        Found::Root => {
            for volume in &recon.state().volumes {
                on_disk = on_disk.saturating_add(volume.used);
                rows.push(row(format!("/{}", volume.info.volume), -1, volume.used, false));
            }
        }
        Found::Volume => {
            let state = recon.state();
            for bucket in state.buckets.iter().filter(|bucket| path.volume() == Some(&bucket.volume_name)) {
                let used = bucket.used_bytes.unwrap_or(0);
                on_disk = on_disk.saturating_add(used);
                rows.push(row(format!("/{}/{}", bucket.volume_name, bucket.bucket_name), -1, used, false));
            }
        }
        Found::Key(key) => {
            size = key.len.cast_signed();
            on_disk = key.replication.on_disk(key.len);
        }
        Found::Bucket | Found::Directory => {
            let walked = walk::under(recon, &path).await?;
            (size, on_disk, complete) =
                (walked.sum.len.cast_signed(), walked.sum.on_disk, walked.is_complete);
            direct = walked.direct_len;
            let child = |(name, sum): (&String, &walk::Sum)| {
                row(format!("{path}/{name}"), sum.len.cast_signed(), sum.on_disk, sum.is_key)
            };
            rows = walked.children.iter().map(child).collect();
        }
    }
    let limit = query.limit()?;
    let all = rows.len();
    rows.truncate(limit);
    Ok(json!({
        "status": "OK",
        "path": path.to_string(),
        "size": size,
        "sizeWithReplica": on_disk,
        "subPathCount": all,
        "subPaths": rows,
        "sizeDirectKey": direct,
        "complete": complete,
    }))
}

/// `/namespace/quota?path=`.
pub(super) async fn quota(recon: &Recon, path: &str) -> Result<Value, Trouble> {
    let (path, Some(found)) = find(recon, path).await? else { return Ok(not_found()) };
    let state = recon.state();
    let (allowed, used) = match found {
        Found::Root => (-1, state.volumes.iter().map(|volume| volume.used).sum()),
        Found::Volume => {
            let volume = state.volumes.iter().find(|volume| path.volume() == Some(&volume.info.volume));
            volume.map_or((-1, 0), |volume| {
                (volume.info.quota_in_bytes.map_or(-1, u64::cast_signed), volume.used)
            })
        }
        Found::Bucket => {
            let bucket = path.bucket_in(&state);
            bucket.map_or((-1, 0), |bucket| {
                (bucket.quota_in_bytes.unwrap_or(-1), bucket.used_bytes.unwrap_or(0))
            })
        }
        Found::Directory | Found::Key(_) => {
            return Ok(json!({ "status": "TYPE_NOT_APPLICABLE", "allowed": 0, "used": 0 }));
        }
    };
    Ok(json!({ "status": "OK", "allowed": allowed, "used": used }))
}

/// `/namespace/dist?path=`: how many keys are how long, by powers of two from 1 KiB on.
pub(super) async fn dist(recon: &Recon, path: &str) -> Result<Value, Trouble> {
    let (path, Some(found)) = find(recon, path).await? else { return Ok(not_found()) };
    match found {
        Found::Bucket | Found::Directory => {
            let walked = walk::under(recon, &path).await?;
            Ok(json!({ "status": "OK", "dist": &walked.lengths[..], "complete": walked.is_complete }))
        }
        _ => Ok(json!({ "status": "TYPE_NOT_APPLICABLE", "dist": [] })),
    }
}
