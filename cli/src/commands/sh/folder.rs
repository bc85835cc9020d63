//! Uploading a folder: every file below it, several at a time.
//!
//! Shape   KEY/relative/path is written from FOLDER/relative/path. Folders that hold no file leave nothing; links to files are
//!         followed, links to folders are not.
//! Errors  a file that cannot be uploaded is named on stderr and the others go on; the command fails at the end. After
//!         `FAILURES_MAX` of them no other is begun.

use std::error::Error;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use allotrope_client::{BucketPath, Client, KeyPath, PutOptions};
use allotrope_types::ReplicationConfig;
use indicatif::ProgressBar;
use tokio::task::JoinSet;

use super::{Done, explained, transfer};

const FAILURES_MAX: usize = 10;

/// A file to upload.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Found {
    /// Its place below the folder, with slashes.
    name: String,
    path: PathBuf,
    len: u64,
}

/// Uploads the files below `folder` to keys that begin with the path in `uri`, `parallel` at a time.
pub(super) async fn put(
    client: &Client,
    uri: &str,
    folder: &Path,
    replication: Option<ReplicationConfig>,
    parallel: usize,
) -> Done {
    let (bucket, prefix) = place(uri)?;
    let top = folder.to_owned();
    let found = tokio::task::spawn_blocking(move || walk(&top)).await??;
    let count = found.len();
    let bar = transfer::progress(found.iter().map(|file| file.len).sum());
    let mut files = found.into_iter();
    let mut running: JoinSet<Result<(), String>> = JoinSet::new();
    let mut failures = 0;
    loop {
        while failures < FAILURES_MAX
            && running.len() < parallel.max(1)
            && let Some(file) = files.next()
        {
            let key = bucket.key(format!("{prefix}{}", file.name));
            running.spawn(put_one(client.clone(), key, file, replication, bar.clone()));
        }
        let Some(done) = running.join_next().await else { break };
        if let Err(why) = done? {
            failures += 1;
            bar.suspend(|| eprintln!("error: {why}"));
        }
    }
    bar.finish_and_clear();
    match failures {
        0 => Ok(()),
        _ => Err(format!("{failures} of {count} files failed, and {} were not begun", files.len()).into()),
    }
}

async fn put_one(
    client: Client,
    key: KeyPath,
    file: Found,
    replication: Option<ReplicationConfig>,
    bar: ProgressBar,
) -> Result<(), String> {
    let options = PutOptions { replication, ..PutOptions::default() };
    let done = transfer::put_file(&client, &key, &file.path, options, &bar).await;
    done.map_err(|error| format!("{key}: {}", explained(&*error)))
}

/// The bucket in `uri`, and what the keys begin with: nothing, or the rest of the path and a slash.
fn place(uri: &str) -> Result<(BucketPath, String), Box<dyn Error>> {
    if let Ok(bucket) = uri.parse::<BucketPath>() {
        return Ok((bucket, String::new()));
    }
    let path: KeyPath = uri.parse()?;
    Ok((path.bucket, format!("{}/", path.key.trim_end_matches('/'))))
}

/// The files below `top`, in the order of their names.
fn walk(top: &Path) -> Result<Vec<Found>, String> {
    let mut found = vec![];
    let mut open = vec![(top.to_owned(), String::new())];
    while let Some((folder, name)) = open.pop() {
        let failed = |error: io::Error| format!("cannot read {}: {error}", folder.display());
        for entry in fs::read_dir(&folder).map_err(failed)? {
            let entry = entry.map_err(failed)?;
            let path = entry.path();
            let Some(last) = entry.file_name().to_str().map(str::to_owned) else {
                return Err(format!("{} has a name that is no text; a key's name must be", path.display()));
            };
            let name = format!("{name}{last}");
            if entry.file_type().map_err(failed)?.is_dir() {
                open.push((path, name + "/"));
                continue;
            }
            match fs::metadata(&path) {
                Ok(about) if about.is_file() => found.push(Found { name, path, len: about.len() }),
                Ok(_) => eprintln!("warning: {} is no file and is left out", path.display()),
                Err(error) => return Err(format!("cannot read {}: {error}", path.display())),
            }
        }
    }
    found.sort();
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_named_by_their_place_and_links_to_folders_are_not_followed() {
        let dir = tempfile::tempdir().unwrap();
        let at = |name: &str| dir.path().join(name);
        fs::create_dir_all(at("a/b")).unwrap();
        fs::create_dir(at("empty")).unwrap();
        fs::write(at("z"), "12").unwrap();
        fs::write(at("a/b/c"), "123").unwrap();
        std::os::unix::fs::symlink(at("z"), at("link")).unwrap();
        std::os::unix::fs::symlink(dir.path(), at("a/loop")).unwrap();
        let found = walk(dir.path()).unwrap();
        let names: Vec<(&str, u64)> = found.iter().map(|file| (file.name.as_str(), file.len)).collect();
        assert_eq!(names, [("a/b/c", 3), ("link", 2), ("z", 2)]);
        assert!(walk(&at("none")).unwrap_err().contains("cannot read"));
    }

    #[test]
    fn keys_begin_with_the_path_or_with_nothing() {
        let prefix = |uri: &str| place(uri).unwrap().1;
        assert_eq!(
            [prefix("/v/b"), prefix("/v/b/"), prefix("/v/b/x/y"), prefix("/v/b/x/")],
            ["", "", "x/y/", "x/"]
        );
        assert!(place("/v").is_err());
    }
}
