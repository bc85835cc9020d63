//! Every request there is: what answers it, and the test that shows the answer.
//!
//! Law     each number of Ozone's enum `Type` has a row; docs/requests.md is written from these rows.

use allotrope_proto::om::Type;

use super::Answer::{self, Internal, NotSupported, Read, Server, ServerLogged, Write};
use super::*;

/// One request.
#[derive(Clone, Copy, Debug)]
pub struct Row {
    /// Its number and name.
    pub request: Type,
    /// What answers it.
    pub answer: Answer,
    /// The test that shows the answer.
    pub test: &'static str,
}

const SNAPSHOTS: &str = "snapshots are not supported yet";
const TENANTS: &str = "tenants are not supported yet";
const TOKENS: &str = "delegation tokens are not supported yet";
const LIFECYCLE: &str = "lifecycle rules are not supported yet";
const OLD: &str = "Ozone itself no longer uses it";
const RECON: &str = "a stock Recon reads the log of a RocksDB of its own making; ours has its own API";
const REFUSED: &str = "what_is_not_supported_says_so_by_name";

const fn row(request: Type, answer: Answer, test: &'static str) -> Row {
    Row { request, answer, test }
}
const fn no(request: Type, why: &'static str) -> Row {
    Row { request, answer: NotSupported(why), test: REFUSED }
}

const fn no_user(request: Type) -> Row {
    Row { request, answer: NotSupported("only the manager itself asks this"), test: REFUSED }
}

