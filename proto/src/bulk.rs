//! Messages that carry a chunk's bytes, taken apart and put together without copying those bytes.
//!
//! Owns    where the bulk fields of Ozone's messages lie; the splitter from received frames to message and ropes;
//!         the weaver back; Ratis' framing of a command with its data behind it.
//! Shape   a [`Bulky`] is a message whose bulk fields are present and empty, and one [`Rope`] for each of them, in
//!         the order in which they stand. Only the message's other bytes are copied, into one small buffer for prost.
//! Units   bytes.
//! Errors  [`crate::WireError`]; the limits are [`SplitLimits`]. Nothing here panics on bytes from outside.
//! Source  docs/formats/bulk-messages.md.
//!
//! ```
//! use allotrope_proto::bulk::{self, Bulky, SplitLimits};
//! use allotrope_proto::{Rope, container::SendContainerRequest};
//! use bytes::Bytes;
//!
//! let part = SendContainerRequest { container_id: 7, offset: 0, ..Default::default() };
//! let data = Rope::from(Bytes::from(vec![1; 1 << 20]));
//! let frames = bulk::weave(Bulky { message: part.clone(), bulk: vec![data.clone()] });
//! let back = bulk::split::<SendContainerRequest>(frames, SplitLimits::default())?;
//! assert_eq!((back.message, back.bulk), (part, vec![data]));
//! # Ok::<(), allotrope_proto::WireError>(())
//! ```

mod grpc_message;
mod places;
mod ratis_command;
mod split;
mod weave;

pub use grpc_message::{GrpcMessages, grpc_message};
pub use places::{BulkMessage, Inside, Place};
pub use ratis_command::{command_of_content, content_of_command, response_of_content};
pub use split::{SplitLimits, split, split_request};
pub use weave::weave;

#[cfg(test)]
mod tests;

use crate::Rope;

/// A message and, apart from it, the bytes of its bulk fields.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Bulky<M> {
    /// The message; each of its bulk fields is empty.
    pub message: M,
    /// One rope for each bulk field that is present, in the order in which they stand in the message.
    pub bulk: Vec<Rope>,
}

impl<M> From<M> for Bulky<M> {
    /// A message none of whose bulk fields is present.
    fn from(message: M) -> Bulky<M> {
        Bulky { message, bulk: Vec::new() }
    }
}
