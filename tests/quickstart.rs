//! `allotrope quickstart`: a whole cluster in one process, found again by the next start.
#![allow(clippy::unwrap_used, reason = "a helper that fails fails its test")]
#![allow(clippy::disallowed_methods, reason = "tests of real processes use real files, clocks and sleeps")]

mod quick;

use allotrope_io::Back;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use quick::{Ports, act, allotrope, page, sh_ok, start, stop};

/// Each role's figures, settings and health, and a log level that is changed.
fn look_at_the_pages(ports: &Ports) {
    for (role, figure) in [
        ("ozone.scm.http-address", "scm_"),
        ("ozone.om.http-address", "om_leads 1"),
        ("ozone.s3g.webadmin.http-address", "s3g_"),
        (
            "hdds.datanode.http-address",
            "datanode_command_seconds_count{command=\"write_chunk\",result=\"ok\"}",
        ),
    ] {
        for path in ["/prom", "/metrics"] {
            let figures = page(ports, role, path);
            assert!(figures.lines().any(|line| line.starts_with(figure)), "{role}{path}: {figures}");
        }
        assert!(page(ports, role, "/healthz").ends_with("ok\n"), "{role}");
        assert!(page(ports, role, "/readyz").ends_with("ok\n"), "{role}");
        let address = format!("<name>{role}</name><value>{}</value>", ports.address(role));
        assert!(page(ports, role, "/conf").contains(&address), "{role}");
        assert!(page(ports, role, "/nothing").starts_with("HTTP/1.1 404"), "{role}");
    }
    let level = |path| page(ports, "ozone.om.http-address", path);
    assert!(level("/logLevel?log=allotrope_om").contains("Effective Level: <b>WARN</b>"));
    assert!(level("/logLevel?log=allotrope_om&level=debug").contains("Effective Level: <b>DEBUG</b>"));
    assert!(level("/logLevel?log=allotrope_om&level=loud").starts_with("HTTP/1.1 400"));
}

#[test]
fn a_datanode_that_lost_its_power_is_missed_by_no_reader_and_comes_back() {
    let dir = tempfile::tempdir().unwrap();
    let (data, ports) = (dir.path().join("data"), Ports::pick());
    let (source, back) = (env!("CARGO_BIN_EXE_allotrope"), dir.path().join("back"));
    let same = |back: &Path| std::fs::read(source).unwrap() == std::fs::read(back).unwrap();
    assert!(act(&ports, &data, &["kill", "1"]).unwrap_err().contains("no quickstart runs on"));

    let running = start(&ports, &data);
    sh_ok(&ports, &["volume", "create", "/vol1"]);
    sh_ok(&ports, &["bucket", "create", "/vol1/bucket1", "--layout", "OBJECT_STORE"]);
    sh_ok(&ports, &["key", "put", "/vol1/bucket1/binary", source]);

    // Two of six: rs-3-2 holds a key on five, so at least one of its cells is gone.
    let gone = act(&ports, &data, &["kill", "1"]).unwrap();
    assert!(gone.starts_with("datanode 1 (127.0.0.1:") && gone.contains("as by a power cut"), "{gone}");
    let third = act(&ports, &data, &["kill", "3"]).unwrap();
    assert!(act(&ports, &data, &["kill", "1"]).unwrap_err().contains("datanode 1 is down"));
    assert!(act(&ports, &data, &["kill", "7"]).unwrap_err().contains("try: one of 1 to 6"));
    assert!(act(&ports, &data, &["start", "2"]).unwrap_err().contains("datanode 2 runs"));
    let address = gone.split(['(', ')']).nth(1).unwrap();
    assert!(TcpStream::connect(address).is_err(), "its port is closed");
    assert!(TcpStream::connect(ports.address("hdds.datanode.http-address")).is_err(), "its pages are too");
    sh_ok(&ports, &["key", "get", "/vol1/bucket1/binary", back.to_str().unwrap()]);
    assert!(same(&back), "the file came back changed, with two datanodes gone");

    assert!(act(&ports, &data, &["start", "1"]).unwrap().contains("runs again"));
    // Nobody set the third one's port, and somebody else has it now: it comes back on another.
    let third = third.split(['(', ')']).nth(1).unwrap().to_owned();
    let _taken = TcpListener::bind(&third).unwrap();
    let started = act(&ports, &data, &["start", "3"]).unwrap();
    assert!(started.contains("runs again") && !started.contains(&third), "{started}");
    let figures = page(&ports, "hdds.datanode.http-address", "/prom");
    assert!(figures.contains(&format!("io_back=\"{}\"", Back::of_this_machine())), "{figures}");
    // With two others gone, those that came back must serve their cells.
    act(&ports, &data, &["kill", "5"]).unwrap();
    act(&ports, &data, &["kill", "6"]).unwrap();
    std::fs::remove_file(&back).unwrap();
    sh_ok(&ports, &["key", "get", "/vol1/bucket1/binary", back.to_str().unwrap()]);
    assert!(same(&back), "the file came back changed, from datanodes that were killed before");
    assert_eq!(stop(running), Some(0));
    assert!(act(&ports, &data, &["kill", "1"]).unwrap_err().contains("no quickstart runs on"));
}

