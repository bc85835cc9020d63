//! The block group that takes stripes.

use std::collections::VecDeque;
use std::sync::Arc;

use allotrope_ec::Layout;
use allotrope_proto::Rope;
use allotrope_proto::edge::chunk::ChunkInfo;
use allotrope_types::{Bcsid, BlockId, BlockOffset, ByteCount};
use bytes::Bytes;
use futures_util::future::join_all;
use tokio::sync::oneshot;

use super::{Round, Stripe};
use crate::client::Client;
use crate::datanode::{BlockAt, DatanodeError, chunk_name};
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
    /// Data bytes that are in the replicas' files or on their way there, and those that are in all files.
    sent_len: u64,
    len: u64,
    /// Data bytes that the round of puts on its way covers, and those that finished rounds cover.
    putting_len: u64,
    put_len: u64,
}

#[derive(Debug)]
struct Replica {
    at: BlockAt,
    /// Chunks of stripes that all replicas have.
    chunks: Vec<ChunkInfo>,
    /// Chunks of stripes that are on their way, behind those, and where the last of them ends.
    sent: VecDeque<ChunkInfo>,
    sent_len: u64,
    /// Tells when the datanode has taken the last of them: a file takes no chunk behind a gap.
    last_taken: Option<oneshot::Receiver<()>>,
}

/// One chunk on its way, behind the one before it.
struct Cell {
    at: BlockAt,
    chunk: ChunkInfo,
    bytes: Bytes,
    before: Option<oneshot::Receiver<()>>,
    taken: oneshot::Sender<()>,
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
            Replica { at, chunks: vec![], sent: VecDeque::new(), sent_len: 0, last_taken: None }
        });
        let replicas: Vec<Replica> = replicas.collect();
        if replicas.len() < cells {
            return Err(unusable(format!("has {} of its {cells} replicas", replicas.len())));
        }
        // A replica takes whole cells, so that no stripe but the key's last is short.
        let stripes = location.len / layout.cell_len() as u64;
        let capacity = stripes.checked_mul(layout.stripe_len()).filter(|&capacity| capacity > 0);
        let capacity = capacity.ok_or_else(|| unusable(format!("has room for {} bytes", location.len)))?;
        Ok(OpenGroup {
            layout,
            location,
            replicas,
            capacity,
            sent_len: 0,
            len: 0,
            putting_len: 0,
            put_len: 0,
        })
    }

    pub(super) fn location(&self) -> &BlockLocation {
        &self.location
    }

    /// Whether no stripe fits any more, behind those that were sent.
    pub(super) fn is_full(&self) -> bool {
        self.sent_len >= self.capacity
    }

    /// Starts to write the cells of `stripe` behind those that were sent.
    pub(super) fn write(&mut self, client: &Client, stripe: Arc<Stripe>) -> Task<Round> {
        let block = self.location.block;
        let replicas = self.replicas.iter_mut().zip(&stripe.cells).enumerate();
        let cells: Vec<Cell> = replicas
            .filter(|(_, (_, bytes))| !bytes.is_empty())
            .map(|(cell, (replica, bytes))| replica.send(block, &stripe, cell, bytes.clone()))
            .collect();
        self.sent_len += stripe.len;
        let client = client.clone();
        Task::spawn(
            async move { all_well(join_all(cells.into_iter().map(|cell| cell.write(&client))).await) },
        )
    }

    /// `stripe` lies in the files.
    pub(super) fn took(&mut self, stripe: &Stripe) {
        let data = self.layout.scheme().data();
        for (cell, replica) in self.replicas.iter_mut().enumerate() {
            if stripe.cells[cell].is_empty() {
                continue;
            }
            // The first replica and the parity replicas keep the checksums of the whole stripe.
            let keeps_all = cell == 0 || cell >= data;
            let stripe_checksum = keeps_all.then(|| stripe.joined.clone());
            let chunk = replica.sent.pop_front().expect("a stripe is sent before it is taken");
            replica.chunks.push(ChunkInfo { stripe_checksum, ..chunk });
        }
        self.len += stripe.len;
    }

    /// Starts to put all that was taken, on every replica.
    pub(super) fn put(&mut self, client: &Client) -> Task<Round> {
        self.putting_len = self.len;
        // The last data cell of a short stripe is short, so it ends the group.
        let eof = self.len >= self.capacity || !self.len.is_multiple_of(self.layout.stripe_len());
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

impl Replica {
    /// The chunk that `stripe` adds, as WriteChunk names it, behind what was sent before.
    fn send(&mut self, block: BlockId, stripe: &Stripe, cell: usize, bytes: Bytes) -> Cell {
        let chunk = ChunkInfo {
            chunk_name: chunk_name(block, self.chunks.len() + self.sent.len() + 1),
            offset: BlockOffset::new(self.sent_len),
            metadata: vec![],
            stripe_checksum: None,
            len: ByteCount::new(bytes.len() as u64),
            checksums: stripe.checksums[cell].clone(),
        };
        self.sent_len += chunk.len.as_u64();
        self.sent.push_back(chunk.clone());
        let (taken, last_taken) = oneshot::channel();
        let before = self.last_taken.replace(last_taken);
        Cell { at: self.at.clone(), chunk, bytes, before, taken }
    }
}

impl Cell {
    async fn write(self, client: &Client) -> Result<(), DatanodeError> {
        if let Some(before) = self.before
            && before.await.is_err()
        {
            // The chunk before failed, and with it the group: its own round says so, and this one is dropped.
            return std::future::pending().await;
        }
        client.datanodes().write_chunk(&self.at, self.chunk, Rope::from(self.bytes)).await?;
        // The group may be gone by now.
        let _ = self.taken.send(());
        Ok(())
    }
}

fn all_well(outcomes: Vec<Result<(), DatanodeError>>) -> Round {
    let errors: Vec<_> = outcomes.into_iter().filter_map(Result::err).collect();
    if errors.is_empty() { Ok(()) } else { Err(errors) }
}
