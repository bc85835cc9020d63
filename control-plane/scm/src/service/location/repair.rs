//! The replication manager as administrators see it: whether it runs, and what ails containers.

use allotrope_proto::hdds::{
    ContainerId as ContainerIdMessage, KeyContainerIdList, KeyIntValue, ReplicationManagerReportProto,
};
use allotrope_proto::scm_container::{
    ReplicationManagerReportResponseProto, ReplicationManagerStatusResponseProto,
};

use crate::scm::Scm;

/// Whether it repairs: an administrator lets it, and this SCM leads.
pub(super) fn status(scm: &Scm) -> ReplicationManagerStatusResponseProto {
    ReplicationManagerStatusResponseProto { is_running: scm.cluster().manager.on }
}

/// Lets it repair, or stops it: what is under way goes on, nothing new is ordered. Of this SCM alone, until it restarts.
pub(super) fn set_on(scm: &Scm, on: bool) {
    tracing::warn!(on, "an administrator starts or stops the replication manager");
    let mut cluster = scm.cluster();
    cluster.manager.on = on;
    cluster.bell.notify_one();
}

pub(super) fn report(scm: &Scm) -> ReplicationManagerReportResponseProto {
    let report = scm.cluster().repair_report();
    let value =
        |key: &str, count: usize| KeyIntValue { key: key.to_owned(), value: i64::try_from(count).ok() };
    let states = report.states.iter().map(|(state, count)| value(state.name(), *count));
    let conditions = report.conditions.iter().map(|(condition, count, _)| value(condition.name(), *count));
    let samples = report.conditions.iter().filter(|(_, _, sample)| !sample.is_empty());
    let report = ReplicationManagerReportProto {
        timestamp: report.checked_unix_ms.cast_signed(),
        stat: states.chain(conditions).collect(),
        stat_sample: samples
            .map(|(condition, _, sample)| KeyContainerIdList {
                key: condition.name().to_owned(),
                container: sample.iter().map(|id| ContainerIdMessage { id: id.as_u64() }).collect(),
            })
            .collect(),
        sample_limit: i32::try_from(report.sample_max).ok(),
    };
    ReplicationManagerReportResponseProto { report }
}
