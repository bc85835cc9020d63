//! Volumes.

use allotrope_proto::om::*;
use allotrope_types::OmStatus;

use super::world::*;

#[test]
fn volumes_come_and_go() {
    let mut world = World::new();
    world.refused(info_volume("vol"), OmStatus::VolumeNotFound);
    world.ok(create_volume("vol"));
    world.refused(create_volume("vol"), OmStatus::VolumeAlreadyExists);
    let volume = world.ok(info_volume("vol")).info_volume_response.unwrap().volume_info.unwrap();
    assert_eq!((volume.owner_name.as_str(), volume.used_namespace()), ("ann", 0));
    assert_eq!((volume.quota_in_bytes(), volume.quota_in_namespace()), (u64::MAX, -1));
    assert_eq!(volume.object_id(), 2 << 62 | 1 << 8);
    assert_eq!(volume.volume_acls[0].rights.as_ref(), [0x80]);
    world.ok(create_bucket(bucket("vol", "bkt")));
    world.refused(delete_volume("vol"), OmStatus::VolumeNotEmpty);
    world.ok(delete_bucket("vol", "bkt"));
    world.ok(delete_volume("vol"));
    world.refused(delete_volume("vol"), OmStatus::VolumeNotFound);
    assert_eq!(world.count("userTable"), 0);
    for name in ["ab", "Vol", "a_b", "-ab", "a..b", "1.2.3.4", "a/b", &"a".repeat(64), ""] {
        world.refused(create_volume(name), OmStatus::InvalidVolumeName);
    }
}

fn set(volume: &str, owner: Option<&str>, bytes: Option<i64>, names: Option<i64>) -> OmRequest {
    let asked = SetVolumePropertyRequest {
        volume_name: volume.into(),
        owner_name: owner.map(Into::into),
        quota_in_bytes: bytes.map(i64::cast_unsigned),
        modification_time: None,
        quota_in_namespace: names.map(i64::cast_unsigned),
    };
    OmRequest { set_volume_property_request: Some(Box::new(asked)), ..request(Type::SetVolumeProperty) }
}

#[test]
fn a_volume_changes_hands() {
    let mut world = World::new();
    world.ok(create_volume("vol"));
    let changed = |response: OmResponse| response.set_volume_property_response.unwrap().response();
    assert!(!changed(world.ok(set("vol", Some("ann"), None, None))));
    assert!(changed(world.ok(set("vol", Some("bob"), None, None))));
    assert_eq!(list(&mut world, "bob", "", ""), ["vol"]);
    assert!(list(&mut world, "ann", "", "").is_empty());
    world.refused(set("vox", Some("bob"), None, None), OmStatus::VolumeNotFound);
    // Quotas: a volume's bounds the sum of its buckets' and their number.
    let mut one = bucket("vol", "one");
    one.quota_in_bytes = Some(100);
    world.ok(create_bucket(one));
    world.refused(set("vol", None, Some(99), None), OmStatus::QuotaExceeded);
    world.refused(set("vol", None, Some(0), None), OmStatus::QuotaError);
    world.ok(set("vol", None, Some(150), Some(2)));
    world.refused(create_bucket(bucket("vol", "two")), OmStatus::QuotaError);
    let mut two = bucket("vol", "two");
    two.quota_in_bytes = Some(51);
    world.refused(create_bucket(two.clone()), OmStatus::QuotaExceeded);
    two.quota_in_bytes = Some(50);
    world.ok(create_bucket(two));
    world.ok(set("vol", None, Some(-1), None));
    world.refused(create_bucket(bucket("vol", "three")), OmStatus::QuotaExceeded);
    world.refused(set("vol", None, None, Some(1)), OmStatus::QuotaExceeded);
    world.ok(set("vol", None, None, Some(-1)));
    world.ok(create_bucket(bucket("vol", "three")));
    world.refused(set("vol", None, Some(1 << 40), None), OmStatus::QuotaError);
}

fn list(world: &mut World, owner: &str, prefix: &str, after: &str) -> Vec<String> {
    let asked = ListVolumeRequest {
        scope: list_volume_request::Scope::VolumesByUser as i32,
        user_name: Some(owner.into()),
        prefix: Some(prefix.into()),
        prev_key: Some(after.into()),
        max_keys: Some(2),
    };
    listed(world, asked)
}

fn listed(world: &mut World, asked: ListVolumeRequest) -> Vec<String> {
    let response =
        world.ok(OmRequest { list_volume_request: Some(Box::new(asked)), ..request(Type::ListVolume) });
    response.list_volume_response.unwrap().volume_info.into_iter().map(|volume| volume.volume).collect()
}

#[test]
fn volumes_are_listed_by_owner_and_by_cluster() {
    let mut world = World::new();
    for name in ["vol-c", "vol-a", "other", "vol-b"] {
        world.ok(create_volume(name));
    }
    world.ok(set("vol-b", Some("bob"), None, None));
    assert_eq!(list(&mut world, "ann", "", ""), ["other", "vol-a"]);
    assert_eq!(list(&mut world, "ann", "", "vol-a"), ["vol-c"]);
    assert_eq!(list(&mut world, "ann", "vol", ""), ["vol-a", "vol-c"]);
    let all = |prefix: &str, after: &str| ListVolumeRequest {
        scope: list_volume_request::Scope::VolumesByCluster as i32,
        user_name: None,
        prefix: Some(prefix.into()),
        prev_key: Some(after.into()),
        max_keys: Some(3),
    };
    assert_eq!(listed(&mut world, all("", "")), ["other", "vol-a", "vol-b"]);
    assert_eq!(listed(&mut world, all("vol", "vol-a")), ["vol-b", "vol-c"]);
}

#[test]
fn a_volume_that_exists_is_open() {
    let mut world = World::new();
    world.ok(create_volume("vol"));
    let asked = |name: &str| OmRequest {
        check_volume_access_request: Some(Box::new(CheckVolumeAccessRequest {
            volume_name: name.into(),
            user_acl: OzoneAclInfo::default(),
        })),
        ..request(Type::CheckVolumeAccess)
    };
    world.ok(asked("vol"));
    world.refused(asked("vox"), OmStatus::VolumeNotFound);
}

#[test]
fn one_owner_has_so_many_volumes() {
    let mut world = World::new();
    world.settings.volumes_per_owner_max = 1;
    world.ok(create_volume("one"));
    world.refused(create_volume("two"), OmStatus::UserTooManyVolumes);
}
