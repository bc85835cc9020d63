//! gRPC, ours and Ozone's, over the services that Hadoop RPC serves too; both wires on one port.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use allotrope_proto::grpc::{GrpcClient, GrpcClientConfig, GrpcServer, GrpcServerConfig};
use allotrope_proto::hadoop_rpc::{HadoopServer, HadoopServerConfig};
use allotrope_proto::heartbeat::{ScmDatanodeRequest, ScmDatanodeResponse};
use allotrope_proto::net::{AcceptLimits, Drain, Plain, Port, listen};
use allotrope_proto::om::{OmResponse, Status, Type};
use allotrope_proto::rpc::catalog::{
    DatanodeHeartbeat, OmDecommission, OmSubmit, ScmBlockSend, ScmContainerSubmit,
};
use allotrope_proto::rpc::{
    Advice, CallContext, CallError, CallOptions, ClientId, Fault, Methods, RpcClient, Service, TransportKind,
    class,
};
use allotrope_proto::scm_block::{ScmBlockLocationRequest, ScmBlockLocationResponse};
use allotrope_proto::scm_container::{ScmContainerLocationRequest, ScmContainerLocationResponse};
use prost::Message;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::support::{TestOm, client, echo, echoed, eventually, golden, listen as hear, request};

/// Answers each of the SCM's protocols with the request's own words.
struct TestScm;

impl Service<ScmBlockSend> for TestScm {
    async fn call(
        &self,
        _: CallContext,
        asked: ScmBlockLocationRequest,
    ) -> Result<ScmBlockLocationResponse, Fault> {
        Ok(ScmBlockLocationResponse {
            cmd_type: asked.cmd_type,
            trace_id: asked.trace_id,
            status: 1,
            ..ScmBlockLocationResponse::default()
        })
    }
}

impl Service<ScmContainerSubmit> for TestScm {
    async fn call(
        &self,
        context: CallContext,
        _: ScmContainerLocationRequest,
    ) -> Result<ScmContainerLocationResponse, Fault> {
        Err(Fault::access_denied(format!("{} may not", context.caller.user.unwrap_or_default())))
    }
}

impl Service<DatanodeHeartbeat> for TestScm {
    async fn call(&self, _: CallContext, asked: ScmDatanodeRequest) -> Result<ScmDatanodeResponse, Fault> {
        Ok(ScmDatanodeResponse {
            cmd_type: asked.cmd_type,
            trace_id: asked.trace_id,
            success: Some(true),
            status: 1,
            ..ScmDatanodeResponse::default()
        })
    }
}

pub(crate) struct Running {
    pub(crate) address: SocketAddr,
    om: Arc<TestOm>,
    pub(crate) grpc: GrpcServer,
    drain: Drain,
}

impl Drop for Running {
    fn drop(&mut self) {
        self.drain.start();
    }
}

/// Both wires on one port.
pub(crate) async fn start(config: GrpcServerConfig) -> Running {
    let (om, scm) = (Arc::new(TestOm::default()), Arc::new(TestScm));
    let methods = Methods::new()
        .serve::<OmSubmit, _>(&om)
        .and_then(|methods| methods.serve::<ScmBlockSend, _>(&scm))
        .and_then(|methods| methods.serve::<ScmContainerSubmit, _>(&scm))
        .and_then(|methods| methods.serve::<DatanodeHeartbeat, _>(&scm));
    let methods = Arc::new(methods.unwrap());
    let grpc = GrpcServer::new(config, Arc::clone(&methods));
    let hadoop = HadoopServer::new(HadoopServerConfig::default(), methods).unwrap();
    let listener = listen("127.0.0.1:0".parse().unwrap()).unwrap();
    let address = listener.local_addr().unwrap();
    let drain = Drain::new();
    let limits = AcceptLimits { handshake_time_max: Duration::from_millis(500), ..AcceptLimits::default() };
    let (port, draining) = (Port::new(hadoop, grpc.clone(), limits), drain.clone());
    tokio::spawn(async move { port.serve(listener, Plain, &draining).await });
    Running { address, om, grpc, drain }
}

pub(crate) fn grpc_client(address: SocketAddr) -> GrpcClient {
    grpc_client_with(address, GrpcClientConfig::default())
}

fn grpc_client_with(address: SocketAddr, config: GrpcClientConfig) -> GrpcClient {
    let config = GrpcClientConfig { user: Some("root".into()), ..config };
    GrpcClient::new(address.into(), Plain, ClientId::from_bytes(*b"fedcba9876543210"), config).unwrap()
}

#[tokio::test]
async fn one_service_answers_the_same_over_both_wires_on_one_port() {
    let running = start(GrpcServerConfig::default()).await;
    let (hadoop, grpc) = (client(running.address), grpc_client(running.address));
    for asked in [request(Type::ServiceList), request(Type::InfoVolume), echo("both")] {
        let options = CallOptions::default();
        let one: OmResponse = hadoop.call::<OmSubmit>(&asked, &options).await.unwrap();
        let two: OmResponse = grpc.call::<OmSubmit>(&asked, &options).await.unwrap();
        assert_eq!(one, two);
    }
    let contexts = running.om.contexts();
    let kinds: Vec<_> = contexts.iter().map(|context| context.caller.transport).collect();
    assert_eq!(kinds, [TransportKind::HadoopRpc, TransportKind::Grpc].repeat(3));
    assert!(contexts.iter().all(|context| context.caller.user.as_deref() == Some("root")));
    assert!(contexts.iter().all(|context| context.caller.client_id.is_some()));
}

