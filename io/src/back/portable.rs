//! A shard on a tokio current-thread runtime.

use crate::back::shares::Background;
use crate::clock::Clock;
use crate::shard::Exec;
use crate::shards::{Seat, StartError, run};
use std::sync::mpsc::sync_channel;
use std::thread::JoinHandle;

/// Starts the thread and waits until the shard runs on it.
pub(crate) fn start(seat: Seat) -> Result<JoinHandle<()>, StartError> {
    let shard = seat.id;
    let core = seat.about.config.pin.then(|| crate::sys::core_for(shard.0)).flatten();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .enable_io()
        .build()
        .map_err(|source| StartError::Thread { shard, source })?;
    let (started, wait) = sync_channel(1);
    let thread = std::thread::Builder::new().name(seat.about.name.to_string()).spawn(move || {
        if let Some(core) = core
            && let Err(e) = crate::sys::pin_to(core)
        {
            tracing::warn!(%shard, core, error = %e, "the shard is not pinned");
        }
        let tasks = tokio::task::LocalSet::new();
        tasks.block_on(&runtime, run(seat, Exec::Portable(Background::new()), Clock::tokio(), started));
    });
    let thread = thread.map_err(|source| StartError::Thread { shard, source })?;
    match wait.recv() {
        Ok(Ok(())) => Ok(thread),
        Ok(Err(e)) => Err(e),
        Err(_) => {
            Err(StartError::Thread { shard, source: std::io::Error::other("its thread ended before it ran") })
        }
    }
}
