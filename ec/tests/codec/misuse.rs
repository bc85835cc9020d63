//! Calls that do not fit the scheme are typed errors and write nothing.

use std::num::NonZeroUsize;

use allotrope_ec::{CellIndex, CellSet, Codec, CodecError, Crc, Scheme, Windows};

use crate::stripes::{cell, muts, refs};

const UNTOUCHED: u8 = 0xee;

fn codec() -> Codec {
    Codec::new(Scheme::reed_solomon(3, 2).unwrap())
}

fn cells(lens: &[usize]) -> Vec<Vec<u8>> {
    lens.iter().map(|&len| vec![UNTOUCHED; len]).collect()
}

fn untouched(cells: &[Vec<u8>]) -> bool {
    cells.iter().flatten().all(|&byte| byte == UNTOUCHED)
}

#[test]
fn encode_refuses_wrong_numbers_and_lengths_of_cells() {
    let codec = codec();
    let cases: [(&[usize], &[usize], CodecError); 6] = [
        (&[8, 8], &[8, 8], CodecError::DataCells { given: 2, needed: 3 }),
        (&[8, 8, 8, 8], &[8, 8], CodecError::DataCells { given: 4, needed: 3 }),
        (&[8, 8, 8], &[8], CodecError::ParityCells { given: 1, needed: 2 }),
        (&[8, 8, 8], &[], CodecError::ParityCells { given: 0, needed: 2 }),
        (&[8, 7, 8], &[8, 8], CodecError::CellLen { cell: cell(1), len: 7, needed: 8 }),
        (&[8, 8, 8], &[8, 9], CodecError::CellLen { cell: cell(4), len: 9, needed: 8 }),
    ];
    for (data, parity, expected) in cases {
        let (data, mut parity) = (cells(data), cells(parity));
        assert_eq!(codec.encode(&refs(&data), &mut muts(&mut parity)), Err(expected.clone()));
        assert_eq!(codec.encode_columns(&refs(&data), 0..1, &mut muts(&mut parity)), Err(expected.clone()));
        assert_eq!(codec.verify(&refs(&data), &refs(&parity)), Err(expected));
        assert!(untouched(&parity));
    }
}

#[test]
fn padded_cells_may_be_short_but_not_long() {
    let codec = codec();
    let (data, mut parity) = (cells(&[8, 9, 0]), cells(&[8, 8]));
    assert_eq!(
        codec.encode_padded(&refs(&data), &mut muts(&mut parity)),
        Err(CodecError::CellTooLong { cell: cell(1), len: 9, len_max: 8 })
    );
    assert!(untouched(&parity));
}

#[test]
fn columns_lie_in_the_cells() {
    let (codec, data, mut parity) = (codec(), cells(&[8, 8, 8]), cells(&[8, 8]));
    #[allow(clippy::reversed_empty_ranges, reason = "a reversed range is the misuse under test")]
    for columns in [0..9, 9..9, 5..4] {
        assert_eq!(
            codec.encode_columns(&refs(&data), columns.clone(), &mut muts(&mut parity)),
            Err(CodecError::NoSuchColumns { columns, cell_len: 8 })
        );
    }
    assert!(untouched(&parity));
}

#[test]
fn only_data_cells_are_added_or_updated() {
    let (codec, mut parity) = (codec(), cells(&[8, 8]));
    let parity = &mut muts(&mut parity);
    let no_such = CodecError::NoSuchCell { cell: cell(3), cells: 3 };
    assert_eq!(codec.add_cell(cell(3), &[0; 8], parity), Err(no_such.clone()));
    assert_eq!(codec.update(cell(3), &[0; 8], &[0; 8], parity), Err(no_such));
    let short = CodecError::CellLen { cell: cell(2), len: 7, needed: 8 };
    assert_eq!(codec.add_cell(cell(2), &[0; 7], parity), Err(short.clone()));
    assert_eq!(codec.update(cell(2), &[0; 7], &[0; 8], parity), Err(short.clone()));
    assert_eq!(codec.update(cell(2), &[0; 8], &[0; 7], parity), Err(short));
}

