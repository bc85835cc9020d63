//! A rolling restart: how many containers it leaves behind, and how full they are.
//!
//! Shape   twelve datanodes, and a writer of keys of three copies that never rests; one datanode after the other goes into
//!         maintenance, is restarted, and comes back. Each restart ends the pipelines that the datanode is in, and each end closes
//!         their containers, full or not. The same writer for as long with nobody restarted is the measure.
//! Units   containers; bytes of blocks in them, as a share of the size at which one is closed.

use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use allotrope_benches::report::Report;
use serde_json::Value;

use crate::cluster::{Cluster, Server};
use crate::lost::{list, until};

const NODES: usize = 12;
const KEY_LEN: usize = 4 << 20;
/// Small, so that some fill up meanwhile.
const CONTAINER_MIB: u64 = 64;
/// Between two keys: the disk of one machine holds what twelve datanodes write.
const PAUSE: Duration = Duration::from_millis(250);

/// Measures it.
pub(crate) fn measure(report: &mut Report, quick: bool) {
    let about = "One SCM, one OM and twelve datanodes, each a process; one writer puts keys of 4 MiB as RATIS/THREE, one after the other, into \
                 containers of 64 MB. 'restarted': each datanode is told to go into maintenance, restarted when it is there, and taken back; \
                 keys that fail are counted. 'left alone': as many keys with no restart. Fill is of the containers that take no more \
                 writes, as a share of their size.";
    report.section(
        "A rolling restart",
        about,
        "datanodes | keys | failed | containers | of them full | mean fill of those closed early",
    );
    let restarts = if quick { 3 } else { NODES };
    let keys = run(report, "restarted", restarts, None);
    run(report, "left alone", 0, Some(keys));
}

/// Restarts so many datanodes while keys are written, or writes so many keys; how many were written.
fn run(report: &mut Report, what: &str, restarts: usize, keys: Option<u64>) -> u64 {
    let mut cluster = Cluster::start_with(
        NODES,
        &[
            "allotrope.scm.failure-detection=fast",
            "ozone.scm.close.container.wait.duration=1s",
            "ozone.scm.datanode.admin.monitor.interval=1s",
            "ozone.scm.container.size=64MB",
            "ozone.scm.block.size=16MB",
            "allotrope.datanode.memory=32MB",
        ],
    );
    cluster.sh_eventually(&["volume", "create", "/vol1"]);
    cluster.sh(&["bucket", "create", "/vol1/bucket1", "--type", "RATIS", "--replication", "THREE"]);
    let file = cluster.path("key");
    std::fs::write(&file, vec![7; KEY_LEN]).unwrap();
    cluster.sh_eventually(&["key", "put", "/vol1/bucket1/first", file.to_str().unwrap()]);
    let (stop, written, failed) = (Arc::new(AtomicBool::new(false)), Arc::default(), Arc::default());
    let writer = writer(&cluster, &file, &stop, &written, &failed);
    for n in 0..restarts {
        let host = cluster.listens_at(Server::Datanode(n)).to_string();
        let admin = |cluster: &Cluster, what: &str| cluster.admin(&["datanode", what, &host]);
        admin(&cluster, "maintenance");
        until("in maintenance", || (duty(&cluster, n) == "IN_MAINTENANCE").then_some(()));
        cluster.kill(Server::Datanode(n));
        cluster.run(Server::Datanode(n));
        until("back", || (health(&cluster, n) == "HEALTHY").then_some(()));
        admin(&cluster, "recommission");
        until("in service", || (duty(&cluster, n) == "IN_SERVICE").then_some(()));
    }
    let all = keys.unwrap_or(0);
    until("written", || (written.load(Ordering::Relaxed) >= all).then_some(()));
    stop.store(true, Ordering::Relaxed);
    writer.join().unwrap();
    let (written, failed) = (written.load(Ordering::Relaxed), failed.load(Ordering::Relaxed));
    let size = (CONTAINER_MIB << 20) as f64;
    let fills: Vec<f64> = list(&cluster)
        .iter()
        .filter(|container| container["state"] != "OPEN")
        .map(|container| container["used"].as_u64().unwrap_or(0) as f64 / size)
        .collect();
    let early: Vec<f64> = fills.iter().copied().filter(|fill| *fill < 0.75).collect();
    report.row(&[
        what.to_owned(),
        written.to_string(),
        failed.to_string(),
        list(&cluster).len().to_string(),
        (fills.len() - early.len()).to_string(),
        match early.is_empty() {
            true => "–".to_owned(),
            false => format!("{:.0} %", 100.0 * early.iter().sum::<f64>() / early.len() as f64),
        },
    ]);
    written
}

fn writer(
    cluster: &Cluster,
    file: &Path,
    stop: &Arc<AtomicBool>,
    written: &Arc<AtomicU64>,
    failed: &Arc<AtomicU64>,
) -> std::thread::JoinHandle<()> {
    const KEY: &str = "/vol1/bucket1/key";
    let put = cluster.sh_command(&["key", "put", KEY, file.to_str().unwrap()]);
    let (stop, written, failed) = (Arc::clone(stop), Arc::clone(written), Arc::clone(failed));
    std::thread::spawn(move || {
        let mut n = 0_u64;
        while !stop.load(Ordering::Relaxed) {
            let words = put.get_args().map(|word| match word.to_str() {
                Some(KEY) => format!("{KEY}{n}").into(),
                _ => word.to_owned(),
            });
            let done = Command::new(put.get_program()).args(words.collect::<Vec<_>>()).output().unwrap();
            let counted = if done.status.success() { &written } else { &failed };
            counted.fetch_add(1, Ordering::Relaxed);
            n += 1;
            std::thread::sleep(PAUSE);
        }
    })
}

fn node(cluster: &Cluster, n: usize) -> Value {
    let port = u64::from(cluster.listens_at(Server::Datanode(n)).port());
    let nodes: Value = serde_json::from_str(&cluster.admin(&["datanode", "list", "--json"])).unwrap();
    nodes
        .as_array()
        .unwrap()
        .iter()
        .find(|node| node["ports"]["STANDALONE"] == port)
        .cloned()
        .unwrap_or_default()
}

fn duty(cluster: &Cluster, n: usize) -> String {
    node(cluster, n)["operationalState"].as_str().unwrap_or_default().to_owned()
}

fn health(cluster: &Cluster, n: usize) -> String {
    node(cluster, n)["state"].as_str().unwrap_or_default().to_owned()
}
