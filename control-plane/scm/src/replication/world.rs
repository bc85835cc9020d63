//! A whole cluster in memory for tests: the real [`Cluster`] on one side, datanodes that carry commands out on the other.
//!
//! Units   one step is one second: datanodes that live are heard, carry out what they were told, report; then SCM looks.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr};

use allotrope_proto::hdds;
use allotrope_proto::heartbeat::{ContainerReplicaProto, ScmCommandProto};
use allotrope_types::{
    Bcsid, ByteCount, ContainerId, ContainerState, DatanodeId, ReplicaIndex, ReplicaState, ReplicationConfig,
};

use crate::Config;
use crate::cluster::{Cluster, Duty, Now, Report};
use crate::container::Container;
use crate::container::report::Entries;
use crate::node::{Layout, OperationalState, Thresholds, Usage, Volume};
use crate::replicated::command::{Change, event_of};
use crate::wire;

/// What a datanode really holds.
type Shelf = BTreeMap<ContainerId, (Option<ReplicaIndex>, ReplicaState)>;

/// One datanode as it is, whatever SCM thinks.
pub(crate) struct Machine {
    pub(crate) id: DatanodeId,
    pub(crate) up: bool,
    /// When it last lived.
    alive_ms: u64,
    pub(crate) shelf: Shelf,
    kept: (OperationalState, i64),
    rack: u8,
}

/// SCM and its datanodes.
pub(crate) struct World {
    pub(crate) cluster: Cluster,
    pub(crate) machines: Vec<Machine>,
    pub(crate) now: Now,
    pub(crate) rng: fastrand::Rng,
    /// One in so many copies fails; 0 for none.
    pub(crate) fails: u32,
    /// Moves that were made.
    pub(crate) moves: usize,
    /// What was ordered in the last step: target or victim, by container.
    ordered: BTreeSet<(ContainerId, DatanodeId)>,
}

pub(crate) fn node(n: usize) -> DatanodeId {
    DatanodeId::from_random_bytes([n as u8 + 1; 16])
}

impl World {
    /// `nodes` datanodes on `racks` racks, each with room for `slots` containers.
    pub(crate) fn new(nodes: usize, racks: usize, seed: u64) -> World {
        let mut config = Config::new("/unused");
        config.nodes = Thresholds::FAST;
        config.safe_mode = false;
        config.seed = seed;
        config.replication.start_wait = std::time::Duration::ZERO;
        let now = Now { monotonic_ms: 1_000, unix_ms: 1_700_000_000_000 };
        let machine = |n| Machine {
            id: node(n),
            up: true,
            alive_ms: 0,
            shelf: Shelf::new(),
            kept: (OperationalState::InService, 0),
            rack: (n % racks.max(1)) as u8,
        };
        for n in 0..nodes {
            config.racks.insert(format!("dn-{n}"), format!("/rack-{}", n % racks.max(1)));
        }
        let mut world = World {
            cluster: Cluster::new(&config, now),
            machines: (0..nodes).map(machine).collect(),
            now,
            rng: fastrand::Rng::with_seed(seed),
            fails: 0,
            moves: 0,
            ordered: BTreeSet::new(),
        };
        for n in 0..nodes {
            world.register(n);
        }
        world
    }

    fn register(&mut self, n: usize) {
        let machine = &self.machines[n];
        let mut details = hdds::DatanodeDetailsProto {
            host_name: format!("dn-{n}"),
            persisted_op_state: Some(machine.kept.0 as i32),
            persisted_op_state_expiry: Some(machine.kept.1),
            ..Default::default()
        };
        wire::put_datanode_id(&mut details, machine.id);
        let volume = Volume { capacity: 1 << 40, remaining: 1 << 39, ..Volume::default() };
        let usage = Usage { volumes: vec![volume], metadata_volumes: 1 };
        let peer = IpAddr::V4(Ipv4Addr::LOCALHOST);
        let nodes = &mut self.cluster.nodes;
        nodes.register(machine.id, details, peer, Self::LAYOUT, usage, self.now.unix_ms).unwrap();
        self.cluster.count_serving();
        self.cluster.node_has_restarted(node(n));
        self.cluster.node_is_back(node(n));
    }

    const LAYOUT: Layout = Layout { metadata: 10, software: 10 };

    /// A closed container with a replica on each of `nodes`, in order of index.
    pub(crate) fn container(&mut self, id: u64, config: &str, nodes: &[usize]) -> ContainerId {
        let config: ReplicationConfig = config.parse().unwrap();
        let id = ContainerId::new(id);
        self.cluster.blocks.put_container(Container {
            id,
            state: ContainerState::Closed,
            pipeline: None,
            config,
            owner: "om".into(),
            used: ByteCount::mib(100),
            keys: 3,
            sequence: Bcsid::new(7),
            state_entered_ms: self.now.unix_ms,
            delete_transaction: 0,
            suppressed: false,
        });
        for (at, n) in nodes.iter().enumerate() {
            let index = config.ec().and_then(|ec| ec.indexes().nth(at));
            self.machines[*n].shelf.insert(id, (index, ReplicaState::Closed));
        }
        id
    }

