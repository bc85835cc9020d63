//! What a load is: one operation, by its number.

use std::fmt;
use std::time::Duration;

use allotrope_client::{CallError, DatanodeError, Error};
use futures_util::future::BoxFuture;

/// One operation, to be repeated with ever new numbers, many at once.
pub trait Load: Send + Sync + 'static {
    /// The names of its kinds of operations; [`Done::kind`] counts from 0 in this list.
    fn kinds(&self) -> &[&'static str];

    /// Carries out operation `number`. The same number names the same object.
    ///
    /// Cancel safety: dropped early, the server may have carried it out.
    fn operate(&self, number: u64) -> BoxFuture<'_, Result<Done, Trouble>>;

    /// Puts back what the load took away from the servers; asked for once, after the last operation, however the run ended.
    fn leave(&self) -> BoxFuture<'_, Result<(), Trouble>> {
        Box::pin(std::future::ready(Ok(())))
    }
}

/// An operation that worked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Done {
    /// Which of [`Load::kinds`] it was.
    pub kind: usize,
    /// Bytes of content that it moved.
    pub bytes: u64,
}

impl Done {
    /// An operation of the first kind.
    pub fn moved(bytes: u64) -> Done {
        Done { kind: 0, bytes }
    }

    /// An operation of kind `kind`.
    pub fn of(kind: usize, bytes: u64) -> Done {
        Done { kind, bytes }
    }
}

/// What went wrong, in kinds that are counted apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum TroubleKind {
    /// The server could not be reached.
    Unreachable,
    /// No answer came in time.
    Late,
    /// The server understood and refused.
    Refused,
    /// The content that came back is not what was written.
    Corrupt,
    /// The connection broke, or the answer makes no sense.
    Broken,
}

impl TroubleKind {
    /// Every kind.
    pub const ALL: [TroubleKind; 5] = [
        TroubleKind::Unreachable,
        TroubleKind::Late,
        TroubleKind::Refused,
        TroubleKind::Corrupt,
        TroubleKind::Broken,
    ];

    /// Its name in results.
    pub fn name(self) -> &'static str {
        match self {
            TroubleKind::Unreachable => "unreachable",
            TroubleKind::Late => "late",
            TroubleKind::Refused => "refused",
            TroubleKind::Corrupt => "corrupt",
            TroubleKind::Broken => "broken",
        }
    }
}

impl fmt::Display for TroubleKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// An operation that failed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{kind}: {text}")]
pub struct Trouble {
    /// What kind of trouble it is.
    pub kind: TroubleKind,
    /// What happened, with the peer and the object.
    pub text: String,
}

impl Trouble {
    /// Trouble of `kind`, in words.
    pub fn new(kind: TroubleKind, text: impl Into<String>) -> Trouble {
        Trouble { kind, text: text.into() }
    }

    /// What did not end within `deadline`.
    pub fn late(deadline: Duration) -> Trouble {
        Trouble::new(TroubleKind::Late, format!("no end within {deadline:?}"))
    }
}

/// The message and those of its causes, each once.
fn with_causes(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(next) = cause {
        let more = next.to_string();
        if !text.contains(&more) {
            text = format!("{text}: {more}");
        }
        cause = next.source();
    }
    text
}

fn kind_of_call(error: &CallError) -> TroubleKind {
    match error {
        CallError::Connect { .. } => TroubleKind::Unreachable,
        CallError::Deadline { .. } => TroubleKind::Late,
        CallError::Status { .. } => TroubleKind::Refused,
        _ => TroubleKind::Broken,
    }
}

fn kind_of_datanode(error: &DatanodeError) -> TroubleKind {
    match error {
        DatanodeError::Call { source, .. } => kind_of_call(source),
        DatanodeError::Refused { .. } => TroubleKind::Refused,
        _ => TroubleKind::Broken,
    }
}

impl From<Error> for Trouble {
    fn from(error: Error) -> Trouble {
        let kind = match &error {
            Error::OmSilent { source, .. } => kind_of_call(source),
            Error::Refused { .. } | Error::NotInKey { .. } | Error::Unsupported { .. } | Error::Config(_) => {
                TroubleKind::Refused
            }
            Error::Unwritable { source, .. } | Error::NoBlock { source, .. } => kind_of_datanode(source),
            Error::Unreadable { source: Some(source), .. } => kind_of_datanode(source),
            _ => TroubleKind::Broken,
        };
        Trouble::new(kind, with_causes(&error))
    }
}

impl From<allotrope_proto::rpc::CallError> for Trouble {
    fn from(error: allotrope_proto::rpc::CallError) -> Trouble {
        use allotrope_proto::rpc::CallError as Rpc;
        let kind = match &error {
            Rpc::Unreachable { .. } => TroubleKind::Unreachable,
            Rpc::Deadline { .. } => TroubleKind::Late,
            Rpc::Remote { .. } | Rpc::RequestTooLarge { .. } => TroubleKind::Refused,
            Rpc::Lost { .. } | Rpc::Malformed { .. } => TroubleKind::Broken,
        };
        Trouble::new(kind, with_causes(&error))
    }
}
