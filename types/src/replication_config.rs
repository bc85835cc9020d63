//! How a key or a container is kept safe: copies by Raft, plain copies, or erasure coding.
//!
//! Text    `RATIS/THREE`, `STANDALONE/ONE`, `rs-6-3-1024k`, in any case. Also read: `STAND_ALONE/…` (the wire's
//!         name), a factor as a number (`RATIS/3`), and Ozone's two other spellings of EC, `EC{rs-6-3-1024k}` and
//!         `EC/rs-6-3-1024k`.
//! Errors  a [`Malformed`] for text and numbers that name no config; a [`ConfigNotAllowed`] where a config is sound
//!         but an administrator's list does not have it.

use std::fmt;
use std::str::FromStr;

use crate::{EcConfig, Malformed};

/// How many copies a replicated container has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum ReplicationFactor {
    /// One copy.
    One = 1,
    /// Three copies.
    Three = 3,
}

impl ReplicationFactor {
    /// Ozone's name: `ONE`, `THREE`.
    pub const fn name(self) -> &'static str {
        match self {
            ReplicationFactor::One => "ONE",
            ReplicationFactor::Three => "THREE",
        }
    }

    /// Copies, and the number on the wire.
    pub const fn copies(self) -> usize {
        self as usize
    }

    /// From the wire's number. 0 (ZERO) is the wire's word for "not given" and no factor.
    pub const fn from_wire(number: i32) -> Option<ReplicationFactor> {
        match number {
            1 => Some(ReplicationFactor::One),
            3 => Some(ReplicationFactor::Three),
            _ => None,
        }
    }
}

/// The kind of a config; its numbers on the wire. (CHAINED 3 was never built, NONE −1 means "not given".)
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum ReplicationType {
    /// Copies kept equal by Raft.
    Ratis = 1,
    /// Copies without consensus; what a closed container is read as.
    StandAlone = 2,
    /// Erasure coding.
    Ec = 4,
}

impl ReplicationType {
    /// The name on the wire: `RATIS`, `STAND_ALONE`, `EC`.
    pub const fn name(self) -> &'static str {
        match self {
            ReplicationType::Ratis => "RATIS",
            ReplicationType::StandAlone => "STAND_ALONE",
            ReplicationType::Ec => "EC",
        }
    }

    /// From the wire's number; `None` for the kinds that no config can have.
    pub const fn from_wire(number: i32) -> Option<ReplicationType> {
        match number {
            1 => Some(ReplicationType::Ratis),
            2 => Some(ReplicationType::StandAlone),
            4 => Some(ReplicationType::Ec),
            _ => None,
        }
    }
}

/// How the bytes of a container are kept safe.
///
/// ```
/// use allotrope_types::{ReplicationConfig, ReplicationFactor};
///
/// let ratis: ReplicationConfig = "ratis/three".parse()?;
/// assert_eq!(ratis, ReplicationConfig::Ratis(ReplicationFactor::Three));
/// assert_eq!(ratis.to_string(), "RATIS/THREE");
/// assert_eq!((ratis.required_nodes(), ratis.minimum_nodes()), (3, 1));
///
/// let ec: ReplicationConfig = "RS-6-3-1024K".parse()?;
/// assert_eq!(ec.to_string(), "rs-6-3-1024k");
/// assert_eq!((ec.required_nodes(), ec.minimum_nodes()), (9, 6));
/// # Ok::<(), allotrope_types::Malformed>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum ReplicationConfig {
    /// Copies kept equal by Raft.
    Ratis(ReplicationFactor),
    /// Copies without consensus.
    StandAlone(ReplicationFactor),
    /// Erasure coding.
    Ec(EcConfig),
}

const EXAMPLE: &str = "RATIS/THREE or rs-6-3-1024k";

fn malformed(text: &str, at: usize, why: &'static str) -> Malformed {
    Malformed::new("replication config", text, at, why, EXAMPLE)
}

impl ReplicationConfig {
    /// The kind.
    pub const fn kind(self) -> ReplicationType {
        match self {
            ReplicationConfig::Ratis(_) => ReplicationType::Ratis,
            ReplicationConfig::StandAlone(_) => ReplicationType::StandAlone,
            ReplicationConfig::Ec(_) => ReplicationType::Ec,
        }
    }

    /// The copies of a replicated config; `None` for EC.
    pub const fn factor(self) -> Option<ReplicationFactor> {
        match self {
            ReplicationConfig::Ratis(factor) | ReplicationConfig::StandAlone(factor) => Some(factor),
            ReplicationConfig::Ec(_) => None,
        }
    }

    /// The scheme of an EC config.
    pub const fn ec(self) -> Option<EcConfig> {
        match self {
            ReplicationConfig::Ec(ec) => Some(ec),
            _ => None,
        }
    }

