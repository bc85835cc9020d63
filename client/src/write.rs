//! Writing a key.
//!
//! Shape   a [`KeyWriter`] takes bytes in any pieces and hands them, cut to size, to the writer of one kind of block:
//!         `replicated` cuts chunks, `striped` cuts stripes. `blocks` gives out the blocks, and `finish` commits them.
//! Units   bytes; memory is bounded by what is sent and not yet safe: `flush_len` and two chunks, or
//!         `write_window` and one stripe.
//! Errors  a datanode that fails costs a new block elsewhere and nothing else; [`Error::Unwritable`] when too many fail
//!         one after the other.

mod blocks;
mod replicated;
mod sink;
mod striped;

pub use sink::AsyncKeyWriter;

use std::collections::BTreeMap;

use allotrope_proto::Rope;
use allotrope_types::{ReplicationConfig, ReplicationFactor};
use bytes::Bytes;
use futures_util::{Stream, StreamExt};

use crate::client::Client;
use crate::error::Error;
use crate::om::Session;
use crate::path::KeyPath;
use blocks::Blocks;
use replicated::ReplicatedWriter;
use striped::StripedWriter;

/// Takes the bytes of a key. Dropped without [`KeyWriter::finish`] the key stays as it was, and nothing keeps running.
#[derive(Debug)]
pub struct KeyWriter {
    client: Client,
    blocks: Blocks,
    form: Form,
    announced: Option<u64>,
    written: u64,
    failed: bool,
}

#[derive(Debug)]
enum Form {
    Replicated(Box<ReplicatedWriter>),
    Striped(Box<StripedWriter>),
}

/// What was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Written {
    /// Bytes of the key.
    pub len: u64,
    /// Blocks they lie in.
    pub blocks: usize,
    /// Blocks that failed on the way and were replaced.
    pub failures: u32,
}

impl KeyWriter {
    pub(crate) fn new(client: Client, session: Session, announced: Option<u64>) -> Result<KeyWriter, Error> {
        let form = match session.replication {
            ReplicationConfig::StandAlone(ReplicationFactor::One) => {
                Form::Replicated(Box::new(ReplicatedWriter::new(client.config(), false)))
            }
            ReplicationConfig::Ratis(_) => {
                Form::Replicated(Box::new(ReplicatedWriter::new(client.config(), true)))
            }
            ReplicationConfig::Ec(ec) => Form::Striped(Box::new(StripedWriter::new(client.config(), ec))),
            ReplicationConfig::StandAlone(ReplicationFactor::Three) => {
                return Err(Error::Unsupported {
                    what: format!("writing {} as STANDALONE/THREE", session.key),
                    instead: "three copies without a leader would not be kept equal; use RATIS/THREE, or EC, for example \
                              rs-3-2-1024k",
                });
            }
        };
        Ok(KeyWriter { client, blocks: Blocks::new(session), form, announced, written: 0, failed: false })
    }

    /// The key that is being written.
    pub fn key(&self) -> &KeyPath {
        self.blocks.key()
    }

    /// The number of this write among all of OM's: the version that it becomes, in a bucket that keeps versions.
    pub fn session(&self) -> u64 {
        self.blocks.session()
    }

    /// Bytes taken so far.
    pub fn written(&self) -> u64 {
        self.written
    }

    /// Takes more bytes; waits while too many are on their way. The bytes are shared and not copied, so pieces cut
    /// from one large buffer hold on to all of it.
    ///
    /// Not cancel safe: dropped early, some of `bytes` may have been taken, and the writer must be dropped too.
    ///
    /// # Errors
    /// [`Error::Unwritable`], and OM's refusals. The writer is of no use then.
    pub async fn write(&mut self, bytes: Bytes) -> Result<(), Error> {
        self.usable()?;
        self.failed = true;
        self.written += bytes.len() as u64;
        if let Some(announced) = self.announced.filter(|&announced| self.written > announced) {
            return Err(Error::Length { key: self.key().clone(), announced, written: self.written });
        }
        match &mut self.form {
            Form::Replicated(writer) => {
                writer.write(&self.client, &mut self.blocks, Rope::from(bytes)).await?
            }
            Form::Striped(writer) => writer.write(&self.client, &mut self.blocks, Rope::from(bytes)).await?,
        }
        self.failed = false;
        Ok(())
    }

    /// Takes the bytes of a stream to its end, and returns how many they were.
    ///
    /// Not cancel safe, as [`KeyWriter::write`].
    ///
    /// # Errors
    /// As [`KeyWriter::write`], and [`Error::Source`] with what the stream failed with. The writer is of no use then.
    pub async fn write_stream<S, E>(&mut self, bytes: S) -> Result<u64, Error>
    where
        S: Stream<Item = Result<Bytes, E>>,
        E: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        let (mut bytes, before) = (std::pin::pin!(bytes), self.written);
        while let Some(piece) = bytes.next().await {
            let piece = piece.map_err(|error| {
                self.failed = true;
                Error::Source { key: self.key().clone(), source: error.into() }
            })?;
            self.write(piece).await?;
        }
        Ok(self.written - before)
    }

    /// The same as a writer of tokio's; an [`Error`] is the inner error of its `io::Error`.
    pub fn into_async_write(self) -> AsyncKeyWriter {
        AsyncKeyWriter::new(self)
    }

    /// Makes all bytes safe on the datanodes, then the key visible.
    ///
    /// # Errors
    /// As [`KeyWriter::write`], and [`Error::Length`] if another length was announced. The key stays as it was then.
    pub async fn finish(self) -> Result<Written, Error> {
        self.finish_noting(&BTreeMap::new()).await
    }

    /// As [`KeyWriter::finish`], and notes `also` with the key: what is known only after the last byte, such as a digest.
    ///
    /// # Errors
    /// As [`KeyWriter::finish`].
    pub async fn finish_noting(mut self, also: &BTreeMap<String, String>) -> Result<Written, Error> {
        self.usable()?;
        if let Some(announced) = self.announced.filter(|&announced| announced != self.written) {
            return Err(Error::Length { key: self.key().clone(), announced, written: self.written });
        }
        match &mut self.form {
            Form::Replicated(writer) => writer.finish(&self.client, &mut self.blocks).await?,
            Form::Striped(writer) => writer.finish(&self.client, &mut self.blocks).await?,
        }
        self.blocks.commit(&self.client, self.written, also).await
    }

    fn usable(&self) -> Result<(), Error> {
        match self.failed {
            true => Err(Error::GivenUp { key: self.key().clone() }),
            false => Ok(()),
        }
    }
}
