//! Why a call got no answer.

use std::fmt;
use std::time::Duration;

use allotrope_proto::WireError;

use super::Address;
use crate::retry::Failure;

/// A status code of gRPC other than a peer's own result codes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct GrpcCode(pub u32);

impl GrpcCode {
    /// The call was answered.
    pub const OK: GrpcCode = GrpcCode(0);
    /// The peer gave up at the call's deadline.
    pub const DEADLINE_EXCEEDED: GrpcCode = GrpcCode(4);
    /// The peer has no room: the message is too long, or too much is in flight.
    pub const RESOURCE_EXHAUSTED: GrpcCode = GrpcCode(8);
    /// The peer does not know the method.
    pub const UNIMPLEMENTED: GrpcCode = GrpcCode(12);
    /// The peer failed inside.
    pub const INTERNAL: GrpcCode = GrpcCode(13);
    /// The peer is not there, or not yet.
    pub const UNAVAILABLE: GrpcCode = GrpcCode(14);
}

const NAMES: [&str; 17] = [
    "OK",
    "CANCELLED",
    "UNKNOWN",
    "INVALID_ARGUMENT",
    "DEADLINE_EXCEEDED",
    "NOT_FOUND",
    "ALREADY_EXISTS",
    "PERMISSION_DENIED",
    "RESOURCE_EXHAUSTED",
    "FAILED_PRECONDITION",
    "ABORTED",
    "OUT_OF_RANGE",
    "UNIMPLEMENTED",
    "INTERNAL",
    "UNAVAILABLE",
    "DATA_LOSS",
    "UNAUTHENTICATED",
];

impl fmt::Display for GrpcCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match NAMES.get(self.0 as usize) {
            Some(name) => f.write_str(name),
            None => write!(f, "gRPC status {}", self.0),
        }
    }
}

/// Why a call got no answer.
#[derive(Debug, thiserror::Error)]
pub enum CallError {
    /// There is no connection; nothing was sent.
    #[error("{peer} cannot be reached")]
    Connect {
        /// Who was called.
        peer: Address,
        /// The system's reason.
        source: std::io::Error,
    },
    /// The connection broke.
    #[error("the connection to {peer} broke, or no gRPC server is there")]
    Broken {
        /// Who was called.
        peer: Address,
        /// What HTTP/2 says.
        source: hyper::Error,
    },
    /// No answer came in time.
    #[error("{peer} did not answer within {after:?}")]
    Deadline {
        /// Who was called.
        peer: Address,
        /// How long was waited.
        after: Duration,
    },
    /// Something answered that is no gRPC server, or one out of its mind.
    #[error("{peer} is no server of ours: {seen}; check the port")]
    NotGrpc {
        /// Who was called.
        peer: Address,
        /// What came back.
        seen: String,
    },
    /// The peer answered with a status instead of a message.
    #[error("{peer} answered {code}: {message}")]
    Status {
        /// Who was called.
        peer: Address,
        /// The status.
        code: GrpcCode,
        /// The peer's words.
        message: String,
    },
    /// The answer's bytes are not the message they should be.
    #[error("the answer of {peer} cannot be read")]
    Garbled {
        /// Who was called.
        peer: Address,
        /// What is wrong with it.
        source: WireError,
    },
}

/// What Java's OM puts before the message when it does not lead, or not yet.
const NOT_LEADER: [&str; 2] = ["OMNotLeaderException", "OMLeaderNotReadyException"];

impl CallError {
    /// What becomes of a call whose connection failed with `source`.
    pub(super) fn broken(peer: &Address, source: hyper::Error) -> CallError {
        let cause = std::error::Error::source(&source).and_then(|cause| cause.downcast_ref::<h2::Error>());
        // Read as a frame of HTTP/2, the first words of another protocol have an absurd length.
        let is_foreign =
            |error: &&h2::Error| error.reason() == Some(h2::Reason::FRAME_SIZE_ERROR) && error.is_library();
        let peer = peer.clone();
        match cause.filter(is_foreign) {
            Some(_) => CallError::NotGrpc { peer, seen: "it does not speak HTTP/2".to_owned() },
            None => CallError::Broken { peer, source },
        }
    }

    /// What a retry policy needs to know of it.
    pub fn failure(&self) -> Failure {
        match self {
            CallError::Connect { .. } => Failure::NotSent,
            CallError::Broken { .. } | CallError::Deadline { .. } => Failure::Unclear,
            CallError::NotGrpc { .. } | CallError::Garbled { .. } => Failure::Final,
            CallError::Status { code, message, .. } => match *code {
                GrpcCode::UNAVAILABLE | GrpcCode::DEADLINE_EXCEEDED => Failure::Unclear,
                _ if NOT_LEADER.iter().any(|name| message.contains(name)) => Failure::NotLeader,
                _ => Failure::Final,
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_leaders_name_in_the_message_sends_the_caller_on() {
        let status = |code, message: &str| {
            let peer = Address::new("om1", 1);
            CallError::Status { peer, code, message: message.to_owned() }.failure()
        };
        let not_leader = "org.apache.hadoop.ozone.om.exceptions.OMNotLeaderException: om1 is not the leader";
        assert_eq!(status(GrpcCode::INTERNAL, not_leader), Failure::NotLeader);
        assert_eq!(status(GrpcCode::INTERNAL, "java.lang.NullPointerException: x"), Failure::Final);
        assert_eq!(status(GrpcCode::UNAVAILABLE, ""), Failure::Unclear);
        assert_eq!(status(GrpcCode::RESOURCE_EXHAUSTED, ""), Failure::Final);
    }
}
