//! Blocks' names: with datanodes as one message, with OM and SCM as another.

use allotrope_types::{Bcsid, BlockId};

use super::field::{At, Field};
use crate::container::DatanodeBlockId;
use crate::hdds::{BlockId as HddsBlockId, ContainerBlockId};
use crate::{Checked, WireError};

/// A block without its BCSID, as SCM allocates it.
impl Field<ContainerBlockId> for BlockId {
    fn read(wire: ContainerBlockId, _: At) -> Result<Self, WireError> {
        let at = |field| At::new(ContainerBlockId::RULES, field);
        let container = Field::read(wire.container_id, at("container_id"))?;
        Ok(BlockId::new(container, Field::read(wire.local_id, at("local_id"))?))
    }

    fn write(self) -> ContainerBlockId {
        ContainerBlockId { container_id: self.container.to_wire(), local_id: self.local.to_wire() }
    }
}

/// A block as OM names it. Its BCSID is always written, as Java does; a replica index has no place here.
impl Field<HddsBlockId> for BlockId {
    fn read(wire: HddsBlockId, at: At) -> Result<Self, WireError> {
        let block: BlockId = Field::read(wire.container_block_id, at)?;
        let at = At::new(HddsBlockId::RULES, "block_commit_sequence_id");
        Ok(block.at(Bcsid::read(wire.block_commit_sequence_id.unwrap_or(0), at)?))
    }

    fn write(self) -> HddsBlockId {
        HddsBlockId { container_block_id: self.write(), block_commit_sequence_id: Some(self.bcsid.as_u64()) }
    }
}

/// A block as datanodes name it. Its BCSID is always written, as Java does; a replica index only where there is one.
impl Field<DatanodeBlockId> for BlockId {
    fn read(wire: DatanodeBlockId, _: At) -> Result<Self, WireError> {
        let at = |field| At::new(DatanodeBlockId::RULES, field);
        let container = Field::read(wire.container_id, at("container_id"))?;
        let local = Field::read(wire.local_id, at("local_id"))?;
        let bcsid = wire.block_commit_sequence_id.unwrap_or(0);
        Ok(BlockId {
            bcsid: Field::read(bcsid, at("block_commit_sequence_id"))?,
            replica: Field::read((wire.replica_index,), at("replica_index"))?,
            ..BlockId::new(container, local)
        })
    }

    fn write(self) -> DatanodeBlockId {
        let (replica_index,) = self.replica.write();
        DatanodeBlockId {
            container_id: self.container.to_wire(),
            local_id: self.local.to_wire(),
            block_commit_sequence_id: Some(self.bcsid.as_u64()),
            replica_index,
        }
    }
}
