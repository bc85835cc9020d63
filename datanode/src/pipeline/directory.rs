//! The pipelines a datanode is in, as all its threads see them: who leads, how far they are, what SCM is told.
//!
//! Shape   an [`Entry`] has what never changes, and a few numbers that the pipeline's home shard keeps up to date.

use super::plan::Plan;
use super::record::Standing;
use allotrope_proto::edge::heartbeat::{
    ClosePipelineInfo, ClosePipelineReason, PipelineAction, PipelineActions, PipelineReport, PipelineReports,
    PipelineWish,
};
use allotrope_types::PipelineId;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::Semaphore;

/// Ended pipelines that SCM is told of in one heartbeat (`hdds.pipeline.action.max.limit`).
const ACTIONS_MAX: usize = 20;
/// What a page of memory counts in what may be under way, in bytes.
const ROOM_PAGE: usize = 4096;

/// A pipeline this datanode is or was in.
#[derive(Debug)]
pub struct Entry {
    /// What SCM made.
    pub plan: Plan,
    /// This datanode's place in it.
    pub me: usize,
    /// Where it is here, and why it ended.
    state: Mutex<(Standing, String)>,
    /// Whether it takes no new write any more; true before its standing says so.
    ending: AtomicBool,
    /// The highest index below which every command is done on all members.
    committed: AtomicU64,
    /// Whether all members have met.
    ready: AtomicBool,
}

impl Entry {
    /// A pipeline in that standing.
    pub fn new(plan: Plan, me: usize, standing: Standing) -> Entry {
        let ready = plan.members.len() == 1;
        Entry {
            plan,
            me,
            state: Mutex::new((standing, String::new())),
            ending: AtomicBool::new(standing != Standing::Open),
            committed: AtomicU64::new(0),
            ready: AtomicBool::new(ready),
        }
    }

    fn state(&self) -> MutexGuard<'_, (Standing, String)> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether this datanode leads it.
    pub fn leads(&self) -> bool {
        self.plan.leader == self.me
    }

    /// Whether it takes writes here.
    pub fn is_open(&self) -> bool {
        !self.ending.load(Relaxed)
    }

    /// Where it is here: `Ended` only once that is on stable storage.
    pub fn standing(&self) -> Standing {
        self.state().0
    }

    /// The highest index below which every command is done on all members.
    pub fn committed(&self) -> u64 {
        self.committed.load(Relaxed)
    }

    /// Whether all members have met.
    pub fn is_ready(&self) -> bool {
        self.ready.load(Relaxed)
    }

    pub(super) fn set_committed(&self, index: u64) {
        self.committed.fetch_max(index, Relaxed);
    }

    pub(super) fn set_ready(&self) {
        self.ready.store(true, Relaxed);
    }

    /// No new write is taken from now on.
    pub(super) fn set_ending(&self, why: &str) {
        self.ending.store(true, Relaxed);
        self.state().1 = why.to_owned();
    }

    pub(super) fn set_standing(&self, standing: Standing) {
        self.ending.store(true, Relaxed);
        self.state().0 = standing;
    }
}

/// All pipelines of a datanode.
#[derive(Debug)]
pub struct Pipelines {
    entries: Mutex<BTreeMap<PipelineId, Arc<Entry>>>,
    /// What commands may hold that this datanode leads, and that it follows. Apart: a leader's wait for its followers, which
    /// wait for nobody but their disks.
    led: Arc<Semaphore>,
    followed: Arc<Semaphore>,
    pages_max: usize,
}

impl Pipelines {
    /// None, with room for `bytes` under way in each role.
    pub fn new(bytes: usize) -> Pipelines {
        let pages_max = (bytes / ROOM_PAGE).clamp(1, u32::MAX as usize >> 4);
        let room = || Arc::new(Semaphore::new(pages_max));
        Pipelines { entries: Mutex::default(), led: room(), followed: room(), pages_max }
    }

    fn entries(&self) -> MutexGuard<'_, BTreeMap<PipelineId, Arc<Entry>>> {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The pipeline of that id, if this datanode is or was in it.
    pub fn get(&self, id: PipelineId) -> Option<Arc<Entry>> {
        self.entries().get(&id).cloned()
    }

    /// All of them.
    pub fn all(&self) -> Vec<Arc<Entry>> {
        self.entries().values().cloned().collect()
    }

    pub(super) fn insert(&self, entry: Arc<Entry>) {
        self.entries().insert(entry.plan.id, entry);
    }

    pub(super) fn remove(&self, id: PipelineId) {
        self.entries().remove(&id);
    }

    /// Room for a command of `len` bytes; one that is longer than all the room waits for all of it.
    pub(super) async fn room(&self, leads: bool, len: usize) -> Option<tokio::sync::OwnedSemaphorePermit> {
        let pages = len.div_ceil(ROOM_PAGE).clamp(1, self.pages_max);
        let of = if leads { &self.led } else { &self.followed };
        of.clone().acquire_many_owned(u32::try_from(pages).unwrap_or(u32::MAX)).await.ok()
    }

    /// The pipelines that take writes here, as SCM is told.
    pub fn reports(&self) -> PipelineReports {
        let open = self.all().into_iter().filter(|entry| entry.is_open());
        let report = |entry: Arc<Entry>| PipelineReport {
            pipeline: entry.plan.id,
            // A leader that has not met its followers cannot lead yet.
            is_leader: entry.leads() && entry.is_ready(),
            bytes_written: None,
        };
        PipelineReports { pipeline_report: open.map(report).collect() }
    }

    /// The pipelines that have ended here and that SCM has not closed, as SCM is told.
    pub fn actions(&self) -> Option<PipelineActions> {
        let ended = self.all().into_iter().filter(|entry| entry.standing() == Standing::Ended);
        let action = |entry: Arc<Entry>| PipelineAction {
            action: PipelineWish::Close,
            close_pipeline: Some(ClosePipelineInfo {
                pipeline: entry.plan.id,
                reason: Some(ClosePipelineReason::PipelineFailed),
                detailed_reason: Some(entry.state().1.clone()),
            }),
        };
        let pipeline_actions: Vec<_> = ended.map(action).take(ACTIONS_MAX).collect();
        (!pipeline_actions.is_empty()).then_some(PipelineActions { pipeline_actions })
    }
}
