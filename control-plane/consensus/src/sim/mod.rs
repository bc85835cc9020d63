//! Clusters under a seed: members of one thread in virtual time, over a network and log disks that fail.
//!
//! Shape   `World` is the vocabulary (start, crash, cut off, heal); `Counters` is what is replicated; clients keep a
//!         history that the checker judges. States are real RocksDBs in a temporary folder.
//! Law     chance comes from the seed: election timeouts, delays, losses, crashes, the clients' choices. What cannot
//!         be seeded is tokio's own choice in openraft's unbiased `select!`s (see the test of repetition).

mod checker;
mod clients;
mod network;
pub(crate) mod power;
mod tests;

use std::{collections::BTreeMap, path::PathBuf, sync::Arc, time::Duration};

use rand::{SeedableRng, rngs::StdRng};
use tempfile::TempDir;

use self::{network::SimNetwork, power::Cut};
use crate::{
    Batch, Be64, Beginning, Clock, ClusterId, Codec, CodecError, Handle, LogTime, Member, MemberId, Replica,
    ReplicaConfig, RocksShared, Role, StartError, StateMachine, Surroundings, Table, TableError, Utf8,
    log::{rocks::new_head, twin::TwinDisk},
    raft::{now, pause, seed_this_thread},
};

/// Sums by name: adding is not idempotent, so a command applied twice shows.
pub(crate) const SUMS: Table<Utf8, Be64> = Table::new("sums");

/// Adds `by` to the sum of `name` and answers the new sum.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Add {
    pub(crate) name: String,
    pub(crate) by: u64,
}

impl Codec for Add {
    type Item = Add;
    fn encode(item: &Add, out: &mut Vec<u8>) {
        out.extend_from_slice(&item.by.to_be_bytes());
        out.extend_from_slice(item.name.as_bytes());
    }
    fn decode(bytes: &[u8]) -> Result<Add, CodecError> {
        let (by, name) =
            bytes.split_first_chunk::<8>().ok_or_else(|| CodecError::new("an addition", "short"))?;
        Ok(Add { name: Utf8::decode(name)?, by: u64::from_be_bytes(*by) })
    }
}

pub(crate) struct Counters;

impl StateMachine for Counters {
    type Command = Add;
    type Answer = Be64;
    fn tables(&self) -> Vec<&'static str> {
        vec![SUMS.name()]
    }
    fn apply(&mut self, batch: &mut Batch<'_>, add: Add, _: LogTime) -> Result<u64, TableError> {
        let sum = SUMS.get(batch, &add.name)?.unwrap_or(0) + add.by;
        SUMS.put(batch, &add.name, &sum)?;
        Ok(sum)
    }
}

/// Wall time that follows virtual time.
struct SimClock(tokio::time::Instant);

impl Clock for SimClock {
    fn unix_ms(&self) -> u64 {
        1_000_000 + u64::try_from((now() - self.0).as_millis()).unwrap_or(u64::MAX)
    }
}

/// Runs `scene` in virtual time under `seed`, and says how to repeat it if it panics.
pub(crate) fn under_seed<R>(seed: u64, scene: impl AsyncFnOnce() -> R) -> R {
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
    seed_this_thread(seed);
    let told = Told(seed);
    let result = runtime.block_on(scene());
    std::mem::forget(told);
    result
}

/// A folder for the states of a scene: in memory where the machine has such a place, since power cuts are played and not
/// real, and many seeds make many files.
fn folder() -> TempDir {
    tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).unwrap()
}

/// Speaks when a scene unwinds.
struct Told(u64);
impl Drop for Told {
    fn drop(&mut self) {
        eprintln!("repeat with: ALLOTROPE_SEED={} ./dev test -p allotrope-consensus sim", self.0);
    }
}

/// The seeds a test runs under: `ALLOTROPE_SEED` alone, or `count` from `first`.
pub(crate) fn seeds(first: u64, count: u64) -> Vec<u64> {
    match std::env::var("ALLOTROPE_SEED").ok().and_then(|seed| seed.parse().ok()) {
        Some(seed) => vec![seed],
        None => (first..first + count).collect(),
    }
}

pub(crate) struct World {
    pub(crate) network: SimNetwork,
    pub(crate) disks: BTreeMap<MemberId, TwinDisk>,
    pub(crate) running: BTreeMap<MemberId, Handle<Counters>>,
    founders: BTreeMap<MemberId, Member>,
    clock: Arc<dyn Clock>,
    rocks: RocksShared,
    dir: TempDir,
    seed: u64,
    /// Where power cuts cut.
    cuts: StdRng,
    /// Changes the settings every member starts with.
    pub(crate) settings: fn(&mut ReplicaConfig),
}

