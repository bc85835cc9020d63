//! Whether a disk still works: a small file written, synced, read back, now and then and after an I/O error.
//!
//! Shape   [`probe`] looks once; [`History`] is pure and says from what was seen lately whether the volume has failed;
//!         [`watch`] is the loop of one volume.
//! Law     one hiccup fails no volume: an error is tolerated once in a while, and so is a probe that takes too long. A
//!         folder that is gone or forbidden fails at once. A full disk and a process without descriptors fail nothing.
//! Source  wire facts: scm.md 2.13.

use super::Volume;
use crate::boot::Lobby;
use crate::metadata::{Family, MetadataError};
use crate::store::Node;
use allotrope_io::{AlignedBuf, Disk, DiskError, Moment, OpenHow, Shard, ShardId};
use futures_util::future::{Either, select};
use std::collections::VecDeque;
use std::io::ErrorKind;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

/// How volumes are checked. The names of Ozone's settings stand beside the fields, below `hdds.datanode.`.
#[derive(Clone, Debug)]
pub struct CheckConfig {
    /// Time between checks (`periodic.disk.check.interval.minutes`).
    pub every: Duration,
    /// Least time between two checks, however many errors there are (`disk.check.min.gap`).
    pub gap_min: Duration,
    /// How long one check may take (`disk.check.timeout`).
    pub time_max: Duration,
    /// Bytes that are written and read back (`disk.check.io.file.size`); 0 writes nothing.
    pub file_len: usize,
    /// Failed checks that are tolerated (`disk.check.io.failures.tolerated`) within `failures_within`
    /// (`disk.check.sliding.window.timeout`).
    pub failures_max: usize,
    /// See `failures_max`.
    pub failures_within: Duration,
    /// Checks that took too long that are tolerated (`disk.check.timeout.failures.tolerated`) within `timeouts_within`
    /// (`disk.check.timeout.sliding.window.timeout`).
    pub timeouts_max: usize,
    /// See `timeouts_max`.
    pub timeouts_within: Duration,
    /// Failed volumes with which the datanode lives on (`failed.data.volumes.tolerated`); `None`: as long as one is good.
    pub volumes_failed_max: Option<usize>,
}

impl Default for CheckConfig {
    fn default() -> CheckConfig {
        let minutes = |n: u64| Duration::from_secs(60 * n);
        CheckConfig {
            every: minutes(60),
            gap_min: minutes(10),
            time_max: minutes(10),
            file_len: 100,
            failures_max: 1,
            failures_within: minutes(70),
            timeouts_max: 1,
            timeouts_within: minutes(90),
            volumes_failed_max: None,
        }
    }
}

/// What a probe saw.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Seen {
    /// All works.
    Good,
    /// The folder is gone or may not be used.
    Gone(String),
    /// An operation failed, or other bytes came back.
    Broken(String),
    /// No answer in time.
    Slow,
}

/// What was seen of a volume lately.
#[derive(Debug, Default)]
pub struct History {
    broken: VecDeque<Moment>,
    slow: VecDeque<Moment>,
}

impl History {
    /// Takes in what was seen at `now`; why the volume has failed, if it has.
    pub fn after(&mut self, seen: &Seen, now: Moment, config: &CheckConfig) -> Option<String> {
        let count = |times: &mut VecDeque<Moment>, within: Duration, one: bool| {
            times.extend(one.then_some(now));
            while times.front().is_some_and(|at| now.since(*at) > within) {
                times.pop_front();
            }
            times.len()
        };
        let broken = count(&mut self.broken, config.failures_within, matches!(seen, Seen::Broken(_)));
        let slow = count(&mut self.slow, config.timeouts_within, matches!(seen, Seen::Slow));
        match seen {
            Seen::Gone(why) => Some(why.clone()),
            Seen::Broken(why) if broken > config.failures_max => Some(why.clone()),
            Seen::Slow if slow > config.timeouts_max => {
                Some(format!("{slow} checks had no answer within {:?}", config.time_max))
            }
            _ => None,
        }
    }
}

/// Looks once whether the volume works. `random` fills the file.
pub async fn probe(disk: &Disk, volume: &Volume, file_len: usize, random: [u8; 16]) -> Seen {
    match disk.stat(volume.paths().root()).await {
        Ok(Some(entry)) if entry.is_dir => {}
        Ok(_) => return Seen::Gone("its folder is gone".into()),
        Err(e) => return seen_of(&e),
    }
    if let Err(e) = probe_file(disk, volume, file_len, random).await {
        return e;
    }
    let metadata = volume.metadata();
    let read = metadata.get(Family::Counters, vec![0]).await.map(drop);
    let synced = match read {
        Ok(()) => metadata.sync().await,
        failed => failed,
    };
    match synced {
        Ok(()) | Err(MetadataError::Busy { .. }) => Seen::Good,
        Err(e) => Seen::Broken(e.to_string()),
    }
}

