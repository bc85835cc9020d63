//! Clients that add and read through whoever leads, retry until told, and write down what they saw.

use std::{
    cell::{Cell, RefCell},
    collections::BTreeMap,
    rc::Rc,
    time::Duration,
};

use rand::{Rng, SeedableRng, rngs::StdRng};

use super::{
    Add, Counters, SUMS,
    checker::{Call, Done},
};
use crate::{CallId, ClientId, Handle, MemberId, Origin, ProposeError, ReadError, raft::pause};

/// The members clients can reach, kept current by the test as they crash and start.
pub(crate) type Reachable = Rc<RefCell<BTreeMap<MemberId, Handle<Counters>>>>;

/// What all clients saw, by counter; moments are numbers that grow.
#[derive(Default)]
pub(crate) struct History {
    moment: Cell<u64>,
    pub(crate) calls: RefCell<BTreeMap<String, Vec<Call>>>,
}

impl History {
    fn now(&self) -> u64 {
        self.moment.set(self.moment.get() + 1);
        self.moment.get()
    }

    fn keep(&self, name: &str, from: u64, to: u64, done: Done) {
        self.calls.borrow_mut().entry(name.to_owned()).or_default().push(Call { from, to, done });
    }
}

/// Makes `count` calls, one after another.
pub(crate) async fn client(number: u64, seed: u64, count: u64, reachable: Reachable, history: Rc<History>) {
    let mut chance = StdRng::seed_from_u64(seed ^ (number << 32));
    for call in 0..count {
        let name = format!("sum-{}", chance.gen_range(0..3));
        let from = history.now();
        if chance.gen_bool(0.4) {
            if let Some(sum) = read(&mut chance, &reachable, &name).await {
                history.keep(&name, from, history.now(), Done::Read { sum });
            }
        } else {
            let by = chance.gen_range(1..100);
            let origin = Origin::Client { client: ClientId([number as u8; 16]), call: CallId(call) };
            match add(&mut chance, &reachable, origin, &Add { name: name.clone(), by }).await {
                Some(sum) => history.keep(&name, from, history.now(), Done::Added { by, sum }),
                None => history.keep(&name, from, u64::MAX, Done::MaybeAdded { by }),
            }
        }
        pause(Duration::from_millis(chance.gen_range(0..20))).await;
    }
}

fn pick(chance: &mut StdRng, reachable: &Reachable) -> Option<Handle<Counters>> {
    let members = reachable.borrow();
    let leading = members.values().find(|h| h.status().now().leader == Some(h.member()));
    // Mostly the one that thinks it leads, sometimes anybody: a deposed leader must not answer.
    if let Some(leading) = leading.filter(|_| chance.gen_bool(0.7)) {
        return Some(leading.clone());
    }
    let place = chance.gen_range(0..members.len().max(1));
    members.values().nth(place).cloned()
}

async fn add(chance: &mut StdRng, reachable: &Reachable, origin: Origin, add: &Add) -> Option<u64> {
    for _ in 0..60 {
        if let Some(handle) = pick(chance, reachable) {
            match handle.propose(origin, add).await {
                Ok(sum) => return Some(sum),
                Err(ProposeError::Answer { source }) => panic!("{source}"),
                Err(_) => {} // not there, not now, or not known: the same call again
            }
        }
        pause(Duration::from_millis(chance.gen_range(5..100))).await;
    }
    None
}

async fn read(chance: &mut StdRng, reachable: &Reachable, name: &str) -> Option<u64> {
    for _ in 0..60 {
        if let Some(handle) = pick(chance, reachable) {
            let sum = handle.read(|view| SUMS.get(view, &name.to_owned()).unwrap().unwrap_or(0)).await;
            match sum {
                Ok(sum) => return Some(sum),
                Err(
                    ReadError::NotLeader { .. } | ReadError::NoMajority { .. } | ReadError::Stopped { .. },
                ) => {}
            }
        }
        pause(Duration::from_millis(chance.gen_range(5..100))).await;
    }
    None
}
