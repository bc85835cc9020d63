//! `allotrope om`: the Ozone manager.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use allotrope_consensus::{RocksShared, SystemClock};
use allotrope_om::deletion::DeletionPace;
use allotrope_om::expiry::Expiry;
use allotrope_om::settings::Settings as OmSettings;
use allotrope_om::{Config, OmAddress, OmMember, ScmAddress, ScmTransport, World};
use allotrope_proto::ops::{LogLevels, Operators};
use allotrope_types::ReplicationConfig;
use clap::Args;
use uuid::Uuid;

use super::{DRAIN_MAX, Failure, PagesAt, groups, scms};
use crate::config::Settings;

/// How long a first start waits for SCM, which names the cluster.
const SCM_WAIT_MAX: Duration = Duration::from_secs(60);

/// How long an OM that joins asks the others for.
const JOIN_WAIT_MAX: Duration = Duration::from_secs(300);

/// Arguments of `allotrope om`. A first start without any asks SCM which cluster this is by itself.
#[derive(Debug, Args)]
pub(crate) struct Om {
    /// Make the empty metadata folder that of an OM with the state of this backup, which `allotrope admin checkpoint` made.
    #[arg(long, value_name = "FOLDER")]
    restore: Option<PathBuf>,
    /// Ask SCM which cluster this is, write it down, and end.
    #[arg(long, conflicts_with = "bootstrap")]
    init: bool,
    /// Join the OMs of a service that runs already, then run. The settings of all OMs name this one first.
    #[arg(long)]
    bootstrap: bool,
}

impl Om {
    pub(crate) fn run(self, settings: &Settings) -> Result<ExitCode, Failure> {
        let mut config = Config { joins: self.bootstrap, ..config(settings)? };
        super::make_folder(&config.dir)?;
        if let Some(backup) = self.restore {
            return restore(&config, &backup);
        }
        let logs = super::start_logs(settings)?;
        config.operators = operators(settings, &logs)?;
        super::runtime()?.block_on(async {
            let world = world(super::rocks()?);
            if self.init {
                let identity = allotrope_om::init(&config, &world).await?;
                println!("OM {} of cluster {}", identity.om_id, identity.cluster_id);
                return Ok(ExitCode::SUCCESS);
            }
            let (me, others): (Vec<OmAddress>, Vec<OmAddress>) = config
                .members
                .iter()
                .map(|member| member.address.clone())
                .partition(|om| om.node_id == config.node_id);
            let consensus_port = config.consensus.port();
            let running = allotrope_om::start(config, world).await?;
            let ended = super::asked_to_end()?;
            tracing::info!(rpc = %running.rpc, grpc = %running.grpc, "OM runs");
            if self.bootstrap {
                let me = me.first().ok_or("the settings name no OM service to join: set ozone.om.service.ids and ozone.om.nodes.SERVICE")?;
                let client = Uuid::new_v4().as_u128();
                allotrope_om::ask_to_join(me, consensus_port, &others, client, JOIN_WAIT_MAX).await?;
                tracing::info!(om = me.node_id, "this OM is a member of the service");
            }
            ended.await;
            running.shutdown(DRAIN_MAX).await;
            Ok(ExitCode::SUCCESS)
        })
    }
}

fn restore(config: &Config, backup: &Path) -> Result<ExitCode, Failure> {
    let made = allotrope_om::admin::restore(config, &world(super::rocks()?), backup)?;
    println!("cluster {}\nentry {}\nin {}", made.identity.cluster_id, made.applied, config.dir.display());
    Ok(ExitCode::SUCCESS)
}

/// The machine's clock and chance, and what the process's databases share.
pub(crate) fn world(rocks: RocksShared) -> World {
    World { rocks, clock: Arc::new(SystemClock), random: Arc::new(|| Uuid::new_v4().as_u128()) }
}

