//! What a request says of its sender: read, not judged.
//!
//! Shape   a [`Claim`] comes from the Authorization header or, in a presigned URL, from the query.
//! Errors  AWS's: AuthorizationHeaderMalformed, AuthorizationQueryParametersError, AccessDenied for no claim at all.

use std::time::{Duration, SystemTime};

use http::HeaderMap;
use http::request::Parts;
use s3s::S3ErrorCode;

use super::sigv4::{hex_decoded, percent_decoded, query_pairs};
use crate::fault::Fault;

const ALGORITHM: &str = "AWS4-HMAC-SHA256";
/// Longest life of a presigned URL: a week.
const EXPIRES_MAX: u64 = 7 * 24 * 3600;

/// A request's claim.
#[derive(Clone, Debug)]
pub(crate) struct Claim {
    pub(crate) carrier: Carrier,
    pub(crate) access_id: String,
    /// `YYYYMMDD`, as the credential says it.
    pub(crate) date: String,
    pub(crate) region: String,
    /// `YYYYMMDDTHHMMSSZ`.
    pub(crate) timestamp: String,
    pub(crate) at: SystemTime,
    /// Names of the headers that were signed, in order.
    pub(crate) signed_headers: Vec<String>,
    pub(crate) signature: String,
    pub(crate) content: Content,
    /// What stands for the body in the canonical request.
    pub(crate) content_text: String,
}

/// Where the claim stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Carrier {
    Header,
    /// A presigned URL, good for so long.
    Query {
        expires: Duration,
    },
}

/// What the claim says of the body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Content {
    Unsigned,
    Sha256([u8; 32]),
    Chunks { signed: bool, trailing: bool },
}

