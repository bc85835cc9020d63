//! MD5 of several bodies at once: the one digest that S3 wants of every put, and the slowest of them all.
//!
//! MD5 is a chain: one body's next step waits for the step before, and a core stands idle meanwhile. Steps of different bodies do
//! not wait for each other, so a worker takes up to [`LANES_MAX`] bodies and computes the same step of all of them at once, in the
//! lanes of the CPU's vectors ([`compress`] is written over arrays for the compiler to put there; on AVX-512 a step's rotation and each
//! of its functions are one instruction).
//!
//! Shape   a [`Stream`] is one body's MD5 so far; [`Lanes::hash`] carries a batch of its bytes through the workers.
//! Law     the digest does not depend on how the bytes were cut, or on who was hashed beside them.
//! Source  RFC 1321; compared in the tests with the md-5 crate.

use std::collections::VecDeque;
use std::sync::{Arc, Condvar, Mutex};

use bytes::Bytes;
use tokio::sync::oneshot;

/// Bodies that one worker hashes at once.
const LANES_MAX: usize = 16;
/// Blocks after which a worker looks for more bodies to take along.
const BLOCKS_BETWEEN_LOOKS: usize = 256;
const BLOCK: usize = 64;

/// `floor(2^32 × |sin(i + 1)|)`.
const SINES: [u32; 64] = [
    0xd76aa478, 0xe8c7b756, 0x242070db, 0xc1bdceee, 0xf57c0faf, 0x4787c62a, 0xa8304613, 0xfd469501,
    0x698098d8, 0x8b44f7af, 0xffff5bb1, 0x895cd7be, 0x6b901122, 0xfd987193, 0xa679438e, 0x49b40821,
    0xf61e2562, 0xc040b340, 0x265e5a51, 0xe9b6c7aa, 0xd62f105d, 0x02441453, 0xd8a1e681, 0xe7d3fbc8,
    0x21e1cde6, 0xc33707d6, 0xf4d50d87, 0x455a14ed, 0xa9e3e905, 0xfcefa3f8, 0x676f02d9, 0x8d2a4c8a,
    0xfffa3942, 0x8771f681, 0x6d9d6122, 0xfde5380c, 0xa4beea44, 0x4bdecfa9, 0xf6bb4b60, 0xbebfbc70,
    0x289b7ec6, 0xeaa127fa, 0xd4ef3085, 0x04881d05, 0xd9d4d039, 0xe6db99e5, 0x1fa27cf8, 0xc4ac5665,
    0xf4292244, 0x432aff97, 0xab9423a7, 0xfc93a039, 0x655b59c3, 0x8f0ccc92, 0xffeff47d, 0x85845dd1,
    0x6fa87e4f, 0xfe2ce6e0, 0xa3014314, 0x4e0811a1, 0xf7537e82, 0xbd3af235, 0x2ad7d2bb, 0xeb86d391,
];

type Words<const N: usize> = [u32; N];

/// One step for all lanes: `b + rotl(a + f + word + sine)`.
#[inline(always)]
fn step<const N: usize>(
    a: Words<N>,
    b: Words<N>,
    f: Words<N>,
    word: &Words<N>,
    sine: u32,
    turn: u32,
) -> Words<N> {
    let mut out = [0; N];
    for lane in 0..N {
        let sum = a[lane].wrapping_add(f[lane]).wrapping_add(word[lane]).wrapping_add(sine);
        out[lane] = b[lane].wrapping_add(sum.rotate_left(turn));
    }
    out
}

#[inline(always)]
fn mix<const N: usize>(b: Words<N>, c: Words<N>, d: Words<N>, f: impl Fn(u32, u32, u32) -> u32) -> Words<N> {
    let mut out = [0; N];
    for lane in 0..N {
        out[lane] = f(b[lane], c[lane], d[lane]);
    }
    out
}

