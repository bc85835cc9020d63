//! The rounds: what is asked of whom, how often.
//!
//! Shape   one loop a [`Task`]; each writes what it learned and how it went into the state. Loops end when the drain starts.
//! Bounds  one question at a time to SCM and to OM; [`figures`] asks a few servers at once.
#![allow(clippy::disallowed_methods, reason = "pauses follow tokio's clock, which tests pause")]

mod containers;
mod figures;
mod namespace;
mod nodes;
mod page;

use std::sync::Arc;
use std::time::Duration;

use allotrope_proto::net::Drain;
use tokio::task::JoinHandle;
use tracing::{info, warn};

use crate::recon::{AskError, Recon};
use crate::state::Task;

pub(crate) use containers::look_now;

/// How much longer the rounds that cost more are apart.
const NAMESPACE_EVERY: u32 = 2;
/// A sweep of all containers may take this part of the time.
const SWEEP_SHARE: u32 = 4;

/// Starts every loop.
pub(crate) fn start(recon: &Arc<Recon>, drain: &Drain) -> Vec<JoinHandle<()>> {
    let spawn = |task: Task| {
        let (recon, drain) = (Arc::clone(recon), drain.clone());
        tokio::spawn(async move {
            tokio::select! {
                () = run(&recon, task) => {}
                () = drain.started() => {}
            }
        })
    };
    Task::ALL.into_iter().map(spawn).collect()
}

async fn run(recon: &Recon, task: Task) {
    let interval = recon.config.interval;
    loop {
        let began = tokio::time::Instant::now();
        let done = match task {
            Task::Nodes => nodes::round(recon).await,
            Task::Containers => containers::round(recon).await,
            Task::Namespace => namespace::round(recon).await,
            Task::Figures => figures::round(recon).await,
        };
        note(recon, task, done);
        let took = began.elapsed();
        let pause = match task {
            Task::Nodes | Task::Figures => interval.saturating_sub(took),
            Task::Containers => interval.max(took.saturating_mul(SWEEP_SHARE)),
            Task::Namespace => interval.saturating_mul(NAMESPACE_EVERY).max(took.saturating_mul(SWEEP_SHARE)),
        };
        tokio::time::sleep(pause.max(Duration::from_millis(50))).await;
    }
}

/// Writes down how a round went; says it once when that changes.
fn note(recon: &Recon, task: Task, done: Result<(), AskError>) {
    let now_ms = recon.now_ms();
    let mut state = recon.state();
    let source = state.source(task);
    match done {
        Ok(()) => {
            if source.silent_since_ms.is_some() {
                info!(task = task.name(), "it answers again");
            }
            source.answered(now_ms);
        }
        Err(error) => {
            let why = error.line();
            if source.silent_since_ms.is_none() {
                warn!(task = task.name(), why, "it does not answer; the last known state is shown");
            }
            source.failed(now_ms, why);
        }
    }
}
