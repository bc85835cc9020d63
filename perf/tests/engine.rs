//! The generator itself is right: percentiles of known distributions, stalls that are charged to what waits, clear ends.
//!
//! A server in the same process answers over an in-memory stream, on tokio's stopped clock: every time is exact and repeats.
#![allow(clippy::unwrap_used, reason = "a helper that fails fails its test")]
#![allow(clippy::disallowed_methods, reason = "tests of a clock that they stop")]

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use allotrope_perf::{
    Clock, Described, Done, End, HdrLog, Load, Machine, Measured, Pace, Plan, RunResult, Trouble,
    TroubleKind, Until, Watch, run, table,
};
use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream};
use tokio::sync::{Mutex, mpsc, watch};
use tokio::time::Instant;

type Delay = Arc<dyn Fn(u64) -> Duration + Send + Sync>;

/// Reads numbers of eight bytes and answers each after its delay.
async fn serve(mut stream: DuplexStream, delay: Delay) {
    while let Ok(number) = stream.read_u64().await {
        tokio::time::sleep(delay(number)).await;
        if stream.write_u64(number).await.is_err() {
            return;
        }
    }
}

/// Asks such a server, over as many connections as are needed at once.
struct Asks {
    delay: Delay,
    idle: Mutex<Vec<DuplexStream>>,
    refused: fn(u64) -> bool,
}

impl Asks {
    fn of(delay: impl Fn(u64) -> Duration + Send + Sync + 'static) -> Asks {
        Asks { delay: Arc::new(delay), idle: Mutex::default(), refused: |_| false }
    }
}

impl Load for Asks {
    fn kinds(&self) -> &[&'static str] {
        &["ask", "other"]
    }

    fn operate(&self, number: u64) -> BoxFuture<'_, Result<Done, Trouble>> {
        async move {
            if (self.refused)(number) {
                return Err(Trouble::new(TroubleKind::Refused, format!("not {number}")));
            }
            let idle = self.idle.lock().await.pop();
            let mut stream = idle.unwrap_or_else(|| {
                let (ours, theirs) = tokio::io::duplex(64);
                tokio::spawn(serve(theirs, self.delay.clone()));
                ours
            });
            stream.write_u64(number).await.unwrap();
            assert_eq!(stream.read_u64().await.unwrap(), number);
            self.idle.lock().await.push(stream);
            Ok(Done::moved(10))
        }
        .boxed()
    }
}

fn ms(count: u64) -> Duration {
    Duration::from_millis(count)
}

fn plan(pace: Pace, at_once: usize, until: Until) -> Plan {
    Plan { pace, at_once, until, objects: u64::MAX, clock: Clock::Tokio, ..Plan::default() }
}

/// Fails unless the first kind's percentiles are those of `times`, within 1 %.
fn assert_percentiles(measured: &Measured, mut times: Vec<Duration>) {
    times.sort();
    let histogram = &measured.kinds[0].times;
    assert_eq!(histogram.len(), times.len() as u64);
    for part in [0.01, 0.1, 0.25, 0.5, 0.75, 0.9, 0.95, 0.99, 0.999, 0.9999, 1.0] {
        let rank = (part * times.len() as f64).ceil() as usize;
        let right = times[rank.max(1) - 1].as_nanos() as f64;
        let reported = histogram.value_at_quantile(part) as f64;
        assert!((reported / right - 1.0).abs() < 0.01, "p{}: {reported} instead of {right}", part * 100.0);
    }
    let mean = times.iter().sum::<Duration>().as_nanos() as f64 / times.len() as f64;
    assert!((histogram.mean() / mean - 1.0).abs() < 0.01);
}

/// A time of an exponential distribution with a mean of 50 ms, in whole milliseconds: the `n`th of 10,000, in no order.
fn exponential(n: u64) -> Duration {
    let part = ((n * 7919) % 10_000) as f64 / 10_000.0;
    ms(1 + (-50.0 * (1.0 - part).ln()) as u64)
}

#[tokio::test(start_paused = true)]
async fn percentiles_of_a_known_distribution_are_right_within_one_percent_in_a_closed_loop() {
    let load = Arc::new(Asks::of(exponential));
    let measured = run(load, &plan(Pace::Closed, 16, Until::Count(10_000)), Watch::default()).await;
    assert_eq!((measured.end, measured.failed(), measured.kinds[1].times.len()), (End::Done, 0, 0));
    assert_percentiles(&measured, (0..10_000).map(exponential).collect());
    assert_eq!(measured.kinds[0].bytes, 100_000);
    let counted: u64 = measured.points.iter().map(|point| point.count).sum();
    assert_eq!(counted, 10_000, "every operation lies in one interval");
    // Sixteen at once, each of 50 ms and a bit: about 316 a second.
    let a_second = 10_000.0 / measured.took.as_secs_f64();
    assert!((300.0..330.0).contains(&a_second), "{a_second}");
}

