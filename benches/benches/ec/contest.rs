//! Variants of one job, timed in turns.
//!
//! Shape   a turn is one time for each variant, taken on neighbouring stripes one after the other; who comes first
//!         changes from turn to turn.
//! Units   seconds of the thread's CPU time, so that other processes of the machine are not counted.

use rustix::time::{ClockId, clock_gettime};

use crate::Effort;
use crate::stripes::Ring;

/// The times of `V` variants, turn by turn.
pub(crate) struct Turns<const V: usize>(Vec<[f64; V]>);

/// CPU seconds that `job` takes.
pub(crate) fn timed(job: impl FnOnce()) -> f64 {
    let now = || {
        let time = clock_gettime(ClockId::ThreadCPUTime);
        time.tv_sec as f64 + time.tv_nsec as f64 * 1e-9
    };
    let start = now();
    job();
    now() - start
}

/// Who takes the place: the first changes from turn to turn, and so does who comes after whom.
fn variant_at<const V: usize>(turn: usize, place: usize) -> usize {
    let place = if (turn / V).is_multiple_of(2) { place } else { V - 1 - place };
    (place + turn) % V
}

/// Runs the variants on a ring that no cache holds. `run` gets a variant and a stripe and answers its seconds.
pub(crate) fn cold<const V: usize>(
    ring: &mut Ring,
    effort: Effort,
    mut run: impl FnMut(usize, Vec<&mut [u8]>) -> f64,
) -> Turns<V> {
    let turns_per_lap = ring.stripes() / V;
    let mut turns = Vec::new();
    for lap in 0..effort.laps_cold {
        for turn in 0..turns_per_lap {
            let mut times = [0.0; V];
            for place in 0..V {
                let variant = variant_at::<V>(turn + lap, place);
                times[variant] = run(variant, ring.stripe(turn * V + place));
            }
            // The first lap also brings in pages and code.
            if lap > 0 {
                turns.push(times);
            }
        }
    }
    Turns(turns)
}

/// Runs the variants on one stripe that the second-level cache holds, each after an untimed run of itself.
pub(crate) fn hot<const V: usize>(
    ring: &mut Ring,
    effort: Effort,
    mut run: impl FnMut(usize, Vec<&mut [u8]>) -> f64,
) -> Turns<V> {
    const RUNS: usize = 16;
    let turn = |turn: usize| {
        let mut times = [0.0; V];
        for place in 0..V {
            let variant = variant_at::<V>(turn, place);
            run(variant, ring.stripe(0));
            times[variant] = (0..RUNS).map(|_| run(variant, ring.stripe(0))).sum();
            times[variant] /= RUNS as f64;
        }
        times
    };
    Turns((0..effort.turns_hot).map(turn).collect())
}

impl<const V: usize> Turns<V> {
    /// The median over the turns of what `of` makes of a turn's times.
    pub(crate) fn median(&self, of: impl Fn(&[f64; V]) -> f64) -> f64 {
        let mut values: Vec<f64> = self.0.iter().map(of).collect();
        values.sort_by(f64::total_cmp);
        values[values.len() / 2]
    }
}
