//! Writes what a target's corpus starts from, beside the captures: `seeds TARGET FOLDER`.
#![allow(clippy::disallowed_methods, reason = "a tool writes the files it is asked for")]
#![allow(clippy::unwrap_used, reason = "a test may end where its own data is not there")]

#[path = "../../proto/tests/support/mod.rs"]
mod support;

use std::path::Path;

use allotrope_fuzz::TARGETS;
use support::Protocol;

/// Messages of each kind.
const SEEDS: u64 = 60;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut args = std::env::args().skip(1);
    let (Some(name), Some(folder)) = (args.next(), args.next()) else {
        return Err("use: seeds TARGET FOLDER".into());
    };
    let target = TARGETS.iter().find(|target| target.name == name).ok_or("there is no such target")?;
    for (kind, (file, message)) in target.messages.iter().enumerate() {
        let protocol = Protocol::of(&[file]);
        for seed in 0..SEEDS {
            let bytes = protocol.any(message, seed);
            // Targets that cut frames take their first byte for that.
            let bytes = if target.cuts { [b"d", &bytes[..]].concat() } else { bytes.to_vec() };
            std::fs::write(Path::new(&folder).join(format!("made-{kind}-{seed}")), bytes)?;
        }
    }
    Ok(())
}
