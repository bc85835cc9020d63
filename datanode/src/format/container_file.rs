//! `<id>.container`: what a container is, as the YAML that SnakeYAML dumps, with a checksum over itself.
//!
//! Shape   a tag line, then `key: value` lines sorted by key; `metadata` is an inline map.
//! Errors  [`FormatError`]; layouts and schemas other than FILE_PER_BLOCK and V3 are refused by name.
//! Source  docs/formats/container-file.md.
//!
//! The checksum is hex(SHA-256(SHA-256(text))) of the text in which the checksum stands as 64 NUL bytes. Java verifies
//! by dumping what it parsed, so values are written exactly as SnakeYAML would: [`ContainerFile::encode`] refuses
//! nothing, but [`plain`] tells which paths a volume may have.

use super::FormatError;
use allotrope_types::{ByteCount, ContainerId, ReplicaIndex, ReplicaState};
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;

const WHAT: &str = ".container file";
const TAG: &str = "!<KeyValueContainerData>";
const LAYOUT: &str = "2";
const SCHEMA: &str = "3";
/// What stands for the checksum while the checksum is computed: 64 NUL bytes as base64.
const CHECKSUM_HOLE: &str = "checksum: !!binary |-\n  AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA==\n";

/// The content of a `.container` file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ContainerFile {
    /// The container.
    pub id: ContainerId,
    /// Where its replica here is in its life.
    pub state: ReplicaState,
    /// Bytes it should not grow beyond.
    pub size_max: ByteCount,
    /// The replica's place in its erasure code, if it has one.
    pub replica: Option<ReplicaIndex>,
    /// The datanode that made the container, as text.
    pub origin_node: String,
    /// The pipeline it was made through; empty where none was named.
    pub origin_pipeline: String,
    /// Free words of its maker.
    pub metadata: BTreeMap<String, String>,
    /// The folder of its block files.
    pub chunks_path: String,
    /// The folder of this file.
    pub metadata_path: String,
    /// When its data was last scanned, in milliseconds since 1970.
    pub data_scan_ms: Option<i64>,
}

impl ContainerFile {
    /// Writes the file's text with its checksum.
    pub fn encode(&self) -> String {
        let checksum = format!("checksum: {}\n", digest(&self.body(CHECKSUM_HOLE)));
        self.body(&checksum)
    }

    fn body(&self, checksum: &str) -> String {
        let mut text = format!("{TAG}\n{checksum}");
        let mut line = |key: &str, value: &str| {
            text.push_str(key);
            text.push_str(": ");
            text.push_str(value);
            text.push('\n');
        };
        line("chunksPath", &scalar(&self.chunks_path));
        line("containerDBType", "RocksDB");
        line("containerID", &self.id.to_string());
        line("containerType", "KeyValueContainer");
        if let Some(scan) = self.data_scan_ms {
            line("dataScanTimestamp", &scan.to_string());
        }
        line("layOutVersion", LAYOUT);
        line("maxSize", &self.size_max.as_u64().to_string());
        let words: Vec<_> =
            self.metadata.iter().map(|(k, v)| format!("{}: {}", scalar(k), scalar(v))).collect();
        line("metadata", &format!("{{{}}}", words.join(", ")));
        line("metadataPath", &scalar(&self.metadata_path));
        line("originNodeId", &scalar(&self.origin_node));
        line("originPipelineId", &scalar(&self.origin_pipeline));
        if let Some(index) = self.replica {
            line("replicaIndex", &index.to_string());
        }
        line("schemaVersion", "'3'");
        line("state", self.state.name());
        text
    }

