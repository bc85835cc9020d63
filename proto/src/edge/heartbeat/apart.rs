//! SCM's answer to a datanode, its commands read one by one: one that is malformed is refused by name and costs none of the
//! others.
//!
//! Shape   [`ScmDatanodeResponseApart`] is SCMDatanodeResponse with each command left as its bytes, so that neither the walk
//!         nor prost refuses them all for one; [`DatanodeResponseApart`] is what it says.
//! Errors  [`WireError`] for the answer itself, [`RefusedCommand`] for a command.
//! Source  docs/decisions/0006-edge-of-the-wire.md. Java's datanode refuses the whole answer.

use allotrope_types::{DatanodeId, Term};
use bytes::Bytes;
use prost::Message;

use super::{CommandKind, ScmCommand, ScmRegisteredResponse, ScmVersionResponse, Status, Type};
use crate::edge::field::{At, Field};
use crate::heartbeat as wire;
use crate::required::{FieldRules, Holds, MessageRules};
use crate::{Checked, WireError, decode};

/// SCMDatanodeResponse as far as datanodes read it, the commands as bytes.
#[derive(Clone, PartialEq, Message)]
#[allow(missing_docs, reason = "fields are those of the message, which says what they are")]
pub struct ScmDatanodeResponseApart {
    #[prost(enumeration = "Type", required, tag = "1")]
    pub cmd_type: i32,
    #[prost(string, optional, tag = "4")]
    pub message: Option<String>,
    #[prost(enumeration = "Status", required, tag = "5")]
    pub status: i32,
    #[prost(message, optional, tag = "6")]
    pub get_version_response: Option<wire::ScmVersionResponseProto>,
    #[prost(message, optional, tag = "7")]
    pub register_response: Option<wire::ScmRegisteredResponseProto>,
    #[prost(message, optional, tag = "8")]
    pub send_heartbeat_response: Option<ScmHeartbeatResponseApart>,
}

/// SCMHeartbeatResponseProto, the commands as bytes.
#[derive(Clone, PartialEq, Message)]
#[allow(missing_docs, reason = "fields are those of the message, which says what they are")]
pub struct ScmHeartbeatResponseApart {
    #[prost(string, required, tag = "1")]
    pub datanode_uuid: String,
    #[prost(bytes = "bytes", repeated, tag = "2")]
    pub commands: Vec<Bytes>,
    #[prost(int64, optional, tag = "3")]
    pub term: Option<i64>,
}

const fn field(number: u32, name: &'static str, required: Option<u32>, holds: Holds) -> FieldRules {
    FieldRules { number, name, required, holds }
}

/// The generated rules, but for what is in the commands; a test compares them.
static RESPONSE: MessageRules = MessageRules {
    name: "SCMDatanodeResponse",
    names: wire::ScmDatanodeResponse::RULES.names,
    required_count: 2,
    fields: &[
        field(1, "cmdType", Some(0), Holds::Enum(&[1, 2, 3])),
        field(5, "status", Some(1), Holds::Enum(&[1, 2])),
        field(6, "getVersionResponse", None, Holds::Message(wire::ScmVersionResponseProto::RULES)),
        field(7, "registerResponse", None, Holds::Message(wire::ScmRegisteredResponseProto::RULES)),
        field(8, "sendHeartbeatResponse", None, Holds::Message(&HEARTBEAT)),
    ],
};
static HEARTBEAT: MessageRules = MessageRules {
    name: "SCMHeartbeatResponseProto",
    names: wire::ScmHeartbeatResponseProto::RULES.names,
    required_count: 1,
    fields: &[field(1, "datanodeUUID", Some(0), Holds::Other)],
};

impl Checked for ScmDatanodeResponseApart {
    const RULES: &'static MessageRules = &RESPONSE;
}

impl Checked for ScmHeartbeatResponseApart {
    const RULES: &'static MessageRules = &HEARTBEAT;
}

/// SCM's answer.
#[derive(Clone, Debug, PartialEq)]
pub struct DatanodeResponseApart {
    /// The call that is answered.
    pub kind: Type,
    /// What was asked for; a failure has none.
    pub answer: Option<DatanodeAnswerApart>,
    /// Whether the call worked.
    pub status: Status,
    /// Why it did not.
    pub message: Option<String>,
}

