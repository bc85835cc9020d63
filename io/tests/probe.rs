//! What the probe finds, and how shards start where io_uring is forbidden.
#![allow(clippy::unwrap_used, clippy::disallowed_methods, reason = "tests")]

use allotrope_io::{
    Back, DirTrouble, FsKind, Probe, RegisteredFinding, Severity, Shards, ShardsConfig, StartError,
    UringFinding,
};
use seccompiler::{BpfProgram, SeccompAction, SeccompFilter};
use std::path::Path;
use std::time::Duration;

fn probe(dir: impl AsRef<Path>) -> Probe {
    Probe::run(&[dir], 1, 1 << 20)
}

/// What the only line about a directory says, its advice included.
fn says(probe: &Probe) -> String {
    probe.lines()[2..].iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
}

#[test]
fn a_usable_directory_is_found_usable_and_left_as_it_was() {
    let dir = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let found = probe(&dir);
    assert!(found.serves(), "{:?}", found.dirs);
    let facts = found.dirs[0].found.as_ref().unwrap();
    assert!(facts.bytes_free > 0);
    assert_eq!(std::fs::read_dir(&dir).unwrap().count(), 0);
    assert!(found.summary().contains(&dir.path().display().to_string()));
    if found.uring == UringFinding::Usable {
        assert_eq!(found.back(), Back::Uring);
        assert!(matches!(found.registered, RegisteredFinding::Works(_) | RegisteredFinding::Memlock { .. }));
    }
}

#[test]
fn memory_is_named_as_such() {
    let dir = tempfile::tempdir_in("/dev/shm").unwrap();
    let found = probe(&dir);
    assert_eq!(found.dirs[0].found.as_ref().unwrap().fs, FsKind::Tmpfs);
    assert!(says(&found).contains("nothing in it survives"), "{}", says(&found));
}

#[test]
fn a_directory_that_does_not_serve_is_told_with_what_to_change() {
    let missing = probe("/nowhere/hdds");
    assert!(!missing.serves());
    assert_eq!(missing.dirs[0].trouble(), Some(&DirTrouble::Missing("/nowhere/hdds".into())));
    assert!(says(&missing).contains("try: mkdir -p /nowhere/hdds"));
    let file = probe("/etc/passwd");
    assert!(matches!(file.dirs[0].trouble(), Some(DirTrouble::NotADirectory(_))));
    // /proc takes no files at all, whoever asks.
    let odd = probe("/proc");
    assert!(!odd.serves());
    assert_eq!(odd.lines()[2].severity, Severity::Broken);
}

#[test]
fn too_little_memlock_is_told_with_both_sizes_and_what_to_change() {
    let mut found = probe("/nowhere");
    found.registered = RegisteredFinding::Memlock { limit: 8 << 20, wanted: 256 << 20 };
    let line = found.lines()[1].to_string();
    assert!(line.contains("memlock is 8192 KiB") && line.contains("262144 KiB"), "{line}");
    assert!(line.contains("LimitMEMLOCK=infinity"));
}

/// Forbids io_uring to the calling thread and to all it starts, as container runtimes do.
fn forbid_io_uring() {
    let calls = [(IO_URING_SETUP, vec![])].into_iter().collect();
    let filter = SeccompFilter::new(
        calls,
        SeccompAction::Allow,
        SeccompAction::Errno(1),
        std::env::consts::ARCH.try_into().unwrap(),
    );
    let program: BpfProgram = filter.unwrap().try_into().unwrap();
    seccompiler::apply_filter(&program).unwrap();
}

/// The number of io_uring_setup, the same on every architecture.
const IO_URING_SETUP: i64 = 425;

#[test]
fn where_io_uring_is_forbidden_the_reason_is_told_and_the_portable_back_starts() {
    let found = std::thread::spawn(|| {
        forbid_io_uring();
        let found = probe("/nowhere");
        let uring = Shards::start(ShardsConfig { memory_per_shard: 1 << 20, ..ShardsConfig::uring(1) });
        assert!(matches!(uring, Err(StartError::Uring { .. })), "{uring:?}");
        let config = ShardsConfig { back: found.back(), memory_per_shard: 1 << 20, ..ShardsConfig::uring(1) };
        let shards = Shards::start(config).unwrap();
        assert_eq!(shards.back(), Back::Portable);
        let ran = shards.run_on(shards.ids().next().unwrap(), "work", |_| async { 7 }).unwrap();
        assert_eq!(ran.wait(), Ok(7));
        assert!(shards.stop(Duration::from_secs(5)).is_clean());
        found
    });
    let found = found.join().unwrap();
    assert_eq!(found.uring, UringFinding::Seccomp);
    assert_eq!(found.registered, RegisteredFinding::NoRing);
    let line = found.lines()[0].to_string();
    assert!(line.contains("seccomp") && line.contains("try: run the container"), "{line}");
}

