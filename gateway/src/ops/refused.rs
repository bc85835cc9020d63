//! What a request may ask for that this gateway does not do: refused by name, never passed over.

use http::HeaderMap;
use s3s::S3ErrorCode;

use crate::auth::sigv4::query_pairs;
use crate::fault::Fault;

/// Headers that ask for something that is not there, and what that is.
const NOT_THERE: &[(&str, &str)] = &[
    ("x-amz-server-side-encryption", "Server-side encryption"),
    ("x-amz-server-side-encryption-aws-kms-key-id", "Server-side encryption"),
    ("x-amz-server-side-encryption-context", "Server-side encryption"),
    ("x-amz-server-side-encryption-customer-algorithm", "Server-side encryption"),
    ("x-amz-server-side-encryption-customer-key", "Server-side encryption"),
    ("x-amz-copy-source-server-side-encryption-customer-algorithm", "Server-side encryption"),
    ("x-amz-object-lock-mode", "Object lock"),
    ("x-amz-object-lock-retain-until-date", "Object lock"),
    ("x-amz-object-lock-legal-hold", "Object lock"),
    ("x-amz-bucket-object-lock-enabled", "Object lock"),
    ("x-amz-website-redirect-location", "Website redirection"),
    ("x-amz-write-offset-bytes", "Appending to an object"),
    ("x-amz-mfa", "MFA delete"),
];

/// Headers that give rights to others.
const GRANTS: &[&str] = &[
    "x-amz-grant-full-control",
    "x-amz-grant-read",
    "x-amz-grant-read-acp",
    "x-amz-grant-write",
    "x-amz-grant-write-acp",
];

/// Refuses a request whose headers ask for what is not there.
pub(crate) fn check(headers: &HeaderMap) -> Result<(), Fault> {
    for (name, what) in NOT_THERE {
        let value = headers.get(*name).and_then(|value| value.to_str().ok());
        // "No" is what happens.
        if value
            .is_some_and(|value| !value.eq_ignore_ascii_case("false") && !value.eq_ignore_ascii_case("off"))
        {
            return Err(Fault::not_implemented(what).detail("Header", *name));
        }
    }
    let acl = headers.get("x-amz-acl").and_then(|value| value.to_str().ok());
    let open =
        acl.is_some_and(|acl| !matches!(acl, "private" | "bucket-owner-full-control" | "bucket-owner-read"));
    if open || GRANTS.iter().any(|name| headers.contains_key(*name)) {
        return Err(no_acls());
    }
    Ok(())
}

/// Words of a query that make it another operation on an object.
const OF_OBJECTS: &[&str] = &[
    "acl",
    "attributes",
    "legal-hold",
    "partNumber",
    "restore",
    "retention",
    "select",
    "tagging",
    "torrent",
    "uploadId",
    "uploads",
];
/// The same on a bucket, or on all of them.
const OF_BUCKETS: &[&str] = &[
    "accelerate",
    "acl",
    "analytics",
    "cors",
    "delete",
    "encryption",
    "intelligent-tiering",
    "inventory",
    "lifecycle",
    "location",
    "logging",
    "metadataTable",
    "metrics",
    "notification",
    "object-lock",
    "ownershipControls",
    "policy",
    "policyStatus",
    "publicAccessBlock",
    "replication",
    "requestPayment",
    "session",
    "tagging",
    "uploads",
    "versioning",
    "versions",
    "website",
];
/// Words that came to S3 later than to s3s, which would take the request for another one.
const NEWER: &[&str] = &[
    "abac",
    "annotation",
    "annotations",
    "metadataAnnotationTable",
    "metadataConfiguration",
    "metadataInventoryTable",
    "metadataJournalTable",
    "renameObject",
];
/// Words with a value of their own, which may be empty.
const PLAIN: &[&str] = &[
    "bucket-region",
    "continuation-token",
    "delimiter",
    "encoding-type",
    "fetch-owner",
    "id",
    "key-marker",
    "list-type",
    "marker",
    "max-buckets",
    "max-keys",
    "max-parts",
    "max-uploads",
    "part-number-marker",
    "prefix",
    "select-type",
    "start-after",
    "upload-id-marker",
    "version-id-marker",
    "versionId",
    "x-id",
];

/// Refuses a query with a word that would be passed over: on an object what is of buckets, and what nobody knows.
pub(crate) fn check_query(query: &str, on_object: bool, is_put: bool) -> Result<(), Fault> {
    let pairs = query_pairs(query).unwrap_or_default();
    let has = |name: &str| pairs.iter().any(|(found, _)| found == name);
    for (name, value) in &pairs {
        let name = name.as_str();
        let here = if on_object { OF_OBJECTS } else { OF_BUCKETS };
        if here.contains(&name) || PLAIN.contains(&name) || name.starts_with("response-") {
            continue;
        }
        let elsewhere = OF_OBJECTS.contains(&name) || OF_BUCKETS.contains(&name) || NEWER.contains(&name);
        if elsewhere || value.is_empty() {
            return Err(Fault::not_implemented(format!("The operation of ?{name}")));
        }
    }
    if is_put && on_object && has("partNumber") != has("uploadId") {
        let message = "A part is named by both partNumber and uploadId";
        return Err(Fault::argument("partNumber", query, message));
    }
    Ok(())
}

/// What a bucket whose owner owns every object says to rights for others.
pub(crate) fn no_acls() -> Fault {
    Fault::new(S3ErrorCode::AccessControlListNotSupported, "The bucket does not allow ACLs")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_word_that_would_be_passed_over_is_refused() {
        assert!(check_query("partNumber=1&uploadId=x&x-id=UploadPart", true, true).is_ok());
        assert!(check_query("prefix=&delimiter=%2F&list-type=2", false, false).is_ok());
        assert!(check_query("some=value", false, false).is_ok(), "S3 passes over what has a value");
        for (query, on_object) in
            [("versioning", true), ("renameObject", true), ("abac", false), ("nonsense", false)]
        {
            let fault = check_query(query, on_object, true).unwrap_err();
            assert_eq!(fault.code, S3ErrorCode::NotImplemented, "{query}");
        }
        assert!(
            check_query("partNumber=1", true, true).is_err()
                && check_query("uploadId=x", true, true).is_err()
        );
    }
}
