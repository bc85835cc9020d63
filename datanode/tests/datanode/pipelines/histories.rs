//! Keys that clients put and get at once, in one table as OM's: every history is linearizable, whichever member is read.
//!
//! Shape   a put writes a block through the pipeline and, once that is acknowledged, names it in the table; a get looks the key
//!         up and, some time later, reads the block from any member that has not failed. Events are numbered as they happen.
//!
//! A failing seed is repeated with `ALLOTROPE_SEED=N cargo test -p allotrope-datanode --test datanode histories`.

use super::faults::{ALL, Failure, LEADER, begin, seeds};
use super::sim::*;
use crate::ask::{self, *};
use allotrope_datanode::pipeline::Call;
use allotrope_datanode::pipeline::group::Answer;
use allotrope_io::{Clock, ShardId, SimRng};
use allotrope_proto::container::DatanodeBlockId;
use allotrope_proto::edge::ratis::RaftClientId;
use allotrope_types::DatanodeResult;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex};
use std::time::Duration;

const KEYS: u64 = 3;
const CLIENTS: u8 = 4;
/// So few that a key's history fits the checker's mask.
const ACTS: u64 = 12;
const LEN: usize = 5_000;

/// What a client did to a key. A value is the number of the block that a put made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Act {
    Put(u64),
    Got(Option<u64>),
}

/// An act, and the events at which it began and was answered.
#[derive(Clone, Copy, Debug)]
struct Span {
    from: u64,
    to: u64,
    act: Act,
}

/// Whether one order of these acts explains all answers, in which none comes before one that was answered before it began.
fn is_linearizable(history: &[Span]) -> bool {
    assert!(history.len() <= 64, "a bit each");
    let all = if history.len() == 64 { u64::MAX } else { (1 << history.len()) - 1 };
    let (mut seen, mut open) = (BTreeSet::new(), vec![(0u64, None)]);
    while let Some((done, value)) = open.pop() {
        if done == all {
            return true;
        }
        if !seen.insert((done, value)) {
            continue;
        }
        let waiting = || history.iter().enumerate().filter(|(n, _)| done & (1 << n) == 0);
        let first_end = waiting().map(|(_, span)| span.to).min().unwrap_or(u64::MAX);
        for (n, span) in waiting().filter(|(_, span)| span.from < first_end) {
            match span.act {
                Act::Put(new) => open.push((done | (1 << n), Some(new))),
                Act::Got(seen) if seen == value => open.push((done | (1 << n), value)),
                Act::Got(_) => {}
            }
        }
    }
    false
}

/// What the clients share: the table that OM would keep, and the count of events.
#[derive(Default)]
struct Shared {
    table: Mutex<BTreeMap<u64, DatanodeBlockId>>,
    events: AtomicU64,
    history: Mutex<BTreeMap<u64, Vec<Span>>>,
}

impl Shared {
    fn event(&self) -> u64 {
        self.events.fetch_add(1, Relaxed)
    }

    fn note(&self, key: u64, from: u64, act: Act) {
        let span = Span { from, to: self.event(), act };
        self.history.lock().unwrap().entry(key).or_default().push(span);
    }
}

struct KeyClient {
    number: u8,
    seed: u64,
    shared: Arc<Shared>,
    leader: Arc<Member>,
    /// The members that do not fail.
    readable: Vec<Arc<Member>>,
    clock: Clock,
    rng: SimRng,
}

impl KeyClient {
    /// Puts and gets; gets alone once the pipeline has ended.
    async fn run(self) {
        let mut writes = true;
        for n in 0..ACTS {
            let key = self.rng.below(KEYS);
            match writes && self.rng.chance(1, 2) {
                true => writes = self.put(key, u64::from(self.number) * 1000 + n).await,
                false => self.get(key).await,
            }
            self.clock.sleep(Duration::from_micros(self.rng.below(4000))).await;
        }
    }

