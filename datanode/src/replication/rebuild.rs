//! Rebuilding lost replicas of an erasure-coded container: what the coordinator does.
//!
//! Steps   every source lists its blocks; a pure plan says which blocks are rebuilt to what length from which sources; the
//!         targets make the container, RECOVERING; block by block, several at once, stripes are read, verified, decoded,
//!         held against the stripe's stored checksums and written to all targets at once; each target puts the block; at
//!         last all close.
//! Law     a target is closed only when every block of the plan is on all of them. Until then nobody is told of it, and on any
//!         failure the containers that this task made are deleted, unless they are something else by now.
//! Units   bytes; memory is bounded by `MEMORY` for the stripes that are under way.
//! Errors  a source that fails in the middle is replaced by a spare; the rebuild fails when there is none. Blocks that cannot
//!         be rebuilt are named in the log.
//! Source  docs/replication.md; wire facts: datapath.md 3.5, scm.md 3.6.

mod block;
mod lanes;
mod link;
mod list;
mod sums;
mod targets;

use super::serve::Peer;
use super::stream::buffers::Buffers;
use crate::commands::CommandError;
use crate::store::Node;
use allotrope_ec::{BlockPlan, Codec, Layout, plan_container};
use allotrope_io::Shard;
use allotrope_types::DatanodeResult::{InvalidArgument, IoException};
use allotrope_types::{ContainerId, EcConfig, LocalId, ReplicaIndex};
use futures_util::future::join_all;
use futures_util::stream::{self, TryStreamExt};
use link::Link;
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use targets::Targets;

/// Bytes of stripes that are under way, about.
const MEMORY: usize = 64 << 20;
/// Blocks that are rebuilt at once, at most.
const BLOCKS_AT_ONCE: usize = 4;

/// A replica and the datanode that has it, or shall have it. Its address is that of clients' commands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Replica {
    /// Which.
    pub index: ReplicaIndex,
    /// Where.
    pub peer: Peer,
    /// Its datanode's replication port, if it has said one: one of ours takes a reconstruction's commands there.
    pub calls: Option<SocketAddr>,
}

/// What shall be rebuilt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rebuild {
    /// The container.
    pub container: ContainerId,
    /// How it is coded.
    pub config: EcConfig,
    /// The replicas that are left.
    pub sources: Vec<Replica>,
    /// The replicas that are lost.
    pub targets: Vec<Replica>,
}

/// What the work on one container shares.
struct Work {
    shard: Shard,
    node: Arc<Node>,
    container: ContainerId,
    layout: Layout,
    codec: Codec,
    sources: BTreeMap<ReplicaIndex, Rc<Link>>,
    /// What cells are received in and decoded to.
    buffers: Buffers,
}

/// Rebuilds the targets of `rebuild`. Runs on any shard.
///
/// Cancel safety: none; run it as a task of the shard.
pub async fn run(shard: &Shard, node: &Arc<Node>, rebuild: Rebuild) -> Result<(), CommandError> {
    let container = rebuild.container;
    let layout = Layout::new(rebuild.config);
    let buffers = Buffers::default();
    let link = |one: &Replica| (one.index, Rc::new(Link::new(shard, node, *one, container, &buffers)));
    let sources: BTreeMap<_, _> = rebuild.sources.iter().map(link).collect();
    let targets: BTreeMap<_, _> = rebuild.targets.iter().map(link).collect();
    if sources.len() != rebuild.sources.len() || targets.len() != rebuild.targets.len() {
        let why = format!("a replica of container {container} is named twice");
        return Err(CommandError::new(InvalidArgument, why));
    }
    let codec = Codec::new(layout.scheme());
    let mut work =
        Work { shard: shard.clone(), node: node.clone(), container, layout, codec, sources, buffers };
    let plan = plan(&mut work, &targets).await?;
    let targets = Rc::new(Targets::new(container, targets));
    let done = async {
        targets.create().await?;
        blocks(&work, plan, &targets).await?;
        targets.close().await
    }
    .await;
    match &done {
        Ok(()) => {
            tracing::info!(%container, replicas = rebuild.targets.len(), "lost replicas are rebuilt");
        }
        Err(_) => targets.remove().await,
    }
    done
}

/// What each source has, and what follows from it. A source that does not say is none.
async fn plan(
    work: &mut Work,
    targets: &BTreeMap<ReplicaIndex, Rc<Link>>,
) -> Result<BTreeMap<LocalId, BlockPlan>, CommandError> {
    let asked = join_all(work.sources.iter().map(|(index, link)| async {
        let listed = list::report(link, *index).await;
        (*index, listed)
    }))
    .await;
    let mut reports = Vec::new();
    for (index, listed) in asked {
        match listed {
            Ok(report) => reports.push(report),
            Err(e) => {
                tracing::warn!(container = %work.container, replica = %index, error = %e, "a source does not list its blocks");
                work.sources.remove(&index);
            }
        }
    }
    // What is not there cannot be told from what is lost: too few sources would make every block an orphan.
    let needed = work.layout.scheme().data();
    if reports.len() < needed {
        let why = format!(
            "container {} has {} sources that answer; {needed} are needed",
            work.container,
            reports.len()
        );
        return Err(CommandError::new(IoException, why));
    }
    let wanted: Vec<ReplicaIndex> = targets.keys().copied().collect();
    let plan = plan_container(work.layout, &reports, &wanted)
        .map_err(|e| CommandError::new(InvalidArgument, format!("container {}: {e}", work.container)))?;
    for skipped in &plan.skipped {
        tracing::warn!(container = %work.container, "{skipped}");
    }
    Ok(plan.blocks)
}

async fn blocks(
    work: &Work,
    plan: BTreeMap<LocalId, BlockPlan>,
    targets: &Rc<Targets>,
) -> Result<(), CommandError> {
    // Of each block one stripe is read while another is written.
    let stripe = 2 * work.layout.cell_len() * work.layout.scheme().cells();
    let at_once = (MEMORY / stripe.max(1)).clamp(1, BLOCKS_AT_ONCE);
    stream::iter(plan.into_iter().map(Ok))
        .try_for_each_concurrent(at_once, |(local, plan)| block::rebuild(work, targets, local, plan))
        .await
}
