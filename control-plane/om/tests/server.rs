//! An OM as a server: a real replica on real files, asked over Hadoop RPC, with an SCM that answers on the wire.
#![allow(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    reason = "tests wait on tokio's clock and unwrap what they set up"
)]

mod scm;

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use allotrope_consensus::{RocksShared, SystemClock};
use allotrope_om::deletion::DeletionPace;
use allotrope_om::expiry::Expiry;
use allotrope_om::settings::Settings;
use allotrope_om::{Config, Running, ScmAddress, ScmTransport, World, start};
use allotrope_proto::grpc::{GrpcClient, GrpcClientConfig};
use allotrope_proto::hadoop_rpc::{ClientConfig, HadoopClient};
use allotrope_proto::hdds;
use allotrope_proto::hdds::DefaultReplicationConfig;
use allotrope_proto::net::{Plain, Target};
use allotrope_proto::om::*;
use allotrope_proto::ops::Operators;
use allotrope_proto::rpc::catalog::OmSubmit;
use allotrope_proto::rpc::{CallOptions, ClientId, RpcClient};
use scm::Scm;

const PATIENCE: Duration = Duration::from_secs(20);

async fn om(dir: &Path, scm: &Scm) -> Running {
    let anywhere = SocketAddr::from(([127, 0, 0, 1], 0));
    let config = Config {
        dir: dir.to_owned(),
        node_id: "om1".into(),
        host: "127.0.0.1".into(),
        rpc: anywhere,
        grpc: anywhere,
        operators: Operators::default(),
        consensus: anywhere,
        members: Vec::new(),
        joins: false,
        scms: vec![ScmAddress { host: "127.0.0.1".into(), block_port: scm.port, container_port: scm.port }],
        scm_transport: ScmTransport::HadoopRpc,
        scm_wait_max: PATIENCE,
        settings: Settings { block_size: 1 << 20, ..Settings::default() },
        deletion: DeletionPace { interval: Duration::from_millis(50), rows_max: 100 },
        expiry: Expiry::default(),
        trash_kept: None,
    };
    let world = World {
        rocks: RocksShared::new(8 << 20, 8 << 20).unwrap(),
        clock: Arc::new(SystemClock),
        random: Arc::new(|| 0x1234_5678_9abc_def0_1234_5678_9abc_def0),
    };
    start(config, world).await.unwrap()
}

struct Client(HadoopClient<Plain>);

impl Client {
    fn of(om: &Running) -> Client {
        Client::named(om, 7)
    }

    /// A client of another name: its calls are no retries of another's.
    fn named(om: &Running, name: u8) -> Client {
        let config = ClientConfig { user: Some("ann".into()), ..ClientConfig::default() };
        Client(HadoopClient::new(Target::from(om.rpc), Plain, ClientId::from_bytes([name; 16]), config))
    }

    /// Asks until this OM leads, which it does soon after its start.
    async fn ask(&self, request: OmRequest) -> OmResponse {
        self.ask_as(self.0.next_call_id(), request).await
    }

