//! A failed call, as Java peers name it: an exception class and a message.
//!
//! Errors  a Java client builds the exception from the class name by reflection and decides by it what to do next
//!         (fail over, retry here, give up). So the class is part of the protocol; the text is for people.
//! Source  the error table of the wire facts (om.md 1.9); class names of the IPC layer are those of Ozone 2.2 (`ipc_`).

use std::borrow::Cow;

use super::Malformed;

/// Exception classes that a peer acts on.
pub mod class {
    /// This server is not the leader: ask another.
    pub const OM_NOT_LEADER: &str = "org.apache.hadoop.ozone.om.exceptions.OMNotLeaderException";
    /// This server leads but is not caught up: ask it again in a moment.
    pub const OM_LEADER_NOT_READY: &str = "org.apache.hadoop.ozone.om.exceptions.OMLeaderNotReadyException";
    /// The user may not do this.
    pub const ACCESS_CONTROL: &str = "org.apache.hadoop.security.AccessControlException";
    /// Overloaded: the same server may be asked again later.
    pub const RETRIABLE: &str = "org.apache.hadoop.ipc_.RetriableException";
    /// The request message does not parse.
    pub const INVALID_PROTOBUF: &str = "com.google.protobuf.InvalidProtocolBufferException";
    /// The request message has a tag whose wire type does not exist.
    pub const INVALID_WIRE_TYPE: &str =
        "com.google.protobuf.InvalidProtocolBufferException$InvalidWireTypeException";
    /// No such method.
    pub const NO_SUCH_METHOD: &str = "org.apache.hadoop.ipc_.RpcNoSuchMethodException";
    /// No such protocol.
    pub const NO_SUCH_PROTOCOL: &str = "org.apache.hadoop.ipc_.RpcNoSuchProtocolException";
    /// The protocol, or the IPC itself, in another version.
    pub const VERSION_MISMATCH: &str = "org.apache.hadoop.ipc_.RPC$VersionMismatch";
    /// A frame that breaks the rules of the connection.
    pub const RPC_SERVER: &str = "org.apache.hadoop.ipc_.RpcServerException";
    /// A fault of the connection's preamble.
    pub const IPC: &str = "org.apache.hadoop.ipc_.IpcException";
    /// A SASL message out of turn.
    pub const SASL: &str = "javax.security.sasl.SaslException";
    /// The call took longer than its deadline.
    pub const TIMEOUT: &str = "java.net.SocketTimeoutException";
    /// Any other failure; clients fail over on it.
    pub const IO: &str = "java.io.IOException";
}

/// What kind of failure this is, for a wire that has codes of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FaultKind {
    /// The service refused or failed.
    Application,
    /// The request's bytes do not parse, or lack a required field.
    Malformed,
    /// The port does not serve this method.
    NoSuchMethod,
    /// The port does not serve this protocol.
    NoSuchProtocol,
    /// The port serves another version of this protocol.
    VersionMismatch,
    /// The server is full; the same call may work later.
    Overloaded,
    /// The deadline passed.
    DeadlineExceeded,
    /// The response is larger than a frame may be.
    ResponseTooLarge,
    /// The user may not do this.
    AccessDenied,
}

/// Why a call failed: what a Java client makes an exception of.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{class}: {message}")]
pub struct Fault {
    class: Cow<'static, str>,
    message: String,
    kind: FaultKind,
}

impl Fault {
    /// A failure of the service, under the exception class a Java client should see.
    pub fn application(class: impl Into<Cow<'static, str>>, message: impl Into<String>) -> Fault {
        Fault { class: class.into(), message: message.into(), kind: FaultKind::Application }
    }

    fn new(kind: FaultKind, class: &'static str, message: String) -> Fault {
        Fault { class: Cow::Borrowed(class), message, kind }
    }

    /// This OM is not the leader; the client asks the next one.
    pub fn not_leader(message: impl Into<String>) -> Fault {
        Fault::application(class::OM_NOT_LEADER, message)
    }

    /// This OM leads but is not caught up; the client asks it again.
    pub fn leader_not_ready(message: impl Into<String>) -> Fault {
        Fault::application(class::OM_LEADER_NOT_READY, message)
    }

    /// The caller may not do this.
    pub fn access_denied(message: impl Into<String>) -> Fault {
        Fault::new(FaultKind::AccessDenied, class::ACCESS_CONTROL, message.into())
    }

    /// The server is full; the client may ask it again.
    pub fn overloaded(message: impl Into<String>) -> Fault {
        Fault::new(FaultKind::Overloaded, class::RETRIABLE, message.into())
    }

    /// Any other failure; a client in a group of servers asks the next one.
    pub fn io(message: impl Into<String>) -> Fault {
        Fault::application(class::IO, message)
    }

    /// The request's bytes do not parse.
    pub fn malformed(why: &Malformed) -> Fault {
        Fault::new(FaultKind::Malformed, why.java_class(), why.to_string())
    }

    /// The call was not answered within its deadline.
    pub fn deadline_exceeded(method: &str) -> Fault {
        let message = format!("{method} was not answered within its deadline; its outcome is unknown");
        Fault::new(FaultKind::DeadlineExceeded, class::TIMEOUT, message)
    }

    /// The response does not fit a frame.
    pub fn response_too_large(method: &str, bytes: usize, bytes_max: usize) -> Fault {
        let message = format!("the response to {method} is {bytes} bytes long; {bytes_max} is the limit");
        Fault::new(FaultKind::ResponseTooLarge, class::IO, message)
    }

    /// No protocol of this name.
    pub fn no_such_protocol(protocol: &str) -> Fault {
        Fault::new(
            FaultKind::NoSuchProtocol,
            class::NO_SUCH_PROTOCOL,
            format!("Unknown protocol: {protocol}"),
        )
    }

    /// The protocol is known, not this method of it.
    pub fn no_such_method(protocol: &str, method: &str) -> Fault {
        let message = format!("Unknown method {method} called on {protocol} protocol.");
        Fault::new(FaultKind::NoSuchMethod, class::NO_SUCH_METHOD, message)
    }

    /// The protocol is known, in another version.
    pub fn version_mismatch(protocol: &str, client: u64, server: u64) -> Fault {
        let message = format!("Protocol {protocol} version mismatch. (client = {client}, server = {server})");
        Fault::new(FaultKind::VersionMismatch, class::VERSION_MISMATCH, message)
    }

    /// The Java class to throw at the client.
    pub fn class(&self) -> &str {
        &self.class
    }

    /// What went wrong, in words; its first line stands alone.
    pub fn message(&self) -> &str {
        &self.message
    }

    /// For wires with codes of their own.
    pub fn kind(&self) -> FaultKind {
        self.kind
    }
}
