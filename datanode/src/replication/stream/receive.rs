//! The receiver's side: a transfer and its import, which outlives a connection that is cut.
//!
//! Shape   the import runs as a task and is fed by whichever connection brings the transfer's bytes. Between two connections
//!         the transfer waits in [`Sessions`], for `WAIT_MAX` at most; then the import ends for want of bytes.
//! Units   a transfer goes on at the byte behind the last one that was taken.

use super::buffers::Buffers;
use super::wire::{Answer, HELLO_LEN, Hello, MAGIC};
use crate::commands::CommandError;
use crate::replication::import::{self, Arriving, Buffered, Entered, Marks};
use crate::replication::{PIECE, PIECES};
use crate::store::Node;
use allotrope_io::{AlignedBuf, Class, Shard, TaskHandle, TcpStream};
use allotrope_types::DatanodeResult::{self, ContainerInternalError, ContainerNotFound};
use allotrope_types::{ByteCount, ContainerId};
use futures_util::future::select;
use std::collections::BTreeMap;
use std::io;
use std::pin::pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::mpsc;

/// Longest that a transfer waits for its sender to come again.
const WAIT_MAX: Duration = Duration::from_secs(60);
/// Longest that a sender may bring nothing.
const STALL_MAX: Duration = Duration::from_secs(30);

type Id = (ContainerId, [u8; 16]);

/// Transfers that wait for their senders.
#[derive(Debug, Default)]
pub struct Sessions(Mutex<BTreeMap<Id, Held>>);

/// Whether a transfer is being served, or waits.
#[derive(Debug)]
enum Held {
    /// A connection has it.
    Served,
    /// It waits since its `cuts`th cut.
    Waits(Box<Session>),
    /// It has ended so; kept for a sender that did not hear it.
    Ended(Answer),
}

/// A transfer.
struct Session {
    len: u64,
    has: u64,
    /// How often its connection was cut.
    cuts: u64,
    /// The way into the import; `None` once all has come.
    to: Option<mpsc::Sender<Result<AlignedBuf, CommandError>>>,
    importing: TaskHandle<Result<(), CommandError>>,
    buffers: Buffers,
    marks: Marks,
    _entered: Entered,
}

impl std::fmt::Debug for Session {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Session").field("len", &self.len).field("has", &self.has).finish_non_exhaustive()
    }
}

