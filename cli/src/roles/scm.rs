//! `allotrope scm`: the storage container manager.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use allotrope_proto::WireError;
use allotrope_proto::edge::hdds::{GetScmInfo, ScmInfo};
use allotrope_proto::edge::scm_container::{LocationAnswer, LocationCall, LocationRequest, LocationResponse};
use allotrope_proto::grpc::{GrpcClient, GrpcClientConfig};
use allotrope_proto::net::{Plain, Target};
use allotrope_proto::rpc::catalog::ScmContainerSubmit;
use allotrope_proto::rpc::{CallOptions, ClientId, RpcClient as _};
use allotrope_proto::scm_container as wire;
use allotrope_scm::clock::{Clock, SystemClock};
use allotrope_scm::node::Thresholds;
use allotrope_scm::replication::Settings as ReplicationSettings;
use allotrope_scm::{Config, Identity, IdentityError, ScmMember};
use clap::Args;
use uuid::Uuid;

use super::{DRAIN_MAX, Failure, PagesAt, scms};
use crate::config::Settings;

/// How long a bootstrap waits for another SCM of its group, and one of them for its answer.
const OTHERS_WAIT_MAX: Duration = Duration::from_secs(60);
const OTHER_ANSWERS_WITHIN: Duration = Duration::from_secs(5);

/// Arguments of `allotrope scm`.
#[derive(Debug, Args)]
pub(crate) struct Scm {
    /// Make the cluster: choose its id and write it into the metadata folder. Done once; again changes nothing.
    #[arg(long)]
    init: bool,
    /// Make the empty metadata folder that of an SCM with the state of this backup, which `allotrope admin checkpoint` made.
    #[arg(long, value_name = "FOLDER", conflicts_with = "init")]
    restore: Option<PathBuf>,
    /// Come to the group of the other SCMs that the settings name: ask them for the cluster's id and write it into the
    /// metadata folder. Done once; again changes nothing.
    #[arg(long, conflicts_with_all = ["init", "restore"])]
    bootstrap: bool,
}

impl Scm {
    pub(crate) fn run(self, settings: &Settings) -> Result<ExitCode, Failure> {
        let mut config = config(settings)?;
        if self.init {
            return init(&config);
        }
        if self.bootstrap {
            return bootstrap(&config);
        }
        if let Some(backup) = self.restore {
            return restore(&config, &backup);
        }
        let logs = super::start_logs(settings)?;
        config.operators = PagesAt::SCM.operators(settings, None, &logs)?;
        super::runtime()?.block_on(async {
            let running = allotrope_scm::start(config, super::rocks()?, Arc::new(SystemClock::new())).await?;
            let ended = super::asked_to_end()?;
            let cluster = &running.identity().cluster_id;
            tracing::info!(%cluster, datanodes = %running.datanode_address, blocks = %running.block_address,
                admin = %running.client_address, "SCM runs");
            ended.await;
            running.shutdown(DRAIN_MAX).await;
            Ok(ExitCode::SUCCESS)
        })
    }
}

fn init(config: &Config) -> Result<ExitCode, Failure> {
    print(&identity(config)?, config);
    Ok(ExitCode::SUCCESS)
}

fn print(found: &Identity, config: &Config) {
    println!("cluster {}\nscm {}\nin {}", found.cluster_id, found.scm_id, config.dir.display());
}

/// Takes the cluster's id from another SCM of the group, whichever answers first.
fn bootstrap(config: &Config) -> Result<ExitCode, Failure> {
    let found = match allotrope_scm::identity(&config.dir) {
        Err(IdentityError::Missing { .. }) => {
            let info = super::runtime()?.block_on(the_others(config))?;
            super::make_folder(&config.dir)?;
            let joins = !names(&info, config);
            let wanted = Identity { joins, ..new_identity(info.cluster_id) };
            allotrope_scm::init(&config.dir, &wanted, config.layout_version)?
        }
        found => found?,
    };
    print(&found, config);
    Ok(ExitCode::SUCCESS)
}

/// Whether this SCM is one of the group's members already: the group was founded with it.
fn names(info: &ScmInfo, config: &Config) -> bool {
    let me = config.members.iter().find(|member| member.number == config.member);
    let me = me.map(|member| format!("{}:{}:", member.host, member.raft_port));
    me.is_some_and(|me| info.peer_roles.iter().any(|peer| peer.starts_with(&me)))
}

