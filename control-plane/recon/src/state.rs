//! What Recon knows now, and how fresh each part is.
//!
//! Shape   one [`State`] behind a lock that nobody holds across an await. A round writes a part whole; a round that failed
//!         leaves it, and [`Source`] says since when.
//! Bounds  [`CONTAINERS_MAX`] containers, [`BUCKETS_MAX`] buckets, [`VOLUMES_MAX`] volumes, [`DATANODES_MAX`] datanodes and
//!         [`PIPELINES_MAX`] pipelines; what is beyond is counted and not kept.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::{Value, json};

use crate::figures::{Counted, Happened};
use crate::health::Health;
use crate::history::History;
use crate::model::{Bucket, Container, Datanode, Pipeline, Room, Volume};

pub(crate) const CONTAINERS_MAX: usize = 100_000;
pub(crate) const BUCKETS_MAX: usize = 50_000;
pub(crate) const VOLUMES_MAX: usize = 10_000;
pub(crate) const DATANODES_MAX: usize = 10_000;
pub(crate) const PIPELINES_MAX: usize = 50_000;

/// How one part of what Recon knows comes in: a task of Ozone's Recon, by our name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Task {
    /// Datanodes, pipelines, safe mode: SCM.
    Nodes,
    /// Containers and their replicas: SCM.
    Containers,
    /// Volumes and buckets: OM.
    Namespace,
    /// Metrics of every server.
    Figures,
}

impl Task {
    pub(crate) const ALL: [Task; 4] = [Task::Nodes, Task::Containers, Task::Namespace, Task::Figures];

    /// Its name on the API.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Task::Nodes => "ScmNodes",
            Task::Containers => "ScmContainers",
            Task::Namespace => "OmNamespace",
            Task::Figures => "ServerMetrics",
        }
    }

    /// Whom it asks, for people.
    pub(crate) const fn server(self) -> &'static str {
        match self {
            Task::Nodes | Task::Containers => "SCM",
            Task::Namespace => "OM",
            Task::Figures => "the servers' metrics pages",
        }
    }
}

/// How a task stands.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Source {
    /// When its last round was done.
    pub(crate) answered_ms: Option<u64>,
    /// Rounds that were done.
    pub(crate) rounds: u64,
    /// Since when no round was done, where the last one failed.
    pub(crate) silent_since_ms: Option<u64>,
    /// Why, in one line.
    pub(crate) why: String,
}

impl Source {
    pub(crate) fn answered(&mut self, now_ms: u64) {
        *self = Source { answered_ms: Some(now_ms), rounds: self.rounds + 1, ..Source::default() };
    }

    pub(crate) fn failed(&mut self, now_ms: u64, why: String) {
        self.silent_since_ms.get_or_insert(now_ms);
        self.why = why;
    }

    fn json(&self, task: Task) -> Value {
        json!({
            "task": task.name(),
            "server": task.server(),
            "up": self.silent_since_ms.is_none() && self.answered_ms.is_some(),
            "answeredAt": self.answered_ms,
            "silentSince": self.silent_since_ms,
            "why": self.why,
        })
    }
}

/// A datanode's figures: the page of the last round, and what happened in it.
#[derive(Clone, Debug, Default)]
pub(crate) struct NodeFigures {
    pub(crate) page: Counted,
    pub(crate) at_ms: u64,
    pub(crate) happened: Happened,
    pub(crate) took_ms: u64,
}

/// SCM's safe mode.
#[derive(Clone, Debug, Default)]
pub(crate) struct SafeMode {
    pub(crate) is_on: bool,
    /// Name, whether it is met, what it says.
    pub(crate) rules: Vec<(String, bool, String)>,
}

/// What SCM's replication manager says.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) enum Repair {
    /// SCM has not been asked, or could not be.
    #[default]
    Unknown,
    /// This SCM has no such report, in its words.
    NotOffered(String),
    /// Counts by name, and a few containers of each.
    Report { at_ms: u64, counts: Vec<(String, i64)>, samples: Vec<(String, Vec<u64>)> },
}

