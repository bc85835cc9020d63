//! Grouped flushes: one flush serves all that wait for the same file.
//!
//! Shape   each file has a generation that grows with every change, and the generation that is durable. Who waits joins
//!         the flush that covers its generation; while one runs, the next gathers.
//! Errors  a failed flush fails all that wait, and every later wait for that file: what the kernel dropped from its
//!         cache after an error a second flush would not write, yet call done.
//! Source  DESIGN.md, 'The write path, and what an answer means'.

use crate::mesh::{Answer, Reply};
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// A flush's outcome, for every one that waited for it.
pub(crate) type Flushed = Result<(), FlushFailed>;

/// The file's data may be lost since its last good flush.
#[derive(Debug, Clone, thiserror::Error)]
#[error(
    "a flush failed ({cause}); what was written since the last good one may be lost, and the file is not flushed again"
)]
pub(crate) struct FlushFailed {
    cause: Arc<io::Error>,
}

impl From<FlushFailed> for io::Error {
    fn from(failed: FlushFailed) -> io::Error {
        io::Error::new(failed.cause.kind(), failed)
    }
}

/// The flushes of one file or directory.
#[derive(Debug, Default)]
pub(crate) struct SyncState(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    /// Grows with every change that is done.
    changed: u64,
    /// Everything up to this generation is durable.
    durable: u64,
    flushing: bool,
    failed: Option<FlushFailed>,
    waiting: Vec<(u64, Reply<Flushed>)>,
}

/// What one that wants durability has to do.
pub(crate) enum Joined {
    /// Nothing: there is no change to flush, or there never will be a good flush again.
    Done(Flushed),
    /// Wait: a flush is under way, and the one after it covers this.
    Wait(Answer<Flushed>),
    /// Start flushing with the [`Turn`] on a task of its own, then wait.
    Lead(Turn, Answer<Flushed>),
}

impl SyncState {
    /// A file that was just opened: what others wrote to it before may not be durable.
    pub(crate) fn unknown() -> Arc<SyncState> {
        let state = SyncState::default();
        state.changed();
        Arc::new(state)
    }

    /// Notes a change that a later flush has to cover. Call it before and after the change is made.
    pub(crate) fn changed(&self) {
        self.lock().changed += 1;
    }

    /// Asks for everything up to now to be durable.
    pub(crate) fn join(self: &Arc<Self>) -> Joined {
        let mut state = self.lock();
        if let Some(failed) = &state.failed {
            return Joined::Done(Err(failed.clone()));
        }
        if state.durable >= state.changed {
            return Joined::Done(Ok(()));
        }
        let (reply, answer) = Reply::new();
        let needs = state.changed;
        state.waiting.push((needs, reply));
        if state.flushing {
            return Joined::Wait(answer);
        }
        state.flushing = true;
        Joined::Lead(Turn { of: self.clone(), covers: 0, running: true }, answer)
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The duty to flush until nobody waits. Dropping it unfinished fails all that wait: the flush's end is unknown.
pub(crate) struct Turn {
    of: Arc<SyncState>,
    covers: u64,
    running: bool,
}

impl Turn {
    /// Notes what the flush that starts now covers.
    pub(crate) fn begin(&mut self) {
        self.covers = self.of.lock().changed;
    }

    /// Answers those that the flush covered. `true` if others wait and the next flush shall begin.
    pub(crate) fn end(&mut self, flushed: io::Result<()>) -> bool {
        let mut state = self.of.lock();
        let answered = match flushed {
            Ok(()) => {
                state.durable = state.durable.max(self.covers);
                let durable = state.durable;
                state
                    .waiting
                    .extract_if(.., |(needs, _)| *needs <= durable)
                    .map(|(_, reply)| (reply, Ok(())))
                    .collect()
            }
            Err(cause) => state.fail(cause),
        };
        let more = !state.waiting.is_empty();
        state.flushing = more;
        self.running = more;
        drop(state);
        answer(answered);
        more
    }
}

impl State {
    fn fail(&mut self, cause: io::Error) -> Vec<(Reply<Flushed>, Flushed)> {
        let failed = FlushFailed { cause: Arc::new(cause) };
        self.failed = Some(failed.clone());
        self.flushing = false;
        self.waiting.drain(..).map(|(_, reply)| (reply, Err(failed.clone()))).collect()
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        if self.running {
            let answered = self.of.lock().fail(io::Error::other("the shard that flushed stopped"));
            answer(answered);
        }
    }
}

fn answer(answered: Vec<(Reply<Flushed>, Flushed)>) {
    for (reply, flushed) in answered {
        reply.send(flushed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_util::FutureExt;

    fn wait(joined: Joined) -> Answer<Flushed> {
        match joined {
            Joined::Wait(answer) => answer,
            _ => panic!("a flush runs, so this one waits"),
        }
    }

    #[test]
    fn one_flush_serves_all_that_came_before_it_and_the_next_all_that_came_during_it() {
        let file = SyncState::unknown();
        let Joined::Lead(mut turn, first) = file.join() else { panic!("the first leads") };
        turn.begin();
        file.changed();
        let during = [wait(file.join()), wait(file.join())];
        assert!(turn.end(Ok(())), "those that came during the flush wait for the next");
        assert!(matches!(first.now_or_never(), Some(Some(Ok(())))));
        turn.begin();
        assert!(!turn.end(Ok(())));
        for answer in during {
            assert!(matches!(answer.now_or_never(), Some(Some(Ok(())))));
        }
        assert!(matches!(file.join(), Joined::Done(Ok(()))), "nothing changed since");
    }

    #[test]
    fn a_failed_flush_fails_all_that_wait_and_is_never_retried_into_success() {
        let file = SyncState::unknown();
        let Joined::Lead(mut turn, first) = file.join() else { panic!("the first leads") };
        turn.begin();
        file.changed();
        let during = wait(file.join());
        assert!(!turn.end(Err(io::Error::from_raw_os_error(libc::EIO))));
        assert!(matches!(first.now_or_never(), Some(Some(Err(_)))));
        assert!(matches!(during.now_or_never(), Some(Some(Err(_)))));
        file.changed();
        assert!(matches!(file.join(), Joined::Done(Err(_))));
    }

    #[test]
    fn a_flush_whose_end_is_unknown_counts_as_failed() {
        let file = SyncState::unknown();
        let Joined::Lead(mut turn, first) = file.join() else { panic!("the first leads") };
        turn.begin();
        drop(turn);
        assert!(matches!(first.now_or_never(), Some(Some(Err(_)))));
        assert!(matches!(file.join(), Joined::Done(Err(_))));
    }
}
