//! A graceful end: stop taking work, finish what was taken, then close.

use std::time::Duration;

use tokio_util::sync::CancellationToken;
use tokio_util::sync::WaitForCancellationFutureOwned;
use tokio_util::task::TaskTracker;
use tokio_util::task::task_tracker::TaskTrackerToken;

/// The switch of a listener's end, shared by its owner, its connections and its calls.
///
/// After [`start`](Self::start) nothing is accepted and no further call is read; calls that were read are answered.
#[derive(Clone, Debug, Default)]
pub struct Drain {
    starting: CancellationToken,
    aborting: CancellationToken,
    work: TaskTracker,
}

impl Drain {
    /// A switch that nobody has pulled.
    pub fn new() -> Drain {
        Drain::default()
    }

    /// Begins the end. Returns at once.
    pub fn start(&self) {
        self.starting.cancel();
        self.work.close();
    }

    /// Begins the end and waits for it, at most `time_max`; then what is left is cut off.
    ///
    /// Returns whether all work ended in time.
    pub async fn finish(&self, time_max: Duration) -> bool {
        self.start();
        let in_time = tokio::time::timeout(time_max, self.work.wait()).await.is_ok();
        self.aborting.cancel();
        in_time
    }

    /// Whether the end has begun.
    pub fn is_started(&self) -> bool {
        self.starting.is_cancelled()
    }

    /// Resolves when the end begins.
    pub fn started(&self) -> WaitForCancellationFutureOwned {
        self.starting.clone().cancelled_owned()
    }

    /// Resolves when the time for a graceful end is over.
    pub(crate) fn aborted(&self) -> WaitForCancellationFutureOwned {
        self.aborting.clone().cancelled_owned()
    }

    /// Held by a connection or a call; the end waits for it.
    pub(crate) fn work(&self) -> TaskTrackerToken {
        self.work.token()
    }

    /// How many connections and calls hold up the end.
    pub fn work_left(&self) -> usize {
        self.work.len()
    }
}
