//! Answers of OM that cannot be: each is refused with an error that names the act, the message and the field.

use allotrope_proto::om::{self, OmResponse, Type};
use allotrope_proto::{Rope, hdds};
use allotrope_types::{Advice, OmStatus};
use bytes::Bytes;
use prost::Message;

use super::server::Reply;
use super::world::{World, path};
use crate::{AclTarget, BucketPath, Error};

/// OM says `answer` to the next call.
fn says(world: &World, kind: Type, answer: OmResponse) {
    let answer = OmResponse { cmd_type: kind as i32, status: OmStatus::Ok.number(), ..answer };
    says_exactly(world, &answer);
}

fn says_exactly(world: &World, answer: &OmResponse) {
    world.om().refusals = vec![Reply::Message(Rope::from(Bytes::from(answer.encode_to_vec())))];
}

/// What is wrong with the answer. It is for an operator, and no second call helps.
fn why(act: &str, error: Error) -> String {
    assert_eq!(error.advice(), Advice::CallOperator, "{error}");
    let text = error.to_string();
    let why = text.strip_prefix(&format!("cannot {act}: OM's answer is unusable: "));
    why.unwrap_or_else(|| panic!("{text}")).to_owned()
}

fn key(data_size: u64) -> om::KeyInfo {
    om::KeyInfo {
        volume_name: "vol".into(),
        bucket_name: "bucket".into(),
        key_name: "k".into(),
        data_size,
        r#type: hdds::ReplicationType::StandAlone as i32,
        factor: Some(hdds::ReplicationFactor::One as i32),
        ..Default::default()
    }
}

fn got(key_info: om::KeyInfo) -> OmResponse {
    let got = om::GetKeyInfoResponse { key_info: Some(key_info), ..Default::default() };
    OmResponse { get_key_info_response: Some(Box::new(got)), ..Default::default() }
}

async fn key_refused(world: &World, key_info: om::KeyInfo) -> String {
    says(world, Type::GetKeyInfo, got(key_info));
    why("look up key /vol/bucket/k", world.client.key(&path("k")).await.unwrap_err())
}

#[tokio::test]
async fn a_part_that_is_missing_is_named() {
    let world = World::new("STANDALONE/ONE", 1).await;
    says(&world, Type::InfoVolume, OmResponse::default());
    let refused = why("look up volume v", world.client.volume("v").await.unwrap_err());
    assert_eq!(refused, "OMResponse lacks its field infoVolumeResponse");
    let empty = om::InfoVolumeResponse::default();
    let empty = OmResponse { info_volume_response: Some(Box::new(empty)), ..Default::default() };
    says(&world, Type::InfoVolume, empty);
    let refused = why("look up volume v", world.client.volume("v").await.unwrap_err());
    assert_eq!(refused, "InfoVolumeResponse lacks its field volumeInfo");
    let nameless = om::CreateKeyResponse { key_info: Some(key(0)), ..Default::default() };
    let nameless = OmResponse { create_key_response: Some(Box::new(nameless)), ..Default::default() };
    says(&world, Type::CreateKey, nameless);
    let refused = world.put("k", b"x").await.unwrap_err();
    assert_eq!(why("create key /vol/bucket/k", refused), "CreateKeyResponse lacks its field ID");
    let unnamed = om::ListKeysLightResponse {
        basic_key_info: vec![om::BasicKeyInfo::default()],
        is_truncated: Some(false),
    };
    says(
        &world,
        Type::ListKeysLight,
        OmResponse { list_keys_light_response: Some(Box::new(unnamed)), ..Default::default() },
    );
    let bucket = BucketPath::new("vol", "bucket");
    let refused = world.client.list_keys_page(&bucket, "", "", 10).await.unwrap_err();
    assert_eq!(why("list keys of /vol/bucket", refused), "BasicKeyInfo lacks its field keyName");
}

