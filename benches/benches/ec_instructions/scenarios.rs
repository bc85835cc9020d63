//! What is counted: geometry, slicing, the cache of decode tables, plans.

use std::collections::BTreeMap;

use allotrope_ec::types::{ByteCount, LocalId, ReplicaIndex};
use allotrope_ec::{
    Arrival, BlockOnSource, COLUMN_SLICE_LEN, CellIndex, CellSet, Codec, Crc, GroupOffset, Layout, Scheme,
    SourceReport, StripeIndex, Windows, plan_container,
};

use crate::counted_region;
use crate::kernel::Counting;

pub(crate) const SCENARIOS: [(&str, fn()); 14] = [
    ("geometry_places", places),
    ("geometry_block_lengths", block_lengths),
    ("read_whole", read_whole),
    ("read_with_two_lost", read_with_two_lost),
    ("stripe_arrives", stripe_arrives),
    ("encode_calls", encode_calls),
    ("encode_short_stripe", encode_short_stripe),
    ("encode_checksummed_slices", encode_checksummed_slices),
    ("table_is_cached", table_is_cached),
    ("table_is_made", table_is_made),
    ("decode_calls", decode_calls),
    ("plan_of_1000_blocks", plan_of_1000_blocks),
    ("plan_with_damage", plan_with_damage),
    ("steps_of_a_block", steps_of_a_block),
];

const MIB: u64 = 1 << 20;

fn layout() -> Layout {
    Layout::new("rs-6-3-1024k".parse().expect("a config of Ozone's"))
}

fn codec() -> Codec<Counting> {
    Codec::with_kernel(Scheme::reed_solomon(6, 3).expect("a scheme of Ozone's"))
}

fn cells(numbers: &[usize]) -> CellSet {
    numbers.iter().map(|&number| CellIndex::new(number)).collect()
}

/// Where 1000 bytes lie, and back.
fn places() {
    let layout = layout();
    counted_region(|| {
        (0..1000)
            .filter(|i| {
                let at = GroupOffset::new(i * 1_000_003);
                let place = layout.place_of(std::hint::black_box(at));
                layout.offset_of(place) == Some(at)
                    && layout.block_offset(place.stripe, place.column).is_some()
            })
            .count()
    });
}

/// The lengths of all blocks of 100 groups, and the shapes of their last stripes.
fn block_lengths() {
    let layout = layout();
    counted_region(|| {
        let mut sum = 0;
        for i in 0..100 {
            let group = ByteCount::new(std::hint::black_box(i * 7_654_321));
            for cell in layout.scheme().all_cells() {
                sum += layout.block_len(group, cell).as_u64();
            }
            let last = StripeIndex::new(layout.stripes(group).saturating_sub(1));
            sum += layout.shape(group, last).map_or(0, |shape| shape.coded_len()) as u64;
        }
        sum
    });
}

fn read(available: &[usize]) {
    let layout = layout();
    let available: Vec<CellIndex> = available.iter().map(|&cell| CellIndex::new(cell)).collect();
    counted_region(|| {
        let (range, group) =
            (GroupOffset::new(12_345)..GroupOffset::new(100 * MIB - 77), ByteCount::mib(100));
        let stripes = layout.stripe_reads(range, group, &available).expect("the range lies in the group");
        stripes
            .map(|stripe| {
                stripe.expect("enough cells are left").reads().map(|run| run.columns.len()).sum::<usize>()
            })
            .sum::<usize>()
    });
}

/// The runs of a read of 100 MiB.
fn read_whole() {
    read(&[0, 1, 2, 3, 4, 5, 6, 7, 8]);
}

/// The same with two data replicas lost.
fn read_with_two_lost() {
    read(&[8, 0, 2, 3, 6, 5, 7]);
}

/// A stripe that arrives in pieces of 64 KiB.
fn stripe_arrives() {
    counted_region(|| {
        let mut stripe = Arrival::new(layout());
        let ready: usize = (0..96)
            .map(|_| stripe.arrived(std::hint::black_box(64 << 10)).expect("there is room").len())
            .sum();
        ready + stripe.finish().len()
    });
}

/// What 100 calls of `encode` cost beside the kernel.
fn encode_calls() {
    let (codec, data, mut parity) = (codec(), vec![vec![0; 4096]; 6], vec![vec![0; 4096]; 3]);
    let data: Vec<&[u8]> = data.iter().map(Vec::as_slice).collect();
    let mut parity: Vec<&mut [u8]> = parity.iter_mut().map(Vec::as_mut_slice).collect();
    counted_region(|| (0..100).for_each(|_| codec.encode(&data, &mut parity).expect("whole cells")));
}

/// A last stripe of two whole cells, a short one and three empty ones.
fn encode_short_stripe() {
    let (codec, cell, mut parity) = (codec(), vec![0; MIB as usize], vec![vec![0; MIB as usize]; 3]);
    let data: [&[u8]; 6] = [&cell, &cell, &cell[..123_456], &[], &[], &[]];
    let mut parity: Vec<&mut [u8]> = parity.iter_mut().map(Vec::as_mut_slice).collect();
    counted_region(|| codec.encode_padded(&data, &mut parity).expect("cells are short, not long"));
}

