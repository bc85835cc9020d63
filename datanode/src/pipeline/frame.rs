//! The words between a pipeline's leader and a follower, byte by byte: pure.
//!
//! Shape   the leader connects and says [`Hello`], the follower [`Welcome`]; then [`Frame`]s go one way and [`Ack`]s the
//!         other. A command's protocol message and its data follow its frame.
//! Errors  [`Foreign`]: the peer speaks something else, or bytes were changed on the way.
//! Source  docs/formats/pipeline-stream.md.

use crate::block::records::crc32c;
use allotrope_types::{DatanodeId, DatanodeResult, PipelineId};

/// What a member's connection begins with; HTTP/2 begins with `PRI `.
pub const MAGIC: [u8; 4] = *b"ALPL";
const VERSION: u8 = 1;
/// Bytes of a [`Hello`].
pub const HELLO_LEN: usize = 81;
/// Bytes of a [`Welcome`].
pub const WELCOME_LEN: usize = 18;
/// Bytes of a [`Frame`].
pub const FRAME_LEN: usize = 32;
/// Bytes of an [`Ack`].
pub const ACK_LEN: usize = 16;
/// The longest command without its data, and the longest data.
pub const COMMAND_MAX: usize = 8 << 20;
/// The longest data of a command: Ozone's longest chunk.
pub const DATA_MAX: usize = 32 << 20;

/// Bytes that are none of these words.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the peer does not speak this stream: {0}")]
pub struct Foreign(pub &'static str);

/// What a leader says first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Hello {
    /// The pipeline.
    pub pipeline: PipelineId,
    /// Who leads it, and says this.
    pub leader: DatanodeId,
    /// Whom it is meant for.
    pub follower: DatanodeId,
    /// Drawn when the leader took the pipeline up: another one is another run of it, whose numbers start over.
    pub run: [u8; 16],
    /// Every index below was answered to the leader by all members.
    pub answered: u64,
}

/// Whether a follower goes along.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Greeting {
    /// It does, from this index on.
    Goes(u64),
    /// SCM has not told it of the pipeline yet.
    Unknown,
    /// Its epoch has ended here.
    Ended,
    /// It knows another leader or another run of it.
    Mismatch,
}

/// What a follower answers a [`Hello`].
pub type Welcome = Greeting;

/// The head of what a leader sends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Frame {
    /// A command; its message and its data follow.
    Command {
        /// Its number.
        index: u64,
        /// Every index below was answered to the leader by all members.
        answered: u64,
        /// Bytes of its message.
        command: usize,
        /// Bytes of its data.
        data: usize,
        /// CRC-32C of the message.
        sum: u32,
    },
    /// The epoch has ended.
    End,
    /// The leader is there.
    Ping {
        /// Every index below was answered to the leader by all members.
        answered: u64,
    },
}

/// What a follower sends back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ack {
    /// A command was carried out, with this result.
    Done {
        /// Its number.
        index: u64,
        /// What came of it.
        result: DatanodeResult,
    },
    /// The epoch has ended here: nothing is taken any more.
    Ended,
    /// The follower is there.
    Pong,
}

fn sealed(mut bytes: Vec<u8>) -> Vec<u8> {
    bytes.extend_from_slice(&crc32c(&bytes).to_be_bytes());
    bytes
}

fn opened(bytes: &[u8], len: usize) -> Result<&[u8], Foreign> {
    match bytes.split_last_chunk::<4>() {
        Some((body, sum)) if bytes.len() == len => match crc32c(body) == u32::from_be_bytes(*sum) {
            true => Ok(body),
            false => Err(Foreign("a checksum is another")),
        },
        _ => Err(Foreign("too few bytes")),
    }
}

fn number(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0, |number, byte| number << 8 | u64::from(*byte))
}

fn sixteen(bytes: &[u8]) -> Result<[u8; 16], Foreign> {
    bytes.try_into().map_err(|_| Foreign("too few bytes"))
}

fn versioned(body: &[u8]) -> Result<(), Foreign> {
    match body {
        [a, b, c, d, VERSION, ..] if [*a, *b, *c, *d] == MAGIC => Ok(()),
        [a, b, c, d, ..] if [*a, *b, *c, *d] == MAGIC => Err(Foreign("another version")),
        _ => Err(Foreign("no magic")),
    }
}

