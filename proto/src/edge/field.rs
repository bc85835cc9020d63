//! One field of a message: from what prost holds to what the domain holds, and back.

use allotrope_types::{
    Bcsid, BlockOffset, BucketLayout, ByteCount, ContainerId, ContainerState, DatanodeId, FileOffset,
    LocalId, Malformed, PipelineId, ReplicaIndex, ReplicaState, ReplicationFactor, ReplicationType, Term,
};
use bytes::Bytes;

use crate::{MessageRules, WireError};

/// Where a value was found.
#[derive(Clone, Copy)]
pub(crate) struct At {
    rules: &'static MessageRules,
    field: &'static str,
}

impl At {
    /// `field` may be spelled as Rust does; errors spell it as the `.proto` file does.
    pub(crate) fn new(rules: &'static MessageRules, field: &'static str) -> At {
        At { rules, field }
    }

    /// The message that was found there.
    pub(crate) fn message(self) -> &'static str {
        self.rules.name
    }

    /// The field's name in the `.proto` file.
    pub(crate) fn field(self) -> &'static str {
        let plain = |name: &str| name.trim_start_matches("r#").replace('_', "").to_ascii_lowercase();
        let known = self.rules.names.iter().find(|name| plain(name) == plain(self.field));
        known.copied().unwrap_or(self.field)
    }

    /// The same place but another field of the message: the first of `fields` that it has.
    pub(crate) fn beside(self, fields: &[&'static str]) -> At {
        let known = fields.iter().find(|field| self.rules.names.contains(field));
        At { field: known.copied().unwrap_or(self.field), ..self }
    }

    pub(crate) fn missing(self) -> WireError {
        WireError::Missing { message: self.message(), field: self.field() }
    }

    pub(crate) fn unknown(self, value: i32) -> WireError {
        WireError::UnknownEnum { message: self.message(), field: self.field(), value }
    }

    pub(crate) fn invalid(self, why: impl Into<String>) -> WireError {
        WireError::Invalid { message: self.message(), field: self.field(), why: why.into() }
    }

    pub(crate) fn malformed(self, source: Malformed) -> WireError {
        WireError::Malformed { message: self.message(), field: self.field(), source: Box::new(source) }
    }
}

/// A value of the domain that stands in a message as `Wire`. Several fields that mean one value are a tuple.
pub(crate) trait Field<Wire>: Sized {
    fn read(wire: Wire, at: At) -> Result<Self, WireError>;
    fn write(self) -> Wire;

    /// What it means that the field is absent, where that means anything.
    fn absent() -> Option<Self> {
        None
    }
}

/// A command's arguments; absent ones are an error if their absence means nothing.
pub(crate) fn arguments<Wire, T: Field<Wire>>(wire: Option<Wire>, at: At) -> Result<T, WireError> {
    match wire {
        Some(wire) => T::read(wire, at),
        None => T::absent().ok_or_else(|| at.missing()),
    }
}

impl<Wire, T: Field<Wire>> Field<Option<Wire>> for Option<T> {
    fn read(wire: Option<Wire>, at: At) -> Result<Self, WireError> {
        wire.map(|wire| T::read(wire, at)).transpose()
    }

    fn write(self) -> Option<Wire> {
        self.map(T::write)
    }
}

impl<Wire, T: Field<Wire>> Field<Vec<Wire>> for Vec<T> {
    fn read(wire: Vec<Wire>, at: At) -> Result<Self, WireError> {
        wire.into_iter().map(|wire| T::read(wire, at)).collect()
    }

    fn write(self) -> Vec<Wire> {
        self.into_iter().map(T::write).collect()
    }
}

/// What a message keeps behind a pointer.
impl<Wire, T: Field<Wire>> Field<Box<Wire>> for T {
    fn read(wire: Box<Wire>, at: At) -> Result<Self, WireError> {
        T::read(*wire, at)
    }

    fn write(self) -> Box<Wire> {
        Box::new(T::write(self))
    }

    fn absent() -> Option<Self> {
        T::absent()
    }
}

/// A value under another name than its one field's.
impl<Wire, T: Field<Wire>> Field<(Wire,)> for T {
    fn read((wire,): (Wire,), at: At) -> Result<Self, WireError> {
        T::read(wire, at)
    }

    fn write(self) -> (Wire,) {
        (T::write(self),)
    }
}

/// What the domain keeps as it is.
macro_rules! same {
    ($($type:ty),*) => {$(
        impl Field<$type> for $type {
            fn read(wire: $type, _: At) -> Result<Self, WireError> {
                Ok(wire)
            }

            fn write(self) -> $type {
                self
            }
        }
    )*};
}
same!(bool, i32, i64, u32, u64, f64, String, Bytes);

/// Ids and sizes that refuse a negative number themselves.
macro_rules! signed {
    ($($type:ty),*) => {$(
        impl Field<i64> for $type {
            fn read(wire: i64, at: At) -> Result<Self, WireError> {
                <$type>::try_from(wire).map_err(|source| at.malformed(source))
            }

            fn write(self) -> i64 {
                self.to_wire()
            }
        }

        /// Some messages give the same id as `uint64`.
        impl Field<u64> for $type {
            fn read(wire: u64, at: At) -> Result<Self, WireError> {
                let number = i64::try_from(wire).map_err(|_| at.invalid(format!("is {wire}, too large for an id")))?;
                Self::read(number, at)
            }

            fn write(self) -> u64 {
                self.as_u64()
            }
        }
    )*};
}
signed!(ContainerId, LocalId, Bcsid, Term);

