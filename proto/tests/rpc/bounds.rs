//! What a server may hold: bytes, calls, connections and time, each with its bound.

use std::time::{Duration, Instant};

use allotrope_proto::hadoop_rpc::{ClientConfig, HadoopServerConfig};
use allotrope_proto::net::{AcceptLimits, TransferPace};
use allotrope_proto::rpc::catalog::OmSubmit;
use allotrope_proto::rpc::{CallOptions, RpcClient};
use prost::Message;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;

use crate::support::{
    TestOm, client, client_with, echo, echoed, eventually, listen, opening, start, start_with,
};

const MIB: usize = 1 << 20;

fn brisk() -> TransferPace {
    TransferPace { time_min: Duration::from_millis(700), bytes_per_second_min: 64 << 20 }
}

/// An echo call as a whole frame.
fn call(call_id: u8, payload: &str) -> Vec<u8> {
    let header = [8, 2, 16, 0, 24, call_id << 1, 34, 4, 1, 2, 3, 4, 40, 0];
    let mut named = vec![0x0a, 13];
    named.extend_from_slice(b"submitRequest");
    let protocol = "org.apache.hadoop.ozone.om.protocol.OzoneManagerProtocol";
    named.extend([0x12, protocol.len() as u8]);
    named.extend_from_slice(protocol.as_bytes());
    named.extend([0x18, 1]);
    let mut body = vec![header.len() as u8];
    body.extend_from_slice(&header);
    body.push(named.len() as u8);
    body.extend(named);
    body.extend(echo(payload.to_owned()).encode_length_delimited_to_vec());
    [(body.len() as u32).to_be_bytes().to_vec(), body].concat()
}

#[tokio::test]
async fn a_slow_reader_holds_no_more_than_its_share_and_is_closed() {
    let config = HadoopServerConfig {
        response_bytes_max: 2 * MIB as u32,
        response_bytes_connection_max: 4 * MIB,
        response_bytes_max_total: 8 * MIB,
        calls_connection_max: 16,
        pace: brisk(),
        ..HadoopServerConfig::default()
    };
    let running = start(config).await;
    let mut slow = TcpStream::connect(running.address).await.unwrap();
    let mut asking = opening();
    for id in 0..60 {
        asking.extend(call(id, "size:1048576"));
    }
    slow.write_all(&asking).await.unwrap();
    eventually("the slow reader's answers pile up", || running.server.load().response_bytes > 3 * MIB).await;
    let load = running.server.load();
    assert!(load.response_bytes <= 4 * MIB && load.calls <= 16, "{load:?}");
    // Others are served meanwhile.
    let answer = client(running.address).call::<OmSubmit>(&echo("hello"), &CallOptions::default()).await;
    assert_eq!(echoed(&answer.unwrap()), "hello");
    eventually("what the slow reader held is given back", || {
        let load = running.server.load();
        (load.response_bytes, load.calls, load.request_bytes) == (0, 0, 0)
    })
    .await;
}

#[tokio::test]
async fn a_frame_that_never_ends_gives_back_its_bytes() {
    let config = HadoopServerConfig {
        frame_bytes_max: MIB as u32,
        request_bytes_connection_max: MIB,
        request_bytes_max: 3 * MIB,
        pace: brisk(),
        ..HadoopServerConfig::default()
    };
    let running = start(config).await;
    let mut liars = Vec::new();
    for _ in 0..6 {
        let mut socket = TcpStream::connect(running.address).await.unwrap();
        socket.write_all(&opening()).await.unwrap();
        socket.write_all(&(MIB as u32).to_be_bytes()).await.unwrap();
        liars.push(socket);
    }
    eventually("three of them hold the budget", || running.server.load().request_bytes == 3 * MIB).await;
    // An honest call waits for its bytes, and gets them once the liars are closed.
    let answer = client(running.address).call::<OmSubmit>(&echo("patience"), &CallOptions::default()).await;
    assert_eq!(echoed(&answer.unwrap()), "patience");
    for socket in &mut liars {
        assert!(listen(socket, Duration::from_secs(5)).await.closed);
    }
    eventually("all is given back", || running.server.load().request_bytes == 0).await;
}

#[tokio::test]
async fn an_idle_connection_is_closed_and_one_that_waits_for_its_answer_is_not() {
    let config =
        HadoopServerConfig { idle_time_max: Duration::from_millis(300), ..HadoopServerConfig::default() };
    let running = start(config).await;
    let mut idle = TcpStream::connect(running.address).await.unwrap();
    idle.write_all(&opening()).await.unwrap();
    let mut waiting = TcpStream::connect(running.address).await.unwrap();
    waiting.write_all(&[opening(), call(1, "sleep:1200")].concat()).await.unwrap();
    let since = Instant::now();
    assert!(listen(&mut idle, Duration::from_secs(5)).await.closed);
    assert!(since.elapsed() < Duration::from_millis(1100), "{:?}", since.elapsed());
    let heard = listen(&mut waiting, Duration::from_secs(5)).await;
    assert!(heard.closed && !heard.bytes.is_empty(), "{heard:?}");
}

