//! Reading an archive as it arrives, in pieces cut anywhere.
//!
//! Shape   bytes are pushed, [`Event`]s are taken; file bytes are handed on without a copy. What Ozone's writer puts in
//!         front of an entry (POSIX extended headers, with times) is read for its length and name and passed over.
//! Errors  [`ArchiveError`]; the archive is of no use then.

use super::{ArchiveError, BLOCK, Entry, padding};
use allotrope_proto::Rope;
use bytes::{Buf, Bytes};
use std::collections::BTreeSet;

/// The longest extended header.
const EXTENDED_MAX: u64 = 64 << 10;

/// What an archive consists of, in its order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// An entry begins; so many bytes of it follow.
    Entry(Entry, u64),
    /// Bytes of the entry.
    Bytes(Bytes),
    /// All of the entry has come.
    EntryEnd,
    /// The archive has come to its end; what follows is padding.
    End,
}

#[derive(Clone, Copy, Debug)]
enum State {
    /// A header is next; `empty` blocks came before it.
    Header { empty: u8 },
    /// An extended header's bytes.
    Extended { len: u64, counts: bool },
    /// Bytes of a file, then its padding.
    File { left: u64, pad: u64 },
    /// Zeros behind a file.
    Padding(u64),
    /// Behind the end mark.
    Ended,
}

/// An archive that arrives.
#[derive(Debug)]
pub struct Unpack {
    waiting: Rope,
    state: State,
    /// Bytes taken off so far.
    at: u64,
    /// What an extended header said of the next entry.
    name: Option<String>,
    len: Option<u64>,
    seen: BTreeSet<Entry>,
}

impl Default for Unpack {
    fn default() -> Unpack {
        Unpack::new()
    }
}

impl Unpack {
    /// An archive of which nothing has come.
    pub fn new() -> Unpack {
        Unpack {
            waiting: Rope::new(),
            state: State::Header { empty: 0 },
            at: 0,
            name: None,
            len: None,
            seen: BTreeSet::new(),
        }
    }

    /// Adds what came.
    pub fn push(&mut self, bytes: Bytes) {
        self.waiting.push(bytes);
    }

    /// What comes next; `None` if more bytes are needed first.
    pub fn next_event(&mut self) -> Result<Option<Event>, ArchiveError> {
        loop {
            match self.state {
                State::Header { empty } => {
                    let Some(head) = self.take(BLOCK) else { return Ok(None) };
                    if let Some(event) = self.header(&head.join(), empty)? {
                        return Ok(Some(event));
                    }
                }
                State::Extended { len, counts } => {
                    let Some(body) = self.take(len.next_multiple_of(BLOCK)) else { return Ok(None) };
                    if counts {
                        self.extended(&body.join()[..len as usize])?;
                    }
                    self.state = State::Header { empty: 0 };
                }
                State::File { left: 0, pad } => {
                    self.state = State::Padding(pad);
                    return Ok(Some(Event::EntryEnd));
                }
                State::File { left, pad } => {
                    let Some(first) = self.waiting.pieces().next() else { return Ok(None) };
                    let len = (first.len() as u64).min(left);
                    let bytes = self.take(len).map(Rope::join).unwrap_or_default();
                    self.state = State::File { left: left - len, pad };
                    return Ok(Some(Event::Bytes(bytes)));
                }
                State::Padding(pad) => {
                    if self.take(pad).is_none() {
                        return Ok(None);
                    }
                    self.state = State::Header { empty: 0 };
                }
                State::Ended => {
                    let rest = self.waiting.len();
                    self.waiting.advance(rest);
                    self.at += rest as u64;
                    return Ok(None);
                }
            }
        }
    }

    /// Bytes of the archive that events were made of.
    pub fn at(&self) -> u64 {
        self.at
    }

    /// How much of a file is still to come, if what comes next begins with it.
    pub fn next_of_file(&self) -> Option<u64> {
        match self.state {
            State::File { left, .. } if left > 0 && self.waiting.is_empty() => Some(left),
            _ => None,
        }
    }

    /// Counts `len` bytes of a file, no more than [`next_of_file`](Self::next_of_file), as having come: they went another way.
    pub fn pass(&mut self, len: u64) {
        if let State::File { left, .. } = &mut self.state {
            *left = left.checked_sub(len).expect("no more than the file has left");
            self.at += len;
        }
    }

    /// No more bytes will come.
    pub fn finish(&self) -> Result<(), ArchiveError> {
        match self.state {
            State::Ended => Ok(()),
            _ => Err(ArchiveError::Cut { at: self.at + self.waiting.len() as u64 }),
        }
    }

    fn take(&mut self, len: u64) -> Option<Rope> {
        let taken = self.waiting.split_to(usize::try_from(len).ok()?)?;
        self.at += len;
        Some(taken)
    }