#[tokio::test(start_paused = true)]
async fn percentiles_of_a_known_distribution_are_right_within_one_percent_in_an_open_loop() {
    let load = Arc::new(Asks::of(exponential));
    // More at once than are ever needed: nothing waits.
    let pace = Pace::Open { per_second: 500.0 };
    let measured = run(load, &plan(pace, 1000, Until::Count(10_000)), Watch::default()).await;
    assert_eq!((measured.end, measured.not_begun), (End::Done, 0));
    assert_percentiles(&measured, (0..10_000).map(exponential).collect());
    assert!((measured.took.as_secs_f64() / 20.0 - 1.0).abs() < 0.05, "{:?}", measured.took);
}

#[tokio::test(start_paused = true)]
async fn an_open_loop_charges_a_stall_to_everything_that_was_due_meanwhile() {
    // One at a time, each of 4 ms, every 10 ms; one of them takes five seconds.
    let took = |n: u64| if n == 1000 { ms(5000) } else { ms(4) };
    let pace = Pace::Open { per_second: 100.0 };
    let measured = run(Arc::new(Asks::of(took)), &plan(pace, 1, Until::Count(5000)), Watch::default()).await;
    let (mut free, mut times) = (Duration::ZERO, Vec::new());
    for n in 0..5000 {
        let due = ms(10 * n);
        free = free.max(due) + took(n);
        times.push(free - due);
    }
    assert_percentiles(&measured, times.clone());
    let waited = times.iter().filter(|time| **time > ms(4)).count();
    assert!(waited > 800, "the stall reaches {waited} operations");

    // The closed loop asks less meanwhile, and sees one slow operation.
    let closed =
        run(Arc::new(Asks::of(took)), &plan(Pace::Closed, 1, Until::Count(5000)), Watch::default()).await;
    assert_percentiles(&closed, (0..5000).map(took).collect());
}

#[tokio::test(start_paused = true)]
async fn a_rate_that_is_not_reached_is_said() {
    let pace = Pace::Open { per_second: 100.0 };
    let load = Arc::new(Asks::of(|_| ms(50)));
    // Two at once of 50 ms each: 40 a second, for ten seconds.
    let measured = run(load, &plan(pace, 2, Until::Time(ms(10_000))), Watch::default()).await;
    assert_eq!(measured.end, End::Done);
    assert!((398..=402).contains(&measured.done()), "{}", measured.done());
    assert_eq!(measured.done() + measured.not_begun, 1000);
}

