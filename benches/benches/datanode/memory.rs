//! Memory after a mixed load and with idle connections, and how long a start takes with many containers.

use crate::child::{DISK, How, Server};
use crate::client::{Client, id, payload};
use crate::report::{Aim, Report};
use crate::writes::{CHUNK, GIB, remove, write};
use crate::{Effort, clean, roles, scratch};
use allotrope_datanode::format::container_file::ContainerFile;
use allotrope_datanode::format::layout::VolumePaths;
use allotrope_datanode::format::volume_version::VolumeVersion;
use allotrope_types::{ByteCount, ContainerId, ReplicaState};
use std::collections::BTreeMap;
use std::net::TcpStream;
use std::path::Path;
use std::time::{Duration, Instant};

const MIB: f64 = 1024.0 * 1024.0;
/// Metadata that is kept in memory: the cache, and what RocksDB has not sorted into files yet.
const METADATA: f64 = 64.0 + 64.0;

/// Makes `count` closed, empty containers in the volume that a datanode has formatted in `dir`.
fn make_containers(dir: &Path, node: &str, count: u64) {
    let root = roles::config(dir).volumes[0].clone();
    let version =
        VolumeVersion::decode(&std::fs::read_to_string(VolumePaths::version(&root)).unwrap()).unwrap();
    let paths = VolumePaths::new(&root, &version.cluster_id, &version.volume.storage_id());
    for n in 1..=count {
        let at = paths.container(ContainerId::new(n));
        std::fs::create_dir_all(at.chunks()).unwrap();
        std::fs::create_dir_all(at.metadata()).unwrap();
        let text = |path: std::path::PathBuf| path.to_string_lossy().into_owned();
        let file = ContainerFile {
            id: ContainerId::new(n),
            state: ReplicaState::Closed,
            size_max: ByteCount::gib(5),
            replica: None,
            origin_node: node.to_owned(),
            origin_pipeline: String::new(),
            metadata: BTreeMap::new(),
            chunks_path: text(at.chunks()),
            metadata_path: text(at.metadata()),
            data_scan_ms: None,
        };
        std::fs::write(at.container_file(), file.encode()).unwrap();
    }
}

pub(crate) fn measure_start(report: &mut Report, _: Effort) {
    report.section(
        "Start",
        "From the start of the process until clients are served, volumes open and all containers loaded, the folders in the page \
         cache; the second start, as the first adds the containers to the list of all that were ever here.",
        "containers | seconds | aim | RSS MiB",
    );
    for (count, aim) in [(0, None), (10_000, Some(1.0)), (100_000, Some(10.0))] {
        let dir = scratch("start");
        let node = Server::datanode(&dir, DISK).node.clone();
        make_containers(&dir, &node, count);
        drop(Server::datanode(&dir, DISK));
        let server = Server::datanode(&dir, DISK);
        let seconds = server.took.as_secs_f64();
        report.row(&[
            count.to_string(),
            format!("{seconds:.2}"),
            aim.map_or("–".into(), |aim| Aim::AtMost(aim).judge(seconds)),
            format!("{:.0}", server.memory().0),
        ]);
        drop(server);
        clean("start");
    }
}

/// Small files and reads of them, until `end`; operations.
fn mix(client: &Client, server: &Server, first: i64, time: Duration) -> u64 {
    let (data, chunk) = payload(4 << 10);
    let end = Instant::now() + time;
    let done = client.streams((server.address, &server.node), 16, move |_, mut connection, n| {
        let (data, chunk) = (data.clone(), chunk.clone());
        async move {
            let mut done = 0;
            while Instant::now() < end {
                let block = id(first + n as i64, 1 + done);
                connection.ask(connection.put_small(block, chunk.clone(), data.clone())).await;
                connection.ask(connection.get_small(block)).await;
                done += 1;
            }
            done
        }
    });
    done.into_iter().sum::<i64>() as u64
}

/// A mixed load of `lasts`, or of 200 GiB, and idle connections.
pub(crate) fn measure_load(report: &mut Report, lasts: Duration) {
    let how = How { memory: 64 << 20, ..DISK };
    report.section(
        "Memory",
        "Resident memory of the datanode with 64 MiB of buffers, 32 MiB for answers that are given again, 64 MiB of metadata cache \
         and 64 MiB of unsorted metadata: after a mixed load (8 streams of 1 MiB chunks, then 16 of small files that are put and read, in turns, containers deleted \
         again), and with 1,000 idle connections besides. The aim is 64 MiB on top of what is configured.",
        "when | RSS MiB | the most so far | aim",
    );
    let dir = scratch("soak");
    let (client, server) = (Client::new(), Server::datanode(&dir, how));
    let configured = (how.memory + how.read_cache) as f64 / MIB + METADATA;
    let row = |report: &mut Report, when: String| {
        let (now, most) = server.memory();
        let aim = Aim::AtMost(configured + 64.0).judge(now);
        report.row(&[when, format!("{now:.0}"), format!("{most:.0}"), aim]);
    };
    row(report, "started".into());
    let (began, mut bytes, mut files) = (Instant::now(), 0, 0);
    let mut first = 1000;
    while began.elapsed() < lasts && (bytes as f64) < 200.0 * GIB {
        bytes += write(&client, &server, 8, first, Duration::from_secs(2));
        remove(&client, &server, 8, first);
        files += mix(&client, &server, first + 100, Duration::from_secs(2));
        remove(&client, &server, 16, first + 100);
        first += 1000;
    }
    let loaded = format!(
        "after {:.1} minutes, {:.1} GiB in chunks of {}, {files} small files",
        began.elapsed().as_secs_f64() / 60.0,
        bytes as f64 / GIB,
        ByteCount::new(CHUNK as u64)
    );
    row(report, loaded);
    let idle: Vec<TcpStream> = (0..1000)
        .map(|_| {
            let mut stream = TcpStream::connect(server.address).unwrap();
            // HTTP/2's preface and an empty SETTINGS frame.
            std::io::Write::write_all(&mut stream, b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0")
                .unwrap();
            stream
        })
        .collect();
    std::thread::sleep(Duration::from_secs(3));
    row(report, format!("with {} idle connections", idle.len()));
    drop(server);
    clean("soak");
}
