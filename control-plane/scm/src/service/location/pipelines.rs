//! Pipelines: list, look up, create, set aside, close.

use allotrope_proto::hdds;
use allotrope_proto::rpc::Fault;
use allotrope_proto::scm_container::{
    GetPipelineResponseProto, ListPipelineResponseProto, PipelineRequestProto, PipelineResponseProto,
    pipeline_response_proto,
};

use crate::blocks::choose;
use crate::pipeline::PipelineState;
use crate::replicated::command::{Change, OnPipeline, SetPipelineState};
use crate::scm::{Scm, class};
use crate::service::block::allocate::new_pipeline;
use crate::service::not_made;
use crate::wire;
use allotrope_types::ReplicationConfig;

pub(super) fn list(scm: &Scm) -> ListPipelineResponseProto {
    let cluster = scm.cluster();
    ListPipelineResponseProto {
        pipelines: cluster.blocks.pipelines().map(|p| cluster.pipeline_message(p)).collect(),
    }
}

pub(super) fn get(scm: &Scm, id: &hdds::PipelineId) -> Result<GetPipelineResponseProto, Fault> {
    let id = wire::pipeline_id_of(id).map_err(|why| Fault::io(why.to_string()))?;
    let cluster = scm.cluster();
    let found = cluster.blocks.pipeline(id).map(|pipeline| cluster.pipeline_message(pipeline));
    let pipeline = found.ok_or_else(|| not_found(&id))?;
    Ok(GetPipelineResponseProto { pipeline })
}

fn not_found(id: &dyn std::fmt::Display) -> Fault {
    Fault::application(class::PIPELINE_NOT_FOUND, format!("PipelineID={id} not found"))
}

/// Refuses the id of a pipeline that is not there.
fn check(scm: &Scm, id: &hdds::PipelineId) -> Result<(), Fault> {
    get(scm, id).map(|_| ())
}

pub(super) async fn allocate(
    scm: &Scm,
    asked: &PipelineRequestProto,
) -> Result<PipelineResponseProto, Fault> {
    let refused = |why: &dyn std::fmt::Display| Fault::application(class::SCM, why.to_string());
    let config = wire::replication_of(asked.replication_type, Some(asked.replication_factor), None);
    let config = config.map_err(|why| refused(&why))?;
    choose::check_config(config).map_err(|why| refused(&why))?;
    let pipeline = match config {
        ReplicationConfig::Ratis(_) => {
            let now = scm.now();
            let made = scm.cluster().new_ratis(config, now);
            made.map_err(|why| refused(&why))?
        }
        _ => {
            let key = (config, String::new());
            let nodes = choose::place(&mut scm.cluster(), &key, &Default::default(), &scm.config);
            new_pipeline(scm, config, &nodes.map_err(|why| refused(&why))?)
        }
    };
    let message = pipeline.to_message(|_| None);
    scm.propose(Change::AddPipeline(message)).await.map_err(|why| not_made(&why))?;
    Ok(PipelineResponseProto {
        error_code: pipeline_response_proto::Error::Success as i32,
        pipeline: Some(scm.cluster().pipeline_message(&pipeline)),
        error_message: None,
    })
}

pub(super) async fn set_dormant(scm: &Scm, pipeline: hdds::PipelineId, dormant: bool) -> Result<(), Fault> {
    check(scm, &pipeline)?;
    let state = if dormant { PipelineState::Dormant } else { PipelineState::Open } as i32;
    let set = SetPipelineState { pipeline, state };
    scm.propose(Change::SetPipelineState(set)).await.map(|_| ()).map_err(|why| not_made(&why))
}

pub(super) async fn close(scm: &Scm, pipeline: hdds::PipelineId) -> Result<(), Fault> {
    check(scm, &pipeline)?;
    scm.propose(Change::ClosePipeline(OnPipeline { pipeline }))
        .await
        .map(|_| ())
        .map_err(|why| not_made(&why))
}