    /// Datanodes that a container of this config lies on when all is well.
    pub const fn required_nodes(self) -> usize {
        match self {
            ReplicationConfig::Ratis(factor) | ReplicationConfig::StandAlone(factor) => factor.copies(),
            ReplicationConfig::Ec(ec) => ec.total(),
        }
    }

    /// Datanodes without which the bytes cannot be read.
    pub const fn minimum_nodes(self) -> usize {
        match self {
            ReplicationConfig::Ratis(_) | ReplicationConfig::StandAlone(_) => 1,
            ReplicationConfig::Ec(ec) => ec.data(),
        }
    }

    /// From what a user gives as two words: `--type EC --replication rs-6-3-1024k`, `--type RATIS --replication 3`.
    pub fn of_type(kind: ReplicationType, replication: &str) -> Result<ReplicationConfig, Malformed> {
        match kind {
            ReplicationType::Ratis => factor_within(replication, 0).map(ReplicationConfig::Ratis),
            ReplicationType::StandAlone => factor_within(replication, 0).map(ReplicationConfig::StandAlone),
            ReplicationType::Ec => replication.parse().map(ReplicationConfig::Ec),
        }
    }

    /// What follows the type where Ozone shows them apart: `THREE`, `rs-6-3-1024k`.
    pub fn replication(self) -> String {
        match self {
            ReplicationConfig::Ratis(factor) | ReplicationConfig::StandAlone(factor) => {
                factor.name().to_owned()
            }
            ReplicationConfig::Ec(ec) => ec.to_string(),
        }
    }

    /// The text that Ozone's setting `ozone.replication.allowed-configs`, a regular expression, is matched with:
    /// `RATIS/THREE`, `STANDALONE/ONE`, `EC/6-3-1024k` (without the codec).
    pub fn allowed_configs_text(self) -> String {
        match self {
            ReplicationConfig::Ec(ec) => {
                format!("EC/{}-{}-{}k", ec.data(), ec.parity(), ec.cell_len().as_u64() / 1024)
            }
            replicated => replicated.to_string(),
        }
    }

    /// Checks the default of `ozone.replication.allowed-configs`: any replicated config, and EC 3-2, 6-3 or 10-4
    /// with cells of 512, 1024, 2048 or 4096 KiB.
    pub fn allowed_by_default(self) -> Result<(), ConfigNotAllowed> {
        let allowed = match self {
            ReplicationConfig::Ratis(_) | ReplicationConfig::StandAlone(_) => true,
            ReplicationConfig::Ec(ec) => {
                matches!((ec.data(), ec.parity()), (3, 2) | (6, 3) | (10, 4))
                    && matches!(ec.cell_len().as_u64() / 1024, 512 | 1024 | 2048 | 4096)
            }
        };
        if allowed { Ok(()) } else { Err(ConfigNotAllowed { config: self }) }
    }
}

/// A sound config that `ozone.replication.allowed-configs` does not have.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "replication config {config} is not allowed here; use RATIS/ONE, RATIS/THREE or EC 3-2, 6-3, 10-4 with cells of \
     512k, 1024k, 2048k or 4096k, or let an administrator extend ozone.replication.allowed-configs"
)]
pub struct ConfigNotAllowed {
    /// The config that was asked for.
    pub config: ReplicationConfig,
}

impl fmt::Display for ReplicationConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ReplicationConfig::Ratis(factor) => write!(f, "RATIS/{}", factor.name()),
            ReplicationConfig::StandAlone(factor) => write!(f, "STANDALONE/{}", factor.name()),
            ReplicationConfig::Ec(ec) => ec.fmt(f),
        }
    }
}

impl FromStr for ReplicationConfig {
    type Err = Malformed;
    fn from_str(text: &str) -> Result<ReplicationConfig, Malformed> {
        let end = text.find(['/', '{', '-']).unwrap_or(text.len());
        let kind = text[..end].to_ascii_uppercase();
        let rest = &text[end..];
        match (kind.as_str(), rest.bytes().next()) {
            ("RATIS", Some(b'/')) => factor_within(text, end + 1).map(ReplicationConfig::Ratis),
            ("STANDALONE" | "STAND_ALONE", Some(b'/')) => {
                factor_within(text, end + 1).map(ReplicationConfig::StandAlone)
            }
            ("RATIS" | "STANDALONE" | "STAND_ALONE", _) => {
                Err(malformed(text, end, "expected '/' and a factor"))
            }
            ("EC", Some(b'/')) => EcConfig::parse_within(text, end + 1).map(ReplicationConfig::Ec),
            ("EC", Some(b'{')) => match text.strip_suffix('}') {
                Some(open) => EcConfig::parse_within(open, end + 1).map(ReplicationConfig::Ec),
                None => Err(malformed(text, text.len(), "expected '}'")),
            },
            (_, Some(b'-')) => EcConfig::parse_within(text, 0).map(ReplicationConfig::Ec),
            _ => Err(malformed(text, 0, "expected RATIS, STANDALONE, EC, rs or xor")),
        }
    }
}

