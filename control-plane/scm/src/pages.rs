//! SCM as its operators' pages see it.

use std::sync::Arc;

use allotrope_proto::ops::Watched;
use allotrope_proto::ops::metrics::Exposition;

use crate::scm::Scm;

/// The pages' view of a running SCM.
pub(crate) struct Pages(pub(crate) Arc<Scm>);

impl Watched for Pages {
    fn figures(&self) -> Exposition {
        Exposition::Prometheus(self.0.figures())
    }

    /// It lives as long as it answers; what it cannot do without others is readiness.
    fn health(&self) -> Result<(), String> {
        Ok(())
    }

    fn ready(&self) -> Result<(), String> {
        if self.0.term().is_none() && self.0.raft.status().now().leader.is_none() {
            return Err("no SCM of its group leads".into());
        }
        match self.0.cluster().safe_mode.is_on() {
            true => Err("SCM is in safe mode: it waits for datanodes and their containers".into()),
            false => Ok(()),
        }
    }
}
