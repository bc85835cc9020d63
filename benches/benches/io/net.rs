//! Files to sockets, hops between shards, and echoes.

use crate::Effort;
use crate::disk::{file_of, on_shard, shards};
use crate::meter::{GIB, Meter, Turn};
use crate::report::{Report, Target, median};
use allotrope_io::{BulkConfig, Mesh, OpenHow, Reply, SendBy, ShardId};
use rustix::event::epoll;
use std::fs::File;
use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::fd::AsFd;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

const LOOPBACK: [u8; 4] = [127, 0, 0, 1];

/// A process that takes all that is sent to it, so that its CPU time is not ours.
fn receiver(listener: &TcpListener) -> (Child, TcpStream) {
    let port = listener.local_addr().unwrap().port();
    let script = format!("exec dd bs=1M of=/dev/null status=none < /dev/tcp/127.0.0.1/{port}");
    let child =
        Command::new("bash").args(["-c", &script]).stderr(Stdio::null()).spawn().expect("bash is here");
    (child, listener.accept().unwrap().0)
}

fn by_read_and_write(path: &Path, len: u64, socket: &mut TcpStream) {
    let file = File::open(path).unwrap();
    let mut buf = vec![0; 1 << 20];
    for at in (0..len).step_by(1 << 20) {
        file.read_exact_at(&mut buf, at).unwrap();
        socket.write_all(&buf).unwrap();
    }
}

fn by_sendfile(path: &Path, len: u64, socket: &mut TcpStream) {
    let file = File::open(path).unwrap();
    let mut at = 0;
    while at < len {
        let left = (len - at) as usize;
        rustix::fs::sendfile(&*socket, &file, Some(&mut at), left).unwrap();
    }
}

fn by_splice(path: &Path, len: u64, socket: &mut TcpStream) {
    let file = File::open(path).unwrap();
    let (out, into) = rustix::pipe::pipe().unwrap();
    let _ = rustix::pipe::fcntl_setpipe_size(&into, 1 << 20);
    let mut at = 0;
    while at < len {
        let flags = rustix::pipe::SpliceFlags::MOVE;
        let mut piped = rustix::pipe::splice(&file, Some(&mut at), &into, None, 1 << 20, flags).unwrap();
        while piped > 0 {
            piped -= rustix::pipe::splice(&out, None, &*socket, None, piped, flags).unwrap();
        }
    }
}

/// Ours, from a file through the page cache or, with a way for the bytes to leave their buffers, past it.
fn by_shard(path: &Path, len: u64, direct: Option<SendBy>) -> Turn {
    let pool = shards(1);
    let path = path.to_owned();
    let turn = on_shard(&pool, move |shard| async move {
        let how = if direct.is_some() { OpenHow::read().direct() } else { OpenHow::read() };
        let file = shard.disk().open(path, how).await.unwrap();
        let listener = shard.listen(SocketAddr::from((LOOPBACK, 0))).unwrap();
        let port = listener.local_addr().port();
        let script = format!("exec dd bs=1M of=/dev/null status=none < /dev/tcp/127.0.0.1/{port}");
        let mut child = Command::new("bash").args(["-c", &script]).spawn().expect("bash is here");
        let mut stream = listener.accept().await.unwrap();
        let meter = Meter::start();
        let config = BulkConfig { send_by: direct.unwrap_or_default(), ..BulkConfig::default() };
        stream.send_file(&file, 0..len, shard.buffers(), &config).await.unwrap();
        let turn = meter.stop(1, len);
        drop(stream);
        shard.blocking(move || child.wait()).await.unwrap().unwrap();
        turn
    });
    pool.stop(Duration::from_secs(10));
    turn
}

type Send = fn(&Path, u64, &mut TcpStream);

fn by_thread(send: Send, path: &Path, len: u64) -> Turn {
    let listener = TcpListener::bind(SocketAddr::from((LOOPBACK, 0))).unwrap();
    let (mut child, mut socket) = receiver(&listener);
    let meter = Meter::start();
    send(path, len, &mut socket);
    let turn = meter.stop(1, len);
    drop(socket);
    child.wait().unwrap();
    turn
}