async fn the_others(config: &Config) -> Result<ScmInfo, Failure> {
    let mut others = Vec::new();
    for member in config.members.iter().filter(|member| member.number != config.member) {
        let target = Target { host: member.host.clone(), port: member.client_port };
        let id = ClientId::from_bytes(*Uuid::new_v4().as_bytes());
        others.push(GrpcClient::new(target, Plain, id, GrpcClientConfig::default())?);
    }
    if others.is_empty() {
        return Err(
            "there is no other SCM to ask\n  try: ozone.scm.service.ids and the settings of its group".into(),
        );
    }
    let call = LocationCall::GetScmInfo(GetScmInfo { trace_id: None });
    let asked: wire::ScmContainerLocationRequest =
        LocationRequest { call, trace_id: None, version: None }.into();
    let options = CallOptions { time_max: Some(OTHER_ANSWERS_WITHIN), ..CallOptions::default() };
    let (pause, mut waited) = (Duration::from_millis(500), Duration::ZERO);
    loop {
        let mut trouble = String::new();
        for other in &others {
            match other.call::<ScmContainerSubmit>(&asked, &options).await {
                Ok(answer) => match said(answer) {
                    Ok(Some(info)) => return Ok(info),
                    Ok(None) => trouble = "an SCM did not say which cluster it is of".to_owned(),
                    Err(why) => {
                        trouble = format!("an SCM's answer is unusable: {}", crate::with_causes(&why))
                    }
                },
                Err(error) => trouble = crate::with_causes(&error),
            }
        }
        if waited >= OTHERS_WAIT_MAX {
            return Err(format!("no other SCM of the group answered in {waited:?}: {trouble}").into());
        }
        tokio::time::sleep(pause).await;
        waited += pause;
    }
}

/// Which cluster an SCM is of, if it says so.
fn said(answer: wire::ScmContainerLocationResponse) -> Result<Option<ScmInfo>, WireError> {
    match LocationResponse::try_from(answer)?.answered()? {
        LocationAnswer::GetScmInfo(info) => Ok(Some(info)),
        _ => Ok(None),
    }
}

fn restore(config: &Config, backup: &Path) -> Result<ExitCode, Failure> {
    let chance = Uuid::new_v4().as_u128() as u32;
    let made = allotrope_scm::restore(config, &super::rocks()?, backup, chance)?;
    println!("cluster {}\nentry {}\nin {}", made.identity.cluster_id, made.applied, config.dir.display());
    Ok(ExitCode::SUCCESS)
}

/// Who the SCM of `config` is. One that was never initialised becomes the first of a new cluster.
pub(crate) fn identity(config: &Config) -> Result<Identity, Failure> {
    match allotrope_scm::identity(&config.dir) {
        Err(IdentityError::Missing { .. }) => {}
        found => return Ok(found?),
    }
    super::make_folder(&config.dir)?;
    let wanted = new_identity(format!("CID-{}", Uuid::new_v4()));
    Ok(allotrope_scm::init(&config.dir, &wanted, config.layout_version)?)
}

/// A new SCM of the cluster `cluster_id`.
fn new_identity(cluster_id: String) -> Identity {
    Identity {
        raft_group: cluster_id.clone(),
        cluster_id,
        scm_id: Uuid::new_v4().to_string(),
        created_ms: SystemClock::new().unix_ms(),
        joins: false,
    }
}

pub(crate) fn config(settings: &Settings) -> Result<Config, Failure> {
    let mut config = Config::new(super::folder(settings, "ozone.scm.db.dirs", "scm")?);
    match scms::group(settings)? {
        Some(nodes) => be_member(&mut config, &nodes, scms::me(settings, &nodes)?)?,
        None => {
            config.datanode_address = super::listen_at(settings, "ozone.scm.datanode.address", 9861)?;
            config.block_address = super::listen_at(settings, "ozone.scm.block.client.address", 9863)?;
            config.client_address = super::listen_at(settings, "ozone.scm.client.address", 9860)?;
            config.host_name = super::host_name();
        }
    }
    config.seed = Uuid::new_v4().as_u64_pair().0;
    config.container_size = settings.bytes("ozone.scm.container.size")?;
    config.block_size = settings.bytes("ozone.scm.block.size")?;
    config.safe_mode_datanodes_min = settings.count("hdds.scm.safemode.min.datanode")?;
    config.pipelines_per_node = settings.count("ozone.scm.datanode.pipeline.limit")?;
    config.ec_pipelines_min = settings.count("ozone.scm.ec.pipeline.minimum")?;
    config.pipelines_of_one = settings.text_needed("ozone.scm.pipeline.creation.auto.factor.one")? == "true";
    config.nodes = thresholds(settings)?;
    config.close_wait = settings.time("ozone.scm.close.container.wait.duration")?;
    config.replication = replication(settings)?;
    config.rack_script = settings.text("net.topology.script.file.name").map(PathBuf::from);
    if let Some(file) = settings.text("net.topology.table.file.name") {
        let text = std::fs::read_to_string(file).map_err(|error| format!("{file}: {error}"))?;
        config.racks = racks(&text).map_err(|why| format!("{file}: {why}"))?;
    }
    Ok(config)
}

