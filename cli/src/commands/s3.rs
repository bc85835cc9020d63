//! `allotrope s3`: the secrets that S3 clients sign with, in the grammar of `ozone s3`.

use std::error::Error;
use std::process::ExitCode;

use clap::{Args, Subcommand};

use super::sh::{connect, user};
use crate::config::Settings;

#[derive(Debug, Args)]
pub(super) struct S3 {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Make an access id's secret and print it. It is shown once.
    #[command(name = "getsecret")]
    Get {
        #[command(flatten)]
        whose: Whose,
        /// Print lines for a shell to take over.
        #[arg(short, long)]
        export: bool,
    },
    /// Replace an access id's secret by one of your own, of at least 8 characters.
    #[command(name = "setsecret")]
    Set {
        #[command(flatten)]
        whose: Whose,
        /// The secret.
        #[arg(short, long)]
        secret: String,
    },
    /// Take an access id's secret away: what is signed with it is refused.
    #[command(name = "revokesecret")]
    Revoke {
        #[command(flatten)]
        whose: Whose,
        /// Do not ask.
        #[arg(short)]
        yes: bool,
    },
}

#[derive(Debug, Args)]
struct Whose {
    /// The access id; your own user when left out. Somebody else's needs an administrator.
    #[arg(short, long, value_name = "USER")]
    user: Option<String>,
}

impl Whose {
    fn id(&self) -> String {
        self.user.clone().unwrap_or_else(user)
    }
}

impl S3 {
    pub(super) fn run(self, settings: &Settings) -> Result<ExitCode, Box<dyn Error>> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        runtime.block_on(self.command.run(settings))?;
        Ok(ExitCode::SUCCESS)
    }
}

impl Command {
    async fn run(self, settings: &Settings) -> Result<(), Box<dyn Error>> {
        let client = connect(settings, "")?;
        match self {
            Command::Get { whose, export } => {
                let id = whose.id();
                let secret = client.s3_secret(&id, true).await?;
                print_secret(&id, &secret, export);
            }
            Command::Set { whose, secret } => {
                let id = whose.id();
                client.set_s3_secret(&id, &secret).await?;
                print_secret(&id, &secret, false);
            }
            Command::Revoke { whose, yes } => {
                let id = whose.id();
                if !yes && !agreed(&id)? {
                    eprintln!("nothing was revoked");
                    return Ok(());
                }
                client.revoke_s3_secret(&id).await?;
                eprintln!("the secret of {id} is revoked");
            }
        }
        Ok(())
    }
}

fn print_secret(id: &str, secret: &str, export: bool) {
    match export {
        true => println!("export AWS_ACCESS_KEY_ID='{id}'\nexport AWS_SECRET_ACCESS_KEY='{secret}'"),
        false => println!("awsAccessKey={id}\nawsSecret={secret}"),
    }
}

fn agreed(id: &str) -> Result<bool, Box<dyn Error>> {
    eprint!("Revoke the S3 secret of {id}? [y/N] ");
    let mut answer = String::new();
    std::io::stdin().read_line(&mut answer)?;
    Ok(answer.trim().eq_ignore_ascii_case("y"))
}