/// A process that sends the file, so that its CPU time is not ours.
fn sender(port: u16, path: &Path) -> Child {
    let script = format!("exec dd bs=1M if={} status=none > /dev/tcp/127.0.0.1/{port}", path.display());
    Command::new("bash").args(["-c", &script]).spawn().expect("bash is here")
}

/// Receives a file of `len` bytes from a process that sends `path`, into a file beside it.
fn receive_by_thread(path: &Path, len: u64) -> Turn {
    let listener = TcpListener::bind(SocketAddr::from((LOOPBACK, 0))).unwrap();
    let mut child = sender(listener.local_addr().unwrap().port(), path);
    let mut socket = listener.accept().unwrap().0;
    let target = File::options().write(true).open(target_of(path)).unwrap();
    let mut buf = vec![0; 1 << 20];
    let meter = Meter::start();
    let mut at = 0;
    while at < len {
        socket.read_exact(&mut buf).unwrap();
        target.write_all_at(&buf, at).unwrap();
        at += 1 << 20;
    }
    target.sync_data().unwrap();
    let turn = meter.stop(1, len);
    child.wait().unwrap();
    turn
}

fn receive_by_shard(path: &Path, len: u64) -> Turn {
    let pool = shards(1);
    let (path, target) = (path.to_owned(), target_of(path));
    let turn = on_shard(&pool, move |shard| async move {
        let file = shard.disk().open(target, OpenHow::write().direct()).await.unwrap();
        let listener = shard.listen(SocketAddr::from((LOOPBACK, 0))).unwrap();
        let mut child = sender(listener.local_addr().port(), &path);
        let mut stream = listener.accept().await.unwrap();
        let meter = Meter::start();
        stream.receive_file(&file, 0, len, shard.buffers(), &BulkConfig::default()).await.unwrap();
        file.sync().await.unwrap();
        let turn = meter.stop(1, len);
        shard.blocking(move || child.wait()).await.unwrap().unwrap();
        turn
    });
    pool.stop(Duration::from_secs(10));
    turn
}

fn target_of(path: &Path) -> PathBuf {
    path.with_extension("received")
}

/// What comes over a connection and goes into a file that exists whole, durable at the end.
pub(crate) fn measure_receive(report: &mut Report, effort: Effort) {
    report.section(
        "Socket to file",
        "One file from a loopback connection whose other end is another process, flushed at the end; CPU is the \
         receiver's. `receive_file` receives into aligned buffers and writes them past the page cache, some being written \
         while the next is filled; the kernel's flusher, which writes what the page cache took, is nobody's CPU here.",
        "way | GiB/s | CPU s/GiB | CPU against read and write",
    );
    let (path, len) = (file_of("block", effort.file_len), effort.file_len);
    file_of("block.received", len);
    let pairs: Vec<_> =
        (0..effort.pairs).map(|_| (receive_by_thread(&path, len), receive_by_shard(&path, len))).collect();
    let ratio = median(pairs.iter().map(|(limit, ours)| ours.cpu_per_gib / limit.cpu_per_gib));
    let rows: [(&str, Vec<Turn>, f64); 2] = [
        ("read and write, page cache", pairs.iter().map(|pair| pair.0).collect(), 1.0),
        ("`receive_file`, O_DIRECT", pairs.iter().map(|pair| pair.1).collect(), ratio),
    ];
    for (name, turns, ratio) in rows {
        report.row(&[
            name.into(),
            format!("{:.2}", median(turns.iter().map(|turn| turn.bytes_per_second)) / GIB),
            format!("{:.3}", median(turns.iter().map(|turn| turn.cpu_per_gib))),
            format!("{ratio:.2}"),
        ]);
    }
}

