//! S3 secrets, and tenants with their users.

use crate::WireError;
use crate::om as wire;

alone! {
    wire;
    GetS3SecretResponse.s3_secret is S3Secret,
    ListTenantResponse.tenant_state is Vec<TenantState>,
    TenantListUserResponse.user_access_id_info is Vec<UserAccessIdInfo>,
    TenantGetUserInfoResponse.access_id_info is Vec<ExtendedUserAccessIdInfo>,
    TenantUserPrincipalInfo.access_ids is Vec<String>,
    TenantAssignUserAccessIdResponse.s3_secret is Option<S3Secret>,
}
empty! {
    wire;
    ListTenantRequest,
    CreateTenantResponse,
    SetRangerServiceVersionResponse,
    TenantRevokeUserAccessIdResponse,
    TenantAssignAdminResponse,
    TenantRevokeAdminResponse,
}
message! {
    /// An S3 user and the secret that signs its requests; also the value of OM's table of secrets.
    S3Secret = wire => S3Secret, UpdateGetS3SecretRequest {
        kerberos_id: String,
        aws_secret: String,
    }
}

/// Beside OM's envelope, a service of our own answers with the message alone.
impl TryFrom<wire::GetS3SecretResponse> for S3Secret {
    type Error = WireError;

    fn try_from(message: wire::GetS3SecretResponse) -> Result<S3Secret, WireError> {
        message.s3_secret.try_into()
    }
}

message! {
    /// Asks for a secret, or for a new one.
    GetS3Secret = wire => GetS3SecretRequest {
        kerberos_id: String,
        create_if_not_exist: Option<bool>,
    }
}
message! {
    /// A secret of the user's or an administrator's choice.
    SetS3Secret = wire => SetS3SecretRequest, SetS3SecretResponse {
        access_id: Option<String>,
        secret_key: Option<String>,
    }
}
message! {
    /// Takes a user's secret away.
    RevokeS3Secret = wire => RevokeS3SecretRequest {
        kerberos_id: String,
    }
}
message! {
    /// A tenant: the value of OM's table of tenants.
    TenantState = wire => TenantState {
        tenant_id: Option<String>,
        bucket_namespace_name: Option<String>,
        user_role_name: Option<String>,
        admin_role_name: Option<String>,
        bucket_namespace_policy_name: Option<String>,
        bucket_policy_name: Option<String>,
    }
}
message! {
    /// A user and its access id.
    UserAccessIdInfo = wire => UserAccessIdInfo {
        user_principal: Option<String>,
        access_id: Option<String>,
    }
}
message! {
    /// An access id: whose it is, in which tenant, with what power.
    ExtendedUserAccessIdInfo = wire => ExtendedUserAccessIdInfo {
        user_principal: Option<String>,
        access_id: Option<String>,
        tenant_id: Option<String>,
        is_admin: Option<bool>,
        is_delegated_admin: Option<bool>,
    }
}
message! {
    /// Asks for a tenant's users.
    TenantListUser = wire => TenantListUserRequest {
        tenant_id: Option<String>,
        prefix: Option<String>,
    }
}
message! {
    /// Asks for a user's access ids.
    TenantGetUserInfo = wire => TenantGetUserInfoRequest {
        user_principal: Option<String>,
    }
}
message! {
    /// Makes a tenant and its volume.
    CreateTenant = wire => CreateTenantRequest {
        tenant_id: Option<String>,
        volume_name: Option<String>,
        user_role_name: Option<String>,
        admin_role_name: Option<String>,
        force_creation_when_volume_exists: Option<bool>,
    }
}
message! {
    /// Removes a tenant.
    DeleteTenant = wire => DeleteTenantRequest {
        tenant_id: Option<String>,
    }
}
message! {
    /// The volume that is left.
    DeletedTenant = wire => DeleteTenantResponse {
        volume_name: Option<String>,
        vol_ref_count: Option<i64>,
    }
}
message! {
    /// Gives a user an access id.
    TenantAssignUser = wire => TenantAssignUserAccessIdRequest {
        user_principal: Option<String>,
        tenant_id: Option<String>,
        access_id: Option<String>,
    }
}
message! {
    /// An access id to take away, or to take an administrator's power from.
    TenantAccess = wire => TenantRevokeUserAccessIdRequest, TenantRevokeAdminRequest {
        access_id: Option<String>,
        tenant_id: Option<String>,
    }
}
message! {
    /// Gives an access id an administrator's power.
    TenantAssignAdmin = wire => TenantAssignAdminRequest {
        access_id: Option<String>,
        tenant_id: Option<String>,
        delegated: Option<bool>,
    }
}
message! {
    /// Remembers the version of Ranger's policies.
    SetRangerServiceVersion = wire => SetRangerServiceVersionRequest {
        ranger_service_version: u64,
    }
}
message! {
    /// Asks that Ranger's policies be brought up to date.
    RangerBgSync = wire => RangerBgSyncRequest {
        no_wait: Option<bool>,
    }
}
message! {
    /// Whether they were.
    RangerBgSynced = wire => RangerBgSyncResponse {
        run_success: Option<bool>,
    }
}
