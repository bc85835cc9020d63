//! A whole cluster of real processes on loopback, with the words that a specification needs.
//!
//! Shape   one SCM or a group of them, one OM and some datanodes, each a child process of the binary under test with a folder of its own; ports
//!         are picked free at the start and kept over restarts.
//! Errors  a process that does not come up, or a command that hangs, fails the test with that process's log.
#![allow(dead_code, reason = "each test file uses its own part of the vocabulary")]

pub(crate) mod apart;
pub(crate) mod ozone;
pub(crate) mod small_disk;

use allotrope_io::Back;
use std::fs::{self, File};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

/// Longest a process may take to listen, or a command to end.
const PATIENCE: Duration = Duration::from_secs(60);

/// One server of the cluster, by role.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Server {
    /// The SCM that runs alone, or the first of a group.
    Scm,
    /// Another SCM of the group, by its place, from 1.
    ScmNode(usize),
    Om,
    /// By number, from 0.
    Datanode(usize),
    /// The S3 gateway; a cluster starts without one.
    S3g,
    /// Recon; a cluster starts without one.
    Recon,
}

/// Running processes, stopped and their folder removed when this is dropped.
pub(crate) struct Cluster {
    dir: tempfile::TempDir,
    ports: Ports,
    running: Vec<(Server, Child)>,
    datanodes: usize,
    /// Settings of every process, as `name=value`.
    extra: Vec<String>,
    /// Whether each datanode has a network of its own.
    apart: bool,
}

struct Ports {
    scms: Vec<ScmPorts>,
    om_rpc: u16,
    om_grpc: u16,
    s3g: u16,
    recon: u16,
    datanodes: Vec<u16>,
}

/// What one SCM listens on.
#[derive(Clone, Copy)]
struct ScmPorts {
    admin: u16,
    datanode: u16,
    block: u16,
    raft: u16,
}

impl Cluster {
    /// Starts an empty cluster and waits until each server listens.
    pub(crate) fn start(datanodes: usize) -> Cluster {
        Cluster::start_with(datanodes, &[])
    }

    /// As `start`, with settings of the form `name=value` for every process.
    pub(crate) fn start_with(datanodes: usize, settings: &[&str]) -> Cluster {
        Cluster::start_group(1, datanodes, settings)
    }

    /// As `start_with`, with datanodes that can be cut off; for a test that [`apart::enter`] has let in.
    pub(crate) fn start_apart(datanodes: usize, settings: &[&str]) -> Cluster {
        Cluster::start_on(1, datanodes, settings, true)
    }

    /// As `start_with`, with a group of SCMs.
    pub(crate) fn start_group(scms: usize, datanodes: usize, settings: &[&str]) -> Cluster {
        Cluster::start_on(scms, datanodes, settings, false)
    }

    fn start_on(scms: usize, datanodes: usize, settings: &[&str], apart: bool) -> Cluster {
        let dir = tempfile::tempdir().expect("a folder for the cluster");
        let mut free = free_ports(4 * scms + 4 + datanodes).into_iter();
        let mut next = || free.next().expect("as many as were asked for");
        let ports = Ports {
            scms: (0..scms)
                .map(|_| ScmPorts { admin: next(), datanode: next(), block: next(), raft: next() })
                .collect(),
            om_rpc: next(),
            om_grpc: next(),
            s3g: next(),
            recon: next(),
            datanodes: (0..datanodes).map(|_| next()).collect(),
        };
        let mut cluster = Cluster { dir, ports, running: Vec::new(), datanodes, extra: Vec::new(), apart };
        cluster.set(settings);
        cluster.name_scm(Server::Scm, "--init");
        cluster.run(Server::Scm);
        for place in 1..scms {
            cluster.name_scm(Server::ScmNode(place), "--bootstrap");
            cluster.run(Server::ScmNode(place));
        }
        cluster.run(Server::Om);
        for number in 0..datanodes {
            cluster.run(Server::Datanode(number));
        }
        cluster
    }

