//! The replicas that are made anew: created together, written together, closed together, or removed.

use super::link::Link;
use crate::commands::CommandError;
use allotrope_proto::container::{
    CloseContainerRequestProto, CreateContainerRequestProto, DeleteContainerRequestProto,
    ReadContainerRequestProto, Type,
};
use allotrope_types::{ContainerId, ReplicaIndex, ReplicaState};
use futures_util::future::{join_all, try_join_all};
use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

/// The targets of a rebuild.
pub(super) struct Targets {
    container: ContainerId,
    links: BTreeMap<ReplicaIndex, Rc<Link>>,
    /// Those on which this task made, or may have made, the container.
    made: RefCell<BTreeSet<ReplicaIndex>>,
}

impl Targets {
    pub(super) fn new(container: ContainerId, links: BTreeMap<ReplicaIndex, Rc<Link>>) -> Targets {
        Targets { container, links, made: RefCell::default() }
    }

    pub(super) fn links(&self) -> impl Iterator<Item = &Rc<Link>> {
        self.links.values()
    }

    pub(super) fn link(&self, replica: ReplicaIndex) -> Option<&Rc<Link>> {
        self.links.get(&replica)
    }

    /// Makes the container everywhere.
    pub(super) async fn create(&self) -> Result<(), CommandError> {
        let created = join_all(self.links.values().map(|link| async move {
            let mut request = link.command(Type::CreateContainer);
            request.create_container = Some(CreateContainerRequestProto {
                replica_index: Some(i32::from(link.replica().number())),
                state: Some(ReplicaState::Recovering.number()),
                ..Default::default()
            });
            let created = link.ask(request).await;
            if created.is_ok() {
                self.made.borrow_mut().insert(link.replica());
            }
            created.map(drop)
        }))
        .await;
        created.into_iter().collect()
    }

    /// Seals the container everywhere: from here on it counts.
    pub(super) async fn close(&self) -> Result<(), CommandError> {
        let closing = self.links.values().map(|link| async move {
            let mut request = link.command(Type::CloseContainer);
            request.close_container = Some(CloseContainerRequestProto {});
            link.ask(request).await.map(drop)
        });
        try_join_all(closing).await.map(drop)
    }

    /// Deletes what this task made, where it is still unfinished.
    pub(super) async fn remove(&self) {
        let made: Vec<_> = self.made.borrow().iter().copied().collect();
        join_all(made.iter().filter_map(|replica| self.links.get(replica)).map(|link| async move {
            if let Err(e) = remove(link).await {
                // It expires by itself.
                tracing::warn!(container = %self.container, error = %e, "what a failed rebuild made is not removed");
            }
        }))
        .await;
    }
}

async fn remove(link: &Link) -> Result<(), CommandError> {
    let mut request = link.command(Type::ReadContainer);
    request.read_container = Some(ReadContainerRequestProto {});
    let answer = link.ask(request).await?;
    let data = answer.message.read_container.and_then(|read| read.container_data);
    let state = data.and_then(|data| ReplicaState::from_number(data.state?));
    if !matches!(state, Some(ReplicaState::Recovering | ReplicaState::Unhealthy)) {
        return Ok(());
    }
    let mut request = link.command(Type::DeleteContainer);
    request.delete_container = Some(DeleteContainerRequestProto { force_delete: Some(true) });
    link.ask(request).await.map(drop)
}
