//! OM as its operators' pages see it.

use std::sync::atomic::AtomicU64;

use allotrope_consensus::{Role, StatusWatch};
use allotrope_proto::ops::Watched;
use allotrope_proto::ops::metrics::{Exposition, Gauge, Registry, register_build};

/// The pages' view of a running OM.
pub(crate) struct Pages(pub(crate) StatusWatch);

impl Watched for Pages {
    fn figures(&self) -> Exposition {
        let status = self.0.now();
        let mut registry = Registry::default();
        register_build(&mut registry, env!("CARGO_PKG_VERSION"), &[]);
        let mut show = |name, help, value: u64| {
            let gauge = Gauge::<u64, AtomicU64>::default();
            gauge.set(value);
            registry.register(name, help, gauge);
        };
        show(
            "om_leads",
            "1 on the OM that answers; the sum over all OMs is 1",
            (status.role == Role::Leader).into(),
        );
        show("om_term", "Grows with each election; often: OMs lose sight of each other", status.term);
        show("om_log_last", "Last entry of the log here", status.last_log.unwrap_or(0));
        show(
            "om_log_applied",
            "Last entry applied to the tables; falls behind om_log_last when the disk is slow",
            status.applied.unwrap_or(0),
        );
        show("om_voters", "OMs that vote; a majority of them must be up", status.voters.len() as u64);
        Exposition::of(&registry)
    }

    fn health(&self) -> Result<(), String> {
        match self.0.now().stopped {
            Some(why) => Err(format!("the replica has stopped: {why}")),
            None => Ok(()),
        }
    }

    fn ready(&self) -> Result<(), String> {
        match self.0.now().leader {
            Some(_) => Ok(()),
            None => Err("no OM of its service leads".into()),
        }
    }
}
