//! The fuzz targets as properties: over any bytes, and over a real cluster's messages, damaged.
#![allow(clippy::disallowed_methods, reason = "a test reads captures from the source tree")]

use std::path::Path;

use allotrope_fuzz::{TARGETS, Target};
use proptest::prelude::*;

/// The captured messages that a target starts from.
fn seeds(target: &Target) -> Vec<Vec<u8>> {
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

#[test]
fn every_target_takes_its_seeds() {
    for target in TARGETS {
        let seeds = seeds(target);
        assert_eq!(seeds.is_empty(), target.seeds.is_empty(), "{}", target.name);
        for seed in seeds {
            (target.run)(&seed);
            // Targets that cut frames take their first byte for that.
            (target.run)(&[&[100], &seed[..]].concat());
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
    fn no_damage_to_a_real_message_breaks_a_promise(
        which in any::<prop::sample::Index>(),
        cut in 1u8..=255,
        wounds in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..4),
        len in any::<prop::sample::Index>(),
        shorter in any::<bool>(),
    ) {
        for target in TARGETS {
            let seeds = seeds(target);
            if seeds.is_empty() {
                continue;
            }
            let mut data = vec![cut];
            data.extend(&seeds[which.index(seeds.len())]);
            for (at, byte) in &wounds {
                let at = at.index(data.len());
                data[at] = *byte;
            }
            if shorter {
                data.truncate(len.index(data.len()));
            }
            (target.run)(&data);
        }
    }
}
