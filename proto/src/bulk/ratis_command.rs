//! A container command inside a Ratis message: its data stands behind it, not in it.
//!
//! ```text
//! 0        4           4 + h                    end
//! ├─ h ────┼─ command ──┼─ data ──────────────── ┤
//! ```
//! `h` is a big-endian length; `command` is a ContainerCommandRequestProto whose WriteChunk or PutSmallFile has no data;
//! other commands have nothing behind them.

use bytes::{Buf, Bytes};

use super::split::decode_joined;
use super::{Bulky, SplitLimits, split};
use crate::container::ContainerCommandRequestProto;
use crate::{Rope, WireError};

const MESSAGE: &str = "ClientMessageEntryProto";
const FIELD: &str = "content";

fn invalid(why: impl Into<String>) -> WireError {
    WireError::Invalid { message: MESSAGE, field: FIELD, why: why.into() }
}

/// Takes the content of a Ratis request apart. A WriteChunk or PutSmallFile comes out as [`split`] gives it: its data
/// field present and empty, its bytes the one rope.
///
/// # Errors
/// [`WireError`] if the length does not fit, the command does not decode, or data stands behind a command without any.
pub fn command_of_content(
    mut content: Rope,
    limits: SplitLimits,
) -> Result<Bulky<ContainerCommandRequestProto>, WireError> {
    let len = content.try_get_i32().map_err(|_| invalid("has no room for the command's length"))?;
    let len = usize::try_from(len).map_err(|_| invalid(format!("gives the command {len} bytes")))?;
    let command = content
        .split_to(len)
        .ok_or_else(|| invalid(format!("is shorter than its command of {len} bytes")))?;
    let mut bulky = split::<ContainerCommandRequestProto>(command, limits)?;
    let inside = bulky.bulk.iter().any(|rope| !rope.is_empty());
    let message = &mut bulky.message;
    match (&mut message.write_chunk, &message.put_small_file) {
        (Some(_), Some(_)) => Err(invalid("is two commands at once")),
        _ if inside && !content.is_empty() => Err(invalid("has data both in its command and behind it")),
        _ if inside => Ok(bulky),
        (Some(write_chunk), None) => {
            write_chunk.data = Some(Bytes::new());
            Ok(Bulky { message: bulky.message, bulk: vec![content] })
        }
        (None, Some(_)) => Ok(Bulky { message: bulky.message, bulk: vec![content] }),
        (None, None) if content.is_empty() => Ok(bulky),
        (None, None) => Err(invalid(format!("has {} bytes behind a command without data", content.len()))),
    }
}

/// The content of a Ratis request for a command, its data shared, not joined.
///
/// # Panics
/// If there is not one rope for a WriteChunk or PutSmallFile and none for others, or the command has no 31-bit length: a
/// caller's mistake.
pub fn content_of_command(bulky: Bulky<ContainerCommandRequestProto>) -> Rope {
    use prost::Message;
    let Bulky { mut message, bulk } = bulky;
    if let Some(write_chunk) = &mut message.write_chunk {
        write_chunk.data = None;
    }
    let has_data = message.write_chunk.is_some() || message.put_small_file.is_some();
    assert_eq!(bulk.len(), usize::from(has_data), "a command with data has one rope, another none");
    let len = i32::try_from(message.encoded_len()).expect("a command without its data is small");
    let mut head = Vec::with_capacity(4 + len as usize);
    head.extend_from_slice(&len.to_be_bytes());
    message.encode(&mut head).expect("a vector grows");
    let mut content = Rope::from(Bytes::from(head));
    bulk.into_iter().for_each(|data| content.append(data));
    content
}

/// The answer in a Ratis reply: a whole response, without framing.
///
/// # Errors
/// As [`crate::decode`], or if it is longer than `limits` allow.
pub fn response_of_content(
    content: Bytes,
    limits: SplitLimits,
) -> Result<crate::container::ContainerCommandResponseProto, WireError> {
    decode_joined(content.into(), limits)
}
