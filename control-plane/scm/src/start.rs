//! Starting and stopping an SCM.
//!
//! Owns    the listeners, the replica, the loops; [`Running`] is the handle to all of them.
//! Errors  [`StartError`] says what did not start; nothing is left running then.

use std::collections::BTreeMap;
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use allotrope_consensus::network::memory::MemoryNetwork;
use allotrope_consensus::network::tcp::{self, TcpNetwork};
use allotrope_consensus::{
    Beginning, ClusterId, Member, MemberId, Replica, ReplicaConfig, RocksShared, Surroundings,
};
use allotrope_proto::grpc::{GrpcServer, GrpcServerConfig};
use allotrope_proto::hadoop_rpc::{HadoopServer, HadoopServerConfig};
use allotrope_proto::net::{AcceptLimits, Drain, Plain, Port, listen};
use allotrope_proto::ops;
use allotrope_proto::rpc::Methods;
use allotrope_proto::rpc::catalog::{AdminCheckpoint, DatanodeHeartbeat, ScmBlockSend, ScmContainerSubmit};
use tokio::net::TcpListener;
use tokio::sync::{mpsc, watch};

use crate::clock::Clock;
use crate::cluster::{Cluster, Now};
use crate::config::{Config, ConfigError, ScmMember};
use crate::identity::{self, Identity, IdentityError};
use crate::loops;
use crate::members;
use crate::pages::Pages;
use crate::replicated::ScmMachine;
use crate::scm::Scm;
use crate::service::admin::AdminService;
use crate::service::block::BlockService;
use crate::service::datanode::DatanodeService;
use crate::service::location::LocationService;

/// Where the replica lies in SCM's folder.
pub(crate) const REPLICA_DIR: &str = "scm.db";
/// Changes that wait to be proposed; more are found again by the next sweep.
const CHANGES_WAITING_MAX: usize = 10_000;

