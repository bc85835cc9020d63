//! Ozone's messages as Allotrope's wire.
//!
//! Owns    the `.proto` files and what is generated from them, conversions between messages and
//!         `allotrope-types`, the framings (gRPC, Hadoop RPC) and the checksums of chunk data.
//! Never   decides anything: no state, no storage, no policy.
//! Shape   one module a protocol holds its raw messages: [`container`] (clients to datanodes), [`heartbeat`]
//!         (datanodes to SCM), [`scm_block`], [`scm_container`], [`om`], [`ratis`], [`hadoop`] and their kin, on the
//!         common words in [`hdds`]. [`decode`] reads one from bytes.
//! Errors  [`WireError`] names the message and the field; bytes from outside never panic.

pub mod bulk;
pub mod checksum;
mod generated;
mod required;
mod rope;
mod varint;

pub use generated::{
    container, disk_balancer, hadoop, hdds, heartbeat, inter_scm, om, om_admin, om_inter, om_storage, ratis,
    reconfigure, scm_block, scm_container, scm_ratis, scm_security, scm_update, secret_key,
};
pub use required::{Checked, DEPTH_MAX, FieldRules, Holds, MessageRules, WireError, decode};
pub use rope::Rope;
