//! Starting a Recon, and ending it.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use allotrope_proto::net::{Drain, listen};
use tokio::task::JoinHandle;

use crate::config::Config;
use crate::recon::Recon;
use crate::{collect, server};

/// Why a Recon does not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The port cannot be had.
    #[error("Recon cannot listen at {at} (ozone.recon.http-address)")]
    Listen {
        /// Where.
        at: SocketAddr,
        /// What the system said.
        source: std::io::Error,
    },
    /// A server that is to be asked cannot be named.
    #[error("Recon cannot ask a server of its settings")]
    Client {
        /// Why.
        source: std::io::Error,
    },
}

/// A Recon that runs. Dropping it ends it at once.
pub struct Running {
    address: SocketAddr,
    drain: Drain,
    tasks: Vec<JoinHandle<()>>,
}

/// Starts a Recon on the runtime that this is called in. SCM and OM need not be there yet.
///
/// # Errors
/// If the port cannot be had, or a server's name is none.
pub fn start(config: Config) -> Result<Running, StartError> {
    let at = config.listen;
    let listener = listen(at).map_err(|source| StartError::Listen { at, source })?;
    let address = listener.local_addr().map_err(|source| StartError::Listen { at, source })?;
    let recon = Arc::new(Recon::new(config).map_err(|source| StartError::Client { source })?);
    let drain = Drain::new();
    let mut tasks = collect::start(&recon, &drain);
    let draining = drain.clone();
    tasks.push(tokio::spawn(async move { server::serve(listener, recon, &draining).await }));
    Ok(Running { address, drain, tasks })
}

impl Running {
    /// Where the API and the page are.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Ends it; who is being answered has `time_max`.
    pub async fn shutdown(self, time_max: Duration) {
        self.drain.finish(time_max).await;
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.drain.start();
        self.tasks.iter().for_each(JoinHandle::abort);
    }
}
