//! What is noted while a load runs: how long each operation took, what failed, and how it went over time.
//!
//! Shape   one histogram a kind and interval, merged into the kind's own when the interval ends: an operation is noted once.
//! Units   nanoseconds, exact to three digits, up to an hour.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::time::Duration;

use hdrhistogram::Histogram;
use tokio::time::Instant;

use crate::hdr_log::HdrLog;
use crate::load::{Done, Trouble, TroubleKind};

/// The longest time that a histogram holds; longer ones count as this.
const LONGEST_NS: u64 = 3_600_000_000_000;

pub(crate) fn histogram() -> Histogram<u64> {
    Histogram::new_with_bounds(1, LONGEST_NS, 3).expect("the bounds are in order")
}

/// What happened in one interval, all kinds together.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Point {
    /// When it began, from the start of the measurement.
    pub at: Duration,
    /// How long it was.
    pub len: Duration,
    /// Operations that worked.
    pub count: u64,
    /// Bytes of content that they moved.
    pub bytes: u64,
    /// Operations that failed.
    pub failures: u64,
    /// The median of their times.
    pub p50: Duration,
    /// The time that one of a hundred took longer than.
    pub p99: Duration,
    /// The longest time.
    pub max: Duration,
}

/// Failures of one kind.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failures {
    /// How many there were.
    pub count: u64,
    /// What the first one said.
    pub first: String,
}

/// One kind of operation.
#[derive(Clone, Debug)]
pub(crate) struct KindRecord {
    pub(crate) name: &'static str,
    /// Times of those that worked, in nanoseconds.
    pub(crate) times: Histogram<u64>,
    pub(crate) bytes: u64,
    interval: Histogram<u64>,
    interval_bytes: u64,
}

/// All that was noted.
#[derive(Debug)]
pub(crate) struct Recorded {
    pub(crate) kinds: Vec<KindRecord>,
    pub(crate) failures: BTreeMap<TroubleKind, Failures>,
    pub(crate) points: Vec<Point>,
    interval_failures: u64,
    interval_began: Duration,
    log: Option<HdrLog>,
}

/// Takes notes from many tasks.
#[derive(Debug)]
pub(crate) struct Recorder {
    began: Instant,
    inner: Mutex<Recorded>,
}

impl Recorder {
    pub(crate) fn new(kinds: &[&'static str], began: Instant, log: Option<HdrLog>) -> Recorder {
        let kind = |&name: &&'static str| KindRecord {
            name,
            times: histogram(),
            bytes: 0,
            interval: histogram(),
            interval_bytes: 0,
        };
        let inner = Mutex::new(Recorded {
            kinds: kinds.iter().map(kind).collect(),
            failures: BTreeMap::new(),
            points: Vec::new(),
            interval_failures: 0,
            interval_began: Duration::ZERO,
            log,
        });
        Recorder { began, inner }
    }

    /// Notes one operation that took `took`.
    pub(crate) fn note(&self, took: Duration, outcome: Result<Done, Trouble>) {
        let mut inner = self.inner.lock().expect("nothing panics while it holds the lock");
        match outcome {
            Ok(Done { kind, bytes }) => {
                let nanos = u64::try_from(took.as_nanos()).unwrap_or(u64::MAX).clamp(1, LONGEST_NS);
                let kind = &mut inner.kinds[kind];
                kind.interval.saturating_record(nanos);
                kind.interval_bytes += bytes;
            }
            Err(Trouble { kind, text }) => {
                inner.interval_failures += 1;
                inner.failures.entry(kind).or_insert(Failures { count: 0, first: text }).count += 1;
            }
        }
    }

    /// Ends an interval.
    pub(crate) fn tick(&self) {
        let now = self.began.elapsed();
        self.inner.lock().expect("nothing panics while it holds the lock").tick(now);
    }

    /// Ends the last interval and gives everything back.
    pub(crate) fn finish(&self) -> Recorded {
        let now = self.began.elapsed();
        let mut inner = self.inner.lock().expect("nothing panics while it holds the lock");
        let some = inner.kinds.iter().any(|kind| !kind.interval.is_empty()) || inner.interval_failures > 0;
        if some || now > inner.interval_began {
            inner.tick(now);
            inner.join_short_end();
        }
        Recorded {
            kinds: std::mem::take(&mut inner.kinds),
            failures: std::mem::take(&mut inner.failures),
            points: std::mem::take(&mut inner.points),
            interval_failures: 0,
            interval_began: now,
            log: inner.log.take(),
        }
    }
}

impl Recorded {
    /// Adds a last interval that is much shorter than the one before to that one: its rate would say nothing.
    fn join_short_end(&mut self) {
        let [.., before, last] = self.points.as_mut_slice() else { return };
        if last.len * 10 < before.len {
            before.len += last.len;
            before.count += last.count;
            before.bytes += last.bytes;
            before.failures += last.failures;
            before.max = before.max.max(last.max);
            self.points.pop();
        }
    }

    fn tick(&mut self, now: Duration) {
        let (at, len) = (self.interval_began, now.saturating_sub(self.interval_began));
        self.interval_began = now;
        let mut all: Option<Histogram<u64>> = None;
        let mut bytes = 0;
        for kind in &mut self.kinds {
            if let Some(log) = &self.log
                && !kind.interval.is_empty()
            {
                log.interval(at, len, kind.name, &kind.interval);
            }
            kind.times.add(&kind.interval).expect("all histograms have the same bounds");
            match &mut all {
                None => all = Some(kind.interval.clone()),
                Some(all) => all.add(&kind.interval).expect("all histograms have the same bounds"),
            }
            kind.interval.reset();
            kind.bytes += kind.interval_bytes;
            bytes += std::mem::take(&mut kind.interval_bytes);
        }
        let times = all.unwrap_or_else(histogram);
        let failures = std::mem::take(&mut self.interval_failures);
        let quantile = |q| Duration::from_nanos(times.value_at_quantile(q));
        self.points.push(Point {
            at,
            len,
            count: times.len(),
            bytes,
            failures,
            p50: quantile(0.5),
            p99: quantile(0.99),
            max: Duration::from_nanos(times.max()),
        });
    }
}
