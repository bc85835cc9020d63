//! What a server's metrics page says, as far as Recon draws it: bytes in and out, times of commands, volumes.
//!
//! Shape   [`samples`] reads Prometheus' and OpenMetrics' text line by line; [`Counted`] is one page's figures, and
//!         [`Counted::since`] what happened between two pages.
//! Units   bytes and seconds. Buckets of a histogram are cumulative, as on the page.
//! Errors  a line that is no sample is passed over; a counter that fell belongs to a server that started anew and counts
//!         from zero.

use std::collections::BTreeMap;

/// Commands that write, by their label in `datanode_command_seconds`.
const WRITES: [&str; 2] = ["write_chunk", "put_small_file"];
/// Commands that read.
const READS: [&str; 3] = ["read_chunk", "read_block", "get_small_file"];
/// A bound in microseconds that stands for infinity.
const INFINITE: u64 = u64::MAX;
/// Most volumes of one datanode that are kept.
const VOLUMES_MAX: usize = 256;

/// One line of a page.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Sample<'a> {
    pub(crate) name: &'a str,
    /// Names and values; escapes in values stay as they are but for quotes and backslashes.
    pub(crate) labels: Vec<(&'a str, String)>,
    pub(crate) value: f64,
}

impl Sample<'_> {
    fn label(&self, name: &str) -> Option<&str> {
        self.labels.iter().find(|(known, _)| *known == name).map(|(_, value)| value.as_str())
    }
}

/// The samples of a page.
pub(crate) fn samples(text: &str) -> impl Iterator<Item = Sample<'_>> {
    text.lines().filter(|line| !line.starts_with('#')).filter_map(sample)
}

fn sample(line: &str) -> Option<Sample<'_>> {
    let name_end = line.find(|c: char| !(c.is_ascii_alphanumeric() || c == '_' || c == ':'))?;
    let (name, mut rest) = line.split_at(name_end);
    let mut labels = Vec::new();
    if let Some(inner) = rest.strip_prefix('{') {
        rest = inner;
        loop {
            if let Some(after) = rest.strip_prefix('}') {
                rest = after;
                break;
            }
            let (label, after) = rest.split_once("=\"")?;
            let (value, after) = quoted(after)?;
            labels.push((label, value));
            rest = after.strip_prefix(',').unwrap_or(after);
        }
    }
    let value = rest.split_ascii_whitespace().next()?;
    let value = value.parse().ok()?;
    (!name.is_empty()).then_some(Sample { name, labels, value })
}

/// What stands before the closing quote, and what after it.
fn quoted(text: &str) -> Option<(String, &str)> {
    let mut value = String::new();
    let mut chars = text.char_indices();
    while let Some((at, c)) = chars.next() {
        match c {
            '"' => return Some((value, &text[at + 1..])),
            '\\' => match chars.next()?.1 {
                'n' => value.push('\n'),
                other => value.push(other),
            },
            c => value.push(c),
        }
    }
    None
}

/// How often something took at most so long: bounds in seconds with cumulative counts, in the order of the bounds.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Times {
    buckets: BTreeMap<u64, f64>,
}

impl Times {
    /// Bounds are kept in microseconds, so that they order and compare; infinity is the last.
    fn add(&mut self, bound: &str, count: f64) {
        let Ok(seconds) = bound.parse::<f64>() else { return };
        // Saturates for infinity.
        *self.buckets.entry((seconds * 1e6).round() as u64).or_default() += count;
    }

    fn plus(&mut self, other: &Times) {
        for (bound, count) in &other.buckets {
            *self.buckets.entry(*bound).or_default() += count;
        }
    }

    fn minus(&self, before: &Times) -> Times {
        let fell = |(bound, count): (&u64, &f64)| *count < before.buckets.get(bound).copied().unwrap_or(0.0);
        if self.buckets.iter().any(fell) {
            return self.clone();
        }
        let left = |(bound, count): (&u64, &f64)| {
            (*bound, count - before.buckets.get(bound).copied().unwrap_or(0.0))
        };
        Times { buckets: self.buckets.iter().map(left).collect() }
    }

