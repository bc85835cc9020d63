//! The pool of shards: one thread a core, each with its own executor, ring, buffers and disk.
//!
//! Shape   [`Shards`] is the handle any thread may hold; [`Shard`](crate::Shard) is the same seen from inside one.
//! Units   [`ShardId`]s run from 0 up to the number of shards; memory in bytes.
//! Errors  [`StartError`] when a back cannot start; [`AskError::Busy`] when a shard has too many starts queued.
//! Source  DESIGN.md, 'Threads'.

use crate::back::pulse::Pulse;
use crate::blocking::BlockingPool;
use crate::buffer::BufferPool;
use crate::class::Class;
use crate::clock::{Clock, Moment};
use crate::inode::Inodes;
use crate::mesh::{AskError, Reply};
use crate::probe::UringFinding;
use crate::shard::{Exec, Shard};
use crate::task::{ShardCounters, TaskHandle};
use std::fmt;
use std::future::Future;
use std::io;
use std::sync::mpsc::RecvTimeoutError;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::{mpsc, watch};

/// Which shard.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ShardId(pub usize);

impl fmt::Display for ShardId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "shard {}", self.0)
    }
}

/// What runs the shards.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Back {
    /// glommio, and a ring of our own for the disks.
    Uring,
    /// tokio, one current-thread runtime a shard; disks on a pool of blocking threads.
    Portable,
    /// One thread, virtual time, disks in memory.
    Simulated,
}

impl fmt::Display for Back {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Back::Uring => "uring",
            Back::Portable => "portable",
            Back::Simulated => "simulated",
        })
    }
}

impl Back {
    /// The back for this machine: io_uring where the probe finds it usable. Who starts shards on it and nothing else finds out
    /// when that is no longer so; [`Probe`](crate::Probe) says why.
    pub fn of_this_machine() -> Back {
        Back::for_uring(&UringFinding::look())
    }

    pub(crate) fn for_uring(found: &UringFinding) -> Back {
        match found {
            UringFinding::Usable => Back::Uring,
            _ => Back::Portable,
        }
    }
}

/// How to start the shards.
#[derive(Clone, Debug)]
pub struct ShardsConfig {
    /// The back: [`Back::Uring`] or [`Back::Portable`].
    pub back: Back,
    /// How many shards; at least 1.
    pub shards: usize,
    /// Pin shard `n` to core `n`, where the machine has that core and the process may use it.
    pub pin: bool,
    /// Threads are named `{name}-{shard}`.
    pub name: String,
    /// Bytes of each shard's buffer pool.
    pub memory_per_shard: usize,
    /// The longest single buffer, in bytes (rounded up to a power of two).
    pub buffer_max: usize,
    /// Disk operations one shard may have in the kernel at once; more wait their turn.
    pub disk_depth: usize,
    /// Register the buffer pools with the kernel where it allows that.
    pub register_buffers: bool,
    /// Threads for blocking work, for all shards together.
    pub blocking_threads_max: usize,
}

impl ShardsConfig {
    /// `shards` shards on io_uring: pinned, 128 MiB of buffers each of at most 4 MiB, 256 operations deep.
    pub fn uring(shards: usize) -> ShardsConfig {
        ShardsConfig {
            back: Back::Uring,
            shards,
            pin: true,
            name: "shard".into(),
            memory_per_shard: 128 << 20,
            buffer_max: 4 << 20,
            disk_depth: 256,
            register_buffers: true,
            blocking_threads_max: 16.max(shards * 8),
        }
    }

    /// The same on the portable back.
    pub fn portable(shards: usize) -> ShardsConfig {
        ShardsConfig { back: Back::Portable, ..ShardsConfig::uring(shards) }
    }
}

/// Why the shards did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The configuration makes no sense.
    #[error("{0}")]
    Config(String),
    /// io_uring is refused or lacks what we need: start on the portable back, or see `allotrope doctor`.
    #[error("the uring back cannot start on {shard}: {why}")]
    Uring {
        /// The first shard that failed.
        shard: ShardId,
        /// What the kernel or glommio said.
        why: String,
    },
    /// A thread or a tokio runtime could not be made.
    #[error("cannot start {shard}")]
    Thread {
        /// The first shard that failed.
        shard: ShardId,
        /// The cause.
        source: io::Error,
    },
}

/// What was left when the shards stopped.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct StopReport {
    /// Tasks that had not ended at the deadline and were dropped, by shard.
    pub tasks_dropped: Vec<(ShardId, u64)>,
    /// Shards whose thread did not come back: a task holds it.
    pub stuck: Vec<ShardId>,
}

