//! Containers' archives, from datanode to datanode: pulled, or pulled from one and pushed to another as they come.
//!
//! Shape   a connection a call, as Ozone's datanodes have it; an archive is never held, at most some parts of it are under way.
//! Errors  [`Trouble`] with the container and the datanode; an archive that ends without its end is corrupt.
//! Source  `/hadoop.hdds.datanode.IntraDatanodeProtocolService/download` and `upload`.

use std::error::Error;

use allotrope_proto::Rope;
use allotrope_proto::bulk::{Bulky, GrpcMessages, SplitLimits, grpc_message, split};
use allotrope_proto::container::{CopyContainerRequestProto, CopyContainerResponseProto};
use allotrope_proto::edge::transfer::{Compression, DownloadPart, UploadPart};
use allotrope_types::{ByteCount, ContainerId, FileOffset};
use bytes::Bytes;
use futures_util::Stream;
use http_body_util::{BodyExt as _, StreamBody};
use hyper::body::{Frame, Incoming};
use hyper::client::conn::http2::{Builder, SendRequest};
use hyper::{HeaderMap, Response};
use hyper_util::rt::{TokioExecutor, TokioIo};
use prost::Message as _;
use tokio::net::TcpStream;
use tokio::sync::mpsc;

use crate::load::{Trouble, TroubleKind};

const DOWNLOAD: &str = "/hadoop.hdds.datanode.IntraDatanodeProtocolService/download";
const UPLOAD: &str = "/hadoop.hdds.datanode.IntraDatanodeProtocolService/upload";
/// Ozone's largest message, and what stands beside the bytes.
const MESSAGE_LEN_MAX: usize = 64 << 20;
/// Parts on their way from one datanode to the other.
const PARTS: usize = 4;
/// Bytes of nothing that a tar ends with, at least.
const TAR_END: usize = 1024;

type Pieces = std::pin::Pin<Box<dyn Stream<Item = Result<Frame<Rope>, std::io::Error>> + Send>>;
type Sender = SendRequest<StreamBody<Pieces>>;

/// A copy that is under way: which container, and between whom, for whoever reads of its end.
#[derive(Clone, Copy, Debug)]
struct Call<'c> {
    what: &'c str,
    container: i64,
    address: &'c str,
}

impl Call<'_> {
    fn trouble(&self, kind: TroubleKind, why: &dyn std::fmt::Display) -> Trouble {
        Trouble::new(
            kind,
            format!("{} of container {} at {}: {why}", self.what, self.container, self.address),
        )
    }

    fn broken(&self, why: &dyn Error) -> Trouble {
        let cause = why.source().map(|cause| format!(": {cause}")).unwrap_or_default();
        self.trouble(TroubleKind::Broken, &format!("{why}{cause}"))
    }

    async fn connect(&self) -> Result<Sender, Trouble> {
        let unreachable = |error: std::io::Error| self.trouble(TroubleKind::Unreachable, &error);
        let stream = TcpStream::connect(self.address).await.map_err(unreachable)?;
        stream.set_nodelay(true).map_err(unreachable)?;
        let (sender, connection) = Builder::new(TokioExecutor::new())
            .initial_stream_window_size(4 << 20)
            .initial_connection_window_size(8 << 20)
            .max_frame_size(1 << 20)
            .handshake(TokioIo::new(stream))
            .await
            .map_err(|error| self.broken(&error))?;
        // It ends with its sender, or when the peer closes; whoever waits on it gets the error.
        tokio::spawn(async move {
            let _ = connection.await;
        });
        Ok(sender)
    }

    async fn send(
        &self,
        sender: &mut Sender,
        path: &str,
        body: Pieces,
    ) -> Result<Response<Incoming>, Trouble> {
        let request = hyper::Request::post(format!("http://{}{path}", self.address))
            .header("content-type", "application/grpc")
            .header("te", "trailers")
            .body(StreamBody::new(body))
            .map_err(|error| self.broken(&error))?;
        sender.send_request(request).await.map_err(|error| self.broken(&error))
    }

    /// What gRPC says at the end.
    fn status(&self, status: &HeaderMap) -> Result<(), Trouble> {
        let text = |name| status.get(name).and_then(|value| value.to_str().ok()).unwrap_or("none");
        match text("grpc-status") {
            "0" => Ok(()),
            code => {
                let why = format!("gRPC status {code} {}", text("grpc-message"));
                Err(self.trouble(TroubleKind::Refused, &why))
            }
        }
    }
}

