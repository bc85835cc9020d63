//! The engine: repeats a load by a plan and notes what happens.
//!
//! Shape   a run is a warm-up and a measurement, each a turn of the same loop: `closed` keeps so many operations going at once,
//!         `open` begins them at fixed moments whether or not the ones before have ended.
//! Units   a closed loop's times count from when an operation began; an open loop's from when it was due, so that a server
//!         that stalls is charged with everything that had to wait behind it (no coordinated omission).
//! Errors  none: failures of operations are counted, and why a run ended is part of what was measured.

mod closed;
mod open;
mod turn;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use hdrhistogram::Histogram;
use tokio::sync::watch;
use tokio::time::Instant;

use crate::hdr_log::HdrLog;
use crate::load::{Load, TroubleKind};
use crate::processes::{ProcessUse, Processes};
use crate::record::{Failures, Point, Recorder};
use turn::{Turn, TurnEnd};

/// When operations begin.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Pace {
    /// One begins when one has ended: as many as may be in flight always are.
    Closed,
    /// So many begin a second, evenly spaced.
    Open {
        /// Operations a second.
        per_second: f64,
    },
}

/// When a run is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Until {
    /// After so many operations.
    Count(u64),
    /// After so long.
    Time(Duration),
}

/// What the open loop waits by.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Clock {
    /// The kernel's timers, exact to some 50 µs.
    #[default]
    Kernel,
    /// Tokio's timers, exact to 1 ms, which tests can stop and move.
    Tokio,
}

/// How a load is to be run.
#[derive(Clone, Debug)]
pub struct Plan {
    /// When operations begin.
    pub pace: Pace,
    /// Operations at once: those of a closed loop, the most of an open one.
    pub at_once: usize,
    /// When the measurement is over; operations that have begun are waited for.
    pub until: Until,
    /// Objects: numbers of operations begin again behind this many.
    pub objects: u64,
    /// How long the load runs before anything counts. Nothing by default.
    pub warm_up: Duration,
    /// Longest time of one operation; then it counts as late, and is given up.
    pub deadline: Duration,
    /// Whether the first failure ends the run.
    pub stop_at_failure: bool,
    /// How often a point of the series is taken.
    pub interval: Duration,
    /// What the open loop waits by.
    pub clock: Clock,
}

impl Default for Plan {
    /// A closed loop of 10 at once, 1,000 operations of 1,000 objects, ended by the first failure.
    fn default() -> Plan {
        Plan {
            pace: Pace::Closed,
            at_once: 10,
            until: Until::Count(1000),
            objects: 1000,
            warm_up: Duration::ZERO,
            deadline: Duration::from_secs(30),
            stop_at_failure: true,
            interval: Duration::from_secs(1),
            clock: Clock::Kernel,
        }
    }
}

/// How far a run is, for whoever shows it. All figures are of the measurement, not of the warm-up.
#[derive(Debug, Default)]
pub struct Progress {
    done: AtomicU64,
    failed: AtomicU64,
    bytes: AtomicU64,
    in_flight: AtomicU64,
    warming_up: AtomicU64,
}

impl Progress {
    /// Operations that worked.
    pub fn done(&self) -> u64 {
        self.done.load(Ordering::Relaxed)
    }

    /// Operations that failed.
    pub fn failed(&self) -> u64 {
        self.failed.load(Ordering::Relaxed)
    }

    /// Bytes of content moved.
    pub fn bytes(&self) -> u64 {
        self.bytes.load(Ordering::Relaxed)
    }

    /// Operations that have begun and not ended.
    pub fn in_flight(&self) -> u64 {
        self.in_flight.load(Ordering::Relaxed)
    }

    /// Whether the warm-up runs.
    pub fn is_warming_up(&self) -> bool {
        self.warming_up.load(Ordering::Relaxed) > 0
    }
}

/// What stands beside a run.
#[derive(Debug)]
pub struct Watch {
    /// Says how far it is.
    pub progress: Arc<Progress>,
    /// Turned to true it ends the run: operations in flight have two seconds.
    pub stop: watch::Receiver<bool>,
    /// Processes whose use of the machine is noted.
    pub processes: Vec<u32>,
    /// Where the intervals' histograms go.
    pub log: Option<HdrLog>,
}

