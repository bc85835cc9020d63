//! Pipelines: the nodes that write a container together, in replica order.
//!
//! Owns    [`Pipeline`], its message, and the pipelines that readers of a closed container get.
//! Shape   a RATIS pipeline is one node or three, one of them its leader, and is open once they have met. STAND_ALONE/ONE is one node; an EC pipeline is `data + parity` nodes with the replica indexes 1 ..= d+p in
//!         order. Neither asks anything of the nodes: both are open at once and healthy while their nodes are.
//! Source  wire facts: scm.md 2.5; numbers of the wire's PipelineState.

use allotrope_proto::hdds;
use allotrope_types::{DatanodeId, PipelineId, ReplicaIndex, ReplicationConfig};

use crate::wire::{self, NotOurs};

/// Where a pipeline is in its life. Its numbers are the wire's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(i32)]
pub enum PipelineState {
    /// Made, not yet ready.
    Allocated = 1,
    /// It takes writes.
    Open = 2,
    /// An administrator has set it aside.
    Dormant = 3,
    /// It takes no more writes.
    Closed = 4,
}

impl PipelineState {
    fn from_wire(number: i32) -> Option<PipelineState> {
        use PipelineState::*;
        [Allocated, Open, Dormant, Closed].into_iter().find(|state| *state as i32 == number)
    }
}

/// One node of a pipeline.
#[derive(Clone, Debug, PartialEq)]
pub struct Member {
    /// Who.
    pub node: DatanodeId,
    /// Which replica it writes, in an EC pipeline.
    pub index: Option<ReplicaIndex>,
    /// Its address when the pipeline was made; what it registered since then goes before it.
    pub details: hdds::DatanodeDetailsProto,
}

/// A pipeline.
#[derive(Clone, Debug, PartialEq)]
pub struct Pipeline {
    /// Its name.
    pub id: PipelineId,
    /// What it writes.
    pub config: ReplicationConfig,
    /// Where it is in its life.
    pub state: PipelineState,
    /// Its nodes, in replica order.
    pub members: Vec<Member>,
    /// When it was made, in ms since 1970.
    pub created_ms: u64,
    /// Who leads it; of RATIS pipelines only.
    pub leader: Option<DatanodeId>,
}

impl Pipeline {
    /// An open pipeline over `nodes`, which get their replica indexes in order.
    pub fn open(
        id: PipelineId,
        config: ReplicationConfig,
        nodes: Vec<(DatanodeId, hdds::DatanodeDetailsProto)>,
        created_ms: u64,
    ) -> Pipeline {
        let mut indexes = config.ec().map(|ec| ec.indexes());
        let members = nodes
            .into_iter()
            .map(|(node, details)| Member { node, index: indexes.as_mut().and_then(Iterator::next), details })
            .collect();
        Pipeline { id, config, state: PipelineState::Open, members, created_ms, leader: None }
    }

    /// Whether `node` is in it.
    pub fn has(&self, node: DatanodeId) -> bool {
        self.members.iter().any(|member| member.node == node)
    }

    /// The pipeline as Ozone's message, which is also its value in the tables. `details` gives what a node registered
    /// last.
    pub fn to_message(
        &self,
        details: impl Fn(DatanodeId) -> Option<hdds::DatanodeDetailsProto>,
    ) -> hdds::Pipeline {
        let fields = wire::replication(self.config);
        let members = self.members.iter();
        let leader = self.leader.map(|leader| wire::uuid(leader.to_halves()));
        hdds::Pipeline {
            members: members.clone().map(|m| details(m.node).unwrap_or_else(|| m.details.clone())).collect(),
            state: Some(self.state as i32),
            r#type: Some(fields.kind),
            factor: fields.factor,
            id: wire::pipeline_id(self.id),
            creation_time_stamp: Some(self.created_ms),
            member_replica_indexes: members.filter_map(|m| m.index).map(|i| u32::from(i.number())).collect(),
            ec_replication_config: fields.ec,
            leader_id: self.leader.map(|leader| leader.to_string()),
            leader_id128: leader,
            leader_datanode_id: leader.map(|uuid| hdds::DatanodeIdProto { uuid }),
            suggested_leader_id: leader,
            suggested_leader_datanode_id: leader.map(|uuid| hdds::DatanodeIdProto { uuid }),
            ..Default::default()
        }
    }

