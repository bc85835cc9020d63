//! What would be done if datanodes had other duties: the checks, asked about a cluster as it would be.

use std::collections::BTreeSet;

use allotrope_types::{ContainerId, ContainerState};

use super::{Cluster, Duty};
use crate::replication::Want;
use crate::replication::check::check;

/// What would be done.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Forecast {
    /// Containers that would be looked at: those that the datanodes hold, or those that something ails.
    pub containers: usize,
    /// Replicas that would be copied.
    pub copies: usize,
    /// Replicas that would be made from others.
    pub rebuilds: usize,
    /// Replicas that would be deleted.
    pub removals: usize,
    /// Bytes that would be copied or made.
    pub bytes: u64,
    /// Containers that would have to be closed first.
    pub not_closed: usize,
}

impl Cluster {
    /// What would be done if these duties were set; without any, what is to be done as it is.
    pub fn forecast(&self, duties: &[Duty]) -> Forecast {
        let racks = self.racks_serving();
        let containers: BTreeSet<ContainerId> = match duties {
            [] => self.manager.ills().map(|(id, _)| id).collect(),
            duties => duties.iter().flat_map(|duty| self.replicas.on(duty.node)).collect(),
        };
        let mut forecast = Forecast { containers: containers.len(), ..Forecast::default() };
        for id in containers {
            let Some(mut facts) = self.facts(id, racks) else { continue };
            if matches!(facts.container.state, ContainerState::Open | ContainerState::Closing) {
                forecast.not_closed += 1;
                continue;
            }
            for held in &mut facts.held {
                if let Some(duty) = duties.iter().find(|duty| duty.node == held.node()) {
                    held.duty = duty.state;
                }
            }
            let used = facts.container.used.as_u64();
            let mut makes = |count: usize| {
                forecast.bytes = forecast.bytes.saturating_add(used.saturating_mul(count as u64))
            };
            for want in check(&facts).wants {
                match want {
                    Want::Copy { count, .. } => {
                        forecast.copies += count;
                        makes(count);
                    }
                    Want::Move { .. } => {
                        forecast.copies += 1;
                        makes(1);
                    }
                    Want::Rebuild(indexes) => {
                        forecast.rebuilds += indexes.len();
                        makes(indexes.len());
                    }
                    Want::Delete(_) => forecast.removals += 1,
                    Want::Step(..) => {}
                }
            }
        }
        forecast
    }
}
