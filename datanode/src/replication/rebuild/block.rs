//! Rebuilding one block, stripe by stripe: while one stripe is written, the next is read.
//!
//! Errors  a source that does not give what it should is out for the rest of the block; a spare reads on where it stood.

use super::lanes::{is_held_back, lanes};
use super::link::Link;
use super::list::GROUP_LEN;
use super::targets::Targets;
use super::{Work, sums};
use crate::block::checksums;
use crate::commands::CommandError;
use allotrope_ec::{BlockPlan, CellIndex, CellRun, CellSet, StripeIndex};
use allotrope_io::AlignedBuf;
use allotrope_proto::bulk::Bulky;
use allotrope_proto::checksum::{ChecksumKind, ChecksumSpec, Checksums};
use allotrope_proto::container::{
    BlockData, ChecksumData, ChecksumType, ChunkInfo, GetBlockRequestProto, KeyValue, PutBlockRequestProto,
    ReadChunkRequestProto, ReadChunkVersion, Type, WriteChunkRequestProto,
};
use allotrope_types::DatanodeResult::ChecksumMismatch;
use allotrope_types::LocalId;
use bytes::Bytes;
use futures_util::future::{join, join_all, try_join_all};
use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::Duration;

/// What the sources know of the block.
type Lists = BTreeMap<CellIndex, BlockData>;

/// The bytes of one stripe's cells, as they were read.
type Cells = BTreeMap<CellIndex, Bytes>;

/// How long the last cell of each source took.
type Took = BTreeMap<CellIndex, Duration>;

/// Bytes of each cell that are decoded before others have the shard.
const COLUMN: usize = 128 << 10;

/// A cell that shall be written: its chunk and its bytes.
struct Made {
    cell: CellIndex,
    chunk: ChunkInfo,
    bytes: Bytes,
}

/// A source that failed, and how.
struct Lost(CellIndex, CommandError);

pub(super) async fn rebuild(
    work: &Work,
    targets: &Rc<Targets>,
    local: LocalId,
    mut plan: BlockPlan,
) -> Result<(), CommandError> {
    let mut lists = Lists::new();
    loop {
        match lists_of(work, local, &plan, &mut lists).await {
            Ok(()) => break,
            Err(lost) => plan = replaced(work, local, &plan, lost)?,
        }
    }
    let stripes = work.layout.stripes(plan.group_len());
    let mut chunks: BTreeMap<CellIndex, Vec<ChunkInfo>> =
        plan.targets().iter().map(|cell| (cell, vec![])).collect();
    let mut took = Took::new();
    let mut next = match stripes {
        0 => None,
        _ => Some(read(work, local, &mut plan, &mut lists, 0, &mut took).await?),
    };
    let mut number = 0;
    while let Some(cells) = next.take() {
        let made = decode(work, local, &plan, &lists, StripeIndex::new(number), cells, &chunks).await?;
        number += 1;
        // Beside a source that is held back there is time for one thing after the other.
        let at_once = !is_held_back(took.values().copied());
        let writing = write(targets, local, &made);
        let reading = async {
            match number < stripes {
                true => read(work, local, &mut plan, &mut lists, number, &mut took).await.map(Some),
                false => Ok(None),
            }
        };
        next = match at_once {
            true => {
                let (written, read) = join(writing, reading).await;
                written.and(read)?
            }
            false => {
                writing.await?;
                reading.await?
            }
        };
        for Made { cell, chunk, .. } in made {
            chunks.entry(cell).or_default().push(chunk);
        }
        work.shard.yield_now().await;
    }
    put(targets, local, &plan, &lists, chunks).await
}

/// The plan without the source that failed.
fn replaced(
    work: &Work,
    local: LocalId,
    plan: &BlockPlan,
    Lost(cell, why): Lost,
) -> Result<BlockPlan, CommandError> {
    tracing::warn!(container = %work.container, block = %local, replica = %cell.replica(), error = %why,
        "a source failed while a block was rebuilt");
    plan.without(cell).ok_or(why)
}

fn link(work: &Work, cell: CellIndex) -> Result<&Rc<Link>, CommandError> {
    work.sources.get(&cell.replica()).ok_or_else(|| {
        let why = format!("replica {} is no source", cell.replica());
        CommandError::new(allotrope_types::DatanodeResult::ContainerInternalError, why)
    })
}

