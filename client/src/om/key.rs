//! Keys: opening a session to write one, its blocks, committing it; looking up, renaming and deleting.

use std::collections::{BTreeMap, BTreeSet};

use allotrope_proto::hdds::{ExcludeListProto, PipelineId};
use allotrope_proto::om::{
    AllocateBlockRequest, CommitKeyRequest, CreateKeyRequest, DeleteKeyRequest, GetKeyInfoRequest, KeyArgs,
    KeyInfo, KeyLocation, RenameKeyRequest, Type,
};
use allotrope_types::{ContainerId, DatanodeId, OmStatus, ReplicationConfig};

use super::{Om, PartOfUpload, part};
use crate::error::Error;
use crate::location::BlockLocation;
use crate::path::KeyPath;
use crate::wire::{ReplicationFields, pairs, replication_of_key};

/// Under this name a version's id stands in a key's metadata.
pub const VERSION_ID: &str = "ozone-s3-internal-version-id";
/// Under this name the metadata of a delete marker says that it is one.
pub const DELETE_MARKER: &str = "ozone-s3-internal-delete-marker";

/// A key as OM shows it.
#[derive(Clone, Debug, PartialEq)]
pub struct Key {
    /// Where it is. Behind a linked bucket this is the real one.
    pub path: KeyPath,
    /// Its bytes.
    pub len: u64,
    /// How it is kept safe.
    pub replication: ReplicationConfig,
    /// Its blocks in order.
    pub locations: Vec<BlockLocation>,
    /// When it was made, in milliseconds since 1970.
    pub created_ms: u64,
    /// When it last changed, in milliseconds since 1970.
    pub modified_ms: u64,
    /// What else was noted with it.
    pub metadata: BTreeMap<String, String>,
    /// Its tags.
    pub tags: BTreeMap<String, String>,
    /// Whose it is.
    pub owner: Option<String>,
    /// Whether it is a file, and not a directory.
    pub is_file: bool,
    /// Changes with every write, for writes that must not overtake another.
    pub generation: Option<u64>,
}

/// What may be said of a key that is to be written.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PutOptions {
    /// How it is to be kept safe; the bucket's default when `None`.
    pub replication: Option<ReplicationConfig>,
    /// Its bytes, if they are known. OM then allocates blocks ahead, and another number of bytes is not committed.
    pub len: Option<u64>,
    /// What else is to be noted with it.
    pub metadata: BTreeMap<String, String>,
    /// What is to be kept beside it as tags.
    pub tags: BTreeMap<String, String>,
    /// Write only if the key still has this [`Key::generation`]; 0 writes only where no key is.
    pub generation: Option<u64>,
    /// Write only if the key there has this ETag.
    pub etag: Option<String>,
}

/// Whether a delete found the key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Deletion {
    /// It was there and is gone.
    Deleted,
    /// It was not there on a repeated attempt; an earlier attempt, whose answer was lost, may have deleted it.
    AlreadyGone,
}

/// A key that is being written: nobody sees it before it is committed.
#[derive(Clone, Debug)]
pub(crate) struct Session {
    pub(crate) key: KeyPath,
    pub(crate) id: u64,
    pub(crate) replication: ReplicationConfig,
    /// Blocks that OM allocated ahead.
    pub(crate) locations: Vec<BlockLocation>,
    metadata: BTreeMap<String, String>,
    /// The part of an upload that is being written, where it is no key by itself.
    pub(crate) part: Option<PartOfUpload>,
}

/// What new blocks are to stay clear of.
#[derive(Clone, Debug, Default)]
pub(crate) struct Exclusions {
    pub(crate) datanodes: BTreeSet<DatanodeId>,
    pub(crate) containers: BTreeSet<ContainerId>,
    pub(crate) pipelines: Vec<PipelineId>,
}

impl Exclusions {
    fn wire(&self) -> ExcludeListProto {
        ExcludeListProto {
            datanodes: self.datanodes.iter().map(|id| id.to_string()).collect(),
            container_ids: self.containers.iter().map(|id| id.to_wire()).collect(),
            pipeline_ids: self.pipelines.clone(),
        }
    }

