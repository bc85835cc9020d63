//! What OM's background services put through the log to clean up.

use allotrope_types::{BucketLayout, ByteCount, SnapshotId};

use super::snapshot::MovedKeys;
use crate::edge::om_key::KeyInfo;
use crate::om as wire;

alone! {
    wire;
    NullableUuid.uuid is Option<SnapshotId>,
}
empty! {
    wire;
    PurgeKeysResponse,
    PurgePathsResponse,
    PurgeDirectoriesResponse,
}
message! {
    /// Rows of deleted keys whose blocks are gone.
    PurgeKeys = wire => PurgeKeysRequest {
        deleted_keys: Vec<PurgedKeys>,
        snapshot_table_key: Option<String>,
        keys_to_update: Vec<MovedKeys>,
        expected_previous_snapshot_id: Option<Option<SnapshotId>>,
        renamed_keys: Vec<String>,
        bucket_purge_keys_size: Vec<PurgedSize>,
    }
}
message! {
    /// Rows of one bucket.
    PurgedKeys = wire => DeletedKeys {
        volume_name: String,
        bucket_name: String,
        keys: Vec<String>,
    }
}
message! {
    /// What came free in one bucket.
    PurgedSize = wire => BucketPurgeKeysSize {
        bucket_name_info: Option<BucketIdentity>,
        purged_bytes: Option<ByteCount>,
        purged_namespace: Option<u64>,
    }
}
message! {
    /// A bucket by its ids and its names.
    BucketIdentity = wire => BucketNameInfo {
        volume_id: Option<u64>,
        bucket_id: Option<u64>,
        volume_name: Option<String>,
        bucket_name: Option<String>,
    }
}
message! {
    /// Deleted directories, in the old form.
    PurgePaths = wire => PurgePathsRequest {
        deleted_dirs: Vec<String>,
        deleted_sub_files: Vec<KeyInfo>,
        mark_deleted_sub_dirs: Vec<KeyInfo>,
    }
}
message! {
    /// Deleted directories, and what was found in them.
    PurgeDirectories = wire => PurgeDirectoriesRequest {
        deleted_path: Vec<PurgedDirectory>,
        snapshot_table_key: Option<String>,
        expected_previous_snapshot_id: Option<Option<SnapshotId>>,
        bucket_name_infos: Vec<BucketIdentity>,
    }
}
message! {
    /// A deleted directory, and what was found in it.
    PurgedDirectory = wire => PurgePathRequest {
        volume_id: u64,
        bucket_id: u64,
        deleted_dir: Option<String>,
        deleted_sub_files: Vec<KeyInfo>,
        mark_deleted_sub_dirs: Vec<KeyInfo>,
    }
}
message! {
    /// Open keys whose writers are gone.
    DeleteOpenKeys = wire => DeleteOpenKeysRequest {
        open_keys_per_bucket: Vec<OpenKeys>,
        bucket_layout: Option<BucketLayout>,
    }
}
message! {
    /// Those of one bucket.
    OpenKeys = wire => OpenKeyBucket {
        volume_name: String,
        bucket_name: String,
        keys: Vec<OpenKey>,
    }
}
message! {
    /// An open key, by the name of its row.
    OpenKey = wire => OpenKey {
        name: String,
        client_id: Option<u64>,
    }
}