/// Takes one block of each lane into its state. `block[i][lane]` is the lane's word `i`.
#[inline(always)]
fn compress<const N: usize>(state: &mut [Words<N>; 4], block: &[Words<N>; 16]) {
    let [mut a, mut b, mut c, mut d] = *state;
    macro_rules! round {
        ($first:literal, $f:expr, $word:expr, $turns:expr) => {
            for i in 0..16 {
                let f = mix(b, c, d, $f);
                let next = step(a, b, f, &block[$word(i)], SINES[$first + i], $turns[i % 4]);
                (a, d, c, b) = (d, c, b, next);
            }
        };
    }
    round!(0, |b, c, d| d ^ (b & (c ^ d)), |i: usize| i, [7, 12, 17, 22]);
    round!(16, |b, c, d| c ^ (d & (b ^ c)), |i: usize| (5 * i + 1) % 16, [5, 9, 14, 20]);
    round!(32, |b: u32, c: u32, d: u32| b ^ c ^ d, |i: usize| (3 * i + 5) % 16, [4, 11, 16, 23]);
    round!(48, |b: u32, c: u32, d: u32| c ^ (b | !d), |i: usize| (7 * i) % 16, [6, 10, 15, 21]);
    for (state, new) in state.iter_mut().zip([a, b, c, d]) {
        for lane in 0..N {
            state[lane] = state[lane].wrapping_add(new[lane]);
        }
    }
}

/// Takes `blocks` blocks of each lane's bytes into its state: the one loop where the time goes, compiled for each width of vectors
/// and chosen when it is first called.
#[multiversion::multiversion(targets(
    "x86_64+avx512f+avx512bw+avx512cd+avx512dq+avx512vl+avx2+bmi1+bmi2",
    "x86_64+avx2+bmi1+bmi2",
    "aarch64+neon",
))]
fn compress_all<const N: usize>(state: &mut [Words<N>; 4], lanes: &[&[u8]; N], blocks: usize) {
    let mut block = [[0; N]; 16];
    for at in 0..blocks {
        for (lane, bytes) in lanes.iter().enumerate() {
            let words = bytes[at * BLOCK..][..BLOCK].as_chunks::<4>().0;
            for (out, bytes) in block.iter_mut().zip(words) {
                out[lane] = u32::from_le_bytes(*bytes);
            }
        }
        compress(state, &block);
    }
}

/// One body's MD5 so far.
#[derive(Clone, Debug)]
pub(crate) struct Stream {
    state: [u32; 4],
    /// Bytes that are no whole block yet.
    rest: [u8; BLOCK],
    rest_len: usize,
    len: u64,
}

impl Stream {
    pub(crate) fn new() -> Stream {
        let state = [0x67452301, 0xefcdab89, 0x98badcfe, 0x10325476];
        Stream { state, rest: [0; BLOCK], rest_len: 0, len: 0 }
    }

    /// Hashes `bytes` on this thread.
    pub(crate) fn update(&mut self, bytes: &Bytes) {
        let mut input = Input::new(VecDeque::from([bytes.clone()]));
        loop {
            let whole = input.whole(self).len();
            if whole > 0 {
                self.take(&bytes[input.at..input.at + whole]);
                input.advance(whole, self);
            }
            match input.next_block(self) {
                Some(block) => self.take(&block),
                None => return,
            }
        }
    }

    /// Takes whole blocks into the state.
    fn take(&mut self, blocks: &[u8]) {
        let mut state = self.state.map(|word| [word]);
        compress_all(&mut state, &[blocks], blocks.len() / BLOCK);
        self.state = state.map(|word| word[0]);
    }

    pub(crate) fn finish(mut self) -> [u8; 16] {
        let mut end = [0; 2 * BLOCK];
        end[..self.rest_len].copy_from_slice(&self.rest[..self.rest_len]);
        end[self.rest_len] = 0x80;
        let blocks = if self.rest_len < 56 { 1 } else { 2 };
        end[blocks * BLOCK - 8..blocks * BLOCK].copy_from_slice(&self.len.wrapping_mul(8).to_le_bytes());
        for block in &end.as_chunks::<BLOCK>().0[..blocks] {
            self.take(block);
        }
        let mut digest = [0; 16];
        for (out, word) in digest.as_chunks_mut::<4>().0.iter_mut().zip(self.state) {
            *out = word.to_le_bytes();
        }
        digest
    }
}

/// Bytes that are still to be hashed.
#[derive(Debug)]
struct Input {
    /// None of them is empty.
    pieces: VecDeque<Bytes>,
    /// Bytes of the first that are hashed.
    at: usize,
}

