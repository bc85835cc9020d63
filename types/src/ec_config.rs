//! Erasure coding schemes: how many data and parity cells, which code, how long a cell.
//!
//! Text    `<codec>-<data>-<parity>-<cell>[k]`, any case: `rs-6-3-1024k`, `XOR-2-1-1048576`. Printed in lower case
//!         with the cell in KiB, as Ozone's `getReplication` does.
//! Errors  no cells of a kind, more than 32 in all, `xor` with more than one parity cell, or a cell that is not a
//!         positive number of whole KiB below 2 GiB. (Ozone lets odd cell lengths through and then prints them
//!         rounded, so that two schemes look alike; its default allow list has none of them.)

use std::fmt;
use std::str::FromStr;

use crate::id::parse_decimal;
use crate::{ByteCount, Malformed, ReplicaIndex};

/// The code that makes the parity cells.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum EcCodec {
    /// Reed-Solomon over GF(2⁸) with Ozone's Cauchy matrix.
    Rs,
    /// One parity cell, the XOR of all data cells.
    Xor,
}

impl EcCodec {
    /// The name on the wire and in text.
    pub const fn name(self) -> &'static str {
        match self {
            EcCodec::Rs => "rs",
            EcCodec::Xor => "xor",
        }
    }
}

impl fmt::Display for EcCodec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for EcCodec {
    type Err = Malformed;
    fn from_str(text: &str) -> Result<EcCodec, Malformed> {
        [EcCodec::Rs, EcCodec::Xor]
            .into_iter()
            .find(|codec| codec.name().eq_ignore_ascii_case(text))
            .ok_or_else(|| Malformed::new("erasure codec", text, 0, "it is neither rs nor xor", "rs"))
    }
}

/// One erasure coding scheme, known to be possible.
///
/// ```
/// use allotrope_types::{ByteCount, EcConfig, ReplicaIndex};
///
/// let scheme: EcConfig = "RS-6-3-1024K".parse()?;
/// assert_eq!((scheme.data(), scheme.parity(), scheme.cell_len()), (6, 3, ByteCount::mib(1)));
/// assert_eq!(scheme.stripe_len(), ByteCount::mib(6));
/// assert!(scheme.is_parity(ReplicaIndex::new(7).unwrap()));
/// assert_eq!(scheme.to_string(), "rs-6-3-1024k");
/// # Ok::<(), allotrope_types::Malformed>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct EcConfig {
    codec: EcCodec,
    data: u8,
    parity: u8,
    cell_len: u32,
}

const EXAMPLE: &str = "rs-6-3-1024k";
const KIB: u32 = 1024;

impl EcConfig {
    /// The scheme with these cells; the wire's `ECReplicationConfig` comes in here. `cell_len` is in bytes.
    pub fn new(codec: EcCodec, data: i32, parity: i32, cell_len: i32) -> Result<EcConfig, Malformed> {
        let spelled = || format!("{codec}-{data}-{parity}-{cell_len}");
        EcConfig::checked(codec, i64::from(data), i64::from(parity), i64::from(cell_len))
            .map_err(|(_, why)| Malformed::new("replication config", &spelled(), 0, why, EXAMPLE))
    }

    /// The scheme, or which of the four fields is wrong and why.
    fn checked(codec: EcCodec, data: i64, parity: i64, cell: i64) -> Result<EcConfig, (usize, &'static str)> {
        let max = i64::from(ReplicaIndex::MAX);
        if !(1..=max).contains(&data) {
            return Err((1, "data cells must be between 1 and 31"));
        }
        if !(1..=max).contains(&parity) || data + parity > max {
            return Err((2, "data and parity cells must be at least 1 each and at most 32 together"));
        }
        if codec == EcCodec::Xor && parity != 1 {
            return Err((2, "xor makes exactly one parity cell"));
        }
        if cell <= 0 || cell > i64::from(i32::MAX) || cell % i64::from(KIB) != 0 {
            return Err((3, "a cell must be a positive number of whole KiB below 2 GiB"));
        }
        let (Ok(data), Ok(parity), Ok(cell_len)) =
            (u8::try_from(data), u8::try_from(parity), u32::try_from(cell))
        else {
            return Err((3, "a number is out of range"));
        };
        Ok(EcConfig { codec, data, parity, cell_len })
    }

