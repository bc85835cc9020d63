//! Requests about the server, not the namespace: who serves, echo, preparing for an upgrade, handing over leadership, SCM's
//! safe mode, counting usage anew.

use std::sync::Arc;

use allotrope_consensus::{Handle, Origin, Role};
use allotrope_proto::hdds::upgrade_finalization_status::Status as Finalization;
use allotrope_proto::hdds::{TransferLeadershipResponseProto, UpgradeFinalizationStatus};
use allotrope_proto::om::prepare_status_response::PrepareStatus;
use allotrope_proto::om::{
    BucketQuotaCount, EchoRpcResponse, FinalizeUpgradeProgressResponse, FinalizeUpgradeResponse,
    GetQuotaRepairStatusResponse, OmRequest, OmResponse, PrepareStatusResponse, QuotaRepairRequest, SafeMode,
    SetSafeModeResponse, StartQuotaRepairResponse, Type,
};
use allotrope_proto::rpc::Fault;
use allotrope_types::OmStatus;

use crate::blocks::Blocks;
use crate::machine::Namespace;
use crate::recount;
use crate::refusal::{Refusal, refuse};
use crate::requests::{REPAIR_ROW, prepared_by};
use crate::server::{OmService, not_proposed};
use crate::tables::META;
use crate::tx::Db;

/// Most bytes that an echo gives back. Ozone allows 2 GiB; no answer of ours is that long.
const ECHO_LEN_MAX: usize = 32 << 20;

impl<B: Blocks> OmService<B> {
    /// Answers a request about the server.
    pub(crate) async fn serve(
        &self,
        origin: Origin,
        request: OmRequest,
    ) -> Result<Result<OmResponse, Refusal>, Fault> {
        let none = OmResponse::default;
        let finalized = || UpgradeFinalizationStatus {
            status: Finalization::AlreadyFinalized as i32,
            messages: Vec::new(),
        };
        Ok(match Type::try_from(request.cmd_type) {
            Ok(Type::ServiceList) => Ok(OmResponse {
                service_list_response: Some(Box::new(
                    self.directory.service_list(&self.replica.status().now()),
                )),
                ..none()
            }),
            Ok(Type::EchoRpc) => return self.echo(origin, request).await,
            Ok(Type::Prepare | Type::CancelPrepare) => {
                return self.replica.propose(origin, &request).await.map(Ok).map_err(not_proposed);
            }
            Ok(Type::PrepareStatus) => self.prepare_status(),
            Ok(Type::FinalizeUpgrade) => Ok(OmResponse {
                finalize_upgrade_response: Some(Box::new(FinalizeUpgradeResponse { status: finalized() })),
                ..none()
            }),
            Ok(Type::FinalizeUpgradeProgress) => Ok(OmResponse {
                finalize_upgrade_progress_response: Some(Box::new(FinalizeUpgradeProgressResponse {
                    status: finalized(),
                })),
                ..none()
            }),
            Ok(Type::TransferLeadership) => {
                let to = request.transfer_om_leadership_request.unwrap_or_default().new_leader_id;
                self.transfer(&to).await
            }
            Ok(Type::SetSafeMode) => {
                self.safe_mode(request.set_safe_mode_request.map_or(0, |asked| asked.safe_mode)).await
            }
            Ok(Type::StartQuotaRepair) => {
                let buckets = request.start_quota_repair_request.unwrap_or_default().buckets;
                tokio::spawn(repair(self.replica.clone(), Arc::clone(&self.clock), buckets));
                Ok(OmResponse {
                    start_quota_repair_response: Some(Box::new(StartQuotaRepairResponse::default())),
                    ..none()
                })
            }
            Ok(Type::GetQuotaRepairStatus) => self.repair_status(),
            _ => Err(Refusal::new(OmStatus::NotSupportedOperation, "not a question about the server")),
        })
    }

    async fn echo(
        &self,
        origin: Origin,
        mut request: OmRequest,
    ) -> Result<Result<OmResponse, Refusal>, Fault> {
        let asked = request.echo_rpc_request.take().unwrap_or_default();
        if !asked.read_only.unwrap_or(true) {
            let put = self.replica.propose(origin, &request).await.map_err(not_proposed)?;
            if put.status != OmStatus::Ok.number() {
                return Ok(Ok(put));
            }
        }
        // The request counts in KiB.
        let len = usize::try_from(asked.payload_size_resp()).unwrap_or(0).saturating_mul(1024);
        let payload = Some(vec![0; len.min(ECHO_LEN_MAX)].into());
        Ok(Ok(OmResponse {
            echo_rpc_response: Some(Box::new(EchoRpcResponse { payload })),
            ..OmResponse::default()
        }))
    }

