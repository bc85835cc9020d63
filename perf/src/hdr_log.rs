//! The HdrHistogram log: each interval's histogram, a line each, as HdrHistogram's own tools read it.
//!
//! Shape   a thread of its own writes, behind a bounded channel: an interval is handed over and never waited for by an operation.
//! Units   nanoseconds inside the histograms; the column of the longest time is in milliseconds.
//! Errors  those of the file, given back by [`HdrLog::close`].

use std::fs::File;
use std::io::{self, LineWriter, Write as _};
use std::path::Path;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, SystemTime};

use hdrhistogram::Histogram;
use hdrhistogram::serialization::V2DeflateSerializer;
use hdrhistogram::serialization::interval_log::{IntervalLogWriterBuilder, IntervalLogWriterError, Tag};

/// Intervals that may wait to be written.
const WAITING_MAX: usize = 64;

struct Interval {
    at: Duration,
    len: Duration,
    tag: &'static str,
    times: Histogram<u64>,
}

/// A log that is being written. Clones write to the same file.
#[derive(Clone, Debug)]
pub struct HdrLog {
    intervals: SyncSender<Interval>,
    thread: Arc<Mutex<Option<JoinHandle<io::Result<()>>>>>,
}

impl HdrLog {
    /// Makes the file at `path` anew; its intervals count from `began`.
    ///
    /// # Errors
    /// Those of the file.
    pub fn create(path: &Path, began: SystemTime) -> io::Result<HdrLog> {
        let file = File::create(path)?;
        let (intervals, arriving) = sync_channel(WAITING_MAX);
        let thread = std::thread::Builder::new().name("hdr-log".to_owned());
        let thread = thread.spawn(move || write(file, began, &arriving))?;
        Ok(HdrLog { intervals, thread: Arc::new(Mutex::new(Some(thread))) })
    }

    /// Hands over one kind's interval.
    pub(crate) fn interval(&self, at: Duration, len: Duration, tag: &'static str, times: &Histogram<u64>) {
        // A writer that failed has gone, and says why when it is closed.
        let _ = self.intervals.send(Interval { at, len, tag, times: times.clone() });
    }

    /// Writes what was handed over and closes the file, once the last clone is here.
    ///
    /// # Errors
    /// Those of the file.
    pub fn close(self) -> io::Result<()> {
        let HdrLog { intervals, thread } = self;
        drop(intervals);
        let thread = thread.lock().expect("nothing panics while it holds the lock").take();
        thread.map_or(Ok(()), |thread| {
            thread.join().unwrap_or_else(|_| Err(io::Error::other("the log's thread panicked")))
        })
    }
}

fn write(file: File, began: SystemTime, arriving: &Receiver<Interval>) -> io::Result<()> {
    let mut out = LineWriter::new(file);
    let mut serializer = V2DeflateSerializer::new();
    let mut log = IntervalLogWriterBuilder::new()
        .add_comment("allotrope perf; times in nanoseconds, the longest in milliseconds")
        .with_base_time(began)
        .with_start_time(began)
        .with_max_value_divisor(1e6)
        .begin_log_with(&mut out, &mut serializer)?;
    for Interval { at, len, tag, times } in arriving {
        let written = log.write_histogram(&times, at, len, Tag::new(tag));
        written.map_err(|error| match error {
            IntervalLogWriterError::IoError(error) => error,
            other => io::Error::other(format!("{other:?}")),
        })?;
    }
    out.flush()
}

#[cfg(test)]
mod tests {
    use hdrhistogram::serialization::Deserializer;
    use hdrhistogram::serialization::interval_log::{IntervalLogIterator, LogEntry};

    use super::*;

    #[test]
    fn a_log_is_read_back_by_histograms_own_reader() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("log");
        let log = HdrLog::create(&path, SystemTime::UNIX_EPOCH).unwrap();
        let mut times = crate::record::histogram();
        (1..=1000u64).for_each(|n| times.record(n * 1_000_000).unwrap());
        log.interval(Duration::from_secs(0), Duration::from_secs(1), "read", &times);
        log.interval(Duration::from_secs(1), Duration::from_secs(1), "write", &times);
        log.close().unwrap();
        let text = std::fs::read(&path).unwrap();
        let entries: Vec<_> = IntervalLogIterator::new(&text).map(|entry| entry.unwrap()).collect();
        let intervals: Vec<_> = entries
            .iter()
            .filter_map(|entry| match entry {
                LogEntry::Interval(interval) => Some(interval),
                _ => None,
            })
            .collect();
        assert_eq!(intervals.len(), 2);
        assert_eq!(intervals[1].tag().unwrap().as_str(), "write");
        assert_eq!(intervals[1].start_timestamp(), Duration::from_secs(1));
        assert!((intervals[0].max() - 1000.0).abs() < 1.0, "{}", intervals[0].max());
        use base64_of_log::decode;
        let bytes = decode(intervals[0].encoded_histogram());
        let back: Histogram<u64> = Deserializer::new().deserialize(&mut &bytes[..]).unwrap();
        assert_eq!((back.len(), back.value_at_quantile(0.5)), (1000, times.value_at_quantile(0.5)));
    }

    /// Base 64, by its definition.
    mod base64_of_log {
        pub(super) fn decode(text: &str) -> Vec<u8> {
            let value = |c: u8| match c {
                b'A'..=b'Z' => c - b'A',
                b'a'..=b'z' => c - b'a' + 26,
                b'0'..=b'9' => c - b'0' + 52,
                b'+' => 62,
                b'/' => 63,
                other => panic!("{other} is no digit"),
            };
            let digits: Vec<u32> = text.bytes().filter(|&c| c != b'=').map(|c| u32::from(value(c))).collect();
            let group = |group: &[u32]| {
                let bits = group.iter().fold(0, |bits, digit| bits << 6 | digit) << (6 * (4 - group.len()));
                bits.to_be_bytes()[1..group.len()].to_vec()
            };
            digits.chunks(4).flat_map(group).collect()
        }
    }
}
