//! The two backs: how a shard's thread starts and what runs its tasks.

pub(crate) mod portable;
pub(crate) mod pulse;
pub(crate) mod shares;
pub(crate) mod uring;
