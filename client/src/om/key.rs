//! Keys: opening a session to write one, its blocks, committing it; looking up, renaming and deleting.

use std::collections::{BTreeMap, BTreeSet};

use allotrope_proto::WireError;
use allotrope_proto::edge::hdds::{ExcludeList, KeyValue};
use allotrope_proto::edge::om::key::{AllocateBlock, CommitKey, CreateKey, GetKeyInfo, RenameKey};
use allotrope_proto::edge::om::{OmAnswer, OmCall};
use allotrope_proto::edge::om_key::{KeyArgs, KeyInfo, KeyLocation, KeyLocationList};
use allotrope_types::{ByteCount, ContainerId, DatanodeId, LocalId, OmStatus, PipelineId, ReplicationConfig};

use super::{Om, PartOfUpload, part, unusable};
use crate::error::Error;
use crate::location::BlockLocation;
use crate::path::{BucketPath, KeyPath};
use crate::wire::{pairs, wire_pairs};

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
    fn list(&self) -> ExcludeList {
        ExcludeList {
            datanodes: self.datanodes.iter().map(|id| id.to_string()).collect(),
            container_ids: self.containers.iter().copied().collect(),
            pipeline_ids: self.pipelines.clone(),
        }
    }

    /// Whether `location` lies where a new block must not.
    pub(crate) fn cover(&self, location: &BlockLocation) -> bool {
        self.containers.contains(&location.block.container)
            || location.members.iter().any(|member| self.datanodes.contains(&member.datanode))
            || location.pipeline_id().is_some_and(|id| self.pipelines.contains(&id))
    }
}

pub(super) fn args(key: &KeyPath) -> KeyArgs {
    KeyArgs::named(&key.bucket.volume, &key.bucket.bucket, &key.key)
}

/// The blocks of the newest version, which stands last.
fn latest(lists: Vec<KeyLocationList>) -> Vec<KeyLocation> {
    lists.into_iter().next_back().map_or(vec![], |list| list.key_locations)
}

impl Om {
    pub(crate) async fn open_session(
        &self,
        key: &KeyPath,
        options: PutOptions,
        use_hostname: bool,
    ) -> Result<Session, Error> {
        let key_args = KeyArgs {
            replication: options.replication,
            data_size: options.len.filter(|&len| len > 0).map(ByteCount::new),
            is_multipart_key: Some(false),
            sort_datanodes: Some(false),
            owner_name: Some(self.user().to_owned()),
            metadata: wire_pairs(&options.metadata),
            tags: wire_pairs(&options.tags),
            expected_data_generation: options.generation,
            expected_e_tag: options.etag,
            ..args(key)
        };
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
        let call = CreateKey { key_args, client_id: None, derived_key_piggy_backing: None };
        let created = ask!(self, &act, CreateKey(call))?;
        let id = part(&act, created.id, "CreateKeyResponse", "ID")?;
        let info = part(&act, created.key_info, "CreateKeyResponse", "keyInfo")?;
        // As for Java, a key that names no version is at its first.
        let version = created.open_version.unwrap_or(0);
        let locations = latest(info.key_location_list)
            .into_iter()
            .filter(|told| told.create_version.is_none_or(|v| v == version))
            .map(|told| BlockLocation::read(told, use_hostname).map_err(|why| unusable(&act, &why)))
            .collect::<Result<_, _>>()?;
        let replication = info.replication;
        Ok(Session { key: key.clone(), id, replication, locations, metadata, part: part_of })
    }

    pub(crate) async fn allocate_block(
        &self,
        session: &Session,
        exclude: &Exclusions,
        use_hostname: bool,
    ) -> Result<BlockLocation, Error> {
        let act = format!("allocate a block for {}", session.key);
        let call = AllocateBlock {
            key_args: KeyArgs { replication: Some(session.replication), ..args(&session.key) },
            client_id: session.id,
            exclude_list: Some(exclude.list()),
            key_location: None,
        };
        let told = ask!(self, &act, AllocateBlock(call))?;
        let told = part(&act, told, "AllocateBlockResponse", "keyLocation")?;
        BlockLocation::read(told, use_hostname).map_err(|why| unusable(&act, &why))
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
        let ids: Vec<_> = blocks.iter().map(id_of).collect();
        let mut metadata = wire_pairs(&session.metadata);
        metadata.extend(wire_pairs(also));
        let key_args = KeyArgs {
            replication: Some(session.replication),
            data_size: Some(ByteCount::new(len)),
            key_locations: blocks,
            metadata,
            ..args(&session.key)
        };
        if let Some(part) = &session.part {
            return self.commit_part(session, part, key_args).await;
        }
        let call = CommitKey { key_args, client_id: session.id, hsync: Some(false), recovery: Some(false) };
        match self.submit_watching(&act, OmCall::CommitKey(call)).await {
            Ok(_) => Ok(()),
            // The session is gone: an earlier attempt, whose answer was lost, may have closed it by committing.
            Err((error, true)) if error.om_status() == Some(OmStatus::KeyNotFound) => {
                match self.is_committed(session, &ids, len).await {
                    true => Ok(()),
                    false => Err(*error),
                }
            }
            Err((error, _)) => Err(*error),
        }
    }

