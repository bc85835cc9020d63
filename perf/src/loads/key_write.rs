//! Writing and removing keys.

use allotrope_client::{Deletion, PutOptions};
use allotrope_types::ReplicationConfig;
use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;

use super::KeySet;
use crate::load::{Done, Load, Trouble};

/// Bytes that a writer is given at a time.
const PIECE: usize = 1 << 20;

/// Writes whole keys.
#[derive(Clone, Debug)]
pub struct KeyWrite {
    /// The keys.
    pub keys: KeySet,
    /// How they are kept safe; the bucket's default when `None`.
    pub replication: Option<ReplicationConfig>,
}

impl KeyWrite {
    pub(crate) async fn write(&self, number: u64) -> Result<u64, Trouble> {
        let keys = &self.keys;
        let options =
            PutOptions { replication: self.replication, len: Some(keys.len), ..PutOptions::default() };
        let mut writer = keys.client(number).write_key(&keys.path(number), options).await?;
        for piece in keys.content.pieces(number, 0..keys.len, PIECE) {
            writer.write(piece).await?;
        }
        Ok(writer.finish().await?.len)
    }
}

impl Load for KeyWrite {
    fn kinds(&self) -> &[&'static str] {
        &["write"]
    }

    fn operate(&self, number: u64) -> BoxFuture<'_, Result<Done, Trouble>> {
        async move { Ok(Done::moved(self.write(number).await?)) }.boxed()
    }
}

/// Removes keys.
#[derive(Clone, Debug)]
pub struct KeyRemove {
    /// The keys.
    pub keys: KeySet,
}

impl Load for KeyRemove {
    fn kinds(&self) -> &[&'static str] {
        &["remove"]
    }

    fn operate(&self, number: u64) -> BoxFuture<'_, Result<Done, Trouble>> {
        async move {
            let removed = self.keys.client(number).delete_key(&self.keys.path(number)).await?;
            let (Deletion::Deleted | Deletion::AlreadyGone) = removed;
            Ok(Done::moved(0))
        }
        .boxed()
    }
}
