//! An OM as a running server.
//!
//! Shape   [`start`] finds out which cluster this is (from its own file, at first from SCM), starts the replica, and
//!         serves Hadoop RPC and gRPC; [`Running`] says where, and ends it.
//! Errors  [`StartOmError`] names what is missing; nothing is served before everything is there.
#![allow(
    clippy::disallowed_methods,
    reason = "the server's own pace (waiting for SCM, for a leader) follows tokio's clock, which tests pause"
)]

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use allotrope_consensus::network::tcp::{self, TcpNetwork, Transport as PeerTransport};
use allotrope_consensus::{
    Beginning, Clock, ClusterId, Handle, Member, MemberId, Replica, ReplicaConfig, RocksShared, Role,
    StatusWatch, Surroundings,
};
use allotrope_proto::grpc::{GrpcServer, GrpcServerConfig};
use allotrope_proto::hadoop_rpc::{HadoopServer, HadoopServerConfig};
use allotrope_proto::net::{AcceptLimits, Drain, Plain, Port, Target, listen};
use allotrope_proto::ops::{self, Operators};
use allotrope_proto::rpc::catalog::{
    AdminCheckpoint, OmBootstrap, OmConfiguration, OmDecommission, OmListVersions, OmS3Secret, OmSubmit,
};
use allotrope_proto::rpc::{Failover, Methods};
use sha2::{Digest as _, Sha256};
use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::admin::OmAdmin;
use crate::blocks::{Blocks, ScmBlocks};
use crate::deletion::{self, DeletionPace};
use crate::directory::{Directory, OmAddress};
use crate::expiry::{self, Expiry};
use crate::identity::{self, Identity, IdentityError};
use crate::machine::Namespace;
use crate::pages::Pages;
use crate::scm_link::{ScmLink, ScmTransport};
use crate::server::{Draws, OmService};
use crate::settings::Settings;
use crate::trash;

/// Where the replica lies in OM's folder.
pub(crate) const REPLICA_DIR: &str = "om.raft";

/// What an OM needs to be told.
#[derive(Clone)]
pub struct Config {
    /// Where its tables and log lie.
    pub dir: PathBuf,
    /// Its name among the OMs (`ozone.om.node.id`), such as `om1`.
    pub node_id: String,
    /// The host name that clients are told.
    pub host: String,
    /// Where Hadoop RPC, and gRPC beside it, is served (`ozone.om.address`); port 0 for any.
    pub rpc: SocketAddr,
    /// Where gRPC is served (`ozone.om.grpc.port`); port 0 for any.
    pub grpc: SocketAddr,
    /// The pages for operators (`ozone.om.http-address`; port 9874).
    pub operators: Operators,
    /// Where the other OMs reach this one's consensus (`ozone.om.ratis.port`). Served where there are others, or while it joins.
    pub consensus: SocketAddr,
    /// All OMs of the service, this one among them; none for an OM that is alone.
    pub members: Vec<OmMember>,
    /// Whether this OM joins a service that runs already, at its first start; otherwise it begins the service together with `members`.
    pub joins: bool,
    /// The SCMs of the cluster, one at least: whichever leads is asked.
    pub scms: Vec<ScmAddress>,
    /// How SCM is spoken to.
    pub scm_transport: ScmTransport,
    /// How long a first start waits for SCM.
    pub scm_wait_max: Duration,
    /// How requests are planned.
    pub settings: Settings,
    /// How deleted keys' blocks are handed to SCM.
    pub deletion: DeletionPace,
    /// When what was begun and never ended is given up.
    pub expiry: Expiry,
    /// How long what clients moved to the trash is kept (`fs.trash.interval`); for ever if none.
    pub trash_kept: Option<Duration>,
}

/// One OM of a service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OmMember {
    /// How clients reach it.
    pub address: OmAddress,
    /// `host:port` of its consensus.
    pub consensus: String,
}

/// Where one SCM is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ScmAddress {
    /// Its host.
    pub host: String,
    /// Its port for blocks (9863).
    pub block_port: u16,
    /// Its port for containers (9860).
    pub container_port: u16,
}