impl World {
    /// Founds a cluster of `count` members and starts them.
    pub(crate) async fn founded(seed: u64, count: u64, settings: fn(&mut ReplicaConfig)) -> World {
        let ids = (1..=count).map(MemberId);
        let member = |id: MemberId| Member { name: format!("m{id}"), address: format!("m{id}") };
        let mut world = World {
            network: SimNetwork::seeded(seed),
            disks: BTreeMap::new(),
            running: BTreeMap::new(),
            founders: ids.map(|id| (id, member(id))).collect(),
            clock: Arc::new(SimClock(now())),
            rocks: RocksShared::new(8 << 20, 32 << 20).unwrap(),
            dir: folder(),
            seed,
            cuts: StdRng::seed_from_u64(seed ^ 0xc075),
            settings,
        };
        for id in world.founders.keys().copied().collect::<Vec<_>>() {
            world.start(id).await.unwrap();
        }
        world
    }

    pub(crate) fn cluster() -> ClusterId {
        ClusterId("the-sim".to_owned())
    }

    pub(crate) fn member_dir(&self, id: MemberId) -> PathBuf {
        self.dir.path().join(format!("m{id}"))
    }

    /// Starts a member, for the first time or again.
    pub(crate) async fn start(&mut self, id: MemberId) -> Result<(), StartError> {
        let seed = self.seed.wrapping_mul(31).wrapping_add(id.0);
        let disk =
            self.disks.entry(id).or_insert_with(|| TwinDisk::new(seed, 4, new_head(&Self::cluster(), id)));
        let opened = disk.open()?;
        let beginning = match self.founders.contains_key(&id) {
            true => Beginning::Found(self.founders.clone()),
            false => Beginning::Join,
        };
        let mut config = ReplicaConfig::new(self.member_dir(id), Self::cluster(), id, beginning);
        config.heartbeat = Duration::from_millis(50);
        config.election_timeout_min = Duration::from_millis(150);
        config.election_timeout_max = Duration::from_millis(300);
        config.answer_deadline = Duration::from_secs(2);
        config.snapshot_deadline = Duration::from_secs(6);
        (self.settings)(&mut config);
        let surroundings = Surroundings {
            rocks: self.rocks.clone(),
            network: self.network.seen_by(id),
            clock: Arc::clone(&self.clock),
        };
        let handle = Replica::start_on(opened, config, surroundings, Counters).await?;
        self.network.members.join(id, &handle.service());
        self.running.insert(id, handle);
        Ok(())
    }

    /// Takes a member's power: unsynced log writes go, some torn; so does the state's unsynced end.
    pub(crate) async fn crash(&mut self, id: MemberId) {
        let Some(handle) = self.running.remove(&id) else { return };
        self.disks[&id].crash();
        let cut = Cut::now(&handle.core().state.current(), &mut self.cuts);
        let state = Arc::downgrade(&handle.core().state);
        handle.shutdown(Duration::ZERO).await;
        drop(handle);
        for _ in 0..2000 {
            if state.strong_count() == 0 {
                cut.iter().for_each(Cut::carry_out);
                return;
            }
            pause(Duration::from_millis(5)).await;
        }
        panic!("member {id} still holds its state after it stopped");
    }

    /// The member that leads, once one does and all that run know it.
    pub(crate) async fn leader(&self) -> MemberId {
        for _ in 0..2000 {
            let leads = self.running.values().map(|h| h.status().now()).filter(|s| s.role == Role::Leader);
            if let Some(status) = leads.max_by_key(|s| s.term)
                && self.running[&status.member].read(|_| ()).await.is_ok()
            {
                return status.member;
            }
            pause(Duration::from_millis(20)).await;
        }
        panic!("nobody leads after 40 s");
    }

    /// Every running member's sums, once all have applied what the leader has.
    pub(crate) async fn settled(&self) -> Vec<BTreeMap<String, u64>> {
        let leader = self.leader().await;
        let applied = self.running[&leader].status().now().applied;
        for handle in self.running.values() {
            let caught_up = handle.status().wait_for(Duration::from_secs(60), |s| s.applied >= applied).await;
            caught_up.expect("a member catches up within a minute");
        }
        self.running
            .values()
            .map(|h| h.read_local(|view| SUMS.all(view).unwrap().map(Result::unwrap).collect()))
            .collect()
    }

    pub(crate) async fn add(&self, on: MemberId, name: &str, by: u64) -> Result<u64, crate::ProposeError> {
        self.running[&on].propose(crate::Origin::Service, &Add { name: name.to_owned(), by }).await
    }
}
