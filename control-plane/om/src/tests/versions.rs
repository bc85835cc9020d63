//! Buckets with versioning.

use allotrope_proto::hdds::KeyValue;
use allotrope_proto::om::*;
use allotrope_types::{BucketLayout, OmStatus};

use super::world::*;
use crate::namespace::versions;

fn versioned() -> World {
    let mut world = World::with_bucket(BucketLayout::ObjectStore);
    switch(&mut world, true);
    world
}

fn switch(world: &mut World, enabled: bool) {
    world.ok(set_bucket(BucketArgs {
        volume_name: "vol".into(),
        bucket_name: "bkt".into(),
        is_version_enabled: Some(enabled),
        ..BucketArgs::default()
    }));
}

fn id(key: &KeyInfo) -> String {
    key.metadata
        .iter()
        .find(|pair| pair.key == versions::ID)
        .map_or("null".into(), |pair| pair.value().into())
}

fn of_version(key: &str, version: &str) -> KeyArgs {
    let pair = KeyValue { key: versions::ID.into(), value: Some(version.into()) };
    KeyArgs { metadata: vec![pair], ..key_args(key) }
}

fn read(key: &str, version: &str) -> OmRequest {
    let asked = GetKeyInfoRequest { key_args: of_version(key, version), assume_s3_context: None };
    OmRequest { get_key_info_request: Some(Box::new(asked)), ..request(Type::GetKeyInfo) }
}

fn delete(key: &str, version: &str) -> OmRequest {
    let asked = DeleteKeyRequest { key_args: of_version(key, version) };
    OmRequest { delete_key_request: Some(Box::new(asked)), ..request(Type::DeleteKey) }
}

/// (key, size, whether it is a delete marker) of a page, and whether more follow.
fn list(world: &World, after: (&str, &str), max: i32) -> (Vec<(String, u64, bool)>, bool) {
    let asked = ListMultipartUploadsRequest {
        volume: "vol".into(),
        bucket: "bkt".into(),
        key_marker: Some(after.0.into()),
        upload_id_marker: Some(after.1.into()),
        max_uploads: Some(max),
        ..Default::default()
    };
    let page = world.list_versions(&asked);
    let shown = |key: &KeyInfo| (key.key_name.clone(), key.data_size, versions::is_marker(key));
    (page.key_info.iter().map(shown).collect(), page.is_truncated())
}

fn all(world: &World) -> Vec<(String, u64, bool)> {
    list(world, ("", ""), 100).0
}

fn row(key: &str, size: u64, marker: bool) -> (String, u64, bool) {
    (key.into(), size, marker)
}

#[test]
fn every_version_of_a_key_is_addressable_in_order() {
    let mut world = versioned();
    let mut ids = Vec::new();
    for size in [1, 2, 3] {
        world.write("key", size);
        ids.push(id(&world.key("key")));
    }
    assert_eq!(world.usage(), (6, 3));
    assert_eq!(all(&world), [row("key", 3, false), row("key", 2, false), row("key", 1, false)]);
    for (size, id) in (1..).zip(&ids) {
        let found = world.ok(read("key", id)).get_key_info_response.unwrap().key_info.unwrap();
        assert_eq!((found.data_size, found.key_name.as_str()), (size, "key"));
    }
    world.refused(read("key", "00000000000000ff"), OmStatus::KeyNotFound);
    world.refused(read("key", "nonsense"), OmStatus::InvalidRequest);
    assert_eq!(world.count("deletedTable"), 0, "nothing is gone");
    assert_eq!(world.count("keyTable"), 1, "a lookup sees one row, as without versioning");
    // A deletion hides the key and keeps its versions.
    let marker = world.ok(delete_key("key", false)).delete_key_response.unwrap().key_info.unwrap();
    assert!(versions::is_marker(&marker));
    world.refused(get_key_info("key"), OmStatus::KeyNotFound);
    assert_eq!(world.usage(), (6, 4));
    world.refused(delete_key("key", false), OmStatus::KeyNotFound);
    world.refused(delete_bucket("vol", "bkt"), OmStatus::BucketNotEmpty);
    // Without the marker it is there again.
    world.ok(delete("key", &id(&marker)));
    assert_eq!(world.key("key").data_size, 3);
    // Without its newest version the one before is the newest.
    world.ok(delete("key", &ids[2]));
    assert_eq!(world.key("key").data_size, 2);
    world.ok(delete("key", &ids[0]));
    assert_eq!(all(&world), [row("key", 2, false)]);
    world.ok(delete("key", &ids[1]));
    assert_eq!((world.usage(), world.count("keyVersionTable")), ((0, 0), 0));
    assert_eq!(world.count("deletedTable"), 3, "blocks of versions go when they go");
    world.ok(delete_bucket("vol", "bkt"));
}

