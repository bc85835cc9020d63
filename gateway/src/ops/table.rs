//! The operations there are: the one list from which the trait, the log's names and the documentation are made.

use s3s::dto::*;
use s3s::{S3, S3Request, S3Response, S3Result};

use super::multipart::{complete, list_uploads, part, upload};
use super::{Gateway, acl, buckets, copy, delete, get, list, put, tags, versions};
use crate::call::Call;

macro_rules! operations {
    ($($method:ident, $name:literal, $input:ident => $output:ident, $run:path;)*) => {
        /// Names of the operations there are.
        #[cfg(test)]
        pub(crate) const IMPLEMENTED: &[&str] = &[$($name),*];

        #[async_trait::async_trait]
        impl S3 for Gateway {
            $(async fn $method(&self, request: S3Request<$input>) -> S3Result<S3Response<$output>> {
                let call = Call::of(&request);
                call.named($name);
                $run(self, &call, request).await.map_err(|fault| call.failed(fault))
            })*
        }
    };
}

operations! {
    list_buckets, "ListBuckets", ListBucketsInput => ListBucketsOutput, buckets::list;
    create_bucket, "CreateBucket", CreateBucketInput => CreateBucketOutput, buckets::create;
    head_bucket, "HeadBucket", HeadBucketInput => HeadBucketOutput, buckets::head;
    delete_bucket, "DeleteBucket", DeleteBucketInput => DeleteBucketOutput, buckets::delete;
    get_bucket_location, "GetBucketLocation", GetBucketLocationInput => GetBucketLocationOutput, buckets::location;
    get_bucket_acl, "GetBucketAcl", GetBucketAclInput => GetBucketAclOutput, acl::of_bucket;
    put_bucket_acl, "PutBucketAcl", PutBucketAclInput => PutBucketAclOutput, acl::set_of_bucket;
    get_object_acl, "GetObjectAcl", GetObjectAclInput => GetObjectAclOutput, acl::of_object;
    put_object_acl, "PutObjectAcl", PutObjectAclInput => PutObjectAclOutput, acl::set_of_object;
    get_bucket_ownership_controls, "GetBucketOwnershipControls",
        GetBucketOwnershipControlsInput => GetBucketOwnershipControlsOutput, acl::ownership;
    put_bucket_ownership_controls, "PutBucketOwnershipControls",
        PutBucketOwnershipControlsInput => PutBucketOwnershipControlsOutput, acl::set_ownership;
    list_objects, "ListObjects", ListObjectsInput => ListObjectsOutput, list::first;
    list_objects_v2, "ListObjectsV2", ListObjectsV2Input => ListObjectsV2Output, list::second;
    put_object, "PutObject", PutObjectInput => PutObjectOutput, put::put;
    get_object, "GetObject", GetObjectInput => GetObjectOutput, get::get;
    head_object, "HeadObject", HeadObjectInput => HeadObjectOutput, get::head;
    copy_object, "CopyObject", CopyObjectInput => CopyObjectOutput, copy::copy;
    delete_object, "DeleteObject", DeleteObjectInput => DeleteObjectOutput, delete::one;
    delete_objects, "DeleteObjects", DeleteObjectsInput => DeleteObjectsOutput, delete::many;
    create_multipart_upload, "CreateMultipartUpload",
        CreateMultipartUploadInput => CreateMultipartUploadOutput, upload::create;
    upload_part, "UploadPart", UploadPartInput => UploadPartOutput, part::upload;
    upload_part_copy, "UploadPartCopy", UploadPartCopyInput => UploadPartCopyOutput, part::copy;
    complete_multipart_upload, "CompleteMultipartUpload",
        CompleteMultipartUploadInput => CompleteMultipartUploadOutput, complete::complete;
    abort_multipart_upload, "AbortMultipartUpload",
        AbortMultipartUploadInput => AbortMultipartUploadOutput, upload::abort;
    list_parts, "ListParts", ListPartsInput => ListPartsOutput, upload::list_parts;
    list_multipart_uploads, "ListMultipartUploads",
        ListMultipartUploadsInput => ListMultipartUploadsOutput, list_uploads::list;
    get_object_tagging, "GetObjectTagging", GetObjectTaggingInput => GetObjectTaggingOutput, tags::of_object;
    put_object_tagging, "PutObjectTagging", PutObjectTaggingInput => PutObjectTaggingOutput, tags::set_of_object;
    delete_object_tagging, "DeleteObjectTagging",
        DeleteObjectTaggingInput => DeleteObjectTaggingOutput, tags::delete_of_object;
    get_bucket_tagging, "GetBucketTagging", GetBucketTaggingInput => GetBucketTaggingOutput, tags::of_bucket;
    put_bucket_tagging, "PutBucketTagging", PutBucketTaggingInput => PutBucketTaggingOutput, tags::set_of_bucket;
    delete_bucket_tagging, "DeleteBucketTagging",
        DeleteBucketTaggingInput => DeleteBucketTaggingOutput, tags::delete_of_bucket;
    get_bucket_versioning, "GetBucketVersioning",
        GetBucketVersioningInput => GetBucketVersioningOutput, versions::get;
    put_bucket_versioning, "PutBucketVersioning",
        PutBucketVersioningInput => PutBucketVersioningOutput, versions::put;
    list_object_versions, "ListObjectVersions",
        ListObjectVersionsInput => ListObjectVersionsOutput, versions::list;
}