/// What SCM says.
#[derive(Clone, Debug, PartialEq)]
pub enum DatanodeAnswerApart {
    /// To `GetVersion`.
    GetVersion(ScmVersionResponse),
    /// To `Register`.
    Register(ScmRegisteredResponse),
    /// To `SendHeartbeat`.
    SendHeartbeat(ScmHeartbeatApart),
}

/// What SCM wants done.
#[derive(Clone, Debug, PartialEq)]
pub struct ScmHeartbeatApart {
    /// Whom it answers.
    pub datanode_uuid: DatanodeId,
    /// The commands in SCM's order.
    pub commands: Vec<Result<ScmCommand, RefusedCommand>>,
    /// The leader's term; followers say none.
    pub term: Option<Term>,
}

/// A command that cannot be carried out because it is not what it should be, and what SCM can be told by.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[error("a command of SCM's is malformed")]
pub struct RefusedCommand {
    /// Its kind, if that is one we know.
    pub kind: Option<CommandKind>,
    /// Its number, if it has one.
    pub cmd_id: Option<i64>,
    /// What is wrong with it.
    #[source]
    pub why: WireError,
}

/// The answer of an SCM that is in the same process; every field of it is named, so that none is forgotten above.
impl From<wire::ScmDatanodeResponse> for ScmDatanodeResponseApart {
    fn from(message: wire::ScmDatanodeResponse) -> ScmDatanodeResponseApart {
        let wire::ScmDatanodeResponse {
            cmd_type,
            trace_id: _,
            success: _,
            message,
            status,
            get_version_response,
            register_response,
            send_heartbeat_response,
        } = message;
        let send_heartbeat_response = send_heartbeat_response.map(|heartbeat| {
            let wire::ScmHeartbeatResponseProto { datanode_uuid, commands, term } = heartbeat;
            let commands = commands.iter().map(|command| command.encode_to_vec().into()).collect();
            ScmHeartbeatResponseApart { datanode_uuid, commands, term }
        });
        ScmDatanodeResponseApart {
            cmd_type,
            message,
            status,
            get_version_response,
            register_response,
            send_heartbeat_response,
        }
    }
}

impl TryFrom<ScmDatanodeResponseApart> for DatanodeResponseApart {
    type Error = WireError;

    fn try_from(message: ScmDatanodeResponseApart) -> Result<DatanodeResponseApart, WireError> {
        let at = |field| At::new(ScmDatanodeResponseApart::RULES, field);
        let kind = Type::read(message.cmd_type, at("cmd_type"))?;
        let answer = match kind {
            Type::GetVersion => {
                let answer = message.get_version_response.map(ScmVersionResponse::try_from);
                answer.transpose()?.map(DatanodeAnswerApart::GetVersion)
            }
            Type::Register => {
                let answer = message.register_response.map(ScmRegisteredResponse::try_from);
                answer.transpose()?.map(DatanodeAnswerApart::Register)
            }
            Type::SendHeartbeat => {
                let answer = message.send_heartbeat_response.map(ScmHeartbeatApart::try_from);
                answer.transpose()?.map(DatanodeAnswerApart::SendHeartbeat)
            }
        };
        let status = Status::read(message.status, at("status"))?;
        Ok(DatanodeResponseApart { kind, answer, status, message: message.message })
    }
}

impl TryFrom<ScmHeartbeatResponseApart> for ScmHeartbeatApart {
    type Error = WireError;

    fn try_from(message: ScmHeartbeatResponseApart) -> Result<ScmHeartbeatApart, WireError> {
        let at = |field| At::new(ScmHeartbeatResponseApart::RULES, field);
        Ok(ScmHeartbeatApart {
            datanode_uuid: DatanodeId::read(message.datanode_uuid, at("datanode_uuid"))?,
            commands: message.commands.into_iter().map(command).collect(),
            term: Field::read(said(message.term), at("term"))?,
        })
    }
}

/// An SCM of Ozone's that keeps no Raft log says -1 for the term that it does not have.
fn said(term: Option<i64>) -> Option<i64> {
    term.filter(|term| *term != -1)
}

