//! The in-memory network: what the shards of a simulation listen on and connect to.
//!
//! Shape   a connection is two pipes; each holds the segments that were sent, every one with the moment it arrives, and at
//!         most [`PIPE_MAX`] bytes. One network serves all shards of a simulation.
//! Units   bytes; latencies are virtual time.
//! Errors  those of TCP: refused, reset, broken pipe.
//!
//! By seed segments take their time, and calls move fewer bytes than asked, as those of a kernel may.

use super::exec::SimExec;
use crate::clock::{Moment, Sleep};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::fmt;
use std::future::{Future, poll_fn};
use std::io::{self, ErrorKind, IoSlice};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::pin::Pin;
use std::rc::Rc;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::task::{Context, Poll, Waker, ready};
use std::time::Duration;

/// Bytes one direction of a connection holds.
const PIPE_MAX: usize = 256 << 10;
/// Connections a listener holds until they are accepted.
const BACKLOG_MAX: usize = 1024;
/// The first port given to those that ask for any.
const PORT_FIRST: u16 = 40_000;

/// The network of one simulation, for tests that disturb it. Clones are the same network.
///
/// ```
/// use allotrope_io::{ShardId, Sim, SimConfig};
/// use std::io::ErrorKind;
/// let sim = Sim::new(SimConfig::seeded(1, 1));
/// let network = sim.network();
/// let read = sim.shards().run_on(ShardId(0), "talk", move |shard| async move {
///     let listener = shard.listen("127.0.0.1:0".parse().unwrap()).unwrap();
///     let mut here = shard.connect(listener.local_addr()).await.unwrap();
///     let _there = listener.accept().await.unwrap();
///     network.reset(listener.local_addr());
///     here.read(&mut [0; 8]).await.unwrap_err().kind()
/// });
/// assert_eq!(sim.run(read.unwrap()), Ok(ErrorKind::ConnectionReset));
/// ```
#[derive(Clone, Debug, Default)]
pub struct SimNetwork(Arc<Mutex<State>>);

#[derive(Debug)]
struct State {
    latency: (Duration, Duration),
    listeners: BTreeMap<SocketAddr, Vec<Arc<Backlog>>>,
    connections: Vec<Weak<Connection>>,
    stalled: BTreeSet<SocketAddr>,
    /// Those that connect to a stalled address.
    held: Vec<Waker>,
    next_port: u16,
}

impl Default for State {
    fn default() -> State {
        State {
            latency: (Duration::from_micros(10), Duration::from_micros(60)),
            listeners: BTreeMap::new(),
            connections: Vec::new(),
            stalled: BTreeSet::new(),
            held: Vec::new(),
            next_port: PORT_FIRST,
        }
    }
}

#[derive(Debug, Default)]
struct Backlog(Mutex<(VecDeque<Arc<Connection>>, Option<Waker>)>);

#[derive(Debug)]
struct Connection {
    /// Of the side that connected, and of the side that accepted.
    addrs: [SocketAddr; 2],
    state: Mutex<Pipes>,
}

#[derive(Debug, Default)]
struct Pipes {
    /// What each side sent.
    sent: [Pipe; 2],
    stalled: bool,
    reset: bool,
}

#[derive(Debug, Default)]
struct Pipe {
    segments: VecDeque<(Moment, VecDeque<u8>)>,
    bytes: usize,
    /// When the last segment arrives: none overtakes another.
    last: Option<Moment>,
    /// The sender sends no more.
    ended: bool,
    /// The receiver is gone.
    deaf: bool,
    reader: Option<Waker>,
    writer: Option<Waker>,
}

impl SimNetwork {
    /// Sets how long segments and connections take from now on: between the two, by seed.
    pub fn set_latency(&self, from: Duration, to: Duration) {
        self.lock().latency = (from, to.max(from));
    }

    /// Holds back everything on connections from or to `addr`, and new connections to it, until [`release`](Self::release).
    pub fn stall(&self, addr: SocketAddr) {
        self.lock().stalled.insert(addr);
        self.each(addr, |pipes| pipes.stalled = true);
    }

    /// Lets go what [`stall`](Self::stall) holds.
    pub fn release(&self, addr: SocketAddr) {
        let held = {
            let mut state = self.lock();
            state.stalled.remove(&addr);
            std::mem::take(&mut state.held)
        };
        self.each(addr, |pipes| pipes.stalled = false);
        held.into_iter().for_each(Waker::wake);
    }

    /// Breaks every connection from or to `addr`; what was under way is lost.
    pub fn reset(&self, addr: SocketAddr) {
        self.each(addr, |pipes| pipes.reset = true);
    }

