//! Volumes while no datanode uses them: what is on them, whether it is whole, and folding them to Ozone's exact form.
//!
//! Owns    [`list`], [`info`], [`verify`], [`check`] and [`export`], which read and never change a byte, on volumes of ours
//!         and of Ozone's; [`fold`], which writes.
//! Shape   each takes a path on a volume (its root, a container's folder, anything below) and blocks until it is done, on
//!         a shard of its own.
//! Errors  [`OfflineError`] where nothing can be looked at; what is found damaged is a [`Finding`], and the rest is looked
//!         at all the same.
//! Source  docs/formats/datanode-volume.md.

mod export;
mod fold;
mod look;
mod place;
mod verify;

pub use export::{Exported, export};
pub use fold::{Folded, fold};
pub use look::{Info, Summary, info, list};
pub use verify::{Finding, Verified, check, verify};

use crate::block::records::RecordError;
use crate::metadata::MetadataError;
use crate::volume::VolumeError;
use allotrope_io::{AskError, DiskError, Shard, ShardId, Shards, ShardsConfig, StartError, TaskDied};
use allotrope_types::ContainerId;
use std::path::PathBuf;
use std::time::Duration;

/// Why a volume cannot be looked at.
#[derive(Debug, thiserror::Error)]
pub enum OfflineError {
    /// The path is on no volume.
    #[error("{path} is not on a volume: give a folder of hdds.datanode.dir, or one below it", path = .path.display())]
    NoVolume {
        /// What was given.
        path: PathBuf,
    },
    /// The path names no container, and one is needed.
    #[error("{path} names no container: give its folder, …/containerDirN/ID", path = .path.display())]
    NoContainer {
        /// What was given.
        path: PathBuf,
    },
    /// The volume does not have the container.
    #[error("{path} has no container {container}", path = .path.display())]
    NotThere {
        /// The volume.
        path: PathBuf,
        /// The container.
        container: ContainerId,
    },
    /// The volume's own files cannot be used, or another process uses it.
    #[error(transparent)]
    Volume(#[from] VolumeError),
    /// The disk failed.
    #[error(transparent)]
    Disk(#[from] DiskError),
    /// The metadata cannot be read.
    #[error(transparent)]
    Metadata(#[from] MetadataError),
    /// A block's metadata makes no list, and the whole container is asked for.
    #[error(transparent)]
    Record(#[from] RecordError),
    /// The shard does not start.
    #[error("no thread could be had to look at the volume")]
    Start(#[from] StartError),
    /// The shard took no task.
    #[error("no thread could be had to look at the volume: {0}")]
    Ask(#[from] AskError),
    /// Our own fault.
    #[error("looking at the volume ended without a result")]
    Died(#[from] TaskDied),
}

/// Bytes of buffers.
const MEMORY: usize = 64 << 20;

/// Runs `work` on a shard of its own, on blocking threads: it runs beside nothing and wants no ring.
fn on_shard<T, F>(work: impl FnOnce(Shard) -> F + Send + 'static) -> Result<T, OfflineError>
where
    T: Send + 'static,
    F: Future<Output = Result<T, OfflineError>> + 'static,
{
    let config = ShardsConfig {
        memory_per_shard: MEMORY,
        buffer_max: 4 << 20,
        pin: false,
        name: "offline".into(),
        ..ShardsConfig::portable(1)
    };
    let shards = Shards::start(config)?;
    let done = shards.run_on(ShardId(0), "offline", work)?.wait();
    shards.stop(Duration::from_secs(5));
    done?
}
