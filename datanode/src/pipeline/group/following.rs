//! What a follower does with a command: in the leader's order, once, and the result back.
//!
//! Shape   the leader's connection is a session; a new one takes over where the last one ended. Results are kept until the
//!         leader says that it has them.
//! Law     an index is carried out once and in order; a frame that comes again gets its result again.

use super::{Group, Phase};
use crate::commands::Request;
use crate::pipeline::execute;
use crate::pipeline::frame::{Greeting, Hello};
use allotrope_io::{Moment, Reply};
use allotrope_types::DatanodeResult;
use futures_util::future::select;
use std::collections::BTreeMap;
use std::pin::pin;
use std::rc::Rc;
use std::time::Duration;
use tokio::sync::OwnedSemaphorePermit;

/// How often the leader's silence is looked at.
const LOOK: Duration = Duration::from_millis(500);
/// Longest wait for a connection to the leader that only asks whether it is there.
const PROBE_MAX: Duration = Duration::from_secs(1);

/// Why a frame got no result.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NoResult {
    /// The epoch has ended here.
    Ended,
    /// The session is over, or frames are missing.
    Session,
}

/// What came of a frame.
pub(super) type Followed = Result<DatanodeResult, NoResult>;

/// A session that a leader may use.
pub struct Attached {
    /// What the leader is answered.
    pub greeting: Greeting,
    /// Its number; frames name it.
    pub session: u64,
    /// Results that the leader does not have yet, or that are still to come.
    pub owed: Vec<(u64, allotrope_io::Answer<Followed>)>,
}

enum Known {
    Runs(Vec<Reply<Followed>>),
    Done(DatanodeResult),
}

/// A follower's part of a pipeline's state.
pub(super) struct Following {
    session: u64,
    /// The leader's run, once it has come.
    run: Option<[u8; 16]>,
    /// Whether a session is open.
    attached: bool,
    known: BTreeMap<u64, Known>,
    heard: Moment,
}

impl Following {
    pub(super) fn new(now: Moment) -> Following {
        Following { session: 0, run: None, attached: false, known: BTreeMap::new(), heard: now }
    }

    fn forget_below(&mut self, answered: u64) {
        while let Some(first) = self.known.first_entry()
            && *first.key() < answered
            && matches!(first.get(), Known::Done(_))
        {
            first.remove();
        }
    }
}

impl Group {
    /// A leader has connected.
    pub(in crate::pipeline) fn attach(self: &Rc<Self>, hello: &Hello) -> Attached {
        let refused = |greeting| Attached { greeting, session: 0, owed: Vec::new() };
        let plan = &self.entry.plan;
        if self.state.borrow().phase != Phase::Open {
            return refused(Greeting::Ended);
        }
        if hello.leader != plan.leader().id || hello.follower != self.node.id || self.entry.leads() {
            return refused(Greeting::Mismatch);
        }
        let other_run = self.state.borrow().following.run.is_some_and(|run| run != hello.run);
        if other_run {
            // Its numbers start over: what it has forgotten cannot be told from what is new.
            self.end("the leader was restarted");
            return refused(Greeting::Ended);
        }
        let mut state = self.state.borrow_mut();
        let next = state.next;
        let following = &mut state.following;
        following.run = Some(hello.run);
        following.session += 1;
        following.attached = true;
        following.heard = self.shard.clock().now();
        following.forget_below(hello.answered);
        let owed = following.known.iter_mut().map(|(index, known)| {
            let (reply, answer) = Reply::new();
            match known {
                Known::Done(result) => reply.send(Ok(*result)),
                Known::Runs(replies) => replies.push(reply),
            }
            (*index, answer)
        });
        let owed = owed.collect();
        let session = following.session;
        self.entry.set_ready();
        Attached { greeting: Greeting::Goes(next), session, owed }
    }

    /// A session's connection is gone.
    pub(in crate::pipeline) fn detach(&self, session: u64) {
        let following = &mut self.state.borrow_mut().following;
        if following.session == session {
            following.attached = false;
        }
    }

    /// The leader has said something; it has the results of all indexes below `answered`.
    pub(in crate::pipeline) fn heard(&self, session: u64, answered: u64) {
        let following = &mut self.state.borrow_mut().following;
        if following.session == session {
            following.heard = self.shard.clock().now();
            following.forget_below(answered);
            self.entry.set_committed(answered.saturating_sub(1));
        }
    }

    /// Carries a command of the leader's out, in its order.
    pub(in crate::pipeline) fn follow(
        self: &Rc<Self>,
        session: u64,
        index: u64,
        request: Request,
        room: Option<OwnedSemaphorePermit>,
        reply: Reply<Followed>,
    ) {
        let turn;
        {
            let mut state = self.state.borrow_mut();
            if state.following.session != session {
                return reply.send(Err(NoResult::Session));
            }
            if state.phase != Phase::Open {
                return reply.send(Err(NoResult::Ended));
            }
            if index != state.next {
                return match state.following.known.get_mut(&index) {
                    Some(Known::Done(result)) => reply.send(Ok(*result)),
                    Some(Known::Runs(replies)) => replies.push(reply),
                    // Long answered, or beyond what has come.
                    None => reply.send(Err(NoResult::Session)),
                };
            }
            state.next += 1;
            match execute::touches(&request.message) {
                Ok((container, touches)) => {
                    state.following.known.insert(index, Known::Runs(vec![reply]));
                    turn = Group::enter(&mut state, container, touches);
                }
                Err(e) => {
                    state.following.known.insert(index, Known::Done(e.result));
                    return reply.send(Ok(e.result));
                }
            }
        }
        self.spawn_command(turn, request, move |group, response| {
            drop(room);
            let result = execute::result_of(&response);
            let known = group.state.borrow_mut().following.known.insert(index, Known::Done(result));
            if let Some(Known::Runs(replies)) = known {
                replies.into_iter().for_each(|reply| reply.send(Ok(result)));
            }
        });
    }

    /// Ends the epoch when a leader that has come is away for too long, or is gone for certain.
    pub(super) async fn watch_leader(self: Rc<Self>) {
        let deadline = self.node.config.pipelines.member_deadline;
        loop {
            let sleep = pin!(self.shard.clock().sleep(LOOK.min(deadline / 4)));
            select(sleep, pin!(self.shard.stopping())).await;
            if !self.is_open() || self.shard.is_stopping() {
                return;
            }
            let (met, attached, silent) = {
                let following = &self.state.borrow().following;
                let silent = self.shard.clock().now().since(following.heard);
                (following.run.is_some(), following.attached, silent)
            };
            if !met {
                continue; // SCM gives up a pipeline whose members never meet.
            }
            if silent >= deadline {
                self.end(&format!("nothing was heard from the leader for {silent:?}"));
            } else if !attached && self.leader_is_gone().await {
                self.end("the leader's process is gone");
            }
        }
    }

    /// Whether nobody listens where the leader was: a process that comes back has ended its epochs.
    async fn leader_is_gone(&self) -> bool {
        let Some(address) = self.entry.plan.leader().address else { return false };
        match self.shard.clock().timeout(PROBE_MAX, self.shard.connect(address)).await {
            Ok(Err(e)) => e.source.kind() == std::io::ErrorKind::ConnectionRefused,
            _ => false,
        }
    }
}
