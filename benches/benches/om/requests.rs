//! The kinds of requests that are measured, and how a namespace is filled.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use allotrope_proto::hdds::DefaultReplicationConfig;
use allotrope_proto::om::*;
use tokio::runtime::Runtime;

use crate::servers::Client;
use crate::{Work, ask};

/// Bytes a key has: one block.
const KEY_LEN: u64 = 4096;
/// Keys that lookups and lists are made over.
const KEYS: u64 = 2000;
/// Directories that are renamed: many more than there are clients, so that no two meet on one.
const DIRS: u64 = 8192;
/// Clients that fill a large namespace.
pub(crate) const FILLERS: u64 = 256;

fn request(kind: Type) -> OmRequest {
    OmRequest { cmd_type: kind as i32, client_id: "client-bench".into(), ..OmRequest::default() }
}

fn args(bucket: &str, key: String) -> KeyArgs {
    KeyArgs { volume_name: "bench".into(), bucket_name: bucket.into(), key_name: key, ..KeyArgs::default() }
}

fn create(bucket: &str, key: String) -> OmRequest {
    let key_args = KeyArgs { data_size: Some(KEY_LEN), ..args(bucket, key) };
    let asked = CreateKeyRequest { key_args, ..CreateKeyRequest::default() };
    OmRequest { create_key_request: Some(Box::new(asked)), ..request(Type::CreateKey) }
}

fn commit(bucket: &str, key: String, created: OmResponse) -> OmRequest {
    let created = created.create_key_response.expect("an opened key");
    let mut lists = created.key_info.expect("a key").key_location_list;
    let mut key_locations = lists.pop().map(|list| list.key_locations).unwrap_or_default();
    key_locations.iter_mut().for_each(|location| location.length = KEY_LEN);
    let key_args = KeyArgs { data_size: Some(KEY_LEN), key_locations, ..args(bucket, key) };
    let asked = CommitKeyRequest { key_args, client_id: created.id.unwrap_or(0), ..Default::default() };
    OmRequest { commit_key_request: Some(Box::new(asked)), ..request(Type::CommitKey) }
}

fn lookup(bucket: &str, key: String) -> OmRequest {
    let key_args = KeyArgs { latest_version_location: Some(true), ..args(bucket, key) };
    let asked = GetKeyInfoRequest { key_args, assume_s3_context: None };
    OmRequest { get_key_info_request: Some(Box::new(asked)), ..request(Type::GetKeyInfo) }
}

fn list(bucket: &str, after: String) -> OmRequest {
    let asked = ListKeysRequest {
        volume_name: "bench".into(),
        bucket_name: bucket.into(),
        start_key: Some(after),
        prefix: None,
        count: Some(1000),
    };
    OmRequest { list_keys_request: Some(Box::new(asked)), ..request(Type::ListKeysLight) }
}

fn rename(from: String, to: String) -> OmRequest {
    let asked = RenameKeyRequest { key_args: args("tree", from), to_key_name: to, update_id: None };
    OmRequest { rename_key_request: Some(Box::new(asked)), ..request(Type::RenameKey) }
}

fn delete(bucket: &str, key: String) -> OmRequest {
    let asked = DeleteKeyRequest { key_args: args(bucket, key) };
    OmRequest { delete_key_request: Some(Box::new(asked)), ..request(Type::DeleteKey) }
}

async fn pair(client: &Client, bucket: &str, key: String) {
    let created = ask(client, &create(bucket, key.clone())).await;
    ask(client, &commit(bucket, key, created)).await;
}

/// One kind of work, with the calls and answers of one unit of it.
pub(crate) struct Kind {
    pub(crate) work: Work,
    pub(crate) sample: Vec<(OmRequest, OmResponse)>,
}

/// Requests over one volume with a bucket of each layout.
pub(crate) struct Requests {
    client: Client,
    samples: Samples,
}

