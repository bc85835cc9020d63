//! `allotrope scm`: the storage container manager.

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use allotrope_scm::clock::{Clock, SystemClock};
use allotrope_scm::node::Thresholds;
use allotrope_scm::{Config, Identity, IdentityError};
use clap::Args;
use uuid::Uuid;

use super::{DRAIN_MAX, Failure, PagesAt};
use crate::config::Settings;

/// Arguments of `allotrope scm`.
#[derive(Debug, Args)]
pub(crate) struct Scm {
    /// Make the cluster: choose its id and write it into the metadata folder. Done once; again changes nothing.
    #[arg(long)]
    init: bool,
    /// Make the empty metadata folder that of an SCM with the state of this backup, which `allotrope admin checkpoint` made.
    #[arg(long, value_name = "FOLDER", conflicts_with = "init")]
    restore: Option<PathBuf>,
}

impl Scm {
    pub(crate) fn run(self, settings: &Settings) -> Result<ExitCode, Failure> {
        let mut config = config(settings)?;
        if self.init {
            return init(&config);
        }
        if let Some(backup) = self.restore {
            return restore(&config, &backup);
        }
        let logs = super::start_logs(settings)?;
        config.operators = PagesAt::SCM.operators(settings, None, &logs)?;
        super::runtime()?.block_on(async {
            let running = allotrope_scm::start(config, super::rocks()?, Arc::new(SystemClock::new())).await?;
            let cluster = &running.identity().cluster_id;
            tracing::info!(%cluster, datanodes = %running.datanode_address, blocks = %running.block_address,
                admin = %running.client_address, "SCM runs");
            super::asked_to_end().await?;
            running.shutdown(DRAIN_MAX).await;
            Ok(ExitCode::SUCCESS)
        })
    }
}

fn init(config: &Config) -> Result<ExitCode, Failure> {
    let found = identity(config)?;
    println!("cluster {}\nscm {}\nin {}", found.cluster_id, found.scm_id, config.dir.display());
    Ok(ExitCode::SUCCESS)
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
    let cluster_id = format!("CID-{}", Uuid::new_v4());
    let wanted = Identity {
        raft_group: cluster_id.clone(),
        cluster_id,
        scm_id: Uuid::new_v4().to_string(),
        created_ms: SystemClock::new().unix_ms(),
    };
    Ok(allotrope_scm::init(&config.dir, &wanted, config.layout_version)?)
}

pub(crate) fn config(settings: &Settings) -> Result<Config, Failure> {
    let mut config = Config::new(super::folder(settings, "ozone.scm.db.dirs", "scm")?);
    config.datanode_address = super::listen_at(settings, "ozone.scm.datanode.address", 9861)?;
    config.block_address = super::listen_at(settings, "ozone.scm.block.client.address", 9863)?;
    config.client_address = super::listen_at(settings, "ozone.scm.client.address", 9860)?;
    config.host_name = super::host_name();
    config.seed = Uuid::new_v4().as_u64_pair().0;
    config.container_size = settings.bytes("ozone.scm.container.size")?;
    config.block_size = settings.bytes("ozone.scm.block.size")?;
    config.safe_mode_datanodes_min = settings.count("hdds.scm.safemode.min.datanode")?;
    config.nodes = thresholds(settings)?;
    Ok(config)
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
