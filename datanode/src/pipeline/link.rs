//! A leader's stream to one follower: commands in their order, results back, and the same again after a cut.
//!
//! Shape   commands wait here until the follower has answered them; a connection sends them from where the follower stands.
//!         Chunk data goes out from the frames it arrived in.
//! Law     a follower that leaves a command unanswered for too long, that says it has ended, or whose process is gone ends the
//!         epoch. Before the first meeting there is no hurry: SCM gives up a pipeline whose members do not meet.

use super::execute;
use super::frame::{
    ACK_LEN, Ack, COMMAND_MAX, DATA_MAX, FRAME_LEN, Foreign, Frame, Greeting, HELLO_LEN, Hello, WELCOME_LEN,
};
use super::group::Group;
use crate::block::records::crc32c;
use crate::commands::Request;
use allotrope_io::{Moment, TcpStream};
use allotrope_proto::Rope;
use bytes::Bytes;
use futures_util::future::{Either, select};
use prost::Message;
use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::io::{self, IoSlice};
use std::net::SocketAddr;
use std::ops::Bound;
use std::pin::pin;
use std::rc::Rc;
use std::time::Duration;
use tokio::sync::Notify;

/// Longest time for a connection and its first word.
const GREET_MAX: Duration = Duration::from_secs(3);
/// Pause after a connection that failed.
const AGAIN: Duration = Duration::from_millis(100);
/// Pieces of memory in one call to the kernel.
const PARTS_MAX: usize = 64;

/// A command that a follower has not answered.
struct Unanswered {
    command: Bytes,
    data: Rope,
    since: Moment,
}

/// The way to one follower.
pub(super) struct Link {
    member: usize,
    waiting: RefCell<BTreeMap<u64, Unanswered>>,
    /// Rung when there is more to send, or when the epoch ends.
    rung: Notify,
    met: Cell<bool>,
    ended: Cell<bool>,
    /// When the follower last said something on the present connection.
    heard: Cell<Option<Moment>>,
    /// Since when there has been no connection.
    away: Cell<Option<Moment>>,
}

/// How a connection ended.
enum Cut {
    /// It may be mended.
    Broken(String),
    /// It was never made, and the kernel there says that nobody listens.
    Refused,
    /// The follower has not heard of the pipeline yet.
    NotYet,
    /// There is no use in going on.
    Final(String),
}

impl From<io::Error> for Cut {
    fn from(e: io::Error) -> Cut {
        Cut::Broken(e.to_string())
    }
}

impl Link {
    pub(super) fn new(member: usize) -> Link {
        Link {
            member,
            waiting: RefCell::default(),
            rung: Notify::new(),
            met: Cell::new(false),
            ended: Cell::new(false),
            heard: Cell::new(None),
            away: Cell::new(None),
        }
    }

    /// Whether the follower has gone along once.
    pub(super) fn has_met(&self) -> bool {
        self.met.get()
    }

    /// Sends a command once those before it are sent.
    pub(super) fn push(&self, index: u64, request: &Request, now: Moment) {
        let command = Bytes::from(request.message.encode_to_vec());
        let data = request.bulk.first().cloned().unwrap_or_default();
        self.waiting.borrow_mut().insert(index, Unanswered { command, data, since: now });
        self.rung.notify_one();
    }

    /// Tells the follower that the epoch has ended, if it can be told, and ends.
    pub(super) fn end(&self) {
        self.ended.set(true);
        self.waiting.borrow_mut().clear();
        self.rung.notify_one();
    }

