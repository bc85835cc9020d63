//! Who asks, and whether they say so truly: AWS Signature Version 4.
//!
//! Owns    the claim in a request's header or query (`claim`), the signature over it (`sigv4`), the secrets (`secrets`),
//!         and the verdict ([`verify`]).
//! Never   reads a body: what the signature says of it is handed on as a [`Payload`], which `intake` holds it to.
//! Errors  AWS's codes: a claim that cannot be read names what is wrong with it; a wrong signature shows what was signed.
//! Source  the AWS General Reference, "Signing AWS API requests", and S3's "Authenticating Requests".

pub(crate) mod claim;
pub(crate) mod secrets;
pub(crate) mod sigv4;

use std::time::{Duration, SystemTime};

use http::request::Parts;
use s3s::S3ErrorCode;
use subtle::ConstantTimeEq;

use crate::fault::Fault;
use claim::{Carrier, Claim, Content};
use secrets::Secrets;
use sigv4::{ChunkSigner, Key};

/// How far a request's time may be from ours; also how long a captured request can be sent again.
const SKEW_MAX: Duration = Duration::from_secs(15 * 60);

/// A request whose signature is right.
#[derive(Debug)]
pub(crate) struct Verified {
    pub(crate) access_id: String,
    pub(crate) payload: Payload,
}

/// What the signature says of the body.
#[derive(Debug)]
pub(crate) enum Payload {
    /// Nothing.
    Unsigned,
    /// Its SHA-256.
    Signed([u8; 32]),
    /// It comes in chunks, signed each by `signer` or not at all, and with trailing headers or without.
    Chunked { signer: Option<ChunkSigner>, trailing: bool },
}

/// Judges the claim of a request at `now`.
pub(crate) async fn verify(
    head: &Parts,
    secrets: &Secrets,
    region: &str,
    now: SystemTime,
) -> Result<Verified, Fault> {
    let claim = Claim::read(head)?;
    check_scope(&claim, region)?;
    check_time(&claim, now)?;
    claim.check_signed_headers(head)?;
    let Some(secret) = secrets.of(&claim.access_id).await? else {
        return Err(Fault::new(
            S3ErrorCode::InvalidAccessKeyId,
            "The AWS Access Key Id you provided does not exist in our records.",
        )
        .detail("AWSAccessKeyId", claim.access_id));
    };
    let key = Key::derive(&secret, &claim.date, &claim.region);
    check_signature(&claim, head, &key)?;
    let signer = || ChunkSigner::new(key.clone(), &claim);
    let payload = match claim.content {
        Content::Unsigned => Payload::Unsigned,
        Content::Sha256(digest) => Payload::Signed(digest),
        Content::Chunks { signed, trailing } => Payload::Chunked { signer: signed.then(signer), trailing },
    };
    Ok(Verified { access_id: claim.access_id, payload })
}

fn check_scope(claim: &Claim, region: &str) -> Result<(), Fault> {
    if claim.region == region {
        return Ok(());
    }
    let wrong = format!("the region '{}' is wrong; expecting '{region}'", claim.region);
    Err(claim.malformed(&wrong).detail("Region", region))
}

fn check_time(claim: &Claim, now: SystemTime) -> Result<(), Fault> {
    let at = claim.at;
    let ahead = at.duration_since(now).unwrap_or(Duration::ZERO);
    let behind = now.duration_since(at).unwrap_or(Duration::ZERO);
    let skewed = match claim.carrier {
        Carrier::Header => ahead > SKEW_MAX || behind > SKEW_MAX,
        Carrier::Query { .. } => ahead > SKEW_MAX,
    };
    if skewed {
        let message = "The difference between the request time and the current time is too large.";
        return Err(Fault::new(S3ErrorCode::RequestTimeTooSkewed, message)
            .detail("RequestTime", claim.timestamp.clone())
            .detail("ServerTime", httpdate::fmt_http_date(now))
            .detail("MaxAllowedSkewMilliseconds", SKEW_MAX.as_millis().to_string()));
    }
    match claim.carrier {
        Carrier::Query { expires } if behind > expires => {
            Err(Fault::new(S3ErrorCode::AccessDenied, "Request has expired")
                .detail("X-Amz-Expires", expires.as_secs().to_string())
                .detail("ServerTime", httpdate::fmt_http_date(now)))
        }
        _ => Ok(()),
    }
}

fn check_signature(claim: &Claim, head: &Parts, key: &Key) -> Result<(), Fault> {
    let canonical = sigv4::canonical_request(claim, head, &sigv4::encoded_path(head.uri.path()));
    let text = sigv4::string_to_sign(claim, &canonical);
    if is_same(&key.sign_hex(&text), &claim.signature) {
        return Ok(());
    }
    // Some clients sign the path as they send it, with characters in it that others encode.
    let as_sent = sigv4::canonical_request(claim, head, head.uri.path());
    if as_sent != canonical
        && is_same(&key.sign_hex(&sigv4::string_to_sign(claim, &as_sent)), &claim.signature)
    {
        return Ok(());
    }
    let message = "The request signature we calculated does not match the signature you provided. Check your key \
                   and signing method.";
    Err(Fault::new(S3ErrorCode::SignatureDoesNotMatch, message)
        .detail("AWSAccessKeyId", claim.access_id.clone())
        .detail("StringToSign", text)
        .detail("SignatureProvided", claim.signature.clone())
        .detail("CanonicalRequest", canonical))
}

/// Compares in a time that does not depend on where the two differ.
pub(crate) fn is_same(a: &str, b: &str) -> bool {
    a.as_bytes().ct_eq(b.as_bytes()).into()
}
