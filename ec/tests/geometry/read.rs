//! Ranged reads, carried out on blocks in memory: whatever is missing, the bytes that were asked for come back.

use std::ops::Range;

use allotrope_ec::{CellIndex, CellSet, Codec, GeometryError, GroupOffset, Layout, StripeIndex, StripeRead};
use allotrope_types::ByteCount;
use proptest::prelude::*;

use crate::groups;

/// A group's bytes and the blocks its replicas hold.
struct Group {
    layout: Layout,
    bytes: Vec<u8>,
    blocks: Vec<Vec<u8>>,
}

impl Group {
    fn written(layout: Layout, len: u64) -> Group {
        let bytes: Vec<u8> = (0..len).map(|at| (at * 31 + (at >> 8) * 7 + 11) as u8).collect();
        let codec = Codec::new(layout.scheme());
        let group = ByteCount::new(len);
        let mut blocks = vec![Vec::new(); layout.scheme().cells()];
        for stripe in 0..layout.stripes(group) {
            let shape = layout.shape(group, StripeIndex::new(stripe)).unwrap();
            let start = (stripe * layout.stripe_len()) as usize;
            let mut rest = &bytes[start..start + shape.data_len() as usize];
            let mut cells = Vec::new();
            for cell in layout.scheme().data_cells() {
                let (this, others) = rest.split_at(shape.cell_len(cell));
                cells.push(this);
                rest = others;
            }
            let mut parity = vec![vec![0; shape.coded_len()]; layout.scheme().parity()];
            let mut targets: Vec<&mut [u8]> = parity.iter_mut().map(Vec::as_mut_slice).collect();
            codec.encode_padded(&cells, &mut targets).unwrap();
            let all = cells.into_iter().chain(parity.iter().map(Vec::as_slice));
            blocks.iter_mut().zip(all).for_each(|(block, cell)| block.extend_from_slice(cell));
        }
        Group { layout, bytes, blocks }
    }

    fn len(&self) -> ByteCount {
        ByteCount::of(&self.bytes)
    }

    /// Carries out the plan for one stripe and gives the wanted bytes.
    fn read_stripe(&self, codec: &Codec, read: &StripeRead, available: CellSet) -> Vec<u8> {
        let cell_len = self.layout.cell_len();
        let mut cells = vec![vec![None; cell_len]; self.layout.scheme().cells()];
        for run in read.reads() {
            assert!(available.contains(run.cell), "only what is there is read");
            let from = run.at.as_u64() as usize;
            for (column, &byte) in
                run.columns.clone().zip(&self.blocks[run.cell.get()][from..from + run.columns.len()])
            {
                assert_eq!(cells[run.cell.get()][column].replace(byte), None, "nothing is read twice");
            }
        }
        if !read.missing().is_empty() {
            let columns = read.columns();
            let sources: Vec<(CellIndex, Vec<u8>)> = read
                .sources()
                .iter()
                .map(|cell| {
                    let stored = read.shape().stored(cell, &columns);
                    (cell, cells[cell.get()][stored].iter().map(|byte| byte.expect("it was read")).collect())
                })
                .collect();
            let mut made: Vec<Vec<u8>> = vec![vec![0; columns.len()]; read.missing().len()];
            let mut targets: Vec<(CellIndex, &mut [u8])> =
                read.missing().iter().zip(made.iter_mut().map(Vec::as_mut_slice)).collect();
            let sources: Vec<(CellIndex, &[u8])> =
                sources.iter().map(|(cell, bytes)| (*cell, &bytes[..])).collect();
            codec.decode_padded(&sources, &mut targets).unwrap();
            for (cell, made) in read.missing().iter().zip(made) {
                columns.clone().zip(made).for_each(|(column, byte)| cells[cell.get()][column] = Some(byte));
            }
        }
        let wanted = |cell: CellIndex| cells[cell.get()][read.wanted_of(cell)].to_vec();
        self.layout
            .scheme()
            .data_cells()
            .iter()
            .flat_map(wanted)
            .map(|byte| byte.expect("it was wanted"))
            .collect()
    }
}

