//! GetMetrics: figures by the name of a query, as JSON.
//!
//! Shape   `{"beans":[…]}`, as Hadoop's `/jmx`. Ozone's own bean says how far datanodes that leave have come; ours, which begin
//!         with `Allotrope:`, say the same in full, and what would happen if datanodes left or came back. An unknown name
//!         has no beans.
//! Source  wire facts: scm.md 2.1, 2.10; docs/scm-operations.md names the queries.

use allotrope_proto::scm_container::GetMetricsResponseProto;
use allotrope_types::ContainerId;

use super::duty::look;
use crate::cluster::{Cluster, Departure, Duty, Forecast, Left, NotAllowed};
use crate::node::{Node, OperationalState};
use crate::scm::Scm;

/// The bean in which Ozone's command line looks for the progress of datanodes that leave.
const OZONES: &str = "Hadoop:service=StorageContainerManager,name=NodeDecommissionMetrics";
/// What is left on datanodes that are out of service.
const LEAVING: &str = "Allotrope:name=leaving";
/// What would happen: followed by `act=ACT,hosts=HOST;HOST`.
const FORECAST: &str = "Allotrope:name=forecast,";
/// Ids that a bean names for each datanode.
const SHOWN_MAX: usize = 100;

/// A JSON object being written: names are ours, texts may be anybody's.
#[derive(Default)]
struct Bean(String);

impl Bean {
    fn raw(mut self, name: &str, value: &str) -> Bean {
        if !self.0.is_empty() {
            self.0.push(',');
        }
        self.0.push_str(&quoted(name));
        self.0.push(':');
        self.0.push_str(value);
        self
    }

    fn number(self, name: &str, value: impl TryInto<i128>) -> Bean {
        self.raw(name, &value.try_into().unwrap_or(0).to_string())
    }

    fn text(self, name: &str, value: &str) -> Bean {
        self.raw(name, &quoted(value))
    }

    fn list(self, name: &str, values: impl IntoIterator<Item = String>) -> Bean {
        self.raw(name, &array(values))
    }

    fn end(self) -> String {
        format!("{{{}}}", self.0)
    }
}

fn array(values: impl IntoIterator<Item = String>) -> String {
    format!("[{}]", values.into_iter().collect::<Vec<_>>().join(","))
}

fn quoted(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 2);
    out.push('"');
    for c in text.chars() {
        match c {
            '"' | '\\' => out.extend(['\\', c]),
            c if c.is_control() => out.push_str(&format!("\\u{:04x}", u32::from(c))),
            c => out.push(c),
        }
    }
    out.push('"');
    out
}

pub(super) fn metrics(scm: &Scm, query: &str) -> GetMetricsResponseProto {
    let beans = match query {
        OZONES => vec![ozones(scm)],
        LEAVING => leaving(scm),
        _ => query.strip_prefix(FORECAST).and_then(|asked| forecast(scm, asked)).into_iter().collect(),
    };
    GetMetricsResponseProto { metrics_json: Some(Bean::default().list("beans", beans).end()) }
}

fn progress(cluster: &Cluster) -> Vec<(&Node, Left)> {
    use OperationalState::{Decommissioning, EnteringMaintenance};
    let all = cluster.nodes.all();
    let under_way = all.filter(|node| matches!(node.operational, Decommissioning | EnteringMaintenance));
    under_way.map(|node| (node, cluster.left(node.id).cloned().unwrap_or_default())).collect()
}

