//! A pipeline on its home shard: its numbers, what runs, and its end.
//!
//! Owns    what both roles share; `lead` has what a leader does with a command, `following` what a follower does.
//! Law     open, ending, ended: nothing leads back. While it is ending nothing new runs; when nothing runs any more the end
//!         is written durably; only then is it ended.

mod following;
mod lead;

pub use following::{Attached, NoResult};
pub use lead::Answer;

use super::directory::Entry;
use super::execute;
use super::lanes::{Lanes, Touches, Turn};
use super::link::Link;
use super::record::{self, Record, Standing};
use super::retry::Retries;
use crate::commands::{Request, Response};
use crate::store::{Event, Node};
use allotrope_io::{Reply, Shard};
use allotrope_types::ContainerId;
use following::Following;
use lead::Flight;
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Notify;

/// Indexes that a member who is alone reserves at once: it starts behind them after a restart.
pub(super) const RESERVE: u64 = 1 << 20;
/// How long after a failed write of the record it is tried again.
const SAVE_AGAIN: Duration = Duration::from_secs(1);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Open,
    Ending,
    Ended,
}

/// A pipeline on its home shard.
pub struct Group {
    shard: Shard,
    node: Arc<Node>,
    entry: Arc<Entry>,
    /// What distinguishes this run of a leader from one before its restart.
    run: [u8; 16],
    links: Vec<Rc<Link>>,
    state: RefCell<State>,
    /// Rung when the last command that ran has ended.
    quiet: Notify,
}

struct State {
    phase: Phase,
    record: Record,
    /// The next command's index.
    next: u64,
    /// Whether more indexes are being reserved.
    reserving: bool,
    lanes: Lanes,
    /// Commands that run here.
    running: usize,
    /// A leader's commands that not all members have answered.
    flights: BTreeMap<u64, Flight>,
    retries: Retries<Answer>,
    /// Who waits until an index is everywhere.
    watchers: BTreeMap<u64, Vec<Reply<bool>>>,
    following: Following,
    /// Who waits for the end.
    waiting: Vec<Reply<()>>,
}

impl Group {
    /// Takes a pipeline up on its home shard, as its record says.
    pub(super) fn start(
        shard: Shard,
        node: Arc<Node>,
        entry: Arc<Entry>,
        record: Record,
        next: u64,
        run: [u8; 16],
    ) -> Rc<Group> {
        let others = (0..entry.plan.members.len()).filter(|at| *at != entry.me && entry.leads());
        let links: Vec<Rc<Link>> = others.map(|at| Rc::new(Link::new(at))).collect();
        let following = Following::new(shard.clock().now());
        let state = State {
            phase: Phase::Open,
            record,
            next,
            reserving: false,
            lanes: Lanes::default(),
            running: 0,
            flights: BTreeMap::new(),
            retries: Retries::default(),
            watchers: BTreeMap::new(),
            following,
            waiting: Vec::new(),
        };
        entry.set_committed(next - 1);
        let state = RefCell::new(state);
        let group = Rc::new(Group { shard, node, entry, run, links, state, quiet: Notify::new() });
        for link in &group.links {
            let (group, link) = (group.clone(), link.clone());
            drop(group.shard.clone().spawn("pipeline link", async move { link.run(&group).await }));
        }
        if !group.entry.leads() {
            let watching = group.clone();
            drop(group.shard.spawn("pipeline leader", async move { watching.watch_leader().await }));
        }
        group
    }

    pub(super) fn shard(&self) -> &Shard {
        &self.shard
    }

    pub(super) fn node(&self) -> &Arc<Node> {
        &self.node
    }

    pub(super) fn entry(&self) -> &Entry {
        &self.entry
    }

    pub(super) fn run_id(&self) -> [u8; 16] {
        self.run
    }

    pub(super) fn id(&self) -> allotrope_types::PipelineId {
        self.entry.plan.id
    }

    /// Every index below was answered by all members.
    pub(super) fn answered(&self) -> u64 {
        self.entry.committed() + 1
    }

    pub(super) fn is_open(&self) -> bool {
        self.state.borrow().phase == Phase::Open
    }

