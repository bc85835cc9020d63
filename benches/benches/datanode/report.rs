//! The head of docs/performance/datanode.md, and what values should be.

pub(crate) use allotrope_benches::report::Report;

pub(crate) const HEAD: &str = "# The datanode under load\n\n\
Made by `./dev bench datanode -- --save`, section by section; each names the run it is from. Client and server are processes of one \
machine and share its cores, so a figure beside its limit in the same row says more than the figure alone. Turns of ours and of the \
limit alternate; figures and ratios are medians over the turns. CPU is user and system time of one process, in core-seconds a GiB.\n\n\
The sink is the bench's own server on the same shards, the same HTTP/2 stack and the same message reader: it verifies each chunk's \
checksums and drops it, and answers reads from memory.\n";

/// What a value should be.
#[derive(Clone, Copy)]
pub(crate) enum Aim {
    AtLeast(f64),
    AtMost(f64),
}

impl Aim {
    /// The aim beside the value that was measured.
    pub(crate) fn judge(self, value: f64) -> String {
        let (met, sign, bound) = match self {
            Aim::AtLeast(bound) => (value >= bound, '≥', bound),
            Aim::AtMost(bound) => (value <= bound, '≤', bound),
        };
        format!("{sign} {bound}: {}", if met { "met" } else { "**missed**" })
    }
}

/// The middle one.
pub(crate) fn median(values: impl IntoIterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.into_iter().collect();
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}
