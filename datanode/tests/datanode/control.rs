//! The conversation with SCM, by seed: messages lost, late and repeated, SCMs that lead, follow and go away.
//!
//! A failing seed is repeated with `ALLOTROPE_SEED=N cargo test -p allotrope-datanode --test datanode control`.

use crate::ask::*;
use crate::world::{CLUSTER, World, send};
use allotrope_datanode::control::{
    self,
    link::{LinkError, ScmLink},
};
use allotrope_io::{Act, Clock, Moment, ShardId, SimFault, SimRng};
use allotrope_proto::edge::heartbeat::apart::ScmDatanodeResponseApart;
use allotrope_proto::edge::heartbeat::{ScmCommand, ScmOrder};
use allotrope_proto::hdds::{KeyValue, PipelineId, Uuid};
use allotrope_proto::heartbeat::scm_command_proto::Type as Kind;
use allotrope_proto::heartbeat::*;
use allotrope_types::{ContainerId, DatanodeResult, LocalId, Term};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;
use tokio::sync::watch;

const BEAT: Duration = Duration::from_secs(30);

/// What one SCM knows and does.
#[derive(Default)]
pub(crate) struct Scm {
    /// Whether messages go astray.
    faulty: bool,
    /// Whether it answers at all.
    down: bool,
    cluster: Option<String>,
    /// It leads in this term.
    term: Option<i64>,
    registered: bool,
    pub(crate) beats: u64,
    longest_silence: Duration,
    last_beat: Option<Moment>,
    replicas: BTreeMap<i64, ContainerReplicaProto>,
    statuses: Vec<CommandStatus>,
    commands: Vec<ScmCommandProto>,
    queued: BTreeMap<i32, u32>,
    failed_volumes: usize,
    layout: u32,
    /// Requests that are on their way, and when they arrive.
    late: Vec<(Moment, ScmDatanodeRequest)>,
}

impl Scm {
    fn take_in(&mut self, request: &ScmDatanodeRequest, now: Moment) -> ScmDatanodeResponse {
        let mut response = ScmDatanodeResponse {
            cmd_type: request.cmd_type,
            status: Status::Ok.into(),
            ..Default::default()
        };
        if request.get_version_request.is_some() {
            let pair = |key: &str, value: &str| KeyValue { key: key.into(), value: Some(value.into()) };
            let cluster = self.cluster.as_deref().unwrap_or(CLUSTER);
            let keys = vec![pair("scmUuid", "s"), pair("clusterID", cluster)];
            response.get_version_response = Some(ScmVersionResponseProto { software_version: 1, keys });
        }
        if let Some(register) = &request.register_request {
            self.registered = true;
            self.layout = register.data_node_layout_version.unwrap().software_layout_version;
            self.full(&register.container_report);
            response.register_response = Some(ScmRegisteredResponseProto {
                error_code: 1,
                datanode_uuid: register.extended_datanode_details.datanode_details.uuid.clone().unwrap(),
                cluster_id: self.cluster.clone().unwrap_or(CLUSTER.into()),
                ..Default::default()
            });
        }
        if let Some(beat) = &request.send_heartbeat_request {
            let uuid = beat.datanode_details.uuid.clone().unwrap();
            let mut answer =
                ScmHeartbeatResponseProto { datanode_uuid: uuid, commands: Vec::new(), term: self.term };
            if !self.registered {
                answer.commands = vec![command(Kind::ReregisterCommand, self.term)];
            } else {
                self.beats += 1;
                if let Some(last) = self.last_beat.replace(now) {
                    self.longest_silence = self.longest_silence.max(now.since(last));
                }
                if let Some(full) = &beat.container_report {
                    self.full(full);
                }
                for one in beat.incremental_container_report.iter().flat_map(|one| &one.report) {
                    match one.state() {
                        container_replica_proto::State::Deleted => {
                            drop(self.replicas.remove(&one.container_id))
                        }
                        _ => drop(self.replicas.insert(one.container_id, one.clone())),
                    }
                }
                self.statuses
                    .extend(beat.command_status_reports.iter().flat_map(|one| one.cmd_status.clone()));
                let queued = beat.command_queue_report.clone().expect("every heartbeat has it");
                self.queued = queued.command.into_iter().zip(queued.count).collect();
                let storage = beat.node_report.iter().flat_map(|one| &one.storage_report);
                self.failed_volumes = storage.filter(|one| one.failed == Some(true)).count();
                if self.term.is_some() {
                    answer.commands = std::mem::take(&mut self.commands);
                }
            }
            response.send_heartbeat_response = Some(answer);
        }
        response
    }

