//! One request's view of the tables, and what it wants to change in them.
//!
//! Shape   [`Db`] reads. [`Tx`] reads too, sees its own writes by key, and hands them over when the request succeeded.
//! Law     a refused request has written nothing. A scan sees the state before the request, so requests scan first and
//!         write then.
//! Units   a transaction's number grows by one with every change of the namespace; it makes object ids and update ids.

use std::collections::BTreeMap;
use std::ops::Bound;

use allotrope_consensus::{
    Batch, Codec, Direction, KeyCodec, RawRange, RawScan, Read, Table, TableError, Utf8,
};

/// A place tables are read from, by reference.
#[derive(Clone, Copy)]
pub struct Db<'a>(&'a dyn Read);

impl<'a> Db<'a> {
    /// Reads from `place`.
    pub fn new(place: &'a dyn Read) -> Db<'a> {
        Db(place)
    }

    /// The value of `key`, if there is one.
    pub fn get<K: KeyCodec, V: Codec>(
        self,
        table: Table<K, V>,
        key: &K::Item,
    ) -> Result<Option<V::Item>, TableError> {
        table.get(&self, key)
    }

    /// Whether `key` has a value.
    pub fn contains<K: KeyCodec, V: Codec>(
        self,
        table: Table<K, V>,
        key: &K::Item,
    ) -> Result<bool, TableError> {
        table.contains(&self, key)
    }

    /// The pairs whose keys begin with `prefix` and lie after `after`.
    pub fn scan_after<K: KeyCodec, V: Codec>(
        self,
        table: Table<K, V>,
        prefix: &[u8],
        after: &K::Item,
    ) -> Result<Pairs<'a, K, V>, TableError> {
        self.scan_bound(table, prefix, Bound::Excluded(K::to_bytes(after)))
    }

    /// The pairs whose keys begin with `prefix` and are not smaller than `from`.
    pub fn scan_from<K: KeyCodec, V: Codec>(
        self,
        table: Table<K, V>,
        prefix: &[u8],
        from: Vec<u8>,
    ) -> Result<Pairs<'a, K, V>, TableError> {
        self.scan_bound(table, prefix, Bound::Included(from))
    }

    /// The pairs whose keys begin with `prefix`.
    pub fn scan<K: KeyCodec, V: Codec>(
        self,
        table: Table<K, V>,
        prefix: &[u8],
    ) -> Result<Pairs<'a, K, V>, TableError> {
        self.scan_bound(table, prefix, Bound::Unbounded)
    }

    /// Whether any key begins with `prefix`.
    pub fn has_any<K: KeyCodec, V: Codec>(
        self,
        table: Table<K, V>,
        prefix: &[u8],
    ) -> Result<bool, TableError> {
        self.scan(table, prefix)?.next().transpose().map(|found| found.is_some())
    }

    fn scan_bound<K: KeyCodec, V: Codec>(
        self,
        table: Table<K, V>,
        prefix: &[u8],
        start: Bound<Vec<u8>>,
    ) -> Result<Pairs<'a, K, V>, TableError> {
        let start = match start {
            Bound::Included(key) if key.as_slice() >= prefix => Bound::Included(key),
            Bound::Excluded(key) if key.as_slice() >= prefix => Bound::Excluded(key),
            _ => Bound::Included(prefix.to_vec()),
        };
        let end = prefix_end(prefix).map_or(Bound::Unbounded, Bound::Excluded);
        let beyond = match (&start, &end) {
            (Bound::Included(a) | Bound::Excluded(a), Bound::Excluded(b)) => a >= b,
            _ => false,
        };
        let raw: RawScan<'a> = match beyond {
            true => Box::new(std::iter::empty()),
            false => self.0.scan_raw(table.name(), (start, end), Direction::Up)?,
        };
        Ok(Pairs { table, raw })
    }
}

/// The first bytes after all that begin with `prefix`; `None` if nothing comes after.
fn prefix_end(prefix: &[u8]) -> Option<Vec<u8>> {
    let keep = prefix.iter().rposition(|byte| *byte != u8::MAX)?;
    let mut end = prefix[..=keep].to_vec();
    end[keep] += 1;
    Some(end)
}

impl Read for Db<'_> {
    fn get_raw(&self, table: &str, key: &[u8]) -> Result<Option<Vec<u8>>, TableError> {
        self.0.get_raw(table, key)
    }
    fn scan_raw<'s>(
        &'s self,
        table: &str,
        range: RawRange,
        way: Direction,
    ) -> Result<RawScan<'s>, TableError> {
        self.0.scan_raw(table, range, way)
    }
}

/// Typed pairs of a scan, in key order.
pub struct Pairs<'a, K, V> {
    table: Table<K, V>,
    raw: RawScan<'a>,
}

impl<K: KeyCodec, V: Codec> Iterator for Pairs<'_, K, V> {
    type Item = Result<(K::Item, V::Item), TableError>;

    fn next(&mut self) -> Option<Self::Item> {
        let (key, value) = match self.raw.next()? {
            Ok(pair) => pair,
            Err(error) => return Some(Err(error)),
        };
        let typed = K::decode(&key).and_then(|item| Ok((item, V::decode(&value)?)));
        Some(typed.map_err(|source| TableError::Damaged {
            table: self.table.name().to_owned(),
            key: key.escape_ascii().to_string(),
            source,
        }))
    }
}