    /// Whether the key there is has exactly these blocks, which no other session can have.
    async fn is_committed(&self, session: &Session, blocks: &[(ContainerId, LocalId)], len: u64) -> bool {
        let Ok(info) = self.key_info(&session.key, true).await else { return false };
        let found = latest(info.key_location_list);
        info.data_size.as_u64() == len
            && !blocks.is_empty()
            && found.iter().map(id_of).eq(blocks.iter().copied())
    }

    /// The key with where its blocks are; `fresh` asks OM not to answer from what it remembers of containers.
    pub(crate) async fn key(&self, key: &KeyPath, fresh: bool, use_hostname: bool) -> Result<Key, Error> {
        let info = self.key_info(key, fresh).await?;
        Key::read(info, use_hostname).map_err(|why| unusable(&looking_up(key), &why))
    }

    /// The key without where its blocks are.
    pub(crate) async fn head_key(&self, key: &KeyPath, version: Option<&str>) -> Result<Key, Error> {
        let info = self.look_up(key, KeyArgs { head_op: Some(true), ..versioned(key, version) }).await?;
        Key::read(info, false).map_err(|why| unusable(&looking_up(key), &why))
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
        Key::read(info, use_hostname).map_err(|why| unusable(&looking_up(key), &why))
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
        let act = looking_up(key);
        let key_args =
            KeyArgs { data_size: Some(ByteCount::ZERO), latest_version_location: Some(true), ..key_args };
        let call = GetKeyInfo { key_args, assume_s3_context: Some(false) };
        let found = ask!(self, &act, GetKeyInfo(call))?;
        part(&act, found.key_info, "GetKeyInfoResponse", "keyInfo")
    }

    pub(crate) async fn rename_key(&self, from: &KeyPath, to: &str) -> Result<(), Error> {
        let call = RenameKey { key_args: args(from), to_key_name: to.to_owned(), update_id: None };
        self.order(&format!("rename key {from} to {to}"), OmCall::RenameKey(call)).await
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
        let mut key_args = KeyArgs { expected_e_tag: etag, ..versioned(key, version) };
        if marker {
            let value = Some("true".to_owned());
            key_args.metadata.push(KeyValue { key: DELETE_MARKER.to_owned(), value });
        }
        match self.submit_watching(&format!("delete key {key}"), OmCall::DeleteKey(key_args)).await {
            Ok(Some(OmAnswer::DeleteKey(deleted))) => {
                Ok((Deletion::Deleted, deleted.key_info.map(|info| pairs(info.metadata))))
            }
            // Outside of buckets with versions there is nothing to say.
            Ok(_) => Ok((Deletion::Deleted, None)),
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

fn looking_up(key: &KeyPath) -> String {
    format!("look up key {key}")
}

/// A block's name, whatever was written to it.
fn id_of(told: &KeyLocation) -> (ContainerId, LocalId) {
    (told.block.container, told.block.local)
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

    pub(super) fn read(info: KeyInfo, use_hostname: bool) -> Result<Key, WireError> {
        let locations = latest(info.key_location_list)
            .into_iter()
            .map(|told| BlockLocation::read(told, use_hostname))
            .collect::<Result<Vec<_>, _>>()?;
        let len = info.data_size.as_u64();
        let located = locations.iter().try_fold(0u64, |sum, block| sum.checked_add(block.len));
        if located != Some(len) {
            let located = located.map_or("more than 64 bits count".to_owned(), |sum| sum.to_string());
            let why = format!("is {len}, where its blocks have {located}");
            return Err(WireError::Invalid { message: "KeyInfo", field: "dataSize", why });
        }
        Ok(Key {
            path: BucketPath::new(info.volume_name, info.bucket_name).key(info.key_name),
            len,
            replication: info.replication,
            locations,
            created_ms: info.creation_time,
            modified_ms: info.modification_time,
            metadata: pairs(info.metadata),
            tags: pairs(info.tags),
            owner: info.owner_name,
            // Rows older than the field are files: directories came with it.
            is_file: info.is_file.unwrap_or(true),
            generation: info.update_id,
        })
    }
}
