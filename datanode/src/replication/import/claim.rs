//! One import of a container at a time, and room for it.

use crate::commands::{CommandError, create_container};
use crate::store::Store;
use crate::volume::Volume;
use allotrope_types::DatanodeResult::ContainerExists;
use allotrope_types::{ByteCount, ContainerId};
use std::collections::BTreeSet;
use std::rc::Rc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// The containers that are on their way to this datanode. Home shards add to it, and whichever shard an import ends on takes
/// away: a set of few ids that is touched twice an import.
#[derive(Debug)]
pub struct Imports {
    ids: Mutex<BTreeSet<ContainerId>>,
    streams: Arc<Semaphore>,
    limit: Mutex<Limit>,
}

/// How many may come at once.
#[derive(Debug)]
struct Limit {
    max: usize,
    /// Permits that go when they come back: the limit was lowered while they were out.
    owed: usize,
}

/// The right to let one container come. Dropping it lets the next one in.
#[derive(Debug)]
pub struct Entered {
    permit: Option<OwnedSemaphorePermit>,
    imports: Arc<Imports>,
}

impl Drop for Entered {
    fn drop(&mut self) {
        let mut limit = self.imports.limit();
        if limit.owed > 0
            && let Some(permit) = self.permit.take()
        {
            limit.owed -= 1;
            permit.forget();
        }
    }
}

impl Imports {
    /// None on its way; at most `streams` at once are let in.
    pub fn new(streams: usize) -> Imports {
        let max = streams.max(1);
        let limit = Mutex::new(Limit { max, owed: 0 });
        Imports { ids: Mutex::default(), streams: Arc::new(Semaphore::new(max)), limit }
    }

    /// Changes how many may come at once; those that come already go on.
    pub(crate) fn set_streams(&self, streams: usize) {
        let streams = streams.max(1);
        let mut limit = self.limit();
        let (more, fewer) = (streams.saturating_sub(limit.max), limit.max.saturating_sub(streams));
        let kept = more.min(limit.owed);
        limit.owed -= kept;
        self.streams.add_permits(more - kept);
        limit.owed += fewer - self.streams.forget_permits(fewer);
        limit.max = streams;
    }

    fn limit(&self) -> MutexGuard<'_, Limit> {
        self.limit.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until one more may come.
    pub(in crate::replication) async fn enter(self: &Arc<Imports>) -> Option<Entered> {
        let permit = self.streams.clone().acquire_owned().await.ok()?;
        Some(Entered { permit: Some(permit), imports: self.clone() })
    }

    /// Lets one more in if one may come now.
    pub(in crate::replication) fn try_enter(self: &Arc<Imports>) -> Option<Entered> {
        let permit = self.streams.clone().try_acquire_owned().ok()?;
        Some(Entered { permit: Some(permit), imports: self.clone() })
    }

    /// Whether the container is on its way here.
    pub fn has(&self, container: ContainerId) -> bool {
        self.lock().contains(&container)
    }

    fn lock(&self) -> MutexGuard<'_, BTreeSet<ContainerId>> {
        self.ids.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The right to bring a container here, with the volume and the room for it. Dropping it gives both back.
pub struct Claim {
    container: ContainerId,
    volume: Arc<Volume>,
    room: u64,
    imports: Arc<Imports>,
    rows: AtomicBool,
}

impl Claim {
    /// The container.
    pub fn container(&self) -> ContainerId {
        self.container
    }

    /// Where it will lie.
    pub fn volume(&self) -> &Arc<Volume> {
        &self.volume
    }

    /// Bytes that are kept for it, archive and all.
    pub(super) fn room(&self) -> u64 {
        self.room
    }

    /// Notes that its rows may be in the volume's metadata.
    pub(super) fn set_rows(&self) {
        self.rows.store(true, Relaxed);
    }

    pub(super) fn has_rows(&self) -> bool {
        self.rows.load(Relaxed)
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        self.volume.commit(-(self.room as i64));
        self.imports.lock().remove(&self.container);
    }
}

/// Claims a container of `size` bytes on its home shard.
pub(in crate::replication) async fn claim(
    store: &Rc<Store>,
    container: ContainerId,
    size: ByteCount,
) -> Result<Arc<Claim>, CommandError> {
    let exists = |why: String| Err(CommandError::new(ContainerExists, why));
    // No writer makes it meanwhile.
    let _making = store.creating.lock().await;
    if store.find(container).is_some() {
        return exists(format!("container {container} is on this datanode already"));
    }
    let imports = store.node().imports.clone();
    if imports.has(container) {
        return exists(format!("container {container} is on its way to this datanode already"));
    }
    let room = size.as_u64().saturating_mul(2).min(i64::MAX as u64);
    let volume = create_container::volume_for(store, room).await?;
    imports.lock().insert(container);
    volume.commit(room as i64);
    Ok(Arc::new(Claim { container, volume, room, imports, rows: AtomicBool::new(false) }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn how_many_may_come_changes_while_some_come() {
        let imports = Arc::new(Imports::new(2));
        let mut inside = vec![imports.try_enter().unwrap(), imports.try_enter().unwrap()];
        assert!(imports.try_enter().is_none());
        imports.set_streams(3);
        inside.push(imports.try_enter().unwrap());
        assert!(imports.try_enter().is_none());
        // Fewer than there are: two have to go before one may come.
        imports.set_streams(2);
        imports.set_streams(1);
        for _ in 0..2 {
            inside.pop();
            assert!(imports.try_enter().is_none());
        }
        // What is owed is paid by a higher limit first.
        imports.set_streams(4);
        inside.extend((0..3).map(|_| imports.try_enter().unwrap()));
        assert!(imports.try_enter().is_none());
        imports.set_streams(1);
        imports.set_streams(3);
        inside.pop();
        assert!(imports.try_enter().is_none());
        inside.pop();
        inside.push(imports.try_enter().unwrap());
        assert!(imports.try_enter().is_none());
        drop(inside);
        imports.set_streams(0);
        let alone = imports.try_enter().unwrap();
        assert!(imports.try_enter().is_none(), "one may always come");
        drop(alone);
    }
}
