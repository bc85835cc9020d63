//! Puts containers into an SCM's tables before it starts, through the same log and state machine.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use allotrope_consensus::{
    Beginning, ClusterId, Member, MemberId, Origin, Replica, ReplicaConfig, RocksShared, Surroundings,
    SystemClock, network::memory::MemoryNetwork,
};
use allotrope_proto::hdds::{self, LifeCycleState, PipelineState, ReplicationFactor, ReplicationType};
use allotrope_scm::Config;
use allotrope_scm::cluster::{Cluster, Now};
use allotrope_scm::replicated::ScmMachine;
use allotrope_scm::replicated::command::{AddContainer, Change, Command, Outcome};
use tokio::task::JoinSet;

use crate::fleet::datanode;

/// Containers proposed at a time.
const AT_ONCE: u64 = 2_000;

/// Adds `count` closed containers of three copies; their ids are 1 to `count`. How long it took.
pub(crate) async fn containers(config: &Config, rocks: &RocksShared, count: u64) -> Duration {
    let cluster = Arc::new(Mutex::new(Cluster::new(config, Now { monotonic_ms: 0, unix_ms: 1 })));
    let me = MemberId(1);
    let member = Member { name: config.host_name.clone(), address: config.raft_address.to_string() };
    let replica_config = ReplicaConfig::new(
        config.dir.join("scm.db"),
        ClusterId(crate::CLUSTER.into()),
        me,
        Beginning::Found(BTreeMap::from([(me, member)])),
    );
    let network = Arc::new(MemoryNetwork::default());
    let surroundings = Surroundings { rocks: rocks.clone(), network, clock: Arc::new(SystemClock) };
    let replica = Replica::start(replica_config, surroundings, ScmMachine::new(cluster)).await.unwrap();
    let mut status = replica.status();
    let leads = status.wait_for(Duration::from_secs(20), |status| status.leader == Some(me)).await;
    leads.expect("it leads");
    // A container is born in a pipeline; that these are closed already does not matter to it.
    let uuid128 = hdds::Uuid { most_sig_bits: 1, least_sig_bits: 1 };
    let pipeline = hdds::PipelineId { id: None, uuid128: Some(uuid128) };
    let born_in = hdds::Pipeline {
        id: pipeline.clone(),
        state: Some(PipelineState::PipelineOpen as i32),
        r#type: Some(ReplicationType::Ratis as i32),
        factor: Some(ReplicationFactor::Three as i32),
        members: (0..3).map(|n| datanode(n).details()).collect(),
        creation_time_stamp: Some(1),
        ..Default::default()
    };
    let added = replica.propose(Origin::Service, &Command::from(Change::AddPipeline(born_in))).await.unwrap();
    assert!(!matches!(added.outcome, Some(Outcome::Refused(_))), "{added:?}");
    let container = hdds::ContainerInfoProto {
        pipeline_id: Some(pipeline),
        state: LifeCycleState::Closed as i32,
        used_bytes: 4 << 30,
        number_of_keys: 100,
        sequence_id: Some(100),
        state_enter_time: Some(1),
        owner: "om".into(),
        replication_type: ReplicationType::Ratis as i32,
        replication_factor: Some(ReplicationFactor::Three as i32),
        ..Default::default()
    };
    let change = Change::AddContainer(AddContainer { container, pipeline: None, all_acknowledge: false });
    let command = Arc::new(Command::from(change));
    let began = Instant::now();
    let mut left = count;
    while left > 0 {
        let mut together = JoinSet::new();
        for _ in 0..left.min(AT_ONCE) {
            let (replica, command) = (replica.clone(), Arc::clone(&command));
            together.spawn(async move { replica.propose(Origin::Service, &command).await.unwrap() });
        }
        for answer in together.join_all().await {
            assert!(matches!(answer.outcome, Some(Outcome::Container(_))), "{answer:?}");
            left -= 1;
        }
    }
    let took = began.elapsed();
    replica.shutdown(Duration::from_secs(10)).await;
    took
}
