//! Containers' names.

crate::id::numeric_id! {
    /// A container's name across the cluster. SCM assigns it once and never reuses it.
    ContainerId, "container id", "42"
}
