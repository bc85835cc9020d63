//! The report: sections of rows, as the Markdown that docs/performance/io.md holds.

use allotrope_io::Probe;
use std::fmt::Write;
use std::path::Path;

pub(crate) struct Report {
    text: String,
}

/// What a ratio should be.
#[derive(Clone, Copy)]
pub(crate) enum Target {
    AtLeast(f64),
    AtMost(f64),
    None,
}

impl Report {
    /// An empty report with a heading that names the machine.
    pub(crate) fn of_this_machine(dir: &Path) -> Report {
        let mut text = String::from("# Shards, disks and sockets\n\n");
        text.push_str(
            "Made by `cargo bench -p allotrope-benches --features io --bench io -- --save` (`./dev bench io`). Ours and \
             its limit take turns on the same file or address; figures are medians over the turns, ratios medians over \
             the pairs. CPU counts user and system time of the whole process.\n\n",
        );
        let cpuinfo = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
        let model = cpuinfo.lines().find(|line| line.starts_with("model name"));
        let model = model.and_then(|line| line.split(": ").nth(1)).unwrap_or("unknown");
        let cores = std::thread::available_parallelism().map_or(0, usize::from);
        let probe = Probe::run(&[dir], 1, 64 << 20);
        let fs = probe.dirs[0].found.as_ref().map_or("unknown".into(), |facts| facts.fs.to_string());
        let load = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
        let load = load.split(' ').next().unwrap_or("unknown");
        writeln!(
            text,
            "Machine: {model}, {cores} cores, kernel {}, {fs}; back {}; load average of the minute before {load}.",
            probe.kernel,
            probe.back(),
        )
        .unwrap();
        Report { text }
    }

    pub(crate) fn section(&mut self, title: &str, about: &str, columns: &str) {
        eprintln!("measuring: {title}");
        let cells = columns.matches('|').count() + 1;
        let rule = vec!["---"; cells].join(" | ");
        write!(self.text, "\n## {title}\n\n{about}\n\n| {columns} |\n| {rule} |\n").unwrap();
    }

    pub(crate) fn row(&mut self, cells: &[String]) {
        eprintln!("  {}", cells.join("  "));
        writeln!(self.text, "| {} |", cells.join(" | ")).unwrap();
    }

    pub(crate) fn text(&self) -> &str {
        &self.text
    }
}

impl Target {
    /// The target beside the value that was measured.
    pub(crate) fn judge(self, value: f64) -> String {
        let (met, sign, bound) = match self {
            Target::AtLeast(bound) => (value >= bound, '≥', bound),
            Target::AtMost(bound) => (value <= bound, '≤', bound),
            Target::None => return "–".into(),
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
