//! Compressing and decompressing an archive on its way, on a thread of its own: it would hold a shard for too long.
//!
//! Shape   a [`Feed`] in, a [`Feed`] out; what stands in between is a few pieces and the codec's window.
//! Errors  what came in as an error goes out as it is; bytes that do not decompress are an error with the codec's reason.
//! Source  the formats are those of Ozone's writer: gzip, the LZ4 frame, the framed Snappy, Zstandard.

use super::{Compression, Feed, PIECE, feed};
use crate::commands::CommandError;
use allotrope_types::DatanodeResult::{ContainerInternalError, ImportContainerMetadataFailed};
use bytes::{Buf, Bytes};
use std::io::{self, BufWriter, Read, Write};
use tokio::sync::mpsc;

/// The archive, compressed.
pub(super) fn compress(kind: Compression, from: Feed) -> Result<Feed, CommandError> {
    run(kind, from, "copy-compress", |kind, reader, writer| {
        match kind {
            Compression::NoCompression => drop(io::copy(reader, writer)?),
            Compression::Gzip => {
                let mut encoder = flate2::write::GzEncoder::new(writer, flate2::Compression::default());
                io::copy(reader, &mut encoder)?;
                encoder.finish()?;
            }
            Compression::Lz4 => {
                let mut encoder = lz4_flex::frame::FrameEncoder::new(writer);
                io::copy(reader, &mut encoder)?;
                encoder.finish().map_err(io::Error::other)?;
            }
            Compression::Snappy => {
                let mut encoder = snap::write::FrameEncoder::new(writer);
                io::copy(reader, &mut encoder)?;
                encoder.flush()?;
            }
            Compression::Zstd => {
                let mut encoder = zstd::stream::write::Encoder::new(writer, 0)?;
                io::copy(reader, &mut encoder)?;
                encoder.finish()?;
            }
        }
        Ok(())
    })
}

/// The archive that `from` is compressed of.
pub(super) fn decompress(kind: Compression, from: Feed) -> Result<Feed, CommandError> {
    run(kind, from, "copy-decompress", |kind, reader, writer| {
        match kind {
            Compression::NoCompression => io::copy(reader, writer)?,
            Compression::Gzip => io::copy(&mut flate2::read::MultiGzDecoder::new(reader), writer)?,
            Compression::Lz4 => io::copy(&mut lz4_flex::frame::FrameDecoder::new(reader), writer)?,
            Compression::Snappy => io::copy(&mut snap::read::FrameDecoder::new(reader), writer)?,
            Compression::Zstd => io::copy(&mut zstd::stream::read::Decoder::new(reader)?, writer)?,
        };
        Ok(())
    })
}

fn run(
    kind: Compression,
    from: Feed,
    name: &str,
    work: fn(Compression, &mut Incoming, &mut BufWriter<Outgoing>) -> io::Result<()>,
) -> Result<Feed, CommandError> {
    if kind == Compression::NoCompression {
        return Ok(from);
    }
    let (to, out) = feed();
    let job = move || {
        let mut reader = Incoming { from, piece: Bytes::new(), failed: None };
        let mut writer = BufWriter::with_capacity(PIECE, Outgoing(to.clone()));
        let done = work(kind, &mut reader, &mut writer).and_then(|()| writer.flush());
        let ends = match (reader.failed.take(), done) {
            (Some(e), _) => Err(e),
            (None, Err(e)) => {
                let why = format!("the archive, {}, cannot be worked on: {e}", kind.as_str_name());
                Err(CommandError::new(ImportContainerMetadataFailed, why))
            }
            (None, Ok(())) => return,
        };
        // Nobody may wait any more.
        drop(to.blocking_send(ends));
    };
    let started = std::thread::Builder::new().name(name.to_owned()).spawn(job);
    started.map_err(|e| {
        CommandError::new(ContainerInternalError, format!("a thread for an archive cannot be had: {e}"))
    })?;
    Ok(out)
}

/// What comes, as a reader.
struct Incoming {
    from: Feed,
    piece: Bytes,
    failed: Option<CommandError>,
}

impl Read for Incoming {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        while self.piece.is_empty() {
            match self.from.blocking_recv() {
                Some(Ok(piece)) => self.piece = piece,
                Some(Err(e)) => {
                    self.failed = Some(e);
                    return Err(io::ErrorKind::BrokenPipe.into());
                }
                None => return Ok(0),
            }
        }
        let len = buf.len().min(self.piece.len());
        self.piece.copy_to_slice(&mut buf[..len]);
        Ok(len)
    }
}

/// What goes out, as a writer.
struct Outgoing(mpsc::Sender<Result<Bytes, CommandError>>);

impl Write for Outgoing {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        let len = buf.len().min(PIECE);
        let gone = |_| io::Error::from(io::ErrorKind::BrokenPipe);
        self.0.blocking_send(Ok(Bytes::copy_from_slice(&buf[..len]))).map_err(gone)?;
        Ok(len)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KINDS: [Compression; 5] = [
        Compression::NoCompression,
        Compression::Gzip,
        Compression::Lz4,
        Compression::Snappy,
        Compression::Zstd,
    ];

    fn fed(pieces: Vec<Result<Bytes, CommandError>>) -> Feed {
        let (to, out) = feed();
        std::thread::spawn(move || pieces.into_iter().for_each(|piece| drop(to.blocking_send(piece))));
        out
    }

    fn all(mut feed: Feed) -> Result<Vec<u8>, CommandError> {
        let mut bytes = Vec::new();
        while let Some(piece) = feed.blocking_recv() {
            bytes.extend_from_slice(&piece?);
        }
        Ok(bytes)
    }

    #[test]
    fn what_was_compressed_is_the_same_again() {
        let bytes: Vec<u8> = (0..5_000_000u32).map(|n| ((n / 7) ^ (n >> 9)) as u8).collect();
        for kind in KINDS {
            let pieces = bytes.chunks(700_000).map(|piece| Ok(Bytes::copy_from_slice(piece))).collect();
            let packed = all(compress(kind, fed(pieces)).unwrap()).unwrap();
            assert_eq!(packed.len() < bytes.len(), kind != Compression::NoCompression, "{kind:?}");
            let pieces = packed.chunks(10_001).map(|piece| Ok(Bytes::copy_from_slice(piece))).collect();
            assert!(all(decompress(kind, fed(pieces)).unwrap()).unwrap() == bytes, "{kind:?}");
        }
    }

    #[test]
    fn an_error_passes_through_and_garbage_is_one() {
        let e = CommandError::new(ContainerInternalError, "the source died");
        for kind in KINDS {
            let pieces = vec![Ok(Bytes::from_static(b"some")), Err(e.clone())];
            assert_eq!(all(compress(kind, fed(pieces)).unwrap()), Err(e.clone()), "{kind:?}");
            if kind != Compression::NoCompression {
                let garbage = vec![Ok(Bytes::from(vec![0x5a; 4096]))];
                assert!(all(decompress(kind, fed(garbage)).unwrap()).is_err(), "{kind:?}");
            }
        }
    }
}
