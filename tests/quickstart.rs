//! `allotrope quickstart`: a whole cluster in one process, found again by the next start.
#![allow(clippy::unwrap_used, reason = "a helper that fails fails its test")]
#![allow(clippy::disallowed_methods, reason = "tests of real processes use real files, clocks and sleeps")]

use std::io::{BufRead, BufReader};
use std::net::{Ipv4Addr, TcpListener};
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};

use rustix::process::{Pid, Signal};

/// A quickstart that said it is ready; killed when it is dropped before it was stopped.
struct Quickstart {
    child: Child,
}

impl Drop for Quickstart {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The ports of one test's cluster, as settings.
struct Ports(Vec<String>);

impl Ports {
    fn pick() -> Ports {
        let names = [
            "ozone.scm.client.address",
            "ozone.scm.datanode.address",
            "ozone.scm.block.client.address",
            "ozone.om.address",
            "ozone.om.grpc.port",
            "hdds.container.ipc.port",
            "ozone.s3g.http-address",
        ];
        let held: Vec<_> = names.map(|_| TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap()).into();
        let port = |n: usize| held[n].local_addr().unwrap().port();
        let setting = |(n, name): (usize, &&str)| {
            let host = if name.ends_with("address") { "127.0.0.1:" } else { "" };
            format!("--set={name}={host}{}", port(n))
        };
        Ports(names.iter().enumerate().map(setting).collect())
    }
}

fn allotrope(ports: &Ports) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_allotrope"));
    command.args(&ports.0).args(["--set", "hdds.datanode.volume.min.free.space=16MB"]).stdin(Stdio::null());
    command
}

/// Starts a cluster and waits for its first line, which says that it is ready.
fn start(ports: &Ports, data: &Path) -> Quickstart {
    let mut command = allotrope(ports);
    command.args(["quickstart", "--data"]).arg(data).stdout(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let first = lines.next().expect("it says something").unwrap();
    assert!(first.starts_with("ready in "), "{first}");
    assert!(first.ends_with("6 datanodes; keys are kept as rs-3-2-1024k"), "{first}");
    // The rest of what it prints is read too, so that it never waits for a full pipe.
    std::thread::spawn(move || lines.for_each(drop));
    Quickstart { child }
}

/// Ctrl-C, and the exit code.
fn stop(mut quickstart: Quickstart) -> Option<i32> {
    rustix::process::kill_process(Pid::from_child(&quickstart.child), Signal::INT).unwrap();
    quickstart.child.wait().unwrap().code()
}

fn sh(ports: &Ports, args: &[&str]) -> Output {
    allotrope(ports).arg("sh").args(args).output().unwrap()
}

fn sh_ok(ports: &Ports, args: &[&str]) {
    let output = sh(ports, args);
    assert!(output.status.success(), "sh {args:?}: {}", String::from_utf8_lossy(&output.stderr));
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
    let second = allotrope(&ports).args(["quickstart", "--data"]).arg(&data).output().unwrap();
    let refusal = String::from_utf8_lossy(&second.stderr).into_owned();
    assert!(!second.status.success() && refusal.contains("in use by process"), "{refusal}");
    assert_eq!(stop(running), Some(0));

    let _running = start(&ports, &data);
    sh_ok(&ports, &["key", "get", "/vol1/bucket1/binary", back.to_str().unwrap()]);
    assert!(std::fs::read(source).unwrap() == std::fs::read(back).unwrap(), "the file came back changed");
}
