//! Reads the facts that the checks judge: Cargo's metadata, and the files that belong to the repository.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;

use cargo_metadata::{DependencyKind, MetadataCommand};

use crate::arrows::{Dependency, Kind, Package};

/// The workspace around the current folder.
pub(crate) struct Workspace {
    pub(crate) packages: Vec<Package>,
    pub(crate) files: Vec<File>,
}

/// A file that git tracks, or would: one that no ignore rule leaves out.
pub(crate) struct File {
    /// Relative to the workspace's root, with `/`.
    pub(crate) path: String,
    pub(crate) bytes: Vec<u8>,
}

impl Workspace {
    /// Asks cargo for the packages and git for the files. The message says what could not be asked, and why.
    pub(crate) fn read() -> Result<Workspace, String> {
        let metadata = MetadataCommand::new().no_deps().exec().map_err(|error| {
            format!("cargo metadata does not answer: {error}; run it inside the workspace")
        })?;
        let root = metadata.workspace_root.as_std_path();
        let members: BTreeSet<String> =
            metadata.workspace_packages().iter().map(|package| package.name.to_string()).collect();
        let mut packages = Vec::new();
        for package in metadata.workspace_packages() {
            let manifest = package.manifest_path.as_std_path();
            packages.push(Package {
                name: package.name.to_string(),
                manifest: manifest.strip_prefix(root).unwrap_or(manifest).display().to_string(),
                dependencies: package
                    .dependencies
                    .iter()
                    .map(|dependency| Dependency {
                        name: dependency.name.clone(),
                        kind: match dependency.kind {
                            DependencyKind::Development => Kind::Dev,
                            DependencyKind::Build => Kind::Build,
                            _ => Kind::Normal,
                        },
                        is_ours: dependency.path.is_some() || members.contains(&dependency.name),
                        optional: dependency.optional,
                    })
                    .collect(),
                features: package.features.clone().into_iter().collect(),
            });
        }
        packages.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(Workspace { packages, files: files(root)? })
    }

    /// Those of `names` that are packages of this workspace.
    pub(crate) fn named<'n>(&self, names: &[&'n str]) -> Vec<&'n str> {
        names
            .iter()
            .copied()
            .filter(|name| self.packages.iter().any(|package| package.name == *name))
            .collect()
    }

    /// The Cargo.toml files of the packages.
    pub(crate) fn manifests(&self) -> impl Iterator<Item = &File> {
        self.files.iter().filter(|file| self.packages.iter().any(|package| package.manifest == file.path))
    }
}

fn files(root: &Path) -> Result<Vec<File>, String> {
    let answer = Command::new("git")
        .args(["ls-files", "-z", "--cached", "--others", "--exclude-standard"])
        .current_dir(root)
        .output()
        .map_err(|error| format!("git does not start: {error}"))?;
    if !answer.status.success() {
        return Err(format!(
            "git does not list the files: {}",
            String::from_utf8_lossy(&answer.stderr).trim()
        ));
    }
    let names = answer.stdout.split(|byte| *byte == 0).filter(|name| !name.is_empty());
    let paths: BTreeSet<String> = names.map(|name| String::from_utf8_lossy(name).into_owned()).collect();
    let mut files = Vec::new();
    for path in paths {
        let at = root.join(&path);
        match std::fs::symlink_metadata(&at) {
            Ok(entry) if entry.is_file() => {
                let bytes = std::fs::read(&at).map_err(|error| format!("{path} cannot be read: {error}"))?;
                files.push(File { path, bytes });
            }
            // A link's target is another file or none of ours; a tracked file may be gone from the folder.
            _ => {}
        }
    }
    Ok(files)
}
