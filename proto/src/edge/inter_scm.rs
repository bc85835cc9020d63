//! SCM to SCM: a checkpoint of the leader's database, part by part.
//!
//! Units   offsets and lengths are bytes of the whole archive.
//! Errors  a part whose `len` is not the length of its data is refused: the next one would be written in the wrong place.

use allotrope_types::{ByteCount, FileOffset};
use bytes::Bytes;

use super::field::{At, Field};
use crate::inter_scm as wire;
use crate::inter_scm::CopyDbCheckpointResponseProto;
use crate::{Checked, WireError};

message! {
    /// Asks for a checkpoint; `flush` writes out first what is still in memory.
    DownloadCheckpoint = wire => CopyDbCheckpointRequestProto {
        flush: bool,
    }
}

/// One part of a checkpoint.
#[derive(Clone, Debug, PartialEq)]
pub struct CheckpointPart {
    /// The cluster whose database it is.
    pub cluster_id: String,
    /// Where in the archive.
    pub read_offset: FileOffset,
    /// The bytes.
    pub data: Bytes,
    /// Whether this is the last.
    pub eof: bool,
    /// Nobody uses it.
    pub checksum: Option<i64>,
}

impl TryFrom<CopyDbCheckpointResponseProto> for CheckpointPart {
    type Error = WireError;

    fn try_from(message: CopyDbCheckpointResponseProto) -> Result<CheckpointPart, WireError> {
        let at = |field| At::new(CopyDbCheckpointResponseProto::RULES, field);
        let CopyDbCheckpointResponseProto { cluster_id, len, eof, data, read_offset, checksum } = message;
        let len: ByteCount = Field::read(len, at("len"))?;
        if len.as_u64() != data.len() as u64 {
            let why = format!("is {}, and there are {} bytes", len.as_u64(), data.len());
            return Err(at("len").invalid(why));
        }
        let read_offset = Field::read(read_offset, at("read_offset"))?;
        Ok(CheckpointPart { cluster_id, read_offset, data, eof, checksum })
    }
}

impl From<CheckpointPart> for CopyDbCheckpointResponseProto {
    fn from(part: CheckpointPart) -> CopyDbCheckpointResponseProto {
        CopyDbCheckpointResponseProto {
            cluster_id: part.cluster_id,
            len: part.data.len() as u64,
            eof: part.eof,
            data: part.data,
            read_offset: part.read_offset.as_u64(),
            checksum: part.checksum,
        }
    }
}
