//! Clients to OM: every request and every answer.
//!
//! Shape   an [`OmRequest`] is an envelope with one [`OmCall`], an [`OmResponse`] one with an [`OmAnswer`], or with none if
//!         the request failed. Here stand the envelopes; each file beside this has the calls on one kind of thing. What
//!         keys, volumes and buckets themselves are is in [`om_key`](super::om_key) and [`om_bucket`](super::om_bucket).
//! Units   times are milliseconds since 1970 unless a field says otherwise; object and update ids are OM's own numbers.
//! Errors  a call without its arguments is [`WireError::Missing`](crate::WireError::Missing) and names the field that should
//!         hold them. Names of volumes, buckets and keys stay text: OM judges them, and has a status for each fault.
//! Source  om.md 3 and Appendix A of the wire facts.

pub mod acl;
pub mod bucket;
pub mod file;
pub mod key;
pub mod lifecycle;
pub mod multipart;
pub mod purge;
pub mod service;
pub mod snapshot;
pub mod tenant;
pub mod token;
pub mod volume;

use allotrope_types::{OmStatus, SecretKeyId};
use bytes::Bytes;

use self::acl::*;
use self::bucket::*;
use self::file::*;
use self::key::*;
use self::lifecycle::*;
use self::multipart::*;
use self::purge::*;
use self::service::*;
use self::snapshot::*;
use self::tenant::*;
use self::token::*;
use self::volume::*;

use super::admin::{FinalizeUpgrade, TransferLeadership, UpgradeProgress, UpgradeStatus};
use super::field::{codes, enums};
use super::hdds::KeyValue;
use super::message::Empty;
use super::om_bucket::{Acl, BucketArgs, BucketInfo, OzoneObj, VolumeInfo};
use super::om_key::{KeyArgs, KeyInfo, KeyLocation, OzoneFileStatus, OzoneFileStatusLight, RepeatedKeyInfo};
use super::token::HadoopToken;
use crate::om as wire;
use crate::om::Type;

pub use crate::om::ReadConsistencyProto as ReadConsistency;

enums!(ReadConsistency, Type);
codes!(OmStatus);