impl Default for Watch {
    /// Nobody watches, nothing stops it.
    fn default() -> Watch {
        let (_, stop) = watch::channel(false);
        Watch { progress: Arc::default(), stop, processes: Vec::new(), log: None }
    }
}

/// Why a run ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// Everything that was planned has been done.
    Done,
    /// An operation failed, and the plan says to stop then.
    Failed,
    /// It was told to stop.
    Interrupted,
}

/// One kind of operation: how often, how much, how long.
#[derive(Clone, Debug)]
pub struct Kind {
    /// Its name.
    pub name: &'static str,
    /// Times of those that worked, in nanoseconds, exact to three digits.
    pub times: Histogram<u64>,
    /// Bytes of content that they moved.
    pub bytes: u64,
}

/// What a run came to.
#[derive(Debug)]
pub struct Measured {
    /// Why it ended.
    pub end: End,
    /// Whether it ended before the measurement began; then all figures are of the warm-up.
    pub in_warm_up: bool,
    /// From the first operation's beginning to the last one's end.
    pub took: Duration,
    /// The kinds of operations, in the load's order.
    pub kinds: Vec<Kind>,
    /// What failed, by kind of trouble.
    pub failures: BTreeMap<TroubleKind, Failures>,
    /// What happened over time.
    pub points: Vec<Point>,
    /// Operations that were due and had not begun when time was up: the rate was more than the server could take.
    pub not_begun: u64,
    /// Operations that were in flight when the run was stopped, and were given up.
    pub abandoned: u64,
    /// What the watched processes used.
    pub processes: Vec<ProcessUse>,
}

impl Measured {
    /// Operations that failed.
    pub fn failed(&self) -> u64 {
        self.failures.values().map(|failures| failures.count).sum()
    }

    /// Operations that worked.
    pub fn done(&self) -> u64 {
        self.kinds.iter().map(|kind| kind.times.len()).sum()
    }
}

/// Runs `load` by `plan`. Always ends: by what was planned, by a failure, or soon after `watch.stop`.
pub async fn run(load: Arc<dyn Load>, plan: &Plan, watch: Watch) -> Measured {
    let Watch { progress, stop, processes, log } = watch;
    if !plan.warm_up.is_zero() {
        progress.warming_up.store(1, Ordering::Relaxed);
        let warm_up = Plan { until: Until::Time(plan.warm_up), ..plan.clone() };
        let recorder = Arc::new(Recorder::new(load.kinds(), Instant::now(), None));
        let turn = Turn::new(load.clone(), &warm_up, recorder.clone(), Arc::default());
        let ended = turn.run(&warm_up, stop.clone()).await;
        progress.warming_up.store(0, Ordering::Relaxed);
        if ended.end != End::Done {
            return measured(ended, &recorder, true, Vec::new());
        }
    }
    let mut processes = Processes::new(&processes);
    let recorder = Arc::new(Recorder::new(load.kinds(), Instant::now(), log));
    let turn = Turn::new(load, plan, recorder.clone(), progress);
    let ticking = async {
        let mut ticks = tokio::time::interval_at(Instant::now() + plan.interval, plan.interval);
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            recorder.tick();
            processes.tick();
        }
    };
    let ended = tokio::select! {
        biased;
        ended = turn.run(plan, stop) => ended,
        () = ticking => unreachable!("it ticks for ever"),
    };
    let processes = processes.finish();
    measured(ended, &recorder, false, processes)
}

fn measured(ended: TurnEnd, recorder: &Recorder, in_warm_up: bool, processes: Vec<ProcessUse>) -> Measured {
    let recorded = recorder.finish();
    let kind =
        |kind: crate::record::KindRecord| Kind { name: kind.name, times: kind.times, bytes: kind.bytes };
    Measured {
        end: ended.end,
        in_warm_up,
        took: ended.took,
        kinds: recorded.kinds.into_iter().map(kind).collect(),
        failures: recorded.failures,
        points: recorded.points,
        not_begun: ended.not_begun,
        abandoned: ended.abandoned,
        processes,
    }
}
