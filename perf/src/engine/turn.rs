//! One turn of a load: its loop, and how the loop is stopped.

use std::sync::Arc;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::{Instant, timeout};

use super::{End, Pace, Plan, Progress, Until, closed, open};
use crate::load::{Load, Trouble};
use crate::record::Recorder;

/// How long operations in flight have to end when a run is stopped.
const GRACE: Duration = Duration::from_secs(2);

/// What all tasks of a turn share.
pub(super) struct Turn {
    load: Arc<dyn Load>,
    recorder: Arc<Recorder>,
    progress: Arc<Progress>,
    deadline: Duration,
    objects: u64,
    stop_at_failure: bool,
    pub(super) began: Instant,
    /// Operations in all, where they are counted.
    pub(super) count: Option<u64>,
    /// When no operation begins any more, where time counts.
    pub(super) ends: Option<Instant>,
    /// The next operation's number.
    pub(super) next: AtomicU64,
    /// Turned to true no operation begins any more.
    pub(super) quit: watch::Sender<bool>,
    /// When the last operation so far has ended.
    last: Mutex<Instant>,
}

/// Why and when a turn ended.
pub(super) struct TurnEnd {
    pub(super) end: End,
    pub(super) took: Duration,
    pub(super) not_begun: u64,
    pub(super) abandoned: u64,
}

impl Turn {
    pub(super) fn new(
        load: Arc<dyn Load>,
        plan: &Plan,
        recorder: Arc<Recorder>,
        progress: Arc<Progress>,
    ) -> Arc<Turn> {
        let began = Instant::now();
        let (count, ends) = match plan.until {
            Until::Count(count) => (Some(count), None),
            Until::Time(time) => (None, Some(began + time)),
        };
        Arc::new(Turn {
            load,
            recorder,
            progress,
            deadline: plan.deadline,
            objects: plan.objects.max(1),
            stop_at_failure: plan.stop_at_failure,
            began,
            count,
            ends,
            next: AtomicU64::new(0),
            quit: watch::Sender::new(false),
            last: Mutex::new(began),
        })
    }

    /// The next operation's number; `None` when none is to begin any more.
    pub(super) fn next_number(&self) -> Option<u64> {
        let over = *self.quit.borrow() || self.ends.is_some_and(|ends| Instant::now() >= ends);
        let number = if over { return None } else { self.next.fetch_add(1, Ordering::Relaxed) };
        self.count.is_none_or(|count| number < count).then_some(number)
    }

    /// Carries out one operation, which was due at `due`.
    pub(super) async fn operate(&self, number: u64, due: Instant) {
        self.progress.in_flight.fetch_add(1, Ordering::Relaxed);
        let ended = timeout(self.deadline, self.load.operate(number % self.objects)).await;
        let outcome = ended.unwrap_or_else(|_| Err(Trouble::late(self.deadline)));
        let now = Instant::now();
        self.progress.in_flight.fetch_sub(1, Ordering::Relaxed);
        match &outcome {
            Ok(done) => {
                self.progress.done.fetch_add(1, Ordering::Relaxed);
                self.progress.bytes.fetch_add(done.bytes, Ordering::Relaxed);
            }
            Err(_) => {
                self.progress.failed.fetch_add(1, Ordering::Relaxed);
                if self.stop_at_failure {
                    self.quit.send_replace(true);
                }
            }
        }
        self.recorder.note(now - due, outcome);
        let mut last = self.last.lock().expect("nothing panics while it holds the lock");
        *last = now.max(*last);
    }

    /// Runs the loop to its end, or until it is stopped.
    pub(super) async fn run(self: Arc<Turn>, plan: &Plan, mut stop: watch::Receiver<bool>) -> TurnEnd {
        let looping = async {
            match plan.pace {
                Pace::Closed => closed::run(&self, plan.at_once).await,
                Pace::Open { per_second } => open::run(&self, plan.at_once, per_second, plan.clock).await,
            }
        };
        tokio::pin!(looping);
        let mut quit = self.quit.subscribe();
        let (end, not_begun) = tokio::select! {
            biased;
            not_begun = &mut looping => (self.end_of_itself(), not_begun),
            () = turned(&mut stop) => {
                self.quit.send_replace(true);
                (End::Interrupted, timeout(GRACE, &mut looping).await.unwrap_or(0))
            }
            () = turned(&mut quit) => (End::Failed, timeout(GRACE, &mut looping).await.unwrap_or(0)),
        };
        let abandoned = self.progress.in_flight();
        let took = match abandoned {
            0 => *self.last.lock().expect("nothing panics while it holds the lock") - self.began,
            _ => self.began.elapsed(),
        };
        TurnEnd { end, took, not_begun, abandoned }
    }

    fn end_of_itself(&self) -> End {
        if *self.quit.borrow() { End::Failed } else { End::Done }
    }
}

/// Waits until `signal` is true; for ever if nobody can turn it any more.
pub(super) async fn turned(signal: &mut watch::Receiver<bool>) {
    if signal.wait_for(|&on| on).await.is_err() {
        std::future::pending::<()>().await;
    }
}
