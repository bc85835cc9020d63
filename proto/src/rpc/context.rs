//! Who asks, over which wire, and until when an answer is of use.

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use bytes::Bytes;
use tokio::time::Instant;

/// Names one client of Hadoop RPC across its connections: 16 bytes, a UUID, most significant byte first.
///
/// With the call id it names one logical call: a retry, also one sent to another server, carries the same pair.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ClientId([u8; 16]);

impl ClientId {
    /// The id as its 16 bytes on the wire.
    pub const fn from_bytes(bytes: [u8; 16]) -> ClientId {
        ClientId(bytes)
    }

    /// `None` unless there are exactly 16 bytes (SASL frames carry none).
    pub fn from_slice(bytes: &[u8]) -> Option<ClientId> {
        bytes.try_into().ok().map(ClientId)
    }

    /// The 16 bytes on the wire.
    pub const fn as_bytes(&self) -> &[u8; 16] {
        &self.0
    }
}

impl fmt::Debug for ClientId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", u128::from_be_bytes(self.0))
    }
}

/// Which wire a call came over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TransportKind {
    /// Hadoop RPC, version 9.
    HadoopRpc,
    /// gRPC over HTTP/2.
    Grpc,
}

/// What a client wrote beside its call for the audit log (Hadoop's caller context).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CallerNote {
    /// Free text, such as `S3Auth:S3G|<access id>`.
    pub context: String,
    /// Signature over it; empty if none was sent.
    pub signature: Bytes,
}

/// Who asks. Without security these are claims of the client, not facts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Caller {
    /// The user to act as; `None` where the wire named none (gRPC names it in the request message).
    pub user: Option<Arc<str>>,
    /// The user who acts for `user` (a proxy user), if any.
    pub real_user: Option<Arc<str>>,
    /// The socket's far end.
    pub remote: SocketAddr,
    /// The host name the client says it runs on (gRPC's `client_hostname`), if it says so.
    pub host_claimed: Option<String>,
    /// The address the client says it has (gRPC's `client_ip_address`), if it says so.
    pub address_claimed: Option<String>,
    /// The client's id; `None` where the wire carries none, and then a retry cannot be told from a new call.
    pub client_id: Option<ClientId>,
    /// The call's number within `client_id`. A retry repeats it.
    pub call_id: i32,
    /// How often the client has tried this call before; 0 on the first try, -1 if unknown.
    pub retry_count: i32,
    /// What the client wanted in the audit log.
    pub note: Option<CallerNote>,
    /// Over which wire the call came.
    pub transport: TransportKind,
}

impl Caller {
    /// Whether the socket's far end is on this machine too, which listens at `listener`: over loopback, or by an address
    /// of its own.
    pub fn is_on_this_machine(&self, listener: IpAddr) -> bool {
        let (remote, listener) = (self.remote.ip().to_canonical(), listener.to_canonical());
        remote.is_loopback() || (remote == listener && !listener.is_unspecified())
    }
}

/// One call's surroundings, handed to the service.
#[derive(Clone, Debug)]
pub struct CallContext {
    /// Who asks.
    pub caller: Caller,
    /// When the adapter stops waiting and answers that the call took too long.
    pub deadline: Instant,
}
