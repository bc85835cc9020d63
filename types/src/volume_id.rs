//! Names of datanodes' disks.

use crate::Malformed;

crate::uuid_id::uuid_id! {
    /// The name of one storage volume (a disk's directory) of a datanode, drawn when the volume is formatted.
    ///
    /// ```
    /// use allotrope_types::VolumeId;
    /// let volume = VolumeId::from_storage_id("DS-f81d4fae-7dec-41d0-a765-00a0c91e6bf6")?;
    /// assert_eq!(volume.to_string(), "f81d4fae-7dec-41d0-a765-00a0c91e6bf6");
    /// assert_eq!(volume.storage_id(), "DS-f81d4fae-7dec-41d0-a765-00a0c91e6bf6");
    /// # Ok::<(), allotrope_types::Malformed>(())
    /// ```
    VolumeId, "storage volume id"
}

const PREFIX: &str = "DS-";

impl VolumeId {
    /// The id as `storageID` of the volume's VERSION file and the name of its database folder: `DS-` and the UUID.
    pub fn storage_id(self) -> String {
        format!("{PREFIX}{self}")
    }

    /// From a `storageID`.
    pub fn from_storage_id(text: &str) -> Result<VolumeId, Malformed> {
        let example = "DS-3f2c8a54-9d1e-4b77-8c06-5e2f1a90b3d7";
        match text.strip_prefix(PREFIX) {
            Some(uuid) => uuid.parse(),
            None => Err(Malformed::new("storage id", text, 0, "expected DS-", example)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_storage_id_has_its_prefix() {
        let id = VolumeId::from_halves(1, 2);
        assert_eq!(VolumeId::from_storage_id(&id.storage_id()), Ok(id));
        assert!(VolumeId::from_storage_id(&id.to_string()).is_err());
        assert!(VolumeId::from_storage_id("DS-").is_err());
    }
}
