//! `allotrope recon`: the cluster as an API and a page.

use std::process::ExitCode;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use allotrope_proto::net::Target;
use allotrope_proto::ops::{LogLevels, Operators};
use allotrope_recon::{Config, MetricsAt, Running, start};
use clap::Args;
use uuid::Uuid;

use super::{DRAIN_MAX, Failure, om, scms};
use crate::config::Settings;

/// Arguments of `allotrope recon`.
#[derive(Debug, Args)]
pub(crate) struct Recon {}

impl Recon {
    pub(crate) fn run(self, settings: &Settings) -> Result<ExitCode, Failure> {
        let logs = super::start_logs(settings)?;
        let config = config(settings, &logs)?;
        super::runtime()?.block_on(async {
            let running: Running = start(config)?;
            let ended = super::asked_to_end()?;
            tracing::info!(address = %running.address(), "Recon runs");
            ended.await;
            running.shutdown(DRAIN_MAX).await;
            Ok(ExitCode::SUCCESS)
        })
    }
}

fn unix_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

/// A server on this machine listens on every address; it is asked at this one.
fn here(host: String) -> String {
    if host == "0.0.0.0" { "127.0.0.1".to_owned() } else { host }
}

pub(crate) fn config(settings: &Settings, logs: &Arc<dyn LogLevels>) -> Result<Config, Failure> {
    let at = super::listen_at(settings, "ozone.recon.http-address", 9888)?;
    let listen = match settings.text("ozone.recon.http-bind-host") {
        Some(host) => super::resolve("ozone.recon.http-bind-host", host, at.port())?,
        None => at,
    };
    let scms = scms::everywhere(settings, |scm| scm.client_port, ("ozone.scm.client.address", 9860))?;
    let (oms, mut metrics) = oms(settings)?;
    let (_, scm_pages) = settings.address("ozone.scm.http-address", 9876)?;
    for (name, host, _) in &scms {
        let at = Target { host: here(host.clone()), port: scm_pages };
        metrics.push(MetricsAt { name: name.clone(), at });
    }
    let name = |setting| settings.text(setting).unwrap_or_default().to_owned();
    Ok(Config {
        listen,
        scms: scms.into_iter().map(|(_, host, port)| Target { host: here(host), port }).collect(),
        oms,
        metrics,
        scm_service: name("ozone.scm.service.ids"),
        om_service: name("ozone.om.service.ids"),
        user: settings.text_needed("allotrope.recon.user")?.to_owned(),
        chance: Uuid::new_v4().as_u128(),
        clock: unix_ms,
        interval: settings.time("allotrope.recon.interval")?,
        operators: Operators {
            listen: None,
            settings: settings.shown().into(),
            logs: Some(Arc::clone(logs)),
        },
    })
}

/// Where each OM answers over gRPC, and where its metrics are.
fn oms(settings: &Settings) -> Result<(Vec<Target>, Vec<MetricsAt>), Failure> {
    let (_, pages) = settings.address("ozone.om.http-address", 9874)?;
    let Some((service, nodes)) = om::service(settings) else {
        let host = here(settings.address("ozone.om.address", 9862)?.0);
        let name = settings.text_needed("ozone.om.node.id")?.to_owned();
        let at = Target { host: host.clone(), port: pages };
        return Ok((
            vec![Target { host, port: settings.port("ozone.om.grpc.port")? }],
            vec![MetricsAt { name, at }],
        ));
    };
    let (mut targets, mut metrics) = (Vec::new(), Vec::new());
    for node in &nodes {
        let host = here(om::address_of(settings, &service, node)?.0);
        let port = om::port_of(settings, "ozone.om.grpc.port", &service, node)?;
        targets.push(Target { host: host.clone(), port });
        let own = settings.given(&format!("ozone.om.http-address.{service}.{node}"));
        let own = own.and_then(|setting| setting.value.rsplit_once(':')?.1.parse().ok());
        metrics.push(MetricsAt { name: node.clone(), at: Target { host, port: own.unwrap_or(pages) } });
    }
    Ok((targets, metrics))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Origin;

    struct Fixed;
    impl LogLevels for Fixed {
        fn level(&self, _: &str) -> String {
            String::new()
        }
        fn set_level(&self, _: &str, _: &str) -> Result<(), String> {
            Err(String::new())
        }
    }

    #[test]
    fn every_server_of_the_settings_is_asked() {
        let config = |given: &[(&str, &str)]| {
            let mut settings = Settings::default();
            given.iter().for_each(|(name, value)| settings.put(*name, *value, Origin::Flag));
            let logs: Arc<dyn LogLevels> = Arc::new(Fixed);
            super::config(&settings, &logs).unwrap()
        };
        let alone = config(&[("ozone.scm.names", "scm.example")]);
        assert_eq!(alone.listen.to_string(), "0.0.0.0:9888");
        assert_eq!(
            (alone.scms[0].to_string(), alone.oms[0].to_string()),
            ("scm.example:9860".into(), "127.0.0.1:8981".into())
        );
        let metrics: Vec<String> =
            alone.metrics.iter().map(|one| format!("{} {}", one.name, one.at)).collect();
        assert_eq!(metrics, ["om1 127.0.0.1:9874", "scm scm.example:9876"]);
        let group = config(&[
            ("ozone.om.service.ids", "s"),
            ("ozone.om.nodes.s", "a,b"),
            ("ozone.om.address.s.a", "host-a"),
            ("ozone.om.address.s.b", "host-b"),
            ("ozone.om.http-address.s.b", "host-b:1234"),
            ("ozone.recon.http-address", "127.0.0.1:1"),
            ("ozone.recon.http-bind-host", "127.0.0.2"),
        ]);
        assert_eq!(group.listen.to_string(), "127.0.0.2:1");
        assert_eq!(group.oms.len(), 2);
        assert_eq!((group.metrics[1].at.to_string(), group.om_service.as_str()), ("host-b:1234".into(), "s"));
    }
}
