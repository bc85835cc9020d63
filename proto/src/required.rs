//! Reading a message with everything in it that Ozone's definition requires.
//!
//! Owns    the walk over a message's bytes that finds a required field which is absent, before prost reads it as a
//!         default; [`decode`], the one way from bytes to a message.
//! Shape   `build.rs` writes one static [`MessageRules`] a message; the walk follows it down into sub-messages.
//! Units   offsets and lengths are bytes.
//! Errors  [`WireError`]. As in Java a required enum with a number nobody knows is refused; an optional one passes here
//!         and is judged where it is converted.
//! Source  protocol buffers' encoding; `.proto` files in this crate.

use bytes::{Buf, Bytes};

use crate::varint::varint;

/// How deep messages may nest; prost stops at the same depth.
pub const DEPTH_MAX: usize = 100;

/// Bytes from a peer that are not the message they should be.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WireError {
    /// A field that must be there is not.
    #[error("{message} lacks its field {field}")]
    Missing {
        /// The message, without its package.
        message: &'static str,
        /// The field that is absent.
        field: &'static str,
    },
    /// An enum's number stands for nothing we know.
    #[error("{message}.{field} is {value}, which names nothing")]
    UnknownEnum {
        /// The message, without its package.
        message: &'static str,
        /// The field of the enum's type.
        field: &'static str,
        /// The number as received.
        value: i32,
    },
    /// A value that the field can hold and the domain cannot.
    #[error("{message}.{field} {why}")]
    Invalid {
        /// The message, without its package.
        message: &'static str,
        /// The field.
        field: &'static str,
        /// What is wrong, to be read after the field's name: "is 7 bytes long, not 16".
        why: String,
    },
    /// A text or number that its type's parser refused.
    #[error("{message}.{field} holds a wrong value")]
    Malformed {
        /// The message, without its package.
        message: &'static str,
        /// The field.
        field: &'static str,
        /// What is wrong with the value, with a valid example.
        source: Box<allotrope_types::Malformed>,
    },
    /// The bytes are not a protocol buffers message.
    #[error("{message} breaks off or is garbled {at} bytes in: {why}")]
    Garbled {
        /// The message, or the sub-message, that was being read.
        message: &'static str,
        /// Where, counted from the start of that message.
        at: usize,
        /// What was met there.
        why: &'static str,
    },
    /// Prost refused the bytes (a string that is not UTF-8, a field of another wire type).
    #[error("{message} does not decode")]
    Undecodable {
        /// The message that was being read.
        message: &'static str,
        /// Prost's reason, with the path to the field.
        source: prost::DecodeError,
    },
}

/// What must be present in a message.
#[derive(Debug)]
pub struct MessageRules {
    /// The message's name without its package.
    pub name: &'static str,
    /// The names of all its fields, as the `.proto` file has them.
    pub names: &'static [&'static str],
    /// How many fields are required; their `required` bits run from 0.
    pub required_count: u32,
    /// The fields the walk looks at: the required ones and the sub-messages.
    pub fields: &'static [FieldRules],
}

/// One field the walk looks at.
#[derive(Debug)]
pub struct FieldRules {
    /// The field's number.
    pub number: u32,
    /// The field's name, as the `.proto` file has it.
    pub name: &'static str,
    /// Its bit in the set of required fields, if it is one.
    pub required: Option<u32>,
    /// What is inside.
    pub holds: Holds,
}

