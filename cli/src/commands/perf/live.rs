//! The live line: how far a run is, on stderr where that is a terminal.

use std::sync::Arc;
use std::time::{Duration, Instant};

use allotrope_perf::{Plan, Progress, Until};
use indicatif::{ProgressBar, ProgressStyle};
use tokio::task::JoinHandle;

/// How often it is drawn.
const EVERY: Duration = Duration::from_millis(250);

/// Draws until it is dropped.
pub(super) struct Live {
    bar: ProgressBar,
    drawing: JoinHandle<()>,
}

impl Live {
    pub(super) fn begin(progress: Arc<Progress>, plan: &Plan) -> Live {
        let (until, whole) = match plan.until {
            Until::Count(count) => (plan.until, count),
            Until::Time(time) => (plan.until, time.as_millis() as u64),
        };
        let bar = ProgressBar::new(whole);
        let style = ProgressStyle::with_template("{wide_bar} {percent:>3} %  {msg}");
        bar.set_style(style.expect("the template's words are indicatif's"));
        let drawn = bar.clone();
        let drawing = tokio::spawn(async move {
            let mut measuring = None;
            let mut before = (Instant::now(), 0, 0);
            loop {
                tokio::time::sleep(EVERY).await;
                if progress.is_warming_up() {
                    drawn.set_message("warming up");
                    continue;
                }
                let began = *measuring.get_or_insert_with(|| {
                    before.0 = Instant::now();
                    before.0
                });
                let (done, bytes, failed) = (progress.done(), progress.bytes(), progress.failed());
                drawn.set_position(match until {
                    Until::Count(_) => done + failed,
                    Until::Time(_) => began.elapsed().as_millis() as u64,
                });
                let seconds = before.0.elapsed().as_secs_f64().max(1e-9);
                drawn.set_message(format!(
                    "{:.0} a second, {:.1} MiB/s, {failed} failed, {} in flight",
                    (done - before.1) as f64 / seconds,
                    (bytes - before.2) as f64 / seconds / (1 << 20) as f64,
                    progress.in_flight(),
                ));
                before = (Instant::now(), done, bytes);
            }
        });
        Live { bar, drawing }
    }
}

impl Drop for Live {
    fn drop(&mut self) {
        self.drawing.abort();
        self.bar.finish_and_clear();
    }
}
