//! The loops of a running SCM: thin, each carries out what the cluster's pure parts say.
//!
//! Shape   one follows who leads, one proposes changes, one looks at silence, sweeps and sends deletions as time passes, one
//!         repairs what has changed, one looks at datanodes that leave. Each ends when the drain starts.
#![allow(
    clippy::disallowed_methods,
    reason = "the loops tick on tokio's timer; every decision gets its time by parameter"
)]

use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::Arc;
use std::time::Duration;

use allotrope_consensus::{Direction, Role, TableError, View};
use allotrope_proto::edge::heartbeat::CommandKind;
use allotrope_proto::heartbeat::DeletedBlocksTransaction;
use allotrope_proto::net::Drain;
use allotrope_types::{ContainerId, DatanodeId};
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::MissedTickBehavior;

use crate::deletion::{Verdict, verdict};
use crate::replicated::command::{Change, RemoveDeletions};
use crate::replicated::tables::DELETIONS;
use crate::scm::Scm;

/// How often repairs are looked at where nothing rings, and how long a ring waits for others.
const REPAIR_LOOK_EVERY: Duration = Duration::from_secs(1);
const REPAIR_GATHERS: Duration = Duration::from_millis(50);
/// Containers of a leaving datanode looked at under one hold of the lock.
const LOOKED_AT_ONCE: usize = 2_000;
/// Changes proposed together.
const CHANGES_TOGETHER: usize = 256;
/// Deletion transactions looked at in one round.
const DELETIONS_LOOKED_AT: usize = 20_000;
/// Deletion commands a node may have waiting here, and in its own queue.
const DELETE_COMMANDS_WAITING_MAX: usize = 2;
const DELETE_COMMANDS_QUEUED_MAX: u32 = 5;
/// Blocks in one command to a datanode.
const BLOCKS_IN_COMMAND: usize = 20_000;

/// Follows who leads. A member counts as leading once a majority has confirmed it and all that was committed before is
/// applied here.
pub(crate) async fn follow_leadership(scm: Arc<Scm>, drain: Drain) {
    let ended = drain.started();
    tokio::pin!(ended);
    let mut watch = scm.raft.status();
    loop {
        let status = watch.now();
        if status.role == Role::Leader {
            if scm.term().map(|term| term.as_u64()) != Some(status.term)
                && scm.raft.read(|_| ()).await.is_ok()
            {
                scm.cluster().caught_up = true;
                scm.set_leading(Some(status.term));
                scm.cluster().look_at_safe_mode();
            }
        } else {
            scm.set_leading(None);
            if status.leader.is_some() && status.applied == status.last_log {
                scm.cluster().caught_up = true;
            }
        }
        tokio::select! {
            biased;
            () = &mut ended => return,
            // A confirmation that failed is tried again, changed or not.
            _ = tokio::time::sleep(Duration::from_millis(500)) => {}
            alive = watch.changed() => if !alive { return },
        }
    }
}

/// Proposes what reports and sweeps call for, as many at once as wait.
pub(crate) async fn propose_changes(scm: Arc<Scm>, mut changes: mpsc::Receiver<Change>, drain: Drain) {
    let ended = drain.started();
    tokio::pin!(ended);
    let mut gathered = Vec::with_capacity(CHANGES_TOGETHER);
    loop {
        tokio::select! {
            biased;
            () = &mut ended => return,
            count = changes.recv_many(&mut gathered, CHANGES_TOGETHER) => if count == 0 { return },
        }
        if scm.term().is_none() {
            gathered.clear(); // the leader finds them itself
            continue;
        }
        let mut together = JoinSet::new();
        for change in gathered.drain(..) {
            let scm = Arc::clone(&scm);
            together.spawn(async move {
                let removed = match &change {
                    Change::RemoveDeletions(remove) => remove.transactions.clone(),
                    _ => Vec::new(),
                };
                scm.propose(change).await.map(|_| scm.deletions().removed(&removed))
            });
        }
        while let Some(done) = together.join_next().await {
            if let Ok(Err(error)) = done {
                tracing::warn!(
                    error = &error as &dyn std::error::Error,
                    "a change was not made; the next sweep looks again"
                );
            }
        }
    }
}