    /// Whether `location` lies where a new block must not.
    pub(crate) fn cover(&self, location: &BlockLocation) -> bool {
        self.containers.contains(&location.block.container)
            || location.members.iter().any(|member| self.datanodes.contains(&member.datanode))
            || location.pipeline_id().is_some_and(|id| self.pipelines.contains(id))
    }
}

pub(super) fn args(key: &KeyPath) -> KeyArgs {
    KeyArgs {
        volume_name: key.bucket.volume.clone(),
        bucket_name: key.bucket.bucket.clone(),
        key_name: key.key.clone(),
        ..Default::default()
    }
}

pub(super) fn replicated(mut args: KeyArgs, replication: ReplicationConfig) -> KeyArgs {
    let fields = ReplicationFields::of(replication);
    args.r#type = Some(fields.kind);
    args.factor = fields.factor;
    args.ec_replication_config = fields.ec;
    args
}

pub(super) fn wire_pairs(map: &BTreeMap<String, String>) -> Vec<allotrope_proto::hdds::KeyValue> {
    let pair = |(key, value): (&String, &String)| allotrope_proto::hdds::KeyValue {
        key: key.clone(),
        value: Some(value.clone()),
    };
    map.iter().map(pair).collect()
}

impl Om {
    pub(crate) async fn open_session(
        &self,
        key: &KeyPath,
        options: PutOptions,
        use_hostname: bool,
    ) -> Result<Session, Error> {
        let mut key_args = args(key);
        if let Some(replication) = options.replication {
            key_args = replicated(key_args, replication);
        }
        key_args.data_size = options.len.filter(|&len| len > 0);
        key_args.is_multipart_key = Some(false);
        key_args.sort_datanodes = Some(false);
        key_args.owner_name = Some(self.user().to_owned());
        key_args.metadata = wire_pairs(&options.metadata);
        key_args.tags = wire_pairs(&options.tags);
        key_args.expected_data_generation = options.generation;
        key_args.expected_e_tag = options.etag;
        self.create(key, key_args, options.metadata, None, use_hostname).await
    }

    /// Opens the session of a key, or of a part.
    pub(super) async fn create(
        &self,
        key: &KeyPath,
        key_args: KeyArgs,
        metadata: BTreeMap<String, String>,
        part_of: Option<PartOfUpload>,
        use_hostname: bool,
    ) -> Result<Session, Error> {
        let act = format!("create key {key}");
        let mut request = self.request(Type::CreateKey);
        request.create_key_request = Some(Box::new(CreateKeyRequest { key_args, ..Default::default() }));
        let response = self.submit(&act, &request).await?;
        let created = part(&act, response.create_key_response, "the session")?;
        let id = part(&act, created.id, "the session's id")?;
        let info = part(&act, created.key_info, "the key")?;
        let unusable = |why| Error::OmAnswer { act: act.clone(), why };
        let replication = replication_of_key(&info).map_err(unusable)?;
        let version = created.open_version.unwrap_or(0);
        let latest = info.key_location_list.into_iter().next_back().map_or(vec![], |list| list.key_locations);
        let locations = latest
            .into_iter()
            .map(|raw| BlockLocation::read(raw, use_hostname).map_err(unusable))
            .filter(|read| {
                read.as_ref().map_or(true, |block| block.create_version().is_none_or(|v| v == version))
            })
            .collect::<Result<_, _>>()?;
        Ok(Session { key: key.clone(), id, replication, locations, metadata, part: part_of })
    }

    pub(crate) async fn allocate_block(
        &self,
        session: &Session,
        exclude: &Exclusions,
        use_hostname: bool,
    ) -> Result<BlockLocation, Error> {
        let act = format!("allocate a block for {}", session.key);
        let mut request = self.request(Type::AllocateBlock);
        request.allocate_block_request = Some(Box::new(AllocateBlockRequest {
            key_args: replicated(args(&session.key), session.replication),
            client_id: session.id,
            exclude_list: Some(exclude.wire()),
            ..Default::default()
        }));
        let response = self.submit(&act, &request).await?;
        let location = response.allocate_block_response.and_then(|response| response.key_location);
        BlockLocation::read(part(&act, location, "the block")?, use_hostname)
            .map_err(|why| Error::OmAnswer { act, why })
    }

