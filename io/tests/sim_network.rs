//! The in-memory network: TCP and HTTP/2 between simulated shards, repeatable from a seed.
#![allow(clippy::unwrap_used, reason = "tests")]

use allotrope_io::{
    AlignedBuf, BulkConfig, BulkError, OpenHow, Shard, ShardId, ShardTimer, Sim, SimConfig, TcpStream,
};
use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::service::service_fn;
use hyper::{Request, Response};
use std::convert::Infallible;
use std::io::{ErrorKind, IoSlice};
use std::net::SocketAddr;
use std::time::Duration;

const ANY: ([u8; 4], u16) = ([127, 0, 0, 1], 0);

/// Runs one task on shard 0 of `sim` to its end.
fn on_shard<T: Send + 'static, F: Future<Output = T> + 'static>(
    sim: &Sim,
    make: impl FnOnce(Shard) -> F + Send + 'static,
) -> T {
    let task = sim.shards().run_on(ShardId(0), "test", make).unwrap();
    sim.run(task).expect("the test's task panicked")
}

async fn pair(shard: &Shard) -> (TcpStream, TcpStream) {
    let listener = shard.listen(SocketAddr::from(ANY)).unwrap();
    let (here, there) =
        futures_util::future::join(shard.connect(listener.local_addr()), listener.accept()).await;
    (here.unwrap(), there.unwrap())
}

async fn echo(mut stream: TcpStream) {
    let mut buf = vec![0; 3000];
    while let Ok(n) = stream.read(&mut buf).await
        && n > 0
    {
        stream.write_all(&buf[..n]).await.unwrap();
    }
}

/// Two shards listen on one address and echo; four clients of a third talk to them.
fn talk(seed: u64) -> Sim {
    let sim = Sim::new(SimConfig { record: true, ..SimConfig::seeded(seed, 3) });
    let shards = sim.shards();
    let addr = SocketAddr::from(([127, 0, 0, 1], 9859));
    for id in [ShardId(0), ShardId(1)] {
        drop(shards.run_on(id, "serve", move |shard| async move {
            let listener = shard.listen(addr).unwrap();
            loop {
                let stream = listener.accept().await.unwrap();
                drop(shard.spawn("echo", echo(stream)));
            }
        }));
    }
    let clients = shards.run_on(ShardId(2), "clients", move |shard| async move {
        // The listeners are there first.
        shard.clock().sleep(Duration::from_millis(1)).await;
        let clients = (0..4u8).map(|n| {
            let shard = shard.clone();
            async move {
                let mut stream = shard.connect(addr).await.unwrap();
                for len in [1usize, 700, 40_000] {
                    let sent = vec![n + 1; len];
                    stream
                        .write_all_vectored(&mut [IoSlice::new(&sent), IoSlice::new(b"end")])
                        .await
                        .unwrap();
                    let mut got = vec![0; len + 3];
                    stream.read_exact(&mut got).await.unwrap();
                    assert!(got[..len] == sent[..] && got[len..] == *b"end");
                }
            }
        });
        futures_util::future::join_all(clients).await;
    });
    sim.run(async move { clients.unwrap().await.unwrap() });
    sim
}

#[test]
fn the_same_seed_gives_the_same_conversation_byte_for_byte() {
    let (first, again, other) = (talk(5), talk(5), talk(6));
    assert!(first.trace().lines().filter(|line| line.contains("send")).count() > 20, "{}", first.trace());
    assert!(first.trace() == again.trace());
    assert!(first.trace() != other.trace());
}

#[test]
fn bytes_arrive_whole_and_in_order_for_every_seed() {
    for seed in 0..50 {
        let sim = Sim::new(SimConfig::seeded(seed, 1));
        on_shard(&sim, |shard| async move {
            let (mut here, mut there) = pair(&shard).await;
            let sent: Vec<u8> = (0..700_000u32).map(|n| (n % 251) as u8).collect();
            let mut got = vec![0; sent.len()];
            let send = async {
                here.write_all(&sent).await.unwrap();
                here.shutdown_write().unwrap();
                assert_eq!(here.write_all(b"late").await.unwrap_err().kind(), ErrorKind::BrokenPipe);
            };
            let receive = async {
                there.read_exact(&mut got).await.unwrap();
                assert_eq!(there.read(&mut [0; 9]).await.unwrap(), 0, "the end");
            };
            futures_util::future::join(send, receive).await;
            assert!(got == sent);
        });
    }
}

