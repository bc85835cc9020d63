//! Three members over a network in memory: one namespace, whoever leads.

#![allow(clippy::disallowed_methods, reason = "members elect on tokio's clock, and the tests wait for them")]

use std::collections::BTreeMap;
use std::future::Future;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use allotrope_consensus::network::memory::MemoryNetwork;
use allotrope_consensus::{
    Beginning, CallId, ClientId, Clock as _, ClusterId, Handle, Member, MemberId, Origin, Replica,
    ReplicaConfig, RocksShared, Role, Surroundings, SystemClock,
};
use allotrope_proto::hdds::{
    BlockId, ContainerBlockId, GetScmInfoResponseProto, Pipeline, PipelineId, TransferLeadershipRequestProto,
};
use allotrope_proto::om::*;
use allotrope_proto::rpc::FaultKind;
use allotrope_proto::scm_block::KeyBlocks;
use allotrope_types::{BucketLayout, OmStatus};

use super::world::*;
use crate::blocks::Blocks;
use crate::directory::{Directory, OmAddress};
use crate::machine::Namespace;
use crate::refusal::Refusal;
use crate::requests::{BlockWish, Who};
use crate::server::{Draws, OmService};
use crate::settings::Settings;

/// Gives out blocks of one container.
#[derive(Default)]
struct OneContainer(AtomicI64);

impl Blocks for OneContainer {
    fn allocate(
        &self,
        wish: &BlockWish,
        _: &str,
    ) -> impl Future<Output = Result<Vec<KeyLocation>, Refusal>> + Send {
        let given = (0..wish.count)
            .map(|_| {
                let local_id = self.0.fetch_add(1, Ordering::Relaxed);
                let id = ContainerBlockId { container_id: 7, local_id };
                KeyLocation {
                    block_id: BlockId { container_block_id: id, block_commit_sequence_id: Some(0) },
                    offset: 0,
                    length: wish.size,
                    pipeline: Some(Pipeline { id: PipelineId::default(), ..Pipeline::default() }),
                    ..KeyLocation::default()
                }
            })
            .collect();
        std::future::ready(Ok(given))
    }

    fn locate(
        &self,
        containers: &[i64],
    ) -> impl Future<Output = Result<BTreeMap<i64, Pipeline>, Refusal>> + Send {
        std::future::ready(Ok(containers.iter().map(|id| (*id, Pipeline::default())).collect()))
    }

    fn delete(&self, keys: Vec<KeyBlocks>) -> impl Future<Output = Result<Vec<bool>, Refusal>> + Send {
        std::future::ready(Ok(vec![true; keys.len()]))
    }

    fn safe_mode(&self, _: bool) -> impl Future<Output = Result<bool, Refusal>> + Send {
        std::future::ready(Ok(false))
    }

    fn info(&self) -> impl Future<Output = Result<GetScmInfoResponseProto, Refusal>> + Send {
        std::future::ready(Ok(GetScmInfoResponseProto::default()))
    }
}

struct Om {
    replica: Handle<Namespace>,
    service: OmService<OneContainer>,
}

/// Three OMs and a client that asks whoever leads.
struct Three {
    network: MemoryNetwork,
    dir: tempfile::TempDir,
    oms: BTreeMap<u64, Om>,
    call: u64,
}

const PATIENCE: Duration = Duration::from_secs(30);

fn founders(count: u64) -> BTreeMap<MemberId, Member> {
    (1..=count).map(|id| (MemberId(id), Member { name: format!("om{id}"), address: String::new() })).collect()
}

async fn run(dir: &Path, network: &MemoryNetwork, id: u64) -> Om {
    run_member(dir, network, id, founders(3)).await
}

async fn start_replica(
    dir: &Path,
    network: &MemoryNetwork,
    id: u64,
    founders: BTreeMap<MemberId, Member>,
) -> Result<Handle<Namespace>, allotrope_consensus::StartError> {
    let mut config = ReplicaConfig::new(
        dir.join(format!("om{id}")),
        ClusterId("test".into()),
        MemberId(id),
        Beginning::Found(founders),
    );
    // Quicker than by default, so that the test is.
    config.heartbeat = Duration::from_millis(100);
    config.election_timeout_min = Duration::from_millis(400);
    config.election_timeout_max = Duration::from_millis(800);
    let surroundings = Surroundings {
        rocks: RocksShared::new(8 << 20, 8 << 20).unwrap(),
        network: Arc::new(network.clone()),
        clock: Arc::new(SystemClock),
    };
    Replica::start(config, surroundings, Namespace).await
}

