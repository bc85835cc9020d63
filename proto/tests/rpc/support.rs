//! A small OM for the transports to carry, and the words in which the tests speak to it.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use allotrope_proto::hadoop_rpc::{ClientConfig, HadoopClient, HadoopServer, HadoopServerConfig};
use allotrope_proto::net::{AcceptLimits, Drain, Plain};
use allotrope_proto::om::{EchoRpcRequest, EchoRpcResponse, OmRequest, OmResponse, Status, Type};
use allotrope_proto::rpc::catalog::OmSubmit;
use allotrope_proto::rpc::{CallContext, ClientId, Fault, Methods, Service};
use bytes::Bytes;
use prost::Message;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::Barrier;

/// Answers ServiceList as the recorded OM did, InfoVolume with VOLUME_NOT_FOUND, EchoRPC by its payload's command,
/// and any request it was taught with the answer it was taught.
#[derive(Default)]
pub(crate) struct TestOm {
    taught: BTreeMap<Vec<u8>, OmResponse>,
    barriers: Mutex<BTreeMap<usize, Arc<Barrier>>>,
    contexts: Mutex<Vec<CallContext>>,
}

impl TestOm {
    pub(crate) fn teach(&mut self, request: &OmRequest, response: OmResponse) {
        self.taught.insert(request.encode_to_vec(), response);
    }

    /// Who called, in order.
    pub(crate) fn contexts(&self) -> Vec<CallContext> {
        self.contexts.lock().unwrap().clone()
    }

    fn barrier(&self, count: usize) -> Arc<Barrier> {
        let mut barriers = self.barriers.lock().unwrap();
        Arc::clone(barriers.entry(count).or_insert_with(|| Arc::new(Barrier::new(count))))
    }

    /// `gate:N` waits for N such calls, `sleep:MS` waits, `fault:CLASS` fails, `panic` panics, `size:N` answers with
    /// N bytes; anything else, and no size asked for, comes back.
    async fn echo(&self, asked: EchoRpcRequest) -> Result<Bytes, Fault> {
        let payload = asked.payload_req.unwrap_or_default();
        let text = String::from_utf8_lossy(&payload[..payload.len().min(200)]).into_owned();
        match text.split_once(':') {
            Some(("gate", count)) => {
                let count = count.parse().unwrap();
                self.barrier(count).wait().await;
                return Ok(payload);
            }
            Some(("sleep", ms)) => tokio::time::sleep(Duration::from_millis(ms.parse().unwrap())).await,
            Some(("fault", class)) => return Err(Fault::application(class.to_owned(), "asked for")),
            Some(("size", bytes)) => return Ok(Bytes::from(vec![7; bytes.parse().unwrap()])),
            _ if text == "panic" => panic!("asked for"),
            _ => {}
        }
        match asked.payload_size_resp {
            // An OM takes this size in KiB.
            Some(kib) if kib > 0 => Ok(Bytes::from(vec![7; (kib as usize) << 10])),
            _ => Ok(payload),
        }
    }
}

impl Service<OmSubmit> for TestOm {
    async fn call(&self, context: CallContext, request: OmRequest) -> Result<OmResponse, Fault> {
        self.contexts.lock().unwrap().push(context);
        if let Some(response) = self.taught.get(&request.encode_to_vec()) {
            return Ok(response.clone());
        }
        let base = OmResponse {
            cmd_type: request.cmd_type,
            trace_id: request.trace_id.clone(),
            success: Some(true),
            status: Status::Ok.into(),
            ..OmResponse::default()
        };
        match request.cmd_type() {
            Type::ServiceList => {
                let mut response = service_list();
                response.trace_id = request.trace_id;
                Ok(response)
            }
            Type::InfoVolume => {
                let volume = request.info_volume_request.map(|asked| asked.volume_name).unwrap_or_default();
                Ok(OmResponse {
                    success: Some(false),
                    status: Status::VolumeNotFound.into(),
                    message: Some(format!("Volume {volume} is not found")),
                    ..base
                })
            }
            Type::EchoRpc => {
                let payload = self.echo(*request.echo_rpc_request.unwrap_or_default()).await?;
                Ok(OmResponse {
                    echo_rpc_response: Some(Box::new(EchoRpcResponse { payload: Some(payload) })),
                    ..base
                })
            }
            other => Err(Fault::io(format!("the test OM does not know {}", other.as_str_name()))),
        }
    }
}

