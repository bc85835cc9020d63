//! CommitKey: what a session wrote becomes the key.
//!
//! Law     the blocks of a key are blocks that OM allocated to its session, and their lengths add up to its size. What
//!         was allocated and not used, and the key that is replaced, go to the deletion service in the same write.

use std::collections::BTreeSet;

use allotrope_proto::om::{KeyArgs, KeyInfo, KeyLocation, OmRequest, OmResponse};

use super::allocate_block::session;
use super::open::version_zero;
use super::{Plan, Scene};
use crate::namespace::keys;
use crate::namespace::versions::{self, Versioning};
use crate::namespace::{lease, tree};
use crate::refusal::{Refusal, refuse};
use crate::tx::Tx;

pub(super) fn plan(scene: &Scene<'_>, request: &mut OmRequest) -> Result<Plan, Refusal> {
    let asked = request.commit_key_request.get_or_insert_default();
    if (asked.hsync() || asked.recovery()) && !scene.settings.hsync {
        refuse!(NotSupportedOperation, "hsync and lease recovery are off: set ozone.fs.hsync.enabled");
    }
    for location in &mut asked.key_args.key_locations {
        keys::strip(location);
    }
    Ok(Plan::Ready)
}

pub(super) fn apply(tx: &mut Tx<'_>, mut request: OmRequest) -> Result<OmResponse, Refusal> {
    let asked = request.commit_key_request.take().unwrap_or_default();
    let (session_id, hsync) = (asked.client_id, asked.hsync());
    let args = asked.key_args;
    let (mut bucket, row, open) = session(tx.db(), &args, session_id)?;
    lease::check_session(&open, asked.recovery.unwrap_or(false))?;
    let name = bucket.key_name(&args.key_name)?;
    let target = keys::target(tx.db(), &bucket, &name)?;
    if target.is_directory() {
        refuse!(NotAFile, "{name} has become a directory");
    }
    let written = written(&open, &args)?;
    let is_own = target.existing.as_ref().and_then(lease::writer) == Some(session_id);
    if let Some(expected) = open.expected_data_generation.filter(|_| !is_own) {
        let now = target.existing.as_ref().and_then(|key| key.update_id).unwrap_or(0);
        if now != expected {
            refuse!(AtomicWriteConflict, "key {name} is of generation {now}, no longer {expected}");
        }
    }
    if hsync {
        if versions::of(&bucket.info) != Versioning::Off {
            refuse!(NotSupportedOperation, "a bucket with versioning has no hsync");
        }
        let mut still_open = KeyInfo { modification_time: tx.now_ms, ..open.clone() };
        still_open.expected_data_generation = None;
        lease::set(&mut still_open.metadata, lease::HSYNC, &session_id.cast_signed().to_string());
        row.put(tx, &still_open);
    } else {
        row.delete(tx);
    }
    let unused = KeyInfo { key_location_list: vec![version_zero(unused(&open, &written))], ..open.clone() };
    let mut key = finished(open, &args, written, tx);
    lease::clear(&mut key.metadata);
    if hsync {
        lease::set(&mut key.metadata, lease::HSYNC, &session_id.cast_signed().to_string());
    }
    if let Some(other) = target.existing.as_ref().filter(|_| !is_own) {
        lease::orphan(tx, &target.place, other, lease::OVERWRITTEN)?;
    }
    let (_, mut gone) = versions::store(tx, &mut bucket, &target.place, target.existing, key, session_id)?;
    // What a session synced before is part of what it wrote: its blocks are not gone.
    if is_own {
        gone.clear();
    }
    if !hsync {
        gone.push(unused);
    }
    target.place.bury(tx, &bucket, gone)?;
    Ok(OmResponse::default())
}

/// The open key as a finished one, without what only sessions carry.
fn finished(open: KeyInfo, args: &KeyArgs, written: Vec<KeyLocation>, tx: &Tx<'_>) -> KeyInfo {
    let mut key = KeyInfo {
        data_size: args.data_size(),
        modification_time: tx.now_ms,
        update_id: Some(tx.number()),
        key_location_list: vec![version_zero(written)],
        expected_data_generation: None,
        ..open
    };
    for pair in &args.metadata {
        key.metadata.retain(|old| old.key != pair.key);
        key.metadata.push(pair.clone());
    }
    key
}

/// The blocks that the client says it wrote, each allocated to the session.
///
/// Ozone leaves out blocks it never allocated and keeps the size; a key that claims more bytes than it has blocks for is refused here.
pub(super) fn written(open: &KeyInfo, args: &KeyArgs) -> Result<Vec<KeyLocation>, Refusal> {
    let name = tree::leaf(&args.key_name);
    let allocated: BTreeSet<(i64, i64)> = keys::blocks(open).map(keys::block_id).collect();
    let mut seen = BTreeSet::new();
    let mut written = Vec::new();
    let mut bytes = 0u64;
    for location in &args.key_locations {
        let id = keys::block_id(location);
        if !allocated.contains(&id) {
            tracing::warn!(
                container = id.0,
                local = id.1,
                key = name,
                "a commit names a block that was not allocated"
            );
            continue;
        }
        if !seen.insert(id) {
            refuse!(
                InvalidRequest,
                "the commit of key {name} names block {} of container {} twice",
                id.1,
                id.0
            );
        }
        keys::signed(location.length)?;
        bytes = bytes.saturating_add(location.length);
        let mut location = location.clone();
        keys::strip(&mut location);
        written.push(location);
    }
    if keys::signed(args.data_size())?.cast_unsigned() != bytes {
        refuse!(
            InvalidRequest,
            "the commit of key {name} says {} bytes; the blocks of its session that it names hold {bytes}",
            args.data_size()
        );
    }
    Ok(written)
}

/// What was allocated to the session and not written.
pub(super) fn unused(open: &KeyInfo, written: &[KeyLocation]) -> Vec<KeyLocation> {
    let written: BTreeSet<(i64, i64)> = written.iter().map(keys::block_id).collect();
    keys::blocks(open).filter(|location| !written.contains(&keys::block_id(location))).cloned().collect()
}
