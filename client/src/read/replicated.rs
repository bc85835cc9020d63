//! Blocks of which every replica has all bytes.

use std::ops::Range;
use std::sync::atomic::{AtomicUsize, Ordering};

use allotrope_proto::Rope;
use allotrope_proto::edge::chunk::ChunkInfo;
use allotrope_types::BlockId;

use super::race::first_answer;
use crate::client::Client;
use crate::datanode::{BlockAt, DatanodeError, extent, read_verified};
use crate::error::Error;
use crate::location::BlockLocation;
use crate::path::KeyPath;

/// Most bytes of one job: Ozone's usual chunk.
const JOB_LEN: u64 = 4 << 20;
/// About how long a list of chunks is.
const LISTING_LEN: u64 = 32 << 10;

/// A block whose chunks are known.
#[derive(Debug)]
pub(super) struct ReplicatedBlock {
    block: BlockId,
    replicas: Vec<BlockAt>,
    /// The replica that gave bytes last; it is asked first.
    best: AtomicUsize,
    chunks: Vec<ChunkInfo>,
}

impl ReplicatedBlock {
    /// Asks the replicas for the block's chunks.
    pub(super) async fn open(
        client: &Client,
        key: &KeyPath,
        location: &BlockLocation,
    ) -> Result<ReplicatedBlock, Error> {
        let at = |member| BlockAt { block: location.block, member };
        let mut block = ReplicatedBlock {
            block: location.block,
            replicas: location.members.iter().cloned().map(at).collect(),
            best: AtomicUsize::new(0),
            chunks: vec![],
        };
        let ask = |number: usize| client.datanodes().get_block(&block.replicas[number]);
        match first_answer(client, &block.replicas, 0, LISTING_LEN, ask).await {
            Ok((number, chunks)) => {
                block.best = AtomicUsize::new(number);
                block.chunks = chunks;
                Ok(block)
            }
            Err(failure) => Err(block.unreadable(key, failure)),
        }
    }

    /// Cuts `range` where chunks end.
    pub(super) fn cuts(&self, range: Range<u64>) -> Vec<Range<u64>> {
        let mut cuts = vec![];
        let mut start = range.start;
        for chunk in &self.chunks {
            let Range { start: chunk_start, end: chunk_end } = extent(chunk);
            while start < chunk_end.min(range.end) {
                // Jobs end a whole number of job lengths behind the chunk's start, so that windows are not read twice.
                let end = chunk_start + ((start - chunk_start) / JOB_LEN + 1) * JOB_LEN;
                let end = end.min(chunk_end).min(range.end);
                cuts.push(start..end);
                start = end;
            }
        }
        if start < range.end {
            // The block is shorter than OM says; reading it will say so.
            cuts.push(start..range.end);
        }
        cuts
    }

    /// The bytes `range` from the first replica that gives them; a slow one is overtaken by the next.
    pub(super) async fn read(
        &self,
        client: &Client,
        key: &KeyPath,
        range: Range<u64>,
    ) -> Result<Rope, Error> {
        let best = self.best.load(Ordering::Relaxed);
        let len = range.end - range.start;
        let ask = |number: usize| {
            read_verified(client.datanodes(), &self.replicas[number], &self.chunks, range.clone())
        };
        match first_answer(client, &self.replicas, best, len, ask).await {
            Ok((number, bytes)) => {
                self.best.store(number, Ordering::Relaxed);
                Ok(bytes)
            }
            Err(failure) => Err(self.unreadable(key, failure)),
        }
    }

    fn unreadable(&self, key: &KeyPath, source: Option<DatanodeError>) -> Error {
        Error::Unreadable {
            key: key.clone(),
            block: self.block,
            replicas: self.replicas.len(),
            source: source.map(Box::new),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use allotrope_proto::checksum::{ChecksumKind, ChecksumSpec, Checksums};
    use allotrope_types::{BlockOffset, ByteCount, ContainerId, LocalId};

    fn block(lens: &[u64]) -> ReplicatedBlock {
        let unguarded = ChecksumSpec::new(ChecksumKind::None, 0).unwrap();
        let mut offset = 0;
        let chunk = |&len: &u64| {
            offset += len;
            ChunkInfo {
                chunk_name: String::new(),
                offset: BlockOffset::new(offset - len),
                metadata: vec![],
                stripe_checksum: None,
                len: ByteCount::new(len),
                checksums: Checksums::compute(unguarded, b""),
            }
        };
        ReplicatedBlock {
            block: BlockId::new(ContainerId::new(1), LocalId::new(1)),
            replicas: vec![],
            best: AtomicUsize::new(0),
            chunks: lens.iter().map(chunk).collect(),
        }
    }

    #[test]
    fn jobs_end_with_chunks_and_are_never_too_long() {
        let mib = 1 << 20;
        let block = block(&[4 * mib, 4 * mib, 10 * mib, mib]);
        assert_eq!(
            block.cuts(mib..19 * mib),
            [
                mib..4 * mib,
                4 * mib..8 * mib,
                8 * mib..12 * mib,
                12 * mib..16 * mib,
                16 * mib..18 * mib,
                18 * mib..19 * mib
            ]
        );
        assert_eq!(block.cuts(5..6), std::iter::once(5..6).collect::<Vec<_>>());
    }

    #[test]
    fn a_range_behind_the_chunks_is_kept_to_fail_when_it_is_read() {
        assert_eq!(block(&[10]).cuts(4..20), [4..10, 10..20]);
        assert_eq!(block(&[]).cuts(0..3).first(), Some(&(0..3)));
    }
}
