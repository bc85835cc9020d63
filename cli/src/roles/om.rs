//! `allotrope om`: the Ozone manager.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use allotrope_consensus::{RocksShared, SystemClock};
use allotrope_om::deletion::DeletionPace;
use allotrope_om::settings::Settings as OmSettings;
use allotrope_om::{Config, World};
use allotrope_types::ReplicationConfig;
use clap::Args;
use uuid::Uuid;

use super::{DRAIN_MAX, Failure};
use crate::config::Settings;

/// How long a first start waits for SCM, which names the cluster.
const SCM_WAIT_MAX: Duration = Duration::from_secs(60);

/// Arguments of `allotrope om`. A first start asks SCM which cluster this is, so there is nothing to initialise.
#[derive(Debug, Args)]
pub(crate) struct Om {
    /// Make the empty metadata folder that of an OM with the state of this backup, which `allotrope admin checkpoint` made.
    #[arg(long, value_name = "FOLDER")]
    restore: Option<PathBuf>,
}

impl Om {
    pub(crate) fn run(self, settings: &Settings) -> Result<ExitCode, Failure> {
        let config = config(settings)?;
        super::make_folder(&config.dir)?;
        if let Some(backup) = self.restore {
            return restore(&config, &backup);
        }
        super::start_logs(settings)?;
        super::runtime()?.block_on(async {
            let running = allotrope_om::start(config, world(super::rocks()?)).await?;
            tracing::info!(rpc = %running.rpc, grpc = %running.grpc, "OM runs");
            super::asked_to_end().await?;
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

pub(crate) fn config(settings: &Settings) -> Result<Config, Failure> {
    let rpc = super::listen_at(settings, "ozone.om.address", 9862)?;
    let (scm_host, scm_block_port) = super::scm_at(settings, "ozone.scm.block.client.address", 9863)?;
    let (_, scm_container_port) = super::scm_at(settings, "ozone.scm.client.address", 9860)?;
    let host = settings.address("ozone.om.address", 9862)?.0;
    Ok(Config {
        dir: super::folder(settings, "ozone.om.db.dirs", "om")?,
        node_id: "om1".to_owned(),
        host: if rpc.ip().is_unspecified() { super::host_name() } else { host },
        rpc,
        grpc: SocketAddr::new(rpc.ip(), settings.port("ozone.om.grpc.port")?),
        consensus: SocketAddr::new(rpc.ip(), 9872),
        scm_host,
        scm_block_port,
        scm_container_port,
        scm_wait_max: SCM_WAIT_MAX,
        settings: OmSettings {
            block_size: settings.bytes("ozone.scm.block.size")?.as_u64(),
            default_replication: default_replication(settings)?,
            admins: settings.words("ozone.administrators"),
            ..OmSettings::default()
        },
        deletion: DeletionPace::default(),
    })
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
