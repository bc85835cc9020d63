//! Several OMs of one service, as real processes: they elect, hand over, lose one, and take another in.
#![allow(clippy::unwrap_used, reason = "a helper that fails fails its test")]
#![allow(clippy::disallowed_methods, reason = "tests of real processes use real files, clocks and sleeps")]

use std::fs::{self, File};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use allotrope_client::{Address, Client, Config, KeyPath, PutOptions};

const PATIENCE: Duration = Duration::from_secs(60);

/// An SCM and some OMs, ended when this is dropped.
struct Service {
    dir: tempfile::TempDir,
    /// SCM's three ports, then each OM's Hadoop RPC, gRPC and consensus.
    ports: Vec<u16>,
    names: Vec<&'static str>,
    scm: Option<Child>,
    oms: Vec<Option<Child>>,
}

impl Service {
    fn start() -> Service {
        let held: Vec<TcpListener> =
            (0..15).map(|_| TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap()).collect();
        let ports = held.iter().map(|listener| listener.local_addr().unwrap().port()).collect();
        drop(held);
        let dir = tempfile::tempdir().unwrap();
        let mut service =
            Service { dir, ports, names: vec!["om1", "om2", "om3"], scm: None, oms: Vec::new() };
        let made = service.command(&["scm", "--init"], "scm").output().unwrap();
        assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
        service.scm = Some(service.spawn(&["scm"], "scm", service.ports[2]));
        for number in 0..3 {
            let om = service.run_om(number, &[]);
            service.oms.push(Some(om));
        }
        service
    }

    fn command(&self, words: &[&str], name: &str) -> Command {
        let folder = self.dir.path().join(name);
        fs::create_dir_all(&folder).unwrap();
        let p = &self.ports;
        let mut settings = vec![
            format!("ozone.metadata.dirs={}", folder.display()),
            format!("ozone.scm.client.address=127.0.0.1:{}", p[0]),
            format!("ozone.scm.datanode.address=127.0.0.1:{}", p[1]),
            format!("ozone.scm.block.client.address=127.0.0.1:{}", p[2]),
            "hdds.scm.safemode.min.datanode=1".to_owned(),
            "ozone.om.service.ids=service1".to_owned(),
            "ozone.om.http-address=127.0.0.1:0".to_owned(),
            "ozone.scm.http-address=127.0.0.1:0".to_owned(),
            format!("ozone.om.nodes.service1={}", self.names.join(",")),
        ];
        for (number, om) in self.names.iter().enumerate() {
            let at = 3 + 3 * number;
            settings.push(format!("ozone.om.address.service1.{om}=127.0.0.1:{}", p[at]));
            settings.push(format!("ozone.om.grpc.port.service1.{om}={}", p[at + 1]));
            settings.push(format!("ozone.om.ratis.port.service1.{om}={}", p[at + 2]));
        }
        if self.names.contains(&name) {
            settings.push(format!("ozone.om.node.id={name}"));
        }
        let mut command = Command::new(env!("CARGO_BIN_EXE_allotrope"));
        command.args(words).args(settings.iter().map(|setting| format!("--set={setting}")));
        command.env_remove("RUST_LOG").stdin(Stdio::null());
        command
    }

    fn spawn(&self, words: &[&str], name: &str, port: u16) -> Child {
        let log = File::options()
            .create(true)
            .append(true)
            .open(self.dir.path().join(format!("{name}.log")))
            .unwrap();
        let mut command = self.command(words, name);
        let mut child = command.stdout(log.try_clone().unwrap()).stderr(log).spawn().unwrap();
        let began = Instant::now();
        while TcpStream::connect((Ipv4Addr::LOCALHOST, port)).is_err() {
            let ended = child.try_wait().unwrap();
            assert!(ended.is_none() && began.elapsed() < PATIENCE, "{name}: {ended:?}\n{}", self.log(name));
            std::thread::sleep(Duration::from_millis(20));
        }
        child
    }

