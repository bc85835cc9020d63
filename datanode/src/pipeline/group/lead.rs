//! What a leader does with a command: a number, both followers, its own disk, and an answer when all have it.
//!
//! Law     an answer goes out only while the epoch is open here, and only when every member has said the same. Members that
//!         come to different results end the epoch.

use super::{Counted, Group, Phase, RESERVE, State};
use crate::commands::{CommandError, Request, Response};
use crate::pipeline::execute::{self, Verdict};
use crate::pipeline::record;
use crate::pipeline::retry::{Call, Known};
use allotrope_io::Reply;
use allotrope_proto::bulk::weave;
use allotrope_types::DatanodeResult;
use bytes::Bytes;
use std::rc::Rc;
use tokio::sync::OwnedSemaphorePermit;

/// What a client of a leader is answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// Every member has carried it out.
    Done {
        /// Its number.
        index: u64,
        /// A whole ContainerCommandResponseProto.
        response: Bytes,
    },
    /// Every member has refused it.
    Refused {
        /// Its number; 0 if it got none.
        index: u64,
        /// With which result.
        result: DatanodeResult,
        /// And which words.
        why: String,
    },
    /// The epoch has ended; whether the command took effect is not known.
    Ended,
    /// Not yet: ask again.
    NotReady,
}

/// A command that not all members have answered.
pub(super) struct Flight {
    /// What each member came to.
    results: Vec<Option<DatanodeResult>>,
    /// The leader's own answer.
    response: Option<Response>,
    pub(super) replies: Vec<Reply<Answer>>,
    call: Option<Call>,
    /// What the command holds of the room for all.
    _room: Option<OwnedSemaphorePermit>,
}

/// Indexes that are waited for, from which on those that nobody waits for any more are forgotten.
const WATCHED_MAX: usize = 1024;

/// Why a call is not looked at any further.
enum Turned {
    Answer(Answer),
    Waits,
}

impl Group {
    /// Numbers a command and starts it, unless its client asks again.
    pub(in crate::pipeline) fn submit(
        self: &Rc<Self>,
        call: Option<Call>,
        replied: &[u64],
        mut request: Request,
        room: Option<OwnedSemaphorePermit>,
        reply: Reply<Answer>,
    ) {
        let index;
        let turn;
        {
            let mut state = self.state.borrow_mut();
            let mut reply = Some(reply);
            let looked = self.look(&mut state, call, replied, &mut reply);
            let placed = looked.and_then(|()| {
                execute::touches(&request.message).map_err(|CommandError { result, why }| {
                    Turned::Answer(Answer::Refused { index: 0, result, why })
                })
            });
            let (container, touches) = match placed {
                Ok(placed) => placed,
                Err(Turned::Waits) => return,
                Err(Turned::Answer(answer)) => return reply.into_iter().for_each(|r| r.send(answer.clone())),
            };
            index = state.next;
            state.next += 1;
            execute::stamp(&mut request.message, index);
            turn = Group::enter(&mut state, container, touches);
            let results = vec![None; self.entry.plan.members.len()];
            let replies = reply.into_iter().collect();
            state.flights.insert(index, Flight { results, response: None, replies, call, _room: room });
            if let Some(call) = call {
                state.retries.runs(call, index);
            }
        }
        self.reserve();
        for link in &self.links {
            link.push(index, &request, self.shard.clock().now());
        }
        let me = self.entry.me;
        self.spawn_command(turn, request, move |group, response| {
            let result = execute::result_of(&response);
            if let Some(flight) = group.state.borrow_mut().flights.get_mut(&index) {
                flight.response = Some(response);
            }
            group.came(me, index, result);
        });
    }

    /// What is to be done with a call before it gets a number.
    fn look(
        &self,
        state: &mut State,
        call: Option<Call>,
        replied: &[u64],
        reply: &mut Option<Reply<Answer>>,
    ) -> Result<(), Turned> {
        if state.phase != Phase::Open {
            return Err(Turned::Answer(Answer::Ended));
        }
        if let Some(call) = call {
            state.retries.arrived(call.client, replied);
            match state.retries.known(call) {
                Some(Known::Answered(answer)) => return Err(Turned::Answer(answer.clone())),
                Some(Known::Runs(index)) => {
                    let index = *index;
                    if let Some(flight) = state.flights.get_mut(&index) {
                        flight.replies.extend(reply.take());
                    }
                    return Err(Turned::Waits);
                }
                None => {}
            }
        }
        if self.is_alone() && state.next > state.record.reserved {
            return Err(Turned::Answer(Answer::NotReady));
        }
        Ok(())
    }

