//! The group of SCMs that the settings name, as Ozone names it.
//!
//! Shape   `ozone.scm.service.ids` names the group, `ozone.scm.nodes.GROUP` its members, and settings that end in
//!         `.GROUP.NODE` say where each is: `ozone.scm.address` its host, `ozone.scm.*.port` its ports.
//! Errors  a group without members, or a member without an address, is named with the setting that lacks.

use super::Failure;
use crate::config::Settings;

/// Where one SCM is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ScmNode {
    /// Its name in the group.
    pub(crate) name: String,
    /// Its host, for everybody.
    pub(crate) host: String,
    /// Its port for datanodes.
    pub(crate) datanode_port: u16,
    /// Its port for OM.
    pub(crate) block_port: u16,
    /// Its port for administrators, and for OM's questions about containers.
    pub(crate) client_port: u16,
    /// Its port for the other SCMs.
    pub(crate) raft_port: u16,
}

/// The members of the group that the settings name, if they name one.
pub(crate) fn group(settings: &Settings) -> Result<Option<Vec<ScmNode>>, Failure> {
    let Some(ids) = settings.text("ozone.scm.service.ids") else { return Ok(None) };
    let ids = words(ids);
    let group = match (settings.text("ozone.scm.default.service.id"), ids.as_slice()) {
        (Some(chosen), ids) if ids.contains(&chosen) => chosen,
        (None, [only]) => only,
        _ => {
            let text = "ozone.scm.service.ids names more than one group\n  try: ozone.scm.default.service.id = one of them";
            return Err(text.into());
        }
    };
    let key = format!("ozone.scm.nodes.{group}");
    let names = settings.given(&key).map(|setting| words(&setting.value)).unwrap_or_default();
    if names.is_empty() {
        return Err(format!("{key} is not set\n  try: {key} = scm1,scm2,scm3").into());
    }
    names.iter().map(|name| node(settings, group, name)).collect::<Result<Vec<_>, _>>().map(Some)
}

fn node(settings: &Settings, group: &str, name: &str) -> Result<ScmNode, Failure> {
    let key = format!("ozone.scm.address.{group}.{name}");
    let host = settings.given(&key).map(|setting| setting.value.trim().to_owned());
    let host = host.filter(|host| !host.is_empty());
    let host = host.ok_or_else(|| format!("{key} is not set\n  try: {key} = the host of {name}"))?;
    let port = |what: &'static str| -> Result<u16, Failure> {
        let own = format!("{what}.{group}.{name}");
        match settings.given(&own) {
            Some(setting) => {
                let wrong = |_| format!("{own} = {:?}: not a port (0 to 65535)", setting.value);
                Ok(setting.value.trim().parse().map_err(wrong)?)
            }
            None => Ok(settings.port(what)?),
        }
    };
    Ok(ScmNode {
        name: name.to_owned(),
        host,
        datanode_port: port("ozone.scm.datanode.port")?,
        block_port: port("ozone.scm.block.client.port")?,
        client_port: port("ozone.scm.client.port")?,
        raft_port: port("ozone.scm.ratis.port")?,
    })
}

/// Which of `nodes` this machine's SCM is: the one that `ozone.scm.node.id` names.
pub(crate) fn me<'a>(settings: &Settings, nodes: &'a [ScmNode]) -> Result<&'a ScmNode, Failure> {
    let names = || nodes.iter().map(|node| node.name.as_str()).collect::<Vec<_>>().join(", ");
    let id = settings.text("ozone.scm.node.id");
    let id = id.ok_or_else(|| format!("ozone.scm.node.id is not set\n  try: one of {}", names()))?;
    let found = nodes.iter().find(|node| node.name == id);
    found.ok_or_else(|| format!("ozone.scm.node.id = {id:?}: not one of {}", names()).into())
}

/// Where each SCM is asked, the settings naming a group or one: its name, and `HOST:PORT` as `port` or `address` says.
pub(crate) fn everywhere(
    settings: &Settings,
    port: fn(&ScmNode) -> u16,
    address: (&'static str, u16),
) -> Result<Vec<(String, String, u16)>, Failure> {
    if let Some(nodes) = group(settings)? {
        return Ok(nodes.iter().map(|node| (node.name.clone(), node.host.clone(), port(node))).collect());
    }
    let (host, port) = super::scm_at(settings, address.0, address.1)?;
    Ok(vec![("scm".to_owned(), host, port)])
}

fn words(text: &str) -> Vec<&str> {
    text.split(',').map(str::trim).filter(|part| !part.is_empty()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Origin;

    fn settings(pairs: &[(&str, &str)]) -> Settings {
        let mut settings = Settings::default();
        for (name, value) in pairs {
            settings.put(*name, *value, Origin::Flag);
        }
        settings
    }

    const GROUP: [(&str, &str); 6] = [
        ("ozone.scm.service.ids", "east"),
        ("ozone.scm.nodes.east", "a, b"),
        ("ozone.scm.address.east.a", "host-a"),
        ("ozone.scm.address.east.b", "host-b"),
        ("ozone.scm.ratis.port", "7000"),
        ("ozone.scm.ratis.port.east.b", "7001"),
    ];

    #[test]
    fn a_groups_members_are_found_with_their_ports() {
        let nodes = group(&settings(&GROUP)).unwrap().unwrap();
        let found: Vec<_> = nodes.iter().map(|n| (n.name.as_str(), n.host.as_str(), n.raft_port)).collect();
        assert_eq!(found, [("a", "host-a", 7000), ("b", "host-b", 7001)]);
        assert_eq!((nodes[0].client_port, nodes[1].block_port), (9860, 9863));
        let mut with_id = GROUP.to_vec();
        with_id.push(("ozone.scm.node.id", "b"));
        assert_eq!(me(&settings(&with_id), &nodes).unwrap(), &nodes[1]);
    }

    #[test]
    fn what_a_group_lacks_is_named() {
        assert_eq!(group(&settings(&[])).unwrap(), None);
        for lacking in ["ozone.scm.nodes.east", "ozone.scm.address.east.b"] {
            let rest: Vec<_> = GROUP.into_iter().filter(|(name, _)| *name != lacking).collect();
            let error = group(&settings(&rest)).unwrap_err().to_string();
            assert!(error.contains(&format!("{lacking} is not set")), "{error}");
        }
        let nodes = group(&settings(&GROUP)).unwrap().unwrap();
        assert!(me(&settings(&GROUP), &nodes).unwrap_err().to_string().contains("one of a, b"));
        let two = settings(&[("ozone.scm.service.ids", "east,west")]);
        assert!(group(&two).unwrap_err().to_string().contains("default.service.id"));
    }
}