impl Sessions {
    fn lock(&self) -> MutexGuard<'_, BTreeMap<Id, Held>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// How a connection's part in a transfer ended.
enum Ended {
    /// The import has ended; this is to be told.
    With(Result<(), CommandError>),
    /// The connection is gone; the transfer may go on.
    Cut(Box<Session>, io::Error),
}

/// Serves a connection whose first four bytes were [`MAGIC`].
pub async fn serve(shard: &Shard, node: &Arc<Node>, mut stream: TcpStream) {
    let mut bytes = [0; HELLO_LEN];
    bytes[..MAGIC.len()].copy_from_slice(&MAGIC);
    let read = shard.clock().timeout(STALL_MAX, stream.read_exact(&mut bytes[MAGIC.len()..])).await;
    let Ok(Ok(())) = read else { return };
    let hello = match Hello::decode(&bytes) {
        Ok(hello) => hello,
        Err(e) => {
            tracing::info!(error = %e, "a datanode's transfer is refused");
            return;
        }
    };
    let id = (hello.container, hello.transfer);
    let taken = {
        let mut sessions = node.transfers.lock();
        match sessions.insert(id, Held::Served) {
            Some(Held::Waits(session)) => Ok(Some(session)),
            Some(Held::Served) => Err(vec![Answer::of(None, 0)]),
            Some(Held::Ended(answer)) => {
                sessions.insert(id, Held::Ended(answer.clone()));
                // As it would have been: all is here, and how it ended.
                Err(vec![answer.clone(), answer])
            }
            None if hello.resumes => {
                sessions.remove(&id);
                let text = "the transfer is not known here any more".into();
                Err(vec![Answer { result: Some(ContainerNotFound), has: 0, text }])
            }
            None => Ok(None),
        }
    };
    let session = match taken {
        Ok(Some(session)) => session,
        Ok(None) => match begin(shard, node, &hello) {
            Some(session) => Box::new(session),
            None => {
                // As many as may come are coming: the sender comes again, and is not left without a word meanwhile.
                node.transfers.lock().remove(&id);
                return drop(stream.write_all(&Answer::of(None, 0).encode()).await);
            }
        },
        // The other connection has not noticed yet that it is cut, or the transfer is of the past.
        Err(answers) => {
            let bytes: Vec<u8> = answers.iter().flat_map(Answer::encode).collect();
            return drop(stream.write_all(&bytes).await);
        }
    };
    match take(shard, &mut stream, session).await {
        Ended::With(done) => {
            let answer = match done {
                Ok(()) => Answer::of(Some(DatanodeResult::Success), hello.len),
                Err(e) => Answer { result: Some(e.result), has: 0, text: e.why },
            };
            node.transfers.lock().insert(id, Held::Ended(answer.clone()));
            forget(shard, node, id, |held| matches!(held, Held::Ended(_)));
            let told = shard.clock().timeout(STALL_MAX, stream.write_all(&answer.encode())).await;
            if !matches!(told, Ok(Ok(()))) {
                tracing::debug!(container = %hello.container, "the sender of a transfer did not hear how it ended");
            }
        }
        Ended::Cut(session, e) => {
            tracing::info!(container = %hello.container, has = session.has, of = session.len, error = %e,
                "a transfer is cut and waits for its sender");
            wait(shard, node, id, session);
        }
    }
}

/// Begins a transfer; `None` if no more may come now.
fn begin(shard: &Shard, node: &Arc<Node>, hello: &Hello) -> Option<Session> {
    let entered = node.imports.try_enter()?;
    let ((to, feed), buffers, marks) = (mpsc::channel(PIECES), Buffers::default(), Marks::default());
    let arriving = Buffered { feed, home: buffers.clone(), marks: marks.clone() };
    let (task, target, container) = (shard.clone(), node.clone(), hello.container);
    let size = Some(ByteCount::new(hello.used));
    let importing = shard.spawn_in(Class::Replication, "import", async move {
        import::receive(&task, &target, container, size, Arriving::Buffers(arriving)).await
    });
    Some(Session {
        len: hello.len,
        has: 0,
        cuts: 0,
        to: Some(to),
        importing,
        buffers,
        marks,
        _entered: entered,
    })
}

/// Leaves a transfer to the sender's next connection, for a while.
fn wait(shard: &Shard, node: &Arc<Node>, id: Id, mut session: Box<Session>) {
    session.cuts += 1;
    let cuts = session.cuts;
    node.transfers.lock().insert(id, Held::Waits(session));
    // The import then meets the end of its feed and cleans up.
    forget(shard, node, id, move |held| matches!(held, Held::Waits(session) if session.cuts == cuts));
}

/// Forgets a transfer after a while if it is still so.
fn forget(shard: &Shard, node: &Arc<Node>, id: Id, still: impl Fn(&Held) -> bool + 'static) {
    let (task, node) = (shard.clone(), node.clone());
    drop(shard.spawn_in(Class::Replication, "transfer", async move {
        let sleep = pin!(task.clock().sleep(WAIT_MAX));
        select(sleep, pin!(task.stopping())).await;
        let mut transfers = node.transfers.lock();
        if transfers.get(&id).is_some_and(still) {
            transfers.remove(&id);
        }
    }));
}

/// Takes what the connection brings, then waits for the import.
async fn take(shard: &Shard, stream: &mut TcpStream, mut session: Box<Session>) -> Ended {
    let goes_on = Answer::of(Some(DatanodeResult::Success), session.has).encode();
    if let Err(e) = stream.write_all(&goes_on).await {
        return Ended::Cut(session, e);
    }
    while let Some(to) = session.to.as_ref().filter(|_| session.has < session.len) {
        let want = (session.len - session.has).min(session.marks.piece_at(session.has) as u64) as usize;
        let (piece, cut) = piece(shard, stream, &session.buffers, want).await;
        session.has += piece.len() as u64;
        let refused = !piece.is_empty() && to.send(Ok(piece)).await.is_err();
        if refused {
            // The import has ended by itself and says why.
            session.to = None;
        } else if let Some(e) = cut {
            return Ended::Cut(session, e);
        }
    }
    session.to = None;
    let Session { importing, .. } = *session;
    let imported = importing.await.unwrap_or_else(|_| {
        Err(CommandError::new(ContainerInternalError, "the import ended without a result"))
    });
    Ended::With(imported)
}

/// Reads `want` bytes, or as many as come before the connection ends.
async fn piece(
    shard: &Shard,
    stream: &mut TcpStream,
    buffers: &Buffers,
    want: usize,
) -> (AlignedBuf, Option<io::Error>) {
    let mut buf = buffers.take(PIECE);
    buf.set_len(want);
    let mut filled = 0;
    let cut = loop {
        if filled == want {
            break None;
        }
        match shard.clock().timeout(STALL_MAX, stream.read(&mut buf[filled..])).await {
            Ok(Ok(0)) => break Some(io::ErrorKind::UnexpectedEof.into()),
            Ok(Ok(n)) => filled += n,
            Ok(Err(e)) => break Some(e),
            Err(e) => break Some(io::Error::new(io::ErrorKind::TimedOut, e)),
        }
    };
    buf.set_len(filled);
    (buf, cut)
}