/// Everything that is known.
#[derive(Debug, Default)]
pub(crate) struct State {
    pub(crate) sources: BTreeMap<Task, Source>,
    pub(crate) cluster_id: String,
    /// Roles of the SCMs, as SCM says them.
    pub(crate) scm_roles: Vec<String>,
    pub(crate) safe_mode: Option<SafeMode>,
    pub(crate) datanodes: BTreeMap<Arc<str>, Datanode>,
    pub(crate) pipelines: Vec<Pipeline>,
    pub(crate) containers: BTreeMap<i64, Container>,
    /// Containers that SCM has, kept here or not.
    pub(crate) containers_all: u64,
    pub(crate) repair: Repair,
    pub(crate) volumes: Vec<Volume>,
    pub(crate) buckets: Vec<Bucket>,
    /// Volumes and buckets there are, kept here or not.
    pub(crate) volumes_all: u64,
    pub(crate) buckets_all: u64,
    /// By datanode id, or `server/NAME`.
    pub(crate) figures: BTreeMap<String, NodeFigures>,
    /// When figures were last asked for.
    pub(crate) figures_at_ms: Option<u64>,
    pub(crate) history: History,
}

impl State {
    /// Every task, for whoever looks at the page.
    pub(crate) fn sources_json(&self) -> Value {
        let unknown = Source::default();
        let one = |task: Task| self.sources.get(&task).unwrap_or(&unknown).json(task);
        Task::ALL.into_iter().map(one).collect()
    }

    pub(crate) fn source(&mut self, task: Task) -> &mut Source {
        self.sources.entry(task).or_default()
    }

    /// The room of the datanodes that are not dead.
    pub(crate) fn room(&self) -> Room {
        let living = self.datanodes.values().filter(|node| node.state != "DEAD");
        living.fold(Room::default(), |sum, node| sum.plus(&node.room))
    }

    pub(crate) fn count_datanodes(&self, is_wanted: impl Fn(&Datanode) -> bool) -> usize {
        self.datanodes.values().filter(|node| is_wanted(node)).count()
    }

    pub(crate) fn count_containers(&self, is_wanted: impl Fn(&Container) -> bool) -> usize {
        self.containers.values().filter(|container| is_wanted(container)).count()
    }

    pub(crate) fn count_health(&self, health: Health) -> usize {
        self.count_containers(|container| container.health == health)
    }

    /// The host of a datanode, or its id where it is not known.
    pub(crate) fn host_of(&self, node: &str) -> String {
        self.datanodes.get(node).map_or_else(|| node.to_owned(), |node| node.host.clone())
    }

    /// A datanode as people tell it from others on its host: `HOST:PORT`, or its id where it is not known.
    pub(crate) fn label_of(&self, node: &str) -> String {
        let Some(node) = self.datanodes.get(node) else { return node.to_owned() };
        match node.port("STANDALONE") {
            Some(port) => format!("{}:{port}", node.host),
            None => node.host.clone(),
        }
    }

    /// The pipelines of each datanode, by its id.
    pub(crate) fn pipelines_by_node(&self) -> BTreeMap<&str, Vec<&Pipeline>> {
        let mut by_node = BTreeMap::<&str, Vec<&Pipeline>>::new();
        for pipeline in &self.pipelines {
            for (node, _) in &pipeline.members {
                by_node.entry(node).or_default().push(pipeline);
            }
        }
        by_node
    }

    /// Containers by the datanode that holds a replica of them, open or not; for every datanode at once.
    pub(crate) fn open_containers_by_node(&self) -> BTreeMap<Arc<str>, u64> {
        let mut counts = BTreeMap::new();
        for container in self.containers.values().filter(|container| container.state == "OPEN") {
            for replica in container.present() {
                *counts.entry(Arc::clone(&replica.node)).or_insert(0) += 1;
            }
        }
        counts
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_source_says_since_when_it_is_silent_and_keeps_when_it_last_answered() {
        let mut source = Source::default();
        assert_eq!(source.json(Task::Nodes)["up"], json!(false), "nothing has been asked");
        source.answered(10);
        source.failed(20, "refused".into());
        source.failed(30, "still refused".into());
        let shown = source.json(Task::Nodes);
        assert_eq!(
            (&shown["up"], &shown["answeredAt"], &shown["silentSince"]),
            (&json!(false), &json!(10), &json!(20))
        );
        assert_eq!(shown["why"], json!("still refused"));
        source.answered(40);
        assert_eq!(
            source,
            Source { answered_ms: Some(40), rounds: 2, silent_since_ms: None, why: String::new() }
        );
    }
}
