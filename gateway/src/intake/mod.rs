//! Taking a request's body in: its bytes in order, held to everything that was promised about them.
//!
//! Shape   an [`Intake`] reads the connection in batches of about [`BATCH_LEN`]; each batch is hashed while its bytes go on
//!         to the cluster. [`Intake::finish`] judges: length, payload signature, chunk and trailer signatures, Content-MD5,
//!         checksum. Nothing that was written counts before it has.
//! Errors  AWS's codes: IncompleteBody, XAmzContentSHA256Mismatch, SignatureDoesNotMatch, BadDigest, InvalidDigest,
//!         MalformedTrailerError, RequestTimeout.

pub(crate) mod checksum;
pub(crate) mod chunked;
pub(crate) mod hashing;
mod md5_lanes;
pub(crate) mod promise;
pub(crate) mod source;

use bytes::Bytes;
use futures_util::StreamExt;
use s3s::S3ErrorCode;
use s3s::dto::StreamingBlob;

use crate::auth::Payload;
use crate::auth::is_same;
use crate::auth::sigv4::hex;
use crate::fault::{Fault, code, judged};
use checksum::{Algorithm, Checksum};
use chunked::{Decoder, Piece};
use hashing::{HashPool, Hashing, chunk_mismatch};
use promise::{BodyChecksum, Promise};
use source::BodyError;

/// Bytes of a batch, more or less: what is hashed and sent on at once.
const BATCH_LEN: usize = 1 << 20;

/// A body on its way in.
pub(crate) struct Intake {
    source: StreamingBlob,
    form: Form,
    promise: Promise,
    pool: HashPool,
    /// `None` while a batch is being hashed, and after that failed.
    hashing: Option<Hashing>,
    taken: u64,
    over: bool,
    trailers: Vec<(String, String)>,
}

enum Form {
    Plain,
    Chunked { decoder: Decoder, rest: Bytes, trailing: bool },
}

/// What the body turned out to be.
#[derive(Debug)]
pub(crate) struct Taken {
    pub(crate) md5: [u8; 16],
    pub(crate) checksum: Option<Checksum>,
}

impl Intake {
    pub(crate) fn new(source: StreamingBlob, payload: Payload, promise: Promise, pool: HashPool) -> Intake {
        let algorithm = promise.checksum.as_ref().map(BodyChecksum::algorithm);
        let (form, sha256, signer) = match payload {
            Payload::Unsigned => (Form::Plain, None, None),
            Payload::Signed(digest) => (Form::Plain, Some(digest), None),
            Payload::Chunked { signer, trailing } => {
                (Form::Chunked { decoder: Decoder::new(), rest: Bytes::new(), trailing }, None, signer)
            }
        };
        let hashing = Hashing::new(true, sha256.is_some(), signer, algorithm);
        Intake {
            source,
            form,
            promise: Promise { sha256, ..promise },
            pool,
            hashing: Some(hashing),
            taken: 0,
            over: false,
            trailers: vec![],
        }
    }

    /// The bytes that were announced.
    pub(crate) fn announced(&self) -> Option<u64> {
        self.promise.len
    }

    /// The next batch, never empty; `None` at the end.
    pub(crate) async fn next(&mut self) -> Result<Option<Batch>, Fault> {
        let mut pieces = vec![];
        let mut len = 0;
        while len < BATCH_LEN && !self.over {
            let before = pieces.len();
            self.read(&mut pieces).await?;
            for piece in &pieces[before..] {
                if let Piece::Data(bytes) = piece {
                    len += bytes.len();
                }
            }
            self.check_len_so_far(len as u64)?;
        }
        self.taken += len as u64;
        Ok((!pieces.is_empty()).then_some(Batch { pieces }))
    }

    fn check_len_so_far(&self, more: u64) -> Result<(), Fault> {
        let taken = self.taken + more;
        if self.promise.len.is_some_and(|announced| taken > announced) {
            return Err(incomplete());
        }
        if taken > self.promise.len_max {
            return Err(self.promise.too_large(taken));
        }
        Ok(())
    }

    /// Reads what the connection has next into `pieces`.
    async fn read(&mut self, pieces: &mut Vec<Piece>) -> Result<(), Fault> {
        if let Form::Chunked { decoder, rest, .. } = &mut self.form {
            while let Some(piece) = decoder.next(rest).map_err(|why| malformed(&why))? {
                keep(piece, pieces, &mut self.trailers);
            }
        }
        match self.source.next().await {
            Some(Ok(bytes)) => match &mut self.form {
                Form::Plain => pieces.push(Piece::Data(bytes)),
                Form::Chunked { rest, .. } => *rest = bytes,
            },
            Some(Err(error)) => return Err(body_fault(&*error)),
            None => {
                if let Form::Chunked { decoder, .. } = &mut self.form
                    && let Some(piece) = decoder.finish().map_err(|_| incomplete())?
                {
                    keep(piece, pieces, &mut self.trailers);
                }
                self.over = true;
            }
        }
        Ok(())
    }