    fn run_om(&self, number: usize, more: &[&str]) -> Child {
        let words: Vec<&str> = ["om"].into_iter().chain(more.iter().copied()).collect();
        self.spawn(&words, self.names[number], self.ports[3 + 3 * number])
    }

    /// A datanode, which the one test that writes keys needs.
    fn run_datanode(&self) -> Ended {
        let held = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let port = held.local_addr().unwrap().port();
        drop(held);
        let data = self.dir.path().join("data");
        fs::create_dir_all(&data).unwrap();
        let settings = [
            format!("--set=hdds.datanode.dir={}", data.display()),
            format!("--set=hdds.container.ipc.port={port}"),
            "--set=hdds.datanode.replication.port=0".to_owned(),
            "--set=hdds.container.ratis.ipc.port=0".to_owned(),
            "--set=hdds.container.ratis.admin.port=0".to_owned(),
            "--set=hdds.datanode.http-address=127.0.0.1:0".to_owned(),
            "--set=allotrope.datanode.address=127.0.0.1".to_owned(),
            "--set=allotrope.datanode.shards=1".to_owned(),
            "--set=allotrope.datanode.memory=32MB".to_owned(),
            "--set=hdds.datanode.volume.min.free.space=16MB".to_owned(),
            "--set=hdds.heartbeat.interval=1s".to_owned(),
        ];
        let words: Vec<&str> = ["datanode"].into_iter().chain(settings.iter().map(String::as_str)).collect();
        Ended(self.spawn(&words, "datanode", port))
    }

    fn log(&self, name: &str) -> String {
        fs::read_to_string(self.dir.path().join(format!("{name}.log"))).unwrap_or_default()
    }

    fn try_run(&self, words: &[&str]) -> Output {
        self.command(words, "client").output().unwrap()
    }

    /// Runs a command until it succeeds and its output satisfies `wanted`: elections take a while.
    fn eventually(&self, words: &[&str], wanted: impl Fn(&str) -> bool) -> String {
        let began = Instant::now();
        loop {
            let output = self.try_run(words);
            let text = String::from_utf8_lossy(&output.stdout).into_owned();
            if output.status.success() && wanted(&text) {
                return text;
            }
            let error = String::from_utf8_lossy(&output.stderr).into_owned();
            assert!(began.elapsed() < PATIENCE, "{words:?}: {text}{error}\n{}", self.log("om1"));
            std::thread::sleep(Duration::from_millis(200));
        }
    }

    /// Which OM leads.
    fn leader(&self) -> usize {
        let text = self.eventually(&["admin", "om", "roles"], |text| text.contains("LEADER"));
        let line = text.lines().find(|line| line.contains("LEADER")).unwrap();
        self.names.iter().position(|name| line.starts_with(name)).unwrap()
    }

    fn kill(&mut self, number: usize) {
        let mut child = self.oms[number].take().unwrap();
        child.kill().unwrap();
        child.wait().unwrap();
    }
}

/// A process that ends with its owner.
struct Ended(Child);

