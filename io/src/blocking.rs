//! The pool of threads for calls that block: metadata operations of disks on both backs, reads and writes of the
//! portable back, and work a shard's task hands over.
//!
//! Shape   a bounded queue and threads that start when work waits and end when idle.
//! Errors  [`BlockingError`]: a full queue is answered at once; a panic answers its caller.

use crate::mesh::Reply;
use crate::task::panic_text;
use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// How long a thread without work stays.
const IDLE: Duration = Duration::from_secs(10);

/// Why blocking work gave no result.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BlockingError {
    /// The queue is full; the work was not started.
    #[error("the queue for blocking work is full")]
    Busy,
    /// The work panicked.
    #[error("blocking work panicked: {0}")]
    Panicked(String),
    /// The pool stopped, or no thread could be started.
    #[error("no thread for blocking work: {0}")]
    Stopped(String),
}

type Job = Box<dyn FnOnce() + Send>;

/// The pool. Cheap to clone; all shards of a process share one.
#[derive(Clone)]
pub(crate) struct BlockingPool(Arc<Shared>);

struct Shared {
    name: String,
    threads_max: usize,
    queue_max: usize,
    state: Mutex<State>,
    work: Condvar,
}

#[derive(Default)]
struct State {
    queue: VecDeque<Job>,
    threads: usize,
    idle: usize,
}

impl BlockingPool {
    pub(crate) fn new(name: &str, threads_max: usize, queue_max: usize) -> BlockingPool {
        let (state, work) = Default::default();
        BlockingPool(Arc::new(Shared { name: name.to_owned(), threads_max, queue_max, state, work }))
    }

    /// Runs `work` on a thread of the pool.
    ///
    /// Cancel safety: once queued, the work is done even if nobody waits.
    pub(crate) async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, BlockingError> {
        self.submit(work, self.0.queue_max).await
    }

    /// As [`run`](Self::run) for callers that bound what they have under way themselves: never [`BlockingError::Busy`].
    pub(crate) async fn run_bounded_by_caller<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, BlockingError> {
        self.submit(work, usize::MAX).await
    }

    async fn submit<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
        queue_max: usize,
    ) -> Result<T, BlockingError> {
        let (reply, answer) = Reply::new();
        let job: Job = Box::new(move || {
            let done = catch_unwind(AssertUnwindSafe(work));
            reply.send(done.map_err(|panic| BlockingError::Panicked(panic_text(&*panic).to_owned())));
        });
        self.queue(job, queue_max)?;
        answer.await.unwrap_or_else(|| Err(BlockingError::Stopped("the pool stopped".into())))
    }

    fn queue(&self, job: Job, queue_max: usize) -> Result<(), BlockingError> {
        let mut state = self.0.lock();
        if state.queue.len() >= queue_max {
            return Err(BlockingError::Busy);
        }
        state.queue.push_back(job);
        if state.idle >= state.queue.len() || state.threads >= self.0.threads_max {
            self.0.work.notify_one();
            return Ok(());
        }
        let shared = self.0.clone();
        let thread = std::thread::Builder::new().name(format!("{}-blk", self.0.name));
        match thread.spawn(move || shared.serve()) {
            Ok(_) => state.threads += 1,
            // With a thread at work the job waits for it; without one nobody would ever take it.
            Err(e) if state.threads == 0 => {
                state.queue.pop_back();
                return Err(BlockingError::Stopped(e.to_string()));
            }
            Err(_) => {}
        }
        Ok(())
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn serve(&self) {
        let mut state = self.lock();
        loop {
            if let Some(job) = state.queue.pop_front() {
                drop(state);
                job();
                state = self.lock();
                continue;
            }
            state.idle += 1;
            let (back, timeout) = self.work.wait_timeout(state, IDLE).unwrap_or_else(PoisonError::into_inner);
            state = back;
            state.idle -= 1;
            if timeout.timed_out() && state.queue.is_empty() {
                state.threads -= 1;
                return;
            }
        }
    }
}
