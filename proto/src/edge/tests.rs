//! What is wrong is named, and nothing is taken for a default.

use bytes::Bytes;
use prost::Message;

use super::command::{Command, CommandRequest};
use super::hdds::{DatanodeDetails, Pipeline, PortName};
use super::om_bucket::{Acl, AclRights, BucketInfo, Quota};
use super::ratis::{EMPTY_STACK_TRACE, RaftRequest};
use crate::bulk::SplitLimits;
use crate::checksum::Checksums;
use crate::container::{
    ChecksumData, ContainerCommandRequestProto, DatanodeBlockId, GetBlockRequestProto, Type,
    WriteChunkRequestProto,
};
use crate::hdds::{
    DatanodeDetailsProto, EcReplicationConfig, Pipeline as PipelineProto, PipelineId, Port,
    ReplicationFactor, ReplicationType, Uuid,
};
use crate::om::OzoneAclInfo;
use crate::ratis::{RaftClientRequestProto, RaftRpcRequestProto};
use crate::{Rope, WireError};

const ID: &str = "f81d4fae-7dec-41d0-a765-00a0c91e6bf6";

fn shown<T, E: std::error::Error>(result: Result<T, E>) -> String {
    let Err(error) = result else { panic!("it was taken") };
    let source = error.source().map_or(String::new(), |source| format!(": {source}"));
    format!("{error}{source}")
}

fn datanode() -> DatanodeDetailsProto {
    DatanodeDetailsProto {
        uuid: Some(ID.into()),
        ip_address: "127.0.0.1".into(),
        host_name: "localhost".into(),
        ports: vec![Port { name: "STANDALONE".into(), value: 9859 }, Port { name: "QUIC".into(), value: 1 }],
        ..Default::default()
    }
}

#[test]
fn a_datanodes_id_is_read_in_any_form_and_written_in_all() {
    let details = DatanodeDetails::try_from(datanode()).unwrap();
    assert_eq!(details.id.to_string(), ID);
    assert_eq!(details.port(&PortName::Standalone), Some(9859));
    assert_eq!(details.port(&PortName::Other("QUIC".into())), Some(1));
    assert_eq!(details.port(&PortName::Ratis), None);
    let written = DatanodeDetailsProto::from(details.clone());
    let halves = Uuid { most_sig_bits: -568210367123275312, least_sig_bits: -6384696206158828554 };
    assert_eq!(written.uuid.as_deref(), Some(ID));
    assert_eq!(written.uuid128, Some(halves));
    assert_eq!(written.id.as_ref().map(|id| id.uuid), Some(halves));
    let only_halves = DatanodeDetailsProto { uuid: None, id: None, ..written };
    assert_eq!(DatanodeDetails::try_from(only_halves), Ok(details));
}

#[test]
fn a_datanode_that_contradicts_itself_is_refused() {
    let other = Uuid { most_sig_bits: 1, least_sig_bits: 2 };
    let refused =
        shown(DatanodeDetails::try_from(DatanodeDetailsProto { uuid128: Some(other), ..datanode() }));
    assert!(refused.starts_with("DatanodeDetailsProto.uuid holds a wrong value: datanode id"), "{refused}");
    let nameless = shown(DatanodeDetails::try_from(DatanodeDetailsProto { uuid: None, ..datanode() }));
    assert!(nameless.starts_with("DatanodeDetailsProto.uuid holds a wrong value"), "{nameless}");
    let mut far = datanode();
    far.ports[0].value = 65536;
    assert_eq!(shown(DatanodeDetails::try_from(far)), "Port.value is 65536, beyond 65535");
    let state = DatanodeDetailsProto { persisted_op_state: Some(77), ..datanode() };
    let refused = shown(DatanodeDetails::try_from(state));
    assert_eq!(refused, "DatanodeDetailsProto.persistedOpState is 77, which names nothing");
}

fn pipeline() -> PipelineProto {
    PipelineProto {
        id: PipelineId { id: Some(ID.into()), uuid128: None },
        members: vec![datanode()],
        ..Default::default()
    }
}

