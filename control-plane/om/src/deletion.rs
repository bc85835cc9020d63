//! The deletion service: what left the namespace leaves the datanodes too.
//!
//! Shape   rounds, a minute apart: expand some deleted directories into deleted files and directories, then hand the blocks of some
//!         deleted keys to SCM and take from the table what SCM took.
//! Law     a row goes only after SCM has answered that it has its blocks, so a crash between repeats the hand-over, which SCM
//!         accepts twice. Only the leader works; the changes go through the log.
#![allow(
    clippy::disallowed_methods,
    reason = "the pace between rounds follows tokio's clock, which tests pause"
)]

use std::sync::Arc;
use std::time::Duration;

use allotrope_consensus::{Handle, Origin, View};
use allotrope_proto::om::{
    DeletedKeys, OmRequest, PurgeDirectoriesRequest, PurgeKeysRequest, PurgePathRequest, Type,
};
use allotrope_proto::scm_block::KeyBlocks;
use allotrope_types::OmStatus;

use crate::blocks::Blocks;
use crate::machine::Namespace;
use crate::namespace::{keys, replication};
use crate::refusal::Refusal;
use crate::tables::{DELETED, DELETED_DIRECTORIES, TextKey as _};
use crate::tx::Db;

/// How fast deleted keys go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DeletionPace {
    /// Between two rounds (`ozone.block.deleting.service.interval`). Default 1 min.
    pub interval: Duration,
    /// Most rows of deleted keys in one round (`ozone.key.deleting.limit.per.task`). Default 5000, in steps of at most 500.
    pub rows_max: usize,
}

impl Default for DeletionPace {
    fn default() -> DeletionPace {
        DeletionPace { interval: Duration::from_secs(60), rows_max: 5000 }
    }
}

/// Rows handed over in one call and purged in one entry of the log.
const STEP: usize = 500;

/// Runs rounds until it is dropped.
pub(crate) async fn run<B: Blocks>(replica: Handle<Namespace>, blocks: Arc<B>, pace: DeletionPace) {
    loop {
        tokio::time::sleep(pace.interval).await;
        let mut left = pace.rows_max;
        while left > 0 {
            let stepped = match step_directories(&replica).await {
                Ok(0) => step(&replica, &*blocks, left.min(STEP)).await,
                other => other,
            };
            match stepped {
                Ok(0) => break,
                Ok(done) => left = left.saturating_sub(done),
                Err(error) => {
                    tracing::debug!(%error, "deleted keys wait for the next round");
                    break;
                }
            }
        }
    }
}

/// Directories that one entry of the log empties a step further.
const DIRECTORIES_STEP: usize = 20;

/// Empties some deleted directories a step further. How many there were.
pub(crate) async fn step_directories(replica: &Handle<Namespace>) -> Result<usize, Refusal> {
    let elsewhere = |e: &dyn std::fmt::Display| Refusal::new(OmStatus::InternalError, e.to_string());
    let read = |view: &View<'_>| -> Result<Vec<String>, Refusal> {
        let rows = Db::new(view).scan(DELETED_DIRECTORIES, b"/")?.take(DIRECTORIES_STEP);
        rows.map(|pair| Ok(pair?.0.as_str().to_owned())).collect()
    };
    let rows = replica.read(read).await.map_err(|e| elsewhere(&e))??;
    let found = rows.len();
    if found > 0 {
        let path = |row| PurgePathRequest { deleted_dir: Some(row), ..PurgePathRequest::default() };
        let deleted_path = rows.into_iter().map(path).collect();
        let asked = PurgeDirectoriesRequest { deleted_path, ..PurgeDirectoriesRequest::default() };
        let request = OmRequest {
            cmd_type: Type::PurgeDirectories as i32,
            purge_directories_request: Some(Box::new(asked)),
            ..OmRequest::default()
        };
        replica.propose(Origin::Service, &request).await.map_err(|e| elsewhere(&e))?;
    }
    Ok(found)
}

/// Hands over at most `rows_max` rows. How many are gone from the table.
pub(crate) async fn step<B: Blocks>(
    replica: &Handle<Namespace>,
    blocks: &B,
    rows_max: usize,
) -> Result<usize, Refusal> {
    let elsewhere = |e: &dyn std::fmt::Display| Refusal::new(OmStatus::InternalError, e.to_string());
    let waiting =
        replica.read(|view| waiting(Db::new(view), rows_max)).await.map_err(|e| elsewhere(&e))??;
    if waiting.is_empty() {
        return Ok(0);
    }
    let names: Vec<String> = waiting.iter().map(|key| key.key.clone()).collect();
    let taken = blocks.delete(waiting).await?;
    let keys: Vec<String> =
        names.into_iter().zip(taken).filter_map(|(name, taken)| taken.then_some(name)).collect();
    let done = keys.len();
    if done > 0 {
        let request = purge(keys);
        replica.propose(Origin::Service, &request).await.map_err(|e| elsewhere(&e))?;
    }
    Ok(done)
}

/// The request that takes the rows `keys` from the table of deleted keys.
fn purge(keys: Vec<String>) -> OmRequest {
    let deleted = DeletedKeys { volume_name: String::new(), bucket_name: String::new(), keys };
    OmRequest {
        cmd_type: Type::PurgeKeys as i32,
        purge_keys_request: Some(Box::new(PurgeKeysRequest {
            deleted_keys: vec![deleted],
            ..PurgeKeysRequest::default()
        })),
        ..OmRequest::default()
    }
}

/// The first rows of the table, as SCM is told of them.
fn waiting(db: Db<'_>, rows_max: usize) -> Result<Vec<KeyBlocks>, Refusal> {
    let mut found = Vec::new();
    for pair in db.scan(DELETED, b"/")?.take(rows_max) {
        let (row, value) = pair?;
        let mut told = KeyBlocks { key: row.as_str().to_owned(), ..KeyBlocks::default() };
        for key in &value.key_info {
            let config = replication::of_key(key)?;
            for location in keys::blocks(key) {
                let on_disk = replication::size_on_disk(config, location.length);
                told.blocks.push(location.block_id);
                told.size.push(location.length);
                told.replicated_size.push(on_disk);
                told.size_per_replica.push(on_disk / config.required_nodes().max(1) as u64);
            }
        }
        found.push(told);
    }
    Ok(found)
}
