//! Access control lists.

use allotrope_proto::om::*;
use allotrope_types::{BucketLayout, OmStatus};
use bytes::Bytes;

use super::world::*;

fn object(kind: i32, path: &str) -> OzoneObj {
    OzoneObj { res_type: kind, store_type: 1, path: path.into() }
}

fn entry(rights: u8) -> OzoneAclInfo {
    OzoneAclInfo { r#type: 1, name: "bob".into(), rights: Bytes::copy_from_slice(&[rights]), acl_scope: 0 }
}

fn list(world: &mut World, obj: OzoneObj) -> Vec<OzoneAclInfo> {
    let asked = GetAclRequest { obj };
    world
        .ok(OmRequest { get_acl_request: Some(Box::new(asked)), ..request(Type::GetAcl) })
        .get_acl_response
        .unwrap()
        .acls
}

#[test]
fn rights_are_written_and_shown() {
    let mut world = World::with_bucket(BucketLayout::FileSystemOptimized);
    world.write("dir/key", 1);
    for (kind, path) in [(1, "/vol"), (2, "/vol/bkt"), (3, "/vol/bkt/dir"), (3, "/vol/bkt/dir/key")] {
        let obj = object(kind, path);
        let before = list(&mut world, obj.clone());
        let mut add = |rights| {
            let asked = AddAclRequest { obj: obj.clone(), acl: entry(rights), modification_time: None };
            let response =
                world.ok(OmRequest { add_acl_request: Some(Box::new(asked)), ..request(Type::AddAcl) });
            response.add_acl_response.unwrap().response
        };
        assert!(add(1) && !add(1) && add(2));
        assert_eq!(list(&mut world, obj.clone()).last(), Some(&entry(3)), "{path}");
        let mut remove = |rights| {
            let asked = RemoveAclRequest { obj: obj.clone(), acl: entry(rights), modification_time: None };
            let response =
                world.ok(OmRequest { remove_acl_request: Some(Box::new(asked)), ..request(Type::RemoveAcl) });
            response.remove_acl_response.unwrap().response
        };
        assert!(remove(1) && !remove(1) && remove(2));
        assert_eq!(list(&mut world, obj.clone()), before);
        let asked = SetAclRequest { obj: obj.clone(), acl: vec![entry(9)], modification_time: None };
        world.ok(OmRequest { set_acl_request: Some(Box::new(asked)), ..request(Type::SetAcl) });
        assert_eq!(list(&mut world, obj), [entry(9)]);
    }
    let get = |kind, path: &str| {
        let asked = GetAclRequest { obj: object(kind, path) };
        OmRequest { get_acl_request: Some(Box::new(asked)), ..request(Type::GetAcl) }
    };
    world.refused(get(1, "/none"), OmStatus::VolumeNotFound);
    world.refused(get(2, "/vol/none"), OmStatus::BucketNotFound);
    world.refused(get(3, "/vol/bkt/none"), OmStatus::KeyNotFound);
    for (kind, path) in
        [(1, "/"), (1, "/vol/bkt"), (2, "/vol"), (3, "/vol/bkt"), (3, "/vol/bkt/"), (9, "/vol")]
    {
        world.refused(get(kind, path), OmStatus::InvalidPathInAclRequest);
    }
}

#[test]
fn a_prefix_has_rights_of_its_own() {
    for layout in [BucketLayout::ObjectStore, BucketLayout::FileSystemOptimized] {
        let mut world = World::with_bucket(layout);
        let prefix = object(4, "/vol/bkt/dir/");
        assert_eq!(list(&mut world, prefix.clone()), []);
        let given = OzoneAclInfo { acl_scope: 1, ..entry(1) };
        let remove = RemoveAclRequest { obj: prefix.clone(), acl: given.clone(), modification_time: None };
        let remove = OmRequest { remove_acl_request: Some(Box::new(remove)), ..request(Type::RemoveAcl) };
        world.refused(remove.clone(), OmStatus::PrefixNotFound);
        let add = AddAclRequest { obj: prefix.clone(), acl: given.clone(), modification_time: None };
        world.ok(OmRequest { add_acl_request: Some(Box::new(add)), ..request(Type::AddAcl) });
        assert_eq!(list(&mut world, prefix.clone()), std::slice::from_ref(&given));
        assert_eq!(list(&mut world, object(4, "/vol/bkt/dir/sub/")), [given]);
        // A key below it inherits what is DEFAULT there.
        world.write("dir/sub/key", 1);
        assert!(world.key("dir/sub/key").acls.contains(&entry(1)));
        world.write("other", 1);
        assert!(!world.key("other").acls.contains(&entry(1)));
        world.ok(remove);
        assert_eq!(world.count("prefixTable"), 0);
        let wrong = GetAclRequest { obj: object(4, "/vol/bkt/dir") };
        world.refused(
            OmRequest { get_acl_request: Some(Box::new(wrong)), ..request(Type::GetAcl) },
            OmStatus::InvalidPathInAclRequest,
        );
    }
}

/// What a user may do is decided by lists, owners and administrators, once `ozone.acl.enabled` is on.
#[test]
fn rights_are_enforced_where_they_are_on() {
    for layout in [BucketLayout::ObjectStore, BucketLayout::FileSystemOptimized] {
        let mut world = World::with_bucket(layout);
        world.write("dir/key", 1);
        world.settings.acl_enabled = true;
        let denied = OmStatus::PermissionDenied;
        world.user = "bob".into();
        for request in [
            create_volume("bobs"),
            info_volume("vol"),
            info_bucket("vol", "bkt"),
            create_bucket(bucket("vol", "bobs")),
            delete_bucket("vol", "bkt"),
            create_key(key_args("dir/new")),
            create_directory("dir2"),
            get_key_info("dir/key"),
            delete_key("dir/key", false),
            rename_key("dir/key", "dir/other"),
            list_keys(Type::ListKeysLight, "", "", 10),
        ] {
            world.refused(request, denied);
        }
        // READ on volume and bucket, and on the key: it may be read, and no more.
        world.user = "ann".into();
        let add = |world: &mut World, kind, path: &str, rights| {
            let asked =
                AddAclRequest { obj: object(kind, path), acl: entry(rights), modification_time: None };
            world.ok(OmRequest { add_acl_request: Some(Box::new(asked)), ..request(Type::AddAcl) });
        };
        for (kind, path) in [(1, "/vol"), (2, "/vol/bkt"), (3, "/vol/bkt/dir/key")] {
            add(&mut world, kind, path, 1);
        }
        world.user = "bob".into();
        world.ok(get_key_info("dir/key"));
        world.refused(delete_key("dir/key", false), denied);
        world.refused(create_key(key_args("dir/new")), denied);
        world.refused(list_keys(Type::ListKeysLight, "", "", 10), denied);
        // WRITE on the bucket lets keys be made; a prefix narrows it.
        world.user = "ann".into();
        add(&mut world, 2, "/vol/bkt", 2 | 8);
        world.user = "bob".into();
        world.ok(list_keys(Type::ListKeysLight, "", "", 10));
        world.write("dir/new", 1);
        world.ok(delete_key("dir/new", false));
        world.user = "ann".into();
        add(&mut world, 4, "/vol/bkt/dir/", 1);
        world.user = "bob".into();
        world.refused(create_key(key_args("dir/new")), denied);
        world.write("top", 1);
        // What is missing is said to be missing.
        world.refused(info_volume("none"), OmStatus::VolumeNotFound);
        world.refused(get_key_info("none"), OmStatus::KeyNotFound);
        // An administrator may do everything.
        world.settings.admins.insert("bob".into());
        world.ok(create_volume("bobs"));
        world.ok(delete_key("dir/key", false));
    }
}
