//! What to do next after a failure.

/// What whoever meets an error should do next. Result codes and errors of every role give one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Advice {
    /// Nothing went wrong, or what was asked for is already so: go on.
    Proceed,
    /// The request cannot succeed as it is, here or elsewhere: change it, or tell the user.
    FixRequest,
    /// The same request may succeed here soon: wait a little, then ask again, up to a deadline.
    RetryLater,
    /// This node does not lead: ask the leader.
    AskLeader,
    /// Write elsewhere: ask for a new block and leave this container (or this datanode) out of it.
    AllocateElsewhere,
    /// Read from another replica; if all fail, ask OM where the block is now.
    ReadElsewhere,
    /// The token is wrong or too old: fetch a new one, then ask again.
    RefreshToken,
    /// The replica lost or damaged something: have it replaced from the others.
    ReplaceReplica,
    /// A person must look: the server failed in a way that no retry mends.
    CallOperator,
}
