//! Pipelines' names.

crate::uuid_id::uuid_id! {
    /// A pipeline's name, and the id of its Raft group where it has one.
    PipelineId, "pipeline id"
}
