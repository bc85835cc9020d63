//! The tests' network: messages are late, lost, doubled or cut off by a partition, all by seed.

use std::{
    collections::BTreeSet,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use bytes::Bytes;
use rand::{Rng, SeedableRng, rngs::StdRng};

use crate::{
    ids::{Member, MemberId},
    network::{Answering, Network, Peer, memory::MemoryNetwork},
    raft::pause,
};

/// What goes wrong at the moment.
struct Weather {
    chance: StdRng,
    delay_ms_max: u64,
    drop_percent: u32,
    double_percent: u32,
    cut: BTreeSet<(MemberId, MemberId)>,
}

/// One network for all members of a test.
#[derive(Clone)]
pub(crate) struct SimNetwork {
    pub(crate) members: MemoryNetwork,
    weather: Arc<Mutex<Weather>>,
}

impl SimNetwork {
    pub(crate) fn seeded(seed: u64) -> SimNetwork {
        let chance = StdRng::seed_from_u64(seed);
        let weather =
            Weather { chance, delay_ms_max: 5, drop_percent: 0, double_percent: 0, cut: BTreeSet::new() };
        SimNetwork { members: MemoryNetwork::default(), weather: Arc::new(Mutex::new(weather)) }
    }

    fn weather(&self) -> MutexGuard<'_, Weather> {
        self.weather.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// From now on messages are lost or doubled so often, and late by up to so much.
    pub(crate) fn set_weather(&self, drop_percent: u32, double_percent: u32, delay_ms_max: u64) {
        let mut weather = self.weather();
        (weather.drop_percent, weather.double_percent, weather.delay_ms_max) =
            (drop_percent, double_percent, delay_ms_max);
    }

    /// No message passes between `one` and the others, either way.
    pub(crate) fn cut_off(&self, one: MemberId, others: impl IntoIterator<Item = MemberId>) {
        let mut weather = self.weather();
        for other in others {
            weather.cut.insert((one, other));
            weather.cut.insert((other, one));
        }
    }

    /// Messages pass between all members again.
    pub(crate) fn heal(&self) {
        self.weather().cut.clear();
    }

    /// The network as `from` sees it.
    pub(crate) fn seen_by(&self, from: MemberId) -> Arc<dyn Network> {
        Arc::new(Side { network: self.clone(), from })
    }

    /// How late a message is; none if it is lost.
    fn fate(&self, from: MemberId, to: MemberId) -> Option<(Duration, bool)> {
        let mut weather = self.weather();
        let (drop_percent, double_percent, delay_ms_max) =
            (weather.drop_percent, weather.double_percent, weather.delay_ms_max);
        let lost = weather.chance.gen_ratio(drop_percent, 100);
        let doubled = weather.chance.gen_ratio(double_percent, 100);
        let delay = Duration::from_millis(weather.chance.gen_range(0..=delay_ms_max));
        (!lost && !weather.cut.contains(&(from, to))).then_some((delay, doubled))
    }
}

struct Side {
    network: SimNetwork,
    from: MemberId,
}

impl Network for Side {
    fn peer(&self, id: MemberId, _: &Member) -> Box<dyn Peer> {
        Box::new(SimPeer { network: self.network.clone(), from: self.from, to: id })
    }
}

struct SimPeer {
    network: SimNetwork,
    from: MemberId,
    to: MemberId,
}

impl Peer for SimPeer {
    fn call(&mut self, request: Bytes) -> Answering<'_> {
        Box::pin(async move {
            let Some((delay, doubled)) = self.network.fate(self.from, self.to) else {
                return std::future::pending().await;
            };
            pause(delay).await;
            let Some(service) = self.network.members.find(self.to) else {
                return Err(std::io::ErrorKind::ConnectionRefused.into());
            };
            if doubled {
                let (again, late, service) = (request.clone(), delay, Arc::clone(&service));
                tokio::spawn(async move {
                    pause(late).await;
                    service.answer(again).await;
                });
            }
            let answer = service.answer(request).await;
            drop(service);
            let Some((delay, _)) = self.network.fate(self.to, self.from) else {
                return std::future::pending().await;
            };
            pause(delay).await;
            Ok(answer)
        })
    }
}