#[test]
fn a_marker_is_made_where_nothing_lies_for_who_wants_one() {
    let wants = |key: &str| {
        let pair = KeyValue { key: versions::MARKER.into(), value: Some("true".into()) };
        let key_args = KeyArgs { metadata: vec![pair], ..key_args(key) };
        OmRequest {
            delete_key_request: Some(Box::new(DeleteKeyRequest { key_args })),
            ..request(Type::DeleteKey)
        }
    };
    let mut world = versioned();
    world.refused(delete_key("none", false), OmStatus::KeyNotFound);
    for count in [1usize, 2] {
        let marker = world.ok(wants("none")).delete_key_response.unwrap().key_info.unwrap();
        assert!(versions::is_marker(&marker));
        assert_eq!((all(&world).len(), world.usage()), (count, (0, count as u64)));
    }
    world.refused(get_key_info("none"), OmStatus::KeyNotFound);
    world.write("none", 7);
    assert_eq!(all(&world), [row("none", 7, false), row("none", 0, true), row("none", 0, true)]);
    // While versioning is suspended there is one null marker at most.
    switch(&mut world, false);
    for _ in 0..2 {
        world.ok(wants("other"));
        assert_eq!(all(&world).iter().filter(|(key, ..)| key == "other").count(), 1);
    }
    // Where nothing is kept there is nothing to mark.
    let mut world = World::with_bucket(BucketLayout::ObjectStore);
    world.refused(wants("none"), OmStatus::KeyNotFound);
    assert!(all(&world).is_empty());
}

#[test]
fn what_was_written_before_versioning_is_the_null_version() {
    let mut world = World::with_bucket(BucketLayout::ObjectStore);
    world.write("key", 1);
    switch(&mut world, true);
    world.write("key", 2);
    let found = world.ok(read("key", "null")).get_key_info_response.unwrap().key_info.unwrap();
    assert_eq!(found.data_size, 1);
    // While it is suspended there is one null version, which is replaced.
    switch(&mut world, false);
    world.write("key", 3);
    assert_eq!(all(&world), [row("key", 3, false), row("key", 2, false)]);
    world.write("key", 4);
    assert_eq!(all(&world), [row("key", 4, false), row("key", 2, false)]);
    assert_eq!(world.usage(), (6, 2));
    assert_eq!(world.count("deletedTable"), 2);
    world.ok(delete_key("key", false));
    assert_eq!(all(&world), [row("key", 0, true), row("key", 2, false)]);
    world.write("key", 5);
    assert_eq!(all(&world), [row("key", 5, false), row("key", 2, false)]);
    switch(&mut world, true);
    world.write("key", 6);
    assert_eq!(all(&world), [row("key", 6, false), row("key", 5, false), row("key", 2, false)]);
    world.ok(delete("key", "null"));
    assert_eq!(
        (all(&world), world.count("keyNullVersionTable")),
        (vec![row("key", 6, false), row("key", 2, false)], 0)
    );
}

#[test]
fn a_write_that_was_begun_earlier_is_an_older_version() {
    let mut world = versioned();
    let (early, early_blocks) = world.open("key", 1);
    let (late, late_blocks) = world.open("key", 2);
    world.ok(commit_key("key", late, 2, late_blocks));
    world.ok(commit_key("key", early, 1, early_blocks));
    assert_eq!(world.key("key").data_size, 2);
    assert_eq!(all(&world), [row("key", 2, false), row("key", 1, false)]);
}