fn decode(survivors: &[(usize, usize)], missing: &[(usize, usize)]) -> Result<(), CodecError> {
    let sources: Vec<Vec<u8>> = survivors.iter().map(|&(_, len)| vec![0; len]).collect();
    let sources: Vec<(CellIndex, &[u8])> =
        survivors.iter().zip(&sources).map(|(&(i, _), bytes)| (cell(i), bytes.as_slice())).collect();
    let mut targets = cells(&missing.iter().map(|&(_, len)| len).collect::<Vec<_>>());
    let mut pairs: Vec<(CellIndex, &mut [u8])> =
        missing.iter().zip(&mut targets).map(|(&(i, _), bytes)| (cell(i), bytes.as_mut_slice())).collect();
    let result = codec().decode(&sources, &mut pairs);
    assert!(result.is_ok() || untouched(&targets));
    result
}

#[test]
fn decode_refuses_too_few_survivors() {
    let survivors = CellSet::EMPTY.with(cell(0)).with(cell(4));
    assert_eq!(
        decode(&[(0, 8), (4, 8)], &[(1, 8)]),
        Err(CodecError::TooFewSurvivors { survivors, needed: 3 })
    );
}

#[test]
fn decode_refuses_a_cell_named_twice() {
    let twice = |i| Err(CodecError::CellTwice { cell: cell(i) });
    assert_eq!(decode(&[(0, 8), (4, 8), (0, 8)], &[(1, 8)]), twice(0));
    assert_eq!(decode(&[(0, 8), (4, 8), (3, 8)], &[(1, 8), (1, 8)]), twice(1));
    assert_eq!(decode(&[(0, 8), (4, 8), (3, 8)], &[(1, 8), (4, 8)]), twice(4));
}

#[test]
fn decode_refuses_cells_the_scheme_lacks() {
    let no_such = Err(CodecError::NoSuchCell { cell: cell(5), cells: 5 });
    assert_eq!(decode(&[(0, 8), (1, 8), (5, 8)], &[(2, 8)]), no_such);
    assert_eq!(decode(&[(0, 8), (1, 8), (2, 8)], &[(5, 8)]), no_such);
}

#[test]
fn decode_refuses_wrong_lengths() {
    let wrong = |i, len| Err(CodecError::CellLen { cell: cell(i), len, needed: 8 });
    assert_eq!(decode(&[(0, 8), (4, 7), (3, 8)], &[(1, 8)]), wrong(4, 7));
    assert_eq!(decode(&[(0, 8), (4, 8), (3, 8)], &[(1, 8), (2, 9)]), wrong(2, 9));
}

#[test]
fn a_decoder_refuses_wrong_numbers_of_slices() {
    let codec = codec();
    let decoder = codec.decoder(CellSet::range(1, 4), CellSet::first(1)).unwrap();
    let bytes: &[u8] = &[0; 8];
    let mut out = [UNTOUCHED; 8];
    assert_eq!(
        decoder.decode(&[bytes; 2], &mut [&mut out]),
        Err(CodecError::SourceCells { given: 2, needed: 3 })
    );
    assert_eq!(decoder.decode(&[bytes; 3], &mut []), Err(CodecError::TargetCells { given: 0, needed: 1 }));
    assert_eq!(
        decoder.decode(&[bytes, &bytes[..7], bytes], &mut [&mut out]),
        Err(CodecError::CellLen { cell: cell(2), len: 7, needed: 8 })
    );
    assert_eq!(out, [UNTOUCHED; 8]);
}

#[test]
fn checksums_need_a_place_for_each_window_of_each_cell() {
    let codec = codec();
    let windows = Windows::new(Crc::Crc32, NonZeroUsize::new(4).unwrap());
    let data = cells(&[8, 8, 3]);
    let run = |rooms: &[usize]| {
        let mut parity = cells(&[8, 8]);
        let mut sums: Vec<Vec<u32>> = rooms.iter().map(|&room| vec![0; room]).collect();
        let mut sums: Vec<&mut [u32]> = sums.iter_mut().map(Vec::as_mut_slice).collect();
        let result = codec.encode_with_checksums(&refs(&data), &mut muts(&mut parity), windows, &mut sums);
        assert!(result.is_ok() || untouched(&parity));
        result
    };
    assert_eq!(run(&[2, 2, 1, 2, 2]), Ok(()));
    assert_eq!(run(&[2, 2, 1, 2]), Err(CodecError::ChecksumCells { given: 4, needed: 5 }));
    assert_eq!(run(&[2, 2, 2, 2, 2]), Err(CodecError::Checksums { cell: cell(2), given: 2, needed: 1 }));
    assert_eq!(run(&[2, 2, 1, 2, 1]), Err(CodecError::Checksums { cell: cell(4), given: 1, needed: 2 }));
}