    /// Reads a header; the event it makes, if it makes one.
    fn header(&mut self, head: &[u8], empty: u8) -> Result<Option<Event>, ArchiveError> {
        let damaged = |why| ArchiveError::Header { at: self.at - BLOCK, why };
        if head.iter().all(|byte| *byte == 0) {
            self.state = if empty == 0 { State::Header { empty: 1 } } else { State::Ended };
            return Ok((empty > 0).then_some(Event::End));
        }
        if empty > 0 {
            return Err(damaged("it follows an empty block"));
        }
        let stored = octal(&head[148..156]).ok_or_else(|| damaged("its sum is no number"))?;
        let sum: u64 = head.iter().map(|byte| u64::from(*byte)).sum();
        let blank: u64 = head[148..156].iter().map(|byte| u64::from(*byte)).sum();
        if sum - blank + 8 * u64::from(b' ') != stored {
            return Err(damaged("its sum is another"));
        }
        let len = number(&head[124..136]).ok_or_else(|| damaged("its length is no number"))?;
        match head[156] {
            kind @ (b'x' | b'g') => {
                if len > EXTENDED_MAX {
                    return Err(damaged("the extended header is too long"));
                }
                self.state = State::Extended { len, counts: kind == b'x' };
                Ok(None)
            }
            kind @ (b'0' | 0 | b'5') => self.entry(head, len, kind == b'5').map(Some),
            _ => Err(damaged("it is neither of a file nor of a folder")),
        }
    }

    fn entry(&mut self, head: &[u8], len: u64, folder: bool) -> Result<Event, ArchiveError> {
        let own = || String::from_utf8_lossy(text(&head[..100])).into_owned();
        // A prefix stands in front of long names only; ours are short.
        let name = self.name.take().unwrap_or_else(own);
        let len = self.len.take().unwrap_or(len);
        let known = Entry::of_name(&name).filter(|entry| matches!(entry, Entry::Folder(_)) == folder);
        let Some(entry) = known else {
            return Err(ArchiveError::Name { name: name.chars().take(100).collect() });
        };
        if i64::try_from(len).is_err() || folder && len > 0 {
            return Err(ArchiveError::Header { at: self.at - BLOCK, why: "its length cannot be" });
        }
        // Blocks are told apart by their files, which are made once; this set stays small.
        if !matches!(entry, Entry::Block(_)) && !self.seen.insert(entry) {
            return Err(ArchiveError::Twice { name });
        }
        self.state = State::File { left: len, pad: padding(len) };
        Ok(Event::Entry(entry, len))
    }

    /// Records `LEN KEY=VALUE\n`, of which two matter.
    fn extended(&mut self, mut body: &[u8]) -> Result<(), ArchiveError> {
        let damaged =
            || ArchiveError::Header { at: self.at, why: "an extended header is no list of records" };
        while !body.is_empty() {
            let digits = body.iter().position(|byte| *byte == b' ').ok_or_else(damaged)?;
            let len = std::str::from_utf8(&body[..digits]).ok().and_then(|text| text.parse::<usize>().ok());
            let record = len.and_then(|len| body.get(digits + 1..len)).ok_or_else(damaged)?;
            let record = record.strip_suffix(b"\n").ok_or_else(damaged)?;
            let equals = record.iter().position(|byte| *byte == b'=').ok_or_else(damaged)?;
            let value = std::str::from_utf8(&record[equals + 1..]).map_err(|_| damaged())?;
            match &record[..equals] {
                b"path" => self.name = Some(value.to_owned()),
                b"size" => self.len = Some(value.parse().map_err(|_| damaged())?),
                _ => {}
            }
            body = &body[len.ok_or_else(damaged)?..];
        }
        Ok(())
    }
}

/// A field's bytes up to its first NUL.
fn text(field: &[u8]) -> &[u8] {
    &field[..field.iter().position(|byte| *byte == 0).unwrap_or(field.len())]
}

fn octal(field: &[u8]) -> Option<u64> {
    let digits = std::str::from_utf8(text(field)).ok()?.trim_matches(' ');
    let plain = !digits.is_empty() && digits.bytes().all(|byte| (b'0'..b'8').contains(&byte));
    plain.then(|| u64::from_str_radix(digits, 8).ok())?
}

/// A number in octal digits, or in base 256 behind a first byte of 0x80.
fn number(field: &[u8]) -> Option<u64> {
    match field {
        [0x80, 0, 0, 0, rest @ ..] => Some(u64::from_be_bytes(rest.try_into().ok()?)),
        _ => octal(field),
    }
}

#[cfg(test)]
mod tests {
    use super::super::{END_LEN, header};
    use super::*;
    use crate::metadata::Family;
    use allotrope_types::LocalId;
    use proptest::prelude::*;

