//! Where a block lies, as OM says it.
//!
//! Shape   a [`BlockLocation`] is one block or block group of a key and its replicas. OM's own message is kept beside
//!         what we read of it, because a commit gives it back.
//! Errors  words that say what is wrong with OM's message.

use allotrope_proto::{hdds, om};
use allotrope_types::{
    Bcsid, BlockId, ContainerId, DatanodeId, DatanodeIdOnWire, LocalId, PipelineId, ReplicaIndex,
};

use crate::channel::Address;
use crate::datanode::RatisPipeline;

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
    raw: om::KeyLocation,
}

impl BlockLocation {
    /// Reads OM's message.
    pub(crate) fn read(raw: om::KeyLocation, use_hostname: bool) -> Result<BlockLocation, String> {
        let id = &raw.block_id.container_block_id;
        let container = ContainerId::try_from(id.container_id).map_err(|e| e.to_string())?;
        let local = LocalId::try_from(id.local_id).map_err(|e| e.to_string())?;
        let bcsid = Bcsid::new(raw.block_id.block_commit_sequence_id.unwrap_or(0));
        let members = raw.pipeline.as_ref().map_or(Ok(vec![]), |pipeline| members(pipeline, use_hostname))?;
        let (offset, len) = (raw.offset, raw.length);
        if offset.checked_add(len).is_none_or(|end| end > i64::MAX as u64) {
            return Err(format!("block {container}/{local} cannot be {len} bytes from byte {offset} on"));
        }
        Ok(BlockLocation { block: BlockId::new(container, local).at(bcsid), offset, len, members, raw })
    }

    /// The message that commits the first `len` bytes of this block, at `bcsid`.
    pub(crate) fn committed(&self, len: u64, bcsid: Bcsid) -> om::KeyLocation {
        let mut raw = self.raw.clone();
        raw.length = len;
        raw.offset = 0;
        raw.block_id.block_commit_sequence_id = Some(bcsid.as_u64());
        raw.token = None;
        raw
    }

    /// The Ratis pipeline that writes this block, its leader first; `None` for blocks that are written otherwise.
    pub(crate) fn ratis_pipeline(&self) -> Option<RatisPipeline> {
        let pipeline = self.raw.pipeline.as_ref()?;
        if pipeline.r#type != Some(hdds::ReplicationType::Ratis as i32) {
            return None;
        }
        let id = match (&pipeline.id.uuid128, &pipeline.id.id) {
            (Some(uuid), _) => PipelineId::from_halves(uuid.most_sig_bits, uuid.least_sig_bits),
            (None, Some(text)) => text.parse().ok()?,
            (None, None) => return None,
        };
        let leader = pipeline.leader_id128.or(pipeline.suggested_leader_id);
        let leader = leader.map(|id| DatanodeId::from_halves(id.most_sig_bits, id.least_sig_bits));
        let mut members = self.members.clone();
        members.sort_by_key(|member| Some(member.datanode) != leader);
        Some(RatisPipeline { id, members })
    }

    pub(crate) fn pipeline_id(&self) -> Option<&hdds::PipelineId> {
        self.raw.pipeline.as_ref().map(|pipeline| &pipeline.id)
    }

    /// The part of a multipart upload that it was written as.
    pub(crate) fn part_number(&self) -> Option<u32> {
        self.raw.part_number.and_then(|number| u32::try_from(number).ok()).filter(|&number| number > 0)
    }

    pub(crate) fn create_version(&self) -> Option<u64> {
        self.raw.create_version
    }
}

fn members(pipeline: &hdds::Pipeline, use_hostname: bool) -> Result<Vec<Member>, String> {
    let indexes = &pipeline.member_replica_indexes;
    if !indexes.is_empty() && indexes.len() != pipeline.members.len() {
        return Err(format!(
            "{} datanodes come with {} replica indexes",
            pipeline.members.len(),
            indexes.len()
        ));
    }
    let mut members = Vec::with_capacity(pipeline.members.len());
    for (at, node) in pipeline.members.iter().enumerate() {
        let index = indexes.get(at).copied().unwrap_or(0);
        let index = i32::try_from(index).map_err(|_| format!("replica index {index} is none"))?;
        members.push(member(node, index, use_hostname)?);
    }
    // The order is used only if it names every member once.
    let mut seen = pipeline.member_orders.clone();
    seen.sort_unstable();
    if seen.iter().copied().eq((0..members.len()).map(|at| at as u32)) {
        members = pipeline.member_orders.iter().map(|&at| members[at as usize].clone()).collect();
    }
    Ok(members)
}