    /// Who really holds a closed replica of `id`, by index; whether they live or not.
    pub(crate) fn holders(&self, id: ContainerId) -> Vec<(usize, Option<ReplicaIndex>, ReplicaState)> {
        let all = self.machines.iter().enumerate();
        all.filter_map(|(n, m)| m.shelf.get(&id).map(|(index, state)| (n, *index, *state))).collect()
    }

    /// Distinct indexes (or copies) of `id` that are closed on datanodes that live.
    pub(crate) fn alive(&self, id: ContainerId, ec: bool) -> usize {
        let here = self
            .holders(id)
            .into_iter()
            .filter(|(n, _, s)| self.machines[*n].up && *s == ReplicaState::Closed);
        match ec {
            true => here.map(|(_, index, _)| index).collect::<BTreeSet<_>>().len(),
            false => here.count(),
        }
    }

    pub(crate) fn kill(&mut self, n: usize) {
        self.machines[n].up = false;
    }

    pub(crate) fn revive(&mut self, n: usize) {
        self.machines[n].up = true;
        self.register(n);
    }

    pub(crate) fn set_duty(&mut self, n: usize, state: OperationalState, until_s: i64) {
        self.cluster.duty_set(Duty { node: node(n), state, until_s }, self.now.unix_ms);
    }

    /// One second passes.
    pub(crate) fn step(&mut self) {
        self.now.monotonic_ms += 1_000;
        self.now.unix_ms += 1_000;
        self.ordered.clear();
        for n in 0..self.machines.len() {
            if self.machines[n].up {
                self.machines[n].alive_ms = self.now.monotonic_ms;
                self.heartbeat(n);
            }
        }
        let changes = self.cluster.silence(self.now);
        self.apply(changes);
        for _ in 0..100 {
            let repaired = self.cluster.repair(self.now);
            self.apply(repaired.changes);
            if !repaired.more {
                return;
            }
        }
        panic!("there is no end to it");
    }

    pub(crate) fn steps(&mut self, seconds: usize) {
        for _ in 0..seconds {
            self.step();
        }
    }

    /// Steps until `holds`, for so many seconds at most; how many it took.
    pub(crate) fn until(&mut self, seconds: usize, what: &str, holds: impl Fn(&World) -> bool) -> usize {
        for second in 0..seconds {
            if holds(self) {
                return second;
            }
            self.step();
        }
        let ills: Vec<_> = self.cluster.manager.ills().map(|(id, ill)| format!("{id}: {ill:?}")).collect();
        panic!("after {seconds} s it has not come to pass that {what}: {ills:#?}");
    }

    fn apply(&mut self, changes: Vec<Change>) {
        for change in changes {
            if let Change::Step(step) = change {
                let id = ContainerId::try_from(step.container).unwrap();
                let mut container = self.cluster.blocks.container(id).unwrap().clone();
                container.state = container.state.after(event_of(step.event).unwrap()).unwrap();
                self.cluster.blocks.put_container(container);
                self.cluster.container_changed(id);
            }
        }
    }

    fn heartbeat(&mut self, n: usize) {
        let (id, unix_ms) = (self.machines[n].id, self.now.unix_ms);
        let Some(before) = self.cluster.nodes.heard(id, Self::LAYOUT, unix_ms) else {
            return self.register(n);
        };
        if before != crate::node::Health::Healthy {
            self.cluster.count_serving();
            self.cluster.node_is_back(id);
        }
        let (kept, until_s) = self.machines[n].kept;
        self.cluster.nodes.keeps(id, kept, until_s);
        let wanted = self.cluster.nodes.get(id).map(|node| (node.operational, node.operational_until_s));
        self.machines[n].kept = wanted.unwrap_or(self.machines[n].kept);
        let commands = self.cluster.commands.take(id);
        for command in commands {
            self.obey(n, command);
        }
        self.report(n);
    }

    fn report(&mut self, n: usize) {
        let machine = &self.machines[n];
        let reports = machine.shelf.iter().map(|(id, (index, state))| ContainerReplicaProto {
            container_id: id.to_wire(),
            state: state.number(),
            used: Some(100 << 20),
            key_count: Some(3),
            is_empty: Some(false),
            replica_index: Some(index.map_or(0, |index| i32::from(index.number()))),
            block_commit_sequence_id: Some(7),
            origin_node_id: Some(machine.id.to_string()),
            ..Default::default()
        });
        let id = machine.id;
        let full = Some(Entries::read(id, reports.collect()));
        let heard = self.cluster.report(id, Report { full, ..Report::default() }, true, self.now);
        self.apply(heard.changes);
    }

