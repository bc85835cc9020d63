//! Erasure coding under stress: write, lose a datanode, read without it, see it made up for, read again, have it back; over and over.
//!
//! Shape   an operation is one step, and six steps are a round: the load is run with one operation at once. Which datanode is
//!         lost, how long the round's keys are and what is in them come from the seed.
//! Errors  a byte that is not what was written is corrupt; a container that is not made whole is late, by the run's deadline.

use std::collections::VecDeque;
use std::sync::Mutex;
use std::time::Duration;

use futures_util::future::BoxFuture;
use futures_util::{FutureExt as _, StreamExt as _, TryFutureExt as _, TryStreamExt as _};

use super::key_read::whole;
use super::{KeyRemove, KeySet, KeyWrite};
use crate::content::mixed;
use crate::load::{Done, Load, Trouble};
use crate::wire::Containers;

/// How often SCM is asked whether all is whole.
const ASK_EVERY: Duration = Duration::from_millis(500);

/// Takes datanodes away and gives them back. Datanodes count from 1.
pub trait Faults: Send + Sync + 'static {
    /// Ends a datanode as a power cut would; gives the port on which it served blocks.
    fn kill(&self, datanode: usize) -> BoxFuture<'_, Result<u16, Trouble>>;

    /// Starts it again.
    fn start(&self, datanode: usize) -> BoxFuture<'_, Result<(), Trouble>>;
}

/// What is stressed, and how much.
pub struct EcStress {
    write: KeyWrite,
    containers: Containers,
    faults: Box<dyn Faults>,
    datanodes: usize,
    keys_a_round: u64,
    /// Bytes of keys that are kept; beyond it the oldest rounds' keys are removed.
    budget: u64,
    seed: u64,
    at_once: usize,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// Rounds whose keys are there.
    kept: VecDeque<Round>,
    /// The datanode that is gone, and its port.
    gone: Option<(usize, u16)>,
}

#[derive(Clone, Copy, Debug)]
struct Round {
    number: u64,
    len: u64,
}

/// What a stress is made of.
pub struct EcStressParts {
    /// The keys: their length is the most that a round's keys have.
    pub write: KeyWrite,
    /// Where SCM is asked.
    pub containers: Containers,
    /// What takes datanodes away.
    pub faults: Box<dyn Faults>,
    /// How many datanodes there are.
    pub datanodes: usize,
    /// Keys that a round writes.
    pub keys_a_round: u64,
    /// Bytes of keys that are kept.
    pub budget: u64,
    /// What chooses.
    pub seed: u64,
    /// Keys that are written or read at once.
    pub at_once: usize,
}

impl EcStress {
    /// Steps of a round.
    pub const STEPS: u64 = 6;

    /// A stress that begins with its first round.
    pub fn new(parts: EcStressParts) -> EcStress {
        let EcStressParts { write, containers, faults, datanodes, keys_a_round, budget, seed, at_once } =
            parts;
        let (state, datanodes) = (Mutex::default(), datanodes.max(1));
        EcStress { write, containers, faults, datanodes, keys_a_round, budget, seed, at_once, state }
    }

    fn chance(&self, round: u64, what: u64) -> u64 {
        mixed(self.seed ^ mixed(round * 8 + what))
    }

    /// The keys of one round: names of their own, and content of their own.
    fn keys(&self, round: Round) -> KeySet {
        let prefix = format!("{}/round-{}", self.write.keys.prefix, round.number);
        KeySet { prefix, len: round.len, ..self.write.keys.clone() }
    }

    /// Numbers of objects of one round: no two rounds have the same content.
    fn numbers(&self, round: Round) -> std::ops::Range<u64> {
        let first = round.number * self.keys_a_round;
        first..first + self.keys_a_round
    }

