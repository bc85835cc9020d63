//! `VERSION` of a volume: which cluster and which datanode its disk belongs to.
//!
//! Source  docs/formats/datanode-volume.md.

use super::{FormatError, properties};
use allotrope_types::{DatanodeId, VolumeId};
use std::collections::BTreeMap;

const WHAT: &str = "VERSION";
/// The layout of a volume's tree that this release reads and writes.
pub const LAYOUT_VERSION: u32 = 1;

/// The content of a volume's `VERSION`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VolumeVersion {
    /// The volume's own name; with `DS-` before it, the folder its metadata lies in.
    pub volume: VolumeId,
    /// The cluster, `CID-<uuid>`.
    pub cluster_id: String,
    /// The datanode the disk belongs to.
    pub datanode: DatanodeId,
    /// When the volume was formatted, in milliseconds since 1970.
    pub created_ms: u64,
}

impl VolumeVersion {
    /// Reads a `VERSION` of this layout.
    pub fn decode(text: &str) -> Result<VolumeVersion, FormatError> {
        let entries = properties::decode(WHAT, text)?;
        let get = |key: &'static str| entries.get(key).ok_or(FormatError::Missing { what: WHAT, key });
        let invalid = |key: &'static str, value: &str, why: String| FormatError::Invalid {
            what: WHAT,
            key,
            value: value.to_owned(),
            why,
        };
        let layout = get("layOutVersion")?;
        match layout.parse::<u32>() {
            Ok(LAYOUT_VERSION) => {}
            Ok(newer) if newer > LAYOUT_VERSION => {
                return Err(FormatError::Newer {
                    what: WHAT,
                    key: "layOutVersion",
                    found: newer.to_string(),
                    known: LAYOUT_VERSION.to_string(),
                });
            }
            _ => return Err(invalid("layOutVersion", layout, format!("expected {LAYOUT_VERSION}"))),
        }
        let storage_id = get("storageID")?;
        let cluster_id = get("clusterID")?;
        if !plain_name(cluster_id) {
            return Err(invalid("clusterID", cluster_id, "expected CID- and a uuid".into()));
        }
        let uuid = get("datanodeUuid")?;
        let ctime = get("ctime")?;
        Ok(VolumeVersion {
            volume: VolumeId::from_storage_id(storage_id)
                .map_err(|e| invalid("storageID", storage_id, e.to_string()))?,
            cluster_id: cluster_id.clone(),
            datanode: uuid.parse().map_err(|e| invalid("datanodeUuid", uuid, format!("{e}")))?,
            created_ms: ctime.parse().map_err(|_| invalid("ctime", ctime, "expected milliseconds".into()))?,
        })
    }

    /// Writes the file's text.
    pub fn encode(&self) -> String {
        let entries = BTreeMap::from([
            ("storageID".to_owned(), self.volume.storage_id()),
            ("clusterID".to_owned(), self.cluster_id.clone()),
            ("datanodeUuid".to_owned(), self.datanode.to_string()),
            ("ctime".to_owned(), self.created_ms.to_string()),
            ("layOutVersion".to_owned(), LAYOUT_VERSION.to_string()),
        ]);
        properties::encode("A volume of an Ozone datanode", &entries)
    }
}

/// Whether `name` may be a folder's name: the cluster id is one.
fn plain_name(name: &str) -> bool {
    !name.is_empty()
        && name.len() <= 255
        && name.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_'))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn version() -> VolumeVersion {
        VolumeVersion {
            volume: "7d6b5b2c-60f1-4a2e-9bb0-0d3a0c1f4b11".parse().unwrap(),
            cluster_id: "CID-6d2f1b8e-3f0e-4f6e-8d2b-5f0f5f0f5f0f".into(),
            datanode: "fc916013-b295-4015-b775-b132a520dc7e".parse().unwrap(),
            created_ms: 1_755_770_400_000,
        }
    }

    #[test]
    fn a_version_survives_the_round_trip() {
        assert_eq!(VolumeVersion::decode(&version().encode()).unwrap(), version());
    }

    #[test]
    fn a_newer_layout_is_refused_by_name() {
        let text = version().encode().replace("layOutVersion=1", "layOutVersion=2");
        let wrong = VolumeVersion::decode(&text).unwrap_err();
        assert!(matches!(wrong, FormatError::Newer { key: "layOutVersion", .. }), "{wrong}");
    }

    #[test]
    fn damage_is_named() {
        let text = version().encode();
        for (from, to, says) in [
            ("storageID=DS-", "storageID=../", "storageID"),
            ("clusterID=CID", "clusterID=C/D", "clusterID"),
            ("datanodeUuid=fc", "datanodeUuid=xx", "datanodeUuid"),
            ("ctime=1", "ctime=x", "ctime"),
            ("layOutVersion=1", "layOutVersion=one", "layOutVersion"),
        ] {
            let wrong = VolumeVersion::decode(&text.replace(from, to)).unwrap_err().to_string();
            assert!(wrong.contains(says), "{wrong}");
        }
    }
}
