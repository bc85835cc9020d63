//! Reading a key.
//!
//! Shape   a key's range is cut into jobs of at most a few MiB, in order; several run ahead of the caller, within
//!         `read_ahead`. `replicated` reads a block's chunks from whichever replica gives them, `striped` reads the
//!         cells of a block group and decodes those that are gone. Both give only verified bytes, and both ask elsewhere too when
//!         an answer takes much longer than others did: the first that verifies is taken.
//! Errors  a replica that fails is passed over. When none is left OM is asked where the block is now, with a pause
//!         between, until the policy gives up: [`Error::Unreadable`], [`Error::UnreadableGroup`].

mod race;
mod replicated;
mod striped;

pub use striped::UnreadableStripe;

use std::collections::VecDeque;
use std::ops::Range;
use std::sync::Arc;

use allotrope_proto::Rope;
use allotrope_types::ReplicationConfig;
use bytes::Bytes;
use futures_util::stream::{FuturesOrdered, Stream};
use futures_util::{StreamExt, TryStreamExt};
use tokio::io::AsyncRead;
use tokio::time::Instant;

use crate::client::Client;
use crate::error::Error;
use crate::om::Key;
use crate::path::KeyPath;
use crate::retry::{Failure, Next};
use crate::task::Task;
use replicated::ReplicatedBlock;
use striped::StripedGroup;

/// Gives the bytes of a key, or of a range of it, in order and verified.
#[derive(Debug)]
pub struct KeyReader {
    client: Client,
    path: KeyPath,
    key: Key,
    /// The bytes of the key that no finished job has given yet.
    left: Range<u64>,
    /// Parts of blocks that are still to be opened: which location, which of its bytes.
    parts: VecDeque<(usize, Range<u64>)>,
    jobs: VecDeque<Job>,
    running: FuturesOrdered<Task<(u64, Result<Rope, Error>)>>,
    running_len: u64,
    ready: Rope,
    /// Failures since a job last gave bytes.
    failures: u32,
    failing_since: Option<Instant>,
}

/// Some bytes of an opened block.
#[derive(Clone, Debug)]
struct Job {
    source: Source,
    range: Range<u64>,
}

#[derive(Clone, Debug)]
enum Source {
    Replicated(Arc<ReplicatedBlock>),
    Striped(Arc<StripedGroup>),
}

impl KeyReader {
    pub(crate) fn new(
        client: Client,
        path: KeyPath,
        key: Key,
        range: Range<u64>,
    ) -> Result<KeyReader, Error> {
        if range.start > range.end || range.end > key.len {
            return Err(Error::NotInKey { key: path, start: range.start, end: range.end, len: key.len });
        }
        let parts = parts_of(&key, &range);
        Ok(KeyReader {
            client,
            path,
            key,
            left: range,
            parts,
            jobs: VecDeque::new(),
            running: FuturesOrdered::new(),
            running_len: 0,
            ready: Rope::new(),
            failures: 0,
            failing_since: None,
        })
    }

    /// What OM says of the key.
    pub fn key(&self) -> &Key {
        &self.key
    }

    /// The next bytes, never none of them; `None` at the end.
    ///
    /// Cancel safety: dropped early, no byte is lost.
    ///
    /// # Errors
    /// [`Error::Unreadable`], [`Error::UnreadableGroup`]. The bytes before it were given, and none behind it will be.
    pub async fn next(&mut self) -> Result<Option<Bytes>, Error> {
        loop {
            if let Some(piece) = self.ready_piece() {
                return Ok(Some(piece));
            }
            if let Err(error) = self.start_jobs().await {
                self.recover(error).await?;
                continue;
            }
            let Some((len, outcome)) = self.running.next().await else { return Ok(None) };
            self.running_len -= len;
            match outcome {
                Ok(rope) => {
                    self.left.start += len;
                    self.failures = 0;
                    self.failing_since = None;
                    self.ready = rope;
                }
                Err(error) => self.recover(error).await?,
            }
        }
    }

    /// The same as a stream.
    pub fn into_stream(self) -> impl Stream<Item = Result<Bytes, Error>> + Send {
        futures_util::stream::try_unfold(self, |mut reader| async move {
            Ok(reader.next().await?.map(|bytes| (bytes, reader)))
        })
    }

    /// The same as a reader of tokio's; an [`Error`] is the inner error of its `io::Error`.
    pub fn into_async_read(self) -> impl AsyncRead + Send {
        tokio_util::io::StreamReader::new(Box::pin(self.into_stream().map_err(std::io::Error::other)))
    }

