//! Pipelines: replicated writes of clients that speak Ratis, in one hop and without a log of their own.
//!
//! Owns    a pipeline on its home shard ([`group`]): its numbers, its order, its end; the leader's stream to each follower
//!         (`link`, [`follow`]); the port of the clients ([`edge`]); what SCM is told ([`directory`]).
//! Shape   SCM makes a pipeline of one or three and names its leader, by priority. The leader gives each command the next
//!         index, sends it to the others and answers when all have it. A pipeline's id is its epoch: any trouble ends it for
//!         ever, and clients go on elsewhere.
//! Law     a member that ends an epoch takes no new write, lets those under way land, makes the end durable, and only then
//!         does a container of it become QUASI_CLOSED here. No answer without all members: one that has ended it is enough
//!         to stop all later answers.
//! Units   an index counts commands of a pipeline from 1; a PutBlock's index is its BCSID.
//! Source  docs/pipelines.md; wire facts: datapath.md 4.

pub mod boot;
pub mod directory;
pub mod edge;
pub mod execute;
pub mod follow;
pub mod frame;
pub mod group;
pub mod home;
mod lanes;
mod link;
mod plan;
pub mod record;
mod retry;

pub use directory::{Entry, Pipelines};
pub use home::Ask;
pub use plan::{Member, Plan, PlanError};
pub(crate) use plan::{PORT_ADMIN, PORT_RATIS};
pub use retry::Call;

use allotrope_types::{ByteCount, DatanodeId, PipelineId};
use std::net::SocketAddr;
use std::time::Duration;

/// How a datanode takes part in pipelines. The names of the settings stand beside the fields.
#[derive(Clone, Debug)]
pub struct PipelineConfig {
    /// Where clients of Ratis and the other members are served (`hdds.container.ratis.ipc.port`, 9858).
    pub listen: SocketAddr,
    /// Where administrators are served (`hdds.container.ratis.admin.port`, 9857).
    pub admin: SocketAddr,
    /// Longest that a member may leave a command unanswered, or the leader be away (`allotrope.pipeline.member-deadline`,
    /// 10 s); then the pipeline ends.
    pub member_deadline: Duration,
    /// Bytes of commands that may be under way as a leader, and as many again as a follower
    /// (`allotrope.pipeline.memory`, 256 MiB). Beyond it clients wait, by flow control.
    pub memory: ByteCount,
    /// Longest a client may wait for an index to be everywhere (`hdds.ratis.raft.server.watch.timeout`, 30 s).
    pub watch_max: Duration,
}

impl Default for PipelineConfig {
    fn default() -> PipelineConfig {
        PipelineConfig {
            listen: SocketAddr::from(([0, 0, 0, 0], 9858)),
            admin: SocketAddr::from(([0, 0, 0, 0], 9857)),
            member_deadline: Duration::from_secs(10),
            memory: ByteCount::mib(256),
            watch_max: Duration::from_secs(30),
        }
    }
}

/// The shard, of `shards`, that owns `pipeline` on `datanode`.
pub fn home_of(datanode: DatanodeId, pipeline: PipelineId, shards: usize) -> allotrope_io::ShardId {
    let (most, least) = pipeline.to_halves();
    crate::node::home_of(datanode, allotrope_types::ContainerId::new((most ^ least).unsigned_abs()), shards)
}
