//! The Raft log record: one entry as it lies in the log and travels between members.
//!
//! Shape   docs/formats/raft-log.md, byte by byte; all numbers little-endian, except that keys are big-endian.
//! Errors  a record that is short, long, fails its checksum or is of a newer version is refused, never guessed at.

use std::sync::Arc;

use bytes::Bytes;
use openraft::{CommittedLeaderId, EntryPayload};

use crate::{
    ids::{CallId, ClientId, LogTime, Origin},
    raft::{Call, CommandList, Commands, Entry, LogId},
};

/// The version this software writes, and the newest it reads.
pub(crate) const RECORD_VERSION: u8 = 1;
/// version, kind, two bytes of zero, payload length, term, leader, index.
const HEADER_LEN: usize = 1 + 1 + 2 + 4 + 8 + 8 + 8;
const CRC_LEN: usize = 4;

const BLANK: u8 = 0;
const COMMANDS: u8 = 1;
const MEMBERSHIP: u8 = 2;

const FROM_SERVICE: u8 = 0;
const FROM_CLIENT: u8 = 1;

/// Why bytes are not a log record.
#[derive(Debug, PartialEq, thiserror::Error)]
pub(crate) enum RecordError {
    #[error("the record ends early")]
    Short,
    #[error("the record's checksum is wrong")]
    Checksum,
    #[error("the record is of version {0}; this software knows versions up to {RECORD_VERSION}")]
    Newer(u8),
    #[error("the record is malformed: {0}")]
    Malformed(&'static str),
}

/// The record of `entry`.
pub(crate) fn encode(entry: &Entry) -> Vec<u8> {
    let mut out = Vec::with_capacity(HEADER_LEN + CRC_LEN + payload_len(entry));
    let kind = match &entry.payload {
        EntryPayload::Blank => BLANK,
        EntryPayload::Normal(_) => COMMANDS,
        EntryPayload::Membership(_) => MEMBERSHIP,
    };
    out.extend_from_slice(&[RECORD_VERSION, kind, 0, 0]);
    out.extend_from_slice(&[0; 4]); // the payload's length, set below
    out.extend_from_slice(&entry.log_id.leader_id.term.to_le_bytes());
    out.extend_from_slice(&entry.log_id.leader_id.node_id.to_le_bytes());
    out.extend_from_slice(&entry.log_id.index.to_le_bytes());
    match &entry.payload {
        EntryPayload::Blank => {}
        EntryPayload::Normal(commands) => put_commands(&commands.0, &mut out),
        EntryPayload::Membership(membership) => {
            serde_json::to_writer(&mut out, membership).expect("a membership is plain data");
        }
    }
    let len = u32::try_from(out.len() - HEADER_LEN).expect("an entry is bounded by the batch limit");
    out[4..8].copy_from_slice(&len.to_le_bytes());
    let crc = crc32c::crc32c(&out);
    out.extend_from_slice(&crc.to_le_bytes());
    out
}

/// Roughly how long the payload of `entry` will be.
pub(crate) fn payload_len(entry: &Entry) -> usize {
    match &entry.payload {
        EntryPayload::Normal(commands) => {
            16 + commands.0.calls.iter().map(|c| c.command.len() + 29).sum::<usize>()
        }
        _ => 256,
    }
}

/// The entry of a record.
pub(crate) fn decode(bytes: &[u8]) -> Result<Entry, RecordError> {
    let mut rest = Reader(bytes);
    let [version, kind, _, _] = rest.array::<4>()?;
    if version > RECORD_VERSION {
        return Err(RecordError::Newer(version));
    }
    let len = rest.u32()? as usize;
    if bytes.len() < HEADER_LEN + CRC_LEN || bytes.len() - HEADER_LEN - CRC_LEN < len {
        return Err(RecordError::Short);
    }
    if bytes.len() - HEADER_LEN - CRC_LEN != len {
        return Err(RecordError::Malformed("bytes after its end"));
    }
    let (checked, crc) = bytes.split_at(bytes.len() - CRC_LEN);
    if crc32c::crc32c(checked).to_le_bytes() != crc {
        return Err(RecordError::Checksum);
    }
    let term = rest.u64()?;
    let leader = rest.u64()?;
    let log_id = LogId::new(CommittedLeaderId::new(term, leader), rest.u64()?);
    let payload = &checked[HEADER_LEN..];
    let payload = match kind {
        BLANK => EntryPayload::Blank,
        COMMANDS => EntryPayload::Normal(take_commands(payload)?),
        MEMBERSHIP => EntryPayload::Membership(
            serde_json::from_slice(payload).map_err(|_| RecordError::Malformed("not a membership"))?,
        ),
        _ => return Err(RecordError::Malformed("unknown kind")),
    };
    Ok(Entry { log_id, payload })
}

fn put_commands(list: &CommandList, out: &mut Vec<u8>) {
    out.extend_from_slice(&list.time.unix_ms.to_le_bytes());
    out.extend_from_slice(&(list.calls.len() as u32).to_le_bytes());
    for call in &list.calls {
        match call.origin {
            Origin::Service => out.push(FROM_SERVICE),
            Origin::Client { client, call } => {
                out.push(FROM_CLIENT);
                out.extend_from_slice(&client.0);
                out.extend_from_slice(&call.0.to_le_bytes());
            }
        }
        out.extend_from_slice(&(call.command.len() as u32).to_le_bytes());
        out.extend_from_slice(&call.command);
    }
}

fn take_commands(payload: &[u8]) -> Result<Commands, RecordError> {
    // One copy for all commands; each is a slice of it.
    let all = Bytes::copy_from_slice(payload);
    let mut rest = Reader(&all);
    let time = LogTime { unix_ms: rest.u64()? };
    let count = rest.u32()? as usize;
    let mut calls = Vec::with_capacity(count.min(payload.len() / 5));
    for _ in 0..count {
        let origin = match rest.array::<1>()? {
            [FROM_SERVICE] => Origin::Service,
            [FROM_CLIENT] => Origin::Client { client: ClientId(rest.array()?), call: CallId(rest.u64()?) },
            _ => return Err(RecordError::Malformed("unknown origin")),
        };
        let len = rest.u32()? as usize;
        let command = all.slice_ref(rest.take(len)?);
        calls.push(Call { origin, command });
    }
    if !rest.0.is_empty() {
        return Err(RecordError::Malformed("bytes after the last command"));
    }
    Ok(Commands(Arc::new(CommandList { time, calls })))
}

/// Takes fields off the front of bytes.
struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn take(&mut self, len: usize) -> Result<&'a [u8], RecordError> {
        let (head, tail) = self.0.split_at_checked(len).ok_or(RecordError::Short)?;
        self.0 = tail;
        Ok(head)
    }
    fn array<const N: usize>(&mut self) -> Result<[u8; N], RecordError> {
        Ok(self.take(N)?.try_into().expect("took N bytes"))
    }
    fn u32(&mut self) -> Result<u32, RecordError> {
        Ok(u32::from_le_bytes(self.array()?))
    }
    fn u64(&mut self) -> Result<u64, RecordError> {
        Ok(u64::from_le_bytes(self.array()?))
    }
}

#[cfg(test)]
#[path = "record_tests.rs"]
mod tests;
