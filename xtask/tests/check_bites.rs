//! `cargo xtask check` run on small workspaces of its own: it fails on a violation of each kind, by name, and passes
//! where there is none.
#![allow(clippy::disallowed_methods, reason = "makes workspaces in a temporary folder")]
#![allow(clippy::unwrap_used, reason = "a test's vocabulary fails where it stands")]

use std::path::Path;
use std::process::Command;

const INHERITED: &str = "edition.workspace = true\nrust-version.workspace = true\nlicense.workspace = true\n";
const WORKSPACE: &str = "resolver = \"3\"\n[workspace.package]\nedition = \"2024\"\nrust-version = \"1.85\"\n\
                         license = \"Apache-2.0\"\n[workspace.lints.rust]\nunsafe_code = \"deny\"\n";

/// A workspace in a temporary folder; package `allotrope-x` lies in folder `x`.
struct Workspace {
    folder: tempfile::TempDir,
    members: Vec<String>,
}

impl Workspace {
    fn new() -> Workspace {
        let folder = tempfile::tempdir().unwrap();
        assert!(
            Command::new("git").args(["init", "-q"]).current_dir(folder.path()).status().unwrap().success()
        );
        Workspace { folder, members: Vec::new() }
    }

    fn package(mut self, name: &str, rest_of_manifest: &str, source: &str) -> Workspace {
        let manifest = format!(
            "[package]\nname = \"{name}\"\n{INHERITED}{rest_of_manifest}\n[lints]\nworkspace = true\n"
        );
        let folder = name.trim_start_matches("allotrope-");
        self.write(&format!("{folder}/Cargo.toml"), &manifest);
        self.write(&format!("{folder}/src/lib.rs"), source);
        self.members.push(folder.to_owned());
        self
    }

    fn file(self, path: &str, text: &str) -> Workspace {
        self.write(path, text);
        self
    }

    fn write(&self, path: &str, text: &str) {
        let at = self.folder.path().join(path);
        std::fs::create_dir_all(at.parent().unwrap()).unwrap();
        std::fs::write(at, text).unwrap();
    }

    /// The exit status of `cargo xtask check` here, and what it says on either stream.
    fn check(&self) -> (Option<i32>, String) {
        self.write("Cargo.toml", &format!("[workspace]\nmembers = {:?}\n{WORKSPACE}", self.members));
        check_in(self.folder.path())
    }
}

fn check_in(folder: &Path) -> (Option<i32>, String) {
    let answer = Command::new(env!("CARGO_BIN_EXE_xtask")).arg("check").current_dir(folder).output().unwrap();
    let said = [answer.stdout, answer.stderr].map(|bytes| String::from_utf8_lossy(&bytes).into_owned());
    (answer.status.code(), said.concat())
}

#[test]
fn a_workspace_that_keeps_the_rules_passes() {
    let (status, said) = Workspace::new()
        .package("allotrope-types", "", "")
        .package("allotrope-ec", "[dependencies]\nallotrope-types.path = \"../types\"\n", "// unsafe\n")
        .check();
    assert_eq!(status, Some(0), "{said}");
    assert!(said.contains("checked 2 packages and 5 files: every rule holds"), "{said}");
}

#[test]
fn a_forbidden_arrow_fails_under_any_name_and_table() {
    for table in ["dependencies", "dev-dependencies", "build-dependencies", "target.'cfg(unix)'.dependencies"]
    {
        let renamed = format!("[{table}]\nother = {{ package = \"allotrope-scm\", path = \"../scm\" }}\n");
        let (status, said) =
            Workspace::new().package("allotrope-scm", "", "").package("allotrope-om", &renamed, "").check();
        assert_eq!(status, Some(1), "{said}");
        assert!(said.contains("om/Cargo.toml: allotrope-om names allotrope-scm"), "{said}");
        assert!(said.contains("rule: ") && said.contains("fix:  "), "{said}");
    }
}

#[test]
fn a_restricted_crate_fails_outside_its_package() {
    let (status, said) = Workspace::new()
        .package("allotrope-om", "[dependencies]\ndb = { package = \"rocksdb\", version = \"0.25\" }\n", "")
        .package("allotrope-datanode", "[dependencies]\nrocksdb = \"0.25\"\n", "")
        .check();
    assert_eq!(status, Some(1), "{said}");
    assert!(said.contains("allotrope-om names rocksdb under [dependencies]"), "{said}");
    assert!(!said.contains("allotrope-datanode names"), "{said}");
}

#[test]
fn a_part_that_shards_build_without_fails_when_it_is_on() {
    let (status, said) =
        Workspace::new().package("allotrope-proto", "[dependencies]\ntonic = \"0.14\"\n", "").check();
    assert_eq!(status, Some(1), "{said}");
    assert!(said.contains("allotrope-proto builds tonic by default"), "{said}");
}

#[test]
fn words_and_paths_out_of_place_fail_with_their_line() {
    let path = ["", "home", "jo", "disk"].join("/");
    let (status, said) = Workspace::new()
        .package("allotrope-om", "", "fn f() {\n    unsafe {}\n}\n")
        .file("docs/run.md", &format!("first line\nrun it in {path}\n"))
        .file("datanode/src/container.rs", "use rocksdb::DB;\n")
        .package("allotrope-datanode", "", "mod container;\n")
        .file(".gitignore", "/ignored\n")
        .file("ignored", &path)
        .file("target/left", "")
        .check();
    assert_eq!(status, Some(1), "{said}");
    assert!(said.contains("om/src/lib.rs:2: `unsafe` stands here"), "{said}");
    assert!(said.contains(&format!("docs/run.md:2: `{path}` is a place on one machine")), "{said}");
    assert!(said.contains("datanode/src/container.rs:1: `rocksdb` stands here"), "{said}");
    assert!(!said.contains("ignored:"), "{said}");
}

#[test]
fn a_package_outside_the_workspaces_lints_fails() {
    let workspace = Workspace::new().package("allotrope-om", "", "").file("om/clippy.toml", "").package(
        "allotrope-scm",
        "",
        "",
    );
    let manifest = std::fs::read_to_string(workspace.folder.path().join("scm/Cargo.toml")).unwrap();
    let (status, said) =
        workspace.file("scm/Cargo.toml", &manifest.replace("[lints]\nworkspace = true\n", "")).check();
    assert_eq!(status, Some(1), "{said}");
    assert!(
        said.contains("scm/Cargo.toml: the package does not take its lints from the workspace"),
        "{said}"
    );
    assert!(said.contains("om/clippy.toml: a clippy.toml stands here"), "{said}");
    assert!(said.contains(": 2 violations"), "{said}");
}

#[test]
fn outside_a_workspace_it_says_so_and_what_to_do() {
    let folder = tempfile::tempdir().unwrap();
    let (status, said) = check_in(folder.path());
    assert_eq!(status, Some(2), "{said}");
    assert!(said.contains("run it inside the workspace"), "{said}");
}
