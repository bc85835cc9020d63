//! The workspace's lints and clippy.toml's bans, read from the real files, each shown to bite: a throw-away crate holds
//! one file a lint and one a ban, and clippy must report in each file what the file is for and nothing else.
//!
//! A lint or a ban without a file here fails too, so that none is added that does nothing.
#![allow(clippy::disallowed_methods, reason = "makes crates in a temporary folder")]
#![allow(clippy::unwrap_used, reason = "a test's vocabulary fails where it stands")]

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use cargo_metadata::Message;
use toml::Table;

/// A lint of `[workspace.lints]`, and a file that breaks it alone.
const LINTS: &[(&str, &str)] = &[
    (
        "unsafe_code",
        "/// Reads.\npub fn f(at: &u8) -> u8 {\n    // SAFETY: a reference can be read.\n    unsafe { std::ptr::read(at) }\n}",
    ),
    ("unreachable_pub", "mod inner {\n    pub fn g() {}\n}\n/// Calls.\npub fn f() {\n    inner::g();\n}"),
    ("missing_docs", "pub fn f() {}"),
    ("clippy::unwrap_used", "/// Takes.\npub fn f(it: Option<u8>) -> u8 {\n    it.unwrap()\n}"),
    ("clippy::dbg_macro", "/// Shows.\npub fn f(it: u8) -> u8 {\n    dbg!(it)\n}"),
    ("clippy::print_stdout", "/// Shows.\npub fn f() {\n    println!();\n}"),
    ("clippy::print_stderr", "/// Shows.\npub fn f() {\n    eprintln!();\n}"),
    ("clippy::todo", "/// Puts off.\npub fn f() {\n    todo!()\n}"),
    ("clippy::unimplemented", "/// Puts off.\npub fn f() {\n    unimplemented!()\n}"),
    ("clippy::allow_attributes_without_reason", "#[allow(dead_code)]\nfn f() {}"),
    (
        "clippy::undocumented_unsafe_blocks",
        "/// Reads.\n#[allow(unsafe_code, reason = \"breaks another lint\")]\npub fn f(at: &u8) -> u8 {\n    \
         unsafe { std::ptr::read(at) }\n}",
    ),
    (
        "clippy::await_holding_refcell_ref",
        "/// Waits.\npub async fn f(it: &std::cell::RefCell<u8>) {\n    let mut held = it.borrow_mut();\n    \
         std::future::ready(()).await;\n    *held = 1;\n}",
    ),
    (
        "clippy::await_holding_lock",
        "/// Waits.\npub async fn f(it: &std::sync::RwLock<u8>) {\n    let Ok(mut held) = it.write() else { return };\n    \
         std::future::ready(()).await;\n    *held = 1;\n}",
    ),
];

/// A path that clippy.toml bans, and a statement that uses it.
const BANS: &[(&str, &str)] = &[
    ("std::time::Instant::now", "let _ = std::time::Instant::now();"),
    ("std::time::SystemTime::now", "let _ = std::time::SystemTime::now();"),
    ("std::thread::sleep", "std::thread::sleep(std::time::Duration::ZERO);"),
    ("tokio::time::sleep", "tokio::time::sleep();"),
    ("tokio::time::sleep_until", "tokio::time::sleep_until();"),
    ("tokio::time::Instant::now", "tokio::time::Instant::now();"),
    ("std::fs::File::open", "let _ = std::fs::File::open(\"x\");"),
    ("std::fs::File::create", "let _ = std::fs::File::create(\"x\");"),
    ("std::fs::read", "let _ = std::fs::read(\"x\");"),
    ("std::fs::read_to_string", "let _ = std::fs::read_to_string(\"x\");"),
    ("std::fs::write", "let _ = std::fs::write(\"x\", \"\");"),
    ("std::fs::rename", "let _ = std::fs::rename(\"x\", \"y\");"),
    ("std::fs::remove_file", "let _ = std::fs::remove_file(\"x\");"),
    ("std::fs::remove_dir_all", "let _ = std::fs::remove_dir_all(\"x\");"),
    ("std::fs::create_dir_all", "let _ = std::fs::create_dir_all(\"x\");"),
    ("tokio::fs::read", "tokio::fs::read();"),
    ("tokio::fs::write", "tokio::fs::write();"),
    ("tokio::fs::rename", "tokio::fs::rename();"),
    ("tokio::fs::File::open", "tokio::fs::File::open();"),
    ("tokio::fs::File::create", "tokio::fs::File::create();"),
    ("uuid::Uuid::new_v4", "uuid::Uuid::new_v4();"),
    ("std::fs::OpenOptions", "let _ = std::fs::OpenOptions::new();"),
    ("std::collections::hash_map::RandomState", "let _ = std::collections::hash_map::RandomState::new();"),
];