fn ozones(scm: &Scm) -> String {
    let cluster = scm.cluster();
    let under_way = progress(&cluster);
    let sum = |figure: fn(&Left) -> usize| under_way.iter().map(|(_, left)| figure(left)).sum::<usize>();
    let mut bean = Bean::default()
        .text("name", OZONES)
        .text("modelerType", "NodeDecommissionMetrics")
        .number("DecommissioningMaintenanceNodesTotal", under_way.len() as u64)
        .number("RecommissionNodesTotal", 0)
        .number("PipelinesWaitingToCloseTotal", sum(|left| left.pipelines) as u64)
        .number("ContainersUnderReplicatedTotal", sum(|left| left.lacking) as u64)
        .number("ContainersUnClosedTotal", sum(|left| left.not_closed) as u64)
        .number("ContainersSufficientlyReplicatedTotal", sum(|left| left.safe) as u64);
    for (n, (node, left)) in (1..).zip(&under_way) {
        bean = bean
            .text(&format!("tag.datanode.{n}"), &node.details.host_name)
            .number(&format!("PipelinesWaitingToCloseDN.{n}"), left.pipelines as u64)
            .number(&format!("UnderReplicatedDN.{n}"), left.lacking as u64)
            .number(&format!("SufficientlyReplicatedDN.{n}"), left.safe as u64)
            .number(&format!("UnclosedContainersDN.{n}"), left.not_closed as u64)
            .number(&format!("StartTimeDN.{n}"), left.since_unix_ms);
    }
    bean.end()
}

/// Every datanode that is out of service, with what is left on it now.
fn leaving(scm: &Scm) -> Vec<String> {
    let nodes = scm.cluster().leaving();
    let ids = |ids: &[ContainerId]| ids.iter().take(SHOWN_MAX).map(ToString::to_string).collect::<Vec<_>>();
    let bean = |id| {
        let left = look(scm, id)?;
        let cluster = scm.cluster();
        let node = cluster.nodes.get(id)?;
        let bean = Bean::default()
            .text("uuid", &id.to_string())
            .text("host", &node.details.host_name)
            .text("state", node.operational.name())
            .text("health", node.health.name())
            .number("untilS", node.operational_until_s)
            .raw("told", if left.told { "true" } else { "false" })
            .number("sinceMs", left.since_unix_ms)
            .number("pipelines", left.pipelines as u64)
            .number("notClosed", left.not_closed as u64)
            .number("lacking", left.lacking as u64)
            .number("lackingBytes", left.bytes_lacking)
            .number("safe", left.safe as u64)
            .list("notClosedIds", ids(&left.not_closed_ids))
            .list("lackingIds", ids(&left.lacking_ids));
        let bean = match &left.stuck {
            Some(why) => bean.text("stuck", why),
            None => bean.raw("stuck", "null"),
        };
        Some(bean.end())
    };
    nodes.into_iter().filter_map(bean).collect()
}

/// What would follow if the named datanodes left or came back, or if nothing but repairs went on.
fn forecast(scm: &Scm, asked: &str) -> Option<String> {
    let (act, hosts) = asked.strip_prefix("act=")?.split_once(",hosts=")?;
    let hosts: Vec<String> = hosts.split(';').filter(|host| !host.is_empty()).map(str::to_owned).collect();
    let cluster = scm.cluster();
    // What would be refused is forecast all the same: that is what --force would do.
    let leave = |how| (cluster.may_leave(&hosts, how, true).0, cluster.may_leave(&hosts, how, false).1);
    let (duties, wrong): (Vec<Duty>, Vec<NotAllowed>) = match act {
        "decommission" => leave(Departure::Decommission),
        "maintenance" => leave(Departure::Maintenance { until_s: 0 }),
        "recommission" => cluster.may_return(&hosts),
        "repair" => Default::default(),
        _ => return None,
    };
    let Forecast { containers, copies, rebuilds, removals, bytes, not_closed } = cluster.forecast(&duties);
    let refused = |one: &NotAllowed| Bean::default().text("host", &one.host).text("why", &one.why).end();
    let bean = Bean::default()
        .list("nodes", duties.iter().map(|duty| quoted(&duty.node.to_string())))
        .list("refused", wrong.iter().map(refused))
        .number("containers", containers as u64)
        .number("copies", copies as u64)
        .number("rebuilds", rebuilds as u64)
        .number("removals", removals as u64)
        .number("bytes", bytes)
        .number("notClosed", not_closed as u64);
    Some(bean.end())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whatever_a_datanode_calls_itself_is_one_text() {
        let bean = Bean::default().text("host", "a\"b\\c\n").number("n", 7u64).list("none", []).end();
        assert_eq!(bean, r#"{"host":"a\"b\\c\u000a","n":7,"none":[]}"#);
    }
}
