//! The rules as tables. To change who may name what, change the design and then the row here.
//!
//! Source  the design's crate table (column 'may name') and the rules below it; docs/architecture.md.

/// A row of the design's crate table: a package and the packages of this workspace that it may name.
pub(crate) struct Row {
    pub(crate) package: &'static str,
    pub(crate) may_name: &'static [&'static str],
}

const fn row(package: &'static str, may_name: &'static [&'static str]) -> Row {
    Row { package, may_name }
}

const TYPES: &str = "allotrope-types";
/// No code, a list of features: see its page.
const UNIFY: &str = "allotrope-unify";
const EC: &str = "allotrope-ec";
const IO: &str = "allotrope-io";
const PROTO: &str = "allotrope-proto";
const DATANODE: &str = "allotrope-datanode";
const CONSENSUS: &str = "allotrope-consensus";
const SCM: &str = "allotrope-scm";
const OM: &str = "allotrope-om";
const RECON: &str = "allotrope-recon";
const CLIENT: &str = "allotrope-client";
const GATEWAY: &str = "allotrope-gateway";
const PERF: &str = "allotrope-perf";
/// The binary's package; the whole-cluster tests are its test targets.
const BINARY: &str = "allotrope";

/// Arrows run down only. Dev- and build-dependencies follow the same arrows.
pub(crate) const ARROWS: &[Row] = &[
    row(TYPES, &[]),
    row(UNIFY, &[]),
    row(EC, &[TYPES]),
    row(IO, &[TYPES]),
    row(PROTO, &[TYPES]),
    row(DATANODE, &[TYPES, EC, IO, PROTO, UNIFY]),
    row(CONSENSUS, &[TYPES, UNIFY]),
    row(SCM, &[CONSENSUS, PROTO, TYPES]),
    row(OM, &[CONSENSUS, PROTO, TYPES]),
    row(RECON, &[PROTO, TYPES]),
    row(CLIENT, &[PROTO, EC, TYPES]),
    row(GATEWAY, &[CLIENT, TYPES]),
    row(BINARY, &[TYPES, EC, IO, PROTO, DATANODE, CONSENSUS, SCM, OM, RECON, CLIENT, GATEWAY, PERF]),
    row(PERF, &[CLIENT, PROTO, TYPES]),
    row("allotrope-benches", &[TYPES, EC, IO, PROTO, DATANODE, CONSENSUS, SCM, OM, CLIENT, GATEWAY, PERF]),
    row("allotrope-fuzz", &[PROTO]),
    row("xtask", &[]),
];

/// The packages that bring RocksDB into a build.
pub(crate) const LONG_BUILDS: &[&str] = &[CONSENSUS, DATANODE];

/// Crates from outside that only some packages may name.
pub(crate) struct Restricted {
    pub(crate) crates: &'static [&'static str],
    pub(crate) who: Who,
    pub(crate) rule: &'static str,
    pub(crate) fix: &'static str,
}

/// Which packages a [`Restricted`] row lets name its crates.
pub(crate) enum Who {
    Only(&'static [&'static str]),
    AllBut(&'static [&'static str]),
}

pub(crate) const RESTRICTED: &[Restricted] = &[
    Restricted {
        crates: &["glommio", "glommio-ng", "io-uring", "rio", "monoio", "nuclei"],
        who: Who::Only(&[IO]),
        rule: "only allotrope-io names glommio and io_uring",
        fix: "use the traits of allotrope-io, and add there what they lack",
    },
    Restricted {
        crates: &["tokio-uring"],
        who: Who::Only(&[IO, CLIENT, BINARY, PERF]),
        rule: "tokio-uring serves only where the tokio side moves local files in bulk: client, binary, perf",
        fix: "use allotrope-io's disk on a shard, or tokio's blocking pool on the control thread",
    },
    Restricted {
        crates: &["erasure-isa-l", "isa-l", "isal-rs", "isal-sys"],
        who: Who::Only(&[EC]),
        rule: "only allotrope-ec names ISA-L",
        fix: "use allotrope-ec's codec; bare kernels for measurements are its feature `limits`",
    },
    Restricted {
        crates: &["openraft"],
        who: Who::Only(&[CONSENSUS]),
        rule: "only allotrope-consensus names openraft",
        fix: "use allotrope-consensus' types, and add there what they lack",
    },
    Restricted {
        crates: &["rocksdb", "librocksdb-sys", "rust-rocksdb"],
        who: Who::Only(&[CONSENSUS, DATANODE]),
        rule: "only allotrope-consensus and one module of allotrope-datanode name RocksDB",
        fix: "keep tables through allotrope-consensus, or through the datanode's metadata",
    },
    Restricted {
        crates: &[
            "tokio",
            "async-std",
            "smol",
            "mio",
            "futures",
            "hyper",
            "tonic",
            "prost",
            "rustix",
            "libc",
        ],
        who: Who::AllBut(&[TYPES]),
        rule: "allotrope-types knows no I/O, no runtime and no wire format",
        fix: "put it in the crate that does the I/O, and pass values",
    },
];

