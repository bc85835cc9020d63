//! Snapshots' names.

crate::uuid_id::uuid_id! {
    /// A snapshot's name: drawn when it is taken. Its checkpoint's folder and the chain of snapshots carry it.
    SnapshotId, "snapshot id"
}
