//! The words at the beginning and the end of a transfer, byte by byte: pure.
//!
//! Source  docs/formats/container-stream.md.

use allotrope_types::{ContainerId, DatanodeResult};

/// What a transfer begins with; HTTP/2 begins with `PRI `.
pub const MAGIC: [u8; 4] = *b"ALRC";
const VERSION: u8 = 1;
/// Bytes of a [`Hello`].
pub const HELLO_LEN: usize = 46;
/// Bytes of an [`Answer`] without its text.
pub const ANSWER_LEN: usize = 17;
/// The longest text of an answer.
const TEXT_MAX: usize = 4096;

/// What the sender says first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Hello {
    /// The container.
    pub container: ContainerId,
    /// Bytes that it uses.
    pub used: u64,
    /// Bytes of its archive.
    pub len: u64,
    /// The transfer: the same after a cut.
    pub transfer: [u8; 16],
    /// Whether the receiver must know the transfer already.
    pub resumes: bool,
}

/// What the receiver says before and after the archive.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// Whether it goes on, or went well; `None` means: not now, try again.
    pub result: Option<DatanodeResult>,
    /// Bytes of the archive that it has.
    pub has: u64,
    /// A sentence beside an error.
    pub text: String,
}

/// Bytes from a peer that are none of these words.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the peer does not speak this transport: {0}")]
pub struct Foreign(pub &'static str);

fn u64_at(bytes: &[u8], at: usize) -> Option<u64> {
    Some(u64::from_be_bytes(bytes.get(at..at + 8)?.try_into().ok()?))
}

fn head(bytes: &[u8]) -> Result<(), Foreign> {
    match bytes {
        [a, b, c, d, VERSION, ..] if [*a, *b, *c, *d] == MAGIC => Ok(()),
        [a, b, c, d, _, ..] if [*a, *b, *c, *d] == MAGIC => Err(Foreign("another version")),
        _ => Err(Foreign("no magic")),
    }
}

impl Hello {
    /// As it goes on the wire.
    pub fn encode(&self) -> Vec<u8> {
        let mut bytes = MAGIC.to_vec();
        bytes.push(VERSION);
        for number in [self.container.as_u64(), self.used, self.len] {
            bytes.extend_from_slice(&number.to_be_bytes());
        }
        bytes.extend_from_slice(&self.transfer);
        bytes.push(u8::from(self.resumes));
        bytes
    }

    /// Reads [`HELLO_LEN`] bytes.
    pub fn decode(bytes: &[u8]) -> Result<Hello, Foreign> {
        head(bytes)?;
        let short = Foreign("too few bytes");
        let number = |at| u64_at(bytes, at).ok_or(short.clone());
        let id = number(5)?;
        if i64::try_from(id).is_err() || i64::try_from(number(21)?).is_err() {
            return Err(Foreign("a number beyond any"));
        }
        let resumes = match bytes.get(45) {
            Some(0) => false,
            Some(1) => true,
            _ => return Err(Foreign("a flag that is none")),
        };
        let transfer = bytes.get(29..45).and_then(|id| id.try_into().ok()).ok_or(short.clone())?;
        Ok(Hello { container: ContainerId::new(id), used: number(13)?, len: number(21)?, transfer, resumes })
    }
}

impl Answer {
    /// An answer without a text.
    pub fn of(result: Option<DatanodeResult>, has: u64) -> Answer {
        Answer { result, has, text: String::new() }
    }

    /// As it goes on the wire; a text that is too long is cut.
    pub fn encode(&self) -> Vec<u8> {
        let mut cut = self.text.len().min(TEXT_MAX);
        while !self.text.is_char_boundary(cut) {
            cut -= 1;
        }
        let mut bytes = MAGIC.to_vec();
        bytes.push(VERSION);
        let number = self.result.map_or(0, DatanodeResult::number);
        bytes.extend_from_slice(&(number as u16).to_be_bytes());
        bytes.extend_from_slice(&self.has.to_be_bytes());
        bytes.extend_from_slice(&(cut as u16).to_be_bytes());
        bytes.extend_from_slice(&self.text.as_bytes()[..cut]);
        bytes
    }

    /// Reads [`ANSWER_LEN`] bytes: the answer, and how long its text is.
    pub fn decode(bytes: &[u8]) -> Result<(Answer, usize), Foreign> {
        head(bytes)?;
        let short = Foreign("too few bytes");
        let short_at = |at: usize| {
            let two = bytes.get(at..at + 2).and_then(|two| <[u8; 2]>::try_from(two).ok());
            two.map(u16::from_be_bytes).ok_or(short.clone())
        };
        let number = i32::from(short_at(5)?);
        let result = match number {
            0 => None,
            _ => Some(DatanodeResult::from_number(number).ok_or(Foreign("a result that is none"))?),
        };
        let has = u64_at(bytes, 7).ok_or(short.clone())?;
        let text = usize::from(short_at(15)?);
        if text > TEXT_MAX {
            return Err(Foreign("a text too long"));
        }
        Ok((Answer::of(result, has), text))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_hello_is_drawn_as_in_the_format_page() {
        let hello =
            Hello { container: ContainerId::new(258), used: 7, len: 512, transfer: [9; 16], resumes: true };
        let bytes = hello.encode();
        assert_eq!(bytes.len(), HELLO_LEN);
        assert_eq!(bytes[..13], *b"ALRC\x01\0\0\0\0\0\0\x01\x02");
        assert_eq!(bytes[45], 1);
        let mut newer = bytes;
        newer[4] = 2;
        assert_eq!(Hello::decode(&newer), Err(Foreign("another version")));
    }

    proptest! {
        #[test]
        fn words_survive_the_wire_and_no_bytes_panic(
            id in 0..u64::MAX >> 1, used: u64, len in 0..u64::MAX >> 1, transfer: [u8; 16], resumes: bool,
            text in ".{0,20}", result in 0i32..49, noise in prop::collection::vec(any::<u8>(), 0..60),
        ) {
            let hello = Hello { container: ContainerId::new(id), used, len, transfer, resumes };
            prop_assert_eq!(Hello::decode(&hello.encode()), Ok(hello));
            let answer = Answer { result: DatanodeResult::from_number(result), has: used, text };
            let bytes = answer.encode();
            let (mut read, text) = Answer::decode(&bytes).unwrap();
            read.text = String::from_utf8(bytes[ANSWER_LEN..ANSWER_LEN + text].to_vec()).unwrap();
            prop_assert_eq!(read, answer);
            let _ = (Hello::decode(&noise), Answer::decode(&noise));
        }
    }
}