impl Hello {
    /// As it goes on the wire.
    pub fn encode(&self) -> Vec<u8> {
        let mut bytes = MAGIC.to_vec();
        bytes.push(VERSION);
        bytes.extend_from_slice(self.pipeline.as_bytes());
        bytes.extend_from_slice(self.leader.as_bytes());
        bytes.extend_from_slice(self.follower.as_bytes());
        bytes.extend_from_slice(&self.run);
        bytes.extend_from_slice(&self.answered.to_be_bytes());
        sealed(bytes)
    }

    /// Reads [`HELLO_LEN`] bytes.
    pub fn decode(bytes: &[u8]) -> Result<Hello, Foreign> {
        // The version first: a newer one may be sealed otherwise.
        versioned(bytes)?;
        let body = opened(bytes, HELLO_LEN)?;
        Ok(Hello {
            pipeline: PipelineId::from_bytes(sixteen(&body[5..21])?),
            leader: DatanodeId::from_bytes(sixteen(&body[21..37])?),
            follower: DatanodeId::from_bytes(sixteen(&body[37..53])?),
            run: sixteen(&body[53..69])?,
            answered: number(&body[69..77]),
        })
    }
}

impl Greeting {
    /// As it goes on the wire.
    pub fn encode(self) -> Vec<u8> {
        let mut bytes = MAGIC.to_vec();
        bytes.push(VERSION);
        let (code, next) = match self {
            Greeting::Goes(next) => (1, next),
            Greeting::Unknown => (2, 0),
            Greeting::Ended => (3, 0),
            Greeting::Mismatch => (4, 0),
        };
        bytes.push(code);
        bytes.extend_from_slice(&u64::to_be_bytes(next));
        sealed(bytes)
    }

    /// Reads [`WELCOME_LEN`] bytes.
    pub fn decode(bytes: &[u8]) -> Result<Greeting, Foreign> {
        versioned(bytes)?;
        let body = opened(bytes, WELCOME_LEN)?;
        match body[5] {
            1 => Ok(Greeting::Goes(number(&body[6..14]))),
            2 => Ok(Greeting::Unknown),
            3 => Ok(Greeting::Ended),
            4 => Ok(Greeting::Mismatch),
            _ => Err(Foreign("a greeting that is none")),
        }
    }
}

impl Frame {
    /// As it goes on the wire.
    pub fn encode(self) -> Vec<u8> {
        let mut bytes = vec![0; FRAME_LEN - 4];
        let mut put = |at: usize, part: &[u8]| bytes[at..at + part.len()].copy_from_slice(part);
        match self {
            Frame::Command { index, answered, command, data, sum } => {
                put(0, &[1]);
                let len = |len: usize| u32::try_from(len).expect("a command is below 4 GiB").to_be_bytes();
                // The message's length has three bytes: it is below 16 MiB.
                put(1, &len(command)[1..]);
                put(4, &len(data));
                put(8, &index.to_be_bytes());
                put(16, &answered.to_be_bytes());
                put(24, &sum.to_be_bytes());
            }
            Frame::End => put(0, &[2]),
            Frame::Ping { answered } => {
                put(0, &[3]);
                put(16, &answered.to_be_bytes());
            }
        }
        sealed(bytes)
    }

    /// Reads [`FRAME_LEN`] bytes.
    pub fn decode(bytes: &[u8]) -> Result<Frame, Foreign> {
        let body = opened(bytes, FRAME_LEN)?;
        let answered = number(&body[16..24]);
        match body[0] {
            1 => {
                let (command, data) = (number(&body[1..4]) as usize, number(&body[4..8]) as usize);
                if command > COMMAND_MAX || data > DATA_MAX {
                    return Err(Foreign("a command longer than any"));
                }
                let (index, sum) = (number(&body[8..16]), number(&body[24..28]) as u32);
                Ok(Frame::Command { index, answered, command, data, sum })
            }
            2 => Ok(Frame::End),
            3 => Ok(Frame::Ping { answered }),
            _ => Err(Foreign("a frame that is none")),
        }
    }
}

impl Ack {
    /// As it goes on the wire.
    pub fn encode(self) -> Vec<u8> {
        let (kind, result, index) = match self {
            Ack::Done { index, result } => (1, result.number() as u16, index),
            Ack::Ended => (2, 0, 0),
            Ack::Pong => (3, 0, 0),
        };
        let mut bytes = vec![kind, 0];
        bytes.extend_from_slice(&u16::to_be_bytes(result));
        bytes.extend_from_slice(&u64::to_be_bytes(index));
        sealed(bytes)
    }

