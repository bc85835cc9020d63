//! Where a block lies, as OM says it.
//!
//! Shape   a [`BlockLocation`] is one block or block group of a key and its replicas. What OM said is kept beside what we
//!         read of it, because a commit gives it back.
//! Errors  [`WireError`] names what is wrong with OM's message.

use allotrope_proto::WireError;
use allotrope_proto::edge::hdds::{DatanodeDetails, Member as PipelineMember, Pipeline, PortName};
use allotrope_proto::edge::om_key::KeyLocation;
use allotrope_types::{
    Bcsid, BlockId, BlockOffset, ByteCount, DatanodeId, PipelineId, ReplicaIndex, ReplicationConfig,
};

use crate::channel::Address;
use crate::datanode::RatisPipeline;

/// Where datanodes serve blocks unless they say otherwise.
const BLOCKS_PORT: u16 = 9859;
/// Where they take writes of Ratis pipelines unless they say otherwise.
const RATIS_PORT: u16 = 9858;

/// A datanode that holds or takes a replica.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Member {
    /// The datanode.
    pub datanode: DatanodeId,
    /// Where it serves blocks.
    pub address: Address,
    /// Where it takes writes of Ratis pipelines.
    pub ratis: Address,
    /// Which replica of a block group it holds; `None` for replicated blocks.
    pub replica: Option<ReplicaIndex>,
}

/// One block, or block group, of a key.
#[derive(Clone, Debug, PartialEq)]
pub struct BlockLocation {
    /// The block, with the commit sequence id that a reader asks for.
    pub block: BlockId,
    /// Where in the block the key's bytes start.
    pub offset: u64,
    /// Bytes of the key in it. Newly allocated, the bytes that one replica has room for.
    pub len: u64,
    /// The replicas, the nearest first where OM sorted them.
    pub members: Vec<Member>,
    told: KeyLocation,
}

impl BlockLocation {
    /// Reads what OM said.
    pub(crate) fn read(told: KeyLocation, use_hostname: bool) -> Result<BlockLocation, WireError> {
        let (block, offset, len) = (told.block, told.offset.as_u64(), told.length.as_u64());
        if offset.checked_add(len).is_none_or(|end| end > i64::MAX as u64) {
            let why = format!("is {len} from byte {offset} on, beyond 63 bits");
            return Err(WireError::Invalid { message: "KeyLocation", field: "length", why });
        }
        let members = told.pipeline.as_ref().map_or(vec![], |pipeline| members(pipeline, use_hostname));
        Ok(BlockLocation { block, offset, len, members, told })
    }

    /// What commits the first `len` bytes of this block, at `bcsid`.
    pub(crate) fn committed(&self, len: u64, bcsid: Bcsid) -> KeyLocation {
        KeyLocation {
            block: self.block.at(bcsid),
            offset: BlockOffset::ZERO,
            length: ByteCount::new(len),
            token: None,
            ..self.told.clone()
        }
    }

    /// The Ratis pipeline that writes this block, its leader first; `None` for blocks that are written otherwise.
    pub(crate) fn ratis_pipeline(&self) -> Option<RatisPipeline> {
        let pipeline = self.told.pipeline.as_ref()?;
        if !matches!(pipeline.replication, ReplicationConfig::Ratis(_)) {
            return None;
        }
        let leader = pipeline.leader.or(pipeline.suggested_leader);
        let mut members = self.members.clone();
        members.sort_by_key(|member| Some(member.datanode) != leader);
        Some(RatisPipeline { id: pipeline.id, members })
    }

    pub(crate) fn pipeline_id(&self) -> Option<PipelineId> {
        self.told.pipeline.as_ref().map(|pipeline| pipeline.id)
    }

    /// The part of a multipart upload that it was written as. The message says -1 where there is none, and OM also 0: parts
    /// count from 1.
    pub(crate) fn part_number(&self) -> Option<u32> {
        self.told.part_number.and_then(|number| u32::try_from(number).ok()).filter(|&number| number > 0)
    }
}

/// The members of a pipeline, the nearest first where OM sorted them.
fn members(pipeline: &Pipeline, use_hostname: bool) -> Vec<Member> {
    let members: Vec<Member> =
        pipeline.members.iter().map(|member| member_of(member, use_hostname)).collect();
    // The order is used only if it names every member once.
    let mut seen = pipeline.member_orders.clone();
    seen.sort_unstable();
    if !seen.iter().copied().eq((0..members.len()).map(|at| at as u32)) {
        return members;
    }
    pipeline.member_orders.iter().map(|&at| members[at as usize].clone()).collect()
}

fn member_of(member: &PipelineMember, use_hostname: bool) -> Member {
    let node = &member.datanode;
    let host = if use_hostname || node.ip_address.is_empty() { &node.host_name } else { &node.ip_address };
    let at = |name, usual| Address::new(host, port(node, &name, usual));
    Member {
        datanode: node.id,
        address: at(PortName::Standalone, BLOCKS_PORT),
        ratis: at(PortName::Ratis, RATIS_PORT),
        replica: member.replica,
    }
}

/// The port that `node` announces for `name`. Ozone's clients take 0, and none, for the usual one.
fn port(node: &DatanodeDetails, name: &PortName, usual: u16) -> u16 {
    node.port(name).filter(|&port| port != 0).unwrap_or(usual)
}

#[cfg(test)]
mod tests {
    use super::*;
    use allotrope_proto::{hdds, om};

    const PIPELINE: &str = "00000000-0000-4000-8000-0000000000aa";

