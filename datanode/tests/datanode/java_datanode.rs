//! A datanode of Ozone's as a process of its own: it and ours give each other containers, pushed and pulled.

use crate::replication::processes::{check, details, ended, fill, leftovers, replicate};
use crate::wire::{Client, Scm, Told, running};
use allotrope_proto::hadoop_rpc::{HadoopServer, HadoopServerConfig};
use allotrope_proto::hdds::DatanodeDetailsProto;
use allotrope_proto::heartbeat::command_status::Status;
use allotrope_proto::heartbeat::{
    ReplicateContainerCommandProto, ScmCommandProto, ScmDatanodeRequest, ScmDatanodeResponse,
};
use allotrope_proto::net::{AcceptLimits, Drain, Plain};
use allotrope_proto::rpc::{CallContext, Fault, Methods, Service, catalog::DatanodeHeartbeat};
use std::fs::File;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::oneshot;

/// Containers of this state are reported as CLOSED.
const CLOSED: i32 = 4;

impl Service<DatanodeHeartbeat> for Scm {
    async fn call(&self, _: CallContext, request: ScmDatanodeRequest) -> Result<ScmDatanodeResponse, Fault> {
        Ok(self.answer(request))
    }
}

/// Serves `scm` over Hadoop RPC until the sender is dropped.
fn over_hadoop_rpc(scm: &Scm) -> (SocketAddr, oneshot::Sender<()>) {
    let methods = Methods::new().serve::<DatanodeHeartbeat, _>(&Arc::new(scm.clone())).unwrap();
    let server = HadoopServer::new(HadoopServerConfig::default(), Arc::new(methods)).unwrap();
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    listener.set_nonblocking(true).unwrap();
    let (stop, stopped) = oneshot::channel();
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async move {
            let (listener, drain) = (tokio::net::TcpListener::from_std(listener).unwrap(), Drain::new());
            let serving = server.serve(listener, Plain, AcceptLimits::default(), &drain);
            futures_util::future::select(std::pin::pin!(serving), stopped).await;
        });
    });
    (address, stop)
}

/// Ozone's datanode, with an SCM that does as the test says.
struct Ozones {
    _process: Process,
    log: PathBuf,
    scm: Scm,
    client: Client,
    node: String,
    replication: u16,
    standalone: u16,
    _scm_runs: oneshot::Sender<()>,
}

impl Ozones {
    fn start(root: &Path) -> Ozones {
        let scm = Scm::default();
        let (address, scm_runs) = over_hadoop_rpc(&scm);
        let prepare = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../tests/interop-java/prepare");
        let prepared = Command::new(prepare).arg("datanode").output().unwrap();
        let said = String::from_utf8_lossy(&prepared.stderr);
        assert!(
            prepared.status.success(),
            "Ozone's datanode could not be prepared: {said}\n(Java and Maven come with './dev setup'; the jars from Maven Central)"
        );
        let folder = |name: &str| {
            let folder = root.join(name);
            std::fs::create_dir_all(&folder).unwrap();
            folder.display().to_string()
        };
        let log = root.join("log");
        let settings = [
            ("ozone.scm.names", address.to_string()),
            ("ozone.metadata.dirs", folder("meta")),
            ("ozone.scm.datanode.id.dir", folder("meta")),
            ("hdds.datanode.dir", folder("disk")),
            ("hdds.container.ratis.datanode.storage.dir", folder("ratis")),
        ];
        let open = ["java.base/java.nio", "java.base/java.lang"];
        let process = Command::new("java")
            .args([
                "-Xmx512m",
                "-XX:TieredStopAtLevel=1",
                "-XX:+UseSerialGC",
                "-Djava.net.preferIPv4Stack=true",
            ])
            .args(
                open.iter().flat_map(|package| ["--add-opens".to_owned(), format!("{package}=ALL-UNNAMED")]),
            )
            .args(["-cp", &String::from_utf8(prepared.stdout).unwrap()])
            .arg("org.apache.hadoop.ozone.HddsDatanodeService")
            .args(settings.iter().flat_map(|(name, value)| ["-D".to_owned(), format!("{name}={value}")]))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(File::create(&log).unwrap())
            .spawn()
            .unwrap();
        let process = Process(process);
        let registered = || scm.told(|told| told.details.clone());
        let said = || std::fs::read_to_string(&log).unwrap();
        let details =
            eventually(Duration::from_secs(120), registered).unwrap_or_else(|| panic!("{}", said()));
        let (replication, standalone) = (port(&details, "REPLICATION"), port(&details, "STANDALONE"));
        let client = Client::of(([127, 0, 0, 1], standalone).into());
        let node = details.uuid.clone().unwrap();
        Ozones { _process: process, log, scm, client, node, replication, standalone, _scm_runs: scm_runs }
    }

