//! The state machine: one match over the changes, each a few lines on tables, mirrored in memory in the same step.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use allotrope_consensus::{Batch, LogTime, Proto, StateMachine, TableError, View};
use allotrope_proto::{hdds, heartbeat};
use allotrope_types::{Bcsid, ByteCount, ContainerEvent, ContainerId, ContainerState, PipelineId};

use super::command::{
    AddContainer, AddDeletions, Answer, Change, Command, Ids, OnPipeline, Outcome, RemoveDeletions, SetDuty,
    SetPipelineState, SetSuppressed, Step, TakeIds, event_of,
};
use super::tables::{CONTAINERS, DELETIONS, FAMILIES, META, PIPELINES, SEQUENCES, duty, sequence, writers};
use crate::cluster::{Cluster, Duty};
use crate::container::Container;
use crate::node::OperationalState;
use crate::pipeline::{Pipeline, PipelineState};
use crate::wire;

/// SCM's state machine: the tables' half of it, with the memory's beside it.
pub struct ScmMachine {
    cluster: Arc<Mutex<Cluster>>,
}

impl ScmMachine {
    /// A machine whose changes show in `cluster`.
    pub fn new(cluster: Arc<Mutex<Cluster>>) -> ScmMachine {
        ScmMachine { cluster }
    }

    fn cluster(&self) -> MutexGuard<'_, Cluster> {
        self.cluster.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn add_container(
        &self,
        batch: &mut Batch<'_>,
        add: AddContainer,
        time: LogTime,
    ) -> Result<Answer, TableError> {
        let pipeline = match add.pipeline.as_ref().map(Pipeline::of_message).transpose() {
            Ok(pipeline) => pipeline,
            Err(why) => return Ok(Answer::refused(why)),
        };
        let mut container = match Container::of_message(&add.container) {
            Ok(container) => container,
            Err(why) => return Ok(Answer::refused(why)),
        };
        // The pipeline may have been closed since the leader looked.
        if pipeline.is_none() {
            let id = container.pipeline;
            let found = id.map(|id| PIPELINES.get(batch, &id)).transpose()?.flatten();
            if found.is_none_or(|found| found.state != Some(PipelineState::Open as i32)) {
                return Ok(Answer::refused("the pipeline of the new container is not open"));
            }
        }
        let ids = take_ids(batch, sequence::CONTAINER, 1, time)?;
        container.id = ContainerId::new(ids.first);
        container.state_entered_ms = time.unix_ms;
        let message = container.to_message();
        CONTAINERS.put(batch, &container.id.as_u64(), &message)?;
        let mut cluster = self.cluster();
        if let Some(pipeline) = pipeline {
            PIPELINES.put(batch, &pipeline.id, &pipeline.to_message(|_| None))?;
            cluster.blocks.put_pipeline(pipeline);
        }
        let id = container.id;
        let pipeline = container.pipeline.and_then(|pipeline| cluster.blocks.pipeline(pipeline));
        let nodes: Vec<_> = pipeline.into_iter().flat_map(|p| p.members.iter().map(|m| m.node)).collect();
        if add.all_acknowledge && !nodes.is_empty() {
            META.put(batch, &writers::key(id), &writers::value(&nodes))?;
            cluster.blocks.set_writers(id, nodes);
        }
        cluster.blocks.put_container(container);
        Ok(Answer { outcome: Some(Outcome::Container(message)) })
    }

