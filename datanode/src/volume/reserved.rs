//! Space of a volume that is left to others than the datanode.
//!
//! Units   bytes; a share is in millionths of the file system's size.
//! Errors  a value that cannot be read says what is wrong with it; whoever knows the setting's name adds it.
//! Source  Ozone's `hdds.datanode.dir.du.reserved` (`FOLDER:SIZE,…`) and `….percent` (a share from 0 to 1): what is said of a
//!         volume by name counts, the share holds for all others.

use allotrope_types::ByteCount;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// Parts of a whole in which shares are kept.
const WHOLE: u64 = 1_000_000;

/// How much of each volume is not ours.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reserved {
    by_volume: BTreeMap<PathBuf, ByteCount>,
    /// Of the volumes that are not named.
    share: u64,
}

impl Default for Reserved {
    /// A ten-thousandth of each volume, as Ozone's.
    fn default() -> Reserved {
        Reserved { by_volume: BTreeMap::new(), share: WHOLE / 10_000 }
    }
}

impl Reserved {
    /// The same, with `pairs` of folders and sizes: `/data/disk1:100GB,/data/disk2:5GB`.
    pub fn with_volumes(mut self, pairs: &str) -> Result<Reserved, String> {
        for pair in pairs.split(',').map(str::trim).filter(|pair| !pair.is_empty()) {
            let (folder, size) =
                pair.rsplit_once(':').ok_or_else(|| format!("{pair:?} is not FOLDER:SIZE"))?;
            let size: ByteCount = size.trim().parse().map_err(|e| format!("{pair:?}: {e}"))?;
            self.by_volume.insert(plain(Path::new(folder.trim())), size);
        }
        Ok(self)
    }

    /// The same, with the share of the volumes that are not named: `0.1` is a tenth.
    pub fn with_share(mut self, share: &str) -> Result<Reserved, String> {
        let number: f64 = share.trim().parse().map_err(|_| format!("{share:?} is no number"))?;
        if !(0.0..=1.0).contains(&number) {
            return Err(format!("{share} is not between 0 and 1"));
        }
        self.share = (number * WHOLE as f64).round() as u64;
        Ok(self)
    }

    /// Bytes that are reserved on the volume at `root`, whose file system has `capacity`.
    pub fn on(&self, root: &Path, capacity: u64) -> u64 {
        match self.by_volume.get(&plain(root)) {
            Some(size) => size.as_u64(),
            None => (u128::from(capacity) * u128::from(self.share)).div_ceil(u128::from(WHOLE)) as u64,
        }
    }
}

/// The folder without the `hdds` that Ozone puts below it, and without slashes that mean nothing.
fn plain(folder: &Path) -> PathBuf {
    let folder: PathBuf = folder.components().collect();
    match folder.file_name().is_some_and(|name| name == "hdds") {
        true => folder.parent().map(Path::to_owned).unwrap_or_default(),
        false => folder,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GIB: u64 = 1 << 30;

    #[test]
    fn a_volume_that_is_named_keeps_its_size_and_others_the_share() {
        let reserved = Reserved::default().with_share("0.05").unwrap();
        let reserved = reserved.with_volumes("/data/disk1:10GB, /data/disk2/hdds/: 1MB ,").unwrap();
        assert_eq!(reserved.on(Path::new("/data/disk1/"), 100 * GIB), 10 * GIB);
        assert_eq!(reserved.on(Path::new("/data/disk2"), 100 * GIB), 1 << 20);
        assert_eq!(reserved.on(Path::new("/data/disk3"), 100 * GIB), 5 * GIB);
        assert_eq!(Reserved::default().on(Path::new("/data"), 100_000_000), 10_000);
        assert_eq!(Reserved::default().with_share("1").unwrap().on(Path::new("/d"), u64::MAX), u64::MAX);
    }

    #[test]
    fn what_cannot_be_read_is_said() {
        for pairs in ["/data/disk1", "/data/disk1:much", "100GB", "/data:10GB:"] {
            assert!(Reserved::default().with_volumes(pairs).is_err(), "{pairs}");
        }
        for share in ["", "10%", "-0.1", "1.5", "NaN"] {
            assert!(Reserved::default().with_share(share).is_err(), "{share}");
        }
    }
}
