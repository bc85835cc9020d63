//! What the children run: datanodes, each with an SCM that says what it is given and tells how commands ended.

use crate::commands;
use allotrope_datanode::control::link::{LinkError, ScmLink};
use allotrope_datanode::replication::Compression;
use allotrope_datanode::{Config, Running, start_with};
use allotrope_proto::edge::heartbeat::apart::ScmDatanodeResponseApart;
use allotrope_proto::hdds::KeyValue;
use allotrope_proto::heartbeat::{
    ScmCommandProto, ScmDatanodeRequest, ScmDatanodeResponse, ScmHeartbeatResponseProto,
    ScmRegisteredResponseProto, ScmVersionResponseProto, Status, command_status,
};
use allotrope_types::ByteCount;
use std::io::{BufRead, Write};
use std::net::SocketAddr;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

const CLUSTER: &str = "CID-6d2f1b8e-3f0e-4f6e-8d2b-5f0f5f0f5f0f";

/// What SCM has to say to one datanode.
type Commands = Arc<Mutex<Vec<ScmCommandProto>>>;

struct Scm(Commands);

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
            let details = register.extended_datanode_details.datanode_details;
            response.register_response = Some(ScmRegisteredResponseProto {
                error_code: 1,
                datanode_uuid: details.uuid.unwrap(),
                cluster_id: CLUSTER.into(),
                ..Default::default()
            });
        }
        if let Some(beat) = request.send_heartbeat_request {
            let ended = beat.command_status_reports.iter().flat_map(|one| &one.cmd_status);
            for one in ended {
                let why = one.msg.as_deref().unwrap_or_default();
                match one.status() {
                    command_status::Status::Executed => say("done"),
                    status => say(&format!("{} {why}", status.as_str_name())),
                }
            }
            response.send_heartbeat_response = Some(ScmHeartbeatResponseProto {
                datanode_uuid: beat.datanode_details.uuid.unwrap(),
                term: Some(1),
                commands: std::mem::take(&mut *self.0.lock().unwrap()),
            });
        }
        Ok(response.into())
    }
}

fn say(line: &str) {
    let mut out = std::io::stdout().lock();
    writeln!(out, "{line}").unwrap();
    out.flush().unwrap();
}

fn start(dir: &Path, compression: Compression) -> (Running, Commands) {
    let mut config = Config::new(vec![dir.join("disk")], dir.join("meta"), Vec::new());
    config.listen = SocketAddr::from(([127, 0, 0, 1], 0));
    config.replication.listen = SocketAddr::from(([127, 0, 0, 1], 0));
    config.pipelines.listen = SocketAddr::from(([127, 0, 0, 1], 0));
    config.pipelines.admin = SocketAddr::from(([127, 0, 0, 1], 0));
    config.replication.compression = compression;
    // Each side works on one container at a time, which has one home; the cores are shared by all processes.
    config.shards = 1;
    config.memory_per_shard = ByteCount::mib(32);
    (config.free_min_soft, config.free_min_hard) = (ByteCount::mib(64), ByteCount::mib(64));
    (config.heartbeat_every, config.heartbeat_first) = (Duration::from_millis(10), Duration::from_millis(10));
    // What is measured is the copy alone.
    config.scan.enabled = false;
    let commands = Commands::default();
    let told = commands.clone();
    let running = start_with(config, || vec![Scm(told)]).unwrap();
    while !running.is_open() {
        std::thread::sleep(Duration::from_millis(1));
    }
    (running, commands)
}

/// Datanodes, until stdin ends: `DIR COUNT COMPRESSION`. A line of stdin is SCM's word to one: `NODE COMMAND`.
pub(crate) fn serve(args: &[String]) {
    let count: usize = args[1].parse().unwrap();
    let compression = Compression::from_str_name(&args[2]).expect("a compression's name");
    let start = |n: usize| start(&Path::new(&args[0]).join(n.to_string()), compression);
    let nodes: Vec<(Running, Commands)> = (0..count).map(start).collect();
    for (running, _) in &nodes {
        say(&format!("{} {} {}", running.id(), running.address(), running.replication_address()));
    }
    for line in std::io::stdin().lock().lines().map_while(Result::ok) {
        let (node, command) = line.split_once(' ').expect("a node and a command");
        nodes[node.parse::<usize>().unwrap()].1.lock().unwrap().push(commands::decode(command));
    }
    for (running, _) in nodes {
        running.shutdown(Duration::from_secs(5));
    }
}
