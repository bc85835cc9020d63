//! The front: what happens to every request before and after its operation.
//!
//! Steps   an id; the signature; what is not there is refused; bodies that are XML are read, within a limit, and held to
//!         what was promised of them; the rest is s3s' routing and the operation; errors are written in full; the log.
//! Law     nobody gets to an operation unverified, and no operation sees the claim: s3s is handed requests without it.

use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use allotrope_client::Client;
use http::request::Parts;
use http::{HeaderValue, Method, Request, Response};
use hyper::body::Incoming;
use s3s::S3ErrorCode;
use s3s::dto::StreamingBlob;
use s3s::service::{S3Service, S3ServiceBuilder};
use tokio::sync::OnceCell;

use crate::address::{Domains, Target};
use crate::answer::{self, AsStatus, Context};
use crate::auth::secrets::Secrets;
use crate::auth::sigv4::query_pairs;
use crate::auth::{self, Payload, claim};
use crate::budget::Budget;
use crate::call::{Call, VersioningCache};
use crate::config::Config;
use crate::fault::{Fault, of_client};
use crate::intake::Intake;
use crate::intake::hashing::HashPool;
use crate::intake::promise::Promise;
use crate::intake::source::{Rest, Source};
use crate::metrics::{Answered, Metrics};
use crate::ops::{Gateway, refused};

/// Bytes of a body that is held in memory: a thousand keys to delete, ten thousand parts to join.
const XML_LEN_MAX: u64 = 4 << 20;
/// Bytes that a refused request may still send before its connection is closed.
const DRAIN_LEN_MAX: usize = 16 << 20;
/// Pause between two questions to an OM that does not answer.
const VOLUME_RETRY: Duration = Duration::from_secs(1);
/// How long that may take.
const DRAIN_MAX: Duration = Duration::from_secs(5);

/// What all requests share.
pub(crate) struct Front {
    config: Config,
    client: Client,
    secrets: Secrets,
    domains: Domains,
    service: S3Service,
    pool: HashPool,
    volume: OnceCell<String>,
    versioning: Arc<VersioningCache>,
    metrics: Arc<Metrics>,
}

impl Front {
    pub(crate) fn new(config: Config, client: Client) -> Front {
        let threads = std::thread::available_parallelism().map_or(2, usize::from);
        let pool = HashPool::new(threads);
        let domains = Domains::new(&config.domains);
        let mut builder = S3ServiceBuilder::new(Gateway {
            region: config.region.clone(),
            pool: pool.clone(),
            budget: Budget::new(config.memory),
        });
        builder.set_host(domains.clone());
        Front {
            secrets: Secrets::new(client.clone()),
            service: builder.build(),
            volume: OnceCell::new(),
            versioning: Arc::default(),
            metrics: Arc::default(),
            config,
            client,
            domains,
            pool,
        }
    }

    pub(crate) fn metrics(&self) -> &Arc<Metrics> {
        &self.metrics
    }

    /// Whether the cluster has answered: requests can be carried out.
    pub(crate) fn is_ready(&self) -> bool {
        self.volume.initialized()
    }

    /// Asks OM where S3's buckets are, until it says so.
    pub(crate) async fn find_volume(&self) {
        while let Err(error) = self.volume.get_or_try_init(|| self.client.s3_volume()).await {
            tracing::warn!(%error, "the gateway waits for OM");
            tokio::time::sleep(VOLUME_RETRY).await;
        }
    }

