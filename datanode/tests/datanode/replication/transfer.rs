//! Our own transport: cut by something between the two datanodes, and mended.

use crate::ask::*;
use crate::replication::processes::{check, details, ended, fill, leftovers, replicate};
use crate::wire::{Client, Scm, config, running, wait_until};
use allotrope_datanode::replication::CopyLimits;
use allotrope_datanode::start_with;
use allotrope_proto::heartbeat::ReplicateContainerCommandProto;
use allotrope_proto::heartbeat::command_status::Status;
use allotrope_types::{ByteCount, DatanodeResult};
use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::time::Duration;

/// What stands between two datanodes.
struct Between {
    port: u16,
    /// Bytes that went to the target, and connections that were made.
    passed: Arc<AtomicU64>,
    connections: Arc<AtomicU64>,
    stop: Arc<AtomicBool>,
}

impl Between {
    /// Passes everything on to `target`, and cuts each connection after `cut` bytes. A connection that begins with
    /// `refused` is closed at once.
    fn new(target: SocketAddr, cut: u64, refused: &'static [u8]) -> Between {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let (passed, connections) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicU64::new(0)));
        let stop = Arc::new(AtomicBool::new(false));
        let (sum, count, ends) = (passed.clone(), connections.clone(), stop.clone());
        std::thread::spawn(move || {
            for from in listener.incoming() {
                if ends.load(Relaxed) {
                    return;
                }
                count.fetch_add(1, Relaxed);
                let (from, sum) = (from.unwrap(), sum.clone());
                std::thread::spawn(move || pass(from, target, cut, refused, &sum));
            }
        });
        Between { port, passed, connections, stop }
    }
}

impl Drop for Between {
    fn drop(&mut self) {
        self.stop.store(true, Relaxed);
        let _ = TcpStream::connect(("127.0.0.1", self.port));
    }
}

fn pass(mut from: TcpStream, target: SocketAddr, cut: u64, refused: &[u8], sum: &AtomicU64) {
    let mut buf = vec![0; 64 << 10];
    let mut len = from.read(&mut buf).unwrap_or(0);
    if len == 0 || !refused.is_empty() && buf.starts_with(refused) {
        return;
    }
    let mut to = TcpStream::connect(target).unwrap();
    let (mut back_from, mut back_to) = (to.try_clone().unwrap(), from.try_clone().unwrap());
    std::thread::spawn(move || {
        let _ = std::io::copy(&mut back_from, &mut back_to);
        let _ = back_to.shutdown(Shutdown::Write);
    });
    let mut left = cut;
    while len > 0 && left > 0 {
        let part = len.min(left as usize);
        if to.write_all(&buf[..part]).is_err() {
            break;
        }
        sum.fetch_add(part as u64, Relaxed);
        left -= part as u64;
        len = from.read(&mut buf).unwrap_or(0);
    }
    let _ = to.shutdown(if left == 0 { Shutdown::Both } else { Shutdown::Write });
    if left == 0 {
        let _ = from.shutdown(Shutdown::Both);
    }
}

#[test]
fn a_transfer_that_is_cut_goes_on_where_it_stopped() {
    let (here, there) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let ((source, client, scm), (target, copy, _)) = (running(here.path()), running(there.path()));
    let blocks = fill(&client, &source.id().to_string(), 9);
    let bytes: u64 = blocks.iter().map(|(_, whole)| whole.len() as u64).sum();
    let between = Between::new(target.replication_address(), 1_500_000, b"");
    let name = target.id().to_string();
    let to = details(&name, between.port, target.address().port());
    let command = ReplicateContainerCommandProto { container_id: 9, target: Some(to), ..Default::default() };
    scm.told(|told| told.commands.push(replicate(5, command)));
    assert_eq!(ended(&scm, 5), (Status::Executed, String::new()));
    check(&copy, &name, 9, &blocks);
    let (passed, connections) = (between.passed.load(Relaxed), between.connections.load(Relaxed));
    assert!(connections >= bytes / 1_500_000, "{connections} connections");
    // What had arrived was not sent again: headers, rows and what lay in the cut connections' buffers come on top.
    assert!(passed < bytes + bytes / 4 + (1 << 20), "{passed} bytes passed for {bytes}");
    assert_eq!(leftovers(there.path()), Vec::<String>::new());
    source.shutdown(Duration::from_secs(5));
    target.shutdown(Duration::from_secs(5));
}

