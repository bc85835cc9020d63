//! Why a request is refused: one of S3's codes, words, and what else S3 says beside them.
//!
//! Shape   a [`Fault`] is made where a request fails; `front` renders it. [`of_client`] is the one place where the
//!         cluster's errors become S3's.

use std::error::Error as _;
use std::fmt;

use allotrope_client::Error;
use allotrope_types::{Advice, OmStatus};
use s3s::{S3Error, S3ErrorCode};

/// A refusal in S3's words.
#[derive(Clone, Debug)]
pub(crate) struct Fault {
    pub(crate) code: S3ErrorCode,
    pub(crate) message: String,
    /// Further elements of the error's document, by name.
    pub(crate) details: Vec<(&'static str, String)>,
}

impl Fault {
    pub(crate) fn new(code: S3ErrorCode, message: impl Into<String>) -> Fault {
        Fault { code, message: message.into(), details: vec![] }
    }

    pub(crate) fn detail(mut self, name: &'static str, value: impl Into<String>) -> Fault {
        self.details.push((name, value.into()));
        self
    }

    /// An argument that has no meaning; S3 names it and its value.
    pub(crate) fn argument(
        name: &'static str,
        value: impl Into<String>,
        message: impl Into<String>,
    ) -> Fault {
        Fault::new(S3ErrorCode::InvalidArgument, message)
            .detail("ArgumentName", name)
            .detail("ArgumentValue", value)
    }

    /// Something that S3 has and this gateway does not.
    pub(crate) fn not_implemented(what: impl fmt::Display) -> Fault {
        Fault::new(S3ErrorCode::NotImplemented, format!("{what} is not implemented yet"))
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.code.as_str(), self.message)
    }
}

impl std::error::Error for Fault {}

impl From<Fault> for S3Error {
    fn from(fault: Fault) -> S3Error {
        let mut error = S3Error::with_message(fault.code.clone(), fault.message.clone());
        if fault.code.status_code().is_none() {
            error.set_status_code(status_of(&fault.code));
        }
        error.set_source(Box::new(fault));
        error
    }
}

/// The HTTP status of a code, also of those that the S3 model lacks.
pub(crate) fn status_of(code: &S3ErrorCode) -> http::StatusCode {
    use http::StatusCode;
    match code.as_str() {
        "BadRequest" | "XAmzContentSHA256Mismatch" | "InvalidChunkSizeError" | "MalformedTrailerError" => {
            StatusCode::BAD_REQUEST
        }
        "ConditionalRequestConflict" => StatusCode::CONFLICT,
        "NoSuchTagSet" | "NoSuchVersion" => StatusCode::NOT_FOUND,
        "InvalidPartNumber" => StatusCode::RANGE_NOT_SATISFIABLE,
        "QuotaExceeded" => StatusCode::FORBIDDEN,
        _ => code.status_code().unwrap_or(StatusCode::INTERNAL_SERVER_ERROR),
    }
}

/// A code that the S3 model lacks.
pub(crate) fn code(name: &'static str) -> S3ErrorCode {
    S3ErrorCode::from_bytes(name.as_bytes()).expect("a code is ASCII")
}

/// What an error of the cluster is in S3's words. The cause is logged here, once: the client is told less.
pub(crate) fn of_client(error: Error) -> Fault {
    judged(&error)
}

/// As [`of_client`].
pub(crate) fn judged(error: &Error) -> Fault {
    use OmStatus as Om;
    use S3ErrorCode as S3;
    let (code, message) = match error.om_status() {
        Some(Om::BucketNotFound | Om::VolumeNotFound) => {
            (S3::NoSuchBucket, "The specified bucket does not exist")
        }
        Some(Om::KeyNotFound | Om::FileNotFound | Om::DirectoryNotFound) => {
            (S3::NoSuchKey, "The specified key does not exist.")
        }
        Some(Om::BucketAlreadyExists) => (S3::BucketAlreadyExists, "The requested bucket name is taken."),
        Some(Om::BucketNotEmpty | Om::ContainsSnapshot) => {
            (S3::BucketNotEmpty, "The bucket you tried to delete is not empty")
        }
        Some(Om::NoSuchMultipartUploadError) => (S3::NoSuchUpload, NO_SUCH_UPLOAD),
        Some(Om::InvalidPart) => (S3::InvalidPart, INVALID_PART),
        Some(Om::InvalidPartOrder) => (S3::InvalidPartOrder, "The list of parts was not in ascending order."),
        Some(Om::EntityTooSmall) => {
            (S3::EntityTooSmall, "Your proposed upload is smaller than the minimum allowed size")
        }
        Some(Om::KeyAlreadyExists | Om::EtagMismatch | Om::EtagNotAvailable) => {
            (S3::PreconditionFailed, "At least one of the pre-conditions you specified did not hold")
        }
        Some(Om::AtomicWriteConflict) => (
            S3::ConditionalRequestConflict,
            "A conflicting operation happened during this request; try again",
        ),
        Some(
            Om::AccessDenied | Om::PermissionDenied | Om::InvalidToken | Om::Unauthorized | Om::UserMismatch,
        ) => (S3::AccessDenied, "Access Denied"),
        Some(Om::InvalidBucketName) => (S3::InvalidBucketName, "The specified bucket is not valid."),
        Some(Om::TooManyBuckets) => (S3::TooManyBuckets, "You have more buckets than are allowed."),
        Some(Om::QuotaExceeded) => (code("QuotaExceeded"), "The bucket's or the volume's quota is exceeded."),
        Some(Om::ScmInSafeMode | Om::NotSupportedOperationWhenPrepared) => {
            (S3::ServiceUnavailable, "The cluster is starting; try again")
        }
        Some(
            Om::InvalidKeyName
            | Om::InvalidPath
            | Om::InvalidRequest
            | Om::NotAFile
            | Om::FileAlreadyExists
            | Om::DirectoryNotEmpty,
        ) => {
            return Fault::new(S3::InvalidRequest, words(error));
        }
        Some(Om::NotSupportedOperation) => return Fault::new(S3::NotImplemented, words(error)),
        _ if matches!(error, Error::Unsupported { .. }) => {
            return Fault::new(S3::NotImplemented, error.to_string());
        }
        _ if matches!(error, Error::Length { .. }) => {
            (S3::IncompleteBody, "The body has another length than was announced")
        }
        _ => return internal(error),
    };
    Fault::new(code, message)
}

/// S3's words for an upload that is not there.
pub(crate) const NO_SUCH_UPLOAD: &str = "The specified upload does not exist. The upload ID may be invalid, or the \
                                         upload may have been aborted or completed.";
/// S3's words for a part that is not there, or is another one.
pub(crate) const INVALID_PART: &str = "One or more of the specified parts could not be found. The part may not have \
                                       been uploaded, or the specified entity tag may not match the part's entity tag.";

fn words(error: &Error) -> String {
    match error {
        Error::Refused { message, .. } if !message.is_empty() => message.clone(),
        other => other.to_string(),
    }
}

fn internal(error: &Error) -> Fault {
    let mut cause = error.source();
    let mut text = error.to_string();
    while let Some(next) = cause {
        text = format!("{text}: {next}");
        cause = next.source();
    }
    tracing::error!(error = text, "the cluster fails a request");
    match error.advice() {
        Advice::RetryLater => {
            Fault::new(S3ErrorCode::ServiceUnavailable, "The cluster does not answer now; try again")
        }
        _ => Fault::new(S3ErrorCode::InternalError, "We encountered an internal error. Please try again."),
    }
}
