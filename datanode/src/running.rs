//! A datanode in this process: its shards, its listeners, its control thread.
//!
//! Errors  [`StartError`], each with what to change.

use crate::boot::{BootError, Draw, Lobby};
use crate::config::{Config, ScmTransport, Seats};
use crate::control;
use crate::control::http::Pages;
use crate::control::link::{RpcLink, ScmLink};
use crate::identity::{self, IdentityError};
use crate::metadata::rocks::{RocksMetadata, RocksShared};
use crate::metadata::{Metadata, MetadataError};
use crate::pipeline::edge;
use crate::replication::{self, CopyLimits};
use crate::server::{self, Door};
use crate::volume::open::OpenMetadata;
use allotrope_io::{
    AskError, Back, Clock, NetError, Probe, Severity, Shard, ShardId, Shards, ShardsConfig, StopReport,
    TaskDied, TcpListener,
};
use allotrope_proto::grpc::{GrpcClient, GrpcClientConfig};
use allotrope_proto::hadoop_rpc::{ClientConfig, HadoopClient};
use allotrope_proto::net::{Drain, Plain, Target};
use allotrope_proto::ops;
use allotrope_proto::rpc::ClientId;
use allotrope_types::DatanodeId;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::{Arc, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;
use tokio::sync::watch;

/// The longest buffer of a shard's pool, in bytes.
const BUFFER_MAX: usize = 4 << 20;

/// How long a page that is being read may hold up the end.
const PAGES_DRAIN: Duration = Duration::from_secs(1);

/// Why a datanode does not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// A setting makes no sense.
    #[error("{0}")]
    Config(String),
    /// The shards do not start.
    #[error("the shards do not start")]
    Shards(#[from] allotrope_io::StartError),
    /// A shard took no task.
    #[error("a shard took no task: {0}")]
    Ask(#[from] AskError),
    /// A task of the start panicked.
    #[error("a task of the start ended without a result")]
    Died(#[from] TaskDied),
    /// The metadata's shared memory cannot be had.
    #[error(transparent)]
    Metadata(#[from] MetadataError),
    /// The folders cannot be used.
    #[error(transparent)]
    Boot(#[from] BootError),
    /// The identity cannot be kept.
    #[error(transparent)]
    Identity(#[from] IdentityError),
    /// The port cannot be had.
    #[error(transparent)]
    Listen(#[from] NetError),
    /// The pages for operators cannot be served there.
    #[error("the pages for operators cannot be served at {address} (hdds.datanode.http-address)")]
    Pages {
        /// Where.
        address: SocketAddr,
        /// What the socket says.
        source: std::io::Error,
    },
    /// The control thread cannot be started.
    #[error("the control thread does not start")]
    Control(#[source] std::io::Error),
}

/// A datanode that runs. Dropping it stops it without waiting.
pub struct Running {
    address: SocketAddr,
    pages: Option<SocketAddr>,
    copies: SocketAddr,
    pipelines: (SocketAddr, SocketAddr),
    lobby: Arc<Lobby>,
    shards: Shards,
    stop: watch::Sender<bool>,
    control: Option<JoinHandle<()>>,
}

/// Starts a datanode that reaches the SCMs of its settings over the transport they name.
pub fn start(config: Config) -> Result<Running, StartError> {
    let targets = config.scm.iter().map(|address| target(address)).collect::<Result<Vec<_>, _>>()?;
    let client_id = ClientId::from_bytes(random());
    match config.scm_transport {
        ScmTransport::HadoopRpc => start_with(config, move || {
            let link = |target: Target| {
                let name = target.to_string();
                RpcLink::new(HadoopClient::new(target, Plain, client_id, ClientConfig::default()), name)
            };
            targets.into_iter().map(link).collect()
        }),
        ScmTransport::Grpc => start_with(config, move || {
            let link = |target: Target| {
                let name = target.to_string();
                match GrpcClient::new(target, Plain, client_id, GrpcClientConfig::default()) {
                    Ok(client) => Some(RpcLink::new(client, name)),
                    Err(e) => {
                        tracing::error!(scm = name, error = %e, "SCM's address cannot be used");
                        None
                    }
                }
            };
            targets.into_iter().filter_map(link).collect()
        }),
    }
}

fn target(address: &str) -> Result<Target, StartError> {
    let parts = address.rsplit_once(':').and_then(|(host, port)| Some((host, port.parse().ok()?)));
    let (host, port) = parts.filter(|(host, _)| !host.is_empty()).ok_or_else(|| {
        StartError::Config(format!(
            "SCM's address {address:?} is not host:port; a valid one is scm.example:9861"
        ))
    })?;
    Ok(Target { host: host.trim_matches(['[', ']']).to_owned(), port })
}

/// Starts a datanode that reaches SCM through `links`, one for each SCM, made on the control thread. Blocks until its port is bound; volumes that
/// were formatted before are open then, new ones are once SCM has told its cluster.
pub fn start_with<L: ScmLink>(
    config: Config,
    links: impl FnOnce() -> Vec<L> + Send + 'static,
) -> Result<Running, StartError> {
    check(&config)?;
    if !config.verify_reads {
        tracing::warn!(
            "allotrope.datanode.verify-reads is false: bytes from the disks are not verified before they leave; clients find what is damaged"
        );
    }
    let shards = start_shards(&config)?;
    let shared = RocksShared::new(config.metadata_cache.as_usize().unwrap_or(64 << 20), 64 << 20)?;
    let open_metadata: OpenMetadata = Arc::new(move |path, families| {
        Ok(Arc::new(RocksMetadata::open(path, families, &shared)?) as Arc<dyn Metadata>)
    });
    let draw: Draw = Arc::new(random);
    let holder = format!("{}@{}", std::process::id(), config.host_name);
    let pages = config.operators.listen.map(bind_pages).transpose()?;
    let pages_address = pages.as_ref().map(|(_, address)| *address);
    let (pool, listen, wanted) = (shards.clone(), config.listen, config.clone());
    let answers_len = config.read_cache.as_usize().unwrap_or(usize::MAX) / shards.count().max(1);
    let entered = shards.run_on(ShardId(0), "start", move |shard| async move {
        let entered = Lobby::enter(&shard, pool, wanted, open_metadata, draw, &holder).await;
        let (lobby, events) = entered?;
        let listener = shard.listen(listen)?;
        let address = listener.local_addr();
        let replication = shard.listen(lobby.config.replication.listen)?;
        let copies = replication.local_addr();
        let members = shard.listen(lobby.config.pipelines.listen)?;
        let admin = shard.listen(lobby.config.pipelines.admin)?;
        let pipelines = (members.local_addr(), admin.local_addr());
        let (file, new) =
            identity::announced(lobby.identity(), &lobby.config, address, copies, pipelines, pages_address);
        if new {
            identity::save(shard.disk(), &lobby.config, &file).await?;
            *lobby.identity.lock().unwrap_or_else(PoisonError::into_inner) = file;
        }
        let (task, door) = (shard.clone(), lobby.door.clone());
        drop(shard.spawn("accept", async move { server::serve(task, listener, door, answers_len).await }));
        serve_copies(&shard, replication, &lobby.door);
        serve_pipelines(&shard, members, &lobby.door);
        let (task, door) = (shard.clone(), lobby.door.clone());
        drop(shard.spawn("accept admin", async move { edge::serve_admin(task, admin, door).await }));
        // A datanode whose disks know their cluster serves before SCM is there.
        if let Some(cluster) = lobby.cluster_on_disk(&shard).await? {
            lobby.open(&shard, &cluster).await?;
        }
        Ok::<_, StartError>((lobby, events, address, copies, pipelines))
    })?;
    let (lobby, events, address, copies, pipelines) = entered.wait()??;
    for n in 1..shards.count() {
        let door = lobby.door.clone();
        let listening = shards.run_on(ShardId(n), "accept", move |shard| async move {
            let listener = shard.listen_along(address)?;
            let task = shard.clone();
            let served = door.clone();
            let accepting = async move { server::serve(task, listener, served, answers_len).await };
            drop(shard.spawn("accept", accepting));
            serve_copies(&shard, shard.listen_along(copies)?, &door);
            serve_pipelines(&shard, shard.listen_along(pipelines.0)?, &door);
            Ok::<_, NetError>(())
        })?;
        listening.wait()??;
    }
    let (stop, stopping) = watch::channel(false);
    let controlled = lobby.clone();
    let control = std::thread::Builder::new()
        .name("control".into())
        .spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            match runtime {
                Ok(runtime) => runtime.block_on(async {
                    let drain = Drain::new();
                    if let Some((listener, _)) = pages {
                        serve_pages(&controlled, listener, &drain);
                    }
                    control::run(controlled, links(), events, stopping, Clock::tokio()).await;
                    drain.finish(PAGES_DRAIN).await;
                }),
                Err(e) => tracing::error!(error = %e, "the control thread has no runtime; SCM hears nothing"),
            }
        })
        .map_err(StartError::Control)?;
    tracing::info!(datanode = %lobby.id(), %address, shards = shards.count(), back = %shards.back(), "the datanode runs");
    Ok(Running {
        address,
        copies,
        pipelines,
        pages: pages_address,
        lobby,
        shards,
        stop,
        control: Some(control),
    })
}

impl Running {
    /// Where clients are served.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Where operators' pages are served.
    pub fn pages(&self) -> Option<SocketAddr> {
        self.pages
    }

    /// What runs its shards.
    pub fn back(&self) -> Back {
        self.shards.back()
    }

    /// Where other datanodes are served.
    pub fn replication_address(&self) -> SocketAddr {
        self.copies
    }

    /// Where clients of pipelines and their members are served.
    pub fn pipeline_address(&self) -> SocketAddr {
        self.pipelines.0
    }

    /// Where administrators of pipelines are served.
    pub fn admin_address(&self) -> SocketAddr {
        self.pipelines.1
    }

    /// The datanode's name.
    pub fn id(&self) -> DatanodeId {
        self.lobby.id()
    }

    /// Whether its volumes are open.
    pub fn is_open(&self) -> bool {
        self.lobby.door.get().is_some()
    }

    /// Resolves once the datanode cannot go on, with the reason: too many of its volumes failed.
    pub async fn failed(&self) -> String {
        let mut fatal = self.lobby.fatal.subscribe();
        let why = match fatal.wait_for(Option::is_some).await {
            Ok(why) => why.clone(),
            // The lobby, which this holds, has the sender.
            Err(_) => None,
        };
        why.unwrap_or_default()
    }

    /// Makes `roots` the volumes in use: new ones are opened, those that are not named are let go. Returns when that is done.
    pub async fn set_volumes(&self, roots: Vec<PathBuf>) -> Result<(), StartError> {
        let lobby = self.lobby.clone();
        let setting = self.shards.run_on(ShardId(0), "volumes", move |shard| async move {
            lobby.set_volumes(&shard, roots).await
        })?;
        Ok(setting.await??)
    }

    /// Changes the limits of copies from now on, in a datanode whose volumes are open.
    pub fn set_copy_limits(&self, limits: &CopyLimits) -> Result<(), StartError> {
        let node = self.lobby.door.get().ok_or(BootError::Closed)?;
        node.set_copy_limits(limits);
        Ok(())
    }

    /// Ends it as a power cut would, for drills: connections are closed, what was read of requests is not carried out further,
    /// and SCM hears nothing of it. When this returns its tasks are gone, its buffers are free and its files are closed.
    /// Blocks the calling thread.
    pub fn kill(mut self) -> StopReport {
        self.stop.send_replace(true);
        let report = self.shards.stop(Duration::ZERO);
        self.join_control();
        report
    }

    /// Stops: no new connection, commands that were read are carried out, and what has not ended after `within` is
    /// dropped. Acknowledged bytes are stable whatever happens here.
    pub fn shutdown(mut self, within: Duration) -> StopReport {
        self.stop.send_replace(true);
        self.join_control();
        self.shards.stop(within)
    }

    fn join_control(&mut self) {
        if let Some(control) = self.control.take()
            && control.join().is_err()
        {
            tracing::error!("the control thread panicked");
        }
    }
}

fn bind_pages(address: SocketAddr) -> Result<(std::net::TcpListener, SocketAddr), StartError> {
    let failed = |source| StartError::Pages { address, source };
    let listener = std::net::TcpListener::bind(address).map_err(failed)?;
    listener.set_nonblocking(true).map_err(failed)?;
    let bound = listener.local_addr().map_err(failed)?;
    Ok((listener, bound))
}

fn serve_pages(lobby: &Arc<Lobby>, listener: std::net::TcpListener, drain: &Drain) {
    let listener = match tokio::net::TcpListener::from_std(listener) {
        Ok(listener) => listener,
        Err(e) => return tracing::error!(error = %e, "the pages for operators are not served"),
    };
    let (operators, pages, drain) =
        (lobby.config.operators.clone(), Arc::new(Pages(lobby.clone())), drain.clone());
    tokio::spawn(async move { ops::serve(listener, Plain, operators, pages, &drain).await });
}

fn serve_copies(shard: &Shard, listener: TcpListener, door: &Door) {
    let (task, door) = (shard.clone(), door.clone());
    drop(shard.spawn("accept copies", async move { replication::server::serve(task, listener, door).await }));
}

fn serve_pipelines(shard: &Shard, listener: TcpListener, door: &Door) {
    let (task, door) = (shard.clone(), door.clone());
    drop(shard.spawn("accept pipelines", async move { edge::serve(task, listener, door).await }));
}

fn check(config: &Config) -> Result<(), StartError> {
    if config.volumes.is_empty() {
        return Err(StartError::Config("hdds.datanode.dir names no folder; give at least one".into()));
    }
    if config.container_size.is_zero() {
        return Err(StartError::Config("ozone.scm.container.size is 0; the default is 5GB".into()));
    }
    Ok(())
}

/// A pool of shards for several datanodes of this process, as `config` wants shards: each of them takes [`Seats`] on it and brings
/// its own buffers.
pub fn pool(config: &Config) -> Result<Shards, StartError> {
    let back = config.back.unwrap_or_else(Back::of_this_machine);
    let config = ShardsConfig { register_buffers: false, ..shards_config(config, back, BUFFER_MAX) };
    Ok(Shards::start(config)?)
}

fn shards_config(config: &Config, back: Back, memory_per_shard: usize) -> ShardsConfig {
    let shards = config.shards.max(1);
    ShardsConfig {
        back,
        name: "datanode".into(),
        // A shard a core has that core; fewer are left to the kernel, as others may run here.
        pin: std::thread::available_parallelism().is_ok_and(|cores| shards >= cores.get()),
        memory_per_shard,
        buffer_max: BUFFER_MAX,
        ..ShardsConfig::portable(shards)
    }
}

fn start_shards(config: &Config) -> Result<Shards, StartError> {
    let memory_per_shard = config.memory_per_shard.as_usize().unwrap_or(128 << 20).max(2 * BUFFER_MAX);
    let probe = Probe::run(&config.volumes, config.shards.max(1), memory_per_shard);
    tracing::info!("{}", probe.summary());
    for line in probe.lines().iter().filter(|line| line.severity > Severity::Fine) {
        tracing::warn!(advice = line.advice, "{}", line.text);
    }
    if let Some(Seats { pool, on }) = &config.seats {
        return Ok(pool.share("datanode", on, memory_per_shard)?);
    }
    let start = |back| Shards::start(shards_config(config, back, memory_per_shard));
    match config.back.unwrap_or_else(|| probe.back()) {
        Back::Uring if config.back.is_none() => match start(Back::Uring) {
            Ok(shards) => Ok(shards),
            Err(e) => {
                tracing::warn!(error = %e, "io_uring cannot be used; the portable back serves (see allotrope doctor)");
                Ok(start(Back::Portable)?)
            }
        },
        back => Ok(start(back)?),
    }
}

#[allow(clippy::disallowed_methods, reason = "the process's own chance, handed down as a parameter")]
fn random() -> [u8; 16] {
    uuid::Uuid::new_v4().into_bytes()
}