    fn step(&self, batch: &mut Batch<'_>, step: Step, time: LogTime) -> Result<Answer, TableError> {
        let Some(event) = event_of(step.event) else {
            return Ok(Answer::refused(format!("{} is no event of a container", step.event)));
        };
        let Ok(id) = ContainerId::try_from(step.container) else {
            return Ok(Answer::refused(format!("{} is no container id", step.container)));
        };
        let Some(mut container) = read_container(batch, id)? else {
            return Ok(Answer::refused(format!("there is no container {id}")));
        };
        let after = match container.state.after(event) {
            Ok(after) => after,
            Err(why) => return Ok(Answer::refused(format!("container {id}: {why}"))),
        };
        if after == container.state {
            return Ok(Answer::done());
        }
        container.state = after;
        container.state_entered_ms = time.unix_ms;
        let bcsid = Bcsid::new(step.bcsid);
        let mut cluster = self.cluster();
        container.sequence = match event {
            // What a writer that is gone had beyond it was never acknowledged.
            ContainerEvent::ForceClose if !cluster.blocks.writers(id).is_empty() => bcsid,
            _ => container.sequence.max(bcsid),
        };
        container.used = ByteCount::new(step.used);
        container.keys = step.keys;
        CONTAINERS.put(batch, &id.as_u64(), &container.to_message())?;
        let settled =
            !matches!(after, ContainerState::Open | ContainerState::Closing | ContainerState::QuasiClosed);
        if settled && !cluster.blocks.writers(id).is_empty() {
            META.delete(batch, &writers::key(id))?;
            cluster.blocks.forget_container(id);
        }
        cluster.blocks.put_container(container);
        cluster.container_changed(id);
        Ok(Answer::done())
    }

    fn set_suppressed(&self, batch: &mut Batch<'_>, set: SetSuppressed) -> Result<Answer, TableError> {
        let id = ContainerId::try_from(set.container).ok();
        let Some(mut container) = id.map(|id| read_container(batch, id)).transpose()?.flatten() else {
            return Ok(Answer::refused(format!("there is no container {}", set.container)));
        };
        container.suppressed = set.suppressed;
        CONTAINERS.put(batch, &container.id.as_u64(), &container.to_message())?;
        let (id, mut cluster) = (container.id, self.cluster());
        cluster.blocks.put_container(container);
        cluster.container_changed(id);
        Ok(Answer::done())
    }

    fn set_duty(&self, batch: &mut Batch<'_>, set: &SetDuty, time: LogTime) -> Result<Answer, TableError> {
        let (Ok(node), Some(state)) = (set.node.parse(), OperationalState::from_wire(set.state)) else {
            return Ok(Answer::refused(format!("{} of {} is no duty of a datanode", set.state, set.node)));
        };
        let duty = Duty { node, state, until_s: set.until_s };
        META.put(batch, &duty::key(node), &duty::value(duty))?;
        self.cluster().duty_set(duty, time.unix_ms);
        Ok(Answer::done())
    }

    fn add_pipeline(&self, batch: &mut Batch<'_>, message: &hdds::Pipeline) -> Result<Answer, TableError> {
        let pipeline = match Pipeline::of_message(message) {
            Ok(pipeline) => pipeline,
            Err(why) => return Ok(Answer::refused(why)),
        };
        PIPELINES.put(batch, &pipeline.id, &pipeline.to_message(|_| None))?;
        self.cluster().blocks.put_pipeline(pipeline);
        Ok(Answer::done())
    }

    fn close_pipeline(
        &self,
        batch: &mut Batch<'_>,
        on: &OnPipeline,
        time: LogTime,
    ) -> Result<Answer, TableError> {
        let (id, mut pipeline) = match read_pipeline(batch, &on.pipeline)? {
            Ok(found) => found,
            Err(refused) => return Ok(refused),
        };
        if pipeline.state == PipelineState::Closed {
            return Ok(Answer::done());
        }
        pipeline.state = PipelineState::Closed;
        PIPELINES.put(batch, &id, &pipeline.to_message(|_| None))?;
        let mut cluster = self.cluster();
        cluster.blocks.put_pipeline(pipeline);
        for container in cluster.blocks.of_pipeline(id) {
            let Some(mut row) = read_container(batch, container)? else { continue };
            if row.state == ContainerState::Open {
                row.state = ContainerState::Closing;
                row.state_entered_ms = time.unix_ms;
                CONTAINERS.put(batch, &container.as_u64(), &row.to_message())?;
                cluster.blocks.put_container(row);
            }
        }
        Ok(Answer::done())
    }

