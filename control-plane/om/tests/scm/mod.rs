//! An SCM on the wire that knows one datanode and gives out blocks of one container.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::sync::{Arc, Mutex};

use allotrope_proto::hadoop_rpc::{HadoopServer, HadoopServerConfig};
use allotrope_proto::hdds::*;
use allotrope_proto::net::{AcceptLimits, Drain, Plain, listen};
use allotrope_proto::rpc::catalog::{ScmBlockSend, ScmContainerSubmit};
use allotrope_proto::rpc::{CallContext, Fault, Methods, Service};
use allotrope_proto::scm_block::*;
use allotrope_proto::scm_container::{
    self, GetContainerWithPipelineBatchResponseProto, ScmContainerLocationRequest,
    ScmContainerLocationResponse,
};

#[derive(Default)]
struct State {
    blocks: AtomicI64,
    deleted: Mutex<Vec<KeyBlocks>>,
    safe_mode: AtomicBool,
}

pub(crate) struct Scm {
    pub(crate) port: u16,
    state: Arc<State>,
}

impl Scm {
    pub(crate) async fn start() -> Scm {
        let state = Arc::new(State::default());
        let methods = Methods::new().serve::<ScmBlockSend, _>(&state).unwrap();
        let methods = Arc::new(methods.serve::<ScmContainerSubmit, _>(&state).unwrap());
        let server = HadoopServer::new(HadoopServerConfig::default(), methods).unwrap();
        let listener = listen(SocketAddr::from(([127, 0, 0, 1], 0))).unwrap();
        let port = listener.local_addr().unwrap().port();
        tokio::spawn(async move {
            server.serve(listener, Plain, AcceptLimits::default(), &Drain::new()).await;
        });
        Scm { port, state }
    }

    pub(crate) fn set_safe_mode(&self, on: bool) {
        self.state.safe_mode.store(on, Ordering::Relaxed);
    }

    pub(crate) fn deleted(&self) -> Vec<KeyBlocks> {
        self.state.deleted.lock().unwrap().clone()
    }
}

fn pipeline() -> Pipeline {
    let node = DatanodeDetailsProto {
        uuid: Some("5d639e5c-ce06-40ca-8859-c07b8e8c56c1".into()),
        ip_address: "127.0.0.1".into(),
        host_name: "localhost".into(),
        ..DatanodeDetailsProto::default()
    };
    Pipeline { members: vec![node], state: Some(2), factor: Some(1), ..Pipeline::default() }
}

impl Service<ScmBlockSend> for State {
    async fn call(
        &self,
        _: CallContext,
        request: ScmBlockLocationRequest,
    ) -> Result<ScmBlockLocationResponse, Fault> {
        let mut response = ScmBlockLocationResponse {
            cmd_type: request.cmd_type,
            status: Status::Ok as i32,
            ..Default::default()
        };
        if let Some(asked) = request.allocate_scm_block_request {
            let block = |_| AllocateBlockResponse {
                container_block_id: Some(ContainerBlockId {
                    container_id: 7,
                    local_id: self.blocks.fetch_add(1, Ordering::Relaxed),
                }),
                pipeline: Some(pipeline()),
            };
            response.allocate_scm_block_response =
                Some(AllocateScmBlockResponseProto { blocks: (0..asked.num_blocks).map(block).collect() });
        }
        if let Some(asked) = request.delete_scm_key_blocks_request {
            let results = asked
                .key_blocks
                .iter()
                .map(|key| DeleteKeyBlocksResultProto {
                    object_key: key.key.clone(),
                    block_results: key
                        .blocks
                        .iter()
                        .map(|id| DeleteScmBlockResult { result: 1, block_id: *id })
                        .collect(),
                })
                .collect();
            self.deleted.lock().unwrap().extend(asked.key_blocks);
            response.delete_scm_key_blocks_response = Some(DeleteScmKeyBlocksResponseProto { results });
        }
        if request.get_scm_info_request.is_some() {
            response.get_scm_info_response = Some(GetScmInfoResponseProto {
                cluster_id: "CID-test".into(),
                scm_id: "scm-test".into(),
                peer_roles: Vec::new(),
            });
        }
        Ok(response)
    }
}

impl Service<ScmContainerSubmit> for State {
    async fn call(
        &self,
        _: CallContext,
        request: ScmContainerLocationRequest,
    ) -> Result<ScmContainerLocationResponse, Fault> {
        if request.force_exit_safe_mode_request.is_some() {
            self.safe_mode.store(false, Ordering::Relaxed);
        }
        let in_safe_mode = self.safe_mode.load(Ordering::Relaxed);
        let in_safe_mode_response =
            request.in_safe_mode_request.map(|_| scm_container::InSafeModeResponseProto { in_safe_mode });
        let force_exit_safe_mode_response = request
            .force_exit_safe_mode_request
            .map(|_| scm_container::ForceExitSafeModeResponseProto { exited_safe_mode: true });
        let asked = request.get_container_with_pipeline_batch_request.unwrap_or_default();
        let container_with_pipelines = asked
            .container_i_ds
            .into_iter()
            .map(|container_id| ContainerWithPipeline {
                container_info: ContainerInfoProto { container_id, ..ContainerInfoProto::default() },
                pipeline: pipeline(),
            })
            .collect();
        Ok(ScmContainerLocationResponse {
            cmd_type: request.cmd_type,
            status: scm_container::scm_container_location_response::Status::Ok as i32,
            get_container_with_pipeline_batch_response: Some(GetContainerWithPipelineBatchResponseProto {
                container_with_pipelines,
            }),
            in_safe_mode_response,
            force_exit_safe_mode_response,
            ..ScmContainerLocationResponse::default()
        })
    }
}
