//! Is RocksDB the same build whichever packages a command selects?
//!
//! Shape   two listings of `cargo tree` below `librocksdb-sys`, one for the whole workspace and one for a package
//!         alone; a crate that the whole workspace builds with a feature more is a violation.
//! Source  unify/src/lib.rs says why.

use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;

use crate::violation::Violation;

/// The crate whose build is long.
const LONG_BUILD: &str = "librocksdb-sys";

/// A crate below the long build, with its version, and the features it is built with.
type Features = BTreeMap<String, BTreeSet<String>>;

/// Compares the selection of each of `packages` alone with that of the whole workspace.
pub(crate) fn check(packages: &[&str]) -> Result<Vec<Violation>, String> {
    let whole = below_long_build(&tree(&["--workspace"])?);
    let mut found = Vec::new();
    for package in packages {
        found.extend(violations(package, &below_long_build(&tree(&["--package", package])?), &whole));
    }
    Ok(found)
}

fn tree(selection: &[&str]) -> Result<String, String> {
    let output = Command::new("cargo")
        .args(["tree", "--edges=normal,build,dev", "--no-dedupe", "--prefix=depth", "--format=|{p}|{f}"])
        .args(selection)
        .output()
        .map_err(|error| format!("cargo tree does not start: {error}"))?;
    if !output.status.success() {
        return Err(format!("cargo tree fails: {}", String::from_utf8_lossy(&output.stderr)));
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// The crates below the long build in a listing whose lines are `DEPTH|CRATE|FEATURES`.
fn below_long_build(listing: &str) -> Features {
    let mut below = Features::new();
    let mut root = None;
    for line in listing.lines() {
        let mut parts = line.splitn(3, '|');
        let (Some(depth), Some(name), Some(features)) = (parts.next(), parts.next(), parts.next()) else {
            continue;
        };
        let Ok(depth) = depth.parse::<usize>() else { continue };
        if root.is_some_and(|root| depth <= root) {
            root = None;
        }
        if root.is_none() && name.starts_with(LONG_BUILD) {
            root = Some(depth);
        }
        if root.is_some() {
            let features = features.split(',').filter(|f| !f.is_empty()).map(str::to_owned);
            below.entry(name.to_owned()).or_default().extend(features);
        }
    }
    below
}

fn violations(package: &str, alone: &Features, whole: &Features) -> Vec<Violation> {
    let none = BTreeSet::new();
    let mut found = Vec::new();
    if alone.is_empty() {
        return found; // it does not bring the long build in
    }
    for (name, features) in whole {
        let more: Vec<&str> =
            features.difference(alone.get(name).unwrap_or(&none)).map(String::as_str).collect();
        if !more.is_empty() {
            found.push(Violation {
                place: "unify/Cargo.toml".to_owned(),
                what: format!(
                    "the workspace builds {name} with {}, {package} alone without",
                    more.join(", ")
                ),
                rule: format!("{LONG_BUILD} is the same build whichever packages are selected"),
                fix: "give the crate these features in unify/Cargo.toml".to_owned(),
            });
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALONE: &str = "0|consensus|\n1|librocksdb-sys v1|lz4\n2|regex v1|std\n3|memchr v2|\n1|regex v9|all";
    const WHOLE: &str =
        "0|om|\n1|regex v1|std,unicode\n1|librocksdb-sys v1|lz4\n2|regex v1|std,unicode\n3|memchr v2|";

    #[test]
    fn only_what_stands_below_the_long_build_counts() {
        let below = below_long_build(ALONE);
        assert_eq!(below.keys().collect::<Vec<_>>(), ["librocksdb-sys v1", "memchr v2", "regex v1"]);
        assert!(violations("consensus", &below, &below).is_empty());
    }

    #[test]
    fn a_package_without_the_long_build_is_passed_over() {
        assert!(
            violations("types", &below_long_build("0|types|\n1|regex v1|"), &below_long_build(WHOLE))
                .is_empty()
        );
    }

    #[test]
    fn a_feature_that_a_larger_selection_adds_is_named() {
        let found = violations("consensus", &below_long_build(ALONE), &below_long_build(WHOLE));
        assert_eq!(found.len(), 1);
        assert!(found[0].what.contains("regex v1") && found[0].what.contains("unicode"), "{}", found[0]);
    }
}
