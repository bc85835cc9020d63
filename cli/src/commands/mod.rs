//! The command line: one file a command.
//!
//! Results go to stdout, everything else to stderr. A command ends with exit code 0, or 1 after an error, or 2 when its
//! words could not be understood.

mod admin;
mod completions;
mod debug;
mod doctor;
mod genconf;
mod getconf;
mod om_admin;
mod perf;
mod quickstart;
mod s3;
mod sh;
mod version;

use std::error::Error;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand};

use crate::config::{self, Settings, Sources};
use crate::roles;

/// An object store that speaks Ozone's protocols and S3.
#[derive(Debug, Parser)]
#[command(name = "allotrope", version, propagate_version = true, disable_help_subcommand = true)]
pub(crate) struct Allotrope {
    #[command(flatten)]
    config: ConfigArgs,
    #[command(subcommand)]
    command: Command,
}

/// Where settings come from; later ones win.
#[derive(Clone, Debug, Args)]
struct ConfigArgs {
    /// Settings file: an allotrope.toml, or an ozone-site.xml as it is. May be given more than once.
    #[arg(long = "conf", value_name = "FILE", global = true)]
    files: Vec<PathBuf>,
    /// One setting, for example --set hdds.datanode.dir=/data/disk1. May be given more than once.
    #[arg(long = "set", value_name = "NAME=VALUE", global = true)]
    flags: Vec<String>,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run a whole cluster in one process, on loopback, to try things on.
    Quickstart(quickstart::Quickstart),
    /// Run a storage container manager.
    Scm(roles::scm::Scm),
    /// Run an Ozone manager.
    Om(roles::om::Om),
    /// Run a datanode.
    Datanode(roles::datanode::Datanode),
    /// Look after running servers.
    #[command(subcommand)]
    Admin(admin::Admin),
    /// Look at a datanode's disks while it does not run. Nothing is changed.
    Debug(debug::Debug),
    /// Run an S3 gateway.
    S3g(roles::s3g::S3g),
    /// Run Recon: the cluster as an API and a page, on port 9888.
    Recon(roles::recon::Recon),
    /// Look at what this machine lets a datanode do, and say what to change.
    Doctor(doctor::Doctor),
    /// Print the version, and what is used on this machine.
    Version,
    /// Print settings as they would take effect, with where each comes from.
    Getconf(getconf::Getconf),
    /// Print a settings file with every setting, its default and its meaning.
    Genconf,
    /// Print a script that completes commands and flags: `source <(allotrope completions bash)`.
    Completions(completions::Completions),
    /// Work with volumes, buckets and keys, in the grammar of `ozone sh`.
    Sh(sh::Sh),
    /// Make, set and revoke the secrets that S3 clients sign with.
    S3(s3::S3),
    /// Put load on servers, Allotrope's or Ozone's, and measure what they bear.
    #[command(visible_alias = "freon")]
    Perf(Box<perf::Perf>),
}

impl Allotrope {
    /// Runs the command that was asked for.
    pub(crate) fn run(self) -> Result<ExitCode, Box<dyn Error>> {
        let again = self.config.clone();
        let settings = self.config.load()?;
        match self.command {
            Command::Quickstart(command) => command.run(settings),
            Command::Scm(role) => role.run(&settings),
            Command::Om(role) => role.run(&settings),
            Command::Datanode(role) => role.run(&settings, &|| again.clone().load()),
            Command::Admin(command) => command.run(&settings),
            Command::Debug(command) => command.run(),
            Command::S3g(role) => role.run(&settings),
            Command::Recon(role) => role.run(&settings),
            Command::Doctor(command) => command.run(&settings),
            Command::Version => version::run(),
            Command::Getconf(command) => command.run(&settings),
            Command::Genconf => genconf::run(),
            Command::Completions(command) => command.run(),
            Command::Sh(command) => command.run(&settings),
            Command::S3(command) => command.run(&settings),
            Command::Perf(command) => command.run(&settings),
        }
    }
}

impl ConfigArgs {
    /// Reads all sources and checks them; warnings go to stderr.
    fn load(self) -> Result<Settings, Box<dyn Error>> {
        // A variable that is not UTF-8 cannot be a setting of ours.
        let env =
            std::env::vars_os().filter_map(|(k, v)| Some((k.into_string().ok()?, v.into_string().ok()?)));
        let settings = config::load(&Sources { files: self.files, flags: self.flags }, env)?;
        for warning in config::check(&settings)? {
            eprintln!("warning: {}", warning.0);
        }
        Ok(settings)
    }
}
