//! What a check reports.

use std::fmt;

/// One broken rule: where, what stands there, which rule that breaks and how to mend it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Violation {
    /// `path` or `path:line`, relative to the workspace's root.
    pub(crate) place: String,
    /// What stands there, naming crate and dependency.
    pub(crate) what: String,
    /// The rule, as a sentence.
    pub(crate) rule: String,
    /// What to do instead.
    pub(crate) fix: String,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Violation { place, what, rule, fix } = self;
        write!(f, "{place}: {what}\n  rule: {rule}\n  fix:  {fix}")
    }
}
