//! What OM answers: the wire's `Status`.
//! Source  numbers and names of OmClientProtocol.proto. 102 and 103 are newer than release 2.2, whose clients cannot parse
//!         a response that has them.

use crate::Advice;
use crate::codes::codes;

codes! {
    /// OM's answer to a request.
    ///
    /// ```
    /// use allotrope_types::{Advice, OmStatus};
    /// let code = OmStatus::from_number(38).unwrap();
    /// assert_eq!((code.name(), code.advice()), ("SCM_IN_SAFE_MODE", Advice::RetryLater));
    /// ```
    OmStatus {
        Ok = 1, "OK";
        VolumeNotUnique = 2, "VOLUME_NOT_UNIQUE";
        VolumeNotFound = 3, "VOLUME_NOT_FOUND";
        VolumeNotEmpty = 4, "VOLUME_NOT_EMPTY";
        VolumeAlreadyExists = 5, "VOLUME_ALREADY_EXISTS";
        UserNotFound = 6, "USER_NOT_FOUND";
        UserTooManyVolumes = 7, "USER_TOO_MANY_VOLUMES";
        BucketNotFound = 8, "BUCKET_NOT_FOUND";
        BucketNotEmpty = 9, "BUCKET_NOT_EMPTY";
        BucketAlreadyExists = 10, "BUCKET_ALREADY_EXISTS";
        KeyAlreadyExists = 11, "KEY_ALREADY_EXISTS";
        KeyNotFound = 12, "KEY_NOT_FOUND";
        InvalidKeyName = 13, "INVALID_KEY_NAME";
        AccessDenied = 14, "ACCESS_DENIED";
        InternalError = 15, "INTERNAL_ERROR";
        KeyAllocationError = 16, "KEY_ALLOCATION_ERROR";
        KeyDeletionError = 17, "KEY_DELETION_ERROR";
        KeyRenameError = 18, "KEY_RENAME_ERROR";
        MetadataError = 19, "METADATA_ERROR";
        OmNotInitialized = 20, "OM_NOT_INITIALIZED";
        ScmVersionMismatchError = 21, "SCM_VERSION_MISMATCH_ERROR";
        InitiateMultipartUploadError = 24, "INITIATE_MULTIPART_UPLOAD_ERROR";
        MultipartUploadPartfileError = 25, "MULTIPART_UPLOAD_PARTFILE_ERROR";
        NoSuchMultipartUploadError = 26, "NO_SUCH_MULTIPART_UPLOAD_ERROR";
        MismatchMultipartList = 27, "MISMATCH_MULTIPART_LIST";
        MissingUploadParts = 28, "MISSING_UPLOAD_PARTS";
        CompleteMultipartUploadError = 29, "COMPLETE_MULTIPART_UPLOAD_ERROR";
        EntityTooSmall = 30, "ENTITY_TOO_SMALL";
        AbortMultipartUploadFailed = 31, "ABORT_MULTIPART_UPLOAD_FAILED";
        S3SecretNotFound = 32, "S3_SECRET_NOT_FOUND";
        InvalidAuthMethod = 33, "INVALID_AUTH_METHOD";
        InvalidToken = 34, "INVALID_TOKEN";
        TokenExpired = 35, "TOKEN_EXPIRED";
        TokenErrorOther = 36, "TOKEN_ERROR_OTHER";
        ListMultipartUploadPartsFailed = 37, "LIST_MULTIPART_UPLOAD_PARTS_FAILED";
        ScmInSafeMode = 38, "SCM_IN_SAFE_MODE";
        InvalidRequest = 39, "INVALID_REQUEST";
        BucketEncryptionKeyNotFound = 40, "BUCKET_ENCRYPTION_KEY_NOT_FOUND";
        UnknownCipherSuite = 41, "UNKNOWN_CIPHER_SUITE";
        InvalidKmsProvider = 42, "INVALID_KMS_PROVIDER";
        TokenCreationError = 43, "TOKEN_CREATION_ERROR";
        FileNotFound = 44, "FILE_NOT_FOUND";
        DirectoryNotFound = 45, "DIRECTORY_NOT_FOUND";
        FileAlreadyExists = 46, "FILE_ALREADY_EXISTS";
        NotAFile = 47, "NOT_A_FILE";
        PermissionDenied = 48, "PERMISSION_DENIED";
        Timeout = 49, "TIMEOUT";
        PrefixNotFound = 50, "PREFIX_NOT_FOUND";
        RatisError = 52, "RATIS_ERROR";
        InvalidPathInAclRequest = 53, "INVALID_PATH_IN_ACL_REQUEST";
        UserMismatch = 54, "USER_MISMATCH";
        InvalidPart = 55, "INVALID_PART";
        InvalidPartOrder = 56, "INVALID_PART_ORDER";
        ScmGetPipelineException = 57, "SCM_GET_PIPELINE_EXCEPTION";
        InvalidBucketName = 58, "INVALID_BUCKET_NAME";
        CannotCreateDirectoryAtRoot = 59, "CANNOT_CREATE_DIRECTORY_AT_ROOT";
        DirectoryAlreadyExists = 60, "DIRECTORY_ALREADY_EXISTS";
        InvalidVolumeName = 61, "INVALID_VOLUME_NAME";
        PartialDelete = 62, "PARTIAL_DELETE";
        DetectedLoopInBucketLinks = 63, "DETECTED_LOOP_IN_BUCKET_LINKS";
        NotSupportedOperation = 64, "NOT_SUPPORTED_OPERATION";
        PartialRename = 65, "PARTIAL_RENAME";
        QuotaExceeded = 66, "QUOTA_EXCEEDED";
        QuotaError = 67, "QUOTA_ERROR";
        DirectoryNotEmpty = 68, "DIRECTORY_NOT_EMPTY";
        PersistUpgradeToLayoutVersionFailed = 69, "PERSIST_UPGRADE_TO_LAYOUT_VERSION_FAILED";
        RemoveUpgradeToLayoutVersionFailed = 70, "REMOVE_UPGRADE_TO_LAYOUT_VERSION_FAILED";
        UpdateLayoutVersionFailed = 71, "UPDATE_LAYOUT_VERSION_FAILED";
        LayoutFeatureFinalizationFailed = 72, "LAYOUT_FEATURE_FINALIZATION_FAILED";
        PrepareFailed = 73, "PREPARE_FAILED";
        NotSupportedOperationWhenPrepared = 74, "NOT_SUPPORTED_OPERATION_WHEN_PREPARED";
        NotSupportedOperationPriorFinalization = 75, "NOT_SUPPORTED_OPERATION_PRIOR_FINALIZATION";
        TenantNotFound = 76, "TENANT_NOT_FOUND";
        TenantAlreadyExists = 77, "TENANT_ALREADY_EXISTS";
        InvalidTenantId = 78, "INVALID_TENANT_ID";
        AccessIdNotFound = 79, "ACCESS_ID_NOT_FOUND";
        TenantUserAccessIdAlreadyExists = 80, "TENANT_USER_ACCESS_ID_ALREADY_EXISTS";
        InvalidTenantUsername = 81, "INVALID_TENANT_USERNAME";
        InvalidAccessId = 82, "INVALID_ACCESS_ID";
        TenantAuthorizerError = 83, "TENANT_AUTHORIZER_ERROR";
        VolumeIsReferenced = 84, "VOLUME_IS_REFERENCED";
        TenantNotEmpty = 85, "TENANT_NOT_EMPTY";
        FeatureNotEnabled = 86, "FEATURE_NOT_ENABLED";
        InvalidSnapshotError = 87, "INVALID_SNAPSHOT_ERROR";
        ContainsSnapshot = 88, "CONTAINS_SNAPSHOT";
        SslConnectionFailure = 89, "SSL_CONNECTION_FAILURE";
        RenameOpenFile = 90, "RENAME_OPEN_FILE";
        Unauthorized = 91, "UNAUTHORIZED";
        S3SecretAlreadyExists = 92, "S3_SECRET_ALREADY_EXISTS";
        InvalidPath = 93, "INVALID_PATH";
        TooManyBuckets = 94, "TOO_MANY_BUCKETS";
        KeyUnderLeaseRecovery = 95, "KEY_UNDER_LEASE_RECOVERY";
        KeyAlreadyClosed = 96, "KEY_ALREADY_CLOSED";
        KeyUnderLeaseSoftLimitPeriod = 97, "KEY_UNDER_LEASE_SOFT_LIMIT_PERIOD";
        TooManySnapshots = 98, "TOO_MANY_SNAPSHOTS";
        EtagMismatch = 99, "ETAG_MISMATCH";
        EtagNotAvailable = 100, "ETAG_NOT_AVAILABLE";
        AtomicWriteConflict = 101, "ATOMIC_WRITE_CONFLICT";
        LifecycleConfigurationNotFound = 102, "LIFECYCLE_CONFIGURATION_NOT_FOUND";
        UpdateIdNotMatch = 103, "UPDATE_ID_NOT_MATCH";
    }
}