    async fn put(&self, key: u64, local: u64) -> bool {
        let from = self.shared.event();
        let node = self.leader.node.id.to_string();
        let (data, place) = (bytes(local, LEN), id(1 + (local % 2) as i64, local as i64));
        let one = chunk(local as i64, 0, &data);
        let call = |n| Some(Call { client: RaftClientId([self.number; 16]), id: 2 * local + n });
        let (written, put) = futures_util::join!(
            self.leader.submit(PIPELINE, call(0), write_chunk(&node, place, one.clone(), data)),
            self.leader.submit(PIPELINE, call(1), put_block(&node, place, vec![one], true)),
        );
        let (Answer::Done { .. }, Answer::Done { index, .. }) = (written, put) else { return false };
        let place = DatanodeBlockId { block_commit_sequence_id: Some(index), ..place };
        self.shared.table.lock().unwrap().insert(key, place);
        self.shared.note(key, from, Act::Put(local));
        true
    }

    async fn get(&self, key: u64) {
        let from = self.shared.event();
        let found = self.shared.table.lock().unwrap().get(&key).cloned();
        self.clock.sleep(Duration::from_micros(self.rng.below(2000))).await;
        let Some(place) = found else { return self.shared.note(key, from, Act::Got(None)) };
        let member = &self.readable[self.rng.below(self.readable.len() as u64) as usize];
        let read = read_chunk(&member.node.id.to_string(), place, 0, LEN as u64);
        let response = crate::world::send(member.node.clone(), read).await;
        let why = &response.message.message;
        assert_eq!(ask::result(&response), DatanodeResult::Success, "seed {}: {place:?}: {why:?}", self.seed);
        let read = ask::data(&response);
        // The value is what the bytes say, not what the table says.
        let value = (0..u64::from(CLIENTS) * 1000 + 1000).step_by(1000).flat_map(|base| base..base + ACTS);
        let value = value.into_iter().find(|local| bytes(*local, LEN) == read);
        assert!(value.is_some(), "seed {}: what nobody wrote was read as {place:?}", self.seed);
        self.shared.note(key, from, Act::Got(value));
    }
}

fn run(seed: u64, failure: Failure) {
    let mut trio = Trio::seeded(seed);
    trio.boot();
    trio.create(PIPELINE, LEADER);
    let failing = trio.rng.below(3) as usize;
    begin(&mut trio, failure, failing);
    let fails = !matches!(failure, Failure::Pause | Failure::Break | Failure::None);
    let readable: Vec<_> = (0..3).filter(|n| !fails || *n != failing).collect();
    let shared = Arc::new(Shared::default());
    let clients: Vec<_> = (1..=CLIENTS)
        .map(|number| {
            let client = KeyClient {
                number,
                seed,
                shared: shared.clone(),
                leader: trio.members[LEADER].clone(),
                readable: readable.iter().map(|n| trio.members[*n].clone()).collect(),
                clock: trio.sim().clock(),
                rng: trio.rng.clone(),
            };
            trio.sim().shards().run_on(ShardId(0), "client", move |_| client.run()).unwrap()
        })
        .collect();
    for client in clients {
        trio.sim().run(client).unwrap();
    }
    for (key, history) in shared.history.lock().unwrap().iter() {
        assert!(is_linearizable(history), "seed {seed}: {failure:?}: key {key}: {history:#?}");
    }
}

#[test]
fn histories_of_competing_clients_are_linearizable_whatever_fails() {
    for seed in seeds(36) {
        run(seed, ALL[(seed % ALL.len() as u64) as usize]);
    }
}

#[test]
fn a_history_with_a_stale_or_a_lost_answer_is_none_that_one_order_explains() {
    let span = |from, to, act| Span { from, to, act };
    let (put, got) = (
        |from, to, value| span(from, to, Act::Put(value)),
        |from, to, value| span(from, to, Act::Got(value)),
    );
    assert!(is_linearizable(&[put(0, 1, 7), got(2, 3, Some(7))]));
    assert!(is_linearizable(&[put(0, 5, 7), got(1, 2, None), got(3, 4, Some(7))]), "at once");
    assert!(!is_linearizable(&[put(0, 1, 7), got(2, 3, None)]), "lost");
    assert!(!is_linearizable(&[put(0, 1, 7), put(2, 3, 8), got(4, 5, Some(7))]), "stale");
    assert!(!is_linearizable(&[put(0, 9, 7), got(1, 2, Some(7)), got(3, 4, None)]), "back and forth");
}
