//! Simulated datanodes, and an SCM that takes them for real: heartbeats and reports, and what SCM's orders make of them.
//!
//! Shape   [`Fleet`] holds every datanode; one heartbeat at a time of each. Containers are made and closed through SCM, so that it
//!         knows them; what it then orders is obeyed, without a byte being copied.

mod node;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use allotrope_proto::hdds;
use allotrope_proto::heartbeat::container_replica_proto::State;
use allotrope_proto::heartbeat::{
    CommandStatusReportsProto, ContainerReportsProto, IncrementalContainerReportProto, PipelineReportsProto,
    ScmHeartbeatRequestProto, ScmRegisterRequestProto,
};
use allotrope_types::{DatanodeId, ReplicationConfig};
use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use futures_util::{StreamExt as _, TryStreamExt as _};
use tokio::time::Instant;

use crate::load::{Done, Load, Trouble, TroubleKind};
use crate::wire::{Containers, Reports, SimulatedDatanode, id_of};
pub use node::CopyPace;
use node::{Held, Made, Node};

/// Datanodes that register, or containers that are made, at once.
const AT_ONCE: usize = 32;
/// How often what is not there yet is looked for.
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// What a fleet is made of.
pub struct FleetParts {
    /// The way of reports.
    pub reports: Reports,
    /// The way of an administrator.
    pub containers: Containers,
    /// How many datanodes there are.
    pub nodes: u64,
    /// What their ids are made from.
    pub seed: u64,
    /// How fast copies and rebuilds are.
    pub pace: CopyPace,
    /// Every so many heartbeats of a datanode one carries a full report; never, if 0.
    pub full_every: u64,
}

/// Simulated datanodes.
pub struct Fleet {
    reports: Reports,
    containers: Containers,
    nodes: Vec<Mutex<Node>>,
    by_id: BTreeMap<DatanodeId, usize>,
    pace: CopyPace,
    full_every: u64,
    turn: AtomicU64,
    /// The containers that were made, and how many replicas each is to have.
    made: Mutex<BTreeMap<i64, usize>>,
}

impl Fleet {
    /// Datanodes that nobody has heard of yet.
    pub fn new(parts: FleetParts) -> Fleet {
        let FleetParts { reports, containers, nodes, seed, pace, full_every } = parts;
        let who = |number| SimulatedDatanode { seed, number };
        let now = Instant::now();
        Fleet {
            reports,
            containers,
            nodes: (0..nodes.max(1)).map(|n| Mutex::new(Node::new(who(n), pace, now))).collect(),
            by_id: (0..nodes.max(1)).map(|n| (who(n).id(), n as usize)).collect(),
            pace,
            full_every,
            turn: AtomicU64::new(0),
            made: Mutex::default(),
        }
    }

    /// How many there are.
    pub(super) fn len(&self) -> u64 {
        self.nodes.len() as u64
    }

    /// Datanode `n` dies.
    pub(super) fn lose_power(&self, n: u64) {
        self.node(n).lose_power();
    }

    /// Datanode `n` is back, with what lies on its disk.
    pub(super) fn come_back(&self, n: u64) {
        self.node(n).come_back(Instant::now());
    }

