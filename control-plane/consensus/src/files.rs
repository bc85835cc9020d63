//! The few file operations around RocksDB's own: folders made, renamed, emptied, and a file replaced at once.
//!
//! Law     a name that must survive a crash is synced with its folder before the call returns.
#![allow(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    reason = "RocksDB keeps its files itself; what stands around them is folders, off the data path"
)]

use std::{
    fs, io,
    io::{Read, Seek, Write},
    path::{Path, PathBuf},
};

/// Makes `dir` and its parents.
pub(crate) fn make_dir(dir: &Path) -> io::Result<()> {
    fs::create_dir_all(dir)?;
    dir.parent().map_or(Ok(()), sync_dir)
}

/// Removes `dir` and what is in it; fine if there is none.
pub(crate) fn remove_dir(dir: &Path) -> io::Result<()> {
    match fs::remove_dir_all(dir) {
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(()),
        other => other,
    }
}

/// Renames `from` to `to` in the same folder, for good.
pub(crate) fn rename(from: &Path, to: &Path) -> io::Result<()> {
    fs::rename(from, to)?;
    to.parent().map_or(Ok(()), sync_dir)
}

/// Makes the names in `dir` durable.
pub(crate) fn sync_dir(dir: &Path) -> io::Result<()> {
    let dir = if dir.as_os_str().is_empty() { Path::new(".") } else { dir };
    fs::File::open(dir)?.sync_all()
}

/// Replaces `path` by a file of `bytes`: after a crash it holds the old or the new ones, whole.
pub(crate) fn replace(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let new = path.with_extension("new");
    let mut file = fs::File::create(&new)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    rename(&new, path)
}

/// The bytes of `path`; none if there is no such file.
pub(crate) fn read(path: &Path) -> io::Result<Option<Vec<u8>>> {
    match fs::read(path) {
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(None),
        other => other.map(Some),
    }
}

/// The plain files in `dir` with their lengths, by name.
pub(crate) fn list(dir: &Path) -> io::Result<Vec<(String, u64)>> {
    let mut files = Vec::new();
    for entry in fs::read_dir(dir)? {
        let entry = entry?;
        let kind = entry.metadata()?;
        if kind.is_file() {
            files.push((entry.file_name().to_string_lossy().into_owned(), kind.len()));
        }
    }
    files.sort();
    Ok(files)
}

/// The folders in `dir`.
pub(crate) fn folders(dir: &Path) -> io::Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(dir)? {
        let path = entry?.path();
        if path.is_dir() {
            found.push(path);
        }
    }
    found.sort();
    Ok(found)
}

/// Up to `len` bytes of `path` from `at` on; shorter at its end.
pub(crate) fn read_at(path: &Path, at: u64, len: usize) -> io::Result<Vec<u8>> {
    let mut file = fs::File::open(path)?;
    file.seek(io::SeekFrom::Start(at))?;
    let mut bytes = Vec::with_capacity(len);
    file.take(len as u64).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// Appends to a new file and syncs it when told.
pub(crate) struct NewFile(fs::File);

impl NewFile {
    pub(crate) fn create(path: &Path) -> io::Result<NewFile> {
        fs::OpenOptions::new().write(true).create_new(true).open(path).map(NewFile)
    }
    pub(crate) fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.0.write_all(bytes)
    }
    pub(crate) fn finish(self) -> io::Result<()> {
        self.0.sync_all()
    }
}

/// Copies the plain files of `from` into the new folder `to` and syncs them.
pub(crate) fn copy_dir(from: &Path, to: &Path) -> io::Result<()> {
    make_dir(to)?;
    for (name, _) in list(from)? {
        let target = to.join(&name);
        fs::copy(from.join(&name), &target)?;
        fs::File::open(&target)?.sync_all()?;
    }
    sync_dir(to)
}