impl OmStatus {
    /// What the client of OM should do next.
    pub const fn advice(self) -> Advice {
        use OmStatus::*;
        match self {
            Ok | DirectoryAlreadyExists => Advice::Proceed,
            InvalidToken | TokenExpired => Advice::RefreshToken,
            ScmInSafeMode
            | Timeout
            | RatisError
            | ScmGetPipelineException
            | PartialDelete
            | PartialRename
            | NotSupportedOperationWhenPrepared
            | KeyUnderLeaseRecovery
            | KeyUnderLeaseSoftLimitPeriod
            | AtomicWriteConflict
            | KeyAllocationError => Advice::RetryLater,
            InternalError
            | KeyDeletionError
            | KeyRenameError
            | MetadataError
            | OmNotInitialized
            | ScmVersionMismatchError
            | InitiateMultipartUploadError
            | MultipartUploadPartfileError
            | CompleteMultipartUploadError
            | AbortMultipartUploadFailed
            | ListMultipartUploadPartsFailed
            | TokenErrorOther
            | TokenCreationError
            | InvalidKmsProvider
            | PersistUpgradeToLayoutVersionFailed
            | RemoveUpgradeToLayoutVersionFailed
            | UpdateLayoutVersionFailed
            | LayoutFeatureFinalizationFailed
            | PrepareFailed
            | TenantAuthorizerError
            | SslConnectionFailure => Advice::CallOperator,
            VolumeNotUnique
            | VolumeNotFound
            | VolumeNotEmpty
            | VolumeAlreadyExists
            | UserNotFound
            | UserTooManyVolumes
            | BucketNotFound
            | BucketNotEmpty
            | BucketAlreadyExists
            | KeyAlreadyExists
            | KeyNotFound
            | InvalidKeyName
            | AccessDenied
            | NoSuchMultipartUploadError
            | MismatchMultipartList
            | MissingUploadParts
            | EntityTooSmall
            | S3SecretNotFound
            | InvalidAuthMethod
            | InvalidRequest
            | BucketEncryptionKeyNotFound
            | UnknownCipherSuite
            | FileNotFound
            | DirectoryNotFound
            | FileAlreadyExists
            | NotAFile
            | PermissionDenied
            | PrefixNotFound
            | InvalidPathInAclRequest
            | UserMismatch
            | InvalidPart
            | InvalidPartOrder
            | InvalidBucketName
            | CannotCreateDirectoryAtRoot
            | InvalidVolumeName
            | DetectedLoopInBucketLinks
            | NotSupportedOperation
            | QuotaExceeded
            | QuotaError
            | DirectoryNotEmpty
            | NotSupportedOperationPriorFinalization
            | TenantNotFound
            | TenantAlreadyExists
            | InvalidTenantId
            | AccessIdNotFound
            | TenantUserAccessIdAlreadyExists
            | InvalidTenantUsername
            | InvalidAccessId
            | VolumeIsReferenced
            | TenantNotEmpty
            | FeatureNotEnabled
            | InvalidSnapshotError
            | ContainsSnapshot
            | RenameOpenFile
            | Unauthorized
            | S3SecretAlreadyExists
            | InvalidPath
            | TooManyBuckets
            | KeyAlreadyClosed
            | TooManySnapshots
            | EtagMismatch
            | EtagNotAvailable
            | LifecycleConfigurationNotFound
            | UpdateIdNotMatch => Advice::FixRequest,
        }
    }

    /// Whether nothing is left to do: it worked, or the directory that was to be made exists.
    pub const fn is_success_or_already_so(self) -> bool {
        matches!(self, OmStatus::Ok | OmStatus::DirectoryAlreadyExists)
    }
}
