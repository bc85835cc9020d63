//! Ten thousand idle connections: what they cost, and that calls are served beside them.
//!
//! Server and clients are processes of their own, started from this test with the highest limit of open files.

use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpStream};
use std::process::{Child, Command, Stdio};

use allotrope_proto::hadoop_rpc::HadoopServerConfig;
use allotrope_proto::rpc::catalog::OmSubmit;
use allotrope_proto::rpc::{CallOptions, RpcClient};

use crate::support::{client, echo, echoed, eventually, opening, start};

const CONNECTIONS: usize = 10_000;
/// What a connection may cost the server, its task and buffers included.
const BYTES_EACH_MAX: usize = 8 << 10;
const ROLE: &str = "ALLOTROPE_TEST_IDLE_ROLE";

/// Runs one test of this binary in a process with the highest limit of open files.
fn role(name: &str, address: &str) -> Child {
    let script = r#"ulimit -n "$(ulimit -Hn)" && exec "$0" --exact "$1" --nocapture --test-threads 1"#;
    Command::new("sh")
        .args(["-c", script, std::env::current_exe().unwrap().to_str().unwrap(), &format!("idle::{name}")])
        .env(ROLE, address)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap()
}

/// What follows `key` on the first line that has it.
fn hear(child: &mut BufReader<std::process::ChildStdout>, key: &str) -> String {
    let mut line = String::new();
    while child.read_line(&mut line).unwrap() > 0 {
        if let Some((_, value)) = line.split_once(key) {
            return value.trim().to_owned();
        }
        line.clear();
    }
    panic!("the process ended without {key}");
}

fn resident_bytes() -> usize {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.trim().trim_end_matches(" kB").parse::<usize>().unwrap() << 10
}

fn connections_possible() -> usize {
    let limits = std::fs::read_to_string("/proc/self/limits").unwrap();
    let line = limits.lines().find(|line| line.starts_with("Max open files")).unwrap();
    let hard: usize = line.split_whitespace().nth(4).unwrap().parse().unwrap_or(usize::MAX);
    CONNECTIONS.min(hard.saturating_sub(100))
}

#[test]
fn ten_thousand_idle_connections_cost_little_and_calls_are_served_beside_them() {
    let count = connections_possible();
    assert!(count >= 1000, "the hard limit of open files leaves {count} connections: raise it (ulimit -Hn)");
    let mut server = role("server_of_idle_connections", "serve");
    let mut server_says = BufReader::new(server.stdout.take().unwrap());
    let address = hear(&mut server_says, "ADDRESS ");
    let mut clients = role("clients_that_idle", &format!("{address} {count}"));
    let mut clients_say = BufReader::new(clients.stdout.take().unwrap());
    hear(&mut clients_say, "OPEN");
    writeln!(server.stdin.as_mut().unwrap(), "{count}").unwrap();
    let bytes_each: usize = hear(&mut server_says, "BYTES EACH ").parse().unwrap();
    assert!(bytes_each <= BYTES_EACH_MAX, "an idle connection costs {bytes_each} bytes");
    // Their input ends here, and with it they.
    drop((clients.stdin.take(), server.stdin.take()));
    assert!(clients.wait().unwrap().success());
    assert!(server.wait().unwrap().success());
}

/// The server's process; a test of its own only when it is told so.
#[tokio::test]
async fn server_of_idle_connections() {
    if std::env::var(ROLE).as_deref() != Ok("serve") {
        return;
    }
    let running = start(HadoopServerConfig::default()).await;
    client(running.address).call::<OmSubmit>(&echo("warm"), &CallOptions::default()).await.unwrap();
    let before = resident_bytes();
    println!("ADDRESS {}", running.address);
    let mut lines = tokio::task::spawn_blocking(|| std::io::stdin().lines().next().unwrap().unwrap());
    let count: usize = (&mut lines).await.unwrap().parse().unwrap();
    // The drain counts connections: all are open, each having sent its context and a ping.
    eventually("all are here", || running.drain.work_left() >= count).await;
    tokio::time::sleep(std::time::Duration::from_millis(500)).await;
    let bytes_each = resident_bytes().saturating_sub(before) / count;
    let asking = client(running.address);
    let answer = asking.call::<OmSubmit>(&echo("beside"), &CallOptions::default()).await.unwrap();
    assert_eq!(echoed(&answer), "beside");
    println!("BYTES EACH {bytes_each}");
    tokio::task::spawn_blocking(|| std::io::stdin().lines().next()).await.unwrap();
    assert!(running.drain.finish(std::time::Duration::from_secs(20)).await);
}

/// The clients' process; a test of its own only when it is told so.
#[test]
fn clients_that_idle() {
    let Some((address, count)) = std::env::var(ROLE)
        .ok()
        .and_then(|role| role.split_once(' ').map(|(a, c)| (a.to_owned(), c.to_owned())))
    else {
        return;
    };
    let (address, count): (SocketAddr, usize) = (address.parse().unwrap(), count.parse().unwrap());
    let mut open = Vec::new();
    for _ in 0..count {
        let mut socket = TcpStream::connect(address).unwrap();
        socket.write_all(&opening()).unwrap();
        open.push(socket);
    }
    println!("OPEN");
    std::io::stdin().lines().next();
}
