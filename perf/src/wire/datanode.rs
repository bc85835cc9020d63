//! Single commands to datanodes, as Ozone's clients send them.
//!
//! Shape   one request and one answer a call, on a few connections to each datanode, which all calls share.
//! Errors  [`Trouble`] with the command, the block and the datanode.
//! Source  `/hadoop.hdds.datanode.XceiverClientProtocolService/send`.

use std::collections::BTreeMap;
use std::error::Error;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use allotrope_proto::Rope;
use allotrope_proto::bulk::{Bulky, GrpcMessages, SplitLimits, grpc_message, split, weave};
use allotrope_proto::checksum::{ChecksumKind, ChecksumSpec, Checksums};
use allotrope_proto::container::{
    ChecksumData, ChecksumType, ChunkInfo, ContainerCommandRequestProto, ContainerCommandResponseProto,
    DatanodeBlockId, Type,
};
use allotrope_types::DatanodeResult;
use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use hyper::client::conn::http2::{Builder, SendRequest};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::net::TcpStream;
use tokio::sync::Mutex;

use crate::load::{Trouble, TroubleKind};

const SEND: &str = "/hadoop.hdds.datanode.XceiverClientProtocolService/send";
/// Connections to one datanode.
const CONNECTIONS: usize = 4;
/// Ozone's largest message, and what stands beside the bytes.
const MESSAGE_LEN_MAX: usize = 64 << 20;
/// Bytes under one checksum, Ozone's default.
const CHECKSUM_WINDOW: u32 = 16 << 10;

/// A block of one replica, and where it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BlockTarget {
    /// The container.
    pub container: i64,
    /// The block in it.
    pub local: i64,
    /// The datanode's id.
    pub datanode: String,
    /// The datanode's `HOST:PORT`.
    pub address: String,
}

impl BlockTarget {
    pub(crate) fn id(&self) -> DatanodeBlockId {
        DatanodeBlockId {
            container_id: self.container,
            local_id: self.local,
            block_commit_sequence_id: None,
            replica_index: None,
        }
    }
}

/// A command to the datanode of `target`.
pub(crate) fn command(target: &BlockTarget, kind: Type) -> ContainerCommandRequestProto {
    ContainerCommandRequestProto {
        cmd_type: kind as i32,
        trace_id: Some(String::new()),
        container_id: target.container,
        datanode_uuid: target.datanode.clone(),
        version: Some(3),
        ..Default::default()
    }
}

/// The description of chunk `number` of a block, whose bytes `data` lie at `offset`.
pub(crate) fn chunk_of(target: &BlockTarget, number: u64, offset: u64, data: &Bytes) -> ChunkInfo {
    let spec = ChecksumSpec::new(ChecksumKind::Crc32, CHECKSUM_WINDOW).expect("the window is not empty");
    ChunkInfo {
        chunk_name: format!("{}_chunk_{number}", target.local),
        offset,
        len: data.len() as u64,
        checksum_data: ChecksumData {
            r#type: ChecksumType::Crc32 as i32,
            bytes_per_checksum: CHECKSUM_WINDOW,
            checksums: Checksums::compute(spec, data).values().collect(),
        },
        ..Default::default()
    }
}

type Sender = SendRequest<Full<Rope>>;

/// Connections to datanodes, by address; each opens when it is first needed and again when it ended.
#[derive(Debug, Default)]
pub(crate) struct Datanodes {
    each: std::sync::Mutex<BTreeMap<String, Arc<Lanes>>>,
}

#[derive(Debug, Default)]
struct Lanes {
    next: AtomicUsize,
    senders: [Mutex<Option<Sender>>; CONNECTIONS],
}

impl Datanodes {
    fn lanes(&self, address: &str) -> Arc<Lanes> {
        let mut each = self.each.lock().expect("nothing panics while it holds the lock");
        each.entry(address.to_owned()).or_default().clone()
    }

    /// Carries a command to the datanode of `target`, and gives back its answer if that is SUCCESS.
    pub(crate) async fn ask(
        &self,
        target: &BlockTarget,
        request: Bulky<ContainerCommandRequestProto>,
    ) -> Result<Bulky<ContainerCommandResponseProto>, Trouble> {
        let kind = request.message.cmd_type();
        let said = |text: String| {
            let (container, local, address) = (target.container, target.local, &target.address);
            format!("{} of block {container}/{local} at {address}: {text}", kind.as_str_name())
        };
        let broken = |error: &dyn Error| Trouble::new(TroubleKind::Broken, said(error.to_string()));
        let mut sender = self
            .sender(&target.address)
            .await
            .map_err(|error| Trouble::new(TroubleKind::Unreachable, said(error.to_string())))?;
        sender.ready().await.map_err(|error| broken(&error))?;
        let request = hyper::Request::post(format!("http://{}{SEND}", target.address))
            .header("content-type", "application/grpc")
            .header("te", "trailers")
            .body(Full::new(grpc_message(weave(request))))
            .map_err(|error| broken(&error))?;
        let response = sender.send_request(request).await.map_err(|error| broken(&error))?;
        let (head, mut body) = response.into_parts();
        let mut messages = GrpcMessages::new(MESSAGE_LEN_MAX);
        let (mut message, mut status) = (None, head.headers);
        while let Some(frame) = body.frame().await {
            match frame.map_err(|error| broken(&error))?.into_data() {
                Ok(data) => {
                    messages.push(data);
                    message = message.or(messages.next_message().map_err(|error| broken(&error))?);
                }
                Err(frame) => status.extend(frame.into_trailers().unwrap_or_default()),
            }
        }
        let Some(message) = message else {
            let text =
                |name| status.get(name).and_then(|value| value.to_str().ok()).unwrap_or("none").to_owned();
            let text = format!("no message; gRPC status {} {}", text("grpc-status"), text("grpc-message"));
            return Err(Trouble::new(TroubleKind::Broken, said(text)));
        };
        let answer: Bulky<ContainerCommandResponseProto> =
            split(message, SplitLimits::default()).map_err(|error| broken(&error))?;
        match DatanodeResult::from_number(answer.message.result) {
            Some(DatanodeResult::Success) => Ok(answer),
            result => {
                let words = answer.message.message.as_deref().unwrap_or_default();
                Err(Trouble::new(TroubleKind::Refused, said(format!("{result:?} {words}"))))
            }
        }
    }

    async fn sender(&self, address: &str) -> Result<Sender, Box<dyn Error + Send + Sync>> {
        let lanes = self.lanes(address);
        let at = lanes.next.fetch_add(1, Ordering::Relaxed) % CONNECTIONS;
        let mut lane = lanes.senders[at].lock().await;
        if let Some(sender) = lane.as_ref().filter(|sender| !sender.is_closed()) {
            return Ok(sender.clone());
        }
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        let (sender, connection) = Builder::new(TokioExecutor::new())
            .initial_stream_window_size(4 << 20)
            .initial_connection_window_size(16 << 20)
            .max_frame_size(1 << 20)
            .handshake(TokioIo::new(stream))
            .await?;
        // It ends with its last sender, or when the peer closes; whoever waits on it gets the error.
        tokio::spawn(async move {
            let _ = connection.await;
        });
        *lane = Some(sender.clone());
        Ok(sender)
    }
}
