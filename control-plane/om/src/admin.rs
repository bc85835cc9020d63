//! What administrators on OM's own machine ask: a backup of its state, and a start from one.
//!
//! Shape   docs/backup.md: a backup is `checkpoints/NAME/` in OM's folder, with the replica's state and OM's VERSION.
//! Law     asked from another machine it is refused. A restore reads the backup and never changes it.

use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use allotrope_consensus::{BackupError, Clock, ClusterId, Handle, restore as restore_replica};
use allotrope_proto::admin::{CheckpointRequest, CheckpointResponse};
use allotrope_proto::rpc::catalog::AdminCheckpoint;
use allotrope_proto::rpc::{CallContext, Fault, Service};

use crate::identity::{self, Identity};
use crate::machine::Namespace;
use crate::start::{Config, REPLICA_DIR, StartOmError, World, me, member_id};

/// Where backups lie in OM's folder.
const BACKUPS_DIR: &str = "checkpoints";

/// Answers administrators.
pub(crate) struct OmAdmin {
    replica: Handle<Namespace>,
    backups: PathBuf,
    identity: Identity,
    /// Where OM listens: who comes from there is on this machine.
    listener: IpAddr,
    clock: Arc<dyn Clock>,
}

impl OmAdmin {
    pub(crate) fn new(
        replica: Handle<Namespace>,
        dir: &Path,
        identity: Identity,
        listener: IpAddr,
        clock: &Arc<dyn Clock>,
    ) -> OmAdmin {
        OmAdmin { replica, backups: dir.join(BACKUPS_DIR), identity, listener, clock: Arc::clone(clock) }
    }
}

impl Service<AdminCheckpoint> for OmAdmin {
    async fn call(
        &self,
        context: CallContext,
        request: CheckpointRequest,
    ) -> Result<CheckpointResponse, Fault> {
        if !context.caller.is_on_this_machine(self.listener) {
            return Err(Fault::access_denied("checkpoints are asked for on OM's own machine"));
        }
        let name = match request.name {
            name if name.is_empty() => format!("om-{}", self.clock.unix_ms()),
            name => name,
        };
        let version = identity::render(&self.identity);
        let made = self.replica.backup(&self.backups, &name, &[(identity::FILE, version.as_bytes())]).await;
        let made = made.map_err(|error| {
            tracing::warn!(error = &error as &dyn std::error::Error, "no checkpoint was made");
            fault(&error)
        })?;
        tracing::info!(folder = %made.dir.display(), applied = made.applied, "a checkpoint was made");
        Ok(CheckpointResponse {
            folder: made.dir.display().to_string(),
            cluster_id: self.identity.cluster_id.clone(),
            applied: made.applied,
            time_ms: made.time.unix_ms,
        })
    }
}

fn fault(error: &BackupError) -> Fault {
    let cause = std::error::Error::source(error).map(|cause| format!(": {cause}")).unwrap_or_default();
    Fault::io(format!("{error}{cause}"))
}

/// What a restore made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Restored {
    /// Who the OM is.
    pub identity: Identity,
    /// The last log entry in it.
    pub applied: u64,
}

/// Makes the empty folder of `config` that of an OM with the state of `backup`, the only member of its group.
pub fn restore(config: &Config, world: &World, backup: &Path) -> Result<Restored, StartOmError> {
    if identity::load(&config.dir)?.is_some() {
        return Err(StartOmError::NotEmpty { dir: config.dir.clone() });
    }
    let found = identity::load(backup)?.ok_or_else(|| StartOmError::NoBackup { dir: backup.to_owned() })?;
    let raft_group = format!("{}+{:08x}", found.cluster_id, (world.random)() as u32);
    let identity = Identity { raft_group, ..found };
    let group = ClusterId(identity.raft_group.clone());
    let dir = config.dir.join(REPLICA_DIR);
    let only = (member_id(&config.node_id), me(config));
    let applied = restore_replica(&world.rocks, backup, &dir, &group, only, |_| Ok(()))?;
    identity::store(&config.dir, &identity)?;
    Ok(Restored { identity, applied })
}