    /// The time in seconds within which the share `q` of all stayed, read between the bounds as on a straight line; `None`
    /// where nothing was counted.
    pub(crate) fn quantile(&self, q: f64) -> Option<f64> {
        let all = *self.buckets.values().next_back()?;
        if all <= 0.0 {
            return None;
        }
        let wanted = all * q;
        let (mut below, mut count_below) = (0.0, 0.0);
        for (bound, count) in &self.buckets {
            let bound = if *bound == INFINITE { below } else { *bound as f64 / 1e6 };
            if *count >= wanted {
                let share =
                    if *count > count_below { (wanted - count_below) / (count - count_below) } else { 1.0 };
                return Some(below + (bound - below) * share);
            }
            (below, count_below) = (bound, *count);
        }
        Some(below)
    }
}

/// One volume of a datanode, as its own page says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct VolumeRoom {
    pub(crate) capacity: u64,
    pub(crate) used: u64,
    pub(crate) available: u64,
    pub(crate) committed: u64,
    pub(crate) reserved: u64,
}

/// One page's figures.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Counted {
    pub(crate) received: f64,
    pub(crate) sent: f64,
    pub(crate) refused: f64,
    /// Entries applied to OM's tables.
    pub(crate) changes: f64,
    pub(crate) writes: Times,
    pub(crate) reads: Times,
    pub(crate) volumes: BTreeMap<String, VolumeRoom>,
    /// Everything of SCM's that is one number, by name; for what is being repaired.
    pub(crate) scm: BTreeMap<String, f64>,
}

/// Most figures of SCM's that are kept.
const SCM_MAX: usize = 256;

impl Counted {
    /// What `page` says.
    pub(crate) fn read(page: &str) -> Counted {
        let mut counted = Counted::default();
        for sample in samples(page) {
            counted.add(&sample);
        }
        counted
    }

    fn add(&mut self, sample: &Sample<'_>) {
        match sample.name {
            "datanode_chunk_received_bytes_total" => self.received += sample.value,
            "datanode_chunk_sent_bytes_total" => self.sent += sample.value,
            "om_log_applied" => self.changes += sample.value,
            "datanode_command_seconds_bucket" => {
                let (Some(command), Some(bound)) = (sample.label("command"), sample.label("le")) else {
                    return;
                };
                if WRITES.contains(&command) {
                    self.writes.add(bound, sample.value);
                } else if READS.contains(&command) {
                    self.reads.add(bound, sample.value);
                }
            }
            "datanode_command_seconds_count" if sample.label("result") == Some("refused") => {
                self.refused += sample.value;
            }
            "datanode_volume_bytes" => self.add_volume(sample),
            name if name.starts_with("scm_") && self.scm.len() < SCM_MAX => {
                let labels: Vec<&str> = sample.labels.iter().map(|(_, value)| value.as_str()).collect();
                let name = [&[name][..], &labels].concat().join(".");
                self.scm.insert(name, sample.value);
            }
            _ => {}
        }
    }

    fn add_volume(&mut self, sample: &Sample<'_>) {
        let (Some(volume), Some(kind)) = (sample.label("volume"), sample.label("kind")) else { return };
        if self.volumes.len() >= VOLUMES_MAX && !self.volumes.contains_key(volume) {
            return;
        }
        let room = self.volumes.entry(volume.to_owned()).or_default();
        let bytes = sample.value as u64;
        match kind {
            "capacity" => room.capacity = bytes,
            "used" => room.used = bytes,
            "available" => room.available = bytes,
            "committed" => room.committed = bytes,
            "reserved" => room.reserved = bytes,
            _ => {}
        }
    }

