//! The Hadoop RPC client: many calls on one connection, deadlines, reconnection, typed errors.

use std::time::Duration;

use allotrope_proto::hadoop_rpc::{ClientConfig, HadoopServerConfig};
use allotrope_proto::net::AcceptLimits;
use allotrope_proto::om::{OmRequest, OmResponse, Status, Type};
use allotrope_proto::rpc::catalog::OmSubmit;
use allotrope_proto::rpc::{Advice, CallError, CallOptions, CallerNote, Rpc, RpcClient, class};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use crate::support::{TestOm, client, client_with, echo, echoed, golden, request, start, start_with};

/// A method that no server knows.
enum NoSuchMethod {}

impl Rpc for NoSuchMethod {
    type Request = OmRequest;
    type Response = OmResponse;
    const PROTOCOL: &'static str = OmSubmit::PROTOCOL;
    const METHOD: &'static str = "noSuchMethod";
    const GRPC_PATH: Option<&'static str> = Some("/hadoop.ozone.OzoneManagerService/noSuchMethod");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_thousand_calls_are_in_flight_on_one_connection() {
    let limits = AcceptLimits { connections_max: 1, ..AcceptLimits::default() };
    let running = start_with(TestOm::default(), HadoopServerConfig::default(), limits).await;
    let client = client(running.address);
    // The server answers none of them before all have come.
    let calls: Vec<_> = (0..1000)
        .map(|_| {
            let client = client.clone();
            tokio::spawn(
                async move { client.call::<OmSubmit>(&echo("gate:1000"), &CallOptions::default()).await },
            )
        })
        .collect();
    for call in calls {
        assert_eq!(echoed(&call.await.unwrap().unwrap()), "gate:1000");
    }
    let mut ids: Vec<i32> = running.om.contexts().iter().map(|context| context.caller.call_id).collect();
    ids.sort_unstable();
    assert_eq!(ids, (0..1000).collect::<Vec<_>>());
}

#[tokio::test]
async fn an_answer_overtakes_a_slower_one() {
    let running = start(HadoopServerConfig::default()).await;
    let client = client(running.address);
    let slow = {
        let client = client.clone();
        tokio::spawn(
            async move { client.call::<OmSubmit>(&echo("sleep:400"), &CallOptions::default()).await },
        )
    };
    tokio::time::sleep(Duration::from_millis(50)).await;
    let fast = client.call::<OmSubmit>(&echo("fast"), &CallOptions::default()).await.unwrap();
    assert!(!slow.is_finished());
    assert_eq!(echoed(&fast), "fast");
    assert_eq!(echoed(&slow.await.unwrap().unwrap()), "sleep:400");
}

#[tokio::test]
async fn large_messages_pass_both_ways() {
    let running = start(HadoopServerConfig::default()).await;
    let payload: Vec<u8> = (0..10 << 20).map(|x: u32| ((x * 31) >> 3) as u8).collect();
    let answer =
        client(running.address).call::<OmSubmit>(&echo(payload.clone()), &CallOptions::default()).await;
    assert!(echoed(&answer.unwrap()) == payload);
}

#[tokio::test]
async fn a_business_error_is_an_answer_and_not_an_error() {
    let running = start(HadoopServerConfig::default()).await;
    let answer =
        client(running.address).call::<OmSubmit>(&request(Type::InfoVolume), &CallOptions::default()).await;
    assert_eq!(answer.unwrap().status(), Status::VolumeNotFound);
}

#[tokio::test]
async fn remote_exceptions_keep_their_class_and_say_what_to_do() {
    let running = start(HadoopServerConfig::default()).await;
    let client = client(running.address);
    let cases = [
        (class::OM_NOT_LEADER, Advice::AskAnother),
        (class::OM_LEADER_NOT_READY, Advice::AskAgain),
        (class::RETRIABLE, Advice::AskAgain),
        (class::ACCESS_CONTROL, Advice::GiveUp),
        ("org.example.Unheard", Advice::AskAnother),
    ];
    for (class, advice) in cases {
        let asked = echo(format!("fault:{class}"));
        let error = client.call::<OmSubmit>(&asked, &CallOptions::default()).await.unwrap_err();
        assert_eq!((error.remote_class(), error.advice()), (Some(class), advice));
        assert!(error.to_string().contains("asked for"), "{error}");
    }
    let error =
        client.call::<NoSuchMethod>(&request(Type::ServiceList), &CallOptions::default()).await.unwrap_err();
    assert_eq!((error.remote_class(), error.advice()), (Some(class::NO_SUCH_METHOD), Advice::GiveUp));
}

