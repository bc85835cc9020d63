//! `allotrope datanode`: containers, blocks and chunks.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::pin::pin;
use std::process::ExitCode;
use std::time::Duration;

use allotrope_datanode::replication::{Compression, CopyLimits};
use allotrope_datanode::volume::reserved::Reserved;
use allotrope_datanode::{Config, Durability, Running, ScmTransport, VolumeChoice};
use allotrope_io::Back;
use allotrope_types::ByteCount;
use clap::{Args, Subcommand};
use tokio::signal::unix::{SignalKind, signal};

use super::{DRAIN_MAX, Failure, PagesAt, scms};
use crate::config::Settings;

/// Shares of a volume that stay free where `hdds.datanode.volume.min.free.space` is not given (Ozone's
/// `…min.free.space.percent` and `…hard.limit.percent`), in thousandths.
const FREE_SHARE_SOFT: u64 = 20;
const FREE_SHARE_HARD: u64 = 15;

/// Reads the configuration again, from where it came.
pub(crate) type Reread<'a> = dyn Fn() -> Result<Settings, Failure> + 'a;

/// Arguments of `allotrope datanode`.
#[derive(Debug, Args)]
pub(crate) struct Datanode {
    #[command(subcommand)]
    act: Option<Act>,
}

/// What else can be done with a datanode than running it.
#[derive(Debug, Subcommand)]
enum Act {
    /// Fold all volumes to Ozone's exact form, so that a Java datanode can take them over. The datanode must not run.
    DrainFormat,
}

impl Datanode {
    pub(crate) fn run(self, settings: &Settings, reread: &Reread<'_>) -> Result<ExitCode, Failure> {
        let mut config = config(settings)?;
        if let Some(Act::DrainFormat) = self.act {
            return drain_format(&config);
        }
        super::make_folder(&config.metadata_dir)?;
        let logs = super::start_logs(settings)?;
        config.operators = PagesAt::DATANODE.operators(settings, None, &logs)?;
        let running = allotrope_datanode::start(config)?;
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let failed = runtime.block_on(live(&running, reread))?;
        running.shutdown(DRAIN_MAX);
        match failed {
            None => Ok(ExitCode::SUCCESS),
            Some(why) => Err(format!("the datanode cannot go on: {why}").into()),
        }
    }
}

/// Runs until the process is asked to end, or the datanode cannot go on: then, why. SIGHUP reads the configuration
/// again: the data directories that it names from then on are those in use, and copies keep to its limits.
async fn live(running: &Running, reread: &Reread<'_>) -> Result<Option<String>, Failure> {
    let mut reload = signal(SignalKind::hangup())?;
    let mut ended = pin!(super::asked_to_end()?);
    loop {
        tokio::select! {
            biased;
            () = &mut ended => return Ok(None),
            why = running.failed() => return Ok(Some(why)),
            _ = reload.recv() => {}
        }
        // A start refuses a wrong configuration; a server that runs goes on with the one it has.
        match reread()
            .and_then(|settings| Ok((settings.folders("hdds.datanode.dir")?, copy_limits(&settings)?)))
        {
            Ok((roots, limits)) => take_over(running, roots, &limits).await,
            Err(e) => tracing::error!(error = %e, "the configuration cannot be read again"),
        }
    }
}

/// Has a datanode that runs go on with these.
async fn take_over(running: &Running, roots: Vec<PathBuf>, limits: &CopyLimits) {
    let (volumes, copies) = (running.set_volumes(roots).await, running.set_copy_limits(limits));
    for (what, done) in [("the data directories", &volumes), ("the limits of copies", &copies)] {
        if let Err(e) = done {
            tracing::error!(what, error = %crate::with_causes(e), "part of the configuration stays as it was");
        }
    }
    if volumes.and(copies).is_ok() {
        tracing::info!(streams = limits.streams, "the configuration was read again");
    }
}

/// What of copies may change while the datanode runs.
fn copy_limits(settings: &Settings) -> Result<CopyLimits, Failure> {
    Ok(CopyLimits {
        streams: settings.count("hdds.datanode.replication.streams.limit")?,
        waiting_max: settings.count("hdds.datanode.replication.queue.limit")?,
        bandwidth: settings.bytes("allotrope.datanode.replication.bandwidth")?,
        busy_bandwidth: settings.bytes("allotrope.datanode.replication.busy.bandwidth")?,
    })
}

fn drain_format(config: &Config) -> Result<ExitCode, Failure> {
    let holder = format!("{}@{} (drain-format)", std::process::id(), config.host_name);
    for volume in &config.volumes {
        let done = allotrope_datanode::offline::fold(volume, &holder)?;
        println!(
            "{}: {} containers, {} blocks folded, {} files cut to their blocks' lengths",
            volume.display(),
            done.containers,
            done.blocks,
            done.files
        );
    }
    Ok(ExitCode::SUCCESS)
}