async fn probe_file(disk: &Disk, volume: &Volume, len: usize, random: [u8; 16]) -> Result<(), Seen> {
    if len == 0 {
        return Ok(());
    }
    let free = disk.space(volume.paths().root()).await.map_err(|e| seen_of(&e))?.available;
    if free < 2 * len as u64 {
        return Ok(());
    }
    let dir = volume.paths().tmp().join("disk-check");
    let name: String = random.iter().map(|byte| format!("{byte:02x}")).collect();
    let path = dir.join(name);
    let bytes: Vec<u8> = random.iter().copied().cycle().take(len).collect();
    let done = async {
        disk.create_dir_all(&dir).await?;
        let file = disk.open(&path, OpenHow::create_new()).await?;
        file.write_at(AlignedBuf::copy_of(&bytes), 0).await.1?;
        file.sync().await?;
        let back = disk.read_small(&path, len).await?;
        disk.remove(&path).await?;
        Ok::<_, DiskError>(back)
    };
    match done.await {
        Ok(back) if back == bytes => Ok(()),
        Ok(_) => Err(Seen::Broken("other bytes came back than were written".into())),
        Err(e) => {
            drop(disk.remove(&path).await);
            match seen_of(&e) {
                Seen::Good => Ok(()),
                seen => Err(seen),
            }
        }
    }
}

/// What a failed operation says of the disk.
fn seen_of(e: &DiskError) -> Seen {
    /// Too many open files, of the process and of the machine.
    const NO_DESCRIPTORS: [i32; 2] = [24, 23];
    let why = format!("{e}: {}", e.source);
    match e.kind() {
        _ if e.is_out_of_space() => Seen::Good,
        _ if e.source.raw_os_error().is_some_and(|code| NO_DESCRIPTORS.contains(&code)) => Seen::Good,
        ErrorKind::PermissionDenied | ErrorKind::NotFound | ErrorKind::NotADirectory => Seen::Gone(why),
        _ => Seen::Broken(why),
    }
}

/// Checks one volume until it fails, is taken out, or the shard stops.
pub async fn watch(shard: Shard, lobby: Arc<Lobby>, node: Arc<Node>, volume: Arc<Volume>) {
    let config = &lobby.config.check;
    let clock = shard.clock();
    let mut history = History::default();
    let mut last: Option<Moment> = None;
    loop {
        let due = clock.now() + config.every;
        let waiting = async {
            select(pin!(clock.sleep_until(due)), pin!(volume.check_asked())).await;
            // However many errors there are, the disk is not kept busy with checks.
            if let Some(last) = last.filter(|_| !volume.is_failed()) {
                clock.sleep_until(last + config.gap_min).await;
            }
        };
        if let Either::Right(_) = select(pin!(waiting), pin!(shard.stopping())).await {
            return;
        }
        if volume.is_failed() {
            return;
        }
        let probing = probe(shard.disk(), &volume, config.file_len, lobby.random());
        let seen = clock.timeout(config.time_max, probing).await.unwrap_or(Seen::Slow);
        last = Some(clock.now());
        lobby.metrics.disk_check(&seen);
        if seen != Seen::Good {
            tracing::warn!(volume = %volume.version().volume, ?seen, "a disk check did not pass");
        }
        if let Some(why) = history.after(&seen, clock.now(), config) {
            node.fail_volume(&volume, &why).await;
            return;
        }
    }
}

/// Asks the file systems for their space.
pub async fn refresh_space(lobby: &Arc<Lobby>, node: &Arc<Node>) {
    let node = node.clone();
    let asked = lobby.shards.run_on(ShardId(0), "space", move |shard| async move {
        look_at_space(&shard, &node).await;
    });
    if let Ok(asked) = asked
        && let Err(e) = asked.await
    {
        tracing::warn!(error = %e, "the space is not known");
    }
}

/// Asks the file systems for their space, from a shard.
pub async fn look_at_space(shard: &Shard, node: &Node) {
    for volume in node.volumes().iter().filter(|one| !one.is_failed()) {
        match shard.disk().space(volume.paths().root()).await {
            Ok(space) => volume.set_fs(space),
            Err(e) => {
                tracing::warn!(volume = %volume.version().volume, error = %e, "the space is not known");
                volume.ask_check();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use allotrope_io::{Sim, SimConfig};

    #[test]
    fn one_hiccup_is_tolerated_and_two_within_the_window_are_not() {
        let sim = Sim::new(SimConfig::seeded(1, 1));
        let start = sim.clock().now();
        let at = |minutes: u64| start + Duration::from_secs(60 * minutes);
        let config = CheckConfig::default();
        let broken = Seen::Broken("it hurts".into());
        let mut history = History::default();
        assert_eq!(history.after(&broken, at(0), &config), None);
        assert_eq!(history.after(&Seen::Good, at(60), &config), None);
        assert_eq!(history.after(&broken, at(71), &config), None, "the first one is too long ago");
        assert_eq!(history.after(&Seen::Slow, at(80), &config), None, "of another kind");
        assert_eq!(history.after(&broken, at(90), &config), Some("it hurts".into()));
        let mut history = History::default();
        assert_eq!(history.after(&Seen::Slow, at(0), &config), None);
        assert!(history.after(&Seen::Slow, at(90), &config).is_some());
        let gone = Seen::Gone("its folder is gone".into());
        assert_eq!(History::default().after(&gone, at(0), &config), Some("its folder is gone".into()));
    }
}
