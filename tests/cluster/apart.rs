//! Datanodes with a network of their own each, on one bridge, so that one can be cut off from everybody.
//!
//! Shape   the test runs itself again in a new network namespace, which has the bridge; each datanode runs in one more, joined
//!         by a pair of virtual Ethernet links. All vanish with the processes. Needs what containers often lack: `unshare` and
//!         `ip` of Debian's util-linux and iproute2, and the right to use them.

use super::{Cluster, PATIENCE, Server};
use std::fs;
use std::net::Ipv4Addr;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

/// Set in the test that runs again.
const INSIDE: &str = "ALLOTROPE_TEST_NETWORK";
/// The servers' and the clients' end of the bridge.
pub(super) const BRIDGE: Ipv4Addr = Ipv4Addr::new(10, 77, 0, 1);

/// Where a datanode is.
pub(super) fn host(datanode: usize) -> Ipv4Addr {
    Ipv4Addr::new(10, 77, 0, 10 + datanode as u8)
}

fn ip(words: &str) {
    let done = Command::new("ip").args(words.split(' ')).status().expect("ip is there");
    assert!(done.success(), "ip {words}: {done}");
}

#[allow(clippy::print_stderr, reason = "a test that cannot run says so")]
fn not_run(test: &str) {
    eprintln!("{test}: not run, since no process may have a network of its own here");
}

/// Runs a test of this file again in a network of its own and says `false`; says `true` in there. Where no process may have
/// such a network it says so, and `false`.
pub(crate) fn enter(test: &str) -> bool {
    if std::env::var_os(INSIDE).is_some() {
        ip("link set lo up");
        ip("link add br0 type bridge");
        ip(&format!("addr add {BRIDGE}/24 dev br0"));
        ip("link set br0 up");
        return true;
    }
    let try_it = "ip link set lo up && ip link add v0 type veth peer name v1 && ip link add br0 type bridge";
    let works = |how: &[&str]| {
        let tried = Command::new("unshare").args(how).args(["sh", "-c", try_it]).output();
        tried.is_ok_and(|tried| tried.status.success())
    };
    let how: &[&str] = match (works(&["--net"]), works(&["--net", "--map-root-user"])) {
        (true, _) => &["--net"],
        (_, true) => &["--net", "--map-root-user"],
        _ => {
            not_run(test);
            return false;
        }
    };
    let myself = std::env::current_exe().expect("a test has a binary");
    let mut again = Command::new("unshare");
    again.args(how).arg(myself).args(["--exact", test, "--nocapture"]).env(INSIDE, "1");
    assert!(again.status().expect("unshare is there").success(), "{test} failed in a network of its own");
    false
}

/// The command that waits for its end of the link to the bridge and then is `binary`.
pub(super) fn command(datanode: usize, binary: &Path) -> Command {
    let script = format!(
        "until ip link set dn up 2>/dev/null; do sleep 0.02; done; ip addr add {}/24 dev dn; ip link set lo up; exec \"$@\"",
        host(datanode)
    );
    let mut command = Command::new("unshare");
    command.args(["--net", "sh", "-c", &script, "sh"]).arg(binary);
    command
}

/// Joins a datanode's network to the bridge, once it has one.
pub(super) fn join(datanode: usize, pid: u32) {
    let network = |pid: &str| fs::read_link(format!("/proc/{pid}/ns/net")).ok();
    let (ours, began) = (network("self"), Instant::now());
    while network(&pid.to_string()) == ours {
        assert!(began.elapsed() < PATIENCE, "datanode {datanode} gets no network");
        std::thread::sleep(Duration::from_millis(5));
    }
    ip(&format!("link add v{datanode} type veth peer name dn netns {pid}"));
    ip(&format!("link set v{datanode} master br0 up"));
}

impl Cluster {
    /// Nothing reaches a datanode any more, and it reaches nobody.
    pub(crate) fn cut_off(&self, datanode: usize) {
        assert!(self.apart, "it has a network of its own");
        ip(&format!("link set v{datanode} down"));
    }

    /// As before [`Cluster::cut_off`].
    pub(crate) fn mend(&self, datanode: usize) {
        ip(&format!("link set v{datanode} up"));
    }

    /// The number of the datanode at this address.
    pub(crate) fn datanode_at(&self, address: &str) -> Option<usize> {
        (0..self.datanodes).find(|number| host(*number).to_string() == address)
    }

    /// Whether this server has a network of its own.
    pub(super) fn is_apart(&self, server: Server) -> Option<usize> {
        match server {
            Server::Datanode(number) if self.apart => Some(number),
            _ => None,
        }
    }
}
