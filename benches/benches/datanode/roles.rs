//! What the children run: a datanode with an SCM that only knows its cluster, and the sink.

use allotrope_datanode::block::checksums;
use allotrope_datanode::container::delete_blocks::DeletionPace;
use allotrope_datanode::control::link::{LinkError, ScmLink};
use allotrope_datanode::{Config, Durability, start_with};
use allotrope_io::{Back, Shard, ShardId, ShardTimer, Shards, ShardsConfig, TcpStream};
use allotrope_proto::Rope;
use allotrope_proto::bulk::{Bulky, GrpcMessages, SplitLimits, grpc_message, split, weave};
use allotrope_proto::container::read_chunk_response_proto::ResponseData;
use allotrope_proto::container::*;
use allotrope_proto::edge::heartbeat::apart::ScmDatanodeResponseApart;
use allotrope_proto::hdds::KeyValue as Pair;
use allotrope_proto::heartbeat::scm_command_proto::Type as CommandType;
use allotrope_proto::heartbeat::{
    DeleteBlocksCommandProto, DeletedBlocksTransaction, ScmCommandProto, ScmDatanodeRequest,
    ScmDatanodeResponse, ScmHeartbeatResponseProto, ScmRegisteredResponseProto, ScmVersionResponseProto,
    Status,
};
use allotrope_types::ByteCount;
use bytes::Bytes;
use hyper::body::{Body, Frame, Incoming};
use hyper::header::HeaderValue;
use hyper::server::conn::http2;
use hyper::service::service_fn;
use std::collections::VecDeque;
use std::convert::Infallible;
use std::fs::File;
use std::future::poll_fn;
use std::io::Read;
use std::net::SocketAddr;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::pin::Pin;
use std::result::Result;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

pub(crate) const CLUSTER: &str = "CID-6d2f1b8e-3f0e-4f6e-8d2b-5f0f5f0f5f0f";
/// Blocks that a datanode deletes in a second, once it is told to.
pub(crate) const DELETIONS_A_SECOND: u64 = 10_000;
/// Blocks of one of SCM's transactions.
const TRANSACTION: usize = 100;
/// Shards of both servers.
const SHARDS: usize = 2;

/// An SCM that knows its cluster, registers everyone, and has the commands carried out that it is given.
struct Scm(Arc<Mutex<Vec<ScmCommandProto>>>);

impl ScmLink for Scm {
    fn name(&self) -> String {
        "bench".into()
    }

    async fn submit(&self, request: ScmDatanodeRequest) -> Result<ScmDatanodeResponseApart, LinkError> {
        let mut response = ScmDatanodeResponse {
            cmd_type: request.cmd_type,
            status: Status::Ok.into(),
            ..Default::default()
        };
        if request.get_version_request.is_some() {
            let pair = |key: &str, value: &str| Pair { key: key.into(), value: Some(value.into()) };
            let keys = vec![pair("scmUuid", "s"), pair("clusterID", CLUSTER)];
            response.get_version_response = Some(ScmVersionResponseProto { software_version: 1, keys });
        }
        if let Some(register) = request.register_request {
            response.register_response = Some(ScmRegisteredResponseProto {
                error_code: 1,
                datanode_uuid: register.extended_datanode_details.datanode_details.uuid.unwrap(),
                cluster_id: CLUSTER.into(),
                ..Default::default()
            });
        }
        if let Some(beat) = request.send_heartbeat_request {
            response.send_heartbeat_response = Some(ScmHeartbeatResponseProto {
                datanode_uuid: beat.datanode_details.uuid.unwrap(),
                term: Some(1),
                commands: std::mem::take(&mut *self.0.lock().unwrap()),
            });
        }
        Ok(response.into())
    }
}

/// The settings of a datanode below `dir`.
pub(crate) fn config(dir: &Path) -> Config {
    let mut config = Config::new(vec![dir.join("disk")], dir.join("meta"), Vec::new());
    config.listen = SocketAddr::from(([127, 0, 0, 1], 0));
    config.replication.listen = SocketAddr::from(([127, 0, 0, 1], 0));
    config.pipelines.listen = SocketAddr::from(([127, 0, 0, 1], 0));
    config.pipelines.admin = SocketAddr::from(([127, 0, 0, 1], 0));
    config.shards = SHARDS;
    config.container_size = ByteCount::mib(64);
    (config.free_min_soft, config.free_min_hard) = (ByteCount::mib(1), ByteCount::mib(1));
    config
}

