//! Versions of objects: what a bucket with versioning keeps when a key is written again or deleted.
//!
//! Shape   a key's newest version lies in the key table, where an unversioned bucket has its only one; older ones lie in the version
//!         table, newest first. A deleted key has none in the key table, and a delete marker as the newest in the version table.
//! Law     the newest version is the one that was begun last: its number is the session that wrote it. Each stored version counts
//!         its bytes and one name. FILE_SYSTEM_OPTIMIZED buckets keep no versions.
//! Units   a version's id is its number as 16 hex digits, in the key's metadata under [`ID`]; what was written without
//!         versioning, or while it was suspended, is the version `null`.
//! Source  docs/formats/om-tables.md.

use allotrope_proto::hdds::KeyValue;
use allotrope_proto::om::{BucketInfo, KeyArgs, KeyInfo};

use super::buckets::{self, Bucket};
use super::keys::{self, Place};
use crate::refusal::{Refusal, refuse};
use crate::tables::{KEY_VERSIONS, KEYS, NULL_VERSIONS, ObjectKey, VersionKey};
use crate::tx::{Db, Tx};

/// Metadata of a key: its version's id. Absent or beginning with `null`, it is the null version.
pub(crate) const ID: &str = "ozone-s3-internal-version-id";
/// Metadata of a version that stands for a deletion.
pub(crate) const MARKER: &str = "ozone-s3-internal-delete-marker";
/// Metadata of a bucket whose versioning was on and is off now: [`SUSPENDED`].
pub(crate) const STATUS: &str = "ozone-s3-internal-versioning";
/// See [`STATUS`].
pub(crate) const SUSPENDED: &str = "Suspended";

const NULL: &str = "null";

/// What a bucket does with a key that is written again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Versioning {
    /// It is replaced.
    Off,
    /// It becomes an older version.
    Enabled,
    /// It becomes an older version if it has an id; what is written now has none.
    Suspended,
}

/// What `bucket` does.
pub(crate) fn of(bucket: &BucketInfo) -> Versioning {
    if buckets::layout(bucket) == allotrope_types::BucketLayout::FileSystemOptimized {
        return Versioning::Off;
    }
    match bucket.is_version_enabled {
        true => Versioning::Enabled,
        false if bucket.metadata.iter().any(|pair| pair.key == STATUS) => Versioning::Suspended,
        false => Versioning::Off,
    }
}

/// Turns the versioning of `bucket` on or off. Once on it is never off again, only suspended.
pub(crate) fn switch(bucket: &mut BucketInfo, enabled: bool) {
    let was = of(bucket);
    bucket.is_version_enabled = enabled;
    bucket.metadata.retain(|pair| pair.key != STATUS);
    if !enabled && was != Versioning::Off {
        set(&mut bucket.metadata, STATUS, SUSPENDED.to_owned());
    }
}

/// A version's name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Version {
    /// Written without versioning, or while it was suspended.
    Null,
    /// By the number of its session.
    Number(u64),
}

fn set(metadata: &mut Vec<KeyValue>, name: &str, value: String) {
    metadata.retain(|pair| pair.key != name);
    metadata.push(KeyValue { key: name.to_owned(), value: Some(value) });
}

fn get<'m>(metadata: &'m [KeyValue], name: &str) -> Option<&'m str> {
    metadata.iter().find(|pair| pair.key == name).and_then(|pair| pair.value.as_deref())
}

/// The version that a request names, if it names one.
///
/// # Errors
/// INVALID_REQUEST for a text that is no version's id.
pub(crate) fn asked(args: &KeyArgs) -> Result<Option<Version>, Refusal> {
    match get(&args.metadata, ID) {
        None => Ok(None),
        Some(text) => parse(text).map(Some),
    }
}

/// Reads an id.
pub(crate) fn parse(text: &str) -> Result<Version, Refusal> {
    if text.starts_with(NULL) {
        return Ok(Version::Null);
    }
    match u64::from_str_radix(text, 16) {
        Ok(number) if text.len() == 16 => Ok(Version::Number(number)),
        _ => refuse!(InvalidRequest, "{text:?} is no id of a version"),
    }
}

/// Takes what only versions carry from metadata that a client gave.
pub(crate) fn strip(metadata: &mut Vec<KeyValue>) {
    metadata.retain(|pair| pair.key != ID && pair.key != MARKER);
}