/// What the parts of an archive have come to.
#[derive(Debug, Default)]
struct Come {
    len: u64,
    is_whole: bool,
    /// The last bytes, all of them zeros: those that end a tar.
    zeros: usize,
}

impl Come {
    fn part(&mut self, call: &Call<'_>, part: &DownloadPart) -> Result<(), Trouble> {
        if part.container.to_wire() != call.container
            || part.read_offset.as_u64() != self.len
            || self.is_whole
        {
            let why = format!("a part of container {} at {}", part.container, part.read_offset.as_u64());
            return Err(call.trouble(TroubleKind::Corrupt, &why));
        }
        self.len += part.len.as_u64();
        self.is_whole = part.eof;
        for piece in part.data.pieces() {
            let zeros = piece.iter().rev().take(TAR_END).take_while(|byte| **byte == 0).count();
            self.zeros = if zeros == piece.len() { self.zeros + zeros } else { zeros };
        }
        Ok(())
    }

    /// The archive's length, if all of it has come.
    fn end(&self, call: &Call<'_>) -> Result<u64, Trouble> {
        match self.is_whole && self.zeros >= TAR_END {
            true => Ok(self.len),
            false => {
                let why = format!("the archive ends at byte {}, and not with its end", self.len);
                Err(call.trouble(TroubleKind::Corrupt, &why))
            }
        }
    }
}

/// Pulls a container's archive from the replication port at `address`, and hands each part to `see`. The archive's length.
async fn download<F: Future<Output = Result<(), Trouble>>>(
    container: i64,
    address: &str,
    mut see: impl FnMut(Rope) -> F,
) -> Result<u64, Trouble> {
    let call = Call { what: "download", container, address };
    let asked = CopyContainerRequestProto {
        container_id: container,
        read_offset: 0,
        // All of it, as Ozone's datanodes ask.
        len: Some(u64::MAX),
        version: None,
        compression: Some(Compression::NoCompression.into()),
    };
    let asked = Frame::data(grpc_message(Bytes::from(asked.encode_to_vec()).into()));
    let body: Pieces = Box::pin(futures_util::stream::iter([Ok(asked)]));
    let mut sender = call.connect().await?;
    let (head, mut body) = call.send(&mut sender, DOWNLOAD, body).await?.into_parts();
    let (mut messages, mut status) = (GrpcMessages::new(MESSAGE_LEN_MAX), head.headers);
    let mut come = Come::default();
    while let Some(frame) = body.frame().await {
        match frame.map_err(|error| call.broken(&error))?.into_data() {
            Ok(data) => {
                messages.push(data);
                while let Some(message) = messages.next_message().map_err(|error| call.broken(&error))? {
                    let part: Bulky<CopyContainerResponseProto> =
                        split(message, SplitLimits::default()).map_err(|error| call.broken(&error))?;
                    let part = DownloadPart::try_from(part).map_err(|error| call.broken(&error))?;
                    come.part(&call, &part)?;
                    see(part.data).await?;
                }
            }
            Err(frame) => status.extend(frame.into_trailers().unwrap_or_default()),
        }
    }
    call.status(&status)?;
    come.end(&call)
}

/// Pulls a container's archive from the replication port at `source`, and drops it. Its length.
pub(crate) async fn pull(container: i64, source: &str) -> Result<u64, Trouble> {
    download(container, source, |_| std::future::ready(Ok(()))).await
}

