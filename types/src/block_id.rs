//! Blocks' names across the cluster.

use std::fmt;

use crate::{Bcsid, ContainerId, LocalId, ReplicaIndex};

/// A block: which container, which block in it, how new, and (EC only) which replica's part.
///
/// ```
/// use allotrope_types::{Bcsid, BlockId, ContainerId, LocalId, ReplicaIndex};
///
/// let group = BlockId::new(ContainerId::new(3), LocalId::new(1001));
/// let cells = group.on_replica(ReplicaIndex::new(2).unwrap());
/// assert_eq!(group.to_string(), "conID: 3 locID: 1001 bcsId: 0");
/// assert_eq!(cells.to_string(), "conID: 3 locID: 1001 bcsId: 0 replicaIndex: 2");
/// assert!(group.same_block(cells));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct BlockId {
    /// The container that holds the block.
    pub container: ContainerId,
    /// The block inside the container.
    pub local: LocalId,
    /// How new a copy the asker needs at least; 0 asks for any.
    pub bcsid: Bcsid,
    /// The replica of an EC group that is meant; `None` for replicated blocks and for a whole group.
    pub replica: Option<ReplicaIndex>,
}

impl BlockId {
    /// The block with BCSID 0 and no replica index: what OM and SCM name when they allocate one.
    pub const fn new(container: ContainerId, local: LocalId) -> BlockId {
        BlockId { container, local, bcsid: Bcsid::new(0), replica: None }
    }

    /// The same block, at least as new as `bcsid`.
    pub const fn at(self, bcsid: Bcsid) -> BlockId {
        BlockId { bcsid, ..self }
    }

    /// The part of the same block group that lies on replica `index`.
    pub const fn on_replica(self, index: ReplicaIndex) -> BlockId {
        BlockId { replica: Some(index), ..self }
    }

    /// Whether both name the same block, however new and on whichever replica.
    pub fn same_block(self, other: BlockId) -> bool {
        self.container == other.container && self.local == other.local
    }
}

/// As Ozone's logs and messages spell it, so that one search finds a block on both sides.
impl fmt::Display for BlockId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let BlockId { container, local, bcsid, replica } = self;
        write!(f, "conID: {container} locID: {local} bcsId: {bcsid}")?;
        match replica {
            Some(index) => write!(f, " replicaIndex: {index}"),
            None => Ok(()),
        }
    }
}
