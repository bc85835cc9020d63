//! What is known of a container when it is checked.

use allotrope_types::{ContainerId, DatanodeId, ReplicaIndex, ReplicaState};

use super::pending::{Act, Operation};
use crate::container::{Container, Replica};
use crate::node::{Health, Nodes, OperationalState};

/// One replica, and how its datanode stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Held<'a> {
    /// What was reported.
    pub replica: &'a Replica,
    /// Whether its datanode is heard.
    pub health: Health,
    /// Whether its datanode is meant to serve.
    pub duty: OperationalState,
    /// Where its datanode stands.
    pub rack: &'a str,
    /// Its datanode was told to delete it.
    pub going: bool,
}

impl Held<'_> {
    /// Its datanode's name.
    pub fn node(&self) -> DatanodeId {
        self.replica.node
    }

    /// Its state counts as a copy of the container's data, closed already or not, and nobody was told to delete it.
    pub fn is_live(&self) -> bool {
        use ReplicaState::*;
        !self.going && matches!(self.replica.state, Open | Closing | QuasiClosed | Closed)
    }

    /// Its datanode is meant to serve.
    pub fn in_service(&self) -> bool {
        self.duty == OperationalState::InService
    }

    /// Its datanode will be away for a while, or is.
    pub fn in_maintenance(&self) -> bool {
        matches!(self.duty, OperationalState::EnteringMaintenance | OperationalState::InMaintenance)
    }

    /// Its datanode goes for ever, or has gone.
    pub fn leaves(&self) -> bool {
        matches!(self.duty, OperationalState::Decommissioning | OperationalState::Decommissioned)
    }

    /// Its datanode was heard lately.
    pub fn reachable(&self) -> bool {
        matches!(self.health, Health::Healthy | Health::HealthyReadonly)
    }

    /// It can be counted on: live, in service, on a datanode that is heard.
    pub fn is_sure(&self) -> bool {
        self.is_live() && self.in_service() && self.health == Health::Healthy
    }

    /// It says that it holds nothing.
    pub fn is_empty(&self) -> bool {
        self.replica.empty && self.replica.keys == 0 && self.replica.used.is_zero()
    }
}

/// A replica on its way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Coming {
    /// To whom.
    pub node: DatanodeId,
    /// Which part of an EC group.
    pub index: Option<ReplicaIndex>,
}

/// The settings that verdicts depend on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rules {
    /// Copies in service that a replicated container keeps while others are in maintenance.
    pub copies_in_maintenance: usize,
    /// Losses that an EC container bears while replicas are in maintenance.
    pub redundancy_in_maintenance: usize,
}

/// What is known of a container.
#[derive(Clone, Debug)]
pub struct Facts<'a> {
    /// The container.
    pub container: &'a Container,
    /// Its replicas on datanodes that are known; those on dead ones are gone, unless they may be away.
    pub held: Vec<Held<'a>>,
    /// Replicas on their way to it.
    pub coming: Vec<Coming>,
    /// Racks in the cluster that have a healthy datanode in service.
    pub racks: usize,
    /// Whether its pipeline exists, is open and has healthy datanodes.
    pub pipeline_open: bool,
    /// The settings.
    pub rules: Rules,
}

impl<'a> Facts<'a> {
    /// The facts of `container`, of which `replicas` are known and `operations` are under way.
    pub fn of(
        container: &'a Container,
        replicas: &'a [Replica],
        operations: &[Operation],
        nodes: &'a Nodes,
        racks: usize,
        pipeline_open: bool,
        rules: Rules,
    ) -> Facts<'a> {
        let going = |node| operations.iter().any(|op| op.node == node && op.act == Act::Delete);
        let held = replicas
            .iter()
            .filter_map(|replica| {
                let node = nodes.get(replica.node)?;
                let (health, duty, rack) = (node.health, node.operational, node.rack());
                Some(Held { replica, health, duty, rack, going: going(replica.node) })
            })
            .collect();
        let coming = operations.iter().filter(|op| op.act == Act::Add);
        let coming = coming.map(|op| Coming { node: op.node, index: op.index }).collect();
        Facts { container, held, coming, racks, pipeline_open, rules }
    }

    /// Its name.
    pub fn id(&self) -> ContainerId {
        self.container.id
    }

    /// Whether nothing is under way.
    pub fn is_at_rest(&self) -> bool {
        self.coming.is_empty() && !self.held.iter().any(|held| held.going)
    }
}