/// Repairs what has changed, at once, and looks for what was missed now and then.
pub(crate) async fn repair(scm: Arc<Scm>, drain: Drain) {
    let ended = drain.started();
    tokio::pin!(ended);
    let bell = Arc::clone(&scm.cluster().bell);
    loop {
        tokio::select! {
            biased;
            () = &mut ended => return,
            () = bell.notified() => {}
            () = tokio::time::sleep(REPAIR_LOOK_EVERY) => {}
        }
        // What changes together is looked at together.
        tokio::time::sleep(REPAIR_GATHERS).await;
        while scm.term().is_some() {
            let repaired = scm.cluster().repair(scm.now());
            // One line a look, however many there are; `admin container report` counts and names them.
            if let Some((container, why)) = repaired.stuck.first() {
                let containers = repaired.stuck.len();
                tracing::warn!(containers, %container, %why, "containers are not as they should be and nothing can be done now; it is tried again");
            }
            scm.metrics.copies_ordered.add(repaired.copies);
            scm.metrics.rebuilds_ordered.add(repaired.rebuilds);
            scm.metrics.removals_ordered.add(repaired.removals);
            scm.propose_later(repaired.changes);
            if !repaired.more {
                break;
            }
            tokio::task::yield_now().await;
        }
    }
}

/// Looks at what is left on datanodes that leave, and takes them out of service when nothing is.
pub(crate) async fn drain_datanodes(scm: Arc<Scm>, drain: Drain) {
    let ended = drain.started();
    tokio::pin!(ended);
    let mut interval =
        tokio::time::interval(scm.config.replication.drain_interval.max(Duration::from_millis(1)));
    interval.set_missed_tick_behavior(MissedTickBehavior::Skip);
    loop {
        tokio::select! {
            biased;
            () = &mut ended => return,
            _ = interval.tick() => {}
        }
        if scm.term().is_none() || scm.cluster().safe_mode.is_on() {
            continue;
        }
        let leaving = scm.cluster().leaving();
        for node in leaving {
            let Some((mut left, mut containers)) = scm.cluster().begin_look(node) else { continue };
            if scm.cluster().has_left(node) {
                containers.clear(); // only its time may be over
            }
            for page in containers.chunks(LOOKED_AT_ONCE) {
                scm.cluster().look_at_left(node, page, &mut left);
                tokio::task::yield_now().await;
            }
            let duty = scm.cluster().departed(node, left, scm.now());
            if let Some(duty) = duty {
                tracing::info!(%node, state = duty.state.name(), "a datanode goes on");
                scm.propose_later(vec![crate::service::duty_change(duty)]);
            }
        }
    }
}

/// Looks at silence, sweeps, and sends deletions, each at its own interval.
pub(crate) async fn watch(scm: Arc<Scm>, drain: Drain) {
    let ended = drain.started();
    tokio::pin!(ended);
    let every = |time: Duration| {
        let mut interval = tokio::time::interval(time.max(Duration::from_millis(1)));
        interval.set_missed_tick_behavior(MissedTickBehavior::Skip);
        interval
    };
    let (mut silence, mut sweep) = (every(scm.config.nodes.check), every(scm.config.sweep_interval));
    let mut deletions = every(scm.config.deletion_interval);
    loop {
        let changes = tokio::select! {
            biased;
            () = &mut ended => return,
            _ = silence.tick() => scm.cluster().silence(scm.now()),
            _ = sweep.tick() => {
                scm.cluster().look_at_safe_mode();
                if scm.term().is_some() { scm.cluster().sweep(scm.now()) } else { Vec::new() }
            }
            _ = deletions.tick() => send_deletions(&scm),
        };
        if scm.term().is_some() {
            scm.propose_later(changes);
        }
    }
}

