//! What Recon keeps of datanodes, pipelines, containers, volumes and buckets: plain values read leniently from the wire.
//!
//! Units   sizes are bytes, times milliseconds since 1970.
//! Errors  none: a value that this release does not know is shown as UNKNOWN, so that an older Recon shows a newer cluster.

use std::sync::Arc;

use allotrope_proto::hdds::{
    ContainerInfoProto, DatanodeDetailsProto, DatanodeUsageInfoProto, EcReplicationConfig, LifeCycleState,
    Node, NodeOperationalState, NodeState, Pipeline as PipelineProto, PipelineId, PipelineState,
    ReplicationFactor, ReplicationType, Uuid,
};
use allotrope_proto::om::{BucketInfo, VolumeInfo};

/// How data is kept safe: `data` copies or cells are needed, `parity` more can be lost.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Replication {
    /// `EC`, `RATIS`, `STAND_ALONE` or `UNKNOWN`.
    pub(crate) kind: &'static str,
    /// `rs-3-2-1024k`, `THREE`, `ONE`.
    pub(crate) scheme: String,
    /// Replicas without which nothing can be read.
    pub(crate) data: u32,
    /// Replicas beyond those.
    pub(crate) parity: u32,
    /// Bytes of a cell; 0 where whole copies are kept.
    pub(crate) cell_len: u64,
}

impl Replication {
    /// Reads the three fields in which messages carry it.
    pub(crate) fn read(kind: i32, factor: Option<i32>, ec: Option<&EcReplicationConfig>) -> Replication {
        let unknown = Replication { kind: "UNKNOWN", scheme: String::new(), ..Replication::default() };
        let Ok(kind) = ReplicationType::try_from(kind) else { return unknown };
        if let (ReplicationType::Ec, Some(ec)) = (kind, ec) {
            let (data, parity) = (u32::try_from(ec.data).unwrap_or(0), u32::try_from(ec.parity).unwrap_or(0));
            let cell_len = u64::try_from(ec.ec_chunk_size).unwrap_or(0);
            let codec = ec.codec.to_lowercase();
            let scheme = format!("{codec}-{data}-{parity}-{}k", cell_len / 1024);
            return Replication { kind: "EC", scheme, data, parity, cell_len };
        }
        let kind = match kind {
            ReplicationType::Ratis => "RATIS",
            ReplicationType::StandAlone => "STAND_ALONE",
            _ => return unknown,
        };
        let factor = factor.and_then(|number| ReplicationFactor::try_from(number).ok());
        let copies = match factor {
            Some(ReplicationFactor::Three) => 3,
            _ => 1,
        };
        let scheme = factor.map_or("", |factor| factor.as_str_name()).to_owned();
        Replication { kind, scheme, data: 1, parity: copies - 1, cell_len: 0 }
    }

    /// Replicas that there should be.
    pub(crate) fn needed(&self) -> u32 {
        self.data.saturating_add(self.parity)
    }

    /// Whether replicas differ by their index.
    pub(crate) fn is_coded(&self) -> bool {
        self.kind == "EC"
    }

    /// Bytes that `len` bytes of a key take on all datanodes together.
    pub(crate) fn on_disk(&self, len: u64) -> u64 {
        if !self.is_coded() {
            return len.saturating_mul(u64::from(self.needed().max(1)));
        }
        let stripe = u64::from(self.data).saturating_mul(self.cell_len);
        if stripe == 0 {
            return len;
        }
        let (whole, rest) = (len / stripe, len % stripe);
        // Every parity cell of a stripe is as long as its longest data cell.
        let cells = whole.saturating_mul(self.cell_len).saturating_add(rest.min(self.cell_len));
        len.saturating_add(cells.saturating_mul(u64::from(self.parity)))
    }
}

fn state_name(number: Option<&i32>) -> &'static str {
    let known = number.and_then(|number| NodeState::try_from(*number).ok());
    known.map_or("UNKNOWN", |state| state.as_str_name())
}

fn operational_name(number: Option<&i32>) -> &'static str {
    let known = number.and_then(|number| NodeOperationalState::try_from(*number).ok());
    known.map_or("UNKNOWN", |state| state.as_str_name())
}

fn halves(uuid: &Uuid) -> String {
    let number = (u128::from(uuid.most_sig_bits.cast_unsigned()) << 64)
        | u128::from(uuid.least_sig_bits.cast_unsigned());
    let hex = format!("{number:032x}");
    [&hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..]].join("-")
}

/// A datanode's id as text, from whichever form is there.
pub(crate) fn uuid_of(details: &DatanodeDetailsProto) -> String {
    match details.uuid.as_deref() {
        Some(text) if !text.is_empty() => text.to_owned(),
        _ => details.uuid128.as_ref().map(halves).unwrap_or_default(),
    }
}

/// A pipeline's id as text.
pub(crate) fn pipeline_text(id: &PipelineId) -> String {
    match id.id.as_deref() {
        Some(text) if !text.is_empty() => text.to_owned(),
        _ => id.uuid128.as_ref().map(halves).unwrap_or_default(),
    }
}

