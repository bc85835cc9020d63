//! Buckets, links and quotas.

use allotrope_proto::om::*;
use allotrope_types::{BucketLayout, OmStatus};

use super::world::*;

#[test]
fn buckets_come_and_go() {
    let mut world = World::new();
    world.refused(create_bucket(bucket("vol", "bkt")), OmStatus::VolumeNotFound);
    world.ok(create_volume("vol"));
    let mut asked = bucket("vol", "bkt");
    asked.bucket_layout = None;
    world.ok(create_bucket(asked));
    world.refused(create_bucket(bucket("vol", "bkt")), OmStatus::BucketAlreadyExists);
    world.refused(info_bucket("vol", "none"), OmStatus::BucketNotFound);
    world.refused(info_bucket("none", "bkt"), OmStatus::VolumeNotFound);
    let info = world.ok(info_bucket("vol", "bkt")).info_bucket_response.unwrap().bucket_info.unwrap();
    assert_eq!(info.bucket_layout, Some(BucketLayout::FileSystemOptimized.number()));
    assert_eq!((info.quota_in_bytes(), info.quota_in_namespace()), (-1, -1));
    assert_eq!((info.owner(), info.storage_type), ("ann", 1));
    let volume = world.ok(info_volume("vol")).info_volume_response.unwrap().volume_info.unwrap();
    assert_eq!(volume.used_namespace(), 1);
    world.ok(delete_bucket("vol", "bkt"));
    world.refused(delete_bucket("vol", "bkt"), OmStatus::BucketNotFound);
    let volume = world.ok(info_volume("vol")).info_volume_response.unwrap().volume_info.unwrap();
    assert_eq!(volume.used_namespace(), 0);
    for name in ["", "ab", "B-b", "a_b", "a/b"] {
        world.refused(create_bucket(bucket("vol", name)), OmStatus::InvalidBucketName);
    }
    let mut half = bucket("vol", "half");
    half.source_volume = Some("vol".into());
    world.refused(create_bucket(half), OmStatus::InvalidRequest);
}

#[test]
fn a_bucket_with_keys_or_directories_stays() {
    for layout in [BucketLayout::ObjectStore, BucketLayout::Legacy, BucketLayout::FileSystemOptimized] {
        let mut world = World::with_bucket(layout);
        world.write("dir/key", 10);
        world.refused(delete_bucket("vol", "bkt"), OmStatus::BucketNotEmpty);
        world.ok(delete_key("dir/key", false));
        if layout == BucketLayout::FileSystemOptimized {
            world.refused(delete_bucket("vol", "bkt"), OmStatus::BucketNotEmpty);
            world.ok(delete_key("dir", false));
        }
        world.ok(delete_bucket("vol", "bkt"));
    }
}

#[test]
fn a_bucket_changes() {
    let mut world = World::with_bucket(BucketLayout::ObjectStore);
    world.write("key", 100);
    let args =
        || BucketArgs { volume_name: "vol".into(), bucket_name: "bkt".into(), ..BucketArgs::default() };
    let bytes = |quota: i64| BucketArgs { quota_in_bytes: Some(quota.cast_unsigned()), ..args() };
    let names = |quota: i64| BucketArgs { quota_in_namespace: Some(quota.cast_unsigned()), ..args() };
    world.refused(set_bucket(bytes(99)), OmStatus::QuotaExceeded);
    world.refused(set_bucket(bytes(0)), OmStatus::QuotaError);
    world.refused(set_bucket(bytes(-7)), OmStatus::QuotaError);
    world.refused(set_bucket(names(0)), OmStatus::QuotaError);
    world.ok(set_bucket(bytes(150)));
    world.ok(set_bucket(names(2)));
    let before = world.bucket();
    world.ok(set_bucket(BucketArgs { is_version_enabled: Some(true), ..args() }));
    world.ok(set_bucket(BucketArgs { owner_name: Some("bob".into()), ..args() }));
    let again = world.ok(set_bucket(BucketArgs { owner_name: Some("bob".into()), ..args() }));
    assert_eq!(again.set_bucket_property_response.unwrap().response, Some(false));
    let after = world.bucket();
    assert!(after.is_version_enabled && after.owner() == "bob" && after.update_id() > before.update_id());
    assert_eq!((after.quota_in_bytes(), after.quota_in_namespace()), (150, 2));
    assert_eq!(after.used_bytes(), 100);
    world.ok(set_bucket(bytes(-1)));
    assert_eq!(world.bucket().quota_in_bytes(), -1);
}

