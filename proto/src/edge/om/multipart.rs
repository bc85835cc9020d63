//! Uploads in parts: begun, filled, completed, aborted, expired and listed.

use allotrope_types::{ByteCount, ReplicationConfig};

use crate::edge::om_bucket::Acl;
use crate::edge::om_key::{FileChecksum, FileEncryptionInfo, KeyArgs, KeyInfo, KeyLocationList};
use crate::om as wire;

alone! {
    wire;
    MultipartUploadAbortRequest.key_args is KeyArgs,
    MultipartUploadsExpiredAbortRequest.expired_multipart_uploads_per_bucket is Vec<ExpiredUploads>,
    ExpiredMultipartUploadInfo.name is String,
}
empty! {
    wire;
    MultipartUploadAbortResponse,
    MultipartUploadsExpiredAbortResponse,
}
message! {
    /// Begins an upload.
    BeginUpload = wire => MultipartInfoInitiateRequest {
        key_args: KeyArgs,
        schema_version: Option<u32>,
    }
}
message! {
    /// The upload and its id.
    BegunUpload = wire => MultipartInfoInitiateResponse {
        volume_name: String,
        bucket_name: String,
        key_name: String,
        multipart_upload_id: String,
    }
}
message! {
    /// Makes a part complete.
    CommitPart = wire => MultipartCommitUploadPartRequest {
        key_args: KeyArgs,
        client_id: u64,
    }
}
message! {
    /// The part as the completion will have to name it.
    CommittedPart = wire => MultipartCommitUploadPartResponse {
        part_name: Option<String>,
        e_tag: Option<String>,
    }
}
message! {
    /// Makes a key of parts.
    CompleteUpload = wire => MultipartUploadCompleteRequest {
        key_args: KeyArgs,
        parts_list: Vec<ClaimedPart>,
    }
}
message! {
    /// A part as the client names it.
    ClaimedPart = wire => Part {
        part_number: u32,
        part_name: String,
        e_tag: Option<String>,
    }
}
message! {
    /// The key and its hash.
    CompletedUpload = wire => MultipartUploadCompleteResponse {
        volume: Option<String>,
        bucket: Option<String>,
        key: Option<String>,
        hash: Option<String>,
    }
}
message! {
    /// A bucket's uploads that nobody completed in time, by the names of their rows.
    ExpiredUploads = wire => ExpiredMultipartUploadsBucket {
        volume_name: String,
        bucket_name: String,
        multipart_uploads: Vec<String>,
    }
}
message! {
    /// Asks for an upload's parts, after `part_numbermarker`.
    ListParts = wire => MultipartUploadListPartsRequest {
        volume: String,
        bucket: String,
        key: String,
        upload_id: String,
        part_numbermarker: Option<u32>,
        max_parts: Option<u32>,
    }
}
message! {
    /// Parts; more follow if it is truncated.
    ListedParts = wire => MultipartUploadListPartsResponse {
        next_part_number_marker: Option<u32>,
        is_truncated: Option<bool>,
        parts_list: Vec<UploadedPart>,
        ;
        replication: Option<ReplicationConfig> = (r#type, factor, ec_replication_config),
    }
}
message! {
    /// A part that is complete.
    UploadedPart = wire => PartInfo {
        part_number: u32,
        part_name: String,
        modification_time: u64,
        size: ByteCount,
        e_tag: Option<String>,
    }
}
message! {
    /// Asks for a bucket's uploads, after the markers.
    ListUploads = wire => ListMultipartUploadsRequest {
        volume: String,
        bucket: String,
        prefix: String,
        key_marker: Option<String>,
        upload_id_marker: Option<String>,
        max_uploads: Option<i32>,
        with_pagination: Option<bool>,
    }
}
message! {
    /// Uploads; more follow if it is truncated.
    ListedUploads = wire => ListMultipartUploadsResponse {
        is_truncated: Option<bool>,
        uploads_list: Vec<MultipartUpload>,
        next_key_marker: Option<String>,
        next_upload_id_marker: Option<String>,
    }
}
message! {
    /// An upload.
    MultipartUpload = wire => MultipartUploadInfo {
        volume_name: String,
        bucket_name: String,
        key_name: String,
        upload_id: String,
        creation_time: u64,
        ;
        replication: ReplicationConfig = (r#type, factor, ec_replication_config),
    }
}
message! {
    /// An upload and its parts: the value of OM's table of uploads.
    MultipartKeyInfo = wire => MultipartKeyInfo {
        upload_id: String,
        creation_time: u64,
        part_key_info_list: Vec<PartKeyInfo>,
        object_id: Option<u64>,
        update_id: Option<u64>,
        parent_id: Option<u64>,
        schema_version: Option<u32>,
        volume_name: Option<String>,
        bucket_name: Option<String>,
        key_name: Option<String>,
        owner_name: Option<String>,
        acls: Vec<Acl>,
        ;
        replication: ReplicationConfig = (r#type, factor, ec_replication_config),
    }
}
message! {
    /// A part in that table.
    PartKeyInfo = wire => PartKeyInfo {
        part_name: String,
        part_number: u32,
        part_key_info: KeyInfo,
    }
}
message! {
    /// A part: the value of OM's table of parts (trunk).
    MultipartPartInfo = wire => MultipartPartInfo {
        part_name: Option<String>,
        part_number: Option<u32>,
        e_tag: Option<String>,
        key_location_list: Option<KeyLocationList>,
        data_size: Option<ByteCount>,
        modification_time: Option<u64>,
        object_id: Option<u64>,
        update_id: Option<u64>,
        file_encryption_info: Option<FileEncryptionInfo>,
        file_checksum: Option<FileChecksum>,
    }
}