/// What the crates from outside look like at the banned paths: names are all that a ban looks at, so that nothing
/// needs to be downloaded or built.
const TOKIO: &str = "
pub mod time { pub fn sleep() {} pub fn sleep_until() {} pub struct Instant; impl Instant { pub fn now() {} } }
pub mod fs { pub fn read() {} pub fn write() {} pub fn rename() {} pub struct File;
             impl File { pub fn open() {} pub fn create() {} } }
";
const UUID: &str = "pub struct Uuid; impl Uuid { pub fn new_v4() {} }";

/// What the rules are meant to let through.
const CLEAN: &str = "//! Clean.

/// Adds.
#[allow(clippy::unwrap_used, reason = \"shows that a reason is enough\")]
pub fn add(a: u8, b: u8) -> u8 {
    a.checked_add(b).unwrap()
}

#[cfg(test)]
mod tests {
    #[test]
    fn one_and_one_are_two() {
        println!(\"tests may print\");
        assert_eq!(super::add(1, \"1\".parse().unwrap()), 2);
    }
}
";

#[test]
fn every_lint_and_every_ban_bites_and_clean_code_passes() {
    let root = PathBuf::from(std::env::var("CARGO_MANIFEST_DIR").unwrap()).join("..");
    let lints = workspace_lints(&root);
    let bans = bans(&root);
    let tested: BTreeSet<String> = LINTS.iter().map(|(lint, _)| (*lint).to_owned()).collect();
    let meta = ["clippy::disallowed_methods", "clippy::disallowed_types"].map(str::to_owned);
    assert_eq!(
        tested.union(&meta.into()).cloned().collect::<BTreeSet<_>>(),
        lints.names,
        "[workspace.lints] and LINTS"
    );
    assert_eq!(
        BANS.iter().map(|(path, _)| (*path).to_owned()).collect::<BTreeSet<_>>(),
        bans,
        "clippy.toml and BANS"
    );

    let folder = tempfile::tempdir().unwrap();
    let bitten = folder.path().join("bitten");
    for (name, source) in [("tokio", TOKIO), ("uuid", UUID)] {
        package(&folder.path().join(name), name, "", source);
    }
    let outside = "[dependencies]\ntokio.path = \"../tokio\"\nuuid.path = \"../uuid\"\n";
    let mut modules = "//! One file a lint.\n".to_owned();
    for (name, source) in files() {
        write!(modules, "/// Bites.\npub mod {name};\n").unwrap();
        write(&bitten.join(format!("src/{name}.rs")), &source);
    }
    package(
        &bitten,
        "bitten",
        &format!("{outside}\n[workspace]\nmembers = [\"clean\"]\n\n{}", lints.tables),
        &modules,
    );
    package(&bitten.join("clean"), "clean", &lints.tables, CLEAN);
    std::fs::copy(root.join("clippy.toml"), bitten.join("clippy.toml")).unwrap();

    let reported = clippy(&bitten, &folder.path().join("target"));
    let expected: BTreeMap<String, BTreeSet<String>> =
        files().map(|(name, _)| (format!("src/{name}.rs"), BTreeSet::from([expectation(&name)]))).collect();
    assert_eq!(reported, expected);
}

/// The files of the bitten crate: a module's name and its source.
fn files() -> impl Iterator<Item = (String, String)> {
    let lints = LINTS.iter().enumerate().map(|(n, (_, source))| (format!("lint_{n}"), (*source).to_owned()));
    let bans = BANS.iter().enumerate().map(|(n, (_, statement))| {
        (format!("ban_{n}"), format!("/// Uses it.\npub fn f() {{\n    {statement}\n}}"))
    });
    lints.chain(bans)
}

/// What clippy must report in the file of this name: a lint, or a banned path.
fn expectation(name: &str) -> String {
    let (table, n) = name.split_once('_').unwrap();
    let table = if table == "lint" { LINTS } else { BANS };
    table[n.parse::<usize>().unwrap()].0.to_owned()
}

/// `[workspace.lints]` of the root's Cargo.toml: the lints' names, and the same tables as a package spells them.
struct Lints {
    names: BTreeSet<String>,
    tables: String,
}

fn workspace_lints(root: &Path) -> Lints {
    let manifest: Table = std::fs::read_to_string(root.join("Cargo.toml")).unwrap().parse().unwrap();
    let lints = manifest["workspace"]["lints"].clone();
    let names_of = |tool: &str, prefix: &str| -> BTreeSet<String> {
        lints[tool].as_table().unwrap().keys().map(|lint| format!("{prefix}{lint}")).collect()
    };
    let names = names_of("rust", "").union(&names_of("clippy", "clippy::")).cloned().collect();
    let mut package = Table::new();
    package.insert("lints".to_owned(), lints);
    Lints { names, tables: toml::to_string(&package).unwrap() }
}

/// The paths that the root's clippy.toml bans.
fn bans(root: &Path) -> BTreeSet<String> {
    let config: Table = std::fs::read_to_string(root.join("clippy.toml")).unwrap().parse().unwrap();
    let lists = ["disallowed-methods", "disallowed-types"].map(|list| config[list].as_array().unwrap());
    lists.into_iter().flatten().map(|ban| ban["path"].as_str().unwrap().to_owned()).collect()
}

fn package(folder: &Path, name: &str, rest_of_manifest: &str, source: &str) {
    let head = format!("[package]\nname = \"{name}\"\nedition = \"2024\"\n\n");
    write(&folder.join("Cargo.toml"), &(head + rest_of_manifest));
    write(&folder.join("src/lib.rs"), source);
}

fn write(at: &Path, text: &str) {
    std::fs::create_dir_all(at.parent().unwrap()).unwrap();
    std::fs::write(at, text).unwrap();
}

/// What clippy reports, file by file: the lint, or for a ban the banned path.
fn clippy(workspace: &Path, target: &Path) -> BTreeMap<String, BTreeSet<String>> {
    let answer = Command::new(std::env::var_os("CARGO").unwrap_or("cargo".into()))
        .args(["clippy", "--offline", "--workspace", "--all-targets", "--message-format=json"])
        .current_dir(workspace)
        .env("CARGO_TARGET_DIR", target)
        .env("CLIPPY_CONF_DIR", workspace)
        .env_remove("RUSTFLAGS")
        .output()
        .unwrap();
    let mut reported: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for message in Message::parse_stream(&answer.stdout[..]) {
        let Message::CompilerMessage(message) = message.unwrap() else { continue };
        let Some(code) = message.message.code else { continue };
        let file = message.message.spans[0].file_name.clone();
        let bite = match code.code.as_str() {
            "clippy::disallowed_methods" | "clippy::disallowed_types" => {
                message.message.message.split('`').nth(1).unwrap().to_owned()
            }
            lint => lint.to_owned(),
        };
        reported.entry(file).or_default().insert(bite);
    }
    assert!(!reported.is_empty(), "{}", String::from_utf8_lossy(&answer.stderr));
    reported
}
