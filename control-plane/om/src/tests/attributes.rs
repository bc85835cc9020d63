//! Times, tags, and the volume of S3.

use allotrope_proto::hdds::KeyValue;
use allotrope_proto::om::*;
use allotrope_types::{BucketLayout, OmStatus};

use super::world::*;

#[test]
fn times_are_set() {
    let mut world = World::with_bucket(BucketLayout::FileSystemOptimized);
    world.write("dir/key", 1);
    let set = |path: &str, time: i64| {
        let asked = SetTimesRequest { key_args: key_args(path), mtime: time.cast_unsigned(), atime: 0 };
        OmRequest { set_times_request: Some(Box::new(asked)), ..request(Type::SetTimes) }
    };
    let before = world.key("dir/key");
    world.ok(set("dir/key", 77));
    let after = world.key("dir/key");
    assert!(after.modification_time == 77 && after.update_id > before.update_id);
    world.ok(set("dir/key", -1));
    assert_eq!(world.key("dir/key"), after);
    world.ok(set("dir", 78));
    assert_eq!(world.key("dir").modification_time, 78);
    world.refused(set("dir/key", -2), OmStatus::InvalidRequest);
    world.refused(set("none", 1), OmStatus::FileNotFound);
}

#[test]
fn a_key_is_tagged() {
    let mut world = World::with_bucket(BucketLayout::ObjectStore);
    world.write("key", 1);
    let tags = vec![KeyValue { key: "colour".into(), value: Some("blue".into()) }];
    let put = |key: &str| {
        let asked = PutObjectTaggingRequest { key_args: KeyArgs { tags: tags.clone(), ..key_args(key) } };
        OmRequest { put_object_tagging_request: Some(Box::new(asked)), ..request(Type::PutObjectTagging) }
    };
    let get = || {
        let asked = GetObjectTaggingRequest { key_args: key_args("key") };
        OmRequest { get_object_tagging_request: Some(Box::new(asked)), ..request(Type::GetObjectTagging) }
    };
    world.refused(put("none"), OmStatus::KeyNotFound);
    world.ok(put("key"));
    assert_eq!(world.ok(get()).get_object_tagging_response.unwrap().tags, tags);
    let asked = DeleteObjectTaggingRequest { key_args: key_args("key") };
    world.ok(OmRequest {
        delete_object_tagging_request: Some(Box::new(asked)),
        ..request(Type::DeleteObjectTagging)
    });
    assert!(world.ok(get()).get_object_tagging_response.unwrap().tags.is_empty());
}

#[test]
fn s3_has_a_volume() {
    let mut world = World::new();
    world.refused(request(Type::GetS3VolumeContext), OmStatus::VolumeNotFound);
    world.ok(create_volume("s3v"));
    let context = world.ok(request(Type::GetS3VolumeContext)).get_s3_volume_context_response.unwrap();
    assert_eq!(context.volume_info.unwrap().volume, "s3v");
    assert_eq!(context.user_principal.unwrap(), "ann");
}
