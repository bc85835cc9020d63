//! `allotrope sh` against a cluster of real processes: what it moves, goes on with and refuses, and how it ends.
#![allow(clippy::unwrap_used, reason = "a helper that fails fails its test")]
#![allow(clippy::disallowed_methods, reason = "tests of real processes use real files, clocks and sleeps")]

mod cluster;

use std::fs;
use std::io::{Read, Write};
use std::net::TcpListener;
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant, SystemTime};

use cluster::Cluster;

const MIB: usize = 1 << 20;

fn pattern(len: usize) -> Vec<u8> {
    (0..len as u64).map(|x| (x.wrapping_mul(31) ^ (x >> 8).wrapping_mul(17) ^ (x >> 16)) as u8).collect()
}

/// `allotrope sh ARGS`, with files that cannot grow beyond so many KiB where that is said, and with `input` on stdin.
fn sh(cluster: &Cluster, file_kib_max: Option<usize>, input: &[u8], args: &[&str]) -> Output {
    let limit = file_kib_max.map_or(String::new(), |kib| format!("trap '' XFSZ; ulimit -f {}; ", 2 * kib));
    let mut command = Command::new("sh");
    command
        .args(["-c", &format!("{limit}exec \"$@\""), "sh", env!("CARGO_BIN_EXE_allotrope"), "sh"])
        .args(args);
    command.arg(format!("--set=ozone.om.address={}", cluster.om_address()));
    command.arg(format!("--set=ozone.om.grpc.port={}", cluster.om_grpc())).current_dir(cluster.path(""));
    command.env_remove("RUST_LOG").stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let input = input.to_owned();
    let feeding = std::thread::spawn(move || drop(stdin.write_all(&input)));
    let output = child.wait_with_output().unwrap();
    feeding.join().unwrap();
    output
}

fn ok(cluster: &Cluster, args: &[&str]) -> Output {
    let output = sh(cluster, None, &[], args);
    assert!(output.status.success(), "sh {args:?}: {}{}", said(&output), cluster.logs());
    output
}

/// Writes `data` to a key by way of stdin.
fn put(cluster: &Cluster, key: &str, data: &[u8]) {
    let output = sh(cluster, None, data, &["key", "put", key, "-"]);
    assert!(output.status.success(), "put {key}: {}{}", said(&output), cluster.logs());
}

