//! Known values, and the same answer by every way through.

use super::*;
use proptest::prelude::*;

const KINDS: [ChecksumKind; 5] =
    [ChecksumKind::None, ChecksumKind::Crc32, ChecksumKind::Crc32c, ChecksumKind::Sha256, ChecksumKind::Md5];

fn spec(kind: ChecksumKind, bytes_per_checksum: u32) -> ChecksumSpec {
    ChecksumSpec::new(kind, bytes_per_checksum).unwrap()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Cuts `data` into pieces of `piece_len`, as frames would.
fn rope(data: &[u8], piece_len: usize) -> Rope {
    data.chunks(piece_len).map(Bytes::copy_from_slice).collect()
}

/// Bit by bit, from the polynomials: what the fast libraries must agree with.
fn crc_by_hand(polynomial: u32, data: &[u8]) -> [u8; 4] {
    let mut crc = u32::MAX;
    for &byte in data {
        crc ^= u32::from(byte);
        for _ in 0..8 {
            crc = if crc & 1 == 1 { (crc >> 1) ^ polynomial } else { crc >> 1 };
        }
    }
    (!crc).to_be_bytes()
}

#[test]
fn each_function_gives_its_published_value() {
    let digest = |kind, data: &[u8]| hex(Checksums::compute(spec(kind, 1024), data).joined());
    assert_eq!(digest(ChecksumKind::Crc32, b"123456789"), "cbf43926");
    assert_eq!(digest(ChecksumKind::Crc32c, b"123456789"), "e3069283");
    assert_eq!(digest(ChecksumKind::Md5, b"abc"), "900150983cd24fb0d6963f7d28e17f72");
    assert_eq!(
        digest(ChecksumKind::Sha256, b"abc"),
        "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    );
    assert_eq!(digest(ChecksumKind::None, b"abc"), "");
}

#[test]
fn one_flipped_bit_names_its_window() {
    let mut data = vec![3u8; 100_000];
    for kind in KINDS.into_iter().filter(|&kind| kind != ChecksumKind::None) {
        let checksums = Checksums::compute(spec(kind, 16 * 1024), &data);
        assert_eq!(checksums.len(), 7);
        data[99_999] ^= 1;
        let differs = ChecksumError::Differs { window: 6, at: 98_304, len: 1_696 };
        assert_eq!(checksums.verify(&data), Err(differs.clone()));
        assert_eq!(checksums.verify_rope(&rope(&data, 999)), Err(differs.clone()));
        assert_eq!(checksums.verify_part(81_920, &data[81_920..]), Err(differs.clone()));
        assert_eq!(checksums.copy_and_verify(&rope(&data, 999), &mut vec![0; 100_000]), Err(differs));
        assert_eq!(checksums.verify_part(0, &data[..98_304]), Ok(()));
        data[99_999] ^= 1;
        assert_eq!(checksums.verify(&data), Ok(()));
    }
}

#[test]
fn sizes_that_do_not_fit_are_refused() {
    assert_eq!(ChecksumSpec::new(ChecksumKind::Crc32, 0), None);
    assert!(ChecksumSpec::new(ChecksumKind::None, 0).is_some());
    let crc = spec(ChecksumKind::Crc32, 10);
    assert_eq!(Checksums::from_joined(crc, Bytes::from_static(&[0; 7])), None);
    let checksums = Checksums::compute(crc, &[1; 25]);
    let count = ChecksumError::Count { len: 35, windows: 4, checksums: 3 };
    assert_eq!(checksums.verify(&[1; 35]), Err(count));
    let unaligned = ChecksumError::Unaligned { at: 5, bytes_per_checksum: 10 };
    assert_eq!(checksums.verify_part(5, &[1; 10]), Err(unaligned));
    assert!(matches!(checksums.verify_part(20, &[1; 20]), Err(ChecksumError::Count { .. })));
    assert!(matches!(checksums.verify_part(u64::MAX / 10 * 10, &[1; 20]), Err(ChecksumError::Count { .. })));
    let no_room = ChecksumError::NoRoom { len: 25, buffer_len: 24 };
    assert_eq!(Checksums::copy_and_compute(crc, &rope(&[1; 25], 3), &mut [0; 24]), Err(no_room));
}

proptest! {
    #[test]
    fn crcs_are_those_of_their_polynomials(data in prop::collection::vec(any::<u8>(), 0..3000)) {
        let by = |kind| Checksums::compute(spec(kind, 4096), &data).joined().to_vec();
        if !data.is_empty() {
            prop_assert_eq!(by(ChecksumKind::Crc32), crc_by_hand(0xedb8_8320, &data));
            prop_assert_eq!(by(ChecksumKind::Crc32c), crc_by_hand(0x82f6_3b78, &data));
        }
    }

    #[test]
    fn every_way_through_gives_the_same_checksums(
        data in prop::collection::vec(any::<u8>(), 0..120_000),
        bytes_per_checksum in prop_oneof![1u32..200, 10_000u32..100_000],
        piece_len in prop_oneof![1usize..100, 5_000usize..50_000],
        kind in prop::sample::select(&KINDS[..]),
    ) {
        let spec = spec(kind, bytes_per_checksum);
        let rope = rope(&data, piece_len);
        let plain = Checksums::compute(spec, &data);
        prop_assert_eq!(plain.len(), spec.windows(data.len()));
        prop_assert_eq!(plain.values().map(|value| value.to_vec()).collect::<Vec<_>>().concat(), plain.joined().to_vec());
        prop_assert_eq!(&Checksums::compute_rope(spec, &rope), &plain);
        let mut buffer = vec![0; data.len() + 3];
        prop_assert_eq!(&Checksums::copy_and_compute(spec, &rope, &mut buffer).unwrap(), &plain);
        prop_assert_eq!(&buffer[..data.len()], &data[..]);
        prop_assert_eq!(&buffer[data.len()..], &[0; 3]);
        prop_assert_eq!(plain.verify(&data), Ok(()));
        prop_assert_eq!(plain.copy_and_verify(&rope, &mut buffer), Ok(()));
    }
}
