//! A quickstart with ports of its own, and the words that a specification of it needs.
//!
//! Errors  a start that does not say it is ready, or a command that fails, fails the test.
#![allow(dead_code, reason = "each test file uses its own part of the vocabulary")]

use allotrope_io::Back;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};

use rustix::process::{Pid, Signal};

/// A quickstart that said it is ready; killed when it is dropped before it was stopped.
pub(crate) struct Quickstart {
    pub(crate) child: Child,
    /// What it printed after its first line.
    pub(crate) said: Vec<String>,
}

impl Drop for Quickstart {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The ports of one test's cluster, as settings.
pub(crate) struct Ports(pub(crate) Vec<String>);

impl Ports {
    pub(crate) fn pick() -> Ports {
        let names = [
            "ozone.scm.client.address",
            "ozone.scm.datanode.address",
            "ozone.scm.block.client.address",
            "ozone.om.address",
            "ozone.om.grpc.port",
            "hdds.container.ipc.port",
            "hdds.datanode.replication.port",
            "hdds.container.ratis.ipc.port",
            "hdds.container.ratis.admin.port",
            "ozone.s3g.http-address",
            "ozone.scm.http-address",
            "hdds.datanode.http-address",
            "ozone.om.http-address",
            "ozone.s3g.webadmin.http-address",
            "ozone.recon.http-address",
        ];
        let held: Vec<_> = names.map(|_| TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap()).into();
        let port = |n: usize| held[n].local_addr().unwrap().port();
        let setting = |(n, name): (usize, &&str)| {
            let host = if name.ends_with("address") { "127.0.0.1:" } else { "" };
            format!("--set={name}={host}{}", port(n))
        };
        Ports(names.iter().enumerate().map(setting).collect())
    }

    /// The setting of OM's gRPC port.
    pub(crate) fn om_grpc(&self) -> &str {
        self.0
            .iter()
            .filter_map(|setting| setting.strip_prefix("--set="))
            .find(|setting| setting.starts_with("ozone.om.grpc.port="))
            .unwrap()
    }

    /// Where the service of an address setting is.
    pub(crate) fn address(&self, name: &str) -> &str {
        let prefix = format!("--set={name}=");
        self.0.iter().find_map(|setting| setting.strip_prefix(&prefix)).unwrap()
    }
}

pub(crate) fn allotrope(ports: &Ports) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_allotrope"));
    command.args(&ports.0).args(["--set", "hdds.datanode.volume.min.free.space=16MB"]).stdin(Stdio::null());
    command
}

/// Starts a cluster and waits for its first line, which says that it is ready.
pub(crate) fn start(ports: &Ports, data: &Path) -> Quickstart {
    let mut command = allotrope(ports);
    command.args(["quickstart", "--data"]).arg(data).stdout(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let first = lines.next().expect("it says something").unwrap();
    assert!(first.starts_with("ready in "), "{first}");
    assert!(first.ends_with("6 datanodes; keys are kept as rs-3-2-1024k"), "{first}");
    let said: Vec<_> =
        lines.by_ref().map(Result::unwrap).take_while(|line| line != "Ctrl-C stops it.").collect();
    // Where the probe finds io_uring usable, a cluster that runs on anything else has failed.
    let io = format!("io        {}", Back::of_this_machine());
    assert!(said.contains(&io), "{said:?}");
    // The rest of what it prints is read too, so that it never waits for a full pipe.
    std::thread::spawn(move || lines.for_each(drop));
    Quickstart { child, said }
}

/// A page of a role's, headers and all.
pub(crate) fn page(ports: &Ports, role: &str, path: &str) -> String {
    let mut socket = TcpStream::connect(ports.address(role)).unwrap();
    let request = format!("GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
    socket.write_all(request.as_bytes()).unwrap();
    let mut answer = String::new();
    socket.read_to_string(&mut answer).unwrap();
    answer
}

/// Ctrl-C, and the exit code.
pub(crate) fn stop(mut quickstart: Quickstart) -> Option<i32> {
    rustix::process::kill_process(Pid::from_child(&quickstart.child), Signal::INT).unwrap();
    quickstart.child.wait().unwrap().code()
}

pub(crate) fn sh(ports: &Ports, args: &[&str]) -> Output {
    allotrope(ports).arg("sh").args(args).output().unwrap()
}

pub(crate) fn sh_ok(ports: &Ports, args: &[&str]) {
    let output = sh(ports, args);
    assert!(output.status.success(), "sh {args:?}: {}", String::from_utf8_lossy(&output.stderr));
}

/// `allotrope quickstart ACT… --data DATA`: what it prints, on stdout if it worked and on stderr if not.
pub(crate) fn act(ports: &Ports, data: &Path, act: &[&str]) -> Result<String, String> {
    let output = allotrope(ports).arg("quickstart").args(act).arg("--data").arg(data).output().unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    if output.status.success() { Ok(text(&output.stdout)) } else { Err(text(&output.stderr)) }
}
