//! The block group that takes stripes.

use std::sync::Arc;

use allotrope_ec::Layout;
use allotrope_proto::Rope;
use allotrope_proto::container::ChunkInfo;
use allotrope_types::Bcsid;
use futures_util::future::join_all;

use super::{Round, Stripe};
use crate::client::Client;
use crate::datanode::{BlockAt, chunk_name};
use crate::error::Error;
use crate::location::{BlockLocation, Member};
use crate::path::KeyPath;
use crate::task::Task;
use crate::write::Blocks;

#[derive(Debug)]
pub(super) struct OpenGroup {
    layout: Layout,
    location: BlockLocation,
    /// By cell.
    replicas: Vec<Replica>,
    /// Data bytes there is room for.
    capacity: u64,
    /// Data bytes in the replicas' files.
    len: u64,
    /// Data bytes that the round of puts on its way covers, and those that finished rounds cover.
    putting_len: u64,
    put_len: u64,
}

#[derive(Debug)]
struct Replica {
    at: BlockAt,
    chunks: Vec<ChunkInfo>,
    len: u64,
}

impl OpenGroup {
    pub(super) fn at(location: BlockLocation, key: &KeyPath, layout: Layout) -> Result<OpenGroup, Error> {
        let unusable = |why: String| Error::OmAnswer {
            act: format!("write {key}"),
            why: format!("block group {} {why}", location.block),
        };
        let cells = layout.scheme().cells();
        let mut members: Vec<Option<Member>> = vec![None; cells];
        for member in &location.members {
            let at = member.replica.map_or(usize::MAX, |index| index.position());
            let free = members.get_mut(at).filter(|member| member.is_none());
            *free.ok_or_else(|| {
                unusable("has a replica index twice, or one that its scheme does not have".into())
            })? = Some(member.clone());
        }
        let replicas = members.into_iter().flatten().map(|member| {
            let at = BlockAt { block: location.block, member };
            Replica { at, chunks: vec![], len: 0 }
        });
        let replicas: Vec<Replica> = replicas.collect();
        if replicas.len() < cells {
            return Err(unusable(format!("has {} of its {cells} replicas", replicas.len())));
        }
        // A replica takes whole cells, so that no stripe but the key's last is short.
        let stripes = location.len / layout.cell_len() as u64;
        let capacity = stripes.checked_mul(layout.stripe_len()).filter(|&capacity| capacity > 0);
        let capacity = capacity.ok_or_else(|| unusable(format!("has room for {} bytes", location.len)))?;
        Ok(OpenGroup { layout, location, replicas, capacity, len: 0, putting_len: 0, put_len: 0 })
    }

    pub(super) fn location(&self) -> &BlockLocation {
        &self.location
    }

    /// Whether no stripe fits any more, behind those that were taken.
    pub(super) fn is_full(&self) -> bool {
        self.len >= self.capacity
    }

    /// Starts to write the cells of `stripe` behind those that are there.
    pub(super) fn write(&self, client: &Client, stripe: Arc<Stripe>) -> Task<Round> {
        let writes: Vec<_> = self
            .replicas
            .iter()
            .zip(&stripe.cells)
            .enumerate()
            .filter(|(_, (_, bytes))| !bytes.is_empty())
            .map(|(cell, (replica, bytes))| (replica.at.clone(), self.chunk(cell, &stripe), bytes.clone()))
            .collect();
        let client = client.clone();
        Task::spawn(async move {
            let writes = writes.into_iter().map(|(at, chunk, bytes)| {
                let client = &client;
                async move { client.datanodes().write_chunk(&at, chunk, Rope::from(bytes)).await }
            });
            all_well(join_all(writes).await)
        })
    }

    /// The chunk that `stripe` adds to the replica of `cell`, as WriteChunk names it.
    fn chunk(&self, cell: usize, stripe: &Stripe) -> ChunkInfo {
        let replica = &self.replicas[cell];
        ChunkInfo {
            chunk_name: chunk_name(self.location.block, replica.chunks.len() + 1),
            offset: replica.len,
            len: stripe.cells[cell].len() as u64,
            metadata: vec![],
            checksum_data: stripe.checksums[cell].clone(),
            stripe_checksum: None,
        }
    }

    /// `stripe` lies in the files.
    pub(super) fn took(&mut self, stripe: &Stripe) {
        let data = self.layout.scheme().data();
        for cell in 0..self.replicas.len() {
            if stripe.cells[cell].is_empty() {
                continue;
            }
            // The first replica and the parity replicas keep the checksums of the whole stripe.
            let keeps_all = cell == 0 || cell >= data;
            let stripe_checksum = keeps_all.then(|| stripe.joined.clone());
            let chunk = ChunkInfo { stripe_checksum, ..self.chunk(cell, stripe) };
            self.replicas[cell].len += chunk.len;
            self.replicas[cell].chunks.push(chunk);
        }
        self.len += stripe.len;
    }

    /// Starts to put all that was taken, on every replica.
    pub(super) fn put(&mut self, client: &Client) -> Task<Round> {
        self.putting_len = self.len;
        // The last data cell of a short stripe is short, so it ends the group.
        let eof = self.is_full() || !self.len.is_multiple_of(self.layout.stripe_len());
        let len = self.len;
        let puts: Vec<_> =
            self.replicas.iter().map(|replica| (replica.at.clone(), replica.chunks.clone())).collect();
        let client = client.clone();
        Task::spawn(async move {
            let puts = puts.into_iter().map(|(at, chunks)| {
                let client = &client;
                let metadata = vec![("blockGroupLen", len.to_string())];
                async move { client.datanodes().put_block(&at, metadata, chunks, eof).await.map(drop) }
            });
            all_well(join_all(puts).await)
        })
    }

    /// The round of puts succeeded.
    pub(super) fn put_done(&mut self) {
        self.put_len = self.putting_len;
    }

    /// Hands in what was put.
    pub(super) fn close(self, blocks: &mut Blocks) {
        blocks.close(&self.location, self.put_len, Bcsid::new(0));
    }
}

fn all_well(outcomes: Vec<Result<(), crate::datanode::DatanodeError>>) -> Round {
    let errors: Vec<_> = outcomes.into_iter().filter_map(Result::err).collect();
    if errors.is_empty() { Ok(()) } else { Err(errors) }
}
