//! `<id>.tree`: the Merkle tree over a container's chunk checksums, which SCM and other replicas compare.
//!
//! Shape   a chunk's sum is the CRC32C of its stored checksums joined; a block's, of its local id and its chunks' sums;
//!         the container's, of its blocks' sums; ids and sums as 8 bytes big-endian.
//! Source  docs/formats/container-tree.md.

use allotrope_proto::checksum::{ChecksumKind, ChecksumSpec, Checksums};
use allotrope_proto::container::{
    BlockData, BlockMerkleTree, ChunkMerkleTree, ContainerChecksumInfo, ContainerMerkleTree,
};
use allotrope_types::ContainerId;
use std::collections::BTreeSet;

/// The tree over `blocks`, in any order, with `deleted` blocks' sums kept from an earlier tree.
pub fn build(
    container: ContainerId,
    blocks: impl IntoIterator<Item = BlockData>,
    deleted: impl IntoIterator<Item = BlockMerkleTree>,
) -> ContainerChecksumInfo {
    let mut trees: Vec<_> = blocks.into_iter().map(|block| of_block(&block)).collect();
    for gone in deleted {
        if !trees.iter().any(|tree| tree.block_id == gone.block_id) {
            let chunk_merkle_tree = Vec::new();
            trees.push(BlockMerkleTree { chunk_merkle_tree, deleted: Some(true), ..gone });
        }
    }
    trees.sort_by_key(|tree| tree.block_id);
    let sums = trees.iter().flat_map(|tree| tree.data_checksum.unwrap_or_default().to_be_bytes());
    let sum = crc32c(&sums.collect::<Vec<u8>>());
    ContainerChecksumInfo {
        container_id: Some(container.to_wire()),
        container_merkle_tree: Some(ContainerMerkleTree {
            data_checksum: Some(sum),
            block_merkle_tree: trees,
        }),
    }
}

/// Marks blocks as deleted: they keep their sums, so that the container's stays, and lose their chunks.
pub fn mark_deleted(info: &mut ContainerChecksumInfo, gone: &BTreeSet<i64>) {
    for tree in info.container_merkle_tree.iter_mut().flat_map(|tree| &mut tree.block_merkle_tree) {
        if tree.block_id.is_some_and(|id| gone.contains(&id)) {
            tree.deleted = Some(true);
            tree.chunk_merkle_tree.clear();
        }
    }
}

fn of_block(block: &BlockData) -> BlockMerkleTree {
    let mut chunks: Vec<_> = block
        .chunks
        .iter()
        .map(|chunk| {
            let joined: Vec<u8> =
                chunk.checksum_data.checksums.iter().flat_map(|sum| sum.iter().copied()).collect();
            ChunkMerkleTree {
                offset: i64::try_from(chunk.offset).ok(),
                length: i64::try_from(chunk.len).ok(),
                data_checksum: Some(crc32c(&joined)),
                checksum_matches: Some(true),
            }
        })
        .collect();
    chunks.sort_by_key(|chunk| chunk.offset);
    let mut words = block.block_id.local_id.to_be_bytes().to_vec();
    for chunk in &chunks {
        words.extend(chunk.data_checksum.unwrap_or_default().to_be_bytes());
    }
    BlockMerkleTree {
        block_id: Some(block.block_id.local_id),
        data_checksum: Some(crc32c(&words)),
        chunk_merkle_tree: chunks,
        deleted: Some(false),
    }
}

/// CRC32C as an unsigned number in 64 bits.
fn crc32c(bytes: &[u8]) -> i64 {
    let spec = ChecksumSpec::new(ChecksumKind::Crc32c, u32::MAX).expect("the window is not empty");
    let sums = Checksums::compute(spec, bytes);
    // No window at all: the CRC of nothing is 0.
    sums.joined().first_chunk::<4>().map_or(0, |sum| i64::from(u32::from_be_bytes(*sum)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use allotrope_proto::container::{ChecksumData, ChunkInfo, DatanodeBlockId};
    use bytes::Bytes;

    fn block(local: i64, sums: &[&'static [u8]]) -> BlockData {
        let chunk = |(at, sum): (usize, &&'static [u8])| ChunkInfo {
            chunk_name: format!("{local}_chunk_{}", at + 1),
            offset: at as u64 * 10,
            len: 10,
            checksum_data: ChecksumData {
                r#type: 2,
                bytes_per_checksum: 16384,
                checksums: vec![Bytes::from_static(sum)],
            },
            ..Default::default()
        };
        BlockData {
            block_id: DatanodeBlockId { container_id: 1, local_id: local, ..Default::default() },
            chunks: sums.iter().enumerate().map(chunk).collect(),
            ..Default::default()
        }
    }

    #[test]
    fn sums_are_crc32c_of_what_the_format_page_says() {
        let tree = build(ContainerId::new(1), [block(7, &[b"123456789"])], []).container_merkle_tree.unwrap();
        let leaf = &tree.block_merkle_tree[0];
        // The check value of CRC32C.
        assert_eq!(leaf.chunk_merkle_tree[0].data_checksum, Some(0xe306_9283));
        let words = [7u64.to_be_bytes(), 0xe306_9283u64.to_be_bytes()].concat();
        assert_eq!(leaf.data_checksum, Some(crc32c(&words)));
        assert_eq!(tree.data_checksum, Some(crc32c(&leaf.data_checksum.unwrap().to_be_bytes())));
    }

    #[test]
    fn the_order_of_blocks_and_chunks_does_not_matter_and_their_content_does() {
        let sum = |blocks: Vec<BlockData>| {
            build(ContainerId::new(1), blocks, []).container_merkle_tree.unwrap().data_checksum
        };
        let (a, b) = (block(7, &[b"aaaa", b"bbbb"]), block(8, &[b"cccc"]));
        let mut turned = a.clone();
        turned.chunks.reverse();
        assert_eq!(sum(vec![a.clone(), b.clone()]), sum(vec![b.clone(), turned]));
        assert_ne!(sum(vec![a, b.clone()]), sum(vec![block(7, &[b"aaaa", b"bbbc"]), b]));
    }

    #[test]
    fn a_deleted_block_keeps_its_sum_and_loses_its_chunks() {
        let before = build(ContainerId::new(1), [block(7, &[b"aaaa"]), block(8, &[])], []);
        let gone = before.container_merkle_tree.clone().unwrap().block_merkle_tree[0].clone();
        let after =
            build(ContainerId::new(1), [block(8, &[])], [gone.clone()]).container_merkle_tree.unwrap();
        assert_eq!(after.data_checksum, before.container_merkle_tree.as_ref().unwrap().data_checksum);
        assert_eq!(after.block_merkle_tree[0].data_checksum, gone.data_checksum);
        assert!(after.block_merkle_tree[0].chunk_merkle_tree.is_empty());
        let mut marked = before;
        mark_deleted(&mut marked, &BTreeSet::from([7, 9]));
        assert_eq!(marked.container_merkle_tree, Some(after));
    }
}
