//! Figures: counters, gauges and times, with names and help, in a registry a server.
//!
//! Shape   a server holds a struct of figures and a [`Registry`] that knows their names; code calls the struct's
//!         methods (`metrics.chunk_written(len, took)`). Labels are closed enums.
//! Units   base units: seconds, bytes; counters' names get `_total` from the encoder.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use prometheus_client::encoding::{EncodeMetric, MetricEncoder, NoLabelSet, text};
use prometheus_client::metrics::info::Info;
use prometheus_client::metrics::{MetricType, TypedMetric};

pub use prometheus_client::encoding::{EncodeLabelSet, EncodeLabelValue, LabelSetEncoder, LabelValueEncoder};
pub use prometheus_client::metrics::counter::Counter;
pub use prometheus_client::metrics::family::Family;
pub use prometheus_client::metrics::gauge::Gauge;
pub use prometheus_client::registry::Registry;

/// Upper bounds of the buckets of [`Seconds`], in microseconds: from a read out of memory to a disk that hangs.
const BOUNDS_US: [u64; 16] = [
    50, 100, 250, 500, 1_000, 2_500, 5_000, 10_000, 25_000, 50_000, 100_000, 250_000, 1_000_000, 5_000_000,
    10_000_000, 30_000_000,
];

/// Figures as text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Exposition {
    /// OpenMetrics' text.
    OpenMetrics(String),
    /// Prometheus' older text.
    Prometheus(String),
}

impl Exposition {
    /// All figures of `registry`.
    pub fn of(registry: &Registry) -> Exposition {
        let mut out = String::new();
        text::encode(&mut out, registry).expect("writing to a string does not fail");
        Exposition::OpenMetrics(out)
    }
}

/// How long something takes. Counting is two relaxed additions, no lock: any shard may.
#[derive(Clone, Debug, Default)]
pub struct Seconds(Arc<Inner>);

#[derive(Debug, Default)]
struct Inner {
    /// One more than there are bounds: what took longer than all.
    buckets: [AtomicU64; BOUNDS_US.len() + 1],
    sum_us: AtomicU64,
}

impl Seconds {
    /// It took this long, once more.
    pub fn took(&self, time: Duration) {
        let us = u64::try_from(time.as_micros()).unwrap_or(u64::MAX);
        self.0.buckets[BOUNDS_US.partition_point(|bound| *bound < us)].fetch_add(1, Relaxed);
        self.0.sum_us.fetch_add(us, Relaxed);
    }

    /// How often it was counted.
    pub fn count(&self) -> u64 {
        self.0.buckets.iter().map(|bucket| bucket.load(Relaxed)).sum()
    }
}

impl TypedMetric for Seconds {
    const TYPE: MetricType = MetricType::Histogram;
}

impl EncodeMetric for Seconds {
    fn encode(&self, mut encoder: MetricEncoder) -> Result<(), std::fmt::Error> {
        let bounds = BOUNDS_US.iter().map(|us| *us as f64 / 1e6).chain([f64::INFINITY]);
        let buckets: Vec<_> = bounds.zip(&self.0.buckets).map(|(at, n)| (at, n.load(Relaxed))).collect();
        let count = buckets.iter().map(|(_, n)| n).sum();
        encoder.encode_histogram::<NoLabelSet>(
            self.0.sum_us.load(Relaxed) as f64 / 1e6,
            count,
            &buckets,
            None,
        )
    }

    fn metric_type(&self) -> MetricType {
        Self::TYPE
    }
}

/// Registers `allotrope_build_info`: the version, and what was chosen on this machine (`io_back`, kernels).
pub fn register_build(registry: &mut Registry, version: &str, chosen: &[(&'static str, String)]) {
    let mut labels = vec![("version", version.to_owned())];
    labels.extend(chosen.iter().cloned());
    let help = "What runs here: the version, and what was chosen on this machine. Always 1";
    registry.register("allotrope_build", help, Info::new(labels));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
    enum Outcome {
        Ok,
    }

    impl EncodeLabelSet for Outcome {
        fn encode(&self, encoder: &mut LabelSetEncoder) -> Result<(), std::fmt::Error> {
            prometheus_client::encoding::EncodeLabel::encode(&("result", "ok"), encoder.encode_label())
        }
    }

    #[test]
    fn figures_read_as_openmetrics_and_a_registry_shows_only_its_own() {
        let (mut one, mut other) = (Registry::default(), Registry::default());
        let written: Family<Outcome, Counter> = Family::default();
        one.register("datanode_chunks", "Chunks", written.clone());
        let wait = Seconds::default();
        one.register("datanode_wait_seconds", "Waits", wait.clone());
        other.register("scm_heartbeats", "Heartbeats", Counter::<u64>::default());
        written.get_or_create(&Outcome::Ok).inc_by(3);
        wait.took(Duration::from_micros(50));
        wait.took(Duration::from_secs(31));
        register_build(&mut one, "0.1.0", &[("io_back", "uring".into())]);
        let Exposition::OpenMetrics(text) = Exposition::of(&one) else { panic!("it is OpenMetrics") };
        for line in [
            "datanode_chunks_total{result=\"ok\"} 3",
            "datanode_wait_seconds_bucket{le=\"0.00005\"} 1",
            "datanode_wait_seconds_bucket{le=\"30.0\"} 1",
            "datanode_wait_seconds_bucket{le=\"+Inf\"} 2",
            "datanode_wait_seconds_count 2",
            "datanode_wait_seconds_sum 31.00005",
            "allotrope_build_info{version=\"0.1.0\",io_back=\"uring\"} 1",
        ] {
            assert!(text.lines().any(|found| found == line), "{line} is not in\n{text}");
        }
        assert!(text.ends_with("# EOF\n") && !text.contains("scm_"));
        assert_eq!(wait.count(), 2);
    }
}