/// One command of an answer.
fn command(bytes: Bytes) -> Result<ScmCommand, RefusedCommand> {
    let read = decode::<wire::ScmCommandProto>(bytes.clone());
    let read = read.map(|message| wire::ScmCommandProto { term: said(message.term), ..message });
    read.and_then(ScmCommand::try_from).map_err(|why| {
        // Prost reads more than the edge believes: enough to tell SCM which command it was.
        let message = wire::ScmCommandProto::decode(bytes).ok();
        let kind = message.as_ref().and_then(|message| CommandKind::try_from(message.command_type).ok());
        RefusedCommand { kind, cmd_id: message.as_ref().and_then(cmd_id), why }
    })
}

/// The number in whichever payload there is. SCM numbers no command 0: that is how prost reads a number that is missing.
fn cmd_id(command: &wire::ScmCommandProto) -> Option<i64> {
    macro_rules! first {
        ($($payload:ident),*) => {
            None$(.or(command.$payload.as_ref().map(|payload| payload.cmd_id)))*
        };
    }
    let found: Option<i64> = first!(
        delete_blocks_command_proto,
        close_container_command_proto,
        delete_container_command_proto,
        replicate_container_command_proto,
        create_pipeline_command_proto,
        close_pipeline_command_proto,
        set_node_operational_state_command_proto,
        finalize_new_layout_version_command_proto,
        refresh_volume_usage_command_proto,
        reconstruct_ec_containers_command_proto
    );
    found.filter(|id| *id != 0)
}

#[cfg(test)]
mod tests {
    use super::super::ScmOrder;
    use super::*;
    use crate::hdds::{PipelineId as WirePipelineId, Uuid};
    use crate::heartbeat::{
        CloseContainerCommandProto, ScmCommandProto, ScmDatanodeResponse, ScmHeartbeatResponseProto,
        SetNodeOperationalStateCommandProto,
    };

    const ID: &str = "f81d4fae-7dec-41d0-a765-00a0c91e6bf6";

    fn close(container_id: i64) -> ScmCommandProto {
        let uuid128 = Some(Uuid { most_sig_bits: 1, least_sig_bits: 2 });
        let pipeline_id = WirePipelineId { id: None, uuid128 };
        ScmCommandProto {
            command_type: CommandKind::CloseContainerCommand.into(),
            close_container_command_proto: Some(CloseContainerCommandProto {
                container_id,
                pipeline_id,
                cmd_id: 40 + container_id,
                force: Some(true),
            }),
            ..Default::default()
        }
    }

    fn answer(commands: Vec<ScmCommandProto>, term: Option<i64>) -> ScmDatanodeResponse {
        ScmDatanodeResponse {
            cmd_type: Type::SendHeartbeat.into(),
            trace_id: Some("t".into()),
            success: Some(true),
            message: Some("m".into()),
            status: Status::Ok.into(),
            send_heartbeat_response: Some(ScmHeartbeatResponseProto {
                datanode_uuid: ID.into(),
                commands,
                term,
            }),
            ..Default::default()
        }
    }

    fn read(bytes: Vec<u8>) -> Result<DatanodeResponseApart, WireError> {
        decode::<ScmDatanodeResponseApart>(bytes.into()).and_then(DatanodeResponseApart::try_from)
    }

