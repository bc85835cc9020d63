//! Which cluster this OM belongs to: a small file beside its tables, written once.
//!
//! Shape   `VERSION`, lines of `name=value`, as Ozone writes it for an OM: `nodeType`, `clusterID`, `scmUuid`, `omUuid`, `cTime`,
//!         `layoutVersion`, and after a restore our `raftGroup`.
//! Law     the file is complete or absent: it is written beside its place, synced, and renamed.
#![allow(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    reason = "one small file, read and written before anything is served"
)]

use std::collections::BTreeMap;
use std::fs;
use std::io::{self, Write as _};
use std::path::Path;

/// The layout that Ozone's OM of release 2.2 is at: HBASE_SUPPORT and below.
const LAYOUT_VERSION: &str = "7";
/// Its name.
pub(crate) const FILE: &str = "VERSION";

/// Which cluster, and which OM of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    /// The cluster's id, which SCM made.
    pub cluster_id: String,
    /// SCM's id.
    pub scm_id: String,
    /// This OM's id.
    pub om_id: String,
    /// When it joined, in milliseconds since 1970.
    pub created_ms: u64,
    /// The name its replicas know each other by: the cluster's id, and after a restore another one, so that they never talk
    /// to those they were restored from.
    pub raft_group: String,
}

/// Why the file does not say who this OM is.
#[derive(Debug, thiserror::Error)]
pub enum IdentityError {
    /// The file cannot be read or written.
    #[error("{path} cannot be read or written")]
    Io {
        /// The file.
        path: String,
        /// What the file system says.
        source: io::Error,
    },
    /// The file lacks a line, or belongs to another kind of server.
    #[error("{path} is no OM's VERSION file: {why}")]
    Wrong {
        /// The file.
        path: String,
        /// What is wrong.
        why: String,
    },
}

/// The identity in `dir`, if this OM has one yet.
pub fn load(dir: &Path) -> Result<Option<Identity>, IdentityError> {
    let path = dir.join(FILE);
    let shown = path.display().to_string();
    let text = match fs::read_to_string(&path) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(source) => return Err(IdentityError::Io { path: shown, source }),
    };
    parse(&text).map(Some).map_err(|why| IdentityError::Wrong { path: shown, why })
}

fn parse(text: &str) -> Result<Identity, String> {
    let lines: BTreeMap<&str, &str> =
        text.lines().filter(|line| !line.starts_with('#')).filter_map(|line| line.split_once('=')).collect();
    let get =
        |name: &str| lines.get(name).map(|value| value.trim().to_owned()).ok_or(format!("it has no {name}"));
    let kind = get("nodeType")?;
    if kind != "OM" {
        return Err(format!("its nodeType is {kind}, not OM"));
    }
    let layout = get("layoutVersion")?;
    if layout != LAYOUT_VERSION {
        return Err(format!("its layoutVersion is {layout}; this software knows {LAYOUT_VERSION}"));
    }
    let created_ms = get("cTime")?.parse().map_err(|_| "its cTime is no number".to_owned())?;
    let cluster_id = get("clusterID")?;
    let raft_group = get("raftGroup").unwrap_or_else(|_| cluster_id.clone());
    Ok(Identity { cluster_id, scm_id: get("scmUuid")?, om_id: get("omUuid")?, created_ms, raft_group })
}

/// The file of `identity`.
pub(crate) fn render(identity: &Identity) -> String {
    let Identity { cluster_id, scm_id, om_id, created_ms, raft_group } = identity;
    let group = if raft_group == cluster_id { String::new() } else { format!("raftGroup={raft_group}\n") };
    format!(
        "nodeType=OM\nclusterID={cluster_id}\nscmUuid={scm_id}\nomUuid={om_id}\ncTime={created_ms}\n\
         layoutVersion={LAYOUT_VERSION}\n{group}"
    )
}

/// Writes `identity` into `dir`, for good.
pub fn store(dir: &Path, identity: &Identity) -> Result<(), IdentityError> {
    let write = || {
        fs::create_dir_all(dir)?;
        let beside = dir.join("VERSION.new");
        let mut file = fs::File::create(&beside)?;
        file.write_all(render(identity).as_bytes())?;
        file.sync_all()?;
        fs::rename(&beside, dir.join(FILE))?;
        fs::File::open(dir)?.sync_all()
    };
    write().map_err(|source| IdentityError::Io { path: dir.join(FILE).display().to_string(), source })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_identity_comes_back_and_another_servers_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(load(dir.path()).unwrap(), None);
        let identity = Identity {
            cluster_id: "CID-1".into(),
            scm_id: "scm".into(),
            om_id: "om".into(),
            created_ms: 7,
            raft_group: "CID-1".into(),
        };
        store(dir.path(), &identity).unwrap();
        assert_eq!(load(dir.path()).unwrap(), Some(identity.clone()));
        let restored = Identity { raft_group: "CID-1+7".into(), ..identity };
        store(dir.path(), &restored).unwrap();
        assert_eq!(load(dir.path()).unwrap(), Some(restored));
        fs::write(dir.path().join(FILE), "nodeType=SCM\n").unwrap();
        assert!(load(dir.path()).unwrap_err().to_string().contains("not OM"));
        fs::write(dir.path().join(FILE), "nodeType=OM\nlayoutVersion=99\n").unwrap();
        assert!(load(dir.path()).unwrap_err().to_string().contains("layoutVersion is 99"));
    }
}
