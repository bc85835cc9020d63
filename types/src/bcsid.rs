//! How new a block or a container replica is.

crate::id::numeric_id! {
    /// Block commit sequence id: the Raft log index of the PutBlock that committed a block, and of a container
    /// replica the largest of its blocks. 0 where no Raft log numbers the writes (EC, STANDALONE).
    Bcsid, "block commit sequence id", "118"
}
