//! Calls to datanodes.
//!
//! Shape   one request and one answer a call, on a connection that all calls to that datanode share. Chunk bytes
//!         travel beside the message, in the pieces they came in.
//! Errors  [`DatanodeError`] names the datanode, the command and the block.
//! Source  `/hadoop.hdds.datanode.XceiverClientProtocolService/send`.

mod command;
mod error;
mod ratis;
mod standing;
mod verified;

pub(crate) use command::{BlockAt, chunk_name, extent};
pub use error::DatanodeError;
pub(crate) use ratis::RatisPipeline;
pub(crate) use standing::Standing;
pub(crate) use verified::read_verified;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use allotrope_proto::bulk::SplitLimits;
use allotrope_proto::container::Type;
use allotrope_proto::edge::command::{CommandRequest, CommandResponse};
use allotrope_types::DatanodeResult;

use crate::channel::{Address, CallError, Channel};
use crate::config::Config;
use crate::location::Member;

const SEND: &str = "/hadoop.hdds.datanode.XceiverClientProtocolService/send";
/// Ozone's largest message.
const MESSAGE_LEN_MAX: usize = 32 << 20;

/// Connections to datanodes, by address.
#[derive(Debug)]
pub(crate) struct Datanodes {
    channels: Mutex<BTreeMap<Address, Arc<Channel>>>,
    connect_deadline: Duration,
    deadline: Duration,
    standing: Standing,
    ratis: ratis::RatisCaller,
}

impl Datanodes {
    pub(crate) fn new(config: &Config) -> Datanodes {
        Datanodes {
            channels: Mutex::default(),
            connect_deadline: config.connect_deadline,
            deadline: config.datanode_deadline,
            standing: Standing::new(config.hedge),
            ratis: ratis::RatisCaller::new(),
        }
    }

    /// What is thought of the datanodes.
    pub(crate) fn standing(&self) -> &Standing {
        &self.standing
    }

    /// `member` was overtaken: it is asked last for a while, and then over a new connection.
    pub(crate) fn overtaken(&self, member: &Member) {
        self.standing.avoid(member.datanode);
        self.channel(&member.address).forget();
    }

    fn channel(&self, address: &Address) -> Arc<Channel> {
        let mut channels = self.channels.lock().expect("nothing panics while it holds the lock");
        let fresh = || Arc::new(Channel::new(address.clone(), self.connect_deadline, MESSAGE_LEN_MAX));
        channels.entry(address.clone()).or_insert_with(fresh).clone()
    }

    /// Carries one command to `member` and gives back its answer if that is SUCCESS.
    async fn send(&self, member: &Member, request: CommandRequest) -> Result<CommandResponse, DatanodeError> {
        let command = request.command.kind();
        let failed = |source| {
            self.standing.avoid(member.datanode);
            DatanodeError::Call { datanode: member.datanode, command, source }
        };
        let answer = self
            .channel(&member.address)
            .call(SEND, request.frames(), self.deadline)
            .await
            .map_err(failed)?;
        let garbled = |source| failed(CallError::Garbled { peer: member.address.clone(), source });
        let answer = CommandResponse::read(answer, SplitLimits::default()).map_err(garbled)?;
        let answer = successful(member, command, answer)?;
        self.standing.trust(member.datanode);
        Ok(answer)
    }
}

/// The answer, if its result is SUCCESS.
fn successful(
    member: &Member,
    command: Type,
    answer: CommandResponse,
) -> Result<CommandResponse, DatanodeError> {
    match answer.result {
        DatanodeResult::Success => Ok(answer),
        result => {
            let message = answer.message.unwrap_or_default();
            Err(DatanodeError::Refused { datanode: member.datanode, command, result, message })
        }
    }
}
