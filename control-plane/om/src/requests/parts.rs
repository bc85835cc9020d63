//! Multipart uploads: parts are keys of their own until the upload is completed or aborted.
//!
//! Shape   an upload is a row of the upload table, which lists its committed parts, and an open row that keeps what the
//!         key will be. A part is written in a session like a key.
//! Law     a part's bytes count in the bucket's usage from its commit on.

use allotrope_proto::om::{KeyArgs, KeyInfo, MultipartKeyInfo};
use allotrope_types::OmStatus;

use super::open::version_zero;
use super::{Plan, Scene};
use crate::namespace::buckets::{self, Bucket};
use crate::namespace::{keys, replication};
use crate::refusal::{Refusal, refuse};
use crate::tables::{UPLOADS, UploadKey};
use crate::tx::{Db, Tx};

/// The highest number of a part.
pub(super) const PART_NUMBER_MAX: u32 = 10_000;

/// The bucket of an upload, its key's name, its row's key and its row.
pub(super) fn upload(
    db: Db<'_>,
    args: &KeyArgs,
) -> Result<(Bucket, String, UploadKey, MultipartKeyInfo), Refusal> {
    let bucket = buckets::resolve(db, &args.volume_name, &args.bucket_name)?;
    let name = bucket.key_name(&args.key_name)?;
    let id = args.multipart_upload_id();
    let row = UploadKey::of(&bucket.info.volume_name, &bucket.info.bucket_name, &name, id);
    match db.get(UPLOADS, &row)? {
        Some(upload) => Ok((bucket, name, row, upload)),
        None => refuse!(NoSuchMultipartUploadError, "key {name} has no multipart upload {id:?}"),
    }
}

/// A part is kept as its upload is, and gets its blocks one by one.
pub(super) fn prepare(scene: &Scene<'_>, args: &mut KeyArgs) -> Result<Plan, Refusal> {
    let (_, _, _, upload) = upload(scene.db, args)?;
    check_number(args)?;
    let config =
        replication::from_wire(Some(upload.r#type), upload.factor, upload.ec_replication_config.as_ref())?
            .ok_or_else(|| Refusal::new(OmStatus::InternalError, "the upload has no replication config"))?;
    replication::set_args(args, config);
    args.key_locations.clear();
    Ok(Plan::Ready)
}

/// The part's number, if a part can have it.
pub(super) fn check_number(args: &KeyArgs) -> Result<u32, Refusal> {
    match args.multipart_number() {
        number @ 1..=PART_NUMBER_MAX => Ok(number),
        number => refuse!(InvalidPart, "a part's number is 1 to {PART_NUMBER_MAX}, not {number}"),
    }
}

/// Opens the session of a part.
pub(super) fn open(tx: &mut Tx<'_>, args: KeyArgs) -> Result<KeyInfo, Refusal> {
    let (bucket, name, _, upload) = upload(tx.db(), &args)?;
    check_number(&args)?;
    let target = keys::target(tx.db(), &bucket, &name)?;
    if !target.has_parent() {
        refuse!(DirectoryNotFound, "the directory of {name} does not exist");
    }
    bucket.check_quota(1, 0)?;
    let mut list = version_zero(args.key_locations);
    list.is_multipart_key = Some(true);
    let part = KeyInfo {
        volume_name: bucket.info.volume_name.clone(),
        bucket_name: bucket.info.bucket_name.clone(),
        key_name: name.clone(),
        data_size: args.data_size.unwrap_or(0),
        r#type: upload.r#type,
        factor: upload.factor,
        ec_replication_config: upload.ec_replication_config,
        key_location_list: vec![list],
        creation_time: tx.now_ms,
        modification_time: tx.now_ms,
        latest_version: Some(0),
        metadata: args.metadata,
        acls: args.acls,
        object_id: Some(tx.object_id()),
        update_id: Some(tx.number()),
        parent_id: Some(target.walk.as_ref().map_or(0, |walk| walk.parent_id)),
        is_file: Some(true),
        owner_name: args.owner_name,
        ..KeyInfo::default()
    };
    target.place.session(tx.number()).put(tx, &keys::stored(part.clone(), bucket.is_tree()));
    Ok(part)
}