#[test]
fn limits_change_while_copies_wait_and_run() {
    let (here, there) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let scm = Scm::default();
    let (link, mut config) = (scm.clone(), config(here.path()));
    let limits = |streams, bandwidth| {
        let bandwidth = ByteCount::new(bandwidth);
        CopyLimits { streams, waiting_max: 10, bandwidth, busy_bandwidth: ByteCount::ZERO }
    };
    config.replication.set_limits(&limits(1, 1_000_000));
    let source = start_with(config, move || vec![link]).unwrap();
    wait_until("the volumes to open", || source.is_open());
    let client = Client::of(source.address());
    let kept = [1, 2].map(|container| fill(&client, &source.id().to_string(), container));
    let (target, copy, _) = running(there.path());
    let between = Between::new(target.replication_address(), u64::MAX, b"");
    let name = target.id().to_string();
    for container_id in [1, 2] {
        let target = Some(details(&name, between.port, target.address().port()));
        let command = ReplicateContainerCommandProto { container_id, target, ..Default::default() };
        scm.told(|told| told.commands.push(replicate(container_id, command)));
    }
    let copies = || between.connections.load(Relaxed);
    wait_until("the first copy to begin", || copies() == 1);
    std::thread::sleep(Duration::from_millis(400));
    assert_eq!(copies(), 1, "one at a time");
    source.set_copy_limits(&limits(2, 1_000_000)).unwrap();
    wait_until("the second copy to begin", || copies() == 2);
    // Some 7 MB at 1 MB a second: the first one is still on its way.
    assert!(scm.told(|told| told.statuses.is_empty()));
    source.set_copy_limits(&limits(2, 0)).unwrap();
    for (container, blocks) in [1, 2].into_iter().zip(&kept) {
        assert_eq!(ended(&scm, container), (Status::Executed, String::new()));
        check(&copy, &name, container, blocks);
    }
    source.shutdown(Duration::from_secs(5));
    target.shutdown(Duration::from_secs(5));
}

#[test]
fn a_target_that_speaks_grpc_alone_is_sent_the_container_so() {
    let (here, there) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let ((source, client, scm), (target, copy, _)) = (running(here.path()), running(there.path()));
    let blocks = fill(&client, &source.id().to_string(), 9);
    let between = Between::new(target.replication_address(), u64::MAX, b"ALRC");
    let name = target.id().to_string();
    let to = details(&name, between.port, target.address().port());
    let command = ReplicateContainerCommandProto { container_id: 9, target: Some(to), ..Default::default() };
    scm.told(|told| told.commands.push(replicate(5, command.clone())));
    assert_eq!(ended(&scm, 5), (Status::Executed, String::new()));
    check(&copy, &name, 9, &blocks);
    assert_eq!(between.connections.load(Relaxed), 2);
    // It is remembered; and the refusal comes back with its reason.
    scm.told(|told| told.commands.push(replicate(6, command)));
    let (status, why) = ended(&scm, 6);
    assert!(status == Status::Failed && why.contains("already"), "{why}");
    assert_eq!(between.connections.load(Relaxed), 3);
    source.shutdown(Duration::from_secs(5));
    target.shutdown(Duration::from_secs(5));
}

#[test]
fn a_transfer_whose_sender_does_not_come_again_leaves_nothing() {
    let there = tempfile::tempdir().unwrap();
    let (target, copy, _) = running(there.path());
    let mut hello = b"ALRC\x01".to_vec();
    for number in [9u64, 1000, 4096] {
        hello.extend_from_slice(&number.to_be_bytes());
    }
    hello.extend_from_slice(&[7; 17]);
    hello[45] = 0;
    // Noise where an archive should be: refused at once, with the reason, and the same when it is asked for again.
    let talk = |resumes: u8| {
        let mut hello = hello.clone();
        hello[45] = resumes;
        let mut stream = TcpStream::connect(target.replication_address()).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        stream.write_all(&hello).unwrap();
        let _ = stream.write_all(&[0x5a; 4096]);
        let mut answers = Vec::new();
        let _ = stream.read_to_end(&mut answers);
        answers
    };
    let first = talk(0);
    assert_eq!(first[..7], *b"ALRC\x01\0\x01");
    let again = talk(1);
    assert!(
        String::from_utf8_lossy(&again).contains("header at byte 0"),
        "{}",
        String::from_utf8_lossy(&again)
    );
    assert_eq!(
        result(&copy.ask(read_container(&target.id().to_string(), 9))),
        DatanodeResult::ContainerNotFound
    );
    assert_eq!(leftovers(there.path()), Vec::<String>::new());
    target.shutdown(Duration::from_secs(5));
}
