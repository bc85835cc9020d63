//! SCM's copy and reconstruction commands, carried out as the queue hands them over.
//!
//! Shape   on the control thread; the work itself runs on the container's home shard. SCM is told of each command's end
//!         beside its next heartbeat; of a container that has come it hears at once.
//! Errors  logged with the container and told to SCM, which asks again, perhaps elsewhere.

use super::queue::{Next, Queue, Turned, Validity, Wanted, Work};
use super::rebuild::{Rebuild, Replica};
use super::serve::{Ask, Peer};
use super::{Compression, CopyLimits, ReplicationConfig, import};
use crate::commands::CommandError;
use crate::store::{Event, Node};
use allotrope_io::Clock;
use allotrope_proto::edge::hdds::{DatanodeDetails, PortName};
use allotrope_proto::edge::heartbeat::{
    CommandKind, CommandOutcome, CommandStatus, ReconstructEcContainersCommand, ReplicateContainerCommand,
};
use allotrope_types::DatanodeResult::MalformedRequest;
use allotrope_types::ReplicaIndex;
use futures_util::future::select;
use futures_util::stream::{FuturesUnordered, StreamExt};
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::Notify;

/// Where Ozone's datanodes take copies if they do not say.
const PORT_DEFAULT: u16 = 9886;

/// The commands of one datanode.
#[derive(Debug)]
pub struct Supervisor {
    queue: Mutex<Queue>,
    pace: Mutex<Pace>,
    out_of_service_tenths: usize,
    compression: Compression,
    /// Rings when a command has come, or more may run.
    rung: Notify,
}

/// What decides how many commands run at once.
#[derive(Debug)]
struct Pace {
    streams: usize,
    /// The datanode goes out of service.
    leaving: bool,
}

impl Supervisor {
    /// No commands yet.
    pub fn new(config: &ReplicationConfig) -> Supervisor {
        Supervisor {
            queue: Mutex::new(Queue::new(config.waiting_max, config.streams)),
            pace: Mutex::new(Pace { streams: config.streams, leaving: false }),
            // Ozone takes no factor outside of 1 to 10.
            out_of_service_tenths: config.out_of_service_tenths.clamp(10, 100),
            compression: config.compression,
            rung: Notify::new(),
        }
    }

    /// Takes note of the operational state: one that goes out of service is written to by nobody, and gives away faster.
    pub fn set_leaving(&self, state: &str) {
        self.change_pace(|pace| pace.leaving = state != "IN_SERVICE");
    }

    /// Changes how many commands wait and run; those that run go on.
    pub fn set_limits(&self, limits: &CopyLimits) {
        self.queue().set_waiting_max(limits.waiting_max);
        self.change_pace(|pace| pace.streams = limits.streams);
    }

    fn change_pace(&self, change: impl FnOnce(&mut Pace)) {
        let mut pace = self.pace.lock().unwrap_or_else(PoisonError::into_inner);
        change(&mut pace);
        let tenths = if pace.leaving { self.out_of_service_tenths } else { 10 };
        self.queue().set_running_max(pace.streams.saturating_mul(tenths) / 10);
        self.rung.notify_one();
    }

    /// How many commands wait, and how many run.
    pub fn len(&self) -> (usize, usize) {
        self.queue().len()
    }

    /// Whether no command waits or runs.
    pub fn is_empty(&self) -> bool {
        self.queue().is_empty()
    }

