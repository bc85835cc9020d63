//! Which calls a port serves: a table from names on the wire to services.
//!
//! Shape   a method is found by (protocol, name) from Hadoop RPC and by path from gRPC; both find the same value.
//! Errors  [`MethodsError`] when two services claim one name; [`Fault`]s for names that nobody serves.

use std::collections::BTreeMap;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use prost::Message;

use super::{CallContext, Fault, Malformed, Rpc, Service};
use crate::{Checked, decode};

/// The version that every protocol of Ozone declares.
const PROTOCOL_VERSION: u64 = 1;

/// A response message that knows its length and is not yet written.
pub trait Encoded: Send {
    /// How long the message will be, in bytes.
    fn encoded_len(&self) -> usize;
    /// Appends exactly [`encoded_len`](Self::encoded_len) bytes.
    fn write_to(&self, out: &mut BytesMut);
}

struct Answer<M>(M);

impl<M: Message> Encoded for Answer<M> {
    fn encoded_len(&self) -> usize {
        self.0.encoded_len()
    }

    fn write_to(&self, out: &mut BytesMut) {
        out.reserve(self.0.encoded_len());
        self.0.encode_raw(out);
    }
}

type Answering = Pin<Box<dyn Future<Output = Result<Box<dyn Encoded>, Fault>> + Send>>;

/// One call that a port serves: from the request's bytes to the response.
pub struct Method {
    protocol: &'static str,
    name: &'static str,
    grpc_path: Option<&'static str>,
    call: Box<dyn Fn(CallContext, Bytes) -> Answering + Send + Sync>,
}

impl Method {
    /// The method's name in Hadoop RPC.
    pub fn name(&self) -> &'static str {
        self.name
    }

    /// The Hadoop RPC protocol it belongs to.
    pub fn protocol(&self) -> &'static str {
        self.protocol
    }

    /// Its gRPC path, if it has one.
    pub fn grpc_path(&self) -> Option<&'static str> {
        self.grpc_path
    }

    /// Parses `request` and lets the service answer it.
    pub fn call(&self, context: CallContext, request: Bytes) -> Answering {
        (self.call)(context, request)
    }

    fn of<R: Rpc, S: Service<R>>(service: Arc<S>) -> Method {
        let call = move |context, bytes: Bytes| -> Answering {
            let service = Arc::clone(&service);
            Box::pin(async move {
                let request = parse::<R::Request>(bytes).map_err(|why| Fault::malformed(&why))?;
                let response = service.call(context, request).await?;
                Ok(Box::new(Answer(response)) as Box<dyn Encoded>)
            })
        };
        Method { protocol: R::PROTOCOL, name: R::METHOD, grpc_path: R::GRPC_PATH, call: Box::new(call) }
    }
}

/// Parses a whole message, refusing what a Java peer refuses.
pub(crate) fn parse<M: Checked>(bytes: Bytes) -> Result<M, Malformed> {
    decode(bytes.clone()).map_err(|why| Malformed::of(&bytes, &why))
}

/// Appends `delim(m)`: a varint length and as many bytes.
#[cfg(feature = "hadoop-rpc")]
pub(crate) fn put_delimited(len: usize, write: impl FnOnce(&mut BytesMut), out: &mut BytesMut) {
    prost::encoding::encode_varint(len as u64, out);
    let start = out.len();
    write(out);
    assert_eq!(out.len() - start, len, "a message writes as many bytes as it announced");
}

/// How many bytes the varint of a length takes.
#[cfg(feature = "hadoop-rpc")]
pub(crate) fn varint_len(len: usize) -> usize {
    prost::encoding::encoded_len_varint(len as u64)
}

/// Two services for one name.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MethodsError {
    /// The Hadoop RPC name is taken.
    #[error("{protocol}.{method} is served twice")]
    NameTaken {
        /// The protocol.
        protocol: &'static str,
        /// The method.
        method: &'static str,
    },
    /// The gRPC path is taken.
    #[error("the path {path} is served twice")]
    PathTaken {
        /// The path.
        path: &'static str,
    },
}

/// The calls one port serves.
#[derive(Default)]
pub struct Methods {
    by_name: BTreeMap<&'static str, BTreeMap<&'static str, Arc<Method>>>,
    by_path: BTreeMap<&'static str, Arc<Method>>,
}

impl Methods {
    /// A port that serves nothing yet.
    pub fn new() -> Methods {
        Methods::default()
    }

    /// Lets `service` answer the calls of `R`, on every wire that `R` has a name for.
    pub fn serve<R: Rpc, S: Service<R>>(mut self, service: &Arc<S>) -> Result<Methods, MethodsError> {
        let method = Arc::new(Method::of::<R, S>(Arc::clone(service)));
        let protocol = self.by_name.entry(R::PROTOCOL).or_default();
        if protocol.insert(R::METHOD, Arc::clone(&method)).is_some() {
            return Err(MethodsError::NameTaken { protocol: R::PROTOCOL, method: R::METHOD });
        }
        if let Some(path) = R::GRPC_PATH
            && self.by_path.insert(path, method).is_some()
        {
            return Err(MethodsError::PathTaken { path });
        }
        Ok(self)
    }

    /// The method of that name, or the fault that says which part of the name is unknown.
    pub fn by_name(&self, protocol: &str, version: u64, method: &str) -> Result<&Arc<Method>, Fault> {
        let methods = self.by_name.get(protocol).ok_or_else(|| Fault::no_such_protocol(protocol))?;
        if version != PROTOCOL_VERSION {
            return Err(Fault::version_mismatch(protocol, version, PROTOCOL_VERSION));
        }
        methods.get(method).ok_or_else(|| Fault::no_such_method(protocol, method))
    }

    /// The method at that gRPC path.
    pub fn by_path(&self, path: &str) -> Option<&Arc<Method>> {
        self.by_path.get(path)
    }
}
