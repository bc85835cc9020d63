//! A batch: the writes of the entries being applied, over the state as it was.
//!
//! Owns    writes not yet in RocksDB, in key order, so that reads and scans see them.
//! Law     nothing of a batch is in the state until all of it is, together with the applied index: one RocksDB write.

use std::{collections::BTreeMap, iter::Peekable, ops::Bound};

use crate::{
    state::StateDb,
    table::{Direction, RawPair, RawRange, RawScan, Read, TableError},
};

/// What a batch did to a key; `None` is a delete.
type Written = BTreeMap<Vec<u8>, Option<Vec<u8>>>;

/// The writes of the entries being applied. Reads through it see them.
pub struct Batch<'a> {
    state: &'a StateDb,
    written: BTreeMap<String, Written>,
    /// Keys and values put since it began, for the size of one write.
    bytes: usize,
}

impl<'a> Batch<'a> {
    pub(crate) fn new(state: &'a StateDb) -> Self {
        Batch { state, written: BTreeMap::new(), bytes: 0 }
    }

    /// Puts an encoded pair. Prefer [`crate::Table::put`].
    pub fn put_raw(&mut self, table: &str, key: Vec<u8>, value: Vec<u8>) -> Result<(), TableError> {
        self.bytes += key.len() + value.len();
        self.table(table)?.insert(key, Some(value));
        Ok(())
    }

    /// Deletes an encoded key. Prefer [`crate::Table::delete`].
    pub fn delete_raw(&mut self, table: &str, key: Vec<u8>) -> Result<(), TableError> {
        self.bytes += key.len();
        self.table(table)?.insert(key, None);
        Ok(())
    }

    /// How many bytes of keys and values wait to be written.
    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Writes all of it to RocksDB at once. Not synced: the log is, and what a crash takes is applied again.
    pub(crate) fn write(self) -> Result<(), TableError> {
        let mut batch = rocksdb::WriteBatch::default();
        for (table, written) in &self.written {
            let family = self.state.family(table)?;
            for (key, value) in written {
                match value {
                    Some(value) => batch.put_cf(family, key, value),
                    None => batch.delete_cf(family, key),
                }
            }
        }
        self.state.db.write(batch).map_err(|source| TableError::Disk { table: "(batch)".to_owned(), source })
    }

    fn table(&mut self, table: &str) -> Result<&mut Written, TableError> {
        if !self.written.contains_key(table) {
            self.state.family(table)?;
            self.written.insert(table.to_owned(), Written::new());
        }
        Ok(self.written.get_mut(table).expect("inserted above"))
    }
}

impl Read for Batch<'_> {
    fn get_raw(&self, table: &str, key: &[u8]) -> Result<Option<Vec<u8>>, TableError> {
        match self.written.get(table).and_then(|written| written.get(key)) {
            Some(value) => Ok(value.clone()),
            None => self.state.get_raw(table, key),
        }
    }

    fn scan_raw<'s>(
        &'s self,
        table: &str,
        range: RawRange,
        way: Direction,
    ) -> Result<RawScan<'s>, TableError> {
        let below = self.state.scan_raw(table, range.clone(), way)?;
        let Some(written) = self.written.get(table) else { return Ok(below) };
        let bounds = (slice(&range.0), slice(&range.1));
        let above = written.range::<[u8], _>(bounds);
        Ok(match way {
            Direction::Up => Box::new(Merge::new(above, below, way)),
            Direction::Down => Box::new(Merge::new(above.rev(), below, way)),
        })
    }
}

fn slice(bound: &Bound<Vec<u8>>) -> Bound<&[u8]> {
    bound.as_ref().map(Vec::as_slice)
}

/// Two scans in the same order as one: `above` hides what `below` has at the same key.
struct Merge<'s, A: Iterator> {
    above: Peekable<A>,
    below: Peekable<RawScan<'s>>,
    way: Direction,
}

impl<'s, 'w, A: Iterator<Item = (&'w Vec<u8>, &'w Option<Vec<u8>>)>> Merge<'s, A> {
    fn new(above: A, below: RawScan<'s>, way: Direction) -> Self {
        Merge { above: above.peekable(), below: below.peekable(), way }
    }
}

impl<'w, A: Iterator<Item = (&'w Vec<u8>, &'w Option<Vec<u8>>)>> Iterator for Merge<'_, A> {
    type Item = Result<RawPair, TableError>;

    fn next(&mut self) -> Option<Self::Item> {
        use std::cmp::Ordering::{Equal, Greater, Less};
        loop {
            let order = match (self.above.peek(), self.below.peek()) {
                (_, Some(Err(_))) | (None, _) => return self.below.next(),
                (Some(_), None) => Less,
                (Some((above, _)), Some(Ok((below, _)))) => match self.way {
                    Direction::Up => above.as_slice().cmp(below),
                    Direction::Down => below.as_slice().cmp(above),
                },
            };
            if order == Greater {
                return self.below.next();
            }
            if order == Equal {
                self.below.next();
            }
            if let Some((key, Some(value))) = self.above.next() {
                return Some(Ok((key.clone(), value.clone())));
            }
        }
    }
}
