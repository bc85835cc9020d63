//! A datanode whose data lies on a small disk of its own, in memory, so that the disk can be filled to its last byte.
//!
//! Shape   the datanode runs in a mount namespace of its own, in which its data folder is a tmpfs; the test reaches that by
//!         `/proc/PID/root`. It vanishes with the process. Needs what containers often lack: the right to mount.

use super::{Cluster, Server, binary};
use std::fs;
use std::io::{ErrorKind, Write};
use std::process::Command;

#[allow(clippy::print_stderr, reason = "a test that cannot run says so")]
fn not_run() {
    eprintln!("a full disk: not tried, since no process may mount one here");
}

impl Cluster {
    /// As `run`, with an empty disk of so many MiB for its data. Where no process may have one it says so, and `false`, and nothing
    /// runs.
    pub(crate) fn run_on_small_disk(&mut self, datanode: usize, mib: usize) -> bool {
        let mount = |rest: &str| format!("mount -t tmpfs -o size={mib}m none \"$0\" && {rest}");
        let data = self.data_dir(datanode);
        let works = |how: &[&str]| {
            let tried =
                Command::new("unshare").args(how).args(["sh", "-c", &mount("true")]).arg(&data).output();
            tried.is_ok_and(|tried| tried.status.success())
        };
        let how: &[&str] = match (works(&["--mount"]), works(&["--mount", "--map-root-user"])) {
            (true, _) => &["--mount"],
            (_, true) => &["--mount", "--map-root-user"],
            _ => {
                not_run();
                return false;
            }
        };
        let mut command = Command::new("unshare");
        command.args(how).args(["sh", "-c", &mount("exec \"$@\"")]).arg(&data).arg(binary());
        command.env_remove("RUST_LOG").current_dir(self.path(""));
        self.run_by(Server::Datanode(datanode), command);
        true
    }

    /// Fills the small disk of a datanode that runs, to its last byte.
    pub(crate) fn fill_small_disk(&self, datanode: usize) {
        let root = format!("/proc/{}/root", self.pid(Server::Datanode(datanode)));
        let data = self.data_dir(datanode);
        let ballast = format!("{root}{}/ballast", data.display());
        let mut file = fs::File::create(ballast).expect("the disk is there");
        for len in [1 << 20, 4096, 1] {
            let piece = vec![0; len];
            loop {
                match file.write(&piece) {
                    Ok(_) => {}
                    Err(error) if error.kind() == ErrorKind::StorageFull => break,
                    Err(error) => panic!("the disk fails otherwise than by being full: {error}"),
                }
            }
        }
    }
}