/// The room on a datanode, or on all of them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Room {
    pub(crate) capacity: u64,
    pub(crate) used: u64,
    pub(crate) remaining: u64,
    pub(crate) committed: u64,
    pub(crate) reserved: u64,
    pub(crate) to_spare: u64,
    pub(crate) fs_capacity: u64,
    pub(crate) fs_available: u64,
}

impl Room {
    pub(crate) fn read(usage: &DatanodeUsageInfoProto) -> Room {
        let size = |bytes: Option<i64>| bytes.and_then(|bytes| u64::try_from(bytes).ok()).unwrap_or(0);
        Room {
            capacity: size(usage.capacity),
            used: size(usage.used),
            remaining: size(usage.remaining),
            committed: size(usage.committed),
            reserved: size(usage.reserved),
            to_spare: size(usage.free_space_to_spare),
            fs_capacity: size(usage.fs_capacity),
            fs_available: size(usage.fs_available),
        }
    }

    pub(crate) fn plus(self, other: &Room) -> Room {
        Room {
            capacity: self.capacity.saturating_add(other.capacity),
            used: self.used.saturating_add(other.used),
            remaining: self.remaining.saturating_add(other.remaining),
            committed: self.committed.saturating_add(other.committed),
            reserved: self.reserved.saturating_add(other.reserved),
            to_spare: self.to_spare.saturating_add(other.to_spare),
            fs_capacity: self.fs_capacity.saturating_add(other.fs_capacity),
            fs_available: self.fs_available.saturating_add(other.fs_available),
        }
    }
}

/// A datanode as SCM sees it.
#[derive(Clone, Debug)]
pub(crate) struct Datanode {
    pub(crate) id: Arc<str>,
    pub(crate) host: String,
    pub(crate) address: String,
    pub(crate) rack: String,
    /// Port names and numbers.
    pub(crate) ports: Vec<(String, u32)>,
    /// `HEALTHY`, `STALE`, `DEAD`, `HEALTHY_READONLY`.
    pub(crate) state: &'static str,
    pub(crate) operational: &'static str,
    /// When Recon first saw it in this state.
    pub(crate) since_ms: u64,
    /// When SCM last called it healthy: SCM's operations do not tell the heartbeat itself.
    pub(crate) healthy_ms: u64,
    pub(crate) volumes: u32,
    pub(crate) volumes_healthy: u32,
    pub(crate) volumes_failed: Vec<String>,
    /// The last that was told; SCM tells nothing of datanodes that are gone.
    pub(crate) room: Room,
    pub(crate) containers: u64,
}

impl Datanode {
    /// What `node` says at `now_ms`, after what was known of it.
    pub(crate) fn read(node: &Node, before: Option<&Datanode>, now_ms: u64) -> Datanode {
        let details = &node.node_id;
        let state = state_name(node.node_states.first());
        let healthy = state.starts_with("HEALTHY");
        let count = |n: Option<i32>| n.and_then(|n| u32::try_from(n).ok()).unwrap_or(0);
        Datanode {
            id: before.map_or_else(|| Arc::from(uuid_of(details)), |before| Arc::clone(&before.id)),
            host: details.host_name.clone(),
            address: details.ip_address.clone(),
            rack: details.network_location().to_owned(),
            ports: details.ports.iter().map(|port| (port.name.clone(), port.value)).collect(),
            state,
            operational: operational_name(node.node_operational_states.first()),
            since_ms: before.filter(|before| before.state == state).map_or(now_ms, |before| before.since_ms),
            healthy_ms: match healthy {
                true => now_ms,
                false => before.map_or(0, |before| before.healthy_ms),
            },
            volumes: count(node.total_volume_count),
            volumes_healthy: count(node.healthy_volume_count),
            volumes_failed: node.failed_volumes.clone(),
            room: before.map_or_else(Room::default, |before| before.room),
            containers: before.map_or(0, |before| before.containers),
        }
    }

    pub(crate) fn port(&self, name: &str) -> Option<u16> {
        let port = self.ports.iter().find(|(known, _)| known.eq_ignore_ascii_case(name));
        port.and_then(|(_, number)| u16::try_from(*number).ok()).filter(|number| *number != 0)
    }
}

/// A pipeline as SCM sees it.
#[derive(Clone, Debug)]
pub(crate) struct Pipeline {
    pub(crate) id: String,
    pub(crate) state: &'static str,
    pub(crate) replication: Replication,
    /// Ids of its datanodes with their hosts, in the order of the replica indexes.
    pub(crate) members: Vec<(String, String)>,
    pub(crate) leader: String,
    pub(crate) created_ms: u64,
}

