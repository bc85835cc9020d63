//! The datanode's pages for operators, served on the control thread.

use crate::boot::Lobby;
use allotrope_proto::ops::Watched;
use allotrope_proto::ops::metrics::Exposition;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

/// A datanode as its pages see it.
pub struct Pages(pub Arc<Lobby>);

impl Watched for Pages {
    fn figures(&self) -> Exposition {
        self.0.metrics.text(self.0.door.get().map(|node| &**node), Some(&self.0.shards))
    }

    fn health(&self) -> Result<(), String> {
        match self.0.door.get() {
            Some(node) if node.volumes().iter().all(|volume| volume.is_suspect()) => {
                Err("no volume is left that takes writes".into())
            }
            _ => Ok(()),
        }
    }

    fn ready(&self) -> Result<(), String> {
        if self.0.door.get().is_none() {
            return Err("the volumes are not open: SCM has not told which cluster this is".into());
        }
        match self.0.scms_registered.load(Relaxed) {
            0 => Err("no SCM has registered this datanode".into()),
            _ => Ok(()),
        }
    }
}
