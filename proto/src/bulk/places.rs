//! Where the bulk fields lie.

use crate::Checked;
use crate::container::{
    ContainerCommandRequestProto, ContainerCommandResponseProto, CopyContainerResponseProto,
    SendContainerRequest,
};
use crate::ratis::RaftClientRequestProto;

/// A field that is a bulk field or leads to one.
#[derive(Debug)]
pub struct Place {
    /// The field's number.
    pub number: u32,
    /// The field's name, for errors.
    pub name: &'static str,
    /// What it holds.
    pub inside: Inside,
}

/// What a [`Place`] holds.
#[derive(Debug)]
pub enum Inside {
    /// The bulk bytes.
    Bulk,
    /// Bulk bytes, any number of times.
    Repeated,
    /// Messages, any number of times, each set apart as it was encoded: nothing of them stays in the message.
    Apart,
    /// A message with bulk bytes further down.
    Message(&'static str, &'static [Place]),
    /// A proto3 message with one bulk field: empty, that field is not written at all, and the weaver adds it.
    Proto3(&'static str, &'static Place),
}

/// A message with bulk fields.
pub trait BulkMessage: Checked {
    /// The way to each of them.
    const PLACES: &'static [Place];
}

const fn bulk(number: u32, name: &'static str) -> Place {
    Place { number, name, inside: Inside::Bulk }
}

const READ_CHUNK_RESPONSE: &[Place] = &[
    bulk(3, "data"),
    Place {
        number: 4,
        name: "dataBuffers",
        inside: Inside::Message(
            "DataBuffers",
            &[Place { number: 1, name: "buffers", inside: Inside::Repeated }],
        ),
    },
];

const WRITE_CHUNK_REQUEST: Place = Place {
    number: 17,
    name: "writeChunk",
    inside: Inside::Message("WriteChunkRequestProto", &[bulk(3, "data")]),
};

const PUT_SMALL_FILE_REQUEST: Place = Place {
    number: 20,
    name: "putSmallFile",
    inside: Inside::Message("PutSmallFileRequestProto", &[bulk(3, "data")]),
};

/// The way to the chunks of a PutBlock's list.
const PUT_BLOCK_REQUEST: Place = Place {
    number: 12,
    name: "putBlock",
    inside: Inside::Message(
        "PutBlockRequestProto",
        &[Place {
            number: 1,
            name: "blockData",
            inside: Inside::Message(
                "BlockData",
                &[Place { number: 4, name: "chunks", inside: Inside::Apart }],
            ),
        }],
    ),
};

impl BulkMessage for ContainerCommandRequestProto {
    const PLACES: &'static [Place] = &[WRITE_CHUNK_REQUEST, PUT_SMALL_FILE_REQUEST];
}

/// As `PLACES`, and the chunks of a PutBlock's list.
pub(super) const REQUEST_AND_LIST: &[Place] =
    &[WRITE_CHUNK_REQUEST, PUT_SMALL_FILE_REQUEST, PUT_BLOCK_REQUEST];

impl BulkMessage for ContainerCommandResponseProto {
    const PLACES: &'static [Place] = &[
        Place {
            number: 16,
            name: "readChunk",
            inside: Inside::Message("ReadChunkResponseProto", READ_CHUNK_RESPONSE),
        },
        Place {
            number: 20,
            name: "getSmallFile",
            inside: Inside::Message(
                "GetSmallFileResponseProto",
                &[Place {
                    number: 1,
                    name: "data",
                    inside: Inside::Message("ReadChunkResponseProto", READ_CHUNK_RESPONSE),
                }],
            ),
        },
        Place {
            number: 25,
            name: "readBlock",
            inside: Inside::Message("ReadBlockResponseProto", &[bulk(3, "data")]),
        },
    ];
}

impl BulkMessage for SendContainerRequest {
    const PLACES: &'static [Place] = &[bulk(3, "data")];
}

impl BulkMessage for CopyContainerResponseProto {
    const PLACES: &'static [Place] = &[bulk(5, "data")];
}

impl BulkMessage for RaftClientRequestProto {
    const PLACES: &'static [Place] = &[Place {
        number: 2,
        name: "message",
        inside: Inside::Proto3("ClientMessageEntryProto", &bulk(1, "content")),
    }];
}
