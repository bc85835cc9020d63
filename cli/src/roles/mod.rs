//! The servers: each role's settings as the plain values that its crate takes, its start and its drain.
//!
//! Shape   one file a role; here what they share: addresses, folders, logs, the wait for a signal.
//! Errors  a setting that cannot be used names itself and the fix; everything is checked before anything listens.

pub(crate) mod datanode;
mod groups;
mod logs;
pub(crate) mod om;
mod pages;
pub(crate) mod recon;
pub(crate) mod s3g;
pub(crate) mod scm;
pub(crate) mod scms;

use std::error::Error;
use std::net::{SocketAddr, ToSocketAddrs};
use std::path::{Path, PathBuf};
use std::time::Duration;

use allotrope_consensus::RocksShared;
use tokio::runtime::Runtime;
use tokio::signal::unix::{SignalKind, signal};

use crate::config::Settings;
pub(crate) use logs::start_logs;
pub(crate) use pages::PagesAt;

/// What can go wrong at a start, with its message.
pub(crate) type Failure = Box<dyn Error>;

/// How long a server that was told to end may take to answer what it accepted.
pub(crate) const DRAIN_MAX: Duration = Duration::from_secs(10);
/// What the databases of a control-plane role share for blocks read and for writes not yet in tables.
const ROCKS_CACHE_LEN: usize = 256 << 20;
const ROCKS_WRITE_BUFFERS_LEN: usize = 64 << 20;

/// A runtime for a role of the control plane.
pub(crate) fn runtime() -> Result<Runtime, Failure> {
    Ok(tokio::runtime::Builder::new_multi_thread().enable_all().build()?)
}

pub(crate) fn rocks() -> Result<RocksShared, Failure> {
    Ok(RocksShared::new(ROCKS_CACHE_LEN, ROCKS_WRITE_BUFFERS_LEN)?)
}

/// Waits for the process to be asked to end (SIGTERM, or Ctrl-C); what comes between the call and the wait is not missed.
pub(crate) fn asked_to_end() -> std::io::Result<impl Future<Output = ()>> {
    let (mut terminate, mut interrupt) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    Ok(async move {
        tokio::select! {
            biased;
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
    })
}

/// Where to listen: the host of `name` and its port, or every address at `port` when it is not set.
fn listen_at(settings: &Settings, name: &'static str, port: u16) -> Result<SocketAddr, Failure> {
    match settings.text(name) {
        None => Ok(SocketAddr::from(([0, 0, 0, 0], port))),
        Some(_) => {
            let (host, port) = settings.address(name, port)?;
            resolve(name, &host, port)
        }
    }
}

fn resolve(name: &str, host: &str, port: u16) -> Result<SocketAddr, Failure> {
    let mut found = (host, port)
        .to_socket_addrs()
        .map_err(|error| format!("{name}: the host {host:?} has no address: {error}"))?;
    found.next().ok_or_else(|| format!("{name}: the host {host:?} has no address").into())
}

/// Where to reach SCM's service of setting `name`: its own host, or the first of `ozone.scm.names`, or this machine.
fn scm_at(settings: &Settings, name: &'static str, port: u16) -> Result<(String, u16), Failure> {
    if settings.text(name).is_some() {
        return Ok(settings.address(name, port)?);
    }
    let names = settings.text("ozone.scm.names").unwrap_or("localhost");
    let first = names.split(',').next().unwrap_or(names).trim();
    // A port after the name is that of the datanodes' service, as in Ozone; each service has its own.
    let host = first.rsplit_once(':').map_or(first, |(host, _)| host);
    Ok((host.to_owned(), port))
}

/// The folder of a role: its own setting, else a folder of the role's name in `ozone.metadata.dirs`.
fn folder(settings: &Settings, own: &'static str, role: &str) -> Result<PathBuf, Failure> {
    if settings.text(own).is_some() {
        return first(settings.folders(own)?, own);
    }
    Ok(first(settings.folders("ozone.metadata.dirs")?, "ozone.metadata.dirs")?.join(role))
}

fn first(folders: Vec<PathBuf>, name: &str) -> Result<PathBuf, Failure> {
    folders.into_iter().next().ok_or_else(|| format!("{name} names no folder").into())
}

/// Makes a role's folder where it is missing, with those above it. Their names are durable before anything in them is promised to
/// be: each before the next is made in it, and that of the deepest that is there too, as a process that was killed may have left it.
pub(crate) fn make_folder(path: &Path) -> Result<(), Failure> {
    let failed = |error: std::io::Error| format!("the folder {} cannot be made: {error}", path.display());
    let missing: Vec<_> = path.ancestors().take_while(|folder| !is_there(folder)).collect();
    if let Some(deepest) = path.ancestors().nth(missing.len()) {
        use std::io::ErrorKind::{InvalidInput, PermissionDenied, ReadOnlyFilesystem, Unsupported};
        match sync_parent(deepest) {
            // A folder that no process of ours has made anything in.
            Err(e)
                if matches!(e.kind(), PermissionDenied | ReadOnlyFilesystem | InvalidInput | Unsupported) => {
            }
            synced => synced.map_err(failed)?,
        }
    }
    for folder in missing.into_iter().rev() {
        std::fs::create_dir_all(folder).and_then(|()| sync_parent(folder)).map_err(failed)?;
    }
    Ok(())
}

/// Whether it is; of a relative path what is above its first name is the working folder.
fn is_there(folder: &Path) -> bool {
    folder.as_os_str().is_empty() || folder.exists()
}

fn sync_parent(folder: &Path) -> std::io::Result<()> {
    let Some(parent) = folder.parent() else { return Ok(()) };
    let parent = if parent.as_os_str().is_empty() { Path::new(".") } else { parent };
    std::fs::File::open(parent)?.sync_all()
}

/// This machine's name, as the kernel knows it.
fn host_name() -> String {
    let name = rustix::system::uname().nodename().to_string_lossy().into_owned();
    if name.is_empty() { "localhost".to_owned() } else { name }
}
