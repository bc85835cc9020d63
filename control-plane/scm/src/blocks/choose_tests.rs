//! Where blocks go, on clusters of a few registered nodes.

use super::*;
use crate::cluster::Now;
use crate::container::Container;
use crate::node::{Layout, Usage, Volume};
use crate::pipeline::Pipeline;
use allotrope_types::{Bcsid, ContainerState};

const NOW: Now = Now { monotonic_ms: 0, unix_ms: 1_700_000_000_000 };

struct World {
    cluster: Cluster,
    settings: Config,
    next: u64,
}

fn node(n: u8) -> DatanodeId {
    DatanodeId::from_random_bytes([n; 16])
}

impl World {
    fn of(nodes: u8) -> World {
        let settings = Config::new("/unused");
        let mut world = World { cluster: Cluster::new(&settings, NOW), settings, next: 1 };
        for n in 0..nodes {
            world.register(n, 1 << 40);
        }
        world
    }

    fn register(&mut self, n: u8, remaining: u64) {
        let volume = Volume { remaining, capacity: 1 << 41, ..Volume::default() };
        let usage = Usage { volumes: vec![volume], metadata_volumes: 1 };
        let details = allotrope_proto::hdds::DatanodeDetailsProto {
            host_name: format!("dn-{n}"),
            ..Default::default()
        };
        let layout = Layout { metadata: 10, software: 10 };
        let peer = std::net::Ipv4Addr::LOCALHOST.into();
        self.cluster.nodes.register(node(n), details, peer, layout, usage, 0).unwrap();
        self.cluster.count_serving();
    }

    fn choose(&mut self, config: &str, excluded: &Excluded) -> Result<Choice, AllocateError> {
        let key = (config.parse().unwrap(), "om".to_owned());
        choose(&mut self.cluster, &key, ByteCount::mib(256), excluded, &self.settings)
    }

    /// Opens a container where `choose` wants one.
    fn open(&mut self, config: &str) -> ContainerId {
        match self.choose(config, &Excluded::default()).unwrap() {
            Choice::Use(id) => id,
            Choice::CreateIn { .. } => unreachable!("only Ratis pipelines stand ready"),
            Choice::Create { nodes, .. } => {
                let id = ContainerId::new(self.next);
                let mut bytes = [0; 16];
                bytes[..8].copy_from_slice(&self.next.to_be_bytes());
                let pipeline = PipelineId::from_random_bytes(bytes);
                self.next += 1;
                let config = config.parse().unwrap();
                let nodes = nodes.into_iter().map(|n| (n, Default::default())).collect();
                self.cluster.blocks.put_pipeline(Pipeline::open(pipeline, config, nodes, 0));
                self.cluster.blocks.put_container(Container {
                    id,
                    state: ContainerState::Open,
                    pipeline: Some(pipeline),
                    config,
                    owner: "om".into(),
                    used: ByteCount::ZERO,
                    keys: 0,
                    sequence: Bcsid::new(0),
                    state_entered_ms: 0,
                    delete_transaction: 0,
                    suppressed: false,
                });
                id
            }
        }
    }

    fn fill(&mut self, id: ContainerId) {
        let mut container = self.cluster.blocks.container(id).unwrap().clone();
        container.used = self.settings.container_size;
        self.cluster.blocks.put_container(container);
    }
}

#[test]
fn containers_are_opened_until_the_volumes_are_fed_and_then_reused() {
    let mut world = World::of(3);
    let opened: BTreeSet<_> = (0..40).map(|_| world.open("STANDALONE/ONE")).collect();
    assert_eq!(opened.len(), 3, "one a volume");
    let mut world = World::of(5);
    let opened: BTreeSet<_> = (0..80).map(|_| world.open("rs-3-2-1024k")).collect();
    assert_eq!(opened.len(), 5, "ozone.scm.ec.pipeline.minimum");
}

#[test]
fn an_ec_block_needs_a_node_for_each_replica() {
    let mut world = World::of(4);
    let error = world.choose("rs-3-2-1024k", &Excluded::default()).unwrap_err();
    assert_eq!(error.status(), allotrope_types::ScmStatus::FailedToFindSuitableNode);
    assert!(error.to_string().contains("5 datanodes are needed and 4"), "{error}");
    world.register(4, 1 << 40);
    assert!(
        matches!(world.choose("rs-3-2-1024k", &Excluded::default()), Ok(Choice::Create { nodes, .. }) if nodes.len() == 5)
    );
}

