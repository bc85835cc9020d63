//! What the gateway's share is held against: its digests alone.

use std::thread::available_parallelism;

use bytes::Bytes;

use crate::intake::checksum::Algorithm;
use crate::intake::chunked::Piece;
use crate::intake::hashing::{HashPool, Hashing};

/// Bytes of a body that are hashed in one go, as the gateway's batches are.
const BATCH: usize = 1 << 20;

/// Hashes `bodies`, all at once, as the gateway hashes the bodies of puts: MD5 and CRC64NVME, and SHA-256 where it is signed.
pub async fn digest(bodies: Vec<Bytes>, sha256: bool) {
    let pool = HashPool::new(available_parallelism().map_or(1, usize::from));
    let one = |mut body: Bytes| {
        let pool = pool.clone();
        async move {
            let mut hashing = Hashing::new(true, sha256, None, Some(Algorithm::Crc64Nvme));
            while !body.is_empty() {
                let batch = vec![Piece::Data(body.split_to(BATCH.min(body.len())))];
                hashing = hashing.run(&pool, batch).await.expect("nothing is promised, so nothing is broken");
            }
            hashing.finish().md5
        }
    };
    let all = bodies.into_iter().map(one).map(tokio::spawn).collect::<Vec<_>>();
    for digest in all {
        assert!(digest.await.expect("hashing does not panic").is_some());
    }
}