impl StopReport {
    /// Whether every task ended by itself.
    pub fn is_clean(&self) -> bool {
        self.tasks_dropped.is_empty() && self.stuck.is_empty()
    }
}

type Start = Box<dyn FnOnce(&Shard) + Send>;

/// How many starts may wait at one shard.
const STARTS_MAX: usize = 4096;

/// What a shard and the pool know of each other.
#[derive(Clone)]
pub(crate) struct About {
    pub(crate) id: ShardId,
    pub(crate) name: Arc<str>,
    pub(crate) back: Back,
    pub(crate) counters: Arc<ShardCounters>,
    pub(crate) buffers: BufferPool,
    pub(crate) blocking: BlockingPool,
    pub(crate) stop: watch::Receiver<Option<Moment>>,
    pub(crate) config: Arc<ShardsConfig>,
    pub(crate) inodes: Arc<Inodes>,
}

/// One shard before it runs.
pub(crate) struct Seat {
    pub(crate) id: ShardId,
    pub(crate) about: About,
    pub(crate) inbox: mpsc::Receiver<Start>,
}

/// The handle of a pool of shards. Cheap to clone, usable from any thread; several datanodes may share one pool.
///
/// The pool stops when [`stop`](Self::stop) is called or the last handle is dropped.
#[derive(Clone)]
pub struct Shards(Arc<Inner>);

struct Inner {
    config: ShardsConfig,
    to: Vec<mpsc::Sender<Start>>,
    about: Vec<About>,
    stop: watch::Sender<Option<Moment>>,
    below: Below,
}

/// What a pool's shards run on.
enum Below {
    /// Threads of its own.
    Threads(Mutex<Vec<std::thread::JoinHandle<()>>>),
    /// Shards of another pool, which lives at least as long as this one: which, in order, and how their ends are heard of.
    Host(Shards, Vec<ShardId>, Mutex<Ends>),
}

/// Hears of each guest shard's end. A guest that its host drops hangs up.
type Ends = std::sync::mpsc::Receiver<ShardId>;

impl Shards {
    /// Starts the shards of `config` and returns when all of them run.
    pub fn start(config: ShardsConfig) -> Result<Shards, StartError> {
        if config.shards == 0 {
            return Err(StartError::Config("the number of shards is 0; give at least 1".into()));
        }
        let blocking = BlockingPool::new(&config.name, config.blocking_threads_max.max(1), 65_536);
        let (shards, seats) =
            Shards::seats(&config, blocking, Arc::default(), Below::Threads(Mutex::default()));
        let mut threads = Vec::new();
        let mut pulses = Vec::new();
        for seat in seats {
            let thread = match config.back {
                Back::Uring => {
                    let pulse = Arc::<Pulse>::default();
                    pulses.push(Arc::downgrade(&pulse));
                    crate::back::uring::start(seat, pulse)
                }
                Back::Portable => crate::back::portable::start(seat),
                Back::Simulated => Err(StartError::Config("simulated shards start with Sim::new".into())),
            };
            // On failure the handle is dropped here, and with it the shards that already run.
            threads.push(thread?);
        }
        if !pulses.is_empty() {
            crate::back::pulse::start(&config.name, pulses)
                .map_err(|source| StartError::Thread { shard: ShardId(0), source })?;
        }
        if let Below::Threads(of) = &shards.0.below {
            *of.lock().unwrap_or_else(PoisonError::into_inner) = threads;
        }
        Ok(shards)
    }

    /// A pool of guests, one on each of the shards `on` of this one: own tasks, own end and `memory_per_shard` bytes of own buffers
    /// (which are not registered with the kernel); threads, rings, disks and classes of work are the host's, whose end is also
    /// that of its guests. Several datanodes of one process share the cores so.
    ///
    /// Fails as [`run_on`](Self::run_on) does; guests that had started then end.
    ///
    /// # Panics
    /// If `on` is empty or names a shard that is not there.
    pub fn share(&self, name: &str, on: &[ShardId], memory_per_shard: usize) -> Result<Shards, AskError> {
        assert!(!on.is_empty(), "a pool has at least one shard");
        let (shards, name_of) = (on.len(), name.to_owned());
        let config = ShardsConfig { shards, name: name_of, memory_per_shard, ..self.0.config.clone() };
        let (ended, ends) = std::sync::mpsc::channel();
        let first = &self.0.about[0];
        let below = Below::Host(self.clone(), on.to_vec(), Mutex::new(ends));
        let (shards, seats) = Shards::seats(&config, first.blocking.clone(), first.inodes.clone(), below);
        for (seat, host) in seats.into_iter().zip(on) {
            let ended = ended.clone();
            drop(self.run_on(*host, name, move |host| async move {
                let guest = GuestTasks(host.guest(seat.about));
                serve(guest.0.clone(), seat.inbox).await;
                // Nobody listens when the last handle is gone.
                let _ = ended.send(seat.id);
            })?);
        }
        Ok(shards)
    }

