//! What the namespace means: how names become rows, and the rules all requests share.
//!
//! Owns    [`buckets`] (lookup, links, quotas, usage), [`keys`] (where a key lies in each layout), [`tree`] (paths of
//!         FILE_SYSTEM_OPTIMIZED buckets), [`replication`] (configs, sizes on disk), [`acls`], [`volumes`],
//!         [`prefixes`] and [`rights`] (who may do what), [`lease`] (files read while they are written),
//!         [`versions`] (what a versioned bucket keeps of a key).
//! Never   decides by clock, settings or network: these are functions of tables and arguments.
//! Errors  a [`Refusal`](crate::refusal::Refusal) with the status a stock client branches on.

pub(crate) mod acls;
pub(crate) mod buckets;
pub(crate) mod keys;
pub(crate) mod lease;
pub(crate) mod prefixes;
pub(crate) mod replication;
pub(crate) mod rights;
pub(crate) mod tree;
pub(crate) mod tree_list;
pub(crate) mod versions;
pub(crate) mod volumes;
