//! The load: clients that write keys through a pipeline, each on an ordered stream of its own, from one shard of this process.

use std::convert::Infallible;
use std::future::poll_fn;
use std::net::SocketAddr;
use std::pin::Pin;
use std::result::Result;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use allotrope_io::{Back, Shard, ShardId, Shards, ShardsConfig};
use allotrope_proto::Rope;
use allotrope_proto::bulk::{Bulky, GrpcMessages, content_of_command, grpc_message, weave};
use allotrope_proto::checksum::{ChecksumKind, ChecksumSpec, Checksums};
use allotrope_proto::container::*;
use allotrope_proto::edge::ratis::{
    RaftClientId, RaftKind, RaftReply, RaftRequest, ReplicationLevel, SlidingWindow,
};
use allotrope_proto::ratis::RaftClientReplyProto;
use allotrope_types::{DatanodeId, PipelineId};
use bytes::Bytes;
use hyper::body::{Body, Frame, Incoming};
use hyper::client::conn::http2::{Builder, SendRequest};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

use crate::child::Server;

/// Connections at the most; clients share them.
const CONNECTIONS_MAX: usize = 8;
/// Containers that a pipeline has open.
const CONTAINERS: usize = 3;
/// Bytes under one checksum, Ozone's default.
const WINDOW: u32 = 16 << 10;

/// Who writes what.
#[derive(Clone, Copy)]
pub(crate) struct Load {
    pub(crate) pipeline: PipelineId,
    /// Bytes of a key.
    pub(crate) len: usize,
    pub(crate) clients: usize,
    /// The first of the containers.
    pub(crate) first: i64,
    pub(crate) time: Duration,
}

/// The clients' shard.
pub(crate) struct Client {
    shards: Shards,
}

/// A request's body, which grows while it is sent.
struct Growing(UnboundedReceiver<Bytes>);

impl Body for Growing {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        self.0.poll_recv(cx).map(|piece| piece.map(|piece| Ok(Frame::data(piece))))
    }
}

async fn connect(shard: &Shard, address: SocketAddr) -> SendRequest<Growing> {
    let stream = shard.connect(address).await.unwrap();
    let handshake = Builder::new(shard.clone())
        .initial_stream_window_size(4 << 20)
        .initial_connection_window_size(16 << 20)
        .max_frame_size(1 << 20)
        .max_send_buf_size(2 << 20)
        .handshake(stream);
    let (sender, connection) = handshake.await.unwrap();
    drop(shard.spawn("connection", connection));
    sender
}

/// A call whose messages go out as they come; the way to send, and its answer.
async fn call(mut sender: SendRequest<Growing>, uri: &str) -> (UnboundedSender<Bytes>, Incoming) {
    let (to, body) = unbounded_channel();
    let request =
        hyper::Request::post(uri).header("content-type", "application/grpc").header("te", "trailers");
    sender.ready().await.unwrap();
    let response = sender.send_request(request.body(Growing(body)).unwrap()).await.unwrap();
    (to, response.into_body())
}

impl Client {
    pub(crate) fn new() -> Client {
        let make = |back| ShardsConfig {
            memory_per_shard: 8 << 20,
            pin: false,
            name: "client".into(),
            back,
            ..ShardsConfig::portable(1)
        };
        let shards = Shards::start(make(Back::Uring)).or_else(|_| Shards::start(make(Back::Portable)));
        Client { shards: shards.unwrap() }
    }

    /// Writes through the pipeline that `leader` leads, and says how long each key took, in ms.
    pub(crate) fn write(&self, leader: &Server, load: &Load) -> Vec<f64> {
        let (address, node, load) = (leader.pipelines, leader.id, *load);
        let running = self.shards.run_on(ShardId(0), "clients", move |shard| async move {
            let mut connections = Vec::new();
            for _ in 0..load.clients.min(CONNECTIONS_MAX) {
                connections.push(connect(&shard, address).await);
            }
            let (data, chunk) = payload(load.len);
            let tasks: Vec<_> = (0..load.clients)
                .map(|n| {
                    let sender = connections[n % connections.len()].clone();
                    let (data, chunk) = (data.clone(), chunk.clone());
                    shard.spawn("client", async move {
                        let uri = format!("http://{address}/ratis.grpc.RaftClientProtocolService/ordered");
                        let writer = Writer::open(sender, &uri, node, load, n).await;
                        writer.write(data, chunk).await
                    })
                })
                .collect();
            let mut done = Vec::new();
            for task in tasks {
                done.extend(task.await.unwrap());
            }
            done
        });
        running.unwrap().wait().unwrap()
    }

    /// Removes the containers that [`Client::write`] made, from one datanode.
    pub(crate) fn remove(&self, server: &Server, first: i64) {
        let (address, node) = (server.address, server.id.to_string());
        let running = self.shards.run_on(ShardId(0), "remove", move |shard| async move {
            let uri = format!("http://{address}/hadoop.hdds.datanode.XceiverClientProtocolService/send");
            for container in first..first + CONTAINERS as i64 {
                let (to, mut body) = call(connect(&shard, address).await, &uri).await;
                let delete = ContainerCommandRequestProto {
                    cmd_type: Type::DeleteContainer.into(),
                    container_id: container,
                    datanode_uuid: node.clone(),
                    delete_container: Some(DeleteContainerRequestProto { force_delete: Some(true) }),
                    ..Default::default()
                };
                let frames = grpc_message(weave(Bulky { message: delete, bulk: Vec::new() }));
                frames.into_iter().for_each(|piece| to.send(piece).unwrap());
                drop(to);
                while poll_fn(|cx| Pin::new(&mut body).poll_frame(cx)).await.is_some() {}
            }
        });
        running.unwrap().wait().unwrap();
    }
}

