//! Typed tables over column families, and the two places they are read from.
//!
//! Shape   `Table<K, V>` is a name with two codecs, a constant; `Read` is where it looks: a `View` (a consistent
//!         moment of the state) or a `Batch` (that moment with the batch's own writes on top).
//! Errors  `TableError` names the table; a value that does not decode is damage, never a panic.
//!
//! ```
//! use allotrope_consensus::{Be64, Table, Utf8};
//! /// Bytes used, by volume name.
//! const USED: Table<Utf8, Be64> = Table::new("usedTable");
//! assert_eq!(USED.name(), "usedTable");
//! ```

use std::{
    fmt,
    marker::PhantomData,
    ops::{Bound, RangeBounds},
};

use crate::{
    batch::Batch,
    codec::{Codec, CodecError, KeyCodec},
};

/// What can go wrong when a table is read or written.
#[derive(Debug, thiserror::Error)]
pub enum TableError {
    /// The state machine did not name this table in `StateMachine::tables`.
    #[error("the state has no table {table}; the state machine has to name it before it starts")]
    NoSuchTable {
        /// Its column family.
        table: String,
    },
    /// RocksDB could not read or write.
    #[error("table {table} cannot be read or written")]
    Disk {
        /// Its column family.
        table: String,
        /// What RocksDB says.
        source: rocksdb::Error,
    },
    /// A key or value is not an encoding of what the table holds.
    #[error("table {table} is damaged at key {key}")]
    Damaged {
        /// Its column family.
        table: String,
        /// The key, printable bytes as they are.
        key: String,
        /// What the codec says.
        source: CodecError,
    },
    /// The command itself does not decode: written by a newer version, or damaged.
    #[error("a command in the log cannot be read by this version")]
    Command {
        /// What the codec says.
        source: CodecError,
    },
}

/// A key and a value as they lie in the state.
pub type RawPair = (Vec<u8>, Vec<u8>);
/// A scan over raw pairs.
pub type RawScan<'a> = Box<dyn Iterator<Item = Result<RawPair, TableError>> + 'a>;
/// Where a scan starts and ends, in raw keys.
pub type RawRange = (Bound<Vec<u8>>, Bound<Vec<u8>>);

/// Which way a scan walks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// From the smallest key up.
    Up,
    /// From the largest key down.
    Down,
}

/// A place tables are read from.
pub trait Read {
    /// The value at `key`, if there is one.
    fn get_raw(&self, table: &str, key: &[u8]) -> Result<Option<Vec<u8>>, TableError>;
    /// The pairs of `range`, in key order.
    fn scan_raw<'s>(
        &'s self,
        table: &str,
        range: RawRange,
        way: Direction,
    ) -> Result<RawScan<'s>, TableError>;
}

/// A typed table: a column family with the codecs of its keys and values.
pub struct Table<K, V> {
    name: &'static str,
    codecs: PhantomData<fn() -> (K, V)>,
}

impl<K, V> Clone for Table<K, V> {
    fn clone(&self) -> Self {
        *self
    }
}
impl<K, V> Copy for Table<K, V> {}
impl<K, V> fmt::Debug for Table<K, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Table({})", self.name)
    }
}

impl<K: KeyCodec, V: Codec> Table<K, V> {
    /// The table in column family `name`.
    pub const fn new(name: &'static str) -> Self {
        Table { name, codecs: PhantomData }
    }

