//! Three SCMs: one leads, the others name it, and what it answered is theirs when it is gone.

use std::collections::BTreeSet;

use crate::support::{Datanode, World, config, container_of, init_as, replica};
use allotrope_proto::heartbeat::container_replica_proto::State;
use allotrope_proto::rpc::CallError;
use allotrope_proto::scm_container::{DecommissionScmRequestProto, Type};
use allotrope_scm::ScmMember;

/// Ports that nobody uses now.
fn free_ports<const N: usize>() -> [u16; N] {
    let held: Vec<_> = (0..N).map(|_| std::net::TcpListener::bind("127.0.0.1:0").unwrap()).collect();
    std::array::from_fn(|n| held[n].local_addr().unwrap().port())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_group_of_three_outlives_its_leader_and_gives_no_id_twice() {
    let dirs = [(); 3].map(|()| tempfile::tempdir().unwrap());
    let ports: [u16; 12] = free_ports();
    let members: Vec<ScmMember> = (0..3u8)
        .map(|n| {
            let at = usize::from(n) * 4;
            ScmMember {
                number: u64::from(n) + 1,
                name: format!("scm{}", n + 1),
                host: "127.0.0.1".into(),
                raft_port: ports[at],
                datanode_port: ports[at + 1],
                block_port: ports[at + 2],
                client_port: ports[at + 3],
            }
        })
        .collect();
    let mut worlds = Vec::new();
    for (member, dir) in members.iter().zip(&dirs) {
        init_as(dir.path(), &format!("scm-{}", member.number));
        let at = |port| std::net::SocketAddr::from(([127, 0, 0, 1], port));
        let mut settings = config(dir.path());
        settings.member = member.number;
        settings.members = members.clone();
        settings.raft_address = at(member.raft_port);
        settings.datanode_address = at(member.datanode_port);
        settings.block_address = at(member.block_port);
        settings.client_address = at(member.client_port);
        settings.seed = member.number;
        worlds.push(World::start_member(settings).await);
    }
    worlds[0].until("one of them leads", async || worlds.iter().any(|w| w.running.leads())).await;
    // A datanode reports to every SCM.
    for world in &mut worlds {
        world.join(Datanode::new(0)).await;
    }
    for world in &worlds {
        world.until("it has left safe mode", async || !world.running.in_safe_mode()).await;
    }
    let leader = worlds.iter().position(|w| w.running.leads()).unwrap();
    let before = worlds[leader].allocate("STANDALONE/ONE", 3).await;
    let id = container_of(&before[0]);
    for world in &worlds {
        world.report(0, replica(id, State::Open, 0)).await;
        let term = world.heartbeat(0, |_| {}).await.term;
        assert_eq!(term.is_some(), world.running.leads(), "only a leader gives its term");
    }
    let follower = &worlds[(leader + 1) % 3];
    for _ in 0..2 {
        let error = follower.location_call(Type::ListPipelines, |_| {}).await.unwrap_err();
        let CallError::Remote { class, message, .. } = &error else { panic!("{error:?}") };
        assert_eq!(class, "org.apache.hadoop.hdds.ratis.ServerNotLeaderException");
        let port = members[leader].client_port;
        let hint = format!("is not the leader. Suggested leader is Server:127.0.0.1:{port}.");
        assert!(message.contains(&hint), "{message}");
    }
    let transfer = async |world: &World, to: &str| {
        let asked = allotrope_proto::hdds::TransferLeadershipRequestProto { new_leader_id: to.into() };
        world
            .location_call(Type::TransferLeadership, |r| r.transfer_scm_leadership_request = Some(asked))
            .await
    };
    let unknown = transfer(&worlds[leader], "17").await.unwrap_err();
    assert!(unknown.to_string().contains("no other SCM"), "{unknown}");
    let heir = (leader + 1) % 3;
    transfer(&worlds[leader], &members[heir].number.to_string()).await.unwrap();
    let handed_over = async || worlds[heir].running.leads() && !worlds[leader].running.leads();
    worlds[heir].until("the one that was named leads", handed_over).await;

    let leader = worlds.iter().position(|w| w.running.leads()).unwrap();
    let gone = worlds.remove(leader);
    gone.stop().await;
    worlds[0].until("another leads", async || worlds.iter().any(|w| w.running.leads())).await;
    let next = worlds.iter().find(|w| w.running.leads()).unwrap();
    let after = next.allocate("STANDALONE/ONE", 3).await;
    assert_eq!(container_of(&after[0]), id, "the open container is used on");
    let ids: BTreeSet<i64> =
        before.iter().chain(&after).map(|b| b.container_block_id.as_ref().unwrap().local_id).collect();
    assert_eq!(ids.len(), 6);

    // The one that is gone is taken out: then the two that are left are the group, and the leader is not taken out itself.
    let remove = async |scm: &str| {
        let asked = DecommissionScmRequestProto { scm_id: scm.into() };
        let answer =
            next.location_call(Type::DecommissionScm, |r| r.decommission_scm_request = Some(asked)).await;
        let answer = answer.unwrap().decommission_scm_response.unwrap();
        (answer.success, answer.error_msg.unwrap_or_default())
    };
    let (done, why) = remove("nobody").await;
    assert!(!done && why.contains("no SCM of this group"), "{why}");
    let leads = worlds.iter().position(|w| w.running.leads()).unwrap();
    let mut numbers = members.iter().enumerate().filter(|(at, _)| *at != leader).map(|(_, one)| one);
    let (done, why) = remove(&numbers.nth(leads).unwrap().name).await;
    assert!(!done && why.contains("leads; hand leadership over first"), "{why}");
    assert_eq!(remove(&members[leader].name).await, (true, String::new()));
    let info = next.location_call(Type::GetScmInfo, |r| r.get_scm_info_request = Some(Default::default()));
    assert_eq!(info.await.unwrap().get_scm_info_response.unwrap().peer_roles.len(), 2);
    assert_eq!(next.allocate("STANDALONE/ONE", 1).await.len(), 1);
    for world in worlds {
        world.stop().await;
    }
}
