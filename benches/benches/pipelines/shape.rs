//! Star and chain: how long until two others have what a leader sends, when it sends to both, and when the first passes it on.
//!
//! Shape   three threads and plain blocking sockets on loopback, nothing written; pieces of 128 KiB, so that a chain's middle
//!         passes on while it still receives. An answer of one byte comes from whoever has all; of a chain, from its end by way
//!         of the middle.
//! Never   knows of network cards: where the leader's is the limit, a star takes two turns of it for a chain's one.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::thread;
use std::time::{Duration, Instant};

const PIECE: usize = 128 << 10;

/// How the bytes travel.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Form {
    Star,
    Chain,
}

fn pair() -> (TcpStream, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let near = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    let (far, _) = listener.accept().unwrap();
    for stream in [&near, &far] {
        stream.set_nodelay(true).unwrap();
    }
    (near, far)
}

/// Takes messages of `len` bytes, passes each piece on if somebody is behind, and answers when it and they have all.
fn member(mut from: TcpStream, mut behind: Option<TcpStream>, len: usize) {
    let mut piece = vec![0; PIECE.min(len)];
    loop {
        let mut left = len;
        while left > 0 {
            let part = &mut piece[..PIECE.min(left)];
            if from.read_exact(part).is_err() {
                return; // the measurement is over
            }
            if let Some(next) = &mut behind {
                next.write_all(part).unwrap();
            }
            left -= part.len();
        }
        if let Some(next) = &mut behind {
            next.read_exact(&mut [0]).unwrap();
        }
        if from.write_all(&[1]).is_err() {
            return;
        }
    }
}

/// How long each message of `len` bytes took, in ms, sorted.
pub(crate) fn measure(form: Form, len: usize, time: Duration) -> Vec<f64> {
    let (mut first, at_first) = pair();
    let (second, at_second) = pair();
    let (mut star_second, behind) = match form {
        Form::Star => (Some(second), None),
        Form::Chain => (None, Some(second)),
    };
    let members = [
        thread::spawn(move || member(at_first, behind, len)),
        thread::spawn(move || member(at_second, None, len)),
    ];
    let data = vec![7; len];
    let (began, mut took_ms) = (Instant::now(), Vec::new());
    while began.elapsed() < time {
        let sent = Instant::now();
        for piece in data.chunks(PIECE) {
            first.write_all(piece).unwrap();
            if let Some(second) = &mut star_second {
                second.write_all(piece).unwrap();
            }
        }
        first.read_exact(&mut [0]).unwrap();
        if let Some(second) = &mut star_second {
            second.read_exact(&mut [0]).unwrap();
        }
        took_ms.push(sent.elapsed().as_secs_f64() * 1e3);
    }
    drop((first, star_second));
    members.into_iter().for_each(|member| member.join().unwrap());
    took_ms.sort_by(f64::total_cmp);
    took_ms
}
