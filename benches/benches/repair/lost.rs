//! A cluster of processes loses a datanode: how long until every container has all its replicas again.
//!
//! Shape   one SCM, one OM and datanodes on one disk and the cores of one machine; keys of 1 GiB, as rs-3-2 and as three
//!         copies, a cluster each, with as many datanodes as a container has replicas. An empty one comes, then one of the
//!         others is killed and its disk is gone. Detection (the silence after which SCM calls it dead) is told apart.
//! Units   seconds; GiB that the lost datanode held; CPU seconds of all servers a rebuilt GiB.

use crate::cluster::{Cluster, Server};
use allotrope_benches::report::Report;
use serde_json::Value;
use std::collections::BTreeSet;
use std::io::Write;
use std::time::{Duration, Instant};

/// How the keys are kept.
struct Form {
    name: &'static str,
    /// Type and replication of a bucket.
    bucket: [&'static str; 2],
    /// Replicas of a container.
    width: usize,
    /// GiB on the disk for each GiB of keys.
    raw: f64,
}

/// GiB that the lost datanode should hold, and GiB of the disk that are left alone.
const HELD: f64 = 10.0;
const SPARE: f64 = 3.0;

impl Form {
    /// Keys of 1 GiB, so that each datanode holds what it should, or as many as the disk has room for. What the lost one held is
    /// gone before it is written again.
    fn keys(&self) -> usize {
        let disk = rustix::fs::statvfs(std::env::temp_dir().as_path()).unwrap();
        let free = (disk.f_bavail * disk.f_frsize) as f64 / f64::from(1 << 30);
        let each = (HELD * self.width as f64).min(free - SPARE) / self.raw;
        each.max(1.0) as usize
    }
}

const FORMS: [Form; 2] = [
    Form { name: "rs-3-2-1024k", bucket: ["EC", "rs-3-2-1024k"], width: 5, raw: 5.0 / 3.0 },
    Form { name: "RATIS/THREE", bucket: ["RATIS", "THREE"], width: 3, raw: 3.0 },
];
/// Longest that it may take.
const PATIENCE: Duration = Duration::from_secs(600);
/// Ozone's, on this class of machine: bytes of the lost datanode (3.3 GB of three copies, 0.3 GB of rs-3-2) and seconds until all was
/// whole, detection apart.
const OZONE: (f64, f64) = (3.6e9, 53.0);

/// Measures it.
pub(crate) fn measure(report: &mut Report, quick: bool) {
    let about = "One SCM, one OM and datanodes of one shard, each a process, on one disk and the cores of one machine: as many as a container \
                 has replicas, and keys of 1 GiB in closed containers of 1 GB, so many that each holds 10 GiB, or what the disk has room \
                 for. Then an empty datanode comes, and one of the others is killed and its disk removed; 'repair' is from when SCM calls \
                 it dead until every container has all its good replicas again, the missing ones on the new datanode. CPU is of all \
                 servers while it lasts.";
    report.section(
        "A lost datanode",
        about,
        "keys | it held GiB | detection s | repair s | MiB/s | CPU s/GiB | Ozone's MiB/s | ratio",
    );
    for form in FORMS {
        lose(report, &form, if quick { 1 } else { form.keys() });
    }
    report.note(
        "Ozone's figure is of another run on this class of machine: 3.6 GB, most of it of three copies, made whole in 53 s, detection apart; its reconstruction of erasure-coded cells alone made 9 MB/s.",
    );
}

fn lose(report: &mut Report, form: &Form, keys: usize) {
    let spare = Server::Datanode(form.width);
    let mut cluster = Cluster::start_with(
        form.width + 1,
        &[
            "allotrope.scm.failure-detection=fast",
            "hdds.scm.wait.time.after.safemode.exit=1s",
            "ozone.scm.close.container.wait.duration=1s",
            "ozone.scm.container.size=1GB",
            "allotrope.datanode.memory=64MB",
        ],
    );
    let empty = uuid_of(&cluster, spare);
    cluster.kill(spare);
    wait_for_state(&cluster, &empty, "DEAD");
    cluster.sh_eventually(&["volume", "create", "/vol1"]);
    let [kind, replication] = form.bucket;
    cluster.sh(&["bucket", "create", "/vol1/bucket1", "--type", kind, "--replication", replication]);
    let file = cluster.path("gib");
    write_gib(&file);
    for key in 0..keys {
        cluster.sh_eventually(&["key", "put", &format!("/vol1/bucket1/{key}"), file.to_str().unwrap()]);
    }
    std::fs::remove_file(&file).unwrap();
    // Closed ones, whose sizes are known.
    for container in list(&cluster) {
        let id = container["id"].to_string();
        cluster.try_admin(&["container", "close", &id]);
    }
    until("closed", || {
        let all = replicas(&cluster);
        let closed = all.iter().flatten().all(|replica| replica["state"] == "CLOSED");
        (closed && !all.is_empty()).then_some(())
    });
    cluster.run(spare);
    wait_for_state(&cluster, &empty, "HEALTHY");
    let gone = uuid_of(&cluster, Server::Datanode(0));
    let held: u64 = replicas(&cluster)
        .iter()
        .flatten()
        .filter(|replica| replica["datanode"] == *gone)
        .map(|replica| replica["used"].as_u64().unwrap())
        .sum();

    let others: Vec<Server> =
        (1..=form.width).map(Server::Datanode).chain([Server::Scm, Server::Om]).collect();
    let cpu = |cluster: &Cluster| others.iter().map(|server| cpu_of(cluster.pid(*server))).sum::<f64>();
    cluster.kill(Server::Datanode(0));
    let killed = Instant::now();
    std::fs::remove_dir_all(cluster.data_dir(0)).unwrap();
    wait_for_state(&cluster, &gone, "DEAD");
    let (detected, before) = (killed.elapsed(), cpu(&cluster));
    until("whole", || {
        let whole = |replicas: &Vec<Value>| {
            let good = replicas
                .iter()
                .filter(|replica| replica["state"] == "CLOSED" && replica["datanode"] != *gone);
            // Copies have no indexes; datanodes differ anyway.
            let names = good.map(|replica| match replica["index"].as_u64() {
                Some(index) if index > 0 => index.to_string(),
                _ => replica["datanode"].to_string(),
            });
            names.collect::<BTreeSet<_>>().len() == form.width
        };
        replicas(&cluster).iter().all(whole).then_some(())
    });
    let (repaired, used) = (killed.elapsed() - detected, cpu(&cluster) - before);
    let gib = held as f64 / f64::from(1 << 30);
    let rate = gib * 1024.0 / repaired.as_secs_f64();
    let ozone = OZONE.0 / OZONE.1 / f64::from(1 << 20);
    report.row(&[
        form.name.to_owned(),
        format!("{gib:.2}"),
        format!("{:.1}", detected.as_secs_f64()),
        format!("{:.1}", repaired.as_secs_f64()),
        format!("{rate:.0}"),
        format!("{:.2}", used / gib),
        format!("{ozone:.0}"),
        format!("{:.1}", rate / ozone),
    ]);
}

pub(crate) fn write_gib(path: &std::path::Path) {
    let mut file = std::fs::File::create(path).unwrap();
    let mut state = 88_172_645_463_325_252_u64;
    let mut piece = vec![0; 1 << 20];
    for _ in 0..1024 {
        for word in piece.chunks_exact_mut(8) {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            word.copy_from_slice(&state.to_ne_bytes());
        }
        file.write_all(&piece).unwrap();
    }
}

/// The datanodes as SCM lists them.
fn nodes(cluster: &Cluster) -> Vec<Value> {
    serde_json::from_str(&cluster.admin(&["datanode", "list", "--json"])).unwrap()
}

/// Who serves at the port of `server`; it may have to register first.
fn uuid_of(cluster: &Cluster, server: Server) -> String {
    let port = u64::from(cluster.listens_at(server).port());
    let mut uuid = None;
    until("registered", || {
        let node = nodes(cluster).into_iter().find(|node| node["ports"]["STANDALONE"] == port)?;
        uuid = node["uuid"].as_str().map(str::to_owned);
        Some(())
    });
    uuid.unwrap()
}

fn wait_for_state(cluster: &Cluster, uuid: &str, state: &str) {
    until(state, || {
        nodes(cluster).iter().any(|node| node["uuid"] == uuid && node["state"] == state).then_some(())
    });
}

pub(crate) fn list(cluster: &Cluster) -> Vec<Value> {
    serde_json::from_str(&cluster.admin(&["container", "list", "--json"])).unwrap()
}

/// The replicas of each container that has any.
fn replicas(cluster: &Cluster) -> Vec<Vec<Value>> {
    let of = |container: Value| {
        let info = cluster.admin(&["container", "info", &container["id"].to_string(), "--json"]);
        let mut info: Value = serde_json::from_str(&info).unwrap();
        match info["replicas"].take() {
            Value::Array(replicas) => replicas,
            _ => Vec::new(),
        }
    };
    list(cluster).into_iter().map(of).filter(|replicas| !replicas.is_empty()).collect()
}

/// User and system time of a process, in seconds.
fn cpu_of(pid: u32) -> f64 {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    // Behind the name, which may hold anything but a last parenthesis.
    let fields: Vec<&str> = stat.rsplit(')').next().unwrap_or_default().split_whitespace().collect();
    let ticks = |at: usize| fields.get(at).and_then(|ticks| ticks.parse::<f64>().ok()).unwrap_or(0.0);
    (ticks(11) + ticks(12)) / rustix::param::clock_ticks_per_second() as f64
}

pub(crate) fn until(what: &str, mut done: impl FnMut() -> Option<()>) {
    let began = Instant::now();
    while done().is_none() {
        assert!(began.elapsed() < PATIENCE, "not {what} after {PATIENCE:?}");
        std::thread::sleep(Duration::from_millis(200));
    }
}
