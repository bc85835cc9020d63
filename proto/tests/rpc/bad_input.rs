//! Bytes that no client should send: each gets an answer or a close, and the next client is served.

use std::time::Duration;

use allotrope_proto::hadoop::rpc_request_header_proto::OperationProto;
use allotrope_proto::hadoop::rpc_response_header_proto::{RpcErrorCodeProto, RpcStatusProto};
use allotrope_proto::hadoop::{
    IpcConnectionContextProto, RequestHeaderProto, RpcKindProto, RpcRequestHeaderProto,
    RpcResponseHeaderProto, UserInformationProto,
};
use allotrope_proto::hadoop_rpc::HadoopServerConfig;
use allotrope_proto::rpc::catalog::OmSubmit;
use allotrope_proto::rpc::{CallOptions, RpcClient};
use prost::Message;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;

use crate::support::{Running, client, echo, golden, listen, opening, say, start};

fn frame(parts: &[Vec<u8>]) -> Vec<u8> {
    let body = parts.concat();
    [(body.len() as u32).to_be_bytes().to_vec(), body].concat()
}

fn header(call_id: i32) -> RpcRequestHeaderProto {
    RpcRequestHeaderProto {
        rpc_kind: Some(RpcKindProto::RpcProtocolBuffer.into()),
        rpc_op: Some(OperationProto::RpcFinalPacket.into()),
        call_id,
        client_id: b"0123456789abcdef".as_slice().into(),
        retry_count: Some(0),
        ..RpcRequestHeaderProto::default()
    }
}

fn call(message: Vec<u8>) -> Vec<u8> {
    let named = RequestHeaderProto {
        method_name: "submitRequest".into(),
        declaring_class_protocol_name: "org.apache.hadoop.ozone.om.protocol.OzoneManagerProtocol".into(),
        client_protocol_version: 1,
    };
    frame(&[header(5).encode_length_delimited_to_vec(), named.encode_length_delimited_to_vec(), message])
}

fn answer(bytes: &[u8]) -> RpcResponseHeaderProto {
    RpcResponseHeaderProto::decode_length_delimited(&bytes[4..]).unwrap()
}

async fn still_serves(running: &Running) {
    let answer = client(running.address).call::<OmSubmit>(&echo("alive"), &CallOptions::default()).await;
    assert_eq!(crate::support::echoed(&answer.unwrap()), "alive");
}

#[tokio::test]
async fn a_connection_cut_at_any_byte_is_closed_and_the_next_is_served() {
    let running = start(HadoopServerConfig::default()).await;
    let whole = [opening(), golden("rpc/key-put.02.submitRequest.ServiceList.req.bin")].concat();
    for len in 0..whole.len() {
        let mut socket = TcpStream::connect(running.address).await.unwrap();
        socket.write_all(&whole[..len]).await.unwrap();
        socket.shutdown().await.unwrap();
        let heard = listen(&mut socket, Duration::from_secs(5)).await;
        assert!(heard.closed && heard.bytes.is_empty(), "cut at {len}: {heard:?}");
    }
    still_serves(&running).await;
}

#[tokio::test]
async fn a_client_that_closes_its_side_after_a_call_still_gets_its_answer() {
    let running = start(HadoopServerConfig::default()).await;
    let mut socket = TcpStream::connect(running.address).await.unwrap();
    socket.write_all(&opening()).await.unwrap();
    socket.write_all(&golden("rpc/key-put.02.submitRequest.ServiceList.req.bin")).await.unwrap();
    socket.shutdown().await.unwrap();
    let heard = listen(&mut socket, Duration::from_secs(5)).await;
    assert_eq!(answer(&heard.bytes).status(), RpcStatusProto::Success);
    assert!(heard.closed);
}

#[tokio::test]
async fn lengths_beyond_the_limit_and_below_zero_close_without_an_answer() {
    let config = HadoopServerConfig { frame_bytes_max: 1000, ..HadoopServerConfig::default() };
    let running = start(config).await;
    for len in [1001, i32::MAX as u32, 0x8000_0000, u32::MAX] {
        let heard =
            say(running.address, &[opening(), len.to_be_bytes().to_vec(), vec![0; 64]].concat()).await;
        assert!(heard.closed && heard.bytes.is_empty(), "length {len}: {heard:?}");
    }
    assert_eq!(running.server.load().request_bytes, 0);
    still_serves(&running).await;
}