    /// Keeps a connection until the epoch ends.
    pub(super) async fn run(self: Rc<Self>, group: &Rc<Group>) {
        let shard = group.shard().clone();
        let member = &group.entry().plan.members[self.member];
        let Some(address) = member.address else {
            return group.end(&format!("member {} has no address for pipelines", member.id));
        };
        let deadline = group.node().config.pipelines.member_deadline;
        while !self.ended.get() && !shard.is_stopping() {
            let cut = {
                let one = pin!(self.connection(group, address));
                match select(one, pin!(shard.stopping())).await {
                    Either::Left((Ok(()), _)) | Either::Right(_) => return,
                    Either::Left((Err(cut), _)) => cut,
                }
            };
            let met = self.met.get();
            let why = match cut {
                Cut::Final(why) => return group.end(&format!("member {}: {why}", member.id)),
                // Who met it once and is not there any more has lost its epochs, if it comes back at all.
                Cut::Refused if met => {
                    return group.end(&format!("member {}'s process is gone", member.id));
                }
                Cut::Refused => "nobody listens".to_owned(),
                Cut::NotYet => "it does not know of it yet".to_owned(),
                Cut::Broken(why) => why,
            };
            let now = shard.clock().now();
            let since = self.away.get().unwrap_or(now);
            self.away.set(Some(since));
            if met && now.since(since) >= deadline {
                return group.end(&format!("member {} is not reached for {deadline:?}: {why}", member.id));
            }
            tracing::debug!(pipeline = %group.entry().plan.id, member = %member.id, why, "no connection to a member");
            shard.clock().sleep(AGAIN).await;
            if self.is_late(now, deadline) {
                return group.end(&format!("member {} leaves commands unanswered: {why}", member.id));
            }
        }
    }

    fn is_late(&self, now: Moment, deadline: Duration) -> bool {
        let waiting = self.waiting.borrow();
        waiting.first_key_value().is_some_and(|(_, first)| now.since(first.since) >= deadline)
    }

    /// One connection, until it ends. `Ok`: the epoch has.
    async fn connection(&self, group: &Rc<Group>, address: SocketAddr) -> Result<(), Cut> {
        let clock = group.shard().clock();
        let late = |_| Cut::Broken("no answer in time".into());
        let greeting = async {
            let connected = group.shard().connect(address).await;
            let mut stream = connected.map_err(|e| match e.source.kind() {
                io::ErrorKind::ConnectionRefused => Cut::Refused,
                _ => Cut::Broken(e.source.to_string()),
            })?;
            let plan = &group.entry().plan;
            let hello = Hello {
                pipeline: plan.id,
                leader: group.node().id,
                follower: plan.members[self.member].id,
                run: group.run_id(),
                answered: group.answered(),
            };
            let bytes = hello.encode();
            debug_assert_eq!(bytes.len(), HELLO_LEN);
            stream.write_all(&bytes).await?;
            let mut answer = [0; WELCOME_LEN];
            stream.read_exact(&mut answer).await?;
            // What does not answer in our words is a member that is not ours.
            let foreign = |e: Foreign| Cut::Final(format!("{e}; pipelines need members of this release"));
            Ok::<_, Cut>((stream, Greeting::decode(&answer).map_err(foreign)?))
        };
        let (stream, next) = match clock.timeout(GREET_MAX, greeting).await.map_err(late)?? {
            (stream, Greeting::Goes(next)) => (stream, next),
            (_, Greeting::Unknown) if self.met.get() => {
                return Err(Cut::Final("it has forgotten the pipeline".into()));
            }
            (_, Greeting::Unknown) => return Err(Cut::NotYet),
            (_, Greeting::Ended) => return Err(Cut::Final("the epoch has ended there".into())),
            (_, Greeting::Mismatch) => return Err(Cut::Final("it knows the pipeline otherwise".into())),
        };
        if !self.met.replace(true) {
            group.met();
        }
        self.heard.set(Some(clock.now()));
        self.away.set(None);
        let (reading, writing) = stream.split();
        let read = pin!(self.read(group, reading));
        let write = pin!(self.write(group, writing, next));
        let late = pin!(self.late(group));
        match select(late, select(read, write)).await {
            Either::Left((late, _)) => Err(late),
            Either::Right((Either::Left((read, _)), _)) => read,
            Either::Right((Either::Right((written, _)), _)) => written,
        }
    }

