//! The client: one user's view of a cluster.

use std::sync::Arc;

use allotrope_types::BucketLayout;

use crate::config::Config;
use crate::datanode::Datanodes;
use crate::error::Error;
use crate::om::{Bucket, BucketOptions, Deletion, Key, KeyListing, Om, PutOptions, Volume, VolumeOptions};
use crate::path::{BucketPath, KeyPath};
use crate::read::KeyReader;
use crate::write::KeyWriter;

/// Volumes and buckets in one page of a listing.
const PAGE: u32 = 1000;

/// One user's view of a cluster. Clones share their connections, which open when they are first needed.
///
/// Must be used on a tokio runtime with its timer and network.
#[derive(Clone, Debug)]
pub struct Client {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    config: Config,
    om: Om,
    datanodes: Arc<Datanodes>,
}

impl Client {
    /// A client of the cluster that `config` names. Nothing is sent yet.
    ///
    /// # Errors
    /// [`Error::Config`] names the setting that does not do.
    pub fn new(config: Config) -> Result<Client, Error> {
        config.check()?;
        let (om, datanodes) = (Om::new(&config), Arc::new(Datanodes::new(&config)));
        Ok(Client { shared: Arc::new(Shared { config, om, datanodes }) })
    }

    /// The same cluster as `user` sees it, over the same connections.
    pub fn of_user(&self, user: &str) -> Client {
        let config = Config { user: user.to_owned(), ..self.config().clone() };
        let (om, datanodes) = (self.om().of_user(user), self.shared.datanodes.clone());
        Client { shared: Arc::new(Shared { config, om, datanodes }) }
    }

    pub(crate) fn config(&self) -> &Config {
        &self.shared.config
    }

    pub(crate) fn om(&self) -> &Om {
        &self.shared.om
    }

    pub(crate) fn datanodes(&self) -> &Datanodes {
        &self.shared.datanodes
    }

    /// Makes a volume.
    ///
    /// # Errors
    /// [`Error::Refused`] with `VOLUME_ALREADY_EXISTS`, `INVALID_VOLUME_NAME` and their kin.
    pub async fn create_volume(&self, name: &str, options: VolumeOptions) -> Result<(), Error> {
        self.om().create_volume(name, options).await
    }

    /// Looks up a volume.
    ///
    /// # Errors
    /// [`Error::Refused`] with `VOLUME_NOT_FOUND`.
    pub async fn volume(&self, name: &str) -> Result<Volume, Error> {
        self.om().volume(name).await
    }

    /// Deletes an empty volume.
    ///
    /// # Errors
    /// [`Error::Refused`] with `VOLUME_NOT_EMPTY`, `VOLUME_NOT_FOUND`.
    pub async fn delete_volume(&self, name: &str) -> Result<(), Error> {
        self.om().delete_volume(name).await
    }

    /// Volumes whose names begin with `prefix` and stand behind `after`, at most `count_max`: those that `user` may
    /// list, or all.
    ///
    /// # Errors
    /// As any call to OM.
    pub async fn list_volumes(
        &self,
        user: Option<&str>,
        prefix: &str,
        after: &str,
        count_max: usize,
    ) -> Result<Vec<Volume>, Error> {
        let mut found: Vec<Volume> = vec![];
        while found.len() < count_max {
            let after = found.last().map_or(after, |volume| volume.name.as_str()).to_owned();
            let page = self.om().list_volumes(user, prefix, &after, PAGE).await?;
            // A server may start with the name it was given.
            let fresh: Vec<Volume> = page.into_iter().filter(|volume| volume.name > after).collect();
            if fresh.is_empty() {
                break;
            }
            found.extend(fresh);
        }
        found.truncate(count_max);
        Ok(found)
    }

    /// Makes a bucket.
    ///
    /// # Errors
    /// [`Error::Refused`] with `BUCKET_ALREADY_EXISTS`, `VOLUME_NOT_FOUND`, `INVALID_BUCKET_NAME` and their kin.
    pub async fn create_bucket(&self, path: &BucketPath, options: BucketOptions) -> Result<(), Error> {
        self.om().create_bucket(path, options).await
    }

    /// Looks up a bucket.
    ///
    /// # Errors
    /// [`Error::Refused`] with `BUCKET_NOT_FOUND`.
    pub async fn bucket(&self, path: &BucketPath) -> Result<Bucket, Error> {
        self.om().bucket(path).await
    }

