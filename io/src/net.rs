//! TCP on a shard.
//!
//! Shape   [`TcpListener`] (one a shard on the same port, SO_REUSEPORT) hands out [`TcpStream`]s that stay on it.
//! Errors  [`NetError`] for listening and connecting, `io::Error` on a stream, as hyper wants them.
//!
//! A call is tried first and waits for readiness only when the kernel says it would block, so buffers are borrowed:
//! nothing is in flight while a task waits. Under simulation the same face stands over the in-memory network.

use crate::buffer::AlignedBuf;
use crate::clock::{Clock, Sleep};
use crate::shard::{Exec, Shard};
use crate::sim::{SimEnd, SimListener};
use crate::sys::ZeroCopy;
use glommio::io::{PollState, PollableFd};
use rustix::event::{PollFd, PollFlags, Timespec};
use rustix::net::{
    AddressFamily, RecvFlags, SendAncillaryBuffer, SendFlags, Shutdown, SocketFlags, SocketType, sockopt,
};
use std::cell::Cell;
use std::fmt;
use std::future::poll_fn;
use std::io::{self, IoSlice};
use std::net::SocketAddr;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::rc::Rc;
use std::task::{Context, Poll};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

/// Listening or connecting failed.
#[derive(Debug, thiserror::Error)]
#[error("cannot {what} {addr}")]
pub struct NetError {
    /// What was being done.
    pub what: &'static str,
    /// The address it was done with.
    pub addr: SocketAddr,
    /// The system's reason.
    pub source: io::Error,
}

/// A descriptor whose readiness the shard's reactor knows. Clones share it.
#[derive(Clone)]
enum Watch {
    Uring(Rc<PollableFd<OwnedFd>>),
    Tokio(Rc<AsyncFd<OwnedFd>>),
}

/// One end of a connection: the kernel's, or of a simulation. Clones share it.
#[derive(Clone)]
enum Socket {
    Real(Watch),
    Memory(SimEnd),
}

/// One task's wait for one direction of a [`Socket`].
#[derive(Default)]
struct Wait {
    ready: PollState,
    arrival: Option<Sleep>,
}

impl Watch {
    fn new(exec: &Exec, fd: OwnedFd) -> io::Result<Watch> {
        Ok(match exec {
            Exec::Uring(_) => Watch::Uring(Rc::new(PollableFd::new(fd)?)),
            Exec::Portable(_) => Watch::Tokio(Rc::new(crate::sys::watch(fd)?)),
            Exec::Sim(_) => unreachable!("a simulation has sockets of its own"),
        })
    }

    fn fd(&self) -> BorrowedFd<'_> {
        match self {
            Watch::Uring(fd) => fd.get_ref().as_fd(),
            Watch::Tokio(fd) => fd.get_ref().as_fd(),
        }
    }

    /// Tries `call` until it does not block any more.
    fn poll_io<T>(
        &self,
        cx: &mut Context<'_>,
        wait: &mut Wait,
        interest: Interest,
        mut call: impl FnMut(BorrowedFd<'_>) -> io::Result<T>,
    ) -> Poll<io::Result<T>> {
        loop {
            match self {
                Watch::Uring(fd) => {
                    match call(fd.get_ref().as_fd()) {
                        Err(e) if e.kind() == io::ErrorKind::WouldBlock => {}
                        Err(e) if e.kind() == io::ErrorKind::Interrupted => continue,
                        done => return Poll::Ready(done),
                    }
                    let ready = if interest.is_readable() {
                        fd.poll_readable(cx, &mut wait.ready)
                    } else {
                        fd.poll_writable(cx, &mut wait.ready)
                    };
                    std::task::ready!(ready)?;
                }
                Watch::Tokio(fd) => {
                    let ready =
                        if interest.is_readable() { fd.poll_read_ready(cx) } else { fd.poll_write_ready(cx) };
                    let mut guard = std::task::ready!(ready)?;
                    match guard.try_io(|fd| call(fd.get_ref().as_fd())) {
                        Ok(Err(e)) if e.kind() == io::ErrorKind::Interrupted => {}
                        Ok(done) => return Poll::Ready(done),
                        // The readiness was stale and is cleared now.
                        Err(_) => {}
                    }
                }
            }
        }
    }
}

