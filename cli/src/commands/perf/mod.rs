//! `allotrope perf`: load on servers, and what they bear. A file each kind of server; `allotrope-perf` does the work.
//!
//! Results go to stdout, the live line to stderr, where that is a terminal. A run ends with exit code 0 if all that was planned was
//! done and nothing failed, 1 if anything failed, 130 if it was interrupted; what was measured until then is printed in each case.

mod compare;
mod copy;
mod datanode;
mod ec_stress;
mod flags;
mod fleet;
mod keys;
mod limits;
mod live;
mod om;
mod s3;
mod session;

use std::error::Error;
use std::process::ExitCode;

use clap::{Args, Subcommand};

use crate::config::Settings;
use session::run;

#[derive(Debug, Args)]
pub(super) struct Perf {
    #[command(subcommand)]
    load: Load,
}

#[derive(Debug, Subcommand)]
enum Load {
    /// Write keys with content made from the seed.
    #[command(visible_alias = "ockg", alias = "ozone-client-key-generator", after_help = keys::WRITE_EXAMPLES)]
    KeyWrite(keys::Write),
    /// Read keys whole and compare every byte with what key-write wrote with the same seed, prefix and size.
    #[command(visible_alias = "ockv", alias = "ozone-client-key-validator", after_help = keys::READ_EXAMPLES)]
    KeyValidate(keys::Validate),
    /// Read one key over and over, and compare every byte.
    #[command(visible_alias = "ocokr", alias = "ozone-client-one-key-reader", after_help = keys::READ_EXAMPLES)]
    KeyReadOne(keys::ReadOne),
    /// Read parts of keys at places that the seed chooses, and compare every byte.
    #[command(after_help = keys::READ_EXAMPLES)]
    KeyRange(keys::ReadRange),
    /// Write, read and list keys, mixed by shares. The keys are written before the clock runs.
    #[command(visible_alias = "ockrw", alias = "ozone-client-key-read-write-list-ops", after_help = keys::MIXED_EXAMPLES)]
    KeyMixed(keys::Mixed),
    /// Remove keys that key-write wrote.
    #[command(visible_alias = "ockr", alias = "ozone-client-key-remover")]
    KeyRemove(keys::Remove),
    /// Make keys without bytes: calls to OM alone.
    #[command(visible_alias = "omkg", alias = "om-key-generator")]
    OmKeyCreate(om::KeyCreate),
    /// A mix of operations on OM's metadata.
    #[command(visible_alias = "ommg", alias = "om-metadata-generator", after_help = om::METADATA_EXAMPLES)]
    OmMetadata(om::Metadata),
    /// Write chunks to datanodes, past OM and the native client.
    #[command(visible_alias = "dcg", alias = "datanode-chunk-generator", after_help = datanode::EXAMPLES)]
    ChunkWrite(datanode::Write),
    /// Read chunks and compare every byte. They are written before the clock runs.
    #[command(visible_alias = "dcv", alias = "datanode-chunk-validator", after_help = datanode::EXAMPLES)]
    ChunkValidate(datanode::Validate),
    /// Put blocks whose chunks are written before the clock runs.
    #[command(visible_alias = "dbp", alias = "datanode-block-putter", after_help = datanode::EXAMPLES)]
    BlockPut(datanode::Put),
    /// Write or read files of one message each: chunk and block in one command.
    #[command(after_help = datanode::EXAMPLES)]
    SmallFile(datanode::SmallFile),
    /// Ask datanodes for nothing but an answer.
    #[command(visible_alias = "dne", alias = "dn-echo", after_help = datanode::EXAMPLES)]
    DatanodeEcho(datanode::DatanodeEcho),
    /// Allocate blocks of SCM.
    #[command(visible_alias = "scmtb", alias = "scm-throughput-benchmark", after_help = datanode::SCM_EXAMPLES)]
    ScmAllocate(datanode::Allocate),
    /// Send SCM the heartbeats and reports of many simulated datanodes.
    #[command(visible_alias = "simulate-datanode", alias = "dn-sim", after_help = fleet::EXAMPLES)]
    ScmHeartbeat(fleet::Heartbeat),
    /// Pull closed containers from datanodes, or push them from one to another.
    #[command(visible_alias = "cr", alias = "closed-container-replicator", after_help = copy::EXAMPLES)]
    ContainerCopy(copy::Copy),
    /// Have simulated datanodes die together, and SCM have all copied or rebuilt that they held; over and over.
    #[command(after_help = fleet::STORM_EXAMPLES)]
    ReplicationStorm(fleet::Storm),
    /// Put objects through S3.
    #[command(visible_alias = "s3kg", alias = "s3-key-generator", after_help = s3::EXAMPLES)]
    S3Put(s3::Put),
    /// Get objects that s3-put put, whole or in part, and compare every byte.
    #[command(after_help = s3::EXAMPLES)]
    S3Get(s3::Get),
    /// List objects through S3.
    #[command(after_help = s3::EXAMPLES)]
    S3List(s3::List),
    /// Write objects in parts through S3.
    #[command(after_help = s3::EXAMPLES)]
    S3Multipart(s3::Multipart),
    /// Put, get and list objects, mixed by shares. They are put before the clock runs.
    #[command(after_help = s3::EXAMPLES)]
    S3Mixed(s3::Mixed),
    /// Make buckets through S3.
    #[command(visible_alias = "s3bg", alias = "s3-bucket-generator", after_help = s3::EXAMPLES)]
    S3Bucket(s3::Bucket),
    /// Write, lose a datanode of a quickstart, see it made up for, read everything; over and over.
    #[command(after_help = ec_stress::EXAMPLES)]
    EcStress(ec_stress::Stress),
    /// Measure what this machine can: disk, memory, loopback, checksums, erasure codes, encryption.
    #[command(after_help = limits::EXAMPLES)]
    Limits(limits::Limits),
    /// Hold kept results against each other: ratios and their spread.
    #[command(after_help = compare::EXAMPLES)]
    Compare(compare::Compare),
    /// Make a page with plots of a kept result.
    Report(compare::Report),
}

impl Perf {
    pub(super) fn run(self, settings: &Settings) -> Result<ExitCode, Box<dyn Error>> {
        match self.load {
            Load::KeyWrite(load) => run(load, settings),
            Load::KeyValidate(load) => run(load, settings),
            Load::KeyReadOne(load) => run(load, settings),
            Load::KeyRange(load) => run(load, settings),
            Load::KeyMixed(load) => run(load, settings),
            Load::KeyRemove(load) => run(load, settings),
            Load::OmKeyCreate(load) => run(load, settings),
            Load::OmMetadata(load) => run(load, settings),
            Load::ChunkWrite(load) => run(load, settings),
            Load::ChunkValidate(load) => run(load, settings),
            Load::BlockPut(load) => run(load, settings),
            Load::SmallFile(load) => run(load, settings),
            Load::DatanodeEcho(load) => run(load, settings),
            Load::ScmAllocate(load) => run(load, settings),
            Load::ScmHeartbeat(load) => run(load, settings),
            Load::ContainerCopy(load) => run(load, settings),
            Load::ReplicationStorm(load) => run(load, settings),
            Load::S3Put(load) => run(load, settings),
            Load::S3Get(load) => run(load, settings),
            Load::S3List(load) => run(load, settings),
            Load::S3Multipart(load) => run(load, settings),
            Load::S3Mixed(load) => run(load, settings),
            Load::S3Bucket(load) => run(load, settings),
            Load::EcStress(load) => run(load, settings),
            Load::Limits(command) => command.run(),
            Load::Compare(command) => command.run(),
            Load::Report(command) => command.run(),
        }
    }
}
