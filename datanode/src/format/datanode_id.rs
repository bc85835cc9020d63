//! `datanode.id`: who a datanode is, as the YAML Ozone keeps in its metadata folder.
//!
//! Errors  [`FormatError`]; keys this release does not know are kept out, missing optional ones take Ozone's defaults.
//! Source  docs/formats/datanode-id.md.

use super::FormatError;
use allotrope_types::DatanodeId;
use std::collections::BTreeMap;

const WHAT: &str = "datanode.id";
const TAG: &str = "!!org.apache.hadoop.ozone.container.common.helpers.DatanodeIdYaml$DatanodeDetailsYaml";

/// The content of `datanode.id`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DatanodeIdFile {
    /// The datanode's name.
    pub id: DatanodeId,
    /// The address it last announced.
    pub ip_address: String,
    /// The host name it last announced.
    pub host_name: String,
    /// The ports it last announced, by Ozone's names.
    pub ports: BTreeMap<String, u16>,
    /// SCM's word on whether it is in service, being decommissioned or in maintenance: this file is its durable truth.
    pub operational_state: String,
    /// When that state ends, in seconds since 1970; 0 is never.
    pub operational_state_expiry_s: i64,
    /// The release that made the file, as Ozone counts.
    pub initial_version: i32,
    /// The release that wrote it last.
    pub current_version: i32,
}

impl DatanodeIdFile {
    /// Writes the file's text.
    pub fn encode(&self) -> String {
        let mut text = format!("{TAG}\n");
        let quoted = |value: &str| format!("'{}'", value.replace('\'', "''"));
        text.push_str("certSerialId: null\n");
        text.push_str(&format!("currentVersion: {}\n", self.current_version));
        text.push_str(&format!("hostName: {}\n", quoted(&self.host_name)));
        text.push_str(&format!("initialVersion: {}\n", self.initial_version));
        text.push_str(&format!("ipAddress: {}\n", quoted(&self.ip_address)));
        text.push_str(&format!("persistedOpState: {}\n", self.operational_state));
        text.push_str(&format!("persistedOpStateExpiryEpochSec: {}\n", self.operational_state_expiry_s));
        text.push_str("portDetails:");
        if self.ports.is_empty() {
            text.push_str(" {}");
        }
        for (name, port) in &self.ports {
            text.push_str(&format!("\n  {name}: {port}"));
        }
        text.push_str(&format!("\nuuid: {}\n", self.id));
        text
    }

    /// Reads a file's text, in the block form or in the flow form that Ozone writes.
    pub fn decode(text: &str) -> Result<DatanodeIdFile, FormatError> {
        let (mut values, mut ports, mut in_ports) = (BTreeMap::new(), BTreeMap::new(), false);
        for (number, line) in text.lines().enumerate() {
            let nested = line.starts_with("    ") || line.starts_with("  ") && !flow(text);
            let line = line.trim().trim_end_matches(',');
            if line.is_empty() || line.starts_with(['#', '!', '{']) {
                continue;
            }
            if line.starts_with('}') {
                in_ports = false;
                continue;
            }
            let garbled =
                |why: &str| FormatError::Garbled { what: WHAT, line: number + 1, why: why.to_owned() };
            let (key, value) = line.split_once(':').ok_or_else(|| garbled("expected key: value"))?;
            let value = value.trim();
            in_ports &= nested;
            if key == "portDetails" {
                in_ports = true;
                let inline = value.trim_matches(['{', '}']);
                for pair in inline.split(',').filter(|pair| !pair.trim().is_empty()) {
                    let (name, port) = pair.split_once(':').ok_or_else(|| garbled("expected NAME: port"))?;
                    ports.insert(name.trim().to_owned(), read_port(port.trim())?);
                }
            } else if in_ports {
                ports.insert(key.to_owned(), read_port(value)?);
            } else {
                let value = value.trim_matches('\'').replace("''", "'");
                values.insert(key.to_owned(), value);
            }
        }
        let get = |key: &'static str| values.get(key).ok_or(FormatError::Missing { what: WHAT, key });
        let number = |key: &'static str, default: i64| match values.get(key).map(String::as_str) {
            None | Some("null") => Ok(default),
            Some(value) => value.parse::<i64>().map_err(|_| FormatError::Invalid {
                what: WHAT,
                key,
                value: value.to_owned(),
                why: "expected a number".into(),
            }),
        };
        let uuid = get("uuid")?;
        let state = values.get("persistedOpState").filter(|state| *state != "null");
        Ok(DatanodeIdFile {
            id: uuid.parse().map_err(|e| FormatError::Invalid {
                what: WHAT,
                key: "uuid",
                value: uuid.clone(),
                why: format!("{e}"),
            })?,
            ip_address: get("ipAddress")?.clone(),
            host_name: get("hostName")?.clone(),
            ports,
            operational_state: state.cloned().unwrap_or_else(|| "IN_SERVICE".to_owned()),
            operational_state_expiry_s: number("persistedOpStateExpiryEpochSec", 0)?,
            initial_version: number("initialVersion", 0)? as i32,
            current_version: number("currentVersion", 0)? as i32,
        })
    }
}

/// Whether the text is SnakeYAML's flow form, in which every key is indented.
fn flow(text: &str) -> bool {
    text.lines().next().is_some_and(|line| line.trim_end().ends_with('{'))
}

fn read_port(text: &str) -> Result<u16, FormatError> {
    text.parse().map_err(|_| FormatError::Invalid {
        what: WHAT,
        key: "portDetails",
        value: text.to_owned(),
        why: "expected a port".into(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file() -> DatanodeIdFile {
        DatanodeIdFile {
            id: "fc916013-b295-4015-b775-b132a520dc7e".parse().unwrap(),
            ip_address: "127.0.0.1".into(),
            host_name: "dn-1.example".into(),
            ports: BTreeMap::from([("STANDALONE".into(), 9859), ("REPLICATION".into(), 9886)]),
            operational_state: "DECOMMISSIONING".into(),
            operational_state_expiry_s: 1_800_000_000,
            initial_version: 2,
            current_version: 3,
        }
    }

    #[test]
    fn an_identity_survives_the_round_trip() {
        assert_eq!(DatanodeIdFile::decode(&file().encode()).unwrap(), file());
        let bare = DatanodeIdFile { ports: BTreeMap::new(), ..file() };
        assert_eq!(DatanodeIdFile::decode(&bare.encode()).unwrap(), bare);
    }

    #[test]
    fn snakeyamls_flow_form_is_read() {
        let text = format!(
            "{TAG} {{\n  certSerialId: null,\n  currentVersion: 3,\n  hostName: dn-1.example,\n  initialVersion: 2,\n  \
             ipAddress: 127.0.0.1,\n  persistedOpState: DECOMMISSIONING,\n  persistedOpStateExpiryEpochSec: 1800000000,\n  \
             portDetails: {{\n    REPLICATION: 9886,\n    STANDALONE: 9859\n  }},\n  uuid: fc916013-b295-4015-b775-b132a520dc7e\n}}\n"
        );
        assert_eq!(DatanodeIdFile::decode(&text).unwrap(), file());
    }

    #[test]
    fn an_identity_without_a_uuid_or_with_a_wrong_one_is_refused() {
        let text = file().encode();
        let gone = DatanodeIdFile::decode(&text.replace("uuid:", "name:")).unwrap_err();
        assert_eq!(gone, FormatError::Missing { what: WHAT, key: "uuid" });
        assert!(DatanodeIdFile::decode(&text.replace("fc91", "fcx1")).is_err());
        assert!(DatanodeIdFile::decode(&text.replace("9859", "98590")).is_err());
    }
}
