//! The S3 gateway as its users meet it: real clients against a real cluster.
//!
//! Shape   one cluster a test; `tests/s3/` holds the clients' sides: boto3 cases, each a sentence, and scripts that use the
//!         command lines as people do. `./dev setup` installs the clients.
#![allow(clippy::unwrap_used, reason = "a helper that fails fails its test")]
#![allow(clippy::disallowed_methods, reason = "tests of real processes use real files, clocks and sleeps")]

mod cluster;

use std::path::PathBuf;
use std::process::{Command, Stdio};

use cluster::{Cluster, Server};

/// The access id of the tests.
const USER: &str = "alice";

/// A cluster with a gateway, and a key to it.
struct World {
    cluster: Cluster,
    secret: String,
}

impl World {
    fn start(datanodes: usize, settings: &[&str]) -> World {
        let mut cluster = Cluster::start_with(
            datanodes,
            &["ozone.server.default.replication.type=STAND_ALONE", "ozone.server.default.replication=ONE"],
        );
        cluster.set(settings);
        cluster.run(Server::S3g);
        let printed = cluster.s3(USER, &["getsecret"]);
        let secret = printed.lines().find_map(|line| line.strip_prefix("awsSecret=")).unwrap().to_owned();
        // Keys can be written when SCM has left safe mode.
        cluster.sh_eventually(&["volume", "create", "/ready"]);
        cluster.sh(&["bucket", "create", "/ready/ready"]);
        std::fs::write(cluster.path("ready"), b"ready").unwrap();
        let ready = cluster.path("ready");
        cluster.sh_eventually(&["key", "put", "/ready/ready/ready", ready.to_str().unwrap()]);
        World { cluster, secret }
    }

    /// Runs a script of `tests/s3`, which must succeed.
    fn runs(&self, program: &PathBuf, script: &str, more: &[(&str, &str)]) {
        let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../tests/s3");
        let at = format!("http://{}", self.cluster.listens_at(Server::S3g));
        let work = self.cluster.path(&format!("{script}.work"));
        std::fs::create_dir_all(&work).unwrap();
        let output = Command::new(program)
            .arg(folder.join(script))
            .envs([("S3_ENDPOINT", at.as_str()), ("S3_KEY", USER), ("S3_SECRET", &self.secret)])
            .envs([("AWS_ACCESS_KEY_ID", USER), ("AWS_SECRET_ACCESS_KEY", &self.secret)])
            .envs([
                ("AWS_DEFAULT_REGION", "us-east-1"),
                ("AWS_ENDPOINT_URL", &at),
                ("HOME", work.to_str().unwrap()),
            ])
            .env("PATH", format!("{}:{}", clients().join("bin").display(), std::env::var("PATH").unwrap()))
            .env("PYTHONDONTWRITEBYTECODE", "1")
            .envs(more.iter().copied())
            .current_dir(&work)
            .stdin(Stdio::null())
            .output()
            .unwrap();
        let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        assert!(output.status.success(), "{script}: {}\n{out}{err}{}", output.status, self.cluster.logs());
    }

    /// The most memory that the gateway ever had resident.
    fn rss_max_mib(&self) -> u64 {
        let status = format!("/proc/{}/status", self.cluster.pid(Server::S3g));
        let status = std::fs::read_to_string(status).unwrap();
        let line = status.lines().find(|line| line.starts_with("VmHWM:")).unwrap();
        line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap() / 1024
    }

    fn runs_python(&self, script: &str, more: &[(&str, &str)]) {
        self.runs(&clients().join("bin/python"), script, more);
    }
}

/// Where `./dev setup` keeps the clients that come from PyPI.
fn clients() -> PathBuf {
    let home = |name: &str| std::env::var_os(name).map(PathBuf::from);
    let cache = home("XDG_CACHE_HOME").or_else(|| home("HOME").map(|home| home.join(".cache"))).unwrap();
    let clients = cache.join("allotrope/s3-clients");
    assert!(clients.join("bin/python").exists(), "{} has no clients: run ./dev setup", clients.display());
    clients
}

#[test]
fn boto3_is_answered_as_aws_answers_it() {
    let world = World::start(5, &["ozone.s3g.domain.name=localhost"]);
    std::thread::scope(|scope| {
        for script in [
            "boto3_buckets.py",
            "boto3_objects.py",
            "boto3_listing.py",
            "boto3_signing.py",
            "boto3_bad_input.py",
            "boto3_multipart.py",
            "boto3_tags_versions.py",
            "boto3_refusals.py",
        ] {
            let world = &world;
            scope.spawn(move || world.runs_python(script, &[]));
        }
    });
}

#[test]
fn the_command_lines_people_use_work() {
    let world = World::start(1, &[]);
    world.runs(&PathBuf::from("/bin/sh"), "command_lines.sh", &[("S3_LARGE_MIB", "1024")]);
    // Bodies pass through: the gateway never holds an object, however large.
    let held = world.rss_max_mib();
    assert!(held < 256, "the gateway held {held} MiB at once");
}

#[test]
fn hadoops_s3a_finds_a_file_system() {
    let world = World::start(1, &[]);
    world.runs_python("make_bucket.py", &[("S3_BUCKET", "hadoop")]);
    let at = format!("http://{}", world.cluster.listens_at(Server::S3g));
    let output = Command::new("java")
        .args(["-Xmx512m", "-XX:TieredStopAtLevel=1", "-Djava.net.preferIPv4Stack=true"])
        .args(["-cp", &cluster::java_class_path("s3a"), "allotrope.interop.S3aFiles"])
        .args([&at, USER, &world.secret, "hadoop"])
        .current_dir(world.cluster.path(""))
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{}\n{out}{err}{}", output.status, world.cluster.logs());
}

#[test]
fn a_gateway_that_ends_lets_requests_finish() {
    let mut world = World::start(1, &[]);
    let pid = world.cluster.pid(Server::S3g).to_string();
    world.runs_python("draining.py", &[("S3_PID", &pid)]);
    let status = world.cluster.terminate(Server::S3g);
    assert!(status.success(), "{status}");
    world.cluster.run(Server::S3g);
    world.runs_python("draining.py", &[("S3_PID", "")]);
}

#[test]
fn slow_clients_and_too_many_cost_nobody_else() {
    let world = World::start(1, &["allotrope.s3g.idle=1s", "allotrope.s3g.connections=20"]);
    world.runs_python("slow_clients.py", &[("S3_IDLE", "1"), ("S3_CONNECTIONS", "20")]);
}

#[test]
fn a_secret_that_is_revoked_opens_nothing() {
    let world = World::start(1, &[]);
    let other = world.cluster.s3("bob", &["getsecret"]);
    assert!(other.starts_with("awsAccessKey=bob\n"), "{other}");
    let again = world.cluster.try_s3("bob", &["getsecret"]);
    assert!(!again.status.success(), "a secret is shown once");
    let set = world.cluster.s3("bob", &["setsecret", "-s", "a secret of mine"]);
    assert_eq!(set, "awsAccessKey=bob\nawsSecret=a secret of mine\n");
    assert!(!world.cluster.try_s3("bob", &["revokesecret", "-u", USER, "-y"]).status.success());
    world.cluster.s3("bob", &["revokesecret", "-y"]);
    world.runs_python("revoked.py", &[("S3_OTHER", "bob"), ("S3_OTHER_SECRET", "a secret of mine")]);
}
