//! The seeded scheduler: any number of shards as tasks of one thread.
//!
//! Shape   a set of tasks, a list of those that can run, one generator that picks the next; when none can run, time
//!         jumps to the next timer.
//! Errors  [`Sim::run`] panics with the seed when nothing can run and the work is not done: a deadlock under test.
//!
//! The same seed and the same program give the same trace, byte for byte.

use super::{SimDisk, SimNetwork, SimTime};
use crate::clock::{Clock, Moment};
use crate::shard::{Exec, Shard};
use crate::shards::{Back, ShardId, Shards, ShardsConfig};
use crate::task::Watched;
use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, Wake, Waker};
use std::time::Duration;

/// What a simulation is made of.
#[derive(Debug, Clone)]
pub struct SimConfig {
    /// Everything that is left to chance follows from this.
    pub seed: u64,
    /// Shards, all on the calling thread.
    pub shards: usize,
    /// Bytes of the buffer pool of each shard.
    pub memory_per_shard: usize,
    /// Keep the whole trace as text, not only its hash.
    pub record: bool,
}

impl SimConfig {
    /// One seed, `shards` shards, 64 MiB of buffers each, no recording.
    pub fn seeded(seed: u64, shards: usize) -> SimConfig {
        SimConfig { seed, shards, memory_per_shard: 64 << 20, record: false }
    }
}

/// Chance that follows from a seed. Clones share one stream.
#[derive(Debug, Clone)]
pub struct SimRng(Arc<Mutex<fastrand::Rng>>);

impl SimRng {
    /// The stream of `seed`.
    pub fn seeded(seed: u64) -> SimRng {
        SimRng(Arc::new(Mutex::new(fastrand::Rng::with_seed(seed))))
    }

    /// A number from 0 up to, not including, `below`; 0 if that is 0.
    pub fn below(&self, below: u64) -> u64 {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).u64(..below.max(1))
    }

    /// True `times` out of `of` times.
    pub fn chance(&self, times: u64, of: u64) -> bool {
        self.below(of) < times
    }
}

/// What happened, in order: a hash of every line, and the lines if they are recorded.
#[derive(Debug)]
pub(crate) struct Trace {
    hash: Cell<u64>,
    text: Option<RefCell<String>>,
    line: RefCell<String>,
}

impl Trace {
    fn new(record: bool) -> Trace {
        let text = record.then(RefCell::default);
        Trace { hash: Cell::new(0xcbf2_9ce4_8422_2325), text, line: RefCell::default() }
    }

    pub(crate) fn note(&self, now: Moment, what: std::fmt::Arguments<'_>) {
        let mut line = self.line.borrow_mut();
        line.clear();
        let _ = writeln!(line, "{:>12} {what}", now.nanos());
        // FNV-1a: small, and the same on every machine.
        let hash =
            line.bytes().fold(self.hash.get(), |h, b| (h ^ u64::from(b)).wrapping_mul(0x100_0000_01b3));
        self.hash.set(hash);
        if let Some(text) = &self.text {
            text.borrow_mut().push_str(&line);
        }
    }
}

struct Task {
    label: Arc<str>,
    work: Pin<Box<dyn Future<Output = ()>>>,
    waker: Waker,
}

type Ready = Arc<Mutex<Vec<u64>>>;

struct TaskWaker {
    id: u64,
    ready: Ready,
}

impl Wake for TaskWaker {
    fn wake(self: Arc<Self>) {
        let mut ready = self.ready.lock().unwrap_or_else(PoisonError::into_inner);
        if !ready.contains(&self.id) {
            ready.push(self.id);
        }
    }
}

struct Core {
    time: Arc<SimTime>,
    rng: SimRng,
    ready: Ready,
    tasks: RefCell<BTreeMap<u64, Task>>,
    next_id: Cell<u64>,
    trace: Trace,
    disk: SimDisk,
    network: SimNetwork,
}

