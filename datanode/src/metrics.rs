//! What a datanode counts, for its operators.
//!
//! Shape   [`Metrics`] is shared by all threads of one datanode; counting is lock-free. Gauges of volumes are looked at
//!         when the text is made.
//! Units   seconds and bytes. A volume's label is its folder, as configured.

use crate::store::Node;
use crate::volume::Volume;
use allotrope_proto::container::{Result as WireResult, Type};
use allotrope_proto::ops::metrics::{
    Counter, EncodeLabelSet, Exposition, Family, Gauge, LabelSetEncoder, Registry, Seconds, register_build,
};
use std::sync::atomic::AtomicU64;
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
    checksum_mismatches: Counter,
    heartbeats: [Counter; 2],
    volume_bytes: Family<Labels, Gauge<u64, AtomicU64>>,
    volumes: [Gauge<u64, AtomicU64>; 2],
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
        Metrics {
            registry,
            commands,
            bytes_received,
            bytes_sent,
            checksum_mismatches,
            heartbeats,
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

    /// A read met bytes that are not those that were put.
    pub fn checksum_mismatch(&self) {
        self.checksum_mismatches.inc();
    }

    /// SCM answered a heartbeat, or did not.
    pub fn heartbeat(&self, answered: bool) {
        self.heartbeats[usize::from(!answered)].inc();
    }

    /// All figures; those of the volumes as they are now.
    pub fn text(&self, node: Option<&Node>) -> Exposition {
        self.volume_bytes.clear();
        let mut counts = [0, 0];
        for volume in node.iter().flat_map(|node| &node.volumes) {
            self.volume(volume);
            counts[usize::from(volume.is_suspect())] += 1;
        }
        for (gauge, count) in self.volumes.iter().zip(counts) {
            gauge.set(count);
        }
        Exposition::of(&self.registry)
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

    #[test]
    fn a_command_counts_under_its_kind_and_its_result() {
        let metrics = Metrics::new(&[("io_back", "sim".into())]);
        let (ok, busy) = (i32::from(WireResult::Success), i32::from(WireResult::IoException));
        metrics.command(Type::WriteChunk.into(), ok, Duration::from_millis(3), 4096, 0);
        metrics.command(Type::ReadChunk.into(), ok, Duration::from_millis(1), 0, 1024);
        metrics.command(-7, busy, Duration::ZERO, 0, 0);
        metrics.heartbeat(false);
        let Exposition::OpenMetrics(text) = metrics.text(None) else { panic!("it is OpenMetrics") };
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
}
