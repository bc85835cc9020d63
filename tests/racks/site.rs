//! Twelve datanodes on three racks of four: each a process in a network namespace of its own, behind its rack's switch.
//!
//! Shape   the test runs itself again in fresh network, mount and process namespaces. There the hub is a bridge with SCM, OM and
//!         the clients at it; each rack is a bridge with an uplink to the hub; each datanode has an address at its rack.
//! Errors  what cannot be set up, or does not become so in time, fails the test with what the processes have written.

use allotrope_io::Back;
use std::fs::{self, File};
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

pub(crate) const RACKS: usize = 3;
pub(crate) const NODES: usize = 12;
/// Where SCM, OM and the clients are.
const HUB: &str = "10.9.255.1";
/// Longest that the cluster may take for one step: a death is known after 15 seconds.
pub(crate) const PATIENCE: Duration = Duration::from_secs(300);
/// Says to a process of this test that it is the one inside.
const INSIDE: &str = "ALLOTROPE_TEST_SITE";

/// Runs `scene` with a fresh site; `test` is the name of the test that calls this.
pub(crate) fn on_a_site(test: &str, scene: impl FnOnce(&mut Site)) {
    if std::env::var_os(INSIDE).is_some() {
        return scene(&mut Site::build());
    }
    let mut inside = Command::new("unshare");
    // Whoever is not root is it inside; nothing outlives the first process.
    if !rustix::process::geteuid().is_root() {
        inside.arg("--map-root-user");
    }
    inside.args(["--net", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc"]);
    inside.arg(std::env::current_exe().unwrap()).args(["--exact", test, "--nocapture"]).env(INSIDE, "1");
    let ended = inside.stdin(Stdio::null()).status().expect("unshare (util-linux) starts");
    assert!(ended.success(), "inside the namespaces: {ended:?} {:?}", ended.signal());
}

pub(crate) struct Site {
    dir: tempfile::TempDir,
    running: Vec<(String, Child)>,
}

impl Site {
    fn build() -> Site {
        ok("mount", &["-t", "tmpfs", "none", "/run"]);
        ip("link set lo up");
        ip("link add hub type bridge");
        ip("link set hub up");
        ip(&format!("address add {HUB}/16 dev hub"));
        for rack in 0..RACKS {
            ip(&format!("link add rack{rack} type bridge"));
            ip(&format!("link set rack{rack} up"));
            ip(&format!("link add up{rack} type veth peer name down{rack}"));
            ip(&format!("link set up{rack} master hub up"));
            ip(&format!("link set down{rack} master rack{rack} up"));
        }
        for node in 0..NODES {
            ip(&format!("netns add dn{node}"));
            ip(&format!("link add port{node} type veth peer name eth0 netns dn{node}"));
            ip(&format!("link set port{node} master rack{} up", rack_of(node)));
            ip(&format!("-n dn{node} address add {}/16 dev eth0", address_of(node)));
            ip(&format!("-n dn{node} link set eth0 up"));
            ip(&format!("-n dn{node} link set lo up"));
        }
        let mut site = Site { dir: tempfile::tempdir().unwrap(), running: Vec::new() };
        let racks: String =
            (0..NODES).map(|node| format!("{} /rack{}\n", address_of(node), rack_of(node))).collect();
        fs::write(site.path("racks"), racks).unwrap();
        let made = site.command("scm").arg("--init").output().unwrap();
        assert!(made.status.success(), "{made:?}");
        site.run("scm");
        site.run("om");
        (0..NODES).for_each(|node| site.start(node));
        site.admin(&["safemode", "wait", "--timeout", "120"]);
        site
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// Starts a datanode.
    pub(crate) fn start(&mut self, node: usize) {
        self.run(&format!("datanode{node}"));
    }

    /// Ends a datanode as a power cut would.
    pub(crate) fn kill(&mut self, node: usize) {
        let name = format!("datanode{node}");
        let at = self.running.iter().position(|(running, _)| *running == name).expect("it runs");
        let (_, mut child) = self.running.remove(at);
        child.kill().unwrap();
        child.wait().unwrap();
    }

    /// Pulls a rack's uplink, or puts it back.
    pub(crate) fn uplink(&self, rack: usize, up: bool) {
        ip(&format!("link set up{rack} {}", if up { "up" } else { "down" }));
    }

    fn run(&mut self, name: &str) {
        let log = File::options().create(true).append(true).open(self.path(&format!("{name}.log"))).unwrap();
        let mut command = self.command(name);
        command.stdin(Stdio::null()).stdout(log.try_clone().unwrap()).stderr(log);
        self.running.push((name.to_owned(), command.spawn().unwrap()));
    }

    /// A server's process, with its settings, in its namespace.
    fn command(&self, name: &str) -> Command {
        let node = name.strip_prefix("datanode").map(|node| node.parse::<usize>().unwrap());
        let mut command = match node {
            Some(node) => {
                let mut command = Command::new("nsenter");
                command.arg(format!("--net=/run/netns/dn{node}")).arg(env!("CARGO_BIN_EXE_allotrope"));
                command.arg("datanode");
                command
            }
            None => {
                let mut command = Command::new(env!("CARGO_BIN_EXE_allotrope"));
                command.arg(name);
                command
            }
        };
        let mut set = |name: &str, value: &str| {
            command.arg(format!("--set={name}={value}"));
        };
        for (name, value) in everybodys() {
            set(name, &value);
        }
        let folder = self.path(name);
        fs::create_dir_all(&folder).unwrap();
        set("ozone.metadata.dirs", folder.to_str().unwrap());
        set("net.topology.table.file.name", self.path("racks").to_str().unwrap());
        set("hdds.scm.safemode.min.datanode", &NODES.to_string());
        if let Some(node) = node {
            set("hdds.datanode.dir", folder.join("disk").to_str().unwrap());
            set("hdds.datanode.hostname", &address_of(node));
            set("allotrope.datanode.address", &address_of(node));
            set("allotrope.datanode.shards", "1");
            set("allotrope.datanode.io", &Back::of_this_machine().to_string());
            set("allotrope.datanode.memory", "32MB");
            set("hdds.datanode.volume.min.free.space", "16MB");
        }
        command.env_remove("RUST_LOG").current_dir(self.dir.path());
        command
    }

    /// `allotrope WORDS` as a client at the hub.
    pub(crate) fn client(&self, words: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_allotrope"));
        command.args(words).args(everybodys().map(|(name, value)| format!("--set={name}={value}")));
        command.env_remove("RUST_LOG").current_dir(self.dir.path()).stdin(Stdio::null());
        command
    }

    /// `allotrope WORDS`, which must succeed; what it printed.
    pub(crate) fn ok(&self, words: &[&str]) -> String {
        let output = self.client(words).output().unwrap();
        assert!(output.status.success(), "{words:?}: {output:?}\n{}", self.logs());
        String::from_utf8(output.stdout).unwrap()
    }

    /// `allotrope admin WORDS --json`, which must succeed, sooner or later.
    pub(crate) fn admin(&self, words: &[&str]) -> serde_json::Value {
        let words = [&["admin"], words, &["--json"]].concat();
        let text = self.until(&format!("{words:?}"), |site| {
            let output: Output = site.client(&words).output().unwrap();
            output.status.success().then_some(output.stdout)
        });
        serde_json::from_slice(&text).unwrap_or_default()
    }

    /// Asks until there is an answer.
    pub(crate) fn until<T>(&self, what: &str, mut ask: impl FnMut(&Site) -> Option<T>) -> T {
        let began = Instant::now();
        loop {
            if let Some(answer) = ask(self) {
                if began.elapsed() > Duration::from_secs(1) {
                    println!("{what}: after {:.1?}", began.elapsed());
                }
                return answer;
            }
            let late = began.elapsed() > PATIENCE;
            assert!(!late, "not in time: {what}\n{}", self.logs());
            std::thread::sleep(Duration::from_millis(250));
        }
    }

    /// What SCM has written.
    pub(crate) fn scm_said(&self, words: &str) -> bool {
        fs::read_to_string(self.path("scm.log")).unwrap().contains(words)
    }

    /// The end of every process's log.
    pub(crate) fn logs(&self) -> String {
        let end = |path: &Path| {
            let text = fs::read_to_string(path).unwrap_or_default();
            let lines: Vec<_> = text.lines().collect();
            lines[lines.len().saturating_sub(25)..].join("\n")
        };
        let names = self.running.iter().map(|(name, _)| name);
        names.map(|name| format!("--- {name}\n{}\n", end(&self.path(&format!("{name}.log"))))).collect()
    }
}

impl Drop for Site {
    fn drop(&mut self) {
        for (_, child) in &mut self.running {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

pub(crate) fn rack_of(node: usize) -> usize {
    node % RACKS
}

pub(crate) fn address_of(node: usize) -> String {
    format!("10.9.{}.{}", rack_of(node), node + 1)
}

/// Settings that servers and clients share.
fn everybodys() -> impl Iterator<Item = (&'static str, String)> {
    [
        ("ozone.scm.client.address", format!("{HUB}:9860")),
        ("ozone.scm.datanode.address", format!("{HUB}:9861")),
        ("ozone.scm.block.client.address", format!("{HUB}:9863")),
        ("ozone.om.address", format!("{HUB}:9862")),
        ("allotrope.scm.failure-detection", "fast".into()),
        ("hdds.heartbeat.interval", "1s".into()),
        // All disks are one: a container must not want more of it than there is.
        ("ozone.scm.container.size", "256MB".into()),
        ("hdds.scm.wait.time.after.safemode.exit", "1s".into()),
        ("ozone.scm.close.container.wait.duration", "1s".into()),
        ("hdds.scm.replication.thread.interval", "5s".into()),
        ("ozone.server.default.replication.type", "EC".into()),
        ("ozone.server.default.replication", "rs-6-3-1024k".into()),
    ]
    .into_iter()
}

fn ip(words: &str) {
    ok("ip", &words.split(' ').collect::<Vec<_>>());
}

fn ok(program: &str, words: &[&str]) {
    let output = Command::new(program).args(words).output().unwrap_or_else(|e| panic!("{program}: {e}"));
    assert!(output.status.success(), "{program} {words:?}: {}", String::from_utf8_lossy(&output.stderr));
}
