//! Blocks: what OM asks of SCM.
//!
//! Shape   [`Blocks`] is the face; [`ScmBlocks`] asks an SCM over the wire, by any transport.
//! Errors  a [`Refusal`] with the status a client acts on: SCM_IN_SAFE_MODE makes it wait and ask again.

use std::collections::BTreeMap;
use std::future::Future;
use std::time::Duration;

use allotrope_proto::hdds::{BlockId, GetScmInfoRequestProto, GetScmInfoResponseProto, Pipeline};
use allotrope_proto::om::KeyLocation;
use allotrope_proto::rpc::catalog::{ScmBlockSend, ScmContainerSubmit};
use allotrope_proto::rpc::{CallOptions, RpcClient};
use allotrope_proto::scm_block::{
    self, AllocateScmBlockRequestProto, DeleteScmKeyBlocksRequestProto, KeyBlocks, ScmBlockLocationRequest,
    ScmBlockLocationResponse,
};
use allotrope_proto::scm_container::{
    self, ForceExitSafeModeRequestProto, GetContainerWithPipelineBatchRequestProto, InSafeModeRequestProto,
    ScmContainerLocationRequest,
};
use allotrope_types::OmStatus;

use crate::namespace::replication;
use crate::refusal::{Refusal, refuse};
use crate::requests::BlockWish;

/// Longest wait for an answer of SCM.
const ANSWER_TIME_MAX: Duration = Duration::from_secs(30);

/// Where blocks come from, are found, and go.
pub trait Blocks: Send + Sync + 'static {
    /// Allocates the blocks of `wish` for a client at `client`, with the pipelines to write them to.
    fn allocate(
        &self,
        wish: &BlockWish,
        client: &str,
    ) -> impl Future<Output = Result<Vec<KeyLocation>, Refusal>> + Send;

    /// Where the containers are read now, by container id. A container that SCM does not know is an error.
    fn locate(
        &self,
        containers: &[i64],
    ) -> impl Future<Output = Result<BTreeMap<i64, Pipeline>, Refusal>> + Send;

    /// Gives the blocks of deleted keys back. Which of `keys` SCM took, in their order.
    fn delete(&self, keys: Vec<KeyBlocks>) -> impl Future<Output = Result<Vec<bool>, Refusal>> + Send;

    /// Whether SCM is in safe mode, after it was told to leave it if `leave`.
    fn safe_mode(&self, leave: bool) -> impl Future<Output = Result<bool, Refusal>> + Send;

    /// Who the SCM is, and which cluster it is of.
    fn info(&self) -> impl Future<Output = Result<GetScmInfoResponseProto, Refusal>> + Send;
}

/// Asks an SCM: one client for its block service, one for its container service.
#[derive(Clone, Debug)]
pub struct ScmBlocks<B, C> {
    blocks: B,
    containers: C,
    /// The name under which this OM owns containers.
    owner: String,
}

impl<B: RpcClient, C: RpcClient> ScmBlocks<B, C> {
    /// Asks `blocks` (SCM's port 9863) and `containers` (9860), as the owner `owner`.
    pub fn new(blocks: B, containers: C, owner: impl Into<String>) -> ScmBlocks<B, C> {
        ScmBlocks { blocks, containers, owner: owner.into() }
    }

    async fn ask(&self, request: ScmBlockLocationRequest) -> Result<ScmBlockLocationResponse, Refusal> {
        let response = self.blocks.call::<ScmBlockSend>(&request, &options()).await.map_err(unreachable)?;
        match scm_block::Status::try_from(response.status) {
            Ok(scm_block::Status::Ok) => Ok(response),
            Ok(status) => Err(refused(status, response.message())),
            Err(_) => refuse!(InternalError, "SCM answered with the unknown status {}", response.status),
        }
    }
}

fn options() -> CallOptions {
    CallOptions { time_max: Some(ANSWER_TIME_MAX), ..CallOptions::default() }
}

fn unreachable(error: allotrope_proto::rpc::CallError) -> Refusal {
    Refusal::new(OmStatus::InternalError, format!("SCM did not answer: {error}"))
}

/// What OM's client is told when SCM refuses.
fn refused(status: scm_block::Status, message: &str) -> Refusal {
    let name = status.as_str_name();
    let told = match status {
        scm_block::Status::SafeModeException => OmStatus::ScmInSafeMode,
        scm_block::Status::UnsupportedOperation => OmStatus::NotSupportedOperation,
        scm_block::Status::InvalidBlockSize => OmStatus::InvalidRequest,
        _ => OmStatus::InternalError,
    };
    Refusal::new(told, format!("SCM: {name}: {message}"))
}

fn request(command: scm_block::Type) -> ScmBlockLocationRequest {
    ScmBlockLocationRequest { cmd_type: command as i32, ..ScmBlockLocationRequest::default() }
}

