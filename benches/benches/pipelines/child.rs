//! Datanodes in processes of their own, what they cost, and the pipelines they are told to make.

use std::io::{BufRead, BufReader, Write};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use allotrope_types::{DatanodeId, PipelineId};

/// A datanode that runs until this is dropped.
pub(crate) struct Server {
    child: Child,
    /// What it is told, a line each; its end asks the datanode to end.
    stdin: Option<ChildStdin>,
    says: BufReader<ChildStdout>,
    pub(crate) id: DatanodeId,
    /// Where readers and the bench's own deletions come.
    pub(crate) address: SocketAddr,
    /// Where writers of pipelines come.
    pub(crate) pipelines: SocketAddr,
}

impl Server {
    pub(crate) fn start(dir: &Path, durability: &str) -> Server {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["serve", dir.to_str().unwrap(), durability])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut says = BufReader::new(child.stdout.take().unwrap());
        let mut line = String::new();
        says.read_line(&mut line).unwrap();
        let words: Vec<&str> = line.split_whitespace().collect();
        let [id, address, pipelines] = words[..] else {
            panic!("the datanode says where it is, not {line:?}")
        };
        Server {
            id: id.parse().unwrap(),
            address: address.parse().unwrap(),
            pipelines: pipelines.parse().unwrap(),
            stdin: child.stdin.take(),
            says,
            child,
        }
    }

    /// CPU seconds it has used.
    pub(crate) fn cpu(&self) -> f64 {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.child.id())).unwrap();
        let fields: Vec<&str> = stat.rsplit_once(") ").unwrap().1.split(' ').collect();
        let ticks: u64 = fields[11].parse::<u64>().unwrap() + fields[12].parse::<u64>().unwrap();
        ticks as f64 / 100.0
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        drop(self.stdin.take());
        drop(self.child.wait());
    }
}

/// Makes a pipeline of these datanodes, which the first leads, and waits until they have met.
pub(crate) fn make(servers: &mut [Server], pipeline: PipelineId) {
    let members: Vec<String> = servers.iter().map(|one| format!("{}@{}", one.id, one.pipelines)).collect();
    for server in servers.iter_mut() {
        let stdin = server.stdin.as_mut().expect("it runs");
        writeln!(stdin, "{pipeline} {}", members.join(" ")).unwrap();
        stdin.flush().unwrap();
    }
    let mut line = String::new();
    while line.trim() != pipeline.to_string() {
        line.clear();
        assert_ne!(servers[0].says.read_line(&mut line).unwrap(), 0, "the leader runs");
    }
}