pub(crate) fn measure_transfer(report: &mut Report, effort: Effort) {
    report.section(
        "File to socket",
        "One file to a loopback connection whose other end is another process; CPU is the sender's. The file is in the \
         page cache in the first rows and read past it in the last; each `send_file` is held against the best way of its \
         kind. From the page cache it is sendfile on a blocking thread: the least CPU, and a page that is not in the cache \
         never holds a shard; splice is no cheaper and needs a pipe. Past the cache the first piece goes by SEND_ZC from its \
         registered buffer, and the kernel tells whether it copied it: on loopback it does, so the rest is sent plainly; to \
         a network card that takes the bytes from memory the rest goes by SEND_ZC too, and saves the copy.",
        "way | GiB/s | CPU s/GiB | CPU against the best | target",
    );
    let path = file_of("block", effort.file_len);
    let len = effort.file_len;
    let mut cache = File::open(&path).unwrap();
    std::io::copy(&mut cache, &mut std::io::sink()).unwrap();
    let ways: [(&str, &dyn Fn() -> Turn, bool); 7] = [
        ("read and write", &|| by_thread(by_read_and_write, &path, len), false),
        ("sendfile", &|| by_thread(by_sendfile, &path, len), false),
        ("splice", &|| by_thread(by_splice, &path, len), false),
        ("`send_file`, page cache", &|| by_shard(&path, len, None), true),
        ("O_DIRECT read and send", &|| by_shard(&path, len, Some(SendBy::Copy)), false),
        ("O_DIRECT read and SEND_ZC", &|| by_shard(&path, len, Some(SendBy::ZeroCopy)), false),
        ("`send_file`, O_DIRECT", &|| by_shard(&path, len, Some(SendBy::Measured)), true),
    ];
    let mut turns = vec![Vec::new(); ways.len()];
    for _ in 0..effort.pairs {
        for ((_, run, _), turns) in ways.iter().zip(&mut turns) {
            turns.push(run());
        }
    }
    let cpu = |turns: &[Turn]| median(turns.iter().map(|turn| turn.cpu_per_gib));
    let (cached, direct) = turns.split_at(4);
    let best = |turns: &[Vec<Turn>]| turns.iter().map(|turns| cpu(turns)).fold(f64::INFINITY, f64::min);
    let best = [best(cached), best(direct)];
    for (n, ((name, _, chosen), turns)) in ways.iter().zip(&turns).enumerate() {
        let ratio = cpu(turns) / best[usize::from(n >= cached.len())];
        report.row(&[
            (*name).into(),
            format!("{:.2}", median(turns.iter().map(|turn| turn.bytes_per_second)) / GIB),
            format!("{:.3}", cpu(turns)),
            format!("{ratio:.2}"),
            if *chosen { Target::AtMost(1.10).judge(ratio) } else { "–".into() },
        ]);
    }
}

/// p50 and p99 of round trips, in microseconds.
fn percentiles(mut trips: Vec<Duration>) -> (f64, f64) {
    trips.sort();
    let at =
        |percent: usize| trips[(trips.len() * percent / 100).min(trips.len() - 1)].as_nanos() as f64 / 1e3;
    (at(50), at(99))
}

/// Round trips of a question between two shards.
fn hops(messages: usize) -> (f64, f64) {
    let pool = shards(2);
    let (mesh, inboxes) = Mesh::<Reply<()>>::new(2, 16);
    for (id, mut inbox) in pool.ids().zip(inboxes) {
        let serve = pool.run_on(id, "serve", move |_| async move {
            while let Some(reply) = inbox.next().await {
                reply.send(());
            }
        });
        drop(serve.unwrap());
    }
    let trips = on_shard(&pool, move |_| async move {
        let mut trips = Vec::with_capacity(messages);
        for _ in 0..messages {
            let began = Instant::now();
            mesh.ask(ShardId(1), |reply| reply).await.unwrap();
            trips.push(began.elapsed());
        }
        trips
    });
    pool.stop(Duration::from_secs(5));
    percentiles(trips)
}

