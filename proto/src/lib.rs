//! Ozone's messages as Allotrope's wire.
//!
//! Owns    the `.proto` files and what is generated from them, conversions between messages and
//!         `allotrope-types`, the framings (gRPC, Hadoop RPC) and the checksums of chunk data.
//! Never   decides anything: no state, no storage, no policy.