/// The part of a simulation that a shard holds to start its tasks.
#[derive(Clone)]
pub(crate) struct SimExec(Rc<Core>);

impl SimExec {
    pub(crate) fn spawn(&self, label: Arc<str>, work: Watched) {
        self.start(label, Box::pin(work));
    }

    fn start(&self, label: Arc<str>, work: Pin<Box<dyn Future<Output = ()>>>) {
        let id = self.0.next_id.get();
        self.0.next_id.set(id + 1);
        let waker = Waker::from(Arc::new(TaskWaker { id, ready: self.0.ready.clone() }));
        waker.wake_by_ref();
        self.0.tasks.borrow_mut().insert(id, Task { label, work, waker });
    }

    pub(crate) fn start_named(&self, label: &str, work: impl Future<Output = ()> + 'static) {
        self.start(label.into(), Box::pin(work));
    }

    pub(crate) fn disk(&self) -> &SimDisk {
        &self.0.disk
    }

    pub(crate) fn network(&self) -> &SimNetwork {
        &self.0.network
    }

    pub(crate) fn rng(&self) -> &SimRng {
        &self.0.rng
    }

    pub(crate) fn clock(&self) -> Clock {
        Clock::simulated(self.0.time.clone())
    }

    /// Runs one task that can run, picked by the seed. `false` if none can.
    fn step(&self) -> bool {
        let core = &*self.0;
        let id = {
            let mut ready = core.ready.lock().unwrap_or_else(PoisonError::into_inner);
            if ready.is_empty() {
                return false;
            }
            let pick = core.rng.below(ready.len() as u64) as usize;
            ready.swap_remove(pick)
        };
        // The task is out of the map while it runs: it may start others.
        let Some(mut task) = core.tasks.borrow_mut().remove(&id) else { return true };
        core.trace.note(core.time.now(), format_args!("run {id} {}", task.label));
        let mut cx = Context::from_waker(&task.waker);
        if task.work.as_mut().poll(&mut cx).is_pending() {
            core.tasks.borrow_mut().insert(id, task);
        }
        true
    }

    pub(crate) fn note(&self, what: std::fmt::Arguments<'_>) {
        self.0.trace.note(self.0.time.now(), what);
    }

    /// Lets every other task that can run have a turn, and some virtual time pass.
    pub(crate) async fn pause(&self) {
        let by = Duration::from_nanos(1_000 + self.0.rng.below(50_000));
        self.clock().sleep(by).await;
    }
}

/// A simulation: shards, time and disks in one thread.
///
/// ```
/// use allotrope_io::{Sim, SimConfig, ShardId};
/// use std::time::Duration;
/// let sim = Sim::new(SimConfig::seeded(7, 2));
/// let shards = sim.shards();
/// let slept = sim.run(async move {
///     let slept = shards.run_on(ShardId(1), "nap", |shard| async move {
///         shard.clock().sleep(Duration::from_secs(3600)).await;
///         shard.clock().now()
///     });
///     slept.unwrap().await
/// });
/// assert!(slept.unwrap().nanos() >= 3_600_000_000_000);
/// ```
pub struct Sim {
    exec: SimExec,
    shards: Shards,
    seed: u64,
}

impl Sim {
    /// Starts the shards, with an empty disk of 1 TiB; they run when the simulation does.
    pub fn new(config: SimConfig) -> Sim {
        Sim::with_disk(config, SimDisk::new(1 << 40))
    }