    /// Shards of one thread in virtual time.
    pub(crate) fn simulated(config: &ShardsConfig) -> (Shards, Vec<Seat>) {
        let blocking = BlockingPool::new(&config.name, config.blocking_threads_max.max(1), 65_536);
        Shards::seats(config, blocking, Arc::default(), Below::Threads(Mutex::default()))
    }

    fn seats(
        config: &ShardsConfig,
        blocking: BlockingPool,
        inodes: Arc<Inodes>,
        below: Below,
    ) -> (Shards, Vec<Seat>) {
        let (stop, stopping) = watch::channel(None);
        let (config, back) = (Arc::new(config.clone()), config.back);
        let (to, seats): (Vec<_>, Vec<_>) = (0..config.shards)
            .map(|n| {
                let (send, inbox) = mpsc::channel(STARTS_MAX);
                let about = About {
                    id: ShardId(n),
                    name: format!("{}-{n}", config.name).into(),
                    back,
                    counters: Arc::default(),
                    buffers: BufferPool::new(config.memory_per_shard, config.buffer_max),
                    blocking: blocking.clone(),
                    stop: stopping.clone(),
                    config: config.clone(),
                    inodes: inodes.clone(),
                };
                (send, Seat { id: ShardId(n), about, inbox })
            })
            .unzip();
        let about = seats.iter().map(|seat| seat.about.clone()).collect();
        (Shards(Arc::new(Inner { config: config.as_ref().clone(), to, about, stop, below })), seats)
    }

    /// How many shards there are.
    pub fn count(&self) -> usize {
        self.0.to.len()
    }

    /// All ids, in order.
    pub fn ids(&self) -> impl Iterator<Item = ShardId> + use<> {
        (0..self.count()).map(ShardId)
    }

    /// What runs them.
    pub fn back(&self) -> Back {
        self.0.config.back
    }

    /// The counters of one shard.
    pub fn counters(&self, shard: ShardId) -> &ShardCounters {
        &self.0.about[shard.0].counters
    }

    /// The counters of one shard's disk: those of the host's shard where this pool is a guest.
    pub fn disk_counters(&self, shard: ShardId) -> &ShardCounters {
        match &self.0.below {
            Below::Threads(_) => self.counters(shard),
            Below::Host(host, on, _) => host.disk_counters(on[shard.0]),
        }
    }

    /// The buffer pool of one shard.
    pub fn buffers(&self, shard: ShardId) -> &BufferPool {
        &self.0.about[shard.0].buffers
    }

    /// Starts a task on `shard`: `make` crosses to it and builds the future there, which therefore need not be
    /// `Send`. The handle may be awaited anywhere or dropped; the task goes on either way.
    pub fn run_on<T, F>(
        &self,
        shard: ShardId,
        name: &str,
        make: impl FnOnce(Shard) -> F + Send + 'static,
    ) -> Result<TaskHandle<T>, AskError>
    where
        T: Send + 'static,
        F: Future<Output = T> + 'static,
    {
        let name: Arc<str> = name.into();
        let (reply, answer) = Reply::new();
        let start: Start = Box::new(move |shard| {
            // `make` runs inside the task, so that a panic in it is caught as well.
            let inner = shard.clone();
            shard.spawn_named(Class::Foreground, name, async move { reply.send(make(inner).await) });
        });
        self.0.to[shard.0].try_send(start).map_err(|refused| match refused {
            mpsc::error::TrySendError::Full(_) => AskError::Busy,
            mpsc::error::TrySendError::Closed(_) => AskError::Gone,
        })?;
        Ok(TaskHandle(answer))
    }

