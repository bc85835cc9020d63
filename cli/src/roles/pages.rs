//! Where a role's pages for operators are: three settings of Ozone's, the same for every role.

use std::net::SocketAddr;
use std::sync::Arc;

use allotrope_proto::ops::{LogLevels, Operators};

use super::{Failure, resolve};
use crate::config::Settings;

/// The names of one role's settings.
#[derive(Clone, Copy, Debug)]
pub(crate) struct PagesAt {
    /// Whether there are pages.
    enabled: &'static str,
    /// `HOST:PORT`.
    address: &'static str,
    /// The host to listen at, if another than the address's.
    bind_host: &'static str,
}

impl PagesAt {
    pub(crate) const DATANODE: PagesAt = PagesAt {
        enabled: "hdds.datanode.http.enabled",
        address: "hdds.datanode.http-address",
        bind_host: "hdds.datanode.http-bind-host",
    };
    pub(crate) const OM: PagesAt = PagesAt {
        enabled: "ozone.om.http.enabled",
        address: "ozone.om.http-address",
        bind_host: "ozone.om.http-bind-host",
    };
    /// Beside S3's own port, whose paths are buckets.
    pub(crate) const S3G: PagesAt = PagesAt {
        enabled: "ozone.s3g.webadmin.http.enabled",
        address: "ozone.s3g.webadmin.http-address",
        bind_host: "ozone.s3g.webadmin.http-bind-host",
    };
    pub(crate) const SCM: PagesAt = PagesAt {
        enabled: "ozone.scm.http.enabled",
        address: "ozone.scm.http-address",
        bind_host: "ozone.scm.http-bind-host",
    };

    /// What a server is told of its operators: where its pages are, the settings, the logs. `member` is the service and
    /// the name of one server of several, whose own address comes first: `ozone.om.http-address.SERVICE.om1`.
    pub(crate) fn operators(
        self,
        settings: &Settings,
        member: Option<(&str, &str)>,
        logs: &Arc<dyn LogLevels>,
    ) -> Result<Operators, Failure> {
        let listen = match settings.text_needed(self.enabled)? == "true" {
            true => Some(self.listen(settings, member)?),
            false => None,
        };
        Ok(Operators { listen, settings: settings.shown().into(), logs: Some(Arc::clone(logs)) })
    }

    fn listen(self, settings: &Settings, member: Option<(&str, &str)>) -> Result<SocketAddr, Failure> {
        let own = member.map(|(service, node)| format!("{}.{service}.{node}", self.address));
        let own = own.and_then(|name| Some((settings.given(&name)?.value.clone(), name)));
        let (host, port) = match &own {
            None => settings.address(self.address, 0)?,
            Some((text, name)) => {
                let parts = text.rsplit_once(':').and_then(|(host, port)| Some((host, port.parse().ok()?)));
                let parts = parts.map(|(host, port)| (host.to_owned(), port));
                parts.ok_or_else(|| format!("{name} = {text:?}: a valid one is om1.example:9874"))?
            }
        };
        resolve(self.address, settings.text(self.bind_host).unwrap_or(&host), port)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Origin;

    #[test]
    fn pages_are_where_ozones_settings_say() {
        let mut settings = Settings::default();
        let mut listen = |given: &[(&str, &str)], member| {
            given.iter().for_each(|(name, value)| settings.put(*name, *value, Origin::Flag));
            PagesAt::OM.listen(&settings, member).map(|at| at.to_string()).map_err(|e| e.to_string())
        };
        assert_eq!(listen(&[], None).unwrap(), "0.0.0.0:9874");
        assert_eq!(listen(&[("ozone.om.http-address", "127.0.0.1:1")], None).unwrap(), "127.0.0.1:1");
        let own = [("ozone.om.http-address.s.om2", "127.0.0.2:2")];
        assert_eq!(listen(&own, Some(("s", "om2"))).unwrap(), "127.0.0.2:2");
        assert_eq!(listen(&[], Some(("s", "om1"))).unwrap(), "127.0.0.1:1");
        assert_eq!(listen(&[("ozone.om.http-bind-host", "127.0.0.3")], None).unwrap(), "127.0.0.3:1");
        let wrong = listen(&[("ozone.om.http-address.s.om2", "no port")], Some(("s", "om2"))).unwrap_err();
        assert!(wrong.contains("ozone.om.http-address.s.om2"), "{wrong}");
    }

    #[test]
    fn a_role_without_pages_listens_nowhere() {
        struct Fixed;
        impl LogLevels for Fixed {
            fn level(&self, _: &str) -> String {
                String::new()
            }
            fn set_level(&self, _: &str, _: &str) -> Result<(), String> {
                Err(String::new())
            }
        }
        let mut settings = Settings::default();
        settings.put("hdds.datanode.http.enabled", "false", Origin::Flag);
        let logs: Arc<dyn LogLevels> = Arc::new(Fixed);
        assert_eq!(PagesAt::DATANODE.operators(&settings, None, &logs).unwrap().listen, None);
        assert!(PagesAt::SCM.operators(&settings, None, &logs).unwrap().listen.is_some());
    }
}