    fn heartbeat(message: &ScmDatanodeResponse) -> ScmHeartbeatApart {
        match read(message.encode_to_vec()).unwrap().answer {
            Some(DatanodeAnswerApart::SendHeartbeat(heartbeat)) => heartbeat,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_malformed_command_is_refused_by_name_and_the_others_are_read() {
        let state = SetNodeOperationalStateCommandProto {
            cmd_id: 6,
            node_operational_state: 77,
            state_expiry_epoch_seconds: 0,
        };
        let state = ScmCommandProto {
            command_type: CommandKind::SetNodeOperationalStateCommand.into(),
            set_node_operational_state_command_proto: Some(state),
            ..Default::default()
        };
        let bare = ScmCommandProto { close_container_command_proto: None, ..close(1) };
        let unknown = ScmCommandProto { command_type: 78, ..close(3) };
        let commands = heartbeat(&answer(vec![close(-1), state, bare, unknown, close(5)], Some(3))).commands;
        let said = |at: usize| {
            let refused = commands[at].as_ref().unwrap_err();
            (refused.kind, refused.cmd_id, refused.why.to_string())
        };
        let close_kind = Some(CommandKind::CloseContainerCommand);
        let wrong = "CloseContainerCommandProto.containerID holds a wrong value";
        assert_eq!(said(0), (close_kind, Some(39), wrong.to_owned()));
        let wrong = "SetNodeOperationalStateCommandProto.nodeOperationalState is 77, which names nothing";
        assert_eq!(said(1), (Some(CommandKind::SetNodeOperationalStateCommand), Some(6), wrong.to_owned()));
        let wrong = "SCMCommandProto lacks its field closeContainerCommandProto";
        assert_eq!(said(2), (close_kind, None, wrong.to_owned()));
        let wrong = "SCMCommandProto.commandType is 78, which names nothing";
        assert_eq!(said(3), (None, Some(43), wrong.to_owned()));
        let good = commands[4].as_ref().unwrap();
        assert_eq!(good.call.cmd_id(), Some(45));
        assert!(matches!(&good.call, ScmOrder::CloseContainerCommand(one) if one.container_id.as_u64() == 5));
    }

    #[test]
    fn a_number_that_is_missing_is_not_told_as_0() {
        // A closeContainerCommand whose payload holds the container alone, and bytes that are no command.
        let commands = vec![Bytes::from_static(&[8, 3, 34, 2, 8, 7]), Bytes::from_static(&[0xff])];
        let heartbeat = ScmHeartbeatResponseApart { datanode_uuid: ID.into(), commands, term: None };
        let apart = ScmDatanodeResponseApart {
            cmd_type: Type::SendHeartbeat.into(),
            status: Status::Ok.into(),
            send_heartbeat_response: Some(heartbeat),
            ..Default::default()
        };
        let Some(DatanodeAnswerApart::SendHeartbeat(read)) = read(apart.encode_to_vec()).unwrap().answer
        else {
            panic!("it is a heartbeat")
        };
        let [Err(lacking), Err(garbled)] = &read.commands[..] else { panic!("{read:?}") };
        assert_eq!((lacking.kind, lacking.cmd_id), (Some(CommandKind::CloseContainerCommand), None));
        assert_eq!(lacking.why.to_string(), "CloseContainerCommandProto lacks its field pipelineID");
        assert_eq!((garbled.kind, garbled.cmd_id), (None, None));
    }

    #[test]
    fn an_answer_reads_the_same_apart_and_whole() {
        let message = answer(vec![close(1), close(2)], Some(7));
        let whole = super::super::DatanodeResponse::try_from(message.clone()).unwrap();
        let Some(super::super::DatanodeAnswer::SendHeartbeat(whole)) = whole.answer else {
            panic!("it is a heartbeat")
        };
        let bytes = message.encode_to_vec();
        assert_eq!(decode::<ScmDatanodeResponseApart>(bytes.into()), Ok(message.clone().into()));
        let apart = heartbeat(&message);
        assert_eq!((apart.datanode_uuid, apart.term), (whole.datanode_uuid, whole.term));
        let commands: Vec<ScmCommand> = apart.commands.into_iter().map(Result::unwrap).collect();
        assert_eq!(commands, whole.commands);
    }

    #[test]
    fn a_term_of_an_scm_without_raft_is_none_and_others_below_zero_are_refused() {
        let command = ScmCommandProto { term: Some(-1), ..close(1) };
        let heard = heartbeat(&answer(vec![command], Some(-1)));
        assert_eq!((heard.term, heard.commands[0].as_ref().unwrap().term), (None, None));
        let refused = read(answer(Vec::new(), Some(-2)).encode_to_vec()).unwrap_err();
        assert_eq!(refused.to_string(), "SCMHeartbeatResponseProto.term holds a wrong value");
    }

    #[test]
    fn the_rules_are_those_of_the_proto_file() {
        let shown = |rules: &MessageRules| {
            let fields = rules.fields.iter();
            fields.map(|one| (one.number, one.name, one.required)).collect::<Vec<_>>()
        };
        let (ours, theirs) = (ScmDatanodeResponseApart::RULES, ScmDatanodeResponse::RULES);
        assert_eq!((ours.name, ours.required_count), (theirs.name, theirs.required_count));
        assert_eq!(shown(ours), shown(theirs));
        let (ours, theirs) = (ScmHeartbeatResponseApart::RULES, ScmHeartbeatResponseProto::RULES);
        assert_eq!((ours.name, ours.required_count), (theirs.name, theirs.required_count));
        let mut theirs = shown(theirs);
        theirs.retain(|(_, name, _)| *name != "commands");
        assert_eq!(shown(ours), theirs);
    }
}