/// The number of the member `node_id` in the log: N for `omN`, otherwise drawn from the name, so that it is the same
/// whatever order the members are listed in.
pub fn member_id(node_id: &str) -> MemberId {
    let number = node_id.strip_prefix("om").filter(|text| !text.starts_with('0')).map(str::parse::<u32>);
    match number {
        Some(Ok(number)) => MemberId(number.into()),
        _ => {
            let digest = Sha256::digest(node_id.as_bytes());
            let first: [u8; 8] = digest[..8].try_into().expect("a digest has 32 bytes");
            MemberId(1 << 62 | u64::from_be_bytes(first) >> 2)
        }
    }
}

/// What an OM reaches the world through, beside sockets.
#[derive(Clone)]
pub struct World {
    /// What the process's RocksDBs share.
    pub rocks: RocksShared,
    /// The wall clock.
    pub clock: Arc<dyn Clock>,
    /// Draws 128 random bits.
    pub random: Arc<dyn Fn() -> u128 + Send + Sync>,
}

/// Why an OM does not start.
#[derive(Debug, thiserror::Error)]
pub enum StartOmError {
    /// Its file of identity.
    #[error("this OM does not know which cluster it belongs to")]
    Identity(#[from] IdentityError),
    /// SCM did not answer in time, and only SCM can name the cluster.
    #[error("SCM at {scm} did not say in {waited:?} which cluster this is: {why}")]
    Scm {
        /// Where SCM was looked for.
        scm: String,
        /// For how long.
        waited: Duration,
        /// Its last answer.
        why: String,
    },
    /// A restore into a folder that is in use.
    #[error("{} holds an OM already; restore into an empty folder", dir.display())]
    NotEmpty {
        /// The folder.
        dir: PathBuf,
    },
    /// A restore from something else.
    #[error("{} is no backup of an OM: it has no VERSION", dir.display())]
    NoBackup {
        /// The folder.
        dir: PathBuf,
    },
    /// The replica.
    #[error("the replica does not start")]
    Replica(#[from] allotrope_consensus::StartError),
    /// A port.
    #[error("{address} cannot be listened on")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// What the system says.
        source: std::io::Error,
    },
    /// Settings of the listener contradict each other.
    #[error("the listener's settings are wrong: {0}")]
    Listener(String),
}

/// A running OM.
pub struct Running {
    /// Where Hadoop RPC, and gRPC beside it, is served.
    pub rpc: SocketAddr,
    /// Where gRPC is served.
    pub grpc: SocketAddr,
    /// Where operators' pages are served.
    pub pages: Option<SocketAddr>,
    /// Who it is.
    pub identity: Identity,
    replica: Handle<Namespace>,
    drain: Drain,
    tasks: Vec<JoinHandle<()>>,
    stop_consensus: watch::Sender<bool>,
}

impl Running {
    /// Finishes what was asked, for `deadline` at most, and stops.
    pub async fn shutdown(self, deadline: Duration) {
        self.drain.finish(deadline).await;
        for task in self.tasks {
            task.abort();
        }
        self.replica.shutdown(deadline).await;
        self.stop_consensus.send_replace(true);
    }