    fn node(&self, n: u64) -> MutexGuard<'_, Node> {
        let node = &self.nodes[(n % self.len()) as usize];
        node.lock().expect("nothing panics while it holds the lock")
    }

    fn made(&self) -> MutexGuard<'_, BTreeMap<i64, usize>> {
        self.made.lock().expect("nothing panics while it holds the lock")
    }

    /// Registers every datanode.
    ///
    /// # Errors
    /// What SCM refused, or that one cannot be reached.
    pub async fn register(&self) -> Result<(), Trouble> {
        let all = futures_util::stream::iter(0..self.len()).map(|n| self.speak(n));
        all.buffer_unordered(AT_ONCE).try_for_each(|_| std::future::ready(Ok(()))).await
    }

    /// Has SCM make containers until each datanode holds `each` of them on average, and close them; asks again while SCM is in
    /// safe mode or has no pipeline, until `deadline` has passed.
    ///
    /// # Errors
    /// What SCM refused to the end, or that none can be reached.
    pub async fn grow(
        &self,
        each: u64,
        replication: ReplicationConfig,
        deadline: Duration,
    ) -> Result<(), Trouble> {
        let width = width_of(replication) as u64;
        if each > 0 && self.len() < width {
            let text = format!("{replication} takes {width} datanodes, and {} are simulated", self.len());
            return Err(Trouble::new(TroubleKind::Refused, text));
        }
        let count = (self.len() * each).div_ceil(width);
        let end = Instant::now() + deadline;
        let making = futures_util::stream::iter(0..count).map(|_| self.make(replication, end));
        let making = making.buffer_unordered(AT_ONCE).try_for_each(|()| std::future::ready(Ok(())));
        let mut making = std::pin::pin!(making);
        let mut made = None;
        while made.is_none() {
            // Pipelines open, and containers close, by heartbeats. None is broken off: what it had to say would be lost.
            let step = async {
                tokio::select! {
                    done = &mut making => made = Some(done),
                    () = tokio::time::sleep(LOOK_EVERY) => {}
                }
            };
            futures_util::join!(step, self.beat_all()).1?;
        }
        made.transpose()?;
        while !self.lacking().is_empty() {
            if Instant::now() > end {
                return Err(Trouble::late(deadline));
            }
            self.beat_all().await?;
            tokio::time::sleep(LOOK_EVERY).await;
        }
        Ok(())
    }

    /// Has SCM make a container on datanodes of this fleet, and close it.
    async fn make(&self, replication: ReplicationConfig, end: Instant) -> Result<(), Trouble> {
        loop {
            let trouble = match self.containers.make(replication).await {
                Ok((info, pipeline)) => {
                    let container = info.container_id;
                    let members: Option<Vec<u64>> =
                        pipeline.members.iter().map(|node| self.number_of(node)).collect();
                    if let Some(members) = members {
                        return self.fill(container, &members, &pipeline.member_replica_indexes).await;
                    }
                    self.containers.close(container).await?;
                    let text = format!(
                        "container {container} goes to a datanode that is not simulated, or not any more"
                    );
                    Trouble::new(TroubleKind::Refused, format!("{text}: use an SCM of its own"))
                }
                Err(trouble) => trouble,
            };
            if trouble.kind != TroubleKind::Refused || Instant::now() > end {
                return Err(trouble);
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }

    fn number_of(&self, node: &hdds::DatanodeDetailsProto) -> Option<u64> {
        self.by_id.get(&id_of(node)?).map(|n| *n as u64)
    }

    /// The replicas of a container are on `members`, written and closed, as a writer that has ended leaves them.
    async fn fill(&self, container: i64, members: &[u64], indexes: &[u32]) -> Result<(), Trouble> {
        for (at, n) in members.iter().enumerate() {
            let index = indexes.get(at).copied().unwrap_or(0);
            self.node(*n).hold(container, Held { index, state: State::Open });
        }
        self.containers.close(container).await?;
        // SCM would tell them to close, after ozone.scm.close.container.wait.duration.
        members.iter().for_each(|n| self.node(*n).close(container));
        self.made().insert(container, members.len());
        Ok(())
    }

    /// A heartbeat of each datanode that is not silent.
    pub(super) async fn beat_all(&self) -> Result<(), Trouble> {
        let all = futures_util::stream::iter(0..self.len()).map(|n| self.speak(n));
        all.buffer_unordered(AT_ONCE).try_for_each(|_| std::future::ready(Ok(()))).await
    }

    /// Heartbeats of all, one every `every` each, spread evenly; ends with the first failure.
    pub(super) async fn beat_for_ever(&self, every: Duration) -> Trouble {
        let apart = every / u32::try_from(self.len()).unwrap_or(u32::MAX);
        let mut due = Instant::now();
        let dues = futures_util::stream::iter(0u64..).map(|n| {
            due += apart;
            let due = due;
            async move {
                tokio::time::sleep_until(due).await;
                self.speak(n % self.len()).await
            }
        });
        // Those that wait for their time take places too: twice what a second has is enough for both.
        let places = AT_ONCE.max(self.nodes.len().min(1 << 14));
        match dues.buffered(places).try_for_each(|_| std::future::ready(Ok(()))).await {
            Err(trouble) => trouble,
            Ok(()) => Trouble::new(TroubleKind::Broken, "heartbeats do not end"),
        }
    }

    /// One registration or heartbeat of datanode `n`, and what it is told; whether it carried a full report.
    async fn speak(&self, n: u64) -> Result<bool, Trouble> {
        if self.node(n).is_silent {
            return Ok(false);
        }
        let unsaid = Unsaid { fleet: self, n };
        if self.node(n).must_register {
            let register = self.registration(n);
            self.reports.register(n, register).await?;
            self.node(n).must_register = false;
        }
        let turn = self.turn.fetch_add(1, Ordering::Relaxed) / self.len();
        // Each datanode has a turn of its own for its full report, as real ones have.
        let is_full = self.full_every > 0 && (turn + n) % self.full_every == self.full_every - 1;
        self.finish_orders(n);
        let heartbeat = self.heartbeat(n, is_full);
        let commands = self.reports.beat(n, heartbeat).await?;
        std::mem::forget(unsaid);
        let mut node = self.node(n);
        if !node.is_silent {
            let now = Instant::now();
            commands.into_iter().for_each(|command| node.obey(command, self.pace, now));
        }
        Ok(is_full)
    }

    fn registration(&self, n: u64) -> ScmRegisterRequestProto {
        let mut node = self.node(n);
        ScmRegisterRequestProto {
            extended_datanode_details: hdds::ExtendedDatanodeDetailsProto {
                datanode_details: node.who.details(),
                ..Default::default()
            },
            node_report: node.who.disks(),
            container_report: ContainerReportsProto { reports: node.full_report() },
            pipeline_reports: PipelineReportsProto { pipeline_report: node.pipelines() },
            data_node_layout_version: Some(SimulatedDatanode::LAYOUT),
        }
    }

    fn heartbeat(&self, n: u64, is_full: bool) -> ScmHeartbeatRequestProto {
        let mut node = self.node(n);
        let reports = is_full.then(|| ContainerReportsProto { reports: node.full_report() });
        let changes = node.changes();
        let statuses = node.statuses();
        ScmHeartbeatRequestProto {
            datanode_details: node.who.details(),
            data_node_layout_version: Some(SimulatedDatanode::LAYOUT),
            node_report: Some(node.who.disks()),
            container_report: reports,
            incremental_container_report: match changes.is_empty() {
                true => Vec::new(),
                false => vec![IncrementalContainerReportProto { report: changes }],
            },
            command_status_reports: match statuses.is_empty() {
                true => Vec::new(),
                false => vec![CommandStatusReportsProto { cmd_status: statuses }],
            },
            pipeline_reports: Some(PipelineReportsProto { pipeline_report: node.pipelines() }),
            command_queue_report: Some(Default::default()),
            ..Default::default()
        }
    }

    /// Gives what datanode `n` has copied or rebuilt by now to the datanodes that it went to. Never two locks at once.
    fn finish_orders(&self, n: u64) {
        let ended = self.node(n).take_ended(Instant::now());
        for Made { at, container, index } in ended {
            if let Some(&target) = self.by_id.get(&at) {
                let mut target = self.node(target as u64);
                if !target.is_silent {
                    target.hold(container, Held { index, state: State::Closed });
                }
            }
        }
    }

    /// For each container, what closed replicas are on datanodes that speak: indexes, or copies.
    fn here(&self) -> BTreeMap<i64, Vec<(u32, usize)>> {
        let mut here: BTreeMap<i64, Vec<(u32, usize)>> = BTreeMap::new();
        for n in 0..self.nodes.len() {
            let node = self.node(n as u64);
            if !node.is_silent {
                for (container, held) in node.held().filter(|(_, held)| held.state == State::Closed) {
                    here.entry(container).or_default().push((held.index, n));
                }
            }
        }
        here
    }

    /// Containers that lack a closed replica on the datanodes that speak.
    pub(super) fn lacking(&self) -> Vec<i64> {
        let (here, made) = (self.here(), self.made());
        let is_whole = |container: &i64, wanted: usize| {
            here.get(container).is_some_and(|replicas| distinct(replicas) >= wanted)
        };
        made.iter().filter(|(container, wanted)| !is_whole(container, **wanted)).map(|(id, _)| *id).collect()
    }

    /// Containers with more replicas than they are to have.
    pub(super) fn surplus(&self) -> Vec<i64> {
        let (here, made) = (self.here(), self.made());
        let is_surplus = |container: &i64, wanted: usize| {
            here.get(container).is_some_and(|replicas| replicas.len() > wanted)
        };
        made.iter().filter(|(container, wanted)| is_surplus(container, **wanted)).map(|(id, _)| *id).collect()
    }
}

/// What a datanode has told nobody for sure: if the call fails or is given up, it registers anew and says everything.
struct Unsaid<'f> {
    fleet: &'f Fleet,
    n: u64,
}

