//! Other codecs of the Rust world beside ours, for scale. Their codes differ, so their parity is no use to Ozone.

use allotrope_ec::plain::Plain;
use allotrope_ec::{Codec, Crc, Scheme};
use reed_solomon_erasure::galois_8;
use reed_solomon_simd::ReedSolomonEncoder;

use crate::Effort;
use crate::contest::{Turns, cold, hot, timed};
use crate::encode::SCHEMES;
use crate::report::{Report, Row};
use crate::stripes::{COLD_CELL_LEN, Ring, split};

pub(crate) fn measure(report: &mut Report, effort: Effort) {
    report.section(
        "Beside other codecs",
        "Encoding of 1 MiB cells, cold; the ratio is our speed to theirs. Their codes differ from Ozone's. \
         reed-solomon-simd copies the cells into memory of its own first.",
    );
    for (data, parity) in SCHEMES {
        encoders(report, effort, data, parity);
    }
}

fn encoders(report: &mut Report, effort: Effort, data: usize, parity: usize) {
    let scheme = Scheme::reed_solomon(data, parity).expect("a scheme of Ozone's");
    let codec = Codec::new(scheme);
    let plain: Codec<Plain> = Codec::with_kernel(scheme);
    let erasure = galois_8::ReedSolomon::new(data, parity).expect("a scheme it serves");
    let mut simd = ReedSolomonEncoder::new(data, parity, COLD_CELL_LEN).expect("a scheme it serves");
    let mut ring = Ring::cold(data + parity);
    let bytes = (data * COLD_CELL_LEN) as f64;
    let effort = Effort { laps_cold: effort.laps_cold / 2, ..effort };
    let turns: Turns<4> = cold(&mut ring, effort, |variant, stripe| {
        let (data, mut parity) = split(stripe, data);
        match variant {
            0 => timed(|| codec.encode(&data, &mut parity).expect("whole cells")),
            1 => timed(|| erasure.encode_sep(&data, &mut parity).expect("whole cells")),
            2 => timed(|| {
                data.iter().for_each(|cell| simd.add_original_shard(cell).expect("a whole cell"));
                let made = simd.encode().expect("all cells were added");
                parity.iter_mut().zip(made.recovery_iter()).for_each(|(to, from)| to.copy_from_slice(from));
            }),
            _ => timed(|| plain.encode(&data, &mut parity).expect("whole cells")),
        }
    });
    for (i, name) in [(1, "reed-solomon-erasure"), (2, "reed-solomon-simd"), (3, "our plain twin")] {
        report.row(Row {
            what: format!("encode {data}-{parity}"),
            is_hot: false,
            ours: bytes / turns.median(|t| t[0]),
            limit: (name.into(), bytes / turns.median(|t| t[i])),
            ratio: turns.median(|t| t[i] / t[0]),
            target: None,
        });
    }
}

/// The CRC kernels there are to choose from.
pub(crate) fn measure_checksums(report: &mut Report, effort: Effort) {
    report
        .section("The CRC kernels", "Ours is crc32fast, chosen for CRC32, as the codec calls it; CRC32C is crc-fast. Windows are 16 KiB. Only the hot rows \
         tell kernels apart: cold, two callers of the same kernel differ by some 10 %, one way or the other from build to \
         build.");
    for is_hot in [false, true] {
        crcs(report, effort, is_hot);
    }
}

fn crcs(report: &mut Report, effort: Effort, is_hot: bool) {
    const WINDOW: usize = 16 << 10;
    let mut ring = if is_hot { Ring::hot(6) } else { Ring::cold(6) };
    let bytes = (6 * ring.cell_len()) as f64;
    let mut kept = 0u32;
    let run = |variant: usize, stripe: Vec<&mut [u8]>| {
        let crc = |window: &[u8]| match variant {
            0 => Crc::Crc32.extended(0, window),
            1 => crc32fast::hash(window),
            2 => crc_fast::crc32_iso_hdlc(window),
            _ => Crc::Crc32c.extended(0, window),
        };
        timed(|| stripe.iter().flat_map(|cell| cell.chunks(WINDOW)).for_each(|window| kept ^= crc(window)))
    };
    let turns: Turns<4> = if is_hot { hot(&mut ring, effort, run) } else { cold(&mut ring, effort, run) };
    std::hint::black_box(kept);
    for (i, name) in [(1, "crc32fast"), (2, "crc-fast, CRC32"), (3, "crc-fast, CRC32C")] {
        report.row(Row {
            what: "CRC32 of 16 KiB windows".into(),
            is_hot,
            ours: bytes / turns.median(|t| t[0]),
            limit: (name.into(), bytes / turns.median(|t| t[i])),
            ratio: turns.median(|t| t[i] / t[0]),
            target: None,
        });
    }
}
