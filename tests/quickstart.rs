//! `allotrope quickstart`: a whole cluster in one process, found again by the next start.
#![allow(clippy::unwrap_used, reason = "a helper that fails fails its test")]
#![allow(clippy::disallowed_methods, reason = "tests of real processes use real files, clocks and sleeps")]

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
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
            "ozone.scm.http-address",
            "hdds.datanode.http-address",
            "ozone.om.http-address",
            "ozone.s3g.webadmin.http-address",
        ];
        let held: Vec<_> = names.map(|_| TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap()).into();
        let port = |n: usize| held[n].local_addr().unwrap().port();
        let setting = |(n, name): (usize, &&str)| {
            let host = if name.ends_with("address") { "127.0.0.1:" } else { "" };
            format!("--set={name}={host}{}", port(n))
        };
        Ports(names.iter().enumerate().map(setting).collect())
    }

    /// Where the service of an address setting is.
    fn address(&self, name: &str) -> &str {
        let prefix = format!("--set={name}=");
        self.0.iter().find_map(|setting| setting.strip_prefix(&prefix)).unwrap()
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

/// A page of a role's, headers and all.
fn page(ports: &Ports, role: &str, path: &str) -> String {
    let mut socket = TcpStream::connect(ports.address(role)).unwrap();
    let request = format!("GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
    socket.write_all(request.as_bytes()).unwrap();
    let mut answer = String::new();
    socket.read_to_string(&mut answer).unwrap();
    answer
}

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
    look_at_the_pages(&ports);
    let second = allotrope(&ports).args(["quickstart", "--data"]).arg(&data).output().unwrap();
    let refusal = String::from_utf8_lossy(&second.stderr).into_owned();
    assert!(!second.status.success() && refusal.contains("in use by process"), "{refusal}");
    assert_eq!(stop(running), Some(0));

    let _running = start(&ports, &data);
    sh_ok(&ports, &["key", "get", "/vol1/bucket1/binary", back.to_str().unwrap()]);
    assert!(std::fs::read(source).unwrap() == std::fs::read(back).unwrap(), "the file came back changed");
}
