//! The process's logs: what is written, and how that is changed while it runs.
//!
//! Shape   [`Levels`] is pure: the words of the setting and what operators changed since; the subscriber's filter is made
//!         anew from it at each change.

use std::collections::BTreeMap;
use std::io::IsTerminal;
use std::sync::{Arc, Mutex, PoisonError};

use allotrope_proto::ops::LogLevels;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::reload::Handle;

use super::Failure;
use crate::config::Settings;

/// Sends structured logs to stderr: what and how is `allotrope.log.level` and `allotrope.log.format`.
pub(crate) fn start_logs(settings: &Settings) -> Result<Arc<dyn LogLevels>, Failure> {
    let level = settings.text_needed("allotrope.log.level")?;
    // The S3 adaptor logs every refusal as an error of its own; the gateway's access log has them.
    let base = if level.contains("s3s") { level.to_owned() } else { format!("{level},s3s=off") };
    let filter = EnvFilter::try_new(&base).map_err(|error| {
        format!("allotrope.log.level = {level:?}: {error}\n  try: allotrope.log.level = info,allotrope_datanode=debug")
    })?;
    let levels = Levels { base, set: BTreeMap::new() };
    let colours = std::io::stderr().is_terminal();
    let logs =
        tracing_subscriber::fmt().with_env_filter(filter).with_ansi(colours).with_writer(std::io::stderr);
    Ok(match settings.text("allotrope.log.format") {
        Some("json") => {
            let logs = logs.json().with_filter_reloading();
            let handle = logs.reload_handle();
            logs.init();
            Arc::new(Logs { levels: Mutex::new(levels), handle })
        }
        _ => {
            let logs = logs.with_filter_reloading();
            let handle = logs.reload_handle();
            logs.init();
            Arc::new(Logs { levels: Mutex::new(levels), handle })
        }
    })
}

struct Logs<S> {
    levels: Mutex<Levels>,
    handle: Handle<EnvFilter, S>,
}

impl<S> LogLevels for Logs<S> {
    fn level(&self, part: &str) -> String {
        self.levels.lock().unwrap_or_else(PoisonError::into_inner).of(part)
    }

    fn set_level(&self, part: &str, level: &str) -> Result<(), String> {
        let mut levels = self.levels.lock().unwrap_or_else(PoisonError::into_inner);
        let changed = levels.with(part, level)?;
        let filter = EnvFilter::try_new(changed.directives()).map_err(|error| error.to_string())?;
        self.handle.reload(filter).map_err(|error| error.to_string())?;
        *levels = changed;
        Ok(())
    }
}

/// Levels by part; a part's name empty: all that have none of their own.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Levels {
    base: String,
    set: BTreeMap<String, String>,
}

impl Levels {
    /// The same with another level for `part`. Hadoop's words for levels are understood too.
    fn with(&self, part: &str, level: &str) -> Result<Levels, String> {
        let level = match level.to_ascii_lowercase().as_str() {
            "fatal" => "error".to_owned(),
            "all" => "trace".to_owned(),
            known @ ("trace" | "debug" | "info" | "warn" | "error" | "off") => known.to_owned(),
            _ => {
                return Err(format!("{level:?} is no level; those are trace, debug, info, warn, error, off"));
            }
        };
        let mut changed = self.clone();
        changed.set.insert(part.to_owned(), level);
        Ok(changed)
    }

    /// As a filter reads them; a later one wins over an earlier one for the same part.
    fn directives(&self) -> String {
        let set = self.set.iter().map(|(part, level)| match part.as_str() {
            "" => level.clone(),
            part => format!("{part}={level}"),
        });
        std::iter::once(self.base.clone()).chain(set).collect::<Vec<_>>().join(",")
    }

    /// The level of `part`: its own, else that of the part around it.
    fn of(&self, part: &str) -> String {
        let directives = self.directives();
        let level = |of: &str| {
            let mut found =
                directives.split(',').map(str::trim).filter_map(|one| match one.rsplit_once('=') {
                    Some((name, level)) => (name == of).then_some(level),
                    None => of.is_empty().then_some(one),
                });
            found.next_back().map(str::to_ascii_uppercase)
        };
        let mut name = part;
        loop {
            if let Some(level) = level(name) {
                return level;
            }
            if name.is_empty() {
                return "ERROR".to_owned();
            }
            name = name.rsplit_once("::").map_or("", |(around, _)| around);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_part_has_its_own_level_or_that_of_what_is_around_it() {
        let levels = Levels { base: "info,allotrope_scm=warn".into(), set: BTreeMap::new() };
        assert_eq!((levels.of(""), levels.of("allotrope_scm::node")), ("INFO".into(), "WARN".into()));
        let changed = levels.with("allotrope_scm::node", "DEBUG").unwrap().with("", "fatal").unwrap();
        assert_eq!(changed.directives(), "info,allotrope_scm=warn,error,allotrope_scm::node=debug");
        assert_eq!(changed.of("allotrope_scm::node"), "DEBUG");
        assert_eq!(changed.of("allotrope_scm"), "WARN");
        assert_eq!(changed.of("allotrope_om"), "ERROR");
        assert!(levels.with("allotrope_om", "loud").is_err());
        assert!(EnvFilter::try_new(changed.directives()).is_ok());
    }
}