/// Why an SCM did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// A setting cannot work.
    #[error("SCM's configuration is wrong")]
    Config(#[from] ConfigError),
    /// It does not know who it is.
    #[error("SCM does not know who it is")]
    Identity(#[from] IdentityError),
    /// Its log or tables do not open.
    #[error("SCM's database does not open")]
    Replica(#[from] allotrope_consensus::StartError),
    /// A port cannot be listened on.
    #[error("SCM cannot listen on {address} for {what}")]
    Listen {
        /// Where.
        address: SocketAddr,
        /// For whom.
        what: &'static str,
        /// What the socket says.
        source: io::Error,
    },
    /// The services do not fit together.
    #[error("SCM's services cannot be served: {0}")]
    Services(String),
}

/// A running SCM.
pub struct Running {
    /// Where datanodes report.
    pub datanode_address: SocketAddr,
    /// Where OM asks for blocks.
    pub block_address: SocketAddr,
    /// Where administrators ask.
    pub client_address: SocketAddr,
    /// Where operators' pages are served.
    pub pages_address: Option<SocketAddr>,
    scm: Arc<Scm>,
    drain: Drain,
    stop_raft: watch::Sender<bool>,
}

/// The wall clock of the log's stamps.
struct Stamps(Arc<dyn Clock>);

impl allotrope_consensus::Clock for Stamps {
    fn unix_ms(&self) -> u64 {
        self.0.unix_ms()
    }
}

/// Starts the SCM that was initialised in `config.dir`. `rocks` is what the process's databases share.
///
/// It answers at once; it leads, and leaves safe mode, somewhat later.
pub async fn start(config: Config, rocks: RocksShared, clock: Arc<dyn Clock>) -> Result<Running, StartError> {
    config.check()?;
    let identity = identity::read(&config.dir)?;
    let datanodes = bind(config.datanode_address, "datanodes")?;
    let blocks = bind(config.block_address, "OM")?;
    let clients = bind(config.client_address, "administrators")?;
    let pages = config.operators.listen.map(|address| bind(address, "operators' pages")).transpose()?;

    let cluster = Arc::new(Mutex::new(Cluster::new(&config, Now::of(&*clock))));
    let (me, founders) = founders(&config);
    let replica = ReplicaConfig::new(
        config.dir.join(REPLICA_DIR),
        ClusterId(identity.raft_group.clone()),
        me,
        if identity.joins { Beginning::Join } else { Beginning::Found(founders) },
    );
    let machine = ScmMachine::new(Arc::clone(&cluster));
    let stamps = Arc::new(Stamps(Arc::clone(&clock)));
    let (stop_raft, stopped) = watch::channel(false);
    let raft = if config.members.is_empty() {
        let network = MemoryNetwork::default();
        let surroundings = Surroundings { rocks, network: Arc::new(network.clone()), clock: stamps };
        let raft = Replica::start(replica, surroundings, machine).await?;
        network.join(me, &raft.service());
        raft
    } else {
        let others = bind(config.raft_address, "the other SCMs")?.0;
        let surroundings = Surroundings { rocks, network: Arc::new(TcpNetwork::default()), clock: stamps };
        let raft = Replica::start(replica, surroundings, machine).await?;
        tokio::spawn(tcp::serve(others, raft.service(), stopped));
        raft
    };

    let drain = Drain::new();
    let (changes, proposed) = mpsc::channel(CHANGES_WAITING_MAX);
    let addresses = [datanodes.1, blocks.1, clients.1];
    let config = Config {
        datanode_address: addresses[0],
        block_address: addresses[1],
        client_address: addresses[2],
        ..config
    };
    let scm = Arc::new(Scm::new(config, identity, clock, cluster, raft, changes));
    let unfit = |why: &dyn std::fmt::Display| StartError::Services(why.to_string());
    let datanode_methods = Methods::new()
        .serve::<DatanodeHeartbeat, _>(&Arc::new(DatanodeService(Arc::clone(&scm))))
        .map_err(|why| unfit(&why))?;
    let block_methods = Methods::new()
        .serve::<ScmBlockSend, _>(&Arc::new(BlockService(Arc::clone(&scm))))
        .map_err(|why| unfit(&why))?;
    let client_methods = Methods::new()
        .serve::<ScmContainerSubmit, _>(&Arc::new(LocationService(Arc::clone(&scm))))
        .and_then(|methods| methods.serve::<AdminCheckpoint, _>(&Arc::new(AdminService(Arc::clone(&scm)))))
        .map_err(|why| unfit(&why))?;
    for ((listener, _), methods) in
        [(datanodes, datanode_methods), (blocks, block_methods), (clients, client_methods)]
    {
        let methods = Arc::new(methods);
        let hadoop = HadoopServer::new(HadoopServerConfig::default(), Arc::clone(&methods));
        let grpc = GrpcServer::new(GrpcServerConfig::default(), methods);
        let port = Port::new(hadoop.map_err(|why| unfit(&why))?, grpc, AcceptLimits::default());
        let drain = drain.clone();
        tokio::spawn(async move { port.serve(listener, Plain, &drain).await });
    }
    let pages_address = pages.as_ref().map(|(_, address)| *address);
    if let Some((listener, _)) = pages {
        let (operators, watched, drain) =
            (scm.config.operators.clone(), Arc::new(Pages(Arc::clone(&scm))), drain.clone());
        tokio::spawn(async move { ops::serve(listener, Plain, operators, watched, &drain).await });
    }
    if scm.identity.joins {
        tokio::spawn(members::join(Arc::clone(&scm), drain.clone()));
    }
    tokio::spawn(loops::follow_leadership(Arc::clone(&scm), drain.clone()));
    tokio::spawn(loops::propose_changes(Arc::clone(&scm), proposed, drain.clone()));
    tokio::spawn(loops::watch(Arc::clone(&scm), drain.clone()));
    tokio::spawn(loops::repair(Arc::clone(&scm), drain.clone()));
    tokio::spawn(loops::drain_datanodes(Arc::clone(&scm), drain.clone()));
    let [datanode_address, block_address, client_address] = addresses;
    tracing::info!(%datanode_address, %block_address, %client_address, cluster = scm.identity.cluster_id, "SCM runs");
    Ok(Running { datanode_address, block_address, client_address, pages_address, scm, drain, stop_raft })
}

/// Which member this is, and who founds the group with it.
pub(crate) fn founders(config: &Config) -> (MemberId, BTreeMap<MemberId, Member>) {
    let me = MemberId(config.member);
    if config.members.is_empty() {
        let address = config.raft_address.to_string();
        return (me, BTreeMap::from([(me, Member { name: config.host_name.clone(), address })]));
    }
    let member = |m: &ScmMember| {
        let member = Member { name: m.name.clone(), address: format!("{}:{}", m.host, m.raft_port) };
        (MemberId(m.number), member)
    };
    (me, config.members.iter().map(member).collect())
}

fn bind(address: SocketAddr, what: &'static str) -> Result<(TcpListener, SocketAddr), StartError> {
    let failed = |source| StartError::Listen { address, what, source };
    let listener = listen(address).map_err(failed)?;
    let bound = listener.local_addr().map_err(failed)?;
    Ok((listener, bound))
}

impl Running {
    /// Who this SCM is.
    pub fn identity(&self) -> &Identity {
        &self.scm.identity
    }

    /// Whether it allocates and deletes nothing yet.
    pub fn in_safe_mode(&self) -> bool {
        self.scm.cluster().safe_mode.is_on()
    }

    /// Whether it decides.
    pub fn leads(&self) -> bool {
        self.scm.term().is_some()
    }

    /// Its figures, as Prometheus' text format.
    pub fn metrics(&self) -> String {
        self.scm.figures()
    }

    /// Stops accepting, answers what was asked, for `deadline` at most, then closes the tables.
    pub async fn shutdown(self, deadline: Duration) {
        self.drain.finish(deadline).await;
        self.scm.raft.shutdown(deadline).await;
        self.stop_raft.send_replace(true);
    }
}
