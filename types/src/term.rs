//! Leaders' terms.

crate::id::numeric_id! {
    /// A Raft leader's term. SCM stamps its commands with it; a datanode drops a command of an older term than the
    /// newest it has seen.
    Term, "term", "7"
}

impl Term {
    /// The term after this one.
    pub const fn next(self) -> Term {
        Term(self.0.saturating_add(1))
    }
}