    fn full(&mut self, report: &ContainerReportsProto) {
        self.replicas = report.reports.iter().map(|one| (one.container_id, one.clone())).collect();
    }
}

/// One SCM as the datanode reaches it.
#[derive(Clone)]
pub(crate) struct Link {
    scm: Arc<Mutex<Scm>>,
    clock: Clock,
    rng: SimRng,
    name: &'static str,
}

impl Link {
    pub(crate) fn scm(&self) -> MutexGuard<'_, Scm> {
        self.scm.lock().unwrap()
    }

    fn lost(&self) -> LinkError {
        LinkError { scm: self.name.into(), why: "no answer".into() }
    }
}

impl ScmLink for Link {
    fn name(&self) -> String {
        self.name.into()
    }

    async fn submit(&self, request: ScmDatanodeRequest) -> Result<ScmDatanodeResponseApart, LinkError> {
        let (down, faulty) = {
            let scm = self.scm();
            (scm.down, scm.faulty)
        };
        self.clock.sleep(Duration::from_micros(100 + self.rng.below(900))).await;
        if down {
            self.clock.sleep(Duration::from_millis(self.rng.below(5000))).await;
            return Err(self.lost());
        }
        let now = self.clock.now();
        // What was late arrives before this, out of its order.
        let due: Vec<_> = {
            let mut scm = self.scm();
            let (due, rest) = std::mem::take(&mut scm.late).into_iter().partition(|(at, _)| *at <= now);
            scm.late = rest;
            due
        };
        for (_, request) in due {
            self.scm().take_in(&request, now);
        }
        let fate = if faulty { self.rng.below(10) } else { 9 };
        match fate {
            0 => {
                self.clock.sleep(Duration::from_secs(5)).await;
                Err(self.lost())
            }
            1 => {
                self.scm().take_in(&request, now);
                self.clock.sleep(Duration::from_secs(5)).await;
                Err(self.lost())
            }
            2 => {
                let at = now + Duration::from_secs(5 + self.rng.below(40));
                self.scm().late.push((at, request));
                self.clock.sleep(Duration::from_secs(5)).await;
                Err(self.lost())
            }
            3 => {
                self.scm().take_in(&request, now);
                Ok(self.scm().take_in(&request, now).into())
            }
            _ => Ok(self.scm().take_in(&request, now).into()),
        }
    }
}

/// A datanode that talks with its SCMs, under virtual time.
struct Talk {
    world: World,
    links: Vec<Link>,
    stop: watch::Sender<bool>,
}

const NAMES: [&str; 3] = ["scm1", "scm2", "scm3"];

fn talk(seed: u64, scms: usize, change: impl FnOnce(&mut World)) -> Talk {
    let mut world = World::seeded(seed);
    world.config.scan.enabled = false;
    world.config.deletion.every = Duration::from_secs(20);
    (world.config.heartbeat_every, world.config.heartbeat_first) = (BEAT, Duration::from_secs(2));
    world.config.container_report_every = Duration::from_secs(600);
    change(&mut world);
    world.boot();
    let (clock, rng) = (world.sim().clock(), world.rng.clone());
    let link =
        |n: usize| Link { scm: Arc::default(), clock: clock.clone(), rng: rng.clone(), name: NAMES[n] };
    let links: Vec<_> = (0..scms).map(link).collect();
    let (stop, stopping) = watch::channel(false);
    let (lobby, events) = (world.lobby(), world.take_events());
    let (used, time) = (links.clone(), clock.clone());
    let control = world.sim().shards().run_on(ShardId(0), "control", move |_| async move {
        control::run(lobby, used, events, stopping, time).await;
    });
    drop(control.unwrap());
    Talk { world, links, stop }
}

impl Talk {
    fn run(&self, seconds: u64) {
        self.world.sim().run_for(Duration::from_secs(seconds));
    }

