//! The datanode as a process sees it: gRPC over TCP, RocksDB, a real disk, and a captured client's own requests.

use crate::ask::{self, *};
use allotrope_datanode::commands::{Request, Response};
use allotrope_datanode::control::link::{LinkError, ScmLink};
use allotrope_datanode::{Config, Running, start_with};
use allotrope_io::{Back, Shard, ShardId, Shards, ShardsConfig};
use allotrope_proto::Rope;
use allotrope_proto::bulk::{Bulky, GrpcMessages, SplitLimits, grpc_message, split, weave};
use allotrope_proto::container::*;
use allotrope_proto::edge::heartbeat::apart::ScmDatanodeResponseApart;
use allotrope_proto::hdds::{DatanodeDetailsProto, KeyValue as Pair, PipelineId, Uuid};
use allotrope_proto::heartbeat::{
    CloseContainerCommandProto, CommandStatus, ContainerReplicaProto, PipelineAction, PipelineReport,
    ScmCommandProto, ScmDatanodeRequest, ScmDatanodeResponse, ScmHeartbeatResponseProto,
    ScmRegisteredResponseProto, ScmVersionResponseProto, Status, scm_command_proto,
};
use allotrope_types::{ByteCount, DatanodeResult};
use bytes::Bytes;
use hyper::body::{Body, Frame};
use prost::Message;
use std::convert::Infallible;
use std::future::poll_fn;
use std::net::SocketAddr;
use std::path::Path;
use std::pin::Pin;
use std::result::Result;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};
use std::time::Duration;

/// An SCM that knows its cluster, registers everyone and remembers what it was told.
#[derive(Clone, Default)]
pub(crate) struct Scm(Arc<Mutex<Told>>);

#[derive(Default)]
pub(crate) struct Told {
    pub(crate) registered: u64,
    /// Of the datanode that registered last.
    pub(crate) details: Option<DatanodeDetailsProto>,
    pub(crate) reported: Vec<ContainerReplicaProto>,
    pub(crate) commands: Vec<ScmCommandProto>,
    pub(crate) statuses: Vec<CommandStatus>,
    /// The pipelines of the last heartbeat, and those that it says have ended.
    pub(crate) pipelines: Vec<PipelineReport>,
    pub(crate) ended: Vec<PipelineAction>,
}

impl Scm {
    pub(crate) fn told<T>(&self, see: impl FnOnce(&mut Told) -> T) -> T {
        see(&mut self.0.lock().unwrap())
    }
}

impl ScmLink for Scm {
    fn name(&self) -> String {
        "test".into()
    }

    async fn submit(&self, request: ScmDatanodeRequest) -> Result<ScmDatanodeResponseApart, LinkError> {
        Ok(self.answer(request).into())
    }
}

impl Scm {
    /// What this SCM answers.
    pub(crate) fn answer(&self, request: ScmDatanodeRequest) -> ScmDatanodeResponse {
        let mut told = self.0.lock().unwrap();
        let mut response = ScmDatanodeResponse {
            cmd_type: request.cmd_type,
            status: Status::Ok.into(),
            ..Default::default()
        };
        if request.get_version_request.is_some() {
            let pair = |key: &str, value: &str| Pair { key: key.into(), value: Some(value.into()) };
            let keys = vec![pair("scmUuid", "s"), pair("clusterID", crate::world::CLUSTER)];
            response.get_version_response = Some(ScmVersionResponseProto { software_version: 1, keys });
        }
        if let Some(register) = request.register_request {
            told.registered += 1;
            let details = register.extended_datanode_details.datanode_details;
            told.details = Some(details.clone());
            response.register_response = Some(ScmRegisteredResponseProto {
                error_code: 1,
                datanode_uuid: details.uuid.unwrap(),
                cluster_id: crate::world::CLUSTER.into(),
                ..Default::default()
            });
        }
        if let Some(beat) = request.send_heartbeat_request {
            told.statuses.extend(beat.command_status_reports.into_iter().flat_map(|one| one.cmd_status));
            told.pipelines = beat.pipeline_reports.unwrap_or_default().pipeline_report;
            told.ended = beat.pipeline_actions.unwrap_or_default().pipeline_actions;
            told.reported.extend(beat.incremental_container_report.into_iter().flat_map(|one| one.report));
            response.send_heartbeat_response = Some(ScmHeartbeatResponseProto {
                datanode_uuid: beat.datanode_details.uuid.unwrap(),
                commands: std::mem::take(&mut told.commands),
                term: Some(1),
            });
        }
        response
    }
}

