//! Who this SCM is: the VERSION file that `--init` writes once.
//!
//! Shape   `<dir>/scm/current/VERSION`, a Java properties file: `nodeType`, `clusterID`, `scmUuid`, `cTime`, `layoutVersion`,
//!         after a restore our `raftGroup`,
//!         and our `raftJoins` where the SCM came to a group that ran already.
//! Law     written whole beside its place, synced, renamed; an SCM that has one keeps it.
//! Source  wire facts: scm.md 4.1.
#![allow(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    reason = "one small file, read and written at start and init"
)]

use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

/// Which cluster, and which SCM of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    /// `CID-` and a UUID.
    pub cluster_id: String,
    /// A UUID.
    pub scm_id: String,
    /// When the cluster was made, in ms since 1970.
    pub created_ms: u64,
    /// The name its replicas know each other by: the cluster's id, and after a restore another one, so that they never talk
    /// to those they were restored from.
    pub raft_group: String,
    /// Whether it came to a group that others had founded: it then starts as nobody and asks to be taken in.
    pub joins: bool,
}

/// Why the VERSION file cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum IdentityError {
    /// There is none.
    #[error("{} does not exist: this SCM was never initialised; run `allotrope scm --init`", file.display())]
    Missing {
        /// Where it should be.
        file: PathBuf,
    },
    /// It cannot be read or written.
    #[error("{} cannot be read or written", file.display())]
    File {
        /// Where it is.
        file: PathBuf,
        /// What the file system says.
        source: io::Error,
    },
    /// It lacks something, or says something else.
    #[error("{} says {what}", file.display())]
    Wrong {
        /// Where it is.
        file: PathBuf,
        /// What is wrong.
        what: String,
    },
}

fn file_of(dir: &Path) -> PathBuf {
    dir.join("scm").join("current").join("VERSION")
}

/// Makes `wanted` the identity of the SCM in `dir`, and returns it; an SCM that has one already keeps it, unless it belongs
/// to another cluster.
pub fn init(dir: &Path, wanted: &Identity, layout_version: u32) -> Result<Identity, IdentityError> {
    let file = file_of(dir);
    match read(dir) {
        Ok(found) if found.cluster_id == wanted.cluster_id || wanted.cluster_id.is_empty() => {
            return Ok(found);
        }
        Ok(found) => {
            let what = format!("cluster {}, not {}", found.cluster_id, wanted.cluster_id);
            return Err(IdentityError::Wrong { file, what });
        }
        Err(IdentityError::Missing { .. }) => {}
        Err(other) => return Err(other),
    }
    write(&file, render(wanted, layout_version).as_bytes())
        .map_err(|source| IdentityError::File { file, source })?;
    Ok(wanted.clone())
}

/// The file of `identity`.
pub(crate) fn render(identity: &Identity, layout_version: u32) -> String {
    let Identity { cluster_id, scm_id, created_ms, raft_group, joins } = identity;
    let group = if raft_group == cluster_id { String::new() } else { format!("raftGroup={raft_group}\n") };
    let joins = if *joins { "raftJoins=true\n" } else { "" };
    format!(
        "nodeType=SCM\nclusterID={cluster_id}\nscmUuid={scm_id}\ncTime={created_ms}\n\
         layoutVersion={layout_version}\n{group}{joins}"
    )
}

fn write(file: &Path, bytes: &[u8]) -> io::Result<()> {
    let folder = file.parent().unwrap_or(Path::new("."));
    fs::create_dir_all(folder)?;
    let beside = file.with_extension("new");
    let mut out = OpenOptions::new().create(true).truncate(true).write(true).open(&beside)?;
    out.write_all(bytes)?;
    out.sync_all()?;
    fs::rename(&beside, file)?;
    for folder in folder.ancestors().take(3) {
        fs::File::open(folder)?.sync_all()?;
    }
    Ok(())
}

/// The identity of the SCM in `dir`.
pub fn read(dir: &Path) -> Result<Identity, IdentityError> {
    read_file(file_of(dir))
}

/// The identity in `file`.
pub(crate) fn read_file(file: PathBuf) -> Result<Identity, IdentityError> {
    let text = match fs::read_to_string(&file) {
        Ok(text) => text,
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Err(IdentityError::Missing { file }),
        Err(source) => return Err(IdentityError::File { file, source }),
    };
    let pairs = || text.lines().filter(|l| !l.starts_with(['#', '!'])).filter_map(|l| l.split_once('='));
    let get = |name: &str| {
        let found = pairs().find(|(key, _)| key.trim() == name).map(|(_, value)| value.trim().to_owned());
        found.filter(|value| !value.is_empty()).ok_or_else(|| IdentityError::Wrong {
            file: file.clone(),
            what: format!("no {name}; restore it from another SCM or a backup"),
        })
    };
    if get("nodeType")? != "SCM" {
        let what = format!("nodeType={}: the folder belongs to another role", get("nodeType")?);
        return Err(IdentityError::Wrong { file, what });
    }
    let cluster_id = get("clusterID")?;
    Ok(Identity {
        raft_group: get("raftGroup").unwrap_or_else(|_| cluster_id.clone()),
        cluster_id,
        scm_id: get("scmUuid")?,
        created_ms: get("cTime").ok().and_then(|text| text.parse().ok()).unwrap_or(0),
        joins: get("raftJoins").is_ok_and(|text| text == "true"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn identity(n: u8) -> Identity {
        let cluster_id = format!("CID-{n}");
        let (raft_group, scm_id) = (cluster_id.clone(), format!("scm-{n}"));
        Identity { raft_group, cluster_id, scm_id, created_ms: 7, joins: n == 2 }
    }

    #[test]
    fn an_identity_is_given_once_and_kept() {
        let dir = tempfile::tempdir().unwrap();
        assert!(matches!(read(dir.path()), Err(IdentityError::Missing { .. })));
        assert_eq!(init(dir.path(), &identity(1), 10).unwrap(), identity(1));
        assert_eq!(read(dir.path()).unwrap(), identity(1));
        let again = Identity { scm_id: "another".into(), ..identity(1) };
        assert_eq!(init(dir.path(), &again, 10).unwrap(), identity(1), "the first one stays");
        let other = init(dir.path(), &identity(2), 10).unwrap_err();
        assert!(other.to_string().contains("cluster CID-1, not CID-2"), "{other}");
        let dir = tempfile::tempdir().unwrap();
        init(dir.path(), &identity(2), 10).unwrap();
        assert_eq!(read(dir.path()).unwrap(), identity(2), "that it joins is written down");
    }

    #[test]
    fn a_file_that_lacks_something_is_refused_by_name() {
        let dir = tempfile::tempdir().unwrap();
        init(dir.path(), &identity(1), 10).unwrap();
        fs::write(file_of(dir.path()), "nodeType=SCM\nclusterID=CID-1\n").unwrap();
        assert!(read(dir.path()).unwrap_err().to_string().contains("no scmUuid"));
        fs::write(file_of(dir.path()), "nodeType=OM\nclusterID=CID-1\nscmUuid=x\n").unwrap();
        assert!(read(dir.path()).unwrap_err().to_string().contains("another role"));
    }
}