fn socket_for(addr: SocketAddr) -> io::Result<OwnedFd> {
    let family = if addr.is_ipv4() { AddressFamily::INET } else { AddressFamily::INET6 };
    let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
    Ok(rustix::net::socket_with(family, SocketType::STREAM, flags, None)?)
}

fn addr_of(any: rustix::net::SocketAddrAny) -> io::Result<SocketAddr> {
    SocketAddr::try_from(any).map_err(Into::into)
}

impl Shard {
    /// Listens on `addr`, where nobody else may listen: not another process either that would share its port. Further shards
    /// join with [`Shard::listen_along`].
    pub fn listen(&self, addr: SocketAddr) -> Result<TcpListener, NetError> {
        self.listen_as(addr, false)
    }

    /// Listens on an address that another shard listens on; the kernel spreads connections over them.
    pub fn listen_along(&self, addr: SocketAddr) -> Result<TcpListener, NetError> {
        self.listen_as(addr, true)
    }

    fn listen_as(&self, addr: SocketAddr, along: bool) -> Result<TcpListener, NetError> {
        if let Exec::Sim(exec) = self.exec() {
            let listener = exec.network().listen(exec, addr);
            let local = listener.local_addr();
            return Ok(TcpListener { from: Listening::Memory(listener), shard: self.clone(), local });
        }
        let listen = || -> io::Result<TcpListener> {
            let fd = socket_for(addr)?;
            sockopt::set_socket_reuseaddr(&fd, true)?;
            sockopt::set_socket_reuseport(&fd, along)?;
            rustix::net::bind(&fd, &addr)?;
            // The first binds alone, so that a port in use is refused, and opens the port to the others then.
            sockopt::set_socket_reuseport(&fd, true)?;
            rustix::net::listen(&fd, 1024)?;
            let local = addr_of(rustix::net::getsockname(&fd)?)?;
            let from = Listening::Real(Watch::new(self.exec(), fd)?);
            Ok(TcpListener { from, shard: self.clone(), local })
        };
        listen().map_err(|source| NetError { what: "listen on", addr, source })
    }

    /// Connects to `addr`. Put a deadline around it.
    pub async fn connect(&self, addr: SocketAddr) -> Result<TcpStream, NetError> {
        let connect = async {
            if let Exec::Sim(exec) = self.exec() {
                let end = exec.network().connect(exec, addr).await?;
                return Ok(TcpStream::over(self, Socket::Memory(end)));
            }
            let fd = socket_for(addr)?;
            match rustix::net::connect(&fd, &addr) {
                Ok(()) | Err(rustix::io::Errno::INPROGRESS) => {}
                Err(e) => return Err(io::Error::from(e)),
            }
            let fd = Watch::new(self.exec(), fd)?;
            let mut stream = TcpStream::new(self, fd.clone())?;
            let wait = &mut stream.write;
            poll_fn(|cx| {
                fd.poll_io(cx, wait, Interest::WRITABLE, |fd| {
                    sockopt::socket_error(fd)??;
                    match rustix::net::getpeername(fd) {
                        Ok(_) => Ok(()),
                        Err(rustix::io::Errno::NOTCONN) => Err(io::ErrorKind::WouldBlock.into()),
                        Err(e) => Err(e.into()),
                    }
                })
            })
            .await?;
            Ok(stream)
        };
        connect.await.map_err(|source| NetError { what: "connect to", addr, source })
    }
}

/// A listening socket of one shard.
pub struct TcpListener {
    from: Listening,
    shard: Shard,
    local: SocketAddr,
}

enum Listening {
    Real(Watch),
    Memory(SimListener),
}

impl TcpListener {
    /// The address it listens on, with the port the system chose if it was asked for 0.
    pub fn local_addr(&self) -> SocketAddr {
        self.local
    }

