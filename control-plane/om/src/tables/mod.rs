//! OM's tables: which column families there are, how their keys look, what their values are.
//!
//! Shape   one constant a table, Ozone's names. Keys are text as Ozone writes it, newtypes in `text_key`; values are
//!         Ozone's messages. The version tables are ours (`version_key`).
//! Law     a key type sorts as its bytes do, so a listing is one range scan.
//! Source  docs/formats/om-tables.md.

mod text_key;
mod version_key;

pub use text_key::{
    BucketKey, DeletedKey, DeletedNodeKey, NodeKey, ObjectKey, OpenKey, OpenNodeKey, TextKey, UploadKey,
    VolumeKey,
};
pub use version_key::VersionKey;

use allotrope_consensus::{Be64, Proto, Table, Utf8};
use allotrope_proto::om::{
    BucketInfo, DirectoryInfo, KeyInfo, MultipartKeyInfo, PrefixInfo, RepeatedKeyInfo, S3Secret,
    UserVolumeInfo, VolumeInfo,
};

/// Volume names of an owner.
pub const USERS: Table<Utf8, Proto<UserVolumeInfo>> = Table::new("userTable");
/// Volumes.
pub const VOLUMES: Table<VolumeKey, Proto<VolumeInfo>> = Table::new("volumeTable");
/// Buckets.
pub const BUCKETS: Table<BucketKey, Proto<BucketInfo>> = Table::new("bucketTable");
/// Keys of buckets with layout OBJECT_STORE or LEGACY.
pub const KEYS: Table<ObjectKey, Proto<KeyInfo>> = Table::new("keyTable");
/// Sessions of keys being written, in the same buckets.
pub const OPEN_KEYS: Table<OpenKey, Proto<KeyInfo>> = Table::new("openKeyTable");
/// Keys whose blocks await deletion, of every layout.
pub const DELETED: Table<DeletedKey, Proto<RepeatedKeyInfo>> = Table::new("deletedTable");
/// Files of FILE_SYSTEM_OPTIMIZED buckets.
pub const FILES: Table<NodeKey, Proto<KeyInfo>> = Table::new("fileTable");
/// Sessions of files being written.
pub const OPEN_FILES: Table<OpenNodeKey, Proto<KeyInfo>> = Table::new("openFileTable");
/// Directories of FILE_SYSTEM_OPTIMIZED buckets.
pub const DIRECTORIES: Table<NodeKey, Proto<DirectoryInfo>> = Table::new("directoryTable");
/// Deleted directories whose content awaits deletion.
pub const DELETED_DIRECTORIES: Table<DeletedNodeKey, Proto<KeyInfo>> = Table::new("deletedDirectoryTable");
/// Multipart uploads in progress, with their parts.
pub const UPLOADS: Table<UploadKey, Proto<MultipartKeyInfo>> = Table::new("multipartInfoTable");
/// Secrets of S3 users, by access id.
pub const S3_SECRETS: Table<Utf8, Proto<S3Secret>> = Table::new("s3SecretTable");
/// Rights on all keys below a path.
pub const PREFIXES: Table<ObjectKey, Proto<PrefixInfo>> = Table::new("prefixTable");
/// Small facts about this OM.
pub const META: Table<Utf8, Utf8> = Table::new("metaTable");
/// Older versions of keys in versioned buckets. Ours.
pub const KEY_VERSIONS: Table<VersionKey, Proto<KeyInfo>> = Table::new("keyVersionTable");

/// The number of the version `null` of a key, where it is an older one. Ours.
pub const NULL_VERSIONS: Table<ObjectKey, Be64> = Table::new("keyNullVersionTable");

/// Ozone's other column families: made, so that the database has all of Ozone's, and empty until the feature that
/// owns them is here.
const RESERVED: [&str; 11] = [
    "multipartPartsTable",
    "dTokenTable",
    "tenantStateTable",
    "tenantAccessIdTable",
    "principalToAccessIdsTable",
    "transactionInfoTable",
    "snapshotInfoTable",
    "snapshotRenamedTable",
    "compactionLogTable",
    "lifecycleConfigurationTable",
    "lifecycleScanStateTable",
];

/// Every column family of OM's state.
pub fn all() -> Vec<&'static str> {
    let used = [
        USERS.name(),
        VOLUMES.name(),
        BUCKETS.name(),
        KEYS.name(),
        OPEN_KEYS.name(),
        DELETED.name(),
        FILES.name(),
        OPEN_FILES.name(),
        DIRECTORIES.name(),
        DELETED_DIRECTORIES.name(),
        UPLOADS.name(),
        S3_SECRETS.name(),
        META.name(),
        PREFIXES.name(),
        KEY_VERSIONS.name(),
        NULL_VERSIONS.name(),
    ];
    used.into_iter().chain(RESERVED).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_column_family_is_named_twice() {
        let names = all();
        let distinct: std::collections::BTreeSet<_> = names.iter().collect();
        assert_eq!(names.len(), distinct.len());
    }
}
