//! What SCM answers OM about blocks: the wire's `Status` of ScmBlockLocationProtocol, which SCM's exceptions share.
//! Source  numbers and names of ScmServerProtocol.proto.

use crate::Advice;
use crate::codes::codes;

codes! {
    /// SCM's answer to a request.
    ///
    /// ```
    /// use allotrope_types::{Advice, ScmStatus};
    /// let code = ScmStatus::from_number(32).unwrap();
    /// assert_eq!((code.name(), code.advice()), ("SCM_NOT_LEADER", Advice::AskLeader));
    /// ```
    ScmStatus {
        Ok = 1, "OK";
        FailedToLoadNodepool = 2, "FAILED_TO_LOAD_NODEPOOL";
        FailedToFindNodeInPool = 3, "FAILED_TO_FIND_NODE_IN_POOL";
        FailedToFindHealthyNodes = 4, "FAILED_TO_FIND_HEALTHY_NODES";
        FailedToFindNodesWithSpace = 5, "FAILED_TO_FIND_NODES_WITH_SPACE";
        FailedToFindSuitableNode = 6, "FAILED_TO_FIND_SUITABLE_NODE";
        InvalidCapacity = 7, "INVALID_CAPACITY";
        InvalidBlockSize = 8, "INVALID_BLOCK_SIZE";
        SafeModeException = 9, "SAFE_MODE_EXCEPTION";
        FailedToLoadOpenContainer = 10, "FAILED_TO_LOAD_OPEN_CONTAINER";
        FailedToAllocateContainer = 11, "FAILED_TO_ALLOCATE_CONTAINER";
        FailedToChangeContainerState = 12, "FAILED_TO_CHANGE_CONTAINER_STATE";
        FailedToChangePipelineState = 13, "FAILED_TO_CHANGE_PIPELINE_STATE";
        ContainerExists = 14, "CONTAINER_EXISTS";
        FailedToFindContainer = 15, "FAILED_TO_FIND_CONTAINER";
        FailedToFindContainerWithSpace = 16, "FAILED_TO_FIND_CONTAINER_WITH_SPACE";
        BlockExists = 17, "BLOCK_EXISTS";
        FailedToFindBlock = 18, "FAILED_TO_FIND_BLOCK";
        IoException = 19, "IO_EXCEPTION";
        UnexpectedContainerState = 20, "UNEXPECTED_CONTAINER_STATE";
        ScmNotInitialized = 21, "SCM_NOT_INITIALIZED";
        DuplicateDatanode = 22, "DUPLICATE_DATANODE";
        NoSuchDatanode = 23, "NO_SUCH_DATANODE";
        NoReplicaFound = 24, "NO_REPLICA_FOUND";
        FailedToFindActivePipeline = 25, "FAILED_TO_FIND_ACTIVE_PIPELINE";
        FailedToInitContainerPlacementPolicy = 26, "FAILED_TO_INIT_CONTAINER_PLACEMENT_POLICY";
        FailedToAllocateEnoughBlocks = 27, "FAILED_TO_ALLOCATE_ENOUGH_BLOCKS";
        InternalError = 29, "INTERNAL_ERROR";
        FailedToInitPipelineChoosePolicy = 30, "FAILED_TO_INIT_PIPELINE_CHOOSE_POLICY";
        FailedToInitLeaderChoosePolicy = 31, "FAILED_TO_INIT_LEADER_CHOOSE_POLICY";
        ScmNotLeader = 32, "SCM_NOT_LEADER";
        FailedToRevokeCertificates = 33, "FAILED_TO_REVOKE_CERTIFICATES";
        PipelineNotFound = 34, "PIPELINE_NOT_FOUND";
        UnknownPipelineState = 35, "UNKNOWN_PIPELINE_STATE";
        ContainerNotFound = 36, "CONTAINER_NOT_FOUND";
        ContainerReplicaNotFound = 37, "CONTAINER_REPLICA_NOT_FOUND";
        FailedToConnectToCrlService = 38, "FAILED_TO_CONNECT_TO_CRL_SERVICE";
        FailedToAddCrlClient = 39, "FAILED_TO_ADD_CRL_CLIENT";
        InvalidPipelineState = 40, "INVALID_PIPELINE_STATE";
        DuplicatedPipelineId = 41, "DUPLICATED_PIPELINE_ID";
        Timeout = 42, "TIMEOUT";
        CaRotationInProgress = 43, "CA_ROTATION_IN_PROGRESS";
        CaRotationInPostProgress = 44, "CA_ROTATION_IN_POST_PROGRESS";
        ContainerAlreadyClosed = 45, "CONTAINER_ALREADY_CLOSED";
        ContainerAlreadyClosing = 46, "CONTAINER_ALREADY_CLOSING";
        UnsupportedOperation = 47, "UNSUPPORTED_OPERATION";
    }
}

impl ScmStatus {
    /// What the client of SCM should do next.
    pub const fn advice(self) -> Advice {
        use ScmStatus::*;
        match self {
            Ok | ContainerAlreadyClosed | ContainerAlreadyClosing => Advice::Proceed,
            ScmNotLeader => Advice::AskLeader,
            SafeModeException
            | FailedToFindHealthyNodes
            | FailedToFindNodesWithSpace
            | FailedToFindSuitableNode
            | FailedToAllocateContainer
            | FailedToFindContainerWithSpace
            | FailedToFindActivePipeline
            | FailedToAllocateEnoughBlocks
            | Timeout
            | CaRotationInProgress
            | CaRotationInPostProgress => Advice::RetryLater,
            FailedToLoadNodepool
            | FailedToFindNodeInPool
            | FailedToLoadOpenContainer
            | FailedToChangeContainerState
            | FailedToChangePipelineState
            | IoException
            | UnexpectedContainerState
            | ScmNotInitialized
            | FailedToInitContainerPlacementPolicy
            | InternalError
            | FailedToInitPipelineChoosePolicy
            | FailedToInitLeaderChoosePolicy
            | FailedToRevokeCertificates
            | UnknownPipelineState
            | FailedToConnectToCrlService
            | FailedToAddCrlClient => Advice::CallOperator,
            InvalidCapacity
            | InvalidBlockSize
            | ContainerExists
            | FailedToFindContainer
            | BlockExists
            | FailedToFindBlock
            | DuplicateDatanode
            | NoSuchDatanode
            | NoReplicaFound
            | PipelineNotFound
            | ContainerNotFound
            | ContainerReplicaNotFound
            | InvalidPipelineState
            | DuplicatedPipelineId
            | UnsupportedOperation => Advice::FixRequest,
        }
    }

    /// Whether nothing is left to do: it worked, or the container that was to be closed is closed or closing.
    pub const fn is_success_or_already_so(self) -> bool {
        matches!(self, ScmStatus::Ok | ScmStatus::ContainerAlreadyClosed | ScmStatus::ContainerAlreadyClosing)
    }
}
