//! What this machine lets shards do: asked once at start and by `allotrope doctor`.
//!
//! Shape   [`Probe`] holds typed findings; [`Probe::lines`] says them to people, each problem with what to change.
//! Units   bytes.
//! Errors  none: what cannot be found out is a finding.
//! Source  DESIGN.md, 'Threads': a datanode never dies for want of io_uring.

use crate::buffer::BufferPool;
use crate::probe_dir::DirProbe;
use crate::shards::Back;
use crate::sys::Ring;
use rustix::io::Errno;
use rustix::process::Resource;
use std::fmt;
use std::io;
use std::path::Path;

/// What io_uring is good for here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum UringFinding {
    /// It works.
    Usable,
    /// It works, but these operations that shards need are missing.
    Lacking(Vec<&'static str>),
    /// The kernel has none.
    Absent,
    /// A seccomp filter, as container runtimes set one, refuses it.
    Seccomp,
    /// The sysctl `kernel.io_uring_disabled` has this value and refuses it.
    Disabled(u8),
    /// The kernel pins no more than so many bytes for this process: less than shards ask for at the least.
    Memlock(u64),
    /// It failed otherwise.
    Failed(String),
}

/// What a shard on io_uring asks of RLIMIT_MEMLOCK at the least, in bytes; glommio refuses to start below it.
const MEMLOCK_MIN: u64 = 512 << 10;

impl UringFinding {
    /// Tries io_uring.
    pub(crate) fn look() -> UringFinding {
        match rustix::process::getrlimit(Resource::Memlock).current {
            Some(limit) if limit < MEMLOCK_MIN => UringFinding::Memlock(limit),
            _ => probe_uring(),
        }
    }
}

/// Whether buffers can be registered with the kernel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RegisteredFinding {
    /// A pool of this many bytes was registered.
    Works(usize),
    /// The kernel pins no more than `limit` bytes for this process, and the shards want `wanted`.
    Memlock {
        /// RLIMIT_MEMLOCK.
        limit: u64,
        /// All shards' pools together.
        wanted: u64,
    },
    /// It failed otherwise.
    Failed(String),
    /// There is no io_uring to register with.
    NoRing,
}

/// What was found on this machine.
#[derive(Clone, Debug)]
pub struct Probe {
    /// The kernel's release.
    pub kernel: String,
    /// io_uring.
    pub uring: UringFinding,
    /// Registered buffers.
    pub registered: RegisteredFinding,
    /// The data directories, in the order given.
    pub dirs: Vec<DirProbe>,
}

/// How bad a finding is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// As it should be.
    Fine,
    /// It works, at a cost.
    Slower,
    /// It does not work.
    Broken,
}

/// One finding, for people.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProbeLine {
    /// How bad it is.
    pub severity: Severity,
    /// What was found.
    pub text: String,
    /// What is found where all is well.
    pub expected: String,
    /// What to change, if anything.
    pub advice: Option<String>,
}

impl ProbeLine {
    pub(crate) fn new(severity: Severity, text: String, expected: &str, advice: Option<&str>) -> ProbeLine {
        ProbeLine { severity, text, expected: expected.to_owned(), advice: advice.map(str::to_owned) }
    }
}

impl fmt::Display for Severity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Severity::Fine => "ok",
            Severity::Slower => "slower",
            Severity::Broken => "broken",
        })
    }
}

impl fmt::Display for ProbeLine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:8}{}", self.severity, self.text)?;
        self.advice.as_ref().map_or(Ok(()), |advice| write!(f, "\n  try: {advice}"))
    }
}

/// The operations that shards submit, by their names in io_uring(7).
const OPERATIONS: [(&str, u8); 11] = [
    ("READ", io_uring::opcode::Read::CODE),
    ("WRITE", io_uring::opcode::Write::CODE),
    ("READ_FIXED", io_uring::opcode::ReadFixed::CODE),
    ("WRITE_FIXED", io_uring::opcode::WriteFixed::CODE),
    ("READV", io_uring::opcode::Readv::CODE),
    ("WRITEV", io_uring::opcode::Writev::CODE),
    ("FSYNC", io_uring::opcode::Fsync::CODE),
    ("POLL_ADD", io_uring::opcode::PollAdd::CODE),
    ("TIMEOUT", io_uring::opcode::Timeout::CODE),
    ("ASYNC_CANCEL", io_uring::opcode::AsyncCancel::CODE),
    ("LINK_TIMEOUT", io_uring::opcode::LinkTimeout::CODE),
];

impl Probe {
    /// Looks at the kernel and at each of `dirs`, for `shards` shards with `memory_per_shard` bytes of buffers each. Blocks;
    /// writes, syncs and removes a file of a page in each directory.
    pub fn run<P: AsRef<Path>>(dirs: &[P], shards: usize, memory_per_shard: usize) -> Probe {
        let uring = UringFinding::look();
        let registered = match uring {
            UringFinding::Usable => probe_registered(shards, memory_per_shard),
            _ => RegisteredFinding::NoRing,
        };
        let kernel = rustix::system::uname().release().to_string_lossy().into_owned();
        let dirs = dirs.iter().map(|dir| DirProbe::look(dir.as_ref())).collect();
        Probe { kernel, uring, registered, dirs }
    }

    /// The back to start shards on.
    pub fn back(&self) -> Back {
        Back::for_uring(&self.uring)
    }

    /// Whether shards may start here: every data directory serves.
    pub fn serves(&self) -> bool {
        self.dirs.iter().all(|dir| dir.trouble().is_none())
    }

