//! What a datanode answers a container command: the wire's `Result`.
//! Source  numbers and names of DatanodeClientProtocol.proto; what clients do with them from ContainerProtocolCalls.

use crate::Advice;
use crate::codes::codes;

codes! {
    /// A datanode's answer to a container command.
    ///
    /// ```
    /// use allotrope_types::{Advice, DatanodeResult};
    /// let code = DatanodeResult::from_number(22).unwrap();
    /// assert_eq!((code.name(), code.advice()), ("CLOSED_CONTAINER_IO", Advice::AllocateElsewhere));
    /// ```
    DatanodeResult {
        Success = 1, "SUCCESS";
        UnsupportedRequest = 2, "UNSUPPORTED_REQUEST";
        MalformedRequest = 3, "MALFORMED_REQUEST";
        ContainerInternalError = 4, "CONTAINER_INTERNAL_ERROR";
        InvalidConfig = 5, "INVALID_CONFIG";
        InvalidFileHashFound = 6, "INVALID_FILE_HASH_FOUND";
        ContainerExists = 7, "CONTAINER_EXISTS";
        NoSuchAlgorithm = 8, "NO_SUCH_ALGORITHM";
        ContainerNotFound = 9, "CONTAINER_NOT_FOUND";
        IoException = 10, "IO_EXCEPTION";
        UnableToReadMetadataDb = 11, "UNABLE_TO_READ_METADATA_DB";
        NoSuchBlock = 12, "NO_SUCH_BLOCK";
        OverwriteFlagRequired = 13, "OVERWRITE_FLAG_REQUIRED";
        UnableToFindDataDir = 14, "UNABLE_TO_FIND_DATA_DIR";
        InvalidWriteSize = 15, "INVALID_WRITE_SIZE";
        ChecksumMismatch = 16, "CHECKSUM_MISMATCH";
        UnableToFindChunk = 17, "UNABLE_TO_FIND_CHUNK";
        ProtocDecodingError = 18, "PROTOC_DECODING_ERROR";
        InvalidArgument = 19, "INVALID_ARGUMENT";
        PutSmallFileError = 20, "PUT_SMALL_FILE_ERROR";
        GetSmallFileError = 21, "GET_SMALL_FILE_ERROR";
        ClosedContainerIo = 22, "CLOSED_CONTAINER_IO";
        ErrorInCompactDb = 24, "ERROR_IN_COMPACT_DB";
        UnclosedContainerIo = 25, "UNCLOSED_CONTAINER_IO";
        DeleteOnOpenContainer = 26, "DELETE_ON_OPEN_CONTAINER";
        ClosedContainerRetry = 27, "CLOSED_CONTAINER_RETRY";
        InvalidContainerState = 28, "INVALID_CONTAINER_STATE";
        DiskOutOfSpace = 29, "DISK_OUT_OF_SPACE";
        ContainerAlreadyExists = 30, "CONTAINER_ALREADY_EXISTS";
        ContainerMetadataError = 31, "CONTAINER_METADATA_ERROR";
        ContainerFilesCreateError = 32, "CONTAINER_FILES_CREATE_ERROR";
        ContainerChecksumError = 33, "CONTAINER_CHECKSUM_ERROR";
        UnknownContainerType = 34, "UNKNOWN_CONTAINER_TYPE";
        BlockNotCommitted = 35, "BLOCK_NOT_COMMITTED";
        ContainerUnhealthy = 36, "CONTAINER_UNHEALTHY";
        UnknownBcsid = 37, "UNKNOWN_BCSID";
        BcsidMismatch = 38, "BCSID_MISMATCH";
        ContainerNotOpen = 39, "CONTAINER_NOT_OPEN";
        ContainerMissing = 40, "CONTAINER_MISSING";
        BlockTokenVerificationFailed = 41, "BLOCK_TOKEN_VERIFICATION_FAILED";
        ErrorInDbSync = 42, "ERROR_IN_DB_SYNC";
        ChunkFileInconsistency = 43, "CHUNK_FILE_INCONSISTENCY";
        DeleteOnNonEmptyContainer = 44, "DELETE_ON_NON_EMPTY_CONTAINER";
        ExportContainerMetadataFailed = 45, "EXPORT_CONTAINER_METADATA_FAILED";
        ImportContainerMetadataFailed = 46, "IMPORT_CONTAINER_METADATA_FAILED";
        BlockAlreadyFinalized = 47, "BLOCK_ALREADY_FINALIZED";
        ContainerIdMismatch = 48, "CONTAINER_ID_MISMATCH";
        GetShortCircuitFdFailed = 49, "GET_SHORT_CIRCUIT_FD_FAILED";
    }
}

impl DatanodeResult {
    /// What the client of a datanode should do next. A code that both reads and writes can get (`CONTAINER_NOT_FOUND`,
    /// `IO_EXCEPTION`) gives the reader's advice; for a writer every advice but `Proceed`, `RefreshToken` and
    /// `FixRequest` means a new block elsewhere.
    pub const fn advice(self) -> Advice {
        use DatanodeResult::*;
        match self {
            Success | ContainerExists | ContainerAlreadyExists => Advice::Proceed,
            UnsupportedRequest
            | MalformedRequest
            | InvalidConfig
            | NoSuchAlgorithm
            | OverwriteFlagRequired
            | InvalidWriteSize
            | ProtocDecodingError
            | InvalidArgument
            | DeleteOnOpenContainer
            | UnknownContainerType
            | DeleteOnNonEmptyContainer
            | ContainerIdMismatch => Advice::FixRequest,
            UnclosedContainerIo | ClosedContainerRetry => Advice::RetryLater,
            ContainerInternalError
            | UnableToFindDataDir
            | PutSmallFileError
            | ClosedContainerIo
            | InvalidContainerState
            | DiskOutOfSpace
            | ContainerMetadataError
            | ContainerFilesCreateError
            | ContainerUnhealthy
            | ContainerNotOpen
            | ContainerMissing
            | ErrorInDbSync
            | ChunkFileInconsistency
            | BlockAlreadyFinalized => Advice::AllocateElsewhere,
            ContainerNotFound
            | IoException
            | UnableToReadMetadataDb
            | NoSuchBlock
            | ChecksumMismatch
            | UnableToFindChunk
            | GetSmallFileError
            | BlockNotCommitted
            | UnknownBcsid
            | BcsidMismatch
            | ExportContainerMetadataFailed
            | GetShortCircuitFdFailed => Advice::ReadElsewhere,
            BlockTokenVerificationFailed => Advice::RefreshToken,
            InvalidFileHashFound
            | ErrorInCompactDb
            | ContainerChecksumError
            | ImportContainerMetadataFailed => Advice::ReplaceReplica,
        }
    }

    /// Whether nothing is left to do: it worked, or the container that was to be created exists.
    pub const fn is_success_or_already_so(self) -> bool {
        matches!(
            self,
            DatanodeResult::Success
                | DatanodeResult::ContainerExists
                | DatanodeResult::ContainerAlreadyExists
        )
    }
}
