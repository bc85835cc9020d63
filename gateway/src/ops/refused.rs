//! What a request may ask for that this gateway does not do: refused by name, never passed over.

use http::HeaderMap;
use s3s::S3ErrorCode;

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

/// What a bucket whose owner owns every object says to rights for others.
pub(crate) fn no_acls() -> Fault {
    Fault::new(S3ErrorCode::AccessControlListNotSupported, "The bucket does not allow ACLs")
}
