//! Administrators, OM and Recon to SCM: containers, pipelines, datanodes, and what SCM itself does.
//!
//! Shape   a [`LocationRequest`] is an envelope with one [`LocationCall`], a [`LocationResponse`] one with a
//!         [`LocationAnswer`], or with none if the call failed. Here stand the envelopes; each file beside this has the
//!         calls on one kind of thing.
//! Source  scm.md 2.1 of the wire facts.

pub mod containers;
pub mod nodes;
pub mod pipelines;
pub mod state;

use allotrope_types::{ContainerId, ContainerState, DatanodeId};

use self::containers::*;
use self::nodes::*;
use self::pipelines::*;
use self::state::*;
use super::admin::{FinalizeUpgrade, TransferLeadership, UpgradeProgress, UpgradeStatus};
use super::field::enums;
use super::hdds::{
    ContainerInfo, ContainerWithPipeline, DatanodeDetails, GetScmInfo, Node, Pipeline, ScmInfo, Token,
};
use super::message::Empty;
use crate::scm_container as wire;
use crate::scm_container::Type;

pub use crate::scm_container::scm_container_location_response::Status as LocationStatus;

enums!(LocationStatus, Type);

envelope! {
    /// A call of SCM.
    LocationRequest = wire => ScmContainerLocationRequest
    /// What is asked of SCM.
    LocationCall by cmd_type: Type {
        trace_id: Option<String>,
        /// What the client can do: 1 takes ports that it does not know, 2 knows erasure coding, 3 bucket layouts.
        version: Option<u32>,
        ;
        AllocateContainer => container_request: AllocateContainer,
        GetContainer => get_container_request: NamedContainer,
        GetContainerWithPipeline => get_container_with_pipeline_request: NamedContainer,
        ListContainer => scm_list_container_request: ListContainers,
        DeleteContainer => scm_delete_container_request: NamedContainer,
        QueryNode => node_query_request: QueryNodes,
        CloseContainer => scm_close_container_request: NamedContainer,
        AllocatePipeline => pipeline_request: AllocatePipeline,
        ListPipelines => list_pipeline_request: Ask,
        ActivatePipeline => activate_pipeline_request: NamedPipeline,
        DeactivatePipeline => deactivate_pipeline_request: NamedPipeline,
        ClosePipeline => close_pipeline_request: NamedPipeline,
        GetScmInfo => get_scm_info_request: GetScmInfo,
        InSafeMode => in_safe_mode_request: Ask,
        ForceExitSafeMode => force_exit_safe_mode_request: Ask,
        StartReplicationManager => start_replication_manager_request: Ask,
        StopReplicationManager => stop_replication_manager_request: Ask,
        GetReplicationManagerStatus => seplication_manager_status_request: Ask,
        GetPipeline => get_pipeline_request: NamedPipeline,
        GetContainerWithPipelineBatch => get_container_with_pipeline_batch_request: NamedContainers,
        GetSafeModeRuleStatuses => get_safe_mode_rule_statuses_request: Empty,
        DecommissionNodes => decommission_nodes_request: DecommissionNodes,
        RecommissionNodes => recommission_nodes_request: RecommissionNodes,
        StartMaintenanceNodes => start_maintenance_nodes_request: StartMaintenance,
        DatanodeUsageInfo => datanode_usage_info_request: AskUsage,
        GetExistContainerWithPipelinesInBatch => get_exist_container_with_pipelines_in_batch_request: NamedContainers,
        GetContainerToken => container_token_request: ContainerId,
        StartContainerBalancer => start_container_balancer_request: StartBalancer,
        StopContainerBalancer => stop_container_balancer_request: Ask,
        GetContainerBalancerStatus => container_balancer_status_request: Ask,
        FinalizeScmUpgrade => finalize_scm_upgrade_request: FinalizeUpgrade,
        QueryUpgradeFinalizationProgress => query_upgrade_finalization_progress_request: UpgradeProgress,
        GetContainerReplicas => get_container_replicas_request: NamedContainer,
        GetReplicationManagerReport => replication_manager_report_request: Ask,
        ResetDeletedBlockRetryCount => reset_deleted_block_retry_count_request: RetryDeletions,
        TransferLeadership => transfer_scm_leadership_request: TransferLeadership,
        GetFailedDeletedBlocksTransaction => get_failed_deleted_blocks_txn_request: FailedDeletions,
        DecommissionScm => decommission_scm_request: DecommissionScm,
        SingleNodeQuery => single_node_query_request: DatanodeId,
        GetContainersOnDecomNode => get_containers_on_decom_node_request: DatanodeDetails,
        GetMetrics => get_metrics_request: GetMetrics,
        GetContainerBalancerStatusInfo => container_balancer_status_info_request: Ask,
        ReconcileContainer => reconcile_container_request: ContainerId,
        GetDeletedBlocksTransactionSummary => get_deleted_blocks_txn_summary_request: Empty,
        ListContainerIDs => scm_list_container_i_ds_request: ListContainerIds,
        SuppressContainer => suppress_container_request: SuppressContainers,
        ;
        shared {
            GetClosedContainerCount => get_container_count_request: Option<ContainerState>,
        }
        maybe {
            GetContainerCount => get_container_count_request: Option<ContainerState>,
        }
    }
}