    /// Reads a file's text and verifies its checksum.
    pub fn decode(text: &str) -> Result<ContainerFile, FormatError> {
        let entries = entries(text)?;
        let get = |key: &'static str| {
            entries.get(key).map(String::as_str).ok_or(FormatError::Missing { what: WHAT, key })
        };
        let invalid = |key: &'static str, value: &str, why: &str| FormatError::Invalid {
            what: WHAT,
            key,
            value: value.chars().take(80).collect(),
            why: why.to_owned(),
        };
        let stored = get("checksum")?;
        let computed = digest(&with_hole(text));
        if stored != computed {
            return Err(FormatError::Checksum { what: WHAT, stored: stored.to_owned(), computed });
        }
        for (key, known) in [
            ("layOutVersion", LAYOUT),
            ("schemaVersion", SCHEMA),
            ("containerDBType", "RocksDB"),
            ("containerType", "KeyValueContainer"),
        ] {
            let found = get(key)?.to_owned();
            if found != known {
                return Err(FormatError::Newer { what: WHAT, key, found, known: known.to_owned() });
            }
        }
        let number = |key| -> Result<u64, FormatError> {
            let value = get(key)?;
            value.parse().map_err(|_| invalid(key, value, "expected a number"))
        };
        let state = get("state")?;
        let replica = match entries.get("replicaIndex").map(String::as_str) {
            None | Some("0") => None,
            Some(text) => Some(text.parse().map_err(|_| invalid("replicaIndex", text, "expected 1 to 32"))?),
        };
        let scan = entries.get("dataScanTimestamp").filter(|text| *text != "null");
        Ok(ContainerFile {
            id: ContainerId::new(number("containerID")?),
            state: ReplicaState::from_name(state).ok_or_else(|| invalid("state", state, "no such state"))?,
            size_max: ByteCount::new(number("maxSize")?),
            replica,
            origin_node: get("originNodeId")?.to_owned(),
            origin_pipeline: get("originPipelineId")?.to_owned(),
            metadata: inline_map(get("metadata")?)
                .ok_or_else(|| invalid("metadata", "", "expected {KEY: value, …}"))?,
            chunks_path: get("chunksPath")?.to_owned(),
            metadata_path: get("metadataPath")?.to_owned(),
            data_scan_ms: scan
                .map(|text| text.parse().map_err(|_| invalid("dataScanTimestamp", text, "expected a number")))
                .transpose()?,
        })
    }
}

/// Whether SnakeYAML writes `text` as it is, without quotes or folding: what a path in a `.container` file must be.
pub fn plain(text: &str) -> bool {
    let first_ok = text.starts_with(|c: char| c.is_ascii_alphabetic() || c == '/');
    let words = ["true", "false", "yes", "no", "on", "off", "null", "y", "n"];
    first_ok
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"/._-+".contains(&b))
        && !words.contains(&text.to_ascii_lowercase().as_str())
}

/// `text` as a YAML scalar: as it is where that is safe (a UUID is), else in quotes.
fn scalar(text: &str) -> String {
    if plain(text) || uuid::Uuid::try_parse(text).is_ok_and(|_| uuid_is_plain(text)) {
        text.to_owned()
    } else if text.chars().any(char::is_control) {
        let mut quoted = String::from("\"");
        for c in text.chars() {
            match c {
                '"' | '\\' => quoted.extend(['\\', c]),
                c if c.is_control() => quoted.push_str(&format!("\\u{:04x}", u32::from(c))),
                c => quoted.push(c),
            }
        }
        quoted + "\""
    } else {
        format!("'{}'", text.replace('\'', "''"))
    }
}

/// A UUID of digits and an `e` only could be read as a number; its four dashes prevent that.
fn uuid_is_plain(text: &str) -> bool {
    text.len() == 36 && text.bytes().filter(|b| *b == b'-').count() == 4
}

