//! Decoders that were made, by what survives and what is wanted.
//!
//! Shape   an ordered map from the pattern to the decoder and the tick of its last use.
//! Units   a tick is one search of the map.
//! Errors  none. The cache is bounded: the pattern that was not used for longest gives way.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use super::Decoder;
use crate::cells::CellSet;
use crate::kernel::Kernel;

/// Patterns kept. A cluster that loses a few nodes sees some dozens; at 10-4 a table of two losses takes 640 bytes.
const PATTERNS_MAX: usize = 1024;

/// What survives or is read, and what is written.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) struct Pattern(u64);

impl Pattern {
    pub(super) fn new(sources: CellSet, targets: CellSet) -> Pattern {
        Pattern(u64::from(sources.bits()) << 32 | u64::from(targets.bits()))
    }
}

#[derive(Debug)]
pub(super) struct DecodeTables<K>(Mutex<Cache<K>>);

#[derive(Debug)]
struct Cache<K> {
    decoders: BTreeMap<Pattern, Entry<K>>,
    /// What was asked for last. Stripe after stripe asks for the same, so that is found without check or search.
    last: Option<Last<K>>,
    tick: u64,
}

#[derive(Debug)]
struct Entry<K> {
    decoder: Arc<Decoder<K>>,
    used: u64,
}

#[derive(Debug)]
struct Last<K> {
    asked: Pattern,
    pattern: Pattern,
    decoder: Arc<Decoder<K>>,
}

impl<K> Default for DecodeTables<K> {
    fn default() -> Self {
        DecodeTables(Mutex::new(Cache { decoders: BTreeMap::new(), last: None, tick: 0 }))
    }
}

impl<K: Kernel> DecodeTables<K> {
    /// The decoder for what was `asked`. Unless that was asked for last, `reduced` checks it and says what is read of
    /// it, and `make` makes the decoder if that pattern is new.
    pub(super) fn get<E>(
        &self,
        asked: Pattern,
        reduced: impl FnOnce() -> Result<Pattern, E>,
        make: impl FnOnce() -> Decoder<K>,
    ) -> Result<Arc<Decoder<K>>, E> {
        // A panic while the lock was held leaves at worst a pattern too few: the map itself is whole.
        let mut cache = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(last) = &cache.last
            && last.asked == asked
        {
            return Ok(last.decoder.clone());
        }
        let pattern = reduced()?;
        let decoder = cache.find(pattern, make);
        cache.last = Some(Last { asked, pattern, decoder: decoder.clone() });
        Ok(decoder)
    }
}

impl<K: Kernel> Cache<K> {
    fn find(&mut self, pattern: Pattern, make: impl FnOnce() -> Decoder<K>) -> Arc<Decoder<K>> {
        self.tick += 1;
        let used = self.tick;
        if let Some(last) = self.last.take() {
            // It was in use up to now.
            self.decoders.entry(last.pattern).and_modify(|entry| entry.used = used);
        }
        if !self.decoders.contains_key(&pattern) && self.decoders.len() == PATTERNS_MAX {
            let oldest =
                self.decoders.iter().min_by_key(|(_, entry)| entry.used).map(|(&pattern, _)| pattern);
            self.decoders.remove(&oldest.expect("a full cache has an oldest pattern"));
        }
        let entry = self.decoders.entry(pattern);
        let entry = entry.or_insert_with(|| Entry { decoder: Arc::new(make()), used });
        entry.used = used;
        entry.decoder.clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cells::CellIndex;
    use crate::codec::Codec;
    use crate::plain::Plain;
    use crate::scheme::Scheme;

    #[test]
    fn a_pattern_is_made_once() {
        let codec: Codec<Plain> = Codec::with_kernel(Scheme::reed_solomon(6, 3).unwrap());
        let survivors = CellSet::range(1, 7);
        let wanted = CellSet::EMPTY.with(CellIndex::new(0));
        let first = codec.decoder(survivors, wanted).unwrap();
        assert!(Arc::ptr_eq(&first, &codec.decoder(survivors, wanted).unwrap()));
        // Two more survivors do not change what is read.
        assert!(Arc::ptr_eq(&first, &codec.decoder(CellSet::range(1, 9), wanted).unwrap()));
    }

    #[test]
    fn a_full_cache_forgets_the_pattern_unused_for_longest() {
        let codec: Codec<Plain> = Codec::with_kernel(Scheme::reed_solomon(20, 12).unwrap());
        let pattern = |bits: usize| (0..11).filter(|bit| bits >> bit & 1 == 1).map(CellIndex::new).collect();
        let decoder =
            |missing: CellSet| codec.decoder(codec.scheme().all_cells().without(missing), missing).unwrap();
        let in_use = decoder(pattern(1));
        let unused = decoder(pattern(2));
        for bits in 3..=PATTERNS_MAX + 1 {
            decoder(pattern(bits));
            assert!(Arc::ptr_eq(&in_use, &decoder(pattern(1))), "a pattern in use stays");
        }
        assert_eq!(codec.tables.0.lock().unwrap().decoders.len(), PATTERNS_MAX);
        assert!(!Arc::ptr_eq(&unused, &decoder(pattern(2))), "the unused one was made anew");
    }
}
