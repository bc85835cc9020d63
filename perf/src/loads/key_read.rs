//! Reading keys, whole or in part, each byte compared with what was written.

use std::ops::Range;

use allotrope_client::KeyReader;
use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;

use super::KeySet;
use crate::content::mixed;
use crate::load::{Done, Load, Trouble, TroubleKind};

/// What a reading operation reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReadWhat {
    /// The key of the operation's number, whole.
    Each,
    /// The key of this number, whole, over and over.
    One(u64),
    /// So many bytes of a key, at a place that the seed and a count choose.
    Range(u64),
}

/// Reads keys that [`super::KeyWrite`] wrote with the same seed and length.
#[derive(Debug)]
pub struct KeyRead {
    keys: KeySet,
    what: ReadWhat,
    turn: std::sync::atomic::AtomicU64,
    seed: u64,
}

impl KeyRead {
    /// Reads `what` of `keys`; `seed` chooses places.
    pub fn new(keys: KeySet, what: ReadWhat, seed: u64) -> KeyRead {
        KeyRead { keys, what, turn: std::sync::atomic::AtomicU64::new(0), seed }
    }

    async fn read(&self, number: u64) -> Result<u64, Trouble> {
        match self.what {
            ReadWhat::Each => whole(&self.keys, number).await,
            ReadWhat::One(one) => whole(&self.keys, one).await,
            ReadWhat::Range(len) => {
                let turn = self.turn.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
                let range = place_of(self.keys.len, len, mixed(self.seed ^ mixed(turn)));
                let (client, path) = (self.keys.client(number), self.keys.path(number));
                let reader = client.read_range(&path, range.clone()).await?;
                drained(&self.keys, number, reader, range).await
            }
        }
    }
}

/// `len` bytes of `of`, at a place that `chance` chooses.
pub(super) fn place_of(of: u64, len: u64, chance: u64) -> Range<u64> {
    let len = len.min(of);
    let start = chance % (of - len + 1);
    start..start + len
}

/// Reads key `number` from its first byte to its last.
pub(crate) async fn whole(keys: &KeySet, number: u64) -> Result<u64, Trouble> {
    let reader = keys.client(number).read_key(&keys.path(number)).await?;
    let len = reader.key().len;
    if len != keys.len {
        let text = format!("{} has {len} bytes instead of {}", keys.path(number), keys.len);
        return Err(Trouble::new(TroubleKind::Corrupt, text));
    }
    drained(keys, number, reader, 0..len).await
}

async fn drained(
    keys: &KeySet,
    number: u64,
    mut reader: KeyReader,
    range: Range<u64>,
) -> Result<u64, Trouble> {
    let mut at = range.start;
    while let Some(bytes) = reader.next().await? {
        keys.check(number, at, &bytes)?;
        at += bytes.len() as u64;
    }
    if at != range.end {
        let text = format!("{} ends at byte {at} instead of {}", keys.path(number), range.end);
        return Err(Trouble::new(TroubleKind::Corrupt, text));
    }
    Ok(range.end - range.start)
}

impl Load for KeyRead {
    fn kinds(&self) -> &[&'static str] {
        &["read"]
    }

    fn operate(&self, number: u64) -> BoxFuture<'_, Result<Done, Trouble>> {
        async move { Ok(Done::moved(self.read(number).await?)) }.boxed()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_lies_within_the_key_whatever_is_asked_for() {
        for chance in 0..1000 {
            let range = place_of(100, 7, mixed(chance));
            assert!(range.end <= 100 && range.end - range.start == 7);
        }
        assert_eq!(place_of(100, 500, 9), 0..100);
        assert_eq!(place_of(0, 5, 9), 0..0);
        assert!((0..10_000).any(|chance| place_of(100, 1, mixed(chance)).end == 100));
    }
}