/// Asks the replicas that are read for their chunk lists, those that have not said yet.
async fn lists_of(work: &Work, local: LocalId, plan: &BlockPlan, lists: &mut Lists) -> Result<(), Lost> {
    let missing: Vec<CellIndex> = plan.read().iter().filter(|cell| !lists.contains_key(cell)).collect();
    let asked = join_all(missing.into_iter().map(|cell| async move {
        let link = link(work, cell).map_err(|e| Lost(cell, e))?;
        let mut request = link.command(Type::GetBlock);
        request.get_block =
            Some(GetBlockRequestProto { block_id: link.block(local), request_short_circuit_access: None });
        let answer = link.ask(request).await.map_err(|e| Lost(cell, e))?;
        let block = answer.message.get_block.map(|get| get.block_data);
        block.map(|block| (cell, block)).ok_or_else(|| Lost(cell, link.failed("it lacks getBlock")))
    }))
    .await;
    let mut lost = None;
    for one in asked {
        match one {
            Ok((cell, block)) => drop(lists.insert(cell, block)),
            Err(e) => lost = Some(e),
        }
    }
    lost.map_or(Ok(()), Err)
}

/// The cells of one stripe from as many sources as it takes; `plan` is changed where one fails. `took` says how long each
/// source's last answer took.
async fn read(
    work: &Work,
    local: LocalId,
    plan: &mut BlockPlan,
    lists: &mut Lists,
    stripe: u64,
    took: &mut Took,
) -> Result<Cells, CommandError> {
    let mut cells = Cells::new();
    // This datanode's own clients come first as well.
    work.node.courtesy.wait(work.shard.clock(), work.layout.cell_len() as u64).await;
    loop {
        let runs: Vec<CellRun> = match plan.steps(work.layout.cell_len()).nth(stripe as usize) {
            Some(step) => step.reads().collect(),
            None => Vec::new(),
        };
        let wanted = runs.into_iter().filter(|run| !cells.contains_key(&run.cell));
        let lanes = lanes(wanted.map(|run| (run.cell, run)).collect(), took);
        let asked = join_all(lanes.into_iter().map(|lane| read_lane(work, local, lists, lane))).await;
        let mut lost = None;
        for one in asked.into_iter().flatten() {
            match one {
                Ok((cell, bytes, time)) => {
                    cells.insert(cell, bytes);
                    took.insert(cell, time);
                }
                Err(e) => lost = Some(e),
            }
        }
        let Some(mut failed) = lost else {
            cells.retain(|cell, _| plan.read().contains(*cell));
            return Ok(cells);
        };
        took.remove(&failed.0);
        loop {
            *plan = replaced(work, local, plan, failed)?;
            match lists_of(work, local, plan, lists).await {
                Ok(()) => break,
                Err(lost) => failed = lost,
            }
        }
    }
}

/// Reads runs one after the other; the first that fails ends it.
async fn read_lane(
    work: &Work,
    local: LocalId,
    lists: &Lists,
    lane: Vec<CellRun>,
) -> Vec<Result<(CellIndex, Bytes, Duration), Lost>> {
    let mut done = Vec::new();
    for run in lane {
        let began = work.shard.clock().now();
        let reading = async { read_run(link(work, run.cell)?, local, lists.get(&run.cell), run).await };
        let read = reading.await.map_err(|e: CommandError| Lost(run.cell, e));
        let failed = read.is_err();
        done.push(read.map(|bytes| (run.cell, bytes, work.shard.clock().now().since(began))));
        if failed {
            break;
        }
    }
    done
}

/// Bytes of a replica's block, verified against its chunks' checksums: whole windows are read and cut to the run.
async fn read_run(
    link: &Link,
    local: LocalId,
    list: Option<&BlockData>,
    run: CellRun,
) -> Result<Bytes, CommandError> {
    let (start, end) = (run.at.as_u64(), run.at.as_u64() + run.len as u64);
    let chunks = list.map(|list| list.chunks.as_slice()).unwrap_or_default();
    let mut parts = Vec::new();
    let mut at = start;
    // What a source lists is taken as it says it, however far its chunks reach.
    let end_of = |chunk: &ChunkInfo| chunk.offset.saturating_add(chunk.len);
    for chunk in chunks.iter().filter(|chunk| chunk.offset < end && end_of(chunk) > start) {
        let (from, to) = (start.max(chunk.offset), end.min(end_of(chunk)));
        if from != at {
            break;
        }
        parts.push(read_part(link, local, chunk, from - chunk.offset, to - chunk.offset).await?);
        at = to;
    }
    if at != end {
        return Err(link.failed(format!("block {local} has no chunk at {at}")));
    }
    match parts.len() {
        1 => Ok(parts.swap_remove(0)),
        _ => Ok(parts.concat().into()),
    }
}