    /// Reads [`ACK_LEN`] bytes.
    pub fn decode(bytes: &[u8]) -> Result<Ack, Foreign> {
        let body = opened(bytes, ACK_LEN)?;
        match body[0] {
            1 => {
                let code = number(&body[2..4]) as i32;
                let result = DatanodeResult::from_number(code).ok_or(Foreign("a result that is none"))?;
                Ok(Ack::Done { index: number(&body[4..12]), result })
            }
            2 => Ok(Ack::Ended),
            3 => Ok(Ack::Pong),
            _ => Err(Foreign("an answer that is none")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn hello() -> Hello {
        Hello {
            pipeline: PipelineId::from_random_bytes([1; 16]),
            leader: DatanodeId::from_random_bytes([2; 16]),
            follower: DatanodeId::from_random_bytes([3; 16]),
            run: [4; 16],
            answered: 258,
        }
    }

    #[test]
    fn the_words_are_drawn_as_in_the_format_page() {
        let bytes = hello().encode();
        assert_eq!((bytes.len(), &bytes[..5]), (HELLO_LEN, &b"ALPL\x01"[..]));
        assert_eq!(bytes[69..77], *b"\0\0\0\0\0\0\x01\x02");
        let bytes = Greeting::Goes(9).encode();
        assert_eq!((bytes.len(), &bytes[..14]), (WELCOME_LEN, &b"ALPL\x01\x01\0\0\0\0\0\0\0\x09"[..]));
        let frame = Frame::Command { index: 5, answered: 4, command: 258, data: 1 << 22, sum: 7 };
        let bytes = frame.encode();
        assert_eq!((bytes.len(), &bytes[..8]), (FRAME_LEN, &b"\x01\0\x01\x02\0\x40\0\0"[..]));
        assert_eq!(bytes[8..28], *b"\0\0\0\0\0\0\0\x05\0\0\0\0\0\0\0\x04\0\0\0\x07");
        let ack = Ack::Done { index: 5, result: DatanodeResult::Success }.encode();
        assert_eq!((ack.len(), &ack[..12]), (ACK_LEN, &b"\x01\0\0\x01\0\0\0\0\0\0\0\x05"[..]));
    }

    #[test]
    fn another_version_is_refused_by_name() {
        let mut newer = hello().encode();
        newer[4] = 2;
        assert_eq!(Hello::decode(&newer), Err(Foreign("another version")));
        assert_eq!(Hello::decode(b"PRI * HTTP/2.0"), Err(Foreign("no magic")));
    }

    #[test]
    fn every_changed_bit_is_noticed() {
        let frame = Frame::Command { index: 5, answered: 4, command: 258, data: 77, sum: 7 };
        let all = [hello().encode(), Greeting::Goes(9).encode(), frame.encode(), Ack::Ended.encode()];
        for (word, bytes) in all.iter().enumerate() {
            for bit in 0..bytes.len() * 8 {
                let mut bytes = bytes.clone();
                bytes[bit / 8] ^= 1 << (bit % 8);
                let read = match word {
                    0 => Hello::decode(&bytes).is_ok(),
                    1 => Greeting::decode(&bytes).is_ok(),
                    2 => Frame::decode(&bytes).is_ok(),
                    _ => Ack::decode(&bytes).is_ok(),
                };
                assert!(!read, "word {word}, bit {bit}");
            }
        }
    }

    proptest! {
        #[test]
        fn words_survive_the_wire_and_no_bytes_panic(
            index: u64, answered: u64, command in 0..COMMAND_MAX, data in 0..DATA_MAX, sum: u32,
            code in 1i32..49, noise in prop::collection::vec(any::<u8>(), 0..100),
        ) {
            for frame in [Frame::Command { index, answered, command, data, sum }, Frame::End, Frame::Ping { answered }] {
                prop_assert_eq!(Frame::decode(&frame.encode()), Ok(frame));
            }
            if let Some(result) = DatanodeResult::from_number(code) {
                let ack = Ack::Done { index, result };
                prop_assert_eq!(Ack::decode(&ack.encode()), Ok(ack));
            }
            for greeting in [Greeting::Goes(index), Greeting::Unknown, Greeting::Ended, Greeting::Mismatch] {
                prop_assert_eq!(Greeting::decode(&greeting.encode()), Ok(greeting));
            }
            let _ = (Hello::decode(&noise), Greeting::decode(&noise), Frame::decode(&noise), Ack::decode(&noise));
        }
    }
}
