//! What SCM itself does: safe mode, replication, balancing, metrics, its ring.

use allotrope_types::ContainerId;

use crate::edge::admin::UpgradeStatus;
use crate::scm_container as wire;

alone! {
    wire;
    GetSafeModeRuleStatusesResponseProto.safe_mode_rule_statuses_proto is Vec<SafeModeRule>,
    ReplicationManagerReportResponseProto.report is ReplicationReport,
    FinalizeScmUpgradeResponseProto.status is UpgradeStatus,
    QueryUpgradeFinalizationProgressResponseProto.status is UpgradeStatus,
}
empty! {
    wire;
    GetSafeModeRuleStatusesRequestProto,
    StartReplicationManagerResponseProto,
    StopReplicationManagerResponseProto,
    StopContainerBalancerResponseProto,
}
message! {
    /// A call without arguments.
    Ask = wire =>
        ListPipelineRequestProto,
        InSafeModeRequestProto,
        ForceExitSafeModeRequestProto,
        StartReplicationManagerRequestProto,
        StopReplicationManagerRequestProto,
        ReplicationManagerStatusRequestProto,
        ReplicationManagerReportRequestProto,
        StopContainerBalancerRequestProto,
        ContainerBalancerStatusRequestProto,
        ContainerBalancerStatusInfoRequestProto
    {
        trace_id: Option<String>,
    }
}
message! {
    /// Whether SCM is in safe mode.
    SafeMode = wire => InSafeModeResponseProto {
        in_safe_mode: bool,
    }
}
message! {
    /// Whether it left.
    LeftSafeMode = wire => ForceExitSafeModeResponseProto {
        exited_safe_mode: bool,
    }
}
message! {
    /// One rule of safe mode, and whether it is met.
    SafeModeRule = wire => SafeModeRuleStatusProto {
        rule_name: String,
        validate: bool,
        status_text: String,
    }
}
message! {
    /// Whether it runs.
    Running = wire => ReplicationManagerStatusResponseProto, ContainerBalancerStatusResponseProto {
        is_running: bool,
    }
}
message! {
    /// How many containers are in which state, and some of each.
    ReplicationReport = crate::hdds => ReplicationManagerReportProto {
        timestamp: i64,
        stat: Vec<Statistic>,
        stat_sample: Vec<ContainerSample>,
        sample_limit: Option<i32>,
    }
}
message! {
    /// A name and a number.
    Statistic = crate::hdds => KeyIntValue {
        key: String,
        value: Option<i64>,
    }
}
message! {
    /// Some containers of a state.
    ContainerSample = crate::hdds => KeyContainerIdList {
        key: String,
        container: Vec<ContainerId>,
    }
}
message! {
    /// Starts to even datanodes out; what is absent is as configured. Sizes are GiB.
    StartBalancer = wire => StartContainerBalancerRequestProto {
        trace_id: Option<String>,
        threshold: Option<f64>,
        idleiterations: Option<i32>,
        max_datanodes_ratio_to_involve_per_iteration: Option<f64>,
        max_size_to_move_per_iteration_in_gb: Option<i64>,
        max_size_entering_target_in_gb: Option<i64>,
        max_size_leaving_source_in_gb: Option<i64>,
        max_datanodes_percentage_to_involve_per_iteration: Option<i32>,
        iterations: Option<i32>,
        balancing_interval: Option<i32>,
        move_timeout: Option<i32>,
        move_replication_timeout: Option<i32>,
        network_topology_enable: Option<bool>,
        include_nodes: Option<String>,
        exclude_nodes: Option<String>,
        exclude_containers: Option<String>,
        include_containers: Option<String>,
    }
}
message! {
    /// Whether it started.
    StartedBalancer = wire => StartContainerBalancerResponseProto {
        start: bool,
        message: Option<String>,
    }
}
message! {
    /// Whether it runs, and what it did.
    BalancerStatusAnswer = wire => ContainerBalancerStatusInfoResponseProto {
        is_running: Option<bool>,
        container_balancer_status_info: Option<BalancerStatus>,
    }
}
message! {
    /// What it did. Times are seconds since 1970.
    BalancerStatus = wire => ContainerBalancerStatusInfoProto {
        started_at: Option<u64>,
        configuration: Option<BalancerConfig>,
        iterations_status_info: Vec<BalancerIteration>,
        stopped_at: Option<u64>,
        stop_reason: Option<String>,
        stop_message: Option<String>,
    }
}
message! {
    /// One round. Sizes are bytes or GiB as the version of SCM has them; the duration is in seconds.
    BalancerIteration = wire => ContainerBalancerTaskIterationStatusInfoProto {
        iteration_number: Option<i32>,
        iteration_result: Option<String>,
        size_scheduled_for_move: Option<i64>,
        data_size_moved: Option<i64>,
        container_moves_scheduled: Option<i64>,
        container_moves_completed: Option<i64>,
        container_moves_failed: Option<i64>,
        container_moves_timeout: Option<i64>,
        size_entering_nodes: Vec<NodeTransfer>,
        size_leaving_nodes: Vec<NodeTransfer>,
        iteration_duration: Option<i64>,
    }
}
message! {
    /// What goes into, or leaves, one datanode.
    NodeTransfer = wire => NodeTransferInfoProto {
        uuid: Option<String>,
        data_volume: Option<i64>,
    }
}
message! {
    /// How it is configured.
    BalancerConfig = crate::hdds => ContainerBalancerConfigurationProto {
        utilization_threshold: Option<String>,
        datanodes_involved_max_percentage_per_iteration: Option<i32>,
        size_moved_max_per_iteration: Option<i64>,
        size_entering_target_max: Option<i64>,
        size_leaving_source_max: Option<i64>,
        iterations: Option<i32>,
        exclude_containers: Option<String>,
        move_timeout: Option<i64>,
        balancing_iteration_interval: Option<i64>,
        include_datanodes: Option<String>,
        exclude_datanodes: Option<String>,
        move_network_topology_enable: Option<bool>,
        trigger_du_before_move_enable: Option<bool>,
        should_run: bool,
        next_iteration_index: Option<i32>,
        move_replication_timeout: Option<i64>,
        include_containers: Option<String>,
        include_non_standard_containers: Option<bool>,
    }
}
message! {
    /// Takes an SCM out of the ring.
    DecommissionScm = wire => DecommissionScmRequestProto {
        scm_id: String,
    }
}
message! {
    /// Whether it is out.
    DecommissionedScm = wire => DecommissionScmResponseProto {
        success: bool,
        error_msg: Option<String>,
    }
}
message! {
    /// Asks for metrics by a query of Java's management beans.
    GetMetrics = wire => GetMetricsRequestProto {
        query: Option<String>,
    }
}
message! {
    /// The metrics as JSON.
    Metrics = wire => GetMetricsResponseProto {
        metrics_json: Option<String>,
    }
}
