//! Paths of the namespace: what lies at one, and a bounded walk of all that lies below.
//!
//! Bounds  a walk looks at [`ENTRIES_MAX`] names and takes [`TIME_MAX`]; beyond that its sums are of what it saw, and say so.
#![allow(clippy::disallowed_methods, reason = "the walk's deadline follows tokio's clock, which tests pause")]

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use allotrope_proto::om::{
    BasicKeyInfo, GetFileStatusRequest, InfoBucketRequest, InfoVolumeRequest, KeyArgs, ListStatusRequest,
    Type,
};
use tokio::time::Instant;

use super::Trouble;
use crate::model::{Bucket, Replication};
use crate::recon::{AskError, Recon};
use crate::state::State;

const ENTRIES_MAX: usize = 20_000;
const TIME_MAX: Duration = Duration::from_secs(3);
/// Names a question.
const PAGE: u64 = 1000;
/// Children that are told apart; the rest is in the sum alone.
const CHILDREN_MAX: usize = 1000;
/// Powers of two of lengths that are told apart: 1 KiB to 1 PiB.
pub(super) const LENGTHS: usize = 41;

/// `/`, `/volume`, `/volume/bucket`, or a key or directory in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Path {
    parts: Vec<String>,
}

impl Path {
    /// Slashes at the ends and doubled ones count once.
    pub(super) fn read(text: &str) -> Result<Path, Trouble> {
        if text.is_empty() {
            return Err(Trouble::bad("path is not given, such as path=/volume/bucket"));
        }
        Ok(Path { parts: text.split('/').filter(|part| !part.is_empty()).map(str::to_owned).collect() })
    }

    pub(super) fn volume(&self) -> Option<&String> {
        self.parts.first()
    }

    pub(super) fn bucket(&self) -> Option<&String> {
        self.parts.get(1)
    }

    /// What stands after the bucket.
    pub(super) fn inside(&self) -> String {
        self.parts.get(2..).unwrap_or_default().join("/")
    }

    pub(super) fn bucket_in<'a>(&self, state: &'a State) -> Option<&'a Bucket> {
        let (volume, name) = (self.volume()?, self.bucket()?);
        state.buckets.iter().find(|bucket| bucket.volume_name == *volume && bucket.bucket_name == *name)
    }

    fn args(&self, key_name: String) -> KeyArgs {
        KeyArgs {
            volume_name: self.volume().cloned().unwrap_or_default(),
            bucket_name: self.bucket().cloned().unwrap_or_default(),
            key_name,
            head_op: Some(true),
            ..Default::default()
        }
    }
}

impl fmt::Display for Path {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.parts.is_empty() {
            return f.write_str("/");
        }
        self.parts.iter().try_for_each(|part| write!(f, "/{part}"))
    }
}

/// A key, as far as its size matters.
#[derive(Clone, Debug)]
pub(super) struct KeyFound {
    pub(super) len: u64,
    pub(super) replication: Replication,
}

/// What lies at a path.
#[derive(Clone, Debug)]
pub(super) enum Found {
    Root,
    Volume,
    Bucket,
    Directory,
    Key(KeyFound),
}

impl Found {
    /// Ozone's word for it.
    pub(super) fn kind(&self) -> &'static str {
        match self {
            Found::Root => "ROOT",
            Found::Volume => "VOLUME",
            Found::Bucket => "BUCKET",
            Found::Directory => "DIRECTORY",
            Found::Key(_) => "KEY",
        }
    }
}