pub(crate) fn config(settings: &Settings) -> Result<Config, Failure> {
    let volumes = settings.folders("hdds.datanode.dir")?;
    let metadata = super::first(settings.folders("ozone.metadata.dirs")?, "ozone.metadata.dirs")?;
    let scms = scms::everywhere(settings, |scm| scm.datanode_port, ("ozone.scm.datanode.address", 9861))?;
    let scms = scms.into_iter().map(|(_, host, port)| format!("{host}:{port}")).collect();
    let (soft, hard) = free_min(settings, &volumes)?;
    let mut config = Config::new(volumes, metadata, scms);
    let address = address(settings)?;
    let any = IpAddr::V4(Ipv4Addr::UNSPECIFIED);
    let listen = if address.is_loopback() { address } else { any };
    config.listen = SocketAddr::new(listen, settings.port("hdds.container.ipc.port")?);
    config.replication.listen = SocketAddr::new(listen, settings.port("hdds.datanode.replication.port")?);
    config.pipelines.listen = SocketAddr::new(listen, settings.port("hdds.container.ratis.ipc.port")?);
    config.pipelines.admin = SocketAddr::new(listen, settings.port("hdds.container.ratis.admin.port")?);
    config.pipelines.member_deadline = settings.time("allotrope.pipeline.member-deadline")?;
    config.pipelines.memory = settings.bytes("allotrope.pipeline.memory")?;
    config.pipelines.watch_max = settings.time("hdds.ratis.raft.server.watch.timeout")?;
    config.replication.compression = compression(settings)?;
    config.replication.set_limits(&copy_limits(settings)?);
    config.replication.size_unknown = settings.bytes("ozone.scm.container.size")?;
    config.host_name = settings.text("hdds.datanode.hostname").map_or_else(super::host_name, str::to_owned);
    config.ip_address = address.to_string();
    if settings.count("allotrope.datanode.shards")? > 0 {
        config.shards = settings.count("allotrope.datanode.shards")?;
    }
    config.back = match settings.text_needed("allotrope.datanode.io")? {
        "uring" => Some(Back::Uring),
        "portable" => Some(Back::Portable),
        _ => None,
    };
    let memory = settings.bytes("allotrope.datanode.memory")?.as_u64();
    config.memory_per_shard = ByteCount::new(memory / config.shards.max(1) as u64);
    config.read_cache = settings.bytes("allotrope.datanode.read-cache")?;
    config.durability = match settings.text_needed("allotrope.datanode.durability")? {
        "page-cache" => Durability::PageCache,
        _ => Durability::Disk,
    };
    config.verify_reads = settings.text_needed("allotrope.datanode.verify-reads")? == "true";
    config.volume_choice = volume_choice(settings)?;
    config.recovering_idle = settings.time("ozone.recovering.container.timeout")?;
    config.reserved = reserved(settings)?;
    config.container_size = settings.bytes("ozone.scm.container.size")?;
    config.heartbeat_every = heartbeat_every(settings)?;
    config.heartbeat_first = config.heartbeat_first.min(config.heartbeat_every);
    (config.free_min_soft, config.free_min_hard) = (soft, hard);
    background(settings, &mut config)?;
    Ok(config)
}

/// What of each volume is left to others.
fn reserved(settings: &Settings) -> Result<Reserved, Failure> {
    let failed = |name: &str, why: String| -> Failure {
        format!("{name}: {why}\n  try: hdds.datanode.dir.du.reserved = /data/disk1:100GB, or a share from 0 to 1 in hdds.datanode.dir.du.reserved.percent").into()
    };
    let (by_volume, share) = ("hdds.datanode.dir.du.reserved", "hdds.datanode.dir.du.reserved.percent");
    let reserved =
        Reserved::default().with_share(settings.text_needed(share)?).map_err(|e| failed(share, e))?;
    reserved.with_volumes(settings.text(by_volume).unwrap_or_default()).map_err(|e| failed(by_volume, e))
}

/// As set; where it is not, each second if SCM notices failures fast, else Ozone's 30 s.
fn heartbeat_every(settings: &Settings) -> Result<Duration, Failure> {
    let name = "hdds.heartbeat.interval";
    let fast = settings.text("allotrope.scm.failure-detection") == Some("fast");
    match fast && settings.given(name).is_none() {
        true => Ok(Duration::from_secs(1)),
        false => Ok(settings.time(name)?),
    }
}

fn compression(settings: &Settings) -> Result<Compression, Failure> {
    let name = "hdds.container.replication.compression";
    let text = settings.text_needed(name)?;
    Compression::from_str_name(text).ok_or_else(|| format!("{name} is {text}, which is not known").into())
}