/// Every request, by number.
pub const ROWS: &[Row] = &[
    no(Type::UnknownCommand, OLD),
    row(Type::CreateVolume, Write(create_volume::plan, create_volume::apply), "volumes_come_and_go"),
    row(
        Type::SetVolumeProperty,
        Write(set_volume_property::plan, set_volume_property::apply),
        "a_volume_changes_hands",
    ),
    row(Type::CheckVolumeAccess, Read(info_volume::check_access), "a_volume_that_exists_is_open"),
    row(Type::InfoVolume, Read(info_volume::read), "volumes_come_and_go"),
    row(Type::DeleteVolume, Write(ready, delete_volume::apply), "volumes_come_and_go"),
    row(Type::ListVolume, Read(list_volume::read), "volumes_are_listed_by_owner_and_by_cluster"),
    row(Type::CreateBucket, Write(create_bucket::plan, create_bucket::apply), "buckets_come_and_go"),
    row(Type::InfoBucket, Read(info_bucket::read), "buckets_come_and_go"),
    row(
        Type::SetBucketProperty,
        Write(set_bucket_property::plan, set_bucket_property::apply),
        "a_bucket_changes",
    ),
    row(Type::DeleteBucket, Write(ready, delete_bucket::apply), "buckets_come_and_go"),
    row(Type::ListBuckets, Read(list_buckets::read), "buckets_are_listed_in_pages"),
    row(Type::CreateKey, Write(create_key::plan, create_key::apply), "a_key_is_written_and_read"),
    row(Type::LookupKey, Read(get_key_info::lookup), "a_key_is_written_and_read"),
    row(Type::RenameKey, Write(ready, rename_key::apply), "a_key_is_renamed"),
    row(Type::DeleteKey, Write(ready, delete_key::apply), "a_deleted_key_leaves_its_blocks_to_be_deleted"),
    row(Type::ListKeys, Read(list_keys::read), "keys_are_listed_in_pages"),
    row(Type::CommitKey, Write(commit_key::plan, commit_key::apply), "a_key_is_written_and_read"),
    row(
        Type::AllocateBlock,
        Write(allocate_block::plan, allocate_block::apply),
        "a_key_grows_block_by_block",
    ),
    row(Type::DeleteKeys, Write(ready, delete_key::apply_all), "many_keys_are_deleted_at_once"),
    row(Type::RenameKeys, Write(ready, rename_key::apply_all), "many_keys_are_renamed_at_once"),
    row(Type::DeleteOpenKeys, Internal(expiry::delete_open_keys), "sessions_that_never_ended_expire"),
    row(
        Type::InitiateMultiPartUpload,
        Write(uploads::plan_initiate, uploads::initiate),
        "parts_become_a_key",
    ),
    row(Type::CommitMultiPartUpload, Write(ready, uploads::commit_part), "parts_become_a_key"),
    row(Type::CompleteMultiPartUpload, Write(ready, complete_upload::apply), "parts_become_a_key"),
    row(Type::AbortMultiPartUpload, Write(ready, uploads::abort), "an_aborted_upload_leaves_nothing"),
    row(Type::GetS3Secret, Write(s3_secrets::plan_get, s3_secrets::get), "a_secret_is_made_set_and_revoked"),
    row(Type::ListMultiPartUploadParts, Read(uploads::list_parts), "uploads_and_parts_are_listed_in_pages"),
    row(Type::ServiceList, Server, "the_service_list_names_this_manager_and_scm"),
    no(Type::DbUpdates, RECON),
    row(Type::FinalizeUpgrade, Server, "a_new_service_is_finalized"),
    row(Type::FinalizeUpgradeProgress, Server, "a_new_service_is_finalized"),
    row(Type::Prepare, ServerLogged(prepare::prepare), "a_prepared_service_takes_no_writes"),
    row(Type::PrepareStatus, Server, "a_prepared_service_takes_no_writes"),
    row(Type::CancelPrepare, ServerLogged(prepare::cancel), "a_prepared_service_takes_no_writes"),
    no(Type::GetDelegationToken, TOKENS),
    no(Type::RenewDelegationToken, TOKENS),
    no(Type::CancelDelegationToken, TOKENS),
    row(Type::GetFileStatus, Read(file_status::read), "a_path_has_a_status"),
    row(
        Type::CreateDirectory,
        Write(create_directory::plan, create_directory::apply),
        "directories_are_made_with_their_parents",
    ),
    row(Type::CreateFile, Write(create_file::plan, create_file::apply), "files_follow_a_file_systems_rules"),
    row(Type::LookupFile, Read(get_key_info::lookup_file), "a_file_is_looked_up"),
    row(Type::ListStatus, Read(list_status::read), "a_level_is_listed_in_pages"),
    row(Type::AddAcl, Write(ready, acl::add), "rights_are_written_and_shown"),
    row(Type::RemoveAcl, Write(ready, acl::remove), "rights_are_written_and_shown"),
    row(Type::SetAcl, Write(ready, acl::set), "rights_are_written_and_shown"),
    row(Type::GetAcl, Read(acl::get), "rights_are_written_and_shown"),
    row(Type::PurgeKeys, Internal(purge_keys::apply), "a_deleted_key_leaves_its_blocks_to_be_deleted"),
    row(Type::ListMultipartUploads, Read(uploads::list_uploads), "uploads_and_parts_are_listed_in_pages"),
    no(Type::ListTrash, OLD),
    no(Type::RecoverTrash, OLD),
    row(
        Type::RevokeS3Secret,
        Write(s3_secrets::plan_revoke, s3_secrets::revoke),
        "a_secret_is_made_set_and_revoked",
    ),
    no(Type::PurgePaths, OLD),
    row(
        Type::PurgeDirectories,
        Internal(purge_directories::apply),
        "a_deleted_directory_is_emptied_level_by_level",
    ),
    no(Type::CreateTenant, TENANTS),
    no(Type::DeleteTenant, TENANTS),
    no(Type::ListTenant, TENANTS),
    no(Type::TenantGetUserInfo, TENANTS),
    no(Type::TenantAssignUserAccessId, TENANTS),
    no(Type::TenantRevokeUserAccessId, TENANTS),
    no(Type::TenantAssignAdmin, TENANTS),
    no(Type::TenantRevokeAdmin, TENANTS),
    row(Type::GetS3VolumeContext, Read(s3_volume::read), "s3_has_a_volume"),
    no(Type::TenantListUser, TENANTS),
    row(Type::SetS3Secret, Write(s3_secrets::plan_set, s3_secrets::set), "a_secret_is_made_set_and_revoked"),
    no_user(Type::SetRangerServiceVersion),
    no(Type::RangerBgSync, TENANTS),
    row(Type::EchoRpc, ServerLogged(prepare::echo), "an_echo_has_the_length_that_was_asked_for"),
    row(Type::GetKeyInfo, Read(get_key_info::read), "a_key_is_written_and_read"),
    no(Type::CreateSnapshot, SNAPSHOTS),
    no(Type::ListSnapshot, SNAPSHOTS),
    no(Type::SnapshotDiff, SNAPSHOTS),
    no(Type::DeleteSnapshot, SNAPSHOTS),
    no_user(Type::SnapshotMoveDeletedKeys),
    row(Type::TransferLeadership, Server, "leadership_is_handed_to_a_member_by_name"),
    no_user(Type::SnapshotPurge),
    row(
        Type::RecoverLease,
        Write(recover_lease::plan, recover_lease::apply),
        "a_lost_writers_file_is_taken_over",
    ),
    row(Type::SetTimes, Write(ready, attributes::set_times), "times_are_set"),
    no(Type::RefetchSecretKey, TOKENS),
    no(Type::ListSnapshotDiffJobs, SNAPSHOTS),
    no(Type::CancelSnapshotDiff, SNAPSHOTS),
    row(Type::SetSafeMode, Server, "scm_says_whether_it_is_in_safe_mode"),
    no(Type::PrintCompactionLogDag, OLD),
    row(Type::ListKeysLight, Read(list_keys::read_light), "keys_are_listed_in_pages"),
    row(
        Type::AbortExpiredMultiPartUploads,
        Internal(expiry::abort_uploads),
        "uploads_that_never_ended_expire",
    ),
    no_user(Type::SetSnapshotProperty),
    row(Type::ListStatusLight, Read(list_status::read_light), "a_level_is_listed_in_pages"),
    no(Type::GetSnapshotInfo, SNAPSHOTS),
    no(Type::RenameSnapshot, SNAPSHOTS),
    row(Type::ListOpenFiles, Read(list_open_files::read), "open_files_are_listed_in_pages"),
    row(Type::QuotaRepair, Internal(prepare::repair_quota), "usage_that_is_wrong_is_counted_anew"),
    row(Type::GetQuotaRepairStatus, Server, "usage_is_counted_anew_on_request"),
    row(Type::StartQuotaRepair, Server, "usage_is_counted_anew_on_request"),
    no_user(Type::SnapshotMoveTableKeys),
    row(Type::PutObjectTagging, Write(ready, attributes::put_tags), "a_key_is_tagged"),
    row(Type::GetObjectTagging, Read(attributes::get_tags), "a_key_is_tagged"),
    row(Type::DeleteObjectTagging, Write(ready, attributes::delete_tags), "a_key_is_tagged"),
    no(Type::SubmitSnapshotDiff, SNAPSHOTS),
    row(Type::PutBucketTagging, Write(ready, bucket_tags::put), "a_bucket_is_tagged"),
    row(Type::GetBucketTagging, Read(bucket_tags::get), "a_bucket_is_tagged"),
    row(Type::DeleteBucketTagging, Write(ready, bucket_tags::delete), "a_bucket_is_tagged"),
    no(Type::SetLifecycleConfiguration, LIFECYCLE),
    no(Type::GetLifecycleConfiguration, LIFECYCLE),
    no(Type::DeleteLifecycleConfiguration, LIFECYCLE),
    no(Type::GetLifecycleServiceStatus, LIFECYCLE),
    no(Type::SetLifecycleServiceStatus, LIFECYCLE),
    no_user(Type::SaveLifecycleScanState),
];

/// The row of `request`.
pub fn find(request: Type) -> Option<&'static Row> {
    ROWS.iter().find(|row| row.request == request)
}