    /// All bytes joined, for small keys: they are held in memory at once.
    ///
    /// # Errors
    /// As [`KeyReader::next`].
    pub async fn read_all(mut self) -> Result<Bytes, Error> {
        let mut all = Rope::new();
        while let Some(piece) = self.next().await? {
            all.push(piece);
        }
        Ok(all.join())
    }

    fn ready_piece(&mut self) -> Option<Bytes> {
        let first = self.ready.pieces().next()?.len();
        self.ready.split_to(first).map(Rope::join)
    }

    /// Opens blocks and starts jobs until the window is full.
    async fn start_jobs(&mut self) -> Result<(), Error> {
        let window = self.client.config().read_ahead.as_u64();
        loop {
            if let Some(job) = self.jobs.front() {
                if self.running_len > 0 && self.running_len + job.len() > window {
                    return Ok(());
                }
                let job = self.jobs.pop_front().expect("it is there");
                self.running_len += job.len();
                self.running.push_back(self.start(job));
                continue;
            }
            // The next block is opened when the window has room, and while earlier bytes are on their way.
            let Some((at, range)) = self.parts.front().cloned() else { return Ok(()) };
            if self.running_len >= window / 2 && self.running_len > 0 {
                return Ok(());
            }
            match self.open(at, range).await {
                Ok(jobs) => {
                    self.parts.pop_front();
                    self.jobs.extend(jobs);
                }
                // Bytes before this block are still on their way, and are given first.
                Err(_) if self.running_len > 0 => return Ok(()),
                Err(error) => return Err(error),
            }
        }
    }

    async fn open(&self, at: usize, range: Range<u64>) -> Result<Vec<Job>, Error> {
        let location = &self.key.locations[at];
        let (source, cuts) = match self.key.replication {
            ReplicationConfig::Ec(ec) => {
                let group = StripedGroup::new(&self.path, location, ec)?;
                let cuts = group.cuts(range);
                (Source::Striped(Arc::new(group)), cuts)
            }
            _ => {
                let block = ReplicatedBlock::open(&self.client, &self.path, location).await?;
                let cuts = block.cuts(range);
                (Source::Replicated(Arc::new(block)), cuts)
            }
        };
        Ok(cuts.into_iter().map(|range| Job { source: source.clone(), range }).collect())
    }

    fn start(&self, job: Job) -> Task<(u64, Result<Rope, Error>)> {
        let (client, path) = (self.client.clone(), self.path.clone());
        Task::spawn(async move {
            let len = job.len();
            let read = match &job.source {
                Source::Replicated(block) => block.read(&client, &path, job.range).await,
                Source::Striped(group) => group.read(&client, &path, job.range).await,
            };
            (len, read)
        })
    }

    /// Every replica of the next bytes failed: pause, ask OM where the blocks are now, and begin again behind what
    /// was given.
    async fn recover(&mut self, error: Error) -> Result<(), Error> {
        self.running = FuturesOrdered::new();
        self.running_len = 0;
        self.jobs.clear();
        // Dropped at an await below, the reader goes on from here with the locations it has.
        self.parts = parts_of(&self.key, &self.left);
        self.failures += 1;
        let since = *self.failing_since.get_or_insert_with(Instant::now);
        let policy = self.client.config().read_retry;
        let Next::Again { after, .. } = policy.next(Failure::Unclear, self.failures, since.elapsed(), 1.0)
        else {
            return Err(error);
        };
        tokio::time::sleep(after).await;
        let use_hostname = self.client.config().use_datanode_hostname;
        let key = self.client.om().key(&self.path, true, use_hostname).await?;
        // Another key of that name has other blocks; its bytes must not follow this one's.
        let blocks =
            |key: &Key| key.locations.iter().map(|l| (l.block.container, l.block.local)).collect::<Vec<_>>();
        if key.len != self.key.len || blocks(&key) != blocks(&self.key) {
            return Err(error);
        }
        self.key = key;
        self.parts = parts_of(&self.key, &self.left);
        Ok(())
    }
}

impl Job {
    fn len(&self) -> u64 {
        self.range.end - self.range.start
    }
}

/// Which bytes of which blocks make up `range` of `key`.
fn parts_of(key: &Key, range: &Range<u64>) -> VecDeque<(usize, Range<u64>)> {
    let mut parts = VecDeque::new();
    let mut start = 0;
    for (at, location) in key.locations.iter().enumerate() {
        let end = start + location.len;
        let wanted = range.start.max(start)..range.end.min(end);
        if !wanted.is_empty() {
            parts.push_back((
                at,
                location.offset + wanted.start - start..location.offset + wanted.end - start,
            ));
        }
        start = end;
    }
    parts
}