envelope! {
    /// A request to OM.
    OmRequest = wire => OmRequest
    /// What is asked of OM.
    OmCall by cmd_type: Type {
        trace_id: Option<String>,
        /// A name of the client's own; not the id that its connection carries.
        client_id: String,
        /// Who asks, as the leader found out; what a client says here is not believed.
        user_info: Option<UserInfo>,
        /// What the client can do: 3 knows bucket layouts.
        version: Option<u32>,
        /// The version of OM's files that the leader worked with.
        layout_version: Option<u64>,
        read_consistency_hint: Option<ReadConsistencyHint>,
        /// An S3 request's signature; any call of a gateway has it.
        s3_authentication: Option<S3Authentication>,
        /// What the leader made of `GetDelegationToken`, for the log.
        update_get_delegation_token_request: Option<RecordGotToken>,
        /// What the leader made of `RenewDelegationToken`, for the log.
        updated_renew_delegation_token_request: Option<RecordRenewedToken>,
        /// What the leader made of `GetS3Secret`, for the log.
        update_get_s3_secret_request: Option<S3Secret>,
        /// More arguments of `SetSnapshotProperty`, which comes with one, or several, or both.
        set_snapshot_property_requests: Vec<SetSnapshotProperty>,
        ;
        CreateVolume => create_volume_request: VolumeInfo,
        SetVolumeProperty => set_volume_property_request: SetVolumeProperty,
        CheckVolumeAccess => check_volume_access_request: CheckVolumeAccess,
        InfoVolume => info_volume_request: NamedVolume,
        DeleteVolume => delete_volume_request: NamedVolume,
        ListVolume => list_volume_request: ListVolumes,
        CreateBucket => create_bucket_request: BucketInfo,
        InfoBucket => info_bucket_request: NamedBucket,
        SetBucketProperty => set_bucket_property_request: SetBucketProperty,
        DeleteBucket => delete_bucket_request: NamedBucket,
        ListBuckets => list_buckets_request: ListBuckets,
        CreateKey => create_key_request: CreateKey,
        LookupKey => lookup_key_request: KeyArgs,
        RenameKey => rename_key_request: RenameKey,
        DeleteKey => delete_key_request: KeyArgs,
        ListKeys => list_keys_request: ListKeys,
        CommitKey => commit_key_request: CommitKey,
        AllocateBlock => allocate_block_request: AllocateBlock,
        DeleteKeys => delete_keys_request: DeleteKeys,
        RenameKeys => rename_keys_request: RenameKeys,
        DeleteOpenKeys => delete_open_keys_request: DeleteOpenKeys,
        InitiateMultiPartUpload => initiate_multi_part_upload_request: BeginUpload,
        CommitMultiPartUpload => commit_multi_part_upload_request: CommitPart,
        CompleteMultiPartUpload => complete_multi_part_upload_request: CompleteUpload,
        AbortMultiPartUpload => abort_multi_part_upload_request: KeyArgs,
        GetS3Secret => get_s3_secret_request: GetS3Secret,
        ListMultiPartUploadParts => list_multipart_upload_parts_request: ListParts,
        ServiceList => service_list_request: Empty,
        DbUpdates => db_updates_request: DbUpdates,
        FinalizeUpgrade => finalize_upgrade_request: FinalizeUpgrade,
        FinalizeUpgradeProgress => finalize_upgrade_progress_request: UpgradeProgress,
        Prepare => prepare_request: PrepareArgs,
        PrepareStatus => prepare_status_request: PreparedAt,
        CancelPrepare => cancel_prepare_request: Empty,
        GetDelegationToken => get_delegation_token_request: GetDelegationToken,
        RenewDelegationToken => renew_delegation_token_request: HadoopToken,
        CancelDelegationToken => cancel_delegation_token_request: HadoopToken,
        GetFileStatus => get_file_status_request: KeyArgs,
        CreateDirectory => create_directory_request: KeyArgs,
        CreateFile => create_file_request: CreateFile,
        LookupFile => lookup_file_request: KeyArgs,
        ListStatus => list_status_request: ListStatus,
        AddAcl => add_acl_request: ChangeAcl,
        RemoveAcl => remove_acl_request: ChangeAcl,
        SetAcl => set_acl_request: SetAcl,
        GetAcl => get_acl_request: OzoneObj,
        PurgeKeys => purge_keys_request: PurgeKeys,
        ListMultipartUploads => list_multipart_uploads_request: ListUploads,
        ListTrash => list_trash_request: ListTrash,
        RecoverTrash => recover_trash_request: RecoverTrash,
        RevokeS3Secret => revoke_s3_secret_request: RevokeS3Secret,
        PurgePaths => purge_paths_request: PurgePaths,
        PurgeDirectories => purge_directories_request: PurgeDirectories,
        CreateTenant => create_tenant_request: CreateTenant,
        DeleteTenant => delete_tenant_request: DeleteTenant,
        ListTenant => list_tenant_request: Empty,
        TenantGetUserInfo => tenant_get_user_info_request: TenantGetUserInfo,
        TenantAssignUserAccessId => tenant_assign_user_access_id_request: TenantAssignUser,
        TenantRevokeUserAccessId => tenant_revoke_user_access_id_request: TenantAccess,
        TenantAssignAdmin => tenant_assign_admin_request: TenantAssignAdmin,
        TenantRevokeAdmin => tenant_revoke_admin_request: TenantAccess,
        GetS3VolumeContext => get_s3_volume_context_request: Empty,
        TenantListUser => tenant_list_user_request: TenantListUser,
        SetS3Secret => set_s3_secret_request: SetS3Secret,
        SetRangerServiceVersion => set_ranger_service_version_request: SetRangerServiceVersion,
        RangerBgSync => ranger_bg_sync_request: RangerBgSync,
        EchoRpc => echo_rpc_request: Echo,
        GetKeyInfo => get_key_info_request: GetKeyInfo,
        CreateSnapshot => create_snapshot_request: CreateSnapshot,
        ListSnapshot => list_snapshot_request: ListSnapshots,
        SnapshotDiff => snapshot_diff_request: SnapshotDiff,
        DeleteSnapshot => delete_snapshot_request: DeleteSnapshot,
        SnapshotMoveDeletedKeys => snapshot_move_deleted_keys_request: MoveDeletedKeys,
        TransferLeadership => transfer_om_leadership_request: TransferLeadership,
        SnapshotPurge => snapshot_purge_request: PurgeSnapshots,
        RecoverLease => recover_lease_request: RecoverLease,
        SetTimes => set_times_request: SetTimes,
        RefetchSecretKey => refetch_secret_key_request: Empty,
        ListSnapshotDiffJobs => list_snapshot_diff_job_request: ListSnapshotDiffJobs,
        CancelSnapshotDiff => cancel_snapshot_diff_request: CancelSnapshotDiff,
        SetSafeMode => set_safe_mode_request: SafeMode,
        PrintCompactionLogDag => print_compaction_log_dag_request: PrintCompactionLogDag,
        AbortExpiredMultiPartUploads => multipart_uploads_expired_abort_request: Vec<ExpiredUploads>,
        GetSnapshotInfo => snapshot_info_request: NamedSnapshot,
        RenameSnapshot => rename_snapshot_request: RenameSnapshot,
        ListOpenFiles => list_open_files_request: ListOpenFiles,
        QuotaRepair => quota_repair_request: QuotaRepair,
        GetQuotaRepairStatus => get_quota_repair_status_request: Empty,
        StartQuotaRepair => start_quota_repair_request: StartQuotaRepair,
        SnapshotMoveTableKeys => snapshot_move_table_keys_request: MoveTableKeys,
        PutObjectTagging => put_object_tagging_request: KeyArgs,
        GetObjectTagging => get_object_tagging_request: KeyArgs,
        DeleteObjectTagging => delete_object_tagging_request: KeyArgs,
        SubmitSnapshotDiff => submit_snapshot_diff_request: SubmitSnapshotDiff,
        PutBucketTagging => put_bucket_tagging_request: BucketTagging,
        GetBucketTagging => get_bucket_tagging_request: BucketArgs,
        DeleteBucketTagging => delete_bucket_tagging_request: BucketTagging,
        SetLifecycleConfiguration => set_lifecycle_configuration_request: LifecycleConfiguration,
        GetLifecycleConfiguration => get_lifecycle_configuration_request: NamedBucket,
        DeleteLifecycleConfiguration => delete_lifecycle_configuration_request: NamedBucket,
        GetLifecycleServiceStatus => get_lifecycle_service_status_request: Empty,
        SetLifecycleServiceStatus => set_lifecycle_service_status_request: SetLifecycleServiceStatus,
        SaveLifecycleScanState => save_lifecycle_scan_state_request: Option<LifecycleScanState>,
        ;
        shared {
            ListKeysLight => list_keys_request: ListKeys,
            ListStatusLight => list_status_request: ListStatus,
        }
        maybe {
            SetSnapshotProperty => set_snapshot_property_request: SetSnapshotProperty,
        }
    }
}

