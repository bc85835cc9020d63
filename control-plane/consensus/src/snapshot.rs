//! Snapshots: a checkpoint of the state, sent file by file to a follower whose log is too far behind.
//!
//! Shape   begin (position, file names and lengths), pieces in order with a CRC32C each, end. The receiver keeps them
//!         in `incoming-N/`, verifies and syncs all of them, and only then installs.
//! Law     an interrupted transfer leaves nothing: the next one starts over. A state is replaced whole or not at all.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use openraft::SnapshotMeta;
use serde::{Deserialize, Serialize};

use crate::{files, ids::Member, state::State};

/// Bytes in one piece.
pub(crate) const PIECE_LEN: usize = 1 << 20;
/// Most files a snapshot may have, and how long one's name may be: bounds for what a peer can ask.
const FILES_MAX: usize = 1 << 16;

/// What openraft carries as a snapshot's content.
pub(crate) enum SnapshotData {
    /// The state of this member.
    Here(Arc<State>),
    /// Files received whole from a leader.
    Received(Received),
}

/// A folder of received files, removed if it is not installed.
pub(crate) struct Received {
    dir: PathBuf,
}

impl Received {
    pub(crate) fn dir(&self) -> &Path {
        &self.dir
    }
}

impl Drop for Received {
    fn drop(&mut self) {
        discard(&self.dir);
    }
}

fn discard(dir: &Path) {
    if let Err(error) = files::remove_dir(dir) {
        tracing::warn!(dir = %dir.display(), %error, "a folder is left for the next start to remove");
    }
}

/// What a transfer begins with.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Manifest {
    pub(crate) meta: SnapshotMeta<u64, Member>,
    pub(crate) files: Vec<(String, u64)>,
}

/// One piece of one file.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Piece {
    pub(crate) file: u32,
    pub(crate) at: u64,
    pub(crate) crc32c: u32,
    pub(crate) bytes: bytes::Bytes,
}

/// A checkpoint on its way out; its folder goes with it.
pub(crate) struct Outgoing {
    dir: PathBuf,
    pub(crate) manifest: Manifest,
}

impl Outgoing {
    /// Makes a checkpoint of `state`. Its position may be later than what openraft asked for, never earlier.
    pub(crate) fn make(state: &State, dir: PathBuf) -> std::io::Result<Outgoing> {
        files::remove_dir(&dir)?;
        state.current().checkpoint(&dir).map_err(std::io::Error::other)?;
        // From here on the folder is removed when `out` goes.
        let mut out =
            Outgoing { dir, manifest: Manifest { meta: SnapshotMeta::default(), files: Vec::new() } };
        let position = state.position_of(&out.dir).map_err(std::io::Error::other)?;
        out.manifest.meta = crate::machine::snapshot_meta(&position);
        out.manifest.files = files::list(&out.dir)?.into_iter().filter(|(name, _)| belongs(name)).collect();
        Ok(out)
    }

    /// The piece of file number `file` that starts at `at`; none at the file's end.
    pub(crate) fn piece(&self, file: u32, at: u64) -> std::io::Result<Option<Piece>> {
        let Some((name, len)) = self.manifest.files.get(file as usize) else { return Ok(None) };
        if at >= *len {
            return Ok(None);
        }
        let want = usize::try_from(len - at).unwrap_or(usize::MAX).min(PIECE_LEN);
        let bytes = files::read_at(&self.dir.join(name), at, want)?;
        if bytes.len() != want {
            return Err(std::io::Error::new(
                std::io::ErrorKind::UnexpectedEof,
                format!("{name} became shorter"),
            ));
        }
        Ok(Some(Piece { file, at, crc32c: crc32c::crc32c(&bytes), bytes: bytes.into() }))
    }
}

impl Drop for Outgoing {
    fn drop(&mut self) {
        discard(&self.dir);
    }
}

/// Whether a checkpoint's file is part of the state; RocksDB's lock and text log are not.
fn belongs(name: &str) -> bool {
    name != "LOCK" && !name.starts_with("LOG")
}

