//! What the dashboard draws and what the alerts watch: one row a panel, one row an alert. `deploy/grafana` and
//! `deploy/prometheus` are written from here.

/// One panel.
pub(crate) struct Panel {
    pub(crate) title: &'static str,
    /// Grafana's word for the unit.
    pub(crate) unit: &'static str,
    /// What it means when the lines move.
    pub(crate) about: &'static str,
    /// Legend and PromQL of each line.
    pub(crate) lines: &'static [(&'static str, &'static str)],
}

/// A titled row of panels.
pub(crate) struct Row {
    pub(crate) title: &'static str,
    pub(crate) panels: &'static [Panel],
}

/// One alert.
pub(crate) struct Alert {
    pub(crate) name: &'static str,
    /// PromQL; it fires where this gives something.
    pub(crate) when: &'static str,
    /// For how long it must.
    pub(crate) lasting: &'static str,
    /// `critical`: data or service is lost now; `warning`: it may be soon.
    pub(crate) severity: &'static str,
    /// What is wrong and what to do.
    pub(crate) about: &'static str,
}

pub(crate) const ROWS: &[Row] = &[
    Row {
        title: "Cluster",
        panels: &[
            Panel {
                title: "Datanodes by health",
                unit: "short",
                about: "Stale and dead datanodes take no blocks; a dead one's replicas count as lost.",
                lines: &[("{{health}}", "max by (health) (scm_datanodes)")],
            },
            Panel {
                title: "Containers by state",
                unit: "short",
                about: "Open ones take blocks; closed ones are copied and repaired.",
                lines: &[("{{state}}", "max by (state) (scm_containers) > 0")],
            },
            Panel {
                title: "Space",
                unit: "bytes",
                about: "Of all volumes together.",
                lines: &[("{{kind}}", "sum by (kind) (datanode_volume_bytes)")],
            },
            Panel {
                title: "Deletions under way",
                unit: "short",
                about: "Grows while a replica that is to be deleted cannot be reached.",
                lines: &[("deletions", "max(scm_deletions_under_way)")],
            },
        ],
    },
    Row {
        title: "Datanodes",
        panels: &[
            Panel {
                title: "Throughput",
                unit: "binBps",
                about: "Bytes of chunks that clients wrote and read.",
                lines: &[
                    ("written", "sum(rate(datanode_chunk_received_bytes_total[1m]))"),
                    ("read", "sum(rate(datanode_chunk_sent_bytes_total[1m]))"),
                ],
            },
            Panel {
                title: "Latency, 99 of 100 commands",
                unit: "s",
                about: "The disk's time shows in write_chunk, put_block and read_chunk.",
                lines: &[(
                    "{{command}}",
                    "histogram_quantile(0.99, sum by (le, command) (rate(datanode_command_seconds_bucket{result=\"ok\"}[5m])))",
                )],
            },
            Panel {
                title: "Commands refused",
                unit: "reqps",
                about: "By command; clients then go to another datanode.",
                lines: &[(
                    "{{command}}",
                    "sum by (command) (rate(datanode_command_seconds_count{result=\"refused\"}[5m])) > 0",
                )],
            },
            Panel {
                title: "Free buffers",
                unit: "percentunit",
                about: "With none free, requests wait.",
                lines: &[(
                    "{{instance}}",
                    "sum by (instance) (datanode_buffer_bytes{kind=\"free\"}) / sum by (instance) (datanode_buffer_bytes{kind=\"total\"})",
                )],
            },
            Panel {
                title: "Fullest volumes",
                unit: "percentunit",
                about: "Share of the ten fullest.",
                lines: &[(
                    "{{instance}} {{volume}}",
                    "topk(10, sum by (instance, volume) (datanode_volume_bytes{kind=\"used\"}) / sum by (instance, volume) (datanode_volume_bytes{kind=\"capacity\"}))",
                )],
            },
            Panel {
                title: "Shards held for more than 5 ms",
                unit: "short",
                about: "In five minutes; the log names each task.",
                lines: &[("{{instance}}", "increase(datanode_shard_stalls_total[5m])")],
            },
        ],
    },
    Row {
        title: "SCM and OM",
        panels: &[
            Panel {
                title: "Heartbeats and commands",
                unit: "reqps",
                about: "Heartbeats stand still when datanodes cannot reach SCM.",
                lines: &[
                    ("heartbeats", "sum(rate(scm_heartbeats_total[1m]))"),
                    ("commands", "sum(rate(scm_commands_sent_total[1m]))"),
                ],
            },
            Panel {
                title: "Blocks",
                unit: "reqps",
                about: "Failed allocations grow in safe mode and when datanodes are missing or full.",
                lines: &[
                    ("allocated", "sum(rate(scm_blocks_allocated_total[1m]))"),
                    ("refused", "sum(rate(scm_block_allocations_failed_total[1m]))"),
                    ("to be deleted", "sum(rate(scm_blocks_to_delete_total[1m]))"),
                ],
            },
            Panel {
                title: "Changes to the namespace",
                unit: "reqps",
                about: "Entries that the leading OM applied.",
                lines: &[("changes", "max(rate(om_log_applied[1m]))")],
            },
            Panel {
                title: "Entries not yet applied",
                unit: "short",
                about: "Grows when an OM's disk is slow.",
                lines: &[("{{instance}}", "om_log_last - om_log_applied")],
            },
        ],
    },
    Row {
        title: "S3",
        panels: &[
            Panel {
                title: "Requests",
                unit: "reqps",
                about: "By operation.",
                lines: &[("{{operation}}", "sum by (operation) (rate(s3g_request_seconds_count[1m]))")],
            },
            Panel {
                title: "Latency, 99 of 100 requests",
                unit: "s",
                about: "From a request's head to its answer's.",
                lines: &[(
                    "{{operation}}",
                    "histogram_quantile(0.99, sum by (le, operation) (rate(s3g_request_seconds_bucket[5m])))",
                )],
            },
            Panel {
                title: "Connections",
                unit: "short",
                about: "At the limit, clients are turned away.",
                lines: &[
                    ("open", "sum(s3g_connections)"),
                    ("turned away in 5 min", "sum(increase(s3g_connections_turned_away_total[5m]))"),
                ],
            },
        ],
    },
];

