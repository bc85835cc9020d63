//! The systems: how each is started, in whose hands its datanodes are, and what it promises of a write that it answered.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use tempfile::TempDir;

/// A system, in words.
#[derive(Clone, Copy, Debug)]
pub(crate) struct System {
    pub(crate) name: &'static str,
    /// What it is, and how it is set up.
    pub(crate) about: &'static str,
    /// What an answered write means.
    pub(crate) durability: &'static str,
    kind: Kind,
}

#[derive(Clone, Copy, Debug)]
enum Kind {
    /// Our quickstart, with a durability.
    Ours(&'static str),
    /// Ozone's own servers, from Maven Central.
    Ozone,
    /// One program whose script prints where it is.
    Script(&'static str, &'static str),
}

/// Every system, ours first.
pub(crate) const SYSTEMS: [System; 6] = [
    System {
        name: "ours-disk",
        about: "`allotrope quickstart`: SCM, OM, six datanodes and the gateway in one process; keys as rs-3-2-1024k",
        durability: "stable storage at every replica (`allotrope.datanode.durability = disk`); OM's log is synced",
        kind: Kind::Ours("disk"),
    },
    System {
        name: "ours-page-cache",
        about: "the same",
        durability: "the page cache at every replica, as Ozone's (`page-cache`); OM's log is synced",
        kind: Kind::Ours("page-cache"),
    },
    System {
        name: "ozone",
        about: "Apache Ozone 2.2.1 (Java 17): SCM, OM, six datanodes and the gateway, a process each with 1 GiB of heap, which compiles while it is \
                measured; S3's keys as RATIS/THREE, its default, and the native ones as rs-3-2-1024k",
        durability: "the page cache at every replica; OM's and the datanodes' Ratis logs are synced",
        kind: Kind::Ozone,
    },
    System {
        name: "minio",
        about: "MinIO, last public version, one process, EC 3+2 over five folders",
        durability: "stable storage for files and their metadata; folders are not synced after a rename",
        kind: Kind::Script("minio", "minio"),
    },
    System {
        name: "seaweedfs",
        about: "SeaweedFS, one process, one copy",
        durability: "the page cache: no sync at all",
        kind: Kind::Script("seaweedfs", "weed"),
    },
    System {
        name: "garage",
        about: "Garage, one process, one copy, LMDB",
        durability: "the page cache: no sync at all, its default",
        kind: Kind::Script("garage", "garage"),
    },
];

/// A system that serves; stopped when it is dropped.
pub(crate) struct Running {
    /// Flags of `allotrope` that say where it is.
    pub(crate) settings: Vec<String>,
    /// Flags of the S3 loads.
    pub(crate) s3: Vec<String>,
    /// Flags of `ec-stress` that say in whose hands datanodes are; none where there are no datanodes.
    pub(crate) datanodes: Vec<String>,
    /// All its processes.
    pub(crate) processes: Vec<u32>,
    /// From the start in an empty folder until it served.
    pub(crate) started_in: Duration,
    stop: Vec<(PathBuf, Vec<String>)>,
    child: Option<Child>,
    env: Vec<(String, String)>,
    _folder: TempDir,
}

impl Drop for Running {
    fn drop(&mut self) {
        if let Some(child) = &mut self.child {
            let _ = child.kill();
            let _ = child.wait();
        }
        for (program, args) in &self.stop {
            let envs = self.env.iter().map(|(name, value)| (name, value));
            let _ = Command::new(program).args(args).envs(envs).stdout(Stdio::null()).status();
        }
        if self.child.is_none() {
            // A script ends what it knows of, which may be a shell around the server.
            let pids = self.processes.iter().map(u32::to_string);
            let _ = Command::new("kill").args(pids).stderr(Stdio::null()).status();
        }
    }
}

pub(crate) fn binary() -> PathBuf {
    std::env::var_os("ALLOTROPE_BINARY")
        .expect("ALLOTROPE_BINARY names the binary; ./dev bench sets it")
        .into()
}

fn peers() -> PathBuf {
    let here = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/peers");
    std::env::var_os("ALLOTROPE_PEERS").map_or(here, PathBuf::from)
}

/// Where the others' programs are: `PEERS_HOME`, as their scripts have it.
fn home() -> PathBuf {
    let default = || Path::new(&std::env::var_os("HOME").unwrap_or_default()).join(".peers");
    std::env::var_os("PEERS_HOME").map_or_else(default, PathBuf::from)
}

/// Starts a system in an empty folder.
pub(crate) fn start(system: &System) -> Result<Running, String> {
    let target = std::env::var_os("CARGO_TARGET_DIR")
        .map_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("../target"), PathBuf::from);
    let folder = tempfile::Builder::new().prefix("peer").tempdir_in(target).map_err(|e| e.to_string())?;
    match system.kind {
        Kind::Ours(durability) => ours(durability, folder),
        Kind::Ozone => ozone(folder),
        Kind::Script(script, program) => by_script(script, program, folder),
    }
}

