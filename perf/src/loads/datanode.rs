//! Single commands to datanodes, on blocks of one replica that SCM allocated.
//!
//! Shape   [`Blocks`] is the way to datanodes and to new blocks; each load is one command. What is read was written, and put, before
//!         the clock runs.
//! Units   bytes; a chunk's content is made from the seed, its block's local id and its offset.

use std::sync::{Arc, Mutex};

use allotrope_proto::Rope;
use allotrope_proto::bulk::Bulky;
use allotrope_proto::container::{
    BlockData, ChunkInfo, ContainerCommandRequestProto, ContainerCommandResponseProto, EchoRequestProto,
    GetBlockRequestProto, GetSmallFileRequestProto, PutBlockRequestProto, PutSmallFileRequestProto,
    ReadChunkRequestProto, ReadChunkVersion, Type, WriteChunkRequestProto,
};
use allotrope_types::ReplicationConfig;
use bytes::Bytes;
use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;

use crate::content::Content;
use crate::load::{Done, Load, Trouble, TroubleKind};
use crate::wire::{BlockTarget, Datanodes, Scm, chunk_of, command};

/// Blocks that SCM is asked for at once.
const BATCH: u32 = 16;

/// The way to datanodes, and to new blocks.
#[derive(Clone)]
pub struct Blocks {
    scm: Arc<Scm>,
    datanodes: Arc<Datanodes>,
    replication: ReplicationConfig,
    block_size: u64,
    content: Content,
}

impl Blocks {
    /// Blocks of at most `block_size` bytes from `scm`, each kept as `replication`, which must be one replica.
    pub fn new(scm: Scm, replication: ReplicationConfig, block_size: u64, content: Content) -> Blocks {
        Blocks { scm: Arc::new(scm), datanodes: Arc::default(), replication, block_size, content }
    }

    /// New blocks: `count` of them.
    ///
    /// # Errors
    /// What SCM refused, or that none can be reached.
    pub async fn allocate(&self, count: u64) -> Result<Vec<BlockTarget>, Trouble> {
        let mut targets = Vec::new();
        while (targets.len() as u64) < count {
            let batch = (count - targets.len() as u64).min(u64::from(BATCH)) as u32;
            targets.extend(self.scm.targets(batch, self.block_size, self.replication).await?);
        }
        Ok(targets)
    }

    /// New blocks with `chunks` chunks of `len` bytes each, which `at_once` tasks write; they are put, so that they can be
    /// read, where `put` says so.
    ///
    /// # Errors
    /// The first failure of SCM or of a datanode.
    pub async fn written(
        &self,
        count: u64,
        (chunks, len): (u64, u64),
        put: bool,
        at_once: usize,
    ) -> Result<Vec<Written>, Trouble> {
        let targets = Arc::new(self.allocate(count).await?);
        let mut writing = tokio::task::JoinSet::new();
        let at_once = at_once.max(1);
        for first in 0..at_once {
            let (blocks, targets) = (self.clone(), targets.clone());
            writing.spawn(async move {
                let mut written = Vec::new();
                for (at, target) in targets.iter().enumerate().skip(first).step_by(at_once) {
                    let mut all = Vec::new();
                    for number in 0..chunks {
                        all.push(blocks.soon(blocks.write_chunk(target, number, number * len, len)).await?);
                    }
                    if put {
                        blocks.soon(blocks.put_block(target, all.clone())).await?;
                    }
                    written.push((at, Written { target: target.clone(), chunks: all }));
                }
                Ok::<_, Trouble>(written)
            });
        }
        let mut all = Vec::new();
        while let Some(written) = writing.join_next().await {
            all.extend(written.expect("a writer does not panic")?);
        }
        all.sort_by_key(|(at, _)| *at);
        Ok(all.into_iter().map(|(_, written)| written).collect())
    }

    /// What `asked` says within the time that SCM has for an answer too.
    async fn soon<T>(&self, asked: impl Future<Output = Result<T, Trouble>>) -> Result<T, Trouble> {
        let deadline = self.scm.deadline;
        tokio::time::timeout(deadline, asked).await.unwrap_or_else(|_| Err(Trouble::late(deadline)))
    }

    async fn ask(
        &self,
        target: &BlockTarget,
        request: impl Into<Bulky<ContainerCommandRequestProto>>,
    ) -> Result<Bulky<ContainerCommandResponseProto>, Trouble> {
        self.datanodes.ask(target, request.into()).await
    }

    fn bytes(&self, target: &BlockTarget, offset: u64, len: u64) -> Bytes {
        self.content.whole(target.local as u64, offset..offset + len)
    }

