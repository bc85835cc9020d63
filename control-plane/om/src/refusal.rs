//! Why a request is not done.
//!
//! Shape   [`Refusal::Status`] is an answer like any other: the client gets the status and the message. A damaged table
//!         is none: it stops the member that applies, and fails the one read that met it.

use allotrope_consensus::TableError;
use allotrope_types::{Malformed, OmStatus};

/// Why a request is not done.
#[derive(Debug, thiserror::Error)]
pub enum Refusal {
    /// The namespace does not allow it, or the request is wrong; nothing was changed.
    #[error("{status}: {message}")]
    Status {
        /// What the client's code branches on.
        status: OmStatus,
        /// What a person reads: what is wrong, and with which name.
        message: String,
    },
    /// A table cannot be read or written.
    #[error(transparent)]
    Table(#[from] TableError),
}

impl Refusal {
    /// A refusal with `status`, explained by `message`.
    pub fn new(status: OmStatus, message: impl Into<String>) -> Refusal {
        Refusal::Status { status, message: message.into() }
    }

    /// A name that breaks its rules.
    pub(crate) fn name(status: OmStatus) -> impl FnOnce(Malformed) -> Refusal {
        move |malformed| Refusal::new(status, malformed.to_string())
    }

    /// Whether it is a refusal with this status.
    pub(crate) fn is(&self, wanted: OmStatus) -> bool {
        matches!(self, Refusal::Status { status, .. } if *status == wanted)
    }
}

/// `Err` with `status` and a formatted message.
macro_rules! refuse {
    ($status:ident, $($text:tt)+) => {
        return Err($crate::refusal::Refusal::new(allotrope_types::OmStatus::$status, format!($($text)+)))
    };
}
pub(crate) use refuse;
