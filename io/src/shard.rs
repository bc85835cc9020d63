//! One shard, seen from inside: its tasks, disk, buffers, clock and sockets.
//!
//! Shape   a handle that stays on its thread (`!Send`); cheap to clone.
//! Errors  those of what it hands out.

use crate::back::shares::Background;
use crate::blocking::BlockingError;
use crate::buffer::BufferPool;
use crate::class::Class;
use crate::clock::Clock;
use crate::disk::Disk;
use crate::engine::Engine;
use crate::fs::{Fs, RealFs};
use crate::mesh::Reply;
use crate::ring::RingEngine;
use crate::shards::{About, Back, ShardId, StartError};
use crate::sim::{SimEngine, SimExec};
use crate::sys::Ring;
use crate::task::{LiveTasks, ShardCounters, TaskHandle, Watched};
use crate::timers::ShardTimers;
use std::cell::OnceCell;
use std::fmt;
use std::future::Future;
use std::rc::{Rc, Weak};
use std::sync::Arc;

/// What starts a shard's tasks.
#[derive(Clone)]
pub(crate) enum Exec {
    Uring(Queues),
    Portable(Background),
    Sim(SimExec),
}

/// glommio's queues of the classes behind the foreground, which has the default one.
#[derive(Clone, Copy)]
pub(crate) struct Queues {
    pub(crate) replication: glommio::TaskQueueHandle,
    pub(crate) scrub: glommio::TaskQueueHandle,
}

/// One shard, for the code that runs on it.
#[derive(Clone)]
pub struct Shard(Rc<Inner>);

struct Inner {
    about: About,
    exec: Exec,
    clock: Clock,
    disk: OnceCell<Disk>,
    live: LiveTasks,
}

/// A shard that may be gone.
#[derive(Clone)]
pub(crate) struct WeakShard(Weak<Inner>);

impl WeakShard {
    pub(crate) fn upgrade(&self) -> Option<Shard> {
        self.0.upgrade().map(Shard)
    }
}

impl Shard {
    pub(crate) fn new(about: About, exec: Exec, clock: Clock) -> Shard {
        Shard(Rc::new(Inner { about, exec, clock, disk: OnceCell::new(), live: LiveTasks::default() }))
    }

    /// A shard on the same thread, with the same ring and disk and tasks of its own.
    pub(crate) fn guest(&self, about: About) -> Shard {
        let (exec, clock) = (self.0.exec.clone(), self.0.clock.clone());
        let disk = OnceCell::from(self.disk().clone());
        let live = LiveTasks::beside(&self.0.live);
        Shard(Rc::new(Inner { about, exec, clock, disk, live }))
    }

    pub(crate) fn about(&self) -> &About {
        &self.0.about
    }

    /// Drops every task of this shard that has not ended.
    pub(crate) fn drop_tasks(&self) -> u64 {
        self.0.live.drop_all()
    }

    pub(crate) fn exec(&self) -> &Exec {
        &self.0.exec
    }

    /// Makes the shard's disk; on its own thread, before anything else runs there.
    pub(crate) fn open_disk(&self) -> Result<(), StartError> {
        let about = &self.0.about;
        let engine = match &self.0.exec {
            Exec::Uring(_) => {
                let refused = |e: std::io::Error| StartError::Uring { shard: about.id, why: e.to_string() };
                let mut ring = Ring::new(about.config.disk_depth).map_err(refused)?;
                if about.config.register_buffers {
                    match ring.register(&about.buffers) {
                        Ok(()) => about
                            .counters
                            .bytes_registered
                            .store(about.buffers.bytes_total() as u64, std::sync::atomic::Ordering::Relaxed),
                        Err(e) => {
                            tracing::warn!(shard = about.id.0, error = %e, "the shard's buffers are not registered");
                        }
                    }
                }
                let ring = RingEngine::new(ring, about.counters.clone(), about.blocking.clone());
                let driver = ring.clone();
                let shard = about.id;
                let timers = ShardTimers::new().map_err(refused)?;
                glommio::spawn_local(async move {
                    if let Err(e) = timers.drive().await {
                        tracing::error!(%shard, error = %e, "the shard's timers failed");
                    }
                })
                .detach();
                glommio::spawn_local(async move {
                    if let Err(e) = driver.drive().await {
                        tracing::error!(%shard, error = %e, "the shard's disk ring failed");
                    }
                })
                .detach();
                Engine::Ring(ring)
            }
            Exec::Portable(background) => {
                let driver = background.clone().drive(self.0.live.spent().clone());
                drop(tokio::task::spawn_local(driver));
                Engine::Pool(about.blocking.clone(), about.counters.clone())
            }
            Exec::Sim(exec) => Engine::Memory(SimEngine::new(exec.clone(), about.counters.clone())),
        };
        let fs: Arc<dyn Fs> = match &self.0.exec {
            Exec::Sim(exec) => Arc::new(exec.disk().clone()),
            _ => Arc::new(RealFs),
        };
        let weak = WeakShard(Rc::downgrade(&self.0));
        let (clock, counters) = (self.0.clock.clone(), about.counters.clone());
        self.0.disk.get_or_init(|| Disk::new(engine, fs, about.inodes.clone(), weak, clock, counters));
        Ok(())
    }

