//! Who is in a pipeline and who leads it: what SCM says when it makes one.
//!
//! Errors  [`PlanError`]: the command makes no sense for this datanode; SCM is told.

use allotrope_proto::edge::hdds::{DatanodeDetails, PortName};
use allotrope_proto::edge::heartbeat::CreatePipelineCommand;
use allotrope_proto::edge::ratis::{RaftPeer, RaftPeerRole};
use allotrope_types::{DatanodeId, PipelineId, ReplicationConfig, ReplicationType};
use std::net::SocketAddr;

/// Members a pipeline may have.
const MEMBERS_MAX: usize = 16;
/// The port name of 9858.
pub(crate) const PORT_RATIS: &str = "RATIS";
/// The port name of 9857.
pub(crate) const PORT_ADMIN: &str = "RATIS_ADMIN";

/// One member, and where it is.
#[derive(Clone, Debug, PartialEq)]
pub struct Member {
    /// Who.
    pub id: DatanodeId,
    /// Where the other members find it; `None` if SCM named no address that is one.
    pub address: Option<SocketAddr>,
    /// As clients are told of it.
    pub peer: RaftPeer,
    /// Whether it is a datanode of ours. Ozone's have a port for Ratis between servers, which we do not speak; ours have none.
    pub ours: bool,
}

/// A pipeline as SCM made it.
#[derive(Clone, Debug, PartialEq)]
pub struct Plan {
    /// Its name, and its epoch's.
    pub id: PipelineId,
    /// Its members, in SCM's order.
    pub members: Vec<Member>,
    /// Which of them leads.
    pub leader: usize,
}

/// Why a command does not make a pipeline.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PlanError {
    /// Not a pipeline of Ratis.
    #[error("only RATIS pipelines are hosted, not type {}", .0.name())]
    Type(ReplicationType),
    /// Too many, too few, or the same twice.
    #[error("a pipeline has 1 to {MEMBERS_MAX} different members, not {0}")]
    Members(usize),
    /// A member is a datanode of Ozone's.
    #[error(
        "datanode {0} is not of this kind (it has a port RATIS_SERVER): no pipeline of three has members of both; where an SCM of \
         Ozone's has datanodes of both, use erasure coding"
    )]
    Stranger(DatanodeId),
    /// This datanode is not in it.
    #[error("datanode {0} is not a member")]
    Foreign(DatanodeId),
}

impl Plan {
    /// What a command of SCM's asks of the datanode `me`.
    pub fn of_command(command: &CreatePipelineCommand, me: DatanodeId) -> Result<Plan, PlanError> {
        if !matches!(command.replication, ReplicationConfig::Ratis(_)) {
            return Err(PlanError::Type(command.replication.kind()));
        }
        let (id, all) = (command.pipeline, &command.datanode);
        let mut members = Vec::with_capacity(all.len().min(MEMBERS_MAX));
        for (at, details) in all.iter().take(MEMBERS_MAX + 1).enumerate() {
            let priority = command.priority.get(at).copied().unwrap_or(0);
            members.push(member(details, u32::try_from(priority).unwrap_or(0)));
        }
        let twice = members.iter().enumerate().any(|(at, one)| members[..at].iter().any(|o| o.id == one.id));
        if members.is_empty() || members.len() > MEMBERS_MAX || twice {
            return Err(PlanError::Members(all.len()));
        }
        if members.iter().all(|one| one.id != me) {
            return Err(PlanError::Foreign(me));
        }
        // Every member reads the same command, so each finds the same leader.
        let rank = |at: &usize| (members[*at].peer.priority, std::cmp::Reverse(members[*at].id));
        let leader = (0..members.len()).max_by_key(rank).unwrap_or(0);
        Ok(Plan { id, members, leader })
    }

    /// The place of a datanode among the members.
    pub fn place_of(&self, node: DatanodeId) -> Option<usize> {
        self.members.iter().position(|one| one.id == node)
    }

    /// A member that does not understand the others, if there are others.
    pub fn stranger(&self) -> Option<DatanodeId> {
        let others = self.members.len() > 1;
        self.members.iter().find(|member| others && !member.ours).map(|member| member.id)
    }

    /// The member that leads.
    pub fn leader(&self) -> &Member {
        &self.members[self.leader]
    }
}

