//! Recon as its users meet it: Ozone's paths and names on the API, what it shows while a server is down, and the page in a
//! browser.
//!
//! Shape   `tests/recon/fields.txt` holds Ozone's names, `tests/recon/browser.py` drives the page in headless Chromium and says
//!         in sentences what it sees. `./dev setup` installs both.
#![allow(clippy::unwrap_used, reason = "a helper that fails fails its test")]
#![allow(clippy::disallowed_methods, reason = "tests of real processes use real files, clocks and sleeps")]

mod cluster;
mod quick;

use std::collections::BTreeSet;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use allotrope_client::{BucketPath, Client, Config};
use cluster::{Cluster, Server};
use quick::{Ports, sh_ok, start, stop};
use serde_json::Value;

/// Longest that something may take to show.
const PATIENCE: Duration = Duration::from_secs(60);
/// Words of markup that a name may hold.
const MARKUP: &str = "<img src=x onerror=alert(1)>&\"'.txt";

/// `GET PATH`: the status and the body.
fn get(at: SocketAddr, path: &str) -> (u16, String) {
    let mut socket = TcpStream::connect(at).unwrap();
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    let request = format!("GET {path} HTTP/1.1\r\nHost: recon\r\nConnection: close\r\n\r\n");
    socket.write_all(request.as_bytes()).unwrap();
    let mut answer = String::new();
    socket.read_to_string(&mut answer).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    assert!(head.contains("content-security-policy: default-src 'none'"), "{head}");
    (head.split(' ').nth(1).unwrap().parse().unwrap(), body.to_owned())
}

fn api(at: SocketAddr, path: &str) -> Value {
    let (status, body) = get(at, &format!("/api/v1/{path}"));
    assert_eq!(status, 200, "{path}: {body}");
    serde_json::from_str(&body).unwrap()
}

/// The answer to `path` as soon as it is as `wanted`.
fn eventually(at: SocketAddr, path: &str, wanted: impl Fn(&Value) -> bool) -> Value {
    let began = Instant::now();
    loop {
        let answer = api(at, path);
        if wanted(&answer) {
            return answer;
        }
        assert!(began.elapsed() < PATIENCE, "{path} stays {answer:#}");
        std::thread::sleep(Duration::from_millis(200));
    }
}

/// Whether `name` (`a.b`, `list[].c`) is there; nothing can lack in an empty list.
fn has(value: &Value, name: &str) -> bool {
    let Some((first, rest)) = name.split_once('.') else {
        return value.get(name.trim_end_matches("[]")).is_some();
    };
    match first.strip_suffix("[]") {
        Some("") => value.as_array().is_some_and(|list| list.iter().all(|one| has(one, rest))),
        Some(list) => value[list].as_array().is_some_and(|list| list.iter().all(|one| has(one, rest))),
        None => has(&value[first], rest),
    }
}

/// A cluster of processes with a Recon that asks every half second, and `/vol1/bucket1` in it.
fn with_recon(datanodes: usize) -> (Cluster, SocketAddr) {
    let free = || std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let (scm, om) = (free(), free());
    let settings = [
        format!("ozone.scm.http-address={scm}"),
        format!("ozone.om.http-address={om}"),
        "ozone.server.default.replication.type=STAND_ALONE".to_owned(),
        "ozone.server.default.replication=ONE".to_owned(),
        "allotrope.scm.failure-detection=fast".to_owned(),
        "allotrope.recon.interval=500ms".to_owned(),
    ];
    let settings: Vec<&str> = settings.iter().map(String::as_str).collect();
    let mut cluster = Cluster::start_with(datanodes, &settings);
    cluster.run(Server::Recon);
    cluster.sh_eventually(&["volume", "create", "/vol1"]);
    cluster.sh(&["bucket", "create", "/vol1/bucket1", "--layout", "OBJECT_STORE"]);
    let at = cluster.listens_at(Server::Recon);
    (cluster, at)
}