fn digest(text: &str) -> String {
    let twice = Sha256::digest(Sha256::digest(text.as_bytes()));
    twice.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The text with its checksum line replaced by the hole, and one newline at the end.
fn with_hole(text: &str) -> String {
    let mut whole = String::with_capacity(text.len() + 64);
    for line in text.lines() {
        if line.starts_with("checksum: ") {
            whole.push_str(CHECKSUM_HOLE);
        } else {
            whole.push_str(line);
            whole.push('\n');
        }
    }
    whole
}

/// The top-level entries, with quotes taken off and folded lines joined.
fn entries(text: &str) -> Result<BTreeMap<String, String>, FormatError> {
    let garbled =
        |line: usize, why: &str| FormatError::Garbled { what: WHAT, line: line + 1, why: why.to_owned() };
    let mut lines = text.lines().enumerate().peekable();
    match lines.next() {
        Some((_, TAG)) => {}
        _ => return Err(garbled(0, "expected the tag !<KeyValueContainerData>")),
    }
    let mut found = BTreeMap::new();
    while let Some((number, line)) = lines.next() {
        let (key, rest) = line
            .split_once(':')
            .filter(|(key, _)| !key.is_empty() && key.bytes().all(|b| b.is_ascii_alphanumeric()))
            .ok_or_else(|| garbled(number, "expected key: value"))?;
        let mut value = rest.trim().to_owned();
        while let Some((_, more)) = lines.next_if(|(_, next)| next.starts_with(' ')) {
            value.push(' ');
            value.push_str(more.trim());
        }
        let value = if value.starts_with('{') {
            value
        } else {
            unquote(&value).ok_or_else(|| garbled(number, "the value is not a plain or quoted scalar"))?
        };
        if found.insert(key.to_owned(), value).is_some() {
            return Err(garbled(number, "the key stands twice"));
        }
    }
    Ok(found)
}

/// A scalar's text; `None` if it is neither plain nor properly quoted.
fn unquote(scalar: &str) -> Option<String> {
    if let Some(inner) = scalar.strip_prefix('\'') {
        let inner = inner.strip_suffix('\'')?;
        let plain = inner.replace("''", "\u{0}");
        return (!plain.contains('\'')).then(|| plain.replace('\u{0}', "'"));
    }
    if let Some(inner) = scalar.strip_prefix('"') {
        let mut chars = inner.strip_suffix('"')?.chars();
        let mut text = String::new();
        while let Some(c) = chars.next() {
            match c {
                '"' => return None,
                '\\' => match chars.next()? {
                    'n' => text.push('\n'),
                    't' => text.push('\t'),
                    'u' => {
                        let digits: String = chars.by_ref().take(4).collect();
                        text.push(char::from_u32(u32::from_str_radix(&digits, 16).ok()?)?);
                    }
                    c @ ('"' | '\\') => text.push(c),
                    _ => return None,
                },
                c => text.push(c),
            }
        }
        return Some(text);
    }
    (!scalar.starts_with(['&', '*', '!', '|', '>', '@', '`', '%', '[', ']', '}'])).then(|| scalar.to_owned())
}

/// Reads `{A: b, 'c': d}`.
fn inline_map(text: &str) -> Option<BTreeMap<String, String>> {
    let inner = text.strip_prefix('{')?.strip_suffix('}')?;
    let mut found = BTreeMap::new();
    for pair in split_outside_quotes(inner, ',') {
        if pair.trim().is_empty() {
            continue;
        }
        let parts = split_outside_quotes(pair, ':');
        let (key, value) = pair.split_at(parts.first()?.len());
        let value = value.strip_prefix(':').unwrap_or_default();
        found.insert(unquote(key.trim())?, unquote(value.trim())?);
    }
    Some(found)
}

fn split_outside_quotes(text: &str, at: char) -> Vec<&str> {
    let (mut quote, mut escaped) = (None, false);
    text.split(|c: char| {
        match quote {
            Some('"') if escaped => escaped = false,
            Some('"') if c == '\\' => escaped = true,
            Some(q) if q == c => quote = None,
            Some(_) => {}
            None if c == '\'' || c == '"' => quote = Some(c),
            None => return c == at,
        }
        false
    })
    .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Dumped and checksummed by Ozone's own classes.
    const GOLDEN: &str = "!<KeyValueContainerData>
checksum: 4d76eeafe75903d92f77bc4f839a7b5051ad7bcafd72242dbf9f4876952a16ea
chunksPath: /data/hdds/CID-x/current/containerDir0/1/chunks
containerDBType: RocksDB
containerID: 1
containerType: KeyValueContainer
layOutVersion: 2
maxSize: 1073741824
metadata: {OWNER: ozone}
metadataPath: /data/hdds/CID-x/current/containerDir0/1/metadata
originNodeId: fc916013-b295-4015-b775-b132a520dc7e
originPipelineId: bf52d0e3-6418-4713-b0ff-3846243c3541
replicaIndex: 2
schemaVersion: '3'
state: CLOSED
";

    #[test]
    fn ozones_own_file_is_read_and_written_byte_for_byte() {
        let file = ContainerFile::decode(GOLDEN).unwrap();
        assert_eq!(file.id, ContainerId::new(1));
        assert_eq!(file.state, ReplicaState::Closed);
        assert_eq!(file.replica, ReplicaIndex::new(2));
        assert_eq!(file.metadata["OWNER"], "ozone");
        assert_eq!(file.encode(), GOLDEN);
    }

    #[test]
    fn every_changed_byte_of_the_file_is_found() {
        for at in 0..GOLDEN.len() {
            let mut bytes = GOLDEN.as_bytes().to_vec();
            bytes[at] ^= 1;
            if let Ok(text) = std::str::from_utf8(&bytes) {
                assert!(ContainerFile::decode(text).is_err(), "byte {at}");
            }
        }
    }

    #[test]
    fn another_schema_or_layout_is_refused_by_name() {
        for (from, to, key) in [
            ("schemaVersion: '3'", "schemaVersion: '4'", "schemaVersion"),
            ("layOutVersion: 2", "layOutVersion: 1", "layOutVersion"),
        ] {
            let text = resealed(&GOLDEN.replace(from, to));
            let wrong = ContainerFile::decode(&text).unwrap_err();
            assert!(matches!(&wrong, FormatError::Newer { key: k, .. } if *k == key), "{wrong}");
        }
    }

    fn resealed(text: &str) -> String {
        let line = format!("checksum: {}", digest(&with_hole(text)));
        let old = text.lines().find(|l| l.starts_with("checksum: ")).unwrap();
        text.replace(old, &line)
    }

    #[test]
    fn a_folded_path_is_read() {
        let text = resealed(&GOLDEN.replace("/data/hdds/CID-x/current", "/data/a\n  b/hdds/CID-x/current"));
        assert!(ContainerFile::decode(&text).unwrap().chunks_path.starts_with("/data/a b/"));
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_back(
            id in 1..u64::MAX >> 1,
            index in 0u8..33,
            words in prop::collection::btree_map("[ -~é]{1,6}", "[ -~\n\t]{0,6}", 0..3),
            pipeline in "[ -~]{0,8}",
            scan in prop::option::of(any::<i64>()),
        ) {
            let file = ContainerFile {
                id: ContainerId::new(id),
                state: ReplicaState::Open,
                size_max: ByteCount::gib(5),
                replica: ReplicaIndex::new(index),
                origin_node: "fc916013-b295-4015-b775-b132a520dc7e".into(),
                origin_pipeline: pipeline,
                metadata: words,
                chunks_path: "/data/chunks".into(),
                metadata_path: "/data/metadata".into(),
                data_scan_ms: scan,
            };
            prop_assert_eq!(ContainerFile::decode(&file.encode()).unwrap(), file);
        }

        #[test]
        fn no_text_panics(text in "[ -~\n]{0,200}") {
            let _ = ContainerFile::decode(&text);
            let _ = ContainerFile::decode(&format!("{TAG}\n{text}"));
        }
    }
}