#[test]
fn http2_runs_in_virtual_time_and_repeats() {
    let run = |seed| {
        let sim = Sim::new(SimConfig::seeded(seed, 2));
        on_shard(&sim, |shard| async move {
            let (here, there) = pair(&shard).await;
            let serve = hyper::server::conn::http2::Builder::new(shard.clone())
                .timer(ShardTimer::new(&shard))
                .serve_connection(
                    there,
                    service_fn(|request: Request<hyper::body::Incoming>| async move {
                        let body = request.into_body().collect().await.unwrap().to_bytes();
                        Ok::<_, Infallible>(Response::new(Full::new(body)))
                    }),
                );
            let server = shard.spawn("server", serve);
            let (mut client, connection) = hyper::client::conn::http2::Builder::new(shard.clone())
                .timer(ShardTimer::new(&shard))
                .handshake(here)
                .await
                .unwrap();
            let connection = shard.spawn("client", connection);
            let body = Bytes::from(vec![7; 1 << 20]);
            let request = Request::post("http://shard/echo").body(Full::new(body.clone())).unwrap();
            let answer = client.send_request(request).await.unwrap();
            assert!(answer.into_body().collect().await.unwrap().to_bytes() == body);
            drop(client);
            connection.await.unwrap().unwrap();
            server.await.unwrap().unwrap();
        });
        sim.trace_hash()
    };
    assert_eq!(run(3), run(3));
    assert_ne!(run(3), run(4));
}

#[test]
fn files_cross_a_simulated_connection() {
    let sim = Sim::new(SimConfig::seeded(9, 1));
    on_shard(&sim, |shard| async move {
        let bytes: Vec<u8> = (0..600_000u32).map(|n| (n % 239) as u8).collect();
        for how in [OpenHow::create_new(), OpenHow::create_new().direct()] {
            let source = shard.disk().open(format!("/from-{}", how.direct), how).await.unwrap();
            source.write_at(AlignedBuf::copy_of(&bytes), 0).await.1.unwrap();
            let target = shard.disk().open(format!("/to-{}", how.direct), how).await.unwrap();
            let (mut here, mut there) = pair(&shard).await;
            let config = BulkConfig { piece: 64 << 10, ..BulkConfig::default() };
            let send = here.send_file(&source, 10..600_000, shard.buffers(), &config);
            let receive = there.receive_file(&target, 3, 599_990, shard.buffers(), &config);
            futures_util::future::try_join(send, receive).await.unwrap();
            let (buf, read) = target.read_exact_at(AlignedBuf::heap(600_000), 3, 599_990).await;
            read.unwrap();
            assert!(buf[..] == bytes[10..]);
        }
    });
}

#[test]
fn nobody_listens_and_everybody_left_are_told_apart() {
    let sim = Sim::new(SimConfig::seeded(1, 1));
    on_shard(&sim, |shard| async move {
        let nobody = shard.connect(SocketAddr::from(([127, 0, 0, 1], 1))).await.unwrap_err();
        assert_eq!(nobody.source.kind(), ErrorKind::ConnectionRefused);
        let (mut here, there) = pair(&shard).await;
        drop(there);
        assert_eq!(here.read(&mut [0; 4]).await.unwrap(), 0);
        assert_eq!(here.write_all(b"x").await.unwrap_err().kind(), ErrorKind::BrokenPipe);
    });
}

#[test]
fn a_stalled_peer_is_waited_for_no_longer_than_the_deadline_and_goes_on_when_released() {
    let sim = Sim::new(SimConfig::seeded(2, 1));
    let network = sim.network();
    on_shard(&sim, move |shard| async move {
        let listener = shard.listen(SocketAddr::from(ANY)).unwrap();
        let addr = listener.local_addr();
        let mut here = shard.connect(addr).await.unwrap();
        let mut there = listener.accept().await.unwrap();
        network.stall(addr);
        here.write_all(b"held").await.unwrap();
        let second = Duration::from_secs(1);
        let mut buf = [0; 4];
        assert!(shard.clock().timeout(second, there.read_exact(&mut buf)).await.is_err());
        assert!(shard.clock().timeout(second, shard.connect(addr)).await.is_err());
        let file = shard.disk().open("/file", OpenHow::create_new().direct()).await.unwrap();
        let config = BulkConfig { stall_max: second, ..BulkConfig::default() };
        match there.receive_file(&file, 0, 4, shard.buffers(), &config).await {
            Err(BulkError::Net(e)) => assert_eq!(e.kind(), ErrorKind::TimedOut),
            other => panic!("{other:?}"),
        }
        network.release(addr);
        there.read_exact(&mut buf).await.unwrap();
        assert_eq!(&buf, b"held");
        network.reset(addr);
        assert_eq!(here.read(&mut buf).await.unwrap_err().kind(), ErrorKind::ConnectionReset);
    });
}