#[tokio::test]
async fn a_number_that_names_nothing_is_refused_by_message_and_field() {
    let world = World::new("STANDALONE/ONE", 1).await;
    let bucket = |bucket_layout, kind| om::BucketInfo {
        volume_name: "vol".into(),
        bucket_name: "bucket".into(),
        storage_type: hdds::StorageTypeProto::Disk as i32,
        bucket_layout: Some(bucket_layout),
        default_replication_config: Some(hdds::DefaultReplicationConfig {
            r#type: kind,
            factor: Some(3),
            ec_replication_config: None,
        }),
        ..Default::default()
    };
    let act = "look up bucket /vol/bucket";
    for (info, wanted) in [
        (bucket(99, 1), "BucketInfo.bucketLayout is 99, which names nothing"),
        (bucket(3, 77), "DefaultReplicationConfig.type is 77, which names nothing"),
    ] {
        let info = om::InfoBucketResponse { bucket_info: Some(info) };
        let info = OmResponse { info_bucket_response: Some(Box::new(info)), ..Default::default() };
        says(&world, Type::InfoBucket, info);
        let refused = world.client.bucket(&BucketPath::new("vol", "bucket")).await.unwrap_err();
        assert_eq!(why(act, refused), wanted);
    }
    let acl =
        om::OzoneAclInfo { r#type: 1, name: "a".into(), rights: Bytes::from_static(&[0, 4]), acl_scope: 0 };
    let acls = om::GetAclResponse { acls: vec![acl] };
    says(&world, Type::GetAcl, OmResponse { get_acl_response: Some(Box::new(acls)), ..Default::default() });
    let refused = world.client.acls(&AclTarget::Volume("vol".into())).await.unwrap_err();
    let refused = why("look up the rights of volume vol", refused);
    assert!(refused.starts_with("OzoneAclInfo.rights has the bits"), "{refused}");
    let status = OmResponse { cmd_type: Type::InfoVolume as i32, status: 999, ..Default::default() };
    says_exactly(&world, &status);
    let refused = why("look up volume v", world.client.volume("v").await.unwrap_err());
    assert_eq!(refused, "OMResponse.status is 999, which names nothing");
}

#[tokio::test]
async fn a_length_that_cannot_be_is_refused_by_message_and_field() {
    let world = World::new("STANDALONE/ONE", 1).await;
    let beyond = format!("is {}, beyond 63 bits", u64::MAX);
    assert_eq!(key_refused(&world, key(u64::MAX)).await, format!("KeyInfo.dataSize {beyond}"));
    assert_eq!(key_refused(&world, key(7)).await, "KeyInfo.dataSize is 7, where its blocks have 0");
    let block = |offset, length| {
        let id = hdds::ContainerBlockId { container_id: 1, local_id: 2 };
        let block_id = hdds::BlockId { container_block_id: id, block_commit_sequence_id: Some(0) };
        let location = om::KeyLocation { block_id, offset, length, ..Default::default() };
        let list = om::KeyLocationList { key_locations: vec![location], ..Default::default() };
        om::KeyInfo { key_location_list: vec![list], ..key(7) }
    };
    assert_eq!(key_refused(&world, block(0, u64::MAX)).await, format!("KeyLocation.length {beyond}"));
    let together = format!("KeyLocation.length is {} from byte 9 on, beyond 63 bits", i64::MAX);
    assert_eq!(key_refused(&world, block(9, i64::MAX as u64)).await, together);
}

#[tokio::test]
async fn an_answer_to_another_command_is_refused() {
    let world = World::new("STANDALONE/ONE", 1).await;
    says(&world, Type::DeleteVolume, OmResponse::default());
    let refused = why("look up volume v", world.client.volume("v").await.unwrap_err());
    assert_eq!(refused, "OMResponse.cmdType is DeleteVolume, where InfoVolume was asked");
}

#[tokio::test]
async fn every_reason_of_a_wrong_value_is_told() {
    let world = World::new("STANDALONE/ONE", 1).await;
    let ec = hdds::EcReplicationConfig { data: 3, parity: 2, codec: "morse".into(), ec_chunk_size: 1 << 20 };
    let coded =
        om::KeyInfo { r#type: hdds::ReplicationType::Ec as i32, ec_replication_config: Some(ec), ..key(0) };
    let refused = key_refused(&world, coded).await;
    assert!(refused.starts_with("ECReplicationConfig.codec holds a wrong value: "), "{refused}");
    assert!(refused.contains("morse"), "{refused}");
}
