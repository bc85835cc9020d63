//! The control thread: what SCM is told, and what SCM says.
//!
//! Owns    one [`endpoint::Endpoint`] an SCM, the [`queue::Queue`] of SCM's commands, their carrying out, copies and
//!         reconstructions, the pages for operators.
//! Shape   all on one thread: the SCMs' heartbeats, the changes to tell and the commands run beside each other, so that
//!         neither an SCM that is slow nor a disk that is slow delays another's heartbeat.
//! Errors  logged; an SCM that does not answer is asked again at the next heartbeat.
//! Source  docs/formats/datanode-commands.md, 'SCM'; wire facts: scm.md 1.

pub mod commands;
pub mod endpoint;
pub mod http;
pub mod link;
pub mod queue;
pub mod report;

use crate::boot::Lobby;
use crate::replication::supervisor;
use crate::store::Event;
use allotrope_io::Clock;
use allotrope_proto::edge::heartbeat::CommandStatus;
use endpoint::Endpoint;
use futures_util::future::{Either, join_all, select};
use futures_util::stream::{FuturesUnordered, StreamExt};
use link::ScmLink;
use queue::Queue;
use std::cell::RefCell;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{Notify, mpsc, watch};

/// Changes wait this long for company before a heartbeat carries them.
const GATHER: Duration = Duration::from_millis(50);
/// How often commands are looked at that wait for an SCM or for another command.
const LOOK: Duration = Duration::from_secs(1);

/// What the tasks of the control thread share.
pub struct Shared {
    /// The datanode.
    pub lobby: Arc<Lobby>,
    /// The thread's clock.
    pub clock: Clock,
    /// SCM's commands.
    pub queue: RefCell<Queue>,
    /// Rings when a command has come or may run.
    pub commands: Notify,
}

/// Keeps every SCM informed and carries out what they say, until `stop` becomes true or its sender is gone.
pub async fn run<L: ScmLink>(
    lobby: Arc<Lobby>,
    links: Vec<L>,
    events: mpsc::Receiver<Event>,
    mut stop: watch::Receiver<bool>,
    clock: Clock,
) {
    let queue = RefCell::new(Queue::new(links.len()));
    let shared = Shared { lobby, clock, queue, commands: Notify::new() };
    let endpoints: Vec<_> =
        links.into_iter().enumerate().map(|(n, link)| Endpoint::new(&shared, n, link)).collect();
    let beats = join_all(endpoints.iter().map(Endpoint::run));
    let telling = tell(events, &endpoints);
    let obeying = obey(&shared, &endpoints);
    let copying = copy(&shared);
    let working = pin!(async { futures_util::join!(beats, telling, obeying, copying) });
    // An error: the datanode was dropped without a shutdown.
    let stopping = pin!(async { while !*stop.borrow() && stop.changed().await.is_ok() {} });
    select(working, stopping).await;
}

/// Notes what changed for every SCM, and has them told.
async fn tell<L: ScmLink>(mut events: mpsc::Receiver<Event>, endpoints: &[Endpoint<'_, L>]) {
    while let Some(event) = events.recv().await {
        endpoints.iter().for_each(|one| one.note(&event));
        while let Ok(event) = events.try_recv() {
            endpoints.iter().for_each(|one| one.note(&event));
        }
        endpoints.iter().for_each(Endpoint::ring);
    }
}

/// Carries commands out as the queue hands them over. It never ends by itself.
async fn obey<L: ScmLink>(shared: &Shared, endpoints: &[Endpoint<'_, L>]) {
    let mut running = FuturesUnordered::new();
    loop {
        let next = shared.queue.borrow_mut().next(shared.clock.now(), shared.clock.wall_ms());
        if let Some((key, command)) = next {
            running.push(async move { (key, commands::carry_out(shared, command).await) });
            continue;
        }
        let woken = {
            let rung = pin!(async {
                let _ = select(pin!(shared.commands.notified()), pin!(shared.clock.sleep(LOOK))).await;
            });
            match running.is_empty() {
                true => {
                    rung.await;
                    None
                }
                false => match select(running.next(), rung).await {
                    Either::Left((ended, _)) => ended,
                    Either::Right(_) => None,
                },
            }
        };
        if let Some((key, status)) = woken {
            shared.queue.borrow_mut().done(key);
            if let Some(status) = status {
                report_status(endpoints, &status);
            }
        }
    }
}

/// Carries copies and reconstructions out, once the volumes are open. It never ends by itself.
async fn copy(shared: &Shared) {
    let node = loop {
        match shared.lobby.door.get() {
            Some(node) => break node,
            None => shared.clock.sleep(LOOK).await,
        }
    };
    supervisor::work(node, &shared.clock).await;
}

fn report_status<L: ScmLink>(endpoints: &[Endpoint<'_, L>], status: &CommandStatus) {
    for endpoint in endpoints {
        endpoint.note_status(status.clone());
        endpoint.ring();
    }
}