    /// Adds settings for every process that is started from now on.
    pub(crate) fn set(&mut self, settings: &[&str]) {
        self.extra.extend(settings.iter().map(|setting| format!("--set={setting}")));
    }

    /// Makes the cluster (`--init`: SCM chooses its id), or comes to it (`--bootstrap`: it asks the others). Returns what it
    /// printed.
    pub(crate) fn name_scm(&self, server: Server, how: &str) -> String {
        let output = self.run_as(server, &["scm", how]);
        assert!(output.status.success(), "scm {how}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    /// Names one more SCM in the settings of whatever is started from now on.
    pub(crate) fn add_scm(&mut self) -> Server {
        let ports = free_ports(4);
        let [admin, datanode, block, raft] = ports[..] else { unreachable!("four were asked for") };
        self.ports.scms.push(ScmPorts { admin, datanode, block, raft });
        Server::ScmNode(self.ports.scms.len() - 1)
    }

    /// Runs `allotrope admin ARGS` until it succeeds and its output is as `wanted`.
    pub(crate) fn admin_eventually(&self, args: &[&str], wanted: impl Fn(&str) -> bool) -> String {
        let began = Instant::now();
        loop {
            let output = self.try_admin(args);
            let text = String::from_utf8_lossy(&output.stdout).into_owned();
            if output.status.success() && wanted(&text) {
                return text;
            }
            let error = String::from_utf8_lossy(&output.stderr).into_owned();
            assert!(began.elapsed() < PATIENCE, "admin {args:?}: {text}{error}{}", self.logs());
            std::thread::sleep(Duration::from_millis(200));
        }
    }

    /// Runs `allotrope admin ARGS` to its end.
    pub(crate) fn try_admin(&self, args: &[&str]) -> Output {
        let mut command = self.command();
        command.arg("admin").args(args).args(self.scm_settings()).stdin(Stdio::null());
        let child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("the binary starts");
        wait_with_patience(child, args)
    }

    /// Runs `allotrope admin ARGS`, which must succeed, and returns what it printed.
    pub(crate) fn admin(&self, args: &[&str]) -> String {
        let output = self.try_admin(args);
        let error = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "admin {args:?}: {error}{}", self.logs());
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    /// Starts one server that is not running and waits until it listens.
    pub(crate) fn run(&mut self, server: Server) {
        let mut command = self.command();
        if let Some(number) = self.is_apart(server) {
            command = apart::command(number, &binary());
            command.env_remove("RUST_LOG").current_dir(self.dir.path());
        }
        self.run_by(server, command);
    }

    /// As `run`, with files that cannot grow beyond so many KiB: a longer write fails as on a full disk.
    pub(crate) fn run_without_room(&mut self, server: Server, file_kib_max: usize) {
        let mut command = Command::new("sh");
        // Blocks of 512 bytes. The signal that comes with the error would end the process.
        let limited = format!("trap '' XFSZ; ulimit -f {}; exec \"$@\"", 2 * file_kib_max);
        command.args(["-c", &limited, "sh"]).arg(binary());
        command.env_remove("RUST_LOG").current_dir(self.dir.path());
        self.run_by(server, command);
    }

    fn run_by(&mut self, server: Server, mut command: Command) {
        assert!(!self.running.iter().any(|(running, _)| *running == server), "{server:?} runs already");
        let log = File::options().create(true).append(true).open(self.log_path(server)).expect("a log file");
        command.arg(role(server)).args(self.settings_of(server));
        command.stdin(Stdio::null()).stdout(log.try_clone().expect("a second handle")).stderr(log);
        let child = command.spawn().expect("the binary starts");
        if let Some(number) = self.is_apart(server) {
            apart::join(number, child.id());
        }
        self.running.push((server, child));
        let began = Instant::now();
        while TcpStream::connect(self.address(server)).is_err() {
            let (_, child) = self.running.last_mut().expect("just pushed");
            let ended = child.try_wait().expect("a child can be asked");
            assert!(ended.is_none(), "{server:?} ended: {ended:?}\n{}", self.log(server));
            assert!(began.elapsed() < PATIENCE, "{server:?} does not listen\n{}", self.log(server));
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// Ends one server as a power cut of its process would: SIGKILL, no drain.
    pub(crate) fn kill(&mut self, server: Server) {
        let at = self.running.iter().position(|(running, _)| *running == server).expect("it runs");
        let (_, mut child) = self.running.remove(at);
        child.kill().expect("it can be killed");
        child.wait().expect("it ends");
    }

    /// Kills every server and starts all of them again on the same folders.
    pub(crate) fn restart_after_sigkill(&mut self) {
        let all: Vec<Server> = self.running.iter().map(|(server, _)| *server).collect();
        all.iter().for_each(|server| self.kill(*server));
        all.iter().for_each(|server| self.run(*server));
    }

    /// Runs `allotrope sh ARGS` to its end.
    pub(crate) fn try_sh(&self, args: &[&str]) -> Output {
        wait_with_patience(self.begin_sh(args), args)
    }

    /// Starts `allotrope sh ARGS`.
    pub(crate) fn begin_sh(&self, args: &[&str]) -> Child {
        self.sh_command(args).spawn().expect("the binary starts")
    }

    /// `allotrope sh ARGS`, not started yet.
    pub(crate) fn sh_command(&self, args: &[&str]) -> Command {
        let mut command = self.command();
        command.arg("sh").args(args).args(self.client_settings()).stdin(Stdio::null());
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }

    /// Waits for a command that was begun, which must succeed.
    pub(crate) fn end_sh(&self, child: Child) {
        let output = wait_with_patience(child, &["(begun before)"]);
        let error = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{}: {error}{}", output.status, self.logs());
    }

    /// Runs `allotrope ARGS` with a server's settings, to its end.
    pub(crate) fn run_as(&self, server: Server, args: &[&str]) -> Output {
        let mut command = self.command();
        command.args(args).args(self.settings_of(server)).stdin(Stdio::null());
        let child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("the binary starts");
        wait_with_patience(child, args)
    }

    /// Runs `allotrope sh ARGS`, which must succeed, and returns what it printed.
    pub(crate) fn sh(&self, args: &[&str]) -> String {
        let output = self.try_sh(args);
        let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        assert!(output.status.success(), "sh {args:?}: {}\n{out}{err}{}", output.status, self.logs());
        out.into_owned()
    }

    /// Runs `allotrope sh ARGS` again and again until it succeeds: for what a start brings within seconds.
    pub(crate) fn sh_eventually(&self, args: &[&str]) -> String {
        let began = Instant::now();
        loop {
            let output = self.try_sh(args);
            if output.status.success() {
                return String::from_utf8_lossy(&output.stdout).into_owned();
            }
            let error = String::from_utf8_lossy(&output.stderr).into_owned();
            assert!(began.elapsed() < PATIENCE, "sh {args:?} never succeeds: {error}{}", self.logs());
            std::thread::sleep(Duration::from_millis(200));
        }
    }

    /// Runs `allotrope admin checkpoint` for OM or SCM.
    pub(crate) fn try_checkpoint(&self, server: Server, name: &str) -> Output {
        let mut command = self.command();
        command.args(["admin", "checkpoint", role(server), "--json", "--name", name]);
        command.args(self.settings_of(server)).stdin(Stdio::null()).output().expect("the binary starts")
    }

    /// Backs up OM or SCM, which must work, and returns the backup's folder.
    pub(crate) fn checkpoint(&self, server: Server, name: &str) -> PathBuf {
        let output = self.try_checkpoint(server, name);
        let err = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "checkpoint of {server:?}: {err}{}", self.logs());
        let made: serde_json::Value = serde_json::from_slice(&output.stdout).expect("it prints JSON");
        PathBuf::from(made["folder"].as_str().expect("it names the folder"))
    }

    /// Prepares the folder of OM or SCM from a backup.
    pub(crate) fn restore(&self, server: Server, backup: &Path) -> Output {
        let mut command = self.command();
        command.args([role(server), "--restore"]).arg(backup).args(self.settings_of(server));
        command.stdin(Stdio::null()).output().expect("the binary starts")
    }

    /// The folder with all that OM or SCM keeps.
    pub(crate) fn folder(&self, server: Server) -> PathBuf {
        match server {
            Server::ScmNode(place) => self.path(&format!("scm{}", place + 1)),
            other => self.path(role(other)),
        }
    }

    /// `HOST:PORT` of OM's Hadoop RPC.
    pub(crate) fn om_address(&self) -> String {
        format!("127.0.0.1:{}", self.ports.om_rpc)
    }

    /// The port of OM's gRPC.
    pub(crate) fn om_grpc(&self) -> u16 {
        self.ports.om_grpc
    }

    /// `HOST:PORT` of the first SCM's service for datanodes.
    pub(crate) fn scm_datanode_address(&self) -> String {
        format!("127.0.0.1:{}", self.ports.scms[0].datanode)
    }

    /// `HOST:PORT` of the first SCM's service for administration.
    pub(crate) fn scm_address(&self) -> String {
        format!("127.0.0.1:{}", self.ports.scms[0].admin)
    }

    /// A file of the cluster's folder, for input and output of commands.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// The data directory of one datanode.
    pub(crate) fn data_dir(&self, datanode: usize) -> PathBuf {
        self.path(&format!("datanode{datanode}/data"))
    }

    /// Runs `allotrope s3 ARGS` as `user`.
    pub(crate) fn try_s3(&self, user: &str, args: &[&str]) -> Output {
        let mut command = self.command();
        command.arg("s3").args(args).args(self.client_settings()).env("HADOOP_USER_NAME", user);
        command.output().expect("the binary starts")
    }

    /// Runs `allotrope s3 ARGS` as `user`, which must succeed, and returns what it printed.
    pub(crate) fn s3(&self, user: &str, args: &[&str]) -> String {
        let output = self.try_s3(user, args);
        let error = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "s3 {args:?}: {error}{}", self.logs());
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    /// The process of a server that runs.
    pub(crate) fn pid(&self, server: Server) -> u32 {
        self.running.iter().find(|(running, _)| *running == server).expect("it runs").1.id()
    }

    /// Asks a server to end, as SIGTERM does, and waits until it has.
    pub(crate) fn terminate(&mut self, server: Server) -> std::process::ExitStatus {
        let at = self.running.iter().position(|(running, _)| *running == server).expect("it runs");
        let (_, mut child) = self.running.remove(at);
        let killed = Command::new("sh").args(["-c", "kill -TERM $0", &child.id().to_string()]).status();
        assert!(killed.is_ok_and(|killed| killed.success()), "the shell's own kill works");
        let began = Instant::now();
        loop {
            if let Some(status) = child.try_wait().expect("a child can be asked") {
                return status;
            }
            if began.elapsed() > PATIENCE {
                let _ = child.kill();
                let _ = child.wait();
                panic!("{server:?} does not end\n{}", self.log(server));
            }
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// Where a server that runs listens.
    pub(crate) fn listens_at(&self, server: Server) -> SocketAddr {
        self.address(server)
    }

    fn command(&self) -> Command {
        let mut command = Command::new(binary());
        command.env_remove("RUST_LOG").current_dir(self.dir.path());
        command
    }

    fn settings_of(&self, server: Server) -> Vec<String> {
        let p = &self.ports;
        let local = |name: &str, port: u16| format!("--set={name}=127.0.0.1:{port}");
        let folder = |name: &str, path: &Path| {
            fs::create_dir_all(path).expect("a folder");
            format!("--set={name}={}", path.display())
        };
        let mut settings = self.scm_settings();
        settings.extend([
            local("ozone.om.address", p.om_rpc),
            local("ozone.scm.http-address", 0),
            local("ozone.om.http-address", 0),
            local("ozone.s3g.webadmin.http-address", 0),
            local("hdds.datanode.http-address", 0),
            format!("--set=ozone.om.grpc.port={}", p.om_grpc),
            "--set=ozone.administrators=s3g".to_owned(),
            format!("--set=hdds.scm.safemode.min.datanode={}", self.datanodes),
            "--set=hdds.heartbeat.interval=1s".to_owned(),
        ]);
        match server {
            Server::Scm | Server::ScmNode(_) => {
                let number = if let Server::ScmNode(place) = server { place + 1 } else { 1 };
                settings.push(format!("--set=ozone.scm.node.id=scm{number}"));
                settings.push(folder("ozone.metadata.dirs", &self.folder(server)));
            }
            Server::Om => settings.push(folder("ozone.metadata.dirs", &self.path("om"))),
            Server::S3g => settings.push(local("ozone.s3g.http-address", p.s3g)),
            Server::Recon => settings.push(local("ozone.recon.http-address", p.recon)),
            Server::Datanode(number) => {
                settings.push(folder("ozone.metadata.dirs", &self.path(&format!("datanode{number}/meta"))));
                settings.push(folder("hdds.datanode.dir", &self.data_dir(number)));
                settings.push(format!("--set=hdds.container.ipc.port={}", p.datanodes[number]));
                settings.push("--set=hdds.datanode.replication.port=0".to_owned());
                settings.push("--set=hdds.container.ratis.ipc.port=0".to_owned());
                settings.push("--set=hdds.container.ratis.admin.port=0".to_owned());
                settings.push(format!("--set=allotrope.datanode.address={}", self.address(server).ip()));
                settings.push("--set=allotrope.datanode.shards=1".to_owned());
                // Where the probe finds io_uring usable it is used, or the start fails.
                settings.push(format!("--set=allotrope.datanode.io={}", Back::of_this_machine()));
                settings.push("--set=allotrope.datanode.memory=32MB".to_owned());
                settings.push("--set=hdds.datanode.volume.min.free.space=16MB".to_owned());
            }
        }
        // The last word counts.
        settings.extend(self.extra.iter().cloned());
        settings
    }

    /// Where the SCMs are, for everybody: by their addresses, or as a group.
    fn scm_settings(&self) -> Vec<String> {
        if let [alone] = self.ports.scms.as_slice() {
            let local = |name: &str, port: u16| format!("--set={name}=127.0.0.1:{port}");
            return vec![
                local("ozone.scm.client.address", alone.admin),
                format!("--set=ozone.scm.datanode.address={}:{}", self.scm_host(), alone.datanode),
                local("ozone.scm.block.client.address", alone.block),
            ];
        }
        let names: Vec<String> = (1..=self.ports.scms.len()).map(|number| format!("scm{number}")).collect();
        let mut settings = vec![
            "--set=ozone.scm.service.ids=group".to_owned(),
            format!("--set=ozone.scm.nodes.group={}", names.join(",")),
        ];
        for (name, ports) in names.iter().zip(&self.ports.scms) {
            settings.push(format!("--set=ozone.scm.address.group.{name}=127.0.0.1"));
            for (what, port) in [
                ("ratis.port", ports.raft),
                ("client.port", ports.admin),
                ("block.client.port", ports.block),
                ("datanode.port", ports.datanode),
            ] {
                settings.push(format!("--set=ozone.scm.{what}.group.{name}={port}"));
            }
        }
        settings
    }

    fn client_settings(&self) -> Vec<String> {
        vec![
            format!("--set=ozone.om.address=127.0.0.1:{}", self.ports.om_rpc),
            format!("--set=ozone.om.grpc.port={}", self.ports.om_grpc),
        ]
    }

    fn address(&self, server: Server) -> SocketAddr {
        let port = match server {
            Server::Scm => self.ports.scms[0].block,
            Server::ScmNode(place) => self.ports.scms[place].block,
            Server::Om => self.ports.om_grpc,
            Server::S3g => self.ports.s3g,
            Server::Recon => self.ports.recon,
            Server::Datanode(number) => self.ports.datanodes[number],
        };
        let host = self.is_apart(server).map_or(Ipv4Addr::LOCALHOST, apart::host);
        SocketAddr::from((host, port))
    }

    /// Where datanodes find SCM.
    fn scm_host(&self) -> Ipv4Addr {
        if self.apart { apart::BRIDGE } else { Ipv4Addr::LOCALHOST }
    }

    fn log_path(&self, server: Server) -> PathBuf {
        self.path(&format!("{server:?}.log"))
    }

    fn log(&self, server: Server) -> String {
        fs::read_to_string(self.log_path(server)).unwrap_or_default()
    }

    pub(crate) fn logs(&self) -> String {
        self.running.iter().map(|(server, _)| format!("\n--- {server:?}\n{}", self.log(*server))).collect()
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        for (_, child) in &mut self.running {
            // It may have ended by itself; either way it is gone after the wait.
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

/// Compiles the Java peer in `tests/interop-java/FOLDER`, if that was not done before; the class path to run it with.
pub(crate) fn java_class_path(folder: &str) -> String {
    let prepare = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/interop-java/prepare");
    let prepared = Command::new(prepare).arg(folder).output().expect("the script starts");
    let said = String::from_utf8_lossy(&prepared.stderr);
    assert!(
        prepared.status.success(),
        "the Java peer could not be prepared: {said}\n(Java and Maven come with './dev setup'; the jars from Maven Central)"
    );
    String::from_utf8(prepared.stdout).expect("paths are text")
}

/// The binary under test: the one that was built with the tests, or (a bench's) the one that `ALLOTROPE_BINARY` names.
fn binary() -> PathBuf {
    let built = option_env!("CARGO_BIN_EXE_allotrope").map(PathBuf::from);
    built
        .or_else(|| std::env::var_os("ALLOTROPE_BINARY").map(PathBuf::from))
        .expect("ALLOTROPE_BINARY names the binary: ./dev bench sets it")
}

fn role(server: Server) -> &'static str {
    match server {
        Server::Scm | Server::ScmNode(_) => "scm",
        Server::Om => "om",
        Server::S3g => "s3g",
        Server::Recon => "recon",
        Server::Datanode(_) => "datanode",
    }
}

/// Ports that were free a moment ago, all different, and of no other test in this process. They lie below those that the kernel
/// gives out itself, so that no connection and no server that takes any port has one before its own server listens.
fn free_ports(count: usize) -> Vec<u16> {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let first = std::process::id().wrapping_mul(7919);
    let mut held = Vec::new();
    while held.len() < count {
        let at = first.wrapping_add(NEXT.fetch_add(1, Ordering::Relaxed)) % 20_000;
        let port = 10_000 + u16::try_from(at).expect("below 20,000");
        held.extend(TcpListener::bind((Ipv4Addr::LOCALHOST, port)).ok());
    }
    held.iter().map(|listener| listener.local_addr().expect("it is bound").port()).collect()
}

fn wait_with_patience(mut child: Child, args: &[&str]) -> Output {
    let began = Instant::now();
    // Both pipes are drained on their own threads, so that a command that prints much cannot block on them.
    let drain = |pipe: Option<Box<dyn std::io::Read + Send>>| {
        std::thread::spawn(move || {
            let mut bytes = Vec::new();
            pipe.map(|mut pipe| pipe.read_to_end(&mut bytes)).transpose().expect("a pipe can be read");
            bytes
        })
    };
    let out = drain(child.stdout.take().map(|pipe| Box::new(pipe) as _));
    let err = drain(child.stderr.take().map(|pipe| Box::new(pipe) as _));
    let status = loop {
        if let Some(status) = child.try_wait().expect("a child can be asked") {
            break status;
        }
        if began.elapsed() > PATIENCE {
            let _ = child.kill();
            panic!("sh {args:?} hangs");
        }
        std::thread::sleep(Duration::from_millis(5));
    };
    Output { status, stdout: out.join().expect("drained"), stderr: err.join().expect("drained") }
}