impl Input {
    fn new(mut pieces: VecDeque<Bytes>) -> Input {
        pieces.retain(|piece| !piece.is_empty());
        Input { pieces, at: 0 }
    }

    /// The whole blocks that lie in one piece here, if `stream` has no piece of one left over.
    fn whole(&self, stream: &Stream) -> &[u8] {
        match self.pieces.front() {
            Some(piece) if stream.rest_len == 0 => {
                let left = &piece[self.at..];
                &left[..left.len() / BLOCK * BLOCK]
            }
            _ => &[],
        }
    }

    fn advance(&mut self, by: usize, stream: &mut Stream) {
        self.at += by;
        stream.len += by as u64;
        if self.pieces.front().is_some_and(|piece| piece.len() == self.at) {
            self.pieces.pop_front();
            self.at = 0;
        }
    }

    /// The next whole block; what is left over stays with `stream`.
    fn next_block(&mut self, stream: &mut Stream) -> Option<[u8; BLOCK]> {
        loop {
            let left = &self.pieces.front()?[self.at..];
            let taken = left.len().min(BLOCK - stream.rest_len);
            stream.rest[stream.rest_len..stream.rest_len + taken].copy_from_slice(&left[..taken]);
            stream.rest_len += taken;
            self.advance(taken, stream);
            if stream.rest_len == BLOCK {
                stream.rest_len = 0;
                return Some(stream.rest);
            }
        }
    }
}

/// A batch of one body's bytes.
#[derive(Debug)]
struct Job {
    stream: Stream,
    input: Input,
    done: oneshot::Sender<Stream>,
}

/// The workers, shared by all requests. They end when the last holder is gone.
#[derive(Clone, Debug)]
pub(crate) struct Lanes {
    queue: Arc<Queue>,
    _ends: Arc<Ends>,
}

#[derive(Debug, Default)]
struct Queue {
    waiting: Mutex<Waiting>,
    more: Condvar,
}

#[derive(Debug, Default)]
struct Waiting {
    jobs: VecDeque<Job>,
    over: bool,
}

/// Tells the workers when nobody holds them any more.
#[derive(Debug)]
struct Ends(Arc<Queue>);

impl Drop for Ends {
    fn drop(&mut self) {
        self.0.waiting.lock().expect("nothing panics while it is held").over = true;
        self.0.more.notify_all();
    }
}

impl Lanes {
    /// Starts `workers` threads.
    pub(crate) fn new(workers: usize) -> Lanes {
        let queue = Arc::new(Queue::default());
        for number in 0..workers.max(1) {
            let queue = queue.clone();
            let worker = std::thread::Builder::new().name(format!("md5-{number}"));
            // A machine that gives no thread now hashes with the others, or gives none to anybody.
            if let Err(error) = worker.spawn(move || work(&queue)) {
                tracing::error!(%error, "a thread for MD5 cannot be started");
            }
        }
        Lanes { _ends: Arc::new(Ends(queue.clone())), queue }
    }

    /// Hashes `pieces` into `stream`.
    pub(crate) async fn hash(&self, stream: Stream, pieces: VecDeque<Bytes>) -> Stream {
        let (done, hashed) = oneshot::channel();
        let job = Job { stream, input: Input::new(pieces), done };
        self.queue.waiting.lock().expect("nothing panics while it is held").jobs.push_back(job);
        self.queue.more.notify_one();
        hashed.await.expect("a worker answers every job it takes")
    }
}

/// Hashes whatever waits, as many bodies at once as there are.
fn work(queue: &Queue) {
    let mut lanes: Vec<Job> = Vec::with_capacity(LANES_MAX);
    loop {
        {
            let waiting = queue.waiting.lock().expect("nothing panics while it is held");
            let wants = |waiting: &mut Waiting| lanes.is_empty() && waiting.jobs.is_empty() && !waiting.over;
            let mut waiting = queue.more.wait_while(waiting, wants).expect("nothing panics while it is held");
            if lanes.is_empty() && waiting.jobs.is_empty() {
                return;
            }
            let free = (LANES_MAX - lanes.len()).min(waiting.jobs.len());
            lanes.extend(waiting.jobs.drain(..free));
        }
        match lanes.len() {
            1 => run::<1>(&mut lanes),
            2..=4 => run::<4>(&mut lanes),
            5..=8 => run::<8>(&mut lanes),
            _ => run::<LANES_MAX>(&mut lanes),
        }
    }
}

