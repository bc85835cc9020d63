//! What datanodes report, from messages to values.
//!
//! Law     an entry that is malformed is refused by name, logged and counted; what stands beside it in the same report is
//!         believed. A heartbeat that were refused as a whole would make a node look dead for one wrong figure.
//! Cost    entries are moved out of their messages, before SCM's lock is taken; nothing is copied.

use std::collections::BTreeMap;

use allotrope_proto::WireError;
use allotrope_proto::edge::heartbeat::{CommandKind, CommandStatus};
use allotrope_proto::heartbeat as hb;
use allotrope_types::DatanodeId;

use crate::cluster::Report;
use crate::container::report::Entries;
use crate::node::{OperationalState, Usage};

/// Reads the parts of one call of one datanode.
pub(super) struct Reader {
    node: DatanodeId,
    /// Entries that were refused.
    pub(super) dropped: usize,
}

impl Reader {
    pub(super) fn of(node: DatanodeId) -> Reader {
        Reader { node, dropped: 0 }
    }

    fn refuse(&mut self, why: &WireError) {
        let error = why as &dyn std::error::Error;
        tracing::warn!(node = %self.node, error, "a part of a datanode's report is refused");
        self.dropped += 1;
    }

    /// A part that is believed as a whole or not at all.
    pub(super) fn part<W, T: TryFrom<W, Error = WireError>>(&mut self, wire: Option<W>) -> Option<T> {
        T::try_from(wire?).inspect_err(|why| self.refuse(why)).ok()
    }

    /// A list whose entries stand each by itself.
    pub(super) fn each<W, T: TryFrom<W, Error = WireError>>(&mut self, wire: Vec<W>) -> Vec<T> {
        wire.into_iter().filter_map(|entry| self.part(Some(entry))).collect()
    }

    /// How commands went.
    pub(super) fn statuses(&mut self, reports: Vec<hb::CommandStatusReportsProto>) -> Vec<CommandStatus> {
        reports.into_iter().flat_map(|report| self.each(report.cmd_status)).collect()
    }

    /// The operational state that a node keeps; `None` if it says one that nobody here knows, which is not taken for another.
    pub(super) fn kept(&mut self, state: Option<i32>) -> Option<OperationalState> {
        let Some(value) = state else { return Some(OperationalState::default()) };
        let kept = OperationalState::from_wire(value);
        if kept.is_none() {
            let (message, field) = ("DatanodeDetailsProto", "persistedOpState");
            self.refuse(&WireError::UnknownEnum { message, field, value });
        }
        kept
    }

    /// How many commands of each kind a node has queued: two lists that run in step. A kind that only a newer datanode knows
    /// says nothing to anybody here.
    fn queued(&mut self, report: hb::CommandQueueReportProto) -> Option<BTreeMap<CommandKind, u32>> {
        let hb::CommandQueueReportProto { command, count } = report;
        let (message, field) = ("CommandQueueReportProto", "command");
        if command.len() != count.len() {
            let why = format!("has {} entries for {} counts", command.len(), count.len());
            self.refuse(&WireError::Invalid { message, field, why });
            return None;
        }
        let mut queued = BTreeMap::new();
        for (value, count) in command.into_iter().zip(count) {
            match CommandKind::try_from(value) {
                Ok(kind) => {
                    queued.insert(kind, count);
                }
                Err(_) => self.refuse(&WireError::UnknownEnum { message, field, value }),
            }
        }
        Some(queued)
    }

    /// What a heartbeat says of the node's contents.
    pub(super) fn report(&mut self, heartbeat: Contents) -> Report {
        let Contents { node, full, incremental, actions, pipelines, pipeline_actions, queued } = heartbeat;
        Report {
            node: self.part(node).map(Usage::of),
            full: full.map(|full| Entries::read(self.node, full.reports)),
            incremental: incremental.into_iter().map(|one| Entries::read(self.node, one.report)).collect(),
            actions: self.each(actions.unwrap_or_default().container_actions),
            pipelines: self.each(pipelines.unwrap_or_default().pipeline_report),
            pipeline_actions: self.each(pipeline_actions.unwrap_or_default().pipeline_actions),
            queued: queued.and_then(|queued| self.queued(queued)),
        }
    }
}

