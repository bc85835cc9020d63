//! Encoding against bare ISA-L on the same slices.

use allotrope_ec::isa_l::Bare;
use allotrope_ec::{Codec, Scheme};

use crate::Effort;
use crate::contest::{Turns, cold, hot, timed};
use crate::report::{Report, Row};
use crate::stripes::{Ring, split};

/// The schemes Ozone allows by default.
pub(crate) const SCHEMES: [(usize, usize); 3] = [(3, 2), (6, 3), (10, 4)];

pub(crate) fn measure(report: &mut Report, effort: Effort) {
    report
        .section("Encode", "The limit is one call of ISA-L on the same slices, its pointers prepared ahead.");
    for (data, parity) in SCHEMES {
        for is_hot in [false, true] {
            let codec = Codec::new(Scheme::reed_solomon(data, parity).expect("a scheme of Ozone's"));
            let mut ring = if is_hot { Ring::hot(data + parity) } else { Ring::cold(data + parity) };
            let bytes = (data * ring.cell_len()) as f64;
            let run = |variant: usize, stripe: Vec<&mut [u8]>| {
                let (data, mut parity) = split(stripe, data);
                match variant {
                    0 => timed(|| codec.encode(&data, &mut parity).expect("whole cells")),
                    _ => {
                        let mut bare = Bare::encode(codec.scheme(), &data, &mut parity);
                        timed(|| bare.run())
                    }
                }
            };
            let turns: Turns<2> =
                if is_hot { hot(&mut ring, effort, run) } else { cold(&mut ring, effort, run) };
            report.row(Row {
                what: format!("encode {data}-{parity}"),
                is_hot,
                ours: bytes / turns.median(|t| t[0]),
                limit: ("bare ISA-L".into(), bytes / turns.median(|t| t[1])),
                ratio: turns.median(|t| t[1] / t[0]),
                target: Some(0.95),
            });
        }
    }
}
