//! InitiateMultiPartUpload, CommitMultiPartUpload, AbortMultiPartUpload, and what of uploads is listed.

use allotrope_proto::hdds::KeyValue;
use allotrope_proto::om::{
    KeyArgs, KeyInfo, ListMultipartUploadsResponse, MultipartCommitUploadPartResponse,
    MultipartInfoInitiateResponse, MultipartKeyInfo, MultipartUploadAbortResponse, MultipartUploadInfo,
    MultipartUploadListPartsResponse, OmRequest, OmResponse, PartInfo, PartKeyInfo,
};

use super::allocate_block::session;
use super::commit_key::{unused, written};
use super::open::{etag, final_place, version_zero};
use super::parts::upload;
use super::{Plan, Scene, open};
use crate::namespace::keys::Place;
use crate::namespace::tree::{self, Maker};
use crate::namespace::{buckets, keys, replication};
use crate::refusal::{Refusal, refuse};
use crate::tables::{ObjectKey, UPLOADS, UploadKey};
use crate::tx::Tx;

/// Settles what the key will be, and takes the id that the leader has drawn.
pub(super) fn plan_initiate(scene: &Scene<'_>, request: &mut OmRequest) -> Result<Plan, Refusal> {
    let args = &mut request.initiate_multi_part_upload_request.get_or_insert_default().key_args;
    args.data_size = None;
    open::prepare(scene, args)?;
    args.multipart_upload_id = Some(scene.upload_id.to_owned());
    Ok(Plan::Ready)
}

/// Makes the upload's rows. In a tree the key's parents are made now.
pub(super) fn initiate(tx: &mut Tx<'_>, mut request: OmRequest) -> Result<OmResponse, Refusal> {
    let args = request.initiate_multi_part_upload_request.take().unwrap_or_default().key_args;
    let mut bucket = buckets::resolve(tx.db(), &args.volume_name, &args.bucket_name)?;
    let name = bucket.new_key_name(&args.key_name)?;
    let target = keys::target(tx.db(), &bucket, &name)?;
    if target.is_directory() || target.is_below_file() {
        refuse!(NotAFile, "{name} cannot be a file: it, or a part of its path, is something else already");
    }
    let config = replication::of_args(&args)?.map(replication::to_wire);
    let Some((kind, factor, ec)) = config else {
        refuse!(InternalError, "an upload came into the log without a replication config")
    };
    let parents: Vec<&str> = match &target.walk {
        Some(walk) => walk.missing[..walk.missing.len().saturating_sub(1)].to_vec(),
        None => Vec::new(),
    };
    bucket.check_quota(0, parents.len() as i64)?;
    let object_id = tx.object_id();
    let maker = Maker { owner: args.owner_name.clone().unwrap_or_default(), acls: args.acls.clone() };
    let (place, parent_id) = final_place(tx, &mut bucket, &target, &name, &parents, &maker)?;
    let id = args.multipart_upload_id().to_owned();
    let mut list = version_zero(Vec::new());
    list.is_multipart_key = Some(true);
    let key = KeyInfo {
        volume_name: bucket.info.volume_name.clone(),
        bucket_name: bucket.info.bucket_name.clone(),
        key_name: name.clone(),
        r#type: kind,
        factor,
        ec_replication_config: ec.clone(),
        key_location_list: vec![list],
        creation_time: tx.now_ms,
        modification_time: tx.now_ms,
        latest_version: Some(0),
        metadata: args.metadata,
        acls: args.acls.clone(),
        object_id: Some(object_id),
        update_id: Some(tx.number()),
        parent_id: Some(parent_id),
        is_file: Some(true),
        owner_name: args.owner_name.clone(),
        tags: args.tags,
        ..KeyInfo::default()
    };
    let row = MultipartKeyInfo {
        upload_id: id.clone(),
        creation_time: tx.now_ms,
        r#type: kind,
        factor,
        ec_replication_config: ec,
        object_id: Some(object_id),
        update_id: Some(tx.number()),
        parent_id: Some(parent_id),
        volume_name: Some(bucket.info.volume_name.clone()),
        bucket_name: Some(bucket.info.bucket_name.clone()),
        key_name: Some(name.clone()),
        owner_name: args.owner_name,
        acls: args.acls,
        ..MultipartKeyInfo::default()
    };
    place.upload_session(&id).put(tx, &keys::stored(key, bucket.is_tree()));
    let (volume_name, bucket_name) = (bucket.info.volume_name, bucket.info.bucket_name);
    tx.put(UPLOADS, &UploadKey::of(&volume_name, &bucket_name, &name, &id), &row);
    let initiate_multi_part_upload_response = Some(Box::new(MultipartInfoInitiateResponse {
        volume_name,
        bucket_name,
        key_name: name,
        multipart_upload_id: id,
    }));
    Ok(OmResponse { initiate_multi_part_upload_response, ..OmResponse::default() })
}

