//! Calls to OM: what is sent, and what becomes of lost answers and wrong servers.

use allotrope_proto::om::Type;
use allotrope_types::{Advice, OmStatus};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use super::server::Reply;
use super::world::{World, bytes, path};
use crate::{CallError, Client, Config, Deletion, Error, RetryPolicy, VolumeOptions};

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
