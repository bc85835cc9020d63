//! The report: sections of rows, as the Markdown that docs/performance/ec.md holds.

use std::fmt::Write;

/// One measured ratio.
pub(crate) struct Row {
    pub(crate) what: String,
    pub(crate) is_hot: bool,
    /// Data bytes a second.
    pub(crate) ours: f64,
    /// What ours is held against, and its data bytes a second.
    pub(crate) limit: (String, f64),
    /// The median of the ratios, turn by turn: not the quotient of the two medians.
    pub(crate) ratio: f64,
    pub(crate) target: Option<f64>,
}

pub(crate) struct Report {
    text: String,
}

const GIB: f64 = (1u64 << 30) as f64;

impl Report {
    /// An empty report with a heading that names the machine.
    pub(crate) fn of_this_machine() -> Report {
        let mut text = String::from("# Erasure coding\n\n");
        text.push_str(
            "Made by `cargo bench -p allotrope-benches --features ec --bench ec -- --save` (`./dev bench ec`), on one \
             core. GiB/s count data bytes. Cold cells are 1 MiB and stream from 1 GiB of memory, hot ones are 32 KiB \
             and stay in the second-level cache. Times are CPU time of the thread; a ratio is the median over turns in \
             which all variants ran on neighbouring stripes, so it holds on a busy machine where GiB/s do not.\n\n",
        );
        let cpuinfo = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
        let field = |name: &str| {
            let line = cpuinfo.lines().find(|line| line.starts_with(name));
            line.and_then(|line| line.split(": ").nth(1)).unwrap_or("unknown")
        };
        let flags: Vec<&str> = field("flags").split(' ').collect();
        let shown = ["avx2", "avx512f", "gfni", "vpclmulqdq"].iter().filter(|flag| flags.contains(*flag));
        let shown: Vec<&str> = shown.copied().collect();
        let cores = std::thread::available_parallelism().map_or(0, usize::from);
        writeln!(
            text,
            "Machine: {}, family {} model {}, {cores} cores, cache {}, {}; others may have used it meanwhile.",
            field("model name"),
            field("cpu family"),
            field("model\t"),
            field("cache size"),
            shown.join(" "),
        )
        .expect("a string takes all text");
        Report { text }
    }

    pub(crate) fn section(&mut self, title: &str, about: &str) {
        eprintln!("measuring: {title}");
        write!(
            self.text,
            "\n## {title}\n\n{about}\n\n| what | memory | ours GiB/s | held against | GiB/s | ratio | target |\n\
             | --- | --- | ---: | --- | ---: | ---: | --- |\n"
        )
        .expect("a string takes all text");
    }

    pub(crate) fn row(&mut self, row: Row) {
        let target = match row.target {
            Some(target) if row.ratio >= target => format!("≥ {target:.2}: met"),
            Some(target) => format!("≥ {target:.2}: **missed**"),
            None => String::from("–"),
        };
        writeln!(
            self.text,
            "| {} | {} | {:.2} | {} | {:.2} | {:.3} | {target} |",
            row.what,
            if row.is_hot { "hot" } else { "cold" },
            row.ours / GIB,
            row.limit.0,
            row.limit.1 / GIB,
            row.ratio,
        )
        .expect("a string takes all text");
    }

    pub(crate) fn text(&self) -> &str {
        &self.text
    }
}
