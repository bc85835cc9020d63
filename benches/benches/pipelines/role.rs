//! What the children run: a datanode whose SCM is this process, told by its stdin which pipelines to make.

use std::collections::BTreeSet;
use std::io::{BufRead, stdin};
use std::net::SocketAddr;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use allotrope_datanode::control::link::{LinkError, ScmLink};
use allotrope_datanode::{Config, Durability, start_with};
use allotrope_proto::edge::heartbeat::apart::ScmDatanodeResponseApart;
use allotrope_proto::hdds::{
    DatanodeDetailsProto, KeyValue, PipelineId as WireId, Port, ReplicationFactor, ReplicationType, Uuid,
};
use allotrope_proto::heartbeat::scm_command_proto::Type;
use allotrope_proto::heartbeat::{
    CreatePipelineCommandProto, PipelineReport, ScmCommandProto, ScmDatanodeRequest, ScmDatanodeResponse,
    ScmHeartbeatResponseProto, ScmRegisteredResponseProto, ScmVersionResponseProto, Status,
};
use allotrope_types::{ByteCount, PipelineId};

const CLUSTER: &str = "CID-6d2f1b8e-3f0e-4f6e-8d2b-5f0f5f0f5f0f";
/// Shards of each datanode: there are three of them on the machine.
const SHARDS: usize = 2;
/// Bytes of buffers of each.
const BUFFERS: u64 = 128 << 20;

/// An SCM that registers everyone and passes on what it was told.
#[derive(Clone, Default)]
struct Scm(Arc<Mutex<Told>>);

#[derive(Default)]
struct Told {
    commands: Vec<ScmCommandProto>,
    led: BTreeSet<PipelineId>,
}

impl ScmLink for Scm {
    fn name(&self) -> String {
        "bench".into()
    }

    async fn submit(&self, request: ScmDatanodeRequest) -> Result<ScmDatanodeResponseApart, LinkError> {
        let mut response = ScmDatanodeResponse {
            cmd_type: request.cmd_type,
            status: Status::Ok.into(),
            ..Default::default()
        };
        if request.get_version_request.is_some() {
            let pair = |key: &str, value: &str| KeyValue { key: key.into(), value: Some(value.into()) };
            let keys = vec![pair("scmUuid", "s"), pair("clusterID", CLUSTER)];
            response.get_version_response = Some(ScmVersionResponseProto { software_version: 1, keys });
        }
        if let Some(register) = request.register_request {
            response.register_response = Some(ScmRegisteredResponseProto {
                error_code: 1,
                datanode_uuid: register.extended_datanode_details.datanode_details.uuid.unwrap(),
                cluster_id: CLUSTER.into(),
                ..Default::default()
            });
        }
        if let Some(beat) = request.send_heartbeat_request {
            let mut told = self.0.lock().unwrap();
            told.hear(beat.pipeline_reports.unwrap_or_default().pipeline_report);
            response.send_heartbeat_response = Some(ScmHeartbeatResponseProto {
                datanode_uuid: beat.datanode_details.uuid.unwrap(),
                commands: std::mem::take(&mut told.commands),
                term: Some(1),
            });
        }
        Ok(response.into())
    }
}

impl Told {
    /// Says once of each pipeline that this datanode leads it.
    fn hear(&mut self, reports: Vec<PipelineReport>) {
        for report in reports.into_iter().filter(|report| report.is_leader) {
            let uuid = report.pipeline_id.uuid128.unwrap();
            let id = PipelineId::from_halves(uuid.most_sig_bits, uuid.least_sig_bits);
            if self.led.insert(id) {
                println!("{id}");
            }
        }
    }
}

/// `PIPELINE MEMBER@ADDRESS…`, of which the first leads, as SCM says it.
fn create(line: &str, cmd_id: i64) -> ScmCommandProto {
    let mut words = line.split_whitespace();
    let id: PipelineId = words.next().unwrap().parse().unwrap();
    let details = |word: &str| {
        let (id, address) = word.split_once('@').unwrap();
        let address: SocketAddr = address.parse().unwrap();
        DatanodeDetailsProto {
            uuid: Some(id.to_owned()),
            ip_address: address.ip().to_string(),
            ports: vec![Port { name: "RATIS".into(), value: address.port().into() }],
            ..Default::default()
        }
    };
    let datanode: Vec<_> = words.map(details).collect();
    let (most_sig_bits, least_sig_bits) = id.to_halves();
    let factor = if datanode.len() == 1 { ReplicationFactor::One } else { ReplicationFactor::Three };
    ScmCommandProto {
        command_type: Type::CreatePipelineCommand.into(),
        create_pipeline_command_proto: Some(CreatePipelineCommandProto {
            pipeline_id: WireId { id: None, uuid128: Some(Uuid { most_sig_bits, least_sig_bits }) },
            r#type: ReplicationType::Ratis.into(),
            factor: factor.into(),
            priority: (0..datanode.len()).map(|n| i32::from(n == 0)).collect(),
            datanode,
            cmd_id,
        }),
        term: Some(1),
        ..Default::default()
    }
}

/// A datanode, until stdin ends: `DIR DURABILITY`.
pub(crate) fn serve(args: &[String]) {
    let dir = Path::new(&args[0]);
    let mut config = Config::new(vec![dir.join("disk")], dir.join("meta"), Vec::new());
    let any = SocketAddr::from(([127, 0, 0, 1], 0));
    (config.listen, config.replication.listen) = (any, any);
    (config.pipelines.listen, config.pipelines.admin) = (any, any);
    config.shards = SHARDS;
    config.container_size = ByteCount::mib(64);
    (config.free_min_soft, config.free_min_hard) = (ByteCount::mib(1), ByteCount::mib(1));
    config.memory_per_shard = ByteCount::new(BUFFERS / SHARDS as u64);
    config.durability = if args[1] == "disk" { Durability::Disk } else { Durability::PageCache };
    (config.heartbeat_every, config.heartbeat_first) =
        (Duration::from_millis(200), Duration::from_millis(50));
    let scm = Scm::default();
    let link = scm.clone();
    let running = start_with(config, move || vec![link]).unwrap();
    while !running.is_open() {
        std::thread::sleep(Duration::from_millis(1));
    }
    println!("{} {} {}", running.id(), running.address(), running.pipeline_address());
    for (n, line) in stdin().lock().lines().enumerate() {
        let command = create(&line.unwrap(), n as i64 + 1);
        scm.0.lock().unwrap().commands.push(command);
    }
    running.shutdown(Duration::from_secs(10));
}