pub(crate) const ALERTS: &[Alert] = &[
    Alert {
        name: "DatanodeDead",
        when: "max(scm_datanodes{health=\"dead\"}) > 0",
        lasting: "1m",
        severity: "warning",
        about: "{{ $value }} datanodes are dead. Start them again, or see on Recon's page what lacks by them.",
    },
    Alert {
        name: "DatanodeStale",
        when: "max(scm_datanodes{health=\"stale\"}) > 0",
        lasting: "5m",
        severity: "warning",
        about: "{{ $value }} datanodes have been silent for a while. Look at their logs and at the network.",
    },
    Alert {
        name: "VolumeFailed",
        when: "datanode_volumes{state=\"failed\"} > 0",
        lasting: "0m",
        severity: "warning",
        about: "{{ $labels.instance }} has a failed volume. Its log names it; replace the disk.",
    },
    Alert {
        name: "VolumeNearlyFull",
        when: "sum by (instance, volume) (datanode_volume_bytes{kind=\"used\"}) / sum by (instance, volume) (datanode_volume_bytes{kind=\"capacity\"}) > 0.9",
        lasting: "10m",
        severity: "warning",
        about: "{{ $labels.volume }} of {{ $labels.instance }} is nine tenths full. Add datanodes or delete keys.",
    },
    Alert {
        name: "DamagedDataRead",
        when: "increase(datanode_read_checksum_mismatches_total[10m]) > 0",
        lasting: "0m",
        severity: "critical",
        about: "{{ $labels.instance }} refused reads because its disk's bytes are not those that were put. Check that disk.",
    },
    Alert {
        name: "HeartbeatsFail",
        when: "rate(datanode_heartbeats_total{result=\"failed\"}[5m]) > 0 and on (instance) rate(datanode_heartbeats_total{result=\"ok\"}[5m]) == 0",
        lasting: "2m",
        severity: "warning",
        about: "{{ $labels.instance }} reaches no SCM, which will call it dead. Look at the network and at SCM.",
    },
    Alert {
        name: "TaskPanicked",
        when: "increase(datanode_task_panics_total[10m]) > 0",
        lasting: "0m",
        severity: "critical",
        about: "A task of {{ $labels.instance }} ended by a fault of ours. Its log names the task: please report it.",
    },
    Alert {
        name: "BlocksRefused",
        when: "sum(increase(scm_block_allocations_failed_total[5m])) > 0",
        lasting: "5m",
        severity: "critical",
        about: "SCM refuses blocks, so keys cannot be written. Datanodes are missing or full.",
    },
    Alert {
        name: "SafeMode",
        when: "min(scm_safe_mode) == 1",
        lasting: "10m",
        severity: "critical",
        about: "SCM stays in safe mode: nothing can be written. `allotrope admin safemode status` names the rule that waits.",
    },
    Alert {
        name: "ScmHasNoLeader",
        when: "sum(scm_leader) < 1",
        lasting: "1m",
        severity: "critical",
        about: "No SCM leads. A majority of them must be up and see each other.",
    },
    Alert {
        name: "OmHasNoLeader",
        when: "sum(om_leads) < 1",
        lasting: "1m",
        severity: "critical",
        about: "No OM leads, so no key can be read or written. A majority of them must be up and see each other.",
    },
    Alert {
        name: "OmElectsOften",
        when: "max(increase(om_term[15m])) > 5",
        lasting: "0m",
        severity: "warning",
        about: "OMs elect leaders again and again: they lose sight of each other, or their disks are slow.",
    },
    Alert {
        name: "S3TurnsClientsAway",
        when: "increase(s3g_connections_turned_away_total[5m]) > 0",
        lasting: "5m",
        severity: "warning",
        about: "{{ $labels.instance }} is at its limit of connections. Add a gateway or raise allotrope.s3g.connections.",
    },
    Alert {
        name: "ReconIsBlind",
        when: "recon_source_up{task!=\"ServerMetrics\"} == 0",
        lasting: "5m",
        severity: "warning",
        about: "Recon has no answer for {{ $labels.task }}; what its page shows is old.",
    },
];
