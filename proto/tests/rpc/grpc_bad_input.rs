//! What no gRPC client should send, and a client that takes nothing: each gets a status or a close, and the next client
//! is served.

use std::net::SocketAddr;
use std::time::Duration;

use allotrope_proto::grpc::GrpcServerConfig;
use allotrope_proto::net::TransferPace;
use allotrope_proto::rpc::catalog::OmSubmit;
use allotrope_proto::rpc::{CallOptions, RpcClient};
use bytes::Bytes;
use prost::Message;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tonic::Code;

use crate::grpc::{Running, grpc_client, start};
use crate::support::{echo, echoed, eventually};

const OM_PATH: &str = "/hadoop.ozone.OzoneManagerService/submitRequest";

/// A message as gRPC frames it.
fn framed(flag: u8, len: u32, message: &[u8]) -> Vec<u8> {
    [&[flag][..], &len.to_be_bytes(), message].concat()
}

/// Sends `body` in one request on a connection of its own, and gives the status that ends it.
async fn status_of(address: SocketAddr, path: &str, body: Vec<u8>) -> Option<Code> {
    let socket = TcpStream::connect(address).await.unwrap();
    let (mut client, connection) = h2::client::handshake(socket).await.unwrap();
    tokio::spawn(connection);
    let request = http::Request::post(format!("http://om{path}"))
        .header("content-type", "application/grpc")
        .header("te", "trailers")
        .body(())
        .unwrap();
    let (answer, mut sending) = client.send_request(request, false).unwrap();
    sending.send_data(body.into(), true).unwrap();
    let waited = tokio::time::timeout(Duration::from_secs(5), async {
        let answer = answer.await.ok()?;
        let in_headers = answer.headers().get("grpc-status").cloned();
        let mut body = answer.into_body();
        while let Some(piece) = body.data().await {
            body.flow_control().release_capacity(piece.ok()?.len()).ok()?;
        }
        let trailers = body.trailers().await.ok()?;
        in_headers.or_else(|| trailers?.get("grpc-status").cloned())
    });
    waited.await.expect("the call ends").map(|status| Code::from_bytes(status.as_bytes()))
}

async fn still_serves(running: &Running) {
    let answer = grpc_client(running.address).call::<OmSubmit>(&echo("alive"), &CallOptions::default()).await;
    assert_eq!(echoed(&answer.unwrap()), "alive");
    eventually("nothing is held", || {
        running.grpc.load().request_bytes == 0 && running.grpc.load().calls == 0
    })
    .await;
}

#[tokio::test]
async fn what_is_no_message_is_answered_with_a_status() {
    let running = start(GrpcServerConfig::default()).await;
    let good = echo("x").encode_to_vec();
    let len = good.len() as u32;
    assert_eq!(status_of(running.address, OM_PATH, framed(0, len, &good)).await, Some(Code::Ok));
    let cases = [
        ("nothing at all", vec![], Code::Internal),
        ("half a header", vec![0, 0, 0], Code::Internal),
        ("a message that breaks off", framed(0, len + 7, &good), Code::Internal),
        ("a length beyond every limit", framed(0, u32::MAX, &good), Code::OutOfRange),
        ("a compression nobody agreed on", framed(1, len, &good), Code::Internal),
        ("a flag that does not exist", framed(9, len, &good), Code::Internal),
        ("garbage in place of a message", framed(0, 9, b"left over"), Code::Internal),
        ("a message without its required fields", framed(0, 0, &[]), Code::Internal),
        (
            "bytes after the message's end",
            [framed(0, len, &good), b"left over".to_vec()].concat(),
            Code::Internal,
        ),
        ("a second message", framed(0, len, &good).repeat(2), Code::Internal),
    ];
    for (case, body, code) in cases {
        assert_eq!(status_of(running.address, OM_PATH, body).await, Some(code), "{case}");
    }
    let nowhere = status_of(running.address, "/hadoop.ozone.Nothing/none", framed(0, len, &good)).await;
    assert_eq!(nowhere, Some(Code::Unimplemented));
    still_serves(&running).await;
}

#[tokio::test]
async fn a_connection_cut_at_any_byte_is_forgotten_and_the_next_is_served() {
    let running = start(GrpcServerConfig::default()).await;
    let message = echo("cut").encode_to_vec();
    let whole = raw_call(&framed(0, message.len() as u32, &message));
    for len in 0..whole.len() {
        let mut socket = TcpStream::connect(running.address).await.unwrap();
        socket.write_all(&whole[..len]).await.unwrap();
        drop(socket);
    }
    still_serves(&running).await;
}

#[tokio::test]
async fn what_is_not_http2_behind_its_preface_ends_the_connection() {
    let running = start(GrpcServerConfig::default()).await;
    let mut socket = TcpStream::connect(running.address).await.unwrap();
    // A frame of 16 MiB, beyond any that was agreed on.
    socket.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\xff\xff\xff\x00\x00\x00\x00\x00\x01").await.unwrap();
    let mut heard = Vec::new();
    let ended = tokio::time::timeout(Duration::from_secs(5), socket.read_to_end(&mut heard)).await;
    assert!(ended.is_ok(), "the connection ends");
    still_serves(&running).await;
}

