//! What all benches came to, in one table: the machine, its limits, ours, the ratio.
//!
//! Shape   pages, as the benches print them, in; lines of Markdown out. [`PICKS`] says which row of which table matters, and which of
//!         its columns are ours, the limit's and their ratio. A pick that is not found says so: nothing is left out in silence.
//! Units   those of the pages.

use std::collections::BTreeMap;
use std::fmt::Write as _;

/// A column of a table: its heading, and which of those with this heading it is.
type Column = (&'static str, usize);

/// One row that matters.
#[derive(Clone, Copy, Debug)]
pub struct Pick {
    /// The bench, and so the page.
    pub bench: &'static str,
    /// The page's section; empty for what stands before the first.
    section: &'static str,
    /// Cells that the row has, each whole.
    cells: &'static [&'static str],
    /// What it is, in words.
    what: &'static str,
    /// Ours.
    ours: Column,
    /// What it is held against: in words, and its column.
    against: (&'static str, Option<Column>),
    /// The ratio's column, or the aim's.
    ratio: Option<Column>,
    /// The unit of both figures, where their cells do not say it.
    unit: &'static str,
}

const fn pick(
    bench: &'static str,
    section: &'static str,
    cells: &'static [&'static str],
    what: &'static str,
    ours: &'static str,
) -> Pick {
    Pick { bench, section, cells, what, ours: (ours, 0), against: ("–", None), ratio: None, unit: "" }
}

impl Pick {
    const fn against(mut self, what: &'static str, column: &'static str, nth: usize) -> Pick {
        self.against = (what, Some((column, nth)));
        self
    }

    const fn ratio(mut self, column: &'static str, nth: usize) -> Pick {
        self.ratio = Some((column, nth));
        self
    }

    const fn unit(mut self, unit: &'static str) -> Pick {
        self.unit = unit;
        self
    }

    /// It is held against nothing but an aim.
    const fn aim(mut self, column: &'static str) -> Pick {
        self.against = ("its aim", None);
        self.ratio = Some((column, 0));
        self
    }
}