    async fn write_chunk(
        &self,
        target: &BlockTarget,
        number: u64,
        offset: u64,
        len: u64,
    ) -> Result<ChunkInfo, Trouble> {
        let data = self.bytes(target, offset, len);
        let chunk = chunk_of(target, number + 1, offset, &data);
        let mut message = command(target, Type::WriteChunk);
        message.write_chunk = Some(WriteChunkRequestProto {
            block_id: target.id(),
            chunk_data: Some(chunk.clone()),
            data: Some(Bytes::new()),
            ..Default::default()
        });
        self.ask(target, Bulky { message, bulk: vec![Rope::from(data)] }).await?;
        Ok(chunk)
    }

    async fn put_block(&self, target: &BlockTarget, chunks: Vec<ChunkInfo>) -> Result<(), Trouble> {
        let mut message = command(target, Type::PutBlock);
        message.put_block = Some(PutBlockRequestProto {
            block_data: BlockData { block_id: target.id(), chunks, ..Default::default() },
            eof: Some(true),
            ..Default::default()
        });
        self.ask(target, message).await.map(drop)
    }

    /// Compares what a datanode gave with what was written.
    fn check(&self, target: &BlockTarget, len: u64, pieces: &[Rope]) -> Result<(), Trouble> {
        let corrupt = |what: String| {
            let text = format!("block {}/{} at {}: {what}", target.container, target.local, target.address);
            Trouble::new(TroubleKind::Corrupt, text)
        };
        let mut at = 0;
        for piece in pieces.iter().flat_map(Rope::pieces) {
            let object = target.local as u64;
            self.content.check(object, at, piece).map_err(|wrong| corrupt(wrong.to_string()))?;
            at += piece.len() as u64;
        }
        if at == len { Ok(()) } else { Err(corrupt(format!("{at} bytes instead of {len}"))) }
    }
}

/// A block whose chunks are written.
#[derive(Clone, Debug)]
pub struct Written {
    target: BlockTarget,
    chunks: Vec<ChunkInfo>,
}

/// Writes chunks, one behind the other, to as many blocks as operations are at once. A block that is full is left, unput.
pub struct ChunkWrite {
    blocks: Blocks,
    len: u64,
    /// Blocks that nobody writes to now, each with how many chunks it has.
    idle: Mutex<Vec<(BlockTarget, u64)>>,
}

impl ChunkWrite {
    /// Chunks of `len` bytes, first of all to the blocks `targets`.
    pub fn new(blocks: Blocks, targets: Vec<BlockTarget>, len: u64) -> ChunkWrite {
        let idle = Mutex::new(targets.into_iter().map(|target| (target, 0)).collect());
        ChunkWrite { blocks, len, idle }
    }

    async fn write(&self) -> Result<u64, Trouble> {
        let idle = self.idle.lock().expect("nothing panics while it holds the lock").pop();
        let (target, number) = match idle {
            Some(idle) => idle,
            None => {
                let mut fresh = self.blocks.allocate(1).await?;
                (fresh.pop().expect("one was asked for"), 0)
            }
        };
        self.blocks.write_chunk(&target, number, number * self.len, self.len).await?;
        if (number + 2) * self.len <= self.blocks.block_size {
            self.idle.lock().expect("nothing panics while it holds the lock").push((target, number + 1));
        }
        Ok(self.len)
    }
}

impl Load for ChunkWrite {
    fn kinds(&self) -> &[&'static str] {
        &["write-chunk"]
    }

    fn operate(&self, _: u64) -> BoxFuture<'_, Result<Done, Trouble>> {
        async move { Ok(Done::moved(self.write().await?)) }.boxed()
    }
}

/// The block of operation `number`.
fn of(written: &[Written], number: u64) -> &Written {
    &written[(number % written.len().max(1) as u64) as usize]
}

/// Reads the first chunk of blocks, each byte compared.
pub struct ChunkRead {
    /// The way to them.
    pub blocks: Blocks,
    /// Blocks that were put.
    pub written: Vec<Written>,
}

impl Load for ChunkRead {
    fn kinds(&self) -> &[&'static str] {
        &["read-chunk"]
    }

    fn operate(&self, number: u64) -> BoxFuture<'_, Result<Done, Trouble>> {
        async move {
            let Written { target, chunks } = of(&self.written, number);
            let chunk = &chunks[0];
            let mut message = command(target, Type::ReadChunk);
            message.read_chunk = Some(ReadChunkRequestProto {
                block_id: target.id(),
                chunk_data: chunk.clone(),
                read_chunk_version: Some(ReadChunkVersion::V1 as i32),
            });
            let answer = self.blocks.ask(target, message).await?;
            self.blocks.check(target, chunk.len, &answer.bulk)?;
            Ok(Done::moved(chunk.len))
        }
        .boxed()
    }
}

