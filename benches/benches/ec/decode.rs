//! Decoding of one and two losses against bare ISA-L on the same slices.

use allotrope_ec::isa_l::Bare;
use allotrope_ec::{CellIndex, CellSet, Codec, Scheme};

use crate::Effort;
use crate::contest::{Turns, cold, hot, timed};
use crate::encode::SCHEMES;
use crate::report::{Report, Row};
use crate::stripes::Ring;

pub(crate) fn measure(report: &mut Report, effort: Effort) {
    report.section(
        "Decode",
        "The limit is one call of ISA-L on the same slices with its tables ready. Ours is `Decoder::decode`, as a \
         reconstruction calls it slice after slice; 'by name' is `Codec::decode`, which sorts the named cells and looks \
         the table up each time: some 0.1 µs a call, which shows on 32 KiB cells in cache.",
    );
    for (data, parity) in SCHEMES {
        for losses in [1, 2] {
            for is_hot in [false, true] {
                measure_losses(report, effort, Scheme::reed_solomon(data, parity), losses, is_hot);
            }
        }
    }
}

fn measure_losses(
    report: &mut Report,
    effort: Effort,
    scheme: Result<Scheme, allotrope_ec::SchemeError>,
    losses: usize,
    is_hot: bool,
) {
    let scheme = scheme.expect("a scheme of Ozone's");
    let codec = Codec::new(scheme);
    let missing = CellSet::first(losses);
    let survivors = scheme.all_cells().without(missing);
    let sources = survivors.lowest(scheme.data());
    let mut ring = if is_hot { Ring::hot(scheme.cells()) } else { Ring::cold(scheme.cells()) };
    let bytes = (scheme.data() * ring.cell_len()) as f64;
    let run = |variant: usize, mut stripe: Vec<&mut [u8]>| {
        let rest = stripe.split_off(losses);
        let mut targets = stripe;
        let rest: Vec<&[u8]> = rest.into_iter().map(|cell| &*cell).collect();
        match variant {
            0 => {
                let survivors: Vec<(CellIndex, &[u8])> = survivors.iter().zip(rest).collect();
                let mut missing: Vec<(CellIndex, &mut [u8])> = missing.iter().zip(targets).collect();
                timed(|| codec.decode(&survivors, &mut missing).expect("enough survivors"))
            }
            2 => {
                let decoder = codec.decoder(survivors, missing).expect("enough survivors");
                let sources = &rest[..scheme.data()];
                timed(|| decoder.decode(sources, &mut targets).expect("whole cells"))
            }
            _ => {
                let mut bare =
                    Bare::decode(scheme, (sources, &rest[..scheme.data()]), (missing, &mut targets));
                timed(|| bare.run())
            }
        }
    };
    let turns: Turns<3> = if is_hot { hot(&mut ring, effort, run) } else { cold(&mut ring, effort, run) };
    for (i, by_name) in [(2, ""), (0, ", by name")] {
        report.row(Row {
            what: format!("decode {}-{}, {losses} lost{by_name}", scheme.data(), scheme.parity()),
            is_hot,
            ours: bytes / turns.median(|t| t[i]),
            limit: ("bare ISA-L".into(), bytes / turns.median(|t| t[1])),
            ratio: turns.median(|t| t[1] / t[i]),
            // By name costs some 0.1 µs a call, which shows where a call codes a few slices in cache.
            target: (by_name.is_empty() || !is_hot).then_some(0.95),
        });
    }
}
