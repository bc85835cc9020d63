//! Delegation tokens: handed out, renewed, cancelled; the identifier inside; what a gateway signs for an S3 user.

use crate::edge::field::enums;
use crate::edge::message::Empty;
use crate::edge::token::HadoopToken;
use crate::hadoop;
use crate::om as wire;

pub use crate::om::om_token_proto::Type as OmTokenKind;

enums!(OmTokenKind);

// Hadoop's own messages: the calls.
alone! {
    hadoop;
    GetDelegationTokenResponseProto.token is Option<HadoopToken>,
    RenewDelegationTokenRequestProto.token is HadoopToken,
    RenewDelegationTokenResponseProto.new_expiry_time is u64,
    CancelDelegationTokenRequestProto.token is HadoopToken,
}
empty! {
    hadoop;
    CancelDelegationTokenResponseProto,
}
message! {
    /// Asks for a token that `renewer` may renew.
    GetDelegationToken = crate::hadoop => GetDelegationTokenRequestProto {
        renewer: String,
    }
}
// OM's messages: the answers, in one more envelope.
message! {
    /// The token; none without security.
    GotToken = wire => GetDelegationTokenResponseProto {
        response: Option<Option<HadoopToken>>,
    }
}
message! {
    /// Until when it is good, in milliseconds since 1970.
    RenewedToken = wire => RenewDelegationTokenResponseProto {
        response: Option<u64>,
    }
}
message! {
    /// That it is cancelled.
    CancelledToken = wire => CancelDelegationTokenResponseProto {
        response: Option<Empty>,
    }
}
message! {
    /// What the leader handed out, for the log.
    RecordGotToken = wire => UpdateGetDelegationTokenRequest {
        get_delegation_token_response: GotToken,
        token_renew_interval: Option<u64>,
    }
}
message! {
    /// What the leader renewed, for the log.
    RecordRenewedToken = wire => UpdateRenewDelegationTokenRequest {
        renew_delegation_token_request: HadoopToken,
        renew_delegation_token_response: RenewedToken,
    }
}
message! {
    /// What a delegation token says, and what its password signs. Times are milliseconds since 1970.
    OmTokenIdentifier = wire => OmTokenProto {
        r#type: OmTokenKind,
        version: Option<u32>,
        owner: Option<String>,
        renewer: Option<String>,
        real_user: Option<String>,
        issue_date: Option<u64>,
        max_date: Option<u64>,
        sequence_number: Option<u32>,
        master_key_id: Option<u32>,
        expiry_date: Option<u64>,
        om_cert_serial_id: Option<String>,
        access_key_id: Option<String>,
        signature: Option<String>,
        str_to_sign: Option<String>,
        om_service_id: Option<String>,
        secret_key_id: Option<String>,
    }
}
message! {
    /// An S3 request's signature, for OM to check.
    S3Authentication = wire => S3Authentication {
        string_to_sign: Option<String>,
        signature: Option<String>,
        access_id: Option<String>,
    }
}
