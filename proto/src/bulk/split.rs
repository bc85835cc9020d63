//! From received frames to a message and its bulk bytes.

use bytes::{Buf, BufMut, BytesMut};

use super::places::REQUEST_AND_LIST;
use super::{BulkMessage, Bulky, Inside, Place};
use crate::container::{ContainerCommandRequestProto, Type};
use crate::varint::{put_varint, varint};
use crate::{Checked, Rope, WireError, decode};

/// What a message may cost us before it is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SplitLimits {
    /// Most bytes of the message without its bulk fields; they are copied once.
    pub head_len_max: usize,
    /// Most bulk fields. A chunk of 32 MiB in the smallest windows (8 KiB) has 4096 buffers.
    pub bulk_fields_max: usize,
}

impl Default for SplitLimits {
    /// Ozone's largest message, 32 MiB, and the most buffers a chunk of that size has.
    fn default() -> SplitLimits {
        SplitLimits { head_len_max: 32 << 20, bulk_fields_max: 4096 }
    }
}

/// Takes a message apart: `frames` hold all of it and nothing else, cut anywhere.
///
/// The ropes share the frames' memory. A bulk field that is there twice, though it is not repeated, is refused (Ozone
/// never writes that; protocol buffers would let the last one win).
///
/// # Errors
/// [`WireError`] if the bytes are not that message, lack a required field, or exceed `limits`.
pub fn split<M: BulkMessage>(frames: Rope, limits: SplitLimits) -> Result<Bulky<M>, WireError> {
    split_at(frames, limits, M::PLACES)
}

/// As [`split`], and the list of a PutBlock, which grows with its block, is not decoded: its chunks are not in the message;
/// each is a rope of `bulk`, as it was encoded, and may be held against what the last list had in its place. A list of more
/// chunks than `limits` allow bulk fields is decoded.
///
/// # Errors
/// As [`split`]. What is set apart has not been looked at.
pub fn split_request(
    frames: Rope,
    limits: SplitLimits,
) -> Result<Bulky<ContainerCommandRequestProto>, WireError> {
    let bulky = split_at::<ContainerCommandRequestProto>(frames.clone(), limits, REQUEST_AND_LIST);
    match bulky {
        Ok(bulky) if is_plain(&bulky.message) => Ok(bulky),
        _ => split(frames, limits),
    }
}

/// Whether what is set apart can only be the one thing: the list of a PutBlock, or the data of another command.
fn is_plain(message: &ContainerCommandRequestProto) -> bool {
    let has_data = message.write_chunk.is_some() || message.put_small_file.is_some();
    message.put_block.is_none() || (message.cmd_type == i32::from(Type::PutBlock) && !has_data)
}

fn split_at<M: Checked>(
    mut frames: Rope,
    limits: SplitLimits,
    places: &'static [Place],
) -> Result<Bulky<M>, WireError> {
    let mut splitter = Splitter { limits, copied: 0, bulk: Vec::new() };
    let mut head = BytesMut::with_capacity(frames.len().min(1024));
    splitter.level(&mut frames, M::RULES.name, places, &mut head)?;
    Ok(Bulky { message: decode(head.freeze())?, bulk: splitter.bulk })
}

struct Splitter {
    limits: SplitLimits,
    /// Bytes copied into any head so far.
    copied: usize,
    bulk: Vec<Rope>,
}

