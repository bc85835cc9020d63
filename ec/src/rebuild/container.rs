//! The plan for a container: its blocks, merged from what the sources report.

use std::collections::BTreeMap;
use std::fmt;

use allotrope_types::{LocalId, ReplicaIndex};

use super::block::{BlockOnSource, BlockPlan, SetAside, SkipReason, plan_block};
use crate::cells::{CellIndex, CellSet};
use crate::geometry::Layout;

/// What one surviving replica reports of a container.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SourceReport {
    /// The replica.
    pub replica: ReplicaIndex,
    /// Its blocks.
    pub blocks: BTreeMap<LocalId, BlockOnSource>,
}

/// What to rebuild of a container, and what is left out.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ContainerPlan {
    /// The blocks to rebuild, by their ids.
    pub blocks: BTreeMap<LocalId, BlockPlan>,
    /// The blocks that are not rebuilt, by their ids. Their loss is to be reported, not just logged away.
    pub skipped: Vec<Skipped>,
}

/// A block that is not rebuilt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Skipped {
    /// The block.
    pub block: LocalId,
    /// Why it is not rebuilt.
    pub why: SkipReason,
    /// What is the matter with each source that could not serve.
    pub set_aside: Vec<SetAside>,
}

/// Facts that cannot be: whoever gathered them, or the command they come from, is wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ContainerPlanError {
    /// A replica that the config does not have.
    #[error("replica {replica} is not one of the {replicas} of the container's config")]
    NoSuchReplica {
        /// The replica.
        replica: ReplicaIndex,
        /// Replicas of the config.
        replicas: usize,
    },
    /// A replica named twice, as source, as target or as both.
    #[error("replica {replica} is named twice among sources and targets")]
    ReplicaTwice {
        /// The replica.
        replica: ReplicaIndex,
    },
    /// Nothing to rebuild.
    #[error("no replica is to be rebuilt")]
    NoTargets,
}

/// Plans the rebuilding of replicas `targets` from `sources`, the best to read from first.
///
/// ```
/// use allotrope_ec::{BlockOnSource, CellIndex, Layout, SourceReport, plan_container};
/// use allotrope_types::{ByteCount, LocalId, ReplicaIndex};
///
/// let layout = Layout::new("rs-3-2-1024k".parse()?);
/// let replica = |number| ReplicaIndex::new(number).unwrap();
/// let kib = ByteCount::kib(1536); // one and a half cells
/// let report = |number: u8, block_kib| SourceReport {
///     replica: replica(number),
///     blocks: [(LocalId::new(7), BlockOnSource { group_len: Some(kib), block_len: ByteCount::kib(block_kib) })].into(),
/// };
/// let plan = plan_container(layout, &[report(2, 512), report(4, 1024), report(5, 1024)], &[replica(1)])?;
/// let block = &plan.blocks[&LocalId::new(7)];
/// assert_eq!(block.target_len(CellIndex::new(0)), ByteCount::mib(1));
/// assert_eq!(block.read().len(), 2); // the third data cell is padding and needs no source
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn plan_container(
    layout: Layout,
    sources: &[SourceReport],
    targets: &[ReplicaIndex],
) -> Result<ContainerPlan, ContainerPlanError> {
    let replicas = layout.scheme().cells();
    let mut named = CellSet::EMPTY;
    for replica in sources.iter().map(|source| source.replica).chain(targets.iter().copied()) {
        if replica.position() >= replicas {
            return Err(ContainerPlanError::NoSuchReplica { replica, replicas });
        }
        if named.contains(replica.into()) {
            return Err(ContainerPlanError::ReplicaTwice { replica });
        }
        named = named.with(replica.into());
    }
    if targets.is_empty() {
        return Err(ContainerPlanError::NoTargets);
    }
    let targets: CellSet = targets.iter().map(|&replica| CellIndex::from(replica)).collect();

    // All sources list their blocks in order, so the least id at the heads is the next block.
    let mut heads: Vec<_> = sources.iter().map(|source| source.blocks.iter().peekable()).collect();
    let mut facts: Vec<(CellIndex, Option<BlockOnSource>)> =
        sources.iter().map(|source| (source.replica.into(), None)).collect();
    let mut plan = ContainerPlan::default();
    while let Some(block) = heads.iter_mut().filter_map(|head| head.peek().map(|(block, _)| **block)).min() {
        for ((_, fact), head) in facts.iter_mut().zip(&mut heads) {
            *fact = head.next_if(|(id, _)| **id == block).map(|(_, fact)| *fact);
        }
        match plan_block(layout, &facts, targets) {
            Ok(planned) => drop(plan.blocks.insert(block, planned)),
            Err((why, set_aside)) => plan.skipped.push(Skipped { block, why, set_aside }),
        }
    }
    Ok(plan)
}

impl fmt::Display for Skipped {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "block {} is not rebuilt: {}", self.block, self.why)?;
        for (i, set_aside) in self.set_aside.iter().enumerate() {
            write!(f, "{}{set_aside}", if i == 0 { " (" } else { "; " })?;
        }
        if self.set_aside.is_empty() { Ok(()) } else { f.write_str(")") }
    }
}
