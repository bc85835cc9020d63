//! `allotrope sh`: volumes, buckets, keys and prefixes, in the grammar of `ozone sh`. One file a noun.
//!
//! Results are JSON with the fields that `ozone sh` prints. A command that only does something prints nothing. What OM does not
//! serve yet has its grammar, and fails with the name of the request.

mod acl;
mod bucket;
mod folder;
mod json;
mod key;
mod key_list;
mod out;
mod prefix;
mod quota;
mod resume;
mod snapshot;
mod token;
mod transfer;
mod volume;
mod with_all;

pub(super) use bucket::layout;

use std::error::Error;
use std::fmt::Write as _;
use std::process::ExitCode;
use std::time::Duration;

use allotrope_client::{Address, Client, Config, split_uri};
use allotrope_types::{Advice, OmStatus, ReplicationConfig, ReplicationType};
use clap::{Args, Subcommand};

use crate::config::Settings;
use crate::roles::om;

#[derive(Debug, Args)]
pub(super) struct Sh {
    #[command(subcommand)]
    noun: Noun,
}

#[derive(Debug, Subcommand)]
enum Noun {
    /// Volumes: /volume.
    #[command(subcommand, visible_alias = "vol")]
    Volume(volume::Volume),
    /// Buckets: /volume/bucket.
    #[command(subcommand)]
    Bucket(bucket::Bucket),
    /// Keys: /volume/bucket/key.
    #[command(subcommand)]
    Key(key::Key),
    /// Prefixes: rights for all keys below /volume/bucket/path/.
    #[command(subcommand)]
    Prefix(prefix::Prefix),
    /// Snapshots of buckets. Not served yet.
    #[command(subcommand)]
    Snapshot(snapshot::Snapshot),
    /// Delegation tokens. Not served yet.
    #[command(subcommand)]
    Token(token::Token),
}

/// What a command of the shell comes to.
type Done = Result<(), Box<dyn Error>>;

/// Exit code of a command that was interrupted, as shells have it.
const INTERRUPTED: u8 = 130;

impl Sh {
    pub(super) fn run(self, settings: &Settings) -> Result<ExitCode, Box<dyn Error>> {
        let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
        let code = runtime.block_on(async {
            tokio::select! {
                done = self.noun.run(settings) => done.map(|()| ExitCode::SUCCESS),
                _ = tokio::signal::ctrl_c() => Ok(ExitCode::from(INTERRUPTED)),
            }
        });
        // A thread may wait for a terminal or a pipe that gives nothing any more.
        runtime.shutdown_timeout(Duration::from_millis(100));
        match code {
            Err(error) if out::is_closed_pipe(&*error) => Ok(ExitCode::SUCCESS),
            code => code.map_err(|error| explained(&*error).into()),
        }
    }
}

impl Noun {
    async fn run(self, settings: &Settings) -> Done {
        match self {
            Noun::Volume(command) => command.run(settings).await,
            Noun::Bucket(command) => command.run(settings).await,
            Noun::Key(command) => command.run(settings).await,
            Noun::Prefix(command) => command.run(settings).await,
            Noun::Snapshot(command) => command.run(),
            Noun::Token(command) => command.run(),
        }
    }
}

/// The error and its causes in one line, and what to do about it in the next.
fn explained(error: &(dyn Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let _ = write!(text, ": {error}");
        cause = error.source();
    }
    let client_error = error.downcast_ref::<allotrope_client::Error>();
    let hint = match client_error.map(|error| (error, error.advice())) {
        Some((allotrope_client::Error::OmSilent { .. }, _)) => {
            Some("is OM running? ozone.om.address and ozone.om.grpc.port say where it is looked for")
        }
        Some((error, _)) if error.om_status().is_some_and(holds_something) => Some(
            "try: -r to delete it with all that is in it; what is being uploaded, or was deleted a moment ago, keeps it for a while",
        ),
        Some((_, Advice::RetryLater)) => Some("try again in a while"),
        Some((_, Advice::CallOperator)) => Some("OM's log says more"),
        _ => None,
    };
    if let Some(hint) = hint {
        let _ = write!(text, "\n  {hint}");
    }
    text
}