    async fn ask_as(&self, call: i32, request: OmRequest) -> OmResponse {
        let options = CallOptions { call_id: Some(call), ..CallOptions::default() };
        let asked = async {
            loop {
                match self.0.call::<OmSubmit>(&request, &options).await {
                    Ok(response) => return response,
                    Err(error) => assert!(error.remote_class().is_some(), "{error}"),
                }
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        };
        tokio::time::timeout(PATIENCE, asked).await.unwrap()
    }

    async fn ok(&self, request: OmRequest) -> OmResponse {
        let response = self.ask(request).await;
        assert_eq!(response.status, Status::Ok as i32, "{:?}", response.message);
        response
    }
}

fn request(kind: Type) -> OmRequest {
    OmRequest { cmd_type: kind as i32, client_id: "test".into(), ..OmRequest::default() }
}

fn create_volume(volume: &str) -> OmRequest {
    let volume_info = VolumeInfo { volume: volume.into(), owner_name: "ann".into(), ..VolumeInfo::default() };
    OmRequest {
        create_volume_request: Some(Box::new(CreateVolumeRequest { volume_info })),
        ..request(Type::CreateVolume)
    }
}

fn create_bucket() -> OmRequest {
    let one_copy = DefaultReplicationConfig { r#type: 2, factor: Some(1), ec_replication_config: None };
    let bucket_info = BucketInfo {
        volume_name: "vol".into(),
        bucket_name: "bkt".into(),
        bucket_layout: Some(BucketLayoutProto::ObjectStore as i32),
        default_replication_config: Some(one_copy),
        ..BucketInfo::default()
    };
    OmRequest {
        create_bucket_request: Some(Box::new(CreateBucketRequest { bucket_info })),
        ..request(Type::CreateBucket)
    }
}

fn key_args() -> KeyArgs {
    KeyArgs {
        volume_name: "vol".into(),
        bucket_name: "bkt".into(),
        key_name: "a/key".into(),
        data_size: Some(10),
        ..KeyArgs::default()
    }
}

fn get_key_info() -> OmRequest {
    let asked = GetKeyInfoRequest { key_args: key_args(), assume_s3_context: None };
    OmRequest { get_key_info_request: Some(Box::new(asked)), ..request(Type::GetKeyInfo) }
}

async fn write_key(client: &Client) {
    let asked = CreateKeyRequest { key_args: key_args(), ..CreateKeyRequest::default() };
    let created =
        client.ok(OmRequest { create_key_request: Some(Box::new(asked)), ..request(Type::CreateKey) }).await;
    let created = created.create_key_response.unwrap();
    let mut locations = created.key_info.unwrap().key_location_list.remove(0).key_locations;
    assert!(!locations[0].pipeline.as_ref().unwrap().members.is_empty());
    locations[0].length = 10;
    let key_args = KeyArgs { key_locations: locations, ..key_args() };
    let asked = CommitKeyRequest { key_args, client_id: created.id.unwrap(), ..CommitKeyRequest::default() };
    let committed =
        client.ok(OmRequest { commit_key_request: Some(Box::new(asked)), ..request(Type::CommitKey) }).await;
    assert_eq!(committed.leader_om_node_id(), "om1");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restart_keeps_what_was_acknowledged() {
    let (dir, scm) = (tempfile::tempdir().unwrap(), Scm::start().await);
    let running = om(dir.path(), &scm).await;
    let client = Client::of(&running);
    client.ok(create_volume("vol")).await;
    client.ok(create_bucket()).await;
    write_key(&client).await;
    let before = client.ok(get_key_info()).await;
    let places = &before.get_key_info_response.as_ref().unwrap().key_info.as_ref().unwrap().key_location_list;
    assert!(places[0].key_locations[0].pipeline.is_some());
    let identity = running.identity.clone();
    assert_eq!(identity.cluster_id, "CID-test");
    running.shutdown(PATIENCE).await;

    let running = om(dir.path(), &scm).await;
    assert_eq!(running.identity, identity);
    let after = Client::of(&running).ok(get_key_info()).await;
    assert_eq!(before, after);
    running.shutdown(PATIENCE).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn both_wires_see_one_namespace() {
    let (dir, scm) = (tempfile::tempdir().unwrap(), Scm::start().await);
    let running = om(dir.path(), &scm).await;
    Client::of(&running).ok(create_volume("vol")).await;
    for address in [running.grpc, running.rpc] {
        let config = GrpcClientConfig::default();
        let client =
            GrpcClient::new(Target::from(address), Plain, ClientId::from_bytes([9; 16]), config).unwrap();
        let asked = InfoVolumeRequest { volume_name: "vol".into() };
        let asked = OmRequest { info_volume_request: Some(Box::new(asked)), ..request(Type::InfoVolume) };
        let response = client.call::<OmSubmit>(&asked, &CallOptions::default()).await.unwrap();
        assert_eq!(response.info_volume_response.unwrap().volume_info.unwrap().owner_name, "ann");
    }
    running.shutdown(PATIENCE).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_repeated_call_is_done_once() {
    let (dir, scm) = (tempfile::tempdir().unwrap(), Scm::start().await);
    let running = om(dir.path(), &scm).await;
    let client = Client::of(&running);
    let call = client.0.next_call_id();
    let first = client.ask_as(call, create_volume("vol")).await;
    let again = client.ask_as(call, create_volume("vol")).await;
    assert_eq!((first.status, &first), (Status::Ok as i32, &again));
    let new = client.ask(create_volume("vol")).await;
    assert_eq!(new.status, Status::VolumeAlreadyExists as i32);
    running.shutdown(PATIENCE).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn deleted_blocks_are_handed_to_scm() {
    let (dir, scm) = (tempfile::tempdir().unwrap(), Scm::start().await);
    let running = om(dir.path(), &scm).await;
    let client = Client::of(&running);
    client.ok(create_volume("vol")).await;
    client.ok(create_bucket()).await;
    write_key(&client).await;
    let asked = DeleteKeyRequest { key_args: key_args() };
    client.ok(OmRequest { delete_key_request: Some(Box::new(asked)), ..request(Type::DeleteKey) }).await;
    let handed = async {
        while scm.deleted().is_empty() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(PATIENCE, handed).await.unwrap();
    assert_eq!(scm.deleted()[0].size, [10]);
    running.shutdown(PATIENCE).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_service_list_names_this_manager_and_scm() {
    let (dir, scm) = (tempfile::tempdir().unwrap(), Scm::start().await);
    let running = om(dir.path(), &scm).await;
    let asked = OmRequest {
        service_list_request: Some(Box::new(ServiceListRequest {})),
        ..request(Type::ServiceList)
    };
    let list = Client::of(&running).ok(asked).await.service_list_response.unwrap().service_info;
    let om = &list[0];
    assert_eq!(om.om_role.as_ref().map(|role| role.server_role.as_str()), Some("LEADER"));
    assert_eq!(om.service_ports[0].value, u32::from(running.rpc.port()));
    assert_eq!(list[1].service_ports[0].value, u32::from(scm.port));
    running.shutdown(PATIENCE).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_supported_says_so_by_name() {
    use allotrope_om::requests::{Answer, table};
    let (dir, scm) = (tempfile::tempdir().unwrap(), Scm::start().await);
    let running = om(dir.path(), &scm).await;
    let client = Client::of(&running);
    for row in table::ROWS {
        if let Answer::NotSupported(_) | Answer::Internal(_) = row.answer {
            let response = client.ask(request(row.request)).await;
            assert_eq!(response.status, Status::NotSupportedOperation as i32, "{:?}", row.request);
            assert!(response.message().contains(row.request.as_str_name()), "{:?}", response.message);
        }
    }
    running.shutdown(PATIENCE).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_command_without_its_payload_is_an_empty_one() {
    let (dir, scm) = (tempfile::tempdir().unwrap(), Scm::start().await);
    let running = om(dir.path(), &scm).await;
    let client = Client::of(&running);
    assert_eq!(client.ask(request(Type::InfoVolume)).await.status, Status::VolumeNotFound as i32);
    // No request may take the server down, whatever it lacks.
    for number in (0..200).filter(|number| Type::try_from(*number).is_ok()) {
        client.ask(OmRequest { cmd_type: number, ..request(Type::InfoVolume) }).await;
    }
    client.ok(create_volume("vol")).await;
    running.shutdown(PATIENCE).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_service_is_finalized() {
    let (dir, scm) = (tempfile::tempdir().unwrap(), Scm::start().await);
    let running = om(dir.path(), &scm).await;
    let client = Client::of(&running);
    let done = hdds::upgrade_finalization_status::Status::AlreadyFinalized as i32;
    let progress = client.ok(request(Type::FinalizeUpgradeProgress)).await;
    assert_eq!(progress.finalize_upgrade_progress_response.unwrap().status.status, done);
    let started = client.ok(request(Type::FinalizeUpgrade)).await;
    assert_eq!(started.finalize_upgrade_response.unwrap().status.status, done);
    running.shutdown(PATIENCE).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_prepared_service_takes_no_writes() {
    use prepare_status_response::PrepareStatus;
    let (dir, scm) = (tempfile::tempdir().unwrap(), Scm::start().await);
    let running = om(dir.path(), &scm).await;
    let client = Client::of(&running);
    let status = async |client: &Client| {
        let asked = OmRequest {
            prepare_status_request: Some(Box::new(PrepareStatusRequest { txn_id: 0 })),
            ..request(Type::PrepareStatus)
        };
        client.ok(asked).await.prepare_status_response.unwrap().status
    };
    assert_eq!(status(&client).await, PrepareStatus::NotPrepared as i32);
    client.ok(create_volume("vol")).await;
    let first = client.ok(request(Type::Prepare)).await.prepare_response.unwrap().txn_id;
    let again = client.ok(request(Type::Prepare)).await.prepare_response.unwrap().txn_id;
    assert!(first > 0 && first == again);
    assert_eq!(status(&client).await, PrepareStatus::PrepareCompleted as i32);
    let refused = client.ask(create_volume("other")).await;
    assert_eq!(refused.status, Status::NotSupportedOperationWhenPrepared as i32);
    running.shutdown(PATIENCE).await;
    // It stays so over a restart, until it is cancelled.
    let running = om(dir.path(), &scm).await;
    let client = Client::named(&running, 8);
    let refused = client.ask(create_volume("other")).await;
    assert_eq!(refused.status, Status::NotSupportedOperationWhenPrepared as i32);
    client.ok(request(Type::CancelPrepare)).await;
    client.ok(create_volume("other")).await;
    assert_eq!(status(&client).await, PrepareStatus::NotPrepared as i32);
    running.shutdown(PATIENCE).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_echo_has_the_length_that_was_asked_for() {
    let (dir, scm) = (tempfile::tempdir().unwrap(), Scm::start().await);
    let running = om(dir.path(), &scm).await;
    let client = Client::of(&running);
    for (kib, read_only, len) in [(0, true, 0), (3, true, 3072), (2, false, 2048), (-1, true, 0)] {
        let asked = EchoRpcRequest {
            payload_req: Some(vec![7; 100].into()),
            payload_size_resp: Some(kib),
            read_only: Some(read_only),
        };
        let asked = OmRequest { echo_rpc_request: Some(Box::new(asked)), ..request(Type::EchoRpc) };
        let answer = client.ok(asked).await.echo_rpc_response.unwrap();
        assert_eq!(answer.payload().len(), len);
    }
    running.shutdown(PATIENCE).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn scm_says_whether_it_is_in_safe_mode() {
    let (dir, scm) = (tempfile::tempdir().unwrap(), Scm::start().await);
    let running = om(dir.path(), &scm).await;
    let client = Client::of(&running);
    let ask = |mode: SafeMode| OmRequest {
        set_safe_mode_request: Some(Box::new(SetSafeModeRequest { safe_mode: mode as i32 })),
        ..request(Type::SetSafeMode)
    };
    scm.set_safe_mode(true);
    let get = client.ok(ask(SafeMode::Get)).await.set_safe_mode_response.unwrap();
    assert_eq!(get.response, Some(true));
    let left = client.ok(ask(SafeMode::Leave)).await.set_safe_mode_response.unwrap();
    assert_eq!(left.response, Some(false));
    assert_eq!(client.ask(ask(SafeMode::Enter)).await.status, Status::NotSupportedOperation as i32);
    running.shutdown(PATIENCE).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn usage_is_counted_anew_on_request() {
    let (dir, scm) = (tempfile::tempdir().unwrap(), Scm::start().await);
    let running = om(dir.path(), &scm).await;
    let client = Client::of(&running);
    client.ok(create_volume("vol")).await;
    client.ok(create_bucket()).await;
    write_key(&client).await;
    client.ok(request(Type::StartQuotaRepair)).await;
    let counted = async {
        loop {
            let status = client.ok(request(Type::GetQuotaRepairStatus)).await;
            let status = status.get_quota_repair_status_response.unwrap().status.unwrap();
            if status.contains("0 buckets were wrong") {
                return;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(PATIENCE, counted).await.unwrap();
    running.shutdown(PATIENCE).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn s3_has_its_volume_from_the_start() {
    let (dir, scm) = (tempfile::tempdir().unwrap(), Scm::start().await);
    let running = om(dir.path(), &scm).await;
    let client = Client::of(&running);
    let there = async {
        while client.ask(request(Type::GetS3VolumeContext)).await.status != Status::Ok as i32 {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(PATIENCE, there).await.unwrap();
    running.shutdown(PATIENCE).await;
}
