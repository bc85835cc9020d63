//! Calls over TCP: one connection a peer, one call at a time on it.
//!
//! Shape   docs/formats/raft-log.md: each way a frame is `ATRC`, a version, a length and so many bytes.
//! Law     the listener is the caller's. `Transport` is where TLS comes in. A connection that does not speak frames,
//!         or stays silent for long, is closed.

use std::{io, sync::Arc, time::Duration};

use bytes::Bytes;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    sync::{Semaphore, watch},
};

use super::{Answering, Network, Peer, Service};
use crate::ids::{Member, MemberId};

const MAGIC: [u8; 4] = *b"ATRC";
const FRAME_VERSION: u16 = 1;
/// The largest message: a batch of entries at its limit fits several times.
const FRAME_LEN_MAX: u32 = 64 << 20;
/// Connections served at once.
const CONNECTIONS_MAX: usize = 256;
/// A connection without a request for so long is closed; the caller opens another.
const IDLE_MAX: Duration = Duration::from_secs(300);
/// A frame that has begun arrives within this.
const FRAME_TIME_MAX: Duration = Duration::from_secs(30);

/// How bytes travel. TLS will be a second kind.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub enum Transport {
    /// As they are.
    #[default]
    Plain,
}

/// The members over TCP.
#[derive(Clone, Debug, Default)]
pub struct TcpNetwork {
    transport: Transport,
}

impl TcpNetwork {
    /// Calls made over `transport`.
    pub fn new(transport: Transport) -> Self {
        TcpNetwork { transport }
    }
}

impl Network for TcpNetwork {
    fn peer(&self, _id: MemberId, member: &Member) -> Box<dyn Peer> {
        Box::new(TcpPeer { address: member.address.clone(), transport: self.transport.clone(), idle: None })
    }
}

struct TcpPeer {
    address: String,
    transport: Transport,
    /// The connection, while no call is on it: a call that is dropped takes it along.
    idle: Option<TcpStream>,
}

impl Peer for TcpPeer {
    fn call(&mut self, request: Bytes) -> Answering<'_> {
        Box::pin(async move {
            let mut stream = match self.idle.take() {
                Some(stream) => stream,
                None => connect(&self.transport, &self.address).await?,
            };
            write_frame(&mut stream, &request).await?;
            let answer = read_frame(&mut stream).await?;
            self.idle = Some(stream);
            Ok(answer)
        })
    }
}

async fn connect(transport: &Transport, address: &str) -> io::Result<TcpStream> {
    let Transport::Plain = transport;
    let stream = TcpStream::connect(address).await?;
    stream.set_nodelay(true)?;
    Ok(stream)
}

/// Serves calls from `listener` until `stop` says so or its sender has gone. Ends when all connections have.
pub async fn serve(listener: TcpListener, service: Arc<dyn Service>, mut stop: watch::Receiver<bool>) {
    let room = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    let mut connections = tokio::task::JoinSet::new();
    loop {
        let accepted = tokio::select! {
            _ = stop.wait_for(|stop| *stop) => break,
            Some(_) = connections.join_next() => continue,
            accepted = listener.accept() => accepted,
        };
        let (stream, from) = match accepted {
            Ok(accepted) => accepted,
            Err(error) => {
                tracing::warn!(%error, "a connection could not be accepted");
                crate::raft::pause(Duration::from_millis(100)).await; // out of descriptors, most likely
                continue;
            }
        };
        let Ok(place) = Arc::clone(&room).try_acquire_owned() else {
            tracing::warn!(%from, "a connection was refused: {CONNECTIONS_MAX} are open");
            continue;
        };
        let service = Arc::clone(&service);
        connections.spawn(async move {
            let _place = place;
            if let Err(error) = serve_one(stream, service.as_ref()).await
                && error.kind() != io::ErrorKind::UnexpectedEof
            {
                tracing::debug!(%from, %error, "a connection ended");
            }
        });
    }
    connections.shutdown().await;
}

async fn serve_one(mut stream: TcpStream, service: &dyn Service) -> io::Result<()> {
    stream.set_nodelay(true)?;
    loop {
        // Waiting for the first byte may take long, the rest of the frame may not.
        let mut first = [0];
        within(IDLE_MAX, stream.peek(&mut first)).await?;
        let request = within(FRAME_TIME_MAX, read_frame(&mut stream)).await?;
        let answer = service.answer(request).await;
        within(FRAME_TIME_MAX, write_frame(&mut stream, &answer)).await?;
    }
}

async fn within<T>(time: Duration, work: impl Future<Output = io::Result<T>>) -> io::Result<T> {
    tokio::time::timeout(time, work).await.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
}

async fn write_frame(stream: &mut TcpStream, message: &[u8]) -> io::Result<()> {
    let len = u32::try_from(message.len()).ok().filter(|len| *len <= FRAME_LEN_MAX);
    let len = len.ok_or_else(|| io::Error::other(format!("a message of {} bytes", message.len())))?;
    let mut head = [0; 12];
    head[..4].copy_from_slice(&MAGIC);
    head[4..6].copy_from_slice(&FRAME_VERSION.to_le_bytes());
    head[8..].copy_from_slice(&len.to_le_bytes());
    stream.write_all(&head).await?;
    stream.write_all(message).await
}

async fn read_frame(stream: &mut TcpStream) -> io::Result<Bytes> {
    let mut head = [0; 12];
    stream.read_exact(&mut head).await?;
    let wrong = |what: String| Err(io::Error::new(io::ErrorKind::InvalidData, what));
    let [m0, m1, m2, m3, v0, v1, _, _, l0, l1, l2, l3] = head;
    if [m0, m1, m2, m3] != MAGIC {
        return wrong("not a frame of this protocol".to_owned());
    }
    let (version, len) = (u16::from_le_bytes([v0, v1]), u32::from_le_bytes([l0, l1, l2, l3]));
    if version != FRAME_VERSION {
        return wrong(format!("a frame of version {version}; this member speaks {FRAME_VERSION}"));
    }
    if len > FRAME_LEN_MAX {
        return wrong(format!("a frame of {len} bytes"));
    }
    // Grows as bytes arrive: a length alone reserves nothing.
    let mut message = Vec::new();
    let read = stream.take(len.into()).read_to_end(&mut message).await?;
    if read != len as usize {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    Ok(message.into())
}