/// Hashes some blocks of up to `N` jobs. Those that end are answered and leave.
fn run<const N: usize>(lanes: &mut Vec<Job>) {
    let mut left = BLOCKS_BETWEEN_LOOKS;
    while left > 0 {
        let together = lanes.iter().map(|job| job.input.whole(&job.stream).len() / BLOCK).min().unwrap_or(0);
        if together == 0 {
            // Somewhere pieces meet, or a body's bytes end.
            left -= 1;
            step_each(lanes);
            if lanes.is_empty() {
                return;
            }
            continue;
        }
        let blocks = together.min(left);
        take_together::<N>(lanes, blocks);
        left -= blocks;
    }
}

/// Takes `blocks` blocks of every job side by side; each has them in one piece.
fn take_together<const N: usize>(lanes: &mut [Job], blocks: usize) {
    let mut state = [[0; N]; 4];
    // Lanes without a job repeat the first one's bytes into a state that nobody reads.
    let mut bytes = [lanes[0].input.whole(&lanes[0].stream); N];
    for (lane, job) in lanes.iter().enumerate() {
        (0..4).for_each(|word| state[word][lane] = job.stream.state[word]);
        bytes[lane] = job.input.whole(&job.stream);
    }
    compress_all(&mut state, &bytes, blocks);
    for (lane, job) in lanes.iter_mut().enumerate() {
        (0..4).for_each(|word| job.stream.state[word] = state[word][lane]);
        job.input.advance(blocks * BLOCK, &mut job.stream);
    }
}

/// Takes one block of each job that stands where its pieces meet; those whose bytes end are answered and leave.
fn step_each(lanes: &mut Vec<Job>) {
    let mut at = 0;
    while let Some(job) = lanes.get_mut(at) {
        if !job.input.whole(&job.stream).is_empty() {
            at += 1;
            continue;
        }
        match job.input.next_block(&mut job.stream) {
            Some(block) => {
                job.stream.take(&block);
                at += 1;
            }
            None => {
                let job = lanes.swap_remove(at);
                // Whoever asked may have gone away.
                let _ = job.done.send(job.stream);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use md5::{Digest as _, Md5};

    use super::*;

    fn bytes(len: usize, seed: u64) -> Bytes {
        (0..len as u64).map(|x| (x.wrapping_mul(seed | 1) >> 3) as u8).collect()
    }

    /// Cut into pieces of uneven lengths.
    fn pieces(mut bytes: Bytes, seed: usize) -> VecDeque<Bytes> {
        let mut cut = VecDeque::new();
        for step in (0..).map(|n| 1 + (n * 37 + seed * 11) % 200) {
            if bytes.is_empty() {
                return cut;
            }
            cut.push_back(bytes.split_to(step.min(bytes.len())));
        }
        cut
    }

    #[test]
    fn one_body_alone_has_the_digest_that_md5_gives() {
        for len in [0, 1, 55, 56, 57, 63, 64, 65, 119, 120, 128, 1000, 4096] {
            let body = bytes(len, 7);
            let mut stream = Stream::new();
            pieces(body.clone(), len).iter().for_each(|piece| stream.update(piece));
            assert_eq!(stream.finish(), <[u8; 16]>::from(Md5::digest(&body)), "{len} bytes");
        }
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn bodies_hashed_side_by_side_do_not_mix() {
        let lanes = Lanes::new(2);
        let hashed = (0..40).map(|n| {
            let lanes = lanes.clone();
            tokio::spawn(async move {
                let body = bytes(n * n * 71 + n, n as u64 * 2654435761);
                let mut stream = Stream::new();
                for batch in body.chunks(30_000.max(body.len() / 3 + 1)) {
                    stream = lanes.hash(stream, pieces(Bytes::copy_from_slice(batch), n)).await;
                }
                assert_eq!(stream.finish(), <[u8; 16]>::from(Md5::digest(&body)), "body {n}");
            })
        });
        for each in hashed.collect::<Vec<_>>() {
            each.await.unwrap();
        }
    }
}