    /// A pipeline of one outlives a restart; its numbers must not be given twice.
    fn is_alone(&self) -> bool {
        self.entry.plan.members.len() == 1
    }

    /// Reserves more indexes before they run out.
    fn reserve(self: &Rc<Self>) {
        let record = {
            let mut state = self.state.borrow_mut();
            if !self.is_alone() || state.reserving || state.next + RESERVE / 2 < state.record.reserved {
                return;
            }
            state.reserving = true;
            // Counted as a command: an end waits for it, so that its record is the last one written.
            state.running += 1;
            record::Record { reserved: state.record.reserved + RESERVE, ..state.record.clone() }
        };
        let group = self.clone();
        drop(self.shard.spawn("pipeline reserve", async move {
            let _counted = Counted(group.clone());
            let saved = record::save(group.shard.disk(), &group.node.config.metadata_dir, &record).await;
            let mut state = group.state.borrow_mut();
            state.reserving = false;
            match saved {
                Ok(()) => state.record.reserved = record.reserved,
                Err(e) => {
                    let pipeline = group.entry.plan.id;
                    tracing::error!(%pipeline, error = %e, "indexes cannot be reserved")
                }
            }
        }));
    }

    /// A member has come to a result.
    pub(in crate::pipeline) fn came(self: &Rc<Self>, member: usize, index: u64, result: DatanodeResult) {
        let mut trouble = None;
        {
            let mut state = self.state.borrow_mut();
            // Settled long ago, or given up with the epoch.
            let Some(flight) = state.flights.get_mut(&index) else { return };
            flight.results[member] = Some(result);
            // One that differs, or that nobody can go on with, ends it without waiting for the rest.
            let differs = flight.results.iter().flatten().any(|other| *other != result);
            if differs || execute::verdict(result) == Verdict::End {
                let results = flight.results.iter().map(|one| one.map_or("none yet", DatanodeResult::name));
                let results: Vec<&str> = results.collect();
                trouble = Some(format!("command {index} came to {}", results.join(", ")));
            } else if flight.results.iter().all(Option::is_some) {
                self.settle(&mut state, index, result);
            }
        }
        if let Some(why) = trouble {
            self.end(&why);
        }
    }

    /// All members have come to the same result.
    fn settle(&self, state: &mut State, index: u64, result: DatanodeResult) {
        let Some(flight) = state.flights.remove(&index) else { return };
        let response = flight.response.unwrap_or_default();
        let answer = match execute::verdict(result) {
            Verdict::Answer => Answer::Done { index, response: weave(response).join() },
            _ => Answer::Refused { index, result, why: response.message.message.unwrap_or_default() },
        };
        let committed = state.flights.first_key_value().map_or(state.next, |(first, _)| *first) - 1;
        self.entry.set_committed(committed);
        if let Some(call) = flight.call {
            state.retries.answered(call, answer.clone(), self.shard.clock().now());
        }
        flight.replies.into_iter().for_each(|reply| reply.send(answer.clone()));
        while let Some(first) = state.watchers.first_entry().filter(|first| *first.key() <= committed) {
            first.remove().into_iter().for_each(|reply| reply.send(true));
        }
    }

    /// Answers when every command up to `index` is done on all members; false if the epoch ends before.
    pub(in crate::pipeline) fn watch(&self, index: u64, reply: Reply<bool>) {
        let mut state = self.state.borrow_mut();
        if state.phase != Phase::Open {
            return reply.send(false);
        }
        if self.entry.committed() >= index {
            return reply.send(true);
        }
        if state.watchers.len() >= WATCHED_MAX {
            state.watchers.retain(|_, waiting| waiting.iter().any(|one| !one.is_abandoned()));
        }
        let waiting = state.watchers.entry(index).or_default();
        waiting.retain(|one| !one.is_abandoned());
        waiting.push(reply);
    }
}
