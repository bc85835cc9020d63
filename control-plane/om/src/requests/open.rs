//! What CreateKey and CreateFile share: a session in which a key is written, before anybody can see it.
//!
//! Shape   `prepare` settles what the log must not leave open (name, replication, owner, rights, how many blocks);
//!         `open` makes the session's row. The session's number is the transaction's.

use allotrope_proto::om::{KeyArgs, KeyInfo, KeyLocation, KeyLocationList, OzoneAclInfo};
use allotrope_types::OmStatus;

use super::{BlockWish, Plan, Scene};
use crate::namespace::buckets::{self, Bucket};
use crate::namespace::keys::{self, Place, Target};
use crate::namespace::tree::{self, Maker};
use crate::namespace::{acls, prefixes, replication};
use crate::refusal::{Refusal, refuse};
use crate::tx::{Db, Tx};

/// Most blocks that are allocated before the first byte is written (`ozone.key.preallocation.max.blocks`).
const BLOCKS_AHEAD_MAX: u64 = 64;

/// Settles `args` and says how many blocks the key needs at first: none if its size is not known.
pub(super) fn prepare(scene: &Scene<'_>, args: &mut KeyArgs) -> Result<Plan, Refusal> {
    let bucket = buckets::resolve(scene.db, &args.volume_name, &args.bucket_name)?;
    args.key_name = bucket.new_key_name(&args.key_name)?;
    let config = match replication::of_args(args)? {
        Some(asked) => asked,
        None => replication::of_bucket(bucket.info.default_replication_config.as_ref())?
            .unwrap_or(scene.settings.default_replication),
    };
    config.allowed_by_default().map_err(|e| Refusal::new(OmStatus::InvalidRequest, e.to_string()))?;
    replication::set_args(args, config);
    if args.file_encryption_info.is_some() {
        refuse!(NotSupportedOperation, "keys with encryption at rest are not supported");
    }
    let size = args.data_size();
    keys::signed(size)?;
    if args.owner_name.as_ref().is_none_or(String::is_empty) {
        args.owner_name = Some(scene.who.user.clone());
    }
    let mut list = acls::of_maker(&scene.who.user, scene.group_of(&scene.who.user).as_deref());
    acls::add_all(&mut list, std::mem::take(&mut args.acls));
    args.acls = list;
    // Blocks come from SCM alone.
    args.key_locations.clear();
    let block_size = scene.settings.block_size;
    let count = replication::blocks_for(config, size, block_size).min(BLOCKS_AHEAD_MAX);
    Ok(match count {
        0 => Plan::Ready,
        count => Plan::Blocks(BlockWish { count, size: block_size, config, exclude: None }),
    })
}

/// What stands in a new key's way.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct Rules {
    /// Missing parents are made.
    pub(super) make_parents: bool,
    /// A key of that name is replaced.
    pub(super) overwrite: bool,
}

/// Opens a session for the key that `args` describe. The key as the client sees it; the session is `tx.number()`.
pub(super) fn open(tx: &mut Tx<'_>, args: KeyArgs, rules: Rules) -> Result<KeyInfo, Refusal> {
    let mut bucket = buckets::resolve(tx.db(), &args.volume_name, &args.bucket_name)?;
    let name = bucket.new_key_name(&args.key_name)?;
    let target = keys::target(tx.db(), &bucket, &name)?;
    if target.is_directory() || target.is_below_file() {
        refuse!(NotAFile, "{name} cannot be a file: it, or a part of its path, is something else already");
    }
    if target.existing.is_some() && !rules.overwrite {
        refuse!(FileAlreadyExists, "file {name} exists already");
    }
    if !target.has_parent() && !rules.make_parents {
        refuse!(DirectoryNotFound, "the directory of {name} does not exist");
    }
    let expected = expected_generation(&args, target.existing.as_ref())?;
    let config = replication::of_args(&args)?.ok_or_else(|| {
        Refusal::new(OmStatus::InternalError, "a key came into the log without a replication config")
    })?;
    let parents: Vec<&str> = match &target.walk {
        Some(walk) => walk.missing[..walk.missing.len().saturating_sub(1)].to_vec(),
        None => Vec::new(),
    };
    let names_more = i64::from(target.existing.is_none()) + parents.len() as i64;
    let replaced = target.existing.as_ref().map(keys::size_on_disk).transpose()?.unwrap_or(0);
    let bytes = keys::signed(replication::size_on_disk(config, args.data_size()))?;
    bucket.check_quota(bytes.saturating_sub_unsigned(replaced), names_more)?;

    let object_id = target.existing.as_ref().and_then(|old| old.object_id).unwrap_or_else(|| tx.object_id());
    let maker = Maker { owner: args.owner_name.clone().unwrap_or_default(), acls: args.acls.clone() };
    let (place, parent_id) = final_place(tx, &mut bucket, &target, &name, &parents, &maker)?;
    let mut list = args.acls;
    let above = inheritance(tx.db(), &bucket, &target, &name)?;
    acls::add_all(&mut list, acls::inherited(&above).collect::<Vec<_>>());
    let key = KeyInfo {
        volume_name: bucket.info.volume_name.clone(),
        bucket_name: bucket.info.bucket_name.clone(),
        key_name: name.clone(),
        data_size: args.data_size.unwrap_or(0),
        r#type: config.kind() as i32,
        factor: config.factor().map(|factor| factor as i32),
        ec_replication_config: replication::to_wire(config).2,
        key_location_list: vec![version_zero(args.key_locations)],
        creation_time: target.existing.as_ref().map_or(tx.now_ms, |old| old.creation_time),
        modification_time: tx.now_ms,
        latest_version: Some(0),
        metadata: args.metadata,
        acls: list,
        object_id: Some(object_id),
        update_id: Some(tx.number()),
        parent_id: Some(parent_id),
        is_file: Some(true),
        owner_name: args.owner_name,
        tags: args.tags,
        expected_data_generation: expected,
        ..KeyInfo::default()
    };
    place.session(tx.number()).put(tx, &keys::stored(key.clone(), bucket.is_tree()));
    Ok(key)
}

