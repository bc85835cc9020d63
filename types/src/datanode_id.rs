//! Datanodes' names.

use crate::Malformed;

crate::uuid_id::uuid_id! {
    /// A datanode's name: drawn once at its first start, kept in its `datanode.id` file, never reused.
    ///
    /// ```
    /// use allotrope_types::{DatanodeId, DatanodeIdOnWire};
    ///
    /// let id: DatanodeId = "f81d4fae-7dec-41d0-a765-00a0c91e6bf6".parse()?;
    /// let wire = id.on_wire();
    /// assert_eq!(wire.uuid.as_deref(), Some("f81d4fae-7dec-41d0-a765-00a0c91e6bf6"));
    /// assert_eq!(wire.read()?, id);
    /// # Ok::<(), allotrope_types::Malformed>(())
    /// ```
    DatanodeId, "datanode id"
}

/// The three places in which Ozone's `DatanodeDetailsProto` carries the one id. A sender fills all three, so that
/// peers of every release find it; a reader takes what is there.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DatanodeIdOnWire {
    /// Field 1, `uuid`: the canonical text.
    pub uuid: Option<String>,
    /// Field 100, `uuid128`: (most, least) significant bits.
    pub uuid128: Option<(i64, i64)>,
    /// Field 102, `id` (`DatanodeIDProto`): (most, least) significant bits.
    pub id: Option<(i64, i64)>,
}

impl DatanodeIdOnWire {
    /// The id that the fields present agree on. None present, a text that is no UUID, or two that differ, is an error.
    pub fn read(&self) -> Result<DatanodeId, Malformed> {
        let text = self.uuid.as_deref().filter(|text| !text.is_empty());
        let as_text = text.map(str::parse::<DatanodeId>).transpose()?;
        let as_halves = [self.id, self.uuid128].map(|pair| pair.map(|(m, l)| DatanodeId::from_halves(m, l)));
        let mut found = as_halves.into_iter().flatten().chain(as_text);
        let Some(first) = found.next() else {
            return Err(Malformed::new(
                "datanode id",
                "",
                0,
                "none of uuid, uuid128 and id is set",
                "3f2c8a54-9d1e-4b77-8c06-5e2f1a90b3d7",
            ));
        };
        match found.find(|other| *other != first) {
            None => Ok(first),
            Some(other) => Err(Malformed::new(
                "datanode id",
                &other.to_string(),
                0,
                format!("another field of the same message says {first}"),
                "the same id in uuid, uuid128 and id",
            )),
        }
    }
}

impl DatanodeId {
    /// The id in all three forms, as a sender must give it.
    pub fn on_wire(self) -> DatanodeIdOnWire {
        DatanodeIdOnWire {
            uuid: Some(self.to_string()),
            uuid128: Some(self.to_halves()),
            id: Some(self.to_halves()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn any_one_form_is_enough(bytes in any::<[u8; 16]>()) {
            let id = DatanodeId::from_bytes(bytes);
            let all = id.on_wire();
            prop_assert_eq!(all.read().unwrap(), id);
            let only_text = DatanodeIdOnWire { uuid: all.uuid.clone(), ..Default::default() };
            let only_uuid128 = DatanodeIdOnWire { uuid128: all.uuid128, ..Default::default() };
            let only_id = DatanodeIdOnWire { id: all.id, ..Default::default() };
            for form in [only_text, only_uuid128, only_id] {
                prop_assert_eq!(form.read().unwrap(), id);
            }
        }
    }

    #[test]
    fn forms_that_disagree_are_refused_by_both_names() {
        let mut wire = DatanodeId::from_halves(1, 2).on_wire();
        wire.uuid128 = Some((1, 3));
        let error = wire.read().unwrap_err().to_string();
        assert!(error.contains("0000-000000000003") && error.contains("0000-000000000002"), "{error}");
    }

    #[test]
    fn no_form_at_all_is_refused() {
        assert!(DatanodeIdOnWire::default().read().is_err());
        assert!(DatanodeIdOnWire { uuid: Some(String::new()), ..Default::default() }.read().is_err());
    }
}
