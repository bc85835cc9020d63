//! What clients should not do, and a disk that goes away, over TCP and on a real disk: each harms itself alone.

use crate::ask::{self, *};
use crate::kill;
use crate::wire::{Client, Once, Scm, config, connect, running, wait_until};
use allotrope_datanode::start_with;
use allotrope_io::{Shard, ShardId};
use allotrope_proto::Rope;
use allotrope_proto::bulk::{grpc_message, weave};
use allotrope_types::{ByteCount, DatanodeResult};
use bytes::Bytes;
use hyper::body::{Body, Frame};
use std::collections::BTreeMap;
use std::convert::Infallible;
use std::io::Write;
use std::net::TcpStream;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

#[test]
fn a_message_of_33_mib_ends_its_stream_and_nobody_elses() {
    let root = tempfile::tempdir().unwrap();
    let (running, client, _) = running(root.path());
    let node = running.id().to_string();
    let mut frames = Rope::from(Bytes::from([&[0][..], &(33u32 << 20).to_be_bytes()].concat()));
    (0..33).for_each(|_| frames.push(bytes(1, 1 << 20)));
    // The answer comes before the whole message has been sent; the client may see either end first.
    if let Ok((answers, status)) = client.call(frames) {
        assert_eq!((answers.len(), status.as_str()), (0, "8"));
    }
    let data = bytes(2, 5000);
    client.expect(write_chunk(&node, id(1, 1), chunk(1, 0, &data), data.clone()));
    client.expect(put_block(&node, id(1, 1), vec![chunk(1, 0, &data)], true));
    running.shutdown(Duration::from_secs(5));
}

/// A body that begins a message and never goes on.
struct Stuck(Option<Bytes>);

impl Body for Stuck {
    type Data = Bytes;
    type Error = Infallible;
    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        self.0.take().map_or(Poll::Pending, |part| Poll::Ready(Some(Ok(Frame::data(part)))))
    }
}

#[test]
fn streams_left_open_hold_nobody_up() {
    let root = tempfile::tempdir().unwrap();
    let (running, client, _) = running(root.path());
    let (node, address) = (running.id().to_string(), running.address());
    let held = client.shards.run_on(ShardId(0), "held", move |shard| async move {
        let (mut sender, uri) = connect::<Stuck>(&shard, address).await.unwrap();
        let mut held = Vec::new();
        for n in 0..200 {
            let part = if n % 2 == 0 { None } else { Some(Bytes::from_static(b"\0\0\x10\0\0half")) };
            let request = hyper::Request::post(&uri).header("content-type", "application/grpc");
            sender.ready().await.unwrap();
            held.push(sender.send_request(request.body(Stuck(part)).unwrap()));
        }
        shard.spawn("held", async move { futures_util::future::join_all(held).await });
    });
    held.unwrap().wait().unwrap();
    let data = bytes(3, 200_000);
    for local in 1..20 {
        client.expect(write_chunk(&node, id(1, local), chunk(local, 0, &data), data.clone()));
        client.expect(put_block(&node, id(1, local), vec![chunk(local, 0, &data)], true));
        assert!(ask::data(&client.expect(read_chunk(&node, id(1, local), 0, 200_000))) == data);
    }
    running.shutdown(Duration::from_secs(5));
}

/// Asks for `count` reads on one connection and takes nothing of any answer.
async fn never_read(shard: &Shard, address: std::net::SocketAddr, asked: Vec<Rope>) {
    let (mut sender, uri) = connect::<Once>(shard, address).await.unwrap();
    let mut held = Vec::new();
    for frames in asked {
        let request = hyper::Request::post(&uri).header("content-type", "application/grpc");
        sender.ready().await.unwrap();
        let body = Once(frames.into_iter().collect::<Vec<_>>().into_iter());
        held.push(sender.send_request(request.body(body).unwrap()));
    }
    // The heads are taken, the bodies are not.
    drop(shard.spawn("held", async move {
        let bodies = futures_util::future::join_all(held).await;
        std::future::pending::<()>().await;
        drop(bodies);
    }));
}

