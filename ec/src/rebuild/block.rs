//! The plan for one block: how long it safely is, and which replicas to read.

use std::fmt;

use allotrope_types::{ByteCount, ReplicaIndex};

use crate::cells::{CellIndex, CellSet};
use crate::geometry::Layout;

/// What one source reports of a block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BlockOnSource {
    /// The length of the block group when this replica last put the block; `None` if its metadata has none.
    pub group_len: Option<ByteCount>,
    /// Bytes that the chunks of this replica's block hold, from its start without a gap.
    pub block_len: ByteCount,
}

/// A block that can be rebuilt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BlockPlan {
    pub(super) layout: Layout,
    group_len: ByteCount,
    read: CellSet,
    spare: CellSet,
    targets: CellSet,
    set_aside: Vec<SetAside>,
}

/// A source that a block is not read from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SetAside {
    /// The source.
    pub replica: ReplicaIndex,
    /// Why it is not read.
    pub why: SetAsideReason,
}

/// Why a source cannot serve a block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SetAsideReason {
    /// It does not report the block.
    NoBlock,
    /// Its metadata lacks the group's length.
    NoGroupLength,
    /// It was left behind: it reports a shorter group than others.
    Behind {
        /// The length it reports.
        group_len: ByteCount,
        /// The length the others hold.
        others: ByteCount,
    },
    /// Its chunks hold fewer bytes than its part of the group.
    Short {
        /// Bytes its chunks hold.
        block_len: ByteCount,
        /// Bytes of its part.
        needed: ByteCount,
    },
}

/// Why a block is not rebuilt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SkipReason {
    /// No source reports a length of the group: it was never put with one.
    NoGroupLength,
    /// The group is empty.
    Empty,
    /// An orphan: no length of the group is held by enough sources. Either its client never got it acknowledged, or
    /// more replicas are damaged than the code makes up for.
    TooFewSources {
        /// The shortest length reported, the one most sources could hold.
        group_len: ByteCount,
        /// The sources that hold that much.
        holding: CellSet,
        /// How many sources that have bytes of it are needed.
        needed: usize,
    },
}

/// Plans the rebuilding of one block for `targets`. `sources` are the surviving replicas, the best to read from first,
/// each with what it reports of the block, if anything.
///
/// # Panics
/// If a source or target is no cell of the layout, or is named twice.
pub fn plan_block(
    layout: Layout,
    sources: &[(CellIndex, Option<BlockOnSource>)],
    targets: CellSet,
) -> Result<BlockPlan, (SkipReason, Vec<SetAside>)> {
    let named: CellSet = sources.iter().map(|(cell, _)| *cell).chain(targets).collect();
    assert_eq!(named.len(), sources.len() + targets.len(), "sources and targets are named once");
    assert!(
        named.without(layout.scheme().all_cells()).is_empty(),
        "sources and targets are cells of the layout"
    );
    let reported = || sources.iter().filter_map(|(_, block)| block.as_ref()?.group_len);
    let lengths = || reported().filter(|len| !len.is_zero());
    let at_length = |group_len: ByteCount| {
        let candidate = Candidate::new(layout, group_len, sources);
        (candidate.holding.len() >= candidate.needed).then_some(candidate)
    };
    // The longest length that enough sources hold; a block has few lengths, mostly one.
    let mut next = lengths().max();
    while let Some(group_len) = next {
        if let Some(candidate) = at_length(group_len) {
            return Ok(candidate.plan(layout, sources, targets));
        }
        next = lengths().filter(|&len| len < group_len).max();
    }
    let Some(group_len) = lengths().min() else {
        let why = if reported().next().is_some() { SkipReason::Empty } else { SkipReason::NoGroupLength };
        return Err((why, set_aside(layout, ByteCount::ZERO, sources)));
    };
    let Candidate { holding, needed, .. } = Candidate::new(layout, group_len, sources);
    let why = SkipReason::TooFewSources { group_len, holding, needed };
    Err((why, set_aside(layout, group_len, sources)))
}

/// One length a group may have, and who holds it.
struct Candidate {
    group_len: ByteCount,
    /// Sources with bytes of the group that hold all of their part.
    holding: CellSet,
    /// How many of them it takes: padding, zeros that nobody holds, makes up for the rest.
    needed: usize,
}

impl Candidate {
    fn new(
        layout: Layout,
        group_len: ByteCount,
        sources: &[(CellIndex, Option<BlockOnSource>)],
    ) -> Candidate {
        let with_bytes = layout.data_cells_held(group_len);
        let padding = layout.scheme().data_cells().without(with_bytes);
        let holds = |(cell, block): &(CellIndex, Option<BlockOnSource>)| {
            reason_against(layout, group_len, *cell, block.as_ref()).is_none().then_some(*cell)
        };
        let holding: CellSet = sources.iter().filter_map(holds).collect();
        Candidate { group_len, holding: holding.without(padding), needed: with_bytes.len() }
    }