    fn remove_pipeline(&self, batch: &mut Batch<'_>, on: &OnPipeline) -> Result<Answer, TableError> {
        let (id, pipeline) = match read_pipeline(batch, &on.pipeline)? {
            Ok(found) => found,
            Err(_) => return Ok(Answer::done()),
        };
        if pipeline.state != PipelineState::Closed {
            return Ok(Answer::refused(format!("pipeline {id} is not closed")));
        }
        PIPELINES.delete(batch, &id)?;
        self.cluster().blocks.remove_pipeline(id);
        Ok(Answer::done())
    }

    fn set_pipeline_state(
        &self,
        batch: &mut Batch<'_>,
        set: &SetPipelineState,
    ) -> Result<Answer, TableError> {
        let (id, mut pipeline) = match read_pipeline(batch, &set.pipeline)? {
            Ok(found) => found,
            Err(refused) => return Ok(refused),
        };
        use PipelineState::{Allocated, Dormant, Open};
        pipeline.state = match (pipeline.state, set.state) {
            (Allocated | Open | Dormant, number) if number == Open as i32 => Open,
            (Open | Dormant, number) if number == Dormant as i32 => Dormant,
            (state, _) => return Ok(Answer::refused(format!("pipeline {id} is {state:?} and stays so"))),
        };
        PIPELINES.put(batch, &id, &pipeline.to_message(|_| None))?;
        self.cluster().blocks.put_pipeline(pipeline);
        Ok(Answer::done())
    }

    fn add_deletions(
        &self,
        batch: &mut Batch<'_>,
        add: AddDeletions,
        time: LogTime,
    ) -> Result<Answer, TableError> {
        let Some(ids) = take_some(batch, sequence::DELETION, add.transactions.len(), time)? else {
            return Ok(Answer::done());
        };
        for (id, transaction) in (ids.first..=ids.last).zip(add.transactions) {
            let row = heartbeat::DeletedBlocksTransaction { tx_id: id.cast_signed(), ..transaction };
            DELETIONS.put(batch, &id, &row)?;
        }
        Ok(Answer { outcome: Some(Outcome::Ids(ids)) })
    }

    fn remove_deletions(
        &self,
        batch: &mut Batch<'_>,
        remove: &RemoveDeletions,
    ) -> Result<Answer, TableError> {
        for id in &remove.transactions {
            DELETIONS.delete(batch, id)?;
        }
        Ok(Answer::done())
    }
}

/// Takes `count` ids (at least one) off a sequence. The first block ids of a cluster are above every id that a release
/// before sequences gave out: milliseconds since 1970, shifted by 16 bits.
fn take_ids(batch: &mut Batch<'_>, name: &str, count: u64, time: LogTime) -> Result<Ids, TableError> {
    let name = name.to_owned();
    let start = if name == sequence::LOCAL { time.unix_ms.min(u64::MAX >> 17) << 16 } else { 0 };
    let last = SEQUENCES.get(batch, &name)?.unwrap_or(start);
    let ids = Ids { first: last + 1, last: last + count.max(1) };
    SEQUENCES.put(batch, &name, &ids.last)?;
    Ok(ids)
}

fn take_some(
    batch: &mut Batch<'_>,
    name: &str,
    count: usize,
    time: LogTime,
) -> Result<Option<Ids>, TableError> {
    if count == 0 { Ok(None) } else { take_ids(batch, name, count as u64, time).map(Some) }
}

fn read_container(batch: &Batch<'_>, id: ContainerId) -> Result<Option<Container>, TableError> {
    let Some(message) = CONTAINERS.get(batch, &id.as_u64())? else { return Ok(None) };
    Container::of_message(&message).map(Some).map_err(|why| damaged(CONTAINERS.name(), &id, &why))
}

