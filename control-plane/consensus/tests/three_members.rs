//! Three members over TCP on loopback, on real files: they elect, answer, lose one, take it back, refuse strangers.

#![allow(clippy::unwrap_used, reason = "a test stops where something fails")]
#![allow(clippy::disallowed_methods, reason = "a test looks at the files from outside")]

use std::{collections::BTreeMap, path::Path, sync::Arc, time::Duration};

use allotrope_consensus::{
    Batch, Be64, Beginning, CallId, ClientId, ClusterId, Handle, LogTime, Member, MemberId, Origin, Replica,
    ReplicaConfig, RocksShared, Role, StateMachine, Status, Surroundings, SystemClock, Table, TableError,
    Utf8,
    network::tcp::{self, TcpNetwork, Transport},
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    sync::watch,
    task::JoinHandle,
};

const SEEN: Table<Utf8, Be64> = Table::new("seenTable");

struct Tally;
impl StateMachine for Tally {
    type Command = Utf8;
    type Answer = Be64;
    fn tables(&self) -> Vec<&'static str> {
        vec![SEEN.name()]
    }
    fn apply(&mut self, batch: &mut Batch<'_>, text: String, _: LogTime) -> Result<u64, TableError> {
        let count = SEEN.get(batch, &text)?.unwrap_or(0) + 1;
        SEEN.put(batch, &text, &count)?;
        Ok(count)
    }
}

struct Running {
    handle: Handle<Tally>,
    stop: watch::Sender<bool>,
    serving: JoinHandle<()>,
}

impl Running {
    async fn stop(self) {
        self.stop.send_replace(true);
        self.serving.await.unwrap();
        self.handle.shutdown(Duration::from_secs(5)).await;
    }
}

/// Starts a member that serves `listener`.
async fn start(
    dir: &Path,
    cluster: &str,
    id: u64,
    founders: &BTreeMap<MemberId, Member>,
    listener: TcpListener,
) -> Running {
    let beginning = Beginning::Found(founders.clone());
    let mut config = ReplicaConfig::new(
        dir.join(format!("{cluster}-{id}")),
        ClusterId(cluster.into()),
        MemberId(id),
        beginning,
    );
    config.purge_every = 50;
    config.entries_kept = 10;
    let surroundings = Surroundings {
        rocks: RocksShared::new(8 << 20, 32 << 20).unwrap(),
        network: Arc::new(TcpNetwork::new(Transport::Plain)),
        clock: Arc::new(SystemClock),
    };
    let handle = Replica::start(config, surroundings, Tally).await.unwrap();
    let (stop, stopping) = watch::channel(false);
    let serving = tokio::spawn(tcp::serve(listener, handle.service(), stopping));
    Running { handle, stop, serving }
}

async fn leader(members: &[Running]) -> &Running {
    for _ in 0..600 {
        for member in members {
            if member.handle.status().now().role == Role::Leader && member.handle.read(|_| ()).await.is_ok() {
                return member;
            }
        }
        tokio::time::timeout(Duration::from_millis(50), std::future::pending::<()>()).await.unwrap_err();
    }
    panic!("nobody leads after 30 s");
}

/// Counts one up, whoever leads: the call keeps its name over every retry, so it counts once.
async fn count(members: &[Running], call: u64) -> u64 {
    let origin = Origin::Client { client: ClientId([7; 16]), call: CallId(call) };
    let mut last = None;
    for _ in 0..20 {
        match leader(members).await.handle.propose(origin, &"a".to_owned()).await {
            Ok(answer) => return answer,
            Err(error) => last = Some(error),
        }
    }
    panic!("call {call} is never answered: {last:?}");
}

/// Founds a cluster of three and starts its members.
async fn found(dir: &Path) -> (BTreeMap<MemberId, Member>, Vec<Running>) {
    let mut listeners = Vec::new();
    let mut founders = BTreeMap::new();
    for id in 1..=3 {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        founders.insert(MemberId(id), Member { name: format!("om{id}"), address });
        listeners.push(listener);
    }
    let mut members = Vec::new();
    for (id, listener) in (1..).zip(listeners) {
        members.push(start(dir, "test", id, &founders, listener).await);
    }
    (founders, members)
}

