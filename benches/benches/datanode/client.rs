//! The load: streams of commands over a few connections, from one shard of this process.

use allotrope_io::{Back, Shard, ShardId, Shards, ShardsConfig};
use allotrope_proto::Rope;
use allotrope_proto::bulk::{Bulky, GrpcMessages, SplitLimits, grpc_message, split, weave};
use allotrope_proto::checksum::{ChecksumKind, ChecksumSpec, Checksums};
use allotrope_proto::container::*;
use bytes::Bytes;
use hyper::body::{Body, Frame};
use hyper::client::conn::http2::SendRequest;
use std::convert::Infallible;
use std::future::poll_fn;
use std::net::SocketAddr;
use std::pin::Pin;
use std::result::Result;
use std::task::{Context, Poll};

pub(crate) type Request = Bulky<ContainerCommandRequestProto>;
pub(crate) type Response = Bulky<ContainerCommandResponseProto>;

/// Connections of one client at the most; streams share them.
const CONNECTIONS_MAX: usize = 8;
/// Bytes under one checksum, Ozone's default.
pub(crate) const WINDOW: u32 = 16 << 10;

/// A client's shard.
pub(crate) struct Client {
    shards: Shards,
}

/// A connection; a clone is the same one.
#[derive(Clone)]
pub(crate) struct Connection {
    sender: SendRequest<Once>,
    uri: String,
    node: String,
}

/// A request's body.
pub(crate) struct Once(std::vec::IntoIter<Bytes>);

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

    /// Runs `work` for each of `streams` streams at once, on connections to `address`, and returns what each came to.
    pub(crate) fn streams<T, F, W>(&self, server: (SocketAddr, &str), streams: usize, work: W) -> Vec<T>
    where
        T: Send + 'static,
        F: Future<Output = T> + 'static,
        W: Fn(Shard, Connection, usize) -> F + Send + 'static,
    {
        let (address, node) = (server.0, server.1.to_owned());
        let running = self.shards.run_on(ShardId(0), "streams", move |shard| async move {
            let mut connections = Vec::new();
            for _ in 0..streams.min(CONNECTIONS_MAX) {
                connections.push(connect(&shard, address, &node).await);
            }
            let tasks: Vec<_> = (0..streams)
                .map(|n| {
                    let work = work(shard.clone(), connections[n % connections.len()].clone(), n);
                    shard.spawn("stream", work)
                })
                .collect();
            let mut done = Vec::new();
            for task in tasks {
                done.push(task.await.unwrap());
            }
            done
        });
        running.unwrap().wait().unwrap()
    }
}

async fn connect(shard: &Shard, address: SocketAddr, node: &str) -> Connection {
    let stream = shard.connect(address).await.unwrap();
    let handshake = hyper::client::conn::http2::Builder::new(shard.clone())
        .initial_stream_window_size(4 << 20)
        .initial_connection_window_size(16 << 20)
        .max_frame_size(1 << 20)
        .max_send_buf_size(2 << 20)
        .handshake(stream);
    let (sender, connection) = handshake.await.unwrap();
    drop(shard.spawn("connection", connection));
    let uri = format!("http://{address}/hadoop.hdds.datanode.XceiverClientProtocolService/send");
    Connection { sender, uri, node: node.to_owned() }
}

impl Connection {
    /// One command and its answer, whose result must be SUCCESS.
    pub(crate) async fn ask(&mut self, request: Request) -> Response {
        let frames = grpc_message(weave(request)).into_iter().collect::<Vec<_>>();
        let request = hyper::Request::post(&self.uri)
            .header("content-type", "application/grpc")
            .header("te", "trailers")
            .body(Once(frames.into_iter()))
            .unwrap();
        self.sender.ready().await.unwrap();
        let mut body = self.sender.send_request(request).await.unwrap().into_body();
        let mut messages = GrpcMessages::new(64 << 20);
        while let Some(frame) = poll_fn(|cx| Pin::new(&mut body).poll_frame(cx)).await {
            if let Ok(data) = frame.unwrap().into_data() {
                messages.push(data);
            }
        }
        let answer = messages.next_message().unwrap().expect("an answer");
        let answer: Response = split(answer, SplitLimits::default()).unwrap();
        assert_eq!(answer.message.result, 1, "{:?}", answer.message.message);
        answer
    }

    fn command(&self, kind: Type, container: i64) -> ContainerCommandRequestProto {
        ContainerCommandRequestProto {
            cmd_type: kind.into(),
            container_id: container,
            datanode_uuid: self.node.clone(),
            ..Default::default()
        }
    }

    pub(crate) fn write_chunk(&self, block: DatanodeBlockId, chunk: ChunkInfo, data: Bytes) -> Request {
        let mut message = self.command(Type::WriteChunk, block.container_id);
        message.write_chunk = Some(WriteChunkRequestProto {
            block_id: block,
            chunk_data: Some(chunk),
            data: Some(Bytes::new()),
            ..Default::default()
        });
        Bulky { message, bulk: vec![Rope::from(data)] }
    }

    pub(crate) fn put_block(&self, block: DatanodeBlockId, chunks: Vec<ChunkInfo>, eof: bool) -> Request {
        let mut message = self.command(Type::PutBlock, block.container_id);
        let block_data = BlockData { block_id: block, chunks, ..Default::default() };
        message.put_block =
            Some(PutBlockRequestProto { block_data, eof: Some(eof), container_auto_create: None });
        message.into()
    }

    pub(crate) fn put_small(&self, block: DatanodeBlockId, chunk: ChunkInfo, data: Bytes) -> Request {
        let mut message = self.command(Type::PutSmallFile, block.container_id);
        let block_data = BlockData { block_id: block, ..Default::default() };
        message.put_small_file = Some(PutSmallFileRequestProto {
            block: PutBlockRequestProto { block_data, ..Default::default() },
            chunk_info: chunk,
            data: Bytes::new(),
        });
        Bulky { message, bulk: vec![Rope::from(data)] }
    }

    pub(crate) fn get_small(&self, block: DatanodeBlockId) -> Request {
        let mut message = self.command(Type::GetSmallFile, block.container_id);
        let block = GetBlockRequestProto { block_id: block, request_short_circuit_access: None };
        message.get_small_file =
            Some(GetSmallFileRequestProto { block, read_chunk_version: Some(ReadChunkVersion::V1.into()) });
        message.into()
    }

    pub(crate) fn read_chunk(&self, block: DatanodeBlockId, chunk: &ChunkInfo, len: u64) -> Request {
        let mut message = self.command(Type::ReadChunk, block.container_id);
        message.read_chunk = Some(ReadChunkRequestProto {
            block_id: block,
            chunk_data: ChunkInfo { len, ..chunk.clone() },
            read_chunk_version: Some(ReadChunkVersion::V1.into()),
        });
        message.into()
    }

    pub(crate) fn close_container(&self, container: i64) -> Request {
        let mut message = self.command(Type::CloseContainer, container);
        message.close_container = Some(CloseContainerRequestProto {});
        message.into()
    }

    pub(crate) fn delete_container(&self, container: i64) -> Request {
        let mut message = self.command(Type::DeleteContainer, container);
        message.delete_container = Some(DeleteContainerRequestProto { force_delete: Some(true) });
        message.into()
    }
}

pub(crate) fn id(container: i64, local: i64) -> DatanodeBlockId {
    DatanodeBlockId {
        container_id: container,
        local_id: local,
        block_commit_sequence_id: None,
        replica_index: None,
    }
}

/// Bytes that do not compress, and the chunk that describes them at offset 0.
pub(crate) fn payload(len: usize) -> (Bytes, ChunkInfo) {
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