impl Splitter {
    /// One message: all of `rope`. What is not bulk goes to `head`.
    fn level(
        &mut self,
        rope: &mut Rope,
        message: &'static str,
        places: &'static [Place],
        head: &mut BytesMut,
    ) -> Result<(), WireError> {
        let whole = rope.len();
        // Places are few; one bit each.
        let mut seen = 0u32;
        while rope.has_remaining() {
            let garbled = |rope: &Rope, why| WireError::Garbled { message, at: whole - rope.len(), why };
            let tag = varint(rope).ok_or_else(|| garbled(rope, "a field's tag is no varint"))?;
            self.copied(20, message)?;
            let (number, wire_type) = (tag >> 3, tag & 7);
            let fixed_len = match wire_type {
                0 => {
                    put_varint(tag, head);
                    let number = varint(rope).ok_or_else(|| garbled(rope, "a number is no varint"))?;
                    put_varint(number, head);
                    continue;
                }
                1 => Some(8),
                5 => Some(4),
                2 => None,
                _ => {
                    let why = "a wire type that proto2 and proto3 messages of Ozone never use";
                    return Err(garbled(rope, why));
                }
            };
            if let Some(len) = fixed_len {
                let value = rope.split_to(len).ok_or_else(|| garbled(rope, "a fixed number is cut off"))?;
                put_varint(tag, head);
                head.put(value);
                continue;
            }
            let len = varint(rope).ok_or_else(|| garbled(rope, "a length is no varint"))?;
            let value = usize::try_from(len)
                .ok()
                .and_then(|len| rope.split_to(len))
                .ok_or_else(|| garbled(rope, "a length reaches beyond the end"))?;
            let place = places.iter().enumerate().find(|(_, place)| u64::from(place.number) == number);
            let Some((index, place)) = place else {
                self.copied(value.len(), message)?;
                put_varint(tag, head);
                put_varint(len, head);
                head.put(value);
                continue;
            };
            if matches!(place.inside, Inside::Apart) {
                self.set_apart(value, message, place)?;
                continue;
            }
            put_varint(tag, head);
            let twice = seen & (1 << index) != 0;
            seen |= 1 << index;
            if twice && !matches!(place.inside, Inside::Repeated | Inside::Apart) {
                let why = "is there twice".to_owned();
                return Err(WireError::Invalid { message, field: place.name, why });
            }
            self.place(value, message, place, head)?;
        }
        Ok(())
    }

    fn place(
        &mut self,
        mut value: Rope,
        message: &'static str,
        place: &'static Place,
        head: &mut BytesMut,
    ) -> Result<(), WireError> {
        let (name, places) = match &place.inside {
            Inside::Bulk | Inside::Repeated => {
                self.set_apart(value, message, place)?;
                put_varint(0, head);
                return Ok(());
            }
            Inside::Apart => return self.set_apart(value, message, place),
            Inside::Message(name, places) => (name, *places),
            Inside::Proto3(name, place) => (name, std::slice::from_ref(*place)),
        };
        let mut inner = BytesMut::with_capacity(value.len().min(512));
        self.level(&mut value, name, places, &mut inner)?;
        put_varint(inner.len() as u64, head);
        head.put(inner);
        Ok(())
    }

    /// One more rope.
    fn set_apart(
        &mut self,
        value: Rope,
        message: &'static str,
        place: &'static Place,
    ) -> Result<(), WireError> {
        if self.bulk.len() == self.limits.bulk_fields_max {
            let why = format!("is there more than {} times", self.limits.bulk_fields_max);
            return Err(WireError::Invalid { message, field: place.name, why });
        }
        self.bulk.push(value);
        Ok(())
    }

    /// Counts bytes on their way to a head.
    fn copied(&mut self, len: usize, message: &'static str) -> Result<(), WireError> {
        self.copied = self.copied.saturating_add(len);
        if self.copied > self.limits.head_len_max {
            let why = "more bytes beside the bulk fields than are allowed";
            return Err(WireError::Garbled { message, at: self.limits.head_len_max, why });
        }
        Ok(())
    }
}

/// Decodes a message that has no bulk fields from frames: joined if there are several.
///
/// # Errors
/// As [`decode`], and if it is longer than `limits` allow a head to be.
pub(super) fn decode_joined<M: Checked>(frames: Rope, limits: SplitLimits) -> Result<M, WireError> {
    if frames.len() > limits.head_len_max {
        let why = "more bytes than are allowed";
        return Err(WireError::Garbled { message: M::RULES.name, at: limits.head_len_max, why });
    }
    decode(frames.join())
}
