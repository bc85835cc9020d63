//! Loads of single commands to datanodes, and of blocks from SCM.

use std::sync::Arc;

use allotrope_perf::{
    BlockAllocate, BlockPut, Blocks, ChunkRead, ChunkWrite, Content, Echo, Load, Scm, ScmTransport,
    SmallFileRead, SmallFileWrite,
};
use allotrope_types::{ByteCount, ReplicationConfig, ReplicationFactor};
use clap::{Args, ValueEnum};

use super::flags::RunArgs;
use super::fleet::reached;
use super::keys::written;
use super::session::{NotReady, Ordered};
use crate::commands::sh;
use crate::config::Settings;
use crate::roles::scms;

pub(super) const EXAMPLES: &str = "Examples:
  allotrope perf chunk-write --duration 30s -t 16 -s 1MB
  allotrope perf chunk-validate -n 1000 --duration 30s -s 64KB
  allotrope perf block-put -n 500 -t 16 -c 4 -s 4KB
  allotrope perf dcg -n 10000 -s 4KB

Blocks of one replica come from SCM (ozone.scm.block.client.address), as OM gets them; the bytes go straight to the datanodes. Nobody
deletes the blocks: use a cluster of your own.";
pub(super) const SCM_EXAMPLES: &str = "Examples:
  allotrope perf scm-allocate --duration 30s -t 32 --replication rs-3-2-1024k
  allotrope perf scmtb -n 10000 --blocks 16 --transport grpc";

/// How SCM is spoken to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum Transport {
    /// Hadoop RPC, which every SCM speaks.
    HadoopRpc,
    /// gRPC, which Allotrope's SCM speaks on the same port.
    Grpc,
}

impl From<Transport> for ScmTransport {
    fn from(transport: Transport) -> ScmTransport {
        match transport {
            Transport::HadoopRpc => ScmTransport::HadoopRpc,
            Transport::Grpc => ScmTransport::Grpc,
        }
    }
}

fn scm(settings: &Settings, run: &RunArgs, transport: Transport) -> Result<Scm, NotReady> {
    let named = scms::everywhere(settings, |scm| scm.block_port, ("ozone.scm.block.client.address", 9863))?;
    // Ids of clients are to differ between runs, whatever the seed is.
    let seed = run.seed ^ u64::from(std::process::id());
    Ok(Scm::new(&reached(named), transport.into(), &sh::user(), run.deadline, seed)?)
}

/// What the loads on datanodes share.
#[derive(Debug, Args)]
pub(super) struct Common {
    #[command(flatten)]
    run: RunArgs,
    /// Bytes of a chunk.
    #[arg(short = 's', long, value_name = "SIZE", default_value = "1KB", value_parser = chunk_size)]
    size: ByteCount,
    /// Bytes of a block.
    #[arg(long, value_name = "SIZE", default_value = "256MB")]
    block_size: ByteCount,
}

/// Chunks are no longer than a message can be.
fn chunk_size(text: &str) -> Result<ByteCount, String> {
    let size: ByteCount = text.parse().map_err(|error: allotrope_types::Malformed| error.to_string())?;
    match size.as_u64() {
        1..=0x0200_0000 => Ok(size),
        _ => Err("not from 1 byte to 32 MB".to_owned()),
    }
}

impl Common {
    fn blocks(&self, settings: &Settings) -> Result<Blocks, NotReady> {
        let scm = scm(settings, &self.run, Transport::HadoopRpc)?;
        let one = ReplicationConfig::StandAlone(ReplicationFactor::One);
        let block_size = self.block_size.as_u64().max(self.size.as_u64());
        Ok(Blocks::new(scm, one, block_size, Content::of_seed(self.run.seed)))
    }

    fn said(&self) -> Vec<(&'static str, String)> {
        vec![("size", self.size.to_string()), ("block-size", self.block_size.to_string())]
    }
}

#[derive(Debug, Args)]
pub(super) struct Write {
    #[command(flatten)]
    common: Common,
}

impl Ordered for Write {
    const NAME: &'static str = "chunk-write";

    fn run_args(&self) -> &RunArgs {
        &self.common.run
    }

    fn settings(&self) -> Vec<(&'static str, String)> {
        self.common.said()
    }

    async fn prepare(&self, settings: &Settings) -> Result<Arc<dyn Load>, NotReady> {
        let blocks = self.common.blocks(settings)?;
        let targets = blocks.allocate(self.common.run.threads.into()).await?;
        Ok(Arc::new(ChunkWrite::new(blocks, targets, self.common.size.as_u64())))
    }
}

#[derive(Debug, Args)]
pub(super) struct Validate {
    #[command(flatten)]
    common: Common,
}

impl Ordered for Validate {
    const NAME: &'static str = "chunk-validate";

    fn run_args(&self) -> &RunArgs {
        &self.common.run
    }

    fn settings(&self) -> Vec<(&'static str, String)> {
        self.common.said()
    }

    async fn prepare(&self, settings: &Settings) -> Result<Arc<dyn Load>, NotReady> {
        let (blocks, run) = (self.common.blocks(settings)?, &self.common.run);
        let chunks = (1, self.common.size.as_u64());
        let written = blocks.written(run.count, chunks, true, run.threads as usize).await?;
        Ok(Arc::new(ChunkRead { blocks, written }))
    }
}

