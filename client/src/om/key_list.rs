//! Listing the keys of a bucket.
//!
//! Shape   a page is up to 1000 keys; [`KeyListing`] walks the pages. A bucket with directories
//!         (FILE_SYSTEM_OPTIMIZED) is walked directory by directory, as Ozone's own client does.

use allotrope_proto::edge::om::file::ListStatus;
use allotrope_proto::edge::om::key::ListKeys;
use allotrope_proto::edge::om_key::{BasicKeyInfo, KeyArgs, OzoneFileStatusLight};
use allotrope_types::{BucketLayout, ByteCount, ReplicationConfig};
use futures_util::StreamExt;
use futures_util::stream::{self, BoxStream};

use super::{Om, part};
use crate::client::Client;
use crate::error::Error;
use crate::path::BucketPath;

const PAGE: i32 = 1000;

/// A key in a listing.
#[derive(Clone, Debug, PartialEq)]
pub struct KeyEntry {
    /// Its name in the bucket; a directory's ends in a slash.
    pub name: String,
    /// Its bytes.
    pub len: u64,
    /// How it is kept safe; `None` for a directory.
    pub replication: Option<ReplicationConfig>,
    /// When it was made, in milliseconds since 1970.
    pub created_ms: u64,
    /// When it last changed, in milliseconds since 1970.
    pub modified_ms: u64,
    /// Whose it is.
    pub owner: Option<String>,
    /// Whether it is a file, and not a directory.
    pub is_file: bool,
    /// The ETag that an S3 client stored with it.
    pub etag: Option<String>,
}

/// The keys of a bucket, page by page; see [`Client::list_keys`].
#[derive(Debug)]
pub struct KeyListing {
    client: Client,
    bucket: BucketPath,
    prefix: String,
    /// Names up to and including this one were seen, or were not wanted.
    after: String,
    walk: Walk,
    page: std::vec::IntoIter<KeyEntry>,
}

#[derive(Debug)]
enum Walk {
    /// Keys in the order of their names.
    Flat { more: bool },
    /// Directories still to be listed, the next last, each with the last name that was seen in it.
    Tree { open: Vec<(String, String)> },
}

impl KeyListing {
    pub(crate) fn new(
        client: Client,
        bucket: BucketPath,
        layout: BucketLayout,
        prefix: String,
        after: String,
    ) -> KeyListing {
        let walk = match layout {
            BucketLayout::FileSystemOptimized => {
                let directory = prefix.rfind('/').map_or("", |at| &prefix[..at]);
                Walk::Tree { open: vec![(directory.to_owned(), String::new())] }
            }
            _ => Walk::Flat { more: true },
        };
        KeyListing { client, bucket, prefix, after, walk, page: vec![].into_iter() }
    }

    /// The next key, `None` at the end.
    ///
    /// Cancel safety: dropped early, no key is lost; the page is asked for again.
    ///
    /// # Errors
    /// As any call to OM.
    pub async fn next(&mut self) -> Result<Option<KeyEntry>, Error> {
        loop {
            if let Some(entry) = self.page.next() {
                return Ok(Some(entry));
            }
            if !self.next_page().await? {
                return Ok(None);
            }
        }
    }

    /// The same as a stream.
    pub fn into_stream(self) -> BoxStream<'static, Result<KeyEntry, Error>> {
        let entries = stream::try_unfold(self, |mut listing| async move {
            Ok(listing.next().await?.map(|entry| (entry, listing)))
        });
        entries.boxed()
    }

    /// Fetches the next page; false when there is none.
    async fn next_page(&mut self) -> Result<bool, Error> {
        match &mut self.walk {
            Walk::Flat { more: false } => Ok(false),
            Walk::Flat { more } => {
                let om = self.client.om();
                let (page, truncated) =
                    om.list_keys_page(&self.bucket, &self.prefix, &self.after, PAGE).await?;
                *more = truncated && !page.is_empty();
                if let Some(last) = page.last() {
                    self.after = last.name.clone();
                }
                self.page = page.into_iter();
                Ok(true)
            }
            Walk::Tree { open } => {
                let Some((directory, seen)) = open.last() else { return Ok(false) };
                let page = self.client.om().list_directory_page(&self.bucket, directory, seen).await?;
                // The server starts with the name it was given, which was seen already.
                let fresh: Vec<KeyEntry> =
                    page.into_iter().filter(|entry| entry.name.trim_end_matches('/') != seen).collect();
                let Some(last) = fresh.last().map(|entry| entry.name.trim_end_matches('/').to_owned()) else {
                    open.pop();
                    return Ok(true);
                };
                open.last_mut().expect("it was there before the await").1 = last;
                // A directory is listed after the page it stands on; deeper ones first.
                let directories =
                    fresh.iter().filter(|entry| !entry.is_file && self.prefix_meets(&entry.name));
                let directories: Vec<_> = directories
                    .map(|entry| (entry.name.trim_end_matches('/').to_owned(), String::new()))
                    .collect();
                let wanted: Vec<_> = fresh.into_iter().filter(|entry| self.is_wanted(&entry.name)).collect();
                if let Walk::Tree { open } = &mut self.walk {
                    open.extend(directories.into_iter().rev());
                }
                self.page = wanted.into_iter();
                Ok(true)
            }
        }
    }

    fn is_wanted(&self, name: &str) -> bool {
        name.starts_with(&self.prefix) && *name > *self.after
    }

    /// Whether a directory may hold names that begin with the prefix.
    fn prefix_meets(&self, directory: &str) -> bool {
        directory.starts_with(&self.prefix) || self.prefix.starts_with(directory)
    }
}

