//! The asking side of a call, the same for every transport.
//!
//! Errors  [`CallError`] says what failed, whether the call may have taken effect, and what to do next.

use std::future::Future;
use std::io;
use std::time::Duration;

use super::{CallerNote, Malformed, Rpc, class};

/// How one call is made.
#[derive(Clone, Debug, Default)]
pub struct CallOptions {
    /// Longest wait for the answer; the client's default if `None`.
    pub time_max: Option<Duration>,
    /// The call's number if this is a retry of it (also one that went to another server); a new number if `None`.
    pub call_id: Option<i32>,
    /// How often this call was tried before.
    pub retry_count: i32,
    /// For the server's audit log.
    pub note: Option<CallerNote>,
}

/// Asks one server.
pub trait RpcClient: Send + Sync + 'static {
    /// Makes one call of `R`. Cancel safety: a call that was sent may take effect after it is dropped.
    fn call<R: Rpc>(
        &self,
        request: &R::Request,
        options: &CallOptions,
    ) -> impl Future<Output = Result<R::Response, CallError>> + Send;
}

/// What a client that met an error should do next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Advice {
    /// Ask the next server of the group.
    AskAnother,
    /// Ask the same server again in a moment.
    AskAgain,
    /// Do not ask again: the same request fails in the same way.
    GiveUp,
}

/// Why a call has no answer.
#[derive(Debug, thiserror::Error)]
pub enum CallError {
    /// Nobody answers there. Nothing was sent.
    #[error("{target} cannot be reached")]
    Unreachable {
        /// Whom we called.
        target: String,
        /// What the socket said.
        source: io::Error,
    },
    /// The request is longer than a frame may be. Nothing was sent.
    #[error("the request to {target} is {bytes} bytes long; {bytes_max} is the limit")]
    RequestTooLarge {
        /// Whom we called.
        target: String,
        /// The request's frame.
        bytes: usize,
        /// The limit.
        bytes_max: usize,
    },
    /// The connection ended before the answer; the call may have taken effect.
    #[error("the connection to {target} ended before {method} was answered: {why}")]
    Lost {
        /// Whom we called.
        target: String,
        /// What was asked.
        method: &'static str,
        /// How the connection ended.
        why: String,
    },
    /// The deadline passed; the call may have taken effect, or may yet.
    #[error("{target} did not answer {method} within {time_max:?}")]
    Deadline {
        /// Whom we called.
        target: String,
        /// What was asked.
        method: &'static str,
        /// The time that was given.
        time_max: Duration,
    },
    /// The server threw an exception.
    #[error("{target} answered {method} with {class}: {message}")]
    Remote {
        /// Whom we called.
        target: String,
        /// What was asked.
        method: &'static str,
        /// The exception's Java class.
        class: String,
        /// The exception's text.
        message: String,
    },
    /// The answer does not parse.
    #[error("{target} answered {method} with bytes that are no response: {why}")]
    Malformed {
        /// Whom we called.
        target: String,
        /// What was asked.
        method: &'static str,
        /// What is wrong with them.
        why: Malformed,
    },
}

impl CallError {
    /// Whether the call may have taken effect although it failed here.
    pub fn may_have_taken_effect(&self) -> bool {
        match self {
            CallError::Unreachable { .. } | CallError::RequestTooLarge { .. } => false,
            CallError::Lost { .. } | CallError::Deadline { .. } | CallError::Malformed { .. } => true,
            CallError::Remote { class, .. } => class == class::TIMEOUT,
        }
    }

    /// The Java exception class that the server named.
    pub fn remote_class(&self) -> Option<&str> {
        match self {
            CallError::Remote { class, .. } => Some(class),
            _ => None,
        }
    }

    /// What to do next, as a Java client would.
    pub fn advice(&self) -> Advice {
        match self {
            CallError::RequestTooLarge { .. } => Advice::GiveUp,
            CallError::Remote { class, .. } => match class.as_str() {
                class::OM_LEADER_NOT_READY | class::RETRIABLE => Advice::AskAgain,
                class::NO_SUCH_METHOD
                | class::NO_SUCH_PROTOCOL
                | class::VERSION_MISMATCH
                | class::INVALID_PROTOBUF
                | class::INVALID_WIRE_TYPE
                | class::ACCESS_CONTROL => Advice::GiveUp,
                _ => Advice::AskAnother,
            },
            CallError::Unreachable { .. }
            | CallError::Lost { .. }
            | CallError::Deadline { .. }
            | CallError::Malformed { .. } => Advice::AskAnother,
        }
    }
}