    /// What happened since `before`, of the same server.
    pub(crate) fn since(&self, before: &Counted) -> Happened {
        let grown = |now: f64, then: f64| if now < then { now } else { now - then };
        Happened {
            received: grown(self.received, before.received),
            sent: grown(self.sent, before.sent),
            refused: grown(self.refused, before.refused),
            changes: grown(self.changes, before.changes),
            writes: self.writes.minus(&before.writes),
            reads: self.reads.minus(&before.reads),
        }
    }
}

/// What happened between two pages, of one server or of many.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Happened {
    pub(crate) received: f64,
    pub(crate) sent: f64,
    pub(crate) refused: f64,
    pub(crate) changes: f64,
    pub(crate) writes: Times,
    pub(crate) reads: Times,
}

impl Happened {
    pub(crate) fn plus(&mut self, other: &Happened) {
        self.received += other.received;
        self.sent += other.sent;
        self.refused += other.refused;
        // Each OM applies the same log.
        self.changes = self.changes.max(other.changes);
        self.writes.plus(&other.writes);
        self.reads.plus(&other.reads);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PAGE: &str = "# HELP x y\n# TYPE x counter\n\
        datanode_chunk_received_bytes_total 1000\n\
        datanode_chunk_sent_bytes_total 5e2\n\
        datanode_command_seconds_bucket{command=\"write_chunk\",result=\"ok\",le=\"0.001\"} 10\n\
        datanode_command_seconds_bucket{command=\"write_chunk\",result=\"ok\",le=\"0.01\"} 20\n\
        datanode_command_seconds_bucket{command=\"write_chunk\",result=\"ok\",le=\"+Inf\"} 20\n\
        datanode_command_seconds_count{command=\"put_block\",result=\"refused\"} 3\n\
        datanode_volume_bytes{volume=\"/a \\\"b\\\" {,}\",kind=\"capacity\"} 100\n\
        scm_containers{state=\"open\"} 4\n\
        # EOF\n";

    /// A quantile in whole microseconds.
    fn micros(times: &Times, q: f64) -> Option<u64> {
        times.quantile(q).map(|seconds| (seconds * 1e6).round() as u64)
    }

    #[test]
    fn a_page_is_read_with_its_labels_and_what_is_no_sample_is_passed_over() {
        let counted = Counted::read(PAGE);
        assert_eq!((counted.received, counted.sent, counted.refused), (1000.0, 500.0, 3.0));
        assert_eq!(counted.volumes["/a \"b\" {,}"].capacity, 100);
        assert_eq!(counted.scm["scm_containers.open"], 4.0);
        for bad in [
            "",
            "x",
            "x{",
            "x{a=",
            "x{a=\"",
            "x{a=\"\\",
            "x{a=\"b\"",
            "x{a=\"b\"} z",
            "{} 1",
            "\u{e9}{} 1",
            "x{\u{e9}",
        ] {
            assert_eq!(sample(bad), None, "{bad}");
        }
    }

    #[test]
    fn what_happened_is_the_difference_and_all_of_it_after_a_restart() {
        let (before, after) =
            (Counted::read(PAGE), Counted::read(&PAGE.replace("1000", "1500").replace(" 20", " 40")));
        let happened = after.since(&before);
        assert_eq!((happened.received, happened.sent), (500.0, 0.0));
        assert_eq!(micros(&happened.writes, 0.5), Some(5_500));
        let restarted = Counted::read("datanode_chunk_received_bytes_total 7\n").since(&before);
        assert_eq!(restarted.received, 7.0);
        assert_eq!(restarted.writes.quantile(0.5), None);
    }

    #[test]
    fn a_quantile_lies_between_the_bounds_around_it() {
        let times = Counted::read(PAGE).writes;
        assert_eq!(micros(&times, 0.25), Some(500));
        assert_eq!(micros(&times, 0.5), Some(1_000));
        assert_eq!(micros(&times, 1.0), Some(10_000));
        let mut above = Times::default();
        above.add("0.1", 0.0);
        above.add("+Inf", 5.0);
        assert_eq!(micros(&above, 0.99), Some(100_000), "what is above all bounds is at least the last");
        assert_eq!(Times::default().quantile(0.5), None);
    }
}