    /// The next batch, while `batch` is hashed.
    pub(crate) async fn next_while_hashing(&mut self, batch: Batch) -> Result<Option<Batch>, Fault> {
        let hashing = self.hashing.take().expect("batches are hashed one after the other");
        let pool = self.pool.clone();
        let (hashing, next) = tokio::try_join!(hashing.run(&pool, batch.pieces), self.next())?;
        self.hashing = Some(hashing);
        Ok(next)
    }

    /// Judges the body when its end was seen.
    pub(crate) fn finish(mut self) -> Result<Taken, Fault> {
        assert!(self.over, "a body is judged at its end");
        if self.promise.len.is_some_and(|announced| announced != self.taken) {
            return Err(incomplete());
        }
        let digests = self.hashing.take().expect("the last batch was hashed").finish();
        if self.promise.sha256.is_some() && digests.sha256 != self.promise.sha256 {
            let message = "The provided 'x-amz-content-sha256' header does not match what was computed.";
            let (client, computed) =
                (self.promise.sha256.unwrap_or_default(), digests.sha256.unwrap_or_default());
            return Err(Fault::new(code("XAmzContentSHA256Mismatch"), message)
                .detail("ClientComputedContentSHA256", hex(&client))
                .detail("S3ComputedContentSHA256", hex(&computed)));
        }
        let trailers = self.checked_trailers(digests.signer)?;
        let md5 = digests.md5.expect("it is computed for every body");
        if let Some(wanted) = self.promise.md5.filter(|wanted| *wanted != md5) {
            let message = "The Content-MD5 you specified did not match what we received.";
            return Err(Fault::new(S3ErrorCode::BadDigest, message)
                .detail("ExpectedDigest", hex(&wanted))
                .detail("CalculatedDigest", hex(&md5)));
        }
        if let Some(promised) = &self.promise.checksum {
            let found = digests.checksum.as_ref().expect("a promised checksum is computed");
            promised.check(found, &trailers)?;
        }
        Ok(Taken { md5, checksum: digests.checksum })
    }

    fn checked_trailers(
        &mut self,
        signer: Option<crate::auth::sigv4::ChunkSigner>,
    ) -> Result<Vec<(String, String)>, Fault> {
        let mut trailers = std::mem::take(&mut self.trailers);
        let signature = trailers.iter().position(|(name, _)| name == "x-amz-trailer-signature");
        let signature = signature.map(|at| trailers.remove(at).1);
        let Form::Chunked { trailing: true, .. } = self.form else { return Ok(trailers) };
        if let Some(mut signer) = signer {
            let mut sorted = trailers.clone();
            sorted.sort();
            let canonical: String = sorted.iter().map(|(name, value)| format!("{name}:{value}\n")).collect();
            let expected = signer.trailer(&canonical);
            if !signature.is_some_and(|signature| is_same(&signature, &expected)) {
                return Err(chunk_mismatch());
            }
        }
        Ok(trailers)
    }

    /// Takes a body that is held in memory: what S3 sends as XML.
    pub(crate) async fn read_all(mut self) -> Result<Bytes, Fault> {
        let mut all = bytes::BytesMut::new();
        let mut batch = self.next().await?;
        while let Some(now) = batch {
            now.data().iter().for_each(|bytes| all.extend_from_slice(bytes));
            batch = self.next_while_hashing(now).await?;
        }
        self.finish()?;
        Ok(all.freeze())
    }
}

/// Some bytes of a body, and the marks between them.
pub(crate) struct Batch {
    pieces: Vec<Piece>,
}

impl Batch {
    /// The bytes, in the pieces they came in.
    pub(crate) fn data(&self) -> Vec<Bytes> {
        self.pieces.iter().filter_map(Piece::data).cloned().collect()
    }
}

/// Trailing headers are kept for the end, all else goes on.
fn keep(piece: Piece, pieces: &mut Vec<Piece>, trailers: &mut Vec<(String, String)>) {
    match piece {
        Piece::End(found) => *trailers = found,
        piece => pieces.push(piece),
    }
}

pub(crate) fn incomplete() -> Fault {
    let message = "You did not provide the number of bytes specified by the Content-Length HTTP header.";
    Fault::new(S3ErrorCode::IncompleteBody, message)
}

fn malformed(why: &chunked::Malformed) -> Fault {
    Fault::new(S3ErrorCode::InvalidRequest, why.to_string())
}

fn body_fault(error: &(dyn std::error::Error + Send + Sync + 'static)) -> Fault {
    // The bytes of a copy come from the cluster.
    if let Some(error) = error.downcast_ref::<allotrope_client::Error>() {
        return judged(error);
    }
    match error.downcast_ref::<BodyError>() {
        Some(BodyError::Idle) => Fault::new(
            S3ErrorCode::RequestTimeout,
            "Your socket connection to the server was not read from or written to within the timeout period. Idle \
             connections will be closed.",
        ),
        _ => incomplete(),
    }
}

/// The header and the kind of the checksum that a request's trailing headers are to bring.
pub(crate) fn announced_trailer(value: &str) -> Option<Algorithm> {
    value.split(',').find_map(|name| Algorithm::of_header(&name.trim().to_ascii_lowercase()))
}