#[tokio::test]
async fn other_protocols_are_closed() {
    let running = start(HadoopServerConfig::default()).await;
    // TLS, HTTP/2, and versions of Hadoop RPC too old to be told anything. TLS 1.0's third and fourth bytes are a
    // length, so its fifth byte, read as a version, decides what Java says.
    for hello in [
        &b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc"[..],
        b"hrpc\x02\x00\x00",
        b"hrpc\x00\x00\x00",
        b"hrpc\xff\x00\x00",
    ] {
        let heard = say(running.address, hello).await;
        assert!(heard.closed && heard.bytes.is_empty(), "{hello:?}: {heard:?}");
    }
    let heard = say(running.address, b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").await;
    assert!(heard.closed);
    assert_eq!(answer(&heard.bytes).error_detail(), RpcErrorCodeProto::FatalVersionMismatch);
}

#[tokio::test]
async fn bytes_after_a_message_fail_the_call_and_not_the_connection() {
    let running = start(HadoopServerConfig::default()).await;
    let message = [echo("x").encode_length_delimited_to_vec(), b"left over".to_vec()].concat();
    let heard = say(running.address, &[opening(), call(message)].concat()).await;
    let header = answer(&heard.bytes);
    assert_eq!((header.status(), heard.closed), (RpcStatusProto::Error, false));
    assert_eq!(header.exception_class_name(), "com.google.protobuf.InvalidProtocolBufferException");
    assert_eq!(header.error_msg(), "9 bytes follow the end of the message");
    assert_eq!((header.call_id, header.client_id()), (5, &b"0123456789abcdef"[..]));
}

#[tokio::test]
async fn broken_rules_of_the_connection_are_fatal() {
    let running = start(HadoopServerConfig::default()).await;
    let context = |user: &str, real: &str| {
        let context = IpcConnectionContextProto {
            user_info: Some(UserInformationProto {
                effective_user: Some(user.into()),
                real_user: Some(real.into()),
            }),
            protocol: None,
        };
        frame(&[header(-3).encode_length_delimited_to_vec(), context.encode_length_delimited_to_vec()])
    };
    let preamble = b"hrpc\x09\x00\x00".to_vec();
    let close =
        RpcRequestHeaderProto { rpc_op: Some(OperationProto::RpcCloseConnection.into()), ..header(1) };
    let builtin = RpcRequestHeaderProto { rpc_kind: Some(RpcKindProto::RpcBuiltin.into()), ..header(1) };
    let no_op = RpcRequestHeaderProto { rpc_op: None, ..header(1) };
    let alone = |header: RpcRequestHeaderProto| frame(&[header.encode_length_delimited_to_vec()]);
    let (invalid, garbled, unauthorized) = (
        RpcErrorCodeProto::FatalInvalidRpcHeader,
        RpcErrorCodeProto::FatalDeserializingRequest,
        RpcErrorCodeProto::FatalUnauthorized,
    );
    let cases = [
        ("an empty frame", [opening(), frame(&[])].concat(), garbled),
        ("an unknown out of band call", [opening(), alone(header(-99))].concat(), invalid),
        ("SASL nobody asked for", [opening(), alone(header(-33))].concat(), invalid),
        ("an operation that is not final", [opening(), alone(close)].concat(), invalid),
        ("no operation", [opening(), alone(no_op)].concat(), invalid),
        ("a built-in call", [opening(), alone(builtin)].concat(), invalid),
        ("a context without its message", [preamble.clone(), alone(header(-3))].concat(), garbled),
        ("a proxy user", [preamble.clone(), context("bob", "hue")].concat(), unauthorized),
        (
            "SASL in a state of its own",
            [b"hrpc\x09\x00\xdf".to_vec(), {
                frame(&[header(-33).encode_length_delimited_to_vec(), vec![2, 0x10, 4]])
            }]
            .concat(),
            unauthorized,
        ),
        (
            "a context in place of SASL",
            [b"hrpc\x09\x00\xdf".to_vec(), context("bob", "bob")].concat(),
            invalid,
        ),
    ];
    for (case, bytes, code) in cases {
        let heard = say(running.address, &bytes).await;
        assert!(heard.closed, "{case}");
        let header = answer(&heard.bytes);
        assert_eq!((header.status(), header.error_detail()), (RpcStatusProto::Fatal, code), "{case}");
        assert!(header.client_id().is_empty(), "{case}");
    }
    // A user who acts for himself is admitted.
    assert!(!say(running.address, &[preamble, context("bob", "bob")].concat()).await.closed);
    still_serves(&running).await;
}

#[tokio::test]
async fn a_service_that_panics_fails_its_call_only() {
    let running = start(HadoopServerConfig::default()).await;
    let client = client(running.address);
    let failed = client.call::<OmSubmit>(&echo("panic"), &CallOptions::default()).await.unwrap_err();
    assert_eq!(failed.remote_class(), Some("java.io.IOException"));
    let next = client.call::<OmSubmit>(&echo("next"), &CallOptions::default()).await.unwrap();
    assert_eq!(crate::support::echoed(&next), "next");
}

#[tokio::test]
async fn a_long_name_in_a_call_comes_back_short() {
    let running = start(HadoopServerConfig::default()).await;
    let named = RequestHeaderProto {
        method_name: "m".repeat(1 << 20),
        declaring_class_protocol_name: "org.apache.hadoop.ozone.om.protocol.OzoneManagerProtocol".into(),
        client_protocol_version: 1,
    };
    let long =
        frame(&[header(1).encode_length_delimited_to_vec(), named.encode_length_delimited_to_vec(), vec![0]]);
    let heard = say(running.address, &[opening(), long].concat()).await;
    assert!(!heard.closed && heard.bytes.len() < 20_000, "{} bytes", heard.bytes.len());
}