impl Drop for Unsaid<'_> {
    fn drop(&mut self) {
        self.fleet.node(self.n).must_register = true;
    }
}

/// Indexes, or copies where there are none.
fn distinct(replicas: &[(u32, usize)]) -> usize {
    match replicas.iter().any(|(index, _)| *index > 0) {
        true => replicas.iter().map(|(index, _)| index).collect::<BTreeSet<_>>().len(),
        false => replicas.len(),
    }
}

/// Datanodes that a container takes.
fn width_of(replication: ReplicationConfig) -> usize {
    match replication.ec() {
        Some(ec) => ec.total(),
        None => replication.factor().map_or(1, |factor| factor as usize),
    }
}

/// Replicas that a container bears the loss of.
pub(super) fn losses_borne(replication: ReplicationConfig) -> usize {
    replication.ec().map_or(width_of(replication) - 1, |ec| ec.parity())
}

/// Heartbeats, one datanode after the other.
pub struct ScmHeartbeat {
    /// The datanodes, registered.
    pub fleet: Arc<Fleet>,
}

impl Load for ScmHeartbeat {
    fn kinds(&self) -> &[&'static str] {
        &["heartbeat", "full-report"]
    }

    fn operate(&self, number: u64) -> BoxFuture<'_, Result<Done, Trouble>> {
        async move {
            let is_full = self.fleet.speak(number % self.fleet.len()).await?;
            Ok(Done::of(is_full.into(), 0))
        }
        .boxed()
    }
}
