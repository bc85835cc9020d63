//! Prepare, CancelPrepare, EchoRPC, QuotaRepair: what the server puts into the log on its own account.
//!
//! Law     while the namespace is prepared for an upgrade, every other write answers NOT_SUPPORTED_OPERATION_WHEN_PREPARED.

use allotrope_proto::om::{
    CancelPrepareResponse, EchoRpcResponse, OmRequest, OmResponse, PrepareResponse, QuotaRepairResponse, Type,
};
use allotrope_types::OmStatus;

use crate::refusal::Refusal;
use crate::tables::{BUCKETS, BucketKey, META};
use crate::tx::{Db, Tx};

/// The row of the meta table that says since which change the namespace is prepared.
const ROW: &str = "#PREPAREINFO";

/// The row of the meta table with how the last count of usage ended.
pub(crate) const REPAIR_ROW: &str = "#QUOTAREPAIR";

/// The change by which the namespace was prepared; `None` while it is open.
pub(crate) fn prepared_by(db: Db<'_>) -> Result<Option<u64>, Refusal> {
    Ok(db.get(META, &ROW.to_owned())?.and_then(|text| text.parse().ok()))
}

/// Refuses what may not change a prepared namespace.
pub(crate) fn gate(db: Db<'_>, request: i32) -> Result<(), Refusal> {
    let may = [Type::Prepare as i32, Type::CancelPrepare as i32].contains(&request);
    match may || prepared_by(db)?.is_none() {
        true => Ok(()),
        false => Err(Refusal::new(
            OmStatus::NotSupportedOperationWhenPrepared,
            "this service is prepared for an upgrade and takes no writes; cancel the preparation to go on",
        )),
    }
}

pub(super) fn prepare(tx: &mut Tx<'_>, _: OmRequest) -> Result<OmResponse, Refusal> {
    let txn_id = match prepared_by(tx.db())? {
        Some(before) => before,
        None => {
            let number = tx.number();
            tx.put(META, &ROW.to_owned(), &number.to_string());
            number
        }
    };
    Ok(OmResponse { prepare_response: Some(Box::new(PrepareResponse { txn_id })), ..OmResponse::default() })
}

pub(super) fn cancel(tx: &mut Tx<'_>, _: OmRequest) -> Result<OmResponse, Refusal> {
    tx.delete(META, &ROW.to_owned());
    Ok(OmResponse {
        cancel_prepare_response: Some(Box::new(CancelPrepareResponse {})),
        ..OmResponse::default()
    })
}

/// Does nothing; the server adds the bytes to the answer.
pub(super) fn echo(_: &mut Tx<'_>, _: OmRequest) -> Result<OmResponse, Refusal> {
    Ok(OmResponse { echo_rpc_response: Some(Box::new(EchoRpcResponse::default())), ..OmResponse::default() })
}

/// Corrects the usage of buckets by the differences that a count found.
pub(super) fn repair_quota(tx: &mut Tx<'_>, mut request: OmRequest) -> Result<OmResponse, Refusal> {
    let asked = request.quota_repair_request.take().unwrap_or_default();
    let how = request.trace_id.take().unwrap_or_default();
    tx.put(META, &REPAIR_ROW.to_owned(), &how);
    for count in asked.bucket_count {
        let at = BucketKey::of(&count.vol_name, &count.bucket_name);
        let Some(mut bucket) = tx.db().get(BUCKETS, &at)? else { continue };
        bucket.used_bytes = Some(bucket.used_bytes().saturating_add_signed(count.diff_used_bytes));
        bucket.used_namespace =
            Some(bucket.used_namespace().saturating_add_signed(count.diff_used_namespace));
        tx.put(BUCKETS, &at, &bucket);
    }
    let response = QuotaRepairResponse::default();
    Ok(OmResponse { quota_repair_response: Some(Box::new(response)), ..OmResponse::default() })
}
