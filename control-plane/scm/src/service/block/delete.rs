//! DeleteScmKeyBlocks: blocks become deletion transactions, one a container, durable when they are answered.

use std::collections::BTreeMap;

use allotrope_proto::hdds::BlockId;
use allotrope_proto::heartbeat::DeletedBlocksTransaction;
use allotrope_proto::scm_block::{
    DeleteKeyBlocksResultProto, DeleteScmBlockResult, DeleteScmKeyBlocksRequestProto,
    DeleteScmKeyBlocksResponseProto, delete_scm_block_result,
};

use crate::replicated::command::{AddDeletions, Change};
use crate::scm::Scm;

/// Blocks in one transaction, so that a datanode's command and a log entry stay small.
const BLOCKS_IN_TRANSACTION: usize = 10_000;
/// Blocks in one log entry.
const BLOCKS_IN_COMMAND: usize = 50_000;

pub(super) async fn answer(
    scm: &Scm,
    asked: DeleteScmKeyBlocksRequestProto,
) -> DeleteScmKeyBlocksResponseProto {
    use delete_scm_block_result::Result::{SafeMode, Success, UnknownFailure};
    let result = if scm.cluster().safe_mode.is_on() {
        SafeMode
    } else {
        match record(scm, &asked).await {
            Ok(()) => Success,
            Err(error) => {
                tracing::warn!(%error, "blocks to be deleted were not recorded");
                UnknownFailure
            }
        }
    };
    let each = |block: BlockId| DeleteScmBlockResult { result: result as i32, block_id: block };
    let results = asked.key_blocks.into_iter().map(|key| DeleteKeyBlocksResultProto {
        object_key: key.key,
        block_results: key.blocks.into_iter().map(each).collect(),
    });
    DeleteScmKeyBlocksResponseProto { results: results.collect() }
}

/// Puts all blocks into the log. If it fails half way the caller asks again, and a block is deleted twice: a datanode takes
/// the second time for done.
async fn record(scm: &Scm, asked: &DeleteScmKeyBlocksRequestProto) -> Result<(), crate::scm::ProposeFault> {
    let mut count = 0;
    for transactions in commands(transactions(asked)) {
        count += transactions.iter().map(|t| t.local_id.len() as u64).sum::<u64>();
        scm.propose(Change::AddDeletions(AddDeletions { transactions })).await?;
    }
    scm.metrics.blocks_to_delete.add(count);
    Ok(())
}

/// The blocks by container, in pieces that a datanode can take.
fn transactions(asked: &DeleteScmKeyBlocksRequestProto) -> Vec<DeletedBlocksTransaction> {
    let mut by_container: BTreeMap<i64, Vec<(i64, [u64; 3])>> = BTreeMap::new();
    for key in &asked.key_blocks {
        for (at, block) in key.blocks.iter().enumerate() {
            let sizes = [&key.size, &key.replicated_size, &key.size_per_replica];
            let sizes = sizes.map(|sizes| sizes.get(at).copied().unwrap_or(0));
            let id = &block.container_block_id;
            by_container.entry(id.container_id).or_default().push((id.local_id, sizes));
        }
    }
    let mut all = Vec::new();
    for (container_id, blocks) in by_container {
        for piece in blocks.chunks(BLOCKS_IN_TRANSACTION) {
            let sum = |n: usize| piece.iter().map(|(_, sizes)| sizes[n]).fold(0u64, u64::saturating_add);
            all.push(DeletedBlocksTransaction {
                tx_id: 0,
                container_id,
                local_id: piece.iter().map(|(local, _)| *local).collect(),
                count: Some(0),
                total_block_size: Some(sum(0)),
                total_block_replicated_size: Some(sum(1)),
                total_size_per_replica: Some(sum(2)),
            });
        }
    }
    all
}

/// Transactions in groups that fit a log entry.
fn commands(transactions: Vec<DeletedBlocksTransaction>) -> Vec<Vec<DeletedBlocksTransaction>> {
    let mut groups: Vec<Vec<DeletedBlocksTransaction>> = Vec::new();
    let mut blocks = usize::MAX;
    for transaction in transactions {
        // A transaction costs about as much as sixteen of its blocks, however few it has.
        let weight = transaction.local_id.len() + 16;
        if blocks.saturating_add(weight) > BLOCKS_IN_COMMAND {
            groups.push(Vec::new());
            blocks = 0;
        }
        blocks += weight;
        groups.last_mut().expect("the first transaction opens a group").push(transaction);
    }
    groups
}

#[cfg(test)]
mod tests {
    use super::*;
    use allotrope_proto::hdds::ContainerBlockId;
    use allotrope_proto::scm_block::KeyBlocks;

    fn block(container_id: i64, local_id: i64) -> BlockId {
        BlockId { container_block_id: ContainerBlockId { container_id, local_id }, ..Default::default() }
    }

    #[test]
    fn blocks_of_many_keys_become_one_transaction_a_container() {
        let key = |key: &str, blocks: Vec<BlockId>, size: Vec<u64>| KeyBlocks {
            key: key.into(),
            blocks,
            size,
            ..Default::default()
        };
        let asked = DeleteScmKeyBlocksRequestProto {
            key_blocks: vec![
                key("a", vec![block(1, 10), block(2, 20)], vec![100, 200]),
                key("b", vec![block(1, 11)], vec![]),
            ],
        };
        let all = transactions(&asked);
        let seen: Vec<_> =
            all.iter().map(|t| (t.container_id, t.local_id.clone(), t.total_block_size)).collect();
        assert_eq!(seen, [(1, vec![10, 11], Some(100)), (2, vec![20], Some(200))]);
    }

    #[test]
    fn large_requests_are_cut_into_pieces_and_nothing_is_lost() {
        let blocks: Vec<BlockId> = (0..123_456).map(|local| block(local % 3, local)).collect();
        let asked = DeleteScmKeyBlocksRequestProto {
            key_blocks: vec![KeyBlocks { key: "k".into(), blocks, ..Default::default() }],
        };
        let groups = commands(transactions(&asked));
        assert!(groups.len() >= 3);
        let mut locals: Vec<i64> = groups.iter().flatten().flat_map(|t| t.local_id.clone()).collect();
        locals.sort_unstable();
        assert_eq!(locals, (0..123_456).collect::<Vec<i64>>());
        for group in &groups {
            assert!(group.iter().map(|t| t.local_id.len()).sum::<usize>() <= BLOCKS_IN_COMMAND);
            assert!(group.iter().all(|t| t.local_id.len() <= BLOCKS_IN_TRANSACTION));
        }
        assert!(commands(Vec::new()).is_empty());
    }
}
