//! `-r` and `--yes`: deleting something with all that is in it, and the question before.

use std::io::{self, IsTerminal as _};

use clap::Args;

use super::Done;

/// What `delete` takes of volumes and buckets.
#[derive(Debug, Args)]
pub(super) struct WithAll {
    /// Delete it with all that is in it. Nothing brings that back; a trash is not used. Of a link only the link goes.
    #[arg(short, long)]
    pub(super) recursive: bool,
    /// Do not ask first.
    #[arg(short, long)]
    yes: bool,
}

impl WithAll {
    /// Asks whether `what` is to go with all that is in it, unless that was said already. An error where nobody says yes.
    pub(super) async fn agreed(&self, what: &str) -> Done {
        if self.yes {
            return Ok(());
        }
        eprint!("{what} goes with all that is in it, and nothing brings it back. Enter 'yes' to go on: ");
        let reading = tokio::task::spawn_blocking(|| {
            let mut answer = String::new();
            io::stdin().read_line(&mut answer).map(|_| answer)
        });
        let answer = reading.await??;
        // The line that a person ended shows on a terminal alone.
        if !io::stdin().is_terminal() {
            eprintln!();
        }
        if answer.trim().eq_ignore_ascii_case("yes") {
            return Ok(());
        }
        Err(format!("{what} was left as it is: nobody said yes\n  try: --yes to delete it unasked").into())
    }
}