    /// Role, term, positions and members of its replica.
    pub fn status(&self) -> StatusWatch {
        self.replica.status()
    }
}

/// Finds out which cluster `config` is of and writes it down, unless it is known. Nothing is served.
pub async fn init(config: &Config, world: &World) -> Result<Identity, StartOmError> {
    let blocks = scm_of(config, world)?;
    identity_of(config, world, &blocks).await
}

/// Starts an OM that asks the SCM of `config` for blocks.
pub async fn start(config: Config, world: World) -> Result<Running, StartOmError> {
    let blocks = scm_of(&config, &world)?;
    start_with(config, world, blocks).await
}

/// The ways to the SCMs' block service and to their container service.
type Scms = ScmBlocks<Failover<ScmLink>, Failover<ScmLink>>;

fn scm_of(config: &Config, world: &World) -> Result<Scms, StartOmError> {
    if config.scms.is_empty() {
        return Err(StartOmError::Listener("no SCM is named".to_owned()));
    }
    let links = |port: fn(&ScmAddress) -> u16| {
        let link = |scm: &ScmAddress| {
            let target = Target { host: scm.host.clone(), port: port(scm) };
            let shown = target.to_string();
            ScmLink::to(target, config.scm_transport, (world.random)())
                .map_err(|why| StartOmError::Listener(format!("SCM at {shown}: {why}")))
        };
        Ok::<_, StartOmError>(Failover::new(
            config.scms.iter().map(link).collect::<Result<Vec<_>, StartOmError>>()?,
        ))
    };
    Ok(ScmBlocks::new(links(|scm| scm.block_port)?, links(|scm| scm.container_port)?, "om"))
}

async fn identity_of<B: Blocks>(
    config: &Config,
    world: &World,
    blocks: &B,
) -> Result<Identity, StartOmError> {
    if let Some(identity) = identity::load(&config.dir)? {
        return Ok(identity);
    }
    let identity = join(config, world, blocks).await?;
    identity::store(&config.dir, &identity)?;
    Ok(identity)
}

/// The founders by number, this OM alone where no others are named.
fn founders(config: &Config) -> BTreeMap<MemberId, Member> {
    let others = config.members.iter().map(|member| {
        let name = member.address.node_id.clone();
        (member_id(&name), Member { name, address: member.consensus.clone() })
    });
    let mut all: BTreeMap<MemberId, Member> = others.collect();
    all.entry(member_id(&config.node_id)).or_insert_with(|| me(config));
    all
}

/// Starts an OM that gets its blocks from `blocks`.
pub async fn start_with<B: Blocks>(config: Config, world: World, blocks: B) -> Result<Running, StartOmError> {
    let blocks = Arc::new(blocks);
    let identity = identity_of(&config, &world, &*blocks).await?;
    let founders = founders(&config);
    let (rpc_listener, rpc) = bind(config.rpc)?;
    let (grpc_listener, grpc) = bind(config.grpc)?;
    let pages = config.operators.listen.map(bind).transpose()?;
    // An OM that is alone announces no consensus, so it serves none.
    let consensus = match founders.len() > 1 || config.joins {
        true => Some(bind(config.consensus)?.0),
        false => None,
    };
    let beginning = if config.joins { Beginning::Join } else { Beginning::Found(founders) };
    let replica_config = ReplicaConfig::new(
        config.dir.join(REPLICA_DIR),
        ClusterId(identity.raft_group.clone()),
        member_id(&config.node_id),
        beginning,
    );
    let surroundings = Surroundings {
        rocks: world.rocks.clone(),
        network: Arc::new(TcpNetwork::new(PeerTransport::Plain)),
        clock: Arc::clone(&world.clock),
    };
    let replica = Replica::start(replica_config, surroundings, Namespace).await?;

    let (stop_consensus, stopping) = watch::channel(false);
    let mut tasks = Vec::new();
    if let Some(listener) = consensus {
        tasks.push(tokio::spawn(tcp::serve(listener, replica.service(), stopping)));
    }
    let me = OmAddress { node_id: config.node_id.clone(), host: config.host, rpc_port: rpc.port() };
    let mut oms: Vec<OmAddress> = config.members.iter().map(|member| member.address.clone()).collect();
    if !oms.iter().any(|om| om.node_id == me.node_id) {
        oms.push(me);
    }
    let directory = Directory {
        node_id: config.node_id,
        oms,
        scms: config.scms.iter().map(|scm| (scm.host.clone(), scm.container_port)).collect(),
    };
    let service = Arc::new(OmService::new(
        replica.clone(),
        Arc::clone(&blocks),
        config.settings,
        directory,
        Arc::clone(&world.clock),
        Draws { upload_ids: upload_ids(&world), random: Arc::clone(&world.random) },
    ));
    let wrong = |e: &dyn std::fmt::Display| StartOmError::Listener(e.to_string());
    let admin = OmAdmin::new(replica.clone(), &config.dir, identity.clone(), rpc.ip(), &world.clock);
    let methods = Methods::new()
        .serve::<OmSubmit, _>(&service)
        .and_then(|methods| methods.serve::<OmListVersions, _>(&service))
        .and_then(|methods| methods.serve::<OmBootstrap, _>(&service))
        .and_then(|methods| methods.serve::<OmDecommission, _>(&service))
        .and_then(|methods| methods.serve::<OmConfiguration, _>(&service))
        .and_then(|methods| methods.serve::<OmS3Secret, _>(&service))
        .and_then(|methods| methods.serve::<AdminCheckpoint, _>(&Arc::new(admin)));
    let methods = Arc::new(methods.map_err(|e| wrong(&e))?);
    let hadoop =
        HadoopServer::new(HadoopServerConfig::default(), Arc::clone(&methods)).map_err(|e| wrong(&e))?;
    let grpc_server = GrpcServer::new(GrpcServerConfig::default(), methods);
    let drain = Drain::new();
    let port = Port::new(hadoop, grpc_server.clone(), AcceptLimits::default());
    let serving = {
        let drain = drain.clone();
        tokio::spawn(async move { port.serve(rpc_listener, Plain, &drain).await })
    };
    let serving_grpc = {
        let drain = drain.clone();
        tokio::spawn(async move {
            grpc_server.serve(grpc_listener, Plain, AcceptLimits::default(), &drain).await;
        })
    };
    let pages_address = pages.as_ref().map(|(_, address)| *address);
    if let Some((listener, _)) = pages {
        let (operators, watched, drain) =
            (config.operators, Arc::new(Pages(replica.status())), drain.clone());
        tasks.push(tokio::spawn(async move {
            ops::serve(listener, Plain, operators, watched, &drain).await;
        }));
    }
    let deleting = tokio::spawn(deletion::run(replica.clone(), blocks, config.deletion));
    let expiring = tokio::spawn(expiry::run(replica.clone(), Arc::clone(&world.clock), config.expiry));
    if let Some(kept) = config.trash_kept {
        tasks.push(tokio::spawn(trash::run(Arc::clone(&service), kept)));
    }
    let furnishing = tokio::spawn(furnish(replica.clone(), service));
    tasks.extend([serving, serving_grpc, deleting, expiring, furnishing]);
    Ok(Running { rpc, grpc, pages: pages_address, identity, replica, drain, tasks, stop_consensus })
}

/// Makes what every namespace has, once this member leads, and again whenever it leads anew.
async fn furnish<B: Blocks>(replica: Handle<Namespace>, service: Arc<OmService<B>>) {
    let mut status = replica.status();
    let mut led = None;
    loop {
        let now = status.now();
        if now.role == Role::Leader && led != Some(now.term) {
            match service.make_s3_volume().await {
                Ok(()) => led = Some(now.term),
                Err(error) => {
                    tracing::debug!(%error, "the namespace is furnished later");
                    tokio::time::sleep(Duration::from_millis(200)).await;
                    continue;
                }
            }
        }
        if !status.changed().await {
            return;
        }
    }
}

/// This OM as a member of its group.
pub(crate) fn me(config: &Config) -> Member {
    Member { name: config.node_id.clone(), address: config.consensus.to_string() }
}

fn bind(address: SocketAddr) -> Result<(tokio::net::TcpListener, SocketAddr), StartOmError> {
    let failed = |source| StartOmError::Listen { address, source };
    let listener = listen(address).map_err(failed)?;
    let bound = listener.local_addr().map_err(failed)?;
    Ok((listener, bound))
}

/// Ids of multipart uploads: a version 7 UUID and a number, as Ozone makes them.
fn upload_ids(world: &World) -> Arc<dyn Fn() -> String + Send + Sync> {
    let (random, clock) = (Arc::clone(&world.random), Arc::clone(&world.clock));
    Arc::new(move || {
        let (drawn, number) = (random(), random() as u64 >> 1);
        let id = uuid::Builder::from_unix_timestamp_millis(
            clock.unix_ms(),
            &drawn.to_be_bytes()[..10].try_into().expect("ten of sixteen bytes"),
        );
        format!("{}-{number}", id.into_uuid())
    })
}

/// Asks SCM which cluster this is, until it answers.
async fn join<B: Blocks>(config: &Config, world: &World, blocks: &B) -> Result<Identity, StartOmError> {
    let pause = Duration::from_millis(500);
    let mut waited = Duration::ZERO;
    loop {
        match blocks.info().await {
            Ok(info) => {
                return Ok(Identity {
                    raft_group: info.cluster_id.clone(),
                    cluster_id: info.cluster_id,
                    scm_id: info.scm_id,
                    om_id: uuid::Builder::from_random_bytes((world.random)().to_be_bytes())
                        .into_uuid()
                        .to_string(),
                    created_ms: world.clock.unix_ms(),
                });
            }
            Err(why) if waited >= config.scm_wait_max => {
                let names = config.scms.iter().map(|scm| format!("{}:{}", scm.host, scm.block_port));
                let scm = names.collect::<Vec<_>>().join(", ");
                return Err(StartOmError::Scm { scm, waited, why: why.to_string() });
            }
            Err(_) => {
                tokio::time::sleep(pause).await;
                waited += pause;
            }
        }
    }
}