/// A transfer being received.
pub(crate) struct Incoming {
    dir: PathBuf,
    manifest: Manifest,
    /// The file being written, how much of it is there, and the file itself.
    file: usize,
    at: u64,
    open: Option<files::NewFile>,
    finished: bool,
}

impl Incoming {
    /// Starts a transfer in the empty folder `dir`; what an earlier one left is removed.
    pub(crate) fn begin(dir: PathBuf, manifest: Manifest) -> Result<Incoming, String> {
        if manifest.files.len() > FILES_MAX {
            return Err(format!("a snapshot of {} files", manifest.files.len()));
        }
        for (name, _) in &manifest.files {
            let plain = name.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.".contains(&b));
            if name.is_empty() || name.len() > 255 || name.starts_with('.') || !plain {
                return Err(format!("a snapshot file named {name:?}"));
            }
        }
        files::remove_dir(&dir)
            .and_then(|()| files::make_dir(&dir))
            .map_err(|e| format!("no folder for it: {e}"))?;
        Ok(Incoming { dir, manifest, file: 0, at: 0, open: None, finished: false })
    }

    /// Takes the next piece.
    pub(crate) fn piece(&mut self, piece: &Piece) -> Result<(), String> {
        if crc32c::crc32c(&piece.bytes) != piece.crc32c {
            return Err(format!("a piece of file {} at {} fails its checksum", piece.file, piece.at));
        }
        self.skip_empty()?;
        if (piece.file as usize, piece.at) < (self.file, self.at) {
            return Ok(()); // the network brought it twice
        }
        if (piece.file as usize, piece.at) != (self.file, self.at) {
            return Err(format!(
                "a piece of file {} at {}, not of {} at {}",
                piece.file, piece.at, self.file, self.at
            ));
        }
        let Some((_, len)) = self.manifest.files.get(self.file) else {
            return Err("a piece after the last file".to_owned());
        };
        let (len, end) = (*len, self.at + piece.bytes.len() as u64);
        if end > len || piece.bytes.is_empty() {
            return Err(format!("a piece that ends at {end} of a file of {len}"));
        }
        self.file()?.append(&piece.bytes).map_err(|e| format!("it cannot be written: {e}"))?;
        self.at = end;
        if end == len { self.close() } else { Ok(()) }
    }

    /// The whole snapshot, synced; an error if something is missing.
    pub(crate) fn end(mut self) -> Result<(SnapshotMeta<u64, Member>, Received), String> {
        self.skip_empty()?;
        if self.file != self.manifest.files.len() {
            return Err(format!("it ended in file {} of {}", self.file, self.manifest.files.len()));
        }
        files::sync_dir(&self.dir).map_err(|e| format!("it cannot be synced: {e}"))?;
        self.finished = true;
        Ok((self.manifest.meta.clone(), Received { dir: self.dir.clone() }))
    }

    fn skip_empty(&mut self) -> Result<(), String> {
        while self.manifest.files.get(self.file).is_some_and(|(_, len)| *len == 0) {
            self.file()?;
            self.close()?;
        }
        Ok(())
    }

    fn file(&mut self) -> Result<&mut files::NewFile, String> {
        if self.open.is_none() {
            let path = self.dir.join(&self.manifest.files[self.file].0);
            self.open = Some(
                files::NewFile::create(&path)
                    .map_err(|e| format!("{} cannot be made: {e}", path.display()))?,
            );
        }
        Ok(self.open.as_mut().expect("opened above"))
    }

    fn close(&mut self) -> Result<(), String> {
        if let Some(file) = self.open.take() {
            file.finish().map_err(|e| format!("it cannot be synced: {e}"))?;
        }
        self.file += 1;
        self.at = 0;
        Ok(())
    }
}

impl Drop for Incoming {
    fn drop(&mut self) {
        if !self.finished {
            discard(&self.dir);
        }
    }
}

#[cfg(test)]
#[path = "snapshot_tests.rs"]
mod tests;