/// Stops a member that does not lead.
async fn stop_a_follower(members: &mut Vec<Running>) -> MemberId {
    let first = leader(members).await.handle.member();
    let away = members.iter().position(|m| m.handle.member() != first).unwrap();
    let away = members.remove(away);
    let id = away.handle.member();
    away.stop().await;
    id
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn three_members_over_tcp_answer_lose_one_and_bring_it_back() {
    let dir = tempfile::tempdir().unwrap();
    let (founders, mut members) = found(dir.path()).await;
    for n in 1..=20 {
        assert_eq!(count(&members, n).await, n);
    }

    // A stranger: bytes that are no frame, and a member of another cluster.
    let mut stranger = TcpStream::connect(&founders[&MemberId(1)].address).await.unwrap();
    stranger.write_all(b"GET / HTTP/1.1\r\n\r\n").await.unwrap();
    assert_eq!(stranger.read(&mut [0; 64]).await.unwrap_or(0), 0, "the connection is closed");
    let other_listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let mut others = founders.clone();
    others.insert(
        MemberId(9),
        Member { name: "om9".into(), address: other_listener.local_addr().unwrap().to_string() },
    );
    let other = start(dir.path(), "other", 9, &others, other_listener).await;
    let elected = other.handle.status().wait_for(Duration::from_secs(5), |s| s.role == Role::Leader).await;
    assert!(elected.is_err(), "members of another cluster gave it their votes");
    other.stop().await;

    // One is away and misses entries; it comes back and catches up.
    let id = stop_a_follower(&mut members).await;
    for n in 21..=300 {
        assert_eq!(count(&members, n).await, n);
    }
    let listener = TcpListener::bind(&founders[&id].address).await.unwrap();
    let back = start(dir.path(), "test", id.0, &founders, listener).await;
    let applied = leader(&members).await.handle.status().now().applied;
    back.handle.status().wait_for(Duration::from_secs(30), |s| s.applied >= applied).await.unwrap();
    assert_eq!(back.handle.read_local(|view| SEEN.get(view, &"a".to_owned()).unwrap()), Some(300));
    members.push(back);

    // The leader goes: the others elect one that has every answer.
    let first = leader(&members).await.handle.member();
    let gone = members.iter().position(|m| m.handle.member() == first).unwrap();
    members.remove(gone).stop().await;
    assert_eq!(count(&members, 301).await, 301);
    for member in members {
        member.stop().await;
    }
}

/// How many entries the log of each member may hold in the test below: between two purges, and while one is under way.
const LOG_LEN_MAX: u64 = 50 + 10 + 20;

/// How a member is away.
#[derive(Clone, Copy, PartialEq)]
enum Away {
    /// Its machine refuses connections.
    Gone,
    /// Its machine takes connections and never answers.
    Mute,
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn logs_stay_short_while_a_member_is_away_and_it_comes_back_by_snapshot() {
    logs_stay_short(Away::Gone).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn logs_stay_short_while_a_member_takes_connections_and_answers_nothing() {
    logs_stay_short(Away::Mute).await;
}

/// Takes connections at `address` and keeps them, without a word, until it is dropped.
async fn mute(address: &str) -> JoinHandle<()> {
    let listener = TcpListener::bind(address).await.unwrap();
    tokio::spawn(async move {
        let mut held = Vec::new();
        while let Ok((stream, _)) = listener.accept().await {
            held.push(stream);
        }
    })
}

async fn logs_stay_short(how: Away) {
    let dir = tempfile::tempdir().unwrap();
    let (founders, mut members) = found(dir.path()).await;
    assert_eq!(count(&members, 1).await, 1);
    let id = stop_a_follower(&mut members).await;
    let muted = match how {
        Away::Gone => None,
        Away::Mute => Some(mute(&founders[&id].address).await),
    };
    for n in 2..=600 {
        assert_eq!(count(&members, n).await, n);
        if n % 100 == 0 {
            for member in &members {
                let short = |s: &Status| s.last_log.unwrap() - s.purged.unwrap_or(0) <= LOG_LEN_MAX;
                let status = member.handle.status().wait_for(Duration::from_secs(10), short).await;
                status.expect("the log lets go of old entries though a member is away");
            }
        }
    }
    if let Some(muted) = muted {
        muted.abort();
        assert!(muted.await.unwrap_err().is_cancelled());
    }
    let listener = TcpListener::bind(&founders[&id].address).await.unwrap();
    let back = start(dir.path(), "test", id.0, &founders, listener).await;
    let applied = leader(&members).await.handle.status().now().applied;
    back.handle.status().wait_for(Duration::from_secs(30), |s| s.applied >= applied).await.unwrap();
    assert_eq!(back.handle.read_local(|view| SEEN.get(view, &"a".to_owned()).unwrap()), Some(600));
    let state = std::fs::read_to_string(dir.path().join(format!("test-{id}/state/STATE"))).unwrap();
    assert_eq!(state, "state-2\n", "it was sent the whole state once");
    members.push(back);
    assert_eq!(count(&members, 601).await, 601);
    for member in members {
        member.stop().await;
    }
}