/// The rows that matter, in the order of the table.
pub const PICKS: &[Pick] = &[
    pick("io", "Disk", &["sequential write, 1 MiB, depth 8"], "a shard writes 1 MiB, 8 at once", "ours")
        .against("fio", "fio", 0)
        .ratio("ratio", 0),
    pick("io", "Disk", &["sequential read, 1 MiB, depth 8"], "a shard reads 1 MiB, 8 at once", "ours")
        .against("fio", "fio", 0)
        .ratio("ratio", 0),
    pick("io", "Disk", &["random read, 4 KiB, depth 32"], "a shard reads 4 KiB, 32 at once", "ours")
        .against("fio", "fio", 0)
        .ratio("ratio", 0),
    pick("io", "File to socket", &["`send_file`, page cache"], "a file goes to a socket", "CPU s/GiB")
        .against("the best way there is", "", 0)
        .ratio("CPU against the best", 0)
        .unit("CPU s/GiB"),
    pick("ec", "Encode", &["encode 3-2", "cold"], "rs-3-2 is encoded, from memory", "ours GiB/s")
        .against("bare ISA-L", "GiB/s", 0)
        .ratio("ratio", 0)
        .unit("GiB/s"),
    pick("ec", "Encode", &["encode 6-3", "cold"], "rs-6-3 is encoded, from memory", "ours GiB/s")
        .against("bare ISA-L", "GiB/s", 0)
        .ratio("ratio", 0)
        .unit("GiB/s"),
    pick(
        "ec",
        "Encode and checksum every cell in one pass",
        &["encode 6-3 with CRC32", "cold", "two passes"],
        "rs-6-3 with CRC-32, one pass",
        "ours GiB/s",
    )
    .against("two passes", "GiB/s", 0)
    .ratio("ratio", 0)
    .unit("GiB/s"),
    pick("ec", "Decode", &["decode 6-3, 2 lost", "cold"], "rs-6-3 is decoded, two lost", "ours GiB/s")
        .against("bare ISA-L", "GiB/s", 0)
        .ratio("ratio", 0)
        .unit("GiB/s"),
    pick(
        "proto",
        "",
        &["WriteChunk: decode, verify, encode", "memcpy, then CRC32"],
        "a WriteChunk is taken apart, verified, written",
        "GiB/s",
    )
    .against("memcpy, then CRC-32", "GiB/s", 1)
    .ratio("ratio", 0)
    .unit("GiB/s"),
    pick("rpc", "", &["4096 B", "64"], "calls with 4 KiB, 64 callers, gRPC", "gRPC, calls/s")
        .against("Hadoop RPC (ratio: it to gRPC)", "Hadoop RPC, calls/s", 0)
        .ratio("ratio", 0)
        .unit("calls/s"),
    pick("datanode", "Writes", &["disk", "8"], "a datanode is written to, 8 streams", "ours GiB/s")
        .against("fio, not flushed", "fio", 0)
        .ratio("ratio to the limit", 0)
        .unit("GiB/s"),
    pick("datanode", "Reads", &["8"], "a datanode is read from, 8 streams", "ours GiB/s")
        .against("fio", "fio", 0)
        .ratio("ratio to the limit", 0)
        .unit("GiB/s"),
    pick(
        "pipelines",
        "Keys through a pipeline of three",
        &["disk", "4 MiB", "8"],
        "keys of 4 MiB through three",
        "three GiB/s",
    )
    .against("one, thrice", "one, thrice GiB/s", 0)
    .ratio("ratio", 0)
    .unit("GiB/s"),
    pick(
        "replication",
        "From the page cache into memory",
        &["NO_COMPRESSION"],
        "a container is copied, memory to memory",
        "GiB/s",
    )
    .against("sendfile into a sink", "sendfile into the sink", 0)
    .ratio("ratio", 0)
    .unit("GiB/s"),
    pick("replication", "From disk to disk", &[], "a container is copied, disk to disk", "GiB/s")
        .against("fio's copy", "fio's copy", 0)
        .ratio("ratio", 0)
        .unit("GiB/s"),
    pick("replication", "Reconstruction", &["rs-6-3-1024k", "1"], "a replica of rs-6-3 is rebuilt", "GiB/s")
        .against("disk reads", "disk reads", 0)
        .ratio("ratio to the least", 0)
        .unit("GiB/s"),
    pick("repair", "The replication manager", &[], "all containers are checked", "took").aim("aim"),
    pick("repair", "A lost datanode", &[], "a lost datanode is made up for", "MiB/s")
        .against("Ozone, of another run", "Ozone's MiB/s", 0)
        .ratio("ratio", 0)
        .unit("MiB/s"),
    pick("consensus", "", &["1", "512"], "proposals, one member, 512 proposers", "proposals/s")
        .against("RocksDB's synced batches", "raw records/s", 0)
        .ratio("ratio", 0)
        .unit("a second"),
    pick("consensus", "", &["3", "512"], "proposals, three members, 512 proposers", "proposals/s")
        .against("RocksDB's synced batches", "raw records/s", 0)
        .ratio("ratio", 0)
        .unit("a second"),
    pick("om", "", &["create and commit, a pair", "64"], "OM makes a key, 64 clients", "a second")
        .against("empty calls", "", 0)
        .ratio("of empty calls", 0)
        .unit("a second"),
    pick("om", "", &["lookup", "64"], "OM looks a key up, 64 clients", "a second")
        .against("empty calls", "", 0)
        .ratio("of empty calls", 0)
        .unit("a second"),
    pick("scm", "", &["heartbeats a second, each with a change"], "heartbeats a second", "value").aim("aim"),
    pick("scm", "", &["RSS a replica"], "SCM's memory a replica", "value").aim("aim"),
    pick("client", "rs-3-2-1024k", &["put a long key"], "the client puts a long key, rs-3-2", "speed"),
    pick("client", "rs-3-2-1024k", &["get it"], "the client gets it", "speed"),
    pick(
        "client",
        "rs-3-2-1024k",
        &["get another one, one datanode gone"],
        "the client gets it, one datanode gone",
        "speed",
    ),
    pick("s3", "Objects", &["put", "16 MiB", "8"], "S3 puts of 16 MiB, 8 clients", "MiB/s").unit("MiB/s"),
    pick("s3", "Objects", &["get", "16 MiB", "8"], "S3 gets of 16 MiB, 8 clients", "MiB/s").unit("MiB/s"),
    pick("s3", "Objects", &["put", "4 KiB", "8"], "S3 puts of 4 KiB, 8 clients", "a second").unit("a second"),
    pick("s3", "The gateway's share", &["put"], "the gateway's CPU for a put", "CPU s/GiB")
        .against("the native client, receiving besides", "", 0)
        .ratio("beside native and receiving", 0)
        .unit("CPU s/GiB"),
    pick("s3", "The gateway's share", &["get"], "the gateway's CPU for a get", "CPU s/GiB")
        .against("the native client, receiving besides", "", 0)
        .ratio("beside native and receiving", 0)
        .unit("CPU s/GiB"),
    pick(
        "quickstart",
        "",
        &["from the start of the process until it says that it is ready"],
        "a whole cluster starts",
        "on a fresh folder",
    )
    .aim("target"),
    pick("quickstart", "", &["CPU when idle, of one core"], "its CPU when idle", "on a fresh folder")
        .aim("target"),
    pick("quickstart", "", &["resident memory when idle"], "its memory when idle", "on a fresh folder")
        .aim("target"),
];