#[test]
fn clients_that_never_read_are_cut_off_and_others_are_served() {
    let root = tempfile::tempdir().unwrap();
    let mut config = config(root.path());
    // Less than what is asked for, so that the pool is theirs if they are let.
    (config.shards, config.memory_per_shard) = (1, ByteCount::mib(16));
    config.reader_wait = Duration::from_secs(2);
    let running = start_with(config, || vec![Scm::default()]).unwrap();
    wait_until("the volumes to open", || running.is_open());
    let (client, node, address) =
        (Client::of(running.address()), running.id().to_string(), running.address());
    let data = bytes(4, 1 << 20);
    client.expect(write_chunk(&node, id(1, 1), chunk(1, 0, &data), data.clone()));
    client.expect(put_block(&node, id(1, 1), vec![chunk(1, 0, &data)], true));
    let asked: Vec<Rope> =
        (0..64).map(|_| grpc_message(weave(read_chunk(&node, id(1, 1), 0, 1 << 20)))).collect();
    let held = client.shards.run_on(ShardId(0), "held", move |shard| async move {
        never_read(&shard, address, asked).await;
    });
    held.unwrap().wait().unwrap();
    std::thread::sleep(Duration::from_millis(300));
    // Writes have their own half of the buffers; reads get theirs once the others are cut off.
    for local in 2..10 {
        client.expect(write_chunk(&node, id(1, local), chunk(local, 0, &data), data.clone()));
        client.expect(put_block(&node, id(1, local), vec![chunk(local, 0, &data)], true));
    }
    for local in 1..10 {
        assert!(ask::data(&client.expect(read_chunk(&node, id(1, local), 0, 1 << 20))) == data);
    }
    running.shutdown(Duration::from_secs(5));
}

#[test]
fn ten_thousand_connections_leave_the_others_served() {
    let root = tempfile::tempdir().unwrap();
    let (mut child, client, node) = kill::start(root.path());
    let data = bytes(5, 50_000);
    client.expect(write_chunk(&node, id(1, 1), chunk(1, 0, &data), data.clone()));
    client.expect(put_block(&node, id(1, 1), vec![chunk(1, 0, &data)], true));
    let idle: Vec<TcpStream> = (0..10_000)
        .map(|n| {
            let mut stream = TcpStream::connect(client.address).unwrap();
            // Half of them begin to speak HTTP/2; a server at its limit closes at once, which is its right.
            if n % 2 == 0 {
                drop(stream.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0"));
            }
            stream
        })
        .collect();
    assert!(ask::data(&client.expect(read_chunk(&node, id(1, 1), 0, 50_000))) == data);
    drop(idle);
    wait_until("new connections to be served", || {
        client.try_ask(read_chunk(&node, id(1, 1), 0, 50_000)).is_ok_and(|read| ask::data(&read) == data)
    });
    child.kill().unwrap();
    child.wait().unwrap();
}

#[test]
fn a_disk_pulled_under_load_costs_only_what_lay_on_it() {
    let root = tempfile::tempdir().unwrap();
    let (running, client, _) = running(root.path());
    let node = running.id().to_string();
    let pulled = root.path().join("disk2");
    let put = |container: i64, local: i64| {
        let data = bytes(local as u64, 30_000);
        let one = chunk(local, 0, &data);
        let written = client.ask(write_chunk(&node, id(container, local), one.clone(), data));
        ask::result(&written) == DatanodeResult::Success
            && ask::result(&client.ask(put_block(&node, id(container, local), vec![one], true)))
                == DatanodeResult::Success
    };
    let lies_on_it = |container: i64| {
        let answer = client.expect(read_container(&node, container)).message.read_container.unwrap();
        answer.container_data.unwrap().container_path.unwrap().contains("disk2")
    };
    let mut told = BTreeMap::new();
    for n in 0..30 {
        assert!(put(1 + n % 6, n));
        told.insert(n, 1 + n % 6);
    }
    let on_it: Vec<i64> = (1..=6).filter(|container| lies_on_it(*container)).collect();
    assert!((1..6).contains(&on_it.len()), "the containers lie on both disks: {on_it:?}");
    std::fs::remove_dir_all(&pulled).unwrap();
    for n in 30..60 {
        if put(1 + n % 6, n) {
            told.insert(n, 1 + n % 6);
        }
    }
    for (&n, &container) in &told {
        let read = client.ask(read_chunk(&node, id(container, n), 0, 30_000));
        match ask::result(&read) == DatanodeResult::Success {
            true => assert!(ask::data(&read) == bytes(n as u64, 30_000), "block {n} has other bytes"),
            false => assert!(on_it.contains(&container), "block {n} is lost, and lay on the other disk"),
        }
    }
    // New containers go to the disk that is left, and nothing grows where the other was.
    for container in 100..104 {
        assert!(put(container, 1), "container {container}");
        assert!(!lies_on_it(container));
    }
    assert!(!pulled.join("hdds").join(crate::world::CLUSTER).exists());
    running.shutdown(Duration::from_secs(5));
}
