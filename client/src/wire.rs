//! Replication configs between OM's messages and our own.
//!
//! Errors  a config that names nothing is said in words, for an error that knows the act.

use allotrope_proto::{hdds, om};
use allotrope_types::{EcCodec, EcConfig, ReplicationConfig, ReplicationFactor};

/// The three fields in which a key or a request carries its replication.
pub(crate) struct ReplicationFields {
    pub(crate) kind: i32,
    pub(crate) factor: Option<i32>,
    pub(crate) ec: Option<hdds::EcReplicationConfig>,
}

impl ReplicationFields {
    pub(crate) fn of(config: ReplicationConfig) -> ReplicationFields {
        ReplicationFields {
            kind: config.kind() as i32,
            factor: config.factor().map(|factor| factor as i32),
            ec: config.ec().map(|ec| hdds::EcReplicationConfig {
                data: ec.data() as i32,
                parity: ec.parity() as i32,
                codec: ec.codec().name().to_owned(),
                ec_chunk_size: ec.cell_len().as_u64() as i32,
            }),
        }
    }

    pub(crate) fn read(self) -> Result<ReplicationConfig, String> {
        use hdds::ReplicationType as Wire;
        let factor = || {
            let number = self.factor.unwrap_or(0);
            ReplicationFactor::from_wire(number)
                .ok_or_else(|| format!("replication factor {number} is unknown"))
        };
        match Wire::try_from(self.kind) {
            Ok(Wire::Ratis) => factor().map(ReplicationConfig::Ratis),
            Ok(Wire::StandAlone) => factor().map(ReplicationConfig::StandAlone),
            Ok(Wire::Ec) => {
                let ec = self.ec.ok_or("an EC key comes without its scheme")?;
                let codec = ec.codec.parse::<EcCodec>().map_err(|e| e.to_string())?;
                let config = EcConfig::new(codec, ec.data, ec.parity, ec.ec_chunk_size);
                config.map(ReplicationConfig::Ec).map_err(|e| e.to_string())
            }
            _ => Err(format!("replication type {} is unknown", self.kind)),
        }
    }
}

pub(crate) fn replication_of_key(info: &om::KeyInfo) -> Result<ReplicationConfig, String> {
    let ec = info.ec_replication_config.clone();
    ReplicationFields { kind: info.r#type, factor: info.factor, ec }.read()
}

pub(crate) fn default_replication(config: ReplicationConfig) -> hdds::DefaultReplicationConfig {
    let fields = ReplicationFields::of(config);
    hdds::DefaultReplicationConfig {
        r#type: fields.kind,
        factor: fields.factor,
        ec_replication_config: fields.ec,
    }
}

/// Metadata and tags, in the order of their names.
pub(crate) fn pairs(list: Vec<hdds::KeyValue>) -> std::collections::BTreeMap<String, String> {
    list.into_iter().map(|pair| (pair.key, pair.value.unwrap_or_default())).collect()
}

/// A quota as OM gives it: unsigned on the wire though it may be -1.
pub(crate) fn quota(wire: Option<u64>) -> i64 {
    wire.map_or(-1, u64::cast_signed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_config_survives_the_wire() {
        for text in ["RATIS/ONE", "RATIS/THREE", "STANDALONE/ONE", "rs-3-2-1024k", "xor-2-1-512k"] {
            let config: ReplicationConfig = text.parse().unwrap();
            assert_eq!(ReplicationFields::of(config).read(), Ok(config));
        }
    }

    #[test]
    fn words_for_nothing_are_refused() {
        let read = |kind, factor| ReplicationFields { kind, factor, ec: None }.read();
        for (kind, factor) in [(-1, None), (3, Some(1)), (1, Some(0)), (2, None), (4, None), (99, Some(3))] {
            assert!(read(kind, factor).is_err(), "{kind} {factor:?}");
        }
    }
}
