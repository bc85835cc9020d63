//! Block groups: cells that are there are read, cells that are not are decoded from any others.
//!
//! Shape   a job lies in one stripe; `job` carries it out. It reads the cells that hold its bytes; a cell that fails is out of use
//!         for the whole group from then on, and the stripe is planned anew from the cells that are left. A cell that is slow, or
//!         whose datanode was slow lately, is decoded from others while they suffice.
//! Errors  [`Error::UnreadableGroup`] when too few are left.

mod job;

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::{Arc, Mutex, MutexGuard};

use allotrope_ec::{CellIndex, CellRead, CellSet, Codec, GroupOffset, Layout, StripeRead, Unreadable};
use allotrope_proto::Rope;
use allotrope_proto::edge::chunk::ChunkInfo;
use allotrope_types::{BlockId, ByteCount, EcConfig};
use bytes::Bytes;
use tokio::sync::OnceCell;

use crate::client::Client;
use crate::datanode::{BlockAt, DatanodeError, read_verified};
use crate::error::Error;
use crate::location::BlockLocation;
use crate::path::KeyPath;

/// A stripe that cannot be read, and why the last of its cells is gone.
#[derive(Debug, thiserror::Error)]
#[error("{stripe}")]
pub struct UnreadableStripe {
    /// Which cells are missing and which are left.
    pub stripe: Unreadable,
    /// Why the cell that was lost last is gone; `None` if OM names too few replicas.
    pub source: Option<Arc<DatanodeError>>,
}

/// A block group and what was learnt of its replicas.
#[derive(Debug)]
pub(super) struct StripedGroup {
    block: BlockId,
    layout: Layout,
    codec: Codec,
    len: ByteCount,
    /// By cell; several replicas may hold the same one.
    cells: Vec<Cell>,
    lost: Mutex<Lost>,
}

#[derive(Debug, Default)]
struct Cell {
    replicas: Vec<BlockAt>,
    chunks: OnceCell<Vec<ChunkInfo>>,
}

#[derive(Debug, Default)]
struct Lost {
    cells: CellSet,
    why: Option<Arc<DatanodeError>>,
}

/// Bytes that were read, by cell and first column.
type Runs = BTreeMap<(CellIndex, usize), Rope>;

impl StripedGroup {
    pub(super) fn new(key: &KeyPath, location: &BlockLocation, ec: EcConfig) -> Result<StripedGroup, Error> {
        let layout = Layout::new(ec);
        let mut cells: Vec<Cell> = (0..ec.total()).map(|_| Cell::default()).collect();
        for member in &location.members {
            let cell = member.replica.and_then(|index| cells.get_mut(index.position()));
            let cell = cell.ok_or_else(|| Error::OmAnswer {
                act: format!("read {key}"),
                why: format!("block group {} has a replica that {ec} does not know", location.block),
            })?;
            cell.replicas.push(BlockAt { block: location.block, member: member.clone() });
        }
        let codec = Codec::new(layout.scheme());
        let len = ByteCount::new(location.offset + location.len);
        Ok(StripedGroup { block: location.block, layout, codec, len, cells, lost: Mutex::default() })
    }

    /// Cuts `range` where stripes end.
    pub(super) fn cuts(&self, range: Range<u64>) -> Vec<Range<u64>> {
        let mut cuts = vec![];
        let mut start = range.start;
        while start < range.end {
            let end = (start / self.layout.stripe_len() + 1) * self.layout.stripe_len();
            cuts.push(start..end.min(range.end));
            start = end;
        }
        cuts
    }

    /// How to read `range`, which lies in one stripe, without the cells that are lost and those of `without`.
    fn plan(&self, range: &Range<u64>, without: CellSet) -> Result<StripeRead, Unreadable> {
        let gone = self.lost().cells.union(without);
        let present = |&cell: &CellIndex| !self.cells[cell.get()].replicas.is_empty() && !gone.contains(cell);
        let available: Vec<CellIndex> = self.layout.scheme().all_cells().iter().filter(present).collect();
        let offsets = GroupOffset::new(range.start)..GroupOffset::new(range.end);
        let mut plans = self
            .layout
            .stripe_reads(offsets, self.len, &available)
            .expect("a job's range lies in the group, and its cells are the scheme's");
        plans.next().expect("a job has bytes")
    }

    fn unreadable(&self, key: &KeyPath, stripe: Unreadable) -> Error {
        let source = Box::new(UnreadableStripe { stripe, source: self.lost().why.clone() });
        Error::UnreadableGroup { key: key.clone(), block: self.block, source }
    }

