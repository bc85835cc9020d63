//! Fuzzes one target: `ALLOTROPE_FUZZ_TARGET=NAME fuzz CORPUS [options of the engine]`.
#![no_main]
#![allow(unsafe_code, reason = "the engine's macro exports the function it calls")]
#![allow(clippy::disallowed_methods, reason = "the engine's macro writes a file when it is told to")]
#![allow(missing_docs, reason = "what the engine calls is not ours to document")]

use std::sync::OnceLock;

use allotrope_fuzz::{TARGETS, Target};

/// The target by the name in the environment; the engine owns the command line.
fn target() -> Target {
    static CHOSEN: OnceLock<Target> = OnceLock::new();
    *CHOSEN.get_or_init(|| {
        let name = std::env::var("ALLOTROPE_FUZZ_TARGET").unwrap_or_default();
        let known: Vec<_> = TARGETS.iter().map(|target| target.name).collect();
        let chosen = TARGETS.iter().find(|target| target.name == name);
        *chosen
            .unwrap_or_else(|| panic!("ALLOTROPE_FUZZ_TARGET is {name:?}; it is one of {}", known.join(", ")))
    })
}

libfuzzer_sys::fuzz_target!(|data: &[u8]| (target().run)(data));
