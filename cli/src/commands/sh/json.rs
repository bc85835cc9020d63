//! What `ozone sh` prints of volumes, buckets and keys: the same fields with the same values, in the same order.

use allotrope_client::{Acl, Bucket, Key, KeyChecksum, KeyEntry, KeyPath, Volume};
use allotrope_types::ReplicationConfig;
use serde_json::{Value, json};

/// The MD5 of 32 zeros, as Hadoop sums a file without blocks; `ozone sh` prints four bytes more than the sum has.
const MD5_OF_NOTHING: &str = "70BC8F4B72A86921468BF8E8441DCE5100000000";
/// What Ozone's client shows as its `ozone.client.list.cache`: pages of our listings are as long.
const LIST_CACHE: u32 = 1000;

pub(super) fn volume(volume: &Volume) -> Value {
    json!({
        "metadata": volume.metadata,
        "name": volume.name,
        "admin": volume.admin,
        "owner": volume.owner,
        "quotaInBytes": volume.quota_bytes,
        "quotaInNamespace": volume.quota_namespace,
        "usedNamespace": volume.used_namespace,
        "creationTime": time(volume.created_ms),
        "modificationTime": time(volume.modified_ms),
        "acls": volume.acls.iter().map(acl).collect::<Vec<_>>(),
        "refCount": volume.references,
    })
}

/// Ozone prints the rights twice: as the list that it keeps, and as the set that it makes of them.
pub(super) fn acl(acl: &Acl) -> Value {
    json!({
        "type": acl.kind,
        "name": acl.name,
        "aclScope": acl.scope,
        "aclList": acl.rights,
        "aclSet": acl.rights,
    })
}

pub(super) fn bucket(bucket: &Bucket) -> Value {
    if let Some(source) = &bucket.source {
        return json!({
            "volumeName": bucket.path.volume,
            "name": bucket.path.bucket,
            "sourceVolume": source.volume,
            "sourceBucket": source.bucket,
            "creationTime": time(bucket.created_ms),
            "modificationTime": time(bucket.modified_ms),
            "owner": bucket.owner,
            "link": true,
        });
    }
    let mut shown = json!({
        "metadata": bucket.metadata,
        "volumeName": bucket.path.volume,
        "name": bucket.path.bucket,
        "storageType": "DISK",
        "versioning": bucket.versioning,
        "listCacheSize": LIST_CACHE,
        "usedBytes": bucket.used_bytes,
        "usedNamespace": bucket.used_namespace,
        "creationTime": time(bucket.created_ms),
        "modificationTime": time(bucket.modified_ms),
        "sourcePathExist": true,
        "quotaInBytes": bucket.quota_bytes,
        "quotaInNamespace": bucket.quota_namespace,
        "bucketLayout": bucket.layout.name(),
        "owner": bucket.owner,
        "pendingDeleteBytes": bucket.pending_bytes,
        "pendingDeleteNamespace": bucket.pending_namespace,
    });
    if let Some(config) = bucket.replication {
        shown["replicationConfig"] = replication(config);
    }
    shown["link"] = Value::Bool(false);
    shown
}

pub(super) fn key(path: &KeyPath, key: &Key) -> Value {
    let mut key_offset = 0;
    let locations: Vec<Value> = key
        .locations
        .iter()
        .map(|location| {
            let at = key_offset;
            key_offset += location.len;
            json!({
                "containerID": location.block.container.as_u64(),
                "localID": location.block.local.as_u64(),
                "length": location.len,
                "offset": location.offset,
                "keyOffset": at,
            })
        })
        .collect();
    json!({
        "volumeName": path.bucket.volume,
        "bucketName": path.bucket.bucket,
        "name": path.key,
        "owner": key.owner,
        "dataSize": key.len,
        "creationTime": time(key.created_ms),
        "modificationTime": time(key.modified_ms),
        "replicationConfig": replication(key.replication),
        "metadata": key.metadata,
        "tags": key.tags,
        "ozoneKeyLocations": locations,
        "generation": key.generation,
        "file": key.is_file,
    })
}