/// A datanode, until stdin ends: `DIR DURABILITY BYTES-OF-BUFFERS BYTES-SCANNED-A-SECOND BYTES-OF-ANSWERS`. Lines of stdin are SCM's:
/// `delete CONTAINER FIRST STEP COUNT`.
pub(crate) fn serve(args: &[String]) {
    let mut config = config(Path::new(&args[0]));
    config.durability = if args[1] == "disk" { Durability::Disk } else { Durability::PageCache };
    config.memory_per_shard = ByteCount::new(args[2].parse::<u64>().unwrap() / SHARDS as u64);
    let scan: u64 = args[3].parse().unwrap();
    config.read_cache = ByteCount::new(args[4].parse().unwrap());
    config.scan.enabled = scan > 0;
    (config.scan.bytes_per_second, config.scan.gap_min) = (scan, Duration::ZERO);
    config.scan.data_every = Duration::from_millis(100);
    config.deletion = DeletionPace { every: Duration::from_secs(1), blocks_max: DELETIONS_A_SECOND };
    config.heartbeat_every = Duration::from_millis(500);
    let commands: Arc<Mutex<Vec<ScmCommandProto>>> = Arc::default();
    let told = commands.clone();
    let running = start_with(config, || vec![Scm(told)]).unwrap();
    while !running.is_open() {
        std::thread::sleep(Duration::from_millis(1));
    }
    println!("{} {}", running.address(), running.id());
    for (line, number) in std::io::stdin().lines().map_while(Result::ok).zip(1..) {
        commands.lock().unwrap().push(command(&line, number));
    }
    running.shutdown(Duration::from_secs(10));
}

fn command(line: &str, cmd_id: i64) -> ScmCommandProto {
    let mut words = line.split(' ');
    let kind = words.next().unwrap();
    let numbers: Vec<i64> = words.map(|word| word.parse().unwrap()).collect();
    let mut command = ScmCommandProto { term: Some(1), ..Default::default() };
    match (kind, &numbers[..]) {
        ("delete", &[container_id, first, step, count]) => {
            let blocks: Vec<i64> = (0..count).map(|n| first + n * step).collect();
            let transaction = |(n, blocks): (i64, &[i64])| DeletedBlocksTransaction {
                tx_id: cmd_id * count + n,
                container_id,
                local_id: blocks.to_vec(),
                ..Default::default()
            };
            let deleted_blocks_transactions =
                (0..).zip(blocks.chunks(TRANSACTION)).map(transaction).collect();
            command.command_type = CommandType::DeleteBlocksCommand.into();
            command.delete_blocks_command_proto =
                Some(DeleteBlocksCommandProto { deleted_blocks_transactions, cmd_id });
        }
        _ => panic!("{line:?} is no command"),
    }
    command
}

/// A process that does nothing but delete files, [`DELETIONS_A_SECOND`]: `DIR COUNT BYTES`. It makes them first, and begins with a line
/// of stdin.
pub(crate) fn unlink(args: &[String]) {
    let (dir, count) = (Path::new(&args[0]), args[1].parse::<u64>().unwrap());
    let bytes = vec![7; args[2].parse().unwrap()];
    let path = |n: u64| dir.join(n.to_string());
    (0..count).for_each(|n| std::fs::write(path(n), &bytes).unwrap());
    rustix::fs::sync();
    println!("127.0.0.1:0 files");
    drop(std::io::stdin().read_line(&mut String::new()));
    let began = Instant::now();
    for n in 0..count {
        // A tenth of a second's at once, as a datanode takes them in groups too.
        if n % (DELETIONS_A_SECOND / 10) == 0 {
            let due = Duration::from_millis(n * 1000 / DELETIONS_A_SECOND);
            std::thread::sleep(due.saturating_sub(began.elapsed()));
        }
        std::fs::remove_file(path(n)).unwrap();
    }
    drop(std::io::stdin().read_to_end(&mut Vec::new()));
}

