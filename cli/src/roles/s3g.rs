//! `allotrope s3g`: the S3 gateway.

use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use allotrope_client::{Address, Client, Config as ClientConfig};
use allotrope_gateway::{Config, Figures, Running};
use allotrope_proto::net::{Drain, Plain, listen};
use allotrope_proto::ops::metrics::Exposition;
use allotrope_proto::ops::{self, Operators, Watched};
use allotrope_types::ByteCount;
use clap::Args;

use super::{DRAIN_MAX, Failure, PagesAt};
use crate::config::Settings;

/// Bytes that the gateway asks for ahead of one reader: less than a lone client does, for it has many.
const READ_AHEAD: ByteCount = ByteCount::mib(4);
/// Bytes that one writer of an erasure-coded key holds, for the same reason: two stripes of rs-3-2-1024k.
const WRITE_WINDOW: ByteCount = ByteCount::mib(10);

/// How long a page that is being read may hold up the end.
pub(crate) const PAGES_DRAIN: Duration = Duration::from_secs(1);

/// Arguments of `allotrope s3g`.
#[derive(Debug, Args)]
pub(crate) struct S3g {}

impl S3g {
    pub(crate) fn run(self, settings: &Settings) -> Result<ExitCode, Failure> {
        let config = config(settings)?;
        let client = client(settings)?;
        let logs = super::start_logs(settings)?;
        let operators = PagesAt::S3G.operators(settings, None, &logs)?;
        super::runtime()?.block_on(async {
            let running = start(config, client).await?;
            let drain = Drain::new();
            serve_pages(operators, &running, &drain)?;
            let ended = super::asked_to_end()?;
            tracing::info!(address = %running.address, "the S3 gateway runs");
            ended.await;
            running.shutdown(DRAIN_MAX).await;
            drain.finish(PAGES_DRAIN).await;
            Ok(ExitCode::SUCCESS)
        })
    }
}

/// Starts a gateway; an address in use is named.
pub(crate) async fn start(config: Config, client: Client) -> Result<Running, Failure> {
    let at = config.listen;
    let started = allotrope_gateway::start(config, client).await;
    started.map_err(|error| Failure::from(Taken { at, error }))
}

/// Serves the pages for operators, where there are any.
pub(crate) fn serve_pages(operators: Operators, running: &Running, drain: &Drain) -> Result<(), Failure> {
    let Some(at) = operators.listen else { return Ok(()) };
    let listener = listen(at).map_err(|error| PagesTaken { at, error })?;
    let (pages, drain) = (Arc::new(Pages(running.figures())), drain.clone());
    tokio::spawn(async move { ops::serve(listener, Plain, operators, pages, &drain).await });
    Ok(())
}

/// The gateway as its operators' pages see it.
struct Pages(Figures);

impl Watched for Pages {
    fn figures(&self) -> Exposition {
        Exposition::Prometheus(self.0.text())
    }

    /// It keeps nothing that a restart would mend.
    fn health(&self) -> Result<(), String> {
        Ok(())
    }

    fn ready(&self) -> Result<(), String> {
        match self.0.is_ready() {
            true => Ok(()),
            false => Err("OM has not answered".into()),
        }
    }
}

/// The port of the pages cannot be had.
#[derive(Debug, thiserror::Error)]
#[error("the S3 gateway's pages for operators cannot be served at {at} (ozone.s3g.webadmin.http-address)")]
struct PagesTaken {
    at: std::net::SocketAddr,
    #[source]
    error: std::io::Error,
}

/// The gateway's port cannot be had.
#[derive(Debug, thiserror::Error)]
#[error("the S3 gateway cannot listen at {at} (ozone.s3g.http-address)")]
struct Taken {
    at: std::net::SocketAddr,
    #[source]
    error: std::io::Error,
}

pub(crate) fn config(settings: &Settings) -> Result<Config, Failure> {
    let mut config = Config::at(super::listen_at(settings, "ozone.s3g.http-address", 9878)?);
    config.region = settings.text_needed("allotrope.s3g.region")?.to_owned();
    config.domains = settings.words("ozone.s3g.domain.name");
    config.connections_max = settings.count("allotrope.s3g.connections")?.max(1);
    config.idle_max = settings.time("allotrope.s3g.idle")?;
    Ok(config)
}

/// The client of the OM of the settings, as the gateway's own user.
pub(crate) fn client(settings: &Settings) -> Result<Client, Failure> {
    let (host, _) = settings.address("ozone.om.address", 9862)?;
    // OM listens on all addresses when none is set; a gateway on the same machine reaches it at this one.
    let host = if host == "0.0.0.0" { "127.0.0.1".to_owned() } else { host };
    let port = settings.port("ozone.om.grpc.port")?;
    let user = settings.text_needed("allotrope.s3g.user")?.to_owned();
    let om = vec![Address::new(&host, port)];
    Ok(Client::new(ClientConfig {
        om,
        user,
        read_ahead: READ_AHEAD,
        write_window: WRITE_WINDOW,
        ..ClientConfig::at(host, port)
    })?)
}
