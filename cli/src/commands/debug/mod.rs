//! `allotrope debug`: looking at disks while no datanode uses them. Nothing is changed.

mod container;
mod volume;

use std::error::Error;
use std::process::ExitCode;

use allotrope_datanode::offline::{Finding, Verified};
use allotrope_types::ByteCount;
use clap::{Args, Subcommand};
use serde_json::{Value, json};

#[derive(Debug, Args)]
pub(super) struct Debug {
    #[command(subcommand)]
    noun: Noun,
}

#[derive(Debug, Subcommand)]
enum Noun {
    /// Containers on a volume of Allotrope's or Ozone's.
    #[command(subcommand)]
    Container(container::Container),
    /// A volume of Allotrope's or Ozone's.
    #[command(subcommand)]
    Volume(volume::Volume),
}

/// What a command comes to: 0, or 1 where damage was found.
type Done = Result<ExitCode, Box<dyn Error>>;

impl Debug {
    pub(super) fn run(self) -> Done {
        match self.noun {
            Noun::Container(command) => command.run(),
            Noun::Volume(command) => command.run(),
        }
    }
}

/// Prints one finding, on a line of its own.
fn print_finding(finding: &Finding, as_json: bool) {
    let replica = finding.replica.map(|index| index.number());
    if as_json {
        let line = json!({
            "container": finding.container.map(|id| id.as_u64()),
            "replicaIndex": replica,
            "block": finding.block.map(|id| id.to_wire()),
            "damage": finding.is_damage,
            "what": finding.what,
        });
        println!("{line}");
        return;
    }
    let mut place = match finding.container {
        Some(id) => format!("container {id}"),
        None => "volume".to_owned(),
    };
    if let Some(index) = replica {
        place = format!("{place}, replica {index}");
    }
    if let Some(block) = finding.block {
        place = format!("{place}, block {block}");
    }
    let kind = if finding.is_damage { "damaged" } else { "note" };
    println!("{kind}: {place}: {}", finding.what);
}

/// Prints what was looked at; the exit code says whether all of it is whole.
fn print_verified(done: Verified, as_json: bool) -> ExitCode {
    let ((containers, bad_containers), (blocks, bad_blocks)) = (done.containers, done.blocks);
    if as_json {
        let total: Value = json!({
            "containers": containers,
            "containersDamaged": bad_containers,
            "blocks": blocks,
            "blocksDamaged": bad_blocks,
            "bytesVerified": done.bytes,
        });
        println!("{total}");
    } else {
        let bytes = ByteCount::new(done.bytes);
        println!(
            "{containers} containers ({bad_containers} damaged), {blocks} blocks ({bad_blocks} damaged), {bytes} verified"
        );
    }
    ExitCode::from(u8::from(bad_containers > 0))
}
