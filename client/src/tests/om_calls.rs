//! Calls to OM: what is sent, and what becomes of lost answers and wrong servers.

use allotrope_proto::om::{self, Type};
use allotrope_types::{Advice, OmStatus};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use super::server::Reply;
use super::world::{World, bytes, path};
use crate::{
    BucketOptions, BucketPath, CallError, Client, Config, Deletion, Error, PutOptions, RetryPolicy,
    VolumeOptions,
};

#[tokio::test]
async fn a_refusal_names_the_act_and_the_status() {
    let world = World::new("STANDALONE/ONE", 1).await;
    world.client.create_volume("vol", VolumeOptions::default()).await.unwrap();
    let error = world.client.create_volume("taken", VolumeOptions::default()).await.unwrap_err();
    assert_eq!(error.to_string(), "cannot create volume taken: VOLUME_ALREADY_EXISTS (as ordered)");
    assert_eq!(error.advice(), Advice::FixRequest);
    assert_eq!(world.om().log.len(), 2, "a refusal is not repeated");
    let sent = &world.om().log[0];
    assert_eq!((sent.version, sent.trace_id.as_deref()), (Some(3), Some("")));
    assert!(sent.client_id.starts_with("client-") && sent.client_id.len() == 19, "{}", sent.client_id);
    assert_eq!(sent.user_info.as_ref().unwrap().user_name.as_deref(), Some("alice"));
}

/// The name of key `k`, and what goes with every write of it.
fn key_args() -> om::KeyArgs {
    om::KeyArgs {
        volume_name: "vol".into(),
        bucket_name: "bucket".into(),
        key_name: "k".into(),
        ..Default::default()
    }
}