/// Where Ozone keeps how far its log is applied; ours counts changes of the namespace.
const TRANSACTIONS: Table<Utf8, Utf8> = Table::new("transactionInfoTable");
const TRANSACTION_ROW: &str = "#TRANSACTIONINFO";
/// The two topmost bits of an object id: Ozone's epoch of ids that a Raft log made.
const EPOCH: u64 = 2 << 62;

/// By table, then by key; `None` deletes.
type Written = BTreeMap<&'static str, BTreeMap<Vec<u8>, Option<Vec<u8>>>>;

/// One change of the namespace, while it is worked out.
pub struct Tx<'a> {
    below: &'a dyn Read,
    written: Written,
    number: u64,
    objects: u64,
    /// When, in milliseconds since 1970, by the log.
    pub now_ms: u64,
}

impl<'a> Tx<'a> {
    /// The change after the last one that `below` knows, at the log time `now_ms`.
    pub fn after(below: &'a dyn Read, now_ms: u64) -> Result<Tx<'a>, TableError> {
        let last = TRANSACTIONS.get(&Db(below), &TRANSACTION_ROW.to_owned())?;
        let number = match last {
            None => 0,
            Some(text) => text.split_once('#').and_then(|(_, n)| n.parse::<u64>().ok()).ok_or_else(|| {
                TableError::Damaged {
                    table: TRANSACTIONS.name().to_owned(),
                    key: TRANSACTION_ROW.to_owned(),
                    source: allotrope_consensus::CodecError::new("<term>#<transaction>", text),
                }
            })?,
        };
        Ok(Tx { below, written: BTreeMap::new(), number: number + 1, objects: 0, now_ms })
    }

    /// This change's number: the update id of everything it touches. Never 0.
    pub fn number(&self) -> u64 {
        self.number
    }

    /// The id of the next object that this change makes. A change makes at most 256.
    pub fn object_id(&mut self) -> u64 {
        let id = EPOCH | self.number << 8 | self.objects;
        self.objects += 1;
        assert!(self.objects <= 256, "a request makes at most 256 objects, and checks before");
        id
    }

    /// The id under which this change puts things away: the same for all of them, told apart by where they lay.
    pub fn burial_id(&self) -> u64 {
        EPOCH | self.number << 8
    }

    /// The tables with this change's writes, by key; scans see them without.
    pub fn db(&self) -> Db<'_> {
        Db(self)
    }

    /// Gives `key` the value `value`.
    pub fn put<K: KeyCodec, V: Codec>(&mut self, table: Table<K, V>, key: &K::Item, value: &V::Item) {
        self.written.entry(table.name()).or_default().insert(K::to_bytes(key), Some(V::to_bytes(value)));
    }

    /// Takes `key` out.
    pub fn delete<K: KeyCodec, V: Codec>(&mut self, table: Table<K, V>, key: &K::Item) {
        self.written.entry(table.name()).or_default().insert(K::to_bytes(key), None);
    }

    /// Takes back all that was written so far.
    pub(crate) fn clear(&mut self) {
        self.written.clear();
    }

    /// Ends the change: its writes, with its number among them if there are any.
    pub fn into_writes(mut self) -> Writes {
        if !self.written.is_empty() {
            let number = format!("1#{}", self.number);
            self.put(TRANSACTIONS, &TRANSACTION_ROW.to_owned(), &number);
        }
        Writes(self.written)
    }
}

impl Read for Tx<'_> {
    fn get_raw(&self, table: &str, key: &[u8]) -> Result<Option<Vec<u8>>, TableError> {
        match self.written.get(table).and_then(|keys| keys.get(key)) {
            Some(value) => Ok(value.clone()),
            None => self.below.get_raw(table, key),
        }
    }
    fn scan_raw<'s>(
        &'s self,
        table: &str,
        range: RawRange,
        way: Direction,
    ) -> Result<RawScan<'s>, TableError> {
        self.below.scan_raw(table, range, way)
    }
}

/// What a change writes; `None` deletes.
#[derive(Debug, Default)]
pub struct Writes(Written);

impl Writes {
    /// Puts all of it into `batch`.
    pub fn into_batch(self, batch: &mut Batch<'_>) -> Result<(), TableError> {
        for (table, keys) in self.0 {
            for (key, value) in keys {
                match value {
                    Some(value) => batch.put_raw(table, key, value)?,
                    None => batch.delete_raw(table, key)?,
                }
            }
        }
        Ok(())
    }

    /// The writes as they are: table, key, value.
    #[cfg(test)]
    pub(crate) fn into_raw(self) -> impl Iterator<Item = (&'static str, Vec<u8>, Option<Vec<u8>>)> {
        self.0
            .into_iter()
            .flat_map(|(table, keys)| keys.into_iter().map(move |(key, value)| (table, key, value)))
    }
}
