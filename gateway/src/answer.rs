//! Answers: the document of an error, and what every answer carries.
//!
//! s3s writes errors of its own with a code and a message. They are read back here and written again with what S3 says
//! besides: the resource, the request's id, and the fault's details.

use bytes::Bytes;
use http::header::{CONTENT_TYPE, ETAG};
use http::{HeaderMap, HeaderValue, Method, Response, StatusCode};
use http_body_util::BodyExt;
use s3s::S3ErrorCode;

use crate::fault::{Fault, status_of};

/// Bytes of an error's document that are read back.
const DOCUMENT_LEN_MAX: usize = 64 * 1024;

/// The status of an answer where s3s would give another: put into the response's extensions.
#[derive(Clone, Copy, Debug)]
pub(crate) struct AsStatus(pub(crate) StatusCode);

/// What is said of a request in its answer.
#[derive(Clone, Debug)]
pub(crate) struct Context {
    pub(crate) request_id: String,
    /// The path as it was asked for.
    pub(crate) resource: String,
    pub(crate) method: Method,
}

/// Writes a fault.
pub(crate) fn of_fault(fault: &Fault, context: &Context) -> Response<s3s::Body> {
    let status = status_of(&fault.code);
    let mut response = Response::new(s3s::Body::empty());
    *response.status_mut() = status;
    let etag = fault.details.iter().find(|(name, _)| *name == "ETag").map(|(_, etag)| format!("\"{etag}\""));
    if let Some(etag) = etag.and_then(|etag| HeaderValue::try_from(etag).ok()) {
        response.headers_mut().insert(ETAG, etag);
    }
    if status == StatusCode::NOT_MODIFIED || context.method == Method::HEAD {
        return response;
    }
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/xml"));
    *response.body_mut() = s3s::Body::from(document(fault, context));
    response
}

fn document(fault: &Fault, context: &Context) -> String {
    let mut text = format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<Error><Code>{}</Code><Message>{}</Message>",
        escaped(fault.code.as_str()),
        escaped(&fault.message)
    );
    for (name, value) in &fault.details {
        text.push_str(&format!("<{name}>{}</{name}>", escaped(value)));
    }
    let (resource, id) = (escaped(&context.resource), &context.request_id);
    text.push_str(&format!(
        "<Resource>{resource}</Resource><RequestId>{id}</RequestId><HostId>{id}</HostId></Error>"
    ));
    text
}

/// Text as XML holds it; what XML 1.0 cannot hold is replaced.
fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\t' | '\n' => out.push(c),
            c if (c as u32) < 0x20 || matches!(c, '\u{FFFE}' | '\u{FFFF}') => out.push('\u{FFFD}'),
            c => out.push(c),
        }
    }
    out
}

/// An error that s3s wrote, as a fault; its details are lost but for those of `kept`.
pub(crate) async fn fault_of(response: Response<s3s::Body>, kept: Option<Fault>) -> Fault {
    let status = response.status();
    let limited = http_body_util::Limited::new(response.into_body(), DOCUMENT_LEN_MAX);
    let bytes = limited.collect().await.map(|body| body.to_bytes()).unwrap_or_else(|_| Bytes::new());
    let text = String::from_utf8_lossy(&bytes);
    let element = |name: &str| {
        let (open, close) = (format!("<{name}>"), format!("</{name}>"));
        let rest = text.split_once(&open)?.1;
        Some(unescaped(rest.split_once(&close)?.0))
    };
    let found = element("Code").and_then(|code| S3ErrorCode::from_bytes(code.as_bytes()));
    let Some(found) = found else {
        let silent = match status {
            StatusCode::NOT_MODIFIED => S3ErrorCode::NotModified,
            _ => S3ErrorCode::InternalError,
        };
        return kept
            .unwrap_or_else(|| Fault::new(silent, "We encountered an internal error. Please try again."));
    };
    match kept.filter(|kept| kept.code == found) {
        Some(kept) => kept,
        None => {
            let message = element("Message").unwrap_or_else(|| default_message(&found).to_owned());
            Fault::new(found, message)
        }
    }
}

fn default_message(code: &S3ErrorCode) -> &'static str {
    match code {
        S3ErrorCode::InvalidURI => "Couldn't parse the specified URI.",
        S3ErrorCode::InvalidBucketName => "The specified bucket is not valid.",
        S3ErrorCode::KeyTooLongError => "Your key is too long",
        S3ErrorCode::MalformedXML => {
            "The XML you provided was not well-formed or did not validate against our published schema"
        }
        S3ErrorCode::MissingRequestBodyError => "Request Body is empty",
        S3ErrorCode::MethodNotAllowed => "The specified method is not allowed against this resource.",
        _ => "The request cannot be carried out.",
    }
}

fn unescaped(text: &str) -> String {
    let pairs = [("&lt;", "<"), ("&gt;", ">"), ("&quot;", "\""), ("&apos;", "'"), ("&amp;", "&")];
    pairs.iter().fold(text.to_owned(), |text, (from, to)| text.replace(from, to))
}

/// The headers that every answer has.
pub(crate) fn stamp(headers: &mut HeaderMap, request_id: &str) {
    if let Ok(id) = HeaderValue::from_str(request_id) {
        headers.insert("x-amz-request-id", id.clone());
        headers.insert("x-amz-id-2", id);
    }
    headers.insert(http::header::SERVER, HeaderValue::from_static("Allotrope"));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn an_error_survives_its_document() {
        let context =
            Context { request_id: "ID".to_owned(), resource: "/b/<&>\u{1}".to_owned(), method: Method::GET };
        let fault = Fault::new(S3ErrorCode::NoSuchKey, "It's <gone> & \"lost\"").detail("Key", "a<b");
        let response = of_fault(&fault, &context);
        assert_eq!(response.status(), StatusCode::NOT_FOUND);
        let text = document(&fault, &context);
        assert!(
            text.contains("<Key>a&lt;b</Key><Resource>/b/&lt;&amp;&gt;\u{FFFD}</Resource><RequestId>ID"),
            "{text}"
        );
        let found = fault_of(response, None).await;
        assert_eq!((found.code, found.message), (fault.code, fault.message));
    }

    #[test]
    fn an_answer_to_head_has_no_document() {
        let context = Context { request_id: String::new(), resource: String::new(), method: Method::HEAD };
        let response = of_fault(&Fault::new(S3ErrorCode::NoSuchKey, ""), &context);
        assert!(http_body::Body::is_end_stream(response.body()));
    }
}
