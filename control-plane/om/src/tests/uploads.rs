//! Multipart uploads.

use allotrope_proto::hdds::KeyValue;
use allotrope_proto::om::*;
use allotrope_types::{BucketLayout, OmStatus};

use super::world::*;

const LAYOUTS: [BucketLayout; 2] = [BucketLayout::ObjectStore, BucketLayout::FileSystemOptimized];
const PART: u64 = 5 << 20;

fn args(key: &str, upload: &str) -> KeyArgs {
    KeyArgs { multipart_upload_id: Some(upload.into()), ..key_args(key) }
}

fn initiate(world: &mut World, key: &str) -> String {
    let asked = MultipartInfoInitiateRequest { key_args: key_args(key), schema_version: None };
    let asked = OmRequest {
        initiate_multi_part_upload_request: Some(Box::new(asked)),
        ..request(Type::InitiateMultiPartUpload)
    };
    world.ok(asked).initiate_multi_part_upload_response.unwrap().multipart_upload_id
}

/// Writes part `number`; its name.
fn part(world: &mut World, key: &str, upload: &str, number: u32, size: u64) -> String {
    let key_args =
        KeyArgs { is_multipart_key: Some(true), multipart_number: Some(number), ..args(key, upload) };
    let opened = world.ok(create_key(key_args.clone())).create_key_response.unwrap();
    let session = opened.id.unwrap();
    let mut locations = Vec::new();
    let mut left = size;
    while left > 0 {
        let response = world.ok(allocate_block(key, session)).allocate_block_response.unwrap();
        let mut location = response.key_location.unwrap();
        location.length = left.min(ONE_BLOCK);
        left -= location.length;
        locations.push(location);
    }
    let metadata = vec![KeyValue { key: "ETag".into(), value: Some(format!("etag-{number}")) }];
    let key_args = KeyArgs { data_size: Some(size), key_locations: locations, metadata, ..key_args };
    let asked = MultipartCommitUploadPartRequest { key_args, client_id: session };
    let asked = OmRequest {
        commit_multi_part_upload_request: Some(Box::new(asked)),
        ..request(Type::CommitMultiPartUpload)
    };
    let response = world.ok(asked).commit_multi_part_upload_response.unwrap();
    assert_eq!(response.e_tag(), format!("etag-{number}"));
    response.part_name.unwrap()
}

fn complete(key: &str, upload: &str, parts: &[(u32, &str)]) -> OmRequest {
    let part = |(number, name): &(u32, &str)| Part {
        part_number: *number,
        part_name: (*name).into(),
        e_tag: Some(format!("etag-{number}")),
    };
    let asked = MultipartUploadCompleteRequest {
        key_args: args(key, upload),
        parts_list: parts.iter().map(part).collect(),
    };
    OmRequest {
        complete_multi_part_upload_request: Some(Box::new(asked)),
        ..request(Type::CompleteMultiPartUpload)
    }
}

fn abort(key: &str, upload: &str) -> OmRequest {
    let asked = MultipartUploadAbortRequest { key_args: args(key, upload) };
    OmRequest {
        abort_multi_part_upload_request: Some(Box::new(asked)),
        ..request(Type::AbortMultiPartUpload)
    }
}

#[test]
fn parts_become_a_key() {
    for layout in LAYOUTS {
        let mut world = World::with_bucket(layout);
        world.write("a/key", 7);
        let upload = initiate(&mut world, "a/key");
        part(&mut world, "a/key", &upload, 1, PART);
        part(&mut world, "a/key", &upload, 2, 3);
        part(&mut world, "a/key", &upload, 2, 4);
        part(&mut world, "a/key", &upload, 9, 5);
        let names = if layout == BucketLayout::FileSystemOptimized { 2 } else { 1 };
        assert_eq!(world.usage(), (7 + PART + 4 + 5, names));
        world.refused(complete("a/key", &upload, &[]), OmStatus::InvalidRequest);
        world.refused(complete("a/key", &upload, &[(2, ""), (1, "")]), OmStatus::InvalidPartOrder);
        world.refused(complete("a/key", &upload, &[(1, ""), (3, "")]), OmStatus::InvalidPart);
        world.refused(complete("a/key", &upload, &[(2, ""), (9, "")]), OmStatus::EntityTooSmall);
        world.refused(complete("a/key", "none", &[(1, "")]), OmStatus::NoSuchMultipartUploadError);
        let done = world.ok(complete("a/key", &upload, &[(1, ""), (2, "")]));
        let hash = done.complete_multi_part_upload_response.unwrap().hash.unwrap();
        // md5 of "etag-1etag-2etag-9", of all that was uploaded.
        assert_eq!(hash, format!("{}-3", MD5_OF_ETAGS));
        let key = world.key("a/key");
        assert_eq!(key.data_size, PART + 4);
        assert_eq!(world.usage(), (PART + 4, names));
        assert!(key.metadata.contains(&KeyValue { key: "ETag".into(), value: Some(hash) }));
        let list = &key.key_location_list[0];
        assert!(list.is_multipart_key());
        assert_eq!(list.key_locations.last().unwrap().part_number(), 2);
        let asked = GetKeyInfoRequest {
            key_args: KeyArgs { multipart_number: Some(2), ..key_args("a/key") },
            assume_s3_context: None,
        };
        let found =
            world.ok(OmRequest { get_key_info_request: Some(Box::new(asked)), ..request(Type::GetKeyInfo) });
        assert_eq!(found.get_key_info_response.unwrap().key_info.unwrap().data_size, 4);
        world.refused(abort("a/key", &upload), OmStatus::NoSuchMultipartUploadError);
        assert_eq!(world.count("multipartInfoTable"), 0);
        assert_eq!(world.count("openKeyTable") + world.count("openFileTable"), 0);
    }
}