envelope! {
    opt
    /// SCM's answer.
    LocationResponse = wire => ScmContainerLocationResponse
    /// What SCM says.
    LocationAnswer by cmd_type: Type {
        trace_id: Option<String>,
        /// Absent is true.
        success: Option<bool>,
        /// Explains a status other than OK.
        message: Option<String>,
        status: LocationStatus,
        ;
        AllocateContainer => container_response: AllocatedContainer,
        GetContainer => get_container_response: ContainerInfo,
        GetContainerWithPipeline => get_container_with_pipeline_response: ContainerWithPipeline,
        ListContainer => scm_list_container_response: ListedContainers,
        DeleteContainer => scm_delete_container_response: Empty,
        QueryNode => node_query_response: Vec<Node>,
        CloseContainer => scm_close_container_response: ClosedContainer,
        AllocatePipeline => pipeline_response: AllocatedPipeline,
        ListPipelines => list_pipeline_response: Vec<Pipeline>,
        ActivatePipeline => activate_pipeline_response: Empty,
        DeactivatePipeline => deactivate_pipeline_response: Empty,
        ClosePipeline => close_pipeline_response: Empty,
        GetScmInfo => get_scm_info_response: ScmInfo,
        InSafeMode => in_safe_mode_response: SafeMode,
        ForceExitSafeMode => force_exit_safe_mode_response: LeftSafeMode,
        StartReplicationManager => start_replication_manager_response: Empty,
        StopReplicationManager => stop_replication_manager_response: Empty,
        GetReplicationManagerStatus => replication_manager_status_response: Running,
        GetPipeline => get_pipeline_response: Pipeline,
        GetContainerWithPipelineBatch => get_container_with_pipeline_batch_response: Vec<ContainerWithPipeline>,
        GetSafeModeRuleStatuses => get_safe_mode_rule_statuses_response: Vec<SafeModeRule>,
        DecommissionNodes => decommission_nodes_response: Vec<RefusedHost>,
        RecommissionNodes => recommission_nodes_response: Vec<RefusedHost>,
        StartMaintenanceNodes => start_maintenance_nodes_response: Vec<RefusedHost>,
        DatanodeUsageInfo => datanode_usage_info_response: Vec<DatanodeUsage>,
        GetExistContainerWithPipelinesInBatch => get_exist_container_with_pipelines_in_batch_response: Vec<ContainerWithPipeline>,
        GetContainerToken => container_token_response: Token,
        StartContainerBalancer => start_container_balancer_response: StartedBalancer,
        StopContainerBalancer => stop_container_balancer_response: Empty,
        GetContainerBalancerStatus => container_balancer_status_response: Running,
        FinalizeScmUpgrade => finalize_scm_upgrade_response: UpgradeStatus,
        QueryUpgradeFinalizationProgress => query_upgrade_finalization_progress_response: UpgradeStatus,
        GetContainerCount => get_container_count_response: ContainerCount,
        GetContainerReplicas => get_container_replicas_response: Vec<ReplicaOnDatanode>,
        GetReplicationManagerReport => get_replication_manager_report_response: ReplicationReport,
        ResetDeletedBlockRetryCount => reset_deleted_block_retry_count_response: RetriedDeletions,
        TransferLeadership => transfer_scm_leadership_response: Empty,
        GetFailedDeletedBlocksTransaction => get_failed_deleted_blocks_txn_response: Vec<DeletionInfo>,
        DecommissionScm => decommission_scm_response: DecommissionedScm,
        SingleNodeQuery => single_node_query_response: Option<Node>,
        GetContainersOnDecomNode => get_containers_on_decom_node_response: Vec<ContainersInTheWay>,
        GetMetrics => get_metrics_response: Metrics,
        GetContainerBalancerStatusInfo => container_balancer_status_info_response: BalancerStatusAnswer,
        ReconcileContainer => reconcile_container_response: Empty,
        GetDeletedBlocksTransactionSummary => get_deleted_blocks_txn_summary_response: Option<DeletionSummary>,
        ListContainerIDs => scm_list_container_i_ds_response: Vec<ContainerId>,
        SuppressContainer => suppress_container_response: Vec<ContainerId>,
        ;
        shared {
            GetClosedContainerCount => get_container_count_response: ContainerCount,
        }
    }
}
