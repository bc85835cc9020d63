//! Who is in a pipeline and who leads it: what SCM says when it makes one.
//!
//! Errors  [`PlanError`]: the command makes no sense for this datanode; SCM is told.

use allotrope_proto::edge::ratis::{RaftPeer, RaftPeerRole};
use allotrope_proto::hdds::{DatanodeDetailsProto, PipelineId as WirePipelineId, ReplicationType};
use allotrope_proto::heartbeat::CreatePipelineCommandProto;
use allotrope_types::{DatanodeId, PipelineId};
use std::net::SocketAddr;

/// Members a pipeline may have.
const MEMBERS_MAX: usize = 16;
/// The port name of 9858.
pub(crate) const PORT_RATIS: &str = "RATIS";
/// The port name of 9857.
pub(crate) const PORT_ADMIN: &str = "RATIS_ADMIN";
/// The port name of 9856, which this datanode does not have.
const PORT_SERVER: &str = "RATIS_SERVER";

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
    /// A word of the command is none.
    #[error("{what} of the pipeline is wrong: {why}")]
    Word {
        /// Which.
        what: &'static str,
        /// What is wrong with it.
        why: String,
    },
    /// Not a pipeline of Ratis.
    #[error("only RATIS pipelines are hosted, not type {0}")]
    Type(i32),
    /// Too many, too few, or the same twice.
    #[error("a pipeline has 1 to {MEMBERS_MAX} different members, not {0}")]
    Members(usize),
    /// A member is a datanode of Ozone's.
    #[error(
        "datanode {0} is not of this kind (it has a port {PORT_SERVER}): no pipeline of three has members of both; where an SCM of \
         Ozone's has datanodes of both, use erasure coding"
    )]
    Stranger(DatanodeId),
    /// This datanode is not in it.
    #[error("datanode {0} is not a member")]
    Foreign(DatanodeId),
}

/// The pipeline's id in a message.
pub(crate) fn id_of(wire: &WirePipelineId) -> Result<PipelineId, PlanError> {
    let wrong = |why: String| PlanError::Word { what: "the id", why };
    match (&wire.uuid128, &wire.id) {
        (Some(halves), _) => Ok(PipelineId::from_halves(halves.most_sig_bits, halves.least_sig_bits)),
        (None, Some(text)) => text.parse().map_err(|e: allotrope_types::Malformed| wrong(e.to_string())),
        (None, None) => Err(wrong("there is none".into())),
    }
}

/// A pipeline's id as a message.
pub(crate) fn wire_id(id: PipelineId) -> WirePipelineId {
    let (most_sig_bits, least_sig_bits) = id.to_halves();
    WirePipelineId {
        id: Some(id.to_string()),
        uuid128: Some(allotrope_proto::hdds::Uuid { most_sig_bits, least_sig_bits }),
    }
}

impl Plan {
    /// What a command of SCM's asks of the datanode `me`.
    pub fn of_command(command: &CreatePipelineCommandProto, me: DatanodeId) -> Result<Plan, PlanError> {
        if command.r#type != i32::from(ReplicationType::Ratis) {
            return Err(PlanError::Type(command.r#type));
        }
        let id = id_of(&command.pipeline_id)?;
        let all = &command.datanode;
        let mut members = Vec::with_capacity(all.len().min(MEMBERS_MAX));
        for (at, details) in all.iter().take(MEMBERS_MAX + 1).enumerate() {
            let priority = command.priority.get(at).copied().unwrap_or(0);
            members.push(member(details, u32::try_from(priority).unwrap_or(0))?);
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

fn member(details: &DatanodeDetailsProto, priority: u32) -> Result<Member, PlanError> {
    let wrong = |why: String| PlanError::Word { what: "a member", why };
    let id = match (&details.id, &details.uuid128, &details.uuid) {
        (Some(id), _, _) => DatanodeId::from_halves(id.uuid.most_sig_bits, id.uuid.least_sig_bits),
        (_, Some(halves), _) => DatanodeId::from_halves(halves.most_sig_bits, halves.least_sig_bits),
        (_, _, Some(text)) => text.parse().map_err(|e: allotrope_types::Malformed| wrong(e.to_string()))?,
        _ => return Err(wrong("it has no id".into())),
    };
    let port = |name: &str| {
        let found = details.ports.iter().find(|port| port.name == name);
        found.and_then(|port| u16::try_from(port.value).ok()).filter(|port| *port != 0)
    };
    let clients = port(PORT_RATIS);
    // Where a port is not announced Ozone takes the clients' for it.
    let at =
        |port: Option<u16>| port.or(clients).map_or(String::new(), |p| format!("{}:{p}", details.ip_address));
    let address = details.ip_address.parse().ok().zip(clients).map(|(ip, port)| SocketAddr::new(ip, port));
    let peer = RaftPeer {
        id,
        address: at(port(PORT_SERVER)),
        priority,
        data_stream_address: at(None),
        client_address: at(clients),
        admin_address: at(port(PORT_ADMIN)),
        startup_role: RaftPeerRole::Follower,
    };
    Ok(Member { id, address, peer, ours: port(PORT_SERVER).is_none() })
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use allotrope_proto::hdds::{Port, ReplicationFactor};

    pub(crate) fn details(n: u8) -> DatanodeDetailsProto {
        DatanodeDetailsProto {
            uuid: Some(DatanodeId::from_random_bytes([n; 16]).to_string()),
            ip_address: "127.0.0.1".into(),
            ports: vec![Port { name: PORT_RATIS.into(), value: 9000 + u32::from(n) }],
            ..Default::default()
        }
    }

    fn command(members: &[u8], priority: &[i32]) -> CreatePipelineCommandProto {
        CreatePipelineCommandProto {
            pipeline_id: wire_id(PipelineId::from_random_bytes([7; 16])),
            r#type: ReplicationType::Ratis.into(),
            factor: ReplicationFactor::Three.into(),
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
        let refused = |command: &CreatePipelineCommandProto| Plan::of_command(command, node(1)).unwrap_err();
        assert_eq!(refused(&command(&[2, 3], &[])), PlanError::Foreign(node(1)));
        assert_eq!(refused(&command(&[], &[])), PlanError::Members(0));
        assert_eq!(refused(&command(&[1, 1], &[])), PlanError::Members(2));
        let many: Vec<u8> = (1..=200).collect();
        assert_eq!(refused(&command(&many, &[])), PlanError::Members(200));
        let mut ec = command(&[1], &[]);
        ec.r#type = ReplicationType::Ec.into();
        assert_eq!(refused(&ec), PlanError::Type(4));
        let mut bad = command(&[1], &[]);
        bad.datanode[0].uuid = Some("x".into());
        assert!(matches!(refused(&bad), PlanError::Word { what: "a member", .. }));
    }

    #[test]
    fn a_member_of_ozones_is_a_stranger_among_others_and_no_matter_alone() {
        let plan = |members: &[u8], java: usize| {
            let mut command = command(members, &[]);
            command.datanode[java].ports.push(Port { name: PORT_SERVER.into(), value: 9856 });
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