#[tokio::test]
async fn a_retry_carries_the_number_of_its_call() {
    let running = start(HadoopServerConfig::default()).await;
    let client = client(running.address);
    let call_id = client.next_call_id();
    for retry_count in 0..2 {
        let note = Some(CallerNote { context: "S3Auth:S3G|key".into(), signature: "s".into() });
        let options = CallOptions { call_id: Some(call_id), retry_count, note, ..CallOptions::default() };
        client.call::<OmSubmit>(&echo("again"), &options).await.unwrap();
    }
    for (tried, context) in running.om.contexts().iter().enumerate() {
        assert_eq!((context.caller.call_id, context.caller.retry_count), (call_id, tried as i32));
        assert_eq!(context.caller.client_id, Some(client.client_id()));
        assert_eq!(context.caller.note.as_ref().unwrap().context, "S3Auth:S3G|key");
    }
}

#[tokio::test]
async fn a_deadline_ends_the_wait_and_leaves_the_connection_alive() {
    let running = start(HadoopServerConfig::default()).await;
    let client = client(running.address);
    let options = CallOptions { time_max: Some(Duration::from_millis(100)), ..CallOptions::default() };
    let late = client.call::<OmSubmit>(&echo("sleep:500"), &options).await.unwrap_err();
    assert!(matches!(late, CallError::Deadline { .. }), "{late}");
    assert!(late.may_have_taken_effect());
    // The late answer comes between these and is dropped.
    for _ in 0..3 {
        let answer = client.call::<OmSubmit>(&echo("sleep:250"), &CallOptions::default()).await.unwrap();
        assert_eq!(echoed(&answer), "sleep:250");
    }
}

#[tokio::test]
async fn calls_wait_their_turn_within_the_bound() {
    let running = start(HadoopServerConfig::default()).await;
    let client = client_with(running.address, ClientConfig { calls_max: 2, ..ClientConfig::default() });
    let calls: Vec<_> = (0..8)
        .map(|_| {
            let client = client.clone();
            tokio::spawn(
                async move { client.call::<OmSubmit>(&echo("sleep:50"), &CallOptions::default()).await },
            )
        })
        .collect();
    for call in calls {
        assert!(running.server.load().calls <= 2);
        call.await.unwrap().unwrap();
    }
    // Two wait for ever, so the third has no turn and says so at its deadline.
    for _ in 0..2 {
        let client = client.clone();
        tokio::spawn(
            async move { client.call::<OmSubmit>(&echo("sleep:60000"), &CallOptions::default()).await },
        );
    }
    tokio::time::sleep(Duration::from_millis(100)).await;
    let options = CallOptions { time_max: Some(Duration::from_millis(100)), ..CallOptions::default() };
    assert!(matches!(
        client.call::<OmSubmit>(&echo("third"), &options).await,
        Err(CallError::Deadline { .. })
    ));
}

#[tokio::test]
async fn a_request_that_fits_no_frame_is_not_sent() {
    let running = start(HadoopServerConfig::default()).await;
    let config = ClientConfig { request_bytes_max: 1000, ..ClientConfig::default() };
    let error = client_with(running.address, config)
        .call::<OmSubmit>(&echo(vec![b'x'; 1001]), &CallOptions::default())
        .await
        .unwrap_err();
    assert!(matches!(error, CallError::RequestTooLarge { .. }), "{error}");
    assert!(running.om.contexts().is_empty());
}