/// Ozone names its Java classes here.
fn volume_choice(settings: &Settings) -> Result<VolumeChoice, Failure> {
    let name = "hdds.datanode.volume.choosing.policy";
    let class = settings.text_needed(name)?;
    match class.rsplit('.').next() {
        Some("CapacityVolumeChoosingPolicy") => Ok(VolumeChoice::Capacity),
        Some("RoundRobinVolumeChoosingPolicy") => Ok(VolumeChoice::RoundRobin),
        _ => Err(format!(
            "{name} is {class}, which is not known\n  try: CapacityVolumeChoosingPolicy or RoundRobinVolumeChoosingPolicy"
        )
        .into()),
    }
}

/// What a datanode does besides serving clients.
fn background(settings: &Settings, config: &mut Config) -> Result<(), Failure> {
    config.scm_transport = match settings.text_needed("allotrope.datanode.scm-transport")? {
        "hadoop-rpc" => ScmTransport::HadoopRpc,
        _ => ScmTransport::Grpc,
    };
    let layout = "allotrope.datanode.layout-version";
    config.layout_version =
        u32::try_from(settings.count(layout)?).map_err(|_| format!("{layout} is too large"))?;
    config.container_report_every = settings.time("hdds.container.report.interval")?;
    config.deletion.every = settings.time("hdds.datanode.block.deleting.service.interval")?;
    config.deletion.blocks_max = settings.count("hdds.datanode.block.deleting.limit.per.interval")? as u64;
    let check = &mut config.check;
    let minutes = settings.count("hdds.datanode.periodic.disk.check.interval.minutes")? as u64;
    check.every = Duration::from_secs(minutes.max(1) * 60);
    check.gap_min = settings.time("hdds.datanode.disk.check.min.gap")?;
    check.time_max = settings.time("hdds.datanode.disk.check.timeout")?;
    let tolerated = "hdds.datanode.failed.data.volumes.tolerated";
    check.volumes_failed_max = match settings.text_needed(tolerated)? {
        "-1" => None,
        text => Some(text.parse().map_err(|_| format!("{tolerated} = {text:?}: not a count, and not -1"))?),
    };
    let scan = &mut config.scan;
    scan.enabled = settings.text_needed("hdds.container.scrub.enabled")? == "true";
    scan.metadata_every = settings.time("hdds.container.scrub.metadata.scan.interval")?;
    scan.data_every = settings.time("hdds.container.scrub.data.scan.interval")?;
    scan.bytes_per_second = settings.bytes("hdds.container.scrub.volume.bytes.per.second")?.as_u64();
    let demand = "hdds.container.scrub.on.demand.volume.bytes.per.second";
    scan.demand_bytes_per_second = settings.bytes(demand)?.as_u64();
    scan.gap_min = settings.time("hdds.container.scrub.min.gap")?;
    Ok(())
}

/// The address that others are told: as set, else that of this machine's name.
fn address(settings: &Settings) -> Result<IpAddr, Failure> {
    match settings.text("allotrope.datanode.address") {
        Some(text) => Ok(super::resolve("allotrope.datanode.address", text, 0)?.ip()),
        None => Ok(super::resolve("the machine's name", &super::host_name(), 0)?.ip()),
    }
}

/// Bytes that stay free on each volume: what SCM is told to leave, and where writes are refused.
fn free_min(settings: &Settings, volumes: &[PathBuf]) -> Result<(ByteCount, ByteCount), Failure> {
    if settings.text("hdds.datanode.volume.min.free.space").is_some_and(|text| text != "-1") {
        let given = settings.bytes("hdds.datanode.volume.min.free.space")?;
        return Ok((given, given));
    }
    let mut smallest = u64::MAX;
    for volume in volumes {
        super::make_folder(volume)?;
        let found = rustix::fs::statvfs(volume)
            .map_err(|error| format!("the size of {} cannot be found out: {error}", volume.display()))?;
        smallest = smallest.min(found.f_blocks.saturating_mul(found.f_frsize));
    }
    let share = |thousandths: u64| ByteCount::new(smallest / 1000 * thousandths);
    Ok((share(FREE_SHARE_SOFT), share(FREE_SHARE_HARD)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Origin;

    #[test]
    fn failures_that_are_noticed_fast_need_a_heartbeat_each_second() {
        let mut settings = Settings::default();
        assert_eq!(heartbeat_every(&settings).unwrap(), Duration::from_secs(30));
        settings.put("allotrope.scm.failure-detection", "fast", Origin::Flag);
        assert_eq!(heartbeat_every(&settings).unwrap(), Duration::from_secs(1));
        settings.put("hdds.heartbeat.interval", "2s", Origin::Flag);
        assert_eq!(heartbeat_every(&settings).unwrap(), Duration::from_secs(2));
    }
}