/// Runs `case` in a thread as a user that owns nothing, without root's privileges.
fn as_nobody<T: Send + 'static>(case: impl FnOnce() -> T + Send + 'static) -> T {
    let run = move || {
        if rustix::process::geteuid().is_root() {
            let nobody = rustix::process::Uid::from_raw(65534);
            rustix::thread::set_thread_res_uid(nobody, nobody, nobody).unwrap();
        }
        case()
    };
    std::thread::spawn(run).join().unwrap()
}

#[test]
fn a_directory_of_anothers_is_told_with_both_users_and_what_to_change() {
    let found = as_nobody(|| probe("/"));
    assert!(
        matches!(found.dirs[0].trouble(), Some(DirTrouble::NotOurs { owner: 0, .. })),
        "{:?}",
        found.dirs
    );
    let line = says(&found);
    assert!(line.starts_with("broken  / belongs to user 0 and this process (user "), "{line}");
    assert!(line.contains("try: chown -R "), "{line}");
}

/// The test this process was started for by [`again`].
const CASE: &str = "ALLOTROPE_TEST_CASE";

/// Runs the test `name` of this program again, by way of `wrapper`; what it is told with [`CASE`] is `told`.
fn again(wrapper: &[&str], name: &str, told: &Path) -> std::process::Output {
    let program = std::env::current_exe().unwrap();
    let mut command = std::process::Command::new(wrapper[0]);
    command.args(&wrapper[1..]).arg(program).args(["--exact", name, "--nocapture"]).env(CASE, told);
    command.output().unwrap()
}

#[test]
fn with_too_little_memlock_shards_start_without_registered_buffers() {
    use std::sync::atomic::Ordering::Relaxed;
    let limit = rustix::process::getrlimit(rustix::process::Resource::Memlock).current.unwrap_or(u64::MAX);
    if std::env::var_os(CASE).is_none() {
        let name = "with_too_little_memlock_shards_start_without_registered_buffers";
        // Root may lock as much as it likes, unless it lacks the capability.
        let lock: &[&str] = match rustix::process::geteuid().is_root() {
            true => &["setpriv", "--inh-caps=-ipc_lock", "--bounding-set=-ipc_lock"],
            false => &[],
        };
        let wrapper: Vec<&str> = ["prlimit", "--memlock=8388608"].iter().chain(lock).copied().collect();
        let ran = again(&wrapper, name, Path::new("-"));
        assert!(ran.status.success(), "{}", String::from_utf8_lossy(&ran.stdout));
        return;
    }
    let memory = 64 << 20;
    let found = Probe::run(&["/tmp"], 2, memory);
    if found.back() == Back::Portable {
        return;
    }
    assert_eq!(found.registered, RegisteredFinding::Memlock { limit, wanted: 2 * memory as u64 });
    let line = found.lines()[1].to_string();
    assert!(
        line.starts_with("slower  memlock is 8192 KiB and ") && line.contains("try: ulimit -l unlimited"),
        "{line}"
    );
    let shards = Shards::start(ShardsConfig { memory_per_shard: memory, ..ShardsConfig::uring(1) }).unwrap();
    let shard = shards.ids().next().unwrap();
    assert_eq!(shards.counters(shard).bytes_registered.load(Relaxed), 0);
    assert_eq!(shards.run_on(shard, "work", |_| async { 7 }).unwrap().wait(), Ok(7));
    assert!(shards.stop(Duration::from_secs(5)).is_clean());
}

#[test]
fn as_many_files_may_be_open_as_the_administrator_allows() {
    if std::env::var_os(CASE).is_none() {
        let name = "as_many_files_may_be_open_as_the_administrator_allows";
        let ran = again(&["prlimit", "--nofile=100:300"], name, Path::new("-"));
        assert!(ran.status.success(), "{}", String::from_utf8_lossy(&ran.stdout));
        return;
    }
    let open =
        |count: usize| (0..count).map(|_| std::fs::File::open("/dev/null")).collect::<Result<Vec<_>, _>>();
    assert!(open(150).is_err(), "the test begins below that");
    assert_eq!(allotrope_io::raise_open_files(), Some(300));
    assert!(open(150).is_ok());
}

#[test]
fn memlock_below_what_shards_ask_for_is_told_and_the_portable_back_starts() {
    if std::env::var_os(CASE).is_none() {
        let name = "memlock_below_what_shards_ask_for_is_told_and_the_portable_back_starts";
        let ran = again(&["prlimit", "--memlock=262144"], name, Path::new("-"));
        assert!(ran.status.success(), "{}", String::from_utf8_lossy(&ran.stdout));
        return;
    }
    let found = probe("/nowhere");
    assert_eq!(found.uring, UringFinding::Memlock(262_144));
    let line = found.lines()[0].to_string();
    assert!(line.contains("memlock is 256 KiB, and shards on io_uring ask for 512 KiB"), "{line}");
    assert!(line.contains("LimitMEMLOCK=infinity"), "{line}");
    assert_eq!(Back::of_this_machine(), Back::Portable);
    let refused = Shards::start(ShardsConfig { memory_per_shard: 1 << 20, ..ShardsConfig::uring(1) });
    assert!(matches!(refused, Err(StartError::Uring { .. })), "the probe is right about it");
    let config = ShardsConfig { back: found.back(), memory_per_shard: 1 << 20, ..ShardsConfig::uring(1) };
    assert!(Shards::start(config).unwrap().stop(Duration::from_secs(5)).is_clean());
}