fn replication(settings: &Settings) -> Result<ReplicationSettings, Failure> {
    let few = |name| Ok::<_, Failure>(u32::try_from(settings.count(name)?).unwrap_or(u32::MAX));
    Ok(ReplicationSettings {
        start_wait: settings.time("hdds.scm.wait.time.after.safemode.exit")?,
        scan_interval: settings.time("hdds.scm.replication.thread.interval")?,
        operation_time_max: settings.time("hdds.scm.replication.event.timeout")?,
        datanode_gives_up_before: settings.time("hdds.scm.replication.event.timeout.datanode.offset")?,
        copies_in_maintenance: settings.count("hdds.scm.replication.maintenance.replica.minimum")?,
        redundancy_in_maintenance: settings.count("hdds.scm.replication.maintenance.remaining.redundancy")?,
        node_copies_max: few("hdds.scm.replication.datanode.replication.limit")?,
        rebuild_weight: few("hdds.scm.replication.datanode.reconstruction.weight")?,
        node_deletes_max: few("hdds.scm.replication.datanode.delete.container.limit")?,
        push: settings.text("hdds.scm.replication.push") != Some("false"),
        sample_max: settings.count("hdds.scm.replication.container.sample.limit")?,
        drain_interval: settings.time("ozone.scm.datanode.admin.monitor.interval")?,
        ..ReplicationSettings::default()
    })
}

/// Makes `config` that of member `me` of the group `nodes`.
fn be_member(config: &mut Config, nodes: &[scms::ScmNode], me: &scms::ScmNode) -> Result<(), Failure> {
    let at = |port| super::resolve("ozone.scm.address", &me.host, port);
    config.datanode_address = at(me.datanode_port)?;
    config.block_address = at(me.block_port)?;
    config.client_address = at(me.client_port)?;
    config.raft_address = at(me.raft_port)?;
    config.host_name = me.host.clone();
    let member = |node: &scms::ScmNode| ScmMember {
        number: allotrope_scm::member_number(&node.name),
        name: node.name.clone(),
        host: node.host.clone(),
        raft_port: node.raft_port,
        datanode_port: node.datanode_port,
        block_port: node.block_port,
        client_port: node.client_port,
    };
    config.members = nodes.iter().map(member).collect();
    config.member = allotrope_scm::member_number(&me.name);
    Ok(())
}

/// A table of racks: a host name or address and its rack on each line, as Hadoop's table mapping reads it.
fn racks(text: &str) -> Result<BTreeMap<String, String>, String> {
    let mut racks = BTreeMap::new();
    for (line, number) in text.lines().zip(1..) {
        let words: Vec<&str> = line.split('#').next().unwrap_or_default().split_whitespace().collect();
        match words[..] {
            [] => {}
            [host, rack] if allotrope_scm::node::racks::is_rack(rack) => {
                racks.insert(host.to_owned(), rack.to_owned());
            }
            _ => return Err(format!("line {number} is not a host and its rack, such as: dn1 /rack1")),
        }
    }
    Ok(racks)
}

fn thresholds(settings: &Settings) -> Result<Thresholds, Failure> {
    if settings.text("allotrope.scm.failure-detection") == Some("fast") {
        return Ok(Thresholds::FAST);
    }
    let stale = settings.time("ozone.scm.stale.node.interval")?;
    let dead = settings.time("ozone.scm.dead.node.interval")?;
    if dead <= stale {
        return Err("ozone.scm.dead.node.interval must be longer than ozone.scm.stale.node.interval".into());
    }
    Ok(Thresholds { check: Duration::from_secs(3), stale, dead })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_scm_that_does_not_say_its_cluster_is_told_by_message_and_field() {
        let well = |kind: wire::Type| wire::ScmContainerLocationResponse {
            cmd_type: kind as i32,
            status: wire::scm_container_location_response::Status::Ok as i32,
            ..Default::default()
        };
        let silent = said(well(wire::Type::GetScmInfo)).unwrap_err();
        assert_eq!(silent.to_string(), "ScmContainerLocationResponse lacks its field getScmInfoResponse");
        let foreign = wire::ScmContainerLocationResponse {
            in_safe_mode_response: Some(wire::InSafeModeResponseProto { in_safe_mode: true }),
            ..well(wire::Type::InSafeMode)
        };
        assert_eq!(said(foreign), Ok(None));
    }

    #[test]
    fn a_table_of_racks_names_a_rack_on_each_line() {
        let found = racks("# racks\ndn1\t/rack1\n\n10.0.0.2 /dc1/rack2 # moved\n").unwrap();
        assert_eq!(
            found.into_iter().collect::<Vec<_>>(),
            [("10.0.0.2".to_owned(), "/dc1/rack2".to_owned()), ("dn1".to_owned(), "/rack1".to_owned()),]
        );
        assert!(racks("dn1 /rack1\ndn2 rack2").unwrap_err().contains("line 2"));
        assert!(racks("dn1").is_err());
    }
}
