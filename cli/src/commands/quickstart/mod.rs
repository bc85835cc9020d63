//! `allotrope quickstart`: a whole cluster in one process, on loopback.
//!
//! Shape   one SCM, one OM, some datanodes, an S3 gateway and a Recon, each as its role would run it, with its folder under one data folder that a next
//!         start finds again. Settings that were given win over those chosen here.
//!         [`admin`] is the door for `quickstart kill` and `quickstart start`, [`datanodes`] what they act on.
//! Errors  a folder that another quickstart holds is refused with that one's process id; a port in use is named.

mod admin;
mod datanodes;

use std::fs::File;
use std::io::{ErrorKind, Read, Seek, Write};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant};

use allotrope_client::Client;
use allotrope_consensus::RocksShared;
use allotrope_io::Back;
use allotrope_proto::net::Drain;
use allotrope_proto::ops::LogLevels;
use allotrope_scm::clock::SystemClock;
use clap::{Args, Subcommand};

use self::admin::{Door, Request};
use self::datanodes::Datanodes;
use crate::config::{Origin, Settings};
use crate::roles::{self, DRAIN_MAX, Failure, PagesAt};

/// How long the cluster may take to leave safe mode.
const READY_WAIT_MAX: Duration = Duration::from_secs(60);
/// The fewest datanodes that rs-3-2 can be written to.
const CODED_DATANODES_MIN: usize = 5;

#[derive(Debug, Args)]
pub(super) struct Quickstart {
    #[command(subcommand)]
    act: Option<Act>,
    /// Folder that keeps the cluster's data; your data folder when left out.
    #[arg(long, value_name = "DIR", global = true)]
    data: Option<PathBuf>,
    /// Datanodes to run. Six are one more than rs-3-2 needs.
    #[arg(long, value_name = "N", default_value_t = 6, value_parser = clap::value_parser!(u16).range(1..=32))]
    datanodes: u16,
    /// Keep the data in a temporary folder and remove it at the end.
    #[arg(long, conflicts_with = "data")]
    ephemeral: bool,
}

/// What a second command does to a quickstart that runs.
#[derive(Debug, Subcommand)]
enum Act {
    /// End a datanode as a power cut would: its connections are closed, nothing is drained, nobody is told.
    Kill {
        /// Which: 1 is the first.
        datanode: usize,
    },
    /// Start a datanode again that was killed.
    Start {
        /// Which: 1 is the first.
        datanode: usize,
    },
}

/// What may befall a datanode of a quickstart that runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fault {
    /// It ends as by a power cut.
    Kill,
    /// It is started again.
    Start,
}

/// Has `fault` befall datanode `number`, from 1, of the quickstart that holds `dir`; gives what that says. Blocks.
pub(super) fn ask(dir: &Path, fault: Fault, number: usize) -> Result<String, Failure> {
    let request = match fault {
        Fault::Kill => Request::Kill(number),
        Fault::Start => Request::Start(number),
    };
    admin::ask(dir, request)
}

impl Act {
    fn run(&self, dir: &Path) -> Result<ExitCode, Failure> {
        let request = match *self {
            Act::Kill { datanode } => Request::Kill(datanode),
            Act::Start { datanode } => Request::Start(datanode),
        };
        println!("{}", admin::ask(dir, request)?);
        Ok(ExitCode::SUCCESS)
    }
}

impl Quickstart {
    pub(super) fn run(self, mut settings: Settings) -> Result<ExitCode, Failure> {
        let count = usize::from(self.datanodes);
        let temporary = self.ephemeral.then(tempfile::tempdir).transpose()?;
        let dir = match (&temporary, self.data) {
            (Some(temporary), _) => temporary.path().to_owned(),
            (None, Some(dir)) => std::path::absolute(dir)?,
            (None, None) => data_folder()?,
        };
        if let Some(act) = self.act {
            return act.run(&dir);
        }
        roles::make_folder(&dir)?;
        let _held = hold(&dir)?;
        choose(&mut settings, &dir, count);
        let logs = roles::start_logs(&settings)?;
        roles::runtime()?.block_on(run(&settings, &dir, count, &logs)).map_err(hint)
    }
}

/// `$XDG_DATA_HOME/allotrope/quickstart`, by the rules of the XDG base directories.
fn data_folder() -> Result<PathBuf, Failure> {
    let home = |name: &str| std::env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
    let base = home("XDG_DATA_HOME").or_else(|| home("HOME").map(|home| home.join(".local/share")));
    let base =
        base.ok_or("there is no home folder to keep data in\n  try: allotrope quickstart --data DIR")?;
    Ok(base.join("allotrope").join("quickstart"))
}

