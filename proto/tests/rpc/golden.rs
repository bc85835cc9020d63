//! A real client's frames get the answers that a real OM gave, byte for byte; so do bad ones made by hand.

use std::time::Duration;

use allotrope_proto::hadoop::{RpcResponseHeaderProto, RpcSaslProto};
use allotrope_proto::hadoop_rpc::HadoopServerConfig;
use allotrope_proto::net::AcceptLimits;
use allotrope_proto::om::{OmRequest, OmResponse};
use prost::Message;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::support::{Heard, TestOm, golden, goldens, listen, start, start_with};

/// Cuts recorded bytes into frames, without their lengths.
fn frames(mut bytes: &[u8]) -> Vec<Vec<u8>> {
    let mut frames = Vec::new();
    while !bytes.is_empty() {
        let len = u32::from_be_bytes(bytes[..4].try_into().unwrap()) as usize;
        frames.push(bytes[4..4 + len].to_vec());
        bytes = &bytes[4 + len..];
    }
    frames
}

/// Takes `delim(m)` off the front.
fn part<'a>(bytes: &mut &'a [u8]) -> &'a [u8] {
    let len = prost::encoding::decode_varint(bytes).unwrap() as usize;
    let (part, rest) = bytes.split_at(len);
    *bytes = rest;
    part
}

/// The message that a request frame or a response frame of a call ends with.
fn last_part(frame: &[u8], parts: usize) -> Vec<u8> {
    let mut rest = &frame[4..];
    let mut last = Vec::new();
    for _ in 0..parts {
        last = part(&mut rest).to_vec();
    }
    assert!(rest.is_empty());
    last
}

#[tokio::test]
async fn recorded_requests_are_answered_with_the_recorded_bytes() {
    let names = goldens("rpc");
    let mut om = TestOm::default();
    let mut pairs = Vec::new();
    for answer in names.iter().filter(|name| name.ends_with(".rsp.bin")) {
        let (command, number) = answer.split_once('.').unwrap();
        let number: usize = number[..2].parse().unwrap();
        let asked = format!("{command}.{:02}.", number - 1);
        let asked = names.iter().find(|name| name.starts_with(&asked)).unwrap();
        let (asked, answer) = (golden(&format!("rpc/{asked}")), golden(&format!("rpc/{answer}")));
        om.teach(
            &OmRequest::decode(&*last_part(&asked, 3)).unwrap(),
            OmResponse::decode(&*last_part(&answer, 2)).unwrap(),
        );
        pairs.push((command.to_owned(), asked, answer));
    }
    assert_eq!(pairs.len(), 26);
    let running = start_with(om, HadoopServerConfig::default(), AcceptLimits::default()).await;
    let mut connection: Option<(String, TcpStream)> = None;
    for (command, asked, answer) in pairs {
        if connection.as_ref().is_none_or(|(open, _)| *open != command) {
            let mut socket = TcpStream::connect(running.address).await.unwrap();
            socket.write_all(&golden(&format!("rpc/{command}.00.preamble.req.bin"))).await.unwrap();
            socket.write_all(&golden(&format!("rpc/{command}.01.context.req.bin"))).await.unwrap();
            connection = Some((command.clone(), socket));
        }
        let (_, socket) = connection.as_mut().unwrap();
        socket.write_all(&asked).await.unwrap();
        let mut heard = vec![0; answer.len()];
        socket.read_exact(&mut heard).await.unwrap();
        assert!(heard == answer, "{command}: {heard:02x?} instead of {answer:02x?}");
    }
    let caller = &running.om.contexts()[0].caller;
    assert_eq!((caller.user.as_deref(), caller.real_user.as_deref()), (Some("root"), None));
    assert_eq!((caller.call_id, caller.retry_count), (0, 0));
    assert!(caller.client_id.is_some());
}

/// Sends a recorded bad connection; a SASL one waits for its answer before it goes on.
async fn replay(address: std::net::SocketAddr, case: &str, request: &[u8]) -> Heard {
    let mut socket = TcpStream::connect(address).await.unwrap();
    let quiet = Duration::from_millis(300);
    if case != "sasl-negotiate-then-call" {
        socket.write_all(request).await.unwrap();
        return listen(&mut socket, quiet).await;
    }
    let negotiate_ends = 7 + 4 + 14;
    socket.write_all(&request[..negotiate_ends]).await.unwrap();
    let mut first = listen(&mut socket, quiet).await;
    socket.write_all(&request[negotiate_ends..]).await.unwrap();
    let second = listen(&mut socket, quiet).await;
    first.bytes.extend(second.bytes);
    Heard { bytes: first.bytes, closed: second.closed }
}

/// An answer's header, its text cut to the first line (Java appends a stack trace), and what follows the header.
fn without_stack(frame: &[u8]) -> (RpcResponseHeaderProto, Vec<u8>) {
    let mut rest = frame;
    let mut header = RpcResponseHeaderProto::decode(part(&mut rest)).unwrap();
    header.error_msg = header.error_msg.map(|text| text.lines().next().unwrap_or_default().to_owned());
    (header, rest.to_vec())
}

#[tokio::test]
async fn bad_connections_get_the_answer_that_a_real_om_gave() {
    let running = start(HadoopServerConfig::default()).await;
    let index = String::from_utf8(golden("index.tsv")).unwrap();
    let mut cases = 0;
    for request in goldens("rpc-errors").iter().filter(|name| name.ends_with(".req.bin")) {
        let case = request.strip_suffix(".req.bin").unwrap();
        let answer = format!("rpc-errors/{case}.rsp.bin");
        let note = index.lines().rfind(|line| line.starts_with(&format!("rpc-errors/{case}.")));
        let closes = note.unwrap().contains("then closes");
        let answered = index.contains(&answer);
        let heard = replay(running.address, case, &golden(&format!("rpc-errors/{request}"))).await;
        cases += 1;
        assert_eq!(heard.closed, closes, "{case}: does the server close?");
        if case == "garbage-request-header" {
            // Java leaves this client waiting; ours is told, as for a garbled request message.
            let (header, rest) = without_stack(&frames(&heard.bytes)[0]);
            let class = "com.google.protobuf.InvalidProtocolBufferException$InvalidWireTypeException";
            assert_eq!((header.exception_class_name(), rest.len()), (class, 0));
            continue;
        }
        let expected = if answered { golden(&answer) } else { Vec::new() };
        if !expected.windows(4).any(|part| part == b"\n\tat") {
            if case == "two-calls-one-segment" {
                let (mut heard, mut expected) = (frames(&heard.bytes), frames(&expected));
                heard.sort();
                expected.sort();
                assert_eq!(heard, expected, "{case}");
            } else {
                assert!(heard.bytes == expected, "{case}: {:02x?} instead of {expected:02x?}", heard.bytes);
            }
            continue;
        }
        let (heard, expected) = (frames(&heard.bytes), frames(&expected));
        assert_eq!(heard.len(), expected.len(), "{case}");
        for (heard, expected) in heard.iter().zip(&expected) {
            assert_eq!(without_stack(heard), without_stack(expected), "{case}");
        }
    }
    assert_eq!(cases, 29);
}

#[test]
fn the_sasl_answer_of_a_server_without_security_is_success() {
    let answer = golden("rpc-errors/sasl-negotiate.rsp.bin");
    let sasl = RpcSaslProto::decode(&*last_part(&answer, 2)).unwrap();
    assert_eq!(sasl.state(), allotrope_proto::hadoop::rpc_sasl_proto::SaslState::Success);
}