/// The cells of a line of a table; `None` for any other line.
fn cells(line: &str) -> Option<Vec<&str>> {
    let inside = line.trim().strip_prefix('|')?.strip_suffix('|')?;
    Some(inside.split('|').map(str::trim).collect())
}

/// A line between a table's head and its rows.
fn is_rule(cells: &[&str]) -> bool {
    cells.iter().all(|cell| !cell.is_empty() && cell.chars().all(|c| matches!(c, '-' | ':')))
}

/// The part of a page under the heading `section`; all of a page without a heading, if that is empty.
fn section<'p>(page: &'p str, section: &str) -> Option<&'p str> {
    if section.is_empty() {
        return Some(page);
    }
    let parts = page.split("\n## ").skip(1).chain(page.strip_prefix("## "));
    parts.filter_map(|part| part.split_once('\n')).find(|(title, _)| *title == section).map(|(_, body)| body)
}

/// Whether a page has the section of a pick.
pub fn has_section(page: &str, pick: &Pick) -> bool {
    section(page, pick.section).is_some()
}

/// The first row of a pick in its page.
fn find<'p>(page: &'p str, pick: &Pick) -> Option<Vec<(&'p str, &'p str)>> {
    let (mut head, mut before): (Vec<&str>, Vec<&str>) = Default::default();
    for line in section(page, pick.section)?.lines() {
        let Some(row) = cells(line) else {
            head.clear();
            continue;
        };
        if is_rule(&row) {
            head.clone_from(&before);
        } else if !head.is_empty()
            && row.len() == head.len()
            && head.contains(&pick.ours.0)
            && pick.cells.iter().all(|cell| row.contains(cell))
        {
            return Some(head.into_iter().zip(row).collect());
        }
        before = row;
    }
    None
}

fn at<'p>(row: &[(&'p str, &'p str)], column: Column) -> &'p str {
    let mut named = row.iter().filter(|(head, _)| *head == column.0);
    named.nth(column.1).map_or("", |(_, cell)| cell)
}

/// A pick's line of the table, from its bench's page.
///
/// # Errors
/// That the page has no such row, in words.
pub fn line(page: &str, pick: &Pick) -> Result<String, String> {
    let row = find(page, pick).ok_or_else(|| format!("{}: no row for {:?}", pick.bench, pick.what))?;
    let with_unit = |figure: &str| match figure {
        "" => "–".to_owned(),
        figure => format!("{figure} {}", pick.unit).trim_end().to_owned(),
    };
    let (against, limit) = pick.against;
    let limit = with_unit(limit.map_or("", |column| at(&row, column)));
    let ratio = pick.ratio.map_or("–", |column| at(&row, column));
    let (bench, what, ours) = (pick.bench, pick.what, with_unit(at(&row, pick.ours)));
    Ok(format!("| {what} | {ours} | {against} | {limit} | {ratio} | [{bench}](performance/{bench}.md) |"))
}