    async fn write(&self, number: u64) -> Result<u64, Trouble> {
        let round = Round { number, len: 1 + self.chance(number, 0) % self.write.keys.len.max(1) };
        let write = &KeyWrite { keys: self.keys(round), replication: self.write.replication };
        self.each(round, |number| write.write(number).boxed()).await?;
        let mut removed = Vec::new();
        {
            let mut state = self.state.lock().expect("nothing panics while it holds the lock");
            state.kept.push_back(round);
            let bytes =
                |state: &State| state.kept.iter().map(|round| round.len * self.keys_a_round).sum::<u64>();
            while state.kept.len() > 1 && bytes(&state) > self.budget {
                removed.extend(state.kept.pop_front());
            }
        }
        for round in removed {
            let remove = &KeyRemove { keys: self.keys(round) };
            self.each(round, |number| remove.operate(number).map_ok(|_| 0).boxed()).await?;
        }
        Ok(round.len * self.keys_a_round)
    }

    /// Reads every key that is kept.
    async fn read(&self) -> Result<u64, Trouble> {
        let kept: Vec<Round> =
            self.state.lock().expect("nothing panics while it holds the lock").kept.iter().copied().collect();
        let mut bytes = 0;
        for round in kept {
            let keys = &self.keys(round);
            bytes += self.each(round, |number| whole(keys, number).boxed()).await?;
        }
        Ok(bytes)
    }

    /// Carries out `work` for each key of a round, and adds up what they moved.
    async fn each<'w>(
        &self,
        round: Round,
        work: impl Fn(u64) -> BoxFuture<'w, Result<u64, Trouble>>,
    ) -> Result<u64, Trouble> {
        let all =
            futures_util::stream::iter(self.numbers(round)).map(work).buffer_unordered(self.at_once.max(1));
        all.try_fold(0, |sum, bytes| std::future::ready(Ok(sum + bytes))).await
    }

    async fn kill(&self, round: u64) -> Result<(), Trouble> {
        let datanode = 1 + (self.chance(round, 1) % self.datanodes as u64) as usize;
        let gone = |gone| self.state.lock().expect("nothing panics while it holds the lock").gone = gone;
        // Noted before, too: a run that ends in between starts it again.
        gone(Some((datanode, 0)));
        let killed = self.faults.kill(datanode).await;
        gone(killed.as_ref().ok().map(|port| (datanode, *port)));
        killed.map(drop)
    }

    fn gone(&self) -> Option<(usize, u16)> {
        self.state.lock().expect("nothing panics while it holds the lock").gone
    }

    /// Waits until every container is whole without the datanode that is gone.
    async fn rebuilt(&self) -> Result<(), Trouble> {
        let Some((_, port)) = self.gone() else { return Ok(()) };
        while !self.containers.lacking_without(port).await?.is_empty() {
            tokio::time::sleep(ASK_EVERY).await;
        }
        Ok(())
    }

    /// Starts the datanode that is gone.
    ///
    /// # Errors
    /// What whoever starts it says.
    pub async fn restore(&self) -> Result<(), Trouble> {
        if let Some((datanode, _)) = self.gone() {
            self.faults.start(datanode).await?;
            self.state.lock().expect("nothing panics while it holds the lock").gone = None;
        }
        Ok(())
    }
}

impl Load for EcStress {
    fn kinds(&self) -> &[&'static str] {
        &["write", "kill", "read-degraded", "rebuild", "read-rebuilt", "start"]
    }

    fn operate(&self, number: u64) -> BoxFuture<'_, Result<Done, Trouble>> {
        async move {
            let (round, step) = (number / EcStress::STEPS, number % EcStress::STEPS);
            let bytes = match step {
                0 => self.write(round).await?,
                1 => self.kill(round).await.map(|()| 0)?,
                3 => self.rebuilt().await.map(|()| 0)?,
                5 => self.restore().await.map(|()| 0)?,
                _ => self.read().await?,
            };
            Ok(Done::of(step as usize, bytes))
        }
        .boxed()
    }

    fn leave(&self) -> BoxFuture<'_, Result<(), Trouble>> {
        self.restore().boxed()
    }
}
