//! Figures for operators, as Prometheus text.
//!
//! Labels  operations and outcomes are closed sets. A bucket has a row of its own while there are fewer than
//!         [`BUCKETS_MAX`]; the rest count as `other`.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

/// Buckets with a row of their own.
const BUCKETS_MAX: usize = 100;
/// Upper bounds of the times' buckets, in milliseconds.
const BOUNDS_MS: [u64; 12] = [1, 2, 5, 10, 25, 50, 100, 250, 1_000, 5_000, 30_000, 300_000];

/// What the gateway counts.
#[derive(Debug, Default)]
pub(crate) struct Metrics {
    rows: Mutex<Rows>,
    connections: AtomicU64,
    turned_away: AtomicU64,
}

#[derive(Debug, Default)]
struct Rows {
    operations: BTreeMap<(&'static str, &'static str), Times>,
    buckets: BTreeMap<String, Bytes>,
}

#[derive(Clone, Copy, Debug, Default)]
struct Times {
    within: [u64; BOUNDS_MS.len() + 1],
    sum: Duration,
}

#[derive(Clone, Copy, Debug, Default)]
struct Bytes {
    requests: u64,
    received: u64,
    sent: u64,
}

/// One request that was answered.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Answered<'a> {
    pub(crate) operation: Option<&'static str>,
    pub(crate) bucket: Option<&'a str>,
    pub(crate) status: u16,
    pub(crate) took: Duration,
    /// Bytes of the bodies, as their heads announce them.
    pub(crate) received: u64,
    pub(crate) sent: u64,
}

impl Metrics {
    pub(crate) fn answered(&self, request: Answered<'_>) {
        let outcome = match request.status {
            ..400 => "ok",
            400..500 => "refused",
            _ => "failed",
        };
        let mut rows = self.rows.lock().expect("nothing panics while it is held");
        let times = rows.operations.entry((request.operation.unwrap_or("none"), outcome)).or_default();
        let ms = u64::try_from(request.took.as_millis()).unwrap_or(u64::MAX);
        times.within[BOUNDS_MS.partition_point(|bound| *bound < ms)] += 1;
        times.sum += request.took;
        // Names that never were a bucket's must not fill the table.
        let Some(bucket) = request.bucket.filter(|_| request.status < 400) else { return };
        let known = rows.buckets.contains_key(bucket) || rows.buckets.len() < BUCKETS_MAX;
        let bytes = rows.buckets.entry(if known { bucket } else { "other" }.to_owned()).or_default();
        bytes.requests += 1;
        bytes.received += request.received;
        bytes.sent += request.sent;
    }

    pub(crate) fn connected(&self) {
        self.connections.fetch_add(1, Relaxed);
    }

    pub(crate) fn disconnected(&self) {
        self.connections.fetch_sub(1, Relaxed);
    }

    pub(crate) fn turned_away(&self) {
        self.turned_away.fetch_add(1, Relaxed);
    }

    /// All figures.
    pub(crate) fn text(&self) -> String {
        let rows = self.rows.lock().expect("nothing panics while it is held");
        let mut out = String::new();
        let mut line = |text: std::fmt::Arguments<'_>| {
            // Writing to a String cannot fail.
            let _ = writeln!(out, "{text}");
        };
        let name = "s3g_request_seconds";
        line(format_args!(
            "# HELP {name} Time from a request's head to its answer's; a whole body in, none of it out."
        ));
        line(format_args!("# TYPE {name} histogram"));
        for ((operation, outcome), times) in &rows.operations {
            let labels = format!("operation=\"{operation}\",outcome=\"{outcome}\"");
            let mut sum = 0;
            for (bound, count) in BOUNDS_MS.iter().zip(times.within) {
                sum += count;
                line(format_args!("{name}_bucket{{{labels},le=\"{}\"}} {sum}", *bound as f64 / 1000.0));
            }
            sum += times.within[BOUNDS_MS.len()];
            line(format_args!("{name}_bucket{{{labels},le=\"+Inf\"}} {sum}"));
            line(format_args!("{name}_sum{{{labels}}} {}", times.sum.as_secs_f64()));
            line(format_args!("{name}_count{{{labels}}} {sum}"));
        }
        type Figure = fn(&Bytes) -> u64;
        let figures: [(&str, &str, Figure); 3] = [
            ("s3g_bucket_requests_total", "Requests about a bucket that were not refused.", |b| b.requests),
            ("s3g_bucket_received_bytes_total", "Bytes of bodies that came in for a bucket.", |b| b.received),
            ("s3g_bucket_sent_bytes_total", "Bytes of bodies that went out of a bucket.", |b| b.sent),
        ];
        for (name, help, figure) in figures {
            line(format_args!("# HELP {name} {help}"));
            line(format_args!("# TYPE {name} counter"));
            for (bucket, bytes) in &rows.buckets {
                line(format_args!("{name}{{bucket={bucket:?}}} {}", figure(bytes)));
            }
        }
        line(format_args!(
            "# HELP s3g_connections Connections that are open; at the limit, clients are turned away."
        ));
        line(format_args!(
            "# TYPE s3g_connections gauge\ns3g_connections {}",
            self.connections.load(Relaxed)
        ));
        line(format_args!("# HELP s3g_connections_turned_away_total Connections answered SlowDown."));
        let name = "s3g_connections_turned_away_total";
        line(format_args!("# TYPE {name} counter\n{name} {}", self.turned_away.load(Relaxed)));
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_are_counted_by_operation_and_by_bucket() {
        let metrics = Metrics::default();
        let one = Answered {
            operation: Some("PutObject"),
            bucket: Some("b"),
            status: 200,
            took: Duration::from_millis(3),
            received: 7,
            sent: 0,
        };
        metrics.answered(one);
        metrics.answered(Answered { status: 404, operation: None, bucket: Some("never"), ..one });
        for n in 0..200 {
            metrics.answered(Answered { bucket: Some(&format!("x{n}")), ..one });
        }
        let text = metrics.text();
        let has = |line: &str| assert!(text.contains(line), "{line} is not in\n{text}");
        has("s3g_request_seconds_bucket{operation=\"PutObject\",outcome=\"ok\",le=\"0.002\"} 0");
        has("s3g_request_seconds_bucket{operation=\"PutObject\",outcome=\"ok\",le=\"0.005\"} 201");
        has("s3g_request_seconds_count{operation=\"none\",outcome=\"refused\"} 1");
        has("s3g_bucket_received_bytes_total{bucket=\"b\"} 7");
        has("s3g_bucket_requests_total{bucket=\"other\"} 101");
        assert!(!text.contains("never"));
    }
}