#[tokio::test]
async fn a_connection_that_ended_is_replaced_at_the_next_call() {
    let running = start(HadoopServerConfig::default()).await;
    let config = ClientConfig { idle_time_max: Duration::from_millis(50), ..ClientConfig::default() };
    let client = client_with(running.address, config);
    for _ in 0..3 {
        client.call::<OmSubmit>(&echo("now"), &CallOptions::default()).await.unwrap();
        tokio::time::sleep(Duration::from_millis(200)).await;
        assert_eq!(running.drain.work_left(), 0, "the idle connection was closed");
    }
}

#[tokio::test]
async fn nobody_there_is_an_error_that_took_no_effect() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    let error = client(address).call::<OmSubmit>(&echo("x"), &CallOptions::default()).await.unwrap_err();
    assert!(matches!(error, CallError::Unreachable { .. }), "{error}");
    assert!(!error.may_have_taken_effect());
}

/// A server that reads what opens a connection and one call, and then says `answer`.
async fn impostor(answer: Vec<u8>) -> (std::net::SocketAddr, tokio::task::JoinHandle<TcpStream>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let serving = tokio::spawn(async move {
        let (mut socket, _) = listener.accept().await.unwrap();
        let mut seen = [0; 64];
        socket.read_exact(&mut seen).await.unwrap();
        tokio::time::sleep(Duration::from_millis(100)).await;
        socket.write_all(&answer).await.unwrap();
        socket
    });
    (address, serving)
}

#[tokio::test]
async fn answers_that_break_the_protocol_end_the_connection_and_fail_its_calls() {
    // A whole answer to call 0 of the client 0123456789abcdef, and what may be wrong with one.
    let header = [&[8, 0, 16, 0, 24, 9, 58, 16][..], b"0123456789abcdef", &[64, 0]].concat();
    let answer = |header: &[u8], rest: &[u8]| {
        let body = [&[header.len() as u8][..], header, rest].concat();
        [(body.len() as u32).to_be_bytes().to_vec(), body].concat()
    };
    let mut other = header.clone();
    other[8] = b'x';
    let cases = [
        ("another client's id", answer(&other, &[2, 8, 110])),
        ("a body longer than its message", answer(&header, &[1, 8, 110])),
        ("a body shorter than its message", answer(&header, &[3, 8, 110])),
        ("no body", answer(&header, &[])),
        ("a garbled header", answer(&[0xff; 9], &[0])),
        ("a negative length", vec![0xff; 4]),
        ("a fatal error", golden("rpc-errors/second-context.rsp.bin")),
        ("an end", Vec::new()),
    ];
    for (case, bytes) in cases {
        let (address, serving) = impostor(bytes).await;
        let asking = client(address);
        let call =
            tokio::spawn(async move { asking.call::<OmSubmit>(&echo("x"), &CallOptions::default()).await });
        let socket = serving.await.unwrap();
        if case == "an end" {
            drop(socket);
        }
        let error = call.await.unwrap().unwrap_err();
        assert!(matches!(error, CallError::Lost { .. }), "{case}: {error}");
        assert!(error.may_have_taken_effect());
    }
    // The connection is right and the message is not.
    let (address, _serving) = impostor(answer(&header, &[2, 8, 110])).await;
    let error = client(address).call::<OmSubmit>(&echo("x"), &CallOptions::default()).await.unwrap_err();
    assert!(matches!(error, CallError::Malformed { .. }), "{error}");
}

#[tokio::test]
async fn a_client_that_waits_long_pings() {
    let (address, serving) = impostor(Vec::new()).await;
    let config = ClientConfig { ping_interval: Duration::from_millis(100), ..ClientConfig::default() };
    let asking = client_with(address, config);
    let call =
        tokio::spawn(async move { asking.call::<OmSubmit>(&echo("x"), &CallOptions::default()).await });
    let mut socket = serving.await.unwrap();
    let mut seen = Vec::new();
    // A ping's header has call id -4 (zigzag 7) and retry count -1; nothing follows the header.
    let ping = [&[0, 0, 0, 27, 26, 8, 2, 16, 0, 24, 7, 34, 16][..], b"0123456789abcdef", &[40, 1]].concat();
    while !seen.windows(ping.len()).any(|part| part == ping) {
        assert_ne!(socket.read_buf(&mut seen).await.unwrap(), 0);
    }
    assert!(!call.is_finished());
    call.abort();
}