    fn scm(&self, n: usize) -> MutexGuard<'_, Scm> {
        self.links[n].scm()
    }

    fn fill(&self, container: i64, blocks: i64) {
        for local in 1..=blocks {
            self.world.put(container, local, &bytes((container * 100 + local) as u64, 5_000));
        }
    }

    /// The containers here and their states, as a full report would have them.
    fn truth(&self) -> BTreeMap<i64, i32> {
        self.world.replicas().iter().map(|one| (one.container.to_wire(), one.state.number())).collect()
    }
}

impl Drop for Talk {
    fn drop(&mut self) {
        self.stop.send_replace(true);
    }
}

fn command(kind: Kind, term: Option<i64>) -> ScmCommandProto {
    ScmCommandProto { command_type: kind.into(), term, ..Default::default() }
}

fn close(container: i64, cmd_id: i64, term: i64) -> ScmCommandProto {
    // A pipeline that nobody here is in, as of a container that is closed long after its pipeline.
    let uuid128 = Some(Uuid { most_sig_bits: container, least_sig_bits: 1 });
    let close = CloseContainerCommandProto {
        container_id: container,
        pipeline_id: PipelineId { id: None, uuid128 },
        cmd_id,
        force: Some(true),
    };
    ScmCommandProto {
        close_container_command_proto: Some(close),
        ..command(Kind::CloseContainerCommand, Some(term))
    }
}

fn delete(container: i64, cmd_id: i64, term: i64) -> ScmCommandProto {
    let delete =
        DeleteContainerCommandProto { container_id: container, cmd_id, force: true, replica_index: None };
    ScmCommandProto {
        delete_container_command_proto: Some(delete),
        ..command(Kind::DeleteContainerCommand, Some(term))
    }
}

fn delete_blocks(tx_id: i64, container: i64, blocks: &[i64], cmd_id: i64, term: i64) -> ScmCommandProto {
    let transaction = DeletedBlocksTransaction {
        tx_id,
        container_id: container,
        local_id: blocks.to_vec(),
        ..Default::default()
    };
    let delete = DeleteBlocksCommandProto { deleted_blocks_transactions: vec![transaction], cmd_id };
    ScmCommandProto {
        delete_blocks_command_proto: Some(delete),
        ..command(Kind::DeleteBlocksCommand, Some(term))
    }
}

#[test]
fn every_scm_knows_what_is_here_once_messages_come_through_again() {
    let seeds = match std::env::var("ALLOTROPE_SEED") {
        Ok(seed) => vec![seed.parse().unwrap()],
        Err(_) => (0..60).collect::<Vec<u64>>(),
    };
    for seed in seeds {
        let talk = talk(seed, 3, |_| {});
        let rng = talk.world.rng.clone();
        talk.scm(0).term = Some(1);
        for n in 0..3 {
            talk.scm(n).faulty = true;
        }
        let (mut cmd_id, mut wanted_gone) = (0, BTreeSet::new());
        for step in 0..12 {
            let container = 1 + rng.below(5) as i64;
            match rng.below(6) {
                0 | 1 if !wanted_gone.contains(&container) => {
                    // A closed one refuses it; that is its business.
                    let node = talk.world.node();
                    let (name, data) = (talk.world.name(), bytes(step, 4000));
                    let one = chunk(step as i64 + 1, 0, &data);
                    let block = id(container, step as i64 + 1);
                    talk.world.sim().run(async move {
                        send(node.clone(), write_chunk(&name, block, one.clone(), data)).await;
                        send(node, put_block(&name, block, vec![one], true)).await;
                    });
                }
                2 => {
                    cmd_id += 1;
                    talk.scm(0).commands.push(close(container, cmd_id, 1));
                }
                3 if rng.chance(1, 2) => {
                    cmd_id += 1;
                    wanted_gone.insert(container);
                    talk.scm(0).commands.push(delete(container, cmd_id, 1));
                }
                4 => {
                    cmd_id += 1;
                    talk.scm(0).commands.push(delete_blocks(cmd_id, container, &[1], cmd_id, 1));
                }
                _ => {
                    let n = rng.below(3) as usize;
                    // An SCM that starts anew knows nobody.
                    let mut scm = talk.scm(n);
                    (scm.registered, scm.replicas) = (false, BTreeMap::new());
                }
            }
            talk.run(rng.below(90));
        }
        for n in 0..3 {
            let mut scm = talk.scm(n);
            scm.faulty = false;
            // What came too late to matter to anybody is lost.
            scm.late.clear();
        }
        talk.run(700);
        let truth = talk.truth();
        for (n, name) in NAMES.iter().enumerate() {
            let scm = talk.scm(n);
            let known: BTreeMap<i64, i32> = scm.replicas.iter().map(|(id, one)| (*id, one.state)).collect();
            assert_eq!(known, truth, "seed {seed}: {name}");
            assert!(scm.queued.values().all(|count| *count == 0), "seed {seed}");
        }
    }
}

