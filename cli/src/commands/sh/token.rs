//! `allotrope sh token`: Ozone's grammar, so that a script learns by name what is missing. Delegation tokens come with security.

use std::path::PathBuf;

use clap::{Args, Subcommand};

use super::{Done, not_served};

#[derive(Debug, Subcommand)]
pub(super) enum Token {
    /// Get a delegation token.
    Get {
        /// o3://host, where OM is not the one of the settings.
        #[arg(default_value = "/")]
        uri: String,
        #[command(flatten)]
        file: TokenFile,
        /// Who may renew it.
        #[arg(short, long, value_name = "NAME")]
        renewer: Option<String>,
    },
    /// Cancel a delegation token.
    Cancel(TokenFile),
    /// Renew a delegation token.
    Renew(TokenFile),
    /// Print a delegation token.
    Print(TokenFile),
}

#[derive(Debug, Args)]
pub(super) struct TokenFile {
    /// The file that holds the token.
    #[arg(short, long, value_name = "FILE")]
    token: PathBuf,
}

impl Token {
    pub(super) fn run(self) -> Done {
        let request = match self {
            Token::Get { .. } => "GetDelegationToken",
            Token::Cancel(_) => "CancelDelegationToken",
            Token::Renew(_) => "RenewDelegationToken",
            Token::Print(TokenFile { token }) => {
                return Err(
                    format!("{} is not read: delegation tokens are not served yet", token.display()).into()
                );
            }
        };
        Err(not_served(request, "delegation tokens"))
    }
}