#[test]
fn what_no_pipeline_can_be_made_for_is_refused_by_name() {
    let mut world = World::of(5);
    let config = "STANDALONE/THREE".parse().unwrap();
    let error = world.choose("STANDALONE/THREE", &Excluded::default()).unwrap_err();
    assert_eq!(error, AllocateError::Unsupported { config });
    assert!(error.to_string().contains("STANDALONE/ONE or an EC config"), "{error}");
    for config in ["RATIS/ONE", "RATIS/THREE"] {
        let error = world.choose(config, &Excluded::default()).unwrap_err();
        assert_eq!(error, AllocateError::NoPipeline { config: config.parse().unwrap() });
    }
}

#[test]
fn what_a_client_excludes_it_does_not_get_while_there_is_something_else() {
    let mut world = World::of(3);
    for _ in 0..40 {
        world.open("STANDALONE/ONE");
    }
    let excluded = Excluded { nodes: BTreeSet::from([node(0), node(1)]), ..Excluded::default() };
    for _ in 0..20 {
        let members = match world.choose("STANDALONE/ONE", &excluded).unwrap() {
            Choice::Create { nodes, .. } => nodes,
            Choice::CreateIn { .. } => unreachable!("only Ratis pipelines stand ready"),
            Choice::Use(id) => {
                let pipeline = world.cluster.blocks.container(id).unwrap().pipeline.unwrap();
                world.cluster.blocks.pipeline(pipeline).unwrap().members.iter().map(|m| m.node).collect()
            }
        };
        assert_eq!(members, [node(2)]);
    }
    let everybody = Excluded { nodes: BTreeSet::from([node(0), node(1), node(2)]), ..Excluded::default() };
    assert!(world.choose("STANDALONE/ONE", &everybody).is_ok(), "a copy there is better than none");
    let mut world = World::of(5);
    let one = Excluded { nodes: BTreeSet::from([node(3)]), ..Excluded::default() };
    assert!(matches!(world.choose("rs-3-2-1024k", &one), Err(AllocateError::Nodes { .. })));
}

#[test]
fn excluded_containers_and_pipelines_are_left_out() {
    let mut world = World::of(1);
    world.settings.pipelines_per_volume = 2.0;
    let (a, b) = (world.open("STANDALONE/ONE"), world.open("STANDALONE/ONE"));
    let without_a = Excluded { containers: BTreeSet::from([a]), ..Excluded::default() };
    let pipeline_b = world.cluster.blocks.container(b).unwrap().pipeline.unwrap();
    let without_b = Excluded { pipelines: BTreeSet::from([pipeline_b]), ..Excluded::default() };
    for _ in 0..20 {
        assert_eq!(world.choose("STANDALONE/ONE", &without_a), Ok(Choice::Use(b)));
        assert_eq!(world.choose("STANDALONE/ONE", &without_b), Ok(Choice::Use(a)));
    }
}

#[test]
fn a_full_container_gets_nothing_and_a_new_one_is_opened() {
    let mut world = World::of(1);
    let first = world.open("STANDALONE/ONE");
    assert_eq!(world.choose("STANDALONE/ONE", &Excluded::default()), Ok(Choice::Use(first)));
    world.fill(first);
    let second = world.open("STANDALONE/ONE");
    assert_ne!(first, second);
    world.fill(second);
    let error = world.choose("STANDALONE/ONE", &Excluded::default()).unwrap_err();
    assert!(matches!(error, AllocateError::NoRoom { open: 2, .. }), "{error}");
}

#[test]
fn nodes_that_are_silent_or_full_get_nothing() {
    let mut world = World::of(1);
    let id = world.open("STANDALONE/ONE");
    for second in 0..400 {
        world.cluster.nodes.check_silence(second * 1000);
    }
    world.cluster.count_serving();
    let error = world.choose("STANDALONE/ONE", &Excluded::default()).unwrap_err();
    assert!(matches!(error, AllocateError::Nodes { .. }), "{error}");
    world.cluster.nodes.heard(node(0), Layout { metadata: 10, software: 10 }, 0);
    world.cluster.count_serving();
    assert_eq!(world.choose("STANDALONE/ONE", &Excluded::default()), Ok(Choice::Use(id)));
    let mut tight = World::of(0);
    tight.register(0, 1 << 30);
    let error = tight.choose("STANDALONE/ONE", &Excluded::default()).unwrap_err();
    assert!(error.to_string().contains("1 without room"), "{error}");
}

#[test]
fn a_block_larger_than_a_container_is_refused() {
    let mut world = World::of(1);
    let key = ("STANDALONE/ONE".parse().unwrap(), "om".to_owned());
    let error = choose(&mut world.cluster, &key, ByteCount::gib(6), &Excluded::default(), &world.settings)
        .unwrap_err();
    assert_eq!(error.status(), allotrope_types::ScmStatus::InvalidBlockSize);
}
