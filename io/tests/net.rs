//! TCP and HTTP/2 on shards of both real backs.
#![allow(clippy::unwrap_used, reason = "tests")]

mod common;

use allotrope_io::{AlignedBuf, BulkConfig, BulkError, OpenHow, SendBy, Shard, ShardTimer, TcpStream};
use bytes::Bytes;
use common::on_each_back;
use http_body_util::{BodyExt, Full};
use hyper::service::service_fn;
use hyper::{Request, Response};
use std::convert::Infallible;
use std::io::{ErrorKind, IoSlice};
use std::net::SocketAddr;
use std::time::Duration;

async fn pair(shard: &Shard) -> (TcpStream, TcpStream) {
    let listener = shard.listen(SocketAddr::from(([127, 0, 0, 1], 0))).unwrap();
    let (here, there) =
        futures_util::future::join(shard.connect(listener.local_addr()), listener.accept()).await;
    (here.unwrap(), there.unwrap())
}

#[test]
fn bytes_flow_both_ways_past_the_socket_buffers() {
    on_each_back(|shard| async move {
        let (mut here, there) = pair(&shard).await;
        let (mut from_here, mut to_here) = there.split();
        let echo = shard.spawn("echo", async move {
            let mut buf = vec![0; 70_000];
            loop {
                match from_here.read(&mut buf).await.unwrap() {
                    0 => return to_here.shutdown_write().unwrap(),
                    n => to_here.write_all(&buf[..n]).await.unwrap(),
                }
            }
        });
        let sent: Vec<u8> = (0..9_000_000u32).map(|n| (n % 251) as u8).collect();
        let (head, tail) = sent.split_at(1234);
        let mut buf = shard.buffers().take(1 << 20).await.unwrap();
        let (mut here_in, mut here_out) = {
            let (r, w) = here.split();
            (r, w)
        };
        let send = async {
            here_out.write_all_vectored(&mut [IoSlice::new(head), IoSlice::new(tail)]).await.unwrap();
            here_out.shutdown_write().unwrap();
        };
        let receive = async {
            here_in.read_into(&mut buf, 1 << 20).await.unwrap();
            assert_eq!(&buf[..], &sent[..1 << 20]);
            let mut rest = vec![0; sent.len() - (1 << 20)];
            here_in.read_exact(&mut rest).await.unwrap();
            assert!(rest[..] == sent[1 << 20..]);
            let end = here_in.read_exact(&mut [0]).await.unwrap_err();
            assert_eq!(end.kind(), ErrorKind::UnexpectedEof);
        };
        futures_util::future::join(send, receive).await;
        echo.await.unwrap();
        here = here_in;
        drop(here);
    });
}

#[test]
fn every_shard_may_listen_on_one_port_and_a_refused_connection_is_told() {
    on_each_back(|shard| async move {
        let first = shard.listen(SocketAddr::from(([127, 0, 0, 1], 0))).unwrap();
        let second = shard.listen_along(first.local_addr()).unwrap();
        let third = shard.listen(first.local_addr()).unwrap_err();
        assert_eq!(third.source.kind(), std::io::ErrorKind::AddrInUse, "nobody else may share the port");
        assert_eq!(first.local_addr(), second.local_addr());
        let addr = first.local_addr();
        drop((first, second));
        // The kernel lets go of a listener when its last wait is cancelled.
        shard.yield_now().await;
        let refused = loop {
            match shard.connect(addr).await {
                Err(e) => break e,
                Ok(_) => shard.clock().sleep(std::time::Duration::from_millis(1)).await,
            }
        };
        assert_eq!(refused.source.kind(), ErrorKind::ConnectionRefused);
        assert_eq!(refused.to_string(), format!("cannot connect to {addr}"));
    });
}

#[test]
fn http2_runs_on_a_shard() {
    on_each_back(|shard| async move {
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
        for n in 0..3u8 {
            let body = Bytes::from(vec![n; 3 << 20]);
            let request = Request::post("http://shard/echo").body(Full::new(body.clone())).unwrap();
            let answer = client.send_request(request).await.unwrap();
            assert!(answer.into_body().collect().await.unwrap().to_bytes() == body);
        }
        drop(client);
        connection.await.unwrap().unwrap();
        server.await.unwrap().unwrap();
    });
}

