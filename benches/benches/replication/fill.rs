//! Containers to copy and to rebuild: closed, with every byte verified by their datanodes.

use crate::MIB;
use crate::child::Place;
use crate::client::{Client, WINDOW, id};
use allotrope_ec::{Codec, Layout};
use allotrope_proto::checksum::{ChecksumKind, ChecksumSpec, Checksums};
use allotrope_proto::container::{ChecksumData, ChecksumType, ChunkInfo, DatanodeBlockId, KeyValue};
use bytes::Bytes;
use std::path::{Path, PathBuf};

/// Bytes of a chunk, Ozone's default.
const CHUNK: u64 = 4 * MIB;
/// Blocks of a container that is copied.
const BLOCKS: usize = 8;
/// Blocks of a container that is rebuilt.
pub(crate) const GROUPS: u64 = 8;

/// How the bench's bytes are checksummed: as Ozone's clients do by default.
pub(crate) fn spec() -> ChecksumSpec {
    ChecksumSpec::new(ChecksumKind::Crc32, WINDOW).unwrap()
}

/// Bytes of which a compression takes half away: random ones and zeros by turns.
pub(crate) fn half_random(len: usize) -> Vec<u8> {
    let mut x = 0x9e37_79b9_7f4a_7c15u64;
    let mut data = vec![0; len];
    for word in data.chunks_exact_mut(128) {
        for part in word[..64].chunks_exact_mut(8) {
            x ^= x << 13;
            x ^= x >> 7;
            x ^= x << 17;
            part.copy_from_slice(&x.to_be_bytes());
        }
    }
    data
}

fn chunk(name: String, offset: u64, data: &[u8]) -> ChunkInfo {
    ChunkInfo {
        chunk_name: name,
        offset,
        len: data.len() as u64,
        checksum_data: ChecksumData {
            r#type: ChecksumType::Crc32.into(),
            bytes_per_checksum: WINDOW,
            checksums: Checksums::compute(spec(), data).values().collect(),
        },
        ..Default::default()
    }
}

/// Writes and closes a container of about `len` bytes.
pub(crate) fn plain(client: &Client, place: &Place, container: i64, len: u64) {
    let data = Bytes::from(half_random(CHUNK as usize));
    let like = chunk(String::new(), 0, &data);
    let chunks_each = len / CHUNK / BLOCKS as u64;
    client.streams((place.address, &place.node), BLOCKS, move |_, mut connection, n| {
        let (data, like) = (data.clone(), like.clone());
        async move {
            let (block, mut chunks) = (id(container, n as i64 + 1), Vec::new());
            for at in 0..chunks_each {
                let name = format!("{}_chunk_{}", n + 1, at + 1);
                let one = ChunkInfo { chunk_name: name, offset: at * CHUNK, ..like.clone() };
                chunks.push(one.clone());
                connection.ask(connection.write_chunk(block, one, data.clone())).await;
            }
            connection.ask(connection.put_block(block, chunks, true)).await;
        }
    });
    close(client, place, container);
}

/// Writes and closes the replicas of an erasure-coded container: [`GROUPS`] blocks of `stripes` full stripes, all alike.
pub(crate) fn coded(client: &Client, places: &[Place], container: i64, layout: Layout, stripes: u64) {
    let (scheme, cell_len) = (layout.scheme(), layout.cell_len());
    let source = half_random(cell_len + 64 * scheme.data());
    let mut cells: Vec<Vec<u8>> =
        (0..scheme.data()).map(|cell| source[64 * cell..64 * cell + cell_len].to_vec()).collect();
    let mut parity = vec![vec![0; cell_len]; scheme.cells() - scheme.data()];
    let data: Vec<&[u8]> = cells.iter().map(Vec::as_slice).collect();
    let mut into: Vec<&mut [u8]> = parity.iter_mut().map(Vec::as_mut_slice).collect();
    Codec::new(scheme).encode_padded(&data, &mut into).unwrap();
    cells.extend(parity);
    let sums = |cell: &Vec<u8>| Checksums::compute(spec(), cell).joined().to_vec();
    let joined: Bytes = cells.iter().flat_map(sums).collect();
    let group_len = stripes * (scheme.data() * cell_len) as u64;
    for (index, (place, cell)) in places.iter().zip(cells).enumerate() {
        let keeps_all = index == 0 || index >= scheme.data();
        let mut like = chunk(String::new(), 0, &cell);
        like.stripe_checksum = keeps_all.then(|| joined.clone());
        let cell = Bytes::from(cell);
        client.streams((place.address, &place.node), GROUPS as usize, move |_, mut connection, n| {
            let (cell, like) = (cell.clone(), like.clone());
            async move {
                let local = n as i64 + 1;
                let block = DatanodeBlockId { replica_index: Some(index as i32 + 1), ..id(container, local) };
                let mut chunks = Vec::new();
                for stripe in 0..stripes {
                    let name = format!("{local}_chunk_{}", stripe + 1);
                    let offset = stripe * cell.len() as u64;
                    let one = ChunkInfo { chunk_name: name, offset, ..like.clone() };
                    chunks.push(one.clone());
                    connection.ask(connection.write_chunk(block, one, cell.clone())).await;
                }
                let mut put = connection.put_block(block, chunks, true);
                let pair = KeyValue { key: "blockGroupLen".into(), value: Some(group_len.to_string()) };
                put.message.put_block.as_mut().unwrap().block_data.metadata.push(pair);
                connection.ask(put).await;
            }
        });
        close(client, place, container);
    }
}

fn close(client: &Client, place: &Place, container: i64) {
    client.streams((place.address, &place.node), 1, move |_, mut connection, _| async move {
        connection.ask(connection.close_container(container)).await;
    });
}

/// Deletes a container.
pub(crate) fn delete(client: &Client, place: &Place, container: i64) {
    client.streams((place.address, &place.node), 1, move |_, mut connection, _| async move {
        connection.ask(connection.delete_container(container)).await;
    });
}

/// The block files below `dir`.
pub(crate) fn block_files(dir: &Path) -> Vec<PathBuf> {
    let (mut found, mut folders) = (Vec::new(), vec![dir.to_owned()]);
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap().map(Result::unwrap) {
            match entry.path() {
                path if path.is_dir() => folders.push(path),
                path if path.extension().is_some_and(|kind| kind == "block") => found.push(path),
                _ => {}
            }
        }
    }
    found.sort();
    found
}

/// Brings files into the page cache.
pub(crate) fn warm(files: &[PathBuf]) {
    for file in files {
        std::io::copy(&mut std::fs::File::open(file).unwrap(), &mut std::io::sink()).unwrap();
    }
}

/// Takes files out of the page cache.
pub(crate) fn forget(files: &[PathBuf]) {
    for file in files {
        let file = std::fs::File::open(file).unwrap();
        file.sync_all().unwrap();
        rustix::fs::fadvise(&file, 0, None, rustix::fs::Advice::DontNeed).unwrap();
    }
}
