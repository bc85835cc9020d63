//! The native client against datanodes that die, stop, lie and fill up, as real processes: the bytes are always those that were
//! written, and no wait is longer than its limit.
#![allow(clippy::unwrap_used, reason = "a helper that fails fails its test")]
#![allow(clippy::disallowed_methods, reason = "tests of real processes use real files, clocks and sleeps")]

mod cluster;

use std::fs;
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use allotrope_client::{
    BucketOptions, BucketPath, Client, Config, KeyPath, KeyWriter, PutOptions, RetryPolicy, VolumeOptions,
    Written,
};
use cluster::{Cluster, Server};
use rustix::process::{Pid, Signal, kill_process};

const MIB: usize = 1 << 20;
/// Longest wait for one answer of a datanode: a read that takes as long waited for one that does not answer.
const DEADLINE: Duration = Duration::from_secs(60);

/// How late a late datanode answers.
const LATE: Duration = Duration::from_secs(3);

fn pattern(len: usize) -> Vec<u8> {
    (0..len as u64).map(|x| (x.wrapping_mul(31) ^ (x >> 8).wrapping_mul(17) ^ (x >> 16)) as u8).collect()
}

/// A key by its bucket and name: `coded/key`.
fn path(key: &str) -> KeyPath {
    format!("/vol1/{key}").parse().unwrap()
}

fn config(cluster: &Cluster) -> Config {
    // A datanode that was just started again may be asked before it knows its blocks.
    let (delay_first, budget) = (Duration::from_millis(500), DEADLINE);
    let read_retry = RetryPolicy { attempts_max: 100, delay_first, delay_max: delay_first, budget };
    let (user, datanode_deadline) = ("ann".to_owned(), DEADLINE);
    Config { user, datanode_deadline, read_retry, ..Config::at("127.0.0.1", cluster.om_grpc()) }
}

/// A cluster with a bucket of rs-3-2 keys and one of keys of three copies, and a client of it.
struct Site {
    cluster: Cluster,
    client: Client,
    datanodes: usize,
}

impl Site {
    async fn start(datanodes: usize) -> Site {
        // Small containers, for a disk that is nearly full with what else is on it.
        let small = &[
            "ozone.scm.container.size=256MB",
            "ozone.scm.block.size=64MB",
            "allotrope.pipeline.member-deadline=3s",
            // Each key opens another group, and so comes to every datanode soon.
            "ozone.scm.ec.pipeline.minimum=1000",
        ];
        let cluster = Cluster::start_with(datanodes, small);
        let client = Client::new(config(&cluster));
        let client = client.unwrap();
        client.create_volume("vol1", VolumeOptions::default()).await.unwrap();
        for (bucket, replication) in [("coded", "rs-3-2-1024k"), ("three", "RATIS/THREE")] {
            let replication = Some(replication.parse().unwrap());
            let kept = BucketOptions { replication, ..BucketOptions::default() };
            client.create_bucket(&BucketPath::new("vol1", bucket), kept).await.unwrap();
        }
        Site { cluster, client, datanodes }
    }