    /// Makes the key visible with `blocks`, `len` bytes in all, and notes `also` with it.
    pub(crate) async fn commit(
        &self,
        session: &Session,
        blocks: Vec<KeyLocation>,
        len: u64,
        also: &BTreeMap<String, String>,
    ) -> Result<(), Error> {
        let act = format!("commit key {}", session.key);
        let mut key_args = replicated(args(&session.key), session.replication);
        key_args.data_size = Some(len);
        key_args.key_locations = blocks.clone();
        key_args.metadata = wire_pairs(&session.metadata);
        key_args.metadata.extend(wire_pairs(also));
        if let Some(part) = &session.part {
            return self.commit_part(session, part, key_args).await;
        }
        let mut request = self.request(Type::CommitKey);
        request.commit_key_request = Some(Box::new(CommitKeyRequest {
            key_args,
            client_id: session.id,
            hsync: Some(false),
            recovery: Some(false),
        }));
        match self.submit_watching(&act, &request).await {
            Ok(_) => Ok(()),
            // The session is gone: an earlier attempt, whose answer was lost, may have closed it by committing.
            Err((error, true)) if error.om_status() == Some(OmStatus::KeyNotFound) => {
                match self.is_committed(session, &blocks, len).await {
                    true => Ok(()),
                    false => Err(*error),
                }
            }
            Err((error, _)) => Err(*error),
        }
    }

    /// Whether the key there is has exactly these blocks, which no other session can have.
    async fn is_committed(&self, session: &Session, blocks: &[KeyLocation], len: u64) -> bool {
        let Ok(info) = self.key_info(&session.key, true).await else { return false };
        let found = info.key_location_list.into_iter().next_back().map_or(vec![], |list| list.key_locations);
        let ids = |list: &[KeyLocation]| -> Vec<_> {
            list.iter().map(|block| block.block_id.container_block_id).collect()
        };
        info.data_size == len && !blocks.is_empty() && ids(&found) == ids(blocks)
    }

    /// The key with where its blocks are; `fresh` asks OM not to answer from what it remembers of containers.
    pub(crate) async fn key(&self, key: &KeyPath, fresh: bool, use_hostname: bool) -> Result<Key, Error> {
        let info = self.key_info(key, fresh).await?;
        Key::read(info, use_hostname).map_err(|why| unusable(key, why))
    }

    /// The key without where its blocks are.
    pub(crate) async fn head_key(&self, key: &KeyPath, version: Option<&str>) -> Result<Key, Error> {
        let info = self.look_up(key, KeyArgs { head_op: Some(true), ..versioned(key, version) }).await?;
        Key::read(info, false).map_err(|why| unusable(key, why))
    }

    /// One version of a key, with where its blocks are.
    pub(crate) async fn key_version(
        &self,
        key: &KeyPath,
        version: &str,
        use_hostname: bool,
    ) -> Result<Key, Error> {
        let key_args = KeyArgs { sort_datanodes: Some(true), ..versioned(key, Some(version)) };
        let info = self.look_up(key, key_args).await?;
        Key::read(info, use_hostname).map_err(|why| unusable(key, why))
    }

    async fn key_info(&self, key: &KeyPath, fresh: bool) -> Result<KeyInfo, Error> {
        let key_args = KeyArgs {
            sort_datanodes: Some(true),
            head_op: Some(false),
            force_update_container_cache_from_scm: Some(fresh),
            ..args(key)
        };
        self.look_up(key, key_args).await
    }

    async fn look_up(&self, key: &KeyPath, key_args: KeyArgs) -> Result<KeyInfo, Error> {
        let act = format!("look up key {key}");
        let key_args = KeyArgs { data_size: Some(0), latest_version_location: Some(true), ..key_args };
        let mut request = self.request(Type::GetKeyInfo);
        request.get_key_info_request =
            Some(Box::new(GetKeyInfoRequest { key_args, assume_s3_context: Some(false) }));
        let response = self.submit(&act, &request).await?;
        let info = response.get_key_info_response.and_then(|response| response.key_info);
        part(&act, info, "the key")
    }