    /// The pipeline that a message says.
    pub fn of_message(message: &hdds::Pipeline) -> Result<Pipeline, NotOurs> {
        let config = wire::replication_of(
            message.r#type.unwrap_or(hdds::ReplicationType::StandAlone as i32),
            message.factor.or(Some(hdds::ReplicationFactor::One as i32)),
            message.ec_replication_config.as_ref(),
        )?;
        let number = message.state.unwrap_or(PipelineState::Allocated as i32);
        let state = PipelineState::from_wire(number)
            .ok_or_else(|| NotOurs::new("state", format!("{number} is no pipeline state")))?;
        let indexes = &message.member_replica_indexes;
        if !indexes.is_empty() && indexes.len() != message.members.len() {
            return Err(NotOurs::new("memberReplicaIndexes", "there are not as many as members"));
        }
        let mut members = Vec::with_capacity(message.members.len());
        for (at, details) in message.members.iter().enumerate() {
            let index = match indexes.get(at) {
                None => None,
                Some(index) => i32::try_from(*index)
                    .map_err(|_| NotOurs::new("memberReplicaIndexes", "an index is out of range"))
                    .and_then(|i| {
                        ReplicaIndex::from_wire(i).map_err(|e| NotOurs::new("memberReplicaIndexes", e))
                    })?,
            };
            members.push(Member { node: wire::datanode_id(details)?, index, details: details.clone() });
        }
        let created_ms = message.creation_time_stamp.unwrap_or(0);
        let leader = message.suggested_leader_id.or(message.leader_id128);
        let leader = leader.map(|id| DatanodeId::from_halves(id.most_sig_bits, id.least_sig_bits));
        Ok(Pipeline { id: wire::pipeline_id_of(&message.id)?, config, state, members, created_ms, leader })
    }
}

/// Leaves of a pipeline's addresses what a client that writes blocks uses.
pub fn only_client_ports(pipeline: &mut hdds::Pipeline) {
    for member in &mut pipeline.members {
        member.ports.retain(|port| matches!(port.name.as_str(), "STANDALONE" | "RATIS" | "RATIS_DATASTREAM"));
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    pub(crate) fn pipeline(config: &str, nodes: u8) -> Pipeline {
        let member = |n: u8| {
            let id = DatanodeId::from_random_bytes([n; 16]);
            let mut details = hdds::DatanodeDetailsProto {
                host_name: format!("dn-{n}"),
                ip_address: "127.0.0.1".into(),
                ports: ["STANDALONE", "REPLICATION"]
                    .map(|name| hdds::Port { name: name.into(), value: 1 })
                    .into(),
                ..Default::default()
            };
            wire::put_datanode_id(&mut details, id);
            (id, details)
        };
        let nodes = (1..=nodes).map(member).collect();
        Pipeline::open(PipelineId::from_random_bytes([9; 16]), config.parse().unwrap(), nodes, 77)
    }

    #[test]
    fn an_ec_pipeline_numbers_its_nodes_in_order_and_survives_its_message() {
        let ec = pipeline("rs-3-2-1024k", 5);
        let message = ec.to_message(|_| None);
        assert_eq!(message.member_replica_indexes, [1, 2, 3, 4, 5]);
        assert_eq!(message.factor, None);
        assert_eq!(Pipeline::of_message(&message).unwrap(), ec);
        let one = pipeline("STANDALONE/ONE", 1);
        let message = one.to_message(|_| None);
        assert_eq!((message.factor, message.member_replica_indexes.len()), (Some(1), 0));
        assert_eq!(Pipeline::of_message(&message).unwrap(), one);
    }

    #[test]
    fn messages_that_contradict_themselves_are_refused() {
        let good = pipeline("rs-3-2-1024k", 5).to_message(|_| None);
        let mut short = good.clone();
        short.member_replica_indexes.pop();
        let mut far = good.clone();
        far.member_replica_indexes[0] = u32::MAX;
        let mut nobody = good.clone();
        nobody.members[0] = hdds::DatanodeDetailsProto::default();
        let mut state = good;
        state.state = Some(9);
        for bad in [short, far, nobody, state] {
            assert!(Pipeline::of_message(&bad).is_err());
        }
    }

    #[test]
    fn what_a_node_registered_last_goes_before_what_the_pipeline_kept() {
        let one = pipeline("STANDALONE/ONE", 1);
        let moved = hdds::DatanodeDetailsProto { host_name: "elsewhere".into(), ..Default::default() };
        let mut message = one.to_message(|_| Some(moved.clone()));
        assert_eq!(message.members[0].host_name, "elsewhere");
        message = one.to_message(|_| None);
        only_client_ports(&mut message);
        assert_eq!(message.members[0].ports.len(), 1);
    }
}
