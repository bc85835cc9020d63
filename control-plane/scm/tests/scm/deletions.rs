//! Deletions: recorded before they are answered, carried out by every replica, then forgotten.

use crate::support::{World, config, container_of, init, replica};
use allotrope_proto::hdds::{BlockId, ContainerBlockId, LifeCycleState};
use allotrope_proto::heartbeat::{self as hb, container_replica_proto::State, scm_command_proto::Type};
use allotrope_proto::scm_block::{self, DeleteScmKeyBlocksRequestProto, KeyBlocks};

async fn delete(world: &World, container_id: i64, locals: &[i64]) -> Vec<i32> {
    let block = |local_id: &i64| BlockId {
        container_block_id: ContainerBlockId { container_id, local_id: *local_id },
        ..Default::default()
    };
    let key = KeyBlocks { key: "k".into(), blocks: locals.iter().map(block).collect(), ..Default::default() };
    let request = scm_block::ScmBlockLocationRequest {
        cmd_type: scm_block::Type::DeleteScmKeyBlocks as i32,
        delete_scm_key_blocks_request: Some(DeleteScmKeyBlocksRequestProto { key_blocks: vec![key] }),
        ..Default::default()
    };
    let answer = world.block_call(request).await.unwrap().delete_scm_key_blocks_response.unwrap();
    answer.results.iter().flat_map(|r| &r.block_results).map(|r| r.result).collect()
}

/// A closed container with one replica, on node 0.
async fn closed_container(world: &World) -> i64 {
    let id = container_of(&world.allocate("STANDALONE/ONE", 1).await[0]);
    world.report(0, replica(id, State::Closed, 0)).await;
    world.until_container(id, LifeCycleState::Closed).await;
    id
}

async fn acknowledge(world: &World, command: &hb::ScmCommandProto, success: bool) {
    let delete = command.delete_blocks_command_proto.as_ref().unwrap();
    let results = delete.deleted_blocks_transactions.iter().map(|t| {
        hb::container_blocks_deletion_ack_proto::DeleteBlockTransactionResult {
            tx_id: t.tx_id,
            container_id: t.container_id,
            success,
        }
    });
    let ack = hb::ContainerBlocksDeletionAckProto {
        results: results.collect(),
        dn_id: world.nodes[0].id.to_string(),
    };
    let status = hb::CommandStatus {
        cmd_id: delete.cmd_id,
        status: 2,
        r#type: Type::DeleteBlocksCommand as i32,
        msg: None,
        block_deletion_ack: Some(ack),
    };
    let reports = vec![hb::CommandStatusReportsProto { cmd_status: vec![status] }];
    world.heartbeat(0, |heartbeat| heartbeat.command_status_reports = reports).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn blocks_are_deleted_where_they_lie_again_after_a_restart_until_acknowledged() {
    let dir = tempfile::tempdir().unwrap();
    init(dir.path());
    let world = World::with_nodes(config(dir.path()), 1).await;
    let id = closed_container(&world).await;
    assert_eq!(delete(&world, id, &[11, 12]).await, [1, 1]);
    let command = world.command(0, Type::DeleteBlocksCommand).await;
    let told = &command.delete_blocks_command_proto.as_ref().unwrap().deleted_blocks_transactions;
    assert_eq!((told.len(), told[0].container_id, told[0].local_id.clone()), (1, id, vec![11, 12]));
    world.stop().await;

    let mut world = World::start(config(dir.path())).await;
    let mut node = crate::support::Datanode::new(0);
    node.replicas = vec![replica(id, State::Closed, 0)];
    world.join(node).await;
    let command = world.command(0, Type::DeleteBlocksCommand).await;
    acknowledge(&world, &command, false).await;
    let command = world.command(0, Type::DeleteBlocksCommand).await;
    acknowledge(&world, &command, true).await;
    world.until("it is done", async || world.running.metrics().contains("scm_deletions_under_way 0\n")).await;
    world.stop().await;

    // Nothing is known of it any more: what still lay in the table would be sent at once.
    let mut world = World::start(config(dir.path())).await;
    let mut node = crate::support::Datanode::new(0);
    node.replicas = vec![replica(id, State::Closed, 0)];
    world.join(node).await;
    for _ in 0..10 {
        let answer = world.heartbeat(0, |_| {}).await;
        assert!(answer.commands.is_empty(), "{:?}", answer.commands);
        #[allow(clippy::disallowed_methods, reason = "a test waits on the real clock for a real server")]
        tokio::time::sleep(std::time::Duration::from_millis(30)).await;
    }
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn blocks_of_a_container_that_is_written_wait_until_it_is_closed() {
    let dir = tempfile::tempdir().unwrap();
    init(dir.path());
    let world = World::with_nodes(config(dir.path()), 1).await;
    let id = container_of(&world.allocate("STANDALONE/ONE", 1).await[0]);
    world.report(0, replica(id, State::Open, 0)).await;
    assert_eq!(delete(&world, id, &[5]).await, [1]);
    for _ in 0..20 {
        assert!(world.heartbeat(0, |_| {}).await.commands.is_empty());
    }
    world.report(0, replica(id, State::Closed, 0)).await;
    world.command(0, Type::DeleteBlocksCommand).await;
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn in_safe_mode_nothing_is_recorded_and_om_is_told_so() {
    let dir = tempfile::tempdir().unwrap();
    init(dir.path());
    let world = World::start(config(dir.path())).await;
    assert_eq!(delete(&world, 1, &[1]).await, [2], "safeMode");
    world.stop().await;
}
