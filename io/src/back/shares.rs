//! Shares of the CPU on the portable back, whose executor knows no classes of work.
//!
//! Shape   foreground tasks are tokio's own. Those of the classes behind it stand in two queues of ours, and one task of
//!         tokio's, the driver, runs them: each turn for as long as the foreground's use of the core since the last turn allows.
//! Units   nanoseconds of the shard's thread.
//!
//! turn    | foreground ran f ns | replication: f · 250/1000 | scrub: f · 50/1000 | foreground …
//! turn    | foreground rested   | replication: a slice      | scrub: a slice     | …

use crate::class::Class;
use crate::task::{Spent, Watched};
use slab::Slab;
use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::rc::{Rc, Weak};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Wake, Waker};

/// The longest turn of replication: what a foreground task that becomes ready waits at most. Scrub's is shorter by its share.
const SLICE_NANOS: i64 = 500_000;

/// The tasks behind the foreground. Clones share them.
#[derive(Clone)]
pub(crate) struct Background(Rc<Inner>);

struct Inner {
    classes: [Queue; 2],
    /// Turns in a row before which the foreground used nothing.
    quiet: Cell<u32>,
    driver: Arc<Mutex<Option<Waker>>>,
}

struct Queue {
    class: Class,
    tasks: RefCell<Slab<Option<Entry>>>,
    ready: Arc<Ready>,
    /// What the class may still use; below zero it has used more than its part.
    credit: Cell<i64>,
}

struct Entry {
    task: Watched,
    waker: Arc<TaskWaker>,
}

struct Ready {
    keys: Mutex<VecDeque<usize>>,
    driver: Arc<Mutex<Option<Waker>>>,
}

struct TaskWaker {
    key: usize,
    queued: AtomicBool,
    ready: Arc<Ready>,
}

