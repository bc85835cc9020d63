//! Blocks' names inside a container.

crate::id::numeric_id! {
    /// A block's name inside its container. SCM assigns it from a sequence that is unique across the cluster; all
    /// replicas of a block (and all cells' blocks of an EC block group) share it.
    LocalId, "local id", "115816896921600001"
}
