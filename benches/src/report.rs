//! A report of sections and rows, as the Markdown of a page of docs/performance; a section can be measured anew alone.
#![allow(clippy::print_stderr, reason = "a bench says what it measures meanwhile")]

use std::fmt::Write as _;

use crate::machine;

/// Sections that were measured, in order.
#[derive(Clone, Debug)]
pub struct Report {
    head: &'static str,
    sections: Vec<(String, String)>,
}

impl Report {
    /// An empty report of this machine; `head` stands above the sections of its page.
    pub fn new(head: &'static str) -> Report {
        Report { head, sections: Vec::new() }
    }

    /// Begins a section. `columns` are its table's, between bars.
    pub fn section(&mut self, title: &str, about: &str, columns: &str) {
        eprintln!("measuring: {title}");
        let rule = vec!["---"; columns.matches('|').count() + 1].join(" | ");
        let text = format!("{about}\n\nMachine: {}.\n\n| {columns} |\n| {rule} |\n", machine::words());
        self.sections.push((title.to_owned(), text));
    }

    /// A row of the last section.
    pub fn row(&mut self, cells: &[String]) {
        eprintln!("  {}", cells.join("  "));
        self.line(&format!("| {} |", cells.join(" | ")));
    }

    /// A paragraph behind the rows.
    pub fn note(&mut self, words: &str) {
        eprintln!("  {words}");
        self.line(&format!("\n{words}"));
    }

    fn line(&mut self, line: &str) {
        let (_, text) = self.sections.last_mut().expect("rows and notes follow a section");
        // Writing to a String cannot fail.
        let _ = writeln!(text, "{line}");
    }

    /// What was measured.
    pub fn text(&self) -> String {
        self.sections.iter().map(|(title, text)| format!("\n## {title}\n\n{text}")).collect()
    }

    /// The page, with the sections that were measured in place of their older selves.
    pub fn merged_into(&self, before: &str) -> String {
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
        format!("{}{body}", self.head)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_section_replaces_its_older_self_and_leaves_the_others() {
        let before = "# Old\n\n## One\n\nolder\n\n## Two\n\nkept\n";
        let mut report = Report::new("# New\n");
        report.section("One", "newer", "a | b");
        report.row(&["1".to_owned(), "2".to_owned()]);
        report.section("Three", "added", "c");
        let page = report.merged_into(before);
        assert!(page.starts_with("# New\n\n## One\n\nnewer\n"), "{page}");
        assert!(
            page.contains("| a | b |\n| --- | --- |\n| 1 | 2 |\n\n## Two\n\nkept\n\n## Three\n\nadded"),
            "{page}"
        );
        assert!(!page.contains("older"), "{page}");
    }
}