/// What lies at `path` now; `None` if nothing does.
pub(super) async fn find(recon: &Recon, path: &Path) -> Result<Option<Found>, AskError> {
    let (volume_name, bucket_name) = (path.volume().cloned(), path.bucket().cloned());
    let asked = match (volume_name, bucket_name) {
        (None, _) => return Ok(Some(Found::Root)),
        (Some(volume_name), None) => {
            let asked = recon.ask_om(Type::InfoVolume, |request| {
                request.info_volume_request = Some(Box::new(InfoVolumeRequest { volume_name }));
            });
            asked.await.map(|_| Found::Volume)
        }
        (Some(volume_name), Some(bucket_name)) if path.inside().is_empty() => {
            let asked = recon.ask_om(Type::InfoBucket, |request| {
                request.info_bucket_request = Some(Box::new(InfoBucketRequest { volume_name, bucket_name }));
            });
            asked.await.map(|_| Found::Bucket)
        }
        _ => {
            let key_args = path.args(path.inside());
            let asked = recon.ask_om(Type::GetFileStatus, |request| {
                request.get_file_status_request = Some(Box::new(GetFileStatusRequest { key_args }));
            });
            asked.await.map(|answer| {
                let status = answer.get_file_status_response.unwrap_or_default().status;
                match (status.is_directory, status.key_info) {
                    (Some(true), _) | (_, None) => Found::Directory,
                    (_, Some(key)) => Found::Key(KeyFound {
                        len: key.data_size,
                        replication: Replication::read(
                            key.r#type,
                            key.factor,
                            key.ec_replication_config.as_ref(),
                        ),
                    }),
                }
            })
        }
    };
    match asked {
        Ok(found) => Ok(Some(found)),
        Err(AskError::NotFound(_)) => Ok(None),
        Err(error) => Err(error),
    }
}

/// One name in a level.
#[derive(Clone, Debug)]
pub(super) struct Entry {
    /// From the bucket on, without slashes at the ends.
    pub(super) name: String,
    pub(super) is_directory: bool,
    pub(super) info: BasicKeyInfo,
}

impl Entry {
    pub(super) fn replication(&self) -> Replication {
        Replication::read(
            self.info.r#type.unwrap_or(-1),
            self.info.factor,
            self.info.ec_replication_config.as_ref(),
        )
    }
}

/// A page of the level `directory` of `path`'s bucket: `count` names at most, from `start` on.
pub(super) async fn page(
    recon: &Recon,
    path: &Path,
    directory: &str,
    start: &str,
    count: u64,
) -> Result<Vec<Entry>, AskError> {
    let key_args = path.args(directory.to_owned());
    let answer = recon.ask_om(Type::ListStatusLight, |request| {
        request.list_status_request = Some(Box::new(ListStatusRequest {
            key_args,
            recursive: false,
            start_key: start.to_owned(),
            num_entries: count,
            ..Default::default()
        }));
    });
    let answer = answer.await?.list_status_light_response.ok_or(AskError::Empty("ListStatusLight"))?;
    let entry = |status: allotrope_proto::om::OzoneFileStatusProtoLight| {
        let info = status.basic_key_info.unwrap_or_default();
        Entry {
            name: info.key_name().trim_end_matches('/').to_owned(),
            is_directory: status.is_directory.unwrap_or(false),
            info,
        }
    };
    Ok(answer.statuses.into_iter().map(entry).filter(|entry| !entry.name.is_empty()).collect())
}

/// What lies below something.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Sum {
    pub(super) keys: u64,
    pub(super) directories: u64,
    pub(super) len: u64,
    pub(super) on_disk: u64,
    pub(super) is_key: bool,
}

/// What a walk saw.
#[derive(Clone, Debug)]
pub(super) struct Walked {
    pub(super) sum: Sum,
    /// By the name of each child.
    pub(super) children: BTreeMap<String, Sum>,
    /// Bytes of the keys that lie at the path itself.
    pub(super) direct_len: u64,
    pub(super) lengths: [u64; LENGTHS],
    /// Whether it saw everything.
    pub(super) is_complete: bool,
}

impl Walked {
    fn add(&mut self, child: &str, is_direct: bool, entry: &Entry) {
        let len = entry.info.data_size();
        let add = |sum: &mut Sum| {
            if entry.is_directory {
                sum.directories += 1;
                return;
            }
            sum.keys += 1;
            sum.len = sum.len.saturating_add(len);
            sum.on_disk = sum.on_disk.saturating_add(entry.replication().on_disk(len));
        };
        add(&mut self.sum);
        if !entry.is_directory {
            self.lengths[bin(len)] += 1;
            if is_direct {
                self.direct_len = self.direct_len.saturating_add(len);
            }
        }
        if self.children.len() < CHILDREN_MAX || self.children.contains_key(child) {
            let sum = self.children.entry(child.to_owned()).or_default();
            if is_direct {
                sum.is_key = !entry.is_directory;
            }
            if !(is_direct && entry.is_directory) {
                add(sum);
            }
        }
    }
}

