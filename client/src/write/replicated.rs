//! Blocks on one datanode, or on the members of a Ratis pipeline: chunks one after the other, made safe by PutBlock now and
//! then.
//!
//! Shape   chunk after chunk is appended to the block's file, at most one on its way, while the next is gathered. A
//!         PutBlock follows each `flush_len` of data and ends the block. What no PutBlock covers yet is held, and sent
//!         again to a new block when the datanode fails.
//! Source  names, offsets, checksums and metadata are those of Ozone's client.

use std::collections::VecDeque;
use std::sync::Arc;

use allotrope_proto::Rope;
use allotrope_proto::checksum::{ChecksumSpec, Checksums};
use allotrope_proto::edge::chunk::ChunkInfo;
use allotrope_types::{Bcsid, BlockOffset, ByteCount};

use super::Blocks;
use crate::client::Client;
use crate::config::Config;
use crate::datanode::{BlockAt, DatanodeError, RatisPipeline, chunk_name};
use crate::error::Error;
use crate::location::BlockLocation;
use crate::task::Task;

#[derive(Debug)]
pub(super) struct ReplicatedWriter {
    chunk_len: usize,
    flush_len: u64,
    spec: ChecksumSpec,
    /// Whether a Ratis pipeline keeps each block: no member of it is ever written to alone.
    ratis: bool,
    /// Bytes that are no whole chunk yet.
    gathered: Rope,
    /// Chunks that no PutBlock covers, in order; the first `sent` are in the open block's file.
    held: VecDeque<Rope>,
    sent: usize,
    open: Option<OpenBlock>,
    flying: Option<Task<Result<ChunkInfo, DatanodeError>>>,
}

/// A block that takes bytes.
#[derive(Debug)]
struct OpenBlock {
    location: BlockLocation,
    at: BlockAt,
    /// Who keeps the block together, unless `at` does alone.
    pipeline: Option<Arc<RatisPipeline>>,
    /// Chunks in the block's file.
    chunks: Vec<ChunkInfo>,
    /// Bytes of them.
    len: u64,
    /// Bytes that a PutBlock has made safe, and its commit sequence id.
    put_len: u64,
    bcsid: Bcsid,
}

impl ReplicatedWriter {
    pub(super) fn new(config: &Config, ratis: bool) -> ReplicatedWriter {
        ReplicatedWriter {
            chunk_len: config.chunk_len.as_usize().expect("a chunk is at most 32 MiB"),
            flush_len: config.flush_len.as_u64(),
            spec: config.checksum,
            ratis,
            gathered: Rope::new(),
            held: VecDeque::new(),
            sent: 0,
            open: None,
            flying: None,
        }
    }

    pub(super) async fn write(
        &mut self,
        client: &Client,
        blocks: &mut Blocks,
        bytes: Rope,
    ) -> Result<(), Error> {
        self.gathered.append(bytes);
        while let Some(chunk) = self.gathered.split_to(self.chunk_len) {
            self.held.push_back(chunk);
            self.drive(client, blocks, Until::OnItsWay).await?;
        }
        Ok(())
    }

    pub(super) async fn finish(&mut self, client: &Client, blocks: &mut Blocks) -> Result<(), Error> {
        let rest = std::mem::take(&mut self.gathered);
        if !rest.is_empty() {
            self.held.push_back(rest);
        }
        self.drive(client, blocks, Until::Safe).await
    }

    /// Sends what is held, to one block after the other, until it is where `until` wants it.
    async fn drive(&mut self, client: &Client, blocks: &mut Blocks, until: Until) -> Result<(), Error> {
        loop {
            if self.open.is_none() {
                if self.held.is_empty() {
                    return Ok(());
                }
                self.open = Some(OpenBlock::at(blocks.next(client).await?, blocks, self.ratis)?);
            }
            match self.step(client, blocks, until).await {
                Ok(true) => return Ok(()),
                Ok(false) => {}
                Err(error) => {
                    self.flying = None;
                    self.sent = 0;
                    let block =
                        self.open.take().expect("it was opened above, and only a full block is closed");
                    blocks.close(&block.location, block.put_len, block.bcsid);
                    blocks.failed(client, &block.location, vec![error])?;
                }
            }
        }
    }

