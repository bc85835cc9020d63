//! A container's rows: looked at where they came, then taken over into the volume's metadata.

use crate::commands::CommandError;
use crate::container::Counters;
use crate::format::archive::FAMILIES;
use crate::format::keys;
use crate::metadata::{Batch, Durability, Family, Metadata};
use crate::volume::Volume;
use allotrope_types::ContainerId;
use allotrope_types::DatanodeResult::ImportContainerMetadataFailed;

/// Rows that are read at once.
const PAGE: usize = 256;
/// Bytes of rows that are written at once, about.
const BATCH_BYTES: usize = 1 << 20;

/// Refuses rows that are not the container's: they would become another's.
pub(super) async fn check(
    rows: &dyn Metadata,
    container: ContainerId,
    has: &[Family],
) -> Result<(), CommandError> {
    let (from, to) = (keys::prefix(container).to_vec(), keys::prefix_end(container).to_vec());
    for family in has {
        for (from, to) in [(Vec::new(), from.clone()), (to.clone(), vec![0xff; 64])] {
            if !rows.scan(*family, from, to, 1).await?.is_empty() {
                let why = format!(
                    "the archive of container {container} has rows of another container in {}",
                    family.name()
                );
                return Err(CommandError::new(ImportContainerMetadataFailed, why));
            }
        }
    }
    Ok(())
}

/// What the container counts by its own rows.
pub(super) async fn counters(rows: &dyn Metadata, container: ContainerId) -> Result<Counters, CommandError> {
    let (from, to) = (keys::prefix(container).to_vec(), keys::prefix_end(container).to_vec());
    let mut counters = Counters::default();
    for (key, value) in rows.scan(Family::Counters, from, to, 1024).await? {
        if let (Some((_, name)), Some(value)) = (keys::split(&key), keys::read_counter(&value)) {
            counters.take(name, value);
        }
    }
    Ok(counters)
}

/// Copies all rows into the volume's metadata, in the place of any that an earlier life of the container left, with the
/// blocks and bytes as they were counted. Durable when it answers.
pub(super) async fn take_over(
    rows: &dyn Metadata,
    volume: &Volume,
    container: ContainerId,
    counters: &Counters,
) -> Result<(), CommandError> {
    let (start, end) = (keys::prefix(container).to_vec(), keys::prefix_end(container).to_vec());
    let metadata = volume.metadata();
    let mut batch = Batch::new();
    for family in Family::OF_VOLUME {
        batch.delete_range(*family, start.clone(), end.clone());
    }
    for family in FAMILIES {
        let mut from = start.clone();
        loop {
            let page = rows.scan(family, from, end.clone(), PAGE).await?;
            let full = page.len() == PAGE;
            from = page.last().map(|(key, _)| [key, &[0][..]].concat()).unwrap_or_default();
            for (key, value) in page {
                batch.put(family, key.to_vec(), value);
            }
            if batch.len_bytes() >= BATCH_BYTES {
                // The last batch is synced, and with it all that came before.
                metadata.commit(std::mem::take(&mut batch), Durability::PageCache).await?;
            }
            if !full {
                break;
            }
        }
    }
    for (name, value) in [(keys::BLOCK_COUNT, counters.blocks), (keys::BYTES_USED, counters.bytes_used)] {
        let value = keys::counter(i64::try_from(value).unwrap_or(i64::MAX));
        batch.put(Family::Counters, keys::named(container, name), value.to_vec());
    }
    Ok(metadata.commit(batch, Durability::Disk).await?)
}

/// Removes all rows of a container.
pub(super) async fn remove(volume: &Volume, container: ContainerId) -> Result<(), CommandError> {
    let mut batch = Batch::new();
    for family in Family::OF_VOLUME {
        batch.delete_range(*family, keys::prefix(container), keys::prefix_end(container));
    }
    Ok(volume.metadata().commit(batch, Durability::Disk).await?)
}