    fn details(&self) -> DatanodeDetailsProto {
        details(&self.node, self.replication, self.standalone)
    }

    fn log(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap()
    }
}

/// A process that is ended when this is dropped.
struct Process(Child);

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// What `look` finds within `time`.
fn eventually<T>(time: Duration, look: impl Fn() -> Option<T>) -> Option<T> {
    let began = Instant::now();
    loop {
        match look() {
            None if began.elapsed() < time => std::thread::sleep(Duration::from_millis(50)),
            found => return found,
        }
    }
}

fn port(details: &DatanodeDetailsProto, name: &str) -> u16 {
    let port = details.ports.iter().find(|port| port.name == name);
    port.unwrap_or_else(|| panic!("no port {name} in {details:?}")).value.try_into().unwrap()
}

fn push(cmd_id: i64, container_id: i64, target: DatanodeDetailsProto) -> ScmCommandProto {
    let target = Some(target);
    replicate(cmd_id, ReplicateContainerCommandProto { container_id, target, ..Default::default() })
}

fn pull(cmd_id: i64, container_id: i64, source: DatanodeDetailsProto) -> ScmCommandProto {
    let sources = vec![source];
    replicate(cmd_id, ReplicateContainerCommandProto { container_id, sources, ..Default::default() })
}

/// Waits until the datanode of this SCM has told of a closed container.
fn comes(scm: &Scm, container: i64, log: impl Fn() -> String) {
    let closed = |told: &mut Told| {
        told.reported.iter().any(|one| one.container_id == container && one.state == CLOSED).then_some(())
    };
    let came = eventually(Duration::from_secs(30), || scm.told(closed));
    came.unwrap_or_else(|| panic!("container {container} does not come\n{}", log()));
}

#[test]
fn ozones_datanode_and_ours_give_each_other_containers() {
    let (here, there) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let theirs = Ozones::start(there.path());
    let (ours, client, scm) = running(here.path());
    let node = ours.id().to_string();
    let our_details = || details(&node, ours.replication_address().port(), ours.address().port());

    // From Ozone's to ours: pushed by Ozone's, and pulled by ours.
    let (first, second) = (fill(&theirs.client, &theirs.node, 1), fill(&theirs.client, &theirs.node, 2));
    theirs.scm.told(|told| told.commands.push(push(1, 1, our_details())));
    comes(&scm, 1, || theirs.log());
    check(&client, &node, 1, &first);
    scm.told(|told| told.commands.push(pull(2, 2, theirs.details())));
    assert_eq!(ended(&scm, 2), (Status::Executed, String::new()), "{}", theirs.log());
    check(&client, &node, 2, &second);

    // From ours to Ozone's: pushed by ours, and pulled by Ozone's.
    let (third, fourth) = (fill(&client, &node, 3), fill(&client, &node, 4));
    scm.told(|told| told.commands.push(push(3, 3, theirs.details())));
    assert_eq!(ended(&scm, 3), (Status::Executed, String::new()), "{}", theirs.log());
    check(&theirs.client, &theirs.node, 3, &third);
    theirs.scm.told(|told| told.commands.push(pull(4, 4, our_details())));
    comes(&theirs.scm, 4, || theirs.log());
    check(&theirs.client, &theirs.node, 4, &fourth);

    // Who has a container refuses it, on both sides.
    scm.told(|told| told.commands.push(push(5, 1, theirs.details())));
    let (status, why) = ended(&scm, 5);
    assert!(status == Status::Failed && why.contains(&theirs.node), "{why}");
    assert_eq!(leftovers(here.path()), Vec::<String>::new());
    ours.shutdown(Duration::from_secs(5));
}