envelope! {
    opt
    /// OM's answer.
    OmResponse = wire => OmResponse
    /// What OM says.
    OmAnswer by cmd_type: Type {
        trace_id: Option<String>,
        /// Absent is true.
        success: Option<bool>,
        /// Explains a status other than OK.
        message: Option<String>,
        status: OmStatus,
        leader_om_node_id: Option<String>,
        om_lock_details: Option<LockDetails>,
        ;
        CreateVolume => create_volume_response: Empty,
        SetVolumeProperty => set_volume_property_response: PropertyChanged,
        CheckVolumeAccess => check_volume_access_response: Empty,
        InfoVolume => info_volume_response: Option<VolumeInfo>,
        DeleteVolume => delete_volume_response: Empty,
        ListVolume => list_volume_response: Vec<VolumeInfo>,
        CreateBucket => create_bucket_response: Empty,
        InfoBucket => info_bucket_response: Option<BucketInfo>,
        SetBucketProperty => set_bucket_property_response: PropertyChanged,
        DeleteBucket => delete_bucket_response: Empty,
        ListBuckets => list_buckets_response: Vec<BucketInfo>,
        CreateKey => create_key_response: CreatedKey,
        LookupKey => lookup_key_response: FoundKey,
        RenameKey => rename_key_response: Empty,
        DeleteKey => delete_key_response: FoundKey,
        ListKeys => list_keys_response: ListedKeys,
        CommitKey => commit_key_response: Empty,
        AllocateBlock => allocate_block_response: Option<KeyLocation>,
        DeleteKeys => delete_keys_response: DeletedKeys,
        RenameKeys => rename_keys_response: RenamedKeys,
        InitiateMultiPartUpload => initiate_multi_part_upload_response: BegunUpload,
        CommitMultiPartUpload => commit_multi_part_upload_response: CommittedPart,
        CompleteMultiPartUpload => complete_multi_part_upload_response: CompletedUpload,
        AbortMultiPartUpload => abort_multi_part_upload_response: Empty,
        GetS3Secret => get_s3_secret_response: S3Secret,
        ListMultiPartUploadParts => list_multipart_upload_parts_response: ListedParts,
        ServiceList => service_list_response: ServiceList,
        DbUpdates => db_updates_response: UpdatesOfDb,
        FinalizeUpgrade => finalize_upgrade_response: UpgradeStatus,
        FinalizeUpgradeProgress => finalize_upgrade_progress_response: UpgradeStatus,
        Prepare => prepare_response: PreparedAt,
        PrepareStatus => prepare_status_response: PrepareState,
        CancelPrepare => cancel_prepare_response: Empty,
        GetDelegationToken => get_delegation_token_response: GotToken,
        RenewDelegationToken => renew_delegation_token_response: RenewedToken,
        CancelDelegationToken => cancel_delegation_token_response: CancelledToken,
        GetFileStatus => get_file_status_response: OzoneFileStatus,
        CreateDirectory => create_directory_response: Empty,
        CreateFile => create_file_response: CreatedFile,
        LookupFile => lookup_file_response: Option<KeyInfo>,
        ListStatus => list_status_response: Vec<OzoneFileStatus>,
        AddAcl => add_acl_response: AclChanged,
        RemoveAcl => remove_acl_response: AclChanged,
        SetAcl => set_acl_response: AclChanged,
        GetAcl => get_acl_response: Vec<Acl>,
        PurgeKeys => purge_keys_response: Empty,
        ListMultipartUploads => list_multipart_uploads_response: ListedUploads,
        ListTrash => list_trash_response: Vec<RepeatedKeyInfo>,
        RecoverTrash => recover_trash_response: bool,
        PurgePaths => purge_paths_response: Empty,
        PurgeDirectories => purge_directories_response: Empty,
        CreateTenant => create_tenant_response: Empty,
        DeleteTenant => delete_tenant_response: DeletedTenant,
        ListTenant => list_tenant_response: Vec<TenantState>,
        TenantGetUserInfo => tenant_get_user_info_response: Vec<ExtendedUserAccessIdInfo>,
        TenantAssignUserAccessId => tenant_assign_user_access_id_response: Option<S3Secret>,
        TenantRevokeUserAccessId => tenant_revoke_user_access_id_response: Empty,
        TenantAssignAdmin => tenant_assign_admin_response: Empty,
        TenantRevokeAdmin => tenant_revoke_admin_response: Empty,
        GetS3VolumeContext => get_s3_volume_context_response: S3Volume,
        TenantListUser => tenant_list_user_response: Vec<UserAccessIdInfo>,
        SetS3Secret => set_s3_secret_response: SetS3Secret,
        SetRangerServiceVersion => set_ranger_service_version_response: Empty,
        RangerBgSync => ranger_bg_sync_response: RangerBgSynced,
        EchoRpc => echo_rpc_response: Option<Bytes>,
        GetKeyInfo => get_key_info_response: GotKeyInfo,
        CreateSnapshot => create_snapshot_response: Option<SnapshotInfo>,
        ListSnapshot => list_snapshot_response: ListedSnapshots,
        SnapshotDiff => snapshot_diff_response: SnapshotDiffAnswer,
        DeleteSnapshot => delete_snapshot_response: Empty,
        SnapshotMoveDeletedKeys => snapshot_move_deleted_keys_response: Empty,
        TransferLeadership => transfer_om_leadership_response: Empty,
        SnapshotPurge => snapshot_purge_response: Empty,
        RecoverLease => recover_lease_response: RecoveredLease,
        SetTimes => set_times_response: Empty,
        RefetchSecretKey => refetch_secret_key_response: Option<SecretKeyId>,
        ListSnapshotDiffJobs => list_snapshot_diff_job_response: ListedSnapshotDiffJobs,
        CancelSnapshotDiff => cancel_snapshot_diff_response: CancelledSnapshotDiff,
        SetSafeMode => set_safe_mode_response: Option<bool>,
        PrintCompactionLogDag => print_compaction_log_dag_response: PrintedCompactionLogDag,
        ListKeysLight => list_keys_light_response: ListedKeysLight,
        AbortExpiredMultiPartUploads => multipart_uploads_expired_abort_response: Empty,
        SetSnapshotProperty => set_snapshot_property_response: Empty,
        ListStatusLight => list_status_light_response: Vec<OzoneFileStatusLight>,
        GetSnapshotInfo => snapshot_info_response: Option<SnapshotInfo>,
        RenameSnapshot => rename_snapshot_response: Option<SnapshotInfo>,
        ListOpenFiles => list_open_files_response: OpenFiles,
        QuotaRepair => quota_repair_response: Empty,
        GetQuotaRepairStatus => get_quota_repair_status_response: Option<String>,
        StartQuotaRepair => start_quota_repair_response: Empty,
        PutObjectTagging => put_object_tagging_response: Empty,
        GetObjectTagging => get_object_tagging_response: Vec<KeyValue>,
        DeleteObjectTagging => delete_object_tagging_response: Empty,
        SubmitSnapshotDiff => submit_snapshot_diff_response: SubmittedSnapshotDiff,
        PutBucketTagging => put_bucket_tagging_response: Empty,
        GetBucketTagging => get_bucket_tagging_response: Vec<KeyValue>,
        DeleteBucketTagging => delete_bucket_tagging_response: Empty,
        SetLifecycleConfiguration => set_lifecycle_configuration_response: Empty,
        GetLifecycleConfiguration => get_lifecycle_configuration_response: LifecycleConfiguration,
        DeleteLifecycleConfiguration => delete_lifecycle_configuration_response: Empty,
        GetLifecycleServiceStatus => get_lifecycle_service_status_response: LifecycleServiceStatus,
        SetLifecycleServiceStatus => set_lifecycle_service_status_response: Empty,
        SaveLifecycleScanState => save_lifecycle_scan_state_response: Empty,
    }
}

message! {
    /// Who asks.
    UserInfo = wire => UserInfo {
        user_name: Option<String>,
        remote_address: Option<String>,
        host_name: Option<String>,
    }
}
message! {
    /// How fresh a read must be. A hint: a number that a newer client sends is refused like any other unknown one.
    ReadConsistencyHint = wire => ReadConsistencyHint {
        read_consistency: Option<ReadConsistency>,
        local_lease_context: Option<LocalLease>,
    }
}
message! {
    /// How stale a read from a follower may be.
    LocalLease = wire::read_consistency_hint => LocalLeaseContext {
        log_limit: Option<u64>,
        lease_time_ms: Option<u64>,
    }
}
message! {
    /// How long a request waited for locks and held them, in nanoseconds.
    LockDetails = wire => OmLockDetailsProto {
        is_lock_acquired: Option<bool>,
        wait_lock_nanos: Option<u64>,
        read_lock_nanos: Option<u64>,
        write_lock_nanos: Option<u64>,
    }
}
alone! {
    wire;
    LayoutVersion.version is u64,
}
