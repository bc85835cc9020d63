//! The client: one user's view of a cluster.

use std::sync::Arc;

use crate::config::Config;
use crate::datanode::Datanodes;
use crate::error::Error;
use crate::om::{Bucket, BucketOptions, Deletion, Key, Om, PutOptions, Volume, VolumeOptions};
use crate::path::{BucketPath, KeyPath};
use crate::read::KeyReader;
use crate::write::KeyWriter;

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
