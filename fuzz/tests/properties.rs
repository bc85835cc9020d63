//! The fuzz targets as properties: over any bytes, and over good messages of every kind, damaged.
#![allow(clippy::disallowed_methods, reason = "a test reads captures from the source tree")]
#![allow(clippy::unwrap_used, reason = "a test may end where its own data is not there")]

#[path = "../../proto/tests/support/mod.rs"]
mod support;

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::LazyLock;

use allotrope_fuzz::{TARGETS, Target};
use proptest::prelude::*;
use support::Protocol;

/// The captured messages that a target starts from.
fn captures(target: &Target) -> Vec<Vec<u8>> {
    let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join("../proto/tests/golden");
    let mut files: Vec<_> = target
        .seeds
        .iter()
        .flat_map(|(folder, end)| {
            let entries = std::fs::read_dir(golden.join(folder)).expect("the captures are there");
            let paths = entries.map(|entry| entry.expect("the folder can be listed").path());
            paths.filter(move |path| path.to_string_lossy().ends_with(end))
        })
        .collect();
    files.sort();
    files.iter().map(|path| std::fs::read(path).expect("a capture can be read")).collect()
}

/// The captures and some messages of each kind that a target reads.
static SEEDS: LazyLock<BTreeMap<&'static str, Vec<Vec<u8>>>> = LazyLock::new(|| {
    let all = |target: &Target| {
        let mut seeds = captures(target);
        for (file, message) in target.messages {
            let protocol = Protocol::of(&[file]);
            seeds.extend((0..30).map(|seed| protocol.any(message, seed).to_vec()));
        }
        seeds
    };
    TARGETS.iter().map(|target| (target.name, all(target))).collect()
});

#[test]
fn every_target_takes_its_seeds() {
    for target in TARGETS {
        assert_eq!(captures(target).is_empty(), target.seeds.is_empty(), "{}", target.name);
        assert!(!SEEDS[target.name].is_empty(), "{} starts from nothing", target.name);
        for seed in &SEEDS[target.name] {
            (target.run)(seed);
            if target.cuts {
                (target.run)(&[&[100], &seed[..]].concat());
            }
        }
    }
}

proptest! {
    #[test]
    fn no_bytes_break_a_promise(data in prop::collection::vec(any::<u8>(), 0..300)) {
        for target in TARGETS {
            (target.run)(&data);
        }
    }

    #[test]
    fn no_damage_to_a_good_message_breaks_a_promise(
        which in any::<prop::sample::Index>(),
        cut in 1u8..=255,
        wounds in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..4),
        len in any::<prop::sample::Index>(),
        shorter in any::<bool>(),
    ) {
        for target in TARGETS {
            let seeds = &SEEDS[target.name];
            let mut data = if target.cuts { vec![cut] } else { vec![] };
            data.extend(&seeds[which.index(seeds.len())]);
            for (at, byte) in wounds.iter().filter(|_| !data.is_empty()).cloned().collect::<Vec<_>>() {
                let at = at.index(data.len());
                data[at] = byte;
            }
            if shorter && !data.is_empty() {
                data.truncate(len.index(data.len()));
            }
            (target.run)(&data);
        }
    }
}