    /// Ends when the follower has said nothing, or left a command unanswered, for too long.
    async fn late(&self, group: &Rc<Group>) -> Cut {
        let (clock, deadline) = (group.shard().clock(), group.node().config.pipelines.member_deadline);
        loop {
            clock.sleep(deadline / 8).await;
            let now = clock.now();
            if self.is_late(now, deadline) {
                return Cut::Final(format!("a command was left unanswered for {deadline:?}"));
            }
            if self.heard.get().is_some_and(|heard| now.since(heard) >= deadline) {
                return Cut::Final(format!("nothing was heard of it for {deadline:?}"));
            }
        }
    }

    /// Takes results in.
    async fn read(&self, group: &Rc<Group>, mut stream: TcpStream) -> Result<(), Cut> {
        let mut bytes = [0; ACK_LEN];
        loop {
            stream.read_exact(&mut bytes).await?;
            self.heard.set(Some(group.shard().clock().now()));
            match Ack::decode(&bytes).map_err(|e| Cut::Broken(e.to_string()))? {
                Ack::Done { index, result } => {
                    self.waiting.borrow_mut().remove(&index);
                    group.came(self.member, index, result);
                }
                Ack::Ended => return Err(Cut::Final("the epoch has ended there".into())),
                Ack::Pong => {}
            }
        }
    }

    /// Sends commands from `next` on, as they come; a word now and then while there are none.
    async fn write(&self, group: &Rc<Group>, mut stream: TcpStream, mut next: u64) -> Result<(), Cut> {
        let (clock, deadline) = (group.shard().clock(), group.node().config.pipelines.member_deadline);
        let every = deadline / 8;
        loop {
            if self.ended.get() {
                stream.write_all(&Frame::End.encode()).await?;
                return Ok(());
            }
            let answered = group.answered();
            let found = {
                let waiting = self.waiting.borrow();
                let range = (Bound::Included(next), Bound::Unbounded);
                let first = waiting.range::<u64, _>(range).next();
                first.map(|(index, one)| (*index, one.command.clone(), one.data.clone()))
            };
            match found {
                Some((index, command, data)) => {
                    send(&mut stream, index, answered, &command, &data).await?;
                    next = index + 1;
                }
                None => {
                    let rung = pin!(self.rung.notified());
                    if let Either::Right(_) = select(rung, pin!(clock.sleep(every))).await {
                        stream.write_all(&Frame::Ping { answered }.encode()).await?;
                    }
                }
            }
        }
    }

    /// The room that a request takes in a frame, or why it has none.
    pub(super) fn check_len(request: &Request) -> Result<(), &'static str> {
        let data = request.bulk.iter().map(Rope::len).sum::<usize>();
        match request.message.encoded_len() > COMMAND_MAX || data > DATA_MAX || request.bulk.len() > 1 {
            true => Err("the command is longer than any"),
            false if request.bulk.is_empty() || execute::has_data(&request.message) => Ok(()),
            false => Err("the command has data that it should not have"),
        }
    }
}

async fn send(
    stream: &mut TcpStream,
    index: u64,
    answered: u64,
    command: &Bytes,
    data: &Rope,
) -> Result<(), Cut> {
    let (len, sum) = (data.len(), crc32c(command));
    let head = Frame::Command { index, answered, command: command.len(), data: len, sum }.encode();
    debug_assert_eq!(head.len(), FRAME_LEN);
    let pieces: Vec<&[u8]> =
        [&head[..], command].into_iter().chain(data.pieces().map(|piece| &piece[..])).collect();
    for parts in pieces.chunks(PARTS_MAX) {
        let mut parts: Vec<IoSlice<'_>> =
            parts.iter().filter(|part| !part.is_empty()).map(|part| IoSlice::new(part)).collect();
        stream.write_all_vectored(&mut parts).await?;
    }
    Ok(())
}