#[tokio::test(start_paused = true)]
async fn the_warm_up_does_not_count() {
    let began = Instant::now();
    let load = Arc::new(Asks::of(move |_| if began.elapsed() < ms(3000) { ms(500) } else { ms(5) }));
    let plan = Plan { warm_up: ms(4000), ..plan(Pace::Closed, 4, Until::Time(ms(2000))) };
    let measured = run(load, &plan, Watch::default()).await;
    assert_percentiles(&measured, vec![ms(5); 1600]);
    assert_eq!(measured.points.len(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_server_that_is_too_slow_ends_the_run_and_what_was_measured_is_kept() {
    let load = Arc::new(Asks::of(|n| if n == 700 { ms(3_600_000) } else { ms(5) }));
    let plan = Plan { deadline: ms(1000), ..plan(Pace::Closed, 1, Until::Count(10_000)) };
    let measured = run(load, &plan, Watch::default()).await;
    assert_eq!((measured.end, measured.done(), measured.failed()), (End::Failed, 700, 1));
    let late = &measured.failures[&TroubleKind::Late];
    assert_eq!((late.count, late.first.as_str()), (1, "no end within 1s"));
    assert_percentiles(&measured, vec![ms(5); 700]);
    let described = Described { load: "ask".into(), ..Described::default() };
    let result = RunResult::new(described, &plan, measured, Machine::default());
    assert!(!result.is_whole());
    let text = table(&result);
    assert!(text.contains("stopped by a failure after 4.50 s: 700 operations worked, 1 failed"), "{text}");
    assert!(text.contains("failed    1 late: no end within 1s"), "{text}");
    assert_eq!(RunResult::from_json(&result.to_json().to_string()), Ok(result));
}

#[tokio::test(start_paused = true)]
async fn failures_are_counted_to_the_end_where_that_is_asked_for() {
    let load = Asks { refused: |n| n % 10 == 3, ..Asks::of(|_| ms(5)) };
    let keeps_on = Plan { stop_at_failure: false, ..plan(Pace::Closed, 8, Until::Count(1000)) };
    let measured = run(Arc::new(load), &keeps_on, Watch::default()).await;
    assert_eq!((measured.end, measured.done(), measured.failed()), (End::Done, 900, 100));
    assert_eq!(measured.failures[&TroubleKind::Refused].first, "not 3");
}

#[tokio::test(start_paused = true)]
async fn a_failure_in_the_warm_up_ends_the_run() {
    let load = Asks { refused: |n| n == 3, ..Asks::of(|_| ms(5)) };
    let plan = Plan { warm_up: ms(1000), ..plan(Pace::Closed, 1, Until::Count(1000)) };
    let measured = run(Arc::new(load), &plan, Watch::default()).await;
    assert_eq!((measured.end, measured.in_warm_up, measured.done()), (End::Failed, true, 3));
}

#[tokio::test(start_paused = true)]
async fn what_was_measured_is_given_back_when_the_run_is_told_to_stop() {
    let (stop, stopped) = watch::channel(false);
    let (said, mut heard) = mpsc::channel(1);
    // From the thousandth operation on the server says nothing any more.
    let load = Arc::new(Asks::of(move |n| {
        if n < 1000 {
            return ms(5);
        }
        let _ = said.try_send(());
        ms(3_600_000)
    }));
    tokio::spawn(async move {
        heard.recv().await;
        tokio::time::sleep(ms(1000)).await;
        stop.send_replace(true);
    });
    let plan = Plan { deadline: ms(600_000), ..plan(Pace::Closed, 4, Until::Time(ms(60_000))) };
    let measured = run(load, &plan, Watch { stop: stopped, ..Watch::default() }).await;
    assert_eq!((measured.end, measured.done(), measured.abandoned), (End::Interrupted, 1000, 4));
    assert_percentiles(&measured, vec![ms(5); 1000]);
    // 1.25 s of work, a second until the word came, two of grace.
    assert!(measured.took >= ms(4250) && measured.took < ms(4300), "{:?}", measured.took);
}

#[tokio::test(start_paused = true)]
async fn objects_come_again_and_the_same_run_twice_gives_the_same_result() {
    let dir = tempfile::tempdir().unwrap();
    let once = |name: &'static str| {
        let log = HdrLog::create(&dir.path().join(name), SystemTime::UNIX_EPOCH).unwrap();
        async move {
            let seen: Arc<std::sync::Mutex<BTreeMap<u64, u64>>> = Arc::default();
            let noted = seen.clone();
            let load = Arc::new(Asks::of(move |n| {
                *noted.lock().unwrap().entry(n).or_default() += 1;
                ms(1 + n)
            }));
            let plan = Plan { objects: 10, ..plan(Pace::Closed, 3, Until::Count(1000)) };
            let measured = run(load, &plan, Watch { log: Some(log.clone()), ..Watch::default() }).await;
            log.close().unwrap();
            let seen = seen.lock().unwrap().clone();
            let described = Described::default();
            (seen, RunResult::new(described, &plan, measured, Machine::default()).to_json().to_string())
        }
    };
    let (seen, result) = once("one").await;
    assert_eq!(seen, (0..10).map(|n| (n, 100)).collect());
    assert_eq!((seen, result), once("two").await);
    let log = |name: &str| std::fs::read(dir.path().join(name)).unwrap();
    assert!(log("one") == log("two") && log("one").len() > 200);
}

/// On the machine's own clock: an operation begins within a few milliseconds of when it was due.
#[tokio::test]
async fn the_kernels_clock_begins_operations_when_they_are_due() {
    struct Nothing;
    impl Load for Nothing {
        fn kinds(&self) -> &[&'static str] {
            &["nothing"]
        }

        fn operate(&self, _: u64) -> BoxFuture<'_, Result<Done, Trouble>> {
            std::future::ready(Ok(Done::moved(0))).boxed()
        }
    }
    let plan = Plan { clock: Clock::Kernel, ..plan(Pace::Open { per_second: 700.0 }, 10, Until::Count(350)) };
    let measured = run(Arc::new(Nothing), &plan, Watch::default()).await;
    assert_eq!((measured.end, measured.done()), (End::Done, 350));
    // 349 intervals: never early, whatever the machine does meanwhile.
    assert!(measured.took >= ms(498), "{:?}", measured.took);
}