impl Claim {
    /// Reads the claim of a request.
    pub(crate) fn read(head: &Parts) -> Result<Claim, Fault> {
        let pairs = query_pairs(head.uri.query().unwrap_or(""))
            .ok_or_else(|| Fault::new(S3ErrorCode::InvalidURI, "Couldn't parse the specified URI."))?;
        let query = |name: &str| pairs.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str());
        if text(&head.headers, "x-amz-security-token").is_some() || query("X-Amz-Security-Token").is_some() {
            let message = "The provided token is malformed or otherwise invalid.";
            return Err(Fault::new(S3ErrorCode::InvalidToken, message));
        }
        let header = text(&head.headers, "authorization");
        match (header, query("X-Amz-Algorithm").or(query("X-Amz-Signature"))) {
            (Some(_), Some(_)) => Err(Fault::new(
                S3ErrorCode::InvalidArgument,
                "Only one auth mechanism allowed; only the X-Amz-Algorithm query parameter, Signature query string \
                 parameter or the Authorization header should be specified",
            )),
            (Some(value), None) => Claim::from_header(value, &head.headers),
            (None, Some(_)) => Claim::from_query(query, &head.headers),
            (None, None) if query("AWSAccessKeyId").is_some() || query("Signature").is_some() => {
                Err(unsupported_mechanism())
            }
            (None, None) => Err(Fault::new(S3ErrorCode::AccessDenied, "Access Denied")),
        }
    }

    fn from_header(value: &str, headers: &HeaderMap) -> Result<Claim, Fault> {
        let malformed = |why: &str| {
            let message = format!("The authorization header is malformed; {why}");
            Fault::new(S3ErrorCode::AuthorizationHeaderMalformed, message)
        };
        let (algorithm, fields) = value.split_once(' ').unwrap_or((value, ""));
        match algorithm {
            ALGORITHM => {}
            "AWS4-ECDSA-P256-SHA256" => {
                return Err(Fault::not_implemented("signing with AWS4-ECDSA-P256-SHA256"));
            }
            _ => return Err(unsupported_mechanism()),
        }
        let field = |name: &str| {
            let mut parts = fields.split(',').map(str::trim);
            parts.find_map(|part| part.strip_prefix(name)?.strip_prefix('='))
        };
        let credential = field("Credential").ok_or_else(|| malformed("the Credential is missing."))?;
        let signed = field("SignedHeaders").ok_or_else(|| malformed("the SignedHeaders are missing."))?;
        let signature = field("Signature").ok_or_else(|| malformed("the Signature is missing."))?;
        let scope = Scope::read(credential).map_err(&malformed)?;
        let (timestamp, at) = match (text(headers, "x-amz-date"), text(headers, "date")) {
            (Some(text), _) => (text.to_owned(), basic_time(text)),
            (None, Some(text)) => {
                let at = httpdate::parse_http_date(text).ok();
                (at.map(basic_text).unwrap_or_default(), at)
            }
            (None, None) => (String::new(), None),
        };
        let at = at.ok_or_else(|| {
            Fault::new(
                S3ErrorCode::AccessDenied,
                "AWS authentication requires a valid Date or x-amz-date header",
            )
        })?;
        if !timestamp.starts_with(&scope.date) {
            return Err(malformed("the credential's date is not the request's."));
        }
        let Some(content_text) = text(headers, "x-amz-content-sha256") else {
            let message = "Missing required header for this request: x-amz-content-sha256";
            return Err(Fault::new(S3ErrorCode::InvalidRequest, message));
        };
        Ok(Claim {
            carrier: Carrier::Header,
            access_id: scope.access_id,
            date: scope.date,
            region: scope.region,
            timestamp,
            at,
            signed_headers: signed.split(';').map(str::to_owned).collect(),
            signature: signature.to_owned(),
            content: content(content_text)?,
            content_text: content_text.to_owned(),
        })
    }

    fn from_query<'a>(query: impl Fn(&str) -> Option<&'a str>, headers: &HeaderMap) -> Result<Claim, Fault> {
        let wrong = |why: String| Fault::new(S3ErrorCode::AuthorizationQueryParametersError, why);
        let part = |name: &str| {
            query(name).ok_or_else(|| {
                wrong(
                    "Query-string authentication version 4 requires the X-Amz-Algorithm, X-Amz-Credential, \
                     X-Amz-Signature, X-Amz-Date, X-Amz-SignedHeaders, and X-Amz-Expires parameters."
                        .to_owned(),
                )
            })
        };
        if part("X-Amz-Algorithm")? != ALGORITHM {
            return Err(wrong("X-Amz-Algorithm only supports \"AWS4-HMAC-SHA256\"".to_owned()));
        }
        let scope = Scope::read(part("X-Amz-Credential")?)
            .map_err(|why| wrong(format!("Error parsing the X-Amz-Credential parameter; {why}")))?;
        let timestamp = part("X-Amz-Date")?;
        let at = basic_time(timestamp).ok_or_else(|| {
            wrong("X-Amz-Date must be in the ISO8601 Long Format \"yyyyMMdd'T'HHmmss'Z'\"".to_owned())
        })?;
        if !timestamp.starts_with(&scope.date) {
            return Err(wrong(format!(
                "Invalid credential date \"{}\". This date is not the same as X-Amz-Date.",
                scope.date
            )));
        }
        let expires = part("X-Amz-Expires")?;
        let expires: u64 =
            expires.parse().map_err(|_| wrong("X-Amz-Expires should be a number".to_owned()))?;
        if expires == 0 || expires > EXPIRES_MAX {
            let why = "X-Amz-Expires must be at least one second and less than a week (in seconds); that is, the \
                       given X-Amz-Expires must be from 1 to 604800";
            return Err(wrong(why.to_owned()));
        }
        let content_text = text(headers, "x-amz-content-sha256").or(query("X-Amz-Content-Sha256"));
        let content_text = content_text.unwrap_or("UNSIGNED-PAYLOAD");
        Ok(Claim {
            carrier: Carrier::Query { expires: Duration::from_secs(expires) },
            access_id: scope.access_id,
            date: scope.date,
            region: scope.region,
            timestamp: timestamp.to_owned(),
            at,
            signed_headers: part("X-Amz-SignedHeaders")?.split(';').map(str::to_owned).collect(),
            signature: part("X-Amz-Signature")?.to_owned(),
            content: content(content_text)?,
            content_text: content_text.to_owned(),
        })
    }

    /// `date/region/s3/aws4_request`.
    pub(crate) fn scope(&self) -> String {
        format!("{}/{}/s3/aws4_request", self.date, self.region)
    }

    /// A fault of the claim itself, by the code of the place where it stands.
    pub(crate) fn malformed(&self, why: &str) -> Fault {
        match self.carrier {
            Carrier::Header => Fault::new(
                S3ErrorCode::AuthorizationHeaderMalformed,
                format!("The authorization header is malformed; {why}"),
            ),
            Carrier::Query { .. } => Fault::new(
                S3ErrorCode::AuthorizationQueryParametersError,
                format!("Error parsing the X-Amz-Credential parameter; {why}"),
            ),
        }
    }

    /// The host and every `x-amz-` header must be signed: an unsigned one could be anybody's.
    pub(crate) fn check_signed_headers(&self, head: &Parts) -> Result<(), Fault> {
        let is_signed = |name: &str| self.signed_headers.iter().any(|signed| signed == name);
        // What stands for the body is in the canonical request by itself.
        let free = |name: &str| name == "x-amz-content-sha256";
        let names = head.headers.keys().map(http::HeaderName::as_str);
        let unsigned: Vec<&str> = names
            .filter(|name| (*name == "host" || name.starts_with("x-amz-")) && !free(name) && !is_signed(name))
            .collect();
        if unsigned.is_empty() {
            return Ok(());
        }
        let message = "There were headers present in the request which were not signed";
        Err(Fault::new(S3ErrorCode::AccessDenied, message).detail("HeadersNotSigned", unsigned.join(", ")))
    }
}