#[test]
fn versions_are_listed_in_pages() {
    let mut world = versioned();
    for key in ["a", "a/b", "a\u{1}", "b"] {
        for size in [1, 2] {
            world.write(key, size);
        }
    }
    world.ok(delete_key("a/b", false));
    let everything = all(&world);
    let names: Vec<&str> = everything.iter().map(|row| row.0.as_str()).collect();
    assert_eq!(names, ["a", "a", "a\u{1}", "a\u{1}", "a/b", "a/b", "a/b", "b", "b"]);
    let asked = |key: &str, version: &str| ListMultipartUploadsRequest {
        volume: "vol".into(),
        bucket: "bkt".into(),
        key_marker: Some(key.into()),
        upload_id_marker: Some(version.into()),
        max_uploads: Some(2),
        ..Default::default()
    };
    // Page by page, starting after the last key and version of each: the same versions.
    let (mut paged, mut marker) = (Vec::new(), (String::new(), String::new()));
    loop {
        let page = world.list_versions(&asked(&marker.0, &marker.1));
        paged.extend(page.key_info.iter().map(|key| (key.key_name.clone(), id(key))));
        if !page.is_truncated() {
            break;
        }
        marker = paged.last().cloned().unwrap();
    }
    assert_eq!(paged.len(), everything.len());
    assert_eq!(paged.iter().map(|row| row.0.as_str()).collect::<Vec<_>>(), names);
    assert_eq!(list(&world, ("a", ""), 1), (vec![row("a\u{1}", 2, false)], true));
    // An ordinary listing shows what is there now.
    let listed = world.ok(list_keys(Type::ListKeysLight, "", "", 100)).list_keys_light_response.unwrap();
    assert_eq!(listed.basic_key_info.len(), 3);
}

#[test]
fn a_version_keeps_its_own_tags() {
    let mut world = versioned();
    world.write("key", 1);
    let first = id(&world.key("key"));
    world.write("key", 2);
    let mut args = of_version("key", &first);
    args.tags = vec![KeyValue { key: "t".into(), value: Some("1".into()) }];
    let asked = PutObjectTaggingRequest { key_args: args };
    world.ok(OmRequest {
        put_object_tagging_request: Some(Box::new(asked)),
        ..request(Type::PutObjectTagging)
    });
    let tags = |world: &mut World, args| {
        let asked = GetObjectTaggingRequest { key_args: args };
        let asked = OmRequest {
            get_object_tagging_request: Some(Box::new(asked)),
            ..request(Type::GetObjectTagging)
        };
        world.ok(asked).get_object_tagging_response.unwrap().tags.len()
    };
    assert_eq!(tags(&mut world, of_version("key", &first)), 1);
    assert_eq!(tags(&mut world, key_args("key")), 0);
}

#[test]
fn a_rename_moves_the_newest_version() {
    let mut world = versioned();
    world.write("old", 1);
    world.write("old", 2);
    world.ok(rename_key("old", "new"));
    assert_eq!(all(&world), [row("new", 2, false), row("old", 0, true), row("old", 1, false)]);
    assert_eq!(world.usage(), (3, 3));
    world.refused(get_key_info("old"), OmStatus::KeyNotFound);
}

#[test]
fn a_clients_own_version_metadata_is_not_kept() {
    let mut world = World::with_bucket(BucketLayout::ObjectStore);
    let pair = |name: &str| KeyValue { key: name.into(), value: Some("x".into()) };
    let args = KeyArgs {
        metadata: vec![pair(versions::ID), pair(versions::MARKER), pair("own")],
        ..key_args("key")
    };
    let session = world.ok(create_key(args)).create_key_response.unwrap().id.unwrap();
    world.ok(commit_key("key", session, 0, Vec::new()));
    assert_eq!(world.key("key").metadata, [pair("own")]);
}