    /// The findings for people, one each, in a fixed order.
    pub fn lines(&self) -> Vec<ProbeLine> {
        let mut lines = vec![uring_line(&self.uring, &self.kernel), registered_line(&self.registered)];
        lines.extend(self.dirs.iter().flat_map(DirProbe::lines));
        lines
    }

    /// All in one line, for the log at start.
    pub fn summary(&self) -> String {
        let dirs: Vec<_> = self.dirs.iter().map(DirProbe::summary).collect();
        let registered = match self.registered {
            RegisteredFinding::Works(_) => "registered",
            _ => "not registered",
        };
        format!("back {}, kernel {}, buffers {registered}; {}", self.back(), self.kernel, dirs.join(", "))
    }
}

fn probe_uring() -> UringFinding {
    let ring = match io_uring::IoUring::new(8) {
        Ok(ring) => ring,
        Err(e) => return why_no_ring(&e),
    };
    let mut probe = io_uring::Probe::new();
    if let Err(e) = ring.submitter().register_probe(&mut probe) {
        return UringFinding::Failed(format!("the ring cannot be probed: {e}"));
    }
    let missing: Vec<_> =
        OPERATIONS.iter().filter(|(_, code)| !probe.is_supported(*code)).map(|(name, _)| *name).collect();
    if missing.is_empty() { UringFinding::Usable } else { UringFinding::Lacking(missing) }
}

fn why_no_ring(e: &io::Error) -> UringFinding {
    match Errno::from_io_error(e) {
        Some(Errno::NOSYS) => UringFinding::Absent,
        Some(Errno::PERM | Errno::ACCESS) => match sysctl_disabled() {
            Some(level) if level > 0 => UringFinding::Disabled(level),
            _ => UringFinding::Seccomp,
        },
        _ => UringFinding::Failed(e.to_string()),
    }
}

fn sysctl_disabled() -> Option<u8> {
    std::fs::read_to_string("/proc/sys/kernel/io_uring_disabled").ok()?.trim().parse().ok()
}

fn probe_registered(shards: usize, memory_per_shard: usize) -> RegisteredFinding {
    // One shard's pool is pinned for the test, unless that is known to be too much for the machine.
    let tried = Ring::new(8).and_then(|mut ring| ring.register(&BufferPool::new(memory_per_shard, 4096)));
    match tried {
        Ok(()) => RegisteredFinding::Works(memory_per_shard),
        Err(e) if Errno::from_io_error(&e) == Some(Errno::NOMEM) => {
            let limit = rustix::process::getrlimit(Resource::Memlock).current.unwrap_or(u64::MAX);
            RegisteredFinding::Memlock { limit, wanted: (shards * memory_per_shard) as u64 }
        }
        Err(e) => RegisteredFinding::Failed(e.to_string()),
    }
}

fn uring_line(uring: &UringFinding, kernel: &str) -> ProbeLine {
    use UringFinding::*;
    const EXPECTED: &str = "io_uring works";
    let slower = |text: String, advice| ProbeLine::new(Severity::Slower, text, EXPECTED, Some(advice));
    match uring {
        Usable => ProbeLine::new(Severity::Fine, format!("io_uring works (kernel {kernel})"), EXPECTED, None),
        Memlock(limit) => slower(
            format!(
                "memlock is {} KiB, and shards on io_uring ask for {} KiB; shards run on the portable back",
                limit >> 10,
                MEMLOCK_MIN >> 10
            ),
            MEMLOCK_ADVICE,
        ),
        Lacking(missing) => slower(
            format!(
                "io_uring of kernel {kernel} lacks {}; shards run on the portable back",
                missing.join(", ")
            ),
            "a kernel of 5.15 or newer",
        ),
        Absent => slower(
            format!("kernel {kernel} has no io_uring; shards run on the portable back"),
            "a kernel of 5.15 or newer, built with CONFIG_IO_URING",
        ),
        Seccomp => slower(
            "a seccomp filter forbids io_uring; shards run on the portable back".into(),
            "run the container with a seccomp profile that allows io_uring_setup, io_uring_enter and io_uring_register",
        ),
        Disabled(level) => slower(
            format!("kernel.io_uring_disabled={level} forbids io_uring; shards run on the portable back"),
            "sysctl -w kernel.io_uring_disabled=0",
        ),
        Failed(why) => slower(
            format!("io_uring failed ({why}); shards run on the portable back"),
            "look for the reason in the kernel's log",
        ),
    }
}

/// How to raise RLIMIT_MEMLOCK.
const MEMLOCK_ADVICE: &str =
    "ulimit -l unlimited, LimitMEMLOCK=infinity in the unit, or --ulimit memlock=-1 for the container";

fn registered_line(registered: &RegisteredFinding) -> ProbeLine {
    use RegisteredFinding::*;
    const EXPECTED: &str = "the shards' buffers are registered with the kernel";
    match registered {
        Works(bytes) => {
            let text = format!("buffers are registered with the kernel ({} MiB a shard)", bytes >> 20);
            ProbeLine::new(Severity::Fine, text, EXPECTED, None)
        }
        Memlock { limit, wanted } => ProbeLine::new(
            Severity::Slower,
            format!(
                "memlock is {} KiB and the shards' buffers are {} KiB: they are not registered with the kernel",
                limit >> 10,
                wanted >> 10
            ),
            EXPECTED,
            Some(MEMLOCK_ADVICE),
        ),
        Failed(why) => {
            let text = format!("buffers cannot be registered with the kernel: {why}");
            ProbeLine::new(Severity::Slower, text, EXPECTED, Some("look for the reason in the kernel's log"))
        }
        NoRing => {
            let text = "buffers are not registered: there is no io_uring";
            ProbeLine::new(Severity::Fine, text.into(), "nothing, without io_uring", None)
        }
    }
}