#[test]
fn file_ranges_cross_a_connection_from_and_into_every_kind_of_file() {
    on_each_back(|shard| async move {
        let dir = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
        let bytes: Vec<u8> = (0..2_500_000u32).map(|n| (n % 249) as u8).collect();
        let config = BulkConfig { piece: 256 << 10, pieces_ahead: 2, ..BulkConfig::default() };
        for (n, (from_direct, to_direct)) in
            [(false, false), (false, true), (true, false), (true, true)].into_iter().enumerate()
        {
            let how = |direct| if direct { OpenHow::create_new().direct() } else { OpenHow::create_new() };
            let path = |side: &str| dir.path().join(format!("{side}{n}"));
            let source = shard.disk().open(path("source"), how(from_direct)).await.unwrap();
            source.write_at(AlignedBuf::copy_of(&bytes), 0).await.1.unwrap();
            let target = shard.disk().open(path("target"), how(to_direct)).await.unwrap();
            let (mut here, mut there) = pair(&shard).await;
            let pool = shard.buffers();
            // Neither end of the range is at a page border.
            let send = here.send_file(&source, 1001..2_400_001, pool, &config);
            let receive = there.receive_file(&target, 77, 2_399_000, pool, &config);
            futures_util::future::try_join(send, receive).await.unwrap();
            let (buf, read) = target.read_at(AlignedBuf::heap(3_000_000), 77, 2_900_000).await;
            assert_eq!(read.unwrap(), 2_399_000);
            assert!(buf[..] == bytes[1001..2_400_001]);
            let past = here.send_file(&source, 2_499_999..2_500_001, pool, &config).await;
            assert!(past.is_err(), "the file ends before the range");
        }
    });
}

#[test]
fn a_direct_file_goes_out_whole_however_its_bytes_leave_their_buffers() {
    on_each_back(|shard| async move {
        let dir = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
        let bytes: Vec<u8> = (0..3_000_001u32).map(|n| (n % 241) as u8).collect();
        let source =
            shard.disk().open(dir.path().join("source"), OpenHow::create_new().direct()).await.unwrap();
        source.write_at(AlignedBuf::copy_of(&bytes), 0).await.1.unwrap();
        let (mut here, mut there) = pair(&shard).await;
        let pool = shard.buffers();
        for send_by in [SendBy::ZeroCopy, SendBy::Measured, SendBy::Copy, SendBy::Measured] {
            let config = BulkConfig { piece: 100_000, pieces_ahead: 2, send_by, ..BulkConfig::default() };
            let mut got = vec![0; bytes.len() - 5];
            let send = here.send_file(&source, 5..bytes.len() as u64, pool, &config);
            let receive = async { there.read_exact(&mut got).await.map_err(BulkError::Net) };
            futures_util::future::try_join(send, receive).await.unwrap();
            assert!(got[..] == bytes[5..], "{send_by:?}");
        }
        drop((here, there, source));
        // Every buffer comes back once the kernel has let go of it.
        while pool.bytes_free() < pool.bytes_total() {
            shard.clock().sleep(Duration::from_millis(1)).await;
        }
    });
}

#[test]
fn a_receiver_that_takes_nothing_ends_the_transfer() {
    on_each_back(|shard| async move {
        let dir = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
        let config = BulkConfig { stall_max: Duration::from_millis(50), ..BulkConfig::default() };
        for how in [OpenHow::create_new(), OpenHow::create_new().direct()] {
            let file = shard.disk().open(dir.path().join(how.direct.to_string()), how).await.unwrap();
            for n in 0..16 {
                file.write_at(AlignedBuf::copy_of(&[1; 1 << 20]), n << 20).await.1.unwrap();
            }
            let (mut here, there) = pair(&shard).await;
            let stalled = here.send_file(&file, 0..16 << 20, shard.buffers(), &config).await;
            match stalled {
                Err(BulkError::Net(e)) => assert_eq!(e.kind(), ErrorKind::TimedOut),
                other => panic!("{other:?}"),
            }
            drop(there);
        }
    });
}
