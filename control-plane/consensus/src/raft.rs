//! The types openraft is driven with: what an entry carries, what runs its tasks.
//!
//! Shape   one entry carries many commands. openraft 0.9 waits for the disk once an entry, so what groups synced
//!         appends is the entry: all commands that wait while one is synced go into the next.
//! Law     openraft's randomness (election timeouts) comes from `Runtime`'s generator, which tests seed.

use std::{cell::RefCell, fmt, future::Future, sync::Arc, time::Duration};

use bytes::Bytes;
use rand::{RngCore, SeedableRng, rngs::StdRng};
use serde::{Deserialize, Serialize};

use crate::{
    ids::{LogTime, Member, Origin},
    snapshot::SnapshotData,
};

openraft::declare_raft_types!(
    /// How this crate drives openraft.
    pub(crate) Types:
        D = Commands,
        R = Answers,
        NodeId = u64,
        Node = Member,
        Entry = openraft::Entry<Types>,
        SnapshotData = SnapshotData,
        AsyncRuntime = Runtime,
);

pub(crate) type Raft = openraft::Raft<Types>;
pub(crate) type Entry = openraft::Entry<Types>;
pub(crate) type LogId = openraft::LogId<u64>;
pub(crate) type Vote = openraft::Vote<u64>;
pub(crate) type StorageError = openraft::StorageError<u64>;

/// The commands of one entry, with the one time they are applied at. Cheap to clone: the log's tail keeps one too.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Commands(pub(crate) Arc<CommandList>);

#[derive(Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct CommandList {
    pub(crate) time: LogTime,
    pub(crate) calls: Vec<Call>,
}

/// One encoded command and where it comes from.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Call {
    pub(crate) origin: Origin,
    pub(crate) command: Bytes,
}

/// The encoded answers to an entry's commands, in their order.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(crate) struct Answers(pub(crate) Vec<Bytes>);

impl fmt::Display for Commands {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} commands", self.0.calls.len())
    }
}

thread_local! {
    static CHANCE: RefCell<Option<StdRng>> = const { RefCell::new(None) };
}

/// Makes openraft's randomness on this thread follow from `seed`: for tests, on a single-threaded runtime.
pub fn seed_this_thread(seed: u64) {
    CHANCE.with(|chance| *chance.borrow_mut() = Some(StdRng::seed_from_u64(seed)));
}

/// The generator openraft draws from: the seeded one of this thread, else the operating system's.
pub(crate) struct Chance;

impl RngCore for Chance {
    fn next_u32(&mut self) -> u32 {
        (self.next_u64() >> 32) as u32
    }
    fn next_u64(&mut self) -> u64 {
        CHANCE.with(|chance| match &mut *chance.borrow_mut() {
            Some(seeded) => seeded.next_u64(),
            None => rand::rngs::OsRng.next_u64(),
        })
    }
    fn fill_bytes(&mut self, dest: &mut [u8]) {
        rand_core_fill(self, dest);
    }
    fn try_fill_bytes(&mut self, dest: &mut [u8]) -> Result<(), rand::Error> {
        self.fill_bytes(dest);
        Ok(())
    }
}

fn rand_core_fill(rng: &mut Chance, dest: &mut [u8]) {
    for chunk in dest.chunks_mut(8) {
        let bytes = rng.next_u64().to_le_bytes();
        chunk.copy_from_slice(&bytes[..chunk.len()]);
    }
}

/// tokio, with a generator that tests can seed.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Runtime;

impl openraft::AsyncRuntime for Runtime {
    type JoinError = tokio::task::JoinError;
    type JoinHandle<T: Send + 'static> = tokio::task::JoinHandle<T>;
    type Sleep = tokio::time::Sleep;
    type Instant = tokio::time::Instant;
    type TimeoutError = tokio::time::error::Elapsed;
    type Timeout<R, T: Future<Output = R> + Send> = tokio::time::Timeout<T>;
    type ThreadLocalRng = Chance;
    type OneshotSender<T: Send> = <openraft::TokioRuntime as openraft::AsyncRuntime>::OneshotSender<T>;
    type OneshotReceiver<T: Send> = <openraft::TokioRuntime as openraft::AsyncRuntime>::OneshotReceiver<T>;
    type OneshotReceiverError = tokio::sync::oneshot::error::RecvError;

    fn spawn<T>(future: T) -> Self::JoinHandle<T::Output>
    where
        T: Future + Send + 'static,
        T::Output: Send + 'static,
    {
        tokio::spawn(future)
    }
    #[allow(clippy::disallowed_methods, reason = "this is the clock openraft is given; tests pause it")]
    fn sleep(duration: Duration) -> Self::Sleep {
        tokio::time::sleep(duration)
    }
    #[allow(clippy::disallowed_methods, reason = "this is the clock openraft is given; tests pause it")]
    fn sleep_until(deadline: Self::Instant) -> Self::Sleep {
        tokio::time::sleep_until(deadline)
    }
    fn timeout<R, F: Future<Output = R> + Send>(duration: Duration, future: F) -> Self::Timeout<R, F> {
        tokio::time::timeout(duration, future)
    }
    fn timeout_at<R, F: Future<Output = R> + Send>(
        deadline: Self::Instant,
        future: F,
    ) -> Self::Timeout<R, F> {
        tokio::time::timeout_at(deadline, future)
    }
    fn is_panic(join_error: &Self::JoinError) -> bool {
        join_error.is_panic()
    }
    fn thread_rng() -> Self::ThreadLocalRng {
        Chance
    }
    fn oneshot<T>() -> (Self::OneshotSender<T>, Self::OneshotReceiver<T>)
    where
        T: Send,
    {
        <openraft::TokioRuntime as openraft::AsyncRuntime>::oneshot()
    }
}

/// Runs `work`, which blocks on a disk, without holding up the other tasks of a multi-threaded runtime. On a
/// single-threaded one (tests) it simply runs, in no virtual time.
pub(crate) fn blocking<R>(work: impl FnOnce() -> R) -> R {
    match tokio::runtime::Handle::try_current().map(|h| h.runtime_flavor()) {
        Ok(tokio::runtime::RuntimeFlavor::MultiThread) => tokio::task::block_in_place(work),
        _ => work(),
    }
}

/// Now, by the clock openraft runs on.
pub(crate) fn now() -> tokio::time::Instant {
    <tokio::time::Instant as openraft::Instant>::now()
}

/// Waits, by the clock openraft runs on.
pub(crate) async fn pause(time: Duration) {
    <Runtime as openraft::AsyncRuntime>::sleep(time).await;
}
