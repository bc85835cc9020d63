//! How many files and sockets this process may have open.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Lets this process open as many files as an administrator allows it (the hard limit), where it starts with fewer: 1,024 is what many
/// systems give, for programs that still call select(2). Returns how many that is; `None` where there is no limit.
///
/// Errors  A kernel that refuses leaves the limit as it was; so few files show when one more cannot be opened.
pub fn raise_open_files() -> Option<u64> {
    let limit = getrlimit(Resource::Nofile);
    let raised = Rlimit { current: limit.maximum, maximum: limit.maximum };
    match setrlimit(Resource::Nofile, raised) {
        Ok(()) => limit.maximum,
        Err(_) => limit.current,
    }
}