    /// Which shard this is.
    pub fn id(&self) -> ShardId {
        self.0.about.id
    }

    /// The shard's name: that of its thread.
    pub fn name(&self) -> &str {
        &self.0.about.name
    }

    /// What runs it.
    pub fn back(&self) -> Back {
        self.0.about.back
    }

    /// Its counters.
    pub fn counters(&self) -> &ShardCounters {
        &self.0.about.counters
    }

    /// Its clock.
    pub fn clock(&self) -> &Clock {
        &self.0.clock
    }

    /// Its buffers.
    pub fn buffers(&self) -> &BufferPool {
        &self.0.about.buffers
    }

    /// Its disk.
    pub fn disk(&self) -> &Disk {
        self.0.disk.get().expect("the disk is made before any task runs")
    }

    /// Starts a task on this shard. A panic in it is logged with `name`, counted, and ends that task alone. The handle may
    /// be dropped: the task goes on.
    pub fn spawn<T: 'static>(&self, name: &str, work: impl Future<Output = T> + 'static) -> TaskHandle<T> {
        self.spawn_in(Class::Foreground, name, work)
    }

    /// As [`spawn`](Self::spawn), for work of `class`. For its reads and writes use [`Disk::for_class`].
    pub fn spawn_in<T: 'static>(
        &self,
        class: Class,
        name: &str,
        work: impl Future<Output = T> + 'static,
    ) -> TaskHandle<T> {
        let (reply, answer) = Reply::new();
        self.spawn_named(class, name.into(), async move { reply.send(work.await) });
        TaskHandle(answer)
    }

    pub(crate) fn spawn_named(&self, class: Class, name: Arc<str>, work: impl Future<Output = ()> + 'static) {
        let timed = !matches!(self.0.exec, Exec::Sim(_));
        let counters = self.0.about.counters.clone();
        let task = Watched::new(name.clone(), counters, &self.0.live, class, timed, Box::pin(work));
        match &self.0.exec {
            Exec::Uring(queues) => {
                let queue = match class {
                    Class::Foreground => None,
                    Class::Replication => Some(queues.replication),
                    Class::Scrub => Some(queues.scrub),
                };
                match queue {
                    None => drop(glommio::spawn_local(task).detach()),
                    Some(queue) => {
                        let spawned = glommio::spawn_local_into(task, queue);
                        drop(spawned.expect("the class's queue lives as long as the shard").detach());
                    }
                }
            }
            Exec::Portable(background) => match class {
                Class::Foreground => drop(tokio::task::spawn_local(task)),
                _ => background.spawn(class, task),
            },
            Exec::Sim(exec) => exec.spawn(format!("{} {name}", self.id()).into(), task),
        }
    }

    /// Runs work that blocks on a thread of the pool all shards share (under simulation: here, after a pause). A panic in
    /// it answers its caller.
    ///
    /// Cancel safety: once queued, the work is done even if nobody waits.
    pub async fn blocking<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, BlockingError> {
        match &self.0.exec {
            Exec::Sim(exec) => {
                exec.pause().await;
                std::panic::catch_unwind(std::panic::AssertUnwindSafe(work))
                    .map_err(|panic| BlockingError::Panicked(crate::task::panic_text(&*panic).to_owned()))
            }
            _ => self.0.about.blocking.run(work).await,
        }
    }

    /// Resolves when the pool was asked to stop: end what loops.
    pub async fn stopping(&self) {
        let mut stop = self.0.about.stop.clone();
        // An error means that the pool's handles are gone, which is a stop as well.
        let _ = stop.wait_for(Option::is_some).await;
    }

    /// Whether the pool was asked to stop.
    pub fn is_stopping(&self) -> bool {
        self.0.about.stop.borrow().is_some()
    }

    /// Lets the shard's other tasks run.
    pub async fn yield_now(&self) {
        match &self.0.exec {
            // The other classes' as well: within its queue a class would go on for glommio's 100 ms. (A shorter turn by
            // glommio's timer is no way out: preempted before it has run anything, 0.12 parks with tasks that could run.)
            Exec::Uring(_) => glommio::executor().yield_task_queue_now().await,
            Exec::Portable(_) => tokio::task::yield_now().await,
            Exec::Sim(_) => crate::sim::yield_once().await,
        }
    }
}

impl fmt::Debug for Shard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Shard({} {})", self.name(), self.back())
    }
}