async fn run_member(
    dir: &Path,
    network: &MemoryNetwork,
    id: u64,
    founders: BTreeMap<MemberId, Member>,
) -> Om {
    // The database of one that was just stopped is closed when its last task lets go of it.
    let replica = loop {
        match start_replica(dir, network, id, founders.clone()).await {
            Ok(replica) => break replica,
            Err(error) if format!("{error:?}").contains("lock hold by current process") => {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
            Err(error) => panic!("{error:?}"),
        }
    };
    network.join(MemberId(id), &replica.service());
    let om = |id: u64| OmAddress { node_id: format!("om{id}"), host: "localhost".into(), rpc_port: 1 };
    let directory = Directory {
        node_id: format!("om{id}"),
        oms: (1..=3).map(om).collect(),
        scms: vec![("localhost".into(), 1)],
    };
    let upload = AtomicI64::new(0);
    let draws = Draws {
        upload_ids: Arc::new(move || format!("upload-{id}-{}", upload.fetch_add(1, Ordering::Relaxed))),
        random: Arc::new(|| 7),
    };
    let settings = Settings { block_size: ONE_BLOCK, ..Settings::default() };
    let blocks = Arc::new(OneContainer(AtomicI64::new(i64::try_from(id).unwrap() << 32)));
    let service = OmService::new(replica.clone(), blocks, settings, directory, Arc::new(SystemClock), draws);
    Om { replica, service }
}

impl Three {
    async fn start() -> Three {
        let (network, dir) = (MemoryNetwork::default(), tempfile::tempdir().unwrap());
        let mut oms = BTreeMap::new();
        for id in 1..=3 {
            oms.insert(id, run(dir.path(), &network, id).await);
        }
        Three { network, dir, oms, call: 0 }
    }

    fn leader(&self) -> Option<u64> {
        self.oms.iter().find(|(_, om)| om.replica.status().now().role == Role::Leader).map(|(id, _)| *id)
    }

    /// Asks with the name `call` until some member answers; the others say that they do not lead.
    async fn ask_as(&self, call: u64, request: &OmRequest) -> OmResponse {
        let who = Who { user: "ann".into(), address: "127.0.0.1".into() };
        let origin = Origin::Client { client: ClientId([7; 16]), call: CallId(call) };
        let asking = async {
            loop {
                for om in self.oms.values() {
                    match om.service.answer(&who, origin, request.clone()).await {
                        Ok(response) => return response,
                        Err(fault) => assert_eq!(fault.kind(), FaultKind::Application, "{fault}"),
                    }
                }
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        tokio::time::timeout(PATIENCE, asking).await.unwrap()
    }

    async fn ok(&mut self, request: OmRequest) -> OmResponse {
        self.call += 1;
        let response = self.ask_as(self.call, &request).await;
        assert_eq!(status(&response), OmStatus::Ok, "{:?}", response.message);
        response
    }

    /// Another member leads afterwards.
    async fn hand_over(&mut self) {
        let before = self.wait_for_leader().await;
        let to = self.oms.keys().copied().find(|id| *id != before).unwrap();
        let asked = TransferLeadershipRequestProto { new_leader_id: format!("om{to}") };
        let asked = OmRequest {
            transfer_om_leadership_request: Some(Box::new(asked)),
            ..request(Type::TransferLeadership)
        };
        let who = Who { user: "om".into(), ..Who::default() };
        let answer = self.oms[&before].service.answer(&who, Origin::Service, asked).await.unwrap();
        assert_eq!(status(&answer), OmStatus::Ok, "{:?}", answer.message);
        assert_eq!(self.wait_for_leader().await, to);
    }

    async fn wait_for_leader(&self) -> u64 {
        let waiting = async {
            loop {
                if let Some(id) = self.leader() {
                    return id;
                }
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        tokio::time::timeout(PATIENCE, waiting).await.unwrap()
    }

    /// Ends one member as a crash of its process would, and starts it again on its files.
    async fn restart(&mut self, id: u64) {
        let om = self.oms.remove(&id).unwrap();
        om.replica.shutdown(Duration::ZERO).await;
        drop(om);
        let om = run(self.dir.path(), &self.network, id).await;
        self.oms.insert(id, om);
    }

    async fn end(self) {
        for om in self.oms.values() {
            om.replica.shutdown(Duration::from_secs(5)).await;
        }
    }
}

fn a_bucket() -> OmRequest {
    let mut info = bucket("vol", "bkt");
    info.bucket_layout = Some(BucketLayout::ObjectStore.number());
    info.default_replication_config = Some(one_copy());
    create_bucket(info)
}

#[tokio::test(flavor = "multi_thread")]
async fn leadership_is_handed_to_a_member_by_name() {
    let mut three = Three::start().await;
    three.ok(create_volume("vol")).await;
    three.hand_over().await;
    three.ok(info_volume("vol")).await;
    let list = three.ok(request(Type::ServiceList)).await.service_list_response.unwrap();
    let roles: Vec<String> =
        list.service_info.iter().filter_map(|s| Some(s.om_role.as_ref()?.server_role.clone())).collect();
    assert_eq!(roles.len(), 3);
    three.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_retried_request_is_done_once_whoever_leads() {
    let mut three = Three::start().await;
    three.ok(create_volume("vol")).await;
    three.ok(a_bucket()).await;
    three.call += 1;
    let (call, asked) = (three.call, create_key(key_args("key")));
    let first = three.ask_as(call, &asked).await;
    three.hand_over().await;
    // The new leader has the answer from the log: the same session, not another one.
    let again = three.ask_as(call, &asked).await;
    assert_eq!(first.create_key_response, again.create_key_response);
    three.call += 1;
    let (call, session) = (three.call, first.create_key_response.unwrap().id.unwrap());
    let commit = commit_key("key", session, 0, Vec::new());
    assert_eq!(status(&three.ask_as(call, &commit).await), OmStatus::Ok);
    let leader = three.wait_for_leader().await;
    three.restart(leader).await;
    // A second commit would find no session; the retry of the first is answered as it was.
    assert_eq!(status(&three.ask_as(call, &commit).await), OmStatus::Ok);
    three.call += 1;
    assert_eq!(status(&three.ask_as(three.call, &commit).await), OmStatus::KeyNotFound);
    three.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_multipart_upload_goes_on_under_another_leader() {
    let mut three = Three::start().await;
    three.ok(create_volume("vol")).await;
    three.ok(a_bucket()).await;
    let asked = MultipartInfoInitiateRequest { key_args: key_args("key"), schema_version: None };
    let asked = OmRequest {
        initiate_multi_part_upload_request: Some(Box::new(asked)),
        ..request(Type::InitiateMultiPartUpload)
    };
    let upload = three.ok(asked).await.initiate_multi_part_upload_response.unwrap().multipart_upload_id;
    let mut parts = Vec::new();
    for number in 1..=3 {
        let args = KeyArgs {
            is_multipart_key: Some(true),
            multipart_number: Some(number),
            multipart_upload_id: Some(upload.clone()),
            ..key_args("key")
        };
        let opened = three.ok(create_key(args.clone())).await.create_key_response.unwrap();
        let session = opened.id.unwrap();
        // Another leader between opening and committing, and between parts.
        three.hand_over().await;
        let mut locations = Vec::new();
        for _ in 0..5 {
            let given = three.ok(allocate_block("key", session)).await.allocate_block_response.unwrap();
            locations.push(given.key_location.unwrap());
        }
        let key_args = KeyArgs { data_size: Some(5 * ONE_BLOCK), key_locations: locations, ..args };
        let asked = MultipartCommitUploadPartRequest { key_args, client_id: session };
        let asked = OmRequest {
            commit_multi_part_upload_request: Some(Box::new(asked)),
            ..request(Type::CommitMultiPartUpload)
        };
        let part = three.ok(asked).await.commit_multi_part_upload_response.unwrap();
        parts.push(Part { part_number: number, part_name: part.part_name.unwrap(), e_tag: None });
    }
    three.hand_over().await;
    let key_args = KeyArgs { multipart_upload_id: Some(upload), ..key_args("key") };
    let asked = MultipartUploadCompleteRequest { key_args, parts_list: parts };
    let asked = OmRequest {
        complete_multi_part_upload_request: Some(Box::new(asked)),
        ..request(Type::CompleteMultiPartUpload)
    };
    three.ok(asked).await;
    let key = three.ok(get_key_info("key")).await.get_key_info_response.unwrap().key_info.unwrap();
    assert_eq!(key.data_size, 15 * ONE_BLOCK);
    // Every member has the same rows.
    let wanted = three.oms.values().map(|om| om.replica.status().now().last_log).max().unwrap();
    for om in three.oms.values() {
        om.replica.status().wait_for(PATIENCE, |s| s.applied >= wanted).await.unwrap();
        let found = om.replica.read_local(|view| {
            crate::tx::Db::new(view)
                .get(crate::tables::KEYS, &crate::tables::ObjectKey::of("vol", "bkt", "key"))
                .unwrap()
        });
        assert_eq!(found.map(|key| key.data_size), Some(15 * ONE_BLOCK));
    }
    three.end().await;
}

/// One OM on real files, asked from a thread that may block.
struct Alone {
    runtime: tokio::runtime::Runtime,
    network: MemoryNetwork,
    dir: tempfile::TempDir,
    om: Option<Om>,
}

impl Alone {
    fn start() -> Alone {
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        let (network, dir) = (MemoryNetwork::default(), tempfile::tempdir().unwrap());
        let mut alone = Alone { runtime, network, dir, om: None };
        alone.run();
        alone
    }

    fn run(&mut self) {
        let starting = run_member(self.dir.path(), &self.network, 1, founders(1));
        self.om = Some(self.runtime.block_on(starting));
    }

    /// As a crash of the process: nothing is finished, and the next start finds what was synced.
    fn crash(&mut self) {
        let om = self.om.take().unwrap();
        self.runtime.block_on(om.replica.shutdown(Duration::ZERO));
        drop(om);
        self.run();
    }
}

impl super::model::Asked for Alone {
    fn ask(&mut self, request: OmRequest) -> OmResponse {
        let om = self.om.as_ref().unwrap();
        let who = Who { user: "ann".into(), address: "127.0.0.1".into() };
        self.runtime.block_on(async {
            let asking = async {
                loop {
                    match om.service.answer(&who, Origin::Service, request.clone()).await {
                        Ok(response) => return response,
                        Err(_) => tokio::time::sleep(Duration::from_millis(5)).await,
                    }
                }
            };
            tokio::time::timeout(PATIENCE, asking).await.unwrap()
        })
    }

    fn empty_deleted_directories(&mut self) {
        let om = self.om.as_ref().unwrap();
        let stepping = async { while crate::deletion::step_directories(&om.replica).await.unwrap() > 0 {} };
        self.runtime.block_on(stepping);
    }
}

#[test]
fn a_crash_between_any_two_requests_loses_nothing() {
    for seed in super::model::seeds(20..22) {
        for layout in [BucketLayout::ObjectStore, BucketLayout::FileSystemOptimized] {
            use super::model::Asked as _;
            let mut alone = Alone::start();
            alone.ask(create_volume("vol"));
            let mut info = bucket("vol", "bkt");
            info.bucket_layout = Some(layout.number());
            info.default_replication_config = Some(one_copy());
            alone.ask(create_bucket(info));
            // About one step in twenty is followed by a crash, seen through a cell that the model does not know of.
            let alone = std::cell::RefCell::new(alone);
            let mut through = Through(&alone);
            super::model::compare(&mut through, layout, seed, 150, &mut |_, drawn| {
                if drawn < 50 {
                    alone.borrow_mut().crash();
                }
            });
        }
    }
}

struct Through<'a>(&'a std::cell::RefCell<Alone>);

impl super::model::Asked for Through<'_> {
    fn ask(&mut self, request: OmRequest) -> OmResponse {
        self.0.borrow_mut().ask(request)
    }
    fn empty_deleted_directories(&mut self) {
        self.0.borrow_mut().empty_deleted_directories();
    }
}

#[test]
fn trash_is_emptied_when_its_time_is_over() {
    use super::model::Asked as _;
    let mut alone = Alone::start();
    alone.ask(create_volume("vol"));
    let mut info = bucket("vol", "bkt");
    info.bucket_layout = Some(BucketLayout::FileSystemOptimized.number());
    alone.ask(create_bucket(info));
    for user in ["ann", "bob"] {
        alone.ask(create_directory(&format!(".Trash/{user}/Current/dir")));
    }
    alone.ask(create_directory("kept"));
    let kept = Duration::from_secs(60);
    let now = SystemClock.unix_ms();
    let round = |alone: &Alone, now| {
        let om = alone.om.as_ref().unwrap();
        alone.runtime.block_on(crate::trash::round(&om.service, now, kept)).unwrap();
    };
    let list = |alone: &mut Alone, path: &str| {
        let asked = ListStatusRequest { key_args: key_args(path), num_entries: 9, ..Default::default() };
        let asked =
            OmRequest { list_status_request: Some(Box::new(asked)), ..request(Type::ListStatusLight) };
        let found = alone.ask(asked).list_status_light_response.unwrap_or_default().statuses;
        found.into_iter().map(|found| found.basic_key_info.unwrap().key_name.unwrap()).collect::<Vec<_>>()
    };
    // What was thrown away is set aside under the time, whole, and thrown away things gather anew.
    round(&alone, now);
    let aside = list(&mut alone, ".Trash/ann");
    assert!(aside.len() == 1 && !aside[0].ends_with("Current"), "{aside:?}");
    assert_eq!(list(&mut alone, &aside[0]), [format!("{}/dir", aside[0])]);
    // Before its time nothing goes.
    round(&alone, now + 1000);
    assert_eq!(list(&mut alone, ".Trash/ann"), aside);
    round(&alone, now + 3_600_000);
    assert_eq!(list(&mut alone, ".Trash/ann"), Vec::<String>::new());
    assert_eq!(list(&mut alone, ".Trash/bob"), Vec::<String>::new());
    assert_eq!(list(&mut alone, ""), [".Trash", "kept"]);
}