/// The bytes from `from` to `to` of a chunk.
async fn read_part(
    link: &Link,
    local: LocalId,
    chunk: &ChunkInfo,
    from: u64,
    to: u64,
) -> Result<Bytes, CommandError> {
    let known = checksums::of_chunk(chunk)?;
    let window = checksums::window(&known).max(1);
    let (first, last) = (from / window * window, (to.div_ceil(window) * window).min(chunk.len));
    let mut request = link.command(Type::ReadChunk);
    let chunk_data = ChunkInfo { offset: chunk.offset + first, len: last - first, ..chunk.clone() };
    request.read_chunk = Some(ReadChunkRequestProto {
        block_id: link.block(local),
        chunk_data,
        read_chunk_version: Some(ReadChunkVersion::V1.into()),
    });
    let answer = link.ask(request).await?;
    let data: allotrope_proto::Rope = answer.bulk.into_iter().flatten().collect();
    if data.len() as u64 != last - first {
        return Err(link.failed(format!("{} bytes came instead of {}", data.len(), last - first)));
    }
    let data = data.join();
    known.verify_part(first, &data).map_err(|e| {
        CommandError::new(ChecksumMismatch, link.failed(format!("chunk {}: {e}", chunk.chunk_name)).why)
    })?;
    Ok(data.slice((from - first) as usize..(to - first) as usize))
}

/// How the stripe was checksummed, and the checksums of all its cells where a source keeps them.
fn stripe_sums(lists: &Lists, at: u64) -> Result<(ChecksumSpec, Vec<Bytes>), CommandError> {
    let (mut spec, mut joined) = (None, Vec::new());
    for list in lists.values() {
        let here = |chunk: &&ChunkInfo| chunk.offset <= at && at - chunk.offset < chunk.len;
        for chunk in list.chunks.iter().filter(here) {
            spec = spec.or(Some(checksums::of_chunk(chunk)?.spec()));
            joined.extend(chunk.stripe_checksum.clone().filter(|_| chunk.offset == at));
        }
    }
    let none = || ChecksumSpec::new(ChecksumKind::None, 1).expect("a window of one byte is one");
    Ok((spec.unwrap_or_else(none), joined))
}

/// Makes the lost cells of a stripe from those that were read, and holds them against what the stripe's checksums say.
async fn decode(
    work: &Work,
    local: LocalId,
    plan: &BlockPlan,
    lists: &Lists,
    stripe: StripeIndex,
    cells: Cells,
    before: &BTreeMap<CellIndex, Vec<ChunkInfo>>,
) -> Result<Vec<Made>, CommandError> {
    let Some(shape) = work.layout.shape(plan.group_len(), stripe) else { return Ok(Vec::new()) };
    let internal = |e: allotrope_ec::CodecError| {
        CommandError::new(allotrope_types::DatanodeResult::ContainerInternalError, e.to_string())
    };
    let decoder = work.codec.decoder(plan.survivors(), plan.decoded()).map_err(internal)?;
    let empty = Bytes::new();
    let sources: Vec<&[u8]> =
        decoder.sources().iter().map(|cell| &cells.get(&cell).unwrap_or(&empty)[..]).collect();
    let mut out: Vec<AlignedBuf> =
        decoder.targets().iter().map(|_| work.buffers.take(shape.coded_len())).collect();
    out.iter_mut().for_each(|one| one.set_len(shape.coded_len()));
    for from in (0..shape.coded_len()).step_by(COLUMN) {
        let to = (from + COLUMN).min(shape.coded_len());
        let sources: Vec<&[u8]> =
            sources.iter().map(|one| &one[from.min(one.len())..to.min(one.len())]).collect();
        let mut slices: Vec<&mut [u8]> = out.iter_mut().map(|one| &mut one[from..to]).collect();
        decoder.decode_padded(&sources, &mut slices).map_err(internal)?;
        work.shard.yield_now().await;
    }
    let at = work.layout.block_offset(stripe, 0).map_or(0, |at| at.as_u64());
    let (spec, joined) = stripe_sums(lists, at)?;
    let keeps_all = |cell: CellIndex| cell.get() == 0 || cell.get() >= work.layout.scheme().data();
    let mut made = Vec::new();
    for (cell, bytes) in decoder.targets().iter().zip(out) {
        let mut bytes = work.buffers.lend(bytes);
        bytes.truncate(shape.cell_len(cell));
        if bytes.is_empty() {
            continue;
        }
        let sums = Checksums::compute(spec, &bytes);
        for stored in &joined {
            let known = sums::of_cell(work.layout, plan.group_len(), stripe, spec, stored, cell);
            if known.is_some_and(|known| known != *sums.joined()) {
                let why = format!(
                    "block {local}, stripe {}: the rebuilt cell of replica {} is not the one that was written",
                    stripe.as_u64(),
                    cell.replica()
                );
                return Err(CommandError::new(ChecksumMismatch, why));
            }
        }
        let chunk = ChunkInfo {
            chunk_name: format!("{local}_chunk_{}", before.get(&cell).map_or(0, Vec::len) + 1),
            offset: at,
            len: bytes.len() as u64,
            metadata: Vec::new(),
            checksum_data: wire(&sums),
            stripe_checksum: joined.first().filter(|_| keeps_all(cell)).cloned(),
        };
        made.push(Made { cell, chunk, bytes });
    }
    Ok(made)
}

