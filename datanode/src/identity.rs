//! Who this datanode is: `datanode.id` and the layout version, in its metadata folder.

use crate::config::Config;
use crate::format::FormatError;
use crate::format::datanode_id::DatanodeIdFile;
use crate::format::properties;
use crate::pipeline::{PORT_ADMIN, PORT_RATIS};
use allotrope_io::{Disk, DiskError};
use allotrope_types::DatanodeId;
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;

/// What clients and SCM may expect of this release, as Ozone counts: 3 is streaming reads.
pub const DATANODE_VERSION: i32 = 3;
/// The layout of disks and messages this release keeps, as Ozone counts: 10 is STORAGE_SPACE_DISTRIBUTION.
pub const LAYOUT_VERSION: u32 = 10;
/// The port name of 9859.
pub const PORT_STANDALONE: &str = "STANDALONE";
/// The port name of 9886.
pub const PORT_REPLICATION: &str = "REPLICATION";

/// The port name of 9882.
pub const PORT_HTTP: &str = "HTTP";

const FILE_MAX: usize = 64 << 10;

/// Why the datanode does not know who it is.
#[derive(Debug, thiserror::Error)]
pub enum IdentityError {
    /// The file cannot be read or written.
    #[error("the datanode's identity cannot be kept")]
    Disk(#[from] DiskError),
    /// The file is not what it should be.
    #[error(
        "{path} cannot be used: restore it, or empty the metadata folder and all volumes for a new datanode"
    )]
    Format {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        source: FormatError,
    },
}

/// Reads `datanode.id`, or makes a new identity from `random` and writes it durably.
pub async fn load(disk: &Disk, config: &Config, random: [u8; 16]) -> Result<DatanodeIdFile, IdentityError> {
    let path = config.metadata_dir.join("datanode.id");
    match disk.read_small(&path, FILE_MAX).await {
        Ok(bytes) => DatanodeIdFile::decode(&String::from_utf8_lossy(&bytes))
            .map_err(|source| IdentityError::Format { path, source }),
        Err(e) if DiskError::is_not_found(&e) => {
            let file = DatanodeIdFile {
                id: DatanodeId::from_random_bytes(random),
                ip_address: config.ip_address.clone(),
                host_name: config.host_name.clone(),
                ports: BTreeMap::new(),
                operational_state: "IN_SERVICE".to_owned(),
                operational_state_expiry_s: 0,
                initial_version: DATANODE_VERSION,
                current_version: DATANODE_VERSION,
            };
            save(disk, config, &file).await?;
            Ok(file)
        }
        Err(e) => Err(e.into()),
    }
}

/// The identity with what this start announces; whether that is new.
pub fn announced(
    mut file: DatanodeIdFile,
    config: &Config,
    address: SocketAddr,
    replication: SocketAddr,
    pipelines: (SocketAddr, SocketAddr),
    pages: Option<SocketAddr>,
) -> (DatanodeIdFile, bool) {
    let before = file.clone();
    file.ip_address = config.ip_address.clone();
    file.host_name = config.host_name.clone();
    // A port that is not served is not announced.
    file.ports = BTreeMap::from([
        (PORT_STANDALONE.to_owned(), address.port()),
        (PORT_REPLICATION.to_owned(), replication.port()),
        (PORT_RATIS.to_owned(), pipelines.0.port()),
        (PORT_ADMIN.to_owned(), pipelines.1.port()),
    ]);
    file.ports.extend(pages.map(|pages| (PORT_HTTP.to_owned(), pages.port())));
    file.current_version = DATANODE_VERSION;
    let new = file != before;
    (file, new)
}

/// Writes `datanode.id` durably.
pub async fn save(disk: &Disk, config: &Config, file: &DatanodeIdFile) -> Result<(), IdentityError> {
    disk.create_dir_all(&config.metadata_dir).await?;
    Ok(disk.replace(config.metadata_dir.join("datanode.id"), file.encode().as_bytes()).await?)
}

/// Writes the layout version at the first start; refuses a newer one.
pub async fn check_layout(
    disk: &Disk,
    config: &Config,
    cluster_id: &str,
    now_ms: u64,
) -> Result<(), IdentityError> {
    let dir = config.metadata_dir.join("dnlayoutversion");
    let path = dir.join("VERSION");
    match disk.read_small(&path, FILE_MAX).await {
        Ok(bytes) => {
            let wrong = |source| IdentityError::Format { path: path.clone(), source };
            let what = "dnlayoutversion/VERSION";
            let entries = properties::decode(what, &String::from_utf8_lossy(&bytes)).map_err(wrong)?;
            let key = "layoutVersion";
            let found = entries.get(key).cloned().ok_or_else(|| wrong(FormatError::Missing { what, key }))?;
            match found.parse::<u32>() {
                Ok(version) if version <= LAYOUT_VERSION => Ok(()),
                _ => {
                    let known = LAYOUT_VERSION.to_string();
                    Err(wrong(FormatError::Newer { what, key, found, known }))
                }
            }
        }
        Err(e) if DiskError::is_not_found(&e) => {
            let entries = BTreeMap::from([
                ("nodeType".to_owned(), "DATANODE".to_owned()),
                ("clusterID".to_owned(), cluster_id.to_owned()),
                ("cTime".to_owned(), now_ms.to_string()),
                ("layoutVersion".to_owned(), LAYOUT_VERSION.to_string()),
            ]);
            disk.create_dir_all(&dir).await?;
            disk.replace(&path, properties::encode("An Ozone datanode's layout", &entries).as_bytes())
                .await?;
            disk.sync_dir(&config.metadata_dir).await?;
            Ok(())
        }
        Err(e) => Err(e.into()),
    }
}