/// One client and its stream.
struct Writer {
    load: Load,
    node: DatanodeId,
    /// Its place among the clients.
    n: usize,
    calls: u64,
    to: UnboundedSender<Bytes>,
    body: Incoming,
    messages: GrpcMessages,
}

impl Writer {
    async fn open(sender: SendRequest<Growing>, uri: &str, node: DatanodeId, load: Load, n: usize) -> Writer {
        let (to, body) = call(sender, uri).await;
        Writer { load, node, n, calls: 0, to, body, messages: GrpcMessages::new(1 << 20) }
    }

    async fn write(mut self, data: Bytes, chunk: ChunkInfo) -> Vec<f64> {
        let (end, mut keys_ms) = (Instant::now() + self.load.time, Vec::new());
        let container_id = self.load.first + (self.n % CONTAINERS) as i64;
        let mut local_id = (self.n as i64) << 32;
        while Instant::now() < end {
            let began = Instant::now();
            local_id += 1;
            let block_id = DatanodeBlockId { container_id, local_id, ..Default::default() };
            let chunk = ChunkInfo { chunk_name: format!("{local_id}_chunk_1"), ..chunk.clone() };
            self.write_chunk(&block_id, &chunk, &data);
            self.put_block(block_id, chunk);
            for _ in 0..2 {
                let reply = self.reply().await;
                assert!(reply.success, "{reply:?}");
            }
            keys_ms.push(began.elapsed().as_secs_f64() * 1e3);
        }
        keys_ms
    }

    fn command(&self, kind: Type) -> ContainerCommandRequestProto {
        ContainerCommandRequestProto {
            cmd_type: kind.into(),
            container_id: self.load.first + (self.n % CONTAINERS) as i64,
            datanode_uuid: self.node.to_string(),
            pipeline_id: Some(self.load.pipeline.to_string()),
            ..Default::default()
        }
    }

    fn write_chunk(&mut self, block_id: &DatanodeBlockId, chunk: &ChunkInfo, data: &Bytes) {
        let mut message = self.command(Type::WriteChunk);
        message.write_chunk = Some(WriteChunkRequestProto {
            block_id: *block_id,
            chunk_data: Some(chunk.clone()),
            data: Some(Bytes::new()),
            ..Default::default()
        });
        self.send(Bulky { message, bulk: vec![Rope::from(data.clone())] });
    }

    fn put_block(&mut self, block_id: DatanodeBlockId, chunk: ChunkInfo) {
        let mut message = self.command(Type::PutBlock);
        let block_data = BlockData { block_id, chunks: vec![chunk], ..Default::default() };
        message.put_block =
            Some(PutBlockRequestProto { block_data, eof: Some(true), container_auto_create: None });
        self.send(Bulky { message, bulk: Vec::new() });
    }

    fn send(&mut self, command: Bulky<ContainerCommandRequestProto>) {
        self.calls += 1;
        let mut client = [0; 16];
        client[..8].copy_from_slice(&self.load.first.to_be_bytes());
        client[8..].copy_from_slice(&(self.n as u64).to_be_bytes());
        let request = RaftRequest {
            client: RaftClientId(client),
            server: self.node,
            group: self.load.pipeline,
            call_id: self.calls,
            to_leader: true,
            span: None,
            replied_call_ids: Vec::new(),
            timeout_ms: 0,
            routing_table: None,
            sliding_window: Some(SlidingWindow { seq_num: self.calls, is_first: self.calls == 1 }),
            kind: RaftKind::Write(ReplicationLevel::Majority),
            content: Some(content_of_command(command)),
        };
        let frames = grpc_message(request.frames());
        frames.into_iter().for_each(|piece| self.to.send(piece).expect("the stream is open"));
    }

    async fn reply(&mut self) -> RaftReply {
        loop {
            if let Some(message) = self.messages.next_message().unwrap() {
                let reply: RaftClientReplyProto = allotrope_proto::decode(message.join()).unwrap();
                return reply.try_into().unwrap();
            }
            let frame = poll_fn(|cx| Pin::new(&mut self.body).poll_frame(cx)).await;
            match frame.expect("the stream goes on").unwrap().into_data() {
                Ok(data) => self.messages.push(data),
                Err(end) => panic!("the stream ended: {end:?}"),
            }
        }
    }
}

/// Bytes that do not compress, and the chunk that describes them at offset 0.
fn payload(len: usize) -> (Bytes, ChunkInfo) {
    let mut x = 0x9e37_79b9_7f4a_7c15u64;
    let next = || {
        x ^= x << 13;
        x ^= x >> 7;
        x ^= x << 17;
        (x >> 24) as u8
    };
    let data: Vec<u8> = std::iter::repeat_with(next).take(len).collect();
    let spec = ChecksumSpec::new(ChecksumKind::Crc32, WINDOW).unwrap();
    let chunk = ChunkInfo {
        chunk_name: "bench_chunk".into(),
        offset: 0,
        len: len as u64,
        checksum_data: ChecksumData {
            r#type: ChecksumType::Crc32.into(),
            bytes_per_checksum: WINDOW,
            checksums: Checksums::compute(spec, &data).values().collect(),
        },
        ..Default::default()
    };
    (data.into(), chunk)
}
