//! What tonic frames: bytes in, a ready message out. Parsing stays with [`crate::decode`], which checks more.

use bytes::{Buf, BufMut, Bytes, BytesMut};
use tonic::Status;
use tonic::codec::{BufferSettings, Codec, DecodeBuf, Decoder, EncodeBuf, Encoder};

use crate::rpc::Encoded;

/// A buffer for one small message; larger ones grow it once, to their own length.
const BUFFER: usize = 4 << 10;

/// Bytes as they are.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Raw;

/// The one message that a unary call has in each direction; tonic itself would skip a second one.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct One {
    taken: bool,
}

impl Decoder for One {
    type Item = Bytes;
    type Error = Status;

    fn decode(&mut self, from: &mut DecodeBuf<'_>) -> Result<Option<Bytes>, Status> {
        if std::mem::replace(&mut self.taken, true) {
            return Err(Status::internal("a second message, where a call has one"));
        }
        Ok(Some(from.copy_to_bytes(from.remaining())))
    }

    fn buffer_settings(&self) -> BufferSettings {
        BufferSettings::new(BUFFER, 2 * BUFFER)
    }
}

impl Encoder for Raw {
    type Item = Bytes;
    type Error = Status;

    fn encode(&mut self, message: Bytes, into: &mut EncodeBuf<'_>) -> Result<(), Status> {
        into.reserve(message.len());
        into.put(message);
        Ok(())
    }

    fn buffer_settings(&self) -> BufferSettings {
        BufferSettings::new(BUFFER, 2 * BUFFER)
    }
}

/// A client's codec: both messages are bytes.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct ClientCodec;

impl Codec for ClientCodec {
    type Encode = Bytes;
    type Decode = Bytes;
    type Encoder = Raw;
    type Decoder = One;

    fn encoder(&mut self) -> Raw {
        Raw
    }

    fn decoder(&mut self) -> One {
        One::default()
    }
}

/// A server's codec: the request is bytes, the response a message that is yet to be written.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct ServerCodec;

impl Codec for ServerCodec {
    type Encode = Box<dyn Encoded>;
    type Decode = Bytes;
    type Encoder = AnswerEncoder;
    type Decoder = One;

    fn encoder(&mut self) -> AnswerEncoder {
        AnswerEncoder
    }

    fn decoder(&mut self) -> One {
        One::default()
    }
}

/// Writes a response message.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct AnswerEncoder;

impl Encoder for AnswerEncoder {
    type Item = Box<dyn Encoded>;
    type Error = Status;

    fn encode(&mut self, message: Box<dyn Encoded>, into: &mut EncodeBuf<'_>) -> Result<(), Status> {
        // tonic lends its buffer by a trait that prost cannot fill without knowing the message; one copy is the price.
        let mut bytes = BytesMut::with_capacity(message.encoded_len());
        message.write_to(&mut bytes);
        into.reserve(bytes.len());
        into.put(bytes);
        Ok(())
    }

    fn buffer_settings(&self) -> BufferSettings {
        BufferSettings::new(BUFFER, 2 * BUFFER)
    }
}
