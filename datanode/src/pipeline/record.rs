//! What a member keeps of a pipeline on disk: that it is in it, and whether its epoch has ended here.
//!
//! Shape   one file a pipeline, `pipelines/<uuid>` in the metadata folder, replaced whole.
//! Errors  [`RecordError`]; a file that does not read is an epoch that has ended.
//! Source  docs/formats/pipeline-record.md.

use crate::block::records::crc32c;
use allotrope_io::{Disk, DiskError};
use allotrope_types::{DatanodeId, PipelineId};
use std::path::{Path, PathBuf};

const MAGIC: [u8; 4] = *b"ALPE";
const VERSION: u8 = 1;
const HEAD_LEN: usize = 40;
const FILE_MAX: usize = 1 << 10;

/// Where a member is in an epoch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// It takes part.
    Open,
    /// It has ended the epoch; SCM has not said yet that it knows.
    Ended,
    /// It has ended the epoch and SCM has closed the pipeline.
    Closed,
}

/// A pipeline as a member remembers it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// Its name.
    pub id: PipelineId,
    /// Its members, in SCM's order.
    pub members: Vec<DatanodeId>,
    /// Which of them leads.
    pub leader: usize,
    /// Where this member is in it.
    pub standing: Standing,
    /// No index above this one was ever given; kept only by a member that is alone.
    pub reserved: u64,
    /// When its epoch ended here, in ms since 1970; 0 while it has not.
    pub ended_ms: u64,
}

/// Bytes that are no record.
#[derive(Debug, thiserror::Error)]
pub enum RecordError {
    /// The disk.
    #[error(transparent)]
    Disk(#[from] DiskError),
    /// The bytes.
    #[error("{path} is no pipeline's record: {why}")]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        why: &'static str,
    },
}

impl Record {
    /// As it lies in its file.
    pub fn encode(&self) -> Vec<u8> {
        let mut bytes = MAGIC.to_vec();
        bytes.push(VERSION);
        bytes.push(match self.standing {
            Standing::Open => 1,
            Standing::Ended => 2,
            Standing::Closed => 3,
        });
        bytes.push(u8::try_from(self.members.len()).expect("a plan has 16 members at the most"));
        bytes.push(u8::try_from(self.leader).expect("the leader is one of them"));
        bytes.extend_from_slice(self.id.as_bytes());
        bytes.extend_from_slice(&self.reserved.to_be_bytes());
        bytes.extend_from_slice(&self.ended_ms.to_be_bytes());
        self.members.iter().for_each(|member| bytes.extend_from_slice(member.as_bytes()));
        bytes.extend_from_slice(&crc32c(&bytes).to_be_bytes());
        bytes
    }

    /// Reads a file's bytes.
    pub fn decode(bytes: &[u8]) -> Result<Record, &'static str> {
        let (body, sum) = bytes.split_last_chunk::<4>().ok_or("it is too short")?;
        if body.len() < HEAD_LEN || body[..4] != MAGIC {
            return Err("it does not begin as one");
        }
        if crc32c(body) != u32::from_be_bytes(*sum) {
            return Err("its checksum is another");
        }
        if body[4] != VERSION {
            return Err("a newer version wrote it");
        }
        let standing = match body[5] {
            1 => Standing::Open,
            2 => Standing::Ended,
            3 => Standing::Closed,
            _ => return Err("its standing is none"),
        };
        let members: Vec<DatanodeId> =
            body[HEAD_LEN..].as_chunks::<16>().0.iter().map(|id| DatanodeId::from_bytes(*id)).collect();
        let leader = usize::from(body[7]);
        if body.len() != HEAD_LEN + 16 * usize::from(body[6]) || leader >= members.len() {
            return Err("its members are not as many as it says");
        }
        let number =
            |at: usize| body[at..at + 8].iter().fold(0, |number, byte| number << 8 | u64::from(*byte));
        let id = body[8..24].try_into().map_err(|_| "it is too short")?;
        let (reserved, ended_ms) = (number(24), number(32));
        Ok(Record { id: PipelineId::from_bytes(id), members, leader, standing, reserved, ended_ms })
    }
}