#[test]
fn a_lost_answer_costs_no_change_and_no_outcome() {
    let talk = talk(2, 1, |_| {});
    talk.scm(0).term = Some(1);
    talk.fill(1, 2);
    talk.run(60);
    talk.scm(0).commands = vec![close(1, 1, 1), delete_blocks(9, 1, &[1], 2, 1)];
    talk.run(31);
    // SCM goes away before it hears of the outcome.
    talk.scm(0).down = true;
    talk.run(120);
    assert!(talk.truth()[&1] == 4);
    talk.scm(0).down = false;
    talk.run(120);
    let scm = talk.scm(0);
    let ack = scm.statuses.iter().find(|one| one.cmd_id == 2).expect("the outcome is told");
    assert_eq!(ack.status(), command_status::Status::Executed);
    let result = &ack.block_deletion_ack.as_ref().unwrap().results[0];
    assert_eq!((result.tx_id, result.container_id, result.success), (9, 1, true));
    assert_eq!(scm.replicas[&1].state(), container_replica_proto::State::Closed);
}

#[test]
fn nothing_is_carried_out_before_a_majority_of_three_knows_the_datanode() {
    let talk = talk(3, 3, |_| {});
    (talk.scm(1).down, talk.scm(2).down) = (true, true);
    talk.scm(0).term = Some(4);
    talk.fill(1, 1);
    talk.scm(0).commands = vec![close(1, 1, 4)];
    talk.run(300);
    assert!(talk.scm(0).commands.is_empty(), "it was handed over");
    assert_eq!(talk.truth()[&1], 1, "one of three is no majority");
    assert_eq!(talk.scm(0).queued[&(Kind::CloseContainerCommand as i32)], 1);
    talk.scm(2).down = false;
    talk.run(120);
    assert_eq!(talk.truth()[&1], 4);
    assert_eq!(talk.scm(0).queued.get(&(Kind::CloseContainerCommand as i32)), None);
}

#[test]
fn a_command_of_an_old_leader_or_past_its_deadline_is_refused() {
    let talk = talk(4, 3, |_| {});
    for container in 1..=4 {
        talk.fill(container, 1);
    }
    talk.scm(0).term = Some(7);
    talk.run(60);
    // The old leader does not know yet that it lost.
    talk.scm(1).term = Some(6);
    let wall = talk.world.sim().clock().wall_ms() as i64;
    talk.scm(1).commands = vec![delete(1, 1, 6)];
    let late = ScmCommandProto { deadline_ms_since_epoch: Some(wall - 1), ..delete(2, 2, 7) };
    let soon = ScmCommandProto { deadline_ms_since_epoch: Some(wall + 600_000), ..close(3, 3, 7) };
    talk.scm(0).commands = vec![late, soon, close(4, 4, 7)];
    talk.run(90);
    assert_eq!(talk.truth(), BTreeMap::from([(1, 1), (2, 1), (3, 4), (4, 4)]));
}

