//! One member on real files: answers survive, damage is refused, a checkpoint starts a new cluster.
#![allow(clippy::unwrap_used, reason = "a test stops where something fails")]
#![allow(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    reason = "the tests damage files from outside, as a disk would"
)]

use std::{collections::BTreeMap, fs, path::Path, sync::Arc, time::Duration};

use allotrope_consensus::{
    Batch, Be64, Beginning, CallId, ClientId, Clock, ClusterId, Handle, LogTime, Member, MemberId, Origin,
    Replica, ReplicaConfig, RocksShared, StartError, StateMachine, Surroundings, SystemClock, Table,
    TableError, Utf8, network::tcp::TcpNetwork, restore,
};

/// How often each text was given.
const SEEN: Table<Utf8, Be64> = Table::new("seenTable");

struct Tally;
impl StateMachine for Tally {
    type Command = Utf8;
    type Answer = Be64;
    fn tables(&self) -> Vec<&'static str> {
        vec![SEEN.name()]
    }
    fn apply(&mut self, batch: &mut Batch<'_>, text: String, _: LogTime) -> Result<u64, TableError> {
        let count = SEEN.get(batch, &text)?.unwrap_or(0) + 1;
        SEEN.put(batch, &text, &count)?;
        Ok(count)
    }
}

fn surroundings() -> Surroundings {
    Surroundings {
        rocks: RocksShared::new(8 << 20, 32 << 20).unwrap(),
        network: Arc::new(TcpNetwork::default()),
        clock: Arc::new(SystemClock) as Arc<dyn Clock>,
    }
}

fn me() -> Member {
    Member { name: "om1".into(), address: "127.0.0.1:1".into() }
}

fn config(dir: &Path) -> ReplicaConfig {
    let beginning = Beginning::Found(BTreeMap::from([(MemberId(1), me())]));
    ReplicaConfig::new(dir, ClusterId("test".into()), MemberId(1), beginning)
}

async fn start(config: ReplicaConfig) -> Result<Handle<Tally>, StartError> {
    let handle = Replica::start(config, surroundings(), Tally).await?;
    let leads = handle.status().wait_for(Duration::from_secs(20), |s| s.leader == Some(MemberId(1))).await;
    leads.expect("a single member elects itself");
    Ok(handle)
}

async fn seen(handle: &Handle<Tally>, text: &str) -> u64 {
    handle.read(|view| SEEN.get(view, &text.to_owned()).unwrap().unwrap_or(0)).await.unwrap()
}

async fn give(handle: &Handle<Tally>, text: &str) -> u64 {
    handle.propose(Origin::Service, &text.to_owned()).await.unwrap()
}

