//! What a datanode counts, for its operators.
//!
//! Shape   [`Metrics`] is shared by all threads of one datanode; counting is lock-free. Gauges of volumes are looked at
//!         when the text is made.
//! Units   seconds and bytes. A volume's label is its folder, as configured.

use crate::scan::serve::Kind;
use crate::scan::{Damage, Finding};
use crate::store::Node;
use crate::volume::Volume;
use crate::volume::check::Seen;
use allotrope_io::{ShardId, Shards};
use allotrope_proto::container::{Result as WireResult, Type};
use allotrope_proto::edge::heartbeat::CommandKind;
use allotrope_proto::ops::metrics::{
    Counter, EncodeLabelSet, Exposition, Family, Gauge, LabelSetEncoder, Registry, Seconds, register_build,
};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

/// A label and its value, both fixed or, for a volume's folder, from the configuration.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Labels(Vec<(&'static str, String)>);

impl EncodeLabelSet for Labels {
    fn encode(&self, encoder: &mut LabelSetEncoder) -> Result<(), std::fmt::Error> {
        self.0.encode(encoder)
    }
}

fn labels<const N: usize>(pairs: [(&'static str, &str); N]) -> Labels {
    Labels(pairs.map(|(name, value)| (name, value.to_owned())).into())
}

/// Clients' commands that are timed; others count as `other`.
const KINDS: [(Type, &str); 12] = [
    (Type::WriteChunk, "write_chunk"),
    (Type::PutBlock, "put_block"),
    (Type::ReadChunk, "read_chunk"),
    (Type::ReadBlock, "read_block"),
    (Type::GetBlock, "get_block"),
    (Type::PutSmallFile, "put_small_file"),
    (Type::GetSmallFile, "get_small_file"),
    (Type::ListBlock, "list_block"),
    (Type::CreateContainer, "create_container"),
    (Type::CloseContainer, "close_container"),
    (Type::DeleteContainer, "delete_container"),
    (Type::GetCommittedBlockLength, "get_committed_block_length"),
];

/// A datanode's figures.
#[derive(Debug)]
pub struct Metrics {
    registry: Registry,
    /// By kind as in [`KINDS`], the last one for the others; done and refused.
    commands: Vec<[Seconds; 2]>,
    bytes_received: Counter,
    bytes_sent: Counter,
    answered_again: Counter,
    checksum_mismatches: Counter,
    heartbeats: [Counter; 2],
    scm_commands: Family<Labels, Counter>,
    blocks_deleted: Counter,
    bytes_deleted: Counter,
    scanned: Family<Labels, Counter>,
    scanned_bytes: Family<Labels, Counter>,
    damage: Family<Labels, Counter>,
    disk_checks: Family<Labels, Counter>,
    volume_bytes: Family<Labels, Gauge<u64, AtomicU64>>,
    volumes: [Gauge<u64, AtomicU64>; 2],
    /// All shards' buffers: all, free, held by the kernel.
    buffers: [Gauge<u64, AtomicU64>; 3],
    /// What the shards counted: stalls, panics, flushes of a whole file system; and how much of it these have.
    counted: Mutex<[(Counter, u64); 3]>,
}

impl Metrics {
    /// Figures at zero. `chosen` names what was chosen on this machine: the back of its I/O, the kernels.
    pub fn new(chosen: &[(&'static str, String)]) -> Metrics {
        let mut registry = Registry::default();
        register_build(&mut registry, env!("CARGO_PKG_VERSION"), chosen);
        let seconds: Family<Labels, Seconds> = Family::default();
        let each = |kind: &str| {
            ["ok", "refused"]
                .map(|result| seconds.get_or_create(&labels([("command", kind), ("result", result)])).clone())
        };
        let commands = KINDS.iter().map(|(_, kind)| *kind).chain(["other"]).map(each).collect();
        registry.register(
            "datanode_command_seconds",
            "Time of clients' commands on their home shard; the disk's time shows in write_chunk, put_block and read_chunk",
            seconds,
        );
        let bytes_received = Counter::default();
        let help = "Bytes of chunks received from clients";
        registry.register("datanode_chunk_received_bytes", help, bytes_received.clone());
        let bytes_sent = Counter::default();
        registry.register("datanode_chunk_sent_bytes", "Bytes of chunks sent to clients", bytes_sent.clone());
        let answered_again = Counter::default();
        registry.register(
            "datanode_read_cache_hits",
            "Reads answered from what is kept in memory; they are not among datanode_command_seconds",
            answered_again.clone(),
        );
        let checksum_mismatches = Counter::default();
        registry.register(
            "datanode_read_checksum_mismatches",
            "Reads refused because the disk's bytes were not those that were put; any is a damaged disk or file",
            checksum_mismatches.clone(),
        );
        let beats: Family<Labels, Counter> = Family::default();
        let heartbeats =
            ["ok", "failed"].map(|result| beats.get_or_create(&labels([("result", result)])).clone());
        registry.register(
            "datanode_heartbeats",
            "Heartbeats to SCMs; when ok stands still SCM will call this datanode stale",
            beats,
        );
        let scm_commands: Family<Labels, Counter> = Family::default();
        registry.register(
            "datanode_scm_commands",
            "Commands of SCM's by outcome; stale_term and late ones come after a change of leader or a pause, unknown ones from a newer SCM",
            scm_commands.clone(),
        );
        let blocks_deleted = Counter::default();
        registry.register(
            "datanode_blocks_deleted",
            "Blocks that were deleted as SCM asked",
            blocks_deleted.clone(),
        );
        let bytes_deleted = Counter::default();
        registry.register(
            "datanode_deleted_bytes",
            "Bytes of blocks that were deleted",
            bytes_deleted.clone(),
        );
        let scanned: Family<Labels, Counter> = Family::default();
        registry.register(
            "datanode_scanned_containers",
            "Containers that were scanned; when data stands still damage is not looked for",
            scanned.clone(),
        );
        let scanned_bytes: Family<Labels, Counter> = Family::default();
        registry.register("datanode_scanned_bytes", "Bytes that scans read", scanned_bytes.clone());
        let damage: Family<Labels, Counter> = Family::default();
        registry.register(
            "datanode_damage_found",
            "What scans found wrong; all but corrupt_tree make a replica UNHEALTHY, and SCM repairs it elsewhere",
            damage.clone(),
        );
        let disk_checks: Family<Labels, Counter> = Family::default();
        registry.register(
            "datanode_disk_checks",
            "Checks of volumes by what they saw; broken and slow ones come before a volume is given up",
            disk_checks.clone(),
        );
        let volume_bytes: Family<Labels, Gauge<u64, AtomicU64>> = Family::default();
        registry.register(
            "datanode_volume_bytes",
            "A volume's space: what it may hold, what containers hold, what is free, what open containers may still claim",
            volume_bytes.clone(),
        );
        let states: Family<Labels, Gauge<u64, AtomicU64>> = Family::default();
        let volumes =
            ["good", "failed"].map(|state| states.get_or_create(&labels([("state", state)])).clone());
        registry.register(
            "datanode_volumes",
            "Volumes in use, and volumes that failed and wait to be replaced",
            states,
        );
        let bytes: Family<Labels, Gauge<u64, AtomicU64>> = Family::default();
        let buffers = ["total", "free", "registered"]
            .map(|kind| bytes.get_or_create(&labels([("kind", kind)])).clone());
        registry.register(
            "datanode_buffer_bytes",
            "The shards' buffers: with none free requests wait; those not registered with the kernel cost it CPU (allotrope doctor)",
            bytes,
        );
        let counted = [
            ("datanode_shard_stalls", "Times a task held its shard for more than 5 ms; the log names the first and some of the others"),
            ("datanode_task_panics", "Tasks that ended by a fault of ours; the log names each"),
            ("datanode_whole_flushes", "Rounds of flushes that were one flush of the whole file system"),
        ]
        .map(|(name, help)| {
            let counter = Counter::default();
            registry.register(name, help, counter.clone());
            (counter, 0)
        });
        Metrics {
            buffers,
            counted: Mutex::new(counted),
            registry,
            commands,
            bytes_received,
            bytes_sent,
            answered_again,
            checksum_mismatches,
            heartbeats,
            scm_commands,
            blocks_deleted,
            bytes_deleted,
            scanned,
            scanned_bytes,
            damage,
            disk_checks,
            volume_bytes,
            volumes,
        }
    }

    /// A client's command of kind `cmd_type` was answered `result`; `received` and `sent` count its bulk bytes.
    pub fn command(&self, cmd_type: i32, result: i32, took: Duration, received: usize, sent: usize) {
        let kind = KINDS.iter().position(|(kind, _)| *kind as i32 == cmd_type).unwrap_or(KINDS.len());
        let refused = result != i32::from(WireResult::Success);
        self.commands[kind][usize::from(refused)].took(took);
        self.bytes_received.inc_by(received as u64);
        self.bytes_sent.inc_by(sent as u64);
    }

    /// A read was answered with `sent` bytes that were kept.
    pub fn answered_again(&self, sent: usize) {
        self.answered_again.inc();
        self.bytes_sent.inc_by(sent as u64);
    }

    /// Reads that were answered with what was kept.
    pub fn answers_given_again(&self) -> u64 {
        self.answered_again.get()
    }

    /// A read met bytes that are not those that were put.
    pub fn checksum_mismatch(&self) {
        self.checksum_mismatches.inc();
    }

    /// SCM answered a heartbeat, or did not.
    pub fn heartbeat(&self, answered: bool) {
        self.heartbeats[usize::from(!answered)].inc();
    }

    /// A command of SCM's of that kind, `None` if it is none we know, came to this end.
    pub fn scm_command(&self, kind: impl Into<Option<CommandKind>>, outcome: &'static str) {
        let command = kind.into().map_or("unknown", |kind| kind.as_str_name());
        self.scm_commands.get_or_create(&labels([("command", command), ("outcome", outcome)])).inc();
    }

    /// Blocks of so many bytes were deleted.
    pub fn blocks_deleted(&self, blocks: u64, bytes: u64) {
        self.blocks_deleted.inc_by(blocks);
        self.bytes_deleted.inc_by(bytes);
    }

    /// A scan of a container has ended.
    pub fn scanned(&self, kind: Kind, bytes: u64, findings: &[Finding]) {
        self.scanned.get_or_create(&labels([("scan", kind.name())])).inc();
        self.scanned_bytes.get_or_create(&labels([("scan", kind.name())])).inc_by(bytes);
        for finding in findings {
            self.damage_counter(finding.damage).inc();
        }
    }

    /// How often scans found `damage`.
    pub fn damage_found(&self, damage: Damage) -> u64 {
        self.damage_counter(damage).get()
    }

    /// Bytes that scans of `kind` read.
    pub fn scanned_bytes(&self, kind: Kind) -> u64 {
        self.scanned_bytes.get_or_create(&labels([("scan", kind.name())])).get()
    }

    fn damage_counter(&self, damage: Damage) -> Counter {
        self.damage.get_or_create(&labels([("damage", damage.name())])).clone()
    }

    /// A volume was checked.
    pub fn disk_check(&self, seen: &Seen) {
        let result = match seen {
            Seen::Good => "good",
            Seen::Gone(_) => "gone",
            Seen::Broken(_) => "broken",
            Seen::Slow => "slow",
        };
        self.disk_checks.get_or_create(&labels([("result", result)])).inc();
    }

    /// All figures; those of the volumes and of the shards as they are now.
    pub fn text(&self, node: Option<&Node>, shards: Option<&Shards>) -> Exposition {
        shards.into_iter().for_each(|shards| self.shards(shards));
        self.volume_bytes.clear();
        let mut counts = [0, 0];
        for volume in node.map(Node::volumes).iter().flat_map(|volumes| volumes.iter()) {
            self.volume(volume);
            counts[usize::from(volume.is_suspect())] += 1;
        }
        for (gauge, count) in self.volumes.iter().zip(counts) {
            gauge.set(count);
        }
        Exposition::of(&self.registry)
    }

    fn shards(&self, shards: &Shards) {
        let sum = |of: fn(&Shards, ShardId) -> u64| shards.ids().map(|id| of(shards, id)).sum::<u64>();
        let [total, free, registered] = &self.buffers;
        total.set(sum(|shards, id| shards.buffers(id).bytes_total() as u64));
        free.set(sum(|shards, id| shards.buffers(id).bytes_free() as u64));
        registered.set(sum(|shards, id| shards.counters(id).bytes_registered.load(Relaxed)));
        let now = [
            sum(|shards, id| shards.counters(id).stalls.load(Relaxed)),
            sum(|shards, id| shards.counters(id).tasks_panicked.load(Relaxed)),
            sum(|shards, id| shards.disk_counters(id).flushes_whole.load(Relaxed)),
        ];
        let mut counted = self.counted.lock().unwrap_or_else(PoisonError::into_inner);
        for ((counter, seen), now) in counted.iter_mut().zip(now) {
            counter.inc_by(now.saturating_sub(*seen));
            *seen = now;
        }
    }

    fn volume(&self, volume: &Volume) {
        let root = volume.paths().root().to_string_lossy();
        let space = volume.space();
        for (kind, bytes) in [
            ("capacity", space.capacity),
            ("used", space.used),
            ("available", space.available),
            ("committed", space.committed),
            ("reserved", volume.kept().reserved),
        ] {
            self.volume_bytes.get_or_create(&labels([("volume", &root), ("kind", kind)])).set(bytes);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use allotrope_io::ShardsConfig;

    #[test]
    fn a_command_counts_under_its_kind_and_its_result() {
        let metrics = Metrics::new(&[("io_back", "sim".into())]);
        let (ok, busy) = (i32::from(WireResult::Success), i32::from(WireResult::IoException));
        metrics.command(Type::WriteChunk.into(), ok, Duration::from_millis(3), 4096, 0);
        metrics.command(Type::ReadChunk.into(), ok, Duration::from_millis(1), 0, 1024);
        metrics.command(-7, busy, Duration::ZERO, 0, 0);
        metrics.heartbeat(false);
        let Exposition::OpenMetrics(text) = metrics.text(None, None) else { panic!("it is OpenMetrics") };
        for line in [
            "datanode_command_seconds_count{command=\"write_chunk\",result=\"ok\"} 1",
            "datanode_command_seconds_count{command=\"other\",result=\"refused\"} 1",
            "datanode_chunk_received_bytes_total 4096",
            "datanode_chunk_sent_bytes_total 1024",
            "datanode_heartbeats_total{result=\"failed\"} 1",
            "datanode_heartbeats_total{result=\"ok\"} 0",
            "datanode_volumes{state=\"good\"} 0",
        ] {
            assert!(text.lines().any(|found| found == line), "{line} is not in\n{text}");
        }
        assert!(text.contains("io_back=\"sim\""));
    }

    #[test]
    fn what_the_shards_have_and_count_is_said_once_however_often_it_is_asked_for() {
        let metrics = Metrics::new(&[]);
        let small =
            ShardsConfig { memory_per_shard: 1 << 20, buffer_max: 1 << 18, ..ShardsConfig::portable(2) };
        let config = ShardsConfig { pin: false, ..small };
        let shards = Shards::start(config).unwrap();
        let died = shards.run_on(ShardId(1), "faulty", |_| async { panic!("on purpose") });
        let _: Result<(), _> = died.unwrap().wait();
        // The panic is counted once it has passed the task.
        assert!(shards.stop(Duration::from_secs(5)).is_clean());
        for _ in 0..2 {
            let Exposition::OpenMetrics(text) = metrics.text(None, Some(&shards)) else {
                panic!("it is OpenMetrics")
            };
            for line in [
                "datanode_buffer_bytes{kind=\"total\"} 2097152",
                "datanode_buffer_bytes{kind=\"free\"} 2097152",
                "datanode_buffer_bytes{kind=\"registered\"} 0",
                "datanode_task_panics_total 1",
            ] {
                assert!(text.lines().any(|found| found == line), "{line} is not in\n{text}");
            }
        }
    }
}