struct Samples {
    pair: Vec<(OmRequest, OmResponse)>,
    lookup: Vec<(OmRequest, OmResponse)>,
    list: Vec<(OmRequest, OmResponse)>,
    rename: Vec<(OmRequest, OmResponse)>,
    pair_and_delete: Vec<(OmRequest, OmResponse)>,
}

impl Requests {
    /// Makes the volume, the buckets and the keys that are looked up.
    pub(crate) fn new(runtime: &Runtime, client: Client) -> Requests {
        let samples = runtime.block_on(prepare(&client));
        Requests { client, samples }
    }

    /// What is measured with several clients.
    pub(crate) fn kinds(&self) -> Vec<(&'static str, Kind)> {
        let work = |work: Work, sample: &[(OmRequest, OmResponse)]| Kind { work, sample: sample.to_vec() };
        let made = Arc::new(AtomicU64::new(0));
        let pairs = Arc::clone(&made);
        let deletes = Arc::clone(&made);
        vec![
            (
                "create and commit, a pair",
                work(
                    Arc::new(move |client, _| {
                        let n = pairs.fetch_add(1, Ordering::Relaxed);
                        Box::pin(async move { pair(&client, "flat", format!("pair/{n}")).await })
                    }),
                    &self.samples.pair,
                ),
            ),
            (
                "lookup",
                work(
                    Arc::new(|client, n| {
                        Box::pin(async move {
                            ask(&client, &lookup("flat", format!("key{:08}", n * 7919 % KEYS))).await;
                        })
                    }),
                    &self.samples.lookup,
                ),
            ),
            (
                "list, a page of 1,000",
                work(
                    Arc::new(|client, n| {
                        Box::pin(async move {
                            ask(&client, &list("flat", format!("key{:08}", n * 7919 % (KEYS / 2)))).await;
                        })
                    }),
                    &self.samples.list,
                ),
            ),
            (
                "rename of a directory, there and back",
                work(
                    Arc::new(|client, n| {
                        Box::pin(async move {
                            let (from, to) = (format!("dir{}", n % DIRS), format!("away{}", n % DIRS));
                            ask(&client, &rename(from.clone(), to.clone())).await;
                            ask(&client, &rename(to, from)).await;
                        })
                    }),
                    &self.samples.rename,
                ),
            ),
            (
                "create, commit and delete",
                work(
                    Arc::new(move |client, _| {
                        let key = format!("gone/{}", deletes.fetch_add(1, Ordering::Relaxed));
                        Box::pin(async move {
                            pair(&client, "flat", key.clone()).await;
                            ask(&client, &delete("flat", key)).await;
                        })
                    }),
                    &self.samples.pair_and_delete,
                ),
            ),
        ]
    }

    /// Makes `keys` files in one directory.
    pub(crate) async fn fill(&self, keys: usize) {
        let next = Arc::new(AtomicU64::new(0));
        let making: Vec<_> = (0..FILLERS)
            .map(|_| {
                let (client, next) = (self.client.clone(), Arc::clone(&next));
                tokio::spawn(async move {
                    loop {
                        let n = next.fetch_add(1, Ordering::Relaxed);
                        if n >= keys as u64 {
                            return;
                        }
                        pair(&client, "many", format!("large/key{n:010}")).await;
                    }
                })
            })
            .collect();
        for each in making {
            each.await.expect("a client does not panic");
        }
    }

    async fn timed_rename(&self, bucket: &str, from: &str, to: &str) -> Duration {
        let mut shortest = Duration::MAX;
        for (from, to) in [(from, to), (to, from), (from, to), (to, from)] {
            let mut asked = rename(from.to_owned(), to.to_owned());
            if let Some(rename) = &mut asked.rename_key_request {
                rename.key_args.bucket_name = bucket.to_owned();
            }
            let began = Instant::now();
            ask(&self.client, &asked).await;
            shortest = shortest.min(began.elapsed());
        }
        shortest
    }

