//! Lifecycle rules of a bucket (trunk only): when keys expire, when uploads are aborted.

use allotrope_types::BucketLayout;

use crate::om as wire;

alone! {
    wire;
    SetLifecycleConfigurationRequest.lifecycle_configuration is LifecycleConfiguration,
    GetLifecycleConfigurationResponse.lifecycle_configuration is LifecycleConfiguration,
    SaveLifecycleScanStateRequest.state is Option<LifecycleScanState>,
}
empty! {
    wire;
    SetLifecycleConfigurationResponse,
    DeleteLifecycleConfigurationResponse,
    GetLifecycleServiceStatusRequest,
    SetLifecycleServiceStatusResponse,
    SaveLifecycleScanStateResponse,
}
message! {
    /// A bucket's rules.
    LifecycleConfiguration = wire => LifecycleConfiguration {
        volume: String,
        bucket: String,
        bucket_layout: BucketLayout,
        creation_time: u64,
        rules: Vec<LifecycleRule>,
        object_id: Option<u64>,
        update_id: Option<u64>,
        bucket_object_id: Option<u64>,
    }
}
message! {
    /// One rule: what it does, and to which keys.
    LifecycleRule = wire => LifecycleRule {
        id: String,
        enabled: bool,
        action: Vec<LifecycleAction>,
        prefix: Option<String>,
        filter: Option<LifecycleFilter>,
    }
}
message! {
    /// What a rule does.
    LifecycleAction = wire => LifecycleAction {
        expiration: Option<LifecycleExpiration>,
        abort_incomplete_multipart_upload: Option<AbortIncompleteUpload>,
    }
}
message! {
    /// When keys expire: so many days after they were written, or on a date.
    LifecycleExpiration = wire => LifecycleExpiration {
        days: Option<u32>,
        date: Option<String>,
    }
}
message! {
    /// When uploads are aborted that nobody completed.
    AbortIncompleteUpload = wire => AbortIncompleteMultipartUpload {
        days_after_initiation: Option<u32>,
    }
}
message! {
    /// Which keys a rule is about.
    LifecycleFilter = wire => LifecycleFilter {
        prefix: Option<String>,
        tag: Option<LifecycleTag>,
        and_operator: Option<LifecycleAnd>,
    }
}
message! {
    /// A prefix and tags that a key must all have.
    LifecycleAnd = wire => LifecycleRuleAndOperator {
        prefix: Option<String>,
        tags: Vec<LifecycleTag>,
    }
}
message! {
    /// A tag that a key must have.
    LifecycleTag = wire => LifecycleFilterTag {
        key: String,
        value: String,
    }
}
message! {
    /// What the service does at the moment.
    LifecycleServiceStatus = wire => GetLifecycleServiceStatusResponse {
        is_enabled: bool,
        is_suspended: Option<bool>,
        running_buckets: Vec<String>,
    }
}
message! {
    /// Suspends the service, or lets it go on.
    SetLifecycleServiceStatus = wire => SetLifecycleServiceStatusRequest {
        suspend: bool,
    }
}
message! {
    /// How far a scan of a bucket has come.
    LifecycleScanState = wire => LifecycleScanState {
        bucket_key: Option<String>,
        bucket_obj_id: Option<u64>,
        lifecycle_configuration_update_id: Option<u64>,
        scan_start_time: Option<u64>,
        scan_end_time: Option<u64>,
        last_scanned_key: Option<String>,
        last_scanned_dir: Option<String>,
        last_scanned_dir_key: Option<String>,
        last_scanned_mpu_key: Option<String>,
    }
}
