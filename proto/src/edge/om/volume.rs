//! Volumes: made, changed, listed and removed, and the volume that S3 sees.

use crate::edge::field::enums;
use crate::edge::om_bucket::{Acl, Quota, VolumeInfo};
use crate::om as wire;

pub use crate::om::list_volume_request::Scope as VolumeScope;

enums!(VolumeScope);

alone! {
    wire;
    CreateVolumeRequest.volume_info is VolumeInfo,
    InfoVolumeResponse.volume_info is Option<VolumeInfo>,
    ListVolumeResponse.volume_info is Vec<VolumeInfo>,
}
empty! {
    wire;
    CreateVolumeResponse,
    DeleteVolumeResponse,
    CheckVolumeAccessResponse,
    GetS3VolumeContextRequest,
}
message! {
    /// A volume by its name.
    NamedVolume = wire => InfoVolumeRequest, DeleteVolumeRequest {
        volume_name: String,
    }
}
message! {
    /// What shall change of a volume: its owner, or its quotas.
    SetVolumeProperty = wire => SetVolumePropertyRequest {
        volume_name: String,
        owner_name: Option<String>,
        quota_in_bytes: Option<Quota>,
        modification_time: Option<u64>,
        quota_in_namespace: Option<Quota>,
    }
}
message! {
    /// Whether an owner changed; false if it was the owner already.
    PropertyChanged = wire => SetVolumePropertyResponse, SetBucketPropertyResponse {
        response: Option<bool>,
    }
}
message! {
    /// Asks whether a user may do something with a volume.
    CheckVolumeAccess = wire => CheckVolumeAccessRequest {
        volume_name: String,
        user_acl: Acl,
    }
}
message! {
    /// Asks for volumes, in order of their names, after `prev_key`.
    ListVolumes = wire => ListVolumeRequest {
        scope: VolumeScope,
        user_name: Option<String>,
        prefix: Option<String>,
        prev_key: Option<String>,
        max_keys: Option<u32>,
    }
}
message! {
    /// The volume that an S3 user sees, and who the user is.
    S3Volume = wire => GetS3VolumeContextResponse {
        volume_info: Option<VolumeInfo>,
        user_principal: Option<String>,
    }
}
message! {
    /// The volumes that a user owns: the value of OM's table of users.
    UserVolumes = wire => UserVolumeInfo {
        volume_names: Vec<String>,
        object_id: Option<u64>,
        update_id: Option<u64>,
    }
}