    fn each(&self, addr: SocketAddr, change: impl Fn(&mut Pipes)) {
        let on_it: Vec<_> = {
            let mut state = self.lock();
            state.connections.retain(|connection| connection.strong_count() > 0);
            let all = state.connections.iter().filter_map(Weak::upgrade);
            all.filter(|connection| connection.addrs.contains(&addr)).collect()
        };
        for connection in on_it {
            let mut pipes = connection.lock();
            change(&mut pipes);
            pipes.wake_all();
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Listens on `addr`, beside those that do already.
    pub(crate) fn listen(&self, exec: &SimExec, mut addr: SocketAddr) -> SimListener {
        let mut state = self.lock();
        if addr.port() == 0 {
            addr.set_port(state.any_port());
        }
        let backlog: Arc<Backlog> = Arc::default();
        state.listeners.entry(addr).or_default().push(backlog.clone());
        exec.note(format_args!("listen on {addr}"));
        SimListener { network: self.clone(), exec: exec.clone(), addr, backlog }
    }

    /// Connects to `addr` in its time.
    pub(crate) async fn connect(&self, exec: &SimExec, addr: SocketAddr) -> io::Result<SimEnd> {
        let takes = self.takes(exec);
        exec.clock().sleep(takes).await;
        poll_fn(|cx| {
            let mut state = self.lock();
            if !state.stalled.contains(&addr) {
                return Poll::Ready(());
            }
            state.held.push(cx.waker().clone());
            Poll::Pending
        })
        .await;
        let mut state = self.lock();
        let backlog = state.listener(exec, addr).ok_or(ErrorKind::ConnectionRefused)?;
        let ip = if addr.ip().is_unspecified() { IpAddr::V4(Ipv4Addr::LOCALHOST) } else { addr.ip() };
        let mine = SocketAddr::new(ip, state.any_port());
        let connection = Arc::new(Connection { addrs: [mine, addr], state: Mutex::default() });
        state.connections.retain(|other| other.strong_count() > 0);
        state.connections.push(Arc::downgrade(&connection));
        drop(state);
        exec.note(format_args!("connect {mine} to {addr}"));
        let waker = {
            let mut backlog = backlog.0.lock().unwrap_or_else(PoisonError::into_inner);
            if backlog.0.len() >= BACKLOG_MAX {
                return Err(ErrorKind::ConnectionRefused.into());
            }
            backlog.0.push_back(connection.clone());
            backlog.1.take()
        };
        if let Some(waker) = waker {
            waker.wake();
        }
        Ok(SimEnd::new(self, exec, connection, 0))
    }

    fn takes(&self, exec: &SimExec) -> Duration {
        let (from, to) = self.lock().latency;
        from + Duration::from_nanos(exec.rng().below((to - from).as_nanos() as u64 + 1))
    }
}

impl State {
    fn any_port(&mut self) -> u16 {
        self.next_port = self.next_port.checked_add(1).unwrap_or(PORT_FIRST);
        self.next_port
    }

    /// One of those that listen on `addr`, picked by the seed.
    fn listener(&self, exec: &SimExec, addr: SocketAddr) -> Option<Arc<Backlog>> {
        let any = SocketAddr::new(Ipv4Addr::UNSPECIFIED.into(), addr.port());
        let there = self.listeners.get(&addr).or_else(|| self.listeners.get(&any))?;
        there.get(exec.rng().below(there.len() as u64) as usize).cloned()
    }
}

/// A listener on the in-memory network.
pub(crate) struct SimListener {
    network: SimNetwork,
    exec: SimExec,
    addr: SocketAddr,
    backlog: Arc<Backlog>,
}

impl SimListener {
    pub(crate) fn local_addr(&self) -> SocketAddr {
        self.addr
    }

    pub(crate) fn poll_accept(&self, cx: &mut Context<'_>) -> Poll<SimEnd> {
        let mut backlog = self.backlog.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(connection) = backlog.0.pop_front() {
            return Poll::Ready(SimEnd::new(&self.network, &self.exec, connection, 1));
        }
        backlog.1 = Some(cx.waker().clone());
        Poll::Pending
    }
}

impl Drop for SimListener {
    fn drop(&mut self) {
        let mut state = self.network.lock();
        if let Some(there) = state.listeners.get_mut(&self.addr) {
            there.retain(|other| !Arc::ptr_eq(other, &self.backlog));
            if there.is_empty() {
                state.listeners.remove(&self.addr);
            }
        }
        drop(state);
        // Those that nobody accepted are closed.
        let left = std::mem::take(&mut self.backlog.0.lock().unwrap_or_else(PoisonError::into_inner).0);
        left.into_iter().for_each(|each| drop(SimEnd::new(&self.network, &self.exec, each, 1)));
    }
}

/// One end of a connection. Clones share it; the last one closes it.
#[derive(Clone)]
pub(crate) struct SimEnd(Rc<End>);

struct End {
    network: SimNetwork,
    exec: SimExec,
    connection: Arc<Connection>,
    side: usize,
}

impl fmt::Debug for SimEnd {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SimEnd({} to {})", self.local_addr(), self.peer_addr())
    }
}

impl SimEnd {
    fn new(network: &SimNetwork, exec: &SimExec, connection: Arc<Connection>, side: usize) -> SimEnd {
        SimEnd(Rc::new(End { network: network.clone(), exec: exec.clone(), connection, side }))
    }