/// Puts blocks whose chunks are there.
pub struct BlockPut {
    /// The way to them.
    pub blocks: Blocks,
    /// Blocks whose chunks are written.
    pub written: Vec<Written>,
}

impl Load for BlockPut {
    fn kinds(&self) -> &[&'static str] {
        &["put-block"]
    }

    fn operate(&self, number: u64) -> BoxFuture<'_, Result<Done, Trouble>> {
        async move {
            let Written { target, chunks } = of(&self.written, number);
            self.blocks.put_block(target, chunks.clone()).await?;
            Ok(Done::moved(0))
        }
        .boxed()
    }
}

/// Writes files of one message: chunk and block in one command.
pub struct SmallFileWrite {
    /// The way to them.
    pub blocks: Blocks,
    /// Blocks that they become, one after the other.
    pub targets: Vec<BlockTarget>,
    /// Bytes of a file.
    pub len: u64,
}

impl SmallFileWrite {
    async fn write(&self, number: u64) -> Result<u64, Trouble> {
        let target = &self.targets[(number % self.targets.len().max(1) as u64) as usize];
        let data = self.blocks.bytes(target, 0, self.len);
        let mut message = command(target, Type::PutSmallFile);
        message.put_small_file = Some(PutSmallFileRequestProto {
            block: PutBlockRequestProto {
                block_data: BlockData { block_id: target.id(), ..Default::default() },
                ..Default::default()
            },
            chunk_info: chunk_of(target, 1, 0, &data),
            data: Bytes::new(),
        });
        self.blocks.ask(target, Bulky { message, bulk: vec![Rope::from(data)] }).await?;
        Ok(self.len)
    }
}

impl Load for SmallFileWrite {
    fn kinds(&self) -> &[&'static str] {
        &["put-small-file"]
    }

    fn operate(&self, number: u64) -> BoxFuture<'_, Result<Done, Trouble>> {
        async move { Ok(Done::moved(self.write(number).await?)) }.boxed()
    }
}

/// Reads files of one message, each byte compared.
pub struct SmallFileRead {
    /// What wrote them.
    pub files: Arc<SmallFileWrite>,
}

impl Load for SmallFileRead {
    fn kinds(&self) -> &[&'static str] {
        &["get-small-file"]
    }

    fn operate(&self, number: u64) -> BoxFuture<'_, Result<Done, Trouble>> {
        async move {
            let SmallFileWrite { blocks, targets, len } = &*self.files;
            let target = &targets[(number % targets.len().max(1) as u64) as usize];
            let mut message = command(target, Type::GetSmallFile);
            let block = GetBlockRequestProto { block_id: target.id(), request_short_circuit_access: None };
            let version = Some(ReadChunkVersion::V1 as i32);
            message.get_small_file = Some(GetSmallFileRequestProto { block, read_chunk_version: version });
            let answer = blocks.ask(target, message).await?;
            blocks.check(target, *len, &answer.bulk)?;
            Ok(Done::moved(*len))
        }
        .boxed()
    }
}

/// Asks for nothing but an answer.
pub struct Echo {
    /// The way to datanodes.
    pub blocks: Blocks,
    /// Whose datanodes are asked, one after the other.
    pub targets: Vec<BlockTarget>,
    /// Bytes that go there.
    pub request: u64,
    /// Bytes that come back.
    pub response: u32,
}

impl Load for Echo {
    fn kinds(&self) -> &[&'static str] {
        &["echo"]
    }

    fn operate(&self, number: u64) -> BoxFuture<'_, Result<Done, Trouble>> {
        async move {
            let target = &self.targets[(number % self.targets.len().max(1) as u64) as usize];
            let mut message = command(target, Type::Echo);
            message.echo = Some(EchoRequestProto {
                payload: Some(self.blocks.bytes(target, 0, self.request)),
                payload_size_resp: Some(self.response.cast_signed()),
                sleep_time_ms: Some(0),
                read_only: Some(true),
            });
            let answer = self.blocks.ask(target, message).await?;
            let came = answer.message.echo.and_then(|echo| echo.payload).map_or(0, |payload| payload.len());
            match came as u64 == u64::from(self.response) {
                true => Ok(Done::moved(self.request + u64::from(self.response))),
                false => {
                    let text =
                        format!("{} answers {came} bytes instead of {}", target.address, self.response);
                    Err(Trouble::new(TroubleKind::Corrupt, text))
                }
            }
        }
        .boxed()
    }
}
