//! The twin's row files: each row as two lengths of 4 bytes, the key and the value.

use super::{Map, MemoryMetadata, State};
use crate::metadata::rows::{Local, RowFiles};
use crate::metadata::{Entry, Family, Metadata, MetadataError};
use allotrope_io::{AlignedBuf, DiskError, OpenHow, Shard};
use bytes::{Buf, BufMut, Bytes};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use tokio::sync::mpsc;

/// The longest file that is read.
const FILE_MAX: usize = 16 << 20;

/// Files on the shard's disk, which is in memory too.
pub(super) struct PlainFiles;

impl RowFiles for PlainFiles {
    fn write<'a>(
        &'a self,
        shard: &'a Shard,
        to: PathBuf,
        mut rows: mpsc::Receiver<Vec<Entry>>,
    ) -> Local<'a, ()> {
        Box::pin(async move {
            let mut text = Vec::new();
            while let Some(page) = rows.recv().await {
                for (key, value) in page {
                    text.put_u32(key.len() as u32);
                    text.put_u32(value.len() as u32);
                    text.extend_from_slice(&key);
                    text.extend_from_slice(&value);
                }
            }
            let failed = |e: DiskError| failed("write", &to, &e);
            let file = shard.disk().open(&to, OpenHow::create_new()).await.map_err(failed)?;
            file.write_at(AlignedBuf::copy_of(&text), 0).await.1.map_err(failed)
        })
    }

    fn open<'a>(
        &'a self,
        shard: &'a Shard,
        files: Vec<(Family, Option<PathBuf>)>,
        _scratch: PathBuf,
    ) -> Local<'a, Arc<dyn Metadata>> {
        Box::pin(async move {
            let mut map = Map::new();
            for (family, path) in files {
                let Some(path) = path else { continue };
                let bytes = shard.disk().read_small(&path, FILE_MAX).await;
                let bytes = bytes.map_err(|e| failed("read", &path, &e))?;
                add(&mut map, family, bytes.into()).ok_or_else(|| failed("read", &path, &"it is damaged"))?;
            }
            let state = State { view: map.clone(), stable: map, ..State::default() };
            Ok(Arc::new(MemoryMetadata(Arc::new(Mutex::new(state)))) as Arc<dyn Metadata>)
        })
    }
}

fn add(map: &mut Map, family: Family, mut bytes: Bytes) -> Option<()> {
    while !bytes.is_empty() {
        let (key, value) = (bytes.try_get_u32().ok()? as usize, bytes.try_get_u32().ok()? as usize);
        if bytes.len() < key.checked_add(value)? {
            return None;
        }
        let key = bytes.split_to(key).to_vec();
        map.insert((family, key), bytes.split_to(value));
    }
    Some(())
}

fn failed(act: &'static str, at: &Path, why: &dyn std::fmt::Display) -> MetadataError {
    MetadataError::Store { act, at: at.to_owned(), why: why.to_string() }
}
