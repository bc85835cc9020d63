//! Closed loops of requests, each client with a connection of its own.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use futures_util::future::BoxFuture;
use hdrhistogram::Histogram;
use tokio::runtime::Runtime;
use tokio::task::JoinSet;

use crate::machine;
use crate::wire::{Account, Connection};

/// What a turn found.
pub(crate) struct Turn {
    pub(crate) per_second: f64,
    pub(crate) p50_ms: f64,
    pub(crate) p99_ms: f64,
    /// CPU seconds of each watched process, over all operations.
    pub(crate) cpu: Vec<f64>,
    pub(crate) count: u64,
}

/// Runs `step` with `clients` at once for `time`; `step` gets its connection and the operation's number.
pub(crate) fn turn<F>(
    runtime: &Runtime,
    account: &Arc<Account>,
    clients: usize,
    time: Duration,
    watched: &[u32],
    step: F,
) -> Turn
where
    F: for<'c> Fn(&'c mut Connection, u64) -> BoxFuture<'c, ()> + Clone + Send + Sync + 'static,
{
    let before: Vec<Duration> = watched.iter().map(|pid| machine::cpu(*pid)).collect();
    let next = Arc::new(AtomicU64::new(0));
    let began = Instant::now();
    let all = runtime.block_on(async {
        let mut loops = JoinSet::new();
        for _ in 0..clients {
            let (account, next, step) = (account.clone(), next.clone(), step.clone());
            loops.spawn(async move {
                let mut connection = Connection::open(&account).await;
                let mut times = Histogram::<u64>::new(3).unwrap();
                while began.elapsed() < time {
                    let number = next.fetch_add(1, Ordering::Relaxed);
                    let asked = Instant::now();
                    step(&mut connection, number).await;
                    times.record(asked.elapsed().as_micros() as u64).unwrap();
                }
                times
            });
        }
        let mut all = Histogram::<u64>::new(3).unwrap();
        while let Some(times) = loops.join_next().await {
            all.add(times.unwrap()).unwrap();
        }
        all
    });
    let seconds = began.elapsed().as_secs_f64();
    let after = watched.iter().map(|pid| machine::cpu(*pid));
    Turn {
        per_second: all.len() as f64 / seconds,
        p50_ms: all.value_at_quantile(0.5) as f64 / 1000.0,
        p99_ms: all.value_at_quantile(0.99) as f64 / 1000.0,
        cpu: after.zip(before).map(|(after, before)| (after - before).as_secs_f64()).collect(),
        count: all.len(),
    }
}