/// Parses the factor that follows byte `from` of `whole`: `ONE`, `THREE`, `1` or `3`.
fn factor_within(whole: &str, from: usize) -> Result<ReplicationFactor, Malformed> {
    match whole[from..].to_ascii_uppercase().as_str() {
        "ONE" | "1" => Ok(ReplicationFactor::One),
        "THREE" | "3" => Ok(ReplicationFactor::Three),
        _ => Err(malformed(whole, from, "expected the factor ONE or THREE")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ec_config::tests::any_config;
    use proptest::prelude::*;

    fn any_replication() -> impl Strategy<Value = ReplicationConfig> {
        let factor = prop_oneof![Just(ReplicationFactor::One), Just(ReplicationFactor::Three)];
        prop_oneof![
            factor.clone().prop_map(ReplicationConfig::Ratis),
            factor.prop_map(ReplicationConfig::StandAlone),
            any_config().prop_map(ReplicationConfig::Ec),
        ]
    }

    proptest! {
        #[test]
        fn a_config_survives_its_text_in_any_case(config in any_replication()) {
            prop_assert_eq!(config.to_string().parse::<ReplicationConfig>().unwrap(), config);
            prop_assert_eq!(config.to_string().to_lowercase().parse::<ReplicationConfig>().unwrap(), config);
            prop_assert_eq!(ReplicationConfig::of_type(config.kind(), &config.replication()).unwrap(), config);
        }

        #[test]
        fn no_text_makes_the_parser_panic(text in "(RATIS|EC|rs|stand_alone)?[/{}a-zé0-9-]{0,12}") {
            let _ = text.parse::<ReplicationConfig>();
        }
    }

    #[test]
    fn ozones_spellings_are_read() {
        let table = [
            ("RATIS/ONE", "RATIS/ONE", "RATIS/ONE"),
            ("RATIS/3", "RATIS/THREE", "RATIS/THREE"),
            ("stand_alone/one", "STANDALONE/ONE", "STANDALONE/ONE"),
            ("STANDALONE/THREE", "STANDALONE/THREE", "STANDALONE/THREE"),
            ("rs-10-4-1024k", "rs-10-4-1024k", "EC/10-4-1024k"),
            ("EC{rs-3-2-1024k}", "rs-3-2-1024k", "EC/3-2-1024k"),
            ("ec/xor-2-1-1024k", "xor-2-1-1024k", "EC/2-1-1024k"),
        ];
        for (text, printed, allow_text) in table {
            let config: ReplicationConfig = text.parse().unwrap();
            assert_eq!(config.to_string(), printed);
            assert_eq!(config.allowed_configs_text(), allow_text);
        }
    }

    #[test]
    fn damaged_configs_are_refused_at_the_right_place() {
        let table = [
            ("", 1, "expected RATIS"),
            ("RATS/THREE", 1, "expected RATIS"),
            ("RATIS", 6, "expected '/'"),
            ("RATIS/", 7, "factor"),
            ("RATIS/TWO", 7, "factor"),
            ("RATIS/2", 7, "factor"),
            ("RATIS/THREE ", 7, "factor"),
            ("EC{rs-6-3-1024k", 16, "'}'"),
            ("EC{rs-6-x-1024k}", 9, "number"),
            ("EC/6-3-1024k", 4, "rs or xor"),
            ("rs-6-3", 7, "number"),
        ];
        for (text, character, why) in table {
            let error = text.parse::<ReplicationConfig>().unwrap_err();
            assert_eq!(error.character(), character, "{error}");
            assert!(error.to_string().contains(why), "{error}");
        }
    }

    #[test]
    fn the_default_list_has_what_ozones_regular_expression_has() {
        let table = [
            ("RATIS/ONE", true),
            ("RATIS/THREE", true),
            ("STANDALONE/ONE", true),
            ("rs-3-2-512k", true),
            ("rs-6-3-1024k", true),
            ("rs-10-4-4096k", true),
            ("xor-2-1-1024k", false),
            ("rs-6-3-256k", false),
            ("rs-4-2-1024k", false),
            ("rs-3-2-1k", false),
        ];
        for (text, allowed) in table {
            let config: ReplicationConfig = text.parse().unwrap();
            assert_eq!(config.allowed_by_default().is_ok(), allowed, "{text}");
        }
    }

    #[test]
    fn the_wires_words_for_nothing_are_no_config() {
        assert_eq!([-1, 0, 3, 5].map(ReplicationType::from_wire), [None; 4]);
        assert_eq!([-1, 0, 2, 4].map(ReplicationFactor::from_wire), [None; 4]);
        for kind in [ReplicationType::Ratis, ReplicationType::StandAlone, ReplicationType::Ec] {
            assert_eq!(ReplicationType::from_wire(kind as i32), Some(kind));
        }
    }
}