    /// As [`new`](Self::new), with a disk that may hold something already.
    pub fn with_disk(config: SimConfig, disk: SimDisk) -> Sim {
        let exec = SimExec(Rc::new(Core {
            time: Arc::default(),
            rng: SimRng::seeded(config.seed),
            ready: Ready::default(),
            tasks: RefCell::default(),
            next_id: Cell::new(0),
            trace: Trace::new(config.record),
            disk,
            network: SimNetwork::default(),
        }));
        let clock = Clock::simulated(exec.0.time.clone());
        let pool = ShardsConfig {
            back: Back::Simulated,
            memory_per_shard: config.memory_per_shard,
            ..ShardsConfig::portable(config.shards)
        };
        let (shards, seats) = Shards::simulated(&pool);
        for seat in seats {
            let id = seat.id;
            let shard = Shard::new(seat.about, Exec::Sim(exec.clone()), clock.clone());
            shard.open_disk().expect("the in-memory disk always opens");
            exec.start(format!("{id} main").into(), Box::pin(crate::shards::serve(shard, seat.inbox)));
        }
        Sim { exec, shards, seed: config.seed }
    }

    /// The simulated shards: the same handle as real ones.
    pub fn shards(&self) -> Shards {
        self.shards.clone()
    }

    /// The disk all shards share.
    pub fn disk(&self) -> SimDisk {
        self.exec.0.disk.clone()
    }

    /// The network all shards share.
    pub fn network(&self) -> SimNetwork {
        self.exec.0.network.clone()
    }

    /// Virtual time.
    pub fn clock(&self) -> Clock {
        self.exec.clock()
    }

    /// The stream of chance that the simulation itself draws from.
    pub fn rng(&self) -> SimRng {
        self.exec.0.rng.clone()
    }

    /// Runs everything until `work` is done and answers its result.
    ///
    /// # Panics
    /// With the seed, if nothing can run any more and `work` is not done.
    pub fn run<T: 'static>(&self, work: impl Future<Output = T> + 'static) -> T {
        let done = Rc::new(RefCell::new(None));
        let put = done.clone();
        self.exec.start(
            "run".into(),
            Box::pin(async move {
                let result = work.await;
                *put.borrow_mut() = Some(result);
            }),
        );
        loop {
            if let Some(result) = done.borrow_mut().take() {
                return result;
            }
            if !self.exec.step() && !self.exec.0.time.advance(Moment::from_nanos(u64::MAX)) {
                panic!("nothing can run and the work is not done; repeat with: ALLOTROPE_SEED={}", self.seed);
            }
        }
    }

    /// Runs until no task can run and no timer is left. Work that sleeps in a loop never gets there.
    pub fn run_until_quiet(&self) {
        while self.exec.step() || self.exec.0.time.advance(Moment::from_nanos(u64::MAX)) {}
    }

    /// Runs for `by` of virtual time.
    pub fn run_for(&self, by: Duration) {
        let end = self.exec.0.time.now() + by;
        while self.exec.step() || self.exec.0.time.advance(end) {}
        self.exec.0.time.reach(end);
    }

    /// A hash of all that happened so far: equal for equal seeds and programs.
    pub fn trace_hash(&self) -> u64 {
        self.exec.0.trace.hash.get()
    }

    /// All that happened so far as text, empty unless [`SimConfig::record`] was set.
    pub fn trace(&self) -> String {
        self.exec.0.trace.text.as_ref().map(|text| text.borrow().clone()).unwrap_or_default()
    }

    /// Adds a line of the test's own to the trace.
    pub fn note(&self, shard: ShardId, what: &str) {
        self.exec.note(format_args!("{shard} {what}"));
    }

    /// Drops every task, as a process that dies does. The shards are gone afterwards; disks stay.
    pub fn kill(&self) {
        // A destructor may start or wake a task: go on until none is left.
        loop {
            let tasks = std::mem::take(&mut *self.exec.0.tasks.borrow_mut());
            if tasks.is_empty() {
                return;
            }
            drop(tasks);
        }
    }
}

impl Drop for Sim {
    fn drop(&mut self) {
        // Tasks hold the core that holds them.
        self.kill();
    }
}

/// Yields to the scheduler once.
pub(crate) async fn yield_once() {
    let mut yielded = false;
    std::future::poll_fn(|cx| {
        if std::mem::replace(&mut yielded, true) {
            return Poll::Ready(());
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
}
