//! The report: sections of rows, as the Markdown that docs/performance/s3.md holds.

use std::fmt::Write as _;

use crate::machine;

const HEAD: &str = "# The S3 gateway under load\n\n\
Made by `./dev bench s3 -- --save`, section by section. Clients, gateway, OM, SCM and one datanode are processes of one machine and share \
its cores; keys have one replica, and a put is answered when it is on stable storage. Requests are signed; bodies are not, \
but where a row says so. CPU is user and system time of one process, in seconds a GiB of bodies.\n";

/// Sections that were measured, in order.
pub(crate) struct Report {
    sections: Vec<(&'static str, String)>,
}

impl Report {
    pub(crate) fn new() -> Report {
        Report { sections: Vec::new() }
    }

    pub(crate) fn section(&mut self, title: &'static str, about: &str, columns: &str) {
        eprintln!("measuring: {title}");
        let rule = vec!["---"; columns.matches('|').count() + 1].join(" | ");
        let text = format!("{about}\n\nMachine: {}.\n\n| {columns} |\n| {rule} |\n", machine::words());
        self.sections.push((title, text));
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
        let mut sections: Vec<(&str, &str)> =
            before.split("\n## ").skip(1).filter_map(|section| section.split_once("\n\n")).collect();
        for (title, text) in &self.sections {
            match sections.iter_mut().find(|(old, _)| old == title) {
                Some(old) => old.1 = text,
                None => sections.push((title, text)),
            }
        }
        let body: String =
            sections.iter().map(|(title, text)| format!("\n## {title}\n\n{}\n", text.trim_end())).collect();
        format!("{HEAD}{body}")
    }
}
