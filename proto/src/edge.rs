//! The edge: messages to values of the domain and back.
//!
//! Owns    one value type for each message that other crates handle; beyond this module nobody sees a raw message.
//! Shape   one file a protocol. Each value is `TryFrom` its message and converts `Into` it; a list of fields names every
//!         field of the message, so one that a newer `.proto` file adds does not compile until it is kept here.
//! Units   those of the types: ids, [`ByteCount`](allotrope_types::ByteCount), replication configs. Times stay
//!         milliseconds since 1970 where Ozone has them so.
//! Errors  [`WireError`](crate::WireError) names message and field, as the `.proto` file spells them: a value the domain does
//!         not have is never taken for a default.
//! Source  the `.proto` files, and docs/decisions for what a value means where the message does not say.
//!
//! What a field may leave out stays an `Option` here: Java peers tell absence from a default.

mod field;
#[macro_use]
mod message;
mod uuid;

pub mod admin;
pub mod block;
pub mod chunk;
pub mod command;
pub mod hdds;
pub mod heartbeat;
pub mod inter_scm;
pub mod om;
pub mod om_admin;
pub mod om_bucket;
pub mod om_inter;
pub mod om_key;
pub mod payload;
pub mod ratis;
pub mod scm_block;
pub mod scm_container;
pub mod scm_security;
pub mod secret_key;
pub mod token;
pub mod topology;
pub mod transfer;

pub use message::Empty;

#[cfg(test)]
mod tests;
