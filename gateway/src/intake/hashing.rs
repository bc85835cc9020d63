//! Everything that is computed over a body's bytes, in one pass, away from the threads that serve connections.
//!
//! Shape   a [`Hashing`] takes [`Piece`]s in order; [`Hashing::run`] carries a batch of them through the lanes of MD5 and, for
//!         SHA, through the pool of blocking threads, with a permit each, so that no more hashing runs than there are cores.
//!         CRCs, some 20 GB/s, are computed where the batch is.
//! Units   batches below [`INLINE_MAX`] bytes are hashed where they are: the way to another thread would cost more.

use std::collections::VecDeque;
use std::sync::Arc;

use bytes::Bytes;
use s3s::S3ErrorCode;
use sha2::{Digest as _, Sha256};
use tokio::sync::Semaphore;

use super::checksum::{Algorithm, Checksum, Running};
use super::chunked::Piece;
use super::md5_lanes::{Lanes, Stream};
use crate::auth::is_same;
use crate::auth::sigv4::ChunkSigner;
use crate::fault::{Fault, code};

/// Longest batch that is hashed on the thread that received it: some 30 µs of MD5.
const INLINE_MAX: usize = 16 * 1024;

/// Runs hashing on threads that may be busy.
#[derive(Clone, Debug)]
pub(crate) struct HashPool {
    permits: Arc<Semaphore>,
    lanes: Lanes,
}

impl HashPool {
    pub(crate) fn new(threads: usize) -> HashPool {
        // One worker hashes several bodies at once: few are enough, and fuller.
        let lanes = Lanes::new(threads.div_ceil(4));
        HashPool { permits: Arc::new(Semaphore::new(threads.max(1))), lanes }
    }
}

/// The digests of one body.
pub(crate) struct Hashing {
    md5: Option<Stream>,
    sha256: Option<Sha256>,
    chunks: Option<Chunks>,
    checksum: Option<Running>,
}

/// Signed chunks: the digest of the one that is coming in.
struct Chunks {
    signer: ChunkSigner,
    digest: Sha256,
}

/// What a body's bytes came to.
pub(crate) struct Digests {
    pub(crate) md5: Option<[u8; 16]>,
    pub(crate) sha256: Option<[u8; 32]>,
    pub(crate) checksum: Option<Checksum>,
    /// To check the trailing headers with.
    pub(crate) signer: Option<ChunkSigner>,
}

impl Hashing {
    pub(crate) fn new(
        md5: bool,
        sha256: bool,
        signer: Option<ChunkSigner>,
        checksum: Option<Algorithm>,
    ) -> Hashing {
        Hashing {
            md5: md5.then(Stream::new),
            sha256: sha256.then(Sha256::new),
            chunks: signer.map(|signer| Chunks { signer, digest: Sha256::new() }),
            checksum: checksum.map(Running::new),
        }
    }

    /// Hashes `batch`, in order.
    ///
    /// Not cancel safe: dropped early, the hashing is lost with its result.
    ///
    /// # Errors
    /// SignatureDoesNotMatch for a chunk that was tampered with.
    pub(crate) async fn run(self, pool: &HashPool, batch: Vec<Piece>) -> Result<Hashing, Fault> {
        let len: usize = batch.iter().filter_map(Piece::data).map(Bytes::len).sum();
        if len <= INLINE_MAX {
            return self.feed(batch);
        }
        let mut hashing = self;
        let md5 = hashing.md5.take();
        let data: VecDeque<Bytes> = batch.iter().filter_map(Piece::data).cloned().collect();
        let md5 = async {
            match md5 {
                Some(stream) => Some(pool.lanes.hash(stream, data).await),
                None => None,
            }
        };
        let (md5, hashed) = tokio::join!(md5, hashing.run_rest(pool, batch));
        Ok(Hashing { md5, ..hashed? })
    }

    /// Hashes all but MD5.
    async fn run_rest(self, pool: &HashPool, batch: Vec<Piece>) -> Result<Hashing, Fault> {
        let is_light = matches!(self.checksum, None | Some(Running::Crc(..)));
        if self.sha256.is_none() && self.chunks.is_none() && is_light {
            return self.feed(batch);
        }
        let permit = pool.permits.clone().acquire_owned().await.expect("the pool is never closed");
        let hashed = tokio::task::spawn_blocking(move || {
            let hashed = self.feed(batch);
            drop(permit);
            hashed
        });
        hashed.await.expect("hashing does not panic")
    }

    fn feed(mut self, batch: Vec<Piece>) -> Result<Hashing, Fault> {
        for piece in &batch {
            match piece {
                Piece::Data(bytes) => self.update(bytes),
                Piece::ChunkEnd(signature) => self.end_chunk(signature.as_deref())?,
                Piece::End(_) => {}
            }
        }
        Ok(self)
    }

    fn update(&mut self, bytes: &Bytes) {
        if let Some(md5) = &mut self.md5 {
            md5.update(bytes);
        }
        if let Some(sha256) = &mut self.sha256 {
            sha256.update(bytes);
        }
        if let Some(chunks) = &mut self.chunks {
            chunks.digest.update(bytes);
        }
        if let Some(checksum) = &mut self.checksum {
            checksum.update(bytes);
        }
    }

    fn end_chunk(&mut self, signature: Option<&str>) -> Result<(), Fault> {
        let Some(chunks) = &mut self.chunks else { return Ok(()) };
        let digest = std::mem::take(&mut chunks.digest).finalize();
        let expected = chunks.signer.next_chunk(&digest);
        match signature {
            Some(signature) if is_same(&expected, signature) => Ok(()),
            Some(_) => Err(chunk_mismatch()),
            None => Err(Fault::new(
                code("InvalidChunkSizeError"),
                "A chunk of the body comes without its signature.",
            )),
        }
    }

    pub(crate) fn finish(self) -> Digests {
        Digests {
            md5: self.md5.map(Stream::finish),
            sha256: self.sha256.map(|sha256| sha256.finalize().into()),
            checksum: self.checksum.map(Running::finish),
            signer: self.chunks.map(|chunks| chunks.signer),
        }
    }
}

pub(crate) fn chunk_mismatch() -> Fault {
    let message = "The chunk or trailer signature we calculated does not match the signature you provided.";
    Fault::new(S3ErrorCode::SignatureDoesNotMatch, message)
}