/// A stripe of 1 MiB cells in column slices; neither kernels nor CRCs are counted.
fn encode_checksummed_slices() {
    let (codec, data, mut parity) = (codec(), vec![vec![0; MIB as usize]; 6], vec![vec![0; MIB as usize]; 3]);
    let windows = Windows::new(Crc::Crc32, Windows::LEN_DEFAULT);
    let mut sums = vec![vec![0; windows.count(MIB as usize)]; 9];
    let data: Vec<&[u8]> = data.iter().map(Vec::as_slice).collect();
    let mut parity: Vec<&mut [u8]> = parity.iter_mut().map(Vec::as_mut_slice).collect();
    let mut sums: Vec<&mut [u32]> = sums.iter_mut().map(Vec::as_mut_slice).collect();
    counted_region(|| {
        codec.encode_with_checksums(&data, &mut parity, windows, &mut sums).expect("whole cells");
    });
}

/// 100 look-ups of a decode table among those of all single and double losses of 6-3.
fn table_is_cached() {
    let codec = codec();
    let all = codec.scheme().all_cells();
    for (a, b) in (0..9).flat_map(|a| (a..9).map(move |b| (a, b))) {
        let missing = cells(&[a, b]);
        codec.decoder(all.without(missing), missing).expect("enough survivors");
    }
    let missing = cells(&[1, 7]);
    counted_region(|| {
        for _ in 0..100 {
            std::hint::black_box(codec.decoder(all.without(missing), missing).expect("enough survivors"));
        }
    });
}

/// The decode table of two losses of 10-4, made; expanding it is the kernel's.
fn table_is_made() {
    let codec: Codec<Counting> =
        Codec::with_kernel(Scheme::reed_solomon(10, 4).expect("a scheme of Ozone's"));
    let missing = cells(&[0, 5]);
    counted_region(|| {
        codec.decoder(codec.scheme().all_cells().without(missing), missing).expect("enough survivors")
    });
}

/// What 100 calls of `decode` cost beside the kernel, look-up of the table included.
fn decode_calls() {
    let codec = codec();
    let bytes = vec![0; 4096];
    let survivors: Vec<(CellIndex, &[u8])> = (2..9).map(|i| (CellIndex::new(i), &bytes[..])).collect();
    let (mut a, mut b) = (vec![0; 4096], vec![0; 4096]);
    let mut missing: [(CellIndex, &mut [u8]); 2] = [(CellIndex::new(0), &mut a), (CellIndex::new(1), &mut b)];
    codec.decode(&survivors, &mut missing).expect("enough survivors");
    counted_region(|| {
        (0..100).for_each(|_| codec.decode(&survivors, &mut missing).expect("enough survivors"));
    });
}

fn reports(blocks: u64, is_damaged: bool) -> Vec<SourceReport> {
    let layout = layout();
    let source = |number: u8| {
        let replica = ReplicaIndex::new(number).expect("a replica of 6-3");
        let block = |id: u64| {
            let group = ByteCount::new(id * 123_457);
            let is_stale = is_damaged && (id + u64::from(number)).is_multiple_of(11);
            let group_len = if is_stale { ByteCount::new(id * 1000) } else { group };
            let block_len = layout.block_len(group, replica.into());
            (LocalId::new(id), BlockOnSource { group_len: Some(group_len), block_len })
        };
        let missing = |id: &u64| is_damaged && (id * u64::from(number)).is_multiple_of(13);
        let blocks: BTreeMap<_, _> = (1..=blocks).filter(|id| !missing(id)).map(block).collect();
        SourceReport { replica, blocks }
    };
    (2..=9).map(source).collect()
}

fn plan(is_damaged: bool) {
    let (layout, reports) = (layout(), reports(1000, is_damaged));
    let target = [ReplicaIndex::new(1).expect("a replica of 6-3")];
    counted_region(|| plan_container(layout, &reports, &target).expect("facts that can be"));
}

/// The plan for a container of 1000 blocks and one lost replica.
fn plan_of_1000_blocks() {
    plan(false);
}

/// The same where sources lack blocks or were left behind.
fn plan_with_damage() {
    plan(true);
}

/// All steps of rebuilding one replica of a block group of 100 MiB.
fn steps_of_a_block() {
    let (layout, mut reports) = (layout(), reports(1, false));
    for report in &mut reports {
        let group = ByteCount::mib(100);
        let block = BlockOnSource {
            group_len: Some(group),
            block_len: layout.block_len(group, report.replica.into()),
        };
        report.blocks.insert(LocalId::new(1), block);
    }
    let target = [ReplicaIndex::new(1).expect("a replica of 6-3")];
    let plan = plan_container(layout, &reports, &target).expect("facts that can be");
    let block = &plan.blocks[&LocalId::new(1)];
    counted_region(|| {
        let len = |step: allotrope_ec::Step<'_>| {
            step.reads().chain(step.writes()).map(|run| run.len).sum::<usize>()
        };
        block.steps(COLUMN_SLICE_LEN).map(len).sum::<usize>()
    });
}
