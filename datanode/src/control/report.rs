//! What SCM is told, made from facts: pure.

use crate::format::datanode_id::DatanodeIdFile;
use crate::identity::DATANODE_VERSION;
use crate::store::ReplicaFacts;
use crate::volume::Volume;
use allotrope_proto::edge::hdds::{DatanodeDetails, NodeOperationalState, Port, PortName, StorageTypeProto};
use allotrope_proto::edge::heartbeat::{
    ContainerReplica, ContainerReports, LayoutVersion, MetadataStorageReport, NodeReport, ReportedIndex,
    StorageReport,
};
use allotrope_types::{Bcsid, ByteCount, DatanodeId};

/// Who the datanode is.
pub fn details(file: &DatanodeIdFile) -> DatanodeDetails {
    let port = |(name, number): (&String, &u16)| Port { name: PortName::from(&**name), number: *number };
    let state = NodeOperationalState::from_str_name(&file.operational_state);
    DatanodeDetails {
        id: file.id,
        ip_address: file.ip_address.clone(),
        host_name: file.host_name.clone(),
        ports: file.ports.iter().map(port).collect(),
        cert_serial_id: None,
        network_name: None,
        network_location: None,
        persisted_op_state: Some(state.unwrap_or(NodeOperationalState::InService)),
        persisted_op_state_expiry: Some(file.operational_state_expiry_s),
        current_version: Some(DATANODE_VERSION),
        level: None,
    }
}

/// Which layout the datanode keeps.
pub fn layout(version: u32) -> LayoutVersion {
    LayoutVersion { metadata_layout_version: version, software_layout_version: version }
}

/// What the disks hold.
pub fn node<'a>(
    volumes: impl IntoIterator<Item = &'a Volume>,
    metadata_dir: &str,
    metadata_on: Option<&Volume>,
) -> NodeReport {
    let bytes = |count: u64| Some(ByteCount::new(count));
    let storage_report = volumes
        .into_iter()
        .map(|volume| {
            let space = volume.space();
            StorageReport {
                storage_uuid: volume.version().volume.storage_id(),
                storage_location: volume.paths().root().to_string_lossy().into_owned(),
                capacity: bytes(space.capacity),
                scm_used: bytes(space.used),
                remaining: bytes(space.available),
                storage_type: Some(StorageTypeProto::Disk),
                failed: Some(volume.is_suspect()),
                committed: bytes(space.committed),
                free_space_to_spare: bytes(volume.kept().soft),
                reserved: bytes(volume.kept().reserved),
                fs_capacity: bytes(space.fs_capacity),
                fs_available: bytes(space.fs_available),
            }
        })
        .collect();
    // The metadata folder's own file system is not asked; the first volume's stands for it.
    let space = metadata_on.map(Volume::space).unwrap_or_default();
    let metadata = MetadataStorageReport {
        storage_location: metadata_dir.to_owned(),
        storage_type: Some(StorageTypeProto::Disk),
        capacity: bytes(space.fs_capacity),
        scm_used: bytes(0),
        remaining: bytes(space.fs_available),
        failed: Some(false),
    };
    NodeReport { storage_report, metadata_storage_report: vec![metadata], db_storage_report: Vec::new() }
}

/// What one replica is.
pub fn replica(facts: &ReplicaFacts, this: DatanodeId) -> ContainerReplica {
    let counters = facts.counters;
    // SCM parses it as a UUID; a file from elsewhere may hold anything.
    let origin = facts.origin_node.parse::<DatanodeId>().unwrap_or(this);
    ContainerReplica {
        container_id: facts.container,
        state: facts.state,
        size: Some(ByteCount::new(counters.bytes_used)),
        used: Some(ByteCount::new(counters.bytes_used)),
        key_count: Some(counters.blocks as i64),
        read_count: Some(0),
        write_count: Some(0),
        read_bytes: Some(0),
        write_bytes: Some(0),
        finalhash: None,
        delete_transaction_id: Some(counters.delete_transaction as i64),
        block_commit_sequence_id: Some(Bcsid::new(counters.bcsid)),
        origin_node_id: Some(origin.to_string()),
        replica: ReportedIndex(facts.replica),
        is_empty: Some(counters.blocks == 0),
        data_checksum: counters.data_checksum.map(i64::from),
    }
}

/// What all replicas are.
pub fn containers(facts: &[ReplicaFacts], this: DatanodeId) -> ContainerReports {
    ContainerReports { reports: facts.iter().map(|one| replica(one, this)).collect() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::container::Counters;
    use allotrope_proto::hdds::{DatanodeDetailsProto, DatanodeIdProto, Port as WirePort, Uuid};
    use allotrope_proto::heartbeat::{ContainerReplicaProto, container_replica_proto::State};
    use allotrope_types::{ContainerId, ReplicaIndex, ReplicaState};

    #[test]
    fn a_replica_says_all_that_ozones_datanodes_say_its_index_too_where_it_has_none() {
        let this = DatanodeId::from_bytes([1; 16]);
        let counters = Counters {
            bcsid: 5,
            bytes_used: 6,
            blocks: 7,
            delete_transaction: 8,
            data_checksum: Some(u32::MAX),
        };
        let facts = ReplicaFacts {
            container: ContainerId::new(4),
            state: ReplicaState::QuasiClosed,
            replica: None,
            counters,
            origin_node: "nobody".to_owned(),
        };
        let message = ContainerReplicaProto {
            container_id: 4,
            state: State::QuasiClosed.into(),
            size: Some(6),
            used: Some(6),
            key_count: Some(7),
            read_count: Some(0),
            write_count: Some(0),
            read_bytes: Some(0),
            write_bytes: Some(0),
            finalhash: None,
            delete_transaction_id: Some(8),
            block_commit_sequence_id: Some(5),
            origin_node_id: Some(this.to_string()),
            replica_index: Some(0),
            is_empty: Some(false),
            data_checksum: Some(4_294_967_295),
        };
        assert_eq!(ContainerReplicaProto::from(replica(&facts, this)), message);
        let third = ReplicaFacts { replica: ReplicaIndex::new(3), ..facts };
        assert_eq!(ContainerReplicaProto::from(replica(&third, this)).replica_index, Some(3));
    }

    #[test]
    fn a_datanode_says_its_id_in_all_forms_and_its_ports_by_name() {
        let id = DatanodeId::from_halves(1, 2);
        let file = DatanodeIdFile {
            id,
            ip_address: "10.0.0.1".to_owned(),
            host_name: "node1".to_owned(),
            ports: [("RATIS".to_owned(), 9858), ("QUIC".to_owned(), 1)].into(),
            operational_state: "DECOMMISSIONING".to_owned(),
            operational_state_expiry_s: 9,
            initial_version: 3,
            current_version: 3,
        };
        let uuid = Uuid { most_sig_bits: 1, least_sig_bits: 2 };
        let port = |name: &str, value| WirePort { name: name.to_owned(), value };
        let message = DatanodeDetailsProto {
            uuid: Some(id.to_string()),
            ip_address: "10.0.0.1".to_owned(),
            host_name: "node1".to_owned(),
            ports: vec![port("QUIC", 1), port("RATIS", 9858)],
            persisted_op_state: Some(NodeOperationalState::Decommissioning.into()),
            persisted_op_state_expiry: Some(9),
            current_version: Some(DATANODE_VERSION),
            uuid128: Some(uuid),
            id: Some(DatanodeIdProto { uuid }),
            ..Default::default()
        };
        assert_eq!(DatanodeDetailsProto::from(details(&file)), message);
    }
}