fn wire(sums: &Checksums) -> ChecksumData {
    let kind = match sums.spec().kind() {
        ChecksumKind::None => ChecksumType::None,
        ChecksumKind::Crc32 => ChecksumType::Crc32,
        ChecksumKind::Crc32c => ChecksumType::Crc32c,
        ChecksumKind::Sha256 => ChecksumType::Sha256,
        ChecksumKind::Md5 => ChecksumType::Md5,
    };
    ChecksumData {
        r#type: kind.into(),
        bytes_per_checksum: sums.spec().bytes_per_checksum(),
        checksums: sums.values().collect(),
    }
}

/// Writes the cells of a stripe to their targets, all at once.
async fn write(targets: &Rc<Targets>, local: LocalId, made: &[Made]) -> Result<(), CommandError> {
    try_join_all(made.iter().filter_map(|one| Some((one, targets.link(one.cell.replica())?))).map(
        |(one, link)| async move {
            let mut message = link.command(Type::WriteChunk);
            message.write_chunk = Some(WriteChunkRequestProto {
                block_id: link.block(local),
                chunk_data: Some(one.chunk.clone()),
                data: Some(Bytes::new()),
                block: None,
                // A container that is gone from its target stays gone.
                container_auto_create: Some(false),
            });
            link.ask(Bulky { message, bulk: vec![one.bytes.clone().into()] }).await.map(drop)
        },
    ))
    .await
    .map(drop)
}

/// Makes the block whole on every target; one that has no bytes of it gets it empty.
async fn put(
    targets: &Rc<Targets>,
    local: LocalId,
    plan: &BlockPlan,
    lists: &Lists,
    mut chunks: BTreeMap<CellIndex, Vec<ChunkInfo>>,
) -> Result<(), CommandError> {
    let like = plan.read().iter().find_map(|cell| lists.get(&cell));
    let mut metadata: Vec<KeyValue> = like.map(|list| list.metadata.clone()).unwrap_or_default();
    let len = plan.group_len().as_u64().to_string();
    match metadata.iter_mut().find(|pair| pair.key == GROUP_LEN) {
        Some(pair) => pair.value = Some(len),
        None => metadata.push(KeyValue { key: GROUP_LEN.to_owned(), value: Some(len) }),
    }
    let wanted: CellSet = plan.targets();
    try_join_all(targets.links().map(|link| {
        let cell = CellIndex::from(link.replica());
        let chunks = chunks.remove(&cell).filter(|_| wanted.contains(cell)).unwrap_or_default();
        let metadata = metadata.clone();
        async move {
            let size = Some(chunks.iter().map(|chunk| chunk.len as i64).sum());
            let mut block_id = link.block(local);
            block_id.block_commit_sequence_id = like.and_then(|list| list.block_id.block_commit_sequence_id);
            let mut message = link.command(Type::PutBlock);
            message.put_block = Some(PutBlockRequestProto {
                block_data: BlockData { block_id, flags: None, metadata, chunks, size },
                eof: Some(true),
                container_auto_create: Some(false),
            });
            link.ask(message).await.map(drop)
        }
    }))
    .await
    .map(drop)
}