#[tokio::test]
async fn each_call_of_a_write_and_a_read_says_this_and_no_more() {
    let world = World::new("STANDALONE/ONE", 1).await;
    world.put("k", &bytes(1000)).await.unwrap();
    world.client.key(&path("k")).await.unwrap();
    let sent = |kind| world.om().sent(kind).pop().unwrap();
    let create = om::KeyArgs {
        is_multipart_key: Some(false),
        sort_datanodes: Some(false),
        owner_name: Some("alice".into()),
        ..key_args()
    };
    let create = om::CreateKeyRequest { key_args: create, ..Default::default() };
    assert_eq!(sent(Type::CreateKey).create_key_request.as_deref(), Some(&create));
    let (kind, factor) = (Some(2), Some(1)); // STAND_ALONE, ONE
    let commit = sent(Type::CommitKey).commit_key_request.unwrap();
    let open = om::KeyArgs { r#type: kind, factor, ..key_args() };
    let allocate = om::AllocateBlockRequest {
        key_args: open.clone(),
        client_id: commit.client_id,
        exclude_list: Some(Default::default()),
        ..Default::default()
    };
    assert_eq!(sent(Type::AllocateBlock).allocate_block_request.as_deref(), Some(&allocate));
    let given = commit.key_args.key_locations.clone();
    assert_eq!((given.len(), given[0].length, given[0].token.is_some()), (1, 1000, false));
    let closed = om::KeyArgs { data_size: Some(1000), key_locations: given, ..open };
    let closed = om::CommitKeyRequest {
        key_args: closed,
        client_id: commit.client_id,
        hsync: Some(false),
        recovery: Some(false),
    };
    assert_eq!(*commit, closed);
    let look_up = om::KeyArgs {
        data_size: Some(0),
        sort_datanodes: Some(true),
        head_op: Some(false),
        force_update_container_cache_from_scm: Some(false),
        latest_version_location: Some(true),
        ..key_args()
    };
    let look_up = om::GetKeyInfoRequest { key_args: look_up, assume_s3_context: Some(false) };
    assert_eq!(sent(Type::GetKeyInfo).get_key_info_request.as_deref(), Some(&look_up));
}

#[tokio::test]
async fn what_a_new_key_bucket_or_volume_is_to_be_is_sent() {
    let world = World::new("STANDALONE/ONE", 1).await;
    let coded = "rs-3-2-1024k".parse().unwrap();
    let options = PutOptions {
        replication: Some(coded),
        metadata: [("a".to_owned(), "b".to_owned())].into(),
        etag: Some("e".into()),
        generation: Some(4),
        ..PutOptions::default()
    };
    drop(world.client.write_key(&path("k"), options).await);
    let args = world.om().sent(Type::CreateKey).pop().unwrap().create_key_request.unwrap().key_args;
    let ec = args.ec_replication_config.unwrap();
    assert_eq!((args.r#type, args.factor), (Some(4), None));
    assert_eq!((ec.data, ec.parity, ec.codec.as_str(), ec.ec_chunk_size), (3, 2, "rs", 1 << 20));
    assert_eq!((args.metadata[0].key.as_str(), args.metadata[0].value.as_deref()), ("a", Some("b")));
    assert_eq!((args.expected_e_tag.as_deref(), args.expected_data_generation), (Some("e"), Some(4)));
    let volume = VolumeOptions { quota_namespace: Some(9), ..VolumeOptions::default() };
    world.client.create_volume("vol", volume).await.unwrap();
    let made = world.om().sent(Type::CreateVolume).pop().unwrap().create_volume_request.unwrap();
    let wanted = om::VolumeInfo {
        admin_name: "alice".into(),
        owner_name: "alice".into(),
        volume: "vol".into(),
        quota_in_bytes: Some(u64::MAX), // -1: no limit
        quota_in_namespace: Some(9),
        ..Default::default()
    };
    assert_eq!(made.volume_info, wanted);
    let bucket = BucketOptions { replication: Some(coded), quota_bytes: Some(5), ..BucketOptions::default() };
    drop(world.client.create_bucket(&BucketPath::new("vol", "b"), bucket).await);
    let made = world.om().sent(Type::CreateBucket).pop().unwrap().create_bucket_request.unwrap();
    let wanted = om::BucketInfo {
        volume_name: "vol".into(),
        bucket_name: "b".into(),
        storage_type: 1, // DISK
        quota_in_bytes: Some(5),
        quota_in_namespace: Some(-1),
        owner: Some("alice".into()),
        default_replication_config: Some(allotrope_proto::hdds::DefaultReplicationConfig {
            r#type: 4,
            factor: None,
            ec_replication_config: Some(ec),
        }),
        ..Default::default()
    };
    assert_eq!(made.bucket_info, wanted);
}

#[tokio::test]
async fn an_om_that_does_not_lead_or_is_away_is_asked_again() {
    let world = World::new("STANDALONE/ONE", 1).await;
    let not_leader = "org.apache.hadoop.ozone.om.exceptions.OMNotLeaderException: om1 does not lead";
    world.om().refusals = vec![Reply::Status(13, not_leader), Reply::Status(14, "starting")];
    world.client.create_volume("vol", VolumeOptions::default()).await.unwrap();
    world.om().refusals = vec![Reply::Status(13, "java.lang.NullPointerException: null")];
    let error = world.client.create_volume("vol", VolumeOptions::default()).await.unwrap_err();
    assert!(matches!(error, Error::OmSilent { attempts: 1, .. }), "{error}");
}

#[tokio::test]
async fn a_commit_whose_answer_was_lost_is_found_to_be_done() {
    let world = World::new("STANDALONE/ONE", 1).await;
    world.om().lose_commit = true;
    let data = bytes(1000);
    world.put("k", &data).await.unwrap();
    assert_eq!(world.om().sent(Type::CommitKey).len(), 2);
    assert!(world.get("k").await.unwrap() == data);
}

#[tokio::test]
async fn a_delete_whose_answer_was_lost_says_that_the_key_is_gone() {
    let world = World::new("STANDALONE/ONE", 1).await;
    world.put("k", b"x").await.unwrap();
    assert_eq!(world.client.delete_key(&path("k")).await.unwrap(), Deletion::Deleted);
    let missing = world.client.delete_key(&path("k")).await.unwrap_err();
    assert_eq!(missing.om_status(), Some(OmStatus::KeyNotFound));
    world.om().refusals = vec![Reply::Status(14, "lost")];
    assert_eq!(world.client.delete_key(&path("k")).await.unwrap(), Deletion::AlreadyGone);
}

async fn create_at(port: u16) -> Error {
    let config = Config { om_retry: RetryPolicy::NEVER, ..Config::at("127.0.0.1", port) };
    Client::new(config).unwrap().create_volume("v", VolumeOptions::default()).await.unwrap_err()
}

#[tokio::test]
async fn a_port_where_nothing_listens_is_named() {
    let port = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap().port();
    let Error::OmSilent { source, .. } = create_at(port).await else { panic!("it was answered") };
    assert_eq!(source.to_string(), format!("127.0.0.1:{port} cannot be reached"));
}

#[tokio::test]
async fn an_http_server_in_oms_place_is_an_error_and_no_hang() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let server = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let _ = stream.read(&mut [0; 1024]).await;
        stream.write_all(b"HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\n\r\n").await.unwrap();
        // As servers do, it waits for the client to hang up.
        let _ = stream.read_to_end(&mut vec![]).await;
    });
    let Error::OmSilent { source, .. } = create_at(port).await else { panic!("it was answered") };
    assert!(matches!(*source, CallError::NotGrpc { .. }), "{source:?}");
    server.await.unwrap();
}

#[tokio::test]
async fn a_silent_om_is_left_at_the_deadline() {
    let world = World::new("STANDALONE/ONE", 1).await;
    world.om().refusals = vec![Reply::Silence];
    let port = world.client.config().om[0].port();
    let deadline = std::time::Duration::from_millis(200);
    let config =
        Config { om_retry: RetryPolicy::NEVER, om_deadline: deadline, ..Config::at("127.0.0.1", port) };
    let error = Client::new(config).unwrap().create_volume("v", VolumeOptions::default()).await.unwrap_err();
    let Error::OmSilent { source, .. } = error else { panic!("it was answered") };
    assert!(matches!(*source, CallError::Deadline { .. }), "{source}");
}
