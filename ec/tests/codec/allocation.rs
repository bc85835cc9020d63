//! In steady state the codec allocates nothing.

use allocation_counter::measure;
use allotrope_ec::{CellIndex, CellSet, Codec, Crc, Kernel, Scheme, Windows, plain::Plain};

use crate::stripes::{Stripe, cell};

const LEN: usize = 50_000;

fn nothing_is_allocated<K: Kernel>() {
    let codec: Codec<K> = Codec::with_kernel(Scheme::reed_solomon(6, 3).unwrap());
    let stripe = Stripe::encoded(&codec, 1, LEN);
    let (data, parity) = (stripe.data(), stripe.parity());
    let windows = Windows::new(Crc::Crc32, Windows::LEN_DEFAULT);
    let lost = CellSet::EMPTY.with(cell(0)).with(cell(8));
    let survivors = stripe.survivors(codec.scheme().all_cells().without(lost));
    let (mut out, mut sums) = ([vec![0; LEN], vec![0; LEN], vec![0; LEN]], vec![[0u32; 4]; 9]);
    let [a, b, c] = &mut out;
    let mut all = || {
        codec.encode(&data, &mut [a, b, c]).unwrap();
        codec.encode_columns(&data, 7..4096, &mut [a, b, c]).unwrap();
        codec.encode_padded(&[data[0], &data[1][..9], &[], &[], &[], &[]], &mut [a, b, c]).unwrap();
        codec.add_cell(cell(3), data[3], &mut [a, b, c]).unwrap();
        codec.update(cell(3), data[3], data[4], &mut [a, b, c]).unwrap();
        assert!(codec.verify(&data, &parity).unwrap().is_empty());
        let mut places = sums.iter_mut();
        let mut sums: [&mut [u32]; 9] = std::array::from_fn(|_| places.next().unwrap().as_mut_slice());
        codec.encode_with_checksums(&data, &mut [a, b, c], windows, &mut sums).unwrap();
        let mut missing: [(CellIndex, &mut [u8]); 2] = [(cell(0), a), (cell(8), b)];
        codec.decode(&survivors, &mut missing).unwrap();
        let decoder = codec.decoder(codec.scheme().all_cells().without(lost), lost).unwrap();
        let sources: [&[u8]; 6] = std::array::from_fn(|i| survivors[i].1);
        decoder.decode_with_checksums(&sources, &mut [a, b], windows, &mut sums[..2]).unwrap();
    };
    all(); // makes the decode table
    let count = measure(all).count_total;
    assert_eq!(count, 0, "allocations");
}

#[test]
fn nothing_is_allocated_on_the_default_kernel() {
    nothing_is_allocated::<allotrope_ec::DefaultKernel>();
}

#[test]
fn nothing_is_allocated_on_the_plain_kernel() {
    nothing_is_allocated::<Plain>();
}
