//! What copies and reconstructions leave to clients: while a datanode's clients use it, they go at a bounded rate.
//!
//! Shape   clients' commands say when they begin and end; whoever copies or rebuilds asks before each piece. With nobody there it
//!         goes on at once; else pieces are laid end to end at the rate, all shards together.
//! Units   bytes a second; 0 is no limit.

use super::stream::Budget;
use allotrope_io::Clock;
use allotrope_types::ByteCount;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::time::Duration;
use tokio::sync::{Semaphore, SemaphorePermit};

/// How long after their last command clients still count as being there.
const QUIET: Duration = Duration::from_millis(100);
/// The longest pause before it is looked again whether anybody is there.
const LOOK: Duration = Duration::from_millis(20);
/// The longest that one piece waits, whatever the rate: whoever asked for it has a deadline.
const WAIT_MAX: Duration = Duration::from_secs(15);
/// Commands of reconstructions that one datanode carries out at once. Each may hold a piece of a buffer.
const AT_ONCE: usize = 16;

/// Who is there, and how fast the others may go meanwhile.
#[derive(Debug)]
pub struct Courtesy {
    under_way: AtomicUsize,
    /// When the last command of a client ended, in nanoseconds of the shards' clock; 0: never.
    last: AtomicU64,
    budget: Budget,
    places: Semaphore,
}

/// A client's command under way.
pub(crate) struct Served<'a> {
    by: &'a Courtesy,
    clock: &'a Clock,
}

impl Drop for Served<'_> {
    fn drop(&mut self) {
        self.by.last.store(self.clock.now().nanos(), Relaxed);
        self.by.under_way.fetch_sub(1, Relaxed);
    }
}

impl Courtesy {
    /// Leaves clients all but `busy_bandwidth` bytes a second.
    pub fn new(busy_bandwidth: ByteCount) -> Courtesy {
        let (under_way, last) = (AtomicUsize::new(0), AtomicU64::new(0));
        Courtesy { under_way, last, budget: Budget::even(busy_bandwidth), places: Semaphore::new(AT_ONCE) }
    }

    /// Changes the rate for what is asked for from now on.
    pub fn set(&self, busy_bandwidth: ByteCount) {
        self.budget.set(busy_bandwidth);
    }

    /// Notes that a client's command is under way, until what is answered is dropped.
    pub(crate) fn serve<'a>(&'a self, clock: &'a Clock) -> Served<'a> {
        self.under_way.fetch_add(1, Relaxed);
        Served { by: self, clock }
    }

    /// Whether clients use the datanode, or did a moment ago.
    pub(crate) fn is_busy(&self, clock: &Clock) -> bool {
        let last = self.last.load(Relaxed);
        let lately = || Duration::from_nanos(clock.now().nanos().saturating_sub(last)) < QUIET;
        self.under_way.load(Relaxed) > 0 || (last > 0 && lately())
    }

    /// Waits until `len` bytes may go: not at all while no client is there.
    ///
    /// Cancel safety: what was asked for counts as gone.
    pub(crate) async fn wait(&self, clock: &Clock, len: u64) {
        if !self.is_busy(clock) {
            return;
        }
        let until = clock.now() + self.budget.lay(len, clock.now().nanos()).min(WAIT_MAX);
        loop {
            let left = until.since(clock.now());
            if left.is_zero() || !self.is_busy(clock) {
                return;
            }
            clock.sleep(left.min(LOOK)).await;
        }
    }

    /// A place for a command of a reconstruction, for as long as it and its answer hold memory.
    pub(crate) async fn place(&self) -> Option<SemaphorePermit<'_>> {
        // The semaphore is never closed.
        self.places.acquire().await.ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use allotrope_io::{Sim, SimConfig};

    #[test]
    fn repair_goes_at_once_while_nobody_is_there_and_at_the_rate_beside_clients() {
        let sim = Sim::new(SimConfig::seeded(1, 1));
        let clock = sim.clock();
        sim.run(async move {
            let courtesy = Courtesy::new(ByteCount::new(1000));
            let took = async |len: u64| {
                let began = clock.now();
                courtesy.wait(&clock, len).await;
                clock.now().since(began)
            };
            clock.sleep(Duration::from_secs(1)).await;
            assert_eq!(took(1 << 40).await, Duration::ZERO);
            let served = courtesy.serve(&clock);
            assert_eq!(took(1000).await, Duration::from_secs(1), "a pause lends nothing");
            assert_eq!(took(1000).await, Duration::from_secs(1));
            drop(served);
            let left = took(3000).await;
            assert!(QUIET <= left && left <= QUIET + LOOK, "nobody is there any more, after {left:?}");
            assert_eq!(took(1 << 40).await, Duration::ZERO);
            let _served = courtesy.serve(&clock);
            assert_eq!(took(1 << 40).await, WAIT_MAX);
            courtesy.set(ByteCount::ZERO);
            assert_eq!(took(1 << 40).await, Duration::ZERO, "no limit");
        });
    }
}