impl Drop for Ended {
    fn drop(&mut self) {
        // It may have ended by itself; either way it is gone after the wait.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        for child in self.oms.iter_mut().flatten().chain(&mut self.scm) {
            // It may have ended by itself; either way it is gone after the wait.
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

#[test]
fn oms_elect_hand_over_lose_one_and_take_another_in() {
    let mut service = Service::start();
    service.eventually(&["sh", "volume", "create", "/vol1"], |_| true);
    // Leadership goes where it is told to, and the namespace with it.
    let before = service.leader();
    let to = service.names[(before + 1) % 3];
    service.eventually(&["admin", "om", "transfer", "--to", to], |_| true);
    assert_eq!(service.names[service.leader()], to);
    service.eventually(&["sh", "volume", "create", "/vol2"], |_| true);
    // The leader dies: another takes over with everything that was acknowledged.
    let leader = service.leader();
    service.kill(leader);
    service.eventually(&["sh", "volume", "list"], |text| text.contains("vol1") && text.contains("vol2"));
    service.eventually(&["sh", "volume", "create", "/vol3"], |_| true);
    service.oms[leader] = Some(service.run_om(leader, &[]));
    // A fourth joins once all know of it.
    for number in 0..3 {
        service.kill(number);
    }
    service.names.push("om4");
    for number in 0..3 {
        service.oms[number] = Some(service.run_om(number, &[]));
    }
    service.eventually(&["sh", "volume", "list"], |text| text.contains("vol3"));
    let fourth = service.run_om(3, &["--bootstrap"]);
    service.oms.push(Some(fourth));
    let began = Instant::now();
    while !service.log("om4").contains("this OM is a member of the service") {
        assert!(began.elapsed() < PATIENCE, "{}", service.log("om4"));
        std::thread::sleep(Duration::from_millis(100));
    }
    service.eventually(&["admin", "om", "transfer", "--to", "om4"], |_| true);
    assert_eq!(service.leader(), 3);
    service.eventually(&["sh", "volume", "list"], |text| text.contains("vol3"));
    // Prepared for an upgrade it takes no writes, whoever leads, until that is cancelled.
    service.eventually(&["admin", "om", "prepare"], |text| text.contains("takes no writes"));
    let refused = service.try_run(&["sh", "volume", "create", "/vol4"]);
    assert!(!refused.status.success());
    service.eventually(&["admin", "om", "prepare", "--status"], |text| {
        text.lines().count() == 4 && text.lines().all(|line| line.contains("PREPARE_COMPLETED"))
    });
    service.eventually(&["admin", "om", "prepare", "--cancel"], |_| true);
    service.eventually(&["sh", "volume", "create", "/vol4"], |_| true);
}

#[test]
fn a_key_that_is_being_written_outlives_the_om_that_led() {
    let mut service = Service::start();
    let _datanode = service.run_datanode();
    service.eventually(&["sh", "volume", "create", "/vol1"], |_| true);
    let kept = ["--type", "STAND_ALONE", "--replication", "ONE"];
    service.eventually(&[&["sh", "bucket", "create", "/vol1/one"][..], &kept].concat(), |_| true);
    let warm = service.dir.path().join("warm");
    fs::write(&warm, "SCM has left safe mode").unwrap();
    service.eventually(&["sh", "key", "put", "/vol1/one/warm", warm.to_str().unwrap()], |_| true);

    let om = (0..3).map(|number| Address::new("127.0.0.1", service.ports[3 + 3 * number + 1])).collect();
    let config = Config { om, user: "root".to_owned(), ..Config::at("127.0.0.1", 1) };
    let data: Vec<u8> = (0..9_000_000u32).map(|x| (x ^ (x >> 9)) as u8).collect();
    let (before, after) = data.split_at(5_000_000);
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(async {
        let client = Client::new(config).unwrap();
        // The leader dies once within the write, and once right before the commit.
        for round in 0..2 {
            let key: KeyPath = format!("/vol1/one/key{round}").parse().unwrap();
            let mut writer = client.write_key(&key, PutOptions::default()).await.unwrap();
            writer.write(bytes::Bytes::copy_from_slice(before)).await.unwrap();
            let leader = tokio::task::block_in_place(|| service.leader());
            if round == 0 {
                service.kill(leader);
            }
            writer.write(bytes::Bytes::copy_from_slice(after)).await.unwrap();
            if round == 1 {
                service.kill(leader);
            }
            writer.finish().await.unwrap();
            let read = client.read_key(&key).await.unwrap().read_all().await.unwrap();
            assert!(read == data, "round {round}");
            service.oms[leader] = Some(tokio::task::block_in_place(|| service.run_om(leader, &[])));
        }
    });
}

#[test]
fn init_writes_down_the_cluster_and_ends() {
    let service = Service::start();
    let made = service.command(&["om", "--init"], "om3").output().unwrap();
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    let said = String::from_utf8_lossy(&made.stdout).into_owned();
    let again = service.command(&["om", "--init"], "om3").output().unwrap();
    assert_eq!(said, String::from_utf8_lossy(&again.stdout), "the identity stays");
    assert!(service.dir.path().join("om3/om/VERSION").exists(), "{said}");
}