/// What a field holds, as far as the walk cares.
#[derive(Debug)]
pub enum Holds {
    /// A message, to be walked too.
    Message(&'static MessageRules),
    /// A required enum: the numbers that have a name.
    Enum(&'static [i32]),
    /// Anything else; prost judges it.
    Other,
}

/// A generated message whose required fields are known.
pub trait Checked: prost::Message + Default {
    /// The rules, as `build.rs` found them in the `.proto` file.
    const RULES: &'static MessageRules;
}

/// Reads a message of which `bytes` is the whole; `bytes` fields share its memory.
///
/// # Errors
/// [`WireError`] if the bytes are not that message or lack a required field at any depth.
pub fn decode<M: Checked>(bytes: Bytes) -> Result<M, WireError> {
    check(&bytes, M::RULES, 0)?;
    M::decode(bytes).map_err(|source| WireError::Undecodable { message: M::RULES.name, source })
}

/// Walks `bytes` as a message under `rules`.
fn check(bytes: &[u8], rules: &'static MessageRules, depth: usize) -> Result<(), WireError> {
    let garbled =
        |rest: &[u8], why| WireError::Garbled { message: rules.name, at: bytes.len() - rest.len(), why };
    if depth > DEPTH_MAX {
        return Err(garbled(bytes, "messages nest too deep"));
    }
    let mut present = 0u64;
    let mut rest = bytes;
    while rest.has_remaining() {
        let tag = varint(&mut rest).ok_or_else(|| garbled(rest, "a field's tag is no varint"))?;
        let number = u32::try_from(tag >> 3).ok().filter(|&number| (1..1 << 29).contains(&number));
        let number = number.ok_or_else(|| garbled(rest, "a field's number is out of range"))?;
        let value = value(&mut rest, tag & 7).map_err(|why| garbled(rest, why))?;
        let Some(field) = rules.fields.iter().find(|field| field.number == number) else { continue };
        match (&field.holds, value) {
            (Holds::Message(inner), Value::Bytes(inside)) => check(inside, inner, depth + 1)?,
            (Holds::Enum(known), Value::Varint(value)) => {
                // Protocol buffers cut an enum's varint to 32 bits.
                let value = value as i32;
                if !known.contains(&value) {
                    return Err(WireError::UnknownEnum { message: rules.name, field: field.name, value });
                }
            }
            // A wrong wire type is prost's to refuse.
            _ => {}
        }
        if let Some(bit) = field.required {
            present |= 1 << bit;
        }
    }
    if present.count_ones() < rules.required_count {
        let absent = |field: &&FieldRules| field.required.is_some_and(|bit| present & (1 << bit) == 0);
        if let Some(field) = rules.fields.iter().find(absent) {
            return Err(WireError::Missing { message: rules.name, field: field.name });
        }
    }
    Ok(())
}

enum Value<'a> {
    Varint(u64),
    Bytes(&'a [u8]),
    Fixed,
}

/// Takes one field's value off `rest`.
fn value<'a>(rest: &mut &'a [u8], wire_type: u64) -> Result<Value<'a>, &'static str> {
    match wire_type {
        0 => varint(rest).map(Value::Varint).ok_or("a number is no varint"),
        1 => take(rest, 8).map(|_| Value::Fixed).ok_or("a fixed number is cut off"),
        2 => {
            let len = varint(rest).ok_or("a length is no varint")?;
            let len = usize::try_from(len).map_err(|_| "a length is beyond memory")?;
            take(rest, len).map(Value::Bytes).ok_or("a length reaches beyond the end")
        }
        5 => take(rest, 4).map(|_| Value::Fixed).ok_or("a fixed number is cut off"),
        _ => Err("a wire type that proto2 and proto3 messages of Ozone never use"),
    }
}

fn take<'a>(rest: &mut &'a [u8], len: usize) -> Option<&'a [u8]> {
    let (taken, left) = rest.split_at_checked(len)?;
    *rest = left;
    Some(taken)
}

include!(concat!(env!("OUT_DIR"), "/required.rs"));

#[cfg(test)]
mod tests {
    use super::*;
    use crate::container::{ContainerCommandRequestProto, DatanodeBlockId, GetBlockRequestProto, Type};
    use prost::Message;

    fn get_block() -> ContainerCommandRequestProto {
        ContainerCommandRequestProto {
            cmd_type: Type::GetBlock as i32,
            container_id: 7,
            datanode_uuid: "d".into(),
            get_block: Some(GetBlockRequestProto {
                block_id: DatanodeBlockId { container_id: 7, local_id: 1, ..Default::default() },
                ..Default::default()
            }),
            ..Default::default()
        }
    }

    #[test]
    fn a_whole_message_is_read() {
        let message = get_block();
        assert_eq!(decode::<ContainerCommandRequestProto>(message.encode_to_vec().into()), Ok(message));
    }

    #[test]
    fn an_absent_required_field_is_named_at_any_depth() {
        assert_eq!(
            decode::<ContainerCommandRequestProto>(Bytes::new()),
            Err(WireError::Missing { message: "ContainerCommandRequestProto", field: "cmdType" })
        );
        // cmdType GetBlock, containerID 7, datanodeUuid "d", getBlock { blockID { containerID 7 } }
        let bytes = Bytes::from_static(&[8, 8, 24, 7, 34, 1, b'd', 106, 4, 10, 2, 8, 7]);
        assert_eq!(
            decode::<ContainerCommandRequestProto>(bytes),
            Err(WireError::Missing { message: "DatanodeBlockID", field: "localID" })
        );
    }

    #[test]
    fn a_required_enum_nobody_knows_is_refused_by_its_number() {
        let message = ContainerCommandRequestProto { cmd_type: 999, ..get_block() };
        assert_eq!(
            decode::<ContainerCommandRequestProto>(message.encode_to_vec().into()),
            Err(WireError::UnknownEnum {
                message: "ContainerCommandRequestProto",
                field: "cmdType",
                value: 999
            })
        );
    }

    #[test]
    fn every_cut_of_a_message_is_an_error_and_no_panic() {
        // Its one field is required, so no shorter prefix is a message.
        let whole = Bytes::from(get_block().get_block.unwrap().encode_to_vec());
        for len in 0..whole.len() {
            assert!(decode::<GetBlockRequestProto>(whole.slice(..len)).is_err(), "cut at {len}");
        }
    }
}
