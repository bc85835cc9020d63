//! `allotrope debug container`: list, info, verify and export.

use std::path::PathBuf;
use std::process::ExitCode;

use allotrope_datanode::offline::{self, Info, Summary};
use allotrope_types::ByteCount;
use clap::{Args, Subcommand};
use serde_json::{Value, json};

use super::{Done, print_finding, print_verified};

#[derive(Debug, Subcommand)]
pub(super) enum Container {
    /// List the containers on a volume.
    List(Where),
    /// Say what a container is and counts.
    Info(Where),
    /// Read and verify every block; print each damaged one.
    Verify(Where),
    /// Write a container as a tar file, as datanodes send them to each other.
    Export {
        #[command(flatten)]
        place: Where,
        /// The tar file; it must not exist yet. Default: container-ID.tar here.
        #[arg(long, value_name = "FILE")]
        to: Option<PathBuf>,
    },
}

#[derive(Debug, Args)]
pub(super) struct Where {
    /// A container's folder (…/containerDirN/ID); for list and verify also a folder of hdds.datanode.dir, for all on it.
    path: PathBuf,
    /// The same as JSON, with sizes in bytes.
    #[arg(long)]
    json: bool,
}

impl Container {
    pub(super) fn run(self) -> Done {
        match self {
            Container::List(place) => list(&place),
            Container::Info(place) => info(&place),
            Container::Verify(place) => {
                let json = place.json;
                let done = offline::verify(&place.path, move |finding| print_finding(&finding, json))?;
                Ok(print_verified(done, json))
            }
            Container::Export { place, to } => export(&place, to),
        }
    }
}

fn list(place: &Where) -> Done {
    let found = offline::list(&place.path)?;
    if place.json {
        println!("{}", Value::from(found.iter().map(as_json).collect::<Vec<_>>()));
        return Ok(ExitCode::SUCCESS);
    }
    println!("{:<12} {:<12} {:>7} {:>10} {:>12}", "CONTAINER", "STATE", "REPLICA", "BLOCKS", "USED");
    for one in found {
        let used = ByteCount::new(one.counters.bytes_used).to_string();
        let (state, replica) = match &one.file {
            Ok(file) => (
                file.state.to_string(),
                file.replica.map_or("-".to_owned(), |index| index.number().to_string()),
            ),
            Err(_) => ("unreadable".to_owned(), "-".to_owned()),
        };
        let id = one.container.to_string();
        println!("{id:<12} {state:<12} {replica:>7} {:>10} {used:>12}", one.counters.blocks);
        if let Err(why) = &one.file {
            eprintln!("container {id}: {why}");
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn as_json(one: &Summary) -> Value {
    let file = one.file.as_ref().ok();
    json!({
        "container": one.container.as_u64(),
        "state": file.map(|file| file.state.to_string()),
        "replicaIndex": file.and_then(|file| file.replica).map(|index| index.number()),
        "blocks": one.counters.blocks,
        "used": one.counters.bytes_used,
        "damage": one.file.as_ref().err(),
    })
}

fn info(place: &Where) -> Done {
    let Info { summary, folder, owner, blocks, growing, files, has_tree } = offline::info(&place.path)?;
    let file = summary.file.as_ref();
    let tree = summary.counters.data_checksum.map(|sum| format!("{sum:08x}"));
    let fields = [
        ("container", json!(summary.container.as_u64())),
        ("state", json!(file.ok().map(|file| file.state.to_string()))),
        ("replicaIndex", json!(file.ok().and_then(|file| file.replica).map(|index| index.number()))),
        ("damage", json!(file.err())),
        ("folder", json!(folder.to_string_lossy())),
        ("cluster", json!(owner.0)),
        ("datanode", json!(owner.1)),
        ("volume", json!(owner.2)),
        ("maxSize", json!(file.ok().map(|file| file.size_max.as_u64()))),
        ("used", json!(summary.counters.bytes_used)),
        ("blocksCounted", json!(summary.counters.blocks)),
        ("blocks", json!(blocks)),
        ("blocksGrowing", json!(growing)),
        ("bcsId", json!(summary.counters.bcsid)),
        ("deleteTransaction", json!(summary.counters.delete_transaction)),
        ("files", json!(files.0)),
        ("fileBytes", json!(files.1)),
        ("originNode", json!(file.ok().map(|file| file.origin_node.clone()))),
        ("originPipeline", json!(file.ok().map(|file| file.origin_pipeline.clone()))),
        ("tree", json!(has_tree)),
        ("dataChecksum", json!(tree)),
    ];
    if place.json {
        let object: serde_json::Map<_, _> =
            fields.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
        println!("{}", Value::from(object));
        return Ok(ExitCode::SUCCESS);
    }
    for (name, value) in fields {
        match value {
            Value::Null => {}
            Value::String(text) => println!("{name:<18} {text}"),
            other => println!("{name:<18} {other}"),
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn export(place: &Where, to: Option<PathBuf>) -> Done {
    let name = place.path.file_name().map(|name| name.to_string_lossy().into_owned());
    let to = to.unwrap_or_else(|| format!("container-{}.tar", name.unwrap_or_default()).into());
    let done = offline::export(&place.path, &to)?;
    if place.json {
        let container = done.container.as_u64();
        println!(
            "{}",
            json!({"container": container, "files": done.files, "bytes": done.bytes, "to": to.to_string_lossy()})
        );
    } else {
        let (id, files, bytes) = (done.container, done.files, ByteCount::new(done.bytes));
        println!("container {id}: {files} block files, {bytes}, written to {}", to.display());
    }
    Ok(ExitCode::SUCCESS)
}
