//! Writes, reads and listings, mixed by their shares.

use std::sync::atomic::{AtomicU64, Ordering};

use allotrope_client::Key;
use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;

use super::KeyWrite;
use super::key_read::whole;
use crate::content::mixed;
use crate::load::{Done, Load, Trouble, TroubleKind};

/// The shares of a mix, in operations of a hundred; what is left is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Mix {
    /// Operations of a hundred that read.
    pub read: u32,
    /// Operations of a hundred that list.
    pub list: u32,
}

impl Mix {
    /// The operation that `chance` chooses: 0 writes, 1 reads, 2 lists.
    pub(super) fn choose(self, chance: u64) -> usize {
        let chance = (chance % 100) as u32;
        match () {
            () if chance < self.read => 1,
            () if chance < self.read + self.list => 2,
            () => 0,
        }
    }
}

/// A mix of operations on the same keys. They must have been written before, or reads find nothing.
#[derive(Debug)]
pub struct KeyMixed {
    write: KeyWrite,
    mix: Mix,
    metadata_only: bool,
    list_max: usize,
    seed: u64,
    turn: AtomicU64,
}

impl KeyMixed {
    /// A `mix` that `seed` chooses. A listing takes up to `list_max` keys; with `metadata_only` reads ask OM alone.
    pub fn new(write: KeyWrite, mix: Mix, metadata_only: bool, list_max: usize, seed: u64) -> KeyMixed {
        KeyMixed { write, mix, metadata_only, list_max, seed, turn: AtomicU64::new(0) }
    }

    async fn read(&self, number: u64) -> Result<u64, Trouble> {
        let keys = &self.write.keys;
        if !self.metadata_only {
            return whole(keys, number).await;
        }
        let Key { len, .. } = keys.client(number).key(&keys.path(number)).await?;
        match len == keys.len {
            true => Ok(0),
            false => {
                Err(Trouble::new(TroubleKind::Corrupt, format!("{} has {len} bytes", keys.path(number))))
            }
        }
    }

    async fn list(&self, number: u64) -> Result<u64, Trouble> {
        let keys = &self.write.keys;
        let after = keys.name(number);
        let prefix = format!("{}/", keys.prefix);
        let mut listing = keys.client(number).list_keys(&keys.bucket, &prefix, &after).await?;
        for _ in 0..self.list_max {
            let Some(entry) = listing.next().await? else { break };
            if entry.name <= after {
                let text = format!("a listing behind {after} gives {}", entry.name);
                return Err(Trouble::new(TroubleKind::Corrupt, text));
            }
        }
        Ok(0)
    }
}

impl Load for KeyMixed {
    fn kinds(&self) -> &[&'static str] {
        &["write", "read", "list"]
    }

    fn operate(&self, number: u64) -> BoxFuture<'_, Result<Done, Trouble>> {
        async move {
            let turn = self.turn.fetch_add(1, Ordering::Relaxed);
            let kind = self.mix.choose(mixed(self.seed ^ mixed(turn)));
            let bytes = match kind {
                0 => self.write.write(number).await?,
                1 => self.read(number).await?,
                _ => self.list(number).await?,
            };
            Ok(Done::of(kind, bytes))
        }
        .boxed()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_are_what_they_say() {
        let mix = Mix { read: 70, list: 5 };
        let mut counts = [0; 3];
        (0..100).for_each(|chance| counts[mix.choose(chance)] += 1);
        assert_eq!(counts, [25, 70, 5]);
    }
}
