//! The file system's view: directories, files, listings, leases, times, trash.

use crate::WireError;
use crate::edge::field::{At, Field, enums};
use crate::edge::om_key::{KeyArgs, KeyInfo, OzoneFileStatus, OzoneFileStatusLight, RepeatedKeyInfo};
use crate::om as wire;

pub use crate::om::SafeMode;

enums!(SafeMode);

/// A time to set, in milliseconds since 1970; -1 leaves the time as it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FileTime(pub i64);

/// Unsigned on the wire, and -1 in it all the same.
impl Field<u64> for FileTime {
    fn read(wire: u64, _: At) -> Result<Self, WireError> {
        Ok(FileTime(wire.cast_signed()))
    }

    fn write(self) -> u64 {
        self.0.cast_unsigned()
    }
}

alone! {
    wire;
    GetFileStatusRequest.key_args is KeyArgs,
    CreateDirectoryRequest.key_args is KeyArgs,
    LookupFileRequest.key_args is KeyArgs,
    GetFileStatusResponse.status is OzoneFileStatus,
    LookupFileResponse.key_info is Option<KeyInfo>,
    ListStatusResponse.statuses is Vec<OzoneFileStatus>,
    ListStatusLightResponse.statuses is Vec<OzoneFileStatusLight>,
    SetSafeModeRequest.safe_mode is SafeMode,
    SetSafeModeResponse.response is Option<bool>,
    ListTrashResponse.deleted_keys is Vec<RepeatedKeyInfo>,
    RecoverTrashResponse.response is bool,
}
empty! {
    wire;
    CreateDirectoryResponse,
    SetTimesResponse,
}
message! {
    /// Opens a file for writing.
    CreateFile = wire => CreateFileRequest {
        key_args: KeyArgs,
        is_recursive: bool,
        is_overwrite: bool,
        client_id: Option<u64>,
    }
}
message! {
    /// The open file, its first blocks and the id of its session.
    CreatedFile = wire => CreateFileResponse {
        key_info: Option<KeyInfo>,
        id: Option<u64>,
        open_version: Option<u64>,
    }
}
message! {
    /// Asks for what is in a directory, after `start_key`.
    ListStatus = wire => ListStatusRequest {
        key_args: KeyArgs,
        recursive: bool,
        start_key: String,
        num_entries: u64,
        allow_partial_prefix: Option<bool>,
    }
}
message! {
    /// Asks for open files under a path, after `token`.
    ListOpenFiles = wire => ListOpenFilesRequest {
        path: Option<String>,
        count: Option<u32>,
        token: Option<String>,
    }
}
message! {
    /// Open files; `client_id` and `key_info` run in step.
    OpenFiles = wire => ListOpenFilesResponse {
        total_open_key_count: Option<u64>,
        has_more: Option<bool>,
        continuation_token: Option<String>,
        client_id: Vec<u64>,
        key_info: Vec<KeyInfo>,
    }
}
message! {
    /// Takes an open file from a writer that is gone.
    RecoverLease = wire => RecoverLeaseRequest {
        volume_name: Option<String>,
        bucket_name: Option<String>,
        key_name: Option<String>,
        force: Option<bool>,
    }
}
message! {
    /// The file as it is, and as its writer had it open.
    RecoveredLease = wire => RecoverLeaseResponse {
        response: Option<bool>,
        key_info: Option<KeyInfo>,
        open_key_info: Option<KeyInfo>,
    }
}
message! {
    /// A file's times in milliseconds since 1970; -1 leaves one as it is.
    SetTimes = wire => SetTimesRequest {
        key_args: KeyArgs,
        mtime: FileTime,
        atime: FileTime,
    }
}
message! {
    /// Asks for deleted keys; no client does any more.
    ListTrash = wire => ListTrashRequest {
        volume_name: String,
        bucket_name: String,
        start_key_name: Option<String>,
        key_prefix: Option<String>,
        max_keys: Option<i32>,
    }
}
message! {
    /// Asks for a deleted key back; no client does any more.
    RecoverTrash = wire => RecoverTrashRequest {
        volume_name: String,
        bucket_name: String,
        key_name: String,
        destination_bucket: String,
    }
}