fn put(cluster: &Cluster, name: &str, len: usize) {
    std::fs::write(cluster.path("source"), vec![7; len]).unwrap();
    let source = cluster.path("source");
    cluster.sh_eventually(&["key", "put", &format!("/vol1/bucket1/{name}"), source.to_str().unwrap()]);
}

#[test]
fn ozones_paths_answer_with_ozones_names_and_a_silent_server_leaves_the_last_known_state() {
    let (mut cluster, at) = with_recon(2);
    put(&cluster, "dir/key", 3000);
    put(&cluster, MARKUP, 10);
    eventually(at, "clusterState", |state| state["keys"] == 2 && state["containers"].as_u64() > Some(0));
    eventually(at, "datanodes", |answer| answer["datanodes"][0]["state"] == "HEALTHY");
    for line in include_str!("recon/fields.txt").lines().filter(|line| !line.starts_with('#')) {
        let mut words = line.split(' ');
        let path = words.next().unwrap();
        let answer = api(at, path);
        for name in words {
            assert!(has(&answer, name), "{path} lacks {name}: {answer:#}");
        }
    }
    let summary = api(at, "namespace/summary?path=/vol1/bucket1");
    assert_eq!((&summary["countStats"]["numKey"], &summary["countStats"]["numDir"]), (&2.into(), &1.into()));
    let usage = api(at, "namespace/usage?path=/vol1/bucket1");
    assert_eq!(
        (&usage["size"], &usage["sizeDirectKey"], &usage["subPathCount"]),
        (&3010.into(), &10.into(), &2.into())
    );
    assert_eq!(api(at, "namespace/dist?path=/vol1/bucket1")["dist"][2], 1);
    assert_eq!(api(at, "namespace/quota?path=/vol1")["used"], 3010);
    assert_eq!(api(at, "namespace/summary?path=/vol1/none/x")["status"], "PATH_NOT_FOUND");
    for (path, status) in [
        ("/api/v1/none", 404),
        ("/api/v2/datanodes", 404),
        ("/api/v1/containers/x/replicaHistory", 400),
        ("/api/v1/containers/99999/replicaHistory", 404),
        ("/api/v1/containers/unhealthy/SAD", 400),
        ("/api/v1/volumes?limit=many", 400),
        ("/api/v1/namespace/usage", 400),
        ("/../../etc/passwd", 404),
        ("/healthz", 200),
        ("/readyz", 200),
    ] {
        assert_eq!(get(at, path).0, status, "{path}");
    }

    // OM goes: what was seen stays, with since when.
    let level = "allotrope/level?path=/vol1/bucket1/dir&limit=10";
    assert_eq!(api(at, level)["rows"][0]["name"], "key");
    cluster.kill(Server::Om);
    let silent = |answer: &Value, task: &str| {
        let sources = answer["sources"].as_array().unwrap();
        sources
            .iter()
            .any(|source| source["task"] == task && source["up"] == false && source["silentSince"].is_u64())
    };
    let overview = eventually(at, "allotrope/overview", |answer| silent(answer, "OmNamespace"));
    assert!(!silent(&overview, "ScmNodes"), "{overview:#}");
    assert_eq!(
        (&overview["namespace"]["buckets"], &overview["namespace"]["bytes"]),
        (&1.into(), &3010.into())
    );
    let old = api(at, level);
    assert!(old["silent"].is_string() && old["rows"][0]["name"] == "key", "{old:#}");
    assert_eq!(get(at, "/api/v1/allotrope/level?path=/vol1/bucket1/other").0, 503);
    let figures = get(at, "/prom").1;
    assert!(figures.contains("recon_source_up{task=\"OmNamespace\"} 0\n"), "{figures}");

    // SCM goes too; both come back, and Recon with them.
    cluster.kill(Server::Scm);
    let overview = eventually(at, "allotrope/overview", |answer| silent(answer, "ScmNodes"));
    assert_eq!(overview["datanodes"]["all"], 2);
    assert!(api(at, "containers/1/replicaHistory").as_array().is_some_and(|replicas| !replicas.is_empty()));
    cluster.run(Server::Scm);
    cluster.run(Server::Om);
    eventually(at, "allotrope/overview", |answer| {
        !silent(answer, "ScmNodes") && !silent(answer, "OmNamespace")
    });
    assert!(cluster.terminate(Server::Recon).success(), "Recon ends when it is asked to");
}