/// Which version `key` is, and its number if it was given one.
fn stamp(key: &KeyInfo) -> (Version, Option<u64>) {
    match get(&key.metadata, ID) {
        None => (Version::Null, None),
        Some(text) => match (text.strip_prefix("null."), u64::from_str_radix(text, 16)) {
            (Some(number), _) => (Version::Null, u64::from_str_radix(number, 16).ok()),
            (None, Ok(number)) => (Version::Number(number), Some(number)),
            (None, Err(_)) => (Version::Null, None),
        },
    }
}

/// Whether `key` stands for a deletion.
pub(crate) fn is_marker(key: &KeyInfo) -> bool {
    get(&key.metadata, MARKER).is_some()
}

/// A change of how much a bucket holds: bytes and names more.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Usage(i64, i64);

impl Usage {
    fn add(&mut self, key: &KeyInfo, sign: i64) -> Result<(), Refusal> {
        let bytes = if is_marker(key) { 0 } else { keys::signed(keys::size_on_disk(key)?)? };
        self.0 = self.0.saturating_add(sign * bytes);
        self.1 += sign;
        Ok(())
    }
}

/// Stores `key` as the newest version of the object at `place`, or as an older one if a newer was begun after it. Returns what
/// is gone for good, for the deletion service.
///
/// # Errors
/// QUOTA_EXCEEDED.
pub(crate) fn put(
    tx: &mut Tx<'_>,
    bucket: &mut Bucket,
    place: &ObjectKey,
    current: Option<KeyInfo>,
    mut key: KeyInfo,
    number: u64,
) -> Result<(KeyInfo, Vec<KeyInfo>), Refusal> {
    let enabled = of(&bucket.info) == Versioning::Enabled;
    // A null version has no number that a client knows, so it is the newest from its commit on.
    let number = if enabled { number } else { tx.number() };
    let id = if enabled { format!("{number:016x}") } else { format!("null.{number:016x}") };
    set(&mut key.metadata, ID, id);
    let (mut usage, mut gone) = (Usage::default(), Vec::new());
    usage.add(&key, 1)?;
    let newest = match &current {
        Some(current) => Some(stamp(current).1.unwrap_or(0)),
        None => older(tx.db(), place)?.next().transpose()?.map(|(row, _)| row.version()),
    };
    let is_newest = newest.is_none_or(|newest| newest <= number);
    if !enabled {
        gone.extend(take_null(tx, place, current.as_ref())?);
    }
    if is_newest {
        match current {
            Some(current) if !enabled && stamp(&current).0 == Version::Null => gone.push(current),
            Some(current) => demote(tx, place, current, number),
            None => {}
        }
        tx.put(KEYS, place, &key);
    } else {
        demote(tx, place, key.clone(), u64::MAX);
    }
    for gone in &gone {
        usage.add(gone, -1)?;
    }
    bucket.check_quota(usage.0, usage.1)?;
    bucket.charge(tx, usage.0, usage.1);
    gone.retain(|key| !is_marker(key));
    Ok((key, gone))
}

/// Deletes the object at `place`: a delete marker becomes its newest version, also where there is no `current` one. The marker,
/// and what is gone for good.
pub(crate) fn mark_deleted(
    tx: &mut Tx<'_>,
    bucket: &mut Bucket,
    place: &ObjectKey,
    current: Option<KeyInfo>,
) -> Result<(KeyInfo, Vec<KeyInfo>), Refusal> {
    let number = tx.number();
    let enabled = of(&bucket.info) == Versioning::Enabled;
    let mut marker = KeyInfo {
        data_size: 0,
        key_location_list: Vec::new(),
        metadata: Vec::new(),
        tags: Vec::new(),
        creation_time: tx.now_ms,
        modification_time: tx.now_ms,
        update_id: Some(number),
        object_id: Some(tx.object_id()),
        ..current.clone().unwrap_or_else(|| of_nothing(place))
    };
    let id = if enabled { format!("{number:016x}") } else { format!("null.{number:016x}") };
    set(&mut marker.metadata, ID, id);
    set(&mut marker.metadata, MARKER, "true".to_owned());
    let (mut usage, mut gone) = (Usage::default(), Vec::new());
    if !enabled {
        gone.extend(take_null(tx, place, current.as_ref())?);
    }
    match current {
        None => {}
        Some(current) if !enabled && stamp(&current).0 == Version::Null => gone.push(current),
        Some(current) => demote(tx, place, current, number),
    }
    tx.delete(KEYS, place);
    usage.add(&marker, 1)?;
    demote(tx, place, marker.clone(), u64::MAX);
    for gone in &gone {
        usage.add(gone, -1)?;
    }
    bucket.charge(tx, usage.0, usage.1);
    gone.retain(|key| !is_marker(key));
    Ok((marker, gone))
}

