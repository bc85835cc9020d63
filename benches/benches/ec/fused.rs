//! Encoding and checksums in one pass, against the two alone and against two passes over whole cells.

use allotrope_ec::isa_l::Bare;
use allotrope_ec::{COLUMN_SLICE_LEN, Codec, Crc, Scheme, Windows};

use crate::Effort;
use crate::contest::{Turns, cold, hot, timed};
use crate::encode::SCHEMES;
use crate::report::{Report, Row};
use crate::stripes::{Ring, split};

const CRCS: [(Crc, &str); 2] = [(Crc::Crc32, "CRC32"), (Crc::Crc32c, "CRC32C")];

/// Column slices that are compared.
const SLICES: [usize; 9] =
    [2 << 10, 4 << 10, 8 << 10, 16 << 10, 32 << 10, 64 << 10, 128 << 10, 256 << 10, 1 << 20];

pub(crate) fn measure(report: &mut Report, effort: Effort) {
    report.section(
        "Encode and checksum every cell in one pass",
        "Windows are 16 KiB. 'Alone' is the time of bare ISA-L plus that of the CRC over all cells, each measured by \
         itself on the same memory: the harmonic sum of their speeds. 'Two passes' is bare ISA-L over whole cells and \
         then the CRC over whole cells. Cold, one pass fetches each byte once and two fetch it twice; hot, there is nothing \
         to fetch, and one pass is the sum of its two kernels.",
    );
    for (data, parity) in SCHEMES {
        for (crc, name) in CRCS {
            for is_hot in [false, true] {
                measure_one(report, effort, (data, parity), (crc, name), is_hot);
            }
        }
    }
}

/// One CRC for each window of each cell.
fn sum_all(crc: Crc, cells: impl Iterator<Item = impl AsRef<[u8]>>, sums: &mut [Vec<u32>]) {
    for (cell, sums) in cells.zip(sums) {
        for (window, sum) in cell.as_ref().chunks(Windows::LEN_DEFAULT.get()).zip(sums) {
            *sum = crc.extended(0, window);
        }
    }
}

fn measure_one(
    report: &mut Report,
    effort: Effort,
    (data, parity): (usize, usize),
    (crc, name): (Crc, &str),
    is_hot: bool,
) {
    let codec = Codec::new(Scheme::reed_solomon(data, parity).expect("a scheme of Ozone's"));
    let windows = Windows::new(crc, Windows::LEN_DEFAULT);
    let mut ring = if is_hot { Ring::hot(data + parity) } else { Ring::cold(data + parity) };
    let bytes = (data * ring.cell_len()) as f64;
    let mut sums = vec![vec![0u32; windows.count(ring.cell_len())]; data + parity];
    let run = |variant: usize, stripe: Vec<&mut [u8]>| {
        let (data, mut parity) = split(stripe, data);
        match variant {
            0 => {
                let mut sums: Vec<&mut [u32]> = sums.iter_mut().map(Vec::as_mut_slice).collect();
                timed(|| {
                    codec.encode_with_checksums(&data, &mut parity, windows, &mut sums).expect("whole cells");
                })
            }
            1 => {
                let mut bare = Bare::encode(codec.scheme(), &data, &mut parity);
                timed(|| bare.run())
            }
            2 => timed(|| {
                sum_all(crc, data.iter().copied().chain(parity.iter().map(|cell| &**cell)), &mut sums);
            }),
            _ => {
                let encode = {
                    let mut bare = Bare::encode(codec.scheme(), &data, &mut parity);
                    timed(|| bare.run())
                };
                encode
                    + timed(|| {
                        sum_all(
                            crc,
                            data.iter().copied().chain(parity.iter().map(|cell| &**cell)),
                            &mut sums,
                        );
                    })
            }
        }
    };
    let turns: Turns<4> = if is_hot { hot(&mut ring, effort, run) } else { cold(&mut ring, effort, run) };
    let ours = bytes / turns.median(|t| t[0]);
    report.row(Row {
        what: format!("encode {data}-{parity} with {name}"),
        is_hot,
        ours,
        limit: ("alone".into(), bytes / turns.median(|t| t[1] + t[2])),
        ratio: turns.median(|t| (t[1] + t[2]) / t[0]),
        target: Some(0.9),
    });
    report.row(Row {
        what: format!("encode {data}-{parity} with {name}"),
        is_hot,
        ours,
        limit: ("two passes".into(), bytes / turns.median(|t| t[3])),
        ratio: turns.median(|t| t[3] / t[0]),
        // The target is for cells that two passes have to fetch twice.
        target: (!is_hot).then_some(1.15),
    });
}

/// The same pass with several column slices, to choose one.
pub(crate) fn measure_slices(report: &mut Report, effort: Effort) {
    report.section(
        "The column slice",
        "One pass with CRC32 over 16 KiB windows, by the bytes of each cell that are coded and summed before the next; \
         the ratio is to the chosen slice. Cold, shorter slices let the memory fetch ahead while a slice is summed; hot, \
         longer ones save calls. One default window is near the best of both.",
    );
    for scheme in SCHEMES {
        for is_hot in [false, true] {
            slices(report, effort, scheme, is_hot);
        }
    }
}

fn slices(report: &mut Report, effort: Effort, (data, parity): (usize, usize), is_hot: bool) {
    let codec = Codec::new(Scheme::reed_solomon(data, parity).expect("a scheme of Ozone's"));
    let windows = Windows::new(Crc::Crc32, Windows::LEN_DEFAULT);
    let mut ring = if is_hot { Ring::hot(data + parity) } else { Ring::cold(data + parity) };
    let bytes = (data * ring.cell_len()) as f64;
    let compared = SLICES.iter().filter(|&&slice| slice <= ring.cell_len()).count();
    let mut sums = vec![vec![0u32; windows.count(ring.cell_len())]; data + parity];
    let run = |variant: usize, stripe: Vec<&mut [u8]>| {
        let (data, mut parity) = split(stripe, data);
        let mut sums: Vec<&mut [u32]> = sums.iter_mut().map(Vec::as_mut_slice).collect();
        timed(|| {
            codec
                .encode_with_checksums_sliced(&data, &mut parity, windows, &mut sums, SLICES[variant])
                .expect("whole cells");
        })
    };
    let turns: Turns<{ SLICES.len() }> =
        if is_hot { hot(&mut ring, effort, run) } else { cold(&mut ring, effort, run) };
    let chosen = SLICES.iter().position(|&slice| slice == COLUMN_SLICE_LEN).expect("it is compared");
    for (i, slice) in SLICES[..compared].iter().enumerate() {
        report.row(Row {
            what: format!("{data}-{parity} in slices of {} KiB", slice >> 10),
            is_hot,
            ours: bytes / turns.median(|t| t[i]),
            limit: (format!("{} KiB", COLUMN_SLICE_LEN >> 10), bytes / turns.median(|t| t[chosen])),
            ratio: turns.median(|t| t[chosen] / t[i]),
            target: None,
        });
    }
}
