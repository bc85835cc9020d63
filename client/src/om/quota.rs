//! Quotas of volumes and buckets that are changed.
//!
//! Wire    both quotas go out together, as Ozone's clients send them, so the one that stays is sent as it was found; -1 is no limit.
//!         Two changes at the same time, each of one quota, can undo one another.

use allotrope_proto::edge::om_bucket as edge;

/// A quota as it is to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Quota {
    /// Most bytes, or most names. OM refuses 0.
    Limit(u64),
    /// No limit.
    Unlimited,
}

/// What is to become of the quotas of a volume or a bucket.
///
/// ```
/// use allotrope_client::{Quota, QuotaChange};
///
/// // A hundred names at most; the quota in bytes stays as it is.
/// let change = QuotaChange { namespace: Some(Quota::Limit(100)), ..QuotaChange::default() };
/// # assert_eq!(change.bytes, None);
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct QuotaChange {
    /// The quota in bytes; it stays when `None`.
    pub bytes: Option<Quota>,
    /// The quota in buckets of a volume, or in keys of a bucket; it stays when `None`.
    pub namespace: Option<Quota>,
}

impl Quota {
    fn number(self) -> i64 {
        match self {
            Quota::Limit(most) => i64::try_from(most).unwrap_or(i64::MAX),
            Quota::Unlimited => -1,
        }
    }
}

impl QuotaChange {
    /// Both quotas as they are sent, bytes first, where they are `bytes` and `namespace` now.
    pub(super) fn sent(self, bytes: i64, namespace: i64) -> (edge::Quota, edge::Quota) {
        let sent = |change: Option<Quota>, now: i64| edge::Quota(change.map_or(now, Quota::number));
        (sent(self.bytes, bytes), sent(self.namespace, namespace))
    }
}

/// The quota that a new volume or bucket is to have.
pub(super) fn limit(most: Option<u64>) -> Option<edge::Quota> {
    Some(most.map_or(edge::Quota::NONE, |most| edge::Quota(most.cast_signed())))
}

/// A quota as OM shows it. Absent it comes from before there were quotas, and is no limit.
pub(super) fn shown(quota: Option<edge::Quota>) -> i64 {
    quota.unwrap_or(edge::Quota::NONE).0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_quota_that_is_not_named_is_sent_as_it_is() {
        let sent = |change: QuotaChange, bytes, namespace| {
            let (bytes, namespace) = change.sent(bytes, namespace);
            (bytes.0, namespace.0)
        };
        let change = |bytes, namespace| QuotaChange { bytes, namespace };
        assert_eq!(sent(change(Some(Quota::Limit(7)), None), -1, 5), (7, 5));
        assert_eq!(sent(change(None, Some(Quota::Unlimited)), 9, 5), (9, -1));
        assert_eq!(sent(change(None, None), -1, -1), (-1, -1));
        assert_eq!(sent(change(Some(Quota::Limit(u64::MAX)), None), 1, 1).0, i64::MAX);
    }
}