    /// Answers a request.
    pub(crate) async fn answer(self: Arc<Front>, request: Request<Incoming>) -> Response<s3s::Body> {
        let began = Instant::now();
        let (head, body) = request.into_parts();
        let context = Context {
            request_id: uuid::Uuid::new_v4().simple().to_string().to_uppercase()[..16].to_owned(),
            resource: head.uri.path().to_owned(),
            method: head.method.clone(),
        };
        let target = self.target(&head);
        let received = announced(&head.headers);
        let waits = head.headers.contains_key(http::header::EXPECT);
        let (source, rest) = Source::new(body, self.config.idle_max);
        let mut log = Log { user: None, operation: None, code: None };
        let mut response = match self.carry_out(head, source, &target, &mut log).await {
            Ok(response) => response,
            Err(fault) => {
                log.code = Some(fault.code.as_str().to_owned());
                let mut response = answer::of_fault(&fault, &context);
                leave(&mut response, rest, waits).await;
                response
            }
        };
        answer::stamp(response.headers_mut(), &context.request_id);
        let (status, took) = (response.status().as_u16(), began.elapsed());
        log.write(&context, &target, status, took);
        self.metrics.answered(Answered {
            operation: log.operation,
            bucket: target.bucket.as_deref(),
            status,
            took,
            received,
            sent: announced(response.headers()),
        });
        response
    }

    fn target(&self, head: &Parts) -> Target {
        let host = head.headers.get(http::header::HOST).and_then(|host| host.to_str().ok()).unwrap_or("");
        self.domains.target(host, head.uri.path())
    }

    async fn carry_out(
        &self,
        mut head: Parts,
        source: Source,
        target: &Target,
        log: &mut Log,
    ) -> Result<Response<s3s::Body>, Fault> {
        let verified = auth::verify(&head, &self.secrets, &self.config.region, SystemTime::now()).await?;
        log.user = Some(verified.access_id.clone());
        refused::check(&head.headers)?;
        let own = claim::without_claim(head.uri.query().unwrap_or(""));
        refused::check_query(&own, target.key.is_some(), head.method == Method::PUT)?;
        if is_form(&head) {
            log.operation = Some("PostObject");
            return Err(Fault::not_implemented("PostObject"));
        }
        let streams = streams(&head, target);
        let (body, promised) = self.body(&head, source, verified.payload, streams, target).await?;
        prepare(&mut head)?;
        let volume = self.volume.get_or_try_init(|| self.client.s3_volume()).await.map_err(of_client)?;
        let user = verified.access_id;
        let call = Arc::new(Call::new(
            self.client.of_user(&user),
            user,
            volume.clone(),
            promised,
            self.versioning.clone(),
        ));
        head.extensions.insert(call.clone());
        let answered = self.service.call(Request::from_parts(head, body)).await;
        log.operation = call.operation();
        let mut response = answered.map_err(|error| {
            tracing::error!(error = ?error, "s3s cannot answer");
            Fault::new(S3ErrorCode::InternalError, "We encountered an internal error. Please try again.")
        })?;
        if response.status().is_client_error()
            || response.status().is_server_error()
            || response.status() == http::StatusCode::NOT_MODIFIED
        {
            return Err(answer::fault_of(response, call.take_fault()).await);
        }
        if let Some(AsStatus(status)) = response.extensions().get().copied() {
            *response.status_mut() = status;
        }
        Ok(response)
    }

    /// The body as the operation gets it: read and judged already, or to be read by it.
    async fn body(
        &self,
        head: &Parts,
        source: Source,
        payload: Payload,
        streams: bool,
        target: &Target,
    ) -> Result<(s3s::Body, Option<(Payload, Promise)>), Fault> {
        let chunked = matches!(payload, Payload::Chunked { .. });
        let len_max = if streams { self.config.body_len_max } else { XML_LEN_MAX };
        let promise = Promise::read(&head.headers, chunked, len_max);
        let body = s3s::Body::http_body_unsync(source);
        if streams {
            let promise = promise?;
            if promise.len.is_none() {
                let message = "You must provide the Content-Length HTTP header.";
                return Err(Fault::new(S3ErrorCode::MissingContentLength, message));
            }
            return Ok((body, Some((payload, promise))));
        }
        let mut promise = promise.map_err(too_long_a_message)?;
        if head.method == Method::POST && target.key.is_some() {
            // The checksum of a completion is the object's, not this body's.
            promise.checksum = None;
        }
        let intake = Intake::new(StreamingBlob::from(body), payload, promise, self.pool.clone());
        let bytes = intake.read_all().await.map_err(too_long_a_message)?;
        Ok((s3s::Body::from(bytes), None))
    }
}

