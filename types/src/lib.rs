//! Allotrope's vocabulary: the words every other crate speaks.
//!
//! Owns    ids, units, replication configs, the container life cycle, result codes, and the rules for names.
//! Never   does I/O, knows a runtime, reads a clock or names a wire format.
