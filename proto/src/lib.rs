//! Ozone's messages as Allotrope's wire.
//!
//! Owns    the `.proto` files and what is generated from them, conversions between messages and
//!         `allotrope-types`, the framings (gRPC, Hadoop RPC) and the checksums of chunk data.
//! Never   decides anything: no state, no storage, no policy.
//! Shape   one module a protocol holds its raw messages: [`container`] (clients to datanodes), [`heartbeat`]
//!         (datanodes to SCM), [`scm_block`], [`scm_container`], [`om`], [`ratis`], [`hadoop`] and their kin, on the
//!         common words in [`hdds`]. [`decode`] reads one from bytes.
//!         Behind features: [`rpc`] (services, apart from their transport), [`hadoop_rpc`] and [`grpc`] (the
//!         transports), [`net`] (what their listeners share), [`ops`] (what a server shows its operators).
//! Errors  [`WireError`] names the message and the field; bytes from outside never panic.

pub mod bulk;
pub mod checksum;
pub mod edge;
mod generated;
#[cfg(feature = "tonic")]
pub mod grpc;
#[cfg(feature = "hadoop-rpc")]
pub mod hadoop_rpc;
#[cfg(any(feature = "hadoop-rpc", feature = "ops", feature = "tonic"))]
pub mod net;
#[cfg(feature = "ops")]
pub mod ops;
mod required;
mod rope;
#[cfg(any(feature = "hadoop-rpc", feature = "tonic"))]
pub mod rpc;
mod varint;

pub use generated::{
    admin, container, disk_balancer, hadoop, hdds, heartbeat, inter_scm, om, om_admin, om_inter, om_storage,
    ratis, reconfigure, scm_block, scm_container, scm_ratis, scm_security, scm_update, secret_key,
};
pub use required::{Checked, DEPTH_MAX, FieldRules, Holds, MessageRules, WireError, decode};
pub use rope::Rope;