fn folder(metadata_dir: &Path) -> PathBuf {
    metadata_dir.join("pipelines")
}

/// Writes a record durably.
pub async fn save(disk: &Disk, metadata_dir: &Path, record: &Record) -> Result<(), DiskError> {
    let folder = folder(metadata_dir);
    if disk.stat(&folder).await?.is_none() {
        disk.create_dir_all(&folder).await?;
        disk.sync_dir(metadata_dir).await?;
    }
    disk.replace(folder.join(record.id.to_string()), &record.encode()).await
}

/// The record of a pipeline, if there is one.
pub async fn load(disk: &Disk, metadata_dir: &Path, id: PipelineId) -> Result<Option<Record>, RecordError> {
    read(disk, folder(metadata_dir).join(id.to_string())).await
}

async fn read(disk: &Disk, path: PathBuf) -> Result<Option<Record>, RecordError> {
    match disk.read_small(&path, FILE_MAX).await {
        Ok(bytes) => Record::decode(&bytes).map(Some).map_err(|why| RecordError::Damaged { path, why }),
        Err(e) if e.is_not_found() => Ok(None),
        Err(e) => Err(e.into()),
    }
}

/// All records, and the files that are none.
pub async fn load_all(
    disk: &Disk,
    metadata_dir: &Path,
) -> Result<(Vec<Record>, Vec<RecordError>), DiskError> {
    let folder = folder(metadata_dir);
    let (mut good, mut bad) = (Vec::new(), Vec::new());
    if disk.stat(&folder).await?.is_none() {
        return Ok((good, bad));
    }
    for entry in disk.list(&folder).await? {
        let named = entry.path.file_name().and_then(|name| name.to_str()).map(str::parse::<PipelineId>);
        if !matches!(named, Some(Ok(_))) || entry.is_dir {
            continue;
        }
        match read(disk, entry.path).await {
            Ok(record) => good.extend(record),
            Err(e) => bad.push(e),
        }
    }
    Ok((good, bad))
}

/// Forgets a pipeline.
pub async fn remove(disk: &Disk, metadata_dir: &Path, id: PipelineId) -> Result<(), DiskError> {
    disk.remove(folder(metadata_dir).join(id.to_string())).await
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn record() -> Record {
        Record {
            id: PipelineId::from_random_bytes([7; 16]),
            members: (1..=3).map(|n| DatanodeId::from_random_bytes([n; 16])).collect(),
            leader: 2,
            standing: Standing::Ended,
            reserved: 258,
            ended_ms: 3,
        }
    }

    #[test]
    fn a_record_is_drawn_as_in_the_format_page() {
        let bytes = record().encode();
        assert_eq!(bytes.len(), 40 + 3 * 16 + 4);
        assert_eq!(bytes[..8], *b"ALPE\x01\x02\x03\x02");
        assert_eq!(bytes[24..40], *b"\0\0\0\0\0\0\x01\x02\0\0\0\0\0\0\0\x03");
        assert_eq!(bytes[40..56], *record().members[0].as_bytes());
        assert_eq!(Record::decode(&bytes), Ok(record()));
    }

    #[test]
    fn every_damaged_byte_is_noticed() {
        let bytes = record().encode();
        for at in 0..bytes.len() {
            let mut damaged = bytes.clone();
            damaged[at] ^= 1;
            assert!(Record::decode(&damaged).is_err(), "byte {at}");
            assert!(Record::decode(&bytes[..at]).is_err(), "cut at {at}");
        }
        let mut newer = bytes[..bytes.len() - 4].to_vec();
        newer[4] = 2;
        newer.extend_from_slice(&crc32c(&newer).to_be_bytes());
        assert_eq!(Record::decode(&newer), Err("a newer version wrote it"));
    }

    proptest! {
        #[test]
        fn no_bytes_panic(bytes in prop::collection::vec(any::<u8>(), 0..120)) {
            let _ = Record::decode(&bytes);
        }
    }
}
