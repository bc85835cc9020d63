//! The report: sections of rows, as the Markdown that docs/performance/datanode.md holds.

use std::fmt::Write;

const HEAD: &str = "# The datanode under load\n\n\
Made by `./dev bench datanode -- --save`, section by section; each names the run it is from. Client and server are processes of one \
machine and share its cores, so a figure beside its limit in the same row says more than the figure alone. Turns of ours and of the \
limit alternate; figures and ratios are medians over the turns. CPU is user and system time of one process, in core-seconds a GiB.\n\n\
The sink is the bench's own server on the same shards, the same HTTP/2 stack and the same message reader: it verifies each chunk's \
checksums and drops it, and answers reads from memory.\n";

/// Sections that were measured, in order.
pub(crate) struct Report {
    machine: String,
    sections: Vec<(String, String)>,
}

/// What a value should be.
#[derive(Clone, Copy)]
pub(crate) enum Aim {
    AtLeast(f64),
    AtMost(f64),
}

impl Report {
    /// An empty report of this machine.
    pub(crate) fn new() -> Report {
        let cpuinfo = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
        let model = cpuinfo.lines().find(|line| line.starts_with("model name"));
        let model = model.and_then(|line| line.split(": ").nth(1)).unwrap_or("unknown");
        let cores = std::thread::available_parallelism().map_or(0, usize::from);
        let kernel = std::fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
        let machine = format!("Machine: {model}, {cores} cores, kernel {}.", kernel.trim());
        Report { machine, sections: Vec::new() }
    }

    pub(crate) fn section(&mut self, title: &str, about: &str, columns: &str) {
        eprintln!("measuring: {title}");
        let cells = columns.matches('|').count() + 1;
        let rule = vec!["---"; cells].join(" | ");
        let text = format!("{about}\n\n{}\n\n| {columns} |\n| {rule} |\n", self.machine);
        self.sections.push((title.to_owned(), text));
    }

    pub(crate) fn row(&mut self, cells: &[String]) {
        eprintln!("  {}", cells.join("  "));
        let (_, text) = self.sections.last_mut().expect("rows follow a section");
        writeln!(text, "| {} |", cells.join(" | ")).unwrap();
    }

    /// A paragraph behind the rows.
    pub(crate) fn note(&mut self, words: &str) {
        eprintln!("  {words}");
        let (_, text) = self.sections.last_mut().expect("a note follows a section");
        writeln!(text, "\n{words}").unwrap();
    }

    pub(crate) fn text(&self) -> String {
        self.sections.iter().map(|(title, text)| format!("\n## {title}\n\n{text}")).collect()
    }

    /// The page, with the sections that were measured in place of their older selves.
    pub(crate) fn merged_into(&self, before: &str) -> String {
        let mut sections: Vec<(String, String)> = before
            .split("\n## ")
            .skip(1)
            .filter_map(|section| section.split_once("\n\n"))
            .map(|(title, text)| (title.to_owned(), text.to_owned()))
            .collect();
        for (title, text) in &self.sections {
            match sections.iter_mut().find(|(old, _)| old == title) {
                Some(old) => old.1 = text.clone(),
                None => sections.push((title.clone(), text.clone())),
            }
        }
        let body: String =
            sections.iter().map(|(title, text)| format!("\n## {title}\n\n{}\n", text.trim_end())).collect();
        format!("{HEAD}{body}")
    }
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