    fn plan(
        self,
        layout: Layout,
        sources: &[(CellIndex, Option<BlockOnSource>)],
        targets: CellSet,
    ) -> BlockPlan {
        let best_first = sources.iter().map(|(cell, _)| *cell).filter(|cell| self.holding.contains(*cell));
        let read: CellSet = best_first.take(self.needed).collect();
        BlockPlan {
            layout,
            group_len: self.group_len,
            read,
            spare: self.holding.without(read),
            targets,
            set_aside: set_aside(layout, self.group_len, sources),
        }
    }
}

fn set_aside(
    layout: Layout,
    group_len: ByteCount,
    sources: &[(CellIndex, Option<BlockOnSource>)],
) -> Vec<SetAside> {
    let against = |(cell, block): &(CellIndex, Option<BlockOnSource>)| {
        let why = reason_against(layout, group_len, *cell, block.as_ref())?;
        Some(SetAside { replica: cell.replica(), why })
    };
    sources.iter().filter_map(against).collect()
}

/// Why a source cannot serve a group of `group_len` bytes; `None` if it can.
fn reason_against(
    layout: Layout,
    group_len: ByteCount,
    cell: CellIndex,
    block: Option<&BlockOnSource>,
) -> Option<SetAsideReason> {
    let Some(block) = block else { return Some(SetAsideReason::NoBlock) };
    let Some(reported) = block.group_len else { return Some(SetAsideReason::NoGroupLength) };
    if reported < group_len {
        return Some(SetAsideReason::Behind { group_len: reported, others: group_len });
    }
    let needed = layout.block_len(group_len, cell);
    (block.block_len < needed).then_some(SetAsideReason::Short { block_len: block.block_len, needed })
}

impl BlockPlan {
    /// The length the group is rebuilt to; targets put the block with it.
    pub fn group_len(&self) -> ByteCount {
        self.group_len
    }

    /// The replicas to read.
    pub fn read(&self) -> CellSet {
        self.read
    }

    /// Sources that hold the block too and can take the place of one that fails.
    pub fn spare(&self) -> CellSet {
        self.spare
    }

    /// The replicas to rebuild.
    pub fn targets(&self) -> CellSet {
        self.targets
    }

    /// Bytes that the block of target `cell` will hold. A target without bytes gets an empty block all the same.
    pub fn target_len(&self, cell: CellIndex) -> ByteCount {
        self.layout.block_len(self.group_len, cell)
    }

    /// The cells a decoder reads: those of the replicas, and the padding. Together as many as there are data cells.
    pub fn survivors(&self) -> CellSet {
        let padding = self.layout.scheme().data_cells().without(self.layout.data_cells_held(self.group_len));
        self.read.union(padding)
    }

    /// The cells a decoder makes: the targets that have bytes.
    pub fn decoded(&self) -> CellSet {
        self.targets.iter().filter(|&cell| !self.target_len(cell).is_zero()).collect()
    }

    /// Sources the block is not read from, and why: the operator hears of them even though the block is rebuilt.
    pub fn set_aside(&self) -> &[SetAside] {
        &self.set_aside
    }

    /// The same plan with a spare in the place of `failed`, a source that failed while it was read; `None` if there is
    /// no spare left.
    pub fn without(&self, failed: CellIndex) -> Option<BlockPlan> {
        let failed = CellSet::EMPTY.with(failed);
        let spare = self.spare.without(failed);
        if self.read.intersection(failed).is_empty() {
            return Some(BlockPlan { spare, ..self.clone() });
        }
        let stand_in = spare.lowest(1);
        let read = self.read.without(failed).union(stand_in);
        (!stand_in.is_empty()).then(|| BlockPlan { read, spare: spare.without(stand_in), ..self.clone() })
    }
}

impl fmt::Display for SetAside {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "replica {} ", self.replica)?;
        match self.why {
            SetAsideReason::NoBlock => f.write_str("does not have the block"),
            SetAsideReason::NoGroupLength => f.write_str("does not know the group's length"),
            SetAsideReason::Behind { group_len, others } => {
                write!(f, "knows {} of the group's {} bytes", group_len.as_u64(), others.as_u64())
            }
            SetAsideReason::Short { block_len, needed } => {
                write!(f, "holds {} of its {} bytes", block_len.as_u64(), needed.as_u64())
            }
        }
    }
}

impl fmt::Display for SkipReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            SkipReason::NoGroupLength => f.write_str("no source knows the length of the group"),
            SkipReason::Empty => f.write_str("the group is empty"),
            SkipReason::TooFewSources { group_len, holding, needed } => {
                let group_len = group_len.as_u64();
                write!(f, "{needed} sources are needed for its {group_len} bytes and only ")?;
                let replicas: Vec<String> = holding.iter().map(|cell| cell.replica().to_string()).collect();
                match replicas.as_slice() {
                    [] => f.write_str("none holds them"),
                    replicas => write!(f, "{} hold them: replicas {}", replicas.len(), replicas.join(", ")),
                }
            }
        }
    }
}