/// Mounts a file system at a new directory, in a namespace of its own, runs `prepare` in it and there the test `name` again.
/// `false` where this user may not mount.
fn on_mount(mount: &str, prepare: &str, name: &str) -> bool {
    let unshare: &[&str] = match rustix::process::geteuid().is_root() {
        true => &["unshare", "--mount"],
        false => &["unshare", "--user", "--map-root-user", "--mount"],
    };
    let mut mounts = std::process::Command::new(unshare[0]);
    mounts.args(&unshare[1..]).args(["mount", "-t", "tmpfs", "t", "/mnt"]);
    let may = mounts.output().is_ok_and(|tried| tried.status.success());
    if may {
        let dir = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
        let at = dir.path().display();
        let script =
            format!("mount {mount} {at} && {prepare} && exec \"$0\" \"$@\"").replace("DIR", &at.to_string());
        let wrapper: Vec<&str> = unshare.iter().copied().chain(["sh", "-c", &script]).collect();
        let ran = again(&wrapper, name, dir.path());
        let told = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        assert!(ran.status.success(), "{}{}", told(&ran.stdout), told(&ran.stderr));
        assert!(told(&ran.stdout).contains("1 passed"), "the test ran there");
    }
    may
}

#[test]
fn a_file_system_mounted_read_only_is_told_with_what_to_change() {
    let Some(dir) = std::env::var_os(CASE) else {
        let name = "a_file_system_mounted_read_only_is_told_with_what_to_change";
        on_mount("-t tmpfs -o ro t", "true", name);
        return;
    };
    let found = probe(&dir);
    assert_eq!(found.dirs[0].trouble(), Some(&DirTrouble::ReadOnly(Path::new(&dir).into())));
    let line = says(&found);
    assert!(line.contains("mounted read-only\n  try: mount -o remount,rw"), "{line}");
}

#[test]
fn a_full_file_system_is_told_with_what_to_change() {
    let Some(dir) = std::env::var_os(CASE) else {
        let name = "a_full_file_system_is_told_with_what_to_change";
        on_mount("-t tmpfs -o size=8k t", "head -c 8192 /dev/zero > DIR/full", name);
        return;
    };
    let found = probe(&dir);
    assert_eq!(found.dirs[0].trouble(), Some(&DirTrouble::Full(Path::new(&dir).into())));
    let line = says(&found);
    assert!(line.contains("is full: no space or no inode is left\n  try: free space"), "{line}");
    assert_eq!(std::fs::read_dir(&dir).unwrap().count(), 1, "nothing is left behind");
}

#[test]
fn a_file_system_without_direct_files_is_told_and_serves_through_the_page_cache() {
    use allotrope_io::{AlignedBuf, OpenHow, ShardId};
    let Some(dir) = std::env::var_os(CASE) else {
        let name = "a_file_system_without_direct_files_is_told_and_serves_through_the_page_cache";
        on_mount("-t ramfs r", "true", name);
        return;
    };
    let found = probe(&dir);
    assert!(found.serves());
    let line = says(&found);
    assert!(
        line.starts_with("slower  ") && line.contains("without O_DIRECT: data passes the page cache"),
        "{line}"
    );
    assert!(line.contains("try: a data directory on ext4 or xfs"), "{line}");
    let config = ShardsConfig { back: found.back(), memory_per_shard: 1 << 20, ..ShardsConfig::uring(1) };
    let shards = Shards::start(config).unwrap();
    let used = shards.run_on(ShardId(0), "use", move |shard| async move {
        let path = Path::new(&dir).join("block");
        let file = shard.disk().open(&path, OpenHow::create_new().direct()).await.unwrap();
        file.write_at(AlignedBuf::copy_of(b"through the cache"), 5000).await.1.unwrap();
        file.sync().await.unwrap();
        let (buf, read) = file.read_at(AlignedBuf::heap(100), 5000, 100).await;
        assert_eq!(read.unwrap(), 17);
        assert_eq!(&buf[..], b"through the cache");
        assert!(
            shard.disk().open(&path, OpenHow::create_new().direct()).await.is_err(),
            "it is there already"
        );
    });
    used.unwrap().wait().unwrap();
    assert!(shards.stop(Duration::from_secs(5)).is_clean());
}
