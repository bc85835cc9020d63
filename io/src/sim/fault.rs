//! What a test may ask of the in-memory disk: failures and how long things take.

use super::SimRng;
use crate::error::Act;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// How an operation goes wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SimFault {
    /// It fails with EIO and does nothing.
    Error,
    /// It fails with ENOSPC and does nothing.
    NoSpace,
    /// It moves fewer bytes than asked: whole pages, at least one if more than one was asked for.
    Short,
    /// A read answers with one bit flipped; what is stored is intact.
    FlipBit,
    /// It takes this much longer.
    Delay(Duration),
}

/// How long operations take: between the two, by seed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SimLatency {
    /// A read.
    pub read: (Duration, Duration),
    /// A write.
    pub write: (Duration, Duration),
    /// A flush.
    pub sync: (Duration, Duration),
    /// A flush of the whole disk in place of its files'. `None`, the default: no such flush is chosen. Set it before the first
    /// file is opened.
    pub sync_whole: Option<(Duration, Duration)>,
}

impl Default for SimLatency {
    /// A fast disk: reads and writes in tens of microseconds, flushes in hundreds.
    fn default() -> SimLatency {
        let us = Duration::from_micros;
        SimLatency {
            read: (us(20), us(120)),
            write: (us(10), us(80)),
            sync: (us(200), us(900)),
            sync_whole: None,
        }
    }
}

impl SimLatency {
    pub(super) fn of(&self, act: Act, rng: &SimRng) -> Duration {
        let (from, to) = match act {
            Act::Read => self.read,
            Act::Write => self.write,
            _ => self.sync,
        };
        between(from, to, rng)
    }

    /// How long a flush of the whole disk takes.
    pub(super) fn whole(&self, rng: &SimRng) -> Duration {
        let (from, to) = self.sync_whole.unwrap_or(self.sync);
        between(from, to, rng)
    }
}

fn between(from: Duration, to: Duration, rng: &SimRng) -> Duration {
    from + Duration::from_nanos(rng.below(to.saturating_sub(from).as_nanos() as u64 + 1))
}

/// The faults that have not happened yet.
#[derive(Default)]
pub(super) struct Faults(Vec<(Act, PathBuf, u64, SimFault)>);

impl Faults {
    pub(super) fn add(&mut self, act: Act, under: PathBuf, nth: u64, fault: SimFault) {
        self.0.push((act, under, nth, fault));
    }

    /// The fault that this operation meets, which is used up; every other that it matches comes closer.
    pub(super) fn take(&mut self, act: Act, path: &Path) -> Option<SimFault> {
        let mut struck = None;
        self.0.retain_mut(|(on, under, left, fault)| {
            if *on != act || !path.starts_with(under) {
                return true;
            }
            if *left == 0 && struck.is_none() {
                struck = Some(*fault);
                return false;
            }
            *left = left.saturating_sub(1);
            true
        });
        struck
    }

    /// As [`take`](Self::take) for operations that move no bytes.
    pub(super) fn strike(&mut self, act: Act, path: &Path) -> io::Result<()> {
        self.take(act, path).map_or(Ok(()), |fault| fault.error().map_or(Ok(()), Err))
    }
}

impl SimFault {
    /// The error an operation ends with, if it does.
    pub(super) fn error(self) -> Option<io::Error> {
        match self {
            SimFault::Error => Some(io::Error::from_raw_os_error(libc::EIO)),
            SimFault::NoSpace => Some(io::Error::from_raw_os_error(libc::ENOSPC)),
            SimFault::Short | SimFault::FlipBit | SimFault::Delay(_) => None,
        }
    }
}
