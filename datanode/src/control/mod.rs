//! The control thread: what SCM is told, and what SCM says.
//!
//! Owns    one [`endpoint::Endpoint`] an SCM, the heartbeats' clock, and the carrying out of SCM's commands.
//! Shape   all on one tokio thread; the shards are asked over their inboxes.
//! Errors  logged; an SCM that does not answer is asked again at the next heartbeat.
//! Source  docs/formats/datanode-commands.md, 'SCM'.

pub mod commands;
pub mod endpoint;
pub mod http;
pub mod link;
pub mod report;

use crate::boot::Lobby;
use crate::store::Event;
use allotrope_io::{Clock, Moment};
use endpoint::Endpoint;
use link::ScmLink;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;
use tokio::sync::{mpsc, watch};

/// Changes wait this long for company before a heartbeat carries them.
const GATHER: Duration = Duration::from_millis(50);

/// Keeps every SCM informed until `stop` becomes true.
pub async fn run<L: ScmLink>(
    lobby: Arc<Lobby>,
    links: Vec<L>,
    mut events: mpsc::Receiver<Event>,
    mut stop: watch::Receiver<bool>,
) {
    let clock = Clock::tokio();
    let mut endpoints: Vec<_> = links.into_iter().map(|link| Endpoint::new(lobby.clone(), link)).collect();
    let mut next = clock.now();
    while !*stop.borrow() {
        let woken = tokio::select! {
            biased;
            changed = stop.changed() => match changed {
                Ok(()) => continue,
                // The datanode was dropped without a shutdown.
                Err(_) => return,
            },
            event = events.recv() => event,
            () = clock.sleep_until(next) => None,
        };
        if let Some(event) = woken {
            endpoints.iter_mut().for_each(|one| one.note(&event));
            clock.sleep(GATHER).await;
            while let Ok(event) = events.try_recv() {
                endpoints.iter_mut().for_each(|one| one.note(&event));
            }
        }
        for endpoint in &mut endpoints {
            tokio::select! {
                biased;
                _ = stop.changed() => break,
                () = endpoint.beat(&clock) => {}
            }
        }
        let registered = endpoints.iter().filter(|one| one.is_registered()).count();
        lobby.scms_registered.store(registered, Relaxed);
        next = next_beat(&lobby, &endpoints, clock.now());
    }
}

fn next_beat<L: ScmLink>(lobby: &Lobby, endpoints: &[Endpoint<L>], now: Moment) -> Moment {
    let settled = endpoints.iter().all(Endpoint::is_registered);
    now + if settled { lobby.config.heartbeat_every } else { lobby.config.heartbeat_first }
}