    /// The code that makes the parity cells.
    pub const fn codec(self) -> EcCodec {
        self.codec
    }

    /// Data cells of a stripe, at least 1.
    pub const fn data(self) -> usize {
        self.data as usize
    }

    /// Parity cells of a stripe, at least 1: how many replicas may be lost.
    pub const fn parity(self) -> usize {
        self.parity as usize
    }

    /// Cells of a stripe, so replicas of a container: at most 32.
    pub const fn total(self) -> usize {
        self.data() + self.parity()
    }

    /// Bytes of a full cell, a whole number of KiB.
    pub const fn cell_len(self) -> ByteCount {
        ByteCount::new(self.cell_len as u64)
    }

    /// Bytes of a full stripe's data cells.
    pub const fn stripe_len(self) -> ByteCount {
        ByteCount::new(self.cell_len as u64 * self.data as u64)
    }

    /// The indexes of the replicas in stripe order: data cells first.
    pub fn indexes(self) -> impl DoubleEndedIterator<Item = ReplicaIndex> + Clone {
        (1..=self.data + self.parity).filter_map(ReplicaIndex::new)
    }

    /// Whether this scheme has a replica `index`.
    pub const fn has(self, index: ReplicaIndex) -> bool {
        index.position() < self.total()
    }

    /// Whether replica `index` holds data cells (and not parity, and not nothing).
    pub const fn is_data(self, index: ReplicaIndex) -> bool {
        index.position() < self.data()
    }

    /// Whether replica `index` holds parity cells.
    pub const fn is_parity(self, index: ReplicaIndex) -> bool {
        self.has(index) && !self.is_data(index)
    }
}

impl fmt::Display for EcConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}-{}-{}k", self.codec, self.data, self.parity, self.cell_len / KIB)
    }
}

impl FromStr for EcConfig {
    type Err = Malformed;
    fn from_str(text: &str) -> Result<EcConfig, Malformed> {
        EcConfig::parse_within(text, 0)
    }
}

impl EcConfig {
    /// Parses what follows byte `from` of `whole`; an error shows all of `whole`.
    pub(crate) fn parse_within(whole: &str, from: usize) -> Result<EcConfig, Malformed> {
        let malformed =
            |at: usize, why: &'static str| Malformed::new("replication config", whole, at, why, EXAMPLE);
        let mut starts = [whole.len(); 4];
        let mut fields = [""; 4];
        let mut at = from;
        for (n, field) in whole[from..].split('-').enumerate() {
            if n == 4 {
                return Err(malformed(at - 1, "expected the end"));
            }
            (starts[n], fields[n]) = (at, field);
            at += field.len() + 1;
        }
        let codec = fields[0].parse::<EcCodec>().map_err(|_| malformed(starts[0], "expected rs or xor"))?;
        let [data, parity] = [1, 2].map(|n| number(fields[n]).map_err(|off| starts[n] + off));
        let data = data.map_err(|at| malformed(at, "expected a number"))?;
        let parity = parity.map_err(|at| malformed(at, "expected a number"))?;
        let (cell, unit) = match fields[3].strip_suffix(['k', 'K']) {
            Some(kibs) => (kibs, i64::from(KIB)),
            None => (fields[3], 1),
        };
        let cell = number(cell).map_err(|off| malformed(starts[3] + off, "expected a number"))?;
        EcConfig::checked(codec, data, parity, cell.saturating_mul(unit))
            .map_err(|(field, why)| malformed(starts[field], why))
    }
}

