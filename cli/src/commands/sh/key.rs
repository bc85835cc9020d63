//! `allotrope sh key`.

use std::path::PathBuf;

use allotrope_client::{AclTarget, BucketPath, Client, KeyPath, KeyReader, PutOptions};
use clap::{Subcommand, ValueEnum};

use super::acl::AclCommand;
use super::transfer::Keeping;
use super::{Done, ListArgs, Replication, connect, folder, json, key_list, out, transfer};
use crate::config::Settings;

#[derive(Debug, Subcommand)]
pub(super) enum Key {
    /// Write a local file to a key, or with --recursive the files of a folder to keys.
    Put {
        /// /volume/bucket/key; with --recursive also /volume/bucket
        uri: String,
        /// The file; - for standard input.
        file: PathBuf,
        /// Upload every file below a folder: KEY/relative/path from FOLDER/relative/path.
        #[arg(long)]
        recursive: bool,
        /// Files of a folder that are uploaded at once.
        #[arg(long, value_name = "COUNT", default_value_t = 4, requires = "recursive")]
        parallel: usize,
        /// Write only over the key that has this generation now.
        #[arg(long = "expectedGeneration", value_name = "NUMBER", conflicts_with = "recursive")]
        generation: Option<u64>,
        /// For scripts that say it; bytes go out as they are read with it and without.
        #[arg(long)]
        stream: bool,
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
        /// Keep what came if the read ends early, and go on from there the next time, if the key is still the same.
        #[arg(long)]
        resume: bool,
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
    /// List the keys of a bucket, or of each bucket of a volume.
    #[command(visible_alias = "ls")]
    List {
        /// /volume/bucket, /volume/bucket/prefix, or /volume for all its buckets
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
    /// Write a key anew with another replication, unless it changes meanwhile.
    Rewrite {
        /// /volume/bucket/key
        uri: String,
        #[command(flatten)]
        replication: Replication,
    },
    /// Show the checksum of a key's bytes, by which Ozone's clients compare files.
    Checksum {
        /// /volume/bucket/key
        uri: String,
        /// How the checksum is made of those of the key's parts.
        #[arg(short, long, value_name = "MODE", default_value = "COMPOSITE_CRC")]
        combine_mode: CombineMode,
    },
    /// Delete a key.
    Delete {
        /// /volume/bucket/key
        uri: String,
    },
    #[command(flatten)]
    Acl(AclCommand),
}

/// How a key's checksum is made of those of its parts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum CombineMode {
    /// The CRC of the key's bytes.
    #[value(name = "COMPOSITE_CRC")]
    CompositeCrc,
    /// Not served yet.
    #[value(name = "MD5MD5CRC")]
    Md5Md5Crc,
}

impl Key {
    pub(super) async fn run(self, settings: &Settings) -> Done {
        match self {
            Key::Put { uri, file, recursive: true, parallel, replication, .. } => {
                let (client, replication) = (connect(settings, &uri)?, replication.config()?);
                folder::put(&client, &uri, &file, replication, parallel).await
            }
            Key::Put { uri, file, replication, generation, .. } => {
                let path: KeyPath = uri.parse()?;
                let replication = replication.config()?;
                let options = PutOptions { replication, generation, ..PutOptions::default() };
                transfer::put(&connect(settings, &uri)?, &path, &file, options).await
            }
            Key::Get { uri, file, force, resume } => {
                let path: KeyPath = uri.parse()?;
                let keeping = Keeping { force, resume };
                transfer::get(&connect(settings, &uri)?, &path, file.as_deref(), keeping).await
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
            Key::List { uri, list } => key_list::list(settings, &uri, &list).await,
            Key::Rename { uri, from, to } => {
                let bucket: BucketPath = uri.parse()?;
                Ok(connect(settings, &uri)?.rename_key(&bucket.key(from), &to).await?)
            }
            Key::Cp { uri, from, to, replication } => {
                let bucket: BucketPath = uri.parse()?;
                let replication = replication.config()?;
                let client = connect(settings, &uri)?;
                let reader = client.read_key(&bucket.key(from)).await?;
                copy(&client, reader, &bucket.key(to), PutOptions { replication, ..PutOptions::default() })
                    .await
            }
            Key::Rewrite { uri, replication } => {
                let path: KeyPath = uri.parse()?;
                let replication = replication.config()?;
                let client = connect(settings, &uri)?;
                let reader = client.read_key(&path).await?;
                let key = reader.key();
                let options = PutOptions {
                    replication: replication.or(Some(key.replication)),
                    metadata: key.metadata.clone(),
                    tags: key.tags.clone(),
                    generation: key.generation,
                    ..PutOptions::default()
                };
                copy(&client, reader, &path, options).await
            }
            Key::Checksum { uri, combine_mode } => {
                let path: KeyPath = uri.parse()?;
                if combine_mode == CombineMode::Md5Md5Crc {
                    return Err("MD5MD5CRC is not served yet\n  try: --combine-mode COMPOSITE_CRC".into());
                }
                let client = connect(settings, &uri)?;
                let len = client.key(&path).await?.len;
                let sum = client.key_checksum(&path).await?;
                Ok(out::json(&json::checksum(&path, len, sum))?)
            }
            Key::Delete { uri } => {
                let path: KeyPath = uri.parse()?;
                connect(settings, &uri)?.delete_key(&path).await?;
                Ok(())
            }
            Key::Acl(command) => command.run(settings, |uri| Ok(AclTarget::Key(uri.parse()?))).await,
        }
    }
}

/// Writes all that `reader` gives to the key `to`.
async fn copy(client: &Client, mut reader: KeyReader, to: &KeyPath, options: PutOptions) -> Done {
    let options = PutOptions { len: Some(reader.key().len), ..options };
    let mut writer = client.write_key(to, options).await?;
    while let Some(bytes) = reader.next().await? {
        writer.write(bytes).await?;
    }
    writer.finish().await?;
    Ok(())
}