impl<B: RpcClient, C: RpcClient> Blocks for ScmBlocks<B, C> {
    async fn allocate(&self, wish: &BlockWish, client: &str) -> Result<Vec<KeyLocation>, Refusal> {
        let (kind, factor, ec) = replication::to_wire(wish.config);
        let asked = AllocateScmBlockRequestProto {
            size: wish.size,
            num_blocks: u32::try_from(wish.count).unwrap_or(u32::MAX),
            r#type: kind,
            factor,
            owner: self.owner.clone(),
            exclude_list: wish.exclude.clone(),
            ec_replication_config: ec,
            client: (!client.is_empty()).then(|| client.to_owned()),
        };
        let request = ScmBlockLocationRequest {
            allocate_scm_block_request: Some(asked),
            ..request(scm_block::Type::AllocateScmBlock)
        };
        let given = self.ask(request).await?.allocate_scm_block_response.unwrap_or_default().blocks;
        if given.is_empty() {
            refuse!(InternalError, "SCM allocated no block and gave no reason");
        }
        given
            .into_iter()
            .map(|block| match (block.container_block_id, block.pipeline) {
                (Some(id), Some(pipeline)) => Ok(KeyLocation {
                    block_id: BlockId { container_block_id: id, block_commit_sequence_id: Some(0) },
                    offset: 0,
                    length: wish.size,
                    create_version: Some(0),
                    token: None,
                    pipeline: Some(pipeline),
                    part_number: Some(0),
                }),
                _ => {
                    Err(Refusal::new(OmStatus::InternalError, "SCM allocated a block without id or pipeline"))
                }
            })
            .collect()
    }

    async fn locate(&self, containers: &[i64]) -> Result<BTreeMap<i64, Pipeline>, Refusal> {
        let asked =
            GetContainerWithPipelineBatchRequestProto { container_i_ds: containers.to_vec(), trace_id: None };
        let request = ScmContainerLocationRequest {
            cmd_type: scm_container::Type::GetContainerWithPipelineBatch as i32,
            get_container_with_pipeline_batch_request: Some(asked),
            ..ScmContainerLocationRequest::default()
        };
        let response =
            self.containers.call::<ScmContainerSubmit>(&request, &options()).await.map_err(unreachable)?;
        let found =
            response.get_container_with_pipeline_batch_response.unwrap_or_default().container_with_pipelines;
        let found: BTreeMap<i64, Pipeline> =
            found.into_iter().map(|pair| (pair.container_info.container_id, pair.pipeline)).collect();
        if let Some(unknown) = containers.iter().find(|id| !found.contains_key(id)) {
            refuse!(
                ScmGetPipelineException,
                "SCM names no place for container {unknown}: {}",
                response.message.unwrap_or_default()
            );
        }
        Ok(found)
    }

    async fn delete(&self, keys: Vec<KeyBlocks>) -> Result<Vec<bool>, Refusal> {
        let names: Vec<String> = keys.iter().map(|key| key.key.clone()).collect();
        let request = ScmBlockLocationRequest {
            delete_scm_key_blocks_request: Some(DeleteScmKeyBlocksRequestProto { key_blocks: keys }),
            ..request(scm_block::Type::DeleteScmKeyBlocks)
        };
        let results = self.ask(request).await?.delete_scm_key_blocks_response.unwrap_or_default().results;
        // The enum's first value, success, is 1.
        let taken: BTreeMap<String, bool> = results
            .into_iter()
            .map(|result| (result.object_key, result.block_results.iter().all(|block| block.result == 1)))
            .collect();
        Ok(names.iter().map(|name| taken.get(name).copied().unwrap_or(false)).collect())
    }

    async fn safe_mode(&self, leave: bool) -> Result<bool, Refusal> {
        let ask = async |request: ScmContainerLocationRequest| {
            self.containers.call::<ScmContainerSubmit>(&request, &options()).await.map_err(unreachable)
        };
        if leave {
            let asked = ScmContainerLocationRequest {
                cmd_type: scm_container::Type::ForceExitSafeMode as i32,
                force_exit_safe_mode_request: Some(ForceExitSafeModeRequestProto::default()),
                ..ScmContainerLocationRequest::default()
            };
            let left = ask(asked).await?.force_exit_safe_mode_response.is_some_and(|a| a.exited_safe_mode);
            if !left {
                refuse!(InternalError, "SCM did not leave safe mode");
            }
        }
        let asked = ScmContainerLocationRequest {
            cmd_type: scm_container::Type::InSafeMode as i32,
            in_safe_mode_request: Some(InSafeModeRequestProto::default()),
            ..ScmContainerLocationRequest::default()
        };
        match ask(asked).await?.in_safe_mode_response {
            Some(answer) => Ok(answer.in_safe_mode),
            None => refuse!(InternalError, "SCM did not say whether it is in safe mode"),
        }
    }

    async fn info(&self) -> Result<GetScmInfoResponseProto, Refusal> {
        let request = ScmBlockLocationRequest {
            get_scm_info_request: Some(GetScmInfoRequestProto { trace_id: None }),
            ..request(scm_block::Type::GetScmInfo)
        };
        match self.ask(request).await?.get_scm_info_response {
            Some(info) => Ok(info),
            None => refuse!(InternalError, "SCM did not say which cluster it is of"),
        }
    }
}
