//! Log lines that may repeat without end: one now and then, with the number of those that were left out.

use allotrope_io::Moment;
use std::cell::Cell;
use std::time::Duration;

/// The least time between two lines of one kind.
const EVERY: Duration = Duration::from_secs(10);

/// One kind of line, on one shard.
#[derive(Default)]
pub(crate) struct Seldom {
    last: Cell<Option<Moment>>,
    left_out: Cell<u64>,
}

impl Seldom {
    /// Whether the line may be written now: then how many were left out since the last one.
    pub(crate) fn may(&self, now: Moment) -> Option<u64> {
        if self.last.get().is_some_and(|last| now.since(last) < EVERY) {
            self.left_out.set(self.left_out.get() + 1);
            return None;
        }
        self.last.set(Some(now));
        Some(self.left_out.take())
    }
}