/// One round of deletions: tells datanodes, and returns the removal of what is done.
fn send_deletions(scm: &Scm) -> Vec<Change> {
    if scm.term().is_none() || scm.cluster().safe_mode.is_on() {
        return Vec::new();
    }
    let from = scm.deletions().cursor;
    let page = match scm.raft.read_local(|view| page(view, from, scm.config.deletion_blocks_max)) {
        Ok(page) => page,
        Err(error) => {
            tracing::error!(error = &error as &dyn std::error::Error, "the deletions cannot be read");
            return Vec::new();
        }
    };
    let (rows, next) = page;
    let mut orders: BTreeMap<DatanodeId, Vec<DeletedBlocksTransaction>> = BTreeMap::new();
    let mut done = Vec::new();
    let now = scm.now();
    let resend_ms = crate::config::ms(scm.config.deletion_resend);
    let mut deletions = scm.deletions();
    deletions.cursor = next;
    let mut cluster = scm.cluster();
    for (id, row) in rows {
        let container = ContainerId::try_from(row.container_id).ok();
        let info = container.and_then(|id| cluster.blocks.container(id));
        let replicas = container.map_or(&[][..], |id| cluster.replicas.of(id));
        match verdict(info, replicas, &deletions.progress(id), now.monotonic_ms, resend_ms) {
            Verdict::Wait => {}
            Verdict::Remove => done.push(id),
            Verdict::Send(nodes) => {
                for node in nodes {
                    let queued = cluster
                        .nodes
                        .get(node)
                        .filter(|n| n.serves())
                        .map(|n| n.queued.get(&CommandKind::DeleteBlocksCommand).copied().unwrap_or(0));
                    let waiting = cluster.commands.waiting(node, CommandKind::DeleteBlocksCommand);
                    let takes = queued.is_some_and(|queued| queued < DELETE_COMMANDS_QUEUED_MAX);
                    if takes && waiting < DELETE_COMMANDS_WAITING_MAX {
                        orders.entry(node).or_default().push(row.clone());
                    }
                }
            }
        }
    }
    for (node, transactions) in orders {
        for transactions in pieces(transactions) {
            let told: Vec<(u64, ContainerId)> = transactions
                .iter()
                .filter_map(|t| {
                    Some((u64::try_from(t.tx_id).ok()?, ContainerId::try_from(t.container_id).ok()?))
                })
                .collect();
            if cluster.commands.delete_blocks(node, transactions) {
                for (id, container) in told {
                    deletions.sent(id, container, node, now.monotonic_ms);
                }
            }
        }
    }
    match done.is_empty() {
        true => Vec::new(),
        false => vec![Change::RemoveDeletions(RemoveDeletions { transactions: done })],
    }
}

type Page = (Vec<(u64, DeletedBlocksTransaction)>, u64);

/// The transactions from `from` on, and where the next page begins: at the start again after the last one.
fn page(view: &View<'_>, from: u64, blocks_max: usize) -> Result<Page, TableError> {
    let range = (Bound::Included(from), Bound::Unbounded);
    let mut rows = Vec::new();
    let mut blocks = 0;
    for pair in DELETIONS.range(view, range, Direction::Up)? {
        let (id, row) = pair?;
        if rows.len() >= DELETIONS_LOOKED_AT || blocks >= blocks_max {
            return Ok((rows, id));
        }
        blocks += row.local_id.len();
        rows.push((id, row));
    }
    Ok((rows, 0))
}

/// Transactions in groups that a datanode takes in one command.
fn pieces(transactions: Vec<DeletedBlocksTransaction>) -> Vec<Vec<DeletedBlocksTransaction>> {
    let mut groups: Vec<Vec<DeletedBlocksTransaction>> = Vec::new();
    let mut blocks = usize::MAX;
    for transaction in transactions {
        let weight = transaction.local_id.len();
        if blocks.saturating_add(weight) > BLOCKS_IN_COMMAND {
            groups.push(Vec::new());
            blocks = 0;
        }
        blocks += weight;
        groups.last_mut().expect("the first transaction opens a group").push(transaction);
    }
    groups
}