#[test]
fn a_bucket_with_many_names_is_shown_page_by_page() {
    const NAMES: usize = 1_250;
    let (cluster, at) = with_recon(1);
    put(&cluster, "a", 1);
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    let om = cluster.om_grpc();
    runtime.block_on(async {
        let client = Client::new(Config::at("127.0.0.1", om)).unwrap();
        let bucket = BucketPath::new("vol1", "bucket1");
        let mut tasks = tokio::task::JoinSet::new();
        for worker in 0..25 {
            let (client, bucket) = (client.clone(), bucket.clone());
            tasks.spawn(async move {
                for number in (worker..NAMES).step_by(25) {
                    let key = bucket.key(format!("many/key{number:06}"));
                    let writer = client.write_key(&key, Default::default()).await.unwrap();
                    writer.finish().await.unwrap();
                }
            });
        }
        tasks.join_all().await;
    });
    let (mut seen, mut after, mut pages) = (BTreeSet::new(), String::new(), 0);
    loop {
        let page = api(at, &format!("allotrope/level?path=/vol1/bucket1/many&limit=500&after={after}"));
        let rows = page["rows"].as_array().unwrap();
        assert!(rows.len() <= 500);
        for row in rows {
            assert!(seen.insert(row["name"].as_str().unwrap().to_owned()), "{row} stands on two pages");
        }
        pages += 1;
        if page["more"] == false {
            break;
        }
        after = page["after"].as_str().unwrap().replace('/', "%2F");
    }
    assert_eq!((seen.len(), pages), (NAMES, 3));
    let summary = api(at, "namespace/summary?path=/vol1/bucket1/many");
    assert_eq!((&summary["countStats"]["numKey"], &summary["complete"]), (&NAMES.into(), &true.into()));
}

/// The folder that `./dev setup` fills with what drives a browser.
fn browser() -> PathBuf {
    let cache = std::env::var_os("XDG_CACHE_HOME").map(PathBuf::from);
    let cache = cache.or_else(|| Some(PathBuf::from(std::env::var_os("HOME")?).join(".cache"))).unwrap();
    let python = cache.join("allotrope/browser/bin/python");
    assert!(python.exists(), "{} is not there: run ./dev setup", python.display());
    python
}

/// With `ALLOTROPE_SCREENSHOTS=docs/images` it makes the pictures of the README anew.
#[test]
fn the_page_shows_a_real_cluster_in_a_browser() {
    let dir = tempfile::tempdir().unwrap();
    let (data, ports) = (dir.path().join("data"), Ports::pick());
    let running = start(&ports, &data);
    let at = ports.address("ozone.recon.http-address");
    assert!(running.said.iter().any(|line| line.contains(&format!("http://{at}/"))), "{:?}", running.said);
    sh_ok(&ports, &["volume", "create", "/vol1"]);
    sh_ok(&ports, &["bucket", "create", "/vol1/bucket1", "--layout", "OBJECT_STORE"]);
    let repository = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let pictures = std::env::var_os("ALLOTROPE_SCREENSHOTS").map(|to| repository.join(to));
    let output = Command::new(browser())
        .arg(repository.join("tests/recon/browser.py"))
        .args([env!("CARGO_BIN_EXE_allotrope"), data.to_str().unwrap()])
        .args(&ports.0)
        .env("RECON", format!("http://{at}/"))
        .env("MARKUP", MARKUP)
        .env("PICTURES", pictures.unwrap_or_else(|| dir.path().join("pictures")))
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .current_dir(dir.path())
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{}\n{out}{err}", output.status);
    assert_eq!(stop(running), Some(0));
}
