//! Members of one process, by number: for the all-in-one process and as the base of the tests' network.

use std::{
    collections::BTreeMap,
    io,
    sync::{Arc, Mutex, PoisonError, Weak},
};

use bytes::Bytes;

use super::{Answering, Network, Peer, Service};
use crate::ids::{Member, MemberId};

/// Members that call each other within the process. Clones are the same network.
#[derive(Clone, Default)]
pub struct MemoryNetwork {
    members: Arc<Mutex<BTreeMap<MemberId, Weak<dyn Service>>>>,
}

impl MemoryNetwork {
    /// Puts a member on the network, in place of the one it was before a restart.
    pub fn join(&self, id: MemberId, service: &Arc<dyn Service>) {
        self.members.lock().unwrap_or_else(PoisonError::into_inner).insert(id, Arc::downgrade(service));
    }

    /// The member, while it runs.
    pub fn find(&self, id: MemberId) -> Option<Arc<dyn Service>> {
        self.members.lock().unwrap_or_else(PoisonError::into_inner).get(&id).and_then(Weak::upgrade)
    }
}

impl Network for MemoryNetwork {
    fn peer(&self, id: MemberId, _member: &Member) -> Box<dyn Peer> {
        Box::new(MemoryPeer { network: self.clone(), id })
    }
}

struct MemoryPeer {
    network: MemoryNetwork,
    id: MemberId,
}

impl Peer for MemoryPeer {
    fn call(&mut self, request: Bytes) -> Answering<'_> {
        Box::pin(async move {
            let service = self.network.find(self.id).ok_or(io::ErrorKind::ConnectionRefused)?;
            Ok(service.answer(request).await)
        })
    }
}