/// A number, or the byte where it goes wrong. One too large for any field stays too large.
fn number(text: &str) -> Result<i64, usize> {
    match parse_decimal(text) {
        Ok(number) => Ok(number.cast_signed()),
        Err(_) if !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()) => Ok(i64::MAX),
        Err((at, _)) => Err(at),
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Every scheme that can be.
    pub(crate) fn any_config() -> impl Strategy<Value = EcConfig> {
        let rs = (1..=31i32, 1..=2_097_151i32).prop_flat_map(|(data, kib)| {
            (1..=32 - data)
                .prop_map(move |parity| EcConfig::new(EcCodec::Rs, data, parity, kib * 1024).unwrap())
        });
        let xor = (1..=31i32, 1..=2_097_151i32)
            .prop_map(|(data, kib)| EcConfig::new(EcCodec::Xor, data, 1, kib * 1024).unwrap());
        prop_oneof![rs, xor]
    }

    proptest! {
        #[test]
        fn a_scheme_survives_its_text_in_any_case(config in any_config()) {
            prop_assert_eq!(config.to_string().parse::<EcConfig>().unwrap(), config);
            prop_assert_eq!(config.to_string().to_uppercase().parse::<EcConfig>().unwrap(), config);
        }

        #[test]
        fn each_replica_holds_data_or_parity(config in any_config()) {
            prop_assert_eq!(config.indexes().count(), config.total());
            prop_assert_eq!(config.indexes().filter(|index| config.is_data(*index)).count(), config.data());
            prop_assert_eq!(config.indexes().filter(|index| config.is_parity(*index)).count(), config.parity());
        }

        #[test]
        fn no_text_makes_the_parser_panic(text in "(rs|XOR|é)?[-0-9kK]{0,30}") {
            let _ = text.parse::<EcConfig>();
        }
    }

    #[test]
    fn ozones_spellings_mean_what_they_mean_there() {
        let table = [
            ("rs-6-3-1024k", (EcCodec::Rs, 6, 3, 1 << 20), "rs-6-3-1024k"),
            ("RS-3-2-2048", (EcCodec::Rs, 3, 2, 2048), "rs-3-2-2k"),
            ("Rs-10-4-512K", (EcCodec::Rs, 10, 4, 512 << 10), "rs-10-4-512k"),
            ("xor-2-1-1024k", (EcCodec::Xor, 2, 1, 1 << 20), "xor-2-1-1024k"),
        ];
        for (text, (codec, data, parity, cell), printed) in table {
            let config: EcConfig = text.parse().unwrap();
            assert_eq!(config, EcConfig::new(codec, data, parity, cell).unwrap());
            assert_eq!(config.to_string(), printed);
        }
    }

    #[test]
    fn damaged_schemes_are_refused_at_the_right_place() {
        let table = [
            ("", 1, "expected rs or xor"),
            ("lrc-6-3-1024k", 1, "expected rs or xor"),
            ("rs", 3, "expected a number"),
            ("rs-6", 5, "expected a number"),
            ("rs-x-3-1024k", 4, "expected a number"),
            ("rs-6-3", 7, "expected a number"),
            ("rs-6-3-", 8, "expected a number"),
            ("rs-6-3-k", 8, "expected a number"),
            ("rs-6-3-1024m", 12, "expected a number"),
            ("rs-6-3-1024k-1", 13, "expected the end"),
            ("rs-0-3-1024k", 4, "data cells"),
            ("rs-6-0-1024k", 6, "at least 1 each"),
            ("rs-30-3-1024k", 7, "at most 32 together"),
            ("rs-99999999999999999999-3-1024k", 4, "data cells"),
            ("xor-2-2-1024k", 7, "exactly one parity cell"),
            ("rs-6-3-0k", 8, "whole KiB"),
            ("rs-6-3-1000", 8, "whole KiB"),
            ("rs-6-3-2097152k", 8, "below 2 GiB"),
        ];
        for (text, character, why) in table {
            let error = text.parse::<EcConfig>().unwrap_err();
            assert_eq!(error.character(), character, "{error}");
            assert!(error.to_string().contains(why), "{error}");
        }
    }

    #[test]
    fn schemes_from_the_wire_are_checked_too() {
        assert!(EcConfig::new(EcCodec::Rs, -6, 3, 1 << 20).is_err());
        assert!(EcConfig::new(EcCodec::Rs, 6, 3, -1024).is_err());
        assert!(EcConfig::new(EcCodec::Rs, i32::MAX, i32::MAX, i32::MAX).is_err());
        assert!(EcConfig::new(EcCodec::Rs, 28, 4, 1 << 20).is_ok());
    }
}