fn member(details: &DatanodeDetails, priority: u32) -> Member {
    let port = |name: PortName| details.port(&name).filter(|port| *port != 0);
    let (clients, servers) = (port(PortName::Ratis), port(PortName::RatisServer));
    // Where a port is not announced Ozone takes the clients' for it.
    let at =
        |port: Option<u16>| port.or(clients).map_or(String::new(), |p| format!("{}:{p}", details.ip_address));
    let address = details.ip_address.parse().ok().zip(clients).map(|(ip, port)| SocketAddr::new(ip, port));
    let peer = RaftPeer {
        id: details.id,
        address: at(servers),
        priority,
        data_stream_address: at(None),
        client_address: at(clients),
        admin_address: at(port(PortName::RatisAdmin)),
        startup_role: RaftPeerRole::Follower,
    };
    Member { id: details.id, address, peer, ours: servers.is_none() }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use allotrope_proto::edge::hdds::Port;
    use allotrope_types::ReplicationFactor;

    pub(crate) fn details(n: u8) -> DatanodeDetails {
        DatanodeDetails {
            id: DatanodeId::from_random_bytes([n; 16]),
            ip_address: "127.0.0.1".into(),
            host_name: String::new(),
            ports: vec![Port { name: PortName::Ratis, number: 9000 + u16::from(n) }],
            cert_serial_id: None,
            network_name: None,
            network_location: None,
            persisted_op_state: None,
            persisted_op_state_expiry: None,
            current_version: None,
            level: None,
        }
    }

    fn command(members: &[u8], priority: &[i32]) -> CreatePipelineCommand {
        CreatePipelineCommand {
            pipeline: PipelineId::from_random_bytes([7; 16]),
            replication: ReplicationConfig::Ratis(ReplicationFactor::Three),
            datanode: members.iter().map(|n| details(*n)).collect(),
            cmd_id: 1,
            priority: priority.to_vec(),
        }
    }

    fn node(n: u8) -> DatanodeId {
        DatanodeId::from_random_bytes([n; 16])
    }

    #[test]
    fn every_member_reads_the_same_leader_whatever_the_priorities() {
        for (priority, leader) in [(&[0, 1, 0][..], 2), (&[], 1), (&[1, 1, 1], 1), (&[0, 0, 5], 3)] {
            for me in 1..=3 {
                let plan = Plan::of_command(&command(&[1, 2, 3], priority), node(me)).unwrap();
                assert_eq!(plan.leader().id, node(leader), "{priority:?}");
                assert_eq!(plan.place_of(node(me)), Some(usize::from(me) - 1));
            }
        }
    }

    #[test]
    fn a_command_that_makes_no_sense_is_refused() {
        let refused = |command: &CreatePipelineCommand| Plan::of_command(command, node(1)).unwrap_err();
        assert_eq!(refused(&command(&[2, 3], &[])), PlanError::Foreign(node(1)));
        assert_eq!(refused(&command(&[], &[])), PlanError::Members(0));
        assert_eq!(refused(&command(&[1, 1], &[])), PlanError::Members(2));
        let many: Vec<u8> = (1..=200).collect();
        assert_eq!(refused(&command(&many, &[])), PlanError::Members(200));
        let mut alone = command(&[1], &[]);
        alone.replication = ReplicationConfig::StandAlone(ReplicationFactor::One);
        assert_eq!(refused(&alone), PlanError::Type(ReplicationType::StandAlone));
    }

    #[test]
    fn a_member_of_ozones_is_a_stranger_among_others_and_no_matter_alone() {
        let plan = |members: &[u8], java: usize| {
            let mut command = command(members, &[]);
            command.datanode[java].ports.push(Port { name: PortName::RatisServer, number: 9856 });
            Plan::of_command(&command, node(1)).unwrap()
        };
        assert_eq!(plan(&[1, 2, 3], 1).stranger(), Some(node(2)));
        assert_eq!(plan(&[1], 0).stranger(), None);
        assert_eq!(Plan::of_command(&command(&[1, 2, 3], &[]), node(1)).unwrap().stranger(), None);
    }

    #[test]
    fn a_port_that_is_not_announced_is_the_clients() {
        let plan = Plan::of_command(&command(&[1], &[]), node(1)).unwrap();
        let peer = &plan.leader().peer;
        assert_eq!(
            (peer.address.as_str(), peer.client_address.as_str()),
            ("127.0.0.1:9001", "127.0.0.1:9001")
        );
        assert_eq!(plan.leader().address, Some("127.0.0.1:9001".parse().unwrap()));
    }
}
