//! A kernel that codes nothing and counts its calls.

use std::sync::atomic::{AtomicU64, Ordering};

use allotrope_ec::Kernel;

static CALLS: AtomicU64 = AtomicU64::new(0);

/// Starts counting anew.
pub(crate) fn forget_calls() {
    CALLS.store(0, Ordering::Relaxed);
}

/// Calls since counting started.
pub(crate) fn calls() -> u64 {
    CALLS.load(Ordering::Relaxed)
}

/// Stands in for ISA-L.
#[derive(Debug)]
pub(crate) struct Counting;

impl Kernel for Counting {
    fn new(_: &[u8], _: usize) -> Counting {
        Counting
    }

    fn product(&self, sources: &[&[u8]], targets: &mut [&mut [u8]]) {
        std::hint::black_box((sources, targets));
        CALLS.fetch_add(1, Ordering::Relaxed);
    }

    fn add_product(&self, source: usize, bytes: &[u8], targets: &mut [&mut [u8]]) {
        std::hint::black_box((source, bytes, targets));
        CALLS.fetch_add(1, Ordering::Relaxed);
    }
}