/// Round trips of 64 bytes from a blocking client to `server`.
fn echoes(server: SocketAddr, messages: usize) -> (f64, f64) {
    let mut socket = TcpStream::connect(server).unwrap();
    socket.set_nodelay(true).unwrap();
    let (mut trips, mut buf) = (Vec::with_capacity(messages), [7; 64]);
    for _ in 0..messages {
        let began = Instant::now();
        socket.write_all(&buf).unwrap();
        socket.read_exact(&mut buf).unwrap();
        trips.push(began.elapsed());
    }
    percentiles(trips)
}

fn echo_on_shard(messages: usize) -> (f64, f64) {
    let pool = shards(1);
    let (tell, told) = std::sync::mpsc::channel();
    let serve = pool.run_on(ShardId(0), "echo", move |shard| async move {
        let listener = shard.listen(SocketAddr::from((LOOPBACK, 0))).unwrap();
        tell.send(listener.local_addr()).unwrap();
        let mut stream = listener.accept().await.unwrap();
        let mut buf = [0; 64];
        while stream.read_exact(&mut buf).await.is_ok() {
            stream.write_all(&buf).await.unwrap();
        }
    });
    let trips = echoes(told.recv().unwrap(), messages);
    serve.unwrap().wait().unwrap();
    pool.stop(Duration::from_secs(5));
    trips
}

/// The limit: epoll, a non-blocking socket and nothing else.
fn echo_by_epoll(messages: usize) -> (f64, f64) {
    let listener = TcpListener::bind(SocketAddr::from((LOOPBACK, 0))).unwrap();
    let addr = listener.local_addr().unwrap();
    let server = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        stream.set_nodelay(true).unwrap();
        stream.set_nonblocking(true).unwrap();
        let poll = epoll::create(epoll::CreateFlags::CLOEXEC).unwrap();
        epoll::add(&poll, stream.as_fd(), epoll::EventData::new_u64(0), epoll::EventFlags::IN).unwrap();
        let mut buf = [0; 64];
        loop {
            let mut events = Vec::with_capacity(4);
            epoll::wait(&poll, rustix::buffer::spare_capacity(&mut events), None).unwrap();
            match stream.read(&mut buf) {
                Ok(0) => return,
                Ok(n) => stream.write_all(&buf[..n]).unwrap(),
                Err(e) if e.kind() == ErrorKind::WouldBlock => {}
                Err(e) => panic!("{e}"),
            }
        }
    });
    let trips = echoes(addr, messages);
    server.join().unwrap();
    trips
}

pub(crate) fn measure(report: &mut Report, effort: Effort) {
    report.section(
        "Round trips",
        "A question from one shard to another and back through the mesh, and 64 bytes over loopback TCP from a blocking \
         client to an echo on a shard and to a plain epoll loop on a thread.",
        "what | p50 µs | p99 µs | p50 of the limit | p99 of the limit | p50 ratio",
    );
    let hop: Vec<_> = (0..effort.pairs).map(|_| hops(effort.messages)).collect();
    let of = |trips: &[(f64, f64)]| (median(trips.iter().map(|t| t.0)), median(trips.iter().map(|t| t.1)));
    let (p50, p99) = of(&hop);
    let none = || String::from("–");
    report.row(&["shard hop".into(), format!("{p50:.1}"), format!("{p99:.1}"), none(), none(), none()]);
    let pairs: Vec<_> =
        (0..effort.pairs).map(|_| (echo_on_shard(effort.messages), echo_by_epoll(effort.messages))).collect();
    let (p50, p99) = of(&pairs.iter().map(|pair| pair.0).collect::<Vec<_>>());
    let (limit50, limit99) = of(&pairs.iter().map(|pair| pair.1).collect::<Vec<_>>());
    let ratio = median(pairs.iter().map(|(ours, limit)| ours.0 / limit.0));
    report.row(&[
        "TCP echo, against epoll".into(),
        format!("{p50:.1}"),
        format!("{p99:.1}"),
        format!("{limit50:.1}"),
        format!("{limit99:.1}"),
        format!("{ratio:.2}"),
    ]);
}