const MD5_OF_ETAGS: &str = "0a1b323e14e3408dd502a751ad1e72a0";

#[test]
fn an_aborted_upload_leaves_nothing() {
    for layout in LAYOUTS {
        let mut world = World::with_bucket(layout);
        let upload = initiate(&mut world, "key");
        part(&mut world, "key", &upload, 1, 10);
        world.refused(delete_bucket("vol", "bkt"), OmStatus::BucketNotEmpty);
        world.ok(abort("key", &upload));
        assert_eq!(world.usage(), (0, 0));
        assert_eq!(world.count("deletedTable"), 1);
        world.refused(get_key_info("key"), OmStatus::KeyNotFound);
        world.ok(delete_bucket("vol", "bkt"));
    }
}

#[test]
fn uploads_and_parts_are_listed_in_pages() {
    let mut world = World::with_bucket(BucketLayout::ObjectStore);
    let upload = initiate(&mut world, "b/key");
    for number in [3, 1, 2] {
        part(&mut world, "b/key", &upload, number, 1);
    }
    let mut parts = |after: u32, max: u32| {
        let asked = MultipartUploadListPartsRequest {
            volume: "vol".into(),
            bucket: "bkt".into(),
            key: "b/key".into(),
            upload_id: upload.clone(),
            part_numbermarker: Some(after),
            max_parts: Some(max),
        };
        let asked = OmRequest {
            list_multipart_upload_parts_request: Some(Box::new(asked)),
            ..request(Type::ListMultiPartUploadParts)
        };
        let found = world.ok(asked).list_multipart_upload_parts_response.unwrap();
        let numbers: Vec<u32> = found.parts_list.iter().map(|part| part.part_number).collect();
        (numbers, found.is_truncated(), found.next_part_number_marker())
    };
    assert_eq!(parts(0, 2), (vec![1, 2], true, 2));
    assert_eq!(parts(2, 2), (vec![3], false, 0));
    for key in ["a", "c"] {
        initiate(&mut world, key);
    }
    let mut uploads = |prefix: &str, key: &str, id: &str, max: i32| {
        let asked = ListMultipartUploadsRequest {
            volume: "vol".into(),
            bucket: "bkt".into(),
            prefix: prefix.into(),
            key_marker: Some(key.into()),
            upload_id_marker: Some(id.into()),
            max_uploads: Some(max),
            with_pagination: Some(true),
        };
        let asked = OmRequest {
            list_multipart_uploads_request: Some(Box::new(asked)),
            ..request(Type::ListMultipartUploads)
        };
        let found = world.ok(asked).list_multipart_uploads_response.unwrap();
        let keys: Vec<String> = found.uploads_list.iter().map(|upload| upload.key_name.clone()).collect();
        (keys, found.is_truncated())
    };
    assert_eq!(uploads("", "", "", 2), (vec!["a".to_owned(), "b/key".into()], true));
    assert_eq!(uploads("", "b/key", "upload-7", 2), (vec!["c".to_owned()], false));
    assert_eq!(uploads("", "a", "", 1), (vec!["b/key".to_owned()], true));
    assert_eq!(uploads("b/", "", "", 9), (vec!["b/key".to_owned()], false));
}

#[test]
fn a_part_needs_its_upload_and_a_number() {
    let mut world = World::with_bucket(BucketLayout::ObjectStore);
    let part = |upload: &str, number| {
        let args = args("key", upload);
        create_key(KeyArgs { is_multipart_key: Some(true), multipart_number: Some(number), ..args })
    };
    world.refused(part("none", 1), OmStatus::NoSuchMultipartUploadError);
    let upload = initiate(&mut world, "key");
    for number in [0, 10_001] {
        world.refused(part(&upload, number), OmStatus::InvalidPart);
    }
    world.ok(part(&upload, 10_000));
}