    /// Asks every shard to end: [`Shard::stopping`](crate::Shard::stopping) resolves, no task starts from outside any
    /// more, and what has not ended after `within` is dropped. Blocks the calling thread, which must not be a shard.
    pub fn stop(&self, within: Duration) -> StopReport {
        let clock = Clock::tokio();
        let deadline = clock.now() + within;
        self.0.stop.send_replace(Some(deadline));
        // What a shard does after the deadline is drop its tasks and wait for the disk's last answers.
        let last = deadline + Duration::from_secs(5);
        let stuck = match &self.0.below {
            Below::Threads(threads) => join(
                std::mem::take(&mut *threads.lock().unwrap_or_else(PoisonError::into_inner)),
                &clock,
                last,
            ),
            Below::Host(.., ends) => {
                let ends = ends.lock().unwrap_or_else(PoisonError::into_inner);
                until_ended(&ends, self.count(), &clock, last)
            }
        };
        let mut report = StopReport { stuck, ..StopReport::default() };
        for about in &self.0.about {
            let dropped = about.counters.tasks_dropped.load(std::sync::atomic::Ordering::Relaxed);
            if dropped > 0 {
                report.tasks_dropped.push((about.id, dropped));
            }
        }
        report
    }
}

/// A guest whose tasks are dropped with it: a host that ends drops its own tasks, and this is in one of them.
struct GuestTasks(Shard);

impl Drop for GuestTasks {
    fn drop(&mut self) {
        self.0.drop_tasks();
    }
}

/// Waits for the threads until `last`; those that did not come back, or died.
fn join(threads: Vec<std::thread::JoinHandle<()>>, clock: &Clock, last: Moment) -> Vec<ShardId> {
    let mut stuck = Vec::new();
    for (n, thread) in threads.into_iter().enumerate() {
        while !thread.is_finished() && clock.now() < last {
            std::thread::sleep(Duration::from_micros(200));
        }
        if !thread.is_finished() {
            stuck.push(ShardId(n));
        } else if thread.join().is_err() {
            tracing::error!(shard = n, "a shard's thread panicked");
            stuck.push(ShardId(n));
        }
    }
    stuck
}

/// Waits for the ends of `count` guests until `last`; those that did not end.
fn until_ended(ends: &Ends, count: usize, clock: &Clock, last: Moment) -> Vec<ShardId> {
    let mut left: Vec<ShardId> = (0..count).map(ShardId).collect();
    while !left.is_empty() {
        match ends.recv_timeout(last.since(clock.now())) {
            Ok(ended) => left.retain(|id| *id != ended),
            Err(RecvTimeoutError::Timeout) => return left,
            // The host has dropped those that are left, or they were dropped by a stop before this one.
            Err(RecvTimeoutError::Disconnected) => return Vec::new(),
        }
    }
    left
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.stop.send_if_modified(|stop| {
            let first = stop.is_none();
            if first {
                *stop = Some(Moment::from_nanos(0));
            }
            first
        });
    }
}

impl fmt::Debug for Shards {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Shards({} x {})", self.count(), self.back())
    }
}

/// The main task of a shard: starts what the pool sends until asked to stop, then waits for its tasks to end.
pub(crate) async fn serve(shard: Shard, mut inbox: mpsc::Receiver<Start>) {
    let mut stop = shard.about().stop.clone();
    let deadline = loop {
        tokio::select! {
            biased;
            stopped = stop.wait_for(Option::is_some) => {
                break stopped.map_or(None, |at| *at).unwrap_or(Moment::from_nanos(0));
            }
            start = inbox.recv() => match start {
                Some(start) => start(&shard),
                None => break Moment::from_nanos(0),
            },
        }
    };
    inbox.close();
    // What was accepted before the stop still runs.
    while let Ok(start) = inbox.try_recv() {
        start(&shard);
    }
    let counters = shard.about().counters.clone();
    while counters.tasks_live() > 0 && shard.clock().now() < deadline {
        shard.clock().sleep(Duration::from_micros(500)).await;
    }
    counters.tasks_dropped.store(shard.drop_tasks(), std::sync::atomic::Ordering::Relaxed);
}

/// Reports a shard's start to the thread that waits for it.
pub(crate) type Started = std::sync::mpsc::SyncSender<Result<(), StartError>>;

/// Builds the shard on its own thread and serves it to its end.
pub(crate) async fn run(seat: Seat, exec: Exec, clock: Clock, started: Started) {
    let shard = Shard::new(seat.about, exec, clock);
    match shard.open_disk() {
        Ok(()) => {
            let _ = started.send(Ok(()));
            serve(shard, seat.inbox).await;
        }
        Err(e) => {
            let _ = started.send(Err(e));
        }
    }
}