    fn at(&self, details: &hdds::DatanodeDetailsProto) -> usize {
        let id = wire::datanode_id(details).unwrap();
        self.machines.iter().position(|machine| machine.id == id).unwrap()
    }

    /// Each container and node is named by one command a second at most.
    fn no_conflict(&mut self, container: ContainerId, n: usize) {
        assert!(self.ordered.insert((container, node(n))), "two commands about {container} on node {n}");
    }

    /// Carries a command out, or fails as it was told to.
    fn obey(&mut self, n: usize, command: ScmCommandProto) {
        let fails = self.fails > 0 && self.rng.u32(..self.fails) == 0;
        if let Some(delete) = &command.delete_container_command_proto {
            let id = ContainerId::try_from(delete.container_id).unwrap();
            self.no_conflict(id, n);
            let Some((index, state)) = self.machines[n].shelf.get(&id).copied() else { return };
            if !fails {
                self.machines[n].shelf.remove(&id);
            }
            // Silence is noticed after five seconds, and a command is carried out a second later.
            let lived_ms = self.now.monotonic_ms - 7_000.min(self.now.monotonic_ms);
            let lives = |(m, other, good): &(usize, Option<ReplicaIndex>, ReplicaState)| {
                let lately = self.machines[*m].alive_ms >= lived_ms;
                lately && *other == index && *good == ReplicaState::Closed && *m != n
            };
            let left = self.holders(id).into_iter().filter(lives).count();
            assert!(
                left > 0 || state == ReplicaState::Unhealthy,
                "the last good copy of {id} {index:?} is deleted"
            );
            return;
        }
        let cmd_id = |c: &ScmCommandProto| {
            let copy = c.replicate_container_command_proto.as_ref().map(|c| c.cmd_id);
            copy.or(c.reconstruct_ec_containers_command_proto.as_ref().map(|c| c.cmd_id))
        };
        let Some(command_id) = cmd_id(&command) else { return };
        let (id, given): (ContainerId, Vec<(usize, Option<ReplicaIndex>, ReplicaState)>) =
            if let Some(copy) = &command.replicate_container_command_proto {
                let id = ContainerId::try_from(copy.container_id).unwrap();
                let target = self.at(copy.target.as_ref().unwrap());
                let Some((index, state)) = self.machines[n].shelf.get(&id).copied() else {
                    self.cluster.manager.failed(command_id, self.now.monotonic_ms);
                    return;
                };
                (id, vec![(target, index, state)])
            } else {
                let rebuild = command.reconstruct_ec_containers_command_proto.as_ref().unwrap();
                let id = ContainerId::try_from(rebuild.container_id).unwrap();
                let whole = rebuild.sources.iter().filter(|source| {
                    let machine = &self.machines[self.at(&source.datanode_details)];
                    let wanted = ReplicaIndex::from_wire(source.replica_index).unwrap();
                    machine.up && machine.shelf.get(&id) == Some(&(wanted, ReplicaState::Closed))
                });
                let enough = whole.count() >= usize::try_from(rebuild.ec_replication_config.data).unwrap();
                assert_eq!(self.at(&rebuild.targets[0]), n, "the first target coordinates");
                let indexes = rebuild.missing_container_indexes.iter().map(|index| ReplicaIndex::new(*index));
                let targets = rebuild.targets.iter().map(|details| self.at(details));
                let given = targets.zip(indexes).map(|(n, index)| (n, index, ReplicaState::Closed));
                (id, if enough { given.collect() } else { Vec::new() })
            };
        for (target, ..) in &given {
            self.no_conflict(id, *target);
        }
        let possible =
            given.iter().all(|(to, ..)| self.machines[*to].up && !self.machines[*to].shelf.contains_key(&id));
        if fails || given.is_empty() || !possible {
            self.cluster.manager.failed(command_id, self.now.monotonic_ms);
            return;
        }
        for (target, index, state) in given {
            self.machines[target].shelf.insert(id, (index, state));
            self.moves += 1;
        }
    }

    /// Whether nothing ails any container, and nothing is under way.
    pub(crate) fn is_well(&self) -> bool {
        self.cluster.manager.ills().next().is_none() && self.cluster.manager.pending.is_empty()
    }

    /// The racks of all closed replicas of `id` on datanodes that live.
    pub(crate) fn racks(&self, id: ContainerId) -> Vec<u8> {
        self.holders(id)
            .iter()
            .filter(|(n, ..)| self.machines[*n].up)
            .map(|(n, ..)| self.machines[*n].rack)
            .collect()
    }
}