impl Pipeline {
    pub(crate) fn read(wire: &PipelineProto) -> Pipeline {
        let state = wire.state.and_then(|number| PipelineState::try_from(number).ok());
        let leader = wire.leader_id.clone().unwrap_or_default();
        Pipeline {
            id: pipeline_text(&wire.id),
            state: state.map_or("UNKNOWN", |state| {
                let name = state.as_str_name();
                name.strip_prefix("PIPELINE_").unwrap_or(name)
            }),
            replication: Replication::read(
                wire.r#type.unwrap_or(ReplicationType::StandAlone as i32),
                wire.factor,
                wire.ec_replication_config.as_ref(),
            ),
            members: wire.members.iter().map(|node| (uuid_of(node), node.host_name.clone())).collect(),
            leader,
            created_ms: wire.creation_time_stamp.unwrap_or(0),
        }
    }
}

/// One replica as SCM knows it, and since when Recon does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Replica {
    pub(crate) node: Arc<str>,
    /// 1 and up in erasure-coded containers, else 0.
    pub(crate) index: u32,
    /// `CLOSED`, `UNHEALTHY`, …; empty while only its place is known.
    pub(crate) state: String,
    pub(crate) sequence: i64,
    pub(crate) keys: u64,
    pub(crate) used: u64,
    pub(crate) first_seen_ms: u64,
    pub(crate) last_seen_ms: u64,
}

/// A container as SCM sees it.
#[derive(Clone, Debug)]
pub(crate) struct Container {
    pub(crate) id: i64,
    pub(crate) state: &'static str,
    pub(crate) replication: Replication,
    pub(crate) used: u64,
    pub(crate) keys: u64,
    pub(crate) owner: String,
    pub(crate) pipeline: String,
    pub(crate) sequence: i64,
    pub(crate) since_ms: u64,
    /// When its replicas were looked at.
    pub(crate) looked_ms: u64,
    /// Those of then, and a few that were before.
    pub(crate) replicas: Vec<Replica>,
    pub(crate) health: crate::health::Health,
    /// When Recon first saw this health.
    pub(crate) health_since_ms: u64,
}

impl Container {
    /// What SCM says; replicas and health are those known before.
    pub(crate) fn read(wire: &ContainerInfoProto, before: Option<&Container>) -> Container {
        let state = LifeCycleState::try_from(wire.state).map_or("UNKNOWN", |state| state.as_str_name());
        Container {
            id: wire.container_id,
            state,
            replication: Replication::read(
                wire.replication_type,
                wire.replication_factor,
                wire.ec_replication_config.as_ref(),
            ),
            used: wire.used_bytes,
            keys: wire.number_of_keys,
            owner: wire.owner.clone(),
            pipeline: wire.pipeline_id.as_ref().map(pipeline_text).unwrap_or_default(),
            sequence: wire.sequence_id.unwrap_or(0),
            since_ms: wire.state_enter_time.and_then(|ms| u64::try_from(ms).ok()).unwrap_or(0),
            looked_ms: before.map_or(0, |before| before.looked_ms),
            replicas: before.map(|before| before.replicas.clone()).unwrap_or_default(),
            health: before.map_or(crate::health::Health::Healthy, |before| before.health),
            health_since_ms: before.map_or(0, |before| before.health_since_ms),
        }
    }

    /// The replicas that there are now.
    pub(crate) fn present(&self) -> impl Iterator<Item = &Replica> {
        self.replicas.iter().filter(|replica| replica.last_seen_ms == self.looked_ms)
    }
}

/// A volume with the sum of its buckets.
#[derive(Clone, Debug)]
pub(crate) struct Volume {
    pub(crate) info: VolumeInfo,
    pub(crate) buckets: u64,
    pub(crate) used: u64,
    pub(crate) names: u64,
}

/// A bucket.
pub(crate) type Bucket = BucketInfo;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_takes_its_parity_on_disk_stripe_by_stripe() {
        let ec = EcReplicationConfig { data: 3, parity: 2, codec: "RS".into(), ec_chunk_size: 1024 };
        let coded = Replication::read(ReplicationType::Ec as i32, None, Some(&ec));
        assert_eq!((coded.scheme.as_str(), coded.needed(), coded.data), ("rs-3-2-1k", 5, 3));
        assert_eq!(coded.on_disk(0), 0);
        assert_eq!(coded.on_disk(10), 30, "a short cell has parity cells as short");
        assert_eq!(coded.on_disk(3 * 1024), 5 * 1024);
        assert_eq!(coded.on_disk(3 * 1024 + 1), 5 * 1024 + 3);
        let three = Replication::read(ReplicationType::Ratis as i32, Some(3), None);
        assert_eq!((three.needed(), three.on_disk(7)), (3, 21));
        assert_eq!(Replication::read(99, None, None).kind, "UNKNOWN");
    }

    #[test]
    fn ids_are_text_in_either_form() {
        let uuid = Uuid { most_sig_bits: 0x0123_4567_89ab_cdef, least_sig_bits: -2 };
        assert_eq!(
            pipeline_text(&PipelineId { id: None, uuid128: Some(uuid) }),
            "01234567-89ab-cdef-ffff-fffffffffffe"
        );
        assert_eq!(pipeline_text(&PipelineId { id: Some("x".into()), uuid128: None }), "x");
    }
}
