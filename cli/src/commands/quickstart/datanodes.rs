//! The datanodes of a quickstart: started, killed and started again.
//!
//! Shape   one slot a datanode, with what runs there or where it listened; datanodes count from 1 for people.
//! Errors  a number that is none, a datanode that is down already or runs already: each said as it is.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use allotrope_datanode::{Running, Seats};
use allotrope_io::{Back, ShardId, Shards, StopReport};
use allotrope_proto::ops::LogLevels;
use allotrope_types::ByteCount;

use super::admin::Request;
use crate::config::Settings;
use crate::roles::{self, DRAIN_MAX, Failure, PagesAt};

/// Buffers of all datanodes together, in bytes.
const BUFFERS_LEN: u64 = 64 << 20;

/// All datanodes of one quickstart.
pub(super) struct Datanodes {
    settings: Settings,
    dir: PathBuf,
    logs: Arc<dyn LogLevels>,
    /// What all of them run on.
    pool: Shards,
    slots: Vec<Slot>,
}

enum Slot {
    Up(Running),
    /// Killed; where it listened.
    Down(At),
}

/// Where a datanode listens.
#[derive(Clone, Copy)]
struct At {
    /// For clients.
    blocks: SocketAddr,
    /// For operators.
    pages: SocketAddr,
    /// For other datanodes.
    copies: SocketAddr,
    /// For writers of pipelines and their members, and for administrators of pipelines.
    pipelines: [SocketAddr; 2],
}

impl At {
    /// On any free ports of this machine.
    const ANY: At = {
        let any = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 0);
        At { blocks: any, pages: any, copies: any, pipelines: [any; 2] }
    };
}

impl Datanodes {
    /// Starts `count` of them, each in its own folders under `dir`.
    pub(super) async fn start(
        settings: &Settings,
        dir: &Path,
        count: usize,
        logs: &Arc<dyn LogLevels>,
    ) -> Result<Datanodes, Failure> {
        let mut wanted = roles::datanode::config(settings)?;
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        wanted.shards = cores.clamp(1, count * wanted.shards.max(1));
        let pool = tokio::task::spawn_blocking(move || allotrope_datanode::pool(&wanted)).await??;
        let (settings, dir, slots) = (settings.clone(), dir.to_owned(), Vec::with_capacity(count));
        let mut all = Datanodes { settings, dir, logs: logs.clone(), pool, slots };
        for number in 1..=count {
            // The first has the ports of the settings, the others any.
            let at = (number > 1).then_some(At::ANY);
            let running = all.start_one(number, count, at).await?;
            all.slots.push(Slot::Up(running));
        }
        Ok(all)
    }

    async fn start_one(&self, number: usize, count: usize, at: Option<At>) -> Result<Running, Failure> {
        let own = self.dir.join(format!("datanode{number}"));
        let mut config = roles::datanode::config(&self.settings)?;
        (config.volumes, config.metadata_dir) = (vec![own.join("disk1")], own.join("meta"));
        config.operators = PagesAt::DATANODE.operators(&self.settings, None, &self.logs)?;
        if let Some(at) = at {
            config.listen = at.blocks;
            config.replication.listen = at.copies;
            [config.pipelines.listen, config.pipelines.admin] = at.pipelines;
            config.operators.listen = config.operators.listen.map(|_| at.pages);
        }
        config.memory_per_shard = ByteCount::new(BUFFERS_LEN / (count * config.shards.max(1)) as u64);
        config.read_cache = ByteCount::new(config.read_cache.as_u64() / count as u64);
        // The pool's shards in turn.
        let first = (number - 1) * config.shards.max(1);
        let on = (first..first + config.shards.max(1)).map(|n| ShardId(n % self.pool.count())).collect();
        config.seats = Some(Seats { pool: self.pool.clone(), on });
        roles::make_folder(&config.metadata_dir)?;
        config.volumes.iter().try_for_each(|volume| roles::make_folder(volume))?;
        // It waits for its shards and its port, on a thread that may block.
        Ok(tokio::task::spawn_blocking(move || allotrope_datanode::start(config)).await??)
    }

    /// Whether every datanode's volumes are open.
    pub(super) fn are_open(&self) -> bool {
        self.slots.iter().all(|slot| matches!(slot, Slot::Up(running) if running.is_open()))
    }

    /// What runs their shards.
    pub(super) fn back(&self) -> Back {
        self.pool.back()
    }

    /// Carries out what a second command asked; the text for people.
    pub(super) async fn carry_out(&mut self, request: Request) -> Result<String, String> {
        match request {
            Request::Kill(number) => self.kill(number).await,
            Request::Start(number) => self.start_again(number).await,
        }
    }

    fn slot(&mut self, number: usize) -> Result<&mut Slot, String> {
        let count = self.slots.len();
        let slot = number.checked_sub(1).and_then(|n| self.slots.get_mut(n));
        slot.ok_or_else(|| format!("there is no datanode {number}\n  try: one of 1 to {count}"))
    }

    async fn kill(&mut self, number: usize) -> Result<String, String> {
        let slot = self.slot(number)?;
        let Slot::Up(running) = slot else {
            return Err(format!("datanode {number} is down\n  try: allotrope quickstart start {number}"));
        };
        let blocks = running.address();
        let pages = running.pages().unwrap_or(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)));
        let copies = running.replication_address();
        let pipelines = [running.pipeline_address(), running.admin_address()];
        let down = Slot::Down(At { blocks, pages, copies, pipelines });
        let Slot::Up(running) = std::mem::replace(slot, down) else { unreachable!("it was up") };
        let report: StopReport = tokio::task::spawn_blocking(|| running.kill())
            .await
            .map_err(|e| format!("datanode {number} could not be killed: {e}"))?;
        let dropped: u64 = report.tasks_dropped.iter().map(|(_, tasks)| tasks).sum();
        match report.stuck.is_empty() {
            true => Ok(format!(
                "datanode {number} ({blocks}) is gone, as by a power cut; {dropped} tasks were dropped"
            )),
            false => Err(format!("datanode {number} has a shard that does not end; its log names the task")),
        }
    }

    async fn start_again(&mut self, number: usize) -> Result<String, String> {
        let count = self.slots.len();
        let Slot::Down(at) = *self.slot(number)? else {
            return Err(format!("datanode {number} runs\n  try: allotrope quickstart kill {number}"));
        };
        let mut started = self.start_one(number, count, Some(at)).await;
        // Nobody asked for the ports of these: somebody else may have got one meanwhile, and SCM learns of others.
        if number > 1 && started.is_err() {
            started = self.start_one(number, count, Some(At::ANY)).await;
        }
        let running =
            started.map_err(|e| format!("datanode {number} does not start: {}", crate::with_causes(&*e)))?;
        let blocks = running.address();
        *self.slot(number)? = Slot::Up(running);
        Ok(format!("datanode {number} ({blocks}) runs again"))
    }

    /// Stops them all, each within [`DRAIN_MAX`].
    pub(super) async fn shutdown(self) -> Result<(), Failure> {
        let Datanodes { slots, pool, .. } = self;
        let running = slots.into_iter().filter_map(|slot| match slot {
            Slot::Up(running) => Some(running),
            Slot::Down(_) => None,
        });
        let stopping: Vec<_> =
            running.map(|running| tokio::task::spawn_blocking(move || running.shutdown(DRAIN_MAX))).collect();
        for stopped in stopping {
            stopped.await?;
        }
        tokio::task::spawn_blocking(move || pool.stop(DRAIN_MAX)).await?;
        Ok(())
    }
}
