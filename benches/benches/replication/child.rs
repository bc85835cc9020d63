//! Datanodes in a process of their own: what they are told, how it ended, and what it cost.

use crate::commands;
use allotrope_proto::heartbeat::ScmCommandProto;
use std::io::{BufRead, BufReader, Write};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

/// Where a datanode is.
#[derive(Clone, Debug)]
pub(crate) struct Place {
    /// Its name.
    pub(crate) node: String,
    /// Where it serves clients.
    pub(crate) address: SocketAddr,
    /// Where it takes and gives copies.
    pub(crate) replication: SocketAddr,
}

/// Datanodes that run until this is dropped.
pub(crate) struct Nodes {
    child: Child,
    /// Closing it asks them to end.
    stdin: Option<ChildStdin>,
    said: BufReader<ChildStdout>,
    pub(crate) places: Vec<Place>,
    commands: i64,
}

impl Nodes {
    /// `count` datanodes on folders below `dir`, whose copies travel in `compression`.
    pub(crate) fn start(dir: &Path, count: usize, compression: &str) -> Nodes {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["serve", dir.to_str().unwrap(), &count.to_string(), compression])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut said = BufReader::new(child.stdout.take().unwrap());
        let places = (0..count).map(|_| place(&line(&mut said))).collect();
        Nodes { stdin: child.stdin.take(), child, said, places, commands: 0 }
    }

    /// The next command's number.
    pub(crate) fn number(&mut self) -> i64 {
        self.commands += 1;
        self.commands
    }

    /// Has SCM say something to one of them.
    pub(crate) fn tell(&mut self, node: usize, command: &ScmCommandProto) {
        let stdin = self.stdin.as_mut().expect("they run");
        writeln!(stdin, "{node} {}", commands::encode(command)).unwrap();
    }

    /// Waits until the next command has ended, which must have worked.
    pub(crate) fn ended(&mut self) {
        let line = line(&mut self.said);
        assert!(line.starts_with("done"), "{line}");
    }

    /// Has the system run them only on cores that nobody else wants, as if they had a machine of their own beside this one.
    pub(crate) fn take_what_is_left(&self) {
        let pid = self.child.id().to_string();
        let done = Command::new("chrt").args(["--idle", "--all-tasks", "--pid", "0", &pid]).status();
        assert!(done.expect("chrt is part of util-linux").success());
    }

    /// CPU seconds they have used.
    pub(crate) fn cpu(&self) -> f64 {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.child.id())).unwrap();
        let fields: Vec<&str> = stat.rsplit_once(") ").unwrap().1.split(' ').collect();
        let ticks: u64 = fields[11].parse::<u64>().unwrap() + fields[12].parse::<u64>().unwrap();
        ticks as f64 / 100.0
    }
}

fn line(said: &mut BufReader<ChildStdout>) -> String {
    let mut line = String::new();
    said.read_line(&mut line).unwrap();
    assert!(line.ends_with('\n'), "a child ended: {line:?}");
    line.trim().to_owned()
}

fn place(line: &str) -> Place {
    let words: Vec<&str> = line.split(' ').collect();
    let [node, address, replication] = words[..] else { panic!("{line:?} is no place") };
    Place {
        node: node.to_owned(),
        address: address.parse().unwrap(),
        replication: replication.parse().unwrap(),
    }
}

impl Drop for Nodes {
    fn drop(&mut self) {
        drop(self.stdin.take());
        drop(self.child.wait());
    }
}
