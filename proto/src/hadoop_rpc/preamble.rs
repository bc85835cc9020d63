//! The seven bytes that open a connection, and what is said to who gets them wrong.
//!
//! ```text
//! | 0..4 "hrpc" | 4 version = 9 | 5 service class, ignored | 6 auth: 00 simple, DF SASL |
//! ```
//! Source  om.md 1.1 and recorded answers: `http-get`, `bad-magic`, `version-8`, `version-10`, `unknown-auth-byte`.

use bytes::{BufMut, Bytes, BytesMut};

use super::header::{CALL_ID_NONE, ReplyTo, fatal};
use crate::hadoop::rpc_response_header_proto::RpcErrorCodeProto;
use crate::rpc::class;

pub(crate) const LEN: usize = 7;
pub(crate) const MAGIC: &[u8; 4] = b"hrpc";
pub(crate) const VERSION: u8 = 9;
pub(crate) const AUTH_SIMPLE: u8 = 0x00;
pub(crate) const AUTH_SASL: u8 = 0xdf;

const HTTP_ANSWER: &[u8] = b"HTTP/1.1 404 Not Found\r\nContent-type: text/plain\r\n\r\n\
    It looks like you are making an HTTP request to a Hadoop IPC port. \
    This is not the correct port for the web interface on this daemon.\r\n";

/// How a connection goes on after its preamble.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Opening {
    /// The connection context comes next.
    Simple,
    /// A SASL negotiation comes next.
    Sasl,
    /// The connection ends, after this answer if there is one.
    Refused(Option<Bytes>),
}

/// The preamble of a client.
pub(crate) const fn of_client(auth: u8) -> [u8; LEN] {
    let [h, r, p, c] = *MAGIC;
    [h, r, p, c, VERSION, 0, auth]
}

/// Reads a preamble.
pub(crate) fn open(preamble: &[u8; LEN]) -> Opening {
    let [magic @ .., version, _service_class, auth] = preamble;
    if magic == b"GET " {
        return Opening::Refused(Some(Bytes::from_static(HTTP_ANSWER)));
    }
    if magic != MAGIC || *version != VERSION {
        return Opening::Refused(version_answer(*version as i8));
    }
    match *auth {
        AUTH_SIMPLE => Opening::Simple,
        AUTH_SASL => Opening::Sasl,
        other => {
            let message = format!("Unknown auth protocol:{}", other as i8);
            let reply = ReplyTo::nobody(CALL_ID_NONE);
            let code = RpcErrorCodeProto::FatalUnauthorized;
            Opening::Refused(Some(fatal(&reply, code, class::IPC, message)))
        }
    }
}

/// What a client of another version can read. Versions are signed, as in Java; below 3 nothing is said.
fn version_answer(version: i8) -> Option<Bytes> {
    let message = format!("Server IPC version {VERSION} cannot communicate with client version {version}");
    match version {
        9.. => {
            let reply = ReplyTo::nobody(CALL_ID_NONE);
            Some(fatal(&reply, RpcErrorCodeProto::FatalVersionMismatch, class::VERSION_MISMATCH, message))
        }
        3..=8 => {
            let mut answer = BytesMut::new();
            answer.put_i32(-1); // call id
            answer.put_i32(-1); // status FATAL
            for text in [class::VERSION_MISMATCH, &message] {
                answer.put_u32(text.len() as u32);
                answer.put_slice(text.as_bytes());
            }
            Some(answer.freeze())
        }
        _ => None,
    }
}