    /// The next thing to do with the open block; true when nothing is left.
    async fn step(
        &mut self,
        client: &Client,
        blocks: &mut Blocks,
        until: Until,
    ) -> Result<bool, DatanodeError> {
        let block = self.open.as_mut().expect("drive opens a block first");
        if let Some(flying) = &mut self.flying {
            let landed = flying.await;
            self.flying = None;
            block.took(landed?);
            self.sent += 1;
            return Ok(false);
        }
        let all_sent = self.sent == self.held.len();
        let is_full = block.len == block.location.len;
        let ends = is_full || (all_sent && until == Until::Safe);
        if ends || block.len - block.put_len >= self.flush_len {
            block.put(client, ends).await?;
            blocks.progressed();
            self.held.drain(..self.sent);
            self.sent = 0;
            if ends {
                blocks.close(&block.location, block.put_len, block.bcsid);
                self.open = None;
                return Ok(self.held.is_empty());
            }
        }
        let Some(chunk) = self.held.get(self.sent) else { return Ok(true) };
        let room = usize::try_from(block.location.len - block.len).unwrap_or(usize::MAX);
        if chunk.len() > room {
            // The block ends within the chunk: what fits goes here, the rest to the next block.
            let chunk = &mut self.held[self.sent];
            let fits = chunk.split_to(room).expect("the chunk is longer");
            self.held.insert(self.sent, fits);
        }
        self.flying = Some(block.send(client, self.held[self.sent].clone(), self.spec));
        Ok(until == Until::OnItsWay && self.sent + 1 == self.held.len())
    }
}

/// How far `drive` goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Until {
    /// Every chunk is sent; the last answer may be out.
    OnItsWay,
    /// Every byte is covered by a PutBlock, and the block is closed.
    Safe,
}

impl OpenBlock {
    fn at(location: BlockLocation, blocks: &Blocks, ratis: bool) -> Result<OpenBlock, Error> {
        let unusable = |why: &str| Error::OmAnswer {
            act: format!("write {}", blocks.key()),
            why: format!("block {} {why}", location.block),
        };
        let pipeline = location.ratis_pipeline().map(Arc::new);
        if pipeline.is_some() != ratis {
            return Err(unusable(if ratis {
                "comes without a Ratis pipeline"
            } else {
                "is a Ratis pipeline's"
            }));
        }
        let members = pipeline.as_ref().map_or(&location.members, |pipeline| &pipeline.members);
        let member = members.first().cloned().ok_or_else(|| unusable("comes without a datanode"))?;
        if location.len == 0 {
            return Err(unusable("has room for nothing"));
        }
        let at = BlockAt { block: location.block, member };
        Ok(OpenBlock { location, at, pipeline, chunks: vec![], len: 0, put_len: 0, bcsid: Bcsid::new(0) })
    }

    /// Starts to write `data` behind what is there.
    fn send(
        &self,
        client: &Client,
        data: Rope,
        spec: ChecksumSpec,
    ) -> Task<Result<ChunkInfo, DatanodeError>> {
        let (client, at, pipeline) = (client.clone(), self.at.clone(), self.pipeline.clone());
        let (number, offset) = (self.chunks.len() + 1, self.len);
        Task::spawn(async move {
            let chunk = ChunkInfo {
                chunk_name: chunk_name(at.block, number),
                offset: BlockOffset::new(offset),
                metadata: vec![],
                stripe_checksum: None,
                len: ByteCount::new(data.len() as u64),
                checksums: Checksums::compute_rope(spec, &data),
            };
            client.datanodes().write_chunk_by(&at, pipeline.as_deref(), chunk.clone(), data).await?;
            Ok(chunk)
        })
    }

    fn took(&mut self, chunk: ChunkInfo) {
        self.len += chunk.len.as_u64();
        self.chunks.push(chunk);
    }

    /// Makes all chunks the block.
    async fn put(&mut self, client: &Client, eof: bool) -> Result<(), DatanodeError> {
        let (pipeline, chunks) = (self.pipeline.as_deref(), self.chunks.clone());
        self.bcsid = client.datanodes().put_block_by(&self.at, pipeline, vec![], chunks, eof).await?;
        self.put_len = self.len;
        Ok(())
    }
}
