//! Snapshots of a bucket, the differences between them, and how deleted rows move along their chain.

use allotrope_types::{ByteCount, SnapshotId};
use bytes::Bytes;

use crate::edge::field::enums;
use crate::edge::hdds::KeyValue;
use crate::edge::om_key::KeyInfo;
use crate::om as wire;

pub use crate::om::SnapshotStatusProto as SnapshotStatus;
pub use crate::om::diff_report_entry_proto::DiffTypeProto as DiffType;
pub use crate::om::snapshot_diff_response::{JobStatusProto as DiffJobStatus, SubStatus as DiffStep};

enums!(DiffJobStatus, DiffStep, DiffType, SnapshotStatus);

alone! {
    wire;
    CreateSnapshotResponse.snapshot_info is Option<SnapshotInfo>,
    RenameSnapshotResponse.snapshot_info is Option<SnapshotInfo>,
    SnapshotInfoResponse.snapshot_info is Option<SnapshotInfo>,
}
empty! {
    wire;
    DeleteSnapshotResponse,
    SnapshotMoveDeletedKeysResponse,
    SnapshotPurgeResponse,
    SetSnapshotPropertyResponse,
}
message! {
    /// A snapshot: what is shown of it, and the value of OM's table of snapshots. Times are milliseconds since 1970.
    SnapshotInfo = wire => SnapshotInfo {
        snapshot_id: Option<SnapshotId>,
        name: Option<String>,
        volume_name: Option<String>,
        bucket_name: Option<String>,
        snapshot_status: Option<SnapshotStatus>,
        creation_time: Option<u64>,
        deletion_time: Option<u64>,
        path_previous_snapshot_id: Option<SnapshotId>,
        global_previous_snapshot_id: Option<SnapshotId>,
        snapshot_path: Option<String>,
        checkpoint_dir: Option<String>,
        db_tx_sequence_number: Option<i64>,
        deep_clean: Option<bool>,
        sst_filtered: Option<bool>,
        referenced_size: Option<ByteCount>,
        referenced_replicated_size: Option<ByteCount>,
        exclusive_size: Option<ByteCount>,
        exclusive_replicated_size: Option<ByteCount>,
        deep_cleaned_deleted_dir: Option<bool>,
        last_transaction_info: Option<Bytes>,
        exclusive_size_delta_from_dir_deep_cleaning: Option<ByteCount>,
        exclusive_replicated_size_delta_from_dir_deep_cleaning: Option<ByteCount>,
        create_transaction_info: Option<Bytes>,
    }
}
message! {
    /// Takes a snapshot of a bucket.
    CreateSnapshot = wire => CreateSnapshotRequest {
        volume_name: Option<String>,
        bucket_name: Option<String>,
        snapshot_name: Option<String>,
        snapshot_id: Option<SnapshotId>,
        creation_time: Option<u64>,
    }
}
message! {
    /// Gives a snapshot another name.
    RenameSnapshot = wire => RenameSnapshotRequest {
        volume_name: Option<String>,
        bucket_name: Option<String>,
        snapshot_old_name: Option<String>,
        snapshot_new_name: Option<String>,
        rename_time: Option<u64>,
    }
}
message! {
    /// Marks a snapshot as deleted.
    DeleteSnapshot = wire => DeleteSnapshotRequest {
        volume_name: Option<String>,
        bucket_name: Option<String>,
        snapshot_name: Option<String>,
        deletion_time: Option<u64>,
    }
}
message! {
    /// Asks for one snapshot.
    NamedSnapshot = wire => SnapshotInfoRequest {
        volume_name: Option<String>,
        bucket_name: Option<String>,
        snapshot_name: Option<String>,
    }
}
message! {
    /// Asks for a bucket's snapshots, after `prev_snapshot`.
    ListSnapshots = wire => ListSnapshotRequest {
        volume_name: Option<String>,
        bucket_name: Option<String>,
        prefix: Option<String>,
        prev_snapshot: Option<String>,
        max_list_result: Option<u32>,
    }
}
message! {
    /// Snapshots; where to go on, if more follow.
    ListedSnapshots = wire => ListSnapshotResponse {
        snapshot_info: Vec<SnapshotInfo>,
        last_snapshot: Option<String>,
    }
}
message! {
    /// Asks what differs between two snapshots: starts the job, or asks how far it is.
    SnapshotDiff = wire => SnapshotDiffRequest {
        volume_name: Option<String>,
        bucket_name: Option<String>,
        from_snapshot: Option<String>,
        to_snapshot: Option<String>,
        token: Option<String>,
        page_size: Option<u32>,
        force_full_diff: Option<bool>,
        disable_native_diff: Option<bool>,
    }
}
message! {
    /// A page of the differences, or how far the job is.
    SnapshotDiffAnswer = wire => SnapshotDiffResponse {
        snapshot_diff_report: Option<SnapshotDiffReport>,
        job_status: Option<DiffJobStatus>,
        wait_time_in_ms: Option<i64>,
        reason: Option<String>,
        sub_status: Option<DiffStep>,
        progress_percent: Option<f64>,
    }
}
message! {
    /// Starts the job and does not ask for its result.
    SubmitSnapshotDiff = wire => SubmitSnapshotDiffRequest {
        volume_name: Option<String>,
        bucket_name: Option<String>,
        from_snapshot: Option<String>,
        to_snapshot: Option<String>,
        force_full_diff: Option<bool>,
        disable_native_diff: Option<bool>,
    }
}
message! {
    /// What became of that, in words.
    SubmittedSnapshotDiff = wire => SubmitSnapshotDiffResponse {
        response: Option<String>,
    }
}
message! {
    /// Stops the job.
    CancelSnapshotDiff = wire => CancelSnapshotDiffRequest {
        volume_name: Option<String>,
        bucket_name: Option<String>,
        from_snapshot: Option<String>,
        to_snapshot: Option<String>,
    }
}
message! {
    /// What became of that, in words.
    CancelledSnapshotDiff = wire => CancelSnapshotDiffResponse {
        reason: Option<String>,
    }
}
message! {
    /// Asks for a bucket's jobs.
    ListSnapshotDiffJobs = wire => ListSnapshotDiffJobRequest {
        volume_name: String,
        bucket_name: String,
        job_status: Option<String>,
        list_all: Option<bool>,
        prev_snapshot_diff_job: Option<String>,
        max_list_result: Option<u32>,
    }
}
message! {
    /// Jobs; where to go on, if more follow.
    ListedSnapshotDiffJobs = wire => ListSnapshotDiffJobResponse {
        snapshot_diff_job: Vec<SnapshotDiffJob>,
        last_snapshot_diff_job: Option<String>,
    }
}
message! {
    /// A job and how far it is.
    SnapshotDiffJob = wire => SnapshotDiffJobProto {
        creation_time: Option<u64>,
        job_id: Option<String>,
        status: Option<DiffJobStatus>,
        volume: Option<String>,
        bucket: Option<String>,
        from_snapshot: Option<String>,
        to_snapshot: Option<String>,
        force_full_diff: Option<bool>,
        total_diff_entries: Option<u64>,
        message: Option<String>,
        disable_native_diff: Option<bool>,
        sub_status: Option<DiffStep>,
        keys_processed_pct: Option<f64>,
        largest_entry_key: Option<String>,
    }
}
message! {
    /// Differences; where to go on, if more follow.
    SnapshotDiffReport = wire => SnapshotDiffReportProto {
        volume_name: Option<String>,
        bucket_name: Option<String>,
        from_snapshot: Option<String>,
        to_snapshot: Option<String>,
        diff_list: Vec<DiffReportEntry>,
        token: Option<String>,
    }
}
message! {
    /// One difference.
    DiffReportEntry = wire => DiffReportEntryProto {
        diff_type: Option<DiffType>,
        source_path: Option<String>,
        target_path: Option<String>,
    }
}
message! {
    /// Asks for a picture of the compaction log; no client does any more.
    PrintCompactionLogDag = wire => PrintCompactionLogDagRequest {
        file_name_prefix: Option<String>,
        graph_type: Option<String>,
    }
}
message! {
    /// Where the picture is.
    PrintedCompactionLogDag = wire => PrintCompactionLogDagResponse {
        message: Option<String>,
    }
}
message! {
    /// Rows of a deleted snapshot for the next in the chain; the old form.
    MoveDeletedKeys = wire => SnapshotMoveDeletedKeysRequest {
        from_snapshot: Option<SnapshotInfo>,
        next_db_keys: Vec<MovedKeys>,
        reclaim_keys: Vec<MovedKeys>,
        renamed_keys: Vec<KeyValue>,
        deleted_dirs_to_move: Vec<String>,
    }
}
message! {
    /// Rows of a deleted snapshot for the next in the chain.
    MoveTableKeys = wire => SnapshotMoveTableKeysRequest {
        from_snapshot_id: Option<SnapshotId>,
        deleted_keys: Vec<MovedKeys>,
        deleted_dirs: Vec<MovedKeys>,
        renamed_keys: Vec<KeyValue>,
    }
}
message! {
    /// Versions of a deleted key, and its row.
    MovedKeys = wire => SnapshotMoveKeyInfos {
        key: Option<String>,
        key_infos: Vec<KeyInfo>,
        bucket_id: Option<u64>,
    }
}
message! {
    /// Removes snapshots that hold nothing any more, by the keys of their rows.
    PurgeSnapshots = wire => SnapshotPurgeRequest {
        snapshot_db_keys: Vec<String>,
        updated_snapshot_db_key: Vec<String>,
    }
}
message! {
    /// What OM itself found out about a snapshot.
    SetSnapshotProperty = wire => SetSnapshotPropertyRequest {
        snapshot_property: Option<SnapshotProperty>,
        snapshot_key: Option<String>,
        snapshot_size: Option<SnapshotSize>,
        deep_cleaned_deleted_dir: Option<bool>,
        deep_cleaned_deleted_key: Option<bool>,
        snapshot_size_delta_from_dir_deep_cleaning: Option<SnapshotSize>,
    }
}
message! {
    /// Sizes, in the old form.
    SnapshotProperty = wire => SnapshotProperty {
        snapshot_key: Option<String>,
        exclusive_size: Option<ByteCount>,
        exclusive_replicated_size: Option<ByteCount>,
    }
}
message! {
    /// Bytes that only this snapshot holds.
    SnapshotSize = wire => SnapshotSize {
        exclusive_size: Option<ByteCount>,
        exclusive_replicated_size: Option<ByteCount>,
    }
}
