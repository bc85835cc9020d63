//! What every package takes from the workspace, so that one file decides: lints, edition, oldest Rust, license; and
//! files that would decide otherwise for a part of it.

use toml::Table;

use crate::rules::{FILES_OF_THE_ROOT, INHERITED};
use crate::violation::Violation;

/// Each of [`INHERITED`] that the manifest at `path` does not take from the workspace.
pub(crate) fn violations_of_manifest(path: &str, text: &str) -> Vec<Violation> {
    let missing = |key: &&&str, manifest: &Table| {
        let at_top = manifest.get(**key);
        let value = at_top.or_else(|| manifest.get("package").and_then(|package| package.get(**key)));
        value.and_then(|value| value.get("workspace")).and_then(toml::Value::as_bool) != Some(true)
    };
    match text.parse::<Table>() {
        // The workspace's own manifest.
        Ok(manifest) if !manifest.contains_key("package") => Vec::new(),
        Ok(manifest) => INHERITED
            .iter()
            .filter(|key| missing(key, &manifest))
            .map(|key| Violation {
                place: path.to_owned(),
                what: format!("the package does not take its {key} from the workspace"),
                rule: "lints, edition, rust-version and license are stated once, in the root's Cargo.toml"
                    .to_owned(),
                fix: match *key {
                    "lints" => "write `[lints]` and `workspace = true`".to_owned(),
                    key => format!("write `{key}.workspace = true` under [package]"),
                },
            })
            .collect(),
        Err(error) => vec![Violation {
            place: path.to_owned(),
            what: format!("it is no TOML: {}", error.message()),
            rule: "manifests can be read, so that they can be checked".to_owned(),
            fix: "mend it".to_owned(),
        }],
    }
}

/// The file at `path`, if it would override for one folder what the root decides.
pub(crate) fn violation_of_file(path: &str) -> Option<Violation> {
    let name = path.rsplit('/').next().unwrap_or(path);
    let row = FILES_OF_THE_ROOT.iter().find(|row| row.name == name)?;
    (row.allowed != Some(path)).then(|| Violation {
        place: path.to_owned(),
        what: format!("a {name} stands here"),
        rule: row.rule.to_owned(),
        fix: row.fix.to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const WHOLE: &str = "
        [package]
        name = \"allotrope-om\"
        edition.workspace = true
        rust-version.workspace = true
        license.workspace = true
        [lints]
        workspace = true
    ";

    #[test]
    fn a_package_that_states_for_itself_what_the_workspace_states_is_found() {
        assert!(violations_of_manifest("om/Cargo.toml", WHOLE).is_empty());
        for (inherited, own, key) in [
            ("[lints]\n        workspace = true", "", "lints"),
            ("[lints]\n        workspace = true", "[lints.rust]\nunsafe_code = \"allow\"", "lints"),
            ("edition.workspace = true", "edition = \"2021\"", "edition"),
            ("rust-version.workspace = true", "", "rust-version"),
            ("license.workspace = true", "license = \"MIT\"", "license"),
        ] {
            let found = violations_of_manifest("om/Cargo.toml", &WHOLE.replace(inherited, own));
            assert_eq!(found.len(), 1, "{own}");
            assert_eq!(found[0].what, format!("the package does not take its {key} from the workspace"));
        }
    }

    #[test]
    fn the_workspaces_own_manifest_has_nothing_to_take() {
        assert!(violations_of_manifest("Cargo.toml", "[workspace]\nmembers = []\n").is_empty());
    }

    #[test]
    fn a_manifest_that_is_no_toml_is_found() {
        assert_eq!(violations_of_manifest("om/Cargo.toml", "[package").len(), 1);
    }

    #[test]
    fn a_folder_cannot_have_rules_of_its_own() {
        for (path, allowed) in [
            ("clippy.toml", true),
            ("om/clippy.toml", false),
            (".clippy.toml", false),
            ("rustfmt.toml", true),
            ("om/rustfmt.toml", false),
            ("rust-toolchain.toml", false),
            ("om/rust-toolchain", false),
            ("docs/clippy.toml.md", true),
        ] {
            assert_eq!(violation_of_file(path).is_none(), allowed, "{path}");
        }
    }
}
