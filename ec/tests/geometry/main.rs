//! Stripe geometry as properties: every byte of a group lies in one place, lengths add up, reads bring what was asked.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod arrival;
mod layout;
mod read;

use allotrope_ec::Layout;
use allotrope_types::{EcCodec, EcConfig};
use proptest::prelude::*;

/// Layouts with cells of a few KiB, so that groups of some stripes stay small.
fn layouts() -> impl Strategy<Value = Layout> {
    let schemes = prop_oneof![
        Just((EcCodec::Rs, 3, 2)),
        Just((EcCodec::Rs, 6, 3)),
        Just((EcCodec::Rs, 10, 4)),
        Just((EcCodec::Rs, 1, 31)),
        Just((EcCodec::Rs, 31, 1)),
        Just((EcCodec::Xor, 2, 1)),
    ];
    (schemes, 1..=4).prop_map(|((codec, data, parity), kib)| {
        Layout::new(EcConfig::new(codec, data, parity, kib * 1024).unwrap())
    })
}

/// A layout and a group of up to four stripes and a bit, often cut near the end of a cell.
fn groups() -> impl Strategy<Value = (Layout, u64)> {
    (layouts(), 0u64..140, -2i64..=2, any::<prop::sample::Index>()).prop_map(|(layout, cells, off, any)| {
        let near = (cells * layout.cell_len() as u64).saturating_add_signed(off);
        let len_max = 4 * layout.stripe_len() + 5;
        let len = if cells < 100 { near } else { any.index(len_max as usize + 1) as u64 };
        (layout, len.min(len_max))
    })
}