fn flags(pairs: &[(&str, &str)]) -> Vec<String> {
    pairs.iter().flat_map(|(name, value)| [(*name).to_owned(), (*value).to_owned()]).collect()
}

fn ours(durability: &str, folder: TempDir) -> Result<Running, String> {
    let data = folder.path().join("data");
    let mut settings: Vec<String> = vec![format!("--set=allotrope.datanode.durability={durability}")];
    // Detection and the replication manager's rounds as the other scripts have them for Ozone.
    for setting in [
        "ozone.scm.stale.node.interval=10s",
        "ozone.scm.dead.node.interval=20s",
        "ozone.scm.heartbeat.thread.interval=1s",
        "hdds.heartbeat.interval=1s",
        "hdds.scm.replication.thread.interval=5s",
        "hdds.datanode.volume.min.free.space=1GB",
        "ozone.scm.container.size=1GB",
    ] {
        settings.push(format!("--set={setting}"));
    }
    let began = Instant::now();
    let mut child = Command::new(binary())
        .args(&settings)
        .args(["quickstart", "--data"])
        .arg(&data)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .map_err(|error| error.to_string())?;
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines().map_while(Result::ok);
    let first = lines.next().unwrap_or_default();
    let started_in = began.elapsed();
    let mut said = String::new();
    for line in lines.by_ref().take_while(|line| line != "Ctrl-C stops it.") {
        said.push_str(&line);
        said.push('\n');
    }
    std::thread::spawn(move || lines.for_each(drop));
    let value = |name: &str| {
        let words = said.split_whitespace().find_map(|word| word.strip_prefix(&format!("{name}=")));
        words.map(str::to_owned).unwrap_or_default()
    };
    let (id, secret) = (value("AWS_ACCESS_KEY_ID"), value("AWS_SECRET_ACCESS_KEY"));
    let running = Running {
        s3: flags(&[("--access-key", &id), ("--secret-key", &secret)]),
        datanodes: flags(&[("--data", &data.display().to_string())]),
        processes: vec![child.id()],
        started_in,
        stop: Vec::new(),
        child: Some(child),
        env: Vec::new(),
        settings,
        _folder: folder,
    };
    match first.starts_with("ready in ") && !secret.is_empty() {
        true => Ok(running),
        false => Err(format!("quickstart says {first:?}")),
    }
}

/// A process and those it has started.
fn with_children(pid: u32) -> Vec<u32> {
    let children = std::fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap_or_default();
    let below = children.split_whitespace().filter_map(|child| child.parse().ok()).flat_map(with_children);
    std::iter::once(pid).chain(below).collect()
}

/// The numbers in the files NAME.pid of a folder.
fn pids(folder: &Path) -> Vec<u32> {
    let files = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let pid = |file: std::fs::DirEntry| std::fs::read_to_string(file.path()).ok()?.trim().parse().ok();
    files.filter(|file| file.path().extension().is_some_and(|end| end == "pid")).filter_map(pid).collect()
}

