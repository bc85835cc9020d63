//! Which parts of a package are off unless asked for.

use std::collections::BTreeSet;

use crate::arrows::{Kind, Package};
use crate::rules::OFF_BY_DEFAULT;
use crate::violation::Violation;

/// Every dependency that a package builds by default though the table says it must be asked for.
pub(crate) fn violations(packages: &[Package]) -> Vec<Violation> {
    let mut found = Vec::new();
    for row in OFF_BY_DEFAULT {
        for package in packages.iter().filter(|package| package.name == row.package) {
            let on = on_by_default(package);
            for dependency in package.dependencies.iter().filter(|dependency| dependency.kind == Kind::Normal)
            {
                let concerned = row.dependencies.contains(&dependency.name.as_str());
                if concerned && (!dependency.optional || on.contains(&dependency.name)) {
                    found.push(Violation {
                        place: package.manifest.clone(),
                        what: format!("{} builds {} by default", package.name, dependency.name),
                        rule: row.rule.to_owned(),
                        fix: row.fix.to_owned(),
                    });
                }
            }
        }
    }
    found
}

/// What the feature `default` switches on, directly or through other features: features and dependencies.
fn on_by_default(package: &Package) -> BTreeSet<String> {
    let mut on = BTreeSet::new();
    let mut next = vec!["default".to_owned()];
    while let Some(name) = next.pop() {
        let listed = package.features.iter().filter(|(feature, _)| *feature == name);
        for (_, members) in listed {
            // `dep:x`, `x/feature` switch on x; `x?/feature` does not.
            let names = members.iter().filter(|member| !member.contains("?/")).map(|member| {
                let name = member.strip_prefix("dep:").unwrap_or(member);
                name.split('/').next().unwrap_or(name).to_owned()
            });
            next.extend(names.filter(|name| on.insert(name.clone())));
        }
    }
    on
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::arrows::Dependency;

    fn proto(optional: bool, features: &[(&str, &[&str])]) -> Package {
        let list = |members: &[&str]| members.iter().map(|member| (*member).to_owned()).collect();
        Package {
            name: "allotrope-proto".to_owned(),
            manifest: "proto/Cargo.toml".to_owned(),
            dependencies: vec![Dependency {
                name: "tonic".to_owned(),
                kind: Kind::Normal,
                is_ours: false,
                optional,
            }],
            features: features.iter().map(|(name, members)| ((*name).to_owned(), list(members))).collect(),
        }
    }

    #[test]
    fn shards_build_proto_without_its_tokio_side() {
        type Features<'a> = &'a [(&'a str, &'a [&'a str])];
        let cases: [(bool, Features, bool); 6] = [
            (false, &[], false),
            (true, &[("grpc", &["dep:tonic"])], true),
            (true, &[("default", &["grpc"]), ("grpc", &["dep:tonic"])], false),
            (true, &[("default", &["tonic/transport"])], false),
            (true, &[("default", &["tonic?/transport"])], true),
            (true, &[("default", &["all"]), ("all", &["grpc", "all"]), ("grpc", &["dep:tonic"])], false),
        ];
        for (optional, features, holds) in cases {
            assert_eq!(violations(&[proto(optional, features)]).is_empty(), holds, "{features:?}");
        }
        let found = violations(&[proto(false, &[])]).remove(0);
        assert_eq!(found.what, "allotrope-proto builds tonic by default");
    }

    #[test]
    fn tests_may_build_what_they_like() {
        let mut package = proto(false, &[]);
        package.dependencies[0].kind = Kind::Dev;
        assert!(violations(&[package]).is_empty());
    }
}
