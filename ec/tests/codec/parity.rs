//! Parity made in slices, a cell at a time, after a change, and with checksums; and its verification.

use std::num::NonZeroUsize;

use crate::stripes::{Stripe, bytes, cell, muts, refs};
use allotrope_ec::{CellSet, Codec, Crc, DefaultKernel, Kernel, Scheme, Windows, plain::Plain};
use proptest::prelude::*;

fn rs(data: usize, parity: usize) -> Scheme {
    Scheme::reed_solomon(data, parity).unwrap()
}

#[test]
fn column_slices_in_any_order_make_the_whole_parity() {
    let codec = Codec::new(rs(6, 3));
    let stripe = Stripe::encoded(&codec, 1, 1000);
    let mut parity = vec![vec![0; 1000]; 3];
    for columns in [700..1000, 0..1, 1..65, 65..700, 700..700] {
        codec.encode_columns(&stripe.data(), columns, &mut muts(&mut parity)).unwrap();
    }
    assert_eq!(refs(&parity), stripe.parity());
}

#[test]
fn a_column_slice_leaves_other_columns_alone() {
    let codec = Codec::new(rs(3, 2));
    let stripe = Stripe::encoded(&codec, 1, 100);
    let mut parity = vec![vec![7; 100]; 2];
    codec.encode_columns(&stripe.data(), 10..20, &mut muts(&mut parity)).unwrap();
    for (made, whole) in parity.iter().zip(stripe.parity()) {
        assert_eq!(made[10..20], whole[10..20]);
        assert!(made[..10].iter().chain(&made[20..]).all(|&byte| byte == 7));
    }
}

fn cells_added_one_by_one_make_the_parity<K: Kernel>() {
    for len in [0, 1, 31, 33, 64, 100, 5000] {
        let codec: Codec<K> = Codec::with_kernel(rs(10, 4));
        let stripe = Stripe::encoded(&codec, 2, len);
        let mut parity = vec![vec![0; len]; 4];
        for i in [3, 0, 9, 1, 2, 8, 7, 4, 6, 5] {
            codec.add_cell(cell(i), &stripe.cells[i], &mut muts(&mut parity)).unwrap();
        }
        assert!(refs(&parity) == stripe.parity(), "cells of {len} bytes");
    }
}

#[test]
fn cells_that_arrive_one_by_one_make_the_parity() {
    cells_added_one_by_one_make_the_parity::<DefaultKernel>();
    cells_added_one_by_one_make_the_parity::<Plain>();
}

#[test]
fn an_update_equals_encoding_anew() {
    for len in [0, 1, 63, 4096, 4097, 10_000] {
        let codec = Codec::new(rs(6, 3));
        let mut stripe = Stripe::encoded(&codec, 5, len);
        for i in 0..6 {
            let new = bytes(900 + i as u64, len);
            let mut parity: Vec<Vec<u8>> = stripe.cells[6..].to_vec();
            codec.update(cell(i), &stripe.cells[i], &new, &mut muts(&mut parity)).unwrap();
            stripe.cells[i] = new;
            stripe.cells.truncate(6);
            stripe.cells.append(&mut parity);
            assert_eq!(
                codec.verify(&stripe.data(), &stripe.parity()),
                Ok(CellSet::EMPTY),
                "cell {i}, {len} bytes"
            );
        }
    }
}

