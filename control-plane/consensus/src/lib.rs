//! The replicated state machine under OM and SCM.
//!
//! Owns    the Raft log and state in RocksDB, snapshots, membership, typed tables, exactly-once commands.
//! Never   knows what a command means: OM and SCM bring their own.