    /// Deletes an empty bucket.
    ///
    /// # Errors
    /// [`Error::Refused`] with `BUCKET_NOT_EMPTY`, `BUCKET_NOT_FOUND`.
    pub async fn delete_bucket(&self, path: &BucketPath) -> Result<(), Error> {
        self.om().delete_bucket(path).await
    }

    /// Buckets of `volume` whose names begin with `prefix` and stand behind `after`, at most `count_max`.
    ///
    /// # Errors
    /// As any call to OM.
    pub async fn list_buckets(
        &self,
        volume: &str,
        prefix: &str,
        after: &str,
        count_max: usize,
    ) -> Result<Vec<Bucket>, Error> {
        let mut found: Vec<Bucket> = vec![];
        while found.len() < count_max {
            let after = found.last().map_or(after, |bucket| bucket.path.bucket.as_str()).to_owned();
            let page = self.om().list_buckets(volume, prefix, &after, PAGE as i32).await?;
            let fresh: Vec<Bucket> = page.into_iter().filter(|bucket| bucket.path.bucket > after).collect();
            if fresh.is_empty() {
                break;
            }
            found.extend(fresh);
        }
        found.truncate(count_max);
        Ok(found)
    }

    /// Keys of a bucket whose names begin with `prefix` and stand behind `after`, page by page.
    ///
    /// # Errors
    /// [`Error::Refused`] with `BUCKET_NOT_FOUND`; the listing's own calls fail as they come.
    pub async fn list_keys(
        &self,
        bucket: &BucketPath,
        prefix: &str,
        after: &str,
    ) -> Result<KeyListing, Error> {
        let layout: BucketLayout = self.bucket(bucket).await?.layout;
        Ok(KeyListing::new(self.clone(), bucket.clone(), layout, prefix.to_owned(), after.to_owned()))
    }

    /// Looks up a key and where its blocks are.
    ///
    /// # Errors
    /// [`Error::Refused`] with `KEY_NOT_FOUND`.
    pub async fn key(&self, path: &KeyPath) -> Result<Key, Error> {
        self.om().key(path, false, self.config().use_datanode_hostname).await
    }

    /// Gives a key another name in its bucket.
    ///
    /// # Errors
    /// [`Error::Refused`] with `KEY_NOT_FOUND`, `KEY_ALREADY_EXISTS`.
    pub async fn rename_key(&self, from: &KeyPath, to: &str) -> Result<(), Error> {
        self.om().rename_key(from, to).await
    }

    /// Deletes a key.
    ///
    /// # Errors
    /// [`Error::Refused`] with `KEY_NOT_FOUND`.
    pub async fn delete_key(&self, path: &KeyPath) -> Result<Deletion, Error> {
        self.om().delete_key(path, None).await
    }

    /// Begins to write a key. Nobody sees it before [`KeyWriter::finish`]; a key of that name stays as it is until then.
    ///
    /// # Errors
    /// [`Error::Refused`] by OM, [`Error::Unsupported`] for a replication that this client cannot write.
    pub async fn write_key(&self, path: &KeyPath, options: PutOptions) -> Result<KeyWriter, Error> {
        let announced = options.len;
        let session = self.om().open_session(path, options, self.config().use_datanode_hostname).await?;
        KeyWriter::new(self.clone(), session, announced)
    }

    /// Reads a key from its first byte to its last.
    ///
    /// # Errors
    /// [`Error::Refused`] with `KEY_NOT_FOUND`.
    pub async fn read_key(&self, path: &KeyPath) -> Result<KeyReader, Error> {
        let key = self.key(path).await?;
        let len = key.len;
        KeyReader::new(self.clone(), path.clone(), key, 0..len)
    }

    /// Reads the bytes `range` of a key that was looked up already.
    ///
    /// # Errors
    /// [`Error::NotInKey`] for a range that ends behind the last byte.
    pub fn read_found(&self, key: Key, range: std::ops::Range<u64>) -> Result<KeyReader, Error> {
        KeyReader::new(self.clone(), key.path.clone(), key, range)
    }

    /// Reads the bytes `range` of a key.
    ///
    /// # Errors
    /// [`Error::Refused`] with `KEY_NOT_FOUND`, [`Error::NotInKey`] for a range that ends behind the last byte.
    pub async fn read_range(&self, path: &KeyPath, range: std::ops::Range<u64>) -> Result<KeyReader, Error> {
        let key = self.key(path).await?;
        KeyReader::new(self.clone(), path.clone(), key, range)
    }
}