/// Pulls a container's archive from `source` and pushes it to `target` as it comes, until it is in its place there. Its length;
/// `used` is what the container is said to use.
pub(crate) async fn push(container: i64, used: u64, source: &str, target: &str) -> Result<u64, Trouble> {
    let id = ContainerId::try_from(container)
        .map_err(|error| Trouble::new(TroubleKind::Broken, error.to_string()))?;
    let (to, mut parts) = mpsc::channel::<Result<Frame<Rope>, std::io::Error>>(PARTS);
    let part = move |offset: u64, data: Rope| {
        let part = UploadPart {
            container: id,
            offset: FileOffset::new(offset),
            data,
            checksum: None,
            compression: Some(Compression::NoCompression),
            size: (offset == 0).then(|| ByteCount::new(used)),
        };
        Ok(Frame::data(grpc_message(part.frames())))
    };
    let pulling = async {
        let mut at = 0;
        // The first, empty part has the target make room.
        let _ = to.send(part(0, Rope::new())).await;
        let pulled = download(container, source, |data| {
            let (offset, to, part) = (at, to.clone(), part);
            at += data.len() as u64;
            async move {
                // A target that takes no more says why itself.
                if !data.is_empty() {
                    let _ = to.send(part(offset, data)).await;
                }
                Ok(())
            }
        })
        .await;
        if let Err(trouble) = &pulled {
            // Half an archive must not look whole.
            let _ = to.send(Err(std::io::Error::other(trouble.to_string()))).await;
        }
        drop(to);
        pulled
    };
    let pushing = async {
        let call = Call { what: "upload", container, address: target };
        let body: Pieces = Box::pin(futures_util::stream::poll_fn(move |cx| parts.poll_recv(cx)));
        let mut sender = call.connect().await?;
        let (head, mut body) = call.send(&mut sender, UPLOAD, body).await?.into_parts();
        let mut status = head.headers;
        while let Some(frame) = body.frame().await {
            if let Err(frame) = frame.map_err(|error| call.broken(&error))?.into_data() {
                status.extend(frame.into_trailers().unwrap_or_default());
            }
        }
        call.status(&status)
    };
    let (pulled, pushed) = futures_util::join!(pulling, pushing);
    let len = pulled?;
    pushed.map(|()| len)
}

#[cfg(test)]
mod tests {
    use super::*;

    const CALL: Call<'static> = Call { what: "download", container: 7, address: "here" };

    fn part(at: u64, bytes: &[u8], eof: bool) -> DownloadPart {
        DownloadPart {
            container: ContainerId::try_from(7).unwrap(),
            read_offset: FileOffset::new(at),
            len: ByteCount::new(bytes.len() as u64),
            eof,
            data: Bytes::copy_from_slice(bytes).into(),
            checksum: None,
        }
    }

    fn end(parts: &[DownloadPart]) -> Result<u64, TroubleKind> {
        let mut come = Come::default();
        for part in parts {
            come.part(&CALL, part).map_err(|trouble| trouble.kind)?;
        }
        come.end(&CALL).map_err(|trouble| trouble.kind)
    }

    #[test]
    fn an_archive_is_whole_with_its_end_and_without_gaps() {
        let full = [vec![1; 512], vec![0; 2048]].concat();
        assert_eq!(end(&[part(0, &full, true)]), Ok(2560));
        // The end may come in pieces of any size, and the last may be empty.
        let pieces = [part(0, &full[..600], false), part(600, &full[600..], false), part(2560, &[], true)];
        assert_eq!(end(&pieces), Ok(2560));
        for wrong in [
            vec![part(0, &full, false)],
            vec![part(0, &full[..1535], true)],
            vec![part(0, &full[..600], false), part(601, &full[601..], true)],
            vec![part(0, &full, true), part(2560, &full, true)],
        ] {
            assert_eq!(end(&wrong), Err(TroubleKind::Corrupt));
        }
    }
}
