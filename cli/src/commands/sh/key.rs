//! `allotrope sh key`.

use std::path::PathBuf;

use allotrope_client::{BucketPath, KeyPath, PutOptions};
use clap::Subcommand;
use serde_json::Value;

use super::{Done, ListArgs, Replication, connect, json, out, transfer};
use crate::config::Settings;

#[derive(Debug, Subcommand)]
pub(super) enum Key {
    /// Write a local file to a key.
    Put {
        /// /volume/bucket/key
        uri: String,
        /// The file; - for standard input.
        file: PathBuf,
        #[command(flatten)]
        replication: Replication,
    },
    /// Read a key to a local file. The file appears whole or not at all.
    Get {
        /// /volume/bucket/key
        uri: String,
        /// The file, or a folder for it; - for standard output. The key's own name here when left out.
        file: Option<PathBuf>,
        /// Replace the file if it exists.
        #[arg(short, long)]
        force: bool,
    },
    /// Read a key to standard output.
    Cat {
        /// /volume/bucket/key
        uri: String,
    },
    /// Show a key and where its blocks are.
    Info {
        /// /volume/bucket/key
        uri: String,
    },
    /// List the keys of a bucket.
    #[command(visible_alias = "ls")]
    List {
        /// /volume/bucket, or /volume/bucket/prefix
        uri: String,
        #[command(flatten)]
        list: ListArgs,
    },
    /// Give a key another name in its bucket.
    Rename {
        /// /volume/bucket
        uri: String,
        /// The name it has.
        from: String,
        /// The name it is to have.
        to: String,
    },
    /// Copy a key within its bucket.
    Cp {
        /// /volume/bucket
        uri: String,
        /// The key to read.
        from: String,
        /// The key to write.
        to: String,
        #[command(flatten)]
        replication: Replication,
    },
    /// Delete a key.
    Delete {
        /// /volume/bucket/key
        uri: String,
    },
}

impl Key {
    pub(super) async fn run(self, settings: &Settings) -> Done {
        match self {
            Key::Put { uri, file, replication } => {
                let path: KeyPath = uri.parse()?;
                let replication = replication.config()?;
                transfer::put(&connect(settings, &uri)?, &path, &file, replication).await
            }
            Key::Get { uri, file, force } => {
                let path: KeyPath = uri.parse()?;
                transfer::get(&connect(settings, &uri)?, &path, file.as_deref(), force).await
            }
            Key::Cat { uri } => {
                let path: KeyPath = uri.parse()?;
                transfer::cat(&connect(settings, &uri)?, &path).await
            }
            Key::Info { uri } => {
                let path: KeyPath = uri.parse()?;
                let key = connect(settings, &uri)?.key(&path).await?;
                Ok(out::json(&json::key(&path, &key))?)
            }
            Key::List { uri, list } => list_keys(settings, &uri, list).await,
            Key::Rename { uri, from, to } => {
                let bucket: BucketPath = uri.parse()?;
                Ok(connect(settings, &uri)?.rename_key(&bucket.key(from), &to).await?)
            }
            Key::Cp { uri, from, to, replication } => {
                let bucket: BucketPath = uri.parse()?;
                let replication = replication.config()?;
                let client = connect(settings, &uri)?;
                let mut reader = client.read_key(&bucket.key(from)).await?;
                let options =
                    PutOptions { replication, len: Some(reader.key().len), ..PutOptions::default() };
                let mut writer = client.write_key(&bucket.key(to), options).await?;
                while let Some(bytes) = reader.next().await? {
                    writer.write(bytes).await?;
                }
                writer.finish().await?;
                Ok(())
            }
            Key::Delete { uri } => {
                let path: KeyPath = uri.parse()?;
                connect(settings, &uri)?.delete_key(&path).await?;
                Ok(())
            }
        }
    }
}

async fn list_keys(settings: &Settings, uri: &str, list: ListArgs) -> Done {
    // A third part of the path is a prefix, which --prefix goes on.
    let (bucket, prefix) = match uri.parse::<BucketPath>() {
        Ok(bucket) => (bucket, list.prefix.clone()),
        Err(error) => {
            let path: KeyPath = uri.parse().map_err(|_| error)?;
            (path.bucket, path.key + &list.prefix)
        }
    };
    let mut listing = connect(settings, uri)?.list_keys(&bucket, &prefix, &list.start).await?;
    let mut shown: Vec<Value> = vec![];
    while shown.len() < list.count_max() {
        let Some(entry) = listing.next().await? else { break };
        shown.push(json::entry(&bucket, &entry));
    }
    Ok(out::json(&Value::Array(shown))?)
}