/// `ACCESS_ID/DATE/REGION/s3/aws4_request`; an access id may hold slashes.
struct Scope {
    access_id: String,
    date: String,
    region: String,
}

impl Scope {
    fn read(credential: &str) -> Result<Scope, &'static str> {
        let form =
            "the Credential is mal-formed; expecting \"<YOUR-AKID>/YYYYMMDD/REGION/SERVICE/aws4_request\".";
        let mut parts = credential.rsplitn(5, '/');
        let mut next = || parts.next().ok_or(form);
        let (end, service, region, date, access_id) = (next()?, next()?, next()?, next()?, next()?);
        if end != "aws4_request" {
            return Err(form);
        }
        if service != "s3" {
            return Err("the service is wrong; expecting 's3'.");
        }
        if date.len() != 8 || !date.bytes().all(|byte| byte.is_ascii_digit()) || access_id.is_empty() {
            return Err(form);
        }
        Ok(Scope { access_id: access_id.to_owned(), date: date.to_owned(), region: region.to_owned() })
    }
}

fn content(text: &str) -> Result<Content, Fault> {
    let chunks = |signed, trailing| Ok(Content::Chunks { signed, trailing });
    match text {
        "UNSIGNED-PAYLOAD" => Ok(Content::Unsigned),
        "STREAMING-AWS4-HMAC-SHA256-PAYLOAD" => chunks(true, false),
        "STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER" => chunks(true, true),
        "STREAMING-UNSIGNED-PAYLOAD-TRAILER" => chunks(false, true),
        _ => hex_decoded::<32>(text).map(Content::Sha256).ok_or_else(|| {
            Fault::argument(
                "x-amz-content-sha256",
                text,
                "x-amz-content-sha256 must be UNSIGNED-PAYLOAD, STREAMING-UNSIGNED-PAYLOAD-TRAILER, \
                 STREAMING-AWS4-HMAC-SHA256-PAYLOAD, STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER or a valid sha256 value.",
            )
        }),
    }
}

fn unsupported_mechanism() -> Fault {
    Fault::new(
        S3ErrorCode::InvalidRequest,
        "The authorization mechanism you have provided is not supported. Please use AWS4-HMAC-SHA256.",
    )
}

fn text<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name).and_then(|value| value.to_str().ok()).map(str::trim)
}