/// The OM service of the settings: its name and the names of its OMs; none where there is one OM.
pub(crate) fn service(settings: &Settings) -> Option<(String, Vec<String>)> {
    let id = settings.text("ozone.om.service.ids")?.split(',').next()?.trim().to_owned();
    let nodes = settings.given(&format!("ozone.om.nodes.{id}"))?.value.clone();
    let nodes = nodes.split(',').map(str::trim).filter(|node| !node.is_empty()).map(str::to_owned);
    Some((id, nodes.collect()))
}

/// A setting of one OM of a service: `<name>.<service>.<node>`, else `<name>`.
fn of_node(settings: &Settings, name: &'static str, service: &str, node: &str) -> Option<String> {
    let own = settings.given(&format!("{name}.{service}.{node}"));
    own.map(|setting| setting.value.clone()).or_else(|| settings.text(name).map(str::to_owned))
}

/// `HOST:PORT` or `HOST` of one OM of a service.
pub(crate) fn address_of(settings: &Settings, service: &str, node: &str) -> Result<(String, u16), Failure> {
    let name = "ozone.om.address";
    let text = of_node(settings, name, service, node).unwrap_or_default();
    let (host, port) = match text.rsplit_once(':') {
        Some((host, port)) => {
            let port = port
                .parse()
                .map_err(|_| format!("{name}.{service}.{node} = {text:?}: {port:?} is no port"))?;
            (host.to_owned(), port)
        }
        None => (text.clone(), 9862),
    };
    match host.is_empty() {
        true => {
            Err(format!("OM {node} of service {service} has no address: set {name}.{service}.{node}").into())
        }
        false => Ok((host, port)),
    }
}

/// A port of one OM of a service.
pub(crate) fn port_of(
    settings: &Settings,
    name: &'static str,
    service: &str,
    node: &str,
) -> Result<u16, Failure> {
    let text = of_node(settings, name, service, node).unwrap_or_default();
    text.parse().map_err(|_| format!("{name}.{service}.{node} = {text:?} is no port").into())
}

/// What this OM is told of its operators.
pub(crate) fn operators(settings: &Settings, logs: &Arc<dyn LogLevels>) -> Result<Operators, Failure> {
    let service = service(settings).map(|(id, _)| id);
    let member = service.as_deref().zip(settings.text("ozone.om.node.id"));
    PagesAt::OM.operators(settings, member, logs)
}

/// The members of the service that the settings name.
fn members(settings: &Settings) -> Result<Vec<OmMember>, Failure> {
    let Some((service, nodes)) = service(settings) else { return Ok(Vec::new()) };
    let member = |node: &String| {
        let (host, rpc_port) = address_of(settings, &service, node)?;
        let consensus = format!("{host}:{}", port_of(settings, "ozone.om.ratis.port", &service, node)?);
        Ok(OmMember { address: OmAddress { node_id: node.clone(), host, rpc_port }, consensus })
    };
    nodes.iter().map(member).collect()
}