fn group_range(range: &Range<u64>) -> Range<GroupOffset> {
    GroupOffset::new(range.start)..GroupOffset::new(range.end)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn runs_of_a_range_are_the_range_in_order((layout, len) in groups(), a in any::<u64>(), b in any::<u64>()) {
        let (a, b) = (a % (len + 1), b % (len + 1));
        let range = a.min(b)..a.max(b);
        let mut next = range.start;
        for run in layout.cells_of(group_range(&range), ByteCount::new(len)).unwrap() {
            let place = layout.place_of(GroupOffset::new(next));
            prop_assert_eq!((run.stripe, run.cell, run.columns.start), (place.stripe, place.cell, place.column));
            prop_assert!(!run.columns.is_empty() && run.columns.end <= layout.cell_len());
            prop_assert_eq!(Some(run.at), layout.block_offset(place.stripe, place.column));
            next += run.columns.len() as u64;
        }
        prop_assert_eq!(next, range.end);
    }

    #[test]
    fn a_range_is_read_whatever_is_missing(
        (layout, len) in groups(),
        a in any::<u64>(),
        b in any::<u64>(),
        order in any::<[u32; 32]>(),
        lost in any::<prop::sample::Index>(),
    ) {
        let group = Group::written(layout, len);
        let (a, b) = (a % (len + 1), b % (len + 1));
        let range = a.min(b)..a.max(b);
        let mut available: Vec<CellIndex> = layout.scheme().all_cells().iter().collect();
        available.sort_by_key(|cell| order[cell.get()]);
        available.truncate(layout.scheme().cells() - lost.index(layout.scheme().parity() + 1));
        let there: CellSet = available.iter().copied().collect();

        let codec = Codec::new(layout.scheme());
        let mut read = Vec::new();
        for stripe in layout.stripe_reads(group_range(&range), group.len(), &available).unwrap() {
            read.extend(group.read_stripe(&codec, &stripe.unwrap(), there));
        }
        prop_assert!(read == group.bytes[range.start as usize..range.end as usize]);
    }
}

fn layout() -> Layout {
    Layout::new("rs-3-2-1k".parse().unwrap())
}

fn available(cells: &[usize]) -> Vec<CellIndex> {
    cells.iter().map(|&cell| CellIndex::new(cell)).collect()
}

#[test]
fn a_read_of_cells_that_are_there_reads_nothing_else() {
    let range = GroupOffset::new(100)..GroupOffset::new(2000);
    let there = available(&[4, 1, 0]);
    let stripe = layout().stripe_reads(range, ByteCount::new(9000), &there).unwrap().next().unwrap().unwrap();
    let runs: Vec<_> = stripe.reads().map(|run| (run.cell.get(), run.columns)).collect();
    assert_eq!(runs, [(0, 100..1024), (1, 0..976)]);
    assert!(stripe.missing().is_empty() && stripe.sources().is_empty());
}

#[test]
fn a_missing_cell_is_made_from_the_nearest_others_over_its_wanted_columns_only() {
    let range = GroupOffset::new(1024 + 10)..GroupOffset::new(1024 + 20);
    let there = available(&[4, 2, 3, 0]);
    let stripe = layout().stripe_reads(range, ByteCount::new(9000), &there).unwrap().next().unwrap().unwrap();
    let runs: Vec<_> = stripe.reads().map(|run| (run.cell.get(), run.columns)).collect();
    assert_eq!(runs, [(2, 10..20), (3, 10..20), (4, 10..20)]);
}

#[test]
fn padding_stands_in_for_replicas_that_are_gone() {
    // 500 bytes: cells 1 and 2 hold nothing, so one parity cell is enough to make cell 0.
    let range = GroupOffset::new(0)..GroupOffset::new(500);
    let there = available(&[3]);
    let stripe = layout().stripe_reads(range, ByteCount::new(500), &there).unwrap().next().unwrap().unwrap();
    let runs: Vec<_> = stripe.reads().map(|run| (run.cell.get(), run.columns)).collect();
    assert_eq!(runs, [(3, 0..500)]);
    assert_eq!(stripe.sources(), [1, 2, 3].map(CellIndex::new).into_iter().collect());
}

#[test]
fn a_stripe_with_too_few_cells_left_says_what_it_lacks() {
    let range = GroupOffset::new(0)..GroupOffset::new(5000);
    let there = available(&[1, 4]);
    let mut stripes = layout().stripe_reads(range, ByteCount::new(9000), &there).unwrap();
    let error = stripes.next().unwrap().unwrap_err();
    assert_eq!(error.missing, [0, 2].map(CellIndex::new).into_iter().collect());
    assert_eq!((error.left, error.needed), (there.into_iter().collect(), 3));
}

#[test]
fn ranges_and_cells_outside_the_group_are_refused() {
    let offsets = |a, b| GroupOffset::new(a)..GroupOffset::new(b);
    let error = |start, end| GeometryError::NotInGroup { start, end, group_len: 100 };
    let group = ByteCount::new(100);
    assert_eq!(layout().cells_of(offsets(0, 101), group).unwrap_err(), error(0, 101));
    assert_eq!(layout().cells_of(offsets(60, 50), group).unwrap_err(), error(60, 50));
    let there = available(&[0, 1, 7]);
    assert_eq!(layout().stripe_reads(offsets(0, 101), group, &there).unwrap_err(), error(0, 101));
    assert_eq!(
        layout().stripe_reads(offsets(0, 100), group, &there).unwrap_err(),
        GeometryError::NoSuchCell { cell: CellIndex::new(7), cells: 5 }
    );
}