    fn node(number: i64, port: Option<u32>) -> hdds::DatanodeDetailsProto {
        hdds::DatanodeDetailsProto {
            ip_address: "127.0.0.1".into(),
            host_name: "localhost".into(),
            uuid128: Some(hdds::Uuid { most_sig_bits: 1, least_sig_bits: number }),
            ports: port.map(|value| hdds::Port { name: "STANDALONE".into(), value }).into_iter().collect(),
            ..Default::default()
        }
    }

    fn pipeline(members: Vec<hdds::DatanodeDetailsProto>) -> hdds::Pipeline {
        let id = hdds::PipelineId { id: Some(PIPELINE.into()), uuid128: None };
        hdds::Pipeline { members, id, ..Default::default() }
    }

    fn message(pipeline: hdds::Pipeline) -> om::KeyLocation {
        let id = hdds::ContainerBlockId { container_id: 7, local_id: 9 };
        let block_id = hdds::BlockId { container_block_id: id, block_commit_sequence_id: Some(3) };
        om::KeyLocation { block_id, length: 10, pipeline: Some(pipeline), ..Default::default() }
    }

    /// A message of OM's, through the edge.
    fn read(message: om::KeyLocation) -> Result<BlockLocation, WireError> {
        KeyLocation::try_from(message).and_then(|told| BlockLocation::read(told, false))
    }

    #[test]
    fn replicas_stand_in_the_order_of_distance_with_their_indexes() {
        let pipeline = hdds::Pipeline {
            member_replica_indexes: vec![1, 2, 3],
            member_orders: vec![2, 0, 1],
            ..pipeline(vec![node(1, Some(11)), node(2, Some(12)), node(3, None)])
        };
        let read = read(message(pipeline)).unwrap();
        let seen: Vec<(u16, u8)> =
            read.members.iter().map(|m| (m.address.port(), m.replica.unwrap().number())).collect();
        assert_eq!(seen, [(9859, 3), (11, 1), (12, 2)]);
        assert_eq!((read.block.container.as_u64(), read.block.bcsid.as_u64()), (7, 3));
    }

    #[test]
    fn an_order_that_is_none_is_ignored() {
        for member_orders in [vec![0], vec![0, 0], vec![1, 0, 1]] {
            let pipeline =
                hdds::Pipeline { member_orders, ..pipeline(vec![node(1, Some(11)), node(2, Some(12))]) };
            let read = read(message(pipeline)).unwrap();
            assert_eq!(read.members[0].address.port(), 11);
            assert_eq!(read.members[0].replica, None);
        }
    }

    #[test]
    fn a_commit_gives_back_what_was_told_with_what_was_written() {
        let told = om::KeyLocation {
            offset: 5,
            create_version: Some(2),
            part_number: Some(4),
            ..message(pipeline(vec![node(1, Some(11))]))
        };
        let read = read(told.clone()).unwrap();
        let given = om::KeyLocation::from(read.committed(8, Bcsid::new(6)));
        assert_eq!((given.offset, given.length), (0, 8));
        assert_eq!(given.block_id.container_block_id, told.block_id.container_block_id);
        assert_eq!(given.block_id.block_commit_sequence_id, Some(6));
        assert_eq!((given.create_version, given.part_number, given.token), (Some(2), Some(4), None));
        let pipeline = given.pipeline.unwrap();
        assert_eq!((pipeline.id.id.as_deref(), pipeline.members.len()), (Some(PIPELINE), 1));
    }

    #[test]
    fn a_part_is_numbered_from_one() {
        for (number, part) in [(None, None), (Some(-1), None), (Some(0), None), (Some(3), Some(3))] {
            let told = om::KeyLocation { part_number: number, ..message(pipeline(vec![])) };
            assert_eq!(read(told).unwrap().part_number(), part);
        }
    }

    #[test]
    fn a_damaged_location_is_refused_by_message_and_field() {
        let members = || vec![node(1, Some(11))];
        let of = |pipeline| read(message(pipeline)).unwrap_err().to_string();
        let two = hdds::Pipeline { member_replica_indexes: vec![1, 2], ..pipeline(members()) };
        assert_eq!(of(two), "Pipeline.memberReplicaIndexes has 2 entries for 1 members");
        let index = hdds::Pipeline { member_replica_indexes: vec![u32::MAX], ..pipeline(members()) };
        assert_eq!(of(index), "Pipeline.memberReplicaIndexes holds no replica index");
        let order = hdds::Pipeline { member_orders: vec![1], ..pipeline(members()) };
        assert_eq!(of(order), "Pipeline.memberOrders names member 1 of 1");
        assert_eq!(of(pipeline(vec![node(1, Some(70_000))])), "Port.value is 70000, beyond 65535");
        let nameless = of(pipeline(vec![hdds::DatanodeDetailsProto::default()]));
        assert!(nameless.starts_with("DatanodeDetailsProto.uuid "), "{nameless}");
        let kind = hdds::Pipeline { r#type: Some(99), ..pipeline(members()) };
        assert_eq!(of(kind), "Pipeline.type is 99, which names nothing");
    }

    #[test]
    fn a_length_that_no_block_has_is_refused_by_message_and_field() {
        let of = |offset, length| {
            let told = om::KeyLocation { offset, length, ..message(pipeline(vec![])) };
            read(told).unwrap_err().to_string()
        };
        let beyond = format!("KeyLocation.length is {}, beyond 63 bits", u64::MAX);
        assert_eq!(of(0, u64::MAX), beyond);
        let whole = i64::MAX as u64;
        let together = format!("KeyLocation.length is {whole} from byte 1 on, beyond 63 bits");
        assert_eq!(of(1, whole), together);
    }
}