fn member(node: &hdds::DatanodeDetailsProto, index: i32, use_hostname: bool) -> Result<Member, String> {
    let halves = |uuid: &hdds::Uuid| (uuid.most_sig_bits, uuid.least_sig_bits);
    let id = DatanodeIdOnWire {
        uuid: node.uuid.clone(),
        uuid128: node.uuid128.as_ref().map(halves),
        id: node.id.as_ref().map(|id| halves(&id.uuid)),
    };
    let datanode = id.read().map_err(|e| e.to_string())?;
    let port = |name: &str, usual| {
        let port = node.ports.iter().find(|port| port.name == name).map_or(0, |port| port.value);
        match u16::try_from(port) {
            // Ozone's clients take 0 for "the usual one".
            Ok(0) => Ok(usual),
            Ok(port) => Ok(port),
            Err(_) => Err(format!("datanode {datanode} has the port {port}")),
        }
    };
    let (blocks, ratis) = (port("STANDALONE", 9859)?, port("RATIS", 9858)?);
    let host = if use_hostname || node.ip_address.is_empty() { &node.host_name } else { &node.ip_address };
    let replica = ReplicaIndex::from_wire(index).map_err(|e| e.to_string())?;
    Ok(Member { datanode, address: Address::new(host, blocks), ratis: Address::new(host, ratis), replica })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn node(number: i64, port: Option<u32>) -> hdds::DatanodeDetailsProto {
        hdds::DatanodeDetailsProto {
            ip_address: "127.0.0.1".into(),
            host_name: "localhost".into(),
            uuid128: Some(hdds::Uuid { most_sig_bits: 1, least_sig_bits: number }),
            ports: port.map(|value| hdds::Port { name: "STANDALONE".into(), value }).into_iter().collect(),
            ..Default::default()
        }
    }

    fn location(pipeline: hdds::Pipeline) -> Result<BlockLocation, String> {
        let id = hdds::ContainerBlockId { container_id: 7, local_id: 9 };
        let block_id = hdds::BlockId { container_block_id: id, block_commit_sequence_id: Some(3) };
        let raw = om::KeyLocation { block_id, length: 10, pipeline: Some(pipeline), ..Default::default() };
        BlockLocation::read(raw, false)
    }

    #[test]
    fn replicas_stand_in_the_order_of_distance_with_their_indexes() {
        let pipeline = hdds::Pipeline {
            members: vec![node(1, Some(11)), node(2, Some(12)), node(3, None)],
            member_replica_indexes: vec![1, 2, 3],
            member_orders: vec![2, 0, 1],
            ..Default::default()
        };
        let read = location(pipeline).unwrap();
        let seen: Vec<(u16, u8)> =
            read.members.iter().map(|m| (m.address.port(), m.replica.unwrap().number())).collect();
        assert_eq!(seen, [(9859, 3), (11, 1), (12, 2)]);
        assert_eq!((read.block.container.as_u64(), read.block.bcsid.as_u64()), (7, 3));
    }

    #[test]
    fn an_order_that_is_none_is_ignored() {
        for member_orders in [vec![0], vec![0, 0], vec![0, 2], vec![1, 0, 2]] {
            let members = vec![node(1, Some(11)), node(2, Some(12))];
            let read = location(hdds::Pipeline { members, member_orders, ..Default::default() }).unwrap();
            assert_eq!(read.members[0].address.port(), 11);
            assert_eq!(read.members[0].replica, None);
        }
    }

    #[test]
    fn damaged_locations_are_refused() {
        let members = || vec![node(1, Some(11))];
        let refused = |pipeline| location(pipeline).unwrap_err();
        let two =
            hdds::Pipeline { members: members(), member_replica_indexes: vec![1, 2], ..Default::default() };
        assert!(refused(two).contains("replica indexes"));
        let index = hdds::Pipeline {
            members: members(),
            member_replica_indexes: vec![u32::MAX],
            ..Default::default()
        };
        assert!(refused(index).contains("replica index"));
        let port = hdds::Pipeline { members: vec![node(1, Some(70_000))], ..Default::default() };
        assert!(refused(port).contains("70000"));
        let nameless = hdds::DatanodeDetailsProto::default();
        assert!(
            refused(hdds::Pipeline { members: vec![nameless], ..Default::default() }).contains("datanode id")
        );
    }
}
