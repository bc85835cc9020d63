//! Which rack a datanode is in, as an operator's script says.
//!
//! Shape   the script is run with an address and prints its rack, such as `/dc1/rack7`: Hadoop's script mapping
//!         (`net.topology.script.file.name`). A table of racks (`Config::racks`) needs no script.
//! Errors  a script that fails, hangs or prints something else is named; the node is then in the default rack.

use std::io;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use tokio::process::Command;

/// Longest a script may take.
const ANSWER_TIME_MAX: Duration = Duration::from_secs(10);

/// Why a script did not say which rack.
#[derive(Debug, thiserror::Error)]
pub enum RackError {
    /// It does not run.
    #[error("the rack script {} does not run", script.display())]
    Run {
        /// The script.
        script: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// It takes too long.
    #[error("the rack script {} said nothing about {address} in {ANSWER_TIME_MAX:?}", script.display())]
    Slow {
        /// The script.
        script: PathBuf,
        /// What it was asked about.
        address: IpAddr,
    },
    /// Its answer is no rack.
    #[error("the rack script {} says {said:?} about {address}, which is no rack; a rack begins with /", script.display())]
    NoRack {
        /// The script.
        script: PathBuf,
        /// What it was asked about.
        address: IpAddr,
        /// The beginning of its output.
        said: String,
    },
}

/// The rack of `address`, as `script` says.
pub async fn ask(script: &Path, address: IpAddr) -> Result<String, RackError> {
    let failed = |source| RackError::Run { script: script.to_owned(), source };
    let mut command = Command::new(script);
    command.arg(address.to_string()).stdin(Stdio::null()).kill_on_drop(true);
    let output = tokio::time::timeout(ANSWER_TIME_MAX, command.output()).await;
    let output = output.map_err(|_| RackError::Slow { script: script.to_owned(), address })?;
    let output = output.map_err(failed)?;
    let said = String::from_utf8_lossy(&output.stdout);
    let rack = said.split_whitespace().next().unwrap_or_default();
    if !output.status.success() || !is_rack(rack) {
        let said = said.chars().take(80).collect();
        return Err(RackError::NoRack { script: script.to_owned(), address, said });
    }
    Ok(rack.to_owned())
}

/// Whether `text` names a place in the network: `/` and something behind it.
pub fn is_rack(text: &str) -> bool {
    text.len() > 1 && text.starts_with('/') && text.chars().all(|c| c.is_ascii_graphic())
}

#[cfg(test)]
mod tests {
    use super::*;

    const NODE: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(10, 0, 0, 7));

    #[tokio::test]
    async fn a_script_is_asked_for_the_rack_of_an_address() {
        // `echo` says the address itself, which is no rack; `false` says nothing; nothing is there.
        let said = ask(Path::new("/bin/echo"), NODE).await.unwrap_err();
        assert!(said.to_string().contains("says \"10.0.0.7\\n\" about 10.0.0.7"), "{said}");
        assert!(matches!(ask(Path::new("/bin/false"), NODE).await, Err(RackError::NoRack { .. })));
        assert!(matches!(ask(Path::new("/nonexistent/script"), NODE).await, Err(RackError::Run { .. })));
    }

    #[test]
    fn a_rack_begins_with_a_slash() {
        assert!(is_rack("/rack1") && is_rack("/dc1/rack1"));
        assert!(!is_rack("/") && !is_rack("rack1") && !is_rack("/a b"));
    }
}
