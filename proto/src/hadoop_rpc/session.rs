//! What a frame means on a connection: a pure function of the connection's stage and the frame.
//!
//! Shape   `Sasl` → `Context` → `Open`; without SASL a connection starts at `Context`.
//! Errors  [`Fatal`]: the rule that the client broke, as the answer that Java gives; the connection ends after it.
//!         A fault of one call is a [`Step::Answer`], and the connection goes on.
//! Source  om.md 1.3 to 1.6, and recorded answers for each refusal.

use bytes::Bytes;

use super::header::{CALL_ID_CONTEXT, CALL_ID_NONE, CALL_ID_PING, CALL_ID_SASL, ReplyTo};
use super::header::{error, fatal, success_message};
use super::preamble::{self, Opening};
use super::server::Claim;
use crate::hadoop::rpc_request_header_proto::OperationProto;
use crate::hadoop::rpc_response_header_proto::RpcErrorCodeProto;
use crate::hadoop::rpc_sasl_proto::SaslState;
use crate::hadoop::{
    IpcConnectionContextProto, RequestHeaderProto, RpcKindProto, RpcRequestHeaderProto, RpcSaslProto,
};
use crate::rpc::{CallerNote, Fault, Malformed, class, delimited, parse};

/// How far a connection has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stage {
    /// The client asked for SASL and has not yet been told that there is none.
    Sasl,
    /// The connection context comes next.
    Context,
    /// Calls may come.
    Open,
}

/// What to do about a frame.
#[derive(Debug)]
pub(crate) enum Step {
    /// Nothing: a ping.
    Nothing,
    /// The client said who it is.
    Identified(Claim, ReplyTo),
    /// Send this; the connection goes on.
    Answer(Bytes),
    /// Dispatch this.
    Call(Box<Call>),
}

/// A call as it came off the wire.
#[derive(Debug)]
pub(crate) struct Call {
    pub(crate) reply: ReplyTo,
    pub(crate) note: Option<CallerNote>,
    pub(crate) protocol: String,
    pub(crate) version: u64,
    pub(crate) method: String,
    /// The request message, without its length.
    pub(crate) request: Bytes,
}

/// The client broke a rule of the connection. This is the last answer it gets.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Fatal(pub(crate) Bytes);

impl Fatal {
    pub(crate) fn new(reply: &ReplyTo, code: RpcErrorCodeProto, class: &str, message: String) -> Fatal {
        Fatal(fatal(&reply.anonymous(), code, class, message))
    }

    fn header(reply: &ReplyTo, message: impl Into<String>) -> Fatal {
        Fatal::new(reply, RpcErrorCodeProto::FatalInvalidRpcHeader, class::RPC_SERVER, message.into())
    }

    fn garbled(reply: &ReplyTo, what: &str, why: &Malformed) -> Fatal {
        let message = format!("Error decoding {what}: {}: {why}", why.java_class());
        Fatal::new(reply, RpcErrorCodeProto::FatalDeserializingRequest, class::RPC_SERVER, message)
    }
}

impl Stage {
    /// Reads one frame and moves on.
    pub(crate) fn take(&mut self, mut frame: Bytes) -> Result<Step, Fatal> {
        let header: RpcRequestHeaderProto = take_message(&mut frame)
            .map_err(|why| Fatal::garbled(&ReplyTo::nobody(CALL_ID_NONE), "RpcRequestHeaderProto", &why))?;
        let reply = ReplyTo {
            call_id: header.call_id,
            client_id: header.client_id.clone(),
            retry_count: header.retry_count(),
        };
        let kind = check_header(&header, &reply)?;
        match (header.call_id, *self) {
            (CALL_ID_PING, _) => Ok(Step::Nothing),
            (CALL_ID_SASL, Stage::Sasl) => self.negotiate(&mut frame, &reply),
            (CALL_ID_SASL, _) => Err(Fatal::header(&reply, "SASL protocol not requested by client")),
            (CALL_ID_CONTEXT, Stage::Context) => {
                let context: IpcConnectionContextProto = take_message(&mut frame)
                    .map_err(|why| Fatal::garbled(&reply, "IpcConnectionContextProto", &why))?;
                *self = Stage::Open;
                let user = context.user_info.unwrap_or_default();
                let claim = Claim { user: user.effective_user, real_user: user.real_user };
                Ok(Step::Identified(claim, reply))
            }
            (CALL_ID_CONTEXT, Stage::Sasl) => {
                Err(Fatal::header(&reply, "Connection header sent during SASL negotiation"))
            }
            (CALL_ID_CONTEXT, Stage::Open) => {
                Err(Fatal::header(&reply, "Connection context already processed"))
            }
            (id, _) if id < 0 => Err(Fatal::header(&reply, format!("Unknown out of band call #{id}"))),
            (_, Stage::Sasl | Stage::Context) => {
                Err(Fatal::header(&reply, "Connection context not established"))
            }
            (_, Stage::Open) => match kind {
                RpcKindProto::RpcProtocolBuffer => Ok(call(header, reply, frame)),
                RpcKindProto::RpcWritable => {
                    Err(Fatal::header(&reply, "WritableRpcEngine is not supported."))
                }
                RpcKindProto::RpcBuiltin => {
                    Err(Fatal::header(&reply, "Unknown rpc kind in rpc header RPC_BUILTIN"))
                }
            },
        }
    }