/// Takes the folder for this process. The lock lasts as long as the file is open.
fn hold(dir: &Path) -> Result<File, Failure> {
    let path = dir.join("in_use.lock");
    let mut file = File::options().create(true).truncate(false).read(true).write(true).open(&path)?;
    if file.try_lock().is_err() {
        let mut holder = String::new();
        file.read_to_string(&mut holder)?;
        let dir = dir.display();
        return Err(format!("{dir} is in use by process {}\n  try: another --data DIR", holder.trim()).into());
    }
    file.set_len(0)?;
    file.rewind()?;
    writeln!(file, "{}", std::process::id())?;
    Ok(file)
}

/// Fills in what a laptop wants where nothing was given.
fn choose(settings: &mut Settings, dir: &Path, datanodes: usize) {
    let (kind, config) =
        if datanodes >= CODED_DATANODES_MIN { ("EC", "rs-3-2-1024k") } else { ("STAND_ALONE", "ONE") };
    let folder = dir.display().to_string();
    for (name, value) in [
        ("ozone.metadata.dirs", folder.as_str()),
        ("hdds.datanode.dir", &folder),
        ("ozone.scm.names", "127.0.0.1"),
        ("ozone.scm.client.address", "127.0.0.1:9860"),
        ("ozone.scm.datanode.address", "127.0.0.1:9861"),
        ("ozone.scm.block.client.address", "127.0.0.1:9863"),
        ("ozone.om.address", "127.0.0.1:9862"),
        ("ozone.s3g.http-address", "127.0.0.1:9878"),
        ("ozone.administrators", "s3g,recon"),
        ("ozone.scm.http-address", "127.0.0.1:9876"),
        ("ozone.om.http-address", "127.0.0.1:9874"),
        ("ozone.s3g.webadmin.http-address", "127.0.0.1:19878"),
        ("hdds.datanode.http-address", "127.0.0.1:9882"),
        ("ozone.recon.http-address", "127.0.0.1:9888"),
        ("ozone.server.default.replication.type", kind),
        ("ozone.server.default.replication", config),
        ("hdds.scm.safemode.min.datanode", &datanodes.to_string()),
        ("hdds.heartbeat.interval", "1s"),
        ("hdds.datanode.volume.min.free.space", "1GB"),
        ("allotrope.scm.failure-detection", "fast"),
        ("hdds.scm.wait.time.after.safemode.exit", "3s"),
        ("ozone.scm.close.container.wait.duration", "3s"),
        ("ozone.scm.datanode.admin.monitor.interval", "1s"),
        ("allotrope.datanode.address", "127.0.0.1"),
        ("allotrope.datanode.shards", "1"),
        ("allotrope.log.level", "warn"),
    ] {
        if settings.given(name).is_none() {
            settings.put(name, value, Origin::Quickstart);
        }
    }
}