    /// All links have met their followers: the leader may lead.
    pub(super) fn met(&self) {
        if self.links.iter().all(|link| link.has_met()) && !self.entry.is_ready() {
            self.entry.set_ready();
            tracing::info!(pipeline = %self.entry.plan.id, "all members of a pipeline have met");
            drop(self.node.events.try_send(Event::Pipelines));
        }
    }

    /// Takes no new writes, lets those under way land, and then writes the end durably.
    pub(super) fn end(self: &Rc<Self>, why: &str) {
        {
            let mut state = self.state.borrow_mut();
            if state.phase != Phase::Open {
                return;
            }
            state.phase = Phase::Ending;
            // Their outcome is not known: the clients write elsewhere.
            for flight in std::mem::take(&mut state.flights).into_values() {
                flight.replies.into_iter().for_each(|reply| reply.send(Answer::Ended));
            }
            let watchers = std::mem::take(&mut state.watchers);
            watchers.into_values().flatten().for_each(|reply| reply.send(false));
        }
        self.entry.set_ending(why);
        self.links.iter().for_each(|link| link.end());
        tracing::warn!(pipeline = %self.entry.plan.id, why, "a pipeline ends here");
        let group = self.clone();
        drop(self.shard.spawn("pipeline end", async move { group.finish().await }));
    }

    async fn finish(self: Rc<Self>) {
        while self.state.borrow().running > 0 {
            self.quiet.notified().await;
        }
        if !self.keep(Standing::Ended).await {
            return;
        }
        let waiting = {
            let mut state = self.state.borrow_mut();
            state.phase = Phase::Ended;
            std::mem::take(&mut state.waiting)
        };
        self.entry.set_standing(Standing::Ended);
        waiting.into_iter().for_each(|reply| reply.send(()));
        drop(self.node.events.try_send(Event::Pipelines));
    }

    /// Writes a standing durably, however long it takes; false if the shard stops before.
    async fn keep(&self, standing: Standing) -> bool {
        loop {
            let mut record = self.state.borrow().record.clone();
            record.standing = standing;
            if record.ended_ms == 0 {
                record.ended_ms = self.shard.clock().wall_ms();
            }
            match record::save(self.shard.disk(), &self.node.config.metadata_dir, &record).await {
                Ok(()) => {
                    self.state.borrow_mut().record = record;
                    return true;
                }
                // Without it nothing of the end may be told: what was not told is not relied on.
                Err(e) => {
                    tracing::error!(pipeline = %self.entry.plan.id, error = %e, "the end of a pipeline cannot be written")
                }
            }
            if self.shard.is_stopping() {
                return false;
            }
            self.shard.clock().sleep(SAVE_AGAIN).await;
        }
    }

    /// Ends it if it has not, and answers once that is durable.
    pub(super) fn end_for(self: &Rc<Self>, why: &str, reply: Reply<()>) {
        self.end(why);
        let mut state = self.state.borrow_mut();
        match state.phase {
            Phase::Ended => reply.send(()),
            _ => state.waiting.push(reply),
        }
    }

    /// SCM has closed the pipeline: it need not be told any more.
    pub(super) async fn closed_by_scm(&self) {
        if self.keep(Standing::Closed).await {
            self.entry.set_standing(Standing::Closed);
        }
    }

    /// A command's place in the order, counted as running.
    fn enter(state: &mut State, container: ContainerId, touches: Touches) -> Turn {
        state.running += 1;
        state.lanes.enter(container, touches)
    }

    /// Carries a command out when its turn comes, and hands what came of it to `then`.
    fn spawn_command(
        self: &Rc<Self>,
        mut turn: Turn,
        request: Request,
        then: impl FnOnce(&Rc<Group>, Response) + 'static,
    ) {
        let group = self.clone();
        drop(self.shard.spawn("pipeline command", async move {
            // A panic in here must not leave the count too high for ever: the end would never come.
            let _counted = Counted(group.clone());
            turn.come().await;
            let response = execute::carry_out(&group.shard, &group.node, request).await;
            drop(turn);
            then(&group, response);
        }));
    }
}

/// A command that runs.
struct Counted(Rc<Group>);

impl Drop for Counted {
    fn drop(&mut self) {
        let mut state = self.0.state.borrow_mut();
        state.running -= 1;
        if state.running == 0 {
            self.0.quiet.notify_one();
        }
    }
}