/// What a delete marker is made of where no object lies: it holds no blocks, so its replication says nothing.
fn of_nothing(place: &ObjectKey) -> KeyInfo {
    let (volume, bucket, key) = place.parts();
    KeyInfo {
        volume_name: volume.to_owned(),
        bucket_name: bucket.to_owned(),
        key_name: key.to_owned(),
        r#type: 1,
        factor: Some(1),
        latest_version: Some(0),
        is_file: Some(true),
        ..KeyInfo::default()
    }
}

/// Whether who deletes wants a delete marker even where no object lies, as S3 has it: [`MARKER`] among what was given.
pub(crate) fn wants_marker(args: &KeyArgs) -> bool {
    get(&args.metadata, MARKER).is_some()
}

/// Deletes one version of the object at `place`, for good. What it was; blocks are still to be handed over.
///
/// # Errors
/// KEY_NOT_FOUND.
pub(crate) fn delete(
    tx: &mut Tx<'_>,
    bucket: &mut Bucket,
    place: &ObjectKey,
    wanted: Version,
) -> Result<KeyInfo, Refusal> {
    let Some((slot, key)) = find(tx.db(), place, wanted)? else {
        refuse!(KeyNotFound, "the key has no such version");
    };
    let left = match &slot {
        Slot::Newest(_) => None,
        Slot::Older(row) => Some(row.version()),
    };
    let promoted = match (&slot, tx.db().contains(KEYS, place)?) {
        (Slot::Older(_), true) => None,
        _ => older(tx.db(), place)?.find(|pair| !matches!(pair, Ok((row, _)) if Some(row.version()) == left)),
    };
    match &slot {
        Slot::Newest(place) => tx.delete(KEYS, place),
        Slot::Older(row) => tx.delete(KEY_VERSIONS, row),
    }
    if left.is_some() && stamp(&key).0 == Version::Null {
        tx.delete(NULL_VERSIONS, place);
    }
    if let Some((row, next)) = promoted.transpose()?
        && !is_marker(&next)
    {
        tx.delete(KEY_VERSIONS, &row);
        if stamp(&next).0 == Version::Null {
            tx.delete(NULL_VERSIONS, place);
        }
        tx.put(KEYS, place, &next);
    }
    let mut usage = Usage::default();
    usage.add(&key, -1)?;
    bucket.charge(tx, usage.0, usage.1);
    Ok(key)
}

/// Where a version lies.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Slot {
    /// In the key table.
    Newest(ObjectKey),
    /// In the version table.
    Older(VersionKey),
}

impl Slot {
    /// Stores `key` in its place.
    pub(crate) fn put(&self, tx: &mut Tx<'_>, key: &KeyInfo) {
        match self {
            Slot::Newest(place) => tx.put(KEYS, place, key),
            Slot::Older(row) => tx.put(KEY_VERSIONS, row, key),
        }
    }
}

/// One version of the object at `place`.
pub(crate) fn find(
    db: Db<'_>,
    place: &ObjectKey,
    wanted: Version,
) -> Result<Option<(Slot, KeyInfo)>, Refusal> {
    if let Some(newest) = db.get(KEYS, place)?
        && stamp(&newest).0 == wanted
    {
        return Ok(Some((Slot::Newest(place.clone()), newest)));
    }
    let number = match wanted {
        Version::Number(number) => Some(number),
        Version::Null => db.get(NULL_VERSIONS, place)?,
    };
    let Some(number) = number else { return Ok(None) };
    let row = VersionKey::of(place, number);
    let found = db.get(KEY_VERSIONS, &row)?.filter(|key| stamp(key).0 == wanted);
    Ok(found.map(|key| (Slot::Older(row), key)))
}

type Older<'a> = crate::tx::Pairs<'a, VersionKey, allotrope_consensus::Proto<KeyInfo>>;

