//! Quotas of volumes and buckets that are changed.
//!
//! Wire    both quotas go out together, as Ozone's clients send them, so the one that stays is sent as it was found; -1 is no limit.
//!         Two changes at the same time, each of one quota, can undo one another.

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
    pub(super) fn sent(self, bytes: i64, namespace: i64) -> (u64, u64) {
        let sent = |change: Option<Quota>, now: i64| change.map_or(now, Quota::number).cast_unsigned();
        (sent(self.bytes, bytes), sent(self.namespace, namespace))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_quota_that_is_not_named_is_sent_as_it_is() {
        let none = u64::MAX; // -1 on the wire
        let change = |bytes, namespace| QuotaChange { bytes, namespace };
        assert_eq!(change(Some(Quota::Limit(7)), None).sent(-1, 5), (7, 5));
        assert_eq!(change(None, Some(Quota::Unlimited)).sent(9, 5), (9, none));
        assert_eq!(change(None, None).sent(-1, -1), (none, none));
        assert_eq!(change(Some(Quota::Limit(u64::MAX)), None).sent(1, 1).0, i64::MAX.cast_unsigned());
    }
}
