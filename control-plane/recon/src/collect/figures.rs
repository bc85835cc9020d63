//! The metrics of every datanode, OM and SCM: what went through the cluster since the last round.

use futures_util::StreamExt as _;

use allotrope_proto::net::Target;

use crate::figures::{Counted, Happened};
use crate::history::Point;
use crate::recon::{AskError, Recon};
use crate::state::{NodeFigures, State};

/// Servers that are asked at once.
const AT_ONCE: usize = 16;
/// Rates over more than this say nothing of now.
const ROUND_MAX_MS: u64 = 60_000;

/// Asks every server once.
pub(super) async fn round(recon: &Recon) -> Result<(), AskError> {
    let servers = servers(recon);
    let asked = futures_util::stream::iter(servers)
        .map(|(name, at)| async move { (name, super::page::fetch(&at).await) });
    let pages: Vec<(String, Result<String, String>)> = asked.buffer_unordered(AT_ONCE).collect().await;
    let now_ms = recon.now_ms();
    let mut first_trouble = None;
    let mut state = recon.state();
    let before = state.figures_at_ms;
    for (name, page) in pages {
        match page {
            Ok(page) => take(&mut state, name, Counted::read(&page), now_ms),
            Err(why) => {
                // What a dead datanode's page last said is not what it does now.
                state.figures.remove(&name);
                first_trouble.get_or_insert(why);
            }
        }
    }
    let sum = state.figures.values().filter(|node| node.at_ms == now_ms).fold(
        Happened::default(),
        |mut sum, node| {
            sum.plus(&node.happened);
            sum
        },
    );
    let took_ms = now_ms.saturating_sub(before.unwrap_or(now_ms));
    if (1..ROUND_MAX_MS).contains(&took_ms) {
        state.history.push(Point::of(&sum, now_ms, took_ms));
    }
    state.figures_at_ms = Some(now_ms);
    match first_trouble {
        Some(why) => Err(AskError::Refused(why)),
        None => Ok(()),
    }
}

/// Everybody who has a page and is not known to be dead.
fn servers(recon: &Recon) -> Vec<(String, Target)> {
    let state = recon.state();
    let living = state.datanodes.values().filter(|node| node.state != "DEAD");
    let datanode = |node: &crate::model::Datanode| {
        let host = if node.address.is_empty() { &node.host } else { &node.address };
        Some((node.id.to_string(), Target { host: host.clone(), port: node.port("HTTP")? }))
    };
    let others =
        recon.config.metrics.iter().map(|other| (format!("server/{}", other.name), other.at.clone()));
    living.filter_map(datanode).chain(others).collect()
}

/// Takes one page in; a server's first one counts nothing yet.
fn take(state: &mut State, name: String, page: Counted, now_ms: u64) {
    let before = state.figures.get(&name);
    let happened = before.map(|before| page.since(&before.page)).unwrap_or_default();
    let took_ms = before.map_or(0, |before| now_ms.saturating_sub(before.at_ms));
    state.figures.insert(name, NodeFigures { page, at_ms: now_ms, happened, took_ms });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_servers_first_page_counts_nothing() {
        let mut state = State::default();
        let page = |bytes| Counted { received: bytes, ..Counted::default() };
        take(&mut state, "a".into(), page(1e9), 1000);
        assert_eq!(state.figures["a"].happened, Happened::default());
        take(&mut state, "a".into(), page(1e9 + 10.0), 3000);
        assert_eq!((state.figures["a"].happened.received, state.figures["a"].took_ms), (10.0, 2000));
    }
}
