//! One stripe, encoded and summed.

use std::num::NonZeroUsize;

use allotrope_ec::{Codec, Crc, Layout, Windows};
use allotrope_proto::Rope;
use allotrope_proto::checksum::{ChecksumKind, ChecksumSpec, Checksums};
use bytes::{BufMut, Bytes, BytesMut};

/// How cells are summed.
#[derive(Clone, Copy, Debug)]
pub(super) struct Summing {
    windows: Windows,
    spec: ChecksumSpec,
}

/// The cells of a stripe, data first, with the checksums of each.
#[derive(Debug)]
pub(super) struct Stripe {
    /// Data bytes.
    pub(super) len: u64,
    /// Every cell's bytes; a data cell may be short or empty in the last stripe.
    pub(super) cells: Vec<Bytes>,
    /// Every cell's checksums.
    pub(super) checksums: Vec<Checksums>,
    /// All checksums of all cells that have bytes, in order.
    pub(super) joined: Bytes,
}

impl Summing {
    pub(super) fn new(spec: ChecksumSpec) -> Summing {
        let (crc, kind) = match spec.kind() {
            ChecksumKind::Crc32c => (Crc::Crc32c, ChecksumKind::Crc32c),
            _ => (Crc::Crc32, ChecksumKind::Crc32),
        };
        let spec = ChecksumSpec::new(kind, spec.bytes_per_checksum());
        let spec = spec.expect("a CRC's windows are not empty");
        let len =
            NonZeroUsize::new(spec.bytes_per_checksum() as usize).expect("a CRC's windows are not empty");
        Summing { windows: Windows::new(crc, len), spec }
    }

    fn checksums(self, sums: &[u32]) -> Checksums {
        let mut joined = BytesMut::with_capacity(sums.len() * 4);
        sums.iter().for_each(|sum| joined.put_u32(*sum));
        Checksums::from_joined(self.spec, joined.freeze()).expect("a CRC has 4 bytes")
    }
}

impl Stripe {
    /// Encodes `data`: at least one byte and at most a stripe's. A cell that came in one piece is not copied.
    pub(super) fn encode(layout: Layout, codec: &Codec, summing: Summing, mut data: Rope) -> Stripe {
        let len = data.len() as u64;
        let mut cells: Vec<Bytes> = (0..layout.scheme().data())
            .map(|_| {
                let cell_len = layout.cell_len().min(data.len());
                data.split_to(cell_len).expect("there is as much").join()
            })
            .collect();
        let parity_len = cells[0].len();
        let mut parity = vec![vec![0; parity_len]; layout.scheme().parity()];
        let lens = cells.iter().map(Bytes::len).chain(parity.iter().map(Vec::len));
        let mut sums: Vec<Vec<u32>> = lens.map(|len| vec![0; summing.windows.count(len)]).collect();
        codec
            .encode_with_checksums(
                &cells.iter().map(|cell| &cell[..]).collect::<Vec<_>>(),
                &mut parity.iter_mut().map(|cell| &mut cell[..]).collect::<Vec<_>>(),
                summing.windows,
                &mut sums.iter_mut().map(|sums| &mut sums[..]).collect::<Vec<_>>(),
            )
            .expect("cells and sums were made for this scheme");
        cells.extend(parity.into_iter().map(Bytes::from));
        let checksums: Vec<Checksums> = sums.iter().map(|sums| summing.checksums(sums)).collect();
        let joined = checksums.iter().map(|sums| &sums.joined()[..]).collect::<Vec<_>>().concat().into();
        Stripe { len, cells, checksums, joined }
    }
}
