//! Container archives between datanodes, part by part.

use allotrope_types::{ByteCount, ContainerId, FileOffset};
use bytes::Bytes;

use super::field::{At, Field, enums};
use crate::bulk::{self, Bulky, SplitLimits};
use crate::container as wire;
use crate::container::{CopyContainerResponseProto, SendContainerRequest};
use crate::{Checked, Rope, WireError};

pub use crate::container::CopyContainerCompressProto as Compression;

enums!(Compression);

message! {
    /// Asks for a container's archive; release 2.2 still answers, newer ones do not.
    Download = wire => CopyContainerRequestProto {
        container_id: ContainerId,
        read_offset: FileOffset,
        len: Option<ByteCount>,
        version: Option<u32>,
        compression: Option<Compression>,
    }
}

empty! {
    wire;
    SendContainerResponse,
}

/// One part of an archive that is pushed.
#[derive(Clone, Debug, PartialEq)]
pub struct UploadPart {
    /// The container.
    pub container: ContainerId,
    /// Where in the archive; parts follow each other without gaps.
    pub offset: FileOffset,
    /// The bytes.
    pub data: Rope,
    /// Nobody uses it.
    pub checksum: Option<i64>,
    /// How the whole archive is compressed.
    pub compression: Option<Compression>,
    /// In the first part: bytes the container uses.
    pub size: Option<ByteCount>,
}

impl UploadPart {
    /// Reads a part of which `frames` is the whole.
    ///
    /// # Errors
    /// [`WireError`] if it is no part, or exceeds `limits`.
    pub fn read(frames: Rope, limits: SplitLimits) -> Result<UploadPart, WireError> {
        bulk::split(frames, limits)?.try_into()
    }

    /// The part as it goes on the wire.
    pub fn frames(self) -> Rope {
        bulk::weave(Bulky::<SendContainerRequest>::from(self))
    }
}

impl TryFrom<Bulky<SendContainerRequest>> for UploadPart {
    type Error = WireError;

    fn try_from(bulky: Bulky<SendContainerRequest>) -> Result<UploadPart, WireError> {
        let at = |field| At::new(SendContainerRequest::RULES, field);
        let SendContainerRequest { container_id, offset, data, checksum, compression, size } = bulky.message;
        Ok(UploadPart {
            container: Field::read(container_id, at("container_id"))?,
            offset: Field::read(offset, at("offset"))?,
            data: one_rope(data, bulky.bulk, at("data"))?,
            checksum,
            compression: Field::read(compression, at("compression"))?,
            size: Field::read(size, at("size"))?,
        })
    }
}

impl From<UploadPart> for Bulky<SendContainerRequest> {
    fn from(part: UploadPart) -> Bulky<SendContainerRequest> {
        let message = SendContainerRequest {
            container_id: part.container.to_wire(),
            offset: part.offset.as_u64(),
            data: Bytes::new(),
            checksum: part.checksum,
            compression: part.compression.write(),
            size: part.size.write(),
        };
        Bulky { message, bulk: vec![part.data] }
    }
}

/// The one bulk field of a message: apart, or still inside if it was decoded whole.
fn one_rope(inside: Bytes, bulk: Vec<Rope>, at: At) -> Result<Rope, WireError> {
    match (inside.is_empty(), bulk.len()) {
        (true, 1) => Ok(bulk.into_iter().flatten().collect()),
        (_, 0) => Ok(inside.into()),
        _ => Err(at.invalid("is there both inside the message and apart from it")),
    }
}

/// One part of an archive that is pulled.
#[derive(Clone, Debug, PartialEq)]
pub struct DownloadPart {
    /// The container.
    pub container: ContainerId,
    /// Where in the archive.
    pub read_offset: FileOffset,
    /// How many bytes.
    pub len: ByteCount,
    /// Whether this is the last.
    pub eof: bool,
    /// The bytes.
    pub data: Rope,
    /// Nobody uses it.
    pub checksum: Option<i64>,
}

impl TryFrom<Bulky<CopyContainerResponseProto>> for DownloadPart {
    type Error = WireError;

    fn try_from(bulky: Bulky<CopyContainerResponseProto>) -> Result<DownloadPart, WireError> {
        let at = |field| At::new(CopyContainerResponseProto::RULES, field);
        let CopyContainerResponseProto { container_id, read_offset, len, eof, data, checksum } =
            bulky.message;
        let data = one_rope(data, bulky.bulk, at("data"))?;
        let len: ByteCount = Field::read(len, at("len"))?;
        if len.as_u64() != data.len() as u64 {
            return Err(at("len").invalid(format!(
                "is {}, and there are {} bytes",
                len.as_u64(),
                data.len()
            )));
        }
        Ok(DownloadPart {
            container: Field::read(container_id, at("container_id"))?,
            read_offset: Field::read(read_offset, at("read_offset"))?,
            len,
            eof,
            data,
            checksum,
        })
    }
}

impl From<DownloadPart> for Bulky<CopyContainerResponseProto> {
    fn from(part: DownloadPart) -> Bulky<CopyContainerResponseProto> {
        let message = CopyContainerResponseProto {
            container_id: part.container.to_wire(),
            read_offset: part.read_offset.as_u64(),
            len: part.len.as_u64(),
            eof: part.eof,
            data: Bytes::new(),
            checksum: part.checksum,
        };
        Bulky { message, bulk: vec![part.data] }
    }
}