/// What a command that must fail with exit code 1 says.
fn fails(cluster: &Cluster, file_kib_max: Option<usize>, args: &[&str]) -> String {
    let output = sh(cluster, file_kib_max, &[], args);
    assert_eq!(output.status.code(), Some(1), "sh {args:?}: {}", said(&output));
    said(&output)
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

fn has(text: &str, wanted: &str) {
    assert!(text.contains(wanted), "no {wanted:?} in {text}");
}

/// What lies in a folder, but for the servers' own folders and logs.
fn names(dir: &Path) -> Vec<String> {
    let mut names: Vec<String> =
        fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

#[test]
fn a_shell_moves_files_goes_on_where_it_ended_and_refuses_what_is_wrong() {
    // Small containers, for a disk that is nearly full with what else is on it.
    let cluster = Cluster::start_with(5, &["ozone.scm.container.size=256MB", "ozone.scm.block.size=64MB"]);
    cluster.sh_eventually(&["volume", "create", "/vol1"]);
    cluster.sh(&["bucket", "create", "/vol1/coded", "--type", "EC", "--replication", "rs-3-2-1024k"]);
    cluster.sh(&["bucket", "create", "/vol1/one", "--type", "STAND_ALONE", "--replication", "ONE"]);
    fs::create_dir(cluster.path("here")).unwrap();
    fs::write(cluster.path("here/warm"), "warm").unwrap();
    cluster.sh_eventually(&["key", "put", "/vol1/coded/warm", cluster.path("here/warm").to_str().unwrap()]);
    fs::remove_file(cluster.path("here/warm")).unwrap();
    pipes(&cluster);
    an_interrupted_get(&cluster);
    folders(&cluster);
    rewritten_and_summed(&cluster);
    bad_input(&cluster);
    a_file_that_changes(&cluster);
    not_om(&cluster);
    assert!(names(&cluster.path("here")).is_empty(), "every file was removed, and no command left one");
}

fn pipes(cluster: &Cluster) {
    let data = pattern(5 * MIB + 3);
    put(cluster, "/vol1/coded/piped", &data);
    for args in [&["key", "get", "/vol1/coded/piped", "-"][..], &["key", "cat", "/vol1/coded/piped"]] {
        let got = ok(cluster, args);
        assert!(got.stdout == data, "{args:?}");
        assert!(got.stderr.is_empty(), "no bar is drawn in a pipe: {}", said(&got));
    }
}

fn an_interrupted_get(cluster: &Cluster) {
    let data = pattern(40 * MIB + 5);
    put(cluster, "/vol1/coded/long", &data);
    let get = ["key", "get", "--resume", "/vol1/coded/long", "here/long"];
    // The disk is full after 12 MiB.
    has(&fails(cluster, Some(12 << 10), &get), "cannot write here/long");
    assert_eq!(names(&cluster.path("here")), [".long.allotrope-note", ".long.allotrope-part"]);
    has(&said(&ok(cluster, &get)), &format!("going on behind {} of {} bytes", 12 * MIB, data.len()));
    assert!(fs::read(cluster.path("here/long")).unwrap() == data);
    assert_eq!(names(&cluster.path("here")), ["long"]);
    has(&fails(cluster, None, &get), "here/long exists");
    fs::remove_file(cluster.path("here/long")).unwrap();

    // Another key of that name does not follow the first bytes of this one.
    fails(cluster, Some(12 << 10), &get);
    let other: Vec<u8> = data.iter().map(|byte| !byte).collect();
    put(cluster, "/vol1/coded/long", &other);
    assert!(ok(cluster, &get).stderr.is_empty(), "it begins anew");
    assert!(fs::read(cluster.path("here/long")).unwrap() == other);
    fs::remove_file(cluster.path("here/long")).unwrap();

    // Without --resume nothing is left.
    has(
        &fails(cluster, Some(12 << 10), &["key", "get", "/vol1/coded/long", "here/long"]),
        "cannot write here/long",
    );
    assert!(names(&cluster.path("here")).is_empty());
}

fn folders(cluster: &Cluster) {
    let top = cluster.path("here/top");
    fs::create_dir_all(top.join("a/b")).unwrap();
    let files = [("a/b/deep", 2 * MIB + 1), ("a/empty", 0), ("wide", 100)];
    let files: Vec<(String, usize)> = files.map(|(name, len)| (name.to_owned(), len)).into();
    let many = (0..20).map(|n| (format!("many/{n}"), 1000 + n));
    let files: Vec<(String, usize)> = files.into_iter().chain(many).collect();
    fs::create_dir(top.join("many")).unwrap();
    files.iter().for_each(|(name, len)| fs::write(top.join(name), pattern(*len)).unwrap());
    ok(cluster, &["key", "put", "--recursive", "--parallel", "3", "/vol1/coded/up", "here/top"]);
    for (name, len) in &files {
        let got = ok(cluster, &["key", "cat", &format!("/vol1/coded/up/{name}")]);
        assert!(got.stdout == pattern(*len), "{name}");
    }
    let listed = String::from_utf8(ok(cluster, &["key", "list", "--all", "/vol1/coded/up/"]).stdout).unwrap();
    assert_eq!(listed.matches("\"file\": true").count(), files.len(), "{listed}");
    has(&fails(cluster, None, &["key", "put", "/vol1/coded/up", "here/top"]), "--recursive");
    let refused =
        fails(cluster, None, &["key", "put", "--recursive", "--parallel=1", "/vol1/none/up", "here/top"]);
    has(&refused, "BUCKET_NOT_FOUND");
    has(&refused, "10 of 23 files failed");
    fs::remove_dir_all(top).unwrap();
}

fn rewritten_and_summed(cluster: &Cluster) {
    let data = pattern(3 * MIB + 77);
    put(cluster, "/vol1/one/key", &data);
    let json =
        |args: &[&str]| serde_json::from_slice::<serde_json::Value>(&ok(cluster, args).stdout).unwrap();
    let before = json(&["key", "checksum", "/vol1/one/key"]);
    assert_eq!((&before["algorithm"], &before["dataSize"]), (&"COMPOSITE-CRC32".into(), &data.len().into()));
    ok(cluster, &["key", "rewrite", "/vol1/one/key", "-t", "EC", "-r", "rs-3-2-1024k"]);
    assert_eq!(json(&["key", "info", "/vol1/one/key"])["replicationConfig"]["replicationType"], "EC");
    assert!(ok(cluster, &["key", "cat", "/vol1/one/key"]).stdout == data);
    assert_eq!(json(&["key", "checksum", "/vol1/one/key"]), before, "the same bytes, otherwise kept");
    ok(cluster, &["key", "cp", "/vol1/one", "key", "copy"]);
    assert_eq!(json(&["key", "checksum", "/vol1/one/copy"])["checksum"], before["checksum"]);
}

fn bad_input(cluster: &Cluster) {
    fs::write(cluster.path("here/file"), "x").unwrap();
    has(&fails(cluster, None, &["key", "put", "/vol1/coded/", "here/file"]), "/volume/bucket/key");
    has(&fails(cluster, None, &["key", "put", "/vol1/none/key", "here/file"]), "BUCKET_NOT_FOUND");
    has(&fails(cluster, None, &["key", "put", "/vol1/coded/key", "here/none"]), "cannot read here/none");
    has(&fails(cluster, None, &["key", "get", "/vol1/coded/none", "here/none"]), "KEY_NOT_FOUND");
    has(&fails(cluster, None, &["key", "get", "/vol1/coded/warm", "none/file"]), "cannot write none/file");
    has(&fails(cluster, None, &["key", "get", "/vol1/coded/warm", "/proc/file"]), "cannot write /proc/file");
    assert_eq!(sh(cluster, None, &[], &["key", "put"]).status.code(), Some(2), "words that lack some");

    // A file of 5 TiB, all of it hole: what is read of it until it is stopped leaves no key, and nobody else waits for it.
    fs::File::create(cluster.path("here/huge")).unwrap().set_len(5 << 40).unwrap();
    let file = cluster.path("here/huge");
    let mut huge = cluster.begin_sh(&["key", "put", "/vol1/coded/huge", file.to_str().unwrap()]);
    std::thread::sleep(Duration::from_secs(1));
    assert!(huge.try_wait().unwrap().is_none(), "it is still at it");
    ok(cluster, &["key", "put", "/vol1/coded/beside", "here/file"]);
    huge.kill().unwrap();
    huge.wait().unwrap();
    has(&fails(cluster, None, &["key", "info", "/vol1/coded/huge"]), "KEY_NOT_FOUND");
    ["here/file", "here/huge"].into_iter().for_each(|file| fs::remove_file(cluster.path(file)).unwrap());
}

fn a_file_that_changes(cluster: &Cluster) {
    let path = cluster.path("here/changing");
    fs::write(&path, pattern(8 * MIB)).unwrap();
    let ended = AtomicBool::new(false);
    let said = std::thread::scope(|scope| {
        scope.spawn(|| {
            let file = fs::File::options().write(true).open(&path).unwrap();
            let mut ahead = 1;
            while !ended.load(Ordering::Relaxed) {
                file.set_modified(SystemTime::now() + Duration::from_secs(ahead)).unwrap();
                ahead += 1;
                std::thread::sleep(Duration::from_millis(1));
            }
        });
        let said = fails(cluster, None, &["key", "put", "/vol1/coded/changing", "here/changing"]);
        ended.store(true, Ordering::Relaxed);
        said
    });
    has(&said, "changed while it was read; the key was not written");
    has(&fails(cluster, None, &["key", "info", "/vol1/coded/changing"]), "KEY_NOT_FOUND");
    fs::remove_file(path).unwrap();
}

/// An HTTP server where OM should be is named at once.
fn not_om(cluster: &Cluster) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let mut stream = stream;
            let _ = stream.read(&mut [0; 1024]);
            let _ = stream.write_all(b"HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\n\r\n");
            std::thread::spawn(move || stream.read_to_end(&mut vec![]));
        }
    });
    let began = Instant::now();
    let setting = format!("--set=ozone.om.grpc.port={port}");
    let output = Command::new(env!("CARGO_BIN_EXE_allotrope"))
        .args(["sh", "volume", "list", "--set=ozone.om.address=127.0.0.1:1", &setting])
        .current_dir(cluster.path(""))
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(1));
    has(&said(&output), &format!("127.0.0.1:{port} is no server of ours"));
    assert!(began.elapsed() < Duration::from_secs(20), "{:?}", began.elapsed());
}