/// The bytes that a head announces.
fn announced(headers: &http::HeaderMap) -> u64 {
    let len = headers.get(http::header::CONTENT_LENGTH).and_then(|len| len.to_str().ok()?.parse().ok());
    len.unwrap_or(0)
}

fn too_long_a_message(fault: Fault) -> Fault {
    if fault.code == S3ErrorCode::EntityTooLarge {
        return Fault::new(S3ErrorCode::MaxMessageLengthExceeded, "Your request was too big.");
    }
    fault
}

/// Whether the operation reads the body itself: PutObject and UploadPart do.
fn streams(head: &Parts, target: &Target) -> bool {
    if head.method != Method::PUT || target.bucket.is_none() || target.key.is_none() {
        return false;
    }
    if head.headers.contains_key("x-amz-copy-source") {
        return false;
    }
    let names = query_pairs(head.uri.query().unwrap_or("")).unwrap_or_default();
    !names.iter().any(|(name, _)| matches!(name.as_str(), "acl" | "legal-hold" | "retention" | "tagging"))
}

fn is_form(head: &Parts) -> bool {
    let kind = head.headers.get(http::header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok());
    head.method == Method::POST
        && kind.is_some_and(|kind| kind.trim_start().starts_with("multipart/form-data"))
}

/// Makes a verified request one that s3s takes as it is: the claim is gone, headers have the form that s3s knows.
fn prepare(head: &mut Parts) -> Result<(), Fault> {
    head.headers.remove(http::header::AUTHORIZATION);
    head.headers.remove("x-amz-content-sha256");
    if let Some(query) = head.uri.query() {
        let kept = claim::without_claim(query);
        let path = head.uri.path();
        let uri = if kept.is_empty() { path.to_owned() } else { format!("{path}?{kept}") };
        head.uri = uri
            .parse()
            .map_err(|_| Fault::new(S3ErrorCode::InvalidURI, "Couldn't parse the specified URI."))?;
    }
    // A range that is none is as good as no range.
    let range = head.headers.get(http::header::RANGE).and_then(|range| range.to_str().ok());
    if range.is_some_and(|range| s3s::dto::Range::parse(range).is_err()) {
        head.headers.remove(http::header::RANGE);
    }
    for name in ["if-match", "if-none-match", "x-amz-copy-source-if-match", "x-amz-copy-source-if-none-match"]
    {
        let value = head.headers.get(name).and_then(|value| value.to_str().ok()).map(str::trim);
        let bare = value.filter(|value| *value != "*" && !value.contains('"') && !value.is_empty());
        if let Some(quoted) = bare.and_then(|bare| HeaderValue::try_from(format!("\"{bare}\"")).ok()) {
            head.headers.insert(name, quoted);
        }
    }
    Ok(())
}

/// Leaves a connection whose request was refused: what the client still sends is read for a while, or it is closed.
async fn leave(response: &mut Response<s3s::Body>, rest: Rest, waits: bool) {
    // A client that waits for leave to send gets the answer instead.
    let drained = match waits {
        true => false,
        false => tokio::time::timeout(DRAIN_MAX, rest.drain(DRAIN_LEN_MAX)).await.unwrap_or(false),
    };
    if !drained {
        response.headers_mut().insert(http::header::CONNECTION, HeaderValue::from_static("close"));
    }
}

/// What one line of the access log says.
struct Log {
    user: Option<String>,
    operation: Option<&'static str>,
    code: Option<String>,
}

impl Log {
    fn write(&self, context: &Context, target: &Target, status: u16, took: Duration) {
        tracing::info!(
            target: "allotrope_gateway::access",
            request = context.request_id,
            user = self.user.as_deref().unwrap_or("-"),
            operation = self.operation.unwrap_or("-"),
            bucket = target.bucket.as_deref().unwrap_or("-"),
            method = %context.method,
            path = context.resource,
            status,
            code = self.code.as_deref().unwrap_or("-"),
            ms = took.as_millis() as u64,
        );
    }
}
