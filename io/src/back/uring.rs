//! A shard on glommio.

use crate::back::pulse::Pulse;
use crate::class::Class;
use crate::clock::Clock;
use crate::shard::{Exec, Queues};
use crate::shards::{Seat, StartError, run};
use glommio::{Latency, LocalExecutorBuilder, Placement, Shares};
use std::sync::Arc;
use std::sync::mpsc::sync_channel;
use std::thread::JoinHandle;

/// Memory glommio allocates for buffers of its own. We use none of them: ours are registered with our own ring.
const GLOMMIO_MEMORY: usize = 64 << 10;

/// Starts the thread and waits until the shard runs on it.
pub(crate) fn start(seat: Seat, pulse: Arc<Pulse>) -> Result<JoinHandle<()>, StartError> {
    let shard = seat.id;
    let core = seat.about.config.pin.then(|| crate::sys::core_for(shard.0)).flatten();
    let name = seat.about.name.to_string();
    let (started, wait) = sync_channel(1);
    let failed = started.clone();
    let thread = std::thread::Builder::new().name(name.clone()).spawn(move || {
        let placement = core.map_or(Placement::Unbound, Placement::Fixed);
        let executor =
            LocalExecutorBuilder::new(placement).name(&name).io_memory(GLOMMIO_MEMORY).ring_depth(256).make();
        match executor {
            Ok(executor) => executor.run(async move {
                let queue = |class: Class, name| {
                    glommio::executor().create_task_queue(
                        Shares::Static(class.shares()),
                        Latency::NotImportant,
                        name,
                    )
                };
                let replication = queue(Class::Replication, "replication");
                let scrub = queue(Class::Scrub, "scrub");
                glommio::spawn_local(pulse.clone().felt()).detach();
                run(seat, Exec::Uring(Queues { replication, scrub }), Clock::uring(), started).await;
                pulse.end();
            }),
            Err(e) => {
                let _ = failed.send(Err(StartError::Uring { shard, why: e.to_string() }));
            }
        }
    });
    let thread = thread.map_err(|source| StartError::Thread { shard, source })?;
    match wait.recv() {
        Ok(Ok(())) => Ok(thread),
        Ok(Err(e)) => Err(e),
        Err(_) => Err(StartError::Uring { shard, why: "its thread ended before it ran".into() }),
    }
}