macro_rules! unsigned {
    ($($type:ty),*) => {$(
        impl Field<u64> for $type {
            /// Java reads more than 63 bits as a negative number, so nobody means that.
            fn read(wire: u64, at: At) -> Result<Self, WireError> {
                if wire > i64::MAX as u64 {
                    return Err(at.invalid(format!("is {wire}, beyond 63 bits")));
                }
                Ok(<$type>::new(wire))
            }

            fn write(self) -> u64 {
                self.as_u64()
            }
        }

        impl Field<i64> for $type {
            fn read(wire: i64, at: At) -> Result<Self, WireError> {
                let bytes = u64::try_from(wire).map_err(|_| at.invalid(format!("is {wire}, less than nothing")))?;
                Ok(<$type>::new(bytes))
            }

            fn write(self) -> i64 {
                self.as_u64().cast_signed()
            }
        }
    )*};
}
unsigned!(ByteCount, BlockOffset, FileOffset);

/// Ids that stand as text.
macro_rules! as_text {
    ($($type:ty),*) => {$(
        impl Field<String> for $type {
            fn read(wire: String, at: At) -> Result<Self, WireError> {
                wire.parse().map_err(|source| at.malformed(source))
            }

            fn write(self) -> String {
                self.to_string()
            }
        }
    )*};
}
as_text!(DatanodeId, PipelineId);

/// Generated enums, used as they are.
macro_rules! enums {
    ($($type:ty),* $(,)?) => {$(
        impl $crate::edge::field::Field<i32> for $type {
            fn read(wire: i32, at: $crate::edge::field::At) -> Result<Self, $crate::WireError> {
                <$type>::try_from(wire).map_err(|_| at.unknown(wire))
            }

            fn write(self) -> i32 {
                self as i32
            }
        }
    )*};
}
pub(crate) use enums;

/// Enums of the vocabulary.
macro_rules! codes {
    ($($type:ty),* $(,)?) => {$(
        impl $crate::edge::field::Field<i32> for $type {
            fn read(wire: i32, at: $crate::edge::field::At) -> Result<Self, $crate::WireError> {
                <$type>::from_number(wire).ok_or_else(|| at.unknown(wire))
            }

            fn write(self) -> i32 {
                self.number()
            }
        }
    )*};
}
pub(crate) use codes;
codes!(ContainerState, ReplicaState, BucketLayout);

impl Field<i32> for ReplicationType {
    fn read(wire: i32, at: At) -> Result<Self, WireError> {
        ReplicationType::from_wire(wire).ok_or_else(|| at.unknown(wire))
    }

    fn write(self) -> i32 {
        self as i32
    }
}

impl Field<i32> for ReplicationFactor {
    fn read(wire: i32, at: At) -> Result<Self, WireError> {
        ReplicationFactor::from_wire(wire).ok_or_else(|| at.unknown(wire))
    }

    fn write(self) -> i32 {
        self as i32
    }
}

/// A replica's index where the field is required: 0 for none.
impl Field<(i32,)> for Option<ReplicaIndex> {
    fn read((wire,): (i32,), at: At) -> Result<Self, WireError> {
        ReplicaIndex::from_wire(wire).map_err(|source| at.malformed(source))
    }

    fn write(self) -> (i32,) {
        (self.map_or(0, |index| i32::from(index.number())),)
    }
}

/// A replica's index where the field may be absent: 0 and absence are both none, and none is left out.
impl Field<(Option<i32>,)> for Option<ReplicaIndex> {
    fn read((wire,): (Option<i32>,), at: At) -> Result<Self, WireError> {
        Field::<(i32,)>::read((wire.unwrap_or(0),), at)
    }

    fn write(self) -> (Option<i32>,) {
        (self.map(|index| i32::from(index.number())),)
    }
}

/// The same as 64 bits.
impl Field<(Option<i64>,)> for Option<ReplicaIndex> {
    fn read((wire,): (Option<i64>,), at: At) -> Result<Self, WireError> {
        let index = wire.unwrap_or(0);
        let index = i32::try_from(index).map_err(|_| at.invalid(format!("is {index}, no replica index")))?;
        Field::<(i32,)>::read((index,), at)
    }

    fn write(self) -> (Option<i64>,) {
        (self.map(|index| i64::from(index.number())),)
    }
}

/// A byte an index: the missing replicas of an erasure-coded container.
impl Field<(Bytes,)> for Vec<ReplicaIndex> {
    fn read((wire,): (Bytes,), at: At) -> Result<Self, WireError> {
        let index = |&byte: &u8| {
            ReplicaIndex::new(byte).ok_or_else(|| at.invalid(format!("holds the replica index {byte}")))
        };
        wire.iter().map(index).collect()
    }

    fn write(self) -> (Bytes,) {
        (self.into_iter().map(ReplicaIndex::number).collect(),)
    }
}

const _: () = assert!(ReplicaIndex::MAX <= i8::MAX as u8, "Java reads the bytes of an index list as signed");
