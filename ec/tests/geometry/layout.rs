//! Places, lengths and shapes.

use std::collections::BTreeMap;

use allotrope_ec::{CellIndex, CellSet, GroupOffset, Layout, Place, StripeIndex};
use allotrope_types::ByteCount;
use proptest::prelude::*;

use crate::{groups, layouts};

proptest! {
    #[test]
    fn every_byte_lies_in_one_place(layout in layouts(), at in any::<u64>()) {
        let place = layout.place_of(GroupOffset::new(at));
        prop_assert!(place.cell.get() < layout.scheme().data() && place.column < layout.cell_len());
        prop_assert_eq!(layout.offset_of(place), Some(GroupOffset::new(at)));
        let block = layout.block_offset(place.stripe, place.column).unwrap().as_u64();
        prop_assert_eq!(block / layout.cell_len() as u64, place.stripe.as_u64());
        prop_assert!(block <= at);
    }

    #[test]
    fn neighbouring_bytes_never_share_a_place(layout in layouts(), at in 0u64..u64::MAX) {
        let places = [at, at + 1].map(|at| layout.place_of(GroupOffset::new(at)));
        prop_assert!(places[0] < places[1], "places are ordered as bytes are");
    }

    #[test]
    fn lengths_of_blocks_are_counts_of_their_bytes((layout, len) in groups()) {
        let mut counted: BTreeMap<usize, u64> = BTreeMap::new();
        for at in (0..len).rev() {
            let place = layout.place_of(GroupOffset::new(at));
            let end = layout.block_offset(place.stripe, place.column).unwrap().as_u64() + 1;
            let most = counted.entry(place.cell.get()).or_default();
            *most = end.max(*most);
        }
        let group = ByteCount::new(len);
        let block_len = |cell| layout.block_len(group, CellIndex::new(cell)).as_u64();
        let mut sum = 0;
        for cell in 0..layout.scheme().data() {
            prop_assert_eq!(block_len(cell), counted.get(&cell).copied().unwrap_or(0), "cell {}", cell);
            sum += block_len(cell);
        }
        prop_assert_eq!(sum, len, "data blocks are the group");
        for cell in layout.scheme().parity_cells() {
            prop_assert_eq!(block_len(cell.get()), block_len(0), "parity is as long as the first block");
        }
        let held: CellSet =
            layout.scheme().data_cells().iter().filter(|cell| block_len(cell.get()) > 0).collect();
        prop_assert_eq!(layout.data_cells_held(group), held);
    }

    #[test]
    fn stripes_add_up_to_the_group((layout, len) in groups()) {
        let group = ByteCount::new(len);
        let shapes: Vec<_> =
            (0..layout.stripes(group)).map(|s| layout.shape(group, StripeIndex::new(s)).unwrap()).collect();
        prop_assert_eq!(layout.shape(group, StripeIndex::new(layout.stripes(group))), None);
        prop_assert_eq!(shapes.iter().map(|shape| shape.data_len()).sum::<u64>(), len);
        for cell in layout.scheme().all_cells() {
            let stored: u64 = shapes.iter().map(|shape| shape.cell_len(cell) as u64).sum();
            prop_assert_eq!(stored, layout.block_len(group, cell).as_u64());
        }
        for shape in shapes {
            prop_assert!(shape.coded_len() > 0);
            for cell in layout.scheme().data_cells() {
                prop_assert_eq!(shape.padding().contains(cell), shape.cell_len(cell) == 0);
                prop_assert!(shape.cell_len(cell) <= shape.coded_len());
                let all = 0..shape.coded_len();
                prop_assert_eq!(shape.stored(cell, &all).len(), shape.cell_len(cell));
            }
            let covered: Vec<usize> = shape.slices(700).flatten().collect();
            prop_assert_eq!(covered, (0..shape.coded_len()).collect::<Vec<_>>());
        }
    }
}

#[test]
fn the_last_stripe_is_as_ozone_writes_it() {
    let layout = Layout::new("rs-6-3-1024k".parse().unwrap());
    let mib = 1u64 << 20;
    // Two whole stripes, two whole cells and half of a third.
    let group = ByteCount::new(14 * mib + mib / 2);
    let lens: Vec<u64> =
        layout.scheme().all_cells().iter().map(|cell| layout.block_len(group, cell).as_u64()).collect();
    let (three, half) = (3 * mib, 2 * mib + mib / 2);
    assert_eq!(lens, [three, three, half, 2 * mib, 2 * mib, 2 * mib, three, three, three]);
    // Shorter than a cell: parity is as long as the data.
    let lens: Vec<u64> =
        [0, 1, 6, 8].map(|i| layout.block_len(ByteCount::new(5), CellIndex::new(i)).as_u64()).into();
    assert_eq!(lens, [5, 0, 5, 5]);
}

#[test]
fn places_that_do_not_exist_have_no_offset() {
    let layout = Layout::new("rs-3-2-1k".parse().unwrap());
    let place =
        |stripe, cell, column| Place { stripe: StripeIndex::new(stripe), cell: CellIndex::new(cell), column };
    assert_eq!(layout.offset_of(place(1, 2, 1023)), Some(GroupOffset::new(6143)));
    assert_eq!(layout.offset_of(place(1, 3, 0)), None, "parity holds no byte of the group");
    assert_eq!(layout.offset_of(place(1, 0, 1024)), None);
    assert_eq!(layout.offset_of(place(u64::MAX / 3, 0, 0)), None);
    assert_eq!(layout.block_offset(StripeIndex::new(u64::MAX), 0), None);
    assert_eq!(layout.block_len(ByteCount::new(5), CellIndex::new(9)), ByteCount::ZERO);
    assert_eq!(layout.shape(ByteCount::new(5), StripeIndex::new(u64::MAX)), None);
}
