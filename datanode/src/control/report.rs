//! What SCM is told, made from facts: pure.

use crate::format::datanode_id::DatanodeIdFile;
use crate::identity::DATANODE_VERSION;
use crate::store::ReplicaFacts;
use crate::volume::Volume;
use allotrope_proto::hdds::{
    DatanodeDetailsProto, DatanodeIdProto, NodeOperationalState, Port, StorageTypeProto, Uuid,
};
use allotrope_proto::heartbeat::{
    ContainerReplicaProto, ContainerReportsProto, LayoutVersionProto, MetadataStorageReportProto,
    NodeReportProto, StorageReportProto,
};
use allotrope_types::DatanodeId;

/// Who the datanode is.
pub fn details(file: &DatanodeIdFile) -> DatanodeDetailsProto {
    let (most_sig_bits, least_sig_bits) = file.id.to_halves();
    let uuid = Uuid { most_sig_bits, least_sig_bits };
    let ports = file.ports.iter().map(|(name, value)| Port { name: name.clone(), value: u32::from(*value) });
    let state = NodeOperationalState::from_str_name(&file.operational_state);
    DatanodeDetailsProto {
        uuid: Some(file.id.to_string()),
        ip_address: file.ip_address.clone(),
        host_name: file.host_name.clone(),
        ports: ports.collect(),
        persisted_op_state: Some(state.unwrap_or(NodeOperationalState::InService).into()),
        persisted_op_state_expiry: Some(file.operational_state_expiry_s),
        current_version: Some(DATANODE_VERSION),
        uuid128: Some(uuid),
        id: Some(DatanodeIdProto { uuid }),
        ..Default::default()
    }
}

/// Which layout the datanode keeps.
pub fn layout(version: u32) -> LayoutVersionProto {
    LayoutVersionProto { metadata_layout_version: version, software_layout_version: version }
}

/// What the disks hold.
pub fn node<'a>(
    volumes: impl IntoIterator<Item = &'a Volume>,
    metadata_dir: &str,
    metadata_on: Option<&Volume>,
) -> NodeReportProto {
    let storage_report = volumes
        .into_iter()
        .map(|volume| {
            let space = volume.space();
            StorageReportProto {
                storage_uuid: volume.version().volume.storage_id(),
                storage_location: volume.paths().root().to_string_lossy().into_owned(),
                capacity: Some(space.capacity),
                scm_used: Some(space.used),
                remaining: Some(space.available),
                storage_type: Some(StorageTypeProto::Disk.into()),
                failed: Some(volume.is_suspect()),
                committed: Some(space.committed),
                free_space_to_spare: Some(volume.kept().soft),
                reserved: Some(volume.kept().reserved),
                fs_capacity: Some(space.fs_capacity),
                fs_available: Some(space.fs_available),
            }
        })
        .collect();
    // The metadata folder's own file system is not asked; the first volume's stands for it.
    let space = metadata_on.map(Volume::space).unwrap_or_default();
    let metadata = MetadataStorageReportProto {
        storage_location: metadata_dir.to_owned(),
        storage_type: Some(StorageTypeProto::Disk.into()),
        capacity: Some(space.fs_capacity),
        scm_used: Some(0),
        remaining: Some(space.fs_available),
        failed: Some(false),
    };
    NodeReportProto { storage_report, metadata_storage_report: vec![metadata], db_storage_report: Vec::new() }
}

/// What one replica is.
pub fn replica(facts: &ReplicaFacts, this: DatanodeId) -> ContainerReplicaProto {
    let counters = facts.counters;
    // SCM parses it as a UUID; a file from elsewhere may hold anything.
    let origin = facts.origin_node.parse::<DatanodeId>().unwrap_or(this);
    ContainerReplicaProto {
        container_id: facts.container.to_wire(),
        state: facts.state.number(),
        size: Some(counters.bytes_used as i64),
        used: Some(counters.bytes_used as i64),
        key_count: Some(counters.blocks as i64),
        read_count: Some(0),
        write_count: Some(0),
        read_bytes: Some(0),
        write_bytes: Some(0),
        finalhash: None,
        delete_transaction_id: Some(counters.delete_transaction as i64),
        block_commit_sequence_id: Some(counters.bcsid),
        origin_node_id: Some(origin.to_string()),
        replica_index: Some(facts.replica.map_or(0, |index| i32::from(index.number()))),
        is_empty: Some(counters.blocks == 0),
        data_checksum: counters.data_checksum.map(i64::from),
    }
}

/// What all replicas are.
pub fn containers(facts: &[ReplicaFacts], this: DatanodeId) -> ContainerReportsProto {
    ContainerReportsProto { reports: facts.iter().map(|one| replica(one, this)).collect() }
}
