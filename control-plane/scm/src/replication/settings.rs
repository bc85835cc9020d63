//! What the replication manager is told. Defaults are Ozone's.

use std::time::Duration;

/// Settings of the replication manager and of what takes datanodes out of service.
#[derive(Clone, Debug, PartialEq)]
pub struct Settings {
    /// How long after safe mode, and after this SCM has begun to lead, nothing is repaired: datanodes that start late are
    /// not missing (`hdds.scm.wait.time.after.safemode.exit`). Default 5 min.
    pub start_wait: Duration,
    /// How often every container is checked, changed or not (`hdds.scm.replication.thread.interval`). Default 300 s.
    pub scan_interval: Duration,
    /// How long an operation may take before it counts as lost (`hdds.scm.replication.event.timeout`). Default 12 min.
    pub operation_time_max: Duration,
    /// How much earlier a datanode gives up on it (`hdds.scm.replication.event.timeout.datanode.offset`). Default 6 min.
    pub datanode_gives_up_before: Duration,
    /// Copies of a replicated container that stay in service while others are in maintenance
    /// (`hdds.scm.replication.maintenance.replica.minimum`). Default 2.
    pub copies_in_maintenance: usize,
    /// Losses that an EC container still bears while replicas are in maintenance
    /// (`hdds.scm.replication.maintenance.remaining.redundancy`). Default 1.
    pub redundancy_in_maintenance: usize,
    /// Copies that one datanode has to make at a time (`hdds.scm.replication.datanode.replication.limit`); twice as many
    /// while it leaves. Default 20.
    pub node_copies_max: u32,
    /// As how many copies a reconstruction counts (`hdds.scm.replication.datanode.reconstruction.weight`). Default 3.
    pub rebuild_weight: u32,
    /// Deletions that one datanode has under way at a time (`hdds.scm.replication.datanode.delete.container.limit`).
    /// Default 40.
    pub node_deletes_max: u32,
    /// Share of what all healthy datanodes together may have under way (`hdds.scm.replication.inflight.limit.factor`).
    /// Default 0.75.
    pub in_flight_share: f64,
    /// Whether a copy is pushed by its source, or pulled by its target (`hdds.scm.replication.push`). Default true.
    pub push: bool,
    /// Containers that a report names for each condition (`hdds.scm.replication.container.sample.limit`). Default 100.
    pub sample_max: usize,
    /// How often datanodes that leave are looked at (`ozone.scm.datanode.admin.monitor.interval`). Default 30 s.
    pub drain_interval: Duration,
}

impl Default for Settings {
    fn default() -> Settings {
        let minutes = |n: u64| Duration::from_secs(60 * n);
        Settings {
            start_wait: minutes(5),
            scan_interval: minutes(5),
            operation_time_max: minutes(12),
            datanode_gives_up_before: minutes(6),
            copies_in_maintenance: 2,
            redundancy_in_maintenance: 1,
            node_copies_max: 20,
            rebuild_weight: 3,
            node_deletes_max: 40,
            in_flight_share: 0.75,
            push: true,
            sample_max: 100,
            drain_interval: Duration::from_secs(30),
        }
    }
}