pub(crate) fn config(root: &Path) -> Config {
    let mut config = Config::new(vec![root.join("disk1"), root.join("disk2")], root.join("meta"), Vec::new());
    config.listen = SocketAddr::from(([127, 0, 0, 1], 0));
    config.replication.listen = SocketAddr::from(([127, 0, 0, 1], 0));
    config.pipelines.listen = SocketAddr::from(([127, 0, 0, 1], 0));
    config.pipelines.admin = SocketAddr::from(([127, 0, 0, 1], 0));
    config.replication.size_unknown = ByteCount::mib(256);
    config.shards = 2;
    // Where the probe finds io_uring usable it is used, or the start fails.
    config.back = Some(Back::of_this_machine());
    config.memory_per_shard = ByteCount::mib(32);
    config.container_size = ByteCount::mib(256);
    (config.free_min_soft, config.free_min_hard) = (ByteCount::mib(1), ByteCount::mib(1));
    config.heartbeat_every = Duration::from_millis(100);
    config.heartbeat_first = Duration::from_millis(50);
    config
}

/// A client on a shard of its own.
pub(crate) struct Client {
    pub(crate) shards: Shards,
    pub(crate) address: SocketAddr,
}

/// A request's body.
pub(crate) struct Once(pub(crate) std::vec::IntoIter<Bytes>);

impl Body for Once {
    type Data = Bytes;
    type Error = Infallible;
    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        Poll::Ready(self.0.next().map(|piece| Ok(Frame::data(piece))))
    }
}

impl Client {
    pub(crate) fn of(address: SocketAddr) -> Client {
        let back = Back::of_this_machine();
        let config = ShardsConfig { back, memory_per_shard: 8 << 20, pin: false, ..ShardsConfig::uring(1) };
        Client { shards: Shards::start(config).unwrap(), address }
    }

    /// The answers to one stream's requests, and gRPC's status.
    pub(crate) fn call(&self, frames: Rope) -> Result<(Vec<Response>, String), String> {
        let address = self.address;
        let asked = self.shards.run_on(ShardId(0), "call", move |shard| async move {
            let limit = Duration::from_secs(60);
            shard.clock().timeout(limit, call(&shard, address, frames)).await.map_err(|e| e.to_string())?
        });
        asked.unwrap().wait().unwrap()
    }

    pub(crate) fn try_ask(&self, request: Request) -> Result<Response, String> {
        let (mut responses, status) = self.call(grpc_message(weave(request)))?;
        match responses.pop() {
            Some(response) if responses.is_empty() && status == "0" => Ok(response),
            _ => Err(format!("{} answers and status {status}", responses.len())),
        }
    }

    pub(crate) fn ask(&self, request: Request) -> Response {
        self.try_ask(request).unwrap()
    }

    pub(crate) fn expect(&self, request: Request) -> Response {
        let response = self.ask(request);
        assert_eq!(ask::result(&response), DatanodeResult::Success, "{:?}", response.message.message);
        response
    }
}

/// A connection, and where its calls go.
pub(crate) async fn connect<B>(
    shard: &Shard,
    address: SocketAddr,
) -> Result<(hyper::client::conn::http2::SendRequest<B>, String), String>
where
    B: Body<Data = Bytes, Error = Infallible> + Unpin + 'static,
{
    let stream = shard.connect(address).await.map_err(|e| e.to_string())?;
    let handshake = hyper::client::conn::http2::handshake(shard.clone(), stream);
    let (sender, connection) = handshake.await.map_err(|e| e.to_string())?;
    drop(shard.spawn("connection", connection));
    Ok((sender, format!("http://{address}/hadoop.hdds.datanode.XceiverClientProtocolService/send")))
}

async fn call(shard: &Shard, address: SocketAddr, frames: Rope) -> Result<(Vec<Response>, String), String> {
    let text = |e: &dyn std::fmt::Display| e.to_string();
    let (mut sender, uri) = connect(shard, address).await?;
    let request = hyper::Request::post(uri)
        .header("content-type", "application/grpc")
        .header("te", "trailers")
        .body(Once(frames.into_iter().collect::<Vec<_>>().into_iter()))
        .map_err(|e| text(&e))?;
    let response = sender.send_request(request).await.map_err(|e| text(&e))?;
    let mut status = response.headers().get("grpc-status").cloned();
    let mut body = response.into_body();
    let (mut messages, mut answers) = (GrpcMessages::new(64 << 20), Vec::new());
    while let Some(frame) = poll_fn(|cx| Pin::new(&mut body).poll_frame(cx)).await {
        match frame.map_err(|e| text(&e))?.into_data() {
            Ok(data) => messages.push(data),
            Err(frame) => status = frame.trailers_ref().and_then(|all| all.get("grpc-status").cloned()),
        }
        while let Some(message) = messages.next_message().map_err(|e| text(&e))? {
            answers.push(split(message, SplitLimits::default()).map_err(|e| text(&e))?);
        }
    }
    let status = status.and_then(|status| status.to_str().map(str::to_owned).ok());
    Ok((answers, status.ok_or("no grpc-status")?))
}

