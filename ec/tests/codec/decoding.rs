//! `decode(any d cells of encode(x)) == x`, on both kernels.

use crate::stripes::{Stripe, bytes, cell, muts, refs, sets_of};
use allotrope_ec::{CellSet, Codec, DefaultKernel, Kernel, Scheme, plain::Plain};
use proptest::prelude::*;

/// Lengths around the ends of vectors and of pages.
const LENS: [usize; 18] = [0, 1, 2, 15, 16, 17, 31, 32, 33, 63, 64, 65, 127, 128, 129, 255, 4095, 4097];

fn all_patterns_decode<K: Kernel>(data: usize, parity: usize, lens: &[usize]) {
    let codec: Codec<K> = Codec::with_kernel(Scheme::reed_solomon(data, parity).unwrap());
    for &len in lens {
        let stripe = Stripe::encoded(&codec, len as u64 + 1, len);
        for survivors in (data..=data + parity).flat_map(|count| sets_of(count, codec.scheme())) {
            stripe.assert_decodes_from(&codec, survivors);
        }
    }
}

#[test]
fn every_pattern_of_3_2_decodes() {
    all_patterns_decode::<DefaultKernel>(3, 2, &LENS);
    all_patterns_decode::<Plain>(3, 2, &LENS);
}

#[test]
fn every_pattern_of_6_3_decodes() {
    all_patterns_decode::<DefaultKernel>(6, 3, &LENS);
    all_patterns_decode::<Plain>(6, 3, &[1, 65]);
}

#[test]
fn every_single_and_double_loss_of_10_4_decodes() {
    let codec = Codec::new(Scheme::reed_solomon(10, 4).unwrap());
    let stripe = Stripe::encoded(&codec, 4, 333);
    for survivors in [12, 13].into_iter().flat_map(|count| sets_of(count, codec.scheme())) {
        stripe.assert_decodes_from(&codec, survivors);
    }
}

#[test]
fn xor_makes_any_one_cell_from_the_others() {
    let codec = Codec::new(Scheme::xor(2).unwrap());
    for len in LENS {
        let stripe = Stripe::encoded(&codec, 9, len);
        for survivors in sets_of(2, codec.scheme()) {
            stripe.assert_decodes_from(&codec, survivors);
        }
    }
}

#[test]
fn whole_cells_of_a_mebibyte_decode() {
    let codec = Codec::new(Scheme::reed_solomon(6, 3).unwrap());
    for len in [(1 << 20) - 1, 1 << 20, (1 << 20) + 1] {
        let stripe = Stripe::encoded(&codec, 77, len);
        let lost = CellSet::EMPTY.with(cell(0)).with(cell(5)).with(cell(7));
        stripe.assert_decodes_from(&codec, codec.scheme().all_cells().without(lost));
    }
}

#[test]
fn cells_may_be_named_in_any_order_and_made_one_at_a_time() {
    let codec = Codec::new(Scheme::reed_solomon(3, 2).unwrap());
    let stripe = Stripe::encoded(&codec, 3, 100);
    let survivors: Vec<_> = [4, 0, 3].map(|i| (cell(i), stripe.cells[i].as_slice())).to_vec();
    let (mut d2, mut d1) = (vec![0; 100], vec![0; 100]);
    codec.decode(&survivors, &mut [(cell(2), &mut d2), (cell(1), &mut d1)]).unwrap();
    assert_eq!((&d1, &d2), (&stripe.cells[1], &stripe.cells[2]));
    let mut only = vec![0; 100];
    codec.decode(&survivors, &mut [(cell(2), &mut only)]).unwrap();
    assert_eq!(only, stripe.cells[2]);
    codec.decode(&survivors, &mut []).unwrap();
}

#[test]
fn a_short_last_stripe_decodes_without_its_padding() {
    for kernel_len in [10_000, 100_000] {
        let codec = Codec::new(Scheme::reed_solomon(6, 3).unwrap());
        let lens = [kernel_len, kernel_len, kernel_len / 3, 0, 0, 0];
        let data: Vec<Vec<u8>> = lens.iter().enumerate().map(|(i, &len)| bytes(i as u64, len)).collect();
        let mut parity = vec![vec![0; kernel_len]; 3];
        codec.encode_padded(&refs(&data), &mut muts(&mut parity)).unwrap();

        let padded: Vec<Vec<u8>> =
            data.iter().map(|cell| [&cell[..], &vec![0; kernel_len - cell.len()]].concat()).collect();
        let mut expected = vec![vec![0; kernel_len]; 3];
        codec.encode(&refs(&padded), &mut muts(&mut expected)).unwrap();
        assert!(parity == expected, "padding in place of zeros");

        // Cells 0 and 2 are lost, and one parity cell too; the empty cells survive as nothing at all.
        let (mut d0, mut d2, mut p1) = (vec![1; kernel_len], vec![1; kernel_len], vec![1; kernel_len]);
        codec
            .decode_padded(
                &[
                    (cell(1), &data[1][..]),
                    (cell(3), &[][..]),
                    (cell(4), &[][..]),
                    (cell(5), &[][..]),
                    (cell(6), &parity[0][..]),
                    (cell(8), &parity[2][..]),
                ],
                &mut [(cell(0), &mut d0), (cell(2), &mut d2), (cell(7), &mut p1)],
            )
            .unwrap();
        assert!(d0 == data[0] && d2 == padded[2] && p1 == parity[1]);
    }
}

fn schemes() -> impl Strategy<Value = Scheme> {
    prop_oneof![Just((10, 4)), (1usize..=31).prop_flat_map(|data| (Just(data), 1usize..=32 - data)),]
        .prop_map(|(data, parity)| Scheme::reed_solomon(data, parity).unwrap())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn any_scheme_decodes_from_any_survivors(
        scheme in schemes(),
        seed in any::<u64>(),
        len in 0usize..400,
        order in any::<[u32; 32]>(),
    ) {
        let codec = Codec::new(scheme);
        let stripe = Stripe::encoded(&codec, seed % 1000, len);
        let mut cells: Vec<_> = scheme.all_cells().iter().collect();
        cells.sort_by_key(|cell| order[cell.get()]);
        stripe.assert_decodes_from(&codec, cells.into_iter().take(scheme.data()).collect());
    }

    #[test]
    fn both_kernels_make_the_same_parity(scheme in schemes(), seed in 0u64..1000, len in 0usize..3000) {
        let fast = Stripe::encoded(&Codec::<DefaultKernel>::with_kernel(scheme), seed, len);
        let plain = Stripe::encoded(&Codec::<Plain>::with_kernel(scheme), seed, len);
        prop_assert!(fast == plain);
    }

    #[test]
    fn padded_cells_code_like_cells_filled_up_with_zeros(
        scheme in schemes(),
        seed in 0u64..1000,
        lens in prop::collection::vec(0usize..70_000, 32),
    ) {
        let codec = Codec::new(scheme);
        let data: Vec<Vec<u8>> = (0..scheme.data()).map(|i| bytes(seed + i as u64, lens[i])).collect();
        let len = data.iter().map(Vec::len).max().unwrap();
        let filled: Vec<Vec<u8>> =
            data.iter().map(|cell| [&cell[..], &vec![0; len - cell.len()]].concat()).collect();
        let (mut padded, mut expected) =
            (vec![vec![1; len]; scheme.parity()], vec![vec![2; len]; scheme.parity()]);
        codec.encode_padded(&refs(&data), &mut muts(&mut padded)).unwrap();
        codec.encode(&refs(&filled), &mut muts(&mut expected)).unwrap();
        prop_assert!(padded == expected);
    }
}
