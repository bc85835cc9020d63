//! A get that goes on where an earlier one ended.
//!
//! Shape   beside the target lie a part, `.NAME.allotrope-part`, with the first bytes of the key, and its note,
//!         `.NAME.allotrope-note`: which key it is, as OM described it, and how many bytes of the part are on stable storage. A later
//!         get goes on behind those bytes if the key is still the same, and begins anew if not. A whole part takes the target's name.
//! Never   trusts a byte of the part that the note does not name; never lets two gets write one part.

use std::ffi::OsString;
use std::fs::{self, File, TryLockError};
use std::io::{self, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use allotrope_client::Key;
use serde_json::{Value, json};

/// Bytes after which the part is made durable, and the note says so.
const MARK: u64 = 64 << 20;

/// The first bytes of a key, in a file of their own.
#[derive(Debug)]
pub(super) struct Part {
    file: File,
    path: PathBuf,
    note: PathBuf,
    /// Which key it is.
    of: Value,
    /// Bytes written, and those of them that the note names.
    len: u64,
    durable: u64,
}

impl Part {
    /// The part of `key` beside `target`, as far as an earlier get came.
    pub(super) fn open(target: &Path, key: &Key) -> io::Result<Part> {
        let beside = |end: &str| {
            let mut name = OsString::from(".");
            name.push(target.file_name().unwrap_or_default());
            name.push(end);
            target.with_file_name(name)
        };
        let (path, note) = (beside(".allotrope-part"), beside(".allotrope-note"));
        let mut file = File::options().read(true).write(true).create(true).truncate(false).open(&path)?;
        file.try_lock().map_err(|error| match error {
            TryLockError::WouldBlock => io::Error::other("another get is writing its part"),
            TryLockError::Error(error) => error,
        })?;
        let of = identity(key);
        let durable = read_note(&note, &of).min(key.len);
        // A part that is shorter than its note says was changed by somebody.
        let durable = if file.metadata()?.len() < durable { 0 } else { durable };
        file.set_len(durable)?;
        file.seek(SeekFrom::Start(durable))?;
        Ok(Part { file, path, note, of, len: durable, durable })
    }

    /// Bytes that need not be read again.
    pub(super) fn len(&self) -> u64 {
        self.len
    }

    fn mark(&mut self) -> io::Result<()> {
        if self.len > self.durable {
            self.file.sync_data()?;
            let note = json!({ "key": self.of, "bytes": self.len });
            let fresh = self.note.with_extension("allotrope-note-new");
            let mut file = File::create(&fresh)?;
            file.write_all(note.to_string().as_bytes())?;
            file.sync_all()?;
            fs::rename(&fresh, &self.note)?;
            self.durable = self.len;
        }
        Ok(())
    }

    /// The part is whole: it becomes `target`, which must not be there unless `replace`.
    pub(super) fn finish(self, target: &Path, replace: bool) -> io::Result<()> {
        self.file.sync_all()?;
        if replace {
            fs::rename(&self.path, target)?;
        } else {
            // Unlike a rename, a link is refused where a file is.
            fs::hard_link(&self.path, target)?;
            fs::remove_file(&self.path)?;
        }
        match fs::remove_file(&self.note) {
            // A short key was never marked.
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    }
}

/// What tells this key from another of the same name.
fn identity(key: &Key) -> Value {
    let blocks = key.locations.iter().map(|location| {
        let block = location.block;
        json!([block.container.as_u64(), block.local.as_u64(), location.len])
    });
    json!({
        "path": key.path.to_string(),
        "len": key.len,
        "modified": key.modified_ms,
        "generation": key.generation,
        "blocks": blocks.collect::<Vec<_>>(),
    })
}

/// The bytes that the note names, if it is a note of this key.
fn read_note(note: &Path, of: &Value) -> u64 {
    let text = fs::read_to_string(note).unwrap_or_default();
    let note: Value = serde_json::from_str(&text).unwrap_or_default();
    if note["key"] == *of { note["bytes"].as_u64().unwrap_or(0) } else { 0 }
}

impl Write for Part {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.file.write(bytes)?;
        self.len += written as u64;
        if self.len - self.durable >= MARK {
            self.mark()?;
        }
        Ok(written)
    }

    /// Makes durable what was written, and notes it.
    fn flush(&mut self) -> io::Result<()> {
        self.mark()
    }
}
