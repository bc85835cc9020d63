//! How many bytes of metadata a block costs that is put stripe by stripe.

use crate::child::{DISK, Server};
use crate::client::{Client, id, payload};
use crate::report::Report;
use crate::writes::{CHUNK, GIB};
use crate::{Effort, clean, scratch};
use allotrope_proto::container::ChunkInfo;
use bytes::Bytes;
use prost::Message;
use std::path::Path;

const STRIPES: u64 = 256;

/// Bytes of all RocksDB logs below `dir`.
fn log_bytes(dir: &Path) -> u64 {
    let mut sum = 0;
    for entry in std::fs::read_dir(dir).unwrap().map(Result::unwrap) {
        let path = entry.path();
        if path.is_dir() {
            sum += log_bytes(&path);
        } else if path.extension().is_some_and(|kind| kind == "log") {
            sum += entry.metadata().unwrap().len();
        }
    }
    sum
}

/// Writes one block, a PutBlock with the whole list after each chunk. Returns the bytes the log grew by and the bytes the
/// lists had on the wire.
fn one(client: &Client, server: &Server, dir: &Path, container: i64, stripe_checksum: usize) -> (u64, u64) {
    let (data, chunk) = payload(CHUNK);
    let before = log_bytes(dir);
    let sent = client.streams((server.address, &server.node), 1, move |_, mut connection, _| {
        let (data, chunk) = (data.clone(), chunk.clone());
        async move {
            let (block, mut chunks, mut sent) = (id(container, 1), Vec::new(), 0);
            for at in 0..STRIPES {
                let mut chunk = ChunkInfo {
                    chunk_name: format!("1_chunk_{}", at + 1),
                    offset: at * chunk.len,
                    ..chunk.clone()
                };
                if stripe_checksum > 0 {
                    chunk.stripe_checksum = Some(Bytes::from(vec![at as u8; stripe_checksum]));
                }
                chunks.push(chunk.clone());
                connection.ask(connection.write_chunk(block, chunk, data.clone())).await;
                let put = connection.put_block(block, chunks.clone(), at + 1 == STRIPES);
                sent += put.message.put_block.as_ref().unwrap().encoded_len() as u64;
                connection.ask(put).await;
            }
            sent
        }
    });
    (log_bytes(dir) - before, sent[0])
}

pub(crate) fn measure(report: &mut Report, _: Effort) {
    report.section(
        "Metadata of a growing block",
        "A block of 256 MiB written in 256 stripes of 1 MiB, a PutBlock with the whole list after each, as Ozone's erasure-coding client \
         does; parity replicas and the first carry 1.3 KB of stripe checksums a chunk. What was written is the growth of RocksDB's \
         log; written whole each time it would be what the lists had on the wire.",
        "replica | MiB of metadata a GiB | written whole each time | share",
    );
    let dir = scratch("metadata");
    let (client, server) = (Client::new(), Server::datanode(&dir, DISK));
    let db = dir.join("disk");
    for (name, container, stripe_checksum) in [("data", 1, 0), ("first and parity", 2, 1280)] {
        let (written, sent) = one(&client, &server, &db, container, stripe_checksum);
        let gibs = (STRIPES * CHUNK as u64) as f64 / GIB;
        let mib = |bytes: u64| bytes as f64 / f64::from(1 << 20) / gibs;
        report.row(&[
            name.into(),
            format!("{:.2}", mib(written)),
            format!("{:.1}", mib(sent)),
            format!("1/{:.0}", sent as f64 / written as f64),
        ]);
    }
    drop(server);
    clean("metadata");
}