    /// Its column family.
    pub const fn name(&self) -> &'static str {
        self.name
    }

    /// The value of `key`, if there is one.
    pub fn get(&self, from: &impl Read, key: &K::Item) -> Result<Option<V::Item>, TableError> {
        let key = K::to_bytes(key);
        match from.get_raw(self.name, &key)? {
            Some(value) => V::decode(&value).map(Some).map_err(|e| self.damaged(&key, e)),
            None => Ok(None),
        }
    }

    /// Whether `key` has a value.
    pub fn contains(&self, from: &impl Read, key: &K::Item) -> Result<bool, TableError> {
        Ok(from.get_raw(self.name, &K::to_bytes(key))?.is_some())
    }

    /// Gives `key` the value `value`.
    pub fn put(&self, batch: &mut Batch<'_>, key: &K::Item, value: &V::Item) -> Result<(), TableError> {
        batch.put_raw(self.name, K::to_bytes(key), V::to_bytes(value))
    }

    /// Takes `key` out.
    pub fn delete(&self, batch: &mut Batch<'_>, key: &K::Item) -> Result<(), TableError> {
        batch.delete_raw(self.name, K::to_bytes(key))
    }

    /// The pairs whose keys lie in `range`, in key order.
    pub fn range<'s>(
        &self,
        from: &'s impl Read,
        range: impl RangeBounds<K::Item>,
        way: Direction,
    ) -> Result<Scan<'s, K, V>, TableError> {
        let raw = |bound: Bound<&K::Item>| bound.map(|key| K::to_bytes(key));
        self.raw_range(from, (raw(range.start_bound()), raw(range.end_bound())), way)
    }

    /// Every pair, in key order.
    pub fn all<'s>(&self, from: &'s impl Read) -> Result<Scan<'s, K, V>, TableError> {
        self.raw_range(from, (Bound::Unbounded, Bound::Unbounded), Direction::Up)
    }

    /// The pairs whose encoded keys begin with `prefix`, from `after` on (exclusive) if given.
    pub fn prefix<'s>(
        &self,
        from: &'s impl Read,
        prefix: &[u8],
        after: Option<&K::Item>,
    ) -> Result<Scan<'s, K, V>, TableError> {
        let end = prefix_end(prefix).map_or(Bound::Unbounded, Bound::Excluded);
        let start = match after.map(K::to_bytes) {
            Some(key) if key.as_slice() >= prefix => Bound::Excluded(key),
            _ => Bound::Included(prefix.to_vec()),
        };
        self.raw_range(from, (start, end), Direction::Up)
    }

    fn raw_range<'s>(
        &self,
        from: &'s impl Read,
        range: RawRange,
        way: Direction,
    ) -> Result<Scan<'s, K, V>, TableError> {
        let pairs = if is_empty(&range) {
            Box::new(std::iter::empty()) as RawScan<'s>
        } else {
            from.scan_raw(self.name, range, way)?
        };
        Ok(Scan { table: *self, pairs })
    }

    fn damaged(&self, key: &[u8], source: CodecError) -> TableError {
        TableError::Damaged { table: self.name.to_owned(), key: key.escape_ascii().to_string(), source }
    }
}

/// A scan over a table's typed pairs.
pub struct Scan<'s, K, V> {
    table: Table<K, V>,
    pairs: RawScan<'s>,
}

impl<K: KeyCodec, V: Codec> Iterator for Scan<'_, K, V> {
    type Item = Result<(K::Item, V::Item), TableError>;

    fn next(&mut self) -> Option<Self::Item> {
        let (key, value) = match self.pairs.next()? {
            Ok(pair) => pair,
            Err(e) => return Some(Err(e)),
        };
        let typed = K::decode(&key).and_then(|k| Ok((k, V::decode(&value)?)));
        Some(typed.map_err(|e| self.table.damaged(&key, e)))
    }
}

/// The first key after all that begin with `prefix`; none if there is no such key.
pub(crate) fn prefix_end(prefix: &[u8]) -> Option<Vec<u8>> {
    let keep = prefix.iter().rposition(|b| *b != u8::MAX)?;
    let mut end = prefix[..=keep].to_vec();
    end[keep] += 1;
    Some(end)
}

/// Whether no key can lie in `range`; iterators of maps and databases differ in what they make of such a range.
fn is_empty((from, to): &RawRange) -> bool {
    use Bound::{Excluded, Included, Unbounded};
    match (from, to) {
        (Unbounded, _) | (_, Unbounded) => false,
        (Included(a), Included(b)) => a > b,
        (Included(a) | Excluded(a), Included(b) | Excluded(b)) => a >= b,
    }
}
