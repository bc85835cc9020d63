//! Copies of containers: pulled from the datanodes that hold them, or pushed from one to another.
//!
//! Shape   closed replicas are what SCM says there is. A pull's bytes are dropped behind the archive's own end; a push leaves a replica
//!         on a datanode that had none, once a container; SCM takes away what is too much, and nobody else does.
//! Units   bytes of archives.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Mutex;

use allotrope_proto::hdds::{DatanodeDetailsProto, ScmContainerReplicaProto};
use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;

use crate::load::{Done, Load, Trouble, TroubleKind};
use crate::wire::{Containers, id_of, pull, push};

/// A datanode.
#[derive(Clone, Debug, PartialEq, Eq)]
struct At {
    id: String,
    /// `HOST:PORT` of the replication port.
    replication: String,
}

/// A closed replica, and where it can go.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Copied {
    container: i64,
    used: u64,
    source: At,
    /// A datanode that holds no replica of it; `None` for a pull.
    target: Option<At>,
}

/// Copies containers.
pub struct ContainerCopy {
    /// Pushes that were not begun yet.
    idle: Mutex<Vec<Copied>>,
    all: Vec<Copied>,
    is_push: bool,
}

impl ContainerCopy {
    /// Pulls up to `count_max` closed replicas that SCM knows, over and over, or pushes each container of them once, to a datanode
    /// without it: of one datanode's, if its id is given.
    ///
    /// # Errors
    /// What SCM refused, and that there is nothing to copy, or not enough for `at_once` pushes.
    pub async fn find(
        containers: &Containers,
        count_max: usize,
        datanode: Option<&str>,
        is_push: bool,
        at_once: usize,
    ) -> Result<ContainerCopy, Trouble> {
        let replicas = containers.closed_replicas(count_max).await?;
        let all = match is_push {
            false => pulls(&replicas, datanode),
            true => pushes(&replicas, datanode),
        };
        let refused = |text: String| Err(Trouble::new(TroubleKind::Refused, text));
        if all.is_empty() {
            return refused(format!(
                "SCM knows no closed replica that can be copied, of {} closed ones; allotrope admin container close closes some",
                replicas.len()
            ));
        }
        if is_push && all.len() < at_once {
            return refused(format!("{} containers can be pushed at once: -t {}", all.len(), all.len()));
        }
        let idle = Mutex::new(if is_push { all.clone() } else { Vec::new() });
        Ok(ContainerCopy { idle, all, is_push })
    }

    fn idle(&self) -> std::sync::MutexGuard<'_, Vec<Copied>> {
        self.idle.lock().expect("nothing panics while it holds the lock")
    }

    /// Pushes a container that was not pushed yet. What is too much then is SCM's to take away: it may have chosen the replica that
    /// was copied, and whoever deleted the new one meanwhile would delete the last.
    async fn push(&self) -> Result<u64, Trouble> {
        let none = || {
            let why = "every container was pushed once: SCM takes away what is too much, a later run goes on";
            Trouble::new(TroubleKind::Refused, why)
        };
        let copied = self.idle().pop().ok_or_else(none)?;
        let target = copied.target.as_ref().expect("a push has a target");
        push(copied.container, copied.used, &copied.source.replication, &target.replication).await
    }
}

impl Load for ContainerCopy {
    fn kinds(&self) -> &[&'static str] {
        match self.is_push {
            true => &["push"],
            false => &["pull"],
        }
    }

    fn operate(&self, number: u64) -> BoxFuture<'_, Result<Done, Trouble>> {
        async move {
            let copied = &self.all[(number % self.all.len() as u64) as usize];
            let len = match self.is_push {
                true => self.push().await?,
                false => pull(copied.container, &copied.source.replication).await?,
            };
            Ok(Done::moved(len))
        }
        .boxed()
    }
}

fn at(details: &DatanodeDetailsProto) -> Option<At> {
    let port = |name: &str| {
        let port = details.ports.iter().find(|port| port.name == name)?;
        Some(format!("{}:{}", details.ip_address, port.value))
    };
    Some(At { id: id_of(details)?.to_string(), replication: port("REPLICATION")? })
}

fn used(replica: &ScmContainerReplicaProto) -> u64 {
    u64::try_from(replica.bytes_used).unwrap_or(0)
}

/// Each replica, once.
fn pulls(replicas: &[ScmContainerReplicaProto], datanode: Option<&str>) -> Vec<Copied> {
    let copied = |replica: &ScmContainerReplicaProto| {
        let source = at(&replica.datanode_details)?;
        let is_asked = datanode.is_none_or(|id| id == source.id);
        is_asked.then(|| Copied {
            container: replica.container_id,
            used: used(replica),
            source,
            target: None,
        })
    };
    replicas.iter().filter_map(copied).collect()
}

/// Each container once, from one of its replicas to a datanode without one; targets take turns.
fn pushes(replicas: &[ScmContainerReplicaProto], datanode: Option<&str>) -> Vec<Copied> {
    let mut everywhere: BTreeMap<String, At> = BTreeMap::new();
    let mut holders: BTreeMap<i64, BTreeSet<String>> = BTreeMap::new();
    for replica in replicas {
        if let Some(at) = at(&replica.datanode_details) {
            holders.entry(replica.container_id).or_default().insert(at.id.clone());
            everywhere.insert(at.id.clone(), at);
        }
    }
    let everywhere: Vec<At> = everywhere.into_values().collect();
    let mut sources = pulls(replicas, datanode);
    sources.dedup_by_key(|copied| copied.container);
    let with_target = |(n, copied): (usize, Copied)| {
        let holders = &holders[&copied.container];
        let others = everywhere.iter().cycle().skip(n).take(everywhere.len());
        let target = others.into_iter().find(|at| !holders.contains(&at.id))?.clone();
        Some(Copied { target: Some(target), ..copied })
    };
    sources.into_iter().enumerate().filter_map(with_target).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::SimulatedDatanode;

    fn replica(container_id: i64, number: u64) -> ScmContainerReplicaProto {
        let datanode_details = SimulatedDatanode { seed: 1, number }.details();
        ScmContainerReplicaProto { container_id, datanode_details, ..Default::default() }
    }

    #[test]
    fn a_container_goes_only_where_it_is_not() {
        let replicas = [replica(1, 0), replica(1, 1), replica(2, 1), replica(2, 2), replica(3, 0)];
        assert_eq!(pulls(&replicas, None).len(), 5);
        let pushed = pushes(&replicas, None);
        assert_eq!(pushed.iter().map(|copied| copied.container).collect::<Vec<_>>(), [1, 2, 3]);
        for copied in pushed {
            let target = copied.target.unwrap();
            let is_there = |replica: &ScmContainerReplicaProto| {
                replica.container_id == copied.container && at(&replica.datanode_details).unwrap() == target
            };
            assert!(!replicas.iter().any(is_there), "container {} goes to {target:?}", copied.container);
        }
        let only = SimulatedDatanode { seed: 1, number: 2 }.id().to_string();
        let of_one: Vec<_> = pulls(&replicas, Some(&only)).iter().map(|copied| copied.container).collect();
        assert_eq!(of_one, [2]);
        assert!(pushes(&[replica(1, 0), replica(1, 1)], None).is_empty(), "it is everywhere");
    }
}