#[tokio::test]
async fn a_port_answers_what_is_neither_wire_and_closes_what_says_nothing() {
    let running = start(GrpcServerConfig::default()).await;
    let quiet = Duration::from_secs(5);
    let mut browser = TcpStream::connect(running.address).await.unwrap();
    browser.write_all(&golden("rpc-errors/http-get.req.bin")).await.unwrap();
    assert_eq!(hear(&mut browser, quiet).await.bytes, golden("rpc-errors/http-get.rsp.bin"));
    for sent in [&b""[..], b"PR", b"h"] {
        let mut socket = TcpStream::connect(running.address).await.unwrap();
        socket.write_all(sent).await.unwrap();
        assert!(hear(&mut socket, quiet).await.closed, "{sent:?}");
    }
    // A preface byte by byte is still a preface.
    let mut slow = TcpStream::connect(running.address).await.unwrap();
    slow.set_nodelay(true).unwrap();
    for byte in b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0" {
        slow.write_all(&[*byte]).await.unwrap();
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    let mut settings = [0; 9];
    slow.read_exact(&mut settings).await.unwrap();
    assert_eq!(settings[3], 4, "the server's SETTINGS frame");
}

#[tokio::test]
async fn the_control_planes_protocols_are_served() {
    let running = start(GrpcServerConfig::default()).await;
    let grpc = grpc_client(running.address);
    let options = CallOptions::default();
    let asked = ScmBlockLocationRequest {
        cmd_type: 11,
        trace_id: Some("t".into()),
        ..ScmBlockLocationRequest::default()
    };
    let answer = grpc.call::<ScmBlockSend>(&asked, &options).await.unwrap();
    assert_eq!((answer.cmd_type, answer.trace_id.as_deref()), (11, Some("t")));
    let beat = ScmDatanodeRequest { cmd_type: 1, ..ScmDatanodeRequest::default() };
    let answer = grpc.call::<DatanodeHeartbeat>(&beat, &options).await.unwrap();
    assert_eq!((answer.cmd_type, answer.success), (1, Some(true)));
    let admin = ScmContainerLocationRequest { cmd_type: 1, ..ScmContainerLocationRequest::default() };
    let denied = grpc.call::<ScmContainerSubmit>(&admin, &options).await.unwrap_err();
    assert_eq!((denied.remote_class(), denied.advice()), (Some(class::ACCESS_CONTROL), Advice::GiveUp));
    assert!(denied.to_string().ends_with("root may not"), "{denied}");
}

#[tokio::test]
async fn exceptions_keep_their_class_over_grpc() {
    let running = start(GrpcServerConfig::default()).await;
    let grpc = grpc_client(running.address);
    for class in [class::OM_NOT_LEADER, class::OM_LEADER_NOT_READY, "org.example.Unheard$Inner"] {
        let error = grpc
            .call::<OmSubmit>(&echo(format!("fault:{class}")), &CallOptions::default())
            .await
            .unwrap_err();
        assert_eq!(error.remote_class(), Some(class));
    }
    let failed = grpc.call::<OmSubmit>(&echo("panic"), &CallOptions::default()).await.unwrap_err();
    assert_eq!(failed.remote_class(), Some(class::IO));
    let none = grpc.call::<OmDecommission>(&Default::default(), &CallOptions::default()).await.unwrap_err();
    assert_eq!(none.remote_class(), Some(class::NO_SUCH_METHOD));
    let missing = grpc.call::<OmSubmit>(&Default::default(), &CallOptions::default()).await;
    // cmdType 0 is declared and the test OM does not know it.
    assert_eq!(missing.unwrap_err().remote_class(), Some(class::IO));
}

