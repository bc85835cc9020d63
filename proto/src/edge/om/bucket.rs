//! Buckets: made, changed, listed, tagged and removed.

use crate::edge::hdds::KeyValue;
use crate::edge::om_bucket::{BucketArgs, BucketInfo};
use crate::om as wire;

alone! {
    wire;
    CreateBucketRequest.bucket_info is BucketInfo,
    InfoBucketResponse.bucket_info is Option<BucketInfo>,
    ListBucketsResponse.bucket_info is Vec<BucketInfo>,
    GetBucketTaggingRequest.bucket_args is BucketArgs,
    GetBucketTaggingResponse.tags is Vec<KeyValue>,
}
empty! {
    wire;
    CreateBucketResponse,
    DeleteBucketResponse,
    PutBucketTaggingResponse,
    DeleteBucketTaggingResponse,
}
message! {
    /// A bucket by its name.
    NamedBucket = wire =>
        InfoBucketRequest,
        DeleteBucketRequest,
        GetLifecycleConfigurationRequest,
        DeleteLifecycleConfigurationRequest
    {
        volume_name: String,
        bucket_name: String,
    }
}
message! {
    /// What shall change of a bucket.
    SetBucketProperty = wire => SetBucketPropertyRequest {
        bucket_args: Option<BucketArgs>,
        modification_time: Option<u64>,
    }
}
message! {
    /// Asks for a volume's buckets, in order of their names, after `start_key`.
    ListBuckets = wire => ListBucketsRequest {
        volume_name: String,
        start_key: Option<String>,
        prefix: Option<String>,
        count: Option<i32>,
        has_snapshot: Option<bool>,
    }
}
message! {
    /// A bucket and the tags that it shall have, or be without.
    BucketTagging = wire => PutBucketTaggingRequest, DeleteBucketTaggingRequest {
        bucket_args: BucketArgs,
        modification_time: Option<u64>,
    }
}
