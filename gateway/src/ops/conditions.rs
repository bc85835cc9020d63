//! Conditions on an object's ETag and time: pure, in the order that RFC 9110 and S3 give them.

use s3s::S3ErrorCode;
use s3s::dto::{ETag, ETagCondition, Timestamp};

use crate::fault::Fault;

/// What a request makes itself depend on.
#[derive(Debug, Default)]
pub(crate) struct Conditions {
    pub(crate) matches: Option<ETagCondition>,
    pub(crate) none_matches: Option<ETagCondition>,
    pub(crate) modified_since: Option<Timestamp>,
    pub(crate) unmodified_since: Option<Timestamp>,
}

/// What becomes of the request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    Proceed,
    NotModified,
    Failed(&'static str),
}

impl Conditions {
    /// Judges an object.
    pub(crate) fn judge(&self, etag: &ETag, modified: &Timestamp) -> Verdict {
        let is = |condition: &ETagCondition| match condition {
            ETagCondition::Any => true,
            ETagCondition::ETag(wanted) => wanted.value() == etag.value(),
        };
        match (&self.matches, &self.unmodified_since) {
            (Some(condition), _) if !is(condition) => return Verdict::Failed("If-Match"),
            (None, Some(since)) if modified > since => return Verdict::Failed("If-Unmodified-Since"),
            _ => {}
        }
        match (&self.none_matches, &self.modified_since) {
            (Some(condition), _) if is(condition) => Verdict::NotModified,
            (None, Some(since)) if modified <= since => Verdict::NotModified,
            _ => Verdict::Proceed,
        }
    }
}

/// What a write makes itself depend on.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct WriteCondition {
    pub(crate) generation: Option<u64>,
    pub(crate) etag: Option<String>,
}

impl WriteCondition {
    /// Reads If-Match and If-None-Match of a write: S3 knows an ETag for the first and `*` for the second.
    pub(crate) fn read(
        matches: Option<ETagCondition>,
        none_matches: Option<ETagCondition>,
    ) -> Result<WriteCondition, Fault> {
        match (matches, none_matches) {
            (None, None) => Ok(WriteCondition::default()),
            (None, Some(ETagCondition::Any)) => Ok(WriteCondition { generation: Some(0), etag: None }),
            (Some(ETagCondition::ETag(etag)), None) => {
                Ok(WriteCondition { generation: None, etag: Some(etag.value().to_owned()) })
            }
            (_, Some(ETagCondition::ETag(_))) => {
                Err(Fault::not_implemented("A write with an ETag in If-None-Match"))
            }
            (Some(ETagCondition::Any), None) => Err(Fault::not_implemented("A write with If-Match: *")),
            (Some(_), Some(ETagCondition::Any)) => {
                Err(Fault::not_implemented("A write with both If-Match and If-None-Match"))
            }
        }
    }
}

pub(crate) fn failed(condition: &'static str) -> Fault {
    let message = "At least one of the pre-conditions you specified did not hold";
    Fault::new(S3ErrorCode::PreconditionFailed, message).detail("Condition", condition)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ops::timestamp;

    fn is(value: &str) -> Option<ETagCondition> {
        Some(ETagCondition::ETag(ETag::Strong(value.to_owned())))
    }

    #[test]
    fn an_etag_counts_before_a_time() {
        let judge =
            |conditions: Conditions| conditions.judge(&ETag::Strong("a".to_owned()), &timestamp(10_000));
        let (old, new) = (Some(timestamp(9_000)), Some(timestamp(10_000)));
        let none = Conditions::default;
        assert_eq!(judge(none()), Verdict::Proceed);
        assert_eq!(judge(Conditions { matches: is("a"), ..none() }), Verdict::Proceed);
        assert_eq!(judge(Conditions { matches: is("b"), ..none() }), Verdict::Failed("If-Match"));
        assert_eq!(judge(Conditions { none_matches: is("a"), ..none() }), Verdict::NotModified);
        assert_eq!(judge(Conditions { none_matches: is("b"), ..none() }), Verdict::Proceed);
        assert_eq!(
            judge(Conditions { none_matches: Some(ETagCondition::Any), ..none() }),
            Verdict::NotModified
        );
        let unmodified = |since: Option<Timestamp>| Conditions { unmodified_since: since, ..none() };
        assert_eq!(judge(unmodified(old.clone())), Verdict::Failed("If-Unmodified-Since"));
        assert_eq!(judge(unmodified(new.clone())), Verdict::Proceed);
        let modified = |since: Option<Timestamp>| Conditions { modified_since: since, ..none() };
        assert_eq!(judge(modified(old.clone())), Verdict::Proceed);
        assert_eq!(judge(modified(new.clone())), Verdict::NotModified);
        assert_eq!(judge(Conditions { matches: is("a"), unmodified_since: old, ..none() }), Verdict::Proceed);
        assert_eq!(
            judge(Conditions { none_matches: is("b"), modified_since: new, ..none() }),
            Verdict::Proceed
        );
    }

    #[test]
    fn a_write_knows_two_conditions() {
        let read = |matches, none| WriteCondition::read(matches, none);
        assert_eq!(read(None, Some(ETagCondition::Any)).unwrap().generation, Some(0));
        assert_eq!(read(is("a"), None).unwrap().etag, Some("a".to_owned()));
        assert!(read(None, is("a")).is_err() && read(Some(ETagCondition::Any), None).is_err());
    }
}
