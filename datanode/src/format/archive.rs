//! A container's archive: the tar file in which datanodes, Ozone's and ours, send a container to each other.
//!
//! Shape   headers of 512 bytes, each followed by its file's bytes and zeros up to the next multiple of 512; two empty
//!         blocks end it. Written are `container.yaml`, `ID.tree`, `db/` with one SST file a family, `chunks/` with the
//!         block files; [`Unpack`] reads them in any order.
//! Units   bytes.
//! Errors  [`ArchiveError`]: bytes from a peer are never trusted and never panic.
//! Source  docs/formats/container-archive.md.

mod unpack;

pub use unpack::{Event, Unpack};

use crate::metadata::Family;
use allotrope_types::{ContainerId, LocalId};

/// Bytes of a tar file's unit.
pub const BLOCK: u64 = 512;
/// Bytes of the two empty blocks at the end.
pub const END_LEN: u64 = 2 * BLOCK;
/// The families that an archive carries, in the order of their files.
pub const FAMILIES: [Family; 4] =
    [Family::Counters, Family::BlockData, Family::LastChunk, Family::DeleteTransactions];

/// Bytes from a peer that are no archive of a container.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ArchiveError {
    /// A header whose own sum does not fit it, or whose numbers are none.
    #[error("the archive's header at byte {at} is damaged: {why}")]
    Header {
        /// Where it begins.
        at: u64,
        /// What is wrong with it.
        why: &'static str,
    },
    /// An entry that containers do not have.
    #[error("the archive has an entry {name:?}, which no container has")]
    Name {
        /// Its name, cut to 100 characters.
        name: String,
    },
    /// An entry that came before.
    #[error("the archive has the entry {name:?} twice")]
    Twice {
        /// Its name.
        name: String,
    },
    /// It ends too early.
    #[error("the archive ends at byte {at}, before its end mark")]
    Cut {
        /// Bytes that came.
        at: u64,
    },
}

/// What an entry of an archive is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Entry {
    /// The `.container` file.
    Descriptor,
    /// The Merkle tree of the container of this id.
    Tree(ContainerId),
    /// A family's rows, as an SST file; empty where there are none.
    Rows(Family),
    /// A block's file.
    Block(LocalId),
    /// `db/` or `chunks/`: nothing but the name.
    Folder(&'static str),
}

const DESCRIPTOR: &str = "container.yaml";
const FOLDERS: [&str; 2] = ["db/", "chunks/"];

impl Entry {
    /// The folder of the rows.
    pub const DB: Entry = Entry::Folder(FOLDERS[0]);
    /// The folder of the block files.
    pub const CHUNKS: Entry = Entry::Folder(FOLDERS[1]);

    /// Its name in the archive.
    pub fn name(self) -> String {
        match self {
            Entry::Descriptor => DESCRIPTOR.to_owned(),
            Entry::Tree(id) => format!("{id}.tree"),
            Entry::Rows(family) => format!("db/{}.data", family.name()),
            Entry::Block(local) => format!("chunks/{local}.block"),
            Entry::Folder(name) => name.to_owned(),
        }
    }

    /// The entry of that name.
    pub fn of_name(name: &str) -> Option<Entry> {
        if name == DESCRIPTOR {
            return Some(Entry::Descriptor);
        }
        if let Some(folder) =
            FOLDERS.iter().find(|folder| name == **folder || name == folder.trim_end_matches('/'))
        {
            return Some(Entry::Folder(folder));
        }
        if let Some(rows) = name.strip_prefix("db/") {
            let rows = rows.strip_suffix(".data")?;
            return FAMILIES.into_iter().find(|family| family.name() == rows).map(Entry::Rows);
        }
        if let Some(block) = name.strip_prefix("chunks/") {
            return plain(block.strip_suffix(".block")?)?.parse().ok().map(Entry::Block);
        }
        plain(name.strip_suffix(".tree")?)?.parse().ok().map(Entry::Tree)
    }
}

/// Digits as our own side writes them: no sign, no zeros in front.
fn plain(digits: &str) -> Option<&str> {
    let usual = digits == "0" || !digits.starts_with('0');
    (usual && !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit())).then_some(digits)
}

/// Zeros between the end of a file of `len` bytes and the next header.
pub const fn padding(len: u64) -> u64 {
    len.next_multiple_of(BLOCK) - len
}

/// A header of the ustar format; a length of 8 GiB or more is written in base 256, as GNU tar and Ozone's reader have it.
pub fn header(entry: Entry, len: u64) -> [u8; BLOCK as usize] {
    let mut head = [0; BLOCK as usize];
    let mut put = |at: usize, bytes: &[u8]| head[at..at + bytes.len()].copy_from_slice(bytes);
    let folder = matches!(entry, Entry::Folder(_));
    // No name of ours is longer than "chunks/", twenty digits and ".block".
    put(0, entry.name().as_bytes());
    put(100, if folder { b"0000755\0" } else { b"0000644\0" });
    put(108, b"0000000\0");
    put(116, b"0000000\0");
    if len < 1 << 33 {
        put(124, format!("{len:011o}\0").as_bytes());
    } else {
        put(124, &[0x80, 0, 0, 0]);
        put(128, &len.to_be_bytes());
    }
    put(136, b"00000000000\0");
    put(148, b"        ");
    put(156, if folder { b"5" } else { b"0" });
    put(257, b"ustar\x0000");
    let sum: u32 = head.iter().map(|byte| u32::from(*byte)).sum();
    head[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
    head
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn names_are_those_of_the_format_page_and_no_others() {
        let (container, block) = (ContainerId::new(7), LocalId::new(113));
        for (entry, name) in [
            (Entry::Descriptor, "container.yaml"),
            (Entry::Tree(container), "7.tree"),
            (Entry::DB, "db/"),
            (Entry::Rows(Family::Counters), "db/metadata.data"),
            (Entry::Rows(Family::BlockData), "db/block_data.data"),
            (Entry::Rows(Family::LastChunk), "db/last_chunk_info.data"),
            (Entry::Rows(Family::DeleteTransactions), "db/delete_txns.data"),
            (Entry::CHUNKS, "chunks/"),
            (Entry::Block(block), "chunks/113.block"),
        ] {
            assert_eq!((entry.name().as_str(), Entry::of_name(name)), (name, Some(entry)));
        }
        for other in
            ["", "/", "../x", "chunks/../../etc", "chunks/+1.block", "chunks/01.block", "db/x.data", "x.tree"]
        {
            assert_eq!(Entry::of_name(other), None, "{other}");
        }
    }

    proptest! {
        #[test]
        fn no_name_panics(name in ".{0,40}") {
            let _ = Entry::of_name(&name);
        }
    }
}
