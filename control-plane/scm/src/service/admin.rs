//! What administrators on SCM's own machine ask: a backup of its state.
//!
//! Shape   docs/backup.md: a backup is `checkpoints/NAME/` in SCM's folder, with the replica's state and SCM's VERSION.
//! Law     asked from another machine it is refused.

use std::sync::Arc;

use allotrope_proto::admin::{CheckpointRequest, CheckpointResponse};
use allotrope_proto::rpc::catalog::AdminCheckpoint;
use allotrope_proto::rpc::{CallContext, Fault, Service};

use crate::audit::{self, Act};
use crate::identity;
use crate::restore::VERSION;
use crate::scm::Scm;

/// Where backups lie in SCM's folder.
const BACKUPS_DIR: &str = "checkpoints";

/// Answers administrators of this machine.
pub(crate) struct AdminService(pub(crate) Arc<Scm>);

impl Service<AdminCheckpoint> for AdminService {
    async fn call(
        &self,
        context: CallContext,
        request: CheckpointRequest,
    ) -> Result<CheckpointResponse, Fault> {
        let made = self.checkpoint(&context, request).await;
        let failed = made.as_ref().err().map(|fault| fault as &dyn std::fmt::Display);
        audit::write(Act::Read, &context, "CHECKPOINT", &[], failed);
        made
    }
}

impl AdminService {
    async fn checkpoint(
        &self,
        context: &CallContext,
        request: CheckpointRequest,
    ) -> Result<CheckpointResponse, Fault> {
        let scm = &*self.0;
        if !context.caller.is_on_this_machine(scm.config.client_address.ip()) {
            return Err(Fault::access_denied("checkpoints are asked for on SCM's own machine"));
        }
        let name = match request.name {
            name if name.is_empty() => format!("scm-{}", scm.clock.unix_ms()),
            name => name,
        };
        let version = identity::render(&scm.identity, scm.config.layout_version);
        let root = scm.config.dir.join(BACKUPS_DIR);
        let made =
            scm.raft.backup(&root, &name, &[(VERSION, version.as_bytes())]).await.map_err(|error| {
                let cause = std::error::Error::source(&error).map(|cause| format!(": {cause}"));
                Fault::io(format!("{error}{}", cause.unwrap_or_default()))
            })?;
        Ok(CheckpointResponse {
            folder: made.dir.display().to_string(),
            cluster_id: scm.identity.cluster_id.clone(),
            applied: made.applied,
            time_ms: made.time.unix_ms,
        })
    }
}
