//! What is refused before anything starts: unknown names of ours, and protection that is not there yet.

use super::known::{is_ozone, row};
use super::{ConfigError, KNOWN, Settings};

/// Something odd that does not stop a start.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Warning(pub(crate) String);

/// Settings that ask for protection, with the value that asks for none.
const PROTECTION: &[(&str, &str)] = &[
    ("ozone.security.enabled", "false"),
    ("hdds.grpc.tls.enabled", "false"),
    ("hdds.block.token.enabled", "false"),
    ("hdds.container.token.enabled", "false"),
    ("ozone.http.policy", "HTTP_ONLY"),
    ("ozone.security.http.kerberos.enabled", "false"),
    ("hadoop.security.authentication", "simple"),
    ("hadoop.security.authorization", "false"),
    ("hadoop.rpc.protection", "authentication"),
    ("hadoop.security.key.provider.path", ""),
];

/// Beginnings of names that end in a service's or a node's name; their roles read them.
const OF_NODES: &[&str] = &[
    "ozone.om.nodes.",
    "ozone.om.address.",
    "ozone.om.ratis.port.",
    "ozone.om.grpc.port.",
    "ozone.scm.nodes.",
    "ozone.scm.address.",
    "ozone.scm.ratis.port.",
    "ozone.scm.client.port.",
    "ozone.scm.block.client.port.",
    "ozone.scm.datanode.port.",
];

/// Checks every name and every value that was given.
pub(crate) fn check(settings: &Settings) -> Result<Vec<Warning>, ConfigError> {
    let mut warnings = Vec::new();
    for (name, setting) in settings.iter() {
        let unprotected = PROTECTION.iter().find(|(known, _)| *known == name).map(|(_, value)| *value);
        if unprotected.is_some_and(|value| !setting.value.eq_ignore_ascii_case(value)) {
            return Err(ConfigError::Unsafe {
                name: name.to_owned(),
                value: setting.value.clone(),
                origin: setting.origin.clone(),
            });
        }
        if let Some(known) = row(name) {
            settings.check_value(known)?;
            continue;
        }
        if unprotected.is_some() || OF_NODES.iter().any(|stem| name.starts_with(stem)) {
            continue;
        }
        if name.starts_with("allotrope.") {
            return Err(ConfigError::Unknown {
                name: name.to_owned(),
                origin: setting.origin.clone(),
                nearest: nearest(name),
            });
        }
        let known =
            if is_ozone(name) { "is not read by Allotrope" } else { "is unknown to Ozone and to Allotrope" };
        warnings.push(Warning(format!("{}: {name} {known}; it has no effect", setting.origin)));
    }
    Ok(warnings)
}

/// The known name that `name` was most likely meant to be.
fn nearest(name: &str) -> Option<&'static str> {
    KNOWN
        .iter()
        .map(|known| (strsim::damerau_levenshtein(known.name, name), known.name))
        .min()
        .filter(|(distance, _)| *distance <= name.len() / 3)
        .map(|(_, known)| known)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Origin;

    fn with(name: &str, value: &str) -> Settings {
        let mut settings = Settings::default();
        settings.put(name, value, Origin::Flag);
        settings
    }

    #[test]
    fn an_unknown_name_of_ours_is_refused_with_its_neighbour() {
        let error = check(&with("allotrope.datanode.shard", "4")).unwrap_err().to_string();
        assert!(error.contains("did you mean allotrope.datanode.shards?"), "{error}");
    }

    #[test]
    fn a_value_of_the_wrong_kind_is_refused() {
        let error = check(&with("allotrope.datanode.durability", "maybe")).unwrap_err().to_string();
        assert!(error.contains("disk, page-cache"), "{error}");
        assert!(check(&with("hdds.heartbeat.interval", "soon")).is_err());
    }

    #[test]
    fn an_unknown_name_of_ozones_is_a_warning() {
        for (name, says) in
            [("hdds.nonsense", "unknown to Ozone"), ("ozone.scm.chunk.size", "not read by Allotrope")]
        {
            let warnings = check(&with(name, "x")).unwrap();
            assert!(warnings[0].0.contains(says), "{warnings:?}");
        }
    }

    #[test]
    fn protection_that_is_not_there_refuses_to_start() {
        for (name, none) in PROTECTION {
            let error = check(&with(name, "true")).unwrap_err().to_string();
            assert!(error.contains(name) && error.contains("not there yet"), "{error}");
            assert_eq!(check(&with(name, none)).unwrap(), vec![]);
        }
    }
}