/// Ends the session of a part. A part of the same number that was there is replaced.
pub(super) fn commit_part(tx: &mut Tx<'_>, mut request: OmRequest) -> Result<OmResponse, Refusal> {
    let asked = request.commit_multi_part_upload_request.take().unwrap_or_default();
    let args = asked.key_args;
    let (mut bucket, name, row, mut upload) = upload(tx.db(), &args)?;
    let number = super::parts::check_number(&args)?;
    let (_, part_session, open) = session(tx.db(), &args, asked.client_id)?;
    let locations = written(&open, &args)?;
    let left = KeyInfo { key_location_list: vec![version_zero(unused(&open, &locations))], ..open.clone() };
    let part = finished(open, &args, locations, number, tx);
    let part_name = format!("{}-{}-{number}", row_text(&bucket, &name), upload.upload_id);
    let replaced = upload.part_key_info_list.iter().position(|old| old.part_number == number);
    let replaced = replaced.map(|at| upload.part_key_info_list.remove(at).part_key_info);
    let before = replaced.as_ref().map(keys::size_on_disk).transpose()?.unwrap_or(0);
    let more = keys::signed(keys::size_on_disk(&part)?)?.saturating_sub_unsigned(before);
    bucket.check_quota(more, 0)?;
    bucket.charge(tx, more, 0);
    let at = upload.part_key_info_list.partition_point(|old| old.part_number < number);
    let e_tag = etag(&part).map(str::to_owned);
    let part = PartKeyInfo { part_name: part_name.clone(), part_number: number, part_key_info: part };
    upload.part_key_info_list.insert(at, part);
    upload.update_id = Some(tx.number());
    tx.put(UPLOADS, &row, &upload);
    part_session.delete(tx);
    let target = keys::target(tx.db(), &bucket, &name)?;
    target.place.bury(tx, &bucket, replaced.into_iter().chain([left]).collect())?;
    let response = MultipartCommitUploadPartResponse { part_name: Some(part_name), e_tag };
    Ok(OmResponse { commit_multi_part_upload_response: Some(Box::new(response)), ..OmResponse::default() })
}

fn row_text(bucket: &buckets::Bucket, name: &str) -> String {
    format!("/{}/{}/{name}", bucket.info.volume_name, bucket.info.bucket_name)
}

/// A written part, its blocks marked with its number.
fn finished(
    open: KeyInfo,
    args: &KeyArgs,
    mut locations: Vec<allotrope_proto::om::KeyLocation>,
    number: u32,
    tx: &Tx<'_>,
) -> KeyInfo {
    for location in &mut locations {
        location.part_number = i32::try_from(number).ok();
    }
    let mut list = version_zero(locations);
    list.is_multipart_key = Some(true);
    let mut metadata: Vec<KeyValue> = open.metadata.clone();
    for pair in &args.metadata {
        metadata.retain(|old| old.key != pair.key);
        metadata.push(pair.clone());
    }
    KeyInfo {
        data_size: args.data_size(),
        modification_time: tx.now_ms,
        update_id: Some(tx.number()),
        key_location_list: vec![list],
        metadata,
        ..open
    }
}

/// Gives an upload up: its parts go to the deletion service.
pub(super) fn abort(tx: &mut Tx<'_>, mut request: OmRequest) -> Result<OmResponse, Refusal> {
    let args = request.abort_multi_part_upload_request.take().unwrap_or_default().key_args;
    let (_, _, row, upload) = upload(tx.db(), &args)?;
    give_up(tx, &row, upload)?;
    let response = MultipartUploadAbortResponse {};
    Ok(OmResponse { abort_multi_part_upload_response: Some(Box::new(response)), ..OmResponse::default() })
}

/// Takes an upload and its parts out.
pub(super) fn give_up(tx: &mut Tx<'_>, row: &UploadKey, upload: MultipartKeyInfo) -> Result<(), Refusal> {
    let mut bucket = buckets::resolve(tx.db(), upload.volume_name(), upload.bucket_name())?;
    let parts: Vec<KeyInfo> =
        upload.part_key_info_list.iter().map(|part| part.part_key_info.clone()).collect();
    let mut bytes = 0u64;
    for part in &parts {
        bytes = bytes.saturating_add(keys::size_on_disk(part)?);
    }
    // By the directory's id: its path may have changed since.
    let place = match bucket.is_tree() {
        true => Place::File(tree::node(&bucket, upload.parent_id(), tree::leaf(upload.key_name()))),
        false => {
            let (volume, name) = (&bucket.info.volume_name, &bucket.info.bucket_name);
            Place::Object(ObjectKey::of(volume, name, upload.key_name()))
        }
    };
    place.upload_session(&upload.upload_id).delete(tx);
    tx.delete(UPLOADS, row);
    place.bury(tx, &bucket, parts)?;
    bucket.charge(tx, -keys::signed(bytes)?, 0);
    Ok(())
}