#[test]
fn quotas_bound_bytes_and_names_and_usage_is_exact() {
    let mut world = World::with_bucket(BucketLayout::ObjectStore);
    let args = BucketArgs {
        volume_name: "vol".into(),
        bucket_name: "bkt".into(),
        quota_in_bytes: Some(250),
        quota_in_namespace: Some(2),
        ..BucketArgs::default()
    };
    world.ok(set_bucket(args));
    world.write("one", 100);
    world.write("two", 100);
    assert_eq!(world.usage(), (200, 2));
    world.refused(create_key(KeyArgs { data_size: Some(1), ..key_args("three") }), OmStatus::QuotaExceeded);
    world.refused(create_key(KeyArgs { data_size: Some(151), ..key_args("one") }), OmStatus::QuotaExceeded);
    // A size nobody knew at first is checked when it is committed.
    let (session, mut locations) = world.open("one", 10);
    locations[0].length = 151;
    world.refused(commit_key("one", session, 151, locations.clone()), OmStatus::QuotaExceeded);
    locations[0].length = 150;
    world.ok(commit_key("one", session, 150, locations));
    assert_eq!(world.usage(), (250, 2));
    world.write("two", 7);
    assert_eq!(world.usage(), (157, 2));
    world.ok(delete_key("one", false));
    assert_eq!(world.usage(), (7, 1));
    world.ok(rename_key("two", "three"));
    assert_eq!(world.usage(), (7, 1));
}

fn link(name: &str, to: &str) -> OmRequest {
    let mut link = bucket("vol", name);
    (link.source_volume, link.source_bucket) = (Some("vol".into()), Some(to.into()));
    create_bucket(link)
}

#[test]
fn a_link_leads_to_its_source() {
    let mut world = World::with_bucket(BucketLayout::ObjectStore);
    world.write("key", 10);
    world.ok(link("link", "bkt"));
    let seen = world.ok(info_bucket("vol", "link")).info_bucket_response.unwrap().bucket_info.unwrap();
    assert_eq!((seen.bucket_name.as_str(), seen.used_bytes(), seen.source_bucket()), ("link", 10, "bkt"));
    let asked = KeyArgs { bucket_name: "link".into(), ..key_args("key") };
    let lookup = GetKeyInfoRequest { key_args: asked, assume_s3_context: None };
    let found =
        world.ok(OmRequest { get_key_info_request: Some(Box::new(lookup)), ..request(Type::GetKeyInfo) });
    assert_eq!(found.get_key_info_response.unwrap().key_info.unwrap().bucket_name, "bkt");
    let args = BucketArgs {
        volume_name: "vol".into(),
        bucket_name: "link".into(),
        is_version_enabled: Some(true),
        ..BucketArgs::default()
    };
    world.refused(set_bucket(args), OmStatus::NotSupportedOperation);
    world.ok(link("loop-a", "loop-b"));
    world.ok(link("loop-b", "loop-a"));
    let asked = KeyArgs { bucket_name: "loop-a".into(), ..key_args("key") };
    world.refused(create_key(asked), OmStatus::DetectedLoopInBucketLinks);
    world.ok(link("dangling", "gone"));
    let asked = KeyArgs { bucket_name: "dangling".into(), ..key_args("key") };
    world.refused(create_key(asked), OmStatus::BucketNotFound);
    world.ok(info_bucket("vol", "dangling"));
    world.ok(delete_bucket("vol", "link"));
    assert_eq!(world.key("key").data_size, 10);
}

#[test]
fn buckets_are_listed_in_pages() {
    let mut world = World::new();
    world.ok(create_volume("vol"));
    world.ok(create_volume("vol-2"));
    for name in ["bkt-c", "bkt-a", "other", "bkt-b"] {
        world.ok(create_bucket(bucket("vol", name)));
    }
    world.ok(create_bucket(bucket("vol-2", "elsewhere")));
    let mut list = |prefix: &str, after: &str, count| {
        let asked = ListBucketsRequest {
            volume_name: "vol".into(),
            start_key: Some(after.into()),
            prefix: Some(prefix.into()),
            count: Some(count),
            has_snapshot: None,
        };
        let response =
            world.ok(OmRequest { list_buckets_request: Some(Box::new(asked)), ..request(Type::ListBuckets) });
        let found = response.list_buckets_response.unwrap().bucket_info;
        found.into_iter().map(|bucket| bucket.bucket_name).collect::<Vec<_>>()
    };
    assert_eq!(list("", "", 100), ["bkt-a", "bkt-b", "bkt-c", "other"]);
    assert_eq!(list("", "bkt-a", 2), ["bkt-b", "bkt-c"]);
    assert_eq!(list("bkt", "bkt-b", 9), ["bkt-c"]);
    assert!(list("x", "", 9).is_empty());
}

#[test]
fn usage_that_is_wrong_is_counted_anew() {
    for layout in [BucketLayout::ObjectStore, BucketLayout::FileSystemOptimized] {
        let mut world = World::with_bucket(layout);
        world.write("a/b", 5);
        world.write("c", 7);
        let right = world.usage();
        let differences = |world: &World, named: &[String]| {
            crate::recount::differences(crate::tx::Db::new(&world.tables), named).unwrap()
        };
        assert_eq!(differences(&world, &[]), [], "usage is exact at once");
        world.correct("vol", "bkt", 100, -1);
        assert_ne!(world.usage(), right);
        assert_eq!(differences(&world, &["/vol/other".into()]), []);
        let found = differences(&world, &["/vol/bkt".into()]);
        assert_eq!((found[0].diff_used_bytes, found[0].diff_used_namespace), (-100, 1));
        world.correct("vol", "bkt", -100, 1);
        assert_eq!(world.usage(), right);
    }
}