#[test]
fn a_pipeline_that_does_not_add_up_is_refused() {
    assert!(Pipeline::try_from(pipeline()).is_ok());
    let ec = PipelineProto { r#type: Some(ReplicationType::Ec as i32), ..pipeline() };
    let refused = shown(Pipeline::try_from(ec.clone()));
    assert_eq!(refused, "Pipeline.type is EC, and the field that says how many copies is absent");
    let chained = PipelineProto { r#type: Some(ReplicationType::Chained as i32), ..pipeline() };
    assert_eq!(shown(Pipeline::try_from(chained)), "Pipeline.type is 3, which names nothing");
    let zero = PipelineProto { factor: Some(ReplicationFactor::Zero as i32), ..pipeline() };
    assert!(Pipeline::try_from(zero).is_err());
    let indexes = PipelineProto { member_replica_indexes: vec![1, 2], ..pipeline() };
    assert_eq!(
        shown(Pipeline::try_from(indexes)),
        "Pipeline.memberReplicaIndexes has 2 entries for 1 members"
    );
    let index = PipelineProto { member_replica_indexes: vec![99], ..pipeline() };
    assert!(
        shown(Pipeline::try_from(index)).starts_with("Pipeline.memberReplicaIndexes holds a wrong value")
    );
    let order = PipelineProto { member_orders: vec![1], ..pipeline() };
    assert_eq!(shown(Pipeline::try_from(order)), "Pipeline.memberOrders names member 1 of 1");
    let scheme = EcReplicationConfig { data: 0, parity: 2, codec: "rs".into(), ec_chunk_size: 1 << 20 };
    let refused = shown(Pipeline::try_from(PipelineProto { ec_replication_config: Some(scheme), ..ec }));
    assert!(refused.starts_with("Pipeline.type holds a wrong value"), "{refused}");
}

#[test]
fn checksums_have_their_types_length() {
    let data = |kind, bytes_per_checksum, checksum: &'static [u8]| ChecksumData {
        r#type: kind,
        bytes_per_checksum,
        checksums: vec![Bytes::from_static(checksum)],
    };
    assert!(Checksums::try_from(data(2, 1, &[1, 2, 3, 4])).is_ok());
    let refused = shown(Checksums::try_from(data(2, 1, &[1, 2, 3])));
    assert_eq!(refused, "ChecksumData.checksums holds 3 bytes where Crc32 has 4");
    let refused = shown(Checksums::try_from(data(2, 0, &[1, 2, 3, 4])));
    assert_eq!(refused, "ChecksumData.bytesPerChecksum is 0, so windows would be empty");
    assert_eq!(shown(Checksums::try_from(data(9, 1, &[]))), "ChecksumData.type is 9, which names nothing");
    assert!(Checksums::try_from(data(1, 1, &[1])).is_err());
}

fn command(kind: Type) -> ContainerCommandRequestProto {
    ContainerCommandRequestProto {
        cmd_type: kind as i32,
        container_id: 7,
        datanode_uuid: ID.into(),
        ..Default::default()
    }
}

fn read(message: ContainerCommandRequestProto) -> Result<CommandRequest, WireError> {
    CommandRequest::read(Rope::from(Bytes::from(message.encode_to_vec())), SplitLimits::default())
}

#[test]
fn a_command_without_its_arguments_is_refused_by_name() {
    let refused = shown(read(command(Type::GetBlock)));
    assert_eq!(refused, "ContainerCommandRequestProto lacks its field getBlock");
    let block_id = DatanodeBlockId { container_id: 7, local_id: 1, ..Default::default() };
    let write = WriteChunkRequestProto { block_id, ..Default::default() };
    let message =
        ContainerCommandRequestProto { write_chunk: Some(write.clone()), ..command(Type::WriteChunk) };
    assert_eq!(shown(read(message)), "WriteChunkRequestProto lacks its field data");
    let write = WriteChunkRequestProto { data: Some(Bytes::from_static(b"x")), ..write };
    let message =
        ContainerCommandRequestProto { write_chunk: Some(write.clone()), ..command(Type::WriteChunk) };
    assert_eq!(shown(read(message)), "WriteChunkRequestProto lacks its field chunkData");
    let get_block = Some(GetBlockRequestProto { block_id, ..Default::default() });
    let both =
        ContainerCommandRequestProto { get_block, write_chunk: Some(write), ..command(Type::GetBlock) };
    let refused = shown(read(both));
    assert_eq!(refused, "ContainerCommandRequestProto.cmdType does not name the command whose data is there");
}

#[test]
fn a_commands_ids_are_ids() {
    let get_block = |block_id| {
        let get_block = Some(GetBlockRequestProto { block_id, ..Default::default() });
        ContainerCommandRequestProto { get_block, ..command(Type::GetBlock) }
    };
    let block_id = DatanodeBlockId { container_id: 7, local_id: 1, ..Default::default() };
    assert!(matches!(read(get_block(block_id)).unwrap().command, Command::GetBlock(_)));
    let refused = shown(read(get_block(DatanodeBlockId { container_id: -7, ..block_id })));
    assert!(refused.starts_with("DatanodeBlockID.containerID holds a wrong value"), "{refused}");
    let refused = shown(read(get_block(DatanodeBlockId { replica_index: Some(33), ..block_id })));
    assert!(refused.starts_with("DatanodeBlockID.replicaIndex holds a wrong value"), "{refused}");
    let nobody = ContainerCommandRequestProto { datanode_uuid: "me".into(), ..get_block(block_id) };
    assert!(shown(read(nobody)).starts_with("ContainerCommandRequestProto.datanodeUuid holds a wrong value"));
    let stream = read(command(Type::StreamInit)).unwrap();
    assert_eq!(stream.command, Command::Other(Type::StreamInit));
}

#[test]
fn rights_are_javas_bit_sets() {
    let acl = |rights: &'static [u8]| {
        Acl::try_from(OzoneAclInfo {
            r#type: 1,
            name: "bob".into(),
            rights: Bytes::from_static(rights),
            acl_scope: 0,
        })
    };
    assert_eq!(acl(&[0x80]).unwrap().rights, AclRights::ALL);
    assert_eq!(acl(&[0x09]).unwrap().rights, AclRights::READ.and(AclRights::LIST));
    assert_eq!(acl(&[0, 1]).unwrap().rights, AclRights::NONE);
    assert_eq!(acl(&[1, 0, 0]).unwrap().rights, AclRights::READ);
    assert!(acl(&[3]).unwrap().rights.names(AclRights::WRITE));
    assert_eq!(OzoneAclInfo::from(acl(&[0, 2]).unwrap()).rights.as_ref(), [0, 2]);
    assert!(shown(acl(&[0, 4])).starts_with("OzoneAclInfo.rights has the bits"));
    assert_eq!(shown(acl(&[0, 0, 1])), "OzoneAclInfo.rights is 3 bytes long, and there are ten rights");
}

