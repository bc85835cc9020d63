//! A bound on the bytes that connections hold between them.
//!
//! Shape   one budget a listener, and within it an allowance a connection. Bytes are taken before they are read and
//!         given back when their owner is dropped.
//! Errors  none: who asks for more than is free waits, in order, and reads nothing meanwhile. A claim beyond the
//!         whole allowance is a bug of the caller, who has checked the frame's limit.

use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore, TryAcquireError};

/// The bytes that all connections of a listener may hold.
#[derive(Clone, Debug)]
pub struct ByteBudget {
    free: Arc<Semaphore>,
    bytes_max: usize,
}

impl ByteBudget {
    /// A budget of `bytes_max` bytes.
    pub fn new(bytes_max: usize) -> ByteBudget {
        let bytes_max = bytes_max.min(Semaphore::MAX_PERMITS);
        ByteBudget { free: Arc::new(Semaphore::new(bytes_max)), bytes_max }
    }

    /// The allowance of one connection: at most `bytes_max` bytes out of this budget.
    pub fn connection(&self, bytes_max: usize) -> ConnectionBudget {
        let own = Arc::new(Semaphore::new(bytes_max.min(self.bytes_max)));
        ConnectionBudget { own, total: Arc::clone(&self.free) }
    }

    /// A share that holds nothing yet and grows without waiting.
    pub fn share(&self) -> Share {
        Share { free: Arc::clone(&self.free), held: None }
    }

    /// How many bytes are held now.
    pub fn bytes_held(&self) -> usize {
        self.bytes_max.saturating_sub(self.free.available_permits())
    }

    /// The size of the budget.
    pub fn bytes_max(&self) -> usize {
        self.bytes_max
    }
}

/// The bytes that one connection may hold.
#[derive(Clone, Debug)]
pub struct ConnectionBudget {
    own: Arc<Semaphore>,
    total: Arc<Semaphore>,
}

/// Bytes that are spoken for until this is dropped.
#[derive(Debug)]
pub struct Held {
    _own: OwnedSemaphorePermit,
    _total: OwnedSemaphorePermit,
}

/// Bytes whose number becomes known as they come. They are given back when this is dropped.
#[derive(Debug)]
pub struct Share {
    free: Arc<Semaphore>,
    held: Option<OwnedSemaphorePermit>,
}

impl Share {
    /// Takes `bytes` more, if they are free.
    pub fn grow(&mut self, bytes: usize) -> bool {
        let Some(more) = u32::try_from(bytes)
            .ok()
            .and_then(|bytes| Arc::clone(&self.free).try_acquire_many_owned(bytes).ok())
        else {
            return false;
        };
        match &mut self.held {
            Some(held) => held.merge(more),
            None => self.held = Some(more),
        }
        true
    }
}

impl ConnectionBudget {
    /// Takes `bytes`, waiting until they are free. Cancel safety: nothing is taken if dropped early.
    pub async fn take(&self, bytes: u32) -> Held {
        // The own allowance comes first: a connection that is over its own does not queue for the others' bytes.
        let own = take(&self.own, bytes).await;
        let total = take(&self.total, bytes).await;
        Held { _own: own, _total: total }
    }
}

async fn take(semaphore: &Arc<Semaphore>, bytes: u32) -> OwnedSemaphorePermit {
    match Arc::clone(semaphore).try_acquire_many_owned(bytes) {
        Ok(permit) => permit,
        Err(TryAcquireError::NoPermits) => {
            Arc::clone(semaphore).acquire_many_owned(bytes).await.expect("a budget is never closed")
        }
        Err(TryAcquireError::Closed) => unreachable!("a budget is never closed"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn a_share_grows_while_bytes_are_free_and_gives_all_back() {
        let budget = ByteBudget::new(100);
        let mut share = budget.share();
        assert!(share.grow(60) && share.grow(40) && !share.grow(1));
        assert_eq!(budget.bytes_held(), 100);
        drop(share);
        assert_eq!(budget.bytes_held(), 0);
    }

    #[tokio::test(start_paused = true)]
    async fn bytes_are_bounded_for_each_and_for_all() {
        let budget = ByteBudget::new(100);
        let (one, two) = (budget.connection(60), budget.connection(60));
        let first = one.take(60).await;
        assert_eq!(budget.bytes_held(), 60);
        // One is over its own allowance, two over what is left for all.
        assert!(tokio::time::timeout(Duration::from_secs(1), one.take(1)).await.is_err());
        assert!(tokio::time::timeout(Duration::from_secs(1), two.take(41)).await.is_err());
        let second = two.take(40).await;
        assert_eq!(budget.bytes_held(), 100);
        drop((first, second));
        assert_eq!(budget.bytes_held(), 0);
    }
}
