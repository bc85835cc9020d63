//! aws-chunked: a body in chunks, each with its length and perhaps its signature, and trailing headers.
//!
//! Shape   bytes go in as they come off the connection, [`Piece`]s come out; a chunk is handed on while it arrives, however
//!         long it says it is. What is held is one line.
//! Errors  [`Malformed`]: what does not have the form, and lines and trailers that are too long.
//!
//! ```text
//! 400;chunk-signature=<64 hex>\r\n
//! <1024 bytes>\r\n
//! 0;chunk-signature=<64 hex>\r\n
//! x-amz-checksum-crc32:<base64>\r\n
//! x-amz-trailer-signature:<64 hex>\r\n
//! \r\n
//! ```

use bytes::{Buf, Bytes};

/// Longest line of a chunk's head or a trailer.
const LINE_LEN_MAX: usize = 1024;
/// Trailing headers there may be.
const TRAILERS_MAX: usize = 16;

/// What a body in chunks is made of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Piece {
    Data(Bytes),
    /// A chunk is over; its signature, if one was given.
    ChunkEnd(Option<String>),
    /// The body is over; its trailing headers, with names in lower case.
    End(Vec<(String, String)>),
}

impl Piece {
    /// The body's bytes in it.
    pub(crate) fn data(&self) -> Option<&Bytes> {
        match self {
            Piece::Data(bytes) => Some(bytes),
            _ => None,
        }
    }
}