#[test]
fn a_quota_below_zero_is_none() {
    let bucket = crate::om::BucketInfo { quota_in_bytes: Some(-1), ..Default::default() };
    let bucket = crate::om::BucketInfo { storage_type: 1, ..bucket };
    assert_eq!(BucketInfo::try_from(bucket).unwrap().quota_in_bytes, Some(Quota::NONE));
    assert_eq!((Quota::NONE.limit(), Quota(7).limit()), (None, Some(7)));
}

#[test]
fn a_ratis_request_says_who_whom_where_and_what() {
    let read = |message: RaftClientRequestProto| {
        RaftRequest::read(Rope::from(Bytes::from(message.encode_to_vec())), SplitLimits::default())
    };
    let refused = shown(read(RaftClientRequestProto::default()));
    assert_eq!(refused, "RaftClientRequestProto lacks its field rpcRequest");
    let rpc = RaftRpcRequestProto { requestor_id: Bytes::from_static(&[1; 15]), ..Default::default() };
    let request = |rpc| RaftClientRequestProto { rpc_request: Some(rpc), ..Default::default() };
    assert_eq!(shown(read(request(rpc.clone()))), "RaftRpcRequestProto.requestorId is 15 bytes long, not 16");
    let rpc = RaftRpcRequestProto { requestor_id: Bytes::from_static(&[1; 16]), reply_id: ID.into(), ..rpc };
    assert_eq!(shown(read(request(rpc))), "RaftRpcRequestProto lacks its field raftGroupId");
}

#[test]
fn the_empty_stack_trace_is_javas() {
    let text = String::from_utf8_lossy(EMPTY_STACK_TRACE);
    assert!(text.contains("[Ljava.lang.StackTraceElement;"));
    assert_eq!((EMPTY_STACK_TRACE.len(), &EMPTY_STACK_TRACE[..4]), (55, &[0xac, 0xed, 0, 5][..]));
}