/// The newest RocksDB write-ahead log in `dir`.
fn newest_wal(dir: &Path) -> std::path::PathBuf {
    let mut wals: Vec<_> = fs::read_dir(dir).unwrap().map(|e| e.unwrap().path()).collect();
    wals.retain(|path| path.extension().is_some_and(|e| e == "log"));
    wals.sort();
    wals.pop().unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_answered_is_there_after_a_restart_and_a_retry_is_known() {
    let dir = tempfile::tempdir().unwrap();
    let origin = Origin::Client { client: ClientId([3; 16]), call: CallId(9) };
    let handle = start(config(dir.path())).await.unwrap();
    assert_eq!(give(&handle, "a").await, 1);
    assert_eq!(handle.propose(origin, &"a".to_owned()).await.unwrap(), 2);
    handle.shutdown(Duration::from_secs(5)).await;
    drop(handle);
    let handle = start(config(dir.path())).await.unwrap();
    assert_eq!(seen(&handle, "a").await, 2);
    assert_eq!(
        handle.propose(origin, &"a".to_owned()).await.unwrap(),
        2,
        "the retry record outlives the restart"
    );
    assert_eq!(give(&handle, "a").await, 3);
    handle.shutdown(Duration::from_secs(5)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_state_lost_what_it_had_not_synced_and_gets_it_back_from_the_log() {
    let dir = tempfile::tempdir().unwrap();
    let handle = start(config(dir.path())).await.unwrap();
    for _ in 0..100 {
        give(&handle, "a").await;
    }
    handle.shutdown(Duration::from_secs(5)).await;
    drop(handle);
    let wal = newest_wal(&dir.path().join("state/state-1"));
    let len = fs::metadata(&wal).unwrap().len();
    fs::OpenOptions::new().write(true).open(&wal).unwrap().set_len(len / 2 + 3).unwrap();
    let handle = start(config(dir.path())).await.unwrap();
    assert_eq!(give(&handle, "a").await, 101, "each command counts once, the lost ones too");
    handle.shutdown(Duration::from_secs(5)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_torn_end_of_the_log_is_cut_off_and_earlier_damage_refuses_to_start() {
    let dir = tempfile::tempdir().unwrap();
    let handle = start(config(dir.path())).await.unwrap();
    for _ in 0..50 {
        give(&handle, &"x".repeat(1000)).await;
    }
    handle.shutdown(Duration::from_secs(5)).await;
    drop(handle);
    // Half a write at the end, as a power failure leaves it.
    let wal = newest_wal(&dir.path().join("log"));
    let whole = fs::read(&wal).unwrap();
    fs::write(&wal, [&whole[..], &whole[..20]].concat()).unwrap();
    let handle = start(config(dir.path())).await.unwrap();
    assert_eq!(seen(&handle, &"x".repeat(1000)).await, 50);
    handle.shutdown(Duration::from_secs(5)).await;
    drop(handle);

    // A flipped bit in the middle of what was synced.
    let damaged_dir = tempfile::tempdir().unwrap();
    let handle = start(config(damaged_dir.path())).await.unwrap();
    for _ in 0..50 {
        give(&handle, &"x".repeat(1000)).await;
    }
    handle.shutdown(Duration::from_secs(5)).await;
    drop(handle);
    let wal = newest_wal(&damaged_dir.path().join("log"));
    let mut bytes = fs::read(&wal).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 4;
    fs::write(&wal, bytes).unwrap();
    let refused = start(config(damaged_dir.path())).await.err().expect("it refuses to start");
    assert!(matches!(refused, StartError::Open { .. } | StartError::LogDamaged { .. }), "{refused}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn files_of_another_cluster_or_member_are_refused_by_name() {
    let dir = tempfile::tempdir().unwrap();
    let handle = start(config(dir.path())).await.unwrap();
    give(&handle, "a").await;
    handle.shutdown(Duration::from_secs(5)).await;
    drop(handle);
    let other = ReplicaConfig { cluster: ClusterId("other".into()), ..config(dir.path()) };
    let refused = start(other).await.err().unwrap().to_string();
    assert!(refused.contains("belongs to cluster test, not to other"), "{refused}");
    let mut other = config(dir.path());
    other.member = MemberId(2);
    other.beginning = Beginning::Join;
    let refused = start(other).await.err().unwrap().to_string();
    assert!(refused.contains("belongs to member 1, not to member 2"), "{refused}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_log_of_a_newer_version_is_refused_by_name() {
    let dir = tempfile::tempdir().unwrap();
    let handle = start(config(dir.path())).await.unwrap();
    handle.shutdown(Duration::from_secs(5)).await;
    drop(handle);
    {
        let log = dir.path().join("log");
        let options = rocksdb::Options::default();
        let names = rocksdb::DB::list_cf(&options, &log).unwrap();
        // The last task that holds the database may end a moment after the handle.
        let mut tries = 0;
        let db = loop {
            match rocksdb::DB::open_cf(&options, &log, &names) {
                Ok(db) => break db,
                Err(error) if tries == 500 => panic!("{error}"),
                Err(_) => tries += 1,
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        };
        db.put_cf(db.cf_handle("head").unwrap(), "head", br#"{"version":2,"news":true}"#).unwrap();
    }
    let refused = start(config(dir.path())).await.err().unwrap().to_string();
    assert!(refused.contains("of version 2") && refused.contains("up to 1"), "{refused}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_checkpoint_of_a_running_member_starts_a_cluster_of_one() {
    let dir = tempfile::tempdir().unwrap();
    let handle = start(config(&dir.path().join("old"))).await.unwrap();
    for _ in 0..10 {
        give(&handle, "a").await;
    }
    let backups = dir.path().join("backups");
    fs::create_dir_all(backups.join("torn.part/state")).unwrap();
    let made = handle.backup(&backups, "first", &[("VERSION", b"me\n")]).await.unwrap();
    let (backup, names) = (backups.join("first"), fs::read_dir(&backups).unwrap().count());
    assert_eq!((made.dir.as_path(), names), (backup.as_path(), 1), "what an earlier one left is removed");
    assert_eq!(fs::read(backup.join("VERSION")).unwrap(), b"me\n");
    let again = handle.backup(&backups, "first", &[]).await.unwrap_err();
    assert!(again.to_string().contains("choose another name"), "{again}");
    assert_eq!(give(&handle, "a").await, 11, "it goes on while and after");

    let rocks = RocksShared::new(8 << 20, 32 << 20).unwrap();
    let new = dir.path().join("new");
    let cluster = ClusterId("restored".into());
    let other = Member { name: "om9".into(), address: "127.0.0.1:9".into() };
    let amend = |batch: &mut Batch<'_>| SEEN.put(batch, &"amended".to_owned(), &7);
    let applied = restore(&rocks, &backup, &new, &cluster, (MemberId(9), other.clone()), amend).unwrap();
    assert_eq!(applied, made.applied);
    let again = restore(&rocks, &backup, &new, &cluster, (MemberId(9), other.clone()), |_| Ok(()));
    assert!(again.unwrap_err().to_string().contains("not empty"));
    for round in 0..2 {
        let beginning = Beginning::Found(BTreeMap::from([(MemberId(9), other.clone())]));
        let config = ReplicaConfig::new(&new, cluster.clone(), MemberId(9), beginning);
        let restored = Replica::start(config, surroundings(), Tally).await.unwrap();
        let leads =
            restored.status().wait_for(Duration::from_secs(20), |s| s.leader == Some(MemberId(9))).await;
        assert_eq!(leads.unwrap().voters, [MemberId(9)]);
        assert_eq!(seen(&restored, "a").await, 10 + round);
        assert_eq!(seen(&restored, "amended").await, 7);
        assert_eq!(give(&restored, "a").await, 11 + round);
        restored.shutdown(Duration::from_secs(5)).await;
    }
    handle.shutdown(Duration::from_secs(5)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn too_many_commands_are_busy_and_too_large_ones_are_named() {
    let dir = tempfile::tempdir().unwrap();
    let config = ReplicaConfig { commands_waiting_max: 2, command_bytes_max: 100, ..config(dir.path()) };
    let handle = start(config).await.unwrap();
    let large = handle.propose(Origin::Service, &"x".repeat(101)).await.unwrap_err().to_string();
    assert!(large.contains("101 bytes") && large.contains("100"), "{large}");
    let mut calls = tokio::task::JoinSet::new();
    for n in 0..64 {
        let handle = handle.clone();
        calls.spawn(async move { handle.propose(Origin::Service, &format!("t{n}")).await });
    }
    let results = calls.join_all().await;
    let busy = results.iter().filter(|r| matches!(r, Err(allotrope_consensus::ProposeError::Busy))).count();
    assert!(busy > 0 && results.iter().any(Result::is_ok), "{busy} of 64 were busy");
    handle.shutdown(Duration::from_secs(5)).await;
    let stopped = handle.propose(Origin::Service, &"late".to_owned()).await.unwrap_err();
    assert!(matches!(stopped, allotrope_consensus::ProposeError::Stopped { .. }), "{stopped}");
}

/// Set in a copy of this test's process whose files may not grow beyond a limit: the folder of its member.
const LIMITED: &str = "ALLOTROPE_TEST_LIMITED";

/// Gives one text after another until the member stops; writes down how many were answered, and why it stopped.
async fn give_until_stopped(dir: &Path) {
    let handle = start(config(&dir.join("member"))).await.unwrap();
    let mut answered = 0;
    let text = "x".repeat(1000);
    let why = loop {
        match handle.propose(Origin::Service, &text).await {
            Ok(count) => answered = count,
            Err(why) => break why.to_string(),
        }
    };
    fs::write(dir.join("told"), format!("{answered}\n{why}")).unwrap();
}

#[test]
fn a_full_disk_stops_the_member_and_what_was_answered_is_there_when_there_is_room_again() {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    if let Some(dir) = std::env::var_os(LIMITED) {
        return runtime.block_on(give_until_stopped(Path::new(&dir)));
    }
    let dir = tempfile::tempdir().unwrap();
    // No file of the copy may be longer than 256 KiB: a longer write fails as on a full disk.
    let limited = std::process::Command::new("sh")
        .args(["-c", "trap '' XFSZ; ulimit -f 512; exec \"$@\"", "sh"])
        .arg(std::env::current_exe().unwrap())
        .args([
            "--exact",
            "a_full_disk_stops_the_member_and_what_was_answered_is_there_when_there_is_room_again",
        ])
        .env(LIMITED, dir.path())
        .output()
        .unwrap();
    let told = fs::read_to_string(dir.path().join("told"));
    let told = told.unwrap_or_else(|_| panic!("{}", String::from_utf8_lossy(&limited.stdout)));
    let (answered, why) = told.split_once('\n').unwrap();
    let answered: u64 = answered.parse().unwrap();
    assert!(answered > 20, "it stopped after {answered}: {why}");
    assert!(why.contains("the replica has stopped") && why.contains("File too large"), "{why}");
    runtime.block_on(async {
        let handle = start(config(&dir.path().join("member"))).await.unwrap();
        let seen = seen(&handle, &"x".repeat(1000)).await;
        assert!(seen == answered || seen == answered + 1, "{answered} were answered, {seen} are there");
        handle.shutdown(Duration::from_secs(5)).await;
    });
}