    pub(crate) async fn rename_small(&self) -> Duration {
        self.timed_rename("tree", "dir0", "other0").await
    }

    pub(crate) async fn rename_large(&self) -> Duration {
        self.timed_rename("many", "large", "renamed").await
    }

    /// Times of the first and the last page of 1,000.
    pub(crate) async fn pages(&self, keys: usize) -> (Duration, Duration) {
        let mut times = [Duration::MAX; 2];
        let last = format!("large/key{:010}", keys.saturating_sub(1001));
        for _ in 0..5 {
            for (time, after) in times.iter_mut().zip(["large/".to_owned(), last.clone()]) {
                let began = Instant::now();
                ask(&self.client, &list("many", after)).await;
                *time = (*time).min(began.elapsed());
            }
        }
        (times[0], times[1])
    }

    /// How many files a list of all finds, page by page.
    pub(crate) async fn list_all(&self) -> usize {
        let (mut after, mut count) = (String::new(), 0);
        loop {
            let page = ask(&self.client, &list("many", after)).await.list_keys_light_response;
            let page = page.expect("a page");
            count += page.basic_key_info.iter().filter(|key| key.is_file()).count();
            match page.basic_key_info.last().filter(|_| page.is_truncated()) {
                Some(last) => after = last.key_name().to_owned(),
                None => return count,
            }
        }
    }
}

async fn prepare(client: &Client) -> Samples {
    let volume_info =
        VolumeInfo { volume: "bench".into(), owner_name: "bench".into(), ..VolumeInfo::default() };
    let volume = OmRequest {
        create_volume_request: Some(Box::new(CreateVolumeRequest { volume_info })),
        ..request(Type::CreateVolume)
    };
    ask(client, &volume).await;
    let one_copy = DefaultReplicationConfig { r#type: 2, factor: Some(1), ec_replication_config: None };
    for (name, layout) in [
        ("flat", BucketLayoutProto::ObjectStore),
        ("tree", BucketLayoutProto::FileSystemOptimized),
        ("many", BucketLayoutProto::FileSystemOptimized),
    ] {
        let bucket_info = BucketInfo {
            volume_name: "bench".into(),
            bucket_name: name.into(),
            bucket_layout: Some(layout as i32),
            default_replication_config: Some(one_copy.clone()),
            ..BucketInfo::default()
        };
        let bucket = OmRequest {
            create_bucket_request: Some(Box::new(CreateBucketRequest { bucket_info })),
            ..request(Type::CreateBucket)
        };
        ask(client, &bucket).await;
    }
    let filling: Vec<_> = (0..16u64)
        .map(|part| {
            let client = client.clone();
            tokio::spawn(async move {
                for n in (part..KEYS).step_by(16) {
                    pair(&client, "flat", format!("key{n:08}")).await;
                }
                for n in (part..DIRS).step_by(16) {
                    pair(&client, "tree", format!("dir{n}/key")).await;
                }
            })
        })
        .collect();
    for each in filling {
        each.await.expect("a client does not panic");
    }
    let mut sampled = Vec::new();
    let create_request = create("flat", "sample".into());
    let created = ask(client, &create_request).await;
    sampled.push((create_request, created.clone()));
    let committing = commit("flat", "sample".into(), created);
    let committed = ask(client, &committing).await;
    sampled.push((committing, committed));
    let one = async |asked: OmRequest| {
        let answer = ask(client, &asked).await;
        (asked, answer)
    };
    let deleted = one(delete("flat", "sample".into())).await;
    Samples {
        lookup: vec![one(lookup("flat", "key00000001".into())).await],
        list: vec![one(list("flat", "key00000001".into())).await],
        rename: vec![
            one(rename("dir1".into(), "away1".into())).await,
            one(rename("away1".into(), "dir1".into())).await,
        ],
        pair_and_delete: sampled.iter().cloned().chain([deleted]).collect(),
        pair: sampled,
    }
}
