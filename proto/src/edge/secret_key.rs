//! Datanodes, OM and SCM to SCM: the symmetric keys that sign and verify block and container tokens.
//!
//! Units   times are milliseconds since 1970; `encoded` is the raw key.
//! Source  scm.md 4.2 of the wire facts.

use allotrope_types::SecretKeyId;
use bytes::Bytes;

use super::field::enums;
use crate::secret_key as wire;
use crate::secret_key::Type;

pub use crate::secret_key::Status as SecretKeyStatus;

enums!(SecretKeyStatus, Type);

envelope! {
    /// A call about secret keys.
    SecretKeyRequest = wire => ScmSecretKeyRequest
    /// What is asked.
    SecretKeyCall by cmd_type: Type {
        trace_id: Option<String>,
        ;
        GetSecretKey => get_secret_key_request: SecretKeyId,
        CheckAndRotate => check_and_rotate_request: CheckAndRotate,
        ;
        bare {
            GetCurrentSecretKey,
            GetAllSecretKeys,
        }
    }
}

envelope! {
    opt
    /// SCM's answer.
    SecretKeyResponse = wire => ScmSecretKeyResponse
    /// What SCM says.
    SecretKeyAnswer by cmd_type: Type {
        trace_id: Option<String>,
        /// Absent is true.
        success: Option<bool>,
        /// Explains a status other than OK.
        message: Option<String>,
        status: SecretKeyStatus,
        ;
        GetCurrentSecretKey => current_secret_key_response_proto: SecretKey,
        GetSecretKey => get_secret_key_response_proto: Option<SecretKey>,
        GetAllSecretKeys => secret_keys_list_response_proto: Vec<SecretKey>,
        CheckAndRotate => check_and_rotate_response_proto: CheckedAndRotated,
    }
}

alone! {
    wire;
    ScmGetSecretKeyRequest.secret_key_id is SecretKeyId,
    ScmGetCurrentSecretKeyResponse.secret_key is SecretKey,
    ScmGetSecretKeyResponse.secret_key is Option<SecretKey>,
    ScmSecretKeysListResponse.secret_keys is Vec<SecretKey>,
}
message! {
    /// Asks for a new key if the current one is old, or by force.
    CheckAndRotate = wire => ScmGetCheckAndRotateRequest {
        force: Option<bool>,
    }
}
message! {
    /// Whether there is a new key.
    CheckedAndRotated = wire => ScmGetCheckAndRotateResponse {
        status: Option<bool>,
    }
}
message! {
    /// A key that signs and verifies tokens.
    SecretKey = wire => ManagedSecretKey {
        id: SecretKeyId,
        creation_time: u64,
        expiry_time: u64,
        algorithm: String,
        encoded: Bytes,
    }
}
