//! UUIDs: as text, as two halves, and in all forms at once.

use allotrope_types::{DatanodeId, DatanodeIdOnWire, PipelineId, SecretKeyId, SnapshotId};

use super::field::{At, Field};
use crate::hdds as wire;
use crate::hdds::{DatanodeIdProto, Uuid};
use crate::{Checked, WireError};

/// Ids that stand as the two halves alone.
macro_rules! as_halves {
    ($($id:ty),*) => {$(
        impl Field<Uuid> for $id {
            fn read(wire: Uuid, _: At) -> Result<Self, WireError> {
                Ok(<$id>::from_halves(wire.most_sig_bits, wire.least_sig_bits))
            }

            fn write(self) -> Uuid {
                uuid(self.to_halves())
            }
        }
    )*};
}
as_halves!(DatanodeId, SecretKeyId, SnapshotId);

impl Field<DatanodeIdProto> for DatanodeId {
    fn read(wire: DatanodeIdProto, at: At) -> Result<Self, WireError> {
        DatanodeId::read(wire.uuid, at)
    }

    fn write(self) -> DatanodeIdProto {
        DatanodeIdProto { uuid: self.write() }
    }
}

fn uuid((most_sig_bits, least_sig_bits): (i64, i64)) -> Uuid {
    Uuid { most_sig_bits, least_sig_bits }
}

fn halves(uuid: &Uuid) -> (i64, i64) {
    (uuid.most_sig_bits, uuid.least_sig_bits)
}

/// The id's three forms: text, `uuid128`, `id`. One is enough to read, all are written.
impl Field<(Option<String>, Option<Uuid>, Option<DatanodeIdProto>)> for DatanodeId {
    fn read(
        (text, uuid128, id): (Option<String>, Option<Uuid>, Option<DatanodeIdProto>),
        at: At,
    ) -> Result<Self, WireError> {
        let (uuid128, id) = (uuid128.as_ref().map(halves), id.as_ref().map(|id| halves(&id.uuid)));
        DatanodeIdOnWire { uuid: text, uuid128, id }.read().map_err(|source| at.malformed(source))
    }

    fn write(self) -> (Option<String>, Option<Uuid>, Option<DatanodeIdProto>) {
        let on_wire = self.on_wire();
        let id = on_wire.id.map(|halves| DatanodeIdProto { uuid: uuid(halves) });
        (on_wire.uuid, on_wire.uuid128.map(uuid), id)
    }
}

/// A pipeline's leader, the same way; text may be empty where there is none.
impl Field<(Option<String>, Option<Uuid>, Option<DatanodeIdProto>)> for Option<DatanodeId> {
    fn read(
        (text, uuid128, id): (Option<String>, Option<Uuid>, Option<DatanodeIdProto>),
        at: At,
    ) -> Result<Self, WireError> {
        let text = text.filter(|text| !text.is_empty());
        if text.is_none() && uuid128.is_none() && id.is_none() {
            return Ok(None);
        }
        DatanodeId::read((text, uuid128, id), at).map(Some)
    }

    fn write(self) -> (Option<String>, Option<Uuid>, Option<DatanodeIdProto>) {
        self.map_or((None, None, None), DatanodeId::write)
    }
}

/// A suggested leader: two forms, no text.
impl Field<(Option<Uuid>, Option<DatanodeIdProto>)> for Option<DatanodeId> {
    fn read((uuid128, id): (Option<Uuid>, Option<DatanodeIdProto>), at: At) -> Result<Self, WireError> {
        Field::read((None, uuid128, id), at)
    }

    fn write(self) -> (Option<Uuid>, Option<DatanodeIdProto>) {
        let (_, uuid128, id) = self.write();
        (uuid128, id)
    }
}

/// A pipeline's id in both forms. Reading takes either; if both are there they must agree.
impl TryFrom<wire::PipelineId> for PipelineIdForms {
    type Error = WireError;

    fn try_from(message: wire::PipelineId) -> Result<Self, WireError> {
        let at = |field| At::new(wire::PipelineId::RULES, field);
        let text = message.id.filter(|text| !text.is_empty());
        let text = text.map(|text| PipelineId::read(text, at("id"))).transpose()?;
        let pair =
            message.uuid128.as_ref().map(halves).map(|(most, least)| PipelineId::from_halves(most, least));
        match (text, pair) {
            (Some(text), Some(pair)) if text != pair => {
                Err(at("uuid128").invalid(format!("is {pair}, where id is {text}")))
            }
            (text, pair) => text.or(pair).map(PipelineIdForms).ok_or_else(|| at("id").missing()),
        }
    }
}

/// A pipeline's id on its way between message and value.
struct PipelineIdForms(PipelineId);

impl Field<wire::PipelineId> for PipelineId {
    fn read(wire: wire::PipelineId, _: At) -> Result<Self, WireError> {
        PipelineIdForms::try_from(wire).map(|forms| forms.0)
    }

    fn write(self) -> wire::PipelineId {
        wire::PipelineId { id: Some(self.to_string()), uuid128: Some(uuid(self.to_halves())) }
    }
}
