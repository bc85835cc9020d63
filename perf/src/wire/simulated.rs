//! A datanode that is not there: what it would say to SCM, made from a seed and its number.
//!
//! Shape   the same seed and number give the same datanode, so that a fleet can come back to an SCM that knows it.
//! Units   bytes; a disk has 100 TiB, 90 of them free, and a replica 4 GiB in 100 blocks.

use allotrope_proto::hdds::{self, DatanodeDetailsProto};
use allotrope_proto::heartbeat::container_replica_proto::State;
use allotrope_proto::heartbeat::{
    ContainerReplicaProto, LayoutVersionProto, NodeReportProto, StorageReportProto,
};
use allotrope_types::DatanodeId;

use crate::content::mixed;

/// Where nobody listens: whoever is told to copy from or to a simulated datanode is refused at once.
const NOWHERE: (&str, u32) = ("127.0.0.1", 1);

/// One simulated datanode.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SimulatedDatanode {
    /// What its id is made from.
    pub seed: u64,
    /// Which of its seed it is.
    pub number: u64,
}

impl SimulatedDatanode {
    /// The layout that it says it has: Ozone's 10, finalized.
    pub const LAYOUT: LayoutVersionProto =
        LayoutVersionProto { metadata_layout_version: 10, software_layout_version: 10 };

    /// Its id.
    pub fn id(self) -> DatanodeId {
        let first = mixed(self.seed ^ mixed(self.number));
        let mut bytes = [0; 16];
        bytes[..8].copy_from_slice(&first.to_be_bytes());
        bytes[8..].copy_from_slice(&mixed(first).to_be_bytes());
        DatanodeId::from_random_bytes(bytes)
    }

    /// Who and where it says it is.
    pub fn details(self) -> DatanodeDetailsProto {
        let (most_sig_bits, least_sig_bits) = self.id().to_halves();
        let uuid = hdds::Uuid { most_sig_bits, least_sig_bits };
        let port = |name: &str| hdds::Port { name: name.into(), value: NOWHERE.1 };
        DatanodeDetailsProto {
            uuid: Some(self.id().to_string()),
            uuid128: Some(uuid),
            id: Some(hdds::DatanodeIdProto { uuid }),
            ip_address: NOWHERE.0.into(),
            host_name: format!("dn-{}-{}", self.seed, self.number),
            ports: ["STANDALONE", "REPLICATION", "RATIS", "RATIS_ADMIN", "RATIS_SERVER"].map(port).into(),
            ..Default::default()
        }
    }

    /// Its one disk.
    pub fn disks(self) -> NodeReportProto {
        let storage = StorageReportProto {
            storage_uuid: format!("DS-{}-{}", self.seed, self.number),
            storage_location: "/data/1".into(),
            capacity: Some(100 << 40),
            scm_used: Some(1 << 40),
            remaining: Some(90 << 40),
            ..Default::default()
        };
        let log = hdds_metadata();
        NodeReportProto {
            storage_report: vec![storage],
            metadata_storage_report: vec![log],
            ..Default::default()
        }
    }

    /// What it says of its replica of `container`, in `state`; an erasure-coded one has an `index`.
    pub fn replica(self, container: i64, index: u32, state: State) -> ContainerReplicaProto {
        ContainerReplicaProto {
            container_id: container,
            state: state as i32,
            size: Some(5 << 30),
            used: Some(4 << 30),
            key_count: Some(100),
            block_commit_sequence_id: Some(100),
            origin_node_id: Some(self.id().to_string()),
            replica_index: (index > 0).then_some(index.cast_signed()),
            ..Default::default()
        }
    }
}

/// The place of a datanode's Raft logs, without which SCM gives it no pipeline.
fn hdds_metadata() -> allotrope_proto::heartbeat::MetadataStorageReportProto {
    allotrope_proto::heartbeat::MetadataStorageReportProto {
        storage_location: "/data/ratis".into(),
        capacity: Some(1 << 40),
        remaining: Some(1 << 40),
        ..Default::default()
    }
}
