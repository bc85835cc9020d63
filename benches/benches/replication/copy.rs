//! One container from one datanode to another: from the page cache into memory, in each compression, and from disk to disk.

use crate::child::Nodes;
use crate::client::Client;
use crate::limits::gib;
use crate::{Effort, GIB, Scratch, at_least, at_most, commands, fill, limits, median};
use allotrope_benches::report::Report;
use std::path::{Path, PathBuf};
use std::time::Instant;

/// The container.
const CONTAINER: i64 = 1;
/// In which copies travel, as Ozone's setting names them.
const COMPRESSIONS: [&str; 5] = ["NO_COMPRESSION", "SNAPPY", "LZ4", "ZSTD", "GZIP"];

/// One copy.
struct Copy {
    /// Bytes a second.
    rate: f64,
    /// CPU seconds a GiB of the source and of the target.
    source: f64,
    target: f64,
}

/// A source that holds the container, and a target that takes it over and over.
struct Pair {
    client: Client,
    source: Nodes,
    target: Nodes,
    files: Vec<PathBuf>,
    len: u64,
}

impl Pair {
    fn new(from: &Path, to: &Path, compression: &str, len: u64) -> Pair {
        let client = Client::new();
        let source = Nodes::start(from, 1, compression);
        let target = Nodes::start(to, 1, compression);
        if fill::block_files(from).is_empty() {
            fill::plain(&client, &source.places[0], CONTAINER, len);
        }
        let files = fill::block_files(from);
        let len = files.iter().map(|file| std::fs::metadata(file).unwrap().len()).sum();
        Pair { client, source, target, files, len }
    }

    /// A copy that is not measured: right after clients have filled the container, the source leaves them most of what it has.
    fn settle(&mut self) {
        self.copy();
    }

    fn copy(&mut self) -> Copy {
        let (source, target) = (self.source.cpu(), self.target.cpu());
        let number = self.source.number();
        let command = commands::replicate(number, CONTAINER, &self.target.places[0]);
        let began = Instant::now();
        self.source.tell(0, &command);
        self.source.ended();
        let (seconds, gibs) = (began.elapsed().as_secs_f64(), self.len as f64 / GIB);
        let copy = Copy {
            rate: self.len as f64 / seconds,
            source: (self.source.cpu() - source) / gibs,
            target: (self.target.cpu() - target) / gibs,
        };
        fill::delete(&self.client, &self.target.places[0], CONTAINER);
        copy
    }
}

pub(crate) fn measure(report: &mut Report, effort: Effort) {
    report.section(
        "From the page cache into memory",
        "A closed container in 8 blocks of 4 MiB chunks, half of whose bytes are zeros; its source is in the page cache, its target \
         on tmpfs. Uncompressed, our own transport is held against sendfile(2) into a sink that computes the same CRCs, and the CPU \
         of the source against a sender that reads and writes. Compressed copies go over Ozone's gRPC.",
        "compression | GiB/s | sendfile into the sink | ratio | aim | source CPU | read+write's CPU | ratio | aim | target CPU",
    );
    let (from, to) = (Scratch::on_disk("from"), Scratch::in_memory("to"));
    for compression in COMPRESSIONS {
        let mut pair = Pair::new(from.path(), to.path(), compression, effort.container);
        let plain = compression == COMPRESSIONS[0];
        pair.settle();
        let turns: Vec<(Copy, [limits::Sent; 2])> = (0..if plain { effort.turns } else { 1 })
            .map(|_| {
                fill::warm(&pair.files);
                let sent = [limits::sendfile(&pair.files), limits::read_and_write(&pair.files)];
                (pair.copy(), sent)
            })
            .collect();
        let gibs = pair.len as f64 / GIB;
        let of = |value: fn(&(Copy, [limits::Sent; 2])) -> f64| median(turns.iter().map(value));
        let sendfile = median(turns.iter().map(|(_, sent)| pair.len as f64 / sent[0].seconds));
        let ratio = median(turns.iter().map(|(copy, sent)| copy.rate / (pair.len as f64 / sent[0].seconds)));
        let copying = median(turns.iter().map(|(_, sent)| sent[1].cpu / gibs));
        let cpu_ratio = median(turns.iter().map(|(copy, sent)| copy.source / (sent[1].cpu / gibs)));
        let two = |value: f64| format!("{value:.2}");
        let aim = |aim: String| if plain { aim } else { "–".to_owned() };
        report.row(&[
            compression.to_owned(),
            gib(of(|(copy, _)| copy.rate)),
            gib(sendfile),
            two(ratio),
            aim(at_least(0.5, ratio)),
            two(of(|(copy, _)| copy.source)),
            two(copying),
            two(cpu_ratio),
            aim(at_most(0.5, cpu_ratio)),
            two(of(|(copy, _)| copy.target)),
        ]);
    }
}

pub(crate) fn measure_disk(report: &mut Report, effort: Effort) {
    report.section(
        "From disk to disk",
        "The same container, not in the page cache, to a datanode on the same disk, where it is stable when SCM hears of it. The limit \
         is fio, which reads one file and writes another at once, 1 MiB O_DIRECT, 8 operations of each under way.",
        "GiB/s | fio's copy | ratio | aim | source CPU | target CPU",
    );
    let (from, to) = (Scratch::on_disk("from"), Scratch::on_disk("to"));
    let mut pair = Pair::new(from.path(), to.path(), COMPRESSIONS[0], effort.container);
    pair.settle();
    let turns: Vec<(Copy, f64)> = (0..effort.turns)
        .map(|_| {
            let fio = limits::fio_copy(to.path(), effort.seconds);
            fill::forget(&pair.files);
            (pair.copy(), fio)
        })
        .collect();
    let ratio = median(turns.iter().map(|(copy, fio)| copy.rate / fio));
    report.row(&[
        gib(median(turns.iter().map(|(copy, _)| copy.rate))),
        gib(median(turns.iter().map(|(_, fio)| *fio))),
        format!("{ratio:.2}"),
        at_least(0.7, ratio),
        format!("{:.2}", median(turns.iter().map(|(copy, _)| copy.source))),
        format!("{:.2}", median(turns.iter().map(|(copy, _)| copy.target))),
    ]);
}
