//! A server that changes one byte in a million is caught, and so is one that gives too little.
//!
//! The server speaks HTTP/1.1 over a real socket and knows the content as the load does.
#![allow(clippy::unwrap_used, reason = "a helper that fails fails its test")]

use std::sync::Arc;
use std::time::Duration;

use allotrope_perf::{Content, Measured, Plan, S3Account, S3Get, S3Objects, TroubleKind, Until, Watch, run};
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{TcpListener, TcpStream};

const SEED: u64 = 11;
/// Bytes of an object.
const LEN: u64 = 250_000;

/// What a server does to the bytes of object `number`.
type Damage = fn(u64, &mut Vec<u8>);

async fn serve(socket: TcpStream, content: Content, damage: Damage) {
    let mut socket = BufReader::new(socket);
    loop {
        let mut head = Vec::new();
        loop {
            let mut line = String::new();
            if socket.read_line(&mut line).await.unwrap_or(0) == 0 {
                return;
            }
            if line == "\r\n" {
                break;
            }
            head.push(line);
        }
        let path = head[0].split(' ').nth(1).unwrap();
        let number: u64 = path.rsplit('/').next().unwrap().parse().unwrap();
        let mut body = content.whole(number, 0..LEN).to_vec();
        damage(number, &mut body);
        let answer = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n", body.len());
        socket.write_all(answer.as_bytes()).await.unwrap();
        if socket.write_all(&body).await.is_err() {
            return;
        }
    }
}

/// Gets `count` objects from a server that damages them.
async fn get(count: u64, damage: Damage) -> Measured {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let content = Content::of_seed(SEED);
    let served = content.clone();
    tokio::spawn(async move {
        while let Ok((socket, _)) = listener.accept().await {
            tokio::spawn(serve(socket, served.clone(), damage));
        }
    });
    let account = S3Account { address, region: "us-east-1".into(), id: "id".into(), secret: "secret".into() };
    let objects = S3Objects::new(account, "bucket".into(), "perf".into(), LEN, content);
    let plan = Plan {
        until: Until::Count(count),
        objects: count,
        stop_at_failure: false,
        deadline: Duration::from_secs(60),
        ..Plan::default()
    };
    run(Arc::new(S3Get::new(objects, None, SEED)), &plan, Watch::default()).await
}

#[tokio::test]
async fn one_byte_in_a_million_that_is_wrong_is_found() {
    // Four objects are a million bytes; one byte of them is wrong, and only by a bit.
    let measured = get(100, |number, body| {
        if number % 4 == 2 {
            body[(number * 7919 % LEN) as usize] ^= 1 << (number % 8);
        }
    })
    .await;
    assert_eq!((measured.done(), measured.failed()), (75, 25), "{:?}", measured.failures);
    let corrupt = &measured.failures[&TroubleKind::Corrupt];
    assert_eq!(corrupt.count, 25);
    assert!(
        corrupt.first.starts_with("GET /bucket/perf/") && corrupt.first.contains("instead of 0x"),
        "{corrupt:?}"
    );
    assert_eq!(measured.kinds[0].bytes, 75 * LEN);
}

#[tokio::test]
async fn an_object_that_ends_early_and_one_that_is_another_are_found() {
    let measured = get(20, |number, body| match number {
        3 => body.truncate(LEN as usize - 1),
        5 => *body = Content::of_seed(SEED).whole(6, 0..LEN).to_vec(),
        7 => body.push(0),
        _ => {}
    })
    .await;
    assert_eq!(
        (measured.done(), measured.failures[&TroubleKind::Corrupt].count),
        (17, 3),
        "{:?}",
        measured.failures
    );
}

#[tokio::test]
async fn a_sound_server_is_found_sound() {
    let measured = get(20, |_, _| {}).await;
    assert_eq!((measured.done(), measured.failed(), measured.kinds[0].bytes), (20, 0, 20 * LEN));
}

#[tokio::test]
async fn nobody_at_the_address_is_unreachable() {
    // A port that was free a moment ago.
    let free = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let account =
        S3Account { address: free.to_string(), region: "r".into(), id: "i".into(), secret: "s".into() };
    let objects = S3Objects::new(account, "b".into(), "p".into(), 1, Content::of_seed(1));
    let measured = run(Arc::new(S3Get::new(objects, None, 1)), &Plan::default(), Watch::default()).await;
    assert_eq!(measured.done(), 0);
    assert!(measured.failures[&TroubleKind::Unreachable].first.starts_with(&free.to_string()));
}
