//! What a pipeline's home shard is asked, and the pipelines whose home a shard is.
//!
//! Law     what is asked is begun in the order in which it arrives, before the next is looked at: the order of a client's
//!         commands is the order of their indexes.

use super::directory::Entry;
use super::frame::Hello;
use super::group::{Answer, Attached, Group, NoResult};
use super::record::Record;
use super::retry::Call;
use crate::commands::Request;
use crate::store::Store;
use allotrope_io::Reply;
use allotrope_types::{DatanodeResult, PipelineId};
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;
use std::sync::Arc;
use tokio::sync::OwnedSemaphorePermit;

/// What may be asked.
pub enum Ask {
    /// A pipeline is taken up.
    Start {
        /// It.
        entry: Arc<Entry>,
        /// What its file says.
        record: Record,
        /// The first index.
        next: u64,
        /// Drawn for this run.
        run: [u8; 16],
        /// That it is.
        reply: Reply<()>,
    },
    /// A client's command, for the leader.
    Submit {
        /// Of which pipeline.
        pipeline: PipelineId,
        /// Whose call it is; SCM's own have none.
        call: Option<Call>,
        /// Calls of the same client whose answers have arrived.
        replied: Vec<u64>,
        /// The command.
        request: Box<Request>,
        /// What it holds of the room for all.
        room: Option<OwnedSemaphorePermit>,
        /// What came of it.
        reply: Reply<Answer>,
    },
    /// Somebody waits until an index is everywhere.
    Watch {
        /// Of which pipeline.
        pipeline: PipelineId,
        /// Which.
        index: u64,
        /// Whether it is; false if the epoch ended before.
        reply: Reply<bool>,
    },
    /// The leader has connected.
    Attach {
        /// What it said.
        hello: Hello,
        /// Its session; `None` if the pipeline is not here.
        reply: Reply<Option<Attached>>,
    },
    /// The leader's connection is gone.
    Detach {
        /// Of which pipeline.
        pipeline: PipelineId,
        /// Which session's.
        session: u64,
    },
    /// The leader is there.
    Heard {
        /// Of which pipeline.
        pipeline: PipelineId,
        /// In which session.
        session: u64,
        /// Every index below was answered to it by all members.
        answered: u64,
    },
    /// The leader's next command.
    Follow {
        /// Of which pipeline.
        pipeline: PipelineId,
        /// In which session.
        session: u64,
        /// Its number.
        index: u64,
        /// Every index below was answered to the leader by all members.
        answered: u64,
        /// The command.
        request: Box<Request>,
        /// What it holds of the room for all.
        room: Option<OwnedSemaphorePermit>,
        /// What came of it here.
        reply: Reply<Result<DatanodeResult, NoResult>>,
    },
    /// Another member has ended the epoch.
    Fail {
        /// Of which pipeline.
        pipeline: PipelineId,
        /// Why.
        why: String,
    },
    /// SCM wants it ended, or wants something that needs its end.
    End {
        /// Which.
        pipeline: PipelineId,
        /// Why.
        why: String,
        /// Whether SCM has closed the pipeline: then it is forgotten here as well.
        closed: bool,
        /// That the end is durable.
        reply: Reply<()>,
    },
}

/// The pipelines whose home a shard is.
#[derive(Default)]
pub struct Homes(RefCell<BTreeMap<PipelineId, Rc<Group>>>);

impl Homes {
    fn get(&self, id: PipelineId) -> Option<Rc<Group>> {
        self.0.borrow().get(&id).cloned()
    }
}

/// Begins what is asked.
pub(crate) fn answer(store: &Rc<Store>, ask: Ask) {
    let homes = &store.pipelines;
    match ask {
        Ask::Start { entry, record, next, run, reply } => {
            let id = entry.plan.id;
            let (shard, node) = (store.shard().clone(), store.node().clone());
            homes.0.borrow_mut().entry(id).or_insert_with(|| {
                node.pipelines.insert(entry.clone());
                Group::start(shard, node.clone(), entry, record, next, run)
            });
            reply.send(());
        }
        Ask::Submit { pipeline, call, replied, request, room, reply } => match homes.get(pipeline) {
            Some(group) => group.submit(call, &replied, *request, room, reply),
            None => reply.send(Answer::Ended),
        },
        Ask::Watch { pipeline, index, reply } => match homes.get(pipeline) {
            Some(group) => group.watch(index, reply),
            None => reply.send(false),
        },
        Ask::Attach { hello, reply } => {
            reply.send(homes.get(hello.pipeline).map(|group| group.attach(&hello)));
        }
        Ask::Detach { pipeline, session } => {
            homes.get(pipeline).into_iter().for_each(|group| group.detach(session));
        }
        Ask::Heard { pipeline, session, answered } => {
            homes.get(pipeline).into_iter().for_each(|group| group.heard(session, answered));
        }
        Ask::Follow { pipeline, session, index, answered, request, room, reply } => match homes.get(pipeline)
        {
            Some(group) => {
                group.heard(session, answered);
                group.follow(session, index, *request, room, reply);
            }
            None => reply.send(Err(NoResult::Ended)),
        },
        Ask::Fail { pipeline, why } => {
            homes.get(pipeline).into_iter().for_each(|group| group.end(&why));
        }
        Ask::End { pipeline, why, closed, reply } => match homes.get(pipeline) {
            Some(group) => end(store, group, &why, closed, reply),
            None => reply.send(()),
        },
    }
}

fn end(store: &Rc<Store>, group: Rc<Group>, why: &str, closed: bool, reply: Reply<()>) {
    if !closed {
        return group.end_for(why, reply);
    }
    let (ended, is_ended) = Reply::new();
    group.end_for(why, ended);
    let store = store.clone();
    drop(store.shard().clone().spawn("pipeline close", async move {
        if is_ended.await.is_some() {
            group.closed_by_scm().await;
            let id = group.id();
            store.node().pipelines.remove(id);
            store.pipelines.0.borrow_mut().remove(&id);
            reply.send(());
        }
    }));
}