/// The frames of HTTP/2 in what a server sent.
fn frames(mut bytes: &[u8]) -> Vec<(u8, u32, Vec<u8>)> {
    let mut out = Vec::new();
    while bytes.len() >= 9 {
        let len = usize::from(bytes[0]) << 16 | usize::from(bytes[1]) << 8 | usize::from(bytes[2]);
        let Some(body) = bytes.get(9..9 + len) else { break };
        out.push((bytes[3], u32::from_be_bytes(bytes[5..9].try_into().unwrap()), body.to_vec()));
        bytes = &bytes[9 + len..];
    }
    out
}

#[tokio::test]
async fn a_server_grants_the_windows_of_its_plan_and_no_more() {
    let running = start(GrpcServerConfig::default()).await;
    let mut socket = TcpStream::connect(running.address).await.unwrap();
    socket.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0").await.unwrap();
    let mut heard = Vec::new();
    let (mut settings, mut granted) = (Vec::new(), None);
    let all = tokio::time::timeout(Duration::from_secs(5), async {
        while settings.is_empty() || granted.is_none() {
            assert_ne!(socket.read_buf(&mut heard).await.unwrap(), 0);
            for (kind, stream, body) in frames(&heard) {
                match (kind, stream) {
                    (4, 0) if !body.is_empty() => settings = body,
                    (8, 0) => granted = Some(u32::from_be_bytes(body.try_into().unwrap())),
                    _ => {}
                }
            }
        }
    });
    all.await.expect("the server says its windows");
    let setting = |number: u16| {
        let found = settings.chunks(6).find(|entry| entry[..2] == number.to_be_bytes());
        found.map(|entry| u32::from_be_bytes(entry[2..].try_into().unwrap()))
    };
    const CALLS: u16 = 3;
    const STREAM_WINDOW: u16 = 4;
    const FRAME: u16 = 5;
    const HEADERS: u16 = 6;
    assert_eq!(setting(STREAM_WINDOW), Some(4 << 20));
    assert_eq!(setting(FRAME), Some(1 << 20));
    assert_eq!(setting(CALLS), Some(1024));
    assert_eq!(setting(HEADERS), Some(16 << 10));
    // Every connection begins with 65,535 bytes.
    assert_eq!(granted, Some((16 << 20) - 65_535));
}

/// The bytes of a connection with one call in it, HTTP/2 and all.
fn raw_call(body: &[u8]) -> Vec<u8> {
    let mut headers = vec![0x83, 0x86]; // :method POST, :scheme http
    for (name, value) in
        [(":path", OM_PATH), (":authority", "x"), ("content-type", "application/grpc"), ("te", "trailers")]
    {
        headers.push(0);
        for text in [name, value] {
            headers.push(text.len() as u8);
            headers.extend_from_slice(text.as_bytes());
        }
    }
    let frame = |kind: u8, flags: u8, stream: u8, body: &[u8]| {
        let len = (body.len() as u32).to_be_bytes();
        [&len[1..], &[kind, flags, 0, 0, 0, stream], body].concat()
    };
    [
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec(),
        frame(4, 0, 0, &[]),
        frame(1, 4, 1, &headers),
        frame(0, 1, 1, body),
    ]
    .concat()
}

#[tokio::test]
async fn a_reader_that_stops_is_closed() {
    let pace = TransferPace { time_min: Duration::from_millis(500), bytes_per_second_min: 64 << 20 };
    let running = start(GrpcServerConfig { pace, ..Default::default() }).await;
    // A client with windows of 64 KiB that asks for 1 MiB and never grants more.
    let mut slow = TcpStream::connect(running.address).await.unwrap();
    let message = echo("size:1048576").encode_to_vec();
    slow.write_all(&raw_call(&framed(0, message.len() as u32, &message))).await.unwrap();
    eventually("the call is there", || running.grpc.load().calls == 1).await;
    eventually("it is given up", || running.grpc.load().calls == 0).await;
    let mut heard = Vec::new();
    let ended = tokio::time::timeout(Duration::from_secs(5), slow.read_to_end(&mut heard)).await;
    assert!(ended.is_ok(), "the connection ends");
}

#[tokio::test]
async fn claims_of_length_hold_no_memory() {
    let config = GrpcServerConfig { request_bytes_total_max: 1 << 20, ..Default::default() };
    let running = start(config).await;
    // Each says that 100 MiB follow, sends ten bytes and waits.
    let mut liars = Vec::new();
    for _ in 0..50 {
        let socket = TcpStream::connect(running.address).await.unwrap();
        let (mut client, connection) = h2::client::handshake(socket).await.unwrap();
        tokio::spawn(connection);
        let request = http::Request::post(format!("http://om{OM_PATH}"))
            .header("content-type", "application/grpc")
            .body(())
            .unwrap();
        let (answer, mut sending) = client.send_request(request, false).unwrap();
        sending.send_data(Bytes::from(framed(0, 100 << 20, b"ten bytes!")), false).unwrap();
        liars.push((client, answer, sending));
    }
    tokio::time::sleep(Duration::from_millis(200)).await;
    assert!(running.grpc.load().request_bytes <= 1 << 20, "{:?}", running.grpc.load());
    let answer =
        grpc_client(running.address).call::<OmSubmit>(&echo("beside"), &CallOptions::default()).await;
    assert_eq!(echoed(&answer.unwrap()), "beside");
    drop(liars);
    still_serves(&running).await;
}