/// Which power of two a length belongs to: all below 1 KiB to the first.
fn bin(len: u64) -> usize {
    let bits = (u64::BITS - len.leading_zeros()) as usize;
    bits.saturating_sub(10).min(LENGTHS - 1)
}

/// Walks everything below `path`, which is a bucket or a directory.
pub(super) async fn under(recon: &Recon, path: &Path) -> Result<Walked, AskError> {
    let top = path.inside();
    let ends = Instant::now() + TIME_MAX;
    let mut walked = Walked {
        sum: Sum::default(),
        children: BTreeMap::new(),
        direct_len: 0,
        lengths: [0; LENGTHS],
        is_complete: true,
    };
    let (mut seen, mut open) = (0, vec![top.clone()]);
    while let Some(directory) = open.pop() {
        let mut start = String::new();
        loop {
            if seen >= ENTRIES_MAX || Instant::now() >= ends {
                walked.is_complete = false;
                return Ok(walked);
            }
            let mut entries = page(recon, path, &directory, &start, PAGE).await?;
            let is_last = entries.len() < PAGE as usize;
            // The page begins with the name it was asked from.
            entries.retain(|entry| entry.name != start);
            let Some(last) = entries.last() else { break };
            start.clone_from(&last.name);
            seen += entries.len();
            for entry in entries {
                let below = entry.name.strip_prefix(&top).unwrap_or(&entry.name).trim_start_matches('/');
                let (child, deeper) = below.split_once('/').unwrap_or((below, ""));
                walked.add(child, deeper.is_empty(), &entry);
                if entry.is_directory {
                    open.push(entry.name);
                }
            }
            if is_last {
                break;
            }
        }
    }
    Ok(walked)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_read_part_by_part() {
        let path = Path::read("//v/b/a dir/<b>x</b>/").unwrap();
        assert_eq!((path.volume().unwrap().as_str(), path.bucket().unwrap().as_str()), ("v", "b"));
        assert_eq!(
            (path.inside().as_str(), path.to_string().as_str()),
            ("a dir/<b>x</b>", "/v/b/a dir/<b>x</b>")
        );
        let root = Path::read("/").unwrap();
        assert_eq!((root.volume(), root.to_string().as_str(), root.inside().as_str()), (None, "/", ""));
        assert!(Path::read("").is_err());
    }

    #[test]
    fn lengths_fall_into_powers_of_two() {
        for (len, wanted) in
            [(0, 0), (1023, 0), (1024, 1), (2047, 1), (2048, 2), (1 << 50, 40), (u64::MAX, 40)]
        {
            assert_eq!(bin(len), wanted, "{len}");
        }
    }

    #[test]
    fn a_child_counts_what_lies_below_it() {
        let mut walked = Walked {
            sum: Sum::default(),
            children: BTreeMap::new(),
            direct_len: 0,
            lengths: [0; LENGTHS],
            is_complete: true,
        };
        let entry = |is_directory, len| Entry {
            name: "x".into(),
            is_directory,
            info: BasicKeyInfo { data_size: Some(len), ..Default::default() },
        };
        walked.add("a", true, &entry(true, 0));
        walked.add("a", false, &entry(false, 5));
        walked.add("k", true, &entry(false, 7));
        assert_eq!(
            (walked.sum.keys, walked.sum.directories, walked.sum.len, walked.direct_len),
            (2, 1, 12, 7)
        );
        assert_eq!(
            (walked.children["a"].len, walked.children["a"].is_key, walked.children["a"].directories),
            (5, false, 0)
        );
        assert!(walked.children["k"].is_key);
    }
}
