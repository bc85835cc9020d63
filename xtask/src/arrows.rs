//! Who may name whom: the arrows between our packages, and the crates from outside that only some may name.

use std::fmt;

use crate::rules::{ARROWS, RESTRICTED, Who};
use crate::violation::Violation;

/// What the check needs to know of a package.
#[derive(Clone, Debug, Default)]
pub(crate) struct Package {
    pub(crate) name: String,
    /// Its Cargo.toml, relative to the workspace's root.
    pub(crate) manifest: String,
    pub(crate) dependencies: Vec<Dependency>,
    /// Features and what each switches on, as in Cargo.toml.
    pub(crate) features: Vec<(String, Vec<String>)>,
}

/// One line under `[dependencies]`, `[dev-dependencies]` or `[build-dependencies]`.
#[derive(Clone, Debug)]
pub(crate) struct Dependency {
    /// The package's real name, whatever it is renamed to.
    pub(crate) name: String,
    pub(crate) kind: Kind,
    /// Whether it comes from this workspace's folders and not from a registry.
    pub(crate) is_ours: bool,
    pub(crate) optional: bool,
}

/// The table of Cargo.toml that a dependency stands in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Normal,
    Dev,
    Build,
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Kind::Normal => "dependencies",
            Kind::Dev => "dev-dependencies",
            Kind::Build => "build-dependencies",
        })
    }
}

/// Every dependency that the tables do not allow, and every package without a row.
pub(crate) fn violations(packages: &[Package]) -> Vec<Violation> {
    let mut found = Vec::new();
    for package in packages {
        let Some(row) = ARROWS.iter().find(|row| row.package == package.name) else {
            found.push(Violation {
                place: package.manifest.clone(),
                what: format!("package {} has no row in the table of arrows", package.name),
                rule: "the design's crate table says what each package may name".to_owned(),
                fix: format!(
                    "add {} to ARROWS in xtask/src/rules.rs and to the design's table",
                    package.name
                ),
            });
            continue;
        };
        for dependency in package.dependencies.iter().filter(|dependency| dependency.name != package.name) {
            if dependency.is_ours && !row.may_name.contains(&dependency.name.as_str()) {
                found.push(arrow(package, dependency, row.may_name));
            }
            found.extend(restricted(package, dependency));
        }
    }
    found
}

fn arrow(package: &Package, dependency: &Dependency, may_name: &[&str]) -> Violation {
    let allowed = if may_name.is_empty() { "no other".to_owned() } else { may_name.join(", ") };
    Violation {
        place: package.manifest.clone(),
        what: format!("{} names {} under [{}]", package.name, dependency.name, dependency.kind),
        rule: format!("arrows run down only: of our packages {} may name {allowed}", package.name),
        fix: "move what both need into a package that both may name, or speak over the wire".to_owned(),
    }
}

fn restricted(package: &Package, dependency: &Dependency) -> impl Iterator<Item = Violation> {
    let concerned = RESTRICTED.iter().filter(|row| row.crates.contains(&dependency.name.as_str()));
    let refused = concerned.filter(|row| match row.who {
        Who::Only(packages) => !packages.contains(&package.name.as_str()),
        Who::AllBut(packages) => packages.contains(&package.name.as_str()),
    });
    refused.map(|row| Violation {
        place: package.manifest.clone(),
        what: format!("{} names {} under [{}]", package.name, dependency.name, dependency.kind),
        rule: row.rule.to_owned(),
        fix: row.fix.to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn package(name: &str, names: &[&str]) -> Package {
        of_kind(name, names, Kind::Normal)
    }

    fn of_kind(name: &str, names: &[&str], kind: Kind) -> Package {
        let is_ours = |name: &str| name.starts_with("allotrope") || name == "xtask";
        let dependency = |name: &&str| Dependency {
            name: (*name).to_owned(),
            kind,
            is_ours: is_ours(name),
            optional: false,
        };
        Package {
            name: name.to_owned(),
            manifest: format!("{name}/Cargo.toml"),
            dependencies: names.iter().map(dependency).collect(),
            features: Vec::new(),
        }
    }

    #[test]
    fn every_arrow_of_the_table_is_allowed_and_every_other_is_not() {
        for row in ARROWS {
            for other in ARROWS.iter().filter(|other| other.package != row.package) {
                let found = violations(&[package(row.package, &[other.package])]);
                let allowed = row.may_name.contains(&other.package);
                assert_eq!(found.is_empty(), allowed, "{} -> {}: {found:?}", row.package, other.package);
            }
        }
    }

    #[test]
    fn the_table_has_no_circle_and_the_three_servers_do_not_meet() {
        fn reaches(from: &str, to: &str) -> bool {
            let row = ARROWS.iter().find(|row| row.package == from).unwrap();
            row.may_name.iter().any(|next| *next == to || reaches(next, to))
        }
        for row in ARROWS {
            assert!(!reaches(row.package, row.package), "{}", row.package);
        }
        let servers = ["allotrope-om", "allotrope-scm", "allotrope-datanode"];
        for from in servers {
            for to in servers {
                assert!(!reaches(from, to), "{from} {to}");
            }
        }
    }

    #[test]
    fn crates_from_outside_are_named_only_where_the_table_says() {
        let table = [
            ("glommio-ng", &["allotrope-io"][..]),
            ("glommio", &["allotrope-io"]),
            ("io-uring", &["allotrope-io"]),
            ("tokio-uring", &["allotrope-io", "allotrope-client", "allotrope", "allotrope-perf"]),
            ("erasure-isa-l", &["allotrope-ec"]),
            ("openraft", &["allotrope-consensus"]),
            ("rocksdb", &["allotrope-consensus", "allotrope-datanode"]),
        ];
        for (outside, allowed) in table {
            for row in ARROWS {
                for kind in [Kind::Normal, Kind::Dev, Kind::Build] {
                    let found = violations(&[of_kind(row.package, &[outside], kind)]);
                    assert_eq!(found.is_empty(), allowed.contains(&row.package), "{} {outside}", row.package);
                }
            }
        }
        assert_eq!(violations(&[package("allotrope-types", &["tokio"])]).len(), 1);
        assert!(violations(&[package("allotrope-om", &["tokio", "serde", "proptest"])]).is_empty());
    }

    #[test]
    fn a_violation_names_crate_dependency_rule_and_fix() {
        let found = violations(&[of_kind("allotrope-om", &["allotrope-scm", "openraft"], Kind::Dev)]);
        let shown: Vec<String> = found.iter().map(Violation::to_string).collect();
        assert_eq!(
            shown,
            [
                "allotrope-om/Cargo.toml: allotrope-om names allotrope-scm under [dev-dependencies]\n  \
                 rule: arrows run down only: of our packages allotrope-om may name allotrope-consensus, \
                 allotrope-proto, allotrope-types\n  \
                 fix:  move what both need into a package that both may name, or speak over the wire",
                "allotrope-om/Cargo.toml: allotrope-om names openraft under [dev-dependencies]\n  \
                 rule: only allotrope-consensus names openraft\n  \
                 fix:  use allotrope-consensus' types, and add there what they lack",
            ]
        );
    }

    #[test]
    fn a_package_without_a_row_is_found() {
        let found = violations(&[package("allotrope-extra", &[])]);
        assert_eq!(found.len(), 1);
        assert!(found[0].what.contains("allotrope-extra has no row"));
    }

    #[test]
    fn a_package_may_name_itself_to_test_with_other_features() {
        assert!(violations(&[of_kind("allotrope-ec", &["allotrope-ec"], Kind::Dev)]).is_empty());
    }
}
