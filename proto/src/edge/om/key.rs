//! Keys: opened, committed, looked up, renamed, deleted, listed and tagged.

use bytes::Bytes;

use super::lifecycle::LifecycleScanState;
use crate::edge::field::enums;
use crate::edge::hdds::{ExcludeList, KeyValue};
use crate::edge::om_bucket::VolumeInfo;
use crate::edge::om_key::{BasicKeyInfo, KeyArgs, KeyInfo, KeyLocation};
use crate::om as wire;

pub use crate::om::RequestSource;

enums!(RequestSource);

alone! {
    wire;
    LookupKeyRequest.key_args is KeyArgs,
    DeleteKeyRequest.key_args is KeyArgs,
    PutObjectTaggingRequest.key_args is KeyArgs,
    GetObjectTaggingRequest.key_args is KeyArgs,
    DeleteObjectTaggingRequest.key_args is KeyArgs,
    GetObjectTaggingResponse.tags is Vec<KeyValue>,
    AllocateBlockResponse.key_location is Option<KeyLocation>,
    RenameKeysRequest.rename_keys_args is RenameKeys,
}
empty! {
    wire;
    CommitKeyResponse,
    RenameKeyResponse,
    PutObjectTaggingResponse,
    DeleteObjectTaggingResponse,
}
message! {
    /// Opens a key for writing.
    CreateKey = wire => CreateKeyRequest {
        key_args: KeyArgs,
        client_id: Option<u64>,
        derived_key_piggy_backing: Option<bool>,
    }
}
message! {
    /// The open key, its first blocks and the id of its session.
    CreatedKey = wire => CreateKeyResponse {
        key_info: Option<KeyInfo>,
        id: Option<u64>,
        open_version: Option<u64>,
        derived_key: Option<Bytes>,
    }
}
message! {
    /// A key, as old clients are answered.
    FoundKey = wire => LookupKeyResponse, DeleteKeyResponse {
        key_info: Option<KeyInfo>,
        id: Option<u64>,
        open_version: Option<u64>,
    }
}
message! {
    /// Asks for a key and where its blocks are.
    GetKeyInfo = wire => GetKeyInfoRequest {
        key_args: KeyArgs,
        assume_s3_context: Option<bool>,
    }
}
message! {
    /// A key and where its blocks are; to S3 also the volume and the user.
    GotKeyInfo = wire => GetKeyInfoResponse {
        key_info: Option<KeyInfo>,
        volume_info: Option<VolumeInfo>,
        user_principal: Option<String>,
    }
}
message! {
    /// Makes what was written visible: the last time, or (`hsync`) for now, or for a writer that is gone (`recovery`).
    CommitKey = wire => CommitKeyRequest {
        key_args: KeyArgs,
        client_id: u64,
        hsync: Option<bool>,
        recovery: Option<bool>,
    }
}
message! {
    /// Asks for the next block of an open key.
    AllocateBlock = wire => AllocateBlockRequest {
        key_args: KeyArgs,
        client_id: u64,
        exclude_list: Option<ExcludeList>,
        key_location: Option<KeyLocation>,
    }
}
message! {
    /// A key and its new name.
    RenameKey = wire => RenameKeyRequest {
        key_args: KeyArgs,
        to_key_name: String,
        update_id: Option<u64>,
    }
}
message! {
    /// Keys of one bucket and their new names.
    RenameKeys = wire => RenameKeysArgs {
        volume_name: String,
        bucket_name: String,
        rename_keys_map: Vec<Rename>,
    }
}
message! {
    /// From which name to which.
    Rename = wire => RenameKeysMap {
        from_key_name: String,
        to_key_name: String,
    }
}
message! {
    /// Those that were not renamed.
    RenamedKeys = wire => RenameKeysResponse {
        un_renamed_keys: Vec<Rename>,
        status: Option<bool>,
    }
}
message! {
    /// Keys of one bucket to delete at once.
    DeleteKeys = wire => DeleteKeysRequest {
        delete_keys: Option<NamedKeys>,
        source_type: Option<wire::RequestSource>,
        scan_state: Option<LifecycleScanState>,
    }
}
message! {
    /// Keys of one bucket by their names; the ids, where they are there, run in step.
    NamedKeys = wire => DeleteKeyArgs {
        volume_name: String,
        bucket_name: String,
        keys: Vec<String>,
        update_i_ds: Vec<u64>,
    }
}
message! {
    /// Those that were not deleted, and why.
    DeletedKeys = wire => DeleteKeysResponse {
        un_deleted_keys: Option<NamedKeys>,
        status: Option<bool>,
        errors: Vec<DeleteKeyError>,
    }
}
message! {
    /// Why a key was not deleted.
    DeleteKeyError = wire => DeleteKeyError {
        key: Option<String>,
        error_code: Option<String>,
        error_msg: Option<String>,
    }
}
message! {
    /// Asks for a bucket's keys, in order of their names, after `start_key`.
    ListKeys = wire => ListKeysRequest {
        volume_name: String,
        bucket_name: String,
        start_key: Option<String>,
        prefix: Option<String>,
        count: Option<i32>,
    }
}
message! {
    /// Keys; more follow if it is truncated.
    ListedKeys = wire => ListKeysResponse {
        key_info: Vec<KeyInfo>,
        is_truncated: Option<bool>,
    }
}
message! {
    /// The same without blocks.
    ListedKeysLight = wire => ListKeysLightResponse {
        basic_key_info: Vec<BasicKeyInfo>,
        is_truncated: Option<bool>,
    }
}
