//! Keys: written, read, renamed, deleted.

use allotrope_proto::hdds::KeyValue;
use allotrope_proto::om::*;
use allotrope_types::{BucketLayout, OmStatus};

use super::world::*;

const LAYOUTS: [BucketLayout; 3] =
    [BucketLayout::ObjectStore, BucketLayout::Legacy, BucketLayout::FileSystemOptimized];

#[test]
fn a_key_is_written_and_read() {
    for layout in LAYOUTS {
        let mut world = World::with_bucket(layout);
        world.refused(get_key_info("a/key"), OmStatus::KeyNotFound);
        let (session, locations) = world.open("a/key", 3 * ONE_BLOCK - 5);
        assert_eq!(locations.len(), 3);
        world.refused(get_key_info("a/key"), OmStatus::KeyNotFound);
        world.ok(commit_key("a/key", session, 3 * ONE_BLOCK - 5, locations.clone()));
        let key = world.key("a/key");
        assert_eq!((key.key_name.as_str(), key.data_size), ("a/key", 3 * ONE_BLOCK - 5));
        assert_eq!((key.r#type, key.factor, key.latest_version), (2, Some(1), Some(0)));
        assert_eq!((key.is_file, key.owner_name.as_deref()), (Some(true), Some("ann")));
        let kept = &key.key_location_list[0].key_locations;
        assert_eq!(
            kept.iter().map(|block| block.length).collect::<Vec<_>>(),
            [ONE_BLOCK, ONE_BLOCK, ONE_BLOCK - 5]
        );
        assert!(kept.iter().all(|block| block.pipeline.is_none() && block.create_version == Some(0)));
        let names = if layout == BucketLayout::FileSystemOptimized { 2 } else { 1 };
        assert_eq!(world.usage(), (3 * ONE_BLOCK - 5, names));
        // The session is over, and a second commit finds none.
        world.refused(commit_key("a/key", session, 5, locations), OmStatus::KeyNotFound);
        assert_eq!(world.count("openKeyTable") + world.count("openFileTable"), 0);
        let asked = LookupKeyRequest { key_args: key_args("a/key") };
        let found =
            world.ok(OmRequest { lookup_key_request: Some(Box::new(asked)), ..request(Type::LookupKey) });
        assert_eq!(found.lookup_key_response.unwrap().key_info.unwrap(), key);
        world.write("empty", 0);
        assert_eq!(world.key("empty").data_size, 0);
    }
}

#[test]
fn a_new_keys_answer_says_where_to_write() {
    let mut world = World::with_bucket(BucketLayout::ObjectStore);
    let args = KeyArgs { ec_replication_config: Some(ec()), data_size: Some(10), ..key_args("key") };
    let response = world.ok(create_key(args)).create_key_response.unwrap();
    let key = response.key_info.unwrap();
    let list = &key.key_location_list[0];
    assert_eq!((list.version, response.open_version), (Some(0), Some(0)));
    assert!(list.key_locations.len() == 1 && list.key_locations[0].pipeline.is_some());
    assert_eq!((key.r#type, key.factor, key.ec_replication_config), (4, None, Some(ec())));
    // Nobody knows how long the next will be: no block yet, and one list all the same.
    let response = world.ok(create_key(key_args("other"))).create_key_response.unwrap();
    let lists = response.key_info.unwrap().key_location_list;
    assert!(lists.len() == 1 && lists[0].key_locations.is_empty());
    // A client's own locations are not taken.
    let own = KeyArgs {
        key_locations: vec![KeyLocation { length: 9, ..KeyLocation::default() }],
        ..key_args("own")
    };
    let response = world.ok(create_key(own)).create_key_response.unwrap();
    assert!(response.key_info.unwrap().key_location_list[0].key_locations.is_empty());
}

#[test]
fn a_key_grows_block_by_block() {
    let mut world = World::with_bucket(BucketLayout::ObjectStore);
    let session = world.ok(create_key(key_args("key"))).create_key_response.unwrap().id.unwrap();
    let mut locations = Vec::new();
    for _ in 0..2 {
        let response = world.ok(allocate_block("key", session)).allocate_block_response.unwrap();
        locations.push(response.key_location.unwrap());
    }
    assert!(locations[0].pipeline.is_some() && locations[0].block_id != locations[1].block_id);
    world.refused(allocate_block("key", session + 1), OmStatus::KeyNotFound);
    // The second block stays unused: it is handed to the deletion service.
    locations.pop();
    locations[0].length = 77;
    world.ok(commit_key("key", session, 77, locations));
    assert_eq!(world.key("key").data_size, 77);
    assert_eq!(world.count("deletedTable"), 1);
}

#[test]
fn a_commit_names_only_blocks_of_its_session() {
    let mut world = World::with_bucket(BucketLayout::ObjectStore);
    let (session, locations) = world.open("key", 10);
    let mut stranger = locations.clone();
    stranger[0].block_id.container_block_id.local_id = 99;
    world.refused(commit_key("key", session, 10, stranger), OmStatus::InvalidRequest);
    let twice = vec![locations[0].clone(), locations[0].clone()];
    world.refused(commit_key("key", session, 20, twice), OmStatus::InvalidRequest);
    world.refused(commit_key("key", session, 11, locations.clone()), OmStatus::InvalidRequest);
    world.refused(commit_key("key", session, u64::MAX, locations.clone()), OmStatus::InvalidRequest);
    let mut endless = locations.clone();
    endless[0].length = u64::MAX;
    world.refused(commit_key("key", session, 10, endless), OmStatus::InvalidRequest);
    let mut hsync = commit_key("key", session, 10, locations.clone());
    hsync.commit_key_request.as_mut().unwrap().hsync = Some(true);
    world.refused(hsync, OmStatus::NotSupportedOperation);
    world.refused(
        create_key(KeyArgs { data_size: Some(u64::MAX), ..key_args("x") }),
        OmStatus::InvalidRequest,
    );
    world.ok(commit_key("key", session, 10, locations));
}

#[test]
fn an_overwritten_key_keeps_its_birth_and_gives_its_blocks_away() {
    for layout in LAYOUTS {
        let mut world = World::with_bucket(layout);
        world.write("key", 10);
        let old = world.key("key");
        world.write("key", 20);
        let new = world.key("key");
        assert_eq!((new.creation_time, new.object_id), (old.creation_time, old.object_id));
        assert!(new.modification_time > old.modification_time && new.update_id > old.update_id);
        assert_eq!(world.usage(), (20, 1));
        assert_eq!(world.count("deletedTable"), 1);
    }
}

#[test]
fn conditions_hold_until_the_commit() {
    let mut world = World::with_bucket(BucketLayout::ObjectStore);
    let when = |generation| KeyArgs { expected_data_generation: Some(generation), ..key_args("key") };
    let etag = |etag: &str| KeyArgs { expected_e_tag: Some(etag.into()), ..key_args("key") };
    world.refused(create_key(when(7)), OmStatus::KeyNotFound);
    world.refused(create_key(etag("e")), OmStatus::KeyNotFound);
    let absent = world.ok(create_key(when(0))).create_key_response.unwrap().id.unwrap();
    world.write("key", 10);
    world.refused(create_key(when(0)), OmStatus::KeyAlreadyExists);
    world.refused(commit_key("key", absent, 0, Vec::new()), OmStatus::AtomicWriteConflict);
    world.refused(create_key(etag("e")), OmStatus::EtagNotAvailable);
    let generation = world.key("key").update_id.unwrap();
    let same = world.ok(create_key(when(generation))).create_key_response.unwrap().id.unwrap();
    let mut commit = commit_key("key", same, 0, Vec::new());
    commit.commit_key_request.as_mut().unwrap().key_args.metadata =
        vec![KeyValue { key: "ETag".into(), value: Some("e".into()) }];
    world.ok(commit);
    assert_eq!(world.key("key").expected_data_generation, None);
    world.refused(create_key(etag("f")), OmStatus::EtagMismatch);
    world.ok(create_key(etag("e")));
    world.refused(create_key(when(generation)), OmStatus::KeyNotFound);
}

#[test]
fn names_that_no_key_can_have_are_refused() {
    let mut world = World::with_bucket(BucketLayout::FileSystemOptimized);
    let long = "a/".repeat(300) + "a";
    for name in ["", "/", "a/..", "../a", "a:b", ".snapshot/s/a", "a/", &long] {
        world.refused(create_key(key_args(name)), OmStatus::InvalidKeyName);
    }
    world.write("//a//b", 1);
    assert_eq!(world.key("a/b").key_name, "a/b");
    let deep = "a/".repeat(100_000);
    world.refused(get_key_info(&deep), OmStatus::InvalidKeyName);
    let mut world = World::with_bucket(BucketLayout::ObjectStore);
    for name in ["", ".snapshot", &"a".repeat(65_536)] {
        world.refused(create_key(key_args(name)), OmStatus::InvalidKeyName);
    }
    // An object's name is its own, to the byte.
    for name in ["//a/../b", "a/", "a:b", "ü\u{0}x", " "] {
        world.write(name, 1);
        assert_eq!(world.key(name).key_name, name);
    }
}

#[test]
fn a_key_is_renamed() {
    let mut world = World::with_bucket(BucketLayout::ObjectStore);
    world.refused(rename_key("from", "to"), OmStatus::KeyNotFound);
    world.write("from", 10);
    world.write("other", 10);
    let before = world.key("from");
    world.refused(rename_key("from", "other"), OmStatus::KeyAlreadyExists);
    world.refused(rename_key("from", "from"), OmStatus::KeyAlreadyExists);
    world.ok(rename_key("from", "to"));
    world.refused(get_key_info("from"), OmStatus::KeyNotFound);
    let after = world.key("to");
    assert_eq!(
        (after.object_id, after.key_location_list.clone()),
        (before.object_id, before.key_location_list)
    );
    assert!(after.update_id > before.update_id && after.key_name == "to");
}

#[test]
fn many_keys_are_renamed_at_once() {
    let mut world = World::with_bucket(BucketLayout::Legacy);
    world.write("a", 1);
    world.write("b", 1);
    let pair = |from: &str, to: &str| RenameKeysMap { from_key_name: from.into(), to_key_name: to.into() };
    let args = |pairs| RenameKeysRequest {
        rename_keys_args: RenameKeysArgs {
            volume_name: "vol".into(),
            bucket_name: "bkt".into(),
            rename_keys_map: pairs,
        },
    };
    let asked = args(vec![pair("a", "c"), pair("x", "y"), pair("b", "c")]);
    let response = world.refused_partly(OmRequest {
        rename_keys_request: Some(Box::new(asked)),
        ..request(Type::RenameKeys)
    });
    assert_eq!(status(&response), OmStatus::PartialRename);
    let left = response.rename_keys_response.unwrap();
    assert_eq!(left.un_renamed_keys, [pair("x", "y"), pair("b", "c")]);
    world.key("c");
    world.key("b");
}

#[test]
fn a_deleted_key_leaves_its_blocks_to_be_deleted() {
    for layout in LAYOUTS {
        let mut world = World::with_bucket(layout);
        world.write("key", 10);
        world.write("empty", 0);
        world.ok(delete_key("key", false));
        world.ok(delete_key("empty", false));
        world.refused(delete_key("key", false), OmStatus::KeyNotFound);
        assert_eq!(world.usage(), (0, 0));
        assert_eq!(world.count("deletedTable"), 1);
        let rows = world.rows("deletedTable");
        let deleted = DeletedKeys { volume_name: String::new(), bucket_name: String::new(), keys: rows };
        let asked = PurgeKeysRequest { deleted_keys: vec![deleted], ..PurgeKeysRequest::default() };
        world.apply(OmRequest { purge_keys_request: Some(Box::new(asked)), ..request(Type::PurgeKeys) });
        assert_eq!(world.count("deletedTable"), 0);
    }
}

#[test]
fn many_keys_are_deleted_at_once() {
    for layout in LAYOUTS {
        let mut world = World::with_bucket(layout);
        for number in 0..300 {
            world.write(&format!("key-{number}"), 1);
        }
        let mut keys: Vec<String> = (0..300).map(|number| format!("key-{number}")).collect();
        keys.extend(["none".to_owned(), "key-1".to_owned()]);
        let args =
            DeleteKeyArgs { volume_name: "vol".into(), bucket_name: "bkt".into(), keys, update_i_ds: vec![] };
        let asked = DeleteKeysRequest { delete_keys: Some(args), ..DeleteKeysRequest::default() };
        let asked = OmRequest { delete_keys_request: Some(Box::new(asked)), ..request(Type::DeleteKeys) };
        let response = world.refused_partly(asked);
        assert_eq!(status(&response), OmStatus::PartialDelete);
        let response = response.delete_keys_response.unwrap();
        assert_eq!(response.un_deleted_keys.unwrap().keys, ["none"]);
        assert_eq!(response.errors[0].error_code(), "KEY_NOT_FOUND");
        assert_eq!(world.usage(), (0, 0));
        assert_eq!(world.count("deletedTable"), 300);
    }
}

#[test]
fn a_part_of_a_key_is_asked_for() {
    let mut world = World::with_bucket(BucketLayout::ObjectStore);
    world.write("key", 10);
    let part = |number| {
        let key_args = KeyArgs { multipart_number: Some(number), ..key_args("key") };
        let asked = GetKeyInfoRequest { key_args, assume_s3_context: None };
        OmRequest { get_key_info_request: Some(Box::new(asked)), ..request(Type::GetKeyInfo) }
    };
    world.ok(part(1));
    world.refused(part(2), OmStatus::InvalidPart);
}
