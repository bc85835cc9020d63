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
        .ok(OmRequest { get_acl_request: Some(asked), ..request(Type::GetAcl) })
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
            let response = world.ok(OmRequest { add_acl_request: Some(asked), ..request(Type::AddAcl) });
            response.add_acl_response.unwrap().response
        };
        assert!(add(1) && !add(1) && add(2));
        assert_eq!(list(&mut world, obj.clone()).last(), Some(&entry(3)), "{path}");
        let mut remove = |rights| {
            let asked = RemoveAclRequest { obj: obj.clone(), acl: entry(rights), modification_time: None };
            let response =
                world.ok(OmRequest { remove_acl_request: Some(asked), ..request(Type::RemoveAcl) });
            response.remove_acl_response.unwrap().response
        };
        assert!(remove(1) && !remove(1) && remove(2));
        assert_eq!(list(&mut world, obj.clone()), before);
        let asked = SetAclRequest { obj: obj.clone(), acl: vec![entry(9)], modification_time: None };
        world.ok(OmRequest { set_acl_request: Some(asked), ..request(Type::SetAcl) });
        assert_eq!(list(&mut world, obj), [entry(9)]);
    }
    let get = |kind, path: &str| {
        let asked = GetAclRequest { obj: object(kind, path) };
        OmRequest { get_acl_request: Some(asked), ..request(Type::GetAcl) }
    };
    world.refused(get(1, "/none"), OmStatus::VolumeNotFound);
    world.refused(get(2, "/vol/none"), OmStatus::BucketNotFound);
    world.refused(get(3, "/vol/bkt/none"), OmStatus::KeyNotFound);
    for (kind, path) in
        [(1, "/"), (1, "/vol/bkt"), (2, "/vol"), (3, "/vol/bkt"), (3, "/vol/bkt/"), (9, "/vol")]
    {
        world.refused(get(kind, path), OmStatus::InvalidPathInAclRequest);
    }
    world.refused(get(4, "/vol/bkt/dir/"), OmStatus::NotSupportedOperation);
}