/// The parts of an upload, by number.
pub(super) fn list_parts(scene: &Scene<'_>, mut request: OmRequest) -> Result<OmResponse, Refusal> {
    let asked = request.list_multipart_upload_parts_request.take().unwrap_or_default();
    let args = KeyArgs {
        volume_name: asked.volume,
        bucket_name: asked.bucket,
        key_name: asked.key,
        multipart_upload_id: Some(asked.upload_id),
        ..KeyArgs::default()
    };
    let (_, _, _, upload) = upload(scene.db, &args)?;
    let after = asked.part_numbermarker.unwrap_or(0);
    let wanted = scene.page(asked.max_parts.map(i64::from));
    let mut rest = upload.part_key_info_list.into_iter().filter(|part| part.part_number > after).peekable();
    let parts_list: Vec<PartInfo> = rest
        .by_ref()
        .take(wanted)
        .map(|part| PartInfo {
            part_number: part.part_number,
            part_name: part.part_name,
            modification_time: part.part_key_info.modification_time,
            size: part.part_key_info.data_size,
            e_tag: etag(&part.part_key_info).map(str::to_owned),
        })
        .collect();
    let more = rest.peek().is_some();
    let response = MultipartUploadListPartsResponse {
        r#type: Some(upload.r#type),
        factor: upload.factor,
        ec_replication_config: upload.ec_replication_config,
        next_part_number_marker: Some(if more {
            parts_list.last().map_or(0, |part| part.part_number)
        } else {
            0
        }),
        is_truncated: Some(more),
        parts_list,
    };
    Ok(OmResponse { list_multipart_upload_parts_response: Some(Box::new(response)), ..OmResponse::default() })
}

/// The uploads in progress of keys with a prefix, by key and id.
pub(super) fn list_uploads(scene: &Scene<'_>, mut request: OmRequest) -> Result<OmResponse, Refusal> {
    let asked = request.list_multipart_uploads_request.take().unwrap_or_default();
    let bucket = buckets::resolve(scene.db, &asked.volume, &asked.bucket)?;
    let (volume, name) = (&bucket.info.volume_name, &bucket.info.bucket_name);
    let prefix = UploadKey::prefix(volume, name, &asked.prefix);
    let paged = asked.with_pagination();
    let wanted = if paged { scene.page(asked.max_uploads.map(i64::from)) } else { usize::MAX };
    let found = match asked.key_marker() {
        "" => scene.db.scan(UPLOADS, &prefix)?,
        // Rows of keys after the marker's all lie after its text; rows of keys up to it may too, and are left out.
        key if asked.upload_id_marker().is_empty() => {
            scene.db.scan_from(UPLOADS, &prefix, UploadKey::prefix(volume, name, key))?
        }
        key => scene.db.scan_after(
            UPLOADS,
            &prefix,
            &UploadKey::of(volume, name, key, asked.upload_id_marker()),
        )?,
    };
    let mut uploads_list = Vec::new();
    let mut more = false;
    for pair in found {
        let (_, upload) = pair?;
        if asked.upload_id_marker().is_empty()
            && !asked.key_marker().is_empty()
            && upload.key_name() <= asked.key_marker()
        {
            continue;
        }
        if uploads_list.len() == wanted {
            more = true;
            break;
        }
        uploads_list.push(MultipartUploadInfo {
            volume_name: volume.clone(),
            bucket_name: name.clone(),
            key_name: upload.key_name.unwrap_or_default(),
            upload_id: upload.upload_id,
            creation_time: upload.creation_time,
            r#type: upload.r#type,
            factor: upload.factor,
            ec_replication_config: upload.ec_replication_config,
        });
    }
    let last = uploads_list.last().filter(|_| more);
    let response = ListMultipartUploadsResponse {
        is_truncated: Some(more),
        next_key_marker: Some(last.map(|upload| upload.key_name.clone()).unwrap_or_default()),
        next_upload_id_marker: Some(last.map(|upload| upload.upload_id.clone()).unwrap_or_default()),
        uploads_list,
    };
    Ok(OmResponse { list_multipart_uploads_response: Some(Box::new(response)), ..OmResponse::default() })
}