/// The rows of the version table of the object at `place`, newest first.
pub(crate) fn older<'a>(db: Db<'a>, place: &ObjectKey) -> Result<Older<'a>, Refusal> {
    Ok(db.scan(KEY_VERSIONS, &VersionKey::prefix(place))?)
}

/// Puts `key` into the version table. What has no number yet gets one below `newer`.
fn demote(tx: &mut Tx<'_>, place: &ObjectKey, mut key: KeyInfo, newer: u64) {
    let (version, number) = stamp(&key);
    let number = number.unwrap_or_else(|| key.update_id.unwrap_or(0).min(newer.saturating_sub(1)));
    if version == Version::Null {
        set(&mut key.metadata, ID, format!("null.{number:016x}"));
        tx.put(NULL_VERSIONS, place, &number);
    }
    tx.put(KEY_VERSIONS, &VersionKey::of(place, number), &key);
}

/// Takes the null version out of the version table, if it lies there: a key has one at most.
fn take_null(
    tx: &mut Tx<'_>,
    place: &ObjectKey,
    current: Option<&KeyInfo>,
) -> Result<Option<KeyInfo>, Refusal> {
    if current.is_some_and(|current| stamp(current).0 == Version::Null) {
        return Ok(None);
    }
    let Some(number) = tx.db().get(NULL_VERSIONS, place)? else { return Ok(None) };
    let row = VersionKey::of(place, number);
    let gone = tx.db().get(KEY_VERSIONS, &row)?;
    tx.delete(KEY_VERSIONS, &row);
    tx.delete(NULL_VERSIONS, place);
    Ok(gone)
}

/// Stores a finished key where its bucket wants it: as the only version, or as the newest. What it replaces for good is
/// returned with the key as it was stored.
pub(crate) fn store(
    tx: &mut Tx<'_>,
    bucket: &mut Bucket,
    place: &Place,
    current: Option<KeyInfo>,
    mut key: KeyInfo,
    number: u64,
) -> Result<(KeyInfo, Vec<KeyInfo>), Refusal> {
    strip(&mut key.metadata);
    if let (Place::Object(at), Versioning::Enabled | Versioning::Suspended) = (place, of(&bucket.info)) {
        return put(tx, bucket, at, current, keys::stored(key, false), number);
    }
    let mut usage = Usage::default();
    usage.add(&key, 1)?;
    if let Some(current) = &current {
        usage.add(current, -1)?;
    }
    bucket.check_quota(usage.0, usage.1)?;
    bucket.charge(tx, usage.0, usage.1);
    let is_tree = bucket.is_tree();
    let kept = keys::stored(key, is_tree);
    place.put(tx, &kept);
    Ok((kept, current.into_iter().map(|old| keys::stored(old, is_tree)).collect()))
}

/// Moves the newest version of one object to another name, where it is a new version. The older ones stay, behind a delete
/// marker.
pub(crate) fn rename(
    tx: &mut Tx<'_>,
    bucket: &mut Bucket,
    places: (&Place, &Place),
    key: KeyInfo,
) -> Result<(), Refusal> {
    let (Place::Object(from), Place::Object(to)) = places else {
        refuse!(InternalError, "a bucket whose keys form a tree keeps no versions")
    };
    let left = older(tx.db(), from)?.next().transpose()?;
    let mut usage = Usage::default();
    usage.add(&key, -1)?;
    bucket.charge(tx, usage.0, usage.1);
    tx.delete(KEYS, from);
    if left.is_some_and(|(_, newest)| !is_marker(&newest)) {
        // What is marked as deleted holds no blocks: those move.
        let stand_in = KeyInfo {
            key_name: from.parts().2.to_owned(),
            data_size: 0,
            key_location_list: Vec::new(),
            ..key.clone()
        };
        mark_moved(tx, bucket, from, stand_in)?;
    }
    let number = tx.number();
    put(tx, bucket, to, None, key, number)?;
    Ok(())
}

fn mark_moved(
    tx: &mut Tx<'_>,
    bucket: &mut Bucket,
    place: &ObjectKey,
    mut marker: KeyInfo,
) -> Result<(), Refusal> {
    let number = tx.number();
    set(&mut marker.metadata, ID, format!("{number:016x}"));
    set(&mut marker.metadata, MARKER, "true".to_owned());
    bucket.charge(tx, 0, 1);
    demote(tx, place, marker, u64::MAX);
    Ok(())
}