fn ozone(folder: TempDir) -> Result<Running, String> {
    let prepared = std::env::var_os("PEER_HOME").map_or_else(|| home().join("ozone"), PathBuf::from);
    if !prepared.join("lib").is_dir() {
        let prepare = peers().join("ozone/prepare");
        return Err(format!(
            "{} holds no Ozone\n  try: {} {}",
            prepared.display(),
            prepare.display(),
            prepared.display()
        ));
    }
    // Its jars stay where they are; its data, logs and process ids are this run's.
    let at = folder.path();
    for name in ["lib", "conf", "conf-client", "env.sh", "start.sh", "stop.sh", "oz"] {
        std::os::unix::fs::symlink(prepared.join(name), at.join(name)).map_err(|error| error.to_string())?;
    }
    let env =
        vec![("PEER_HOME".to_owned(), at.display().to_string()), ("DATANODES".to_owned(), "6".to_owned())];
    let scripts = |name: &str| prepared.join(name);
    let began = Instant::now();
    let envs = || env.iter().map(|(name, value)| (name, value));
    let started = Command::new(scripts("start.sh")).envs(envs()).stdout(Stdio::null()).status();
    let started_in = began.elapsed();
    let (kill, start) = (
        format!("KILL=1 {}/stop.sh dn$1 >&2; echo $((11859 + $1 * 1000))", at.display()),
        format!("{}/start.sh dn$1 >&2", at.display()),
    );
    let running = Running {
        // Its OM speaks our client's gRPC, too, on the port that its settings give; SCM and the gateway are where Ozone has them.
        settings: vec!["--set=ozone.om.address=127.0.0.1:9862".to_owned()],
        s3: flags(&[
            ("--endpoint", "http://127.0.0.1:9878"),
            ("--access-key", "peer"),
            ("--secret-key", "peer12345"),
        ]),
        datanodes: flags(&[("--kill-with", &kill), ("--start-with", &start)]),
        processes: pids(&at.join("run")),
        started_in,
        stop: vec![(scripts("stop.sh"), Vec::new())],
        child: None,
        env: env.clone(),
        _folder: folder,
    };
    match started {
        Ok(status) if status.success() => Ok(running),
        other => Err(format!("start.sh: {other:?}")),
    }
}

fn by_script(script: &str, program: &str, folder: TempDir) -> Result<Running, String> {
    let script = peers().join(script).join("server.sh");
    let installed = home().join("bin");
    if !installed.join(program).is_file() {
        return Err(format!(
            "{} is not there\n  try: what {} says",
            installed.join(program).display(),
            script.display()
        ));
    }
    std::os::unix::fs::symlink(&installed, folder.path().join("bin")).map_err(|error| error.to_string())?;
    let (id, secret) = ("GKbench000000000000000000", "0123456789abcdef".repeat(4));
    let env = vec![
        ("PEERS_HOME".to_owned(), folder.path().display().to_string()),
        ("S3_AK".to_owned(), id.to_owned()),
        ("S3_SK".to_owned(), secret.clone()),
    ];
    let envs = || env.iter().map(|(name, value)| (name, value));
    let began = Instant::now();
    // To a file: a shell that stays around the server would keep a pipe open.
    let path = folder.path().join("said");
    let out = std::fs::File::create(&path).map_err(|error| error.to_string())?;
    let started = Command::new(&script).arg("start").envs(envs()).stdout(out).status();
    let started = started.map_err(|error| error.to_string())?;
    let started_in = began.elapsed();
    let said = std::fs::read_to_string(&path).unwrap_or_default();
    let value =
        |name: &str| said.split_whitespace().find_map(|word| word.strip_prefix(name)).unwrap_or_default();
    let s3 = [
        ("--endpoint", value("ENDPOINT=")),
        ("--region", value("REGION=")),
        ("--access-key", id),
        ("--secret-key", &secret),
    ];
    let running = Running {
        settings: Vec::new(),
        s3: flags(&s3),
        datanodes: Vec::new(),
        processes: value("PIDS=")
            .split(',')
            .filter_map(|pid| pid.parse().ok())
            .flat_map(with_children)
            .collect(),
        started_in,
        stop: vec![(script, vec!["stop".to_owned()])],
        child: None,
        env: env.clone(),
        _folder: folder,
    };
    match started.success() {
        true => Ok(running),
        false => Err(format!("it does not start: {started}")),
    }
}