#[test]
fn verify_names_the_parity_cells_that_differ() {
    let codec = Codec::new(rs(6, 3));
    let whole = Stripe::encoded(&codec, 6, 20_000);
    assert_eq!(codec.verify(&whole.data(), &whole.parity()), Ok(CellSet::EMPTY));
    for at in [0, 5460, 5461, 16_383, 19_999] {
        let mut damaged = whole.clone();
        damaged.cells[7][at] ^= 0x10;
        assert_eq!(codec.verify(&damaged.data(), &damaged.parity()), Ok(CellSet::EMPTY.with(cell(7))));
        damaged.cells[2][at] ^= 0x01;
        assert!(codec.verify(&damaged.data(), &damaged.parity()).unwrap().contains(cell(6)));
        assert!(codec.verify(&damaged.data(), &damaged.parity()).unwrap().contains(cell(8)));
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn one_pass_gives_the_parity_and_checksums_of_two(
        (data, parity) in prop_oneof![Just((3usize, 2usize)), Just((6, 3)), Just((10, 4))],
        lens in prop::collection::vec(0usize..100_000, 10),
        window in prop_oneof![Just(16_384usize), Just(512), Just(65_536), Just(1 << 20), 1usize..50_000],
        slice_len in prop_oneof![Just(32_768usize), 1024usize..70_000],
        crc in prop_oneof![Just(Crc::Crc32), Just(Crc::Crc32c)],
    ) {
        let codec = Codec::new(rs(data, parity));
        let cells: Vec<Vec<u8>> = (0..data).map(|i| bytes(i as u64, lens[i])).collect();
        let len = cells.iter().map(Vec::len).max().unwrap();
        let mut expected = vec![vec![0; len]; parity];
        codec.encode_padded(&refs(&cells), &mut muts(&mut expected)).unwrap();
        let sums_of = |cell: &Vec<u8>| -> Vec<u32> { cell.chunks(window).map(|w| crc.extended(0, w)).collect() };
        let expected_sums: Vec<Vec<u32>> = cells.iter().chain(&expected).map(sums_of).collect();

        let windows = Windows::new(crc, NonZeroUsize::new(window).unwrap());
        let mut made = vec![vec![3; len]; parity];
        let mut sums: Vec<Vec<u32>> = expected_sums.iter().map(|sums| vec![9; sums.len()]).collect();
        codec
            .encode_with_checksums_sliced(
                &refs(&cells),
                &mut muts(&mut made),
                windows,
                &mut sums.iter_mut().map(Vec::as_mut_slice).collect::<Vec<_>>(),
                slice_len,
            )
            .unwrap();
        prop_assert!(made == expected);
        prop_assert_eq!(sums, expected_sums);
    }

    #[test]
    fn cells_decoded_with_checksums_carry_the_checksums_they_were_encoded_with(
        lens in prop::collection::vec(0usize..90_000, 6),
        window in prop_oneof![Just(16_384usize), 1usize..50_000],
    ) {
        let codec = Codec::new(rs(6, 3));
        let windows = Windows::new(Crc::Crc32c, NonZeroUsize::new(window).unwrap());
        let data: Vec<Vec<u8>> = lens.iter().enumerate().map(|(i, &len)| bytes(i as u64, len)).collect();
        let len = lens.iter().copied().max().unwrap();
        let mut parity = vec![vec![0; len]; 3];
        codec.encode_padded(&refs(&data), &mut muts(&mut parity)).unwrap();

        let lost = CellSet::EMPTY.with(cell(1)).with(cell(6));
        let decoder = codec.decoder(codec.scheme().all_cells().without(lost), lost).unwrap();
        let cells: Vec<&[u8]> = data.iter().chain(&parity).map(Vec::as_slice).collect();
        let sources: Vec<&[u8]> = decoder.sources().iter().map(|cell| cells[cell.get()]).collect();
        let mut made = vec![vec![0; len]; 2];
        let mut sums = vec![vec![0; windows.count(len)]; 2];
        decoder
            .decode_with_checksums(
                &sources,
                &mut muts(&mut made),
                windows,
                &mut sums.iter_mut().map(Vec::as_mut_slice).collect::<Vec<_>>(),
            )
            .unwrap();
        prop_assert!(made[0][..lens[1]] == data[1] && made[0][lens[1]..].iter().all(|&byte| byte == 0));
        prop_assert!(made[1] == parity[0]);
        for (made, sums) in made.iter().zip(&sums) {
            let expected: Vec<u32> = made.chunks(window).map(|w| Crc::Crc32c.extended(0, w)).collect();
            prop_assert_eq!(sums, &expected);
        }
    }
}