/// Reads `YYYYMMDDTHHMMSSZ`.
fn basic_time(text: &str) -> Option<SystemTime> {
    let bytes = text.as_bytes();
    if bytes.len() != 16 || bytes[8] != b'T' || bytes[15] != b'Z' {
        return None;
    }
    let number = |range: std::ops::Range<usize>| -> Option<u64> {
        let digits = text.get(range)?;
        digits.bytes().all(|byte| byte.is_ascii_digit()).then(|| digits.parse().ok())?
    };
    let (year, month, day) = (number(0..4)?, number(4..6)?, number(6..8)?);
    let (hour, minute, second) = (number(9..11)?, number(11..13)?, number(13..15)?);
    if !(1970..=9999).contains(&year) || !(1..=12).contains(&month) || !(1..=31).contains(&day) {
        return None;
    }
    if hour > 23 || minute > 59 || second > 59 {
        return None;
    }
    let seconds = days_since_1970(year, month, day) * 86_400 + hour * 3600 + minute * 60 + second;
    SystemTime::UNIX_EPOCH.checked_add(Duration::from_secs(seconds))
}

/// Days from 1970-01-01 to a day of the Gregorian calendar, years counted from March.
fn days_since_1970(year: u64, month: u64, day: u64) -> u64 {
    let year = if month <= 2 { year - 1 } else { year };
    let month = (month + 9) % 12;
    365 * year + year / 4 - year / 100 + year / 400 + (month * 306 + 5) / 10 + day - 1 - 719_468
}

/// Writes `YYYYMMDDTHHMMSSZ`.
fn basic_text(at: SystemTime) -> String {
    let http = httpdate::fmt_http_date(at);
    // "Sun, 06 Nov 1994 08:49:37 GMT"
    let months = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
    let month = months.iter().position(|name| *name == &http[8..11]).unwrap_or(0) + 1;
    let clock = http[17..25].replace(':', "");
    format!("{}{month:02}{}T{clock}Z", &http[12..16], &http[5..7])
}

/// Takes the claim out of a query: what is left is S3's own.
pub(crate) fn without_claim(query: &str) -> String {
    let is_claim = |pair: &&str| {
        let name = pair.split('=').next().unwrap_or("");
        percent_decoded(name).is_some_and(|name| {
            let name = name.to_ascii_lowercase();
            matches!(
                name.as_str(),
                "x-amz-algorithm"
                    | "x-amz-credential"
                    | "x-amz-date"
                    | "x-amz-expires"
                    | "x-amz-signedheaders"
                    | "x-amz-signature"
                    | "x-amz-content-sha256"
            )
        })
    };
    query.split('&').filter(|pair| !is_claim(pair)).collect::<Vec<_>>().join("&")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_survives_its_text() {
        for (text, seconds) in [
            ("19700101T000000Z", 0),
            ("20000229T235959Z", 951_868_799),
            ("20130524T000000Z", 1_369_353_600),
            ("20261121T113000Z", 1_795_260_600),
        ] {
            let at = SystemTime::UNIX_EPOCH + Duration::from_secs(seconds);
            assert_eq!(basic_time(text), Some(at), "{text}");
            assert_eq!(basic_text(at), text);
        }
        for text in [
            "",
            "20130524T000000",
            "2013-05-24T00:00Z",
            "20131324T000000Z",
            "20130524T006000Z",
            "２0130524T000000Z",
        ] {
            assert_eq!(basic_time(text), None, "{text}");
        }
    }

    #[test]
    fn a_credential_is_read_from_its_end() {
        let scope = Scope::read("alice/host@REALM/20260101/us-east-1/s3/aws4_request").unwrap();
        assert_eq!((scope.access_id.as_str(), scope.region.as_str()), ("alice/host@REALM", "us-east-1"));
        for text in [
            "",
            "a/b",
            "a/20260101/r/s3/other",
            "a/20260101/r/ec2/aws4_request",
            "/20260101/r/s3/aws4_request",
        ] {
            assert!(Scope::read(text).is_err(), "{text}");
        }
    }

    #[test]
    fn only_the_claim_leaves_the_query() {
        let query = "uploads&X-Amz-Date=1&prefix=a%20b&X-Amz-Signature=2&x-id=PutObject";
        assert_eq!(without_claim(query), "uploads&prefix=a%20b&x-id=PutObject");
    }
}