    fn queue(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How many commands of each type wait or run.
    pub fn counts(&self) -> BTreeMap<CommandKind, u32> {
        self.queue().counts()
    }

    /// Takes a command of SCM's in; [`work`] carries it out. Returns at once.
    pub fn offer(node: &Arc<Node>, work: Work, validity: Validity, clock: &Clock) {
        let (kind, cmd_id) = (work.kind(), work.cmd_id());
        let wanted = Wanted::new(work, validity);
        let container = wanted.container;
        let taken = node.supervisor.queue().offer(wanted, clock.now(), clock.wall_ms());
        match taken {
            Ok(()) => node.supervisor.rung.notify_one(),
            Err(why) => {
                tracing::info!(%container, %why, "a command of SCM's is not taken");
                tell(node, kind, cmd_id, Err(why.to_string()));
            }
        }
    }
}

/// Carries commands out as the queue hands them over, on the control thread. It never ends by itself.
pub async fn work(node: &Arc<Node>, clock: &Clock) {
    let mut running = FuturesUnordered::new();
    loop {
        let next = node.supervisor.queue().next(clock.now(), clock.wall_ms());
        match next {
            Some(Next::Dropped(wanted, why)) => dropped(node, &wanted, why),
            Some(Next::Run(wanted)) => running.push(run(node, wanted)),
            None if running.is_empty() => node.supervisor.rung.notified().await,
            None => {
                select(running.next(), pin!(node.supervisor.rung.notified())).await;
            }
        }
    }
}

async fn run(node: &Arc<Node>, wanted: Wanted) {
    let done = carry_out(node, &wanted).await;
    let container = wanted.container;
    if let Err(e) = &done {
        tracing::warn!(%container, error = %e, "a command of SCM's has failed");
    }
    tell(node, wanted.work.kind(), wanted.work.cmd_id(), done.map_err(|e| e.to_string()));
    node.supervisor.queue().done(container);
}

fn dropped(node: &Arc<Node>, wanted: &Wanted, why: Turned) {
    tracing::info!(container = %wanted.container, %why, "a command of SCM's is dropped");
    tell(node, wanted.work.kind(), wanted.work.cmd_id(), Err(why.to_string()));
}

/// Tells SCM how a command has ended.
fn tell(node: &Node, kind: CommandKind, cmd_id: i64, done: Result<(), String>) {
    let status = if done.is_ok() { CommandOutcome::Executed } else { CommandOutcome::Failed };
    let ended = CommandStatus { cmd_id, status, r#type: kind, msg: done.err(), block_deletion_ack: None };
    // SCM's own deadline tells it as well.
    drop(node.events.try_send(Event::CommandEnded(ended)));
}

fn malformed(why: impl std::fmt::Display) -> CommandError {
    CommandError::new(MalformedRequest, why.to_string())
}

/// What shall be rebuilt: the missing indexes are those of the targets, in their order.
fn rebuild(order: &ReconstructEcContainersCommand) -> Result<Rebuild, CommandError> {
    let replica = |index: ReplicaIndex, details: &DatanodeDetails| {
        let peer = peer(details, &PortName::Standalone, 9859)?;
        let port = details.port(&PortName::Replication);
        let calls = port.map(|port| SocketAddr::new(peer.address.ip(), port));
        Ok::<_, CommandError>(Replica { index, peer, calls })
    };
    if order.targets.len() != order.missing.len() {
        let (targets, missing) = (order.targets.len(), order.missing.len());
        return Err(malformed(format!("{targets} targets are named for {missing} missing replicas")));
    }
    let sources = order.sources.iter().map(|one| {
        let index = one.replica.ok_or_else(|| malformed("replica index 0 names no replica"))?;
        replica(index, &one.datanode_details)
    });
    let targets = order.missing.iter().zip(&order.targets).map(|(index, details)| replica(*index, details));
    Ok(Rebuild {
        container: order.container_id,
        config: order.ec_replication_config,
        sources: sources.collect::<Result<_, _>>()?,
        targets: targets.collect::<Result<_, _>>()?,
    })
}

async fn carry_out(node: &Arc<Node>, wanted: &Wanted) -> Result<(), CommandError> {
    match &wanted.work {
        Work::Replicate(order) => replicate(node, order).await,
        Work::Reconstruct(order) => {
            let rebuild = Box::new(rebuild(order)?);
            import::ask(node, wanted.container, |reply| Ask::Rebuild { rebuild, reply }).await?
        }
    }
}

async fn replicate(node: &Arc<Node>, order: &ReplicateContainerCommand) -> Result<(), CommandError> {
    let (container, compression) = (order.container_id, node.supervisor.compression);
    if let Some(target) = &order.target {
        let target = peer(target, &PortName::Replication, PORT_DEFAULT)?;
        let push = |reply| Ask::Push { container, target, compression, reply };
        return import::ask(node, container, push).await?;
    }
    let source = |one| peer(one, &PortName::Replication, PORT_DEFAULT);
    let sources: Vec<Peer> = order.sources.iter().map(source).collect::<Result<_, _>>()?;
    if sources.is_empty() {
        return Err(malformed("the command names neither a target nor a source"));
    }
    import::ask(node, container, |reply| Ask::Pull { container, sources, compression, reply }).await?
}

/// Another datanode's port of that name.
fn peer(details: &DatanodeDetails, port: &PortName, default: u16) -> Result<Peer, CommandError> {
    let port = details.port(port).unwrap_or(default);
    let ip = details.ip_address.parse().map_err(|_| {
        malformed(format!("datanode {} has the address {:?}", details.id, details.ip_address))
    })?;
    Ok(Peer { id: details.id, address: SocketAddr::new(ip, port) })
}
