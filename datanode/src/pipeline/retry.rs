//! What was answered to whom: a client that asks again gets the answer again, and nothing runs twice.
//!
//! Law     an entry lives as long as its client may ask again: until the client says that it has the answer, or for
//!         [`KEPT`], as Ratis does; beyond [`ENTRIES_MAX`] the oldest answers go first. Commands under way are never forgotten.
//! Source  wire facts: datapath.md 4.5.

use allotrope_io::Moment;
use allotrope_proto::edge::ratis::RaftClientId;
use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

/// How long an answer is kept (`hdds.ratis.server.retry-cache.timeout.duration`).
const KEPT: Duration = Duration::from_secs(600);
/// Answers a pipeline keeps.
const ENTRIES_MAX: usize = 16_384;

/// A client's call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Call {
    /// Whose.
    pub client: RaftClientId,
    /// Its number.
    pub id: u64,
}

/// What is known of a call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Known<A> {
    /// It runs, as this index.
    Runs(u64),
    /// It was answered.
    Answered(A),
}

/// The calls of a pipeline.
#[derive(Debug)]
pub(super) struct Retries<A> {
    calls: BTreeMap<Call, Known<A>>,
    answered: VecDeque<(Moment, Call)>,
}

impl<A> Default for Retries<A> {
    fn default() -> Retries<A> {
        Retries { calls: BTreeMap::new(), answered: VecDeque::new() }
    }
}

impl<A> Retries<A> {
    /// What is known of a call.
    pub(super) fn known(&self, call: Call) -> Option<&Known<A>> {
        self.calls.get(&call)
    }

    /// A call runs.
    pub(super) fn runs(&mut self, call: Call, index: u64) {
        self.calls.insert(call, Known::Runs(index));
    }

    /// A call was answered.
    pub(super) fn answered(&mut self, call: Call, answer: A, now: Moment) {
        self.calls.insert(call, Known::Answered(answer));
        self.answered.push_back((now, call));
        while let Some((since, _)) = self.answered.front()
            && (now.since(*since) >= KEPT || self.answered.len() > ENTRIES_MAX)
            && let Some((_, oldest)) = self.answered.pop_front()
        {
            self.forget(oldest);
        }
    }

    /// The client has these answers.
    pub(super) fn arrived(&mut self, client: RaftClientId, ids: &[u64]) {
        ids.iter().for_each(|id| self.forget(Call { client, id: *id }));
    }

    fn forget(&mut self, call: Call) {
        if matches!(self.calls.get(&call), Some(Known::Answered(_))) {
            self.calls.remove(&call);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use allotrope_io::{Sim, SimConfig};

    fn call(id: u64) -> Call {
        Call { client: RaftClientId([1; 16]), id }
    }

    fn now() -> Moment {
        Sim::new(SimConfig::seeded(1, 1)).clock().now()
    }

    #[test]
    fn an_answer_is_given_again_until_the_client_has_it() {
        let (mut retries, now) = (Retries::default(), now());
        assert_eq!(retries.known(call(1)), None);
        retries.runs(call(1), 7);
        assert_eq!(retries.known(call(1)), Some(&Known::Runs(7)));
        retries.arrived(call(1).client, &[1]);
        assert_eq!(retries.known(call(1)), Some(&Known::Runs(7)), "what runs is not forgotten");
        retries.answered(call(1), "done", now);
        assert_eq!(retries.known(call(1)), Some(&Known::Answered("done")));
        retries.arrived(RaftClientId([2; 16]), &[1]);
        assert!(retries.known(call(1)).is_some(), "another client's word");
        retries.arrived(call(1).client, &[1]);
        assert_eq!(retries.known(call(1)), None);
    }

    #[test]
    fn answers_have_an_age_and_a_bound() {
        let (mut retries, now) = (Retries::default(), now());
        retries.answered(call(0), 0, now);
        retries.answered(call(1), 1, now + KEPT);
        assert_eq!((retries.known(call(0)), retries.known(call(1)).is_some()), (None, true));
        for id in 2..2 + ENTRIES_MAX as u64 {
            retries.answered(call(id), id, now + KEPT);
        }
        assert_eq!(retries.known(call(1)), None);
        assert_eq!(retries.calls.len(), ENTRIES_MAX);
    }
}
