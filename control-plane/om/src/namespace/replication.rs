//! Replication configs as requests carry them, and how many bytes a key takes on all its datanodes.

use allotrope_proto::hdds::{DefaultReplicationConfig, EcReplicationConfig};
use allotrope_proto::om::{KeyArgs, KeyInfo};
use allotrope_types::{EcCodec, EcConfig, OmStatus, ReplicationConfig, ReplicationFactor, ReplicationType};

use crate::refusal::{Refusal, refuse};

/// The config that three fields of a message stand for; `None` where they say "not given".
pub(crate) fn from_wire(
    kind: Option<i32>,
    factor: Option<i32>,
    ec: Option<&EcReplicationConfig>,
) -> Result<Option<ReplicationConfig>, Refusal> {
    if let Some(ec) = ec {
        let codec: EcCodec = ec.codec.parse().map_err(Refusal::name(OmStatus::InvalidRequest))?;
        let config = EcConfig::new(codec, ec.data, ec.parity, ec.ec_chunk_size);
        return config
            .map(|ec| Some(ReplicationConfig::Ec(ec)))
            .map_err(Refusal::name(OmStatus::InvalidRequest));
    }
    let Some(kind) = kind.filter(|number| *number >= 0) else { return Ok(None) };
    let kind = ReplicationType::from_wire(kind);
    let factor = factor.filter(|number| *number != 0);
    match (kind, factor.map(ReplicationFactor::from_wire)) {
        (Some(ReplicationType::Ratis), Some(Some(factor))) => Ok(Some(ReplicationConfig::Ratis(factor))),
        (Some(ReplicationType::StandAlone), Some(Some(factor))) => {
            Ok(Some(ReplicationConfig::StandAlone(factor)))
        }
        (Some(ReplicationType::Ec), _) => {
            refuse!(InvalidRequest, "replication type EC comes without its scheme")
        }
        // A type without a factor is Java's way to say "the default".
        (Some(_), None) => Ok(None),
        (None, _) | (_, Some(None)) => refuse!(
            InvalidRequest,
            "the replication type or factor is none of RATIS, \
            STAND_ALONE and EC, ONE and THREE"
        ),
    }
}

/// The config that `args` ask for.
pub(crate) fn of_args(args: &KeyArgs) -> Result<Option<ReplicationConfig>, Refusal> {
    from_wire(args.r#type, args.factor, args.ec_replication_config.as_ref())
}

/// The config of a stored key.
pub(crate) fn of_key(key: &KeyInfo) -> Result<ReplicationConfig, Refusal> {
    from_wire(Some(key.r#type), key.factor, key.ec_replication_config.as_ref())?.ok_or_else(|| {
        Refusal::new(OmStatus::InternalError, format!("key {} has no replication config", key.key_name))
    })
}

/// The config of a bucket's keys by default, if it has one.
pub(crate) fn of_bucket(
    default: Option<&DefaultReplicationConfig>,
) -> Result<Option<ReplicationConfig>, Refusal> {
    match default {
        Some(given) => from_wire(Some(given.r#type), given.factor, given.ec_replication_config.as_ref()),
        None => Ok(None),
    }
}

/// Type, factor and scheme of `config`, as messages carry them.
pub(crate) fn to_wire(config: ReplicationConfig) -> (i32, Option<i32>, Option<EcReplicationConfig>) {
    let ec = config.ec().map(|ec| EcReplicationConfig {
        data: ec.data() as i32,
        parity: ec.parity() as i32,
        codec: ec.codec().name().to_owned(),
        ec_chunk_size: ec.cell_len().as_u64() as i32,
    });
    (config.kind() as i32, config.factor().map(|factor| factor as i32), ec)
}

/// Writes `config` into the three fields of `args`.
pub(crate) fn set_args(args: &mut KeyArgs, config: ReplicationConfig) {
    let (kind, factor, ec) = to_wire(config);
    (args.r#type, args.factor, args.ec_replication_config) = (Some(kind), factor, ec);
}

/// The bytes that `size` bytes of a key take on all datanodes together; saturates.
pub(crate) fn size_on_disk(config: ReplicationConfig, size: u64) -> u64 {
    let Some(ec) = config.ec() else {
        let copies = config.factor().map_or(1, ReplicationFactor::copies) as u64;
        return size.saturating_mul(copies);
    };
    let (cell, stripe) = (ec.cell_len().as_u64(), ec.stripe_len().as_u64());
    let parity = (ec.parity() as u64).saturating_mul(cell.saturating_mul(size / stripe));
    let last = (ec.parity() as u64) * cell.min(size % stripe);
    size.saturating_add(parity).saturating_add(last)
}

/// How many blocks of `block_size` a key of `size` bytes fills: the block group of an EC key holds `data` of them.
pub(crate) fn blocks_for(config: ReplicationConfig, size: u64, block_size: u64) -> u64 {
    let group = config.ec().map_or(1, |ec| ec.data() as u64).saturating_mul(block_size.max(1));
    size.div_ceil(group)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_config_comes_back_from_the_wire() {
        for text in ["RATIS/THREE", "RATIS/ONE", "STAND_ALONE/ONE", "rs-3-2-1024k", "xor-2-1-512k"] {
            let config: ReplicationConfig = text.parse().unwrap();
            let (kind, factor, ec) = to_wire(config);
            assert_eq!(from_wire(Some(kind), factor, ec.as_ref()).unwrap(), Some(config));
        }
    }

    #[test]
    fn not_given_is_not_a_config() {
        // NONE and ZERO are what Java writes for "use the default".
        assert_eq!(from_wire(Some(-1), Some(0), None).unwrap(), None);
        assert_eq!(from_wire(None, None, None).unwrap(), None);
        assert_eq!(from_wire(Some(1), Some(0), None).unwrap(), None);
        assert!(from_wire(Some(4), None, None).unwrap_err().is(OmStatus::InvalidRequest));
        assert!(from_wire(Some(3), Some(1), None).unwrap_err().is(OmStatus::InvalidRequest));
        assert!(from_wire(Some(1), Some(2), None).unwrap_err().is(OmStatus::InvalidRequest));
    }

    #[test]
    fn sizes_count_every_copy_and_every_parity_cell() {
        let size = |text: &str, bytes| size_on_disk(text.parse().unwrap(), bytes);
        assert_eq!(size("RATIS/THREE", 10), 30);
        assert_eq!(size("STAND_ALONE/ONE", 10), 10);
        // The captured put: 2.5 MiB in one short stripe of rs-3-2-1024k used 4718592 bytes.
        assert_eq!(size("rs-3-2-1024k", 2_621_440), 4_718_592);
        assert_eq!(size("rs-3-2-1024k", 3 << 20), 5 << 20);
        assert_eq!(size("rs-3-2-1024k", 100), 300);
        assert_eq!(size("rs-3-2-1024k", 0), 0);
        assert_eq!(size("RATIS/THREE", u64::MAX), u64::MAX);
    }

    #[test]
    fn an_ec_key_fills_a_block_group_before_the_next() {
        let blocks = |text: &str, bytes| blocks_for(text.parse().unwrap(), bytes, 256 << 20);
        assert_eq!(blocks("STAND_ALONE/ONE", 0), 0);
        assert_eq!(blocks("STAND_ALONE/ONE", 1), 1);
        assert_eq!(blocks("STAND_ALONE/ONE", (256 << 20) + 1), 2);
        assert_eq!(blocks("rs-3-2-1024k", 768 << 20), 1);
        assert_eq!(blocks("rs-3-2-1024k", (768 << 20) + 1), 2);
    }
}