/// Whether `status` says that something is not empty.
fn holds_something(status: OmStatus) -> bool {
    matches!(status, OmStatus::VolumeNotEmpty | OmStatus::BucketNotEmpty)
}

/// The failure of a command that OM's `request` would carry out: `what` is not there yet.
fn not_served(request: &str, what: &str) -> Box<dyn Error> {
    format!("{request} is not served yet: Allotrope has no {what}; nothing was sent").into()
}

/// A client of the OM that `uri` names, or else the settings.
pub(super) fn connect(settings: &Settings, uri: &str) -> Result<Client, Box<dyn Error>> {
    Ok(Client::new(client_config(settings, uri)?)?)
}

/// The way to the OM that `uri` names, or else the settings, with all else at its default.
pub(super) fn client_config(settings: &Settings, uri: &str) -> Result<Config, Box<dyn Error>> {
    let (named, _) = split_uri(uri)?;
    if named.is_none()
        && let Some((service, nodes)) = om::service(settings)
    {
        let address = |node: &String| -> Result<Address, Box<dyn Error>> {
            let (host, _) = om::address_of(settings, &service, node)?;
            Ok(Address::new(host, om::port_of(settings, "ozone.om.grpc.port", &service, node)?))
        };
        let om = nodes.iter().map(address).collect::<Result<Vec<_>, _>>()?;
        let first = om.first().ok_or("ozone.om.nodes names no OM")?.clone();
        return Ok(Config { om, user: user(), ..Config::at(first.host(), first.port()) });
    }
    let (host, _) = settings.address("ozone.om.address", 9862)?;
    let host = named.map_or(host, |address| address.host().to_owned());
    // OM listens on all addresses when none is set; a client on the same machine reaches it at this one.
    let host = if host == "0.0.0.0" { "127.0.0.1".to_owned() } else { host };
    let port = settings.port("ozone.om.grpc.port")?;
    let om = vec![Address::new(&host, port)];
    Ok(Config { om, user: user(), ..Config::at(host, port) })
}

/// The caller's name as Ozone's clients find it.
pub(super) fn user() -> String {
    let names = ["HADOOP_USER_NAME", "USER", "LOGNAME"];
    let found = names.iter().filter_map(|name| std::env::var(name).ok()).find(|name| !name.is_empty());
    found.unwrap_or_else(|| "anonymous".to_owned())
}

/// `--type` and `--replication`, as commands take them that make a bucket or a key.
#[derive(Debug, Args)]
struct Replication {
    /// Replication type: EC, STAND_ALONE or RATIS. Needs --replication.
    #[arg(
        short = 't',
        long = "type",
        visible_alias = "replication-type",
        value_name = "TYPE",
        requires = "replication"
    )]
    kind: Option<String>,
    /// ONE or THREE; for EC a scheme such as rs-3-2-1024k.
    #[arg(short, long, value_name = "REPLICATION")]
    replication: Option<String>,
}

impl Replication {
    fn config(&self) -> Result<Option<ReplicationConfig>, Box<dyn Error>> {
        let Some(replication) = &self.replication else { return Ok(None) };
        let Some(kind) = &self.kind else { return Ok(Some(replication.parse()?)) };
        let kind = match kind.to_ascii_uppercase().as_str() {
            "RATIS" => ReplicationType::Ratis,
            "STAND_ALONE" | "STANDALONE" => ReplicationType::StandAlone,
            "EC" => ReplicationType::Ec,
            _ => {
                return Err(format!(
                    "--type {kind:?} is no replication type\n  try: EC, STAND_ALONE or RATIS"
                )
                .into());
            }
        };
        Ok(Some(ReplicationConfig::of_type(kind, replication)?))
    }
}

/// What all listings take.
#[derive(Debug, Args)]
struct ListArgs {
    /// Most entries to list.
    #[arg(short, long, value_name = "COUNT", default_value_t = 100)]
    length: usize,
    /// List what stands behind this name.
    #[arg(short, long, value_name = "NAME", default_value = "")]
    start: String,
    /// List names that begin with this.
    #[arg(short, long, value_name = "PREFIX", default_value = "")]
    prefix: String,
    /// List everything, however much it is.
    #[arg(short, long)]
    all: bool,
}

impl ListArgs {
    fn count_max(&self) -> usize {
        if self.all { usize::MAX } else { self.length }
    }
}
