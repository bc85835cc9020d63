//! What every task on a shard is wrapped in: a panic ends the task, not the shard, and a task that holds the core too
//! long is named.
//!
//! Shape   [`Watched`] polls the task's future, counts and logs; [`TaskHandle`] is where its result arrives.
//! Units   a poll longer than [`POLL_MAX`] is a stall.
//! Source  DESIGN.md, 'Threads'.

use crate::class::Class;
use crate::mesh::Answer;
use futures_util::future::LocalBoxFuture;
use slab::Slab;
use std::any::Any;
use std::cell::{Cell, RefCell};
use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

/// The longest a task may hold its shard before it is logged by name and counted.
pub const POLL_MAX: Duration = Duration::from_millis(5);

/// What happened on one shard since it started; all counters only grow.
#[derive(Debug, Default)]
pub struct ShardCounters {
    /// Tasks started.
    pub tasks_started: AtomicU64,
    /// Tasks that ended, by a result or a panic.
    pub tasks_ended: AtomicU64,
    /// Tasks that ended by a panic.
    pub tasks_panicked: AtomicU64,
    /// Tasks that were dropped when the shard stopped.
    pub tasks_dropped: AtomicU64,
    /// Times a task held the shard for more than [`POLL_MAX`].
    pub stalls: AtomicU64,
    /// Disk operations that were given to the kernel (or to the in-memory disk).
    pub disk_operations: AtomicU64,
    /// Bytes of the shard's buffers that are registered with the kernel: 0 on the portable back, and where the kernel does not
    /// let us (`allotrope doctor` says why).
    pub bytes_registered: AtomicU64,
    /// Rounds of flushes that were one flush of the whole file system.
    pub flushes_whole: AtomicU64,
}

impl ShardCounters {
    /// Tasks that have started and not ended.
    pub fn tasks_live(&self) -> u64 {
        self.tasks_started.load(Relaxed).saturating_sub(self.tasks_ended.load(Relaxed))
    }
}

/// The task ended without a result: it panicked, or its shard stopped first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the task ended without a result")]
pub struct TaskDied;

/// Where a task's result arrives. Dropping it leaves the task running: the shard owns its work.
#[derive(Debug)]
pub struct TaskHandle<T>(pub(crate) Answer<T>);

impl<T> TaskHandle<T> {
    /// Blocks the calling thread, which must be neither a shard nor a tokio worker, until the task has ended.
    pub fn wait(self) -> Result<T, TaskDied> {
        self.0.wait().ok_or(TaskDied)
    }
}

impl<T> Future for TaskHandle<T> {
    type Output = Result<T, TaskDied>;
    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        Pin::new(&mut self.0).poll(cx).map(|answer| answer.ok_or(TaskDied))
    }
}

/// How long the tasks of each class have held their shard, in nanoseconds. Clones share it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Spent(Rc<[Cell<u64>; 3]>);

impl Spent {
    pub(crate) fn of(&self, class: Class) -> u64 {
        self.0[class as usize].get()
    }

    fn add(&self, class: Class, held: Duration) {
        let of = &self.0[class as usize];
        of.set(of.get() + held.as_nanos() as u64);
    }
}

/// The futures of a shard's live tasks. An executor that ends may leave tasks behind that still wait; the shard drops
/// them itself.
#[derive(Clone, Default)]
pub(crate) struct LiveTasks(Rc<RefCell<Slab<Rc<TaskCell>>>>, Spent);

struct TaskCell {
    name: Arc<str>,
    counters: Arc<ShardCounters>,
    /// `None` while it is polled and once it has ended.
    work: RefCell<Option<LocalBoxFuture<'static, ()>>>,
}

impl LiveTasks {
    /// None yet, on the shard of `others`: what they use counts together.
    pub(crate) fn beside(others: &LiveTasks) -> LiveTasks {
        LiveTasks(Rc::default(), others.1.clone())
    }

    /// What the tasks used, by class.
    pub(crate) fn spent(&self) -> &Spent {
        &self.1
    }

    /// Drops every task that has not ended, and those that their destructors start; answers how many there were.
    pub(crate) fn drop_all(&self) -> u64 {
        let mut dropped = 0;
        loop {
            let cells: Vec<_> = self.0.borrow().iter().map(|(_, cell)| cell.clone()).collect();
            let ended = cells.iter().filter(|cell| cell.end()).count();
            if ended == 0 {
                return dropped;
            }
            dropped += ended as u64;
        }
    }
}

impl TaskCell {
    /// Drops the task's future; `false` if it has ended before.
    fn end(&self) -> bool {
        let Some(work) = self.work.borrow_mut().take() else { return false };
        self.finish(work);
        true
    }

    fn finish(&self, work: LocalBoxFuture<'static, ()>) {
        // A destructor may panic as well.
        if let Err(panic) = catch_unwind(AssertUnwindSafe(|| drop(work))) {
            self.log_panic(&*panic);
        }
        self.counters.tasks_ended.fetch_add(1, Relaxed);
    }

    fn log_panic(&self, panic: &(dyn Any + Send)) {
        self.counters.tasks_panicked.fetch_add(1, Relaxed);
        tracing::error!(task = %self.name, panic = panic_text(panic), "a task panicked; the shard goes on");
    }
}

/// A task's future with its name; never panics, ends when the future ends or panics.
pub(crate) struct Watched {
    cell: Rc<TaskCell>,
    live: LiveTasks,
    key: usize,
    class: Class,
    timed: bool,
}

impl Watched {
    pub(crate) fn new(
        name: Arc<str>,
        counters: Arc<ShardCounters>,
        live: &LiveTasks,
        class: Class,
        timed: bool,
        work: LocalBoxFuture<'static, ()>,
    ) -> Watched {
        counters.tasks_started.fetch_add(1, Relaxed);
        let cell = Rc::new(TaskCell { name, counters, work: RefCell::new(Some(work)) });
        let key = live.0.borrow_mut().insert(cell.clone());
        Watched { cell, live: live.clone(), key, class, timed }
    }
}

impl Future for Watched {
    type Output = ();
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let cell = &*self.cell;
        let Some(mut work) = cell.work.borrow_mut().take() else { return Poll::Ready(()) };
        let began = self.timed.then(Instant::now);
        let polled = catch_unwind(AssertUnwindSafe(|| work.as_mut().poll(cx)));
        if let Some(held) = began.map(|at| at.elapsed()) {
            self.live.spent().add(self.class, held);
            if held > POLL_MAX {
                let stalls = cell.counters.stalls.fetch_add(1, Relaxed) + 1;
                // A machine without a core to spare has them all the time: the first are told, and then ever fewer.
                if stalls.is_power_of_two() {
                    let held_ms = held.as_millis() as u64;
                    tracing::warn!(task = %cell.name, held_ms, stalls, "a task held its shard");
                }
            }
        }
        match polled {
            Ok(Poll::Pending) => {
                *cell.work.borrow_mut() = Some(work);
                return Poll::Pending;
            }
            Ok(Poll::Ready(())) => {}
            Err(panic) => cell.log_panic(&*panic),
        }
        cell.finish(work);
        Poll::Ready(())
    }
}

impl Drop for Watched {
    fn drop(&mut self) {
        self.cell.end();
        self.live.0.borrow_mut().remove(self.key);
    }
}

/// The message of a caught panic.
pub(crate) fn panic_text(panic: &(dyn Any + Send)) -> &str {
    if let Some(text) = panic.downcast_ref::<&str>() {
        text
    } else if let Some(text) = panic.downcast_ref::<String>() {
        text
    } else {
        "(no message)"
    }
}