    /// What this member has applied; not necessarily what the leader has.
    fn prepare_status(&self) -> Result<OmResponse, Refusal> {
        let prepared = self.replica.read_local(|view| prepared_by(Db::new(view)))?;
        let status = match prepared {
            Some(_) => PrepareStatus::PrepareCompleted,
            None => PrepareStatus::NotPrepared,
        };
        let response = PrepareStatusResponse { status: status as i32, current_txn_index: prepared };
        Ok(OmResponse { prepare_status_response: Some(Box::new(response)), ..OmResponse::default() })
    }

    /// Hands leadership to the member `to`, or to any other that votes if it is empty.
    async fn transfer(&self, to: &str) -> Result<OmResponse, Refusal> {
        let status = self.replica.status().now();
        if status.role != Role::Leader {
            refuse!(InvalidRequest, "{} does not lead; ask the leader to hand over", self.directory.node_id);
        }
        let found = match to {
            "" => status.voters.iter().copied().find(|id| *id != status.member),
            name => status.members.iter().find(|(_, member)| member.name == name).map(|(id, _)| *id),
        };
        let Some(id) = found else {
            refuse!(InvalidRequest, "there is no other member to hand leadership to by the name {to:?}")
        };
        match self.replica.transfer_leadership(id).await {
            Ok(()) => Ok(OmResponse {
                transfer_om_leadership_response: Some(Box::new(TransferLeadershipResponseProto {})),
                ..OmResponse::default()
            }),
            Err(error) => refuse!(InternalError, "leadership was not handed over: {error}"),
        }
    }

    async fn safe_mode(&self, action: i32) -> Result<OmResponse, Refusal> {
        let leave = match SafeMode::try_from(action) {
            Ok(SafeMode::Get) => false,
            Ok(SafeMode::Leave | SafeMode::ForceExit) => true,
            Ok(SafeMode::Enter) => {
                refuse!(NotSupportedOperation, "SCM decides itself when it is in safe mode")
            }
            Err(_) => refuse!(InvalidRequest, "{action} is no action of safe mode"),
        };
        let response = SetSafeModeResponse { response: Some(self.blocks.safe_mode(leave).await?) };
        Ok(OmResponse { set_safe_mode_response: Some(Box::new(response)), ..OmResponse::default() })
    }

    fn repair_status(&self) -> Result<OmResponse, Refusal> {
        let status = self.replica.read_local(|view| Db::new(view).get(META, &REPAIR_ROW.to_owned()))?;
        let status = Some(status.unwrap_or_else(|| "no count of usage was asked for".to_owned()));
        let response = GetQuotaRepairStatusResponse { status };
        Ok(OmResponse { get_quota_repair_status_response: Some(Box::new(response)), ..OmResponse::default() })
    }
}

/// Counts, and corrects what differs. The meta table keeps how it ended.
async fn repair(
    replica: Handle<Namespace>,
    clock: Arc<dyn allotrope_consensus::Clock>,
    buckets: Vec<String>,
) {
    let counted = replica.read(|view| recount::differences(Db::new(view), &buckets)).await;
    let bucket_count: Vec<BucketQuotaCount> = match counted {
        Ok(Ok(differences)) => differences,
        Ok(Err(error)) => return tracing::error!(%error, "usage cannot be counted"),
        Err(error) => return tracing::warn!(%error, "usage cannot be counted here"),
    };
    let wrong = bucket_count.len();
    let request = OmRequest {
        cmd_type: Type::QuotaRepair as i32,
        quota_repair_request: Some(Box::new(QuotaRepairRequest {
            bucket_count,
            support_volume_old_quota: false,
        })),
        trace_id: Some(format!(
            "counted at {} ms: {wrong} buckets were wrong and are corrected",
            clock.unix_ms()
        )),
        ..OmRequest::default()
    };
    if let Err(error) = replica.propose(Origin::Service, &request).await {
        tracing::error!(%error, "the correction of usage was not written");
    }
}