pub(super) fn entry(bucket: &allotrope_client::BucketPath, entry: &KeyEntry) -> Value {
    json!({
        "volumeName": bucket.volume,
        "bucketName": bucket.bucket,
        "name": entry.name,
        "owner": entry.owner,
        "dataSize": entry.len,
        "creationTime": time(entry.created_ms),
        "modificationTime": time(entry.modified_ms),
        "replicationConfig": entry.replication.map(replication),
        "metadata": {},
        "tags": {},
        "file": entry.is_file,
    })
}

/// A key without bytes has the checksum that Hadoop gives an empty file.
pub(super) fn checksum(path: &KeyPath, len: u64, sum: Option<KeyChecksum>) -> Value {
    let (algorithm, text) = match sum {
        Some(sum) => (sum.algorithm, format!("{:08X}", sum.crc)),
        None => ("MD5-of-0MD5-of-0CRC32", format!("{:024x}{MD5_OF_NOTHING}", 0)),
    };
    json!({
        "volumeName": path.bucket.volume,
        "bucketName": path.bucket.bucket,
        "name": path.key,
        "dataSize": len,
        "algorithm": algorithm,
        "checksum": text,
    })
}

fn replication(config: ReplicationConfig) -> Value {
    let kind = config.kind().name();
    match config {
        ReplicationConfig::Ec(ec) => json!({
            "data": ec.data(),
            "parity": ec.parity(),
            "ecChunkSize": ec.cell_len().as_u64(),
            "codec": ec.codec().name().to_uppercase(),
            "replicationType": kind,
            "requiredNodes": config.required_nodes(),
            "minimumNodes": config.minimum_nodes(),
        }),
        _ => json!({
            "replicationFactor": config.replication(),
            "requiredNodes": config.required_nodes(),
            "minimumNodes": config.minimum_nodes(),
            "replicationType": kind,
        }),
    }
}

/// A time in milliseconds since 1970 as Java prints an instant: no fraction when it is zero.
fn time(millis: u64) -> String {
    let (seconds, fraction) = (millis / 1000, millis % 1000);
    let (days, in_day) = (seconds / 86_400, seconds % 86_400);
    // Days are counted from 0000-03-01, in eras of 400 years, so that leap days come last.
    let shifted = days + 719_468;
    let (era, day_of_era) = (shifted / 146_097, shifted % 146_097);
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
    let year = era * 400 + year_of_era + u64::from(month <= 2);
    let (hour, minute, second) = (in_day / 3600, in_day / 60 % 60, in_day % 60);
    let fraction = if fraction == 0 { String::new() } else { format!(".{fraction:03}") };
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}{fraction}Z")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_javas() {
        let table = [
            (0, "1970-01-01T00:00:00Z"),
            (1_738_790_193_756, "2025-02-05T21:16:33.756Z"),
            (951_782_400_000, "2000-02-29T00:00:00Z"),
            (1_709_251_199_001, "2024-02-29T23:59:59.001Z"),
            (4_107_542_400_000, "2100-03-01T00:00:00Z"),
        ];
        for (millis, text) in table {
            assert_eq!(time(millis), text);
        }
    }

    #[test]
    fn replications_are_shown_field_by_field() {
        let shown = |text: &str| replication(text.parse().unwrap());
        assert_eq!(shown("RATIS/THREE")["replicationFactor"], "THREE");
        assert_eq!(shown("STANDALONE/ONE")["replicationType"], "STAND_ALONE");
        let ec = shown("rs-3-2-1024k");
        assert_eq!(
            (&ec["data"], &ec["ecChunkSize"], &ec["codec"]),
            (&json!(3), &json!(1_048_576), &json!("RS"))
        );
    }
}