/// The section of docs/performance.md: `pages` by their benches, `limits` as `allotrope perf limits` prints them.
pub fn text(machine: &str, limits: &str, pages: &BTreeMap<String, String>) -> String {
    let mut text = format!("Machine: {machine}.\n\n```text\n{}\n```\n\n", limits.trim_end());
    text.push_str("| what | ours | held against | limit | ratio or aim | page of longer runs |\n");
    text.push_str("| --- | ---: | --- | ---: | ---: | --- |\n");
    let mut lacking = Vec::new();
    for pick in PICKS {
        match pages.get(pick.bench).map(|page| line(page, pick)) {
            Some(Ok(line)) => text.push_str(&(line + "\n")),
            Some(Err(why)) => lacking.push(why),
            None => lacking.push(format!("{}: the bench did not end; {}", pick.bench, pick.what)),
        }
    }
    for why in lacking {
        // Writing to a String cannot fail.
        let _ = write!(text, "\nNot measured: {why}.\n");
    }
    text
}

/// `page` with the section `title` replaced, or put before the others.
pub fn with_section(page: &str, title: &str, text: &str) -> String {
    let section = format!("\n## {title}\n\n{}\n", text.trim_end());
    let begin = format!("\n## {title}\n");
    match page.find(&begin) {
        Some(at) => {
            let rest = &page[at + begin.len()..];
            let after = rest.find("\n## ").map_or("", |next| &rest[next..]);
            format!("{}{section}{after}", &page[..at])
        }
        None => {
            let at = page.find("\n## ").unwrap_or(page.len());
            format!("{}{section}{}", &page[..at], &page[at..])
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[allow(clippy::disallowed_methods, reason = "the kept pages are files")]
    fn every_row_that_matters_is_found_in_the_page_of_its_bench() {
        let mut found = 0;
        for pick in PICKS {
            let path = format!("{}/../docs/performance/{}.md", env!("CARGO_MANIFEST_DIR"), pick.bench);
            let Ok(page) = std::fs::read_to_string(path) else { continue };
            // A page may lack a section that was not measured yet, and never a row of one that it has.
            if has_section(&page, pick) {
                let line = line(&page, pick).unwrap_or_else(|why| panic!("{why}"));
                assert_eq!(cells(&line).map(|cells| cells.len()), Some(6), "{line}");
                found += 1;
            }
        }
        assert!(found > 20, "{found}");
    }

    #[test]
    fn a_row_is_taken_with_its_own_columns() {
        let page = "# P\n\n## Encode\n\n| what | memory | ours GiB/s | held against | GiB/s | ratio |\n| --- | --- | ---: | --- | ---: | ---: |\n\
                    | encode 3-2 | hot | 9 | a | 9 | 1.0 |\n| encode 3-2 | cold | 5 | a | 4 | 1.2 |\n";
        let pick = PICKS.iter().find(|pick| pick.section == "Encode").unwrap();
        let expected = "| rs-3-2 is encoded, from memory | 5 GiB/s | bare ISA-L | 4 GiB/s | 1.2 | [ec](performance/ec.md) |";
        assert_eq!(line(page, pick).as_deref(), Ok(expected));
        assert!(line("# P\n", pick).is_err());
        let all = text("m", "l", &BTreeMap::from([("ec".to_owned(), page.to_owned())]));
        assert!(all.contains("Not measured: io: the bench did not end"), "{all}");
    }

    #[test]
    fn a_section_is_replaced_and_the_rest_of_the_page_stays() {
        let page = "# T\n\nhead\n\n## A\n\none\n\n## B\n\ntwo\n";
        assert_eq!(with_section(page, "A", "new"), "# T\n\nhead\n\n## A\n\nnew\n\n## B\n\ntwo\n");
        assert_eq!(with_section(page, "B", "new"), "# T\n\nhead\n\n## A\n\none\n\n## B\n\nnew\n");
        assert_eq!(
            with_section(page, "C", "new"),
            "# T\n\nhead\n\n## C\n\nnew\n\n## A\n\none\n\n## B\n\ntwo\n"
        );
    }
}