#[derive(Debug, Args)]
pub(super) struct Put {
    #[command(flatten)]
    common: Common,
    /// Chunks of a block, written before the clock runs.
    #[arg(short = 'c', long, value_name = "COUNT", default_value_t = 4, value_parser = clap::value_parser!(u64).range(1..=10_000))]
    chunks_per_block: u64,
}

impl Ordered for Put {
    const NAME: &'static str = "block-put";

    fn run_args(&self) -> &RunArgs {
        &self.common.run
    }

    fn settings(&self) -> Vec<(&'static str, String)> {
        let mut said = self.common.said();
        said.push(("chunks-per-block", self.chunks_per_block.to_string()));
        said
    }

    async fn prepare(&self, settings: &Settings) -> Result<Arc<dyn Load>, NotReady> {
        let (blocks, run) = (self.common.blocks(settings)?, &self.common.run);
        let chunks = (self.chunks_per_block, self.common.size.as_u64());
        let written = blocks.written(run.count, chunks, false, run.threads as usize).await?;
        Ok(Arc::new(BlockPut { blocks, written }))
    }
}

#[derive(Debug, Args)]
pub(super) struct SmallFile {
    #[command(flatten)]
    common: Common,
    /// Read the files; they are written before the clock runs.
    #[arg(long)]
    read: bool,
}

impl Ordered for SmallFile {
    const NAME: &'static str = "small-file";

    fn run_args(&self) -> &RunArgs {
        &self.common.run
    }

    fn settings(&self) -> Vec<(&'static str, String)> {
        let mut said = self.common.said();
        said.push(("read", self.read.to_string()));
        said
    }

    async fn prepare(&self, settings: &Settings) -> Result<Arc<dyn Load>, NotReady> {
        let (blocks, run) = (self.common.blocks(settings)?, &self.common.run);
        let targets = blocks.allocate(run.count).await?;
        let files = Arc::new(SmallFileWrite { blocks, targets, len: self.common.size.as_u64() });
        if !self.read {
            return Ok(files);
        }
        written(files.clone(), run).await?;
        Ok(Arc::new(SmallFileRead { files }))
    }
}

#[derive(Debug, Args)]
pub(super) struct DatanodeEcho {
    #[command(flatten)]
    common: Common,
    /// Bytes that go there.
    #[arg(long, value_name = "SIZE", default_value = "0B", value_parser = payload)]
    payload_req: ByteCount,
    /// Bytes that come back.
    #[arg(long, value_name = "SIZE", default_value = "0B", value_parser = payload)]
    payload_resp: ByteCount,
}

fn payload(text: &str) -> Result<ByteCount, String> {
    let size: ByteCount = text.parse().map_err(|error: allotrope_types::Malformed| error.to_string())?;
    match size <= ByteCount::mib(2) {
        true => Ok(size),
        false => Err("more than 2 MB".to_owned()),
    }
}

impl Ordered for DatanodeEcho {
    const NAME: &'static str = "datanode-echo";

    fn run_args(&self) -> &RunArgs {
        &self.common.run
    }

    fn settings(&self) -> Vec<(&'static str, String)> {
        vec![("payload-req", self.payload_req.to_string()), ("payload-resp", self.payload_resp.to_string())]
    }

    async fn prepare(&self, settings: &Settings) -> Result<Arc<dyn Load>, NotReady> {
        let blocks = self.common.blocks(settings)?;
        let targets = blocks.allocate(self.common.run.threads.into()).await?;
        let response = u32::try_from(self.payload_resp.as_u64())?;
        Ok(Arc::new(Echo { blocks, targets, request: self.payload_req.as_u64(), response }))
    }
}

#[derive(Debug, Args)]
pub(super) struct Allocate {
    #[command(flatten)]
    run: RunArgs,
    /// Blocks of one request.
    #[arg(long, value_name = "COUNT", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=64))]
    blocks: u32,
    /// Bytes of a block.
    #[arg(long, value_name = "SIZE", default_value = "256MB")]
    block_size: ByteCount,
    /// How blocks are to be kept safe: rs-3-2-1024k, STANDALONE/ONE, RATIS/THREE.
    #[arg(long, value_name = "REPLICATION", default_value = "rs-3-2-1024k")]
    replication: ReplicationConfig,
    /// How SCM is spoken to.
    #[arg(long, value_enum, default_value = "hadoop-rpc")]
    transport: Transport,
}

impl Ordered for Allocate {
    const NAME: &'static str = "scm-allocate";

    fn run_args(&self) -> &RunArgs {
        &self.run
    }

    fn settings(&self) -> Vec<(&'static str, String)> {
        vec![
            ("blocks", self.blocks.to_string()),
            ("block-size", self.block_size.to_string()),
            ("replication", self.replication.to_string()),
            ("transport", format!("{:?}", self.transport)),
        ]
    }

    async fn prepare(&self, settings: &Settings) -> Result<Arc<dyn Load>, NotReady> {
        let scm = scm(settings, &self.run, self.transport)?;
        let (blocks, size) = (self.blocks, self.block_size.as_u64());
        Ok(Arc::new(BlockAllocate { scm, blocks, size, replication: self.replication }))
    }
}
