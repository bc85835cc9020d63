//! Configuration: one flat map of property names to values, read once, checked once.
//!
//! Owns     where settings come from (`sources`), which names are known (`known`), what a value may look like
//!          (`Settings`'s readers), and what is refused at start (`check`).
//! Shapes   names are Ozone's (`hdds.datanode.dir`) where Ozone has the setting, `allotrope.*` where it does not.
//!          Later sources win: `allotrope.toml`, `ozone-site.xml`, the environment, flags.
//! Errors   `ConfigError` names the setting, where its value came from, what is wrong and a value that would do.
//! Source   DESIGN.md, 'Configuration, ports, names'.

mod check;
mod known;
mod sources;
mod values;

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;

pub(crate) use check::check;
pub(crate) use known::{KNOWN, Kind, Known};
pub(crate) use sources::{Sources, load};
pub(crate) use values::time as parse_time;

/// Where a value came from, for messages and for `getconf`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Origin {
    /// A file, TOML or XML.
    File(PathBuf),
    /// An environment variable, by name.
    Env(String),
    /// `--set` on the command line.
    Flag,
    /// Chosen by `quickstart` where nothing was given.
    Quickstart,
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Origin::File(path) => write!(f, "{}", path.display()),
            Origin::Env(name) => write!(f, "environment variable {name}"),
            Origin::Flag => f.write_str("--set"),
            Origin::Quickstart => f.write_str("quickstart"),
        }
    }
}

/// One setting as it was given.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Setting {
    pub(crate) value: String,
    pub(crate) origin: Origin,
}

/// All settings that were given. What was not given has the default of its `Known` row.
#[derive(Clone, Debug, Default)]
pub(crate) struct Settings {
    given: BTreeMap<String, Setting>,
}

impl Settings {
    /// Sets or replaces one value; the last source to call this wins.
    pub(crate) fn put(&mut self, name: impl Into<String>, value: impl Into<String>, origin: Origin) {
        self.given.insert(name.into(), Setting { value: value.into(), origin });
    }

    /// What was given for `name`, if anything was.
    pub(crate) fn given(&self, name: &str) -> Option<&Setting> {
        self.given.get(name)
    }

    /// All settings that some role reads or that were given, as operators are shown them.
    pub(crate) fn shown(&self) -> Vec<allotrope_proto::ops::Setting> {
        let known = KNOWN
            .iter()
            .filter(|known| self.given(known.name).is_none())
            .map(|known| (known.name, known.default.to_owned(), "default".to_owned()));
        let given = self.iter().map(|(name, one)| (name, one.value.clone(), one.origin.to_string()));
        let mut all: Vec<_> = known
            .chain(given)
            .map(|(name, value, origin)| allotrope_proto::ops::Setting {
                name: name.to_owned(),
                value,
                origin,
            })
            .collect();
        all.sort_by(|a, b| a.name.cmp(&b.name));
        all
    }

    /// Every setting that was given, in the order of names.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (&str, &Setting)> {
        self.given.iter().map(|(name, setting)| (name.as_str(), setting))
    }
}

/// Why a configuration cannot be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ConfigError {
    #[error("cannot read {path}: {source}")]
    Unreadable { path: PathBuf, source: std::io::Error },
    #[error("{path} is not valid TOML: {reason}")]
    Toml { path: PathBuf, reason: String },
    #[error(
        "{path} is not a Hadoop configuration: {reason}\n  a setting looks like <property><name>a.b</name><value>c</value></property>"
    )]
    Xml { path: PathBuf, reason: String },
    #[error("--set {text:?} has no '='\n  try: --set hdds.datanode.dir=/data/disk1")]
    Flag { text: String },
    #[error("{origin}: there is no setting {name}{}", nearest.map(|n| format!("\n  did you mean {n}?")).unwrap_or_default())]
    Unknown { name: String, origin: Origin, nearest: Option<&'static str> },
    #[error("{origin}: {name} = {value:?}: {reason}\n  try: {name} = {example}")]
    Value { name: &'static str, value: String, origin: String, reason: String, example: &'static str },
    #[error("{name} is not set\n  try: {name} = {example}")]
    Missing { name: &'static str, example: &'static str },
    #[error(
        "{origin}: {name} = {value:?} asks for protection that is not there yet, and nothing runs insecure in its place\n  remove the setting to run without it"
    )]
    Unsafe { name: String, value: String, origin: Origin },
}
