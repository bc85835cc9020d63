//! `allotrope sh` against a cluster of real processes: what it moves, goes on with and refuses, and how it ends.
#![allow(clippy::unwrap_used, reason = "a helper that fails fails its test")]
#![allow(clippy::disallowed_methods, reason = "tests of real processes use real files, clocks and sleeps")]

mod cluster;
mod shell_words;

use std::fs;
use std::io::{Read, Write};
use std::net::TcpListener;
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant, SystemTime};

use cluster::{Cluster, Server};
use rustix::process::{Pid, Signal, kill_process};

const PATIENCE: Duration = Duration::from_secs(60);
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
    shell_words::all(&cluster);
    bad_input(&cluster);
    not_served(&cluster);
    interrupted(&cluster);
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
    let full = "error: cannot write here/long: File too large (os error 27)\n";
    assert_eq!(fails(cluster, Some(12 << 10), &get), full);
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
    assert_eq!(fails(cluster, Some(12 << 10), &["key", "get", "/vol1/coded/long", "here/long"]), full);
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

/// Says just this, and fails.
fn says(cluster: &Cluster, args: &[&str], wanted: &str) {
    assert_eq!(fails(cluster, None, args), format!("error: {wanted}\n"), "{args:?}");
}

fn bad_input(cluster: &Cluster) {
    fs::write(cluster.path("here/file"), "x").unwrap();
    let put = |key: &str, file: &str, wanted: &str| says(cluster, &["key", "put", key, file], wanted);
    for key in ["", "/vol1/coded/"] {
        put(key, "here/file", &format!("{key:?} has an empty part; the form is /volume/bucket/key"));
    }
    put("/vol1/coded", "here/file", "\"/vol1/coded\" has too few parts; the form is /volume/bucket/key");
    put(
        "/vol1/none/key",
        "here/file",
        "cannot create key /vol1/none/key: BUCKET_NOT_FOUND (bucket vol1/none is not found)",
    );
    put("/vol1/coded/key", "here/none", "cannot read here/none: No such file or directory (os error 2)");
    let get = |key: &str, file: &str, wanted: &str| says(cluster, &["key", "get", key, file], wanted);
    get(
        "/vol1/coded/none",
        "here/none",
        "cannot look up key /vol1/coded/none: KEY_NOT_FOUND (Key:none not found)",
    );
    get("/vol1/coded/warm", "none/file", "cannot write none/file: No such file or directory (os error 2)");
    get("/vol1/coded/warm", "/proc/file", "cannot write /proc/file: No such file or directory (os error 2)");
    get("/vol1/coded/warm", "here/file", "here/file exists\n  try: --force to replace it");
    let prefix = ["prefix", "getacl", "/vol1/coded/dir"];
    says(
        cluster,
        &prefix,
        "\"/vol1/coded/dir\" is no prefix; the form is /volume/bucket/path/, with its last slash",
    );
    for words in [&["key", "put"][..], &["prefix", "addacl", "/vol1/coded/dir/", "-a", "user:bob:q"]] {
        assert_eq!(sh(cluster, None, &[], words).status.code(), Some(2), "{words:?} cannot be understood");
    }

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

/// What OM does not serve has its grammar, and says which request is missing.
fn not_served(cluster: &Cluster) {
    let snapshots = |words: &str, request: &str| {
        let words: Vec<&str> = ["snapshot"].into_iter().chain(words.split(' ')).collect();
        says(
            cluster,
            &words,
            &format!("{request} is not served yet: Allotrope has no snapshots; nothing was sent"),
        );
    };
    snapshots("create /vol1/coded", "CreateSnapshot");
    snapshots("create /vol1/coded snap1", "CreateSnapshot");
    snapshots("delete /vol1/coded snap1", "DeleteSnapshot");
    snapshots("ls /vol1/coded -l 5 -s a -p b", "ListSnapshot");
    snapshots("diff /vol1/coded snap1 snap2 -p 10 -t 5 --json", "SubmitSnapshotDiff");
    snapshots("diff /vol1/coded snap1 snap2 -c", "CancelSnapshotDiff");
    snapshots("snapshotDiff /vol1/coded snap1 snap2 -r", "SnapshotDiff");
    snapshots("listDiff /vol1/coded --job-status done", "ListSnapshotDiffJobs");
    snapshots("info /vol1/coded snap1", "GetSnapshotInfo");
    snapshots("rename /vol1/coded snap1 snap2", "RenameSnapshot");
    let tokens = |words: &[&str], request: &str| {
        let wanted =
            format!("{request} is not served yet: Allotrope has no delegation tokens; nothing was sent");
        says(cluster, &[&["token"][..], words].concat(), &wanted);
    };
    tokens(&["get", "-t", "here/token", "-r", "bob"], "GetDelegationToken");
    tokens(&["renew", "-t", "here/token"], "RenewDelegationToken");
    tokens(&["cancel", "--token=here/token"], "CancelDelegationToken");
    let print = ["token", "print", "-t", "here/token"];
    says(cluster, &print, "here/token is not read: delegation tokens are not served yet");
    // The flags of a command three words deep are not in the script for fish: clap's goes no deeper.
    let words = ["prefix", "addacl", "setquota", "snapshot", "listDiff", "token"];
    let flags = ["--acls", "--space-quota", "--expectedGeneration", "--combine-mode"];
    for (shell, words) in [("bash", [&words[..], &flags].concat()), ("fish", words.to_vec())] {
        let script =
            Command::new(env!("CARGO_BIN_EXE_allotrope")).args(["completions", shell]).output().unwrap();
        let script = String::from_utf8(script.stdout).unwrap();
        words.iter().for_each(|word| assert!(script.contains(word), "{shell} does not know {word}"));
    }
}

/// Interrupted, a put leaves no key and a get no file.
fn interrupted(cluster: &Cluster) {
    fs::File::create(cluster.path("here/huge")).unwrap().set_len(5 << 40).unwrap();
    let file = cluster.path("here/huge");
    let put = cluster.begin_sh(&["key", "put", "/vol1/coded/interrupted", file.to_str().unwrap()]);
    let to = cluster.path("here/got");
    // No datanode answers, so the get stands still; the put may have begun or not.
    let datanodes: Vec<u32> = (0..5).map(|n| cluster.pid(Server::Datanode(n))).collect();
    datanodes.iter().for_each(|&pid| signal(pid, Signal::STOP));
    let get = cluster.begin_sh(&["key", "get", "/vol1/coded/long", to.to_str().unwrap()]);
    let began = Instant::now();
    // Its temporary file shows that it reads.
    while names(&cluster.path("here")).len() < 2 {
        assert!(began.elapsed() < PATIENCE, "{:?}", names(&cluster.path("here")));
        std::thread::sleep(Duration::from_millis(20));
    }
    for mut child in [put, get] {
        signal(child.id(), Signal::INT);
        assert_eq!(child.wait().unwrap().code(), Some(130));
    }
    datanodes.iter().for_each(|&pid| signal(pid, Signal::CONT));
    assert_eq!(names(&cluster.path("here")), ["huge"]);
    fs::remove_file(file).unwrap();
    has(&fails(cluster, None, &["key", "info", "/vol1/coded/interrupted"]), "KEY_NOT_FOUND");
}

fn signal(pid: u32, signal: Signal) {
    kill_process(Pid::from_raw(pid.try_into().unwrap()).unwrap(), signal).unwrap();
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
    assert_eq!(said, "error: here/changing changed while it was read; the key was not written\n");
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
            // An answer that comes before the request is out is taken for a connection that broke, and asked again.
            std::thread::sleep(Duration::from_millis(300));
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
    // The server's answer may come when the first call is over already: how often OM was asked is open.
    let said = said(&output);
    let wanted = format!(
        " attempts: 127.0.0.1:{port} is no server of ours: it does not speak HTTP/2; check the port\n  is OM running? \
         ozone.om.address and ozone.om.grpc.port say where it is looked for\n"
    );
    assert!(said.starts_with("error: cannot list volumes: OM gives no answer after "), "{said}");
    assert!(said.ends_with(&wanted), "{said}");
    assert!(began.elapsed() < Duration::from_secs(20), "{:?}", began.elapsed());
}

#[test]
fn without_the_right_to_it_nothing_is_read_or_written() {
    let settings = ["ozone.acl.enabled=true", "ozone.administrators=ann"];
    let cluster = Cluster::start_with(0, &settings);
    let as_user =
        |user: &str, args: &[&str]| cluster.sh_command(args).env("HADOOP_USER_NAME", user).output().unwrap();
    let began = Instant::now();
    while !as_user("ann", &["volume", "create", "/vol1"]).status.success() {
        assert!(began.elapsed() < PATIENCE, "{}", cluster.logs());
        std::thread::sleep(Duration::from_millis(100));
    }
    assert!(as_user("ann", &["bucket", "create", "/vol1/bucket1"]).status.success());
    fs::write(cluster.path("file"), "x").unwrap();
    let file = cluster.path("file");
    let denied = |args: &[&str], wanted: &str| {
        let output = as_user("bob", args);
        assert_eq!(output.status.code(), Some(1), "{args:?}");
        assert_eq!(said(&output), format!("error: {wanted}\n"), "{args:?}");
    };
    let lacks = |what: &str, right: &str, kind: &str, path: &str| {
        format!(
            "cannot {what}: PERMISSION_DENIED (User bob doesn't have {right} permission to access {kind} {path})"
        )
    };
    let key = ["key", "put", "/vol1/bucket1/key", file.to_str().unwrap()];
    let refused = |right| lacks("create key /vol1/bucket1/key", right, "key", "vol1/bucket1/key");
    denied(&key, &refused("READ"));
    let look_up = "look up bucket /vol1/bucket1";
    denied(&["bucket", "info", "/vol1/bucket1"], &lacks(look_up, "READ", "bucket", "vol1/bucket1"));
    denied(&["key", "list", "/vol1/bucket1"], &lacks(look_up, "READ", "bucket", "vol1/bucket1"));
    denied(
        &["volume", "create", "/vol2"],
        "cannot create volume vol2: PERMISSION_DENIED (user bob is no administrator)",
    );
    denied(
        &["prefix", "addacl", "/vol1/bucket1/dir/", "-a", "user:bob:a"],
        &lacks("add rights to prefix /vol1/bucket1/dir/", "READ", "key", "vol1/bucket1/dir/"),
    );
    // What is given may be used, and no more.
    assert!(as_user("ann", &["volume", "addacl", "/vol1", "-a", "user:bob:r"]).status.success());
    assert!(as_user("ann", &["bucket", "addacl", "/vol1/bucket1", "-a", "user:bob:r"]).status.success());
    assert!(as_user("bob", &["bucket", "info", "/vol1/bucket1"]).status.success());
    denied(&key, &refused("WRITE"));
}
