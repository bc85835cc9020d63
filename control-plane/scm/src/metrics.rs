//! Counts for operators, as Prometheus text.
//!
//! Units   counters end in `_total`; gauges are looked up when the text is made.

use std::fmt::Write;
use std::sync::atomic::{AtomicU64, Ordering};

use allotrope_types::ContainerState;

use crate::cluster::Cluster;
use crate::node::Health;

/// A number that only grows.
#[derive(Debug, Default)]
pub(crate) struct Counter(AtomicU64);

impl Counter {
    pub(crate) fn add(&self, n: u64) {
        self.0.fetch_add(n, Ordering::Relaxed);
    }

    fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// What SCM counts.
#[derive(Debug, Default)]
pub(crate) struct Metrics {
    pub(crate) heartbeats: Counter,
    pub(crate) registrations: Counter,
    pub(crate) report_entries_dropped: Counter,
    pub(crate) commands_sent: Counter,
    pub(crate) blocks_allocated: Counter,
    pub(crate) allocations_failed: Counter,
    pub(crate) blocks_to_delete: Counter,
    pub(crate) changes_postponed: Counter,
    pub(crate) copies_ordered: Counter,
    pub(crate) rebuilds_ordered: Counter,
    pub(crate) removals_ordered: Counter,
    pub(crate) repairs_failed: Counter,
}

impl Metrics {
    /// All figures as Prometheus' text format.
    pub(crate) fn text(&self, cluster: &Cluster, deletions: usize, leads: bool) -> String {
        let mut out = String::new();
        let mut put = |name: &str, kind: &str, help: &str, values: &[(String, u64)]| {
            // Writing to a String cannot fail.
            let _ = writeln!(out, "# HELP {name} {help}\n# TYPE {name} {kind}");
            for (labels, value) in values {
                let _ = writeln!(out, "{name}{labels} {value}");
            }
        };
        let one = |value: u64| vec![(String::new(), value)];
        let counters = [
            (
                "scm_heartbeats_total",
                &self.heartbeats,
                "Heartbeats taken in; stands still when datanodes cannot reach SCM.",
            ),
            (
                "scm_registrations_total",
                &self.registrations,
                "Registrations accepted; grows when datanodes or SCM restart.",
            ),
            (
                "scm_report_entries_dropped_total",
                &self.report_entries_dropped,
                "Entries of container reports that cannot be true; any is a fault of a datanode.",
            ),
            ("scm_commands_sent_total", &self.commands_sent, "Commands handed to datanodes."),
            ("scm_blocks_allocated_total", &self.blocks_allocated, "Blocks handed out."),
            (
                "scm_block_allocations_failed_total",
                &self.allocations_failed,
                "Requests for blocks that were refused; grows in safe mode and when datanodes are missing or full.",
            ),
            ("scm_blocks_to_delete_total", &self.blocks_to_delete, "Blocks that OM gave to be deleted."),
            (
                "scm_changes_postponed_total",
                &self.changes_postponed,
                "Changes left to the next sweep because the log was behind.",
            ),
        ];
        for (name, counter, help) in counters {
            put(name, "counter", help, &one(counter.get()));
        }
        let repairs = [
            ("copy", &self.copies_ordered),
            ("rebuild", &self.rebuilds_ordered),
            ("delete", &self.removals_ordered),
        ];
        let repairs = repairs.map(|(kind, counter)| (format!("{{kind=\"{kind}\"}}"), counter.get()));
        let help = "Copies, reconstructions and deletions of replicas that datanodes were told to make; grows while the \
                    cluster mends itself.";
        put("scm_repairs_ordered_total", "counter", help, &repairs);
        let help =
            "Copies and reconstructions that datanodes could not make; they are tried again elsewhere.";
        put("scm_repairs_failed_total", "counter", help, &one(self.repairs_failed.get()));
        let label = |name: &str, value: &str| format!("{{{name}=\"{}\"}}", value.to_ascii_lowercase());
        let nodes = Health::ALL.map(|h| (label("health", h.name()), cluster.nodes.count(h) as u64));
        put("scm_datanodes", "gauge", "Datanodes by health; stale and dead ones take no blocks.", &nodes);
        let containers: Vec<_> = ContainerState::ALL
            .iter()
            .map(|state| (label("state", state.name()), cluster.blocks.count(*state) as u64))
            .collect();
        put("scm_containers", "gauge", "Containers by state.", &containers);
        let ill = crate::replication::Condition::ALL
            .map(|c| (label("condition", c.name()), cluster.manager.count(c) as u64));
        let help = "Containers by what ails them, as the leader sees it; missing ones have no replica to be mended from.";
        put("scm_containers_ill", "gauge", help, &ill);
        let (adds, deletes) = cluster.manager.pending.counts();
        let under_way = [(label("kind", "add"), adds as u64), (label("kind", "delete"), deletes as u64)];
        let help = "Replicas on their way to a datanode, and replicas that a datanode was told to delete.";
        put("scm_replicas_under_way", "gauge", help, &under_way);
        let (changed, queued) = cluster.manager.waiting();
        let waiting = [(label("for", "check"), changed as u64), (label("for", "orders"), queued as u64)];
        let help = "Containers that wait to be checked, and those that wait for their turn or for a datanode with room.";
        put("scm_containers_waiting", "gauge", help, &waiting);
        put("scm_replicas", "gauge", "Replicas known from reports.", &one(cluster.replicas.len() as u64));
        let help =
            "Deletions that datanodes were told of and that are not done; grows while a replica is missing.";
        put("scm_deletions_under_way", "gauge", help, &one(deletions as u64));
        let safe_mode = u64::from(cluster.safe_mode.is_on());
        put("scm_safe_mode", "gauge", "1 while SCM allocates and deletes nothing.", &one(safe_mode));
        put("scm_leader", "gauge", "1 on the SCM that decides.", &one(u64::from(leads)));
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cluster::Now;

    #[test]
    fn the_text_names_every_figure_once() {
        let now = Now { monotonic_ms: 0, unix_ms: 0 };
        let cluster = Cluster::new(&crate::Config::new("/unused"), now);
        let metrics = Metrics::default();
        metrics.blocks_allocated.add(3);
        let text = metrics.text(&cluster, 0, true);
        assert!(text.contains("scm_blocks_allocated_total 3\n"), "{text}");
        assert!(text.contains("scm_datanodes{health=\"healthy\"} 0\n"), "{text}");
        assert!(text.contains("scm_containers{state=\"quasi_closed\"} 0\n"), "{text}");
        assert!(text.contains("scm_safe_mode 1\n") && text.contains("scm_leader 1\n"), "{text}");
        let types: Vec<&str> = text.lines().filter(|line| line.starts_with("# TYPE")).collect();
        let mut distinct = types.clone();
        distinct.sort_unstable();
        distinct.dedup();
        assert_eq!(types.len(), distinct.len());
    }
}
