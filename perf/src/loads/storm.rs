//! A replication storm: simulated datanodes die together, SCM has all that they held copied or rebuilt, they come back, SCM has what
//! is too many deleted; over and over.
//!
//! Shape   an operation is one step, and four steps are a round: the load is run with one operation at once. Heartbeats of all that
//!         live go on beside. Which datanodes die, the seed says.
//! Errors  a container that is not whole in time is late, by the run's deadline; so is one that keeps too many replicas.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;

use super::Fleet;
use super::fleet::losses_borne;
use crate::content::mixed;
use crate::load::{Done, Load, Trouble, TroubleKind};
use allotrope_types::ReplicationConfig;

/// How often is looked whether all is whole.
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// Heartbeats that go on until it is dropped.
struct Beating {
    task: tokio::task::JoinHandle<()>,
    failed: Arc<Mutex<Option<Trouble>>>,
}

impl Drop for Beating {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// A storm over a fleet.
pub struct ReplicationStorm {
    fleet: Arc<Fleet>,
    beating: Beating,
    lose: u64,
    seed: u64,
}

impl ReplicationStorm {
    /// Steps of a round.
    pub const STEPS: u64 = 4;

    /// A storm that begins with its first round: `lose` datanodes of `fleet` die at once. Each datanode that lives has a heartbeat
    /// every `every`, from now on.
    ///
    /// # Errors
    /// More losses than containers of `replication` bear, or more than leave datanodes for what was lost.
    pub fn new(
        fleet: Arc<Fleet>,
        replication: ReplicationConfig,
        lose: u64,
        every: Duration,
        seed: u64,
    ) -> Result<ReplicationStorm, Trouble> {
        let borne = losses_borne(replication) as u64;
        if lose > borne {
            let text = format!("{replication} bears the loss of {borne} datanodes at once, not of {lose}");
            return Err(Trouble::new(TroubleKind::Refused, text));
        }
        let failed: Arc<Mutex<Option<Trouble>>> = Arc::default();
        let (beats, why) = (Arc::clone(&fleet), Arc::clone(&failed));
        let task = tokio::spawn(async move {
            let trouble = beats.beat_for_ever(every).await;
            *why.lock().expect("nothing panics while it holds the lock") = Some(trouble);
        });
        Ok(ReplicationStorm { fleet, beating: Beating { task, failed }, lose, seed })
    }

    /// The datanodes that die in `round`.
    fn victims(&self, round: u64) -> Vec<u64> {
        let mut chance = fastrand::Rng::with_seed(mixed(self.seed ^ mixed(round)));
        chance.choose_multiple(0..self.fleet.len(), self.lose as usize)
    }

    /// Waits until no container is left of those that `found` finds.
    async fn until_none(&self, found: impl Fn(&Fleet) -> Vec<i64>) -> Result<(), Trouble> {
        while !found(&self.fleet).is_empty() {
            let failed = self.beating.failed.lock().expect("nothing panics while it holds the lock").clone();
            if let Some(trouble) = failed {
                return Err(trouble);
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
        Ok(())
    }
}

impl Load for ReplicationStorm {
    fn kinds(&self) -> &[&'static str] {
        &["lose", "whole", "return", "settle"]
    }

    fn operate(&self, number: u64) -> BoxFuture<'_, Result<Done, Trouble>> {
        async move {
            let (round, step) = (number / ReplicationStorm::STEPS, number % ReplicationStorm::STEPS);
            let victims = self.victims(round);
            match step {
                0 => victims.iter().for_each(|n| self.fleet.lose_power(*n)),
                1 => self.until_none(Fleet::lacking).await?,
                2 => victims.iter().for_each(|n| self.fleet.come_back(*n)),
                _ => self.until_none(Fleet::surplus).await?,
            }
            Ok(Done::of(step as usize, 0))
        }
        .boxed()
    }
}
