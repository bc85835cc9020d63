//! The last half hour of the cluster, a point a round.
//!
//! Bounds  [`POINTS_MAX`] points; the oldest goes first.

use std::collections::VecDeque;

use serde_json::{Value, json};

use crate::figures::Happened;

/// Half an hour of rounds of two seconds.
const POINTS_MAX: usize = 900;

/// The cluster in one round.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Point {
    pub(crate) at_ms: u64,
    /// Bytes a second that datanodes received and sent.
    pub(crate) written: f64,
    pub(crate) read: f64,
    /// Changes a second of the namespace.
    pub(crate) changes: f64,
    /// Commands a second that datanodes refused.
    pub(crate) refused: f64,
    /// Seconds: half of the writes, and all but one of a hundred, took at most so long.
    pub(crate) write_half: Option<f64>,
    pub(crate) write_most: Option<f64>,
    pub(crate) read_half: Option<f64>,
    pub(crate) read_most: Option<f64>,
}

impl Point {
    /// The point of what happened within `took_ms` up to `at_ms`.
    pub(crate) fn of(happened: &Happened, at_ms: u64, took_ms: u64) -> Point {
        let seconds = took_ms.max(1) as f64 / 1000.0;
        Point {
            at_ms,
            written: happened.received / seconds,
            read: happened.sent / seconds,
            changes: happened.changes / seconds,
            refused: happened.refused / seconds,
            write_half: happened.writes.quantile(0.5),
            write_most: happened.writes.quantile(0.99),
            read_half: happened.reads.quantile(0.5),
            read_most: happened.reads.quantile(0.99),
        }
    }
}

/// The points that are kept.
#[derive(Debug, Default)]
pub(crate) struct History {
    points: VecDeque<Point>,
}

impl History {
    /// Adds the newest. A clock that went back ends what it contradicts.
    pub(crate) fn push(&mut self, point: Point) {
        self.points.retain(|known| known.at_ms < point.at_ms);
        if self.points.len() == POINTS_MAX {
            self.points.pop_front();
        }
        self.points.push_back(point);
    }

    /// Columns of the points after `after_ms`.
    pub(crate) fn columns(&self, after_ms: u64) -> Value {
        let wanted: Vec<&Point> = self.points.iter().filter(|point| point.at_ms > after_ms).collect();
        let column = |of: fn(&Point) -> Option<f64>| wanted.iter().map(|point| of(point)).collect::<Vec<_>>();
        json!({
            "at": wanted.iter().map(|point| point.at_ms).collect::<Vec<_>>(),
            "written": column(|p| Some(p.written.round())),
            "read": column(|p| Some(p.read.round())),
            "changes": column(|p| Some(p.changes)),
            "refused": column(|p| Some(p.refused)),
            "writeHalf": column(|p| p.write_half),
            "writeMost": column(|p| p.write_most),
            "readHalf": column(|p| p.read_half),
            "readMost": column(|p| p.read_most),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_points_are_kept_in_order() {
        let mut history = History::default();
        let happened = Happened { received: 4000.0, ..Happened::default() };
        for second in 1..=POINTS_MAX as u64 + 10 {
            history.push(Point::of(&happened, second * 2000, 2000));
        }
        let all = history.columns(0);
        assert_eq!(all["at"].as_array().unwrap().len(), POINTS_MAX);
        assert_eq!((&all["at"][0], &all["written"][0]), (&json!(22_000), &json!(2000.0)));
        assert_eq!(history.columns(POINTS_MAX as u64 * 2000)["at"].as_array().unwrap().len(), 10);
        history.push(Point::of(&happened, 30_000, 2000));
        assert_eq!(history.columns(0)["at"], json!([22_000, 24_000, 26_000, 28_000, 30_000]));
    }
}
