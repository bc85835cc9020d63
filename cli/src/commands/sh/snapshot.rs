//! `allotrope sh snapshot`: Ozone's grammar, so that a script learns by name what is missing. OM serves no snapshots yet.

use allotrope_client::BucketPath;
use clap::{Args, Subcommand};

use super::{Done, ListArgs, not_served};

#[derive(Debug, Subcommand)]
pub(super) enum Snapshot {
    /// Make a snapshot.
    Create {
        /// /volume/bucket
        uri: String,
        /// Its name; chosen by the server when left out.
        name: Option<String>,
    },
    /// Delete a snapshot.
    Delete(Named),
    /// List the snapshots of a bucket.
    #[command(visible_alias = "ls")]
    List {
        /// /volume/bucket
        uri: String,
        #[command(flatten)]
        list: ListArgs,
    },
    /// Show what changed between two snapshots.
    #[command(visible_alias = "snapshotDiff")]
    Diff {
        /// /volume/bucket
        uri: String,
        /// The older snapshot.
        from: String,
        /// The newer snapshot.
        to: String,
        /// Most changes to show.
        #[arg(short, long, value_name = "COUNT", default_value_t = 1000)]
        page_size: u32,
        /// Go on where the page with this token ended.
        #[arg(short, long, value_name = "TOKEN")]
        token: Option<String>,
        /// Stop the work on it.
        #[arg(short, long)]
        cancel: bool,
        /// Show what is known, and begin no work.
        #[arg(short = 'r', long)]
        get_report: bool,
        /// Print JSON.
        #[arg(long)]
        json: bool,
    },
    /// List the work on changes between snapshots.
    #[command(name = "listDiff", visible_aliases = ["listDiffJob", "lsDiff", "lsDiffJob"])]
    ListDiff {
        /// /volume/bucket
        uri: String,
        /// Only work in this state: queued, in_progress, done, failed, rejected.
        #[arg(long, value_name = "STATE")]
        job_status: Option<String>,
        /// Work in all states.
        #[arg(long)]
        all_status: bool,
        #[command(flatten)]
        list: ListArgs,
    },
    /// Show a snapshot.
    Info(Named),
    /// Give a snapshot another name.
    Rename {
        /// /volume/bucket
        uri: String,
        /// The name it has.
        from: String,
        /// The name it is to have.
        to: String,
    },
}

#[derive(Debug, Args)]
pub(super) struct Named {
    /// /volume/bucket
    uri: String,
    /// The snapshot's name.
    name: String,
}

impl Snapshot {
    pub(super) fn run(self) -> Done {
        let (request, uri) = match &self {
            Snapshot::Create { uri, .. } => ("CreateSnapshot", uri),
            Snapshot::Delete(Named { uri, .. }) => ("DeleteSnapshot", uri),
            Snapshot::List { uri, .. } => ("ListSnapshot", uri),
            Snapshot::Diff { uri, cancel: true, .. } => ("CancelSnapshotDiff", uri),
            Snapshot::Diff { uri, get_report: true, .. } => ("SnapshotDiff", uri),
            Snapshot::Diff { uri, .. } => ("SubmitSnapshotDiff", uri),
            Snapshot::ListDiff { uri, .. } => ("ListSnapshotDiffJobs", uri),
            Snapshot::Info(Named { uri, .. }) => ("GetSnapshotInfo", uri),
            Snapshot::Rename { uri, .. } => ("RenameSnapshot", uri),
        };
        let _: BucketPath = uri.parse()?;
        Err(not_served(request, "snapshots"))
    }
}