    /// The next connection.
    ///
    /// Cancel safety: a dropped wait loses no connection.
    pub async fn accept(&self) -> io::Result<TcpStream> {
        let watch = match &self.from {
            Listening::Real(watch) => watch,
            Listening::Memory(listener) => {
                let end = poll_fn(|cx| listener.poll_accept(cx)).await;
                return Ok(TcpStream::over(&self.shard, Socket::Memory(end)));
            }
        };
        let mut wait = Wait::default();
        let accepted = poll_fn(|cx| {
            watch.poll_io(cx, &mut wait, Interest::READABLE, |fd| {
                Ok(rustix::net::accept_with(fd, SocketFlags::NONBLOCK | SocketFlags::CLOEXEC)?)
            })
        });
        TcpStream::new(&self.shard, Watch::new(self.shard.exec(), accepted.await?)?)
    }
}

impl fmt::Debug for TcpListener {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "TcpListener({})", self.local)
    }
}

/// A connection on one shard. Reads into, and writes from, memory of the caller; hyper's `rt` traits are implemented.
pub struct TcpStream {
    shard: Shard,
    socket: Socket,
    read: Wait,
    write: Wait,
    /// Whether the kernel sends to this peer without copying.
    pub(crate) zero_copy: Rc<Cell<ZeroCopy>>,
}

impl TcpStream {
    fn new(shard: &Shard, fd: Watch) -> io::Result<TcpStream> {
        sockopt::set_tcp_nodelay(fd.fd(), true)?;
        Ok(TcpStream::over(shard, Socket::Real(fd)))
    }

    fn over(shard: &Shard, socket: Socket) -> TcpStream {
        let (read, write) = (Wait::default(), Wait::default());
        TcpStream { shard: shard.clone(), socket, read, write, zero_copy: Rc::default() }
    }

    /// The other side's address.
    pub fn peer_addr(&self) -> io::Result<SocketAddr> {
        match &self.socket {
            Socket::Real(watch) => {
                addr_of(rustix::net::getpeername(watch.fd())?.ok_or(io::ErrorKind::NotConnected)?)
            }
            Socket::Memory(end) => Ok(end.peer_addr()),
        }
    }

