//! The files of a volume, byte for byte as Ozone's: each codec turns text or bytes into a value and back.
//!
//! Owns    `VERSION`, `<id>.container`, `<id>.tree`, `datanode.id`, the keys of schema V3, and where each file lies.
//! Never   opens a file: bytes in, values out.
//! Errors  [`FormatError`] names the file's kind, the place and what was expected; a newer version is refused by name.
//! Source  docs/formats/datanode-volume.md, container-file.md, schema-v3.md, container-tree.md, datanode-id.md.

pub mod archive;
pub mod container_file;
pub mod datanode_id;
pub mod keys;
pub mod layout;
pub mod properties;
pub mod tree;
pub mod volume_version;

/// Bytes from a disk that are not the file they should be.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FormatError {
    /// The text breaks the format's own rules.
    #[error("{what}, line {line}: {why}")]
    Garbled {
        /// The kind of file.
        what: &'static str,
        /// Counted from 1.
        line: usize,
        /// What was met.
        why: String,
    },
    /// A key that must be there is not.
    #[error("{what} lacks {key}")]
    Missing {
        /// The kind of file.
        what: &'static str,
        /// The absent key.
        key: &'static str,
    },
    /// A value that the key cannot have.
    #[error("{what} has {key} {value:?}: {why}")]
    Invalid {
        /// The kind of file.
        what: &'static str,
        /// The key.
        key: &'static str,
        /// What stands there.
        value: String,
        /// What was expected.
        why: String,
    },
    /// Written by a release whose format this one does not know.
    #[error(
        "{what} has {key} {found}, and this release reads {known} only: use a newer release, or the one that wrote it"
    )]
    Newer {
        /// The kind of file.
        what: &'static str,
        /// The key that holds the version.
        key: &'static str,
        /// The version that was met.
        found: String,
        /// The version this release knows.
        known: String,
    },
    /// The stored checksum is not that of the content.
    #[error("{what} holds the checksum {stored}, its content has {computed}")]
    Checksum {
        /// The kind of file.
        what: &'static str,
        /// As stored.
        stored: String,
        /// As computed.
        computed: String,
    },
}