/// The parts of a heartbeat that a [`Report`] is made of.
pub(super) struct Contents {
    pub(super) node: Option<hb::NodeReportProto>,
    pub(super) full: Option<hb::ContainerReportsProto>,
    pub(super) incremental: Vec<hb::IncrementalContainerReportProto>,
    pub(super) actions: Option<hb::ContainerActionsProto>,
    pub(super) pipelines: Option<hb::PipelineReportsProto>,
    pub(super) pipeline_actions: Option<hb::PipelineActionsProto>,
    pub(super) queued: Option<hb::CommandQueueReportProto>,
}

#[cfg(test)]
mod tests {
    use super::*;
    use allotrope_proto::hdds::PipelineId as WirePipelineId;
    use allotrope_types::{ContainerId, PipelineId};

    fn nothing() -> Contents {
        Contents {
            node: None,
            full: None,
            incremental: Vec::new(),
            actions: None,
            pipelines: None,
            pipeline_actions: None,
            queued: None,
        }
    }

    fn reader() -> Reader {
        Reader::of(DatanodeId::from_bytes([1; 16]))
    }

    #[test]
    fn what_is_malformed_is_refused_and_what_stands_beside_it_believed() {
        let action = |container_id| hb::ContainerAction {
            container_id,
            action: hb::container_action::Action::Close.into(),
            reason: None,
        };
        let pipeline = |id: Option<&str>| hb::PipelineReport {
            pipeline_id: WirePipelineId { id: id.map(str::to_owned), uuid128: None },
            is_leader: true,
            bytes_written: None,
        };
        let disk = hb::StorageReportProto { storage_type: Some(99), ..Default::default() };
        let id = PipelineId::from_bytes([7; 16]);
        let contents = Contents {
            node: Some(hb::NodeReportProto { storage_report: vec![disk], ..Default::default() }),
            actions: Some(hb::ContainerActionsProto { container_actions: vec![action(-1), action(2)] }),
            pipelines: Some(hb::PipelineReportsProto {
                pipeline_report: vec![pipeline(None), pipeline(Some("x")), pipeline(Some(&id.to_string()))],
            }),
            ..nothing()
        };
        let mut reader = reader();
        let report = reader.report(contents);
        assert_eq!(report.node, None, "a disk of an unknown kind has no figures");
        assert_eq!(
            report.actions.iter().map(|one| one.container_id).collect::<Vec<_>>(),
            [ContainerId::new(2)]
        );
        assert_eq!(report.pipelines.iter().map(|one| one.pipeline).collect::<Vec<_>>(), [id]);
        assert_eq!(reader.dropped, 4);
    }

    #[test]
    fn the_two_lists_of_a_queue_run_in_step() {
        let deletes = CommandKind::DeleteBlocksCommand;
        let queued = |command: Vec<i32>, count: Vec<u32>| {
            let queued = Some(hb::CommandQueueReportProto { command, count });
            let mut reader = reader();
            (reader.report(Contents { queued, ..nothing() }).queued, reader.dropped)
        };
        assert_eq!(queued(vec![deletes.into()], vec![3]), (Some([(deletes, 3)].into()), 0));
        assert_eq!(queued(vec![deletes.into(), 99], vec![3, 4]), (Some([(deletes, 3)].into()), 1));
        assert_eq!(queued(vec![deletes.into()], vec![3, 4]), (None, 1));
    }

    #[test]
    fn a_state_that_nobody_knows_is_not_in_service() {
        let mut reader = reader();
        assert_eq!(reader.kept(None), Some(OperationalState::InService));
        assert_eq!(reader.kept(Some(4)), Some(OperationalState::Decommissioning));
        assert_eq!((reader.kept(Some(77)), reader.dropped), (None, 1));
    }
}