    fn lost(&self) -> MutexGuard<'_, Lost> {
        self.lost.lock().expect("nothing panics while it holds the lock")
    }

    fn lose(&self, cell: CellIndex, why: DatanodeError) {
        let mut lost = self.lost();
        lost.cells = lost.cells.with(cell);
        lost.why = Some(Arc::new(why));
    }

    /// The replicas of `cell`, those last that are avoided.
    fn in_order(&self, client: &Client, cell: CellIndex) -> Vec<&BlockAt> {
        let standing = client.datanodes().standing();
        let mut replicas: Vec<&BlockAt> = self.cells[cell.get()].replicas.iter().collect();
        replicas.sort_by_key(|replica| standing.is_avoided(replica.member.datanode));
        replicas
    }

    /// Cells that only avoided datanodes have.
    fn avoided(&self, client: &Client) -> CellSet {
        let standing = client.datanodes().standing();
        let is_avoided = |replica: &BlockAt| standing.is_avoided(replica.member.datanode);
        let all = self.layout.scheme().all_cells();
        all.iter().filter(|cell| self.cells[cell.get()].replicas.iter().all(is_avoided)).collect()
    }

    /// Reads a run of one cell from the first of its replicas that gives it.
    async fn read_cell(&self, client: &Client, read: &CellRead) -> Result<Rope, DatanodeError> {
        let cell = &self.cells[read.cell.get()];
        let start = read.at.as_u64();
        let range = start..start + read.columns.len() as u64;
        let mut failure = None;
        for replica in self.in_order(client, read.cell) {
            let chunks = cell.chunks.get_or_try_init(|| client.datanodes().get_block(replica)).await;
            let outcome = match chunks {
                Ok(chunks) => read_verified(client.datanodes(), replica, chunks, range.clone()).await,
                Err(error) => Err(error),
            };
            match outcome {
                Ok(bytes) => return Ok(bytes),
                Err(error) => failure = Some(error),
            }
        }
        Err(failure.expect("a cell is only planned with a replica"))
    }

    /// The wanted bytes in order, from what was read and what that decodes to.
    fn assemble(&self, plan: &StripeRead, runs: &Runs) -> Rope {
        let decoded = self.decode(plan, runs);
        let mut bytes = Rope::new();
        for cell in self.layout.scheme().data_cells().iter() {
            let wanted = plan.wanted_of(cell);
            if wanted.is_empty() {
                continue;
            }
            match decoded.get(&cell) {
                Some(columns) => {
                    let first = plan.columns().start;
                    bytes.push(columns.slice(wanted.start - first..wanted.end - first));
                }
                None => bytes.append(columns_of(runs, cell, &wanted)),
            }
        }
        bytes
    }

    /// The missing cells over the plan's columns.
    fn decode(&self, plan: &StripeRead, runs: &Runs) -> BTreeMap<CellIndex, Bytes> {
        if plan.missing().is_empty() {
            return BTreeMap::new();
        }
        let columns = plan.columns();
        let sources: Vec<(CellIndex, Bytes)> = plan
            .sources()
            .iter()
            .map(|cell| {
                let stored = plan.shape().stored(cell, &columns);
                let bytes =
                    if stored.is_empty() { Bytes::new() } else { columns_of(runs, cell, &stored).join() };
                (cell, bytes)
            })
            .collect();
        let sources: Vec<(CellIndex, &[u8])> =
            sources.iter().map(|(cell, bytes)| (*cell, &bytes[..])).collect();
        let mut made: Vec<(CellIndex, Vec<u8>)> =
            plan.missing().iter().map(|cell| (cell, vec![0; columns.len()])).collect();
        let mut targets: Vec<(CellIndex, &mut [u8])> =
            made.iter_mut().map(|(cell, bytes)| (*cell, &mut bytes[..])).collect();
        self.codec
            .decode_padded(&sources, &mut targets)
            .expect("the plan names as many sources as the scheme needs, of the columns' length or padded");
        made.into_iter().map(|(cell, bytes)| (cell, Bytes::from(bytes))).collect()
    }
}

/// The run that holds `columns` of `cell`, and its first column.
fn run_with<'a>(runs: &'a Runs, cell: CellIndex, columns: &Range<usize>) -> Option<(usize, &'a Rope)> {
    let of_cell = runs.range((cell, 0)..=(cell, columns.start));
    of_cell.rev().map(|((_, start), run)| (*start, run)).find(|(start, run)| start + run.len() >= columns.end)
}

fn covers(runs: &Runs, read: &CellRead) -> bool {
    run_with(runs, read.cell, &read.columns).is_some()
}

fn columns_of(runs: &Runs, cell: CellIndex, columns: &Range<usize>) -> Rope {
    let (start, run) = run_with(runs, cell, columns).expect("every run of the plan was read");
    let mut run = run.clone();
    run.split_to(columns.start - start).expect("the run starts at or before the columns");
    run.split_to(columns.len()).expect("the run ends at or behind the columns")
}
