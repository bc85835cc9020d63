//! Waiting for a Ratis pipeline: one is made if there is none, and its members need a heartbeat to hear of it.
#![allow(
    clippy::disallowed_methods,
    reason = "the wait ticks on tokio's timer; its end is told by the clock that is passed in"
)]

use std::time::Duration;

use super::allocate::Trouble;
use crate::blocks::{AllocateError, choose_ratis};
use crate::cluster::OpenKey;
use crate::replicated::command::Change;
use crate::scm::Scm;

/// How often the pipelines are looked at.
const LOOK: Duration = Duration::from_millis(50);

/// Has a Ratis pipeline made if none is, and waits until one is open.
pub(super) async fn wait_for_pipeline(scm: &Scm, key: &OpenKey) -> Result<(), Trouble> {
    let opening = scm.opening(key);
    let _one_at_a_time = opening.lock().await;
    let config = key.0;
    let wait_ms = crate::config::ms(scm.config.pipeline_wait);
    let until_ms = scm.clock.monotonic_ms().saturating_add(wait_ms);
    loop {
        let (open, coming) = choose_ratis::has_pipeline(&scm.cluster(), config);
        if open {
            return Ok(());
        }
        if !coming {
            let now = scm.now();
            let made = scm.cluster().new_ratis(config, now);
            let made = made.map_err(|source| AllocateError::Nodes { config, source })?;
            scm.propose(Change::AddPipeline(made.to_message(|_| None))).await?;
            scm.cluster().tell_members(&made, now);
        }
        if scm.clock.monotonic_ms() >= until_ms {
            return Err(AllocateError::NoPipeline { config }.into());
        }
        tokio::time::sleep(LOOK).await;
    }
}