/// What to do about a port that is taken, after what the role says of it.
fn hint(error: Failure) -> Failure {
    let mut cause: Option<&(dyn std::error::Error + 'static)> = Some(&*error);
    while let Some(next) = cause {
        let taken = next.downcast_ref::<std::io::Error>().is_some_and(|e| e.kind() == ErrorKind::AddrInUse);
        if taken {
            let ports = "ozone.scm.{client,datanode,block.client}.address, ozone.om.address, ozone.om.grpc.port, \
                         ozone.s3g.http-address, hdds.container.ipc.port, hdds.datanode.replication.port, \
                         hdds.container.ratis.{ipc,admin}.port, \
                         {ozone.scm,ozone.om,ozone.s3g.webadmin,hdds.datanode,ozone.recon}.http-address";
            return format!(
                "{}\n  try: another port with --set NAME=VALUE; the ports are {ports}",
                crate::with_causes(&*error)
            )
            .into();
        }
        cause = next.source();
    }
    error
}

async fn run(
    settings: &Settings,
    dir: &Path,
    count: usize,
    logs: &Arc<dyn LogLevels>,
) -> Result<ExitCode, Failure> {
    let began = Instant::now();
    let rocks: RocksShared = roles::rocks()?;
    let mut scm_config = roles::scm::config(settings)?;
    scm_config.operators = PagesAt::SCM.operators(settings, None, logs)?;
    roles::scm::identity(&scm_config)?;
    let scm = allotrope_scm::start(scm_config, rocks.clone(), Arc::new(SystemClock::new())).await?;
    let mut om_config = roles::om::config(settings)?;
    om_config.operators = roles::om::operators(settings, logs)?;
    roles::make_folder(&om_config.dir)?;
    let om = allotrope_om::start(om_config, roles::om::world(rocks)).await?;
    let mut datanodes = Datanodes::start(settings, dir, count, logs).await?;
    let waiting = tokio::time::timeout(READY_WAIT_MAX, async {
        while scm.in_safe_mode() || !datanodes.are_open() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    });
    waiting.await.map_err(|_| format!("the cluster is still in safe mode after {READY_WAIT_MAX:?}"))?;
    let client = roles::s3g::client(settings)?;
    let key = s3_key(&client).await?;
    let s3 = roles::s3g::start(roles::s3g::config(settings)?, client).await?;
    let s3_pages = Drain::new();
    roles::s3g::serve_pages(PagesAt::S3G.operators(settings, None, logs)?, &s3, &s3_pages)?;
    let recon = allotrope_recon::start(roles::recon::config(settings, logs)?)?;
    let mut door = Door::open(dir).await?;
    // Before the greeting: whoever has read it may press Ctrl-C.
    let ended = roles::asked_to_end()?;
    greet(settings, dir, count, datanodes.back(), began.elapsed(), (om.rpc, om.grpc));
    greet_s3(settings, s3.address, &key);
    println!("\nRecon     http://{}/ shows all of it in a browser\n\nCtrl-C stops it.", recon.address());
    tokio::pin!(ended);
    loop {
        tokio::select! {
            biased;
            () = &mut ended => break,
            Some(asked) = door.asked.recv() => {
                let answer = datanodes.carry_out(asked.request).await;
                // Whoever asked may have left; it is done all the same.
                let _ = asked.answer.send(answer);
            }
        }
    }
    drop(door);
    eprintln!("stopping");
    recon.shutdown(roles::s3g::PAGES_DRAIN).await;
    s3.shutdown(DRAIN_MAX).await;
    s3_pages.finish(roles::s3g::PAGES_DRAIN).await;
    datanodes.shutdown().await?;
    om.shutdown(DRAIN_MAX).await;
    scm.shutdown(DRAIN_MAX).await;
    Ok(ExitCode::SUCCESS)
}

/// An access id of S3's and its secret.
struct S3Key {
    id: String,
    secret: String,
}

/// The key of whoever starts the cluster; a secret that is there already stays.
async fn s3_key(client: &Client) -> Result<S3Key, Failure> {
    let id = super::sh::user();
    let secret = match client.s3_secret_of(&id).await {
        Ok(secret) => secret,
        Err(_) => client.s3_secret(&id, true).await?,
    };
    Ok(S3Key { id, secret })
}

fn greet(
    settings: &Settings,
    dir: &Path,
    count: usize,
    back: Back,
    took: Duration,
    (rpc, grpc): (SocketAddr, SocketAddr),
) {
    let replication = settings.text("ozone.server.default.replication").unwrap_or_default();
    let at = if grpc.port() == 8981 && rpc.port() == 9862 {
        String::new()
    } else {
        format!(" --set ozone.om.address={rpc} --set ozone.om.grpc.port={}", grpc.port())
    };
    println!(
        "ready in {:.1} s: 1 SCM, 1 OM, {count} datanodes; keys are kept as {replication}\n\
         data      {}\n\
         io        {back}\n\
         OM        {rpc} (Hadoop RPC), {grpc} (gRPC)\n\
         \n\
         try, in another terminal:\n\
         \n    allotrope sh{at} volume create /vol1\
         \n    allotrope sh{at} bucket create /vol1/bucket1 --layout OBJECT_STORE\
         \n    allotrope sh{at} key put /vol1/bucket1/readme README.md\
         \n    allotrope sh{at} key get /vol1/bucket1/readme /tmp/readme\
         \n    ozone sh --set=ozone.om.address={rpc} key list /vol1/bucket1     # a stock Java client\
         ",
        took.as_secs_f64(),
        dir.display(),
    );
}

fn greet_s3(settings: &Settings, at: SocketAddr, key: &S3Key) {
    let region = settings.text("allotrope.s3g.region").unwrap_or("us-east-1");
    println!(
        "\nS3        http://{at}, for instance:\n\
         \n    export AWS_ACCESS_KEY_ID={} AWS_SECRET_ACCESS_KEY={}\
         \n    export AWS_DEFAULT_REGION={region} AWS_ENDPOINT_URL=http://{at}\
         \n    aws s3 mb s3://bucket2\
         \n    aws s3 cp README.md s3://bucket2/\
         \n    aws s3 ls s3://bucket2",
        key.id, key.secret,
    );
}
