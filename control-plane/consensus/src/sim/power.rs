//! Power cuts for the states: of what a state's write-ahead log has not synced, an end goes, often within a record.
//!
//! Law     what `StateDb::sync` has seen stays. Older write-ahead logs and tables stay: RocksDB syncs them itself.
#![allow(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    reason = "the tests damage files from outside, as a power cut does"
)]

use std::{
    fs::OpenOptions,
    path::{Path, PathBuf},
};

use rand::{Rng, rngs::StdRng};

use crate::{files, state::StateDb};

/// The newest write-ahead log of the RocksDB in `dir`, and its length.
pub(crate) fn newest_wal(dir: &Path) -> Option<(PathBuf, u64)> {
    let files = files::list(dir).ok()?;
    let (name, len) = files.into_iter().rfind(|(name, _)| name.ends_with(".log"))?;
    Some((dir.join(name), len))
}

/// What a power cut leaves of a write-ahead log.
pub(crate) struct Cut {
    wal: PathBuf,
    len: u64,
}

impl Cut {
    /// A cut at this moment.
    pub(crate) fn now(state: &StateDb, chance: &mut StdRng) -> Option<Cut> {
        let (wal, len) = newest_wal(state.dir())?;
        let synced = match state.synced() {
            Some((file, synced)) if file == wal => synced,
            _ => 0,
        };
        Some(Cut { wal, len: chance.gen_range(synced..=len) })
    }

    /// Cuts the file, once nobody has it open. Where a later log has been begun meanwhile nothing is cut: tables may have
    /// what this one held, and RocksDB has synced it. A state that was replaced meanwhile is gone.
    pub(crate) fn carry_out(&self) {
        let dir = self.wal.parent().expect("a log lies in a folder");
        if newest_wal(dir).is_some_and(|(newest, _)| newest == self.wal)
            && let Ok(file) = OpenOptions::new().write(true).open(&self.wal)
        {
            file.set_len(self.len).expect("a file can be cut");
        }
    }
}
