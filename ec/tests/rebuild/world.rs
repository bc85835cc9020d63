//! Containers in memory: write groups, lose and damage replicas, carry out plans.

use std::collections::BTreeMap;

use allotrope_ec::{
    BlockOnSource, BlockPlan, CellIndex, Codec, ContainerPlan, Layout, SourceReport, StripeIndex,
    plan_container,
};
use allotrope_types::{ByteCount, LocalId, ReplicaIndex};

/// A block as one replica has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Block {
    pub(crate) group_len: Option<ByteCount>,
    pub(crate) bytes: Vec<u8>,
}

/// All replicas of one container.
#[derive(Clone)]
pub(crate) struct Container {
    pub(crate) layout: Layout,
    pub(crate) replicas: BTreeMap<ReplicaIndex, BTreeMap<LocalId, Block>>,
}

pub(crate) fn replica(number: u8) -> ReplicaIndex {
    ReplicaIndex::new(number).unwrap()
}

pub(crate) fn block(number: u64) -> LocalId {
    LocalId::new(number)
}

impl Container {
    pub(crate) fn new(config: &str) -> Container {
        let layout = Layout::new(config.parse().unwrap());
        let replicas =
            layout.scheme().all_cells().iter().map(|cell| (cell.replica(), BTreeMap::new())).collect();
        Container { layout, replicas }
    }

    /// Writes a group of `len` bytes as a client does: all stripes to all replicas, the last one short.
    pub(crate) fn write(&mut self, id: u64, len: u64) {
        let group_len = ByteCount::new(len);
        let codec = Codec::new(self.layout.scheme());
        for blocks in self.replicas.values_mut() {
            blocks.insert(block(id), Block { group_len: Some(group_len), bytes: Vec::new() });
        }
        for stripe in 0..self.layout.stripes(group_len) {
            let shape = self.layout.shape(group_len, StripeIndex::new(stripe)).unwrap();
            let byte =
                |cell: CellIndex, i: usize| (id as usize * 89 + cell.get() * 13 + i * 7 + (i >> 7)) as u8;
            let data: Vec<Vec<u8>> = self
                .layout
                .scheme()
                .data_cells()
                .iter()
                .map(|cell| (0..shape.cell_len(cell)).map(|i| byte(cell, i + stripe as usize)).collect())
                .collect();
            let mut parity = vec![vec![0; shape.coded_len()]; self.layout.scheme().parity()];
            let sources: Vec<&[u8]> = data.iter().map(Vec::as_slice).collect();
            let mut targets: Vec<&mut [u8]> = parity.iter_mut().map(Vec::as_mut_slice).collect();
            codec.encode_padded(&sources, &mut targets).unwrap();
            for (blocks, cell) in self.replicas.values_mut().zip(data.into_iter().chain(parity)) {
                blocks.get_mut(&block(id)).unwrap().bytes.extend(cell);
            }
        }
    }

    pub(crate) fn lose(&mut self, replicas: &[u8]) {
        for &number in replicas {
            self.replicas.remove(&replica(number));
        }
    }

    pub(crate) fn on(&mut self, number: u8) -> &mut BTreeMap<LocalId, Block> {
        self.replicas.get_mut(&replica(number)).unwrap()
    }

    pub(crate) fn reports(&self) -> Vec<SourceReport> {
        let on_source = |block: &Block| BlockOnSource {
            group_len: block.group_len,
            block_len: ByteCount::of(&block.bytes),
        };
        self.replicas
            .iter()
            .map(|(&replica, blocks)| SourceReport {
                replica,
                blocks: blocks.iter().map(|(&id, block)| (id, on_source(block))).collect(),
            })
            .collect()
    }

    pub(crate) fn plan(&self, targets: &[u8]) -> ContainerPlan {
        let targets: Vec<ReplicaIndex> = targets.iter().map(|&number| replica(number)).collect();
        plan_container(self.layout, &self.reports(), &targets).unwrap()
    }

    /// Carries out `plan` and adds the rebuilt replicas.
    pub(crate) fn rebuild(&mut self, plan: &ContainerPlan, targets: &[u8], slice_len: usize) {
        let mut rebuilt: BTreeMap<ReplicaIndex, BTreeMap<LocalId, Block>> =
            targets.iter().map(|&number| (replica(number), BTreeMap::new())).collect();
        for (&id, block) in &plan.blocks {
            for (target, made) in self.carry_out(id, block, slice_len) {
                rebuilt.get_mut(&target).unwrap().insert(id, made);
            }
        }
        self.replicas.append(&mut rebuilt);
    }

    fn carry_out(&self, id: LocalId, plan: &BlockPlan, slice_len: usize) -> BTreeMap<ReplicaIndex, Block> {
        let codec = Codec::new(self.layout.scheme());
        let empty = Block { group_len: Some(plan.group_len()), bytes: Vec::new() };
        let mut made: BTreeMap<ReplicaIndex, Block> =
            plan.targets().iter().map(|cell| (cell.replica(), empty.clone())).collect();
        let decoder = codec.decoder(plan.survivors(), plan.decoded()).unwrap();
        let mut bytes_read = 0;
        for step in plan.steps(slice_len) {
            let mut sources: BTreeMap<CellIndex, &[u8]> =
                decoder.sources().iter().map(|cell| (cell, &[][..])).collect();
            for run in step.reads() {
                let from = run.at.as_u64() as usize;
                sources
                    .insert(run.cell, &self.replicas[&run.cell.replica()][&id].bytes[from..from + run.len]);
                bytes_read += run.len as u64;
            }
            let sources: Vec<&[u8]> = sources.into_values().collect();
            let mut slices = vec![vec![0; step.columns().len()]; decoder.targets().len()];
            let mut targets: Vec<&mut [u8]> = slices.iter_mut().map(Vec::as_mut_slice).collect();
            decoder.decode_padded(&sources, &mut targets).unwrap();
            for run in step.writes() {
                let slice = &slices[decoder.targets().iter().position(|cell| cell == run.cell).unwrap()];
                let block = made.get_mut(&run.cell.replica()).unwrap();
                assert_eq!(block.bytes.len() as u64, run.at.as_u64(), "a target is written without a gap");
                block.bytes.extend_from_slice(&slice[..run.len]);
            }
        }
        assert_eq!(bytes_read, plan.bytes_to_read().as_u64());
        for (target, block) in &made {
            assert_eq!(ByteCount::of(&block.bytes), plan.target_len((*target).into()), "replica {target}");
        }
        made
    }
}
