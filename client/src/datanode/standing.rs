//! What a client thinks of its datanodes: how long reads take, and which of them to ask last for a while.
//!
//! Shape   a [`Standing`] is shared by all readers of a client. A datanode that was overtaken by a hedged read, or gave no answer, is
//!         avoided for a time: readers ask others first and come back to it when the time is over, or when the others do not suffice.
//! Never   decides that a replica is bad: that is the checksums' and the datanodes' own word.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard};
use std::time::Duration;

use allotrope_types::DatanodeId;
use tokio::time::Instant;

use crate::pace::{HedgePolicy, Pace};

#[derive(Debug)]
pub(crate) struct Standing {
    avoid_for: Duration,
    pace: Mutex<Pace>,
    /// Until when a datanode is asked last.
    avoided: Mutex<BTreeMap<DatanodeId, Instant>>,
}

impl Standing {
    pub(crate) fn new(policy: HedgePolicy) -> Standing {
        Standing {
            avoid_for: policy.avoid_for,
            pace: Mutex::new(Pace::new(policy)),
            avoided: Mutex::default(),
        }
    }

    fn pace(&self) -> MutexGuard<'_, Pace> {
        self.pace.lock().expect("nothing panics while it holds the lock")
    }

    fn avoided(&self) -> MutexGuard<'_, BTreeMap<DatanodeId, Instant>> {
        self.avoided.lock().expect("nothing panics while it holds the lock")
    }

    /// A read of `len` bytes, begun at `began`, was answered now.
    pub(crate) fn answered(&self, len: u64, began: Instant) {
        self.pace().answered(len, began.elapsed());
    }

    /// When a read of `len` bytes that begins now becomes slow; `None` if reads are never hedged.
    pub(crate) fn slow_at(&self, len: u64) -> Option<Instant> {
        self.pace().delay(len).and_then(|delay| Instant::now().checked_add(delay))
    }

    /// Whether `count` extra reads may go out.
    pub(crate) fn may_hedge(&self, count: usize) -> bool {
        self.pace().spend(count)
    }

    /// `datanode` is to be asked last for a while.
    pub(crate) fn avoid(&self, datanode: DatanodeId) {
        if let Some(until) = Instant::now().checked_add(self.avoid_for) {
            self.avoided().insert(datanode, until);
        }
    }

    /// `datanode` answered.
    pub(crate) fn trust(&self, datanode: DatanodeId) {
        self.avoided().remove(&datanode);
    }

    /// Whether `datanode` is to be asked last.
    pub(crate) fn is_avoided(&self, datanode: DatanodeId) -> bool {
        self.avoided().get(&datanode).is_some_and(|until| Instant::now() < *until)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_datanode_is_avoided_until_it_answers_or_the_time_is_over() {
        let standing = Standing::new(HedgePolicy::default());
        let datanode: DatanodeId = "00000000-0000-4000-8000-000000000001".parse().unwrap();
        assert!(!standing.is_avoided(datanode));
        standing.avoid(datanode);
        assert!(standing.is_avoided(datanode));
        standing.trust(datanode);
        assert!(!standing.is_avoided(datanode));
        standing.avoid(datanode);
        tokio::time::sleep(Duration::from_secs(9)).await;
        assert!(standing.is_avoided(datanode));
        tokio::time::sleep(Duration::from_secs(2)).await;
        assert!(!standing.is_avoided(datanode));
    }
}