/// Parts of a package that shards build it without: these dependencies are optional and off by default.
pub(crate) struct OffByDefault {
    pub(crate) package: &'static str,
    pub(crate) dependencies: &'static [&'static str],
    pub(crate) rule: &'static str,
    pub(crate) fix: &'static str,
}

pub(crate) const OFF_BY_DEFAULT: &[OffByDefault] = &[OffByDefault {
    package: PROTO,
    dependencies: &["tokio", "tonic", "hyper", "prometheus-client"],
    rule: "allotrope-proto's Hadoop RPC, tonic and operators' parts are features; shards build it without them",
    fix: "mark the dependency `optional = true`, give its part a feature, and leave that out of `default`",
}];

/// A word that Rust sources may say only in some modules.
pub(crate) struct Word {
    pub(crate) word: &'static str,
    /// The folder that the rule is about, with a `/` at the end; empty for the whole workspace.
    pub(crate) under: &'static str,
    /// Files, and folders with a `/` at the end, that may say it.
    pub(crate) allowed: &'static [&'static str],
    pub(crate) rule: &'static str,
    pub(crate) fix: &'static str,
}

pub(crate) const WORDS: &[Word] = &[
    Word {
        word: "unsafe",
        under: "",
        allowed: &["io/src/buffer.rs", "io/src/buffer_pages.rs", "io/src/sys.rs", "ec/src/isa_l.rs"],
        rule: "`unsafe` stands only in io's buffers, io's one system-call module and ec's ISA-L module",
        fix: "put a safe function with a SAFETY line into one of these modules and call it",
    },
    Word {
        word: "rocksdb",
        under: "datanode/",
        allowed: &["datanode/src/metadata/rocks.rs", "datanode/src/metadata/rocks/"],
        rule: "one module of allotrope-datanode names RocksDB",
        fix: "add what is missing to the face of datanode/src/metadata/rocks.rs and use that",
    },
];

/// First folders of absolute paths that exist on one machine only.
pub(crate) const MACHINE_ROOTS: &[&str] = &["home", "root", "work", "Users"];

/// What each package's manifest takes from the workspace's.
pub(crate) const INHERITED: &[&str] = &["lints", "edition", "rust-version", "license"];

/// A file that decides for everything below it, and so stands at the root alone, or nowhere.
pub(crate) struct FileOfTheRoot {
    pub(crate) name: &'static str,
    pub(crate) allowed: Option<&'static str>,
    pub(crate) rule: &'static str,
    pub(crate) fix: &'static str,
}

const ONE_SET_OF_BANS: &str = "one clippy.toml, at the root, holds the bans of the whole workspace";
const ONE_STYLE: &str = "one rustfmt.toml, at the root, shapes the whole workspace";
const NO_TOOLCHAIN: &str =
    "any Rust at least as new as rust-version builds the workspace; no file makes rustup fetch one";

pub(crate) const FILES_OF_THE_ROOT: &[FileOfTheRoot] = &[
    file_of_the_root("clippy.toml", Some("clippy.toml"), ONE_SET_OF_BANS),
    file_of_the_root(".clippy.toml", None, ONE_SET_OF_BANS),
    file_of_the_root("rustfmt.toml", Some("rustfmt.toml"), ONE_STYLE),
    file_of_the_root(".rustfmt.toml", None, ONE_STYLE),
    file_of_the_root("rust-toolchain", None, NO_TOOLCHAIN),
    file_of_the_root("rust-toolchain.toml", None, NO_TOOLCHAIN),
];

const fn file_of_the_root(
    name: &'static str,
    allowed: Option<&'static str>,
    rule: &'static str,
) -> FileOfTheRoot {
    FileOfTheRoot {
        name,
        allowed,
        rule,
        fix: "remove it; a crate at the edge allows a lint at its root, with a reason",
    }
}
