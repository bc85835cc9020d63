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
use crate::namespace::{tree, versions};
use crate::refusal::{Refusal, refuse};
use crate::tx::Tx;

pub(super) fn plan(_: &Scene<'_>, request: &mut OmRequest) -> Result<Plan, Refusal> {
    let asked = request.commit_key_request.get_or_insert_default();
    if asked.hsync() || asked.recovery() {
        refuse!(
            NotSupportedOperation,
            "hsync and lease recovery are not supported (ozone.fs.hsync.enabled is off)"
        );
    }
    for location in &mut asked.key_args.key_locations {
        keys::strip(location);
    }
    Ok(Plan::Ready)
}

pub(super) fn apply(tx: &mut Tx<'_>, mut request: OmRequest) -> Result<OmResponse, Refusal> {
    let asked = request.commit_key_request.take().unwrap_or_default();
    let args = asked.key_args;
    let (mut bucket, row, open) = session(tx.db(), &args, asked.client_id)?;
    let name = bucket.key_name(&args.key_name)?;
    let target = keys::target(tx.db(), &bucket, &name)?;
    if target.is_directory() {
        refuse!(NotAFile, "{name} has become a directory");
    }
    let written = written(&open, &args)?;
    if let Some(expected) = open.expected_data_generation {
        let now = target.existing.as_ref().and_then(|key| key.update_id).unwrap_or(0);
        if now != expected {
            refuse!(AtomicWriteConflict, "key {name} is of generation {now}, no longer {expected}");
        }
    }
    let unused = KeyInfo { key_location_list: vec![version_zero(unused(&open, &written))], ..open.clone() };
    let key = finished(open, &args, written, tx);
    let (_, gone) = versions::store(tx, &mut bucket, &target.place, target.existing, key, asked.client_id)?;
    row.delete(tx);
    target.place.bury(tx, &bucket, gone.into_iter().chain([unused]).collect());
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