#[tokio::test]
async fn a_deadline_reaches_the_server_and_ends_the_call() {
    let running =
        start(GrpcServerConfig { call_time_max: Duration::from_secs(30), ..Default::default() }).await;
    let grpc = grpc_client(running.address);
    let options = CallOptions { time_max: Some(Duration::from_millis(200)), ..CallOptions::default() };
    let late = grpc.call::<OmSubmit>(&echo("sleep:60000"), &options).await.unwrap_err();
    assert!(late.may_have_taken_effect(), "{late}");
    let deadline = running.om.contexts()[0].deadline;
    assert!(deadline < tokio::time::Instant::now() + Duration::from_secs(1));
    eventually("the call has ended at the server", || running.grpc.load().calls == 0).await;
    // Without a deadline of its own a call has the server's.
    let short =
        start(GrpcServerConfig { call_time_max: Duration::from_millis(200), ..Default::default() }).await;
    let late =
        grpc_client(short.address).call::<OmSubmit>(&echo("sleep:60000"), &CallOptions::default()).await;
    assert_eq!(late.unwrap_err().remote_class(), Some(class::TIMEOUT));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_thousand_calls_are_in_flight_on_one_grpc_connection() {
    let running = start(GrpcServerConfig::default()).await;
    let grpc = grpc_client(running.address);
    let calls: Vec<_> = (0..1000)
        .map(|_| {
            let grpc = grpc.clone();
            tokio::spawn(
                async move { grpc.call::<OmSubmit>(&echo("gate:1000"), &CallOptions::default()).await },
            )
        })
        .collect();
    for call in calls {
        assert_eq!(echoed(&call.await.unwrap().unwrap()), "gate:1000");
    }
}

#[tokio::test]
async fn messages_have_limits_both_ways() {
    let config = GrpcServerConfig { request_bytes_max: 1000, response_bytes_max: 1000, ..Default::default() };
    let running = start(config).await;
    let grpc = grpc_client(running.address);
    let long = grpc.call::<OmSubmit>(&echo(vec![b'x'; 2000]), &CallOptions::default()).await.unwrap_err();
    assert_eq!(long.advice(), Advice::GiveUp, "{long}");
    let long = grpc.call::<OmSubmit>(&echo("size:2000"), &CallOptions::default()).await.unwrap_err();
    assert!(long.to_string().contains("1000 is the limit"), "{long}");
    let large = start(GrpcServerConfig::default()).await;
    let payload = vec![b'x'; 10 << 20];
    let answer =
        grpc_client(large.address).call::<OmSubmit>(&echo(payload.clone()), &CallOptions::default()).await;
    assert!(echoed(&answer.unwrap()) == payload);
    eventually("its bytes are given back", || large.grpc.load().request_bytes == 0).await;
}

#[tokio::test]
async fn a_full_server_says_that_another_time_may_do() {
    let running =
        start(GrpcServerConfig { calls_max: 1, request_bytes_total_max: 5000, ..Default::default() }).await;
    let grpc = grpc_client(running.address);
    let held = {
        let grpc = grpc.clone();
        tokio::spawn(async move { grpc.call::<OmSubmit>(&echo("sleep:500"), &CallOptions::default()).await })
    };
    eventually("one call is there", || running.grpc.load().calls == 1).await;
    let full = grpc.call::<OmSubmit>(&echo("second"), &CallOptions::default()).await.unwrap_err();
    assert_eq!((full.remote_class(), full.advice()), (Some(class::RETRIABLE), Advice::AskAgain));
    held.await.unwrap().unwrap();
    let full = grpc.call::<OmSubmit>(&echo(vec![b'x'; 6000]), &CallOptions::default()).await.unwrap_err();
    assert_eq!(full.advice(), Advice::AskAgain, "{full}");
    eventually("nothing is held", || running.grpc.load().calls == 0).await;
    assert_eq!(running.grpc.load().request_bytes, 0);
    grpc.call::<OmSubmit>(&echo("third"), &CallOptions::default()).await.unwrap();
}

#[tokio::test]
async fn a_drain_lets_grpc_calls_end() {
    let running = start(GrpcServerConfig::default()).await;
    let grpc = grpc_client(running.address);
    let asked = {
        let grpc = grpc.clone();
        tokio::spawn(async move { grpc.call::<OmSubmit>(&echo("sleep:500"), &CallOptions::default()).await })
    };
    eventually("the call has arrived", || running.grpc.load().calls == 1).await;
    assert!(running.drain.finish(Duration::from_secs(5)).await);
    assert!(asked.await.unwrap().is_ok());
    let refused = grpc.call::<OmSubmit>(&echo("late"), &CallOptions::default()).await.unwrap_err();
    assert!(matches!(refused, CallError::Unreachable { .. }), "{refused}");
    assert!(!refused.may_have_taken_effect());
}

#[tokio::test]
async fn a_recorded_connection_of_ozones_gateway_is_answered() {
    let running = start(GrpcServerConfig::default()).await;
    let mut gateway = TcpStream::connect(running.address).await.unwrap();
    gateway.write_all(&golden("om-grpc/key-put.client.h2")).await.unwrap();
    let mut heard = Vec::new();
    // Five calls: the first, ServiceList, is answered with the recorded message; the test OM knows not all others.
    let wanted = golden("om-grpc/key-put.01.ServiceList.rsp.bin");
    let wanted = OmResponse::decode(&*wanted).unwrap();
    assert_eq!(wanted.status(), Status::Ok);
    let needle = b"localhost";
    tokio::time::timeout(Duration::from_secs(5), async {
        while !heard.windows(needle.len()).any(|part| part == needle) {
            assert_ne!(gateway.read_buf(&mut heard).await.unwrap(), 0);
        }
    })
    .await
    .unwrap();
    eventually("all five calls have come", || running.om.contexts().len() >= 5).await;
    let caller = running.om.contexts()[0].caller.clone();
    assert!(caller.host_claimed.is_some() && caller.address_claimed.is_some(), "{caller:?}");
    assert_eq!((caller.user, caller.client_id), (None, None));
}
