//! The page of operations, made from the table of operations.

use super::table::IMPLEMENTED;
use crate::storage_class;

/// Operations of S3's that answer NotImplemented, each with its own name.
const NOT_YET: &[&str] = &[
    "CreateBucketMetadataTableConfiguration",
    "CreateSession",
    "DeleteBucketAnalyticsConfiguration",
    "DeleteBucketCors",
    "DeleteBucketEncryption",
    "DeleteBucketIntelligentTieringConfiguration",
    "DeleteBucketInventoryConfiguration",
    "DeleteBucketLifecycle",
    "DeleteBucketMetadataTableConfiguration",
    "DeleteBucketMetricsConfiguration",
    "DeleteBucketOwnershipControls",
    "DeleteBucketPolicy",
    "DeleteBucketReplication",
    "DeleteBucketWebsite",
    "DeletePublicAccessBlock",
    "GetBucketAccelerateConfiguration",
    "GetBucketAnalyticsConfiguration",
    "GetBucketCors",
    "GetBucketEncryption",
    "GetBucketIntelligentTieringConfiguration",
    "GetBucketInventoryConfiguration",
    "GetBucketLifecycleConfiguration",
    "GetBucketLogging",
    "GetBucketMetadataTableConfiguration",
    "GetBucketMetricsConfiguration",
    "GetBucketNotificationConfiguration",
    "GetBucketPolicy",
    "GetBucketPolicyStatus",
    "GetBucketReplication",
    "GetBucketRequestPayment",
    "GetBucketWebsite",
    "GetObjectAttributes",
    "GetObjectLegalHold",
    "GetObjectLockConfiguration",
    "GetObjectRetention",
    "GetObjectTorrent",
    "GetPublicAccessBlock",
    "ListBucketAnalyticsConfigurations",
    "ListBucketIntelligentTieringConfigurations",
    "ListBucketInventoryConfigurations",
    "ListBucketMetricsConfigurations",
    "ListDirectoryBuckets",
    "PostObject",
    "PutBucketAccelerateConfiguration",
    "PutBucketAnalyticsConfiguration",
    "PutBucketCors",
    "PutBucketEncryption",
    "PutBucketIntelligentTieringConfiguration",
    "PutBucketInventoryConfiguration",
    "PutBucketLifecycleConfiguration",
    "PutBucketLogging",
    "PutBucketMetricsConfiguration",
    "PutBucketNotificationConfiguration",
    "PutBucketPolicy",
    "PutBucketReplication",
    "PutBucketRequestPayment",
    "PutBucketWebsite",
    "PutObjectLegalHold",
    "PutObjectLockConfiguration",
    "PutObjectRetention",
    "PutPublicAccessBlock",
    "RestoreObject",
    "SelectObjectContent",
    "WriteGetObjectResponse",
];

/// What of an operation is refused by name although the operation is there.
const PARTLY: &[(&str, &str)] = &[
    ("AbortMultipartUpload", "x-amz-if-match-initiated-time is refused"),
    ("CopyObject", "sources are objects, not access points"),
    ("CreateBucket", "object lock, other regions, rights for others and directory buckets are refused"),
    (
        "PutBucketAcl",
        "as a bucket answers whose owner owns every object: anything but the owner's right is refused",
    ),
    ("PutBucketOwnershipControls", "BucketOwnerEnforced alone"),
    ("PutBucketVersioning", "MFA delete is refused; a FILE_SYSTEM_OPTIMIZED bucket keeps no versions"),
    (
        "PutObject",
        "encryption, object lock, website redirection, appending and rights for others are refused",
    ),
    ("PutObjectAcl", "as PutBucketAcl"),
];

fn page() -> String {
    let mut text = String::from(
        "# S3 operations\n\nEvery operation of S3's, and what it answers here. Written from `gateway/src/ops/table.rs` by the \
         test `the_page_of_operations_is_the_table`;\nthe boto3 cases in `tests/s3` call each operation that works and hold \
         its errors against S3's codes, and ask for the others by name.\n\n| operation | answer |\n| --- | --- |\n",
    );
    let mut rows: Vec<(&str, String)> =
        NOT_YET.iter().map(|name| (*name, "NotImplemented".to_owned())).collect();
    for name in IMPLEMENTED {
        let note = PARTLY.iter().find(|(partly, _)| partly == name);
        rows.push((name, note.map_or("works".to_owned(), |(_, note)| format!("works; {note}"))));
    }
    rows.sort();
    for (name, answer) in rows {
        text.push_str(&format!("| {name} | {answer} |\n"));
    }
    text.push_str("\n## Storage classes\n\n| storage class | kept as |\n| --- | --- |\n| none, STANDARD | the bucket's default |\n");
    for (class, config) in storage_class::TABLE {
        text.push_str(&format!("| {class} | {config} |\n"));
    }
    text.push_str(
        "\nThe others are refused with InvalidStorageClass. A listing shows the class whose row a key's config has, else STANDARD.\n",
    );
    text
}

#[test]
fn the_page_of_operations_is_the_table() {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/s3-operations.md");
    if std::env::var_os("ALLOTROPE_WRITE_DOCS").is_some() {
        std::fs::write(&path, page()).unwrap();
    }
    let there = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(there == page(), "docs/s3-operations.md is stale: run this test with ALLOTROPE_WRITE_DOCS=1");
}

#[test]
fn an_operation_is_there_or_it_is_not() {
    let both: Vec<_> = NOT_YET.iter().filter(|name| IMPLEMENTED.contains(name)).collect();
    assert!(both.is_empty(), "{both:?}");
    assert!(PARTLY.iter().all(|(name, _)| IMPLEMENTED.contains(name)));
}

#[test]
fn every_operation_that_works_has_its_likeliest_errors_tried() {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/s3/boto3_refusals.py");
    let rows = std::fs::read_to_string(path).unwrap();
    let missing: Vec<_> =
        IMPLEMENTED.iter().filter(|name| !rows.contains(&format!("\n    \"{name}\": ("))).collect();
    assert!(missing.is_empty(), "boto3_refusals.py has no rows for {missing:?}");
}