    /// Writes a key; right after a start SCM is in safe mode, which passes.
    async fn put(&self, key: &str, data: &[u8]) -> Written {
        let began = Instant::now();
        loop {
            match self.try_put(&self.client, key, data).await {
                Ok(written) => return written,
                Err(error) => assert!(began.elapsed() < DEADLINE, "{error}{}", self.cluster.logs()),
            }
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    }

    async fn try_put(
        &self,
        client: &Client,
        key: &str,
        data: &[u8],
    ) -> Result<Written, allotrope_client::Error> {
        let mut writer = client.write_key(&path(key), PutOptions::default()).await?;
        for piece in data.chunks(MIB + 7) {
            writer.write(bytes::Bytes::copy_from_slice(piece)).await?;
        }
        writer.finish().await
    }

    /// Reads a key with a client that has learnt nothing of the datanodes yet, and returns how long that took.
    async fn read_equals(&self, key: &str, data: &[u8], what: &str) -> Duration {
        let client = Client::new(config(&self.cluster));
        let began = Instant::now();
        let reader = client.unwrap().read_key(&path(key)).await.unwrap();
        let read = reader.read_all().await;
        let read = read.unwrap_or_else(|error| panic!("{what}: {error:?}{}", self.cluster.logs()));
        assert!(read == data, "{what}: the bytes changed");
        began.elapsed()
    }

    /// Which datanodes hold the key's only block, in the order in which they are asked for it.
    async fn copies(&self, key: &str) -> Vec<usize> {
        let key = self.client.key(&path(key)).await.unwrap();
        assert_eq!(key.locations.len(), 1, "the key fits one block");
        let at =
            |port| (0..self.datanodes).find(|&n| self.cluster.listens_at(Server::Datanode(n)).port() == port);
        key.locations[0].members.iter().map(|member| at(member.address.port()).unwrap()).collect()
    }

    /// Which datanode holds which replica of the key's only block: by replica, from 0.
    async fn holders(&self, key: &str) -> Vec<usize> {
        let key = self.client.key(&path(key)).await.unwrap();
        assert_eq!(key.locations.len(), 1, "the key fits one group");
        let mut holders: Vec<(usize, usize)> = vec![];
        for member in &key.locations[0].members {
            let is_it =
                |&n: &usize| self.cluster.listens_at(Server::Datanode(n)).port() == member.address.port();
            holders.push((member.replica.unwrap().position(), (0..self.datanodes).find(is_it).unwrap()));
        }
        holders.sort_unstable();
        holders.into_iter().map(|(_, datanode)| datanode).collect()
    }

    fn signal(&self, datanode: usize, signal: Signal) {
        let pid = i32::try_from(self.cluster.pid(Server::Datanode(datanode))).unwrap();
        kill_process(Pid::from_raw(pid).unwrap(), signal).unwrap();
    }

    /// Does `work` while a datanode answers late, over and over: it stands still for [`LATE`], then runs for a moment.
    async fn beside_a_late_one<T>(&self, late: usize, work: impl Future<Output = T>) -> T {
        let falls_behind = async {
            loop {
                self.signal(late, Signal::STOP);
                tokio::time::sleep(LATE).await;
                self.signal(late, Signal::CONT);
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        };
        let done = tokio::select! {
            biased;
            () = falls_behind => unreachable!("it never ends"),
            done = work => done,
        };
        self.signal(late, Signal::CONT);
        done
    }

    /// Reads a key again and again for as long as `rounds` late answers take. How often it was read.
    async fn read_beside_a_late_one(&self, late: usize, key: &str, data: &[u8], rounds: u32) -> u32 {
        let client = Client::new(config(&self.cluster)).unwrap();
        self.beside_a_late_one(late, async {
            let (began, mut count) = (Instant::now(), 0);
            while began.elapsed() < LATE * rounds {
                let read = client.read_key(&path(key)).await.unwrap().read_all().await;
                let read = read.unwrap_or_else(|error| panic!("{late} is late: {error:?}"));
                assert!(read == data, "the bytes changed");
                count += 1;
            }
            count
        })
        .await
    }

    /// Begins a key of which `data` is written, and returns a datanode that holds some of it besides.
    async fn begin(&self, client: &Client, key: &str, data: &[u8]) -> (KeyWriter, usize) {
        let before: Vec<_> =
            (0..self.datanodes).map(|n| block_files(&self.cluster.data_dir(n)).len()).collect();
        let mut writer = client.write_key(&path(key), PutOptions::default()).await.unwrap();
        writer.write(bytes::Bytes::copy_from_slice(data)).await.unwrap();
        let has_more = |&n: &usize| block_files(&self.cluster.data_dir(n)).len() > before[n];
        (writer, (0..self.datanodes).find(has_more).unwrap())
    }
}

fn block_files(dir: &Path) -> Vec<PathBuf> {
    let mut found = vec![];
    for entry in fs::read_dir(dir).into_iter().flatten().flatten() {
        let path = entry.path();
        if path.is_dir() {
            found.extend(block_files(&path));
        } else if path.extension().is_some_and(|extension| extension == "block") {
            found.push(path);
        }
    }
    found
}

fn flip_a_byte(file: &Path, at: u64) {
    let mut file = fs::File::options().read(true).write(true).open(file).unwrap();
    let mut byte = [0];
    file.seek(SeekFrom::Start(at)).unwrap();
    file.read_exact(&mut byte).unwrap();
    byte[0] ^= 4;
    file.seek(SeekFrom::Start(at)).unwrap();
    file.write_all(&byte).unwrap();
    file.sync_all().unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_is_read_whole_whatever_two_of_its_five_datanodes_do() {
    let mut site = Site::start(5).await;
    let data = pattern(20 * MIB + 12_345);
    site.put("coded/key", &data).await;
    let holders = site.holders("coded/key").await;

    // Every two of five stop answering: their sockets stay open, and nothing comes.
    for first in 0..5 {
        for second in first + 1..5 {
            [first, second].into_iter().for_each(|n| site.signal(n, Signal::STOP));
            let took = site.read_equals("coded/key", &data, &format!("{first} and {second} stopped")).await;
            [first, second].into_iter().for_each(|n| site.signal(n, Signal::CONT));
            assert!(took < DEADLINE / 2, "it waited for datanodes {first} and {second}: {took:?}");
        }
    }

    // A byte changes on a disk: first alone, then with another datanode stopped.
    let rotten = block_files(&site.cluster.data_dir(holders[1]));
    assert_eq!(rotten.len(), 1);
    flip_a_byte(&rotten[0], 3 * MIB as u64 + 500_000);
    site.read_equals("coded/key", &data, "a byte changed on a disk").await;
    site.signal(holders[0], Signal::STOP);
    let took = site.read_equals("coded/key", &data, "and another datanode stopped").await;
    site.signal(holders[0], Signal::CONT);
    assert!(took < DEADLINE / 2, "it waited for the one that was stopped: {took:?}");

    // Every two of five are gone; each step brings one back and takes another. The rotten replica counts as one that is gone, so
    // the pairs are those with it.
    site.cluster.kill(Server::Datanode(holders[1]));
    let mut gone = None;
    for other in [0, 2, 3, 4].map(|replica| holders[replica]) {
        if let Some(back) = gone.replace(other) {
            site.cluster.run(Server::Datanode(back));
        }
        site.cluster.kill(Server::Datanode(other));
        site.read_equals("coded/key", &data, &format!("{} and {other} gone", holders[1])).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_write_goes_on_when_datanodes_die_stop_or_fill_up_under_it() {
    let mut site = Site::start(7).await;
    site.put("coded/warm", b"SCM has left safe mode").await;
    let data = pattern(45 * MIB + 99);

    // One dies in the middle.
    let (before, after) = data.split_at(25 * MIB);
    let (mut writer, victim) = site.begin(&site.client, "coded/outlived", before).await;
    site.cluster.kill(Server::Datanode(victim));
    for piece in after.chunks(MIB) {
        writer.write(bytes::Bytes::copy_from_slice(piece)).await.unwrap();
    }
    let written = writer.finish().await.unwrap();
    assert!(written.len == data.len() as u64 && written.failures > 0, "{written:?}");
    site.read_equals("coded/outlived", &data, "one died while it was written").await;
    site.cluster.run(Server::Datanode(victim));

    // One stops answering in the middle: its deadline passes once, and no more.
    let limit = Duration::from_secs(3);
    let hasty = Client::new(Config { datanode_deadline: limit, ..config(&site.cluster) }).unwrap();
    let (mut writer, victim) = site.begin(&hasty, "coded/stopped", before).await;
    site.signal(victim, Signal::STOP);
    let began = Instant::now();
    for piece in after.chunks(MIB) {
        writer.write(bytes::Bytes::copy_from_slice(piece)).await.unwrap();
    }
    assert!(writer.finish().await.unwrap().failures > 0);
    assert!(began.elapsed() < DEADLINE, "{:?}", began.elapsed());
    site.signal(victim, Signal::CONT);
    site.read_equals("coded/stopped", &data, "one stopped while it was written").await;

    // One has no room for a file of more than 4 MiB; its cells come to 15.
    site.cluster.kill(Server::Datanode(victim));
    site.cluster.run_without_room(Server::Datanode(victim), 4 << 10);
    let began = Instant::now();
    for n in 0..3 {
        site.put(&format!("coded/full{n}"), &data).await;
        site.read_equals(&format!("coded/full{n}"), &data, "one had no room").await;
    }
    assert!(began.elapsed() < DEADLINE, "{:?}", began.elapsed());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_of_three_copies_is_read_whole_whatever_two_of_its_datanodes_do() {
    let mut site = Site::start(3).await;
    let data = pattern(9 * MIB + 12_345);
    site.put("three/key", &data).await;
    let copies = site.copies("three/key").await;
    assert_eq!(copies.len(), 3);

    // Every two of three stop answering: their sockets stay open, and nothing comes.
    for left in 0..3 {
        let stopped: Vec<usize> = (0..3).filter(|&n| n != left).collect();
        stopped.iter().for_each(|&n| site.signal(n, Signal::STOP));
        let took = site.read_equals("three/key", &data, &format!("{stopped:?} stopped")).await;
        stopped.iter().for_each(|&n| site.signal(n, Signal::CONT));
        assert!(took < DEADLINE / 2, "it waited for datanodes {stopped:?}: {took:?}");
    }

    // A byte changes on the disks of the two that are asked first, each in another place.
    for (n, at) in [(0, 500_000), (1, 6 * MIB as u64 + 7)] {
        let files = block_files(&site.cluster.data_dir(copies[n]));
        let rotten = files.iter().find(|file| fs::metadata(file).unwrap().len() >= data.len() as u64);
        flip_a_byte(rotten.expect("it has a copy"), at);
        site.read_equals("three/key", &data, &format!("{} copies are rotten", n + 1)).await;
    }
    // And with the one that is asked first gone, and the next one too.
    for gone in [copies[0], copies[1]] {
        site.cluster.kill(Server::Datanode(gone));
        site.read_equals("three/key", &data, &format!("{gone} gone")).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn reads_and_writes_go_on_beside_a_datanode_that_answers_late() {
    let site = Site::start(5).await;
    let data = pattern(8 * MIB + 12_345);
    for key in ["coded/key", "three/key"] {
        site.put(key, &data).await;
    }
    let (holders, copies) = (site.holders("coded/key").await, site.copies("three/key").await);
    for (late, key) in [(holders[0], "coded/key"), (holders[2], "coded/key"), (copies[0], "three/key")] {
        let count = site.read_beside_a_late_one(late, key, &data, 3).await;
        // A client that waits for each late answer reads a key three times, or less often.
        assert!(count > 9, "{key} was read {count} times beside {late}");
    }
    for (key, late) in [("coded/late", holders[0]), ("three/late", copies[0])] {
        let written = site.beside_a_late_one(late, site.try_put(&site.client, key, &data)).await;
        assert_eq!(written.unwrap().len, data.len() as u64);
        site.read_equals(key, &data, "one answered late while it was written").await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_write_goes_on_when_the_disk_of_a_datanode_is_full_to_its_last_byte() {
    let mut site = Site::start(7).await;
    for bucket in ["coded", "three"] {
        site.put(&format!("{bucket}/warm"), b"SCM has left safe mode").await;
    }
    // Room for some containers, so that the datanode is chosen: SCM may have promised it one in vain while it was down.
    let victim = 0;
    site.cluster.kill(Server::Datanode(victim));
    if !site.cluster.run_on_small_disk(victim, 1200) {
        return;
    }
    let began = Instant::now();
    let holds_some = |cluster: &Cluster| {
        let pid = cluster.pid(Server::Datanode(victim));
        let data = format!("/proc/{pid}/root{}", cluster.data_dir(victim).display());
        !block_files(Path::new(&data)).is_empty()
    };
    // Keys until one is on it: it has to register first, and five or three of seven are chosen.
    let mut kept = vec![];
    for n in 0.. {
        assert!(began.elapsed() < DEADLINE * 2, "it is never chosen: {}", site.cluster.logs());
        let (key, data) = (format!("coded/before{n}"), pattern(4 * MIB + n));
        site.put(&key, &data).await;
        kept.push((key, data));
        if holds_some(&site.cluster) {
            break;
        }
    }
    site.cluster.fill_small_disk(victim);
    let began = Instant::now();
    for (n, bucket) in ["coded", "three", "coded", "three"].into_iter().enumerate() {
        let (key, data) = (format!("{bucket}/full{n}"), pattern(20 * MIB + n));
        let written = site.try_put(&site.client, &key, &data).await;
        written.unwrap_or_else(|error| panic!("{key}: {error:?}{}", site.cluster.logs()));
        kept.push((key, data));
    }
    assert!(began.elapsed() < DEADLINE, "{:?}", began.elapsed());
    for (key, data) in &kept {
        site.read_equals(key, data, "a disk is full").await;
    }
}