impl Wake for TaskWaker {
    fn wake(self: Arc<Self>) {
        if !self.queued.swap(true, Ordering::AcqRel) {
            lock(&self.ready.keys).push_back(self.key);
            let driver = lock(&self.ready.driver).clone();
            driver.into_iter().for_each(Waker::wake);
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Background {
    pub(crate) fn new() -> Background {
        let driver: Arc<Mutex<Option<Waker>>> = Arc::default();
        let classes = [Class::Replication, Class::Scrub].map(|class| Queue {
            class,
            tasks: RefCell::default(),
            ready: Arc::new(Ready { keys: Mutex::default(), driver: driver.clone() }),
            credit: Cell::new(0),
        });
        Background(Rc::new(Inner { classes, quiet: Cell::new(0), driver }))
    }

    /// Starts `task`, which is of a class behind the foreground.
    pub(crate) fn spawn(&self, class: Class, task: Watched) {
        let queue = &self.0.classes[usize::from(class == Class::Scrub)];
        let mut tasks = queue.tasks.borrow_mut();
        let slot = tasks.vacant_entry();
        let (key, queued) = (slot.key(), AtomicBool::new(false));
        let waker = Arc::new(TaskWaker { key, queued, ready: queue.ready.clone() });
        slot.insert(Some(Entry { task, waker: waker.clone() }));
        drop(tasks);
        waker.wake();
    }

    /// Runs the tasks for ever; the shard runs this as one task of its executor. Ends with the last handle.
    pub(crate) async fn drive(self, spent: Spent) {
        let inner: Weak<Inner> = Rc::downgrade(&self.0);
        drop(self);
        let mut seen = 0;
        loop {
            let Some(more) = inner.upgrade().map(|inner| {
                let foreground = spent.of(Class::Foreground);
                let more = inner.turn(foreground - seen, &spent);
                seen = foreground;
                more
            }) else {
                return;
            };
            if more {
                // Behind whatever of the foreground can run, and after a look at the sockets: woken at once, this task would
                // have its next turns before the foreground had one, and would take it for resting.
                tokio::task::yield_now().await;
            } else {
                until_ready(&inner).await;
            }
        }
    }
}

/// Waits until a task can run; until then their wakers find the driver's, and no longer.
async fn until_ready(inner: &Weak<Inner>) {
    poll_fn(|cx| {
        let Some(inner) = inner.upgrade() else { return Poll::Ready(()) };
        *lock(&inner.driver) = Some(cx.waker().clone());
        if inner.is_idle() {
            return Poll::Pending;
        }
        *lock(&inner.driver) = None;
        Poll::Ready(())
    })
    .await;
}

/// The foreground rests after so many turns without it. Of one alone it may be that it runs just behind: what yields at the same
/// time is woken in the other order.
const RESTS_AFTER: u32 = 2;

/// The longest turn of a class.
fn slice(class: Class) -> i64 {
    SLICE_NANOS * class.shares() as i64 / Class::Replication.shares() as i64
}

/// What a class may use in a turn before which the foreground used `foreground`; all that it wants if the foreground `rests`.
fn allowance(class: Class, credit: i64, foreground: u64, rests: bool) -> i64 {
    if rests {
        return slice(class);
    }
    let part = foreground.saturating_mul(class.shares() as u64) / Class::Foreground.shares() as u64;
    credit.saturating_add(i64::try_from(part).unwrap_or(i64::MAX)).min(slice(class))
}

impl Inner {
    /// Whether no task can run.
    fn is_idle(&self) -> bool {
        self.classes.iter().all(|queue| lock(&queue.ready.keys).is_empty())
    }

    /// One turn of each class. `true` if tasks are left that can run.
    fn turn(&self, foreground: u64, spent: &Spent) -> bool {
        self.quiet.set(if foreground == 0 { self.quiet.get().saturating_add(1) } else { 0 });
        let rests = self.quiet.get() >= RESTS_AFTER;
        for queue in &self.classes {
            let start = spent.of(queue.class);
            let allowed = allowance(queue.class, queue.credit.get(), foreground, rests);
            let used = || i64::try_from(spent.of(queue.class) - start).unwrap_or(i64::MAX);
            // No more than were ready: one that wakes itself shall not keep the others out.
            let ready = lock(&queue.ready.keys).len();
            for _ in 0..ready {
                if used() >= allowed {
                    break;
                }
                queue.run_one();
            }
            queue.credit.set(allowed - used());
        }
        !self.is_idle()
    }
}

impl Queue {
    fn run_one(&self) {
        let Some(key) = lock(&self.ready.keys).pop_front() else { return };
        // The task is out of the slab while it runs: it may start others.
        let Some(mut entry) = self.tasks.borrow_mut().get_mut(key).and_then(Option::take) else { return };
        entry.waker.queued.store(false, Ordering::Release);
        let waker = Waker::from(entry.waker.clone());
        let polled = Pin::new(&mut entry.task).poll(&mut Context::from_waker(&waker));
        let mut tasks = self.tasks.borrow_mut();
        match polled {
            Poll::Pending => tasks[key] = Some(entry),
            Poll::Ready(()) => {
                tasks.remove(key);
                drop(tasks);
                drop(entry);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_class_gets_its_share_of_what_the_foreground_used_and_all_when_it_rests() {
        assert_eq!(allowance(Class::Replication, 0, 400_000, false), 100_000);
        assert_eq!(allowance(Class::Scrub, 0, 400_000, false), 20_000);
        assert_eq!(
            allowance(Class::Scrub, -100_000, 400_000, false),
            -80_000,
            "what was used too much is paid back"
        );
        assert_eq!(allowance(Class::Scrub, -100_000, 0, false), -100_000, "it may be about to run");
        assert_eq!(allowance(Class::Scrub, -100_000, 0, true), 100_000, "nobody else wants the core");
        assert_eq!(
            allowance(Class::Replication, 0, 1 << 60, false),
            SLICE_NANOS,
            "no turn is longer than a slice"
        );
    }
}