type Found = Result<(PipelineId, Pipeline), Answer>;

fn read_pipeline(batch: &Batch<'_>, id: &hdds::PipelineId) -> Result<Found, TableError> {
    let id = match wire::pipeline_id_of(id) {
        Ok(id) => id,
        Err(why) => return Ok(Err(Answer::refused(why))),
    };
    let Some(message) = PIPELINES.get(batch, &id)? else {
        return Ok(Err(Answer::refused(format!("there is no pipeline {id}"))));
    };
    let pipeline = Pipeline::of_message(&message).map_err(|why| damaged(PIPELINES.name(), &id, &why))?;
    Ok(Ok((id, pipeline)))
}

fn damaged(table: &str, key: &dyn std::fmt::Display, why: &wire::NotOurs) -> TableError {
    let source = allotrope_consensus::CodecError::new("what the message's words say", why.to_string());
    TableError::Damaged { table: table.to_owned(), key: key.to_string(), source }
}

impl StateMachine for ScmMachine {
    type Command = Proto<Command>;
    type Answer = Proto<Answer>;

    fn tables(&self) -> Vec<&'static str> {
        FAMILIES.to_vec()
    }

    fn restored(&mut self, view: &View<'_>) -> Result<(), TableError> {
        let mut cluster = self.cluster();
        cluster.blocks.clear();
        for pair in PIPELINES.all(view)? {
            let (id, message) = pair?;
            let pipeline =
                Pipeline::of_message(&message).map_err(|why| damaged(PIPELINES.name(), &id, &why))?;
            cluster.blocks.put_pipeline(pipeline);
        }
        for pair in CONTAINERS.all(view)? {
            let (id, message) = pair?;
            let container =
                Container::of_message(&message).map_err(|why| damaged(CONTAINERS.name(), &id, &why))?;
            cluster.blocks.put_container(container);
        }
        cluster.nodes.clear_duties();
        for pair in META.all(view)? {
            let (key, value) = pair?;
            if let Some(Duty { node, state, until_s }) = duty::of(&key, &value) {
                cluster.nodes.set_duty(node, state, until_s);
            } else if let Some((container, nodes)) = writers::of(&key, &value) {
                cluster.blocks.set_writers(container, nodes);
            }
        }
        cluster.count_serving();
        Ok(())
    }

    fn apply(
        &mut self,
        batch: &mut Batch<'_>,
        command: Command,
        time: LogTime,
    ) -> Result<Answer, TableError> {
        match command.change {
            Some(Change::AddContainer(add)) => self.add_container(batch, add, time),
            Some(Change::TakeIds(TakeIds { sequence, count })) => {
                let ids = take_ids(batch, &sequence, count.min(1 << 32), time)?;
                Ok(Answer { outcome: Some(Outcome::Ids(ids)) })
            }
            Some(Change::Step(step)) => self.step(batch, step, time),
            Some(Change::AddPipeline(pipeline)) => self.add_pipeline(batch, &pipeline),
            Some(Change::ClosePipeline(on)) => self.close_pipeline(batch, &on, time),
            Some(Change::RemovePipeline(on)) => self.remove_pipeline(batch, &on),
            Some(Change::SetPipelineState(set)) => self.set_pipeline_state(batch, &set),
            Some(Change::SetSuppressed(set)) => self.set_suppressed(batch, set),
            Some(Change::SetDuty(set)) => self.set_duty(batch, &set, time),
            Some(Change::AddDeletions(add)) => self.add_deletions(batch, add, time),
            Some(Change::RemoveDeletions(remove)) => self.remove_deletions(batch, &remove),
            None => Err(TableError::Command {
                source: allotrope_consensus::CodecError::new(
                    "a change of SCM's tables",
                    "a newer version wrote it",
                ),
            }),
        }
    }
}
