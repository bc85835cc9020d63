//! The S3 gateway under load, in front of a whole cluster, beside the native client on the same cluster.
//!
//! Shape   one SCM, one OM, one datanode and the gateway, each a process of the binary that `ALLOTROPE_BINARY` names; the clients run
//!         in this process, each with a connection of its own and one request at a time. Keys have one replica.
//! Units   requests a second, MiB/s of bodies, milliseconds, CPU seconds of one process a GiB of bodies.
//! Never   fails for a time: it prints figures beside their aims.
//!
//! `./dev bench s3` prints the tables; with `-- --save` their sections of docs/performance/s3.md are written anew, with
//! `-- --quick` turns are short, with `-- objects share` these parts are measured. Parts: objects, share, multipart, list, and
//! `million`, the list of a million keys, which runs only when it is asked for by name.
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a bench prints its findings")]
#![allow(clippy::disallowed_methods, reason = "a bench reads the machine and writes its report itself")]
#![allow(clippy::disallowed_types, reason = "a bench reads the clock itself")]
#![allow(clippy::unwrap_used, reason = "a bench that cannot run says where")]

#[path = "../../../tests/cluster/mod.rs"]
mod cluster;
mod load;
mod machine;
mod parts;
mod wire;

use std::sync::Arc;
use std::time::Duration;

use allotrope_benches::report::Report;
use allotrope_client::{Client, Config};
use cluster::{Cluster, Server};
use tokio::runtime::Runtime;
use wire::Account;

const HEAD: &str = "# The S3 gateway under load\n\n\
Made by `./dev bench s3 -- --save`, section by section. Clients, gateway, OM, SCM and one datanode are processes of one machine and share \
its cores; keys have one replica, and a put is answered when it is on stable storage. Requests are signed; bodies are not, \
but where a row says so. CPU is user and system time of one process, in seconds a GiB of bodies.\n";

/// A cluster that serves, and a way in.
struct World {
    cluster: Cluster,
    runtime: Runtime,
    account: Arc<Account>,
    native: Client,
    turn: Duration,
}

impl World {
    fn start(turn: Duration) -> World {
        let mut cluster = Cluster::start_with(
            1,
            &[
                "ozone.server.default.replication.type=STAND_ALONE",
                "ozone.server.default.replication=ONE",
                "allotrope.datanode.memory=256MB",
            ],
        );
        cluster.run(Server::S3g);
        let printed = cluster.s3("bench", &["getsecret"]);
        let secret = printed.lines().find_map(|line| line.strip_prefix("awsSecret=")).unwrap().to_owned();
        let account = Account { at: cluster.listens_at(Server::S3g), id: "bench".to_owned(), secret };
        // Keys can be written when SCM has left safe mode.
        cluster.sh_eventually(&["volume", "create", "/native"]);
        cluster.sh(&["bucket", "create", "/native/bench", "--layout", "OBJECT_STORE"]);
        std::fs::write(cluster.path("ready"), b"ready").unwrap();
        let ready = cluster.path("ready");
        cluster.sh_eventually(&["key", "put", "/native/bench/ready", ready.to_str().unwrap()]);
        let runtime = Runtime::new().unwrap();
        let om = cluster.listens_at(Server::Om);
        let config = Config { user: "bench".to_owned(), ..Config::at("127.0.0.1", om.port()) };
        let native = runtime.block_on(async { Client::new(config).unwrap() });
        World { cluster, runtime, account: Arc::new(account), native, turn }
    }

    fn gateway(&self) -> u32 {
        self.cluster.pid(Server::S3g)
    }
}

/// Measures one part of the report.
type Measure = fn(&World, &mut Report);

/// The parts of the report, by the names they can be asked for with, and whether all means them too.
const PARTS: [(&str, Measure, bool); 5] = [
    ("objects", parts::objects, true),
    ("share", parts::share, true),
    ("multipart", parts::multipart, true),
    ("list", parts::list, true),
    ("million", parts::million, false),
];

fn main() {
    let args: Vec<String> = std::env::args().skip(1).filter(|arg| arg != "--bench").collect();
    let (flags, names): (Vec<_>, Vec<_>) =
        args.iter().map(String::as_str).partition(|arg| arg.starts_with("--"));
    let known = |name: &str| PARTS.iter().any(|(part, ..)| *part == name);
    let wrong = flags.iter().find(|flag| !["--save", "--quick"].contains(flag));
    if let Some(wrong) = wrong.or(names.iter().find(|name| !known(name))) {
        let parts = PARTS.map(|(part, ..)| part).join("|");
        eprintln!("error: unknown argument {wrong}\n  try: -- [--quick] [--save] [{parts}]...");
        std::process::exit(2);
    }
    let turn = if flags.contains(&"--quick") { Duration::from_millis(500) } else { Duration::from_secs(3) };
    let world = World::start(turn);
    let mut report = Report::new(HEAD);
    for (name, measure, in_all) in PARTS {
        if names.contains(&name) || (names.is_empty() && in_all) {
            measure(&world, &mut report);
        }
    }
    report.note(&format!(
        "The gateway's resident memory was {} MiB at the most, over all of this run.",
        machine::rss_max_mib(world.gateway())
    ));
    println!("{}", report.text());
    if flags.contains(&"--save") {
        let page = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/performance/s3.md");
        let before = std::fs::read_to_string(page).unwrap_or_default();
        std::fs::write(page, report.merged_into(&before)).unwrap();
    }
}
