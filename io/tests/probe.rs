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