    /// This side's address.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        match &self.socket {
            Socket::Real(watch) => addr_of(rustix::net::getsockname(watch.fd())?),
            Socket::Memory(end) => Ok(end.local_addr()),
        }
    }

    /// Reads what is there into `buf`, at least one byte; 0 is the end.
    pub async fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let TcpStream { socket, read, .. } = self;
        poll_fn(|cx| match socket {
            Socket::Real(watch) => watch.poll_io(cx, read, Interest::READABLE, |fd| {
                Ok(rustix::net::recv(fd, &mut *buf, RecvFlags::empty())?.0)
            }),
            Socket::Memory(end) => {
                let mut done = 0;
                end.poll_receive(cx, &mut read.arrival, buf.len(), |bytes| {
                    buf[done..done + bytes.len()].copy_from_slice(bytes);
                    done += bytes.len();
                })
            }
        })
        .await
    }

    /// Fills `buf`; an end before that is an error of kind `UnexpectedEof`.
    pub async fn read_exact(&mut self, mut buf: &mut [u8]) -> io::Result<()> {
        while !buf.is_empty() {
            match self.read(buf).await? {
                0 => return Err(io::ErrorKind::UnexpectedEof.into()),
                n => buf = &mut buf[n..],
            }
        }
        Ok(())
    }

    /// Appends `len` bytes to `buf`, straight from the socket; an end before that is an error of kind `UnexpectedEof`.
    pub async fn read_into(&mut self, buf: &mut AlignedBuf, len: usize) -> io::Result<()> {
        let old = buf.len();
        buf.set_len(old + len);
        self.read_exact(&mut buf[old..]).await
    }

    /// Writes all of `bytes`.
    pub async fn write_all(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.write_all_vectored(&mut [IoSlice::new(bytes)]).await
    }

    /// Writes all of `parts`, one after the other, with as few calls as the kernel allows.
    pub async fn write_all_vectored(&mut self, mut parts: &mut [IoSlice<'_>]) -> io::Result<()> {
        while parts.iter().any(|part| !part.is_empty()) {
            let sent = poll_fn(|cx| self.poll_send(cx, parts)).await?;
            IoSlice::advance_slices(&mut parts, sent);
        }
        Ok(())
    }

    /// Tells the other side that no more bytes come.
    pub fn shutdown_write(&self) -> io::Result<()> {
        match &self.socket {
            Socket::Real(watch) => rustix::net::shutdown(watch.fd(), Shutdown::Write)?,
            Socket::Memory(end) => end.shutdown_write(),
        }
        Ok(())
    }

    /// Splits into a half that reads and one that writes, for two tasks of the same shard.
    pub fn split(self) -> (TcpStream, TcpStream) {
        let mut writer = TcpStream::over(&self.shard, self.socket.clone());
        let TcpStream { shard, socket, read, write, zero_copy } = self;
        (writer.write, writer.zero_copy) = (write, zero_copy.clone());
        (TcpStream { shard, socket, read, write: Wait::default(), zero_copy }, writer)
    }

    pub(crate) fn clock(&self) -> &Clock {
        self.shard.clock()
    }

    /// Another descriptor of the same connection; none under simulation.
    pub(crate) fn duplicate(&self) -> io::Result<Option<OwnedFd>> {
        match &self.socket {
            Socket::Real(watch) => watch.fd().try_clone_to_owned().map(Some),
            Socket::Memory(_) => Ok(None),
        }
    }

    /// Waits until the kernel takes more bytes.
    pub(crate) async fn writable(&mut self) -> io::Result<()> {
        let Socket::Real(watch) = &self.socket else { return Ok(()) };
        poll_fn(|cx| {
            watch.poll_io(cx, &mut self.write, Interest::WRITABLE, |fd| {
                let mut look = [PollFd::new(&fd, PollFlags::OUT)];
                match rustix::event::poll(&mut look, Some(&Timespec::default()))? {
                    0 => Err(io::ErrorKind::WouldBlock.into()),
                    _ => Ok(()),
                }
            })
        })
        .await
    }

    pub(crate) fn poll_receive(
        &mut self,
        cx: &mut Context<'_>,
        mut into: hyper::rt::ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        if into.remaining() == 0 {
            return Poll::Ready(Ok(()));
        }
        let received = match &self.socket {
            Socket::Real(watch) => watch.poll_io(cx, &mut self.read, Interest::READABLE, |fd| {
                crate::sys::receive_into(fd, &mut into)
            }),
            Socket::Memory(end) => {
                end.poll_receive(cx, &mut self.read.arrival, into.remaining(), |bytes| into.put_slice(bytes))
            }
        };
        received.map_ok(drop)
    }

    pub(crate) fn poll_send(
        &mut self,
        cx: &mut Context<'_>,
        parts: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match &self.socket {
            Socket::Real(watch) => {
                watch.poll_io(cx, &mut self.write, Interest::WRITABLE, |fd| send(fd, parts))
            }
            Socket::Memory(end) => end.poll_send(cx, parts),
        }
    }
}

/// The kernel takes no more parts in one call.
const PARTS_MAX: usize = 1024;

fn send(fd: BorrowedFd<'_>, parts: &[IoSlice<'_>]) -> io::Result<usize> {
    let parts = &parts[..parts.len().min(PARTS_MAX)];
    match parts {
        [one] => Ok(rustix::net::send(fd, one, SendFlags::NOSIGNAL)?),
        _ => {
            let mut none = SendAncillaryBuffer::default();
            Ok(rustix::net::sendmsg(fd, parts, &mut none, SendFlags::NOSIGNAL)?)
        }
    }
}

impl fmt::Debug for TcpStream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "TcpStream({:?})", self.peer_addr())
    }
}
