//! SCM's tables: Ozone's column families of `scm.db`, with Ozone's keys and values.
//!
//! ```text
//! containers    container id, 8 bytes, highest first      ContainerInfoProto
//! pipelines     pipeline id, 16 bytes: most, least half   Pipeline
//! sequenceId    name, UTF-8                               the last id given out, 8 bytes, highest first
//! deletedBlocks transaction id, 8 bytes, highest first    DeletedBlocksTransaction
//! meta          name, UTF-8                               UTF-8
//! ```
//!
//! Source  docs/formats/scm-tables.md.

use allotrope_consensus::{Be64, Codec, CodecError, KeyCodec, Proto, Table, Utf8};
use allotrope_proto::{hdds, heartbeat};
use allotrope_types::PipelineId;

/// Containers by id.
pub const CONTAINERS: Table<Be64, Proto<hdds::ContainerInfoProto>> = Table::new("containers");
/// Pipelines by id.
pub const PIPELINES: Table<PipelineKey, Proto<hdds::Pipeline>> = Table::new("pipelines");
/// The last id given out, by the sequence's name.
pub const SEQUENCES: Table<Utf8, Be64> = Table::new("sequenceId");
/// Blocks to be deleted, by transaction.
pub const DELETIONS: Table<Be64, Proto<heartbeat::DeletedBlocksTransaction>> = Table::new("deletedBlocks");
/// Small facts by name.
pub const META: Table<Utf8, Utf8> = Table::new("meta");

/// Every column family of Ozone's `scm.db`: those that we do not use yet are made all the same, so that Ozone's own
/// tools open the database.
pub const FAMILIES: [&str; 10] = [
    "containers",
    "pipelines",
    "sequenceId",
    "deletedBlocks",
    "meta",
    "validCerts",
    "validSCMCerts",
    "scmTransactionInfos",
    "move",
    "statefulServiceConfig",
];

/// Names of the sequences in [`SEQUENCES`].
pub mod sequence {
    /// Blocks within containers.
    pub const LOCAL: &str = "localId";
    /// Containers.
    pub const CONTAINER: &str = "containerId";
    /// Deletion transactions.
    pub const DELETION: &str = "delTxnId";
}

/// Datanodes that were taken out of service, in [`META`]: `duty.` and the datanode's id; state and end, such as
/// `IN_MAINTENANCE 1767225600`.
pub mod duty {
    use allotrope_types::DatanodeId;

    use crate::cluster::Duty;
    use crate::node::OperationalState;

    const PREFIX: &str = "duty.";

    pub(crate) fn key(node: DatanodeId) -> String {
        format!("{PREFIX}{node}")
    }

    pub(crate) fn value(duty: Duty) -> String {
        format!("{} {}", duty.state.name(), duty.until_s)
    }

    /// The duty that a row says; `None` for another fact.
    pub(crate) fn of(key: &str, value: &str) -> Option<Duty> {
        let node = key.strip_prefix(PREFIX)?.parse().ok()?;
        let (state, until_s) = value.split_once(' ')?;
        Some(Duty { node, state: OperationalState::from_name(state)?, until_s: until_s.parse().ok()? })
    }
}

/// Who writes a container whose every write all of them acknowledge from stable storage, in [`META`]: `writers.` and the
/// container's id; the datanodes' ids with blanks between. Gone when the container is closed.
pub mod writers {
    use allotrope_types::{ContainerId, DatanodeId};

    const PREFIX: &str = "writers.";

    pub(crate) fn key(container: ContainerId) -> String {
        format!("{PREFIX}{container}")
    }

    pub(crate) fn value(nodes: &[DatanodeId]) -> String {
        nodes.iter().map(DatanodeId::to_string).collect::<Vec<_>>().join(" ")
    }

    /// The container and its writers that a row says; `None` for another fact.
    pub(crate) fn of(key: &str, value: &str) -> Option<(ContainerId, Vec<DatanodeId>)> {
        let container = key.strip_prefix(PREFIX)?.parse::<u64>().ok()?;
        let nodes = value.split(' ').map(|id| id.parse().ok()).collect::<Option<_>>()?;
        Some((ContainerId::new(container), nodes))
    }
}

/// A pipeline's id: its 16 bytes, most significant first.
#[derive(Clone, Copy, Debug)]
pub struct PipelineKey;

impl Codec for PipelineKey {
    type Item = PipelineId;

    fn encode(item: &PipelineId, out: &mut Vec<u8>) {
        out.extend_from_slice(item.as_bytes());
    }

    fn decode(bytes: &[u8]) -> Result<PipelineId, CodecError> {
        let bytes: [u8; 16] = bytes
            .try_into()
            .map_err(|_| CodecError::new("a pipeline id", format!("{} bytes", bytes.len())))?;
        Ok(PipelineId::from_bytes(bytes))
    }
}

impl KeyCodec for PipelineKey {}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn pipeline_keys_come_back_and_keep_their_order(a: [u8; 16], b: [u8; 16]) {
            let (x, y) = (PipelineId::from_bytes(a), PipelineId::from_bytes(b));
            prop_assert_eq!(PipelineKey::decode(&PipelineKey::to_bytes(&x)).unwrap(), x);
            prop_assert_eq!(PipelineKey::to_bytes(&x).cmp(&PipelineKey::to_bytes(&y)), x.cmp(&y));
        }
    }

    #[test]
    fn keys_are_ozones_bytes() {
        assert_eq!(Be64::to_bytes(&258), [0, 0, 0, 0, 0, 0, 1, 2]);
        let id: PipelineId = "00112233-4455-6677-8899-aabbccddeeff".parse().unwrap();
        let bytes =
            [0, 0x11, 0x22, 0x33, 0x44, 0x55, 0x66, 0x77, 0x88, 0x99, 0xaa, 0xbb, 0xcc, 0xdd, 0xee, 0xff];
        assert_eq!(PipelineKey::to_bytes(&id), bytes);
        assert_eq!(Utf8::to_bytes(&sequence::LOCAL.to_owned()), b"localId");
        assert!(PipelineKey::decode(&bytes[1..]).is_err());
    }

    #[test]
    fn a_duty_survives_its_row_and_other_facts_are_none() {
        let node = allotrope_types::DatanodeId::from_random_bytes([3; 16]);
        let set = crate::cluster::Duty {
            node,
            state: crate::node::OperationalState::InMaintenance,
            until_s: 1_767_225_600,
        };
        assert_eq!(duty::of(&duty::key(node), &duty::value(set)), Some(set));
        let other = allotrope_types::DatanodeId::from_random_bytes([9; 16]);
        let (id, nodes) = (allotrope_types::ContainerId::new(7), vec![node, other]);
        assert_eq!(writers::of(&writers::key(id), &writers::value(&nodes)), Some((id, nodes.clone())));
        assert_eq!(writers::of(&duty::key(node), &writers::value(&nodes)), None);
        for (key, value) in [("other", "x"), ("duty.x", "IN_SERVICE 0"), (duty::key(node).as_str(), "GONE 0")]
        {
            assert_eq!(duty::of(key, value), None, "{key} {value}");
        }
    }

    #[test]
    fn every_table_is_among_the_families() {
        for name in [CONTAINERS.name(), PIPELINES.name(), SEQUENCES.name(), DELETIONS.name(), META.name()] {
            assert!(FAMILIES.contains(&name), "{name}");
        }
    }
}