impl Om {
    /// Keys whose names begin with `prefix` and stand behind `after`, at most `count_max`, and whether there are more.
    pub(crate) async fn list_keys_page(
        &self,
        bucket: &BucketPath,
        prefix: &str,
        after: &str,
        count_max: i32,
    ) -> Result<(Vec<KeyEntry>, bool), Error> {
        let act = format!("list keys of {bucket}");
        let call = ListKeys {
            volume_name: bucket.volume.clone(),
            bucket_name: bucket.bucket.clone(),
            start_key: (!after.is_empty()).then(|| after.to_owned()),
            prefix: Some(prefix.to_owned()),
            count: Some(count_max),
        };
        let list = ask!(self, &act, ListKeysLight(call))?;
        let keys = list.basic_key_info.into_iter().map(|info| KeyEntry::read(&act, info));
        let keys = keys.collect::<Result<Vec<_>, _>>()?;
        // Servers older than the field fill a page when there is more.
        let truncated = list.is_truncated.unwrap_or(keys.len() >= count_max as usize);
        Ok((keys, truncated))
    }

    async fn list_directory_page(
        &self,
        bucket: &BucketPath,
        directory: &str,
        start: &str,
    ) -> Result<Vec<KeyEntry>, Error> {
        let act = format!("list directory {bucket}/{directory}");
        let key_args = KeyArgs {
            head_op: Some(true),
            latest_version_location: Some(true),
            ..KeyArgs::named(&bucket.volume, &bucket.bucket, directory)
        };
        let call = ListStatus {
            key_args,
            recursive: false,
            start_key: start.to_owned(),
            num_entries: PAGE as u64,
            allow_partial_prefix: Some(true),
        };
        let statuses = ask!(self, &act, ListStatusLight(call))?;
        statuses.into_iter().map(|status| KeyEntry::read_status(&act, status)).collect()
    }
}

impl KeyEntry {
    fn read(act: &str, info: BasicKeyInfo) -> Result<KeyEntry, Error> {
        Ok(KeyEntry {
            name: part(act, info.key_name, "BasicKeyInfo", "keyName")?,
            // As for Java, a length and times that are not told are 0.
            len: info.data_size.map_or(0, ByteCount::as_u64),
            // Directories have none of their own, and say so or say nothing.
            replication: info.replication,
            created_ms: info.creation_time.unwrap_or(0),
            modified_ms: info.modification_time.unwrap_or(0),
            owner: info.owner_name,
            // Servers older than the field list no directories here.
            is_file: info.is_file.unwrap_or(true),
            etag: info.e_tag,
        })
    }

    fn read_status(act: &str, status: OzoneFileStatusLight) -> Result<KeyEntry, Error> {
        // As for Java, what is not said to be a directory is none.
        let is_directory = status.is_directory.unwrap_or(false);
        let info = part(act, status.basic_key_info, "OzoneFileStatusProtoLight", "basicKeyInfo")?;
        let mut entry = KeyEntry::read(act, BasicKeyInfo { is_file: Some(!is_directory), ..info })?;
        if is_directory {
            entry.replication = None;
            if !entry.name.ends_with('/') {
                entry.name.push('/');
            }
        }
        Ok(entry)
    }
}