pub(crate) fn wait_until(what: &str, mut there: impl FnMut() -> bool) {
    for _ in 0..3000 {
        if there() {
            return;
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    panic!("waited 30 s for {what}");
}

pub(crate) fn running(root: &Path) -> (Running, Client, Scm) {
    let scm = Scm::default();
    let link = scm.clone();
    let running = start_with(config(root), move || vec![link]).unwrap();
    assert_eq!(running.back(), Back::of_this_machine());
    wait_until("the volumes to open", || running.is_open());
    let client = Client::of(running.address());
    (running, client, scm)
}

/// The file that was put while the capture ran.
fn golden_file() -> Vec<u8> {
    (0..2_621_440u64).map(|x| (31 * x + 17 * (x >> 8) + 7 * (x >> 16)) as u8).collect()
}

fn golden(name: &str) -> Bytes {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(name);
    std::fs::read(path).unwrap().into()
}

#[test]
fn a_captured_clients_put_and_get_are_answered_as_ozone_answered_them() {
    let root = tempfile::tempdir().unwrap();
    let (running, client, _) = running(root.path());
    let (node, file) = (running.id().to_string(), golden_file());
    for (replica, from, to) in [(1, 0, 1 << 20), (3, 2 << 20, (2 << 20) + (512 << 10))] {
        let cell = Bytes::copy_from_slice(&file[from..to]);
        let request = |name: &str| -> ContainerCommandRequestProto {
            let mut message: ContainerCommandRequestProto = allotrope_proto::decode(golden(name)).unwrap();
            // Each replica went to a datanode of its own; here they are containers of one.
            message.datanode_uuid = node.clone();
            message.container_id += replica;
            let id = [
                message.write_chunk.as_mut().map(|one| &mut one.block_id),
                message.put_block.as_mut().map(|one| &mut one.block_data.block_id),
                message.get_block.as_mut().map(|one| &mut one.block_id),
                message.read_chunk.as_mut().map(|one| &mut one.block_id),
            ];
            id.into_iter().flatten().for_each(|id| id.container_id += replica);
            message
        };
        let answer = |name: &str| -> ContainerCommandResponseProto {
            let mut message: ContainerCommandResponseProto = allotrope_proto::decode(golden(name)).unwrap();
            let id = [
                message.put_block.as_mut().map(|one| &mut one.committed_block_length.block_id),
                message.get_block.as_mut().map(|one| &mut one.block_data.block_id),
                message.read_chunk.as_mut().map(|one| &mut one.block_id),
            ];
            id.into_iter().flatten().for_each(|id| id.container_id += replica);
            message
        };
        let mut write = request(&format!("put-r{replica}.WriteChunk.req.bin"));
        write.write_chunk.as_mut().unwrap().data = Some(Bytes::new());
        let written = client.ask(Bulky { message: write, bulk: vec![cell.clone().into()] });
        assert_eq!(written.message, answer(&format!("put-r{replica}.WriteChunk.rsp.bin")));
        for (name, kind) in [("put", "PutBlock"), ("get", "GetBlock")] {
            let response = client.ask(request(&format!("{name}-r{replica}.{kind}.req.bin")).into());
            assert_eq!(response.message, answer(&format!("{name}-r{replica}.{kind}.rsp.bin")), "{kind}");
        }
        let read = client.ask(request(&format!("get-r{replica}.ReadChunk.req.bin")).into());
        assert!(ask::data(&read) == cell);
        let (mut ours, mut theirs) = (read.message, answer(&format!("get-r{replica}.ReadChunk.rsp.bin")));
        // How the bytes are cut into buffers is the server's choice.
        for message in [&mut ours, &mut theirs] {
            message.read_chunk.as_mut().unwrap().response_data = None;
        }
        assert_eq!(ours, theirs);
    }
    running.shutdown(Duration::from_secs(5));
}

#[test]
fn what_was_put_is_there_after_a_clean_restart_and_scm_hears_of_it() {
    let root = tempfile::tempdir().unwrap();
    let data = bytes(3, 3 << 20);
    let (first, client, scm) = running(root.path());
    let node = first.id().to_string();
    for container in 1..9 {
        let one = chunk(7, 0, &data);
        client.expect(write_chunk(&node, id(container, 7), one.clone(), data.clone()));
        client.expect(put_block(&node, id(container, 7), vec![one], true));
    }
    client.expect(close_container(&node, 2));
    wait_until("SCM to hear that container 2 is closed", || {
        scm.told(|told| told.reported.iter().any(|one| one.container_id == 2 && one.state == 4))
    });
    assert_eq!(scm.told(|told| told.registered), 1);
    // SCM names a pipeline of every container, also where nobody here is in it.
    let uuid128 = Some(Uuid { most_sig_bits: 3, least_sig_bits: 3 });
    let pipeline_id = PipelineId { id: None, uuid128 };
    let close = CloseContainerCommandProto { container_id: 3, pipeline_id, cmd_id: 3, force: Some(true) };
    scm.told(|told| {
        told.commands.push(ScmCommandProto {
            command_type: scm_command_proto::Type::CloseContainerCommand.into(),
            close_container_command_proto: Some(close),
            ..Default::default()
        });
    });
    wait_until("container 3 to be closed as SCM asked", || {
        scm.told(|told| told.reported.iter().any(|one| one.container_id == 3 && one.state == 4))
    });
    first.shutdown(Duration::from_secs(5));
    let (second, client, _) = running(root.path());
    assert_eq!(second.id().to_string(), node);
    for container in 1..9 {
        let read = client.expect(read_chunk(&node, id(container, 7), 0, 3 << 20));
        assert!(ask::data(&read) == data);
        let state = client.expect(read_container(&node, container)).message.read_container.unwrap();
        let closed = state.container_data.unwrap().state() == container_data_proto::State::Closed;
        assert_eq!(closed, container == 2 || container == 3);
    }
    second.shutdown(Duration::from_secs(5));
}

#[test]
fn a_second_datanode_on_the_same_folders_is_told_who_holds_them() {
    let root = tempfile::tempdir().unwrap();
    let (first, _, _) = running(root.path());
    let again = start_with(config(root.path()), || vec![Scm::default()]).map(|_| ()).unwrap_err();
    assert!(again.to_string().contains(&std::process::id().to_string()), "{again}");
    first.shutdown(Duration::from_secs(5));
}

#[test]
fn a_block_is_streamed_in_parts_with_their_checksums() {
    let root = tempfile::tempdir().unwrap();
    let (running, client, _) = running(root.path());
    let (node, data) = (running.id().to_string(), bytes(4, 5_000_000));
    let pieces: Vec<_> = data
        .chunks(1 << 20)
        .enumerate()
        .map(|(n, piece)| (chunk(7, (n << 20) as u64, piece), piece))
        .collect();
    for (one, piece) in &pieces {
        client.expect(write_chunk(&node, id(1, 7), one.clone(), Bytes::copy_from_slice(piece)));
    }
    client.expect(put_block(&node, id(1, 7), pieces.into_iter().map(|(one, _)| one).collect(), true));
    let read = |offset, length| {
        let mut message = command(Type::ReadBlock, 1, &node);
        message.read_block = Some(ReadBlockRequestProto {
            block_id: id(1, 7),
            offset,
            length: Some(length),
            response_data_size: Some(300_000),
        });
        client.call(grpc_message(Bytes::from(message.encode_to_vec()).into())).unwrap()
    };
    let (parts, status) = read(100_000, 3_000_000);
    assert_eq!(status, "0");
    let start = parts[0].message.read_block.as_ref().unwrap().offset as usize;
    assert_eq!(start, 100_000 / 16_384 * 16_384);
    let whole: Vec<u8> = parts.iter().flat_map(ask::data).collect();
    assert!(whole.len() >= 3_000_000 && whole == data[start..start + whole.len()]);
    for part in &parts {
        let sums = &part.message.read_block.as_ref().unwrap().checksum_data.checksums;
        assert_eq!(sums.len(), ask::data(part).len().div_ceil(16_384));
    }
    assert_eq!(read(5_000_000, 10).1, "11");
    running.shutdown(Duration::from_secs(5));
}

#[test]
fn bytes_that_are_no_request_end_their_stream_and_nothing_else() {
    let root = tempfile::tempdir().unwrap();
    let (running, client, _) = running(root.path());
    let node = running.id().to_string();
    let (_, garbled) = client.call(grpc_message(Rope::from(Bytes::from_static(b"\xff\xff\xff")))).unwrap();
    assert_eq!(garbled, "3");
    let mut long = vec![0; 5];
    long[1..].copy_from_slice(&(33u32 << 20).to_be_bytes());
    let (_, too_long) = client.call(Rope::from(Bytes::from(long))).unwrap();
    assert_eq!(too_long, "8");
    let (_, cut) = client.call(Rope::from(Bytes::from_static(b"\0\0\0\0\x09half"))).unwrap();
    assert_eq!(cut, "3");
    assert_eq!(ask::result(&client.ask(get_block(&node, id(1, 1)))), DatanodeResult::ContainerNotFound);
    running.shutdown(Duration::from_secs(5));
}
