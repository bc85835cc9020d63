//! One job: the cells of a stripe are read around those that are lost, slow or avoided.
//!
//! Shape   the reads of a plan go out at once. When one fails, or is out for much longer than reads took before, another plan is made
//!         without its cell, and what that plan lacks goes out beside; the first plan whose reads are all there gives the bytes.
//!         What is out then is dropped, and the datanodes that were overtaken are avoided for a while.

use std::ops::Range;

use allotrope_ec::{CellRead, CellSet, StripeRead};
use allotrope_proto::Rope;
use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use tokio::time::{Instant, sleep_until};

use super::{Runs, StripedGroup, covers};
use crate::client::Client;
use crate::error::Error;
use crate::path::KeyPath;

/// A read that is out.
struct Out {
    read: CellRead,
    slow_at: Option<Instant>,
}

impl Out {
    fn covers(&self, read: &CellRead) -> bool {
        self.read.cell == read.cell
            && self.read.columns.start <= read.columns.start
            && self.read.columns.end >= read.columns.end
    }
}

/// What a job has and waits for.
#[derive(Default)]
struct Progress {
    runs: Runs,
    out: Vec<Out>,
    /// Cells that are waited for no longer, while others suffice.
    slow: CellSet,
}

impl Progress {
    /// The reads of `plan` that neither are here nor on their way.
    fn lacks(&self, plan: &StripeRead) -> Vec<CellRead> {
        let on_its_way = |read: &CellRead| self.out.iter().any(|out| out.covers(read));
        plan.reads().filter(|read| !covers(&self.runs, read) && !on_its_way(read)).collect()
    }

    fn arrived(&mut self, read: &CellRead, bytes: Rope) {
        // It was slow and not silent: another may be given up in its place.
        self.slow = self.slow.without(CellSet::EMPTY.with(read.cell));
        let run = self.runs.entry((read.cell, read.columns.start)).or_default();
        // Two plans may read one cell from the same column on: the longer run serves both.
        if run.len() < bytes.len() {
            *run = bytes;
        }
    }
}

impl StripedGroup {
    /// The bytes `range`, which lies in one stripe.
    pub(in crate::read) async fn read(
        &self,
        client: &Client,
        key: &KeyPath,
        range: Range<u64>,
    ) -> Result<Rope, Error> {
        let standing = client.datanodes().standing();
        let avoided = self.avoided(client);
        let mut progress = Progress::default();
        let mut answers = FuturesUnordered::new();
        loop {
            let plans = self.plans(&range, progress.slow, avoided);
            if let Some(done) = plans.iter().flatten().find(|plan| complete(plan, &progress.runs)) {
                self.note_overtaken(client, &progress);
                return Ok(self.assemble(done, &progress.runs));
            }
            let [first, second, third] = plans;
            let plan = first.or(second).or(third).map_err(|stripe| self.unreadable(key, stripe))?;
            for read in progress.lacks(&plan) {
                let began = Instant::now();
                let slow_at = standing.slow_at(read.columns.len() as u64);
                progress.out.push(Out { read: read.clone(), slow_at });
                answers.push(async move {
                    let outcome = self.read_cell(client, &read).await;
                    (read, began, outcome)
                });
            }
            let waited_for = progress.out.iter().filter(|out| !progress.slow.contains(out.read.cell));
            let slow_at = waited_for.filter_map(|out| out.slow_at).min();
            tokio::select! {
                biased;
                Some((read, began, outcome)) = answers.next() => {
                    progress.out.retain(|out| out.read != read);
                    match outcome {
                        Ok(bytes) => {
                            standing.answered(bytes.len() as u64, began);
                            progress.arrived(&read, bytes);
                        }
                        Err(error) => self.lose(read.cell, error),
                    }
                }
                () = sleep_until(slow_at.unwrap_or_else(Instant::now)), if slow_at.is_some() => {
                    self.hedge(client, &range, avoided, &mut progress);
                }
            }
        }
    }

    /// Plans without slow and avoided cells, without slow ones, and with all that are not lost: the first that there is is followed.
    fn plans(
        &self,
        range: &Range<u64>,
        slow: CellSet,
        avoided: CellSet,
    ) -> [Result<StripeRead, allotrope_ec::Unreadable>; 3] {
        [slow.union(avoided), slow, CellSet::default()].map(|without| self.plan(range, without))
    }

    /// Gives up waiting for the cells that are slow by now, one after the other, while the others suffice and the budget allows to
    /// ask them. What cannot be given up is waited for as long again.
    fn hedge(&self, client: &Client, range: &Range<u64>, avoided: CellSet, progress: &mut Progress) {
        let (standing, now) = (client.datanodes().standing(), Instant::now());
        for at in 0..progress.out.len() {
            let Out { read, slow_at } = &progress.out[at];
            if progress.slow.contains(read.cell) || slow_at.is_none_or(|slow_at| now < slow_at) {
                continue;
            }
            let (len, slow) = (read.columns.len() as u64, progress.slow.with(read.cell));
            let [first, second, _] = self.plans(range, slow, avoided);
            let extra = first.or(second).map(|plan| progress.lacks(&plan).len());
            if extra.is_ok_and(|extra| standing.may_hedge(extra)) {
                progress.slow = slow;
            } else {
                progress.out[at].slow_at = standing.slow_at(len);
            }
        }
    }

    /// The slow cells that are still out lost the race.
    fn note_overtaken(&self, client: &Client, progress: &Progress) {
        for out in progress.out.iter().filter(|out| progress.slow.contains(out.read.cell)) {
            if let Some(replica) = self.in_order(client, out.read.cell).first() {
                client.datanodes().overtaken(&replica.member);
            }
        }
    }
}

fn complete(plan: &StripeRead, runs: &Runs) -> bool {
    plan.reads().all(|read| covers(runs, &read))
}
