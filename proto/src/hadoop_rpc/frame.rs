//! Cuts a byte stream into frames.
//!
//! Shape   bytes are read into one buffer and frames are cut from its front, without a copy.
//! Units   a length is a big-endian u32 that does not count itself; Java reads it signed.
//! Errors  [`BadLength`]. A buffer grows as its bytes arrive, never to what a length merely claims.

use std::io;

use bytes::{Bytes, BytesMut};
use tokio::io::{AsyncRead, AsyncReadExt};

use super::preamble;

/// What an idle connection keeps for its next bytes; ten thousand of them cost 5 MiB.
const READ_IDLE: usize = 512;
/// What a busy connection reads at once.
const READ_BUSY: usize = 16 << 10;

/// A frame that is longer than frames may be, or of negative length.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a frame claims {bytes} bytes; {bytes_max} is the limit")]
pub(crate) struct BadLength {
    pub(crate) bytes: u32,
    pub(crate) bytes_max: u32,
}

/// Reads a frame's length.
pub(crate) fn check_len(len: [u8; 4], bytes_max: u32) -> Result<u32, BadLength> {
    let bytes = u32::from_be_bytes(len);
    if bytes > bytes_max || bytes > i32::MAX as u32 { Err(BadLength { bytes, bytes_max }) } else { Ok(bytes) }
}

/// The reading half of a connection.
pub(crate) struct FrameReader<R> {
    inner: R,
    buffer: BytesMut,
    frame_bytes_max: u32,
    read_len: usize,
}

impl<R: AsyncRead + Unpin> FrameReader<R> {
    pub(crate) fn new(inner: R, frame_bytes_max: u32) -> FrameReader<R> {
        FrameReader { inner, buffer: BytesMut::new(), frame_bytes_max, read_len: READ_IDLE }
    }

    /// The seven bytes of the preamble; fewer where the first four say that no more need come.
    /// `None` if the stream ends before. Cancel safe.
    pub(crate) async fn preamble(&mut self) -> io::Result<Option<[u8; preamble::LEN]>> {
        loop {
            if let Some(first) = self.buffer.first_chunk() {
                let first = *first;
                self.buffer.split_to(preamble::LEN).clear();
                return Ok(Some(first));
            }
            if self.buffer.starts_with(b"GET ") {
                return Ok(Some(*b"GET /  "));
            }
            if self.more().await? == 0 {
                return Ok(None);
            }
        }
    }

    /// The next frame's length, if its four bytes have come; they are taken off.
    pub(crate) fn next_len(&mut self) -> Result<Option<u32>, BadLength> {
        let Some(len) = self.buffer.first_chunk().copied() else { return Ok(None) };
        let len = check_len(len, self.frame_bytes_max)?;
        self.buffer.split_to(4).clear();
        Ok(Some(len))
    }

    /// The frame of that length, if all of it has come.
    pub(crate) fn next_frame(&mut self, len: u32) -> Option<Bytes> {
        let len = len as usize;
        (self.buffer.len() >= len).then(|| self.buffer.split_to(len).freeze())
    }

    /// Reads until the frame is whole. Cancel safe: bytes that came stay in the buffer.
    pub(crate) async fn frame(&mut self, len: u32) -> io::Result<Bytes> {
        loop {
            if let Some(frame) = self.next_frame(len) {
                return Ok(frame);
            }
            let missing = len as usize - self.buffer.len();
            let grow = missing.min(self.buffer.len().max(READ_BUSY));
            self.buffer.reserve(grow);
            if self.inner.read_buf(&mut self.buffer).await? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
        }
    }

    /// Reads once. 0 is the end of the stream. Cancel safe.
    pub(crate) async fn more(&mut self) -> io::Result<usize> {
        self.buffer.reserve(self.read_len);
        let room = self.buffer.capacity() - self.buffer.len();
        let read = self.inner.read_buf(&mut self.buffer).await?;
        self.read_len = if read == room { READ_BUSY } else { READ_IDLE };
        Ok(read)
    }

    /// Whether part of a length has come.
    pub(crate) fn is_between_frames(&self) -> bool {
        self.buffer.is_empty()
    }

    /// Reads and drops what the peer still sends, up to `bytes_max`, so that the last answer is not lost to a reset.
    pub(crate) async fn discard(&mut self, bytes_max: usize) {
        let mut left = bytes_max;
        while left > 0 {
            self.buffer.clear();
            match self.more().await {
                Ok(0) | Err(_) => return,
                Ok(read) => left = left.saturating_sub(read),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn frames_of(bytes: &[u8], piece: usize) -> (Vec<Bytes>, Option<BadLength>) {
        let (mut near, far) = tokio::io::duplex(piece.max(1));
        let bytes = bytes.to_vec();
        let sending = tokio::spawn(async move {
            let _ = tokio::io::AsyncWriteExt::write_all(&mut near, &bytes).await;
        });
        let mut reader = FrameReader::new(far, 100);
        let mut frames = Vec::new();
        let bad = loop {
            match reader.next_len() {
                Ok(Some(len)) => match reader.frame(len).await {
                    Ok(frame) => frames.push(frame),
                    Err(_) => break None,
                },
                Ok(None) if reader.more().await.unwrap() == 0 => break None,
                Ok(None) => {}
                Err(bad) => break Some(bad),
            }
        };
        drop(reader);
        sending.await.unwrap();
        (frames, bad)
    }

    #[tokio::test]
    async fn frames_come_out_as_they_went_in_however_the_stream_is_cut() {
        let mut stream = Vec::new();
        let sent: Vec<Vec<u8>> = (0..20).map(|n| vec![n as u8; n * 5]).collect();
        for frame in &sent {
            stream.extend_from_slice(&(frame.len() as u32).to_be_bytes());
            stream.extend_from_slice(frame);
        }
        for piece in [1, 3, 7, 64, 4096] {
            let (frames, bad) = frames_of(&stream, piece).await;
            assert_eq!(frames, sent, "pieces of {piece}");
            assert_eq!(bad, None);
        }
    }

    #[tokio::test]
    async fn a_length_beyond_the_limit_or_below_zero_is_refused() {
        for len in [101u32, 0x8000_0000, u32::MAX] {
            let (frames, bad) = frames_of(&len.to_be_bytes(), 64).await;
            assert_eq!((frames.len(), bad), (0, Some(BadLength { bytes: len, bytes_max: 100 })));
        }
    }

    #[tokio::test]
    async fn a_frame_that_claims_much_and_brings_little_costs_little() {
        let (mut near, far) = tokio::io::duplex(64);
        tokio::io::AsyncWriteExt::write_all(&mut near, &[1, 2, 3]).await.unwrap();
        drop(near);
        let mut reader = FrameReader::new(far, i32::MAX as u32);
        assert!(reader.frame(i32::MAX as u32).await.is_err());
        assert!(reader.buffer.capacity() <= 2 * READ_BUSY, "{}", reader.buffer.capacity());
    }
}