/// A body that is not in chunks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the body is no aws-chunked one: {0}")]
pub(crate) struct Malformed(pub(crate) &'static str);

/// Takes a body apart.
#[derive(Debug)]
pub(crate) struct Decoder {
    state: State,
    line: Vec<u8>,
    trailers: Vec<(String, String)>,
}

#[derive(Debug)]
enum State {
    Head,
    Data { left: u64, signature: Option<String> },
    DataEnd { signature: Option<String> },
    Trailer,
    Over,
}

impl Decoder {
    pub(crate) fn new() -> Decoder {
        Decoder { state: State::Head, line: vec![], trailers: vec![] }
    }

    /// The body's bytes are over. Some clients leave the last empty line out.
    pub(crate) fn finish(&mut self) -> Result<Option<Piece>, Malformed> {
        match self.state {
            State::Over => Ok(None),
            State::Trailer => {
                let line = std::mem::take(&mut self.line);
                if !line.is_empty() {
                    self.trailer(&line)?;
                }
                self.state = State::Over;
                Ok(Some(Piece::End(std::mem::take(&mut self.trailers))))
            }
            _ => Err(Malformed("it ends before its last chunk")),
        }
    }

    /// The next piece of `input`, which is used up as far as it was understood; `None` when more is needed.
    pub(crate) fn next(&mut self, input: &mut Bytes) -> Result<Option<Piece>, Malformed> {
        loop {
            match &mut self.state {
                State::Data { left: 0, signature } => {
                    self.state = State::DataEnd { signature: signature.take() };
                }
                State::Data { left, .. } => {
                    if input.is_empty() {
                        return Ok(None);
                    }
                    let take = usize::try_from(*left).unwrap_or(usize::MAX).min(input.len());
                    *left -= take as u64;
                    return Ok(Some(Piece::Data(input.split_to(take))));
                }
                State::DataEnd { .. } => {
                    let Some(line) = self.line(input)? else { return Ok(None) };
                    if !line.is_empty() {
                        return Err(Malformed("a chunk is longer than it says"));
                    }
                    let State::DataEnd { signature } = std::mem::replace(&mut self.state, State::Head) else {
                        unreachable!("the state was matched above")
                    };
                    return Ok(Some(Piece::ChunkEnd(signature)));
                }
                State::Head => {
                    let Some(line) = self.line(input)? else { return Ok(None) };
                    let (left, signature) = chunk_head(&line)?;
                    if left > 0 {
                        self.state = State::Data { left, signature };
                        continue;
                    }
                    self.state = State::Trailer;
                    return Ok(Some(Piece::ChunkEnd(signature)));
                }
                State::Trailer => {
                    let Some(line) = self.line(input)? else { return Ok(None) };
                    if line.is_empty() {
                        self.state = State::Over;
                        return Ok(Some(Piece::End(std::mem::take(&mut self.trailers))));
                    }
                    self.trailer(&line)?;
                }
                State::Over if input.iter().all(|byte| b"\r\n".contains(byte)) => {
                    input.clear();
                    return Ok(None);
                }
                State::Over => return Err(Malformed("bytes follow its end")),
            }
        }
    }

    fn trailer(&mut self, line: &[u8]) -> Result<(), Malformed> {
        let text = std::str::from_utf8(line).map_err(|_| Malformed("a trailing header is no text"))?;
        let (name, value) = text.split_once(':').ok_or(Malformed("a trailing header has no colon"))?;
        if self.trailers.len() == TRAILERS_MAX {
            return Err(Malformed("it has too many trailing headers"));
        }
        self.trailers.push((name.trim().to_ascii_lowercase(), value.trim().to_owned()));
        Ok(())
    }

    /// The next line without its end; `None` when it is not there yet.
    fn line(&mut self, input: &mut Bytes) -> Result<Option<Vec<u8>>, Malformed> {
        let end = input.iter().position(|&byte| byte == b'\n');
        let take = end.map_or(input.len(), |end| end + 1);
        if self.line.len() + take > LINE_LEN_MAX {
            return Err(Malformed("a line of it is too long"));
        }
        self.line.extend_from_slice(&input[..take]);
        input.advance(take);
        if end.is_none() {
            return Ok(None);
        }
        let mut line = std::mem::take(&mut self.line);
        line.pop();
        if line.last() == Some(&b'\r') {
            line.pop();
        }
        Ok(Some(line))
    }
}

fn chunk_head(line: &[u8]) -> Result<(u64, Option<String>), Malformed> {
    let text = std::str::from_utf8(line).map_err(|_| Malformed("a chunk's head is no text"))?;
    let (len, extension) = text.split_once(';').map_or((text, None), |(len, rest)| (len, Some(rest)));
    let is_hex = !len.is_empty() && len.len() <= 15 && len.bytes().all(|byte| byte.is_ascii_hexdigit());
    let parsed = u64::from_str_radix(len, 16).ok().filter(|_| is_hex);
    let parsed = parsed.ok_or(Malformed("a chunk's length is no hexadecimal number"))?;
    let signature = extension.and_then(|rest| rest.strip_prefix("chunk-signature=")).map(str::to_owned);
    Ok((parsed, signature))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Decodes `text`, fed in pieces of `step` bytes; data is joined.
    fn decoded(text: &[u8], step: usize) -> Result<(Vec<u8>, Vec<Piece>), Malformed> {
        let mut decoder = Decoder::new();
        let (mut data, mut others) = (vec![], vec![]);
        for piece in text.chunks(step) {
            let mut input = Bytes::copy_from_slice(piece);
            while let Some(piece) = decoder.next(&mut input)? {
                match piece {
                    Piece::Data(bytes) => data.extend_from_slice(&bytes),
                    other => others.push(other),
                }
            }
        }
        others.extend(decoder.finish()?);
        Ok((data, others))
    }

    #[test]
    fn a_body_is_the_same_in_whatever_pieces_it_comes() {
        let text = b"5;chunk-signature=ab\r\nhello\r\n3\r\n\r\n!\r\n0;chunk-signature=cd\r\nX-Amz-Checksum-Crc32: AA==\r\n\r\n";
        for step in [1, 2, 3, 7, 1000] {
            let (data, others) = decoded(text, step).unwrap();
            assert_eq!(data, b"hello\r\n!");
            let end = vec![("x-amz-checksum-crc32".to_owned(), "AA==".to_owned())];
            assert_eq!(
                others,
                [
                    Piece::ChunkEnd(Some("ab".to_owned())),
                    Piece::ChunkEnd(None),
                    Piece::ChunkEnd(Some("cd".to_owned())),
                    Piece::End(end)
                ],
                "in steps of {step}"
            );
        }
    }

    #[test]
    fn a_chunk_of_any_length_is_handed_on_as_it_arrives() {
        let mut decoder = Decoder::new();
        let mut input = Bytes::from_static(b"ffffffffffff\r\nabc");
        assert_eq!(decoder.next(&mut input), Ok(Some(Piece::Data(Bytes::from_static(b"abc")))));
        assert_eq!(decoder.next(&mut input), Ok(None));
    }

    #[test]
    fn damaged_bodies_are_refused() {
        let long = vec![b'1'; 2000];
        for text in [
            &b"x\r\n"[..],
            b"-1\r\n",
            b"\r\n",
            b"fffffffffffffffff\r\n",
            b"3\r\nabcd\r\n0\r\n\r\n",
            b"3\r\nab",
            b"3\r\nabc\r\n",
            b"",
            b"0\r\nno colon\r\n\r\n",
            b"0\r\n\r\nmore",
            b"3;chunk-signature=\xff\r\nabc\r\n",
            &long,
        ] {
            assert!(decoded(text, 4).is_err(), "{}", String::from_utf8_lossy(text));
        }
        assert!(decoded(b"0\r\n", 4).is_ok(), "the last empty line may be left out");
    }
}
