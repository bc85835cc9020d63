//! SCM's commands, and the lines in which they go to a child.

use crate::child::Place;
use allotrope_proto::hdds::{DatanodeDetailsProto, DatanodeIdProto, EcReplicationConfig, Port, Uuid};
use allotrope_proto::heartbeat::scm_command_proto::Type;
use allotrope_proto::heartbeat::{
    DatanodeDetailsAndReplicaIndexProto, ReconstructEcContainersCommandProto, ReplicateContainerCommandProto,
    ScmCommandProto,
};
use allotrope_types::{DatanodeId, EcConfig};
use prost::Message;

/// A line that [`decode`] reads.
pub(crate) fn encode(command: &ScmCommandProto) -> String {
    command.encode_to_vec().iter().map(|byte| format!("{byte:02x}")).collect()
}

pub(crate) fn decode(line: &str) -> ScmCommandProto {
    let digits = line.trim().as_bytes().chunks(2);
    let byte = |pair: &[u8]| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap();
    ScmCommandProto::decode(&*digits.map(byte).collect::<Vec<u8>>()).unwrap()
}

fn details(place: &Place) -> DatanodeDetailsProto {
    let (most_sig_bits, least_sig_bits) = place.node.parse::<DatanodeId>().unwrap().to_halves();
    let uuid = Uuid { most_sig_bits, least_sig_bits };
    let port = |name: &str, value: u16| Port { name: name.into(), value: value.into() };
    DatanodeDetailsProto {
        uuid: Some(place.node.clone()),
        ip_address: place.address.ip().to_string(),
        host_name: "localhost".into(),
        ports: vec![port("REPLICATION", place.replication.port()), port("STANDALONE", place.address.port())],
        uuid128: Some(uuid),
        id: Some(DatanodeIdProto { uuid }),
        ..Default::default()
    }
}

/// The datanode that is told sends the container to `target`.
pub(crate) fn replicate(cmd_id: i64, container_id: i64, target: &Place) -> ScmCommandProto {
    let replicate = ReplicateContainerCommandProto {
        container_id,
        target: Some(details(target)),
        cmd_id,
        ..Default::default()
    };
    ScmCommandProto {
        command_type: Type::ReplicateContainerCommand.into(),
        replicate_container_command_proto: Some(replicate),
        term: Some(1),
        ..Default::default()
    }
}

/// The first of `targets` is told: it rebuilds these replicas, by index, from those.
pub(crate) fn reconstruct(
    cmd_id: i64,
    container_id: i64,
    config: EcConfig,
    sources: &[(usize, &Place)],
    targets: &[(usize, &Place)],
) -> ScmCommandProto {
    let source = |(index, place): &(usize, &Place)| DatanodeDetailsAndReplicaIndexProto {
        datanode_details: details(place),
        replica_index: *index as i32,
    };
    let reconstruct = ReconstructEcContainersCommandProto {
        container_id,
        sources: sources.iter().map(source).collect(),
        targets: targets.iter().map(|(_, place)| details(place)).collect(),
        missing_container_indexes: targets.iter().map(|(index, _)| *index as u8).collect(),
        ec_replication_config: EcReplicationConfig {
            data: config.data() as i32,
            parity: config.parity() as i32,
            codec: config.codec().name().to_owned(),
            ec_chunk_size: config.cell_len().as_u64() as i32,
        },
        cmd_id,
    };
    ScmCommandProto {
        command_type: Type::ReconstructEcContainersCommand.into(),
        reconstruct_ec_containers_command_proto: Some(reconstruct),
        term: Some(1),
        ..Default::default()
    }
}