    pub(crate) fn local_addr(&self) -> SocketAddr {
        self.0.connection.addrs[self.0.side]
    }

    pub(crate) fn peer_addr(&self) -> SocketAddr {
        self.0.connection.addrs[1 - self.0.side]
    }

    /// Hands over up to `room` bytes that have arrived; none is the end. `until` keeps the wait for the next segment.
    pub(crate) fn poll_receive(
        &self,
        cx: &mut Context<'_>,
        until: &mut Option<Sleep>,
        room: usize,
        mut take: impl FnMut(&[u8]),
    ) -> Poll<io::Result<usize>> {
        let End { exec, connection, side, .. } = &*self.0;
        loop {
            let mut pipes = connection.lock();
            if pipes.reset {
                return Poll::Ready(Err(ErrorKind::ConnectionReset.into()));
            }
            let stalled = pipes.stalled;
            let pipe = &mut pipes.sent[1 - side];
            pipe.reader = Some(cx.waker().clone());
            if stalled {
                return Poll::Pending;
            }
            let Some((arrives, bytes)) = pipe.segments.front_mut() else {
                return if pipe.ended { Poll::Ready(Ok(0)) } else { Poll::Pending };
            };
            let arrives = *arrives;
            if arrives > exec.clock().now() {
                drop(pipes);
                let wait = until.insert(exec.clock().sleep_until(arrives));
                ready!(Pin::new(wait).poll(cx));
                continue;
            }
            let n = some_of(exec, bytes.len().min(room));
            let (first, second) = bytes.as_slices();
            take(&first[..n.min(first.len())]);
            take(&second[..n.saturating_sub(first.len())]);
            bytes.drain(..n);
            if bytes.is_empty() {
                pipe.segments.pop_front();
            }
            pipe.bytes -= n;
            let writer = pipe.writer.take();
            drop(pipes);
            *until = None;
            exec.note(format_args!("receive {} from {} len {n}", self.local_addr(), self.peer_addr()));
            writer.into_iter().for_each(Waker::wake);
            return Poll::Ready(Ok(n));
        }
    }

    /// Sends some of `parts`; answers how many bytes.
    pub(crate) fn poll_send(&self, cx: &mut Context<'_>, parts: &[IoSlice<'_>]) -> Poll<io::Result<usize>> {
        let End { network, exec, connection, side } = &*self.0;
        let len: usize = parts.iter().map(|part| part.len()).sum();
        let takes = network.takes(exec);
        let mut pipes = connection.lock();
        if pipes.reset {
            return Poll::Ready(Err(ErrorKind::ConnectionReset.into()));
        }
        let pipe = &mut pipes.sent[*side];
        if pipe.ended || pipe.deaf {
            return Poll::Ready(Err(ErrorKind::BrokenPipe.into()));
        }
        if len == 0 {
            return Poll::Ready(Ok(0));
        }
        let room = PIPE_MAX - pipe.bytes;
        if room == 0 {
            pipe.writer = Some(cx.waker().clone());
            return Poll::Pending;
        }
        let n = some_of(exec, len.min(room));
        let bytes: VecDeque<u8> = parts.iter().flat_map(|part| part.iter().copied()).take(n).collect();
        let arrives = (exec.clock().now() + takes).max(pipe.last.unwrap_or(Moment::from_nanos(0)));
        pipe.last = Some(arrives);
        pipe.segments.push_back((arrives, bytes));
        pipe.bytes += n;
        let reader = pipe.reader.take();
        drop(pipes);
        exec.note(format_args!("send {} to {} len {n}", self.local_addr(), self.peer_addr()));
        reader.into_iter().for_each(Waker::wake);
        Poll::Ready(Ok(n))
    }

    /// Tells the other side that no more bytes come.
    pub(crate) fn shutdown_write(&self) {
        let End { connection, side, .. } = &*self.0;
        let mut pipes = connection.lock();
        pipes.sent[*side].ended = true;
        pipes.wake_all();
    }
}

impl Drop for End {
    fn drop(&mut self) {
        let mut pipes = self.connection.lock();
        pipes.sent[self.side].ended = true;
        pipes.sent[1 - self.side].deaf = true;
        pipes.wake_all();
    }
}

impl Connection {
    fn lock(&self) -> MutexGuard<'_, Pipes> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Pipes {
    fn wake_all(&mut self) {
        let wakers = self.sent.iter_mut().flat_map(|pipe| [pipe.reader.take(), pipe.writer.take()]);
        wakers.flatten().for_each(Waker::wake);
    }
}

/// How many of `n` bytes a call moves: mostly all, sometimes fewer.
fn some_of(exec: &SimExec, n: usize) -> usize {
    match n > 1 && exec.rng().chance(1, 8) {
        true => 1 + exec.rng().below(n as u64 - 1) as usize,
        false => n,
    }
}