#[tokio::test]
async fn a_connection_that_does_not_open_is_closed() {
    let config =
        HadoopServerConfig { opening_time_max: Duration::from_millis(300), ..HadoopServerConfig::default() };
    let running = start(config).await;
    for sent in [&b""[..], b"hrp", b"hrpc\x09\x00\x00", b"hrpc\x09\x00\xdf", b"hrpc\x09\x00\x00\x00\x00"] {
        let mut socket = TcpStream::connect(running.address).await.unwrap();
        socket.write_all(sent).await.unwrap();
        assert!(listen(&mut socket, Duration::from_secs(5)).await.closed, "{sent:?}");
    }
}

#[tokio::test]
async fn a_connection_too_many_is_closed_and_a_free_place_is_given_again() {
    let limits = AcceptLimits { connections_max: 3, ..AcceptLimits::default() };
    let running = start_with(TestOm::default(), HadoopServerConfig::default(), limits).await;
    let mut open = Vec::new();
    for _ in 0..3 {
        let one = client(running.address);
        one.call::<OmSubmit>(&echo("in"), &CallOptions::default()).await.unwrap();
        open.push(one);
    }
    let refused = client(running.address).call::<OmSubmit>(&echo("late"), &CallOptions::default()).await;
    assert!(refused.is_err());
    open.pop();
    tokio::time::sleep(Duration::from_millis(200)).await;
    client(running.address).call::<OmSubmit>(&echo("now"), &CallOptions::default()).await.unwrap();
}

#[tokio::test]
async fn calls_beyond_the_bound_wait_and_are_answered() {
    let config = HadoopServerConfig { calls_connection_max: 4, ..HadoopServerConfig::default() };
    let running = start(config).await;
    let client = client(running.address);
    let calls = (0..20).map(|_| {
        let client = client.clone();
        tokio::spawn(async move {
            client.call::<OmSubmit>(&echo("sleep:20"), &CallOptions::default()).await.is_ok()
        })
    });
    let calls: Vec<_> = calls.collect();
    let mut calls_seen = 0;
    for call in calls {
        calls_seen = calls_seen.max(running.server.load().calls);
        assert!(call.await.unwrap());
    }
    assert!((1..=4).contains(&calls_seen), "{calls_seen}");
}

#[tokio::test]
async fn a_call_without_an_answer_fails_at_its_deadline() {
    let config =
        HadoopServerConfig { call_time_max: Duration::from_millis(200), ..HadoopServerConfig::default() };
    let running = start(config).await;
    let late = client(running.address)
        .call::<OmSubmit>(&echo("sleep:60000"), &CallOptions::default())
        .await
        .unwrap_err();
    assert_eq!(late.remote_class(), Some("java.net.SocketTimeoutException"));
    assert!(late.may_have_taken_effect());
    assert_eq!(running.server.load().calls, 0);
}

#[tokio::test]
async fn an_answer_that_fits_no_frame_is_an_error_of_its_call() {
    let config = HadoopServerConfig { response_bytes_max: 1000, ..HadoopServerConfig::default() };
    let running = start(config).await;
    let client = client(running.address);
    let error = client.call::<OmSubmit>(&echo("size:1001"), &CallOptions::default()).await.unwrap_err();
    assert!(error.to_string().contains("1000 is the limit"), "{error}");
    assert_eq!(
        client
            .call::<OmSubmit>(&echo("size:900"), &CallOptions::default())
            .await
            .map(|a| echoed(&a).len())
            .ok(),
        Some(900)
    );
}

#[tokio::test]
async fn a_drain_answers_what_was_asked_and_takes_no_more() {
    let running = start(HadoopServerConfig::default()).await;
    let client = client_with(running.address, ClientConfig::default());
    let asked = {
        let client = client.clone();
        tokio::spawn(
            async move { client.call::<OmSubmit>(&echo("sleep:500"), &CallOptions::default()).await },
        )
    };
    eventually("the call has arrived", || running.server.load().calls == 1).await;
    assert!(running.drain.finish(Duration::from_secs(5)).await, "{} left", running.drain.work_left());
    assert!(asked.await.unwrap().is_ok());
    let refused = client.call::<OmSubmit>(&echo("late"), &CallOptions::default()).await.unwrap_err();
    assert!(!refused.may_have_taken_effect(), "{refused}");
}

#[tokio::test]
async fn a_drain_that_takes_too_long_cuts_off() {
    let running = start(HadoopServerConfig::default()).await;
    let client = client(running.address);
    let asked =
        tokio::spawn(
            async move { client.call::<OmSubmit>(&echo("sleep:60000"), &CallOptions::default()).await },
        );
    eventually("the call has arrived", || running.server.load().calls == 1).await;
    assert!(!running.drain.finish(Duration::from_millis(300)).await);
    let lost = asked.await.unwrap().unwrap_err();
    assert!(lost.may_have_taken_effect(), "{lost}");
    eventually("nothing is left", || running.drain.work_left() == 0).await;
}
