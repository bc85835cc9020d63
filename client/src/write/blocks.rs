//! The blocks of a key that is being written: where the next one is, which ones failed, which are to be committed.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use allotrope_proto::edge::om_key::KeyLocation;
use allotrope_types::Bcsid;

use super::Written;
use crate::client::Client;
use crate::datanode::DatanodeError;
use crate::error::Error;
use crate::location::BlockLocation;
use crate::om::{Exclusions, Session};
use crate::path::KeyPath;

/// The wait before a block is tried where others have just failed, at first and at most.
const PAUSE: Duration = Duration::from_millis(100);
const PAUSE_MAX: Duration = Duration::from_secs(4);

/// How long that wait is after `failures` in a row; spread, so that writers that failed together do not return together.
fn pause(failures: u32) -> Duration {
    let whole = PAUSE.saturating_mul(1 << failures.clamp(1, 16)).min(PAUSE_MAX);
    whole.mul_f64(0.5 + fastrand::f64() / 2.0)
}

/// Gives out blocks and remembers what became of them.
#[derive(Debug)]
pub(super) struct Blocks {
    session: Session,
    ahead: VecDeque<BlockLocation>,
    done: Vec<KeyLocation>,
    done_len: u64,
    exclude: Exclusions,
    /// Failures since a block last took bytes for good.
    in_a_row: u32,
    failures: u32,
    /// Why the block before failed, until bytes became safe again.
    last_failure: Option<Box<DatanodeError>>,
}

impl Blocks {
    pub(super) fn new(mut session: Session) -> Blocks {
        let ahead = std::mem::take(&mut session.locations).into();
        let exclude = Exclusions::default();
        Blocks {
            session,
            ahead,
            done: vec![],
            done_len: 0,
            exclude,
            in_a_row: 0,
            failures: 0,
            last_failure: None,
        }
    }

    pub(super) fn key(&self) -> &KeyPath {
        &self.session.key
    }

    pub(super) fn session(&self) -> u64 {
        self.session.id
    }

    /// A block to write next: one that OM allocated ahead, or a new one.
    pub(super) async fn next(&mut self, client: &Client) -> Result<BlockLocation, Error> {
        if let Some(location) = self.ahead.pop_front() {
            return Ok(location);
        }
        let use_hostname = client.config().use_datanode_hostname;
        let allocated = client.om().allocate_block(&self.session, &self.exclude, use_hostname).await;
        match (allocated, self.last_failure.take()) {
            // Without the failure, OM's refusal would not tell what is wrong.
            (Err(Error::Refused { status, message, .. }), Some(source)) => {
                Err(Error::NoBlock { key: self.key().clone(), status, message, source })
            }
            (Ok(location), failure) => {
                // Nothing better is there yet: what was lost may be replaced in a moment.
                if self.exclude.cover(&location) {
                    tokio::time::sleep(pause(self.in_a_row)).await;
                }
                self.last_failure = failure;
                Ok(location)
            }
            (refused, _) => refused,
        }
    }

    /// Bytes of a block became safe.
    pub(super) fn progressed(&mut self) {
        self.in_a_row = 0;
        self.last_failure = None;
    }

    /// The first `len` bytes of `location` belong to the key; it takes no more.
    pub(super) fn close(&mut self, location: &BlockLocation, len: u64, bcsid: Bcsid) {
        if len > 0 {
            self.done.push(location.committed(len, bcsid));
            self.done_len += len;
        }
    }

    /// `location` failed, with one error for each replica that did: keep away from it. An error when that happened
    /// too often.
    pub(super) fn failed(
        &mut self,
        client: &Client,
        location: &BlockLocation,
        errors: Vec<DatanodeError>,
    ) -> Result<(), Error> {
        self.failures += 1;
        self.in_a_row += 1;
        for error in &errors {
            if error.container_closed() {
                self.exclude.containers.insert(location.block.container);
            } else if error.blames_datanode(location.ratis_pipeline().is_some()) {
                self.exclude.datanodes.insert(error.datanode());
            }
        }
        if let Some(id) = location.pipeline_id().filter(|id| !self.exclude.pipelines.contains(id)) {
            self.exclude.pipelines.push(id);
        }
        let exclude = &self.exclude;
        self.ahead.retain(|location| !exclude.cover(location));
        let source = Box::new(errors.into_iter().next().expect("a block fails by an error"));
        if self.in_a_row >= client.config().write_attempts_max {
            return Err(Error::Unwritable { key: self.key().clone(), attempts: self.in_a_row, source });
        }
        self.last_failure = Some(source);
        Ok(())
    }

    /// Commits the key with the blocks that were closed, and notes `also` with it.
    pub(super) async fn commit(
        self,
        client: &Client,
        len: u64,
        also: &BTreeMap<String, String>,
    ) -> Result<Written, Error> {
        assert_eq!(self.done_len, len, "every byte taken lies in one closed block");
        let blocks = self.done.len();
        client.om().commit(&self.session, self.done, len, also).await?;
        Ok(Written { len, blocks, failures: self.failures })
    }
}