    /// A server without security answers that the client need not prove anything.
    fn negotiate(&mut self, frame: &mut Bytes, reply: &ReplyTo) -> Result<Step, Fatal> {
        let message: RpcSaslProto =
            take_message(frame).map_err(|why| Fatal::garbled(reply, "RpcSaslProto", &why))?;
        match message.state() {
            SaslState::Initiate if message.auths.iter().any(|auth| auth.method == "SIMPLE") => {
                *self = Stage::Context;
                Ok(Step::Nothing)
            }
            SaslState::Negotiate | SaslState::Initiate => {
                *self = Stage::Context;
                let answer = RpcSaslProto { state: SaslState::Success.into(), ..RpcSaslProto::default() };
                Ok(Step::Answer(success_message(&ReplyTo::nobody(CALL_ID_SASL), &answer)))
            }
            state @ (SaslState::Success | SaslState::Challenge | SaslState::Response | SaslState::Wrap) => {
                let message = format!("the server takes no SASL message in state {}", state.as_str_name());
                Err(Fatal::new(reply, RpcErrorCodeProto::FatalUnauthorized, class::SASL, message))
            }
        }
    }
}

/// The checks that every frame undergoes, in Java's order.
fn check_header(header: &RpcRequestHeaderProto, reply: &ReplyTo) -> Result<RpcKindProto, Fatal> {
    match header.rpc_op.map(OperationProto::try_from) {
        None | Some(Err(_)) => {
            return Err(Fatal::header(reply, " IPC Server: No rpc op in rpcRequestHeader"));
        }
        Some(Ok(OperationProto::RpcFinalPacket)) => {}
        Some(Ok(other)) => {
            let message =
                format!("IPC Server does not implement rpc header operation{}", other.as_str_name());
            return Err(Fatal::header(reply, message));
        }
    }
    match header.rpc_kind.map(RpcKindProto::try_from) {
        Some(Ok(kind)) => Ok(kind),
        None | Some(Err(_)) => Err(Fatal::header(reply, " IPC Server: No rpc kind in rpcRequestHeader")),
    }
}

fn call(header: RpcRequestHeaderProto, reply: ReplyTo, mut frame: Bytes) -> Step {
    let parts = take_message::<RequestHeaderProto>(&mut frame)
        .and_then(|named| Ok((named, take_delimited(&mut frame)?)))
        .and_then(|parts| if frame.is_empty() { Ok(parts) } else { Err(Malformed::Trailing(frame.len())) });
    let note = header
        .caller_context
        .map(|note| CallerNote { context: note.context, signature: note.signature.unwrap_or_default() });
    match parts {
        Ok((named, request)) => Step::Call(Box::new(Call {
            reply,
            note,
            protocol: named.declaring_class_protocol_name,
            version: named.client_protocol_version,
            method: named.method_name,
            request,
        })),
        Err(why) => Step::Answer(error(&reply, &Fault::malformed(&why))),
    }
}

/// Takes one `delim(m)` off the front of `frame`.
pub(crate) fn take_delimited(frame: &mut Bytes) -> Result<Bytes, Malformed> {
    let (from, to) = delimited(frame)?;
    let mut taken = frame.split_to(to);
    Ok(taken.split_off(from))
}

/// Takes one `delim(m)` off the front of `frame` and reads it.
pub(crate) fn take_message<M: crate::Checked>(frame: &mut Bytes) -> Result<M, Malformed> {
    parse(take_delimited(frame)?)
}

/// Runs a connection's bytes through preamble, frame splitter and stages. Returns how many frames were taken.
pub(crate) fn replay(bytes: &[u8], frame_bytes_max: u32) -> usize {
    let Some((preamble, mut rest)) = bytes.split_first_chunk::<{ preamble::LEN }>() else { return 0 };
    let mut stage = match preamble::open(preamble) {
        Opening::Simple => Stage::Context,
        Opening::Sasl => Stage::Sasl,
        Opening::Refused(_) => return 0,
    };
    let mut frames = 0;
    while let Some((len, after)) = rest.split_first_chunk::<4>() {
        let Ok(len) = super::frame::check_len(*len, frame_bytes_max) else { return frames };
        let Some((frame, after)) = after.split_at_checked(len as usize) else { return frames };
        if stage.take(Bytes::copy_from_slice(frame)).is_err() {
            return frames;
        }
        frames += 1;
        rest = after;
    }
    frames
}

#[cfg(test)]
mod tests {
    use super::*;

    proptest::proptest! {
        #[test]
        fn no_bytes_after_the_preamble_make_the_reader_panic(bytes: Vec<u8>, sasl: bool) {
            let auth = if sasl { preamble::AUTH_SASL } else { preamble::AUTH_SIMPLE };
            let mut connection = preamble::of_client(auth).to_vec();
            connection.extend_from_slice(&bytes);
            replay(&connection, 1 << 20);
        }

        #[test]
        fn no_frame_makes_a_stage_panic(frame: Vec<u8>, which in 0..3) {
            let mut stage = [Stage::Sasl, Stage::Context, Stage::Open][which as usize];
            let _ = stage.take(frame.into());
        }
    }
}