#[test]
fn a_command_that_waited_past_its_deadline_is_refused_even_if_the_wall_clock_went_back() {
    use allotrope_datanode::control::queue::{Queue, Turned};
    let talk = talk(5, 1, |_| {});
    let start = talk.world.sim().clock().now();
    let at = |s: u64| start + Duration::from_secs(s);
    let deadline = |ms, cmd_id| ScmCommandProto { deadline_ms_since_epoch: Some(ms), ..close(1, cmd_id, 1) };
    let mut queue = Queue::new(1);
    let read = |command: ScmCommandProto| ScmCommand::try_from(command).unwrap();
    queue.push(read(deadline(100_000, 1)), at(0), 40_000).unwrap();
    queue.known_to(0, true);
    // Two minutes later by the clock that does not jump, an hour earlier by the one that does.
    assert_eq!(queue.next(at(120), 36_000), None);
    assert_eq!(queue.turned(Turned::Late), 1);
    // Far ahead by the wall: dropped, SCM asks again.
    queue.push(read(deadline(100_000, 2)), at(120), 40_000).unwrap();
    assert_eq!(queue.next(at(121), 5_000_000), None);
    assert_eq!(queue.push(read(deadline(100_000, 3)), at(121), 100_000), Err(Turned::Late));
    // Once heard of, a newer term turns away what waits of an older one; a repeated number runs once.
    queue.push(read(delete(1, 4, 1)), at(121), 0).unwrap();
    assert_eq!(queue.push(read(delete(1, 4, 1)), at(121), 0), Err(Turned::Repeated));
    queue.heard_term(Some(Term::new(2)));
    assert_eq!(queue.next(at(121), 0), None);
    assert_eq!((queue.turned(Turned::StaleTerm), queue.turned(Turned::Repeated)), (1, 1));
    // Two about one container run one after the other, others beside them.
    for (container, cmd_id) in [(1, 5), (1, 6), (2, 7)] {
        queue.push(read(close(container, cmd_id, 2)), at(122), 0).unwrap();
    }
    let (first, _) = queue.next(at(122), 0).unwrap();
    let (second, other) = queue.next(at(122), 0).unwrap();
    let ScmOrder::CloseContainerCommand(other) = other.call else { panic!("{other:?}") };
    assert_eq!(other.container_id, ContainerId::new(2));
    assert_eq!(queue.next(at(122), 0), None);
    assert_eq!(queue.counts()[&Kind::CloseContainerCommand], 3);
    queue.done(first);
    assert!(queue.next(at(122), 0).is_some());
    queue.done(second);
    // A closing's number is its container's: once it has ended it may come again.
    queue.push(read(close(3, 3, 2)), at(122), 0).unwrap();
    assert_eq!(queue.push(read(close(3, 3, 2)), at(122), 0), Err(Turned::Repeated));
    let third = std::iter::from_fn(|| queue.next(at(122), 0)).map(|(key, _)| key).last().unwrap();
    queue.done(third);
    queue.push(read(close(3, 3, 2)), at(122), 0).unwrap();
    assert!(queue.next(at(122), 0).is_some());
    queue.done(third);
    for n in 0..6000 {
        let pushed = queue.push(read(close(n, 100 + n, 2)), at(122), 0);
        assert_eq!(pushed.is_ok(), n < 5000, "{n}");
    }
    assert_eq!(queue.turned(Turned::Full), 1000);
}

