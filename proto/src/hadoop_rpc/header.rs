//! Writes response frames.
//!
//! ```text
//! | u32be length | varint | RpcResponseHeaderProto | varint | message |
//! ```
//! Errors  none: what a service answers has a length that was checked before.
//! Source  om.md 1.2 and 1.7; the tests compare with recorded answers, byte by byte.

use bytes::{BufMut, Bytes, BytesMut};
use prost::Message;

use super::preamble;
use crate::hadoop::RpcResponseHeaderProto;
use crate::hadoop::rpc_response_header_proto::{RpcErrorCodeProto, RpcStatusProto};
use crate::rpc::{Encoded, Fault, FaultKind, put_delimited, varint_len};

/// Stands for "no call" in an answer to the connection itself.
pub(crate) const CALL_ID_NONE: i32 = -1;
pub(crate) const CALL_ID_CONTEXT: i32 = -3;
pub(crate) const CALL_ID_PING: i32 = -4;
pub(crate) const CALL_ID_SASL: i32 = -33;
pub(crate) const RETRY_NONE: i32 = -1;

/// Longest text of an error.
const MESSAGE_BYTES_MAX: usize = 16 << 10;

/// Whom an answer is for: what is echoed from the request's header.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ReplyTo {
    pub(crate) call_id: i32,
    /// The client's id as it was sent; empty in answers that come before any dispatch.
    pub(crate) client_id: Bytes,
    pub(crate) retry_count: i32,
}

impl ReplyTo {
    pub(crate) fn nobody(call_id: i32) -> ReplyTo {
        ReplyTo { call_id, client_id: Bytes::new(), retry_count: RETRY_NONE }
    }

    /// The same call, without its client id: for FATAL answers.
    pub(crate) fn anonymous(&self) -> ReplyTo {
        ReplyTo { client_id: Bytes::new(), ..self.clone() }
    }

    fn header(&self, status: RpcStatusProto) -> RpcResponseHeaderProto {
        RpcResponseHeaderProto {
            // The field is unsigned and Java writes a signed number into it: -1 becomes 2^32 - 1.
            call_id: self.call_id as u32,
            status: status.into(),
            server_ipc_version_num: Some(u32::from(preamble::VERSION)),
            client_id: Some(self.client_id.clone()),
            retry_count: Some(self.retry_count),
            ..RpcResponseHeaderProto::default()
        }
    }
}

/// How many bytes a SUCCESS frame has after its length field.
pub(crate) fn success_len(reply: &ReplyTo, body: usize) -> usize {
    let header = reply.header(RpcStatusProto::Success).encoded_len();
    varint_len(header) + header + varint_len(body) + body
}

/// The SUCCESS answer that carries `body`.
pub(crate) fn success(reply: &ReplyTo, body: &dyn Encoded) -> Bytes {
    let len = body.encoded_len();
    frame(&reply.header(RpcStatusProto::Success), Some((len, &|out| body.write_to(out))))
}

/// The SUCCESS answer that carries `message`.
pub(crate) fn success_message(reply: &ReplyTo, message: &impl Message) -> Bytes {
    let len = message.encoded_len();
    frame(&reply.header(RpcStatusProto::Success), Some((len, &|out| message.encode_raw(out))))
}

/// The FATAL answer; the connection ends after it.
pub(crate) fn fatal(reply: &ReplyTo, code: RpcErrorCodeProto, class: &str, message: String) -> Bytes {
    let header = RpcResponseHeaderProto {
        exception_class_name: Some(class.to_owned()),
        error_msg: Some(cut(&message).to_owned()),
        error_detail: Some(code.into()),
        ..reply.header(RpcStatusProto::Fatal)
    };
    frame(&header, None)
}

/// The ERROR answer to one call.
pub(crate) fn error(reply: &ReplyTo, fault: &Fault) -> Bytes {
    let header = RpcResponseHeaderProto {
        exception_class_name: Some(fault.class().to_owned()),
        error_msg: Some(cut(fault.message()).to_owned()),
        error_detail: Some(code_of(fault.kind()).into()),
        ..reply.header(RpcStatusProto::Error)
    };
    frame(&header, None)
}

fn code_of(kind: FaultKind) -> RpcErrorCodeProto {
    match kind {
        FaultKind::NoSuchMethod => RpcErrorCodeProto::ErrorNoSuchMethod,
        FaultKind::NoSuchProtocol => RpcErrorCodeProto::ErrorNoSuchProtocol,
        FaultKind::VersionMismatch => RpcErrorCodeProto::ErrorRpcVersionMismatch,
        FaultKind::Overloaded => RpcErrorCodeProto::ErrorRpcServer,
        FaultKind::ResponseTooLarge => RpcErrorCodeProto::ErrorSerializingResponse,
        FaultKind::Application
        | FaultKind::Malformed
        | FaultKind::DeadlineExceeded
        | FaultKind::AccessDenied => RpcErrorCodeProto::ErrorApplication,
    }
}

/// A text may quote what the client sent; its answer stays short.
fn cut(message: &str) -> &str {
    &message[..message.floor_char_boundary(MESSAGE_BYTES_MAX)]
}

type Body<'a> = (usize, &'a dyn Fn(&mut BytesMut));

fn frame(header: &RpcResponseHeaderProto, body: Option<Body<'_>>) -> Bytes {
    let header_len = header.encoded_len();
    let body_len = body.as_ref().map_or(0, |(len, _)| varint_len(*len) + len);
    let len = varint_len(header_len) + header_len + body_len;
    let mut out = BytesMut::with_capacity(4 + len);
    out.put_u32(u32::try_from(len).expect("a response was measured before it is framed"));
    put_delimited(header_len, |out| header.encode_raw(out), &mut out);
    if let Some((len, write)) = body {
        put_delimited(len, write, &mut out);
    }
    assert_eq!(out.len(), 4 + len, "a frame is as long as it says");
    out.freeze()
}
