//! Parity bytes as Ozone's Java classes made them, for both kernels.

use allotrope_ec::{CellSet, Codec, DefaultKernel, Kernel, Scheme, plain::Plain};
use sha2::{Digest, Sha256};

const CELL_LEN: usize = 64;

/// Data and parity cells of a scheme.
type Cells = (usize, usize);

/// The start of a parity cell's bytes and of their SHA-256, in hex.
type ParityHead = (&'static str, &'static str);

/// A scheme and, for each parity cell, its first 16 bytes and the first 8 bytes of the SHA-256 of all of it.
const VECTORS: [(Cells, &[ParityHead]); 3] = [
    (
        (3, 2),
        &[
            ("6de978fc803c4e29aafd8fe894105ade", "15e32f79efef326e"),
            ("b38dcff110d1c6ade8190e6584ba526c", "f03e4dff49b04093"),
        ],
    ),
    (
        (6, 3),
        &[
            ("c272bf0f9462661f6e36324bd0602292", "f5aeda0efa92fcc2"),
            ("c777ba0a9167631a6b353148d3632191", "056837647f9ce62f"),
            ("8322dc7de9dfa780574e36118524cb6a", "85a85bd3a4bc334b"),
        ],
    ),
    (
        (10, 4),
        &[
            ("fb0a04f5514b1cb4b28bdc74d0219d6c", "6e60aa16802e5ac2"),
            ("70818f7edac0973f39f2a50da958e415", "5ad66d7272242911"),
            ("fa3579b6f32868abe8abeb286da2f639", "edf7b6e223f341e7"),
            ("aa6529e6a37838fbb89bdb185d92c609", "9fa81529eda5630c"),
        ],
    ),
];

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn data_cells(count: usize) -> Vec<Vec<u8>> {
    let byte = |cell: usize, i: usize| ((CELL_LEN * cell + i) * 7 + 3) as u8;
    (0..count).map(|cell| (0..CELL_LEN).map(|i| byte(cell, i)).collect()).collect()
}

fn parity_is_ozones<K: Kernel>() {
    for ((data, parity), expected) in VECTORS {
        let codec: Codec<K> = Codec::with_kernel(Scheme::reed_solomon(data, parity).unwrap());
        let cells = data_cells(data);
        let cells: Vec<&[u8]> = cells.iter().map(Vec::as_slice).collect();
        let mut made = vec![vec![0; CELL_LEN]; parity];
        codec.encode(&cells, &mut made.iter_mut().map(Vec::as_mut_slice).collect::<Vec<_>>()).unwrap();
        for (i, (made, (first, sha))) in made.iter().zip(expected).enumerate() {
            assert_eq!(hex(&made[..16]), *first, "RS {data}-{parity}, parity cell {i}");
            assert_eq!(hex(&Sha256::digest(made)[..8]), *sha, "RS {data}-{parity}, parity cell {i}");
        }
        let made: Vec<&[u8]> = made.iter().map(Vec::as_slice).collect();
        assert_eq!(codec.verify(&cells, &made), Ok(CellSet::EMPTY));
    }
}

#[test]
fn parity_is_ozones_on_the_default_kernel() {
    parity_is_ozones::<DefaultKernel>();
}

#[test]
fn parity_is_ozones_on_the_plain_kernel() {
    parity_is_ozones::<Plain>();
}

#[test]
fn xor_parity_is_the_xor_of_the_data() {
    let codec = Codec::new(Scheme::xor(2).unwrap());
    let cells = data_cells(2);
    let mut parity = vec![0; CELL_LEN];
    codec.encode(&[&cells[0], &cells[1]], &mut [&mut parity]).unwrap();
    let xor: Vec<u8> = cells[0].iter().zip(&cells[1]).map(|(a, b)| a ^ b).collect();
    assert_eq!(parity, xor);
}
