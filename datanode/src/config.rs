//! What a datanode is told when it starts.

use crate::container::delete_blocks::DeletionPace;
use crate::metadata::Durability;
use crate::replication::ReplicationConfig;
use crate::scan::ScanConfig;
use crate::volume::check::CheckConfig;
use crate::volume::reserved::Reserved;
use allotrope_io::{Back, ShardId, Shards};
use allotrope_proto::ops::Operators;
use allotrope_types::ByteCount;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

/// How a new container's volume is chosen.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum VolumeChoice {
    /// The volume with the most usable space.
    #[default]
    Capacity,
    /// One after the other.
    RoundRobin,
}

/// What carries the words between SCM and the datanode.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum ScmTransport {
    /// gRPC, which our SCM answers.
    #[default]
    Grpc,
    /// Hadoop RPC, which Java's SCM and ours answer.
    HadoopRpc,
}

/// Where a datanode is a guest: a pool of shards that it shares with others of its process.
#[derive(Clone, Debug)]
pub struct Seats {
    /// The pool; see [`crate::pool`].
    pub pool: Shards,
    /// The shards of it that the datanode takes a place on.
    pub on: Vec<ShardId>,
}

/// The values a datanode needs. The names of Ozone's settings stand beside the fields.
#[derive(Clone, Debug)]
pub struct Config {
    /// The disks' folders (`hdds.datanode.dir`). Their paths hold letters, digits and `/._-+` only: they are written
    /// into container files, which Ozone verifies by writing them again.
    pub volumes: Vec<PathBuf>,
    /// Where `datanode.id` and the list of all containers ever made lie (`ozone.metadata.dirs`).
    pub metadata_dir: PathBuf,
    /// SCM's addresses for datanodes, as `host:port` (`ozone.scm.datanode.address`, port 9861).
    pub scm: Vec<String>,
    /// How SCM is reached.
    pub scm_transport: ScmTransport,
    /// Where clients are served (`hdds.container.ipc.port`, 9859). Port 0 lets the system choose.
    pub listen: SocketAddr,
    /// The host name that SCM and clients are told.
    pub host_name: String,
    /// The address that SCM and clients are told.
    pub ip_address: String,
    /// How many shards (`allotrope.datanode.shards`).
    pub shards: usize,
    /// What runs them: this back and no other. `None` takes what the probe of the machine finds, and the portable one where
    /// io_uring fails all the same.
    pub back: Option<Back>,
    /// Places on shards that others use as well, instead of shards of its own: `shards` and `back` say nothing then.
    pub seats: Option<Seats>,
    /// Buffers of each shard (`allotrope.datanode.memory` divided by the shards).
    pub memory_per_shard: ByteCount,
    /// Answers to reads that come again, kept in memory by all shards together (`allotrope.datanode.read-cache`); 0 keeps none.
    pub read_cache: ByteCount,
    /// Blocks of metadata kept in memory, for all volumes together.
    pub metadata_cache: ByteCount,
    /// What an answered PutBlock has behind it (`allotrope.datanode.durability`).
    pub durability: Durability,
    /// Whether bytes from the disk are verified before they leave (`allotrope.datanode.verify-reads`).
    pub verify_reads: bool,
    /// Longest that a client's connection may hold answers and take nothing of them; then it is closed, and the buffers
    /// of the answers are free. 15 s, less than a reader or writer waits for a buffer.
    pub reader_wait: Duration,
    /// Bytes a container should not grow beyond (`ozone.scm.container.size`).
    pub container_size: ByteCount,
    /// How a new container's volume is chosen (`hdds.datanode.volume.choosing.policy`).
    pub volume_choice: VolumeChoice,
    /// How much of each volume is not ours (`hdds.datanode.dir.du.reserved` and `….percent`).
    pub reserved: Reserved,
    /// Bytes that SCM is told to leave free (`hdds.datanode.volume.min.free.space`).
    pub free_min_soft: ByteCount,
    /// Free bytes below which writes are refused (`hdds.datanode.volume.min.free.space.hard.limit`).
    pub free_min_hard: ByteCount,
    /// Time after which a RECOVERING container that nobody writes to is removed (`ozone.recovering.container.timeout`).
    pub recovering_idle: Duration,
    /// Pipelines.
    pub pipelines: crate::pipeline::PipelineConfig,
    /// Copies and reconstruction.
    pub replication: ReplicationConfig,
    /// Time between heartbeats (`hdds.heartbeat.interval`, 30 s).
    pub heartbeat_every: Duration,
    /// Time between heartbeats until SCM has registered the datanode (`hdds.heartbeat.initial-interval`, 2 s).
    pub heartbeat_first: Duration,
    /// How volumes are checked.
    pub check: CheckConfig,
    /// How containers are scanned.
    pub scan: ScanConfig,
    /// How fast blocks are deleted.
    pub deletion: DeletionPace,
    /// The layout version that SCM is told (`allotrope.datanode.layout-version`); a Java SCM takes only its own.
    pub layout_version: u32,
    /// The pages for operators (`hdds.datanode.http-address`, port 9882).
    pub operators: Operators,
    /// Time between full container reports (`hdds.container.report.interval`, 60 min).
    pub container_report_every: Duration,
}

impl Config {
    /// A datanode on `volumes` with its metadata in `metadata_dir`, told of SCM at `scm`; Ozone's defaults otherwise.
    pub fn new(volumes: Vec<PathBuf>, metadata_dir: PathBuf, scm: Vec<String>) -> Config {
        Config {
            volumes,
            metadata_dir,
            scm,
            scm_transport: ScmTransport::default(),
            listen: SocketAddr::from(([0, 0, 0, 0], 9859)),
            host_name: "localhost".into(),
            ip_address: "127.0.0.1".into(),
            shards: std::thread::available_parallelism().map_or(1, usize::from),
            back: None,
            seats: None,
            memory_per_shard: ByteCount::mib(128),
            read_cache: ByteCount::mib(32),
            metadata_cache: ByteCount::mib(64),
            durability: Durability::Disk,
            verify_reads: true,
            reader_wait: Duration::from_secs(15),
            container_size: ByteCount::gib(5),
            volume_choice: VolumeChoice::default(),
            reserved: Reserved::default(),
            free_min_soft: ByteCount::gib(20),
            free_min_hard: ByteCount::gib(20),
            recovering_idle: Duration::from_secs(20 * 60),
            check: CheckConfig::default(),
            scan: ScanConfig::default(),
            deletion: DeletionPace::default(),
            layout_version: crate::identity::LAYOUT_VERSION,
            operators: Operators::default(),
            pipelines: Default::default(),
            replication: ReplicationConfig::default(),
            heartbeat_every: Duration::from_secs(30),
            heartbeat_first: Duration::from_secs(2),
            container_report_every: Duration::from_secs(3600),
        }
    }
}
