//! Pipelines: made, found, listed, closed, put to sleep and woken.

use allotrope_types::{PipelineId, ReplicationConfig};

use crate::edge::field::enums;
use crate::edge::hdds::{Node, Pipeline};
use crate::{hdds, scm_container as wire};

pub use crate::scm_container::pipeline_response_proto::Error as PipelineOutcome;

enums!(PipelineOutcome);

alone! {
    wire;
    GetPipelineResponseProto.pipeline is Pipeline,
    ListPipelineResponseProto.pipelines is Vec<Pipeline>,
}
alone! {
    hdds;
    NodePool.nodes is Vec<Node>,
}
empty! {
    wire;
    ActivatePipelineResponseProto,
    DeactivatePipelineResponseProto,
    ClosePipelineResponseProto,
}
message! {
    /// Asks for a new pipeline, of these datanodes if they are named.
    AllocatePipeline = wire => PipelineRequestProto {
        node_pool: Option<Vec<Node>>,
        pipeline_id: Option<PipelineId>,
        trace_id: Option<String>,
        ;
        replication: ReplicationConfig = (replication_type, replication_factor),
    }
}
message! {
    /// The new pipeline, and how it went.
    AllocatedPipeline = wire => PipelineResponseProto {
        error_code: PipelineOutcome,
        pipeline: Option<Pipeline>,
        error_message: Option<String>,
    }
}
message! {
    /// One pipeline.
    NamedPipeline = wire =>
        GetPipelineRequestProto,
        ActivatePipelineRequestProto,
        DeactivatePipelineRequestProto,
        ClosePipelineRequestProto
    {
        trace_id: Option<String>,
        ;
        pipeline: PipelineId = (pipeline_id),
    }
}