pub(crate) fn echo(payload: impl Into<Bytes>) -> OmRequest {
    OmRequest {
        cmd_type: Type::EchoRpc.into(),
        client_id: "client-test".into(),
        echo_rpc_request: Some(Box::new(EchoRpcRequest {
            payload_req: Some(payload.into()),
            ..EchoRpcRequest::default()
        })),
        ..OmRequest::default()
    }
}

pub(crate) fn echoed(response: &OmResponse) -> Bytes {
    response.echo_rpc_response.clone().and_then(|echo| echo.payload).unwrap_or_default()
}

pub(crate) fn request(cmd_type: Type) -> OmRequest {
    OmRequest { cmd_type: cmd_type.into(), client_id: "client-test".into(), ..OmRequest::default() }
}

fn golden_dir() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/golden")
}

pub(crate) fn golden(name: &str) -> Vec<u8> {
    let path = golden_dir().join(name);
    std::fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// The names of the files in a folder of recordings, in order.
pub(crate) fn goldens(folder: &str) -> Vec<String> {
    let mut names: Vec<String> = std::fs::read_dir(golden_dir().join(folder))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

fn service_list() -> OmResponse {
    let frame = golden("rpc/key-put.03.submitRequest.ServiceList.rsp.bin");
    // length, header, varint of one byte, message
    let header = usize::from(frame[4]);
    OmResponse::decode(&frame[4 + 1 + header + 1..]).unwrap()
}

/// A server that runs until it is dropped.
pub(crate) struct Running {
    pub(crate) address: SocketAddr,
    pub(crate) server: HadoopServer,
    pub(crate) om: Arc<TestOm>,
    pub(crate) drain: Drain,
}

impl Drop for Running {
    fn drop(&mut self) {
        self.drain.start();
    }
}

pub(crate) async fn start(config: HadoopServerConfig) -> Running {
    start_with(TestOm::default(), config, AcceptLimits::default()).await
}

pub(crate) async fn start_with(om: TestOm, config: HadoopServerConfig, limits: AcceptLimits) -> Running {
    let om = Arc::new(om);
    let methods = Methods::new().serve::<OmSubmit, _>(&om).unwrap();
    let server = HadoopServer::new(config, Arc::new(methods)).unwrap();
    let listener = allotrope_proto::net::listen("127.0.0.1:0".parse().unwrap()).unwrap();
    let address = listener.local_addr().unwrap();
    let drain = Drain::new();
    let (serving, draining) = (server.clone(), drain.clone());
    tokio::spawn(async move { serving.serve(listener, Plain, limits, &draining).await });
    Running { address, server, om, drain }
}

pub(crate) fn client(address: SocketAddr) -> HadoopClient<Plain> {
    client_with(address, ClientConfig::default())
}

pub(crate) fn client_with(address: SocketAddr, config: ClientConfig) -> HadoopClient<Plain> {
    let config = ClientConfig { user: Some("root".into()), ..config };
    HadoopClient::new(address.into(), Plain, ClientId::from_bytes(*b"0123456789abcdef"), config)
}

/// What came back, and whether the server closed the connection.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Heard {
    pub(crate) bytes: Vec<u8>,
    pub(crate) closed: bool,
}

/// Reads until the server closes or has said nothing for `quiet`.
pub(crate) async fn listen(socket: &mut TcpStream, quiet: Duration) -> Heard {
    let mut bytes = Vec::new();
    loop {
        let mut piece = [0; 4096];
        match tokio::time::timeout(quiet, socket.read(&mut piece)).await {
            Ok(Ok(0)) => return Heard { bytes, closed: true },
            Ok(Ok(read)) => bytes.extend_from_slice(&piece[..read]),
            Ok(Err(error)) => panic!("the connection was reset after {} bytes: {error}", bytes.len()),
            Err(_) => return Heard { bytes, closed: false },
        }
    }
}

/// Sends raw bytes on a new connection and listens.
pub(crate) async fn say(address: SocketAddr, bytes: &[u8]) -> Heard {
    let mut socket = TcpStream::connect(address).await.unwrap();
    socket.write_all(bytes).await.unwrap();
    listen(&mut socket, Duration::from_millis(400)).await
}

/// The bytes that open a connection as root: preamble and connection context.
pub(crate) fn opening() -> Vec<u8> {
    let mut bytes = golden("rpc/key-put.00.preamble.req.bin");
    bytes.extend(golden("rpc/key-put.01.context.req.bin"));
    bytes
}

/// Waits until `what` holds; panics after ten seconds.
pub(crate) async fn eventually(what: &str, mut holds: impl FnMut() -> bool) {
    for _ in 0..1000 {
        if holds() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("after ten seconds it was still not so that {what}");
}