#[test]
fn commands_nobody_knows_or_about_what_is_not_here_are_answered_and_change_nothing() {
    let talk = talk(6, 1, |_| {});
    talk.scm(0).term = Some(1);
    talk.fill(1, 1);
    talk.run(60);
    let before = talk.truth();
    let unknown = ScmCommandProto { command_type: 77, term: Some(1), ..Default::default() };
    let bare = command(Kind::CloseContainerCommand, Some(1));
    let replicate = ReplicateContainerCommandProto {
        container_id: 1,
        cmd_id: 31,
        replica_index: Some(0),
        ..Default::default()
    };
    let replicate = ScmCommandProto {
        replicate_container_command_proto: Some(replicate),
        ..command(Kind::ReplicateContainerCommand, Some(1))
    };
    talk.scm(0).commands = vec![
        unknown,
        bare,
        close(99, 32, 1),
        delete(98, 33, 1),
        delete(-5, 34, 1),
        delete_blocks(1, 97, &[1], 35, 1),
        replicate,
    ];
    talk.run(120);
    assert_eq!(talk.truth(), before);
    let scm = talk.scm(0);
    let of =
        |cmd_id| scm.statuses.iter().find(|one| one.cmd_id == cmd_id).unwrap_or_else(|| panic!("{cmd_id}"));
    assert_eq!(of(0).r#type(), Kind::UnknownScmCommand);
    assert!(of(0).msg.as_ref().unwrap().contains("77"));
    assert_eq!(of(31).status(), command_status::Status::Failed);
    assert!(!of(35).block_deletion_ack.as_ref().unwrap().results[0].success);
    assert!(scm.beats > 3, "heartbeats go on");
}

#[test]
fn a_malformed_command_is_refused_by_name_and_those_beside_it_are_carried_out() {
    let talk = talk(13, 1, |_| {});
    talk.scm(0).term = Some(1);
    talk.fill(1, 2);
    talk.run(60);
    let state = SetNodeOperationalStateCommandProto {
        cmd_id: 41,
        node_operational_state: 77,
        state_expiry_epoch_seconds: 0,
    };
    let state = ScmCommandProto {
        set_node_operational_state_command_proto: Some(state),
        ..command(Kind::SetNodeOperationalStateCommand, Some(1))
    };
    let mut nowhere = close(1, 42, 1);
    nowhere.close_container_command_proto.as_mut().unwrap().pipeline_id = PipelineId::default();
    talk.scm(0).commands = vec![
        delete(-1, 40, 1),
        state,
        nowhere,
        command(Kind::DeleteContainerCommand, Some(1)),
        delete_blocks(9, 1, &[1, -1], 43, 1),
        ScmCommandProto { term: Some(-2), ..delete(1, 44, 1) },
        close(1, 1, 1),
        delete_blocks(9, 1, &[1], 45, 1),
    ];
    talk.run(120);
    assert_eq!(talk.truth(), BTreeMap::from([(1, 4)]), "it is closed, and neither deleted nor left open");
    assert_eq!(talk.world.lobby().identity().operational_state, "IN_SERVICE");
    let scm = talk.scm(0);
    let of =
        |cmd_id| scm.statuses.iter().find(|one| one.cmd_id == cmd_id).unwrap_or_else(|| panic!("{cmd_id}"));
    let wrong = "DeleteContainerCommandProto.containerID holds a wrong value: ";
    for (cmd_id, kind, wrong) in [
        (40, Kind::DeleteContainerCommand, wrong),
        (
            41,
            Kind::SetNodeOperationalStateCommand,
            "SetNodeOperationalStateCommandProto.nodeOperationalState is 77, which names nothing",
        ),
        (42, Kind::CloseContainerCommand, "PipelineID lacks its field id"),
        (43, Kind::DeleteBlocksCommand, "DeletedBlocksTransaction.localID holds a wrong value: "),
        (44, Kind::DeleteContainerCommand, "SCMCommandProto.term holds a wrong value: "),
    ] {
        let told = of(cmd_id);
        assert_eq!((told.status(), told.r#type()), (command_status::Status::Failed, kind), "{told:?}");
        assert!(told.msg().starts_with(wrong), "{told:?}");
        assert_eq!(scm.statuses.iter().filter(|one| one.cmd_id == cmd_id).count(), 1, "{cmd_id}");
    }
    assert!(of(45).block_deletion_ack.as_ref().unwrap().results[0].success);
    assert_eq!(scm.statuses.len(), 6, "one that has no number is told of by nobody");
    assert!(scm.queued.values().all(|count| *count == 0));
}

#[test]
fn an_scm_of_another_cluster_is_not_obeyed() {
    let talk = talk(7, 2, |_| {});
    talk.scm(1).cluster = Some("CID-other".into());
    (talk.scm(0).term, talk.scm(1).term) = (Some(1), Some(9));
    talk.fill(1, 1);
    talk.scm(1).commands = vec![delete(1, 1, 9)];
    talk.run(300);
    assert!(!talk.scm(1).registered);
    assert_eq!(talk.truth()[&1], 1);
    // One of two is no majority either.
    talk.scm(0).commands = vec![close(1, 2, 1)];
    talk.run(120);
    assert_eq!(talk.truth()[&1], 1);
}

#[test]
fn a_disk_that_answers_after_half_a_minute_delays_no_heartbeat() {
    let talk = talk(8, 1, |world| world.config.heartbeat_every = Duration::from_secs(3));
    talk.scm(0).term = Some(1);
    talk.fill(1, 1);
    talk.fill(2, 1);
    talk.run(30);
    let node = talk.world.node();
    let paths = node.volumes()[0].paths().container(ContainerId::new(1));
    for act in [Act::Open, Act::Write, Act::Sync, Act::Read] {
        for nth in 0..2 {
            talk.world.disk.fault(act, paths.dir(), nth, SimFault::Delay(Duration::from_secs(30)));
        }
    }
    // The container whose disk is slow is closed, and beside it the other one.
    talk.scm(0).longest_silence = Duration::ZERO;
    talk.scm(0).commands = vec![close(1, 1, 1), close(2, 2, 1)];
    talk.run(25);
    assert_eq!(talk.truth()[&2], 4, "the other container does not wait");
    talk.run(300);
    assert_eq!(talk.truth()[&1], 4);
    let scm = talk.scm(0);
    assert!(scm.longest_silence < Duration::from_secs(4), "{:?}", scm.longest_silence);
}

#[test]
fn the_layout_to_announce_is_a_setting() {
    let talk = talk(9, 1, |world| world.config.layout_version = 12);
    talk.run(10);
    assert_eq!(talk.scm(0).layout, 12);
}

#[test]
fn blocks_that_scm_names_go_and_the_rest_stays() {
    let talk = talk(10, 1, |_| {});
    talk.scm(0).term = Some(1);
    talk.fill(1, 4);
    talk.run(60);
    talk.scm(0).commands = vec![close(1, 1, 1)];
    talk.run(60);
    talk.scm(0).commands = vec![delete_blocks(5, 1, &[1, 3], 2, 1)];
    talk.run(90);
    let name = talk.world.name();
    for (local, live) in [(1, false), (2, true), (3, false), (4, true)] {
        let answer = talk.world.refused(get_block(&name, id(1, local)));
        assert_eq!(answer == DatanodeResult::Success, live, "block {local}");
    }
    let paths = talk.world.node().volumes()[0].paths().container(ContainerId::new(1));
    assert!(talk.world.disk.contents(paths.block(LocalId::new(1))).is_none());
}

#[test]
fn a_deletion_that_comes_twice_or_late_takes_nothing_that_came_after_it() {
    use crate::replication::cut;
    let talk = talk(11, 1, |_| {});
    talk.scm(0).term = Some(2);
    let (archive, blocks) = cut::source(3);
    let comes = || {
        let pieces = cut::pieces(&archive, &talk.world.rng);
        cut::offer(&talk.world, pieces, 500_000).unwrap();
        talk.run(60);
        assert_eq!(talk.truth()[&cut::CONTAINER], 4);
    };
    comes();
    let deadline = talk.world.sim().clock().wall_ms() as i64 + 100_000;
    let dated = ScmCommandProto { deadline_ms_since_epoch: Some(deadline), ..delete(cut::CONTAINER, 1, 2) };
    talk.scm(0).commands = vec![dated.clone(), dated.clone()];
    talk.run(40);
    assert_eq!(talk.truth(), BTreeMap::new());
    // A copy has come since. What is said of it now was meant for the one that is gone, or makes no claim on its data.
    comes();
    let mut gentle = delete(cut::CONTAINER, 3, 2);
    gentle.delete_container_command_proto.as_mut().unwrap().force = false;
    talk.scm(0).commands = vec![dated, delete(cut::CONTAINER, 2, 1), gentle];
    talk.run(60);
    assert!(talk.scm(0).commands.is_empty(), "they were handed over");
    assert_eq!(talk.truth()[&cut::CONTAINER], 4);
    cut::check(&talk.world, &blocks);
    talk.scm(0).commands = vec![delete(cut::CONTAINER, 4, 2)];
    talk.run(60);
    assert_eq!(talk.truth(), BTreeMap::new());
}

#[test]
fn a_datanode_that_no_scm_hears_serves_on_and_tells_afterwards() {
    let talk = talk(12, 3, |_| {});
    talk.scm(0).term = Some(1);
    talk.fill(1, 3);
    talk.run(90);
    (0..3).for_each(|n| talk.scm(n).down = true);
    talk.run(3600);
    let (name, data) = (talk.world.name(), bytes(101, 5_000));
    assert_eq!(talk.world.read(1, 1, 0, 5_000), data, "what is here is read");
    talk.fill(2, 2);
    talk.world.expect(close_container(&name, 1));
    talk.run(3600);
    (0..3).for_each(|n| talk.scm(n).down = false);
    talk.run(120);
    assert_eq!(talk.truth(), BTreeMap::from([(1, 4), (2, 1)]));
    for (n, name) in NAMES.iter().enumerate() {
        let scm = talk.scm(n);
        let known: BTreeMap<i64, i32> = scm.replicas.iter().map(|(id, one)| (*id, one.state)).collect();
        assert_eq!(known, talk.truth(), "{name}");
    }
}