/// The DEFAULT entries that a new key inherits are those of the first that has any: its longest prefix, its directory, its bucket.
fn inheritance(
    db: Db<'_>,
    bucket: &Bucket,
    target: &Target<'_>,
    name: &str,
) -> Result<Vec<OzoneAclInfo>, Refusal> {
    let has_default = |list: &[OzoneAclInfo]| list.iter().any(|entry| entry.acl_scope != 0);
    if let Some(prefix) = prefixes::nearest(db, bucket, name)?.filter(|found| has_default(&found.acls)) {
        return Ok(prefix.acls);
    }
    let parent = target.walk.as_ref().and_then(|walk| walk.parent.as_ref());
    Ok(match parent {
        Some(parent) if has_default(&parent.acls) => parent.acls.clone(),
        _ => bucket.info.acls.clone(),
    })
}

/// Makes the missing `parents`, counts them, and says where the key will lie.
pub(super) fn final_place(
    tx: &mut Tx<'_>,
    bucket: &mut Bucket,
    target: &Target<'_>,
    name: &str,
    parents: &[&str],
    maker: &Maker,
) -> Result<(Place, u64), Refusal> {
    let Some(walk) = &target.walk else { return Ok((target.place.clone(), 0)) };
    if parents.is_empty() {
        return Ok((target.place.clone(), walk.parent_id));
    }
    let parent_id = tree::make_directories(tx, bucket, walk, parents, maker)?;
    bucket.charge(tx, 0, parents.len() as i64);
    Ok((Place::File(tree::node(bucket, parent_id, tree::leaf(name))), parent_id))
}

/// The one version of a new key, made of `locations`.
pub(super) fn version_zero(mut locations: Vec<KeyLocation>) -> KeyLocationList {
    for location in &mut locations {
        location.create_version = Some(0);
    }
    KeyLocationList {
        version: Some(0),
        key_locations: locations,
        file_encryption_info: None,
        is_multipart_key: Some(false),
    }
}

/// The generation that the key must still have when it is committed, if the client asked for one; 0 is "none yet".
///
/// # Errors
/// KEY_NOT_FOUND, KEY_ALREADY_EXISTS, ETAG_MISMATCH, ETAG_NOT_AVAILABLE.
pub(super) fn expected_generation(
    args: &KeyArgs,
    existing: Option<&KeyInfo>,
) -> Result<Option<u64>, Refusal> {
    let name = &args.key_name;
    if let Some(wanted) = &args.expected_e_tag {
        let Some(existing) = existing else {
            refuse!(KeyNotFound, "key {name} is not found, and its ETag was given")
        };
        check_etag(existing, wanted)?;
        return Ok(existing.update_id);
    }
    match (args.expected_data_generation, existing) {
        (Some(0), Some(_)) => refuse!(KeyAlreadyExists, "key {name} exists already"),
        (Some(wanted), existing) if wanted > 0 && existing.and_then(|key| key.update_id) != Some(wanted) => {
            refuse!(KeyNotFound, "key {name} of generation {wanted} is not found")
        }
        (wanted, _) => Ok(wanted),
    }
}

/// Refuses a key whose ETag is not `wanted`.
pub(super) fn check_etag(key: &KeyInfo, wanted: &str) -> Result<(), Refusal> {
    match etag(key) {
        None => refuse!(EtagNotAvailable, "key {} has no ETag", key.key_name),
        Some(etag) if etag.trim_matches('"') != wanted.trim_matches('"') => {
            refuse!(EtagMismatch, "the ETag of key {} is {etag}", key.key_name)
        }
        Some(_) => Ok(()),
    }
}

/// The ETag that an S3 client stored with the key.
pub(super) fn etag(key: &KeyInfo) -> Option<&str> {
    key.metadata.iter().find(|pair| pair.key == "ETag").and_then(|pair| pair.value.as_deref())
}
