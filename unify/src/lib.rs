//! Nothing but a list of features, in this package's Cargo.toml.
//!
//! Owns    the features with which the crates under RocksDB's build script are built.
//! Why     cargo unifies features over the packages that one command selects. A package more or less in the selection
//!         changes a feature of, say, `regex`, with it the identity of bindgen and of RocksDB's build script, and then
//!         RocksDB is compiled once more: eight minutes. What depends on RocksDB depends on this package too, so
//!         every selection finds the same build.
//! Never   holds code.