    fn archive(files: &[(Entry, Vec<u8>)]) -> Vec<u8> {
        let mut tar = Vec::new();
        for (entry, bytes) in files {
            tar.extend_from_slice(&header(*entry, bytes.len() as u64));
            tar.extend_from_slice(bytes);
            tar.resize(tar.len().next_multiple_of(BLOCK as usize), 0);
        }
        tar.resize(tar.len() + END_LEN as usize, 0);
        tar
    }

    /// The entries of an archive that comes in pieces of these lengths, again and again.
    fn read(tar: &[u8], pieces: &[usize]) -> Result<Vec<(Entry, Vec<u8>)>, ArchiveError> {
        let (mut unpack, mut found, mut at) = (Unpack::new(), Vec::new(), 0);
        for len in pieces.iter().cycle() {
            while let Some(event) = unpack.next_event()? {
                match event {
                    Event::Entry(entry, _) => found.push((entry, Vec::new())),
                    Event::Bytes(bytes) => found.last_mut().unwrap().1.extend_from_slice(&bytes),
                    Event::EntryEnd | Event::End => {}
                }
            }
            if at == tar.len() {
                break;
            }
            let to = (at + len).min(tar.len());
            unpack.push(Bytes::copy_from_slice(&tar[at..to]));
            at = to;
        }
        unpack.finish().map(|()| found)
    }

    fn files() -> Vec<(Entry, Vec<u8>)> {
        vec![
            (Entry::Descriptor, b"yaml".to_vec()),
            (Entry::DB, vec![]),
            (Entry::Rows(Family::BlockData), vec![7; 700]),
            (Entry::CHUNKS, vec![]),
            (Entry::Block(LocalId::new(1)), vec![1; 512]),
            (Entry::Block(LocalId::new(2)), vec![]),
        ]
    }

    proptest! {
        #[test]
        fn an_archive_is_read_however_it_is_cut(pieces in prop::collection::vec(1usize..1000, 1..5)) {
            prop_assert_eq!(read(&archive(&files()), &pieces).unwrap(), files());
        }

        #[test]
        fn no_bytes_panic(bytes in prop::collection::vec(any::<u8>(), 0..2000), at in 0usize..4000, flip: u8) {
            let _ = read(&bytes, &[300]);
            let mut tar = archive(&files());
            let at = at % tar.len();
            tar[at] ^= flip;
            let _ = read(&tar, &[300]);
        }
    }

    #[test]
    fn what_java_puts_in_front_of_an_entry_is_understood() {
        let mut tar = Vec::new();
        let record = |key: &str, value: &str| {
            let bare = key.len() + value.len() + 3;
            let len =
                (bare + bare.to_string().len()..).find(|len| bare + len.to_string().len() == *len).unwrap();
            format!("{len} {key}={value}\n")
        };
        let body =
            record("mtime", "1755770400.123") + &record("size", "3") + &record("path", "chunks/9.block");
        let mut head = header(Entry::Descriptor, body.len() as u64);
        head[156] = b'x';
        head[148..156].copy_from_slice(b"        ");
        let sum: u32 = head.iter().map(|byte| u32::from(*byte)).sum();
        head[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
        tar.extend_from_slice(&head);
        tar.extend_from_slice(body.as_bytes());
        tar.resize(tar.len().next_multiple_of(512), 0);
        tar.extend_from_slice(&archive(&[(Entry::Block(LocalId::new(1)), b"abc".to_vec())]));
        assert_eq!(read(&tar, &[100]).unwrap(), [(Entry::Block(LocalId::new(9)), b"abc".to_vec())]);
    }

    #[test]
    fn damage_and_strangers_are_refused() {
        let tar = archive(&files());
        assert!(matches!(read(&tar[..tar.len() - 600], &[512]), Err(ArchiveError::Cut { .. })));
        let twice = archive(&[(Entry::Descriptor, vec![]), (Entry::Descriptor, vec![])]);
        assert!(matches!(read(&twice, &[512]), Err(ArchiveError::Twice { .. })));
        let mut other = tar.clone();
        other[0] = b'd';
        assert!(matches!(read(&other, &[512]), Err(ArchiveError::Header { at: 0, .. })));
        let mut named = archive(&[(Entry::Descriptor, vec![])]);
        named[..14].copy_from_slice(b"../../x.tree\0\0");
        named[148..156].copy_from_slice(b"        ");
        let sum: u32 = named[..512].iter().map(|byte| u32::from(*byte)).sum();
        named[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
        assert!(matches!(read(&named, &[512]), Err(ArchiveError::Name { .. })));
        // A file of a length that no counter holds.
        let mut long = archive(&[(Entry::Block(LocalId::new(1)), vec![])]);
        long[124..136].copy_from_slice(&[0x80, 0, 0, 0, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff]);
        long[148..156].copy_from_slice(b"        ");
        let sum: u32 = long[..512].iter().map(|byte| u32::from(*byte)).sum();
        long[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
        assert!(matches!(read(&long, &[512]), Err(ArchiveError::Header { .. })));
    }
}