    pub(crate) async fn rename_key(&self, from: &KeyPath, to: &str) -> Result<(), Error> {
        let mut request = self.request(Type::RenameKey);
        request.rename_key_request = Some(Box::new(RenameKeyRequest {
            key_args: args(from),
            to_key_name: to.to_owned(),
            ..Default::default()
        }));
        self.submit(&format!("rename key {from} to {to}"), &request).await.map(drop)
    }

    /// Deletes a key; with `etag` only if it has that one.
    pub(crate) async fn delete_key(&self, key: &KeyPath, etag: Option<String>) -> Result<Deletion, Error> {
        self.delete_version(key, None, etag, false).await.map(|(deletion, _)| deletion)
    }

    /// Deletes a key or one version of it. In a bucket with versions it comes with the delete marker that was made, or with
    /// the version that is gone; with `marker` one is made even where there is no key.
    pub(crate) async fn delete_version(
        &self,
        key: &KeyPath,
        version: Option<&str>,
        etag: Option<String>,
        marker: bool,
    ) -> Result<(Deletion, Option<BTreeMap<String, String>>), Error> {
        let mut request = self.request(Type::DeleteKey);
        let mut key_args = KeyArgs { expected_e_tag: etag, ..versioned(key, version) };
        if marker {
            key_args.metadata.push(allotrope_proto::hdds::KeyValue {
                key: DELETE_MARKER.to_owned(),
                value: Some("true".to_owned()),
            });
        }
        request.delete_key_request = Some(Box::new(DeleteKeyRequest { key_args }));
        match self.submit_watching(&format!("delete key {key}"), &request).await {
            Ok(response) => {
                let info = response.delete_key_response.and_then(|response| response.key_info);
                Ok((Deletion::Deleted, info.map(|info| pairs(info.metadata))))
            }
            Err((error, true)) if error.om_status() == Some(OmStatus::KeyNotFound) => {
                Ok((Deletion::AlreadyGone, None))
            }
            Err((error, _)) => Err(*error),
        }
    }
}

/// The key, or one version of it.
pub(super) fn versioned(key: &KeyPath, version: Option<&str>) -> KeyArgs {
    let metadata = version.map(|id| BTreeMap::from([(VERSION_ID.to_owned(), id.to_owned())]));
    KeyArgs { metadata: wire_pairs(&metadata.unwrap_or_default()), ..args(key) }
}

fn unusable(key: &KeyPath, why: String) -> Error {
    Error::OmAnswer { act: format!("look up key {key}"), why }
}

impl Key {
    /// The parts that it was made of, by number and length; none for a key that was written as one.
    pub fn parts(&self) -> Vec<(u32, u64)> {
        let mut parts: Vec<(u32, u64)> = vec![];
        for block in &self.locations {
            match (block.part_number(), parts.last_mut()) {
                (None, _) => {}
                (Some(number), Some((last, len))) if *last == number => *len += block.len,
                (Some(number), _) => parts.push((number, block.len)),
            }
        }
        parts
    }

    pub(super) fn read(info: KeyInfo, use_hostname: bool) -> Result<Key, String> {
        let replication = replication_of_key(&info)?;
        let latest = info.key_location_list.into_iter().next_back().map_or(vec![], |list| list.key_locations);
        let locations = latest
            .into_iter()
            .map(|raw| BlockLocation::read(raw, use_hostname))
            .collect::<Result<Vec<_>, _>>()?;
        let located = locations.iter().try_fold(0u64, |sum, block| sum.checked_add(block.len));
        if located != Some(info.data_size) {
            return Err(format!("its {} bytes do not fill its blocks' {located:?}", info.data_size));
        }
        Ok(Key {
            path: crate::path::BucketPath::new(info.volume_name, info.bucket_name).key(info.key_name),
            len: info.data_size,
            replication,
            locations,
            created_ms: info.creation_time,
            modified_ms: info.modification_time,
            metadata: pairs(info.metadata),
            tags: pairs(info.tags),
            owner: info.owner_name,
            is_file: info.is_file.unwrap_or(true),
            generation: info.update_id,
        })
    }
}
