//! Recon as its operators' pages see it: its own metrics, health and readiness.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use allotrope_proto::ops::Watched;
use allotrope_proto::ops::metrics::{
    Counter, EncodeLabelSet, Exposition, Family, Gauge, LabelSetEncoder, Registry, register_build,
};

use crate::recon::Recon;
use crate::state::Task;

/// The pages' view of a running Recon.
pub(crate) struct Pages(pub(crate) Arc<Recon>);

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Of(Task);

impl EncodeLabelSet for Of {
    fn encode(&self, encoder: &mut LabelSetEncoder) -> Result<(), std::fmt::Error> {
        [("task", self.0.name())].encode(encoder)
    }
}

impl Watched for Pages {
    fn figures(&self) -> Exposition {
        let mut registry = Registry::default();
        register_build(&mut registry, env!("CARGO_PKG_VERSION"), &[]);
        let requests: Counter = Counter::default();
        requests.inc_by(self.0.requests.load(Ordering::Relaxed));
        registry.register("recon_requests", "Requests of the API and of the page's files", requests);
        let (up, age) =
            (Family::<Of, Gauge<u64, AtomicU64>>::default(), Family::<Of, Gauge<u64, AtomicU64>>::default());
        let (state, now_ms) = (self.0.state(), self.0.now_ms());
        for task in Task::ALL {
            let source = state.sources.get(&task).cloned().unwrap_or_default();
            let answers = source.silent_since_ms.is_none() && source.answered_ms.is_some();
            up.get_or_create(&Of(task)).set(answers.into());
            let since = source.answered_ms.map_or(0, |at_ms| now_ms.saturating_sub(at_ms) / 1000);
            age.get_or_create(&Of(task)).set(since);
        }
        registry.register("recon_source_up", "1 while a task's servers answer; 0: what is shown is old", up);
        registry.register("recon_source_age_seconds", "Time since a task's last full round", age);
        let containers = Gauge::<u64, AtomicU64>::default();
        containers.set(state.containers.len() as u64);
        registry.register(
            "recon_containers_kept",
            "Containers in memory; SCM's others are counted alone",
            containers,
        );
        Exposition::of(&registry)
    }

    /// It keeps nothing that a restart would mend.
    fn health(&self) -> Result<(), String> {
        Ok(())
    }

    fn ready(&self) -> Result<(), String> {
        let state = self.0.state();
        let answered =
            |task: Task| state.sources.get(&task).is_some_and(|source| source.answered_ms.is_some());
        match [Task::Nodes, Task::Namespace].into_iter().find(|task| !answered(*task)) {
            None => Ok(()),
            Some(task) => Err(format!("{} has not answered yet", task.server())),
        }
    }
}
