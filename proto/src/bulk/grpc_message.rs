//! gRPC's own framing: a flag, a big-endian length, a message.
//!
//! The shards' servers read HTTP/2 DATA frames, whose borders mean nothing to gRPC; [`GrpcMessages`] finds the messages
//! in them without joining.

use bytes::{Buf, BufMut, Bytes, BytesMut};

use crate::{Rope, WireError};

const PREFIX_LEN: usize = 5;

/// Messages in a stream of frames.
///
/// What was pushed and not yet taken is held here; the bound on that is the flow control window the caller grants.
#[derive(Debug)]
pub struct GrpcMessages {
    pending: Rope,
    message_len_max: usize,
}

impl GrpcMessages {
    /// An empty stream whose messages have at most `message_len_max` bytes.
    pub fn new(message_len_max: usize) -> GrpcMessages {
        GrpcMessages { pending: Rope::new(), message_len_max }
    }

    /// Adds what one DATA frame held.
    pub fn push(&mut self, frame: Bytes) {
        self.pending.push(frame);
    }

    /// Takes the next message off, `None` if it is not there in full yet.
    ///
    /// # Errors
    /// [`WireError`] if the message is compressed or too long; the stream is of no use then.
    pub fn next_message(&mut self) -> Result<Option<Rope>, WireError> {
        let mut ahead = self.pending.clone_head(PREFIX_LEN);
        let (Ok(flag), Ok(len)) = (ahead.try_get_u8(), ahead.try_get_u32()) else { return Ok(None) };
        let message = "a gRPC message";
        if flag != 0 {
            let why = format!("is {flag}; only 0, uncompressed, is understood");
            return Err(WireError::Invalid { message, field: "compressed flag", why });
        }
        let len = len as usize;
        if len > self.message_len_max {
            let why = format!("is {len}, beyond the {} allowed", self.message_len_max);
            return Err(WireError::Invalid { message, field: "length", why });
        }
        if self.pending.len() - PREFIX_LEN < len {
            return Ok(None);
        }
        self.pending.advance(PREFIX_LEN);
        Ok(self.pending.split_to(len))
    }

    /// Bytes pushed and not yet taken.
    pub fn pending_len(&self) -> usize {
        self.pending.len()
    }
}

/// A message as gRPC sends it, uncompressed: five bytes before it.
///
/// # Panics
/// If the message is 4 GiB or longer.
pub fn grpc_message(message: Rope) -> Rope {
    let mut prefix = BytesMut::with_capacity(PREFIX_LEN);
    prefix.put_u8(0);
    prefix.put_u32(u32::try_from(message.len()).expect("a message is below 4 GiB"));
    let mut framed = Rope::from(prefix.freeze());
    framed.append(message);
    framed
}
