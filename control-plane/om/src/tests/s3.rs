//! What the S3 gateway asks beside keys: secrets, its volume, tags of buckets.

use allotrope_proto::hdds::KeyValue;
use allotrope_proto::om::*;
use allotrope_types::{BucketLayout, OmStatus};

use super::world::*;

fn get_secret(id: &str) -> OmRequest {
    let asked = GetS3SecretRequest { kerberos_id: id.into(), create_if_not_exist: None };
    OmRequest { get_s3_secret_request: Some(Box::new(asked)), ..request(Type::GetS3Secret) }
}

fn set_secret(id: &str, secret: &str) -> OmRequest {
    let asked = SetS3SecretRequest { access_id: Some(id.into()), secret_key: Some(secret.into()) };
    OmRequest { set_s3_secret_request: Some(Box::new(asked)), ..request(Type::SetS3Secret) }
}

fn revoke_secret(id: &str) -> OmRequest {
    let asked = RevokeS3SecretRequest { kerberos_id: id.into() };
    OmRequest { revoke_s3_secret_request: Some(Box::new(asked)), ..request(Type::RevokeS3Secret) }
}

#[test]
fn a_secret_is_made_set_and_revoked() {
    let mut world = World::new();
    world.refused(set_secret("ann", "long enough"), OmStatus::AccessIdNotFound);
    let look = GetS3SecretRequest { kerberos_id: "ann".into(), create_if_not_exist: Some(false) };
    let look = OmRequest { get_s3_secret_request: Some(Box::new(look)), ..request(Type::GetS3Secret) };
    world.refused(look, OmStatus::AccessIdNotFound);
    let made = world.ok(get_secret("ann")).get_s3_secret_response.unwrap().s3_secret;
    assert_eq!((made.kerberos_id.as_str(), made.aws_secret.len()), ("ann", 64));
    // It is shown once.
    world.refused(get_secret("ann"), OmStatus::S3SecretAlreadyExists);
    world.refused(set_secret("ann", "short"), OmStatus::InvalidRequest);
    let set = world.ok(set_secret("ann", "long enough")).set_s3_secret_response.unwrap();
    assert_eq!((set.access_id(), set.secret_key()), ("ann", "long enough"));
    for other in [get_secret("bob"), set_secret("bob", "long enough"), revoke_secret("bob")] {
        world.refused(other, OmStatus::UserMismatch);
    }
    world.settings.admins.insert("ann".into());
    world.ok(get_secret("bob"));
    world.ok(revoke_secret("bob"));
    world.refused(revoke_secret("bob"), OmStatus::S3SecretNotFound);
    world.refused(get_secret(""), OmStatus::InvalidRequest);
    assert_eq!(world.rows("s3SecretTable"), ["ann"]);
}

#[test]
fn a_bucket_is_tagged() {
    let mut world = World::with_bucket(BucketLayout::ObjectStore);
    let args = |tags: &[(&str, &str)]| BucketArgs {
        volume_name: "vol".into(),
        bucket_name: "bkt".into(),
        tags: tags.iter().map(|(k, v)| KeyValue { key: (*k).into(), value: Some((*v).into()) }).collect(),
        ..BucketArgs::default()
    };
    let get = |world: &mut World, name: &str| {
        let asked =
            GetBucketTaggingRequest { bucket_args: BucketArgs { bucket_name: name.into(), ..args(&[]) } };
        let asked = OmRequest {
            get_bucket_tagging_request: Some(Box::new(asked)),
            ..request(Type::GetBucketTagging)
        };
        world.ok(asked).get_bucket_tagging_response.unwrap().tags
    };
    assert_eq!(get(&mut world, "bkt"), []);
    let asked =
        PutBucketTaggingRequest { bucket_args: args(&[("a", "1"), ("b", "2")]), ..Default::default() };
    world.ok(OmRequest {
        put_bucket_tagging_request: Some(Box::new(asked)),
        ..request(Type::PutBucketTagging)
    });
    assert_eq!(get(&mut world, "bkt"), args(&[("a", "1"), ("b", "2")]).tags);
    let link = BucketInfo {
        source_volume: Some("vol".into()),
        source_bucket: Some("bkt".into()),
        ..bucket("vol", "link")
    };
    world.ok(create_bucket(link));
    assert_eq!(get(&mut world, "link").len(), 2);
    let delete = |name: &str| {
        let bucket_args = BucketArgs { bucket_name: name.into(), ..args(&[]) };
        let asked = DeleteBucketTaggingRequest { bucket_args, ..Default::default() };
        OmRequest {
            delete_bucket_tagging_request: Some(Box::new(asked)),
            ..request(Type::DeleteBucketTagging)
        }
    };
    world.refused(delete("link"), OmStatus::NotSupportedOperation);
    world.ok(delete("bkt"));
    assert_eq!(get(&mut world, "bkt"), []);
    world.refused(delete("none"), OmStatus::BucketNotFound);
}

#[test]
fn the_volume_of_s3_has_an_id_of_its_own() {
    let mut world = World::new();
    world.ok(create_volume("s3v"));
    let found = world.ok(info_volume("s3v")).info_volume_response.unwrap().volume_info.unwrap();
    assert_eq!(found.object_id(), 2 << 62 | ((1 << 54) - 1) << 8);
    let mut own = create_volume("other");
    own.create_volume_request.as_mut().unwrap().volume_info.object_id = Some(5);
    world.ok(own);
    let other = world.ok(info_volume("other")).info_volume_response.unwrap().volume_info.unwrap();
    assert_ne!(other.object_id(), 5, "clients do not choose ids");
}