/// `allotrope admin ARGS --json`, which must succeed.
fn admin(ports: &Ports, args: &[&str]) -> serde_json::Value {
    let output = allotrope(ports).arg("admin").args(args).arg("--json").output().unwrap();
    assert!(output.status.success(), "admin {args:?}: {}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

/// The uuid of the datanode that listens at `address`.
fn uuid_of(ports: &Ports, address: &str) -> String {
    let port: u64 = address.rsplit_once(':').unwrap().1.parse().unwrap();
    let all = admin(ports, &["datanode", "list"]);
    let found = all.as_array().unwrap().iter().find(|node| node["ports"]["STANDALONE"] == port);
    found.unwrap()["uuid"].as_str().unwrap().to_owned()
}

/// Waits until every container that was written to has five good replicas, each another one, without those of `gone`; returns
/// how long that took.
fn until_whole_without(ports: &Ports, gone: &[&str], patience: Duration) -> Duration {
    let began = Instant::now();
    loop {
        let all = admin(ports, &["container", "list"]);
        let lacking = |container: &&serde_json::Value| {
            let id = container["id"].to_string();
            let info = admin(ports, &["container", "info", &id]);
            let replicas = info["replicas"].as_array().unwrap();
            let here = replicas.iter().filter(|replica| {
                let good = replica["state"] == "CLOSED" || replica["state"] == "OPEN";
                good && !gone.contains(&replica["datanode"].as_str().unwrap())
            });
            let mut indexes: Vec<u64> = here.map(|replica| replica["index"].as_u64().unwrap()).collect();
            indexes.sort_unstable();
            indexes.dedup();
            !replicas.is_empty() && indexes.len() < 5
        };
        let lacking: Vec<_> = all.as_array().unwrap().iter().filter(lacking).collect();
        if lacking.is_empty() {
            return began.elapsed();
        }
        let report = admin(ports, &["container", "report"]);
        assert!(began.elapsed() < patience, "still lacking: {lacking:?} {report}");
        std::thread::sleep(Duration::from_millis(200));
    }
}

/// Waits until SCM's own report, which follows what it has seen by a check, names nothing ill.
fn until_reported_well(ports: &Ports, patience: Duration) {
    let began = Instant::now();
    loop {
        let report = admin(ports, &["container", "report"]);
        let ill =
            ["UNDER_REPLICATED", "MISSING", "UNHEALTHY"].map(|ill| report["counts"][ill].as_u64().unwrap());
        if ill == [0; 3] {
            return;
        }
        assert!(began.elapsed() < patience, "{report}");
        std::thread::sleep(Duration::from_millis(200));
    }
}

/// Keys of several shapes: shorter than a cell, one stripe and a bit, the binary itself. Their names with their sources.
fn put_files(ports: &Ports, dir: &Path) -> Vec<(String, PathBuf)> {
    sh_ok(ports, &["volume", "create", "/vol1"]);
    sh_ok(ports, &["bucket", "create", "/vol1/bucket1", "--layout", "OBJECT_STORE"]);
    let mut files = vec![("binary".to_owned(), PathBuf::from(env!("CARGO_BIN_EXE_allotrope")))];
    for len in [1usize, 70_001, (3 << 20) + 12_345] {
        let path = dir.join(format!("file-{len}"));
        let bytes: Vec<u8> = (0..len).map(|at| (at * 31 % 251) as u8).collect();
        std::fs::write(&path, bytes).unwrap();
        files.push((format!("file-{len}"), path));
    }
    for (name, path) in &files {
        sh_ok(ports, &["key", "put", &format!("/vol1/bucket1/{name}"), path.to_str().unwrap()]);
    }
    files
}

fn assert_same(ports: &Ports, dir: &Path, files: &[(String, PathBuf)], when: &str) {
    for (name, path) in files {
        let back = dir.join("back");
        let _ = std::fs::remove_file(&back);
        sh_ok(ports, &["key", "get", &format!("/vol1/bucket1/{name}"), back.to_str().unwrap()]);
        assert!(
            std::fs::read(path).unwrap() == std::fs::read(&back).unwrap(),
            "{name} came back changed, {when}"
        );
    }
}

#[test]
fn a_lost_datanode_is_made_up_for_so_that_two_others_may_be_lost_as_well() {
    let dir = tempfile::tempdir().unwrap();
    let (data, ports) = (dir.path().join("data"), Ports::pick());
    let _running = start(&ports, &data);
    let files = put_files(&ports, dir.path());

    let gone = act(&ports, &data, &["kill", "2"]).unwrap();
    let gone = uuid_of(&ports, gone.split(['(', ')']).nth(1).unwrap());
    let took = until_whole_without(&ports, &[&gone], Duration::from_secs(90));
    println!("from the kill to full redundancy: {took:?}");
    until_reported_well(&ports, Duration::from_secs(60));
    // rs-3-2 bears two losses, and the one before counts no more.
    act(&ports, &data, &["kill", "4"]).unwrap();
    act(&ports, &data, &["kill", "5"]).unwrap();
    assert_same(&ports, dir.path(), &files, "with three of six datanodes lost, one after the other");
}

#[test]
fn a_datanode_leaves_without_a_reader_noticing_and_one_in_maintenance_comes_back() {
    let dir = tempfile::tempdir().unwrap();
    let (data, ports) = (dir.path().join("data"), Ports::pick());
    let _running = start(&ports, &data);
    let files = put_files(&ports, dir.path());
    let nodes = admin(&ports, &["datanode", "list"]);
    let uuid = |at: usize| nodes[at]["uuid"].as_str().unwrap().to_owned();
    // One that holds something.
    let containers = admin(&ports, &["container", "list"]);
    let holder = |container: &serde_json::Value| {
        let info = admin(&ports, &["container", "info", &container["id"].to_string()]);
        info["replicas"][0]["datanode"].as_str().map(str::to_owned)
    };
    let leaves = containers.as_array().unwrap().iter().find_map(holder).unwrap();

    let forecast = admin(&ports, &["datanode", "decommission", &leaves, "--dry-run"]);
    assert_eq!(forecast["refused"], serde_json::json!([]), "{forecast}");
    assert_eq!(admin(&ports, &["datanode", "status"]), serde_json::json!([]), "nothing was done");
    admin(&ports, &["datanode", "decommission", &leaves]);
    let state = || admin(&ports, &["datanode", "status"])[0]["state"].as_str().unwrap().to_owned();
    let began = Instant::now();
    while state() != "DECOMMISSIONED" {
        assert!(began.elapsed() < Duration::from_secs(90), "{}", admin(&ports, &["datanode", "status"]));
        std::thread::sleep(Duration::from_millis(200));
    }
    println!("decommissioned after {:?}", began.elapsed());
    until_whole_without(&ports, &[&leaves], Duration::from_secs(1));
    // Five are left, which rs-3-2 needs: nobody else may go, and it says why.
    let other = (0..6).map(uuid).find(|uuid| *uuid != leaves).unwrap();
    let refused = allotrope(&ports).args(["admin", "datanode", "decommission", &other]).output().unwrap();
    let text = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(!refused.status.success() && text.contains("Insufficient nodes"), "{text}");
    // For a while one may: four of five bear a loss.
    admin(&ports, &["datanode", "maintenance", &other, "--end", "1"]);
    let began = Instant::now();
    let in_maintenance = |status: &serde_json::Value| {
        status
            .as_array()
            .unwrap()
            .iter()
            .any(|node| node["uuid"] == *other && node["state"] == "IN_MAINTENANCE")
    };
    while !in_maintenance(&admin(&ports, &["datanode", "status"])) {
        assert!(began.elapsed() < Duration::from_secs(60), "{}", admin(&ports, &["datanode", "status"]));
        std::thread::sleep(Duration::from_millis(200));
    }
    assert_same(&ports, dir.path(), &files, "with one datanode decommissioned and one in maintenance");
    admin(&ports, &["datanode", "recommission", &other, &leaves]);
    assert_eq!(admin(&ports, &["datanode", "status"]), serde_json::json!([]));
    assert_eq!(admin(&ports, &["replicationmanager", "stop"])["running"], false);
    assert_eq!(admin(&ports, &["replicationmanager", "start"])["running"], true);
    assert_same(&ports, dir.path(), &files, "with all back in service");
}

#[test]
fn the_door_of_a_quickstart_opens_to_its_token_alone_and_its_own_power_cut_loses_nothing() {
    use std::os::unix::fs::PermissionsExt;
    let dir = tempfile::tempdir().unwrap();
    let (data, ports) = (dir.path().join("data"), Ports::pick());
    let (source, back) = (env!("CARGO_BIN_EXE_allotrope"), dir.path().join("back"));
    let running = start(&ports, &data);
    let file = data.join("admin");
    assert_eq!(std::fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
    let text = std::fs::read_to_string(&file).unwrap();
    let (address, token) = text.trim().split_once(' ').unwrap();
    let say = |words: &[u8]| {
        let mut stream = TcpStream::connect(address).unwrap();
        stream.write_all(words).unwrap();
        let _ = stream.shutdown(std::net::Shutdown::Write);
        let mut answer = String::new();
        let _ = stream.read_to_string(&mut answer);
        answer
    };
    assert!(say(b"0123456789abcdef0123456789abcdef kill 1\n").starts_with("error\nthe token is not"));
    assert!(say(b"kill 1\n").starts_with("error\n"));
    assert!(say(format!("{token} kill all\n").as_bytes()).starts_with("error\nthis is no request"));
    assert!(!say(&[0xff; 4096]).starts_with("ok"));
    assert!(say(b"").starts_with("error\nno request came"));
    assert!(TcpStream::connect(ports.address("hdds.datanode.http-address")).is_ok(), "nobody was killed");

    sh_ok(&ports, &["volume", "create", "/vol1"]);
    sh_ok(&ports, &["bucket", "create", "/vol1/bucket1", "--layout", "OBJECT_STORE"]);
    sh_ok(&ports, &["key", "put", "/vol1/bucket1/binary", source]);
    // SIGKILL, for the whole of it.
    drop(running);
    let _running = start(&ports, &data);
    sh_ok(&ports, &["key", "get", "/vol1/bucket1/binary", back.to_str().unwrap()]);
    assert!(std::fs::read(source).unwrap() == std::fs::read(back).unwrap(), "the file came back changed");
}

/// Runs the lines of `script` in a shell, in `dir`, with `allotrope` and aws CLI at hand; it ends at the first that fails.
fn shell(dir: &Path, script: &str) -> String {
    let cache = std::env::var_os("XDG_CACHE_HOME").map(PathBuf::from);
    let cache = cache.or_else(|| Some(PathBuf::from(std::env::var_os("HOME")?).join(".cache"))).unwrap();
    let clients = cache.join("allotrope/s3-clients/bin");
    assert!(clients.join("aws").exists(), "{} has no aws CLI: run ./dev setup", clients.display());
    let own = Path::new(env!("CARGO_BIN_EXE_allotrope")).parent().unwrap();
    let path = format!("{}:{}:{}", own.display(), clients.display(), std::env::var("PATH").unwrap());
    let mut command = Command::new("sh");
    command.args(["-e", "-c", script]).current_dir(dir).env("PATH", path).stdin(Stdio::null());
    let output = command.output().unwrap();
    let told = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    assert!(output.status.success(), "{script}\n{}{}", told(&output.stdout), told(&output.stderr));
    told(&output.stdout)
}

/// README's sequence: the lines that the start prints to be pasted, a folder by aws CLI, a datanode that loses its power, the
/// folder and a file of 1 GiB read back, and all of it again after the whole cluster lost its power.
#[test]
fn readmes_sequence_works_with_real_files() {
    let dir = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let (data, ports) = (dir.path().join("data"), Ports::pick());
    let repository = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    std::fs::copy(repository.join("README.md"), dir.path().join("README.md")).unwrap();
    let running = start(&ports, &data);
    // All but the line for a stock Java client, which tests/interop_shell.rs tries.
    let said = running.said.clone();
    let pasted: Vec<_> = said.iter().filter_map(|line| line.strip_prefix("    ")).collect();
    let pasted: Vec<_> = pasted.into_iter().filter(|line| !line.starts_with("ozone ")).collect();
    let exports: Vec<_> = pasted.iter().copied().filter(|line| line.starts_with("export ")).collect();
    assert!(pasted.len() > 6 && exports.len() == 2, "{pasted:?}");
    let lines = pasted.join("\n").replace("/tmp/readme", "readme-back");
    let listed = shell(dir.path(), &format!("{lines}\ncmp README.md readme-back"));
    assert!(listed.contains(" README.md"), "{listed}");

    let with_keys = |script: &str| shell(dir.path(), &format!("{}\n{script}", exports.join("\n")));
    let sources = repository.join("io");
    with_keys(&format!("aws s3 sync --only-show-errors {} s3://bucket2/sources", sources.display()));
    let listed = with_keys("aws s3 ls --recursive s3://bucket2/sources/ | wc -l");
    let count = shell(dir.path(), &format!("find {} -type f | wc -l", sources.display()));
    assert_eq!(listed.trim(), count.trim());
    let at =
        format!("--set ozone.om.address={} --set {}", ports.address("ozone.om.address"), ports.om_grpc());
    let large = "head -c 1073741824 /dev/urandom > large";
    with_keys(&format!("{large}\nallotrope sh {at} key put /vol1/bucket1/large large"));

    act(&ports, &data, &["kill", "2"]).unwrap();
    let back = format!(
        "aws s3 sync --only-show-errors s3://bucket2/sources back\ndiff -r {} back",
        sources.display()
    );
    with_keys(&back);
    let get = format!(
        "allotrope sh {at} key get /vol1/bucket1/large large-back\ncmp large large-back\nrm -r back large-back"
    );
    with_keys(&get);

    // SIGKILL.
    drop(running);
    let _running = start(&ports, &data);
    with_keys(&back);
    with_keys(&get);
}

#[test]
fn a_cluster_starts_with_one_command_and_is_found_again() {
    let dir = tempfile::tempdir().unwrap();
    let (data, ports) = (dir.path().join("data"), Ports::pick());
    let (source, back) = (env!("CARGO_BIN_EXE_allotrope"), dir.path().join("back"));

    let running = start(&ports, &data);
    sh_ok(&ports, &["volume", "create", "/vol1"]);
    sh_ok(&ports, &["bucket", "create", "/vol1/bucket1", "--layout", "OBJECT_STORE"]);
    sh_ok(&ports, &["key", "put", "/vol1/bucket1/binary", source]);
    look_at_the_pages(&ports);
    let second = allotrope(&ports).args(["quickstart", "--data"]).arg(&data).output().unwrap();
    let refusal = String::from_utf8_lossy(&second.stderr).into_owned();
    assert!(!second.status.success() && refusal.contains("in use by process"), "{refusal}");
    assert_eq!(stop(running), Some(0));

    let _running = start(&ports, &data);
    sh_ok(&ports, &["key", "get", "/vol1/bucket1/binary", back.to_str().unwrap()]);
    assert!(std::fs::read(source).unwrap() == std::fs::read(back).unwrap(), "the file came back changed");
}

/// A data folder that an earlier build wrote (tests/upgrade/make) is served by this one, and goes on.
#[test]
fn a_data_folder_of_an_earlier_build_is_taken_over() {
    let folders = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().join("tests/upgrade");
    let written: Vec<_> = std::fs::read_dir(folders).unwrap().map(|entry| entry.unwrap().path()).collect();
    let written: Vec<_> =
        written.iter().filter(|path| path.extension().is_some_and(|e| e == "tgz")).collect();
    assert!(!written.is_empty());
    let lines: String = (0..93_750).map(|n| format!("mebibyte {:06} {:047}\n", n / 16_384, 0)).collect();
    for folder in written {
        let dir = tempfile::tempdir().unwrap();
        let (data, ports, back) = (dir.path().join("data"), Ports::pick(), dir.path().join("back"));
        std::fs::create_dir(&data).unwrap();
        let unpacked = Command::new("tar").arg("-xzf").arg(folder).arg("-C").arg(&data).status().unwrap();
        assert!(unpacked.success());
        let running = start(&ports, &data);
        let read = |key: &str| {
            let _ = std::fs::remove_file(&back);
            sh_ok(&ports, &["key", "get", key, back.to_str().unwrap()]);
            std::fs::read(&back).unwrap()
        };
        for bucket in ["object-store", "file-system-optimized", "legacy"] {
            let key = format!("/vol1/{bucket}/folder/lines");
            assert!(read(&key) == lines.as_bytes(), "{key} of {} came back changed", folder.display());
            sh_ok(&ports, &["key", "put", &format!("/vol1/{bucket}/new"), env!("CARGO_BIN_EXE_allotrope")]);
        }
        assert_eq!(stop(running), Some(0));
        let _running = start(&ports, &data);
        assert!(read("/vol1/legacy/folder/lines") == lines.as_bytes());
        assert!(read("/vol1/legacy/new") == std::fs::read(env!("CARGO_BIN_EXE_allotrope")).unwrap());
    }
}
