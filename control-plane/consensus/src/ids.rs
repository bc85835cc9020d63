//! Names of members, clusters, callers and moments.
//!
//! Units   `LogTime` counts milliseconds since 1970; it comes with a command and never runs backwards in a log.
//! Source  Ratis and Hadoop RPC name a caller by 16 bytes and number its calls; we keep both names.

use std::fmt;

use serde::{Deserialize, Serialize};

/// A member's number in its cluster; never given to another member.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct MemberId(pub u64);

impl fmt::Display for MemberId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

/// Which cluster a log and a state belong to. A member refuses every other cluster's messages and files.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct ClusterId(pub String);

impl fmt::Display for ClusterId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// What the members tell each other about one of them.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Member {
    /// The name people and other roles know it by, such as `om1`.
    pub name: String,
    /// `host:port` of its consensus listener.
    pub address: String,
}

/// Who calls: 16 bytes that a client chose once, at random.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct ClientId(pub [u8; 16]);

/// The number a client gave to one call; the same in every retry of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct CallId(pub u64);

/// Where a command comes from, which decides whether a second arrival is a retry.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Origin {
    /// A client's call: applied once, and answered again from the retry record until that expires.
    Client {
        /// Who calls.
        client: ClientId,
        /// Which of its calls.
        call: CallId,
    },
    /// The service itself: applied each time it is proposed, no retry record.
    Service,
}

/// The moment a command was put into the log, by the leader's clock; later entries never have an earlier one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct LogTime {
    /// Milliseconds since 1970-01-01 UTC.
    pub unix_ms: u64,
}

/// Wall time for the leader's stamps. Tests bring their own.
pub trait Clock: Send + Sync + 'static {
    /// Milliseconds since 1970-01-01 UTC.
    fn unix_ms(&self) -> u64;
}

/// The machine's clock.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    #[allow(clippy::disallowed_methods, reason = "this is the clock that is passed in")]
    fn unix_ms(&self) -> u64 {
        let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
        since.map_or(0, |d| u64::try_from(d.as_millis()).unwrap_or(u64::MAX))
    }
}