pub(crate) fn config(settings: &Settings) -> Result<Config, Failure> {
    let node_id = settings.text_needed("ozone.om.node.id")?.to_owned();
    let members = members(settings)?;
    let (rpc, host, grpc_port, consensus_port) = match service(settings) {
        None => (
            super::listen_at(settings, "ozone.om.address", 9862)?,
            settings.address("ozone.om.address", 9862)?.0,
            settings.port("ozone.om.grpc.port")?,
            settings.port("ozone.om.ratis.port")?,
        ),
        Some((service, nodes)) if nodes.contains(&node_id) => {
            let (host, port) = address_of(settings, &service, &node_id)?;
            let port_of = |name| port_of(settings, name, &service, &node_id);
            let rpc = super::resolve("ozone.om.address", &host, port)?;
            (rpc, host, port_of("ozone.om.grpc.port")?, port_of("ozone.om.ratis.port")?)
        }
        Some((service, nodes)) => {
            let nodes = nodes.join(", ");
            return Err(format!(
                "ozone.om.node.id = {node_id:?} is none of service {service}'s OMs: {nodes}"
            )
            .into());
        }
    };
    Ok(Config {
        dir: super::folder(settings, "ozone.om.db.dirs", "om")?,
        node_id,
        members,
        joins: false,
        host: if rpc.ip().is_unspecified() { super::host_name() } else { host },
        rpc,
        grpc: SocketAddr::new(rpc.ip(), grpc_port),
        operators: Operators::default(),
        consensus: SocketAddr::new(rpc.ip(), consensus_port),
        scms: scms(settings)?,
        scm_transport: match settings.text_needed("allotrope.om.scm-transport")? {
            "hadoop-rpc" => ScmTransport::HadoopRpc,
            _ => ScmTransport::Grpc,
        },
        scm_wait_max: SCM_WAIT_MAX,
        settings: OmSettings {
            block_size: settings.bytes("ozone.scm.block.size")?.as_u64(),
            default_replication: default_replication(settings)?,
            admins: words(settings, "ozone.administrators"),
            admin_groups: words(settings, "ozone.administrators.groups"),
            own_user: groups::own_user(),
            acl_enabled: is_on(settings, "ozone.acl.enabled")?,
            list_all_volumes: is_on(settings, "ozone.om.volume.listall.allowed")?,
            s3_volume: settings.text_needed("ozone.s3g.volume.name")?.to_owned(),
            s3_signatures: settings.text_needed("allotrope.om.s3-signatures")? == "checked",
            hsync: is_on(settings, "ozone.fs.hsync.enabled")?,
            lease_soft_limit: settings.time("ozone.om.lease.soft.limit")?,
            groups: Arc::new(groups::SystemGroups::default()),
            ..OmSettings::default()
        },
        deletion: DeletionPace {
            interval: settings.time("ozone.block.deleting.service.interval")?,
            ..DeletionPace::default()
        },
        trash_kept: trash_kept(settings)?,
        expiry: Expiry {
            interval: settings.time("ozone.om.open.key.cleanup.service.interval")?,
            session_age_max: settings.time("ozone.om.open.key.expire.threshold")?,
            lease_hard_limit: settings.time("ozone.om.lease.hard.limit")?,
            upload_age_max: settings.time("ozone.om.open.mpu.expire.threshold")?,
        },
    })
}

/// Minutes, as Hadoop counts them; 0 keeps what was thrown away for ever.
fn trash_kept(settings: &Settings) -> Result<Option<Duration>, Failure> {
    let minutes = settings.count("fs.trash.interval")? as u64;
    Ok((minutes > 0).then(|| Duration::from_secs(minutes * 60)))
}

fn is_on(settings: &Settings, name: &'static str) -> Result<bool, Failure> {
    Ok(settings.text_needed(name)? == "true")
}

/// Words between commas.
fn words(settings: &Settings, name: &'static str) -> BTreeSet<String> {
    let text = settings.text(name).unwrap_or_default();
    text.split(',').map(str::trim).filter(|word| !word.is_empty()).map(str::to_owned).collect()
}

/// The SCMs that OM asks.
fn scms(settings: &Settings) -> Result<Vec<ScmAddress>, Failure> {
    if let Some(nodes) = scms::group(settings)? {
        let address = |node: scms::ScmNode| ScmAddress {
            host: node.host,
            block_port: node.block_port,
            container_port: node.client_port,
        };
        return Ok(nodes.into_iter().map(address).collect());
    }
    let (host, block_port) = super::scm_at(settings, "ozone.scm.block.client.address", 9863)?;
    let (_, container_port) = super::scm_at(settings, "ozone.scm.client.address", 9860)?;
    Ok(vec![ScmAddress { host, block_port, container_port }])
}

/// `RATIS` with `THREE` is `RATIS/THREE`; an erasure-coded one stands by itself.
fn default_replication(settings: &Settings) -> Result<ReplicationConfig, Failure> {
    let name = "ozone.server.default.replication";
    let text = settings.text_needed(name)?;
    let whole = match settings.text_needed("ozone.server.default.replication.type")? {
        "EC" => text.to_owned(),
        kind => format!("{kind}/{text}"),
    };
    whole.parse().map_err(|error| format!("{name} = {text:?}: {error}").into())
}