/// The sink, until stdin ends. With `files`, ReadChunk answers what a buffered pread of the file gives, unverified: the block
/// of container `n` is the file numbered `n - 1`.
pub(crate) fn sink(files: &[String]) {
    let files: Arc<[File]> = files.iter().map(|path| File::open(path).unwrap()).collect();
    let shards = Shards::start(ShardsConfig::uring(SHARDS))
        .or_else(|_| Shards::start(ShardsConfig { back: Back::Portable, ..ShardsConfig::portable(SHARDS) }));
    let shards = shards.unwrap();
    let mut address = SocketAddr::from(([127, 0, 0, 1], 0));
    for n in 0..SHARDS {
        let files = files.clone();
        let listening = shards.run_on(ShardId(n), "accept", move |shard| async move {
            let listener = if n == 0 { shard.listen(address) } else { shard.listen_along(address) }.unwrap();
            let bound = listener.local_addr();
            let task = shard.clone();
            drop(shard.spawn("accept", async move {
                while let Ok(stream) = listener.accept().await {
                    drop(task.spawn("connection", connection(task.clone(), stream, files.clone())));
                }
            }));
            bound
        });
        address = listening.unwrap().wait().unwrap();
    }
    println!("{address} sink");
    drop(std::io::stdin().read_to_end(&mut Vec::new()));
    // The accepting tasks never end.
    std::process::exit(0);
}

/// HTTP/2 with the datanode's own limits.
async fn connection(shard: Shard, stream: TcpStream, files: Arc<[File]>) {
    let service = service_fn(|request: hyper::Request<Incoming>| {
        let files = files.clone();
        async move {
            let mut response = hyper::Response::new(answer(request.into_body(), &files).await);
            response.headers_mut().insert("content-type", HeaderValue::from_static("application/grpc"));
            Ok::<_, Infallible>(response)
        }
    });
    let served = http2::Builder::new(shard.clone())
        .timer(ShardTimer::new(&shard))
        .initial_stream_window_size(4 << 20)
        .initial_connection_window_size(16 << 20)
        .max_frame_size(1 << 20)
        .max_concurrent_streams(256)
        .max_send_buf_size(1 << 20)
        .serve_connection(stream, service);
    drop(served.await);
}

async fn answer(mut body: Incoming, files: &[File]) -> Frames {
    let mut messages = GrpcMessages::new(32 << 20);
    while let Some(Ok(frame)) = poll_fn(|cx| Pin::new(&mut body).poll_frame(cx)).await {
        if let Ok(data) = frame.into_data() {
            messages.push(data);
        }
    }
    let request = messages.next_message().unwrap().expect("a request");
    let request = split::<ContainerCommandRequestProto>(request, SplitLimits::default()).unwrap();
    Frames::of(carry_out(request, files))
}

fn carry_out(
    request: Bulky<ContainerCommandRequestProto>,
    files: &[File],
) -> Bulky<ContainerCommandResponseProto> {
    let mut message =
        ContainerCommandResponseProto { cmd_type: request.message.cmd_type, result: 1, ..Default::default() };
    let mut bulk = Vec::new();
    if let Some(write) = request.message.write_chunk {
        let sums = checksums::of_chunk(&write.chunk_data.unwrap()).unwrap();
        sums.verify_rope(&request.bulk[0]).unwrap();
        message.write_chunk = Some(WriteChunkResponseProto::default());
    }
    if let Some(put) = request.message.put_block {
        let committed_block_length = GetCommittedBlockLengthResponseProto {
            block_id: put.block_data.block_id,
            block_length: put.block_data.chunks.iter().map(|chunk| chunk.len as i64).sum(),
        };
        message.put_block = Some(PutBlockResponseProto { committed_block_length });
    }
    if let Some(read) = request.message.read_chunk {
        static ZEROS: [u8; 1 << 20] = [0; 1 << 20];
        let len = read.chunk_data.len as usize;
        bulk.push(Rope::from(match files.get(read.block_id.container_id as usize - 1) {
            None => Bytes::from_static(&ZEROS).slice(..len),
            Some(file) => {
                let mut bytes = vec![0; len];
                file.read_exact_at(&mut bytes, read.chunk_data.offset).unwrap();
                bytes.into()
            }
        }));
        let response_data = Some(ResponseData::DataBuffers(DataBuffers { buffers: vec![Bytes::new()] }));
        let (block_id, chunk_data) = (read.block_id, read.chunk_data);
        message.read_chunk = Some(ReadChunkResponseProto { block_id, chunk_data, response_data });
    }
    Bulky { message, bulk }
}

/// An answer's frames and its trailers.
struct Frames(VecDeque<Frame<Bytes>>);

impl Frames {
    fn of(answer: Bulky<ContainerCommandResponseProto>) -> Frames {
        let mut frames: VecDeque<_> = grpc_message(weave(answer)).into_iter().map(Frame::data).collect();
        let status = [("grpc-status".parse().unwrap(), HeaderValue::from_static("0"))];
        frames.push_back(Frame::trailers(status.into_iter().collect()));
        Frames(frames)
    }
}

impl Body for Frames {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        Poll::Ready(self.0.pop_front().map(Ok))
    }
}
