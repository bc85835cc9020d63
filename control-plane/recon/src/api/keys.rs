//! `/keys/listKeys` as Ozone's, and one key with its blocks and where they lie.

use allotrope_proto::om::{GetKeyInfoRequest, KeyArgs, KeyInfo, KeyLocation, Type};
use serde_json::{Value, json};

use super::walk::{self, Path};
use super::{Query, Trouble};
use crate::model::{Replication, uuid_of};
use crate::recon::Recon;
use crate::state::State;

/// Most blocks of a key that are shown.
const BLOCKS_MAX: usize = 1000;
/// Most names of one page.
const KEYS_MAX: usize = 1000;

/// `/keys/listKeys?startPrefix=/volume/bucket/…&prevKey=&limit=`: the keys and directories of one level.
pub(super) async fn list(recon: &Recon, query: &Query) -> Result<Value, Trouble> {
    let path = Path::read(query.text("startPrefix"))?;
    if path.bucket().is_none() {
        return Err(Trouble::bad("startPrefix names a bucket at least, such as /volume/bucket"));
    }
    let (after, limit) = (query.text("prevKey"), query.limit()?.clamp(1, KEYS_MAX));
    let mut entries = walk::page(recon, &path, &path.inside(), after, limit as u64 + 1).await?;
    entries.retain(|entry| entry.name != after);
    entries.truncate(limit);
    let (mut len, mut on_disk) = (0_u64, 0_u64);
    let root =
        format!("/{}/{}", path.volume().map_or("", String::as_str), path.bucket().map_or("", String::as_str));
    let mut rows = Vec::with_capacity(entries.len());
    for entry in &entries {
        let (replication, size) = (entry.replication(), entry.info.data_size());
        let replicated = replication.on_disk(size);
        (len, on_disk) = (len.saturating_add(size), on_disk.saturating_add(replicated));
        rows.push(json!({
            "key": entry.name,
            "path": format!("{root}/{}", entry.name),
            "size": size,
            "replicatedSize": replicated,
            "replicationInfo": { "replicationType": replication.kind, "replicationConfig": replication.scheme },
            "creationTime": entry.info.creation_time(),
            "modificationTime": entry.info.modification_time(),
            "isKey": !entry.is_directory,
        }));
    }
    Ok(json!({
        "status": "OK",
        "path": path.to_string(),
        "replicatedDataSize": on_disk,
        "unReplicatedDataSize": len,
        "keyCount": rows.len(),
        "lastKey": entries.last().map_or("", |entry| &entry.name),
        "keys": rows,
    }))
}

/// `/allotrope/key?path=`.
pub(super) async fn one(recon: &Recon, path: &str) -> Result<Value, Trouble> {
    let path = Path::read(path)?;
    let (Some(volume), Some(bucket)) = (path.volume(), path.bucket()) else {
        return Err(Trouble::bad("the path names no key"));
    };
    let key_args = KeyArgs {
        volume_name: volume.clone(),
        bucket_name: bucket.clone(),
        key_name: path.inside(),
        latest_version_location: Some(true),
        ..Default::default()
    };
    let answer = recon.ask_om(Type::GetKeyInfo, |request| {
        request.get_key_info_request =
            Some(Box::new(GetKeyInfoRequest { key_args, assume_s3_context: None }));
    });
    let answer = answer.await?.get_key_info_response.and_then(|response| response.key_info);
    let key = answer.ok_or_else(|| Trouble::missing(format!("there is no key {path}")))?;
    Ok(shown(&recon.state(), &path, &key))
}

fn shown(state: &State, path: &Path, key: &KeyInfo) -> Value {
    let replication = Replication::read(key.r#type, key.factor, key.ec_replication_config.as_ref());
    let blocks = key.key_location_list.last().map(|list| list.key_locations.as_slice()).unwrap_or_default();
    let tags: Vec<Value> =
        key.tags.iter().map(|tag| json!({ "name": tag.key, "value": tag.value })).collect();
    let metadata: Vec<Value> =
        key.metadata.iter().map(|pair| json!({ "name": pair.key, "value": pair.value })).collect();
    json!({
        "sources": state.sources_json(),
        "path": path.to_string(),
        "size": key.data_size,
        "used": replication.on_disk(key.data_size),
        "replication": replication.scheme,
        "owner": key.owner_name,
        "created": key.creation_time,
        "modified": key.modification_time,
        "tags": tags,
        "metadata": metadata,
        "blockCount": blocks.len(),
        "blocks": blocks.iter().take(BLOCKS_MAX).map(|location| block(state, location)).collect::<Value>(),
    })
}

fn block(state: &State, location: &KeyLocation) -> Value {
    let id = &location.block_id.container_block_id;
    let pipeline = location.pipeline.as_ref();
    let indexes = pipeline.map(|pipeline| pipeline.member_replica_indexes.as_slice()).unwrap_or_default();
    let members = pipeline.map(|pipeline| pipeline.members.as_slice()).unwrap_or_default();
    let replica = |(at, node): (usize, &allotrope_proto::hdds::DatanodeDetailsProto)| {
        let uuid = uuid_of(node);
        json!({
            "index": indexes.get(at).copied().unwrap_or(0),
            "host": if uuid.is_empty() { node.host_name.clone() } else { state.label_of(&uuid) },
            "state": state.datanodes.get(uuid.as_str()).map_or("UNKNOWN", |known| known.state),
            "node": uuid,
        })
    };
    json!({
        "container": id.container_id,
        "local": id.local_id.to_string(),
        "length": location.length,
        "replicas": members.iter().enumerate().map(replica).collect::<Value>(),
    })
}
