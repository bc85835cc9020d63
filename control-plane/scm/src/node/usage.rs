//! How much room a node has, from its storage reports.
//!
//! Units   bytes; slots count whole containers.
//! Source  wire facts: scm.md 1.6. What SCM may use of a volume is `remaining - committed - freeSpaceToSpare`; a container
//!         lies on one volume, so a node's slots are counted volume by volume.

use allotrope_proto::edge::heartbeat::{NodeReport, StorageReport};
use allotrope_types::ByteCount;

/// One disk of a node, as reported.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Volume {
    /// Where it is mounted.
    pub location: String,
    /// Whether the node has given it up.
    pub failed: bool,
    /// Bytes that containers may use in all.
    pub capacity: u64,
    /// Bytes that containers use.
    pub used: u64,
    /// Bytes left.
    pub remaining: u64,
    /// Bytes promised to containers that are not yet full.
    pub committed: u64,
    /// Bytes that shall stay free.
    pub to_spare: u64,
    /// Bytes kept from Ozone.
    pub reserved: u64,
    /// The file system's size.
    pub fs_capacity: u64,
    /// What the file system has left.
    pub fs_available: u64,
}

impl Volume {
    /// A figure that a node does not say is 0.
    fn of(report: StorageReport) -> Volume {
        let bytes = |figure: Option<ByteCount>| figure.map_or(0, ByteCount::as_u64);
        Volume {
            location: report.storage_location,
            failed: report.failed.unwrap_or(false),
            capacity: bytes(report.capacity),
            used: bytes(report.scm_used),
            remaining: bytes(report.remaining),
            committed: bytes(report.committed),
            to_spare: bytes(report.free_space_to_spare),
            reserved: bytes(report.reserved),
            fs_capacity: bytes(report.fs_capacity),
            fs_available: bytes(report.fs_available),
        }
    }

    /// Bytes that new containers may take.
    pub fn usable(&self) -> u64 {
        if self.failed {
            0
        } else {
            self.remaining.saturating_sub(self.committed).saturating_sub(self.to_spare)
        }
    }
}

/// A node's disks.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// Those that hold data.
    pub volumes: Vec<Volume>,
    /// How many hold Raft logs and are well.
    pub metadata_volumes: usize,
}

impl Usage {
    /// What a node report says.
    pub fn of(report: NodeReport) -> Usage {
        let well = report.metadata_storage_report.iter().filter(|disk| disk.failed != Some(true));
        Usage {
            metadata_volumes: well.count(),
            volumes: report.storage_report.into_iter().map(Volume::of).collect(),
        }
    }

    /// Disks that work.
    pub fn healthy_volumes(&self) -> usize {
        self.volumes.iter().filter(|volume| !volume.failed).count()
    }

    /// How many containers of `size` fit, each on one volume.
    pub fn slots(&self, size: ByteCount) -> u64 {
        let size = size.as_u64().max(1);
        self.volumes.iter().map(|volume| volume.usable() / size).fold(0, u64::saturating_add)
    }

    /// The sum of one figure over all volumes that work.
    pub fn sum(&self, figure: impl Fn(&Volume) -> u64) -> u64 {
        self.volumes.iter().filter(|v| !v.failed).map(figure).fold(0, u64::saturating_add)
    }

    /// Used of capacity, from 0 to 1; full if no capacity is known.
    pub fn share_used(&self) -> f64 {
        let capacity = self.sum(|v| v.capacity);
        if capacity == 0 { 1.0 } else { self.sum(|v| v.used) as f64 / capacity as f64 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn volume(remaining: u64, committed: u64, to_spare: u64, failed: bool) -> Volume {
        Volume { remaining, committed, to_spare, failed, capacity: 100, used: 10, ..Volume::default() }
    }

    #[test]
    fn slots_are_counted_volume_by_volume_and_never_on_failed_ones() {
        let usage = Usage {
            volumes: vec![
                volume(25, 5, 5, false),
                volume(9, 0, 0, false),
                volume(100, 0, 0, true),
                volume(5, 9, 9, false),
            ],
            metadata_volumes: 1,
        };
        assert_eq!(usage.slots(ByteCount::new(10)), 1, "15 + 9 usable bytes are one slot of 10, not two");
        assert_eq!(usage.slots(ByteCount::new(3)), 8);
        assert_eq!(usage.healthy_volumes(), 3);
        assert_eq!(usage.share_used(), 0.1);
        assert_eq!(Usage::default().share_used(), 1.0);
    }

    #[test]
    fn absurd_figures_do_not_overflow() {
        let usage = Usage { volumes: vec![volume(u64::MAX, 0, 0, false); 3], metadata_volumes: 0 };
        assert_eq!(usage.slots(ByteCount::new(1)), u64::MAX);
        assert_eq!(usage.slots(ByteCount::ZERO), u64::MAX);
    }
}
