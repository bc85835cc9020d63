//! Counts of bytes, read and printed with binary units.
//!
//! Units   `KB`, `MB`, `GB`… are powers of 1024, as everywhere in Ozone's settings; `KiB`, `MiB`… mean the same.
//! Text    `5GB`, `0.5 GiB`, `64m`, `1048576`, `10 megabytes`: a decimal number and a unit in any case, bytes if none.
//! Errors  a missing number, an unknown unit, a sign, or more than `u64::MAX` bytes.
//! Source  Ozone's StorageSize and StorageUnit; unlike them this refuses negative sizes and exponents. A setting that
//!         says `-1` for "not given" (`hdds.datanode.volume.min.free.space`) is for its reader to tell apart.

use std::fmt;
use std::str::FromStr;

use crate::Malformed;

/// A number of bytes: a length, a capacity, a quota in use.
///
/// ```
/// use allotrope_types::ByteCount;
/// assert_eq!("16KB".parse(), Ok(ByteCount::kib(16)));
/// assert_eq!(ByteCount::new(5_153_960_755).to_string(), "4.8 GiB"); // for people
/// assert_eq!(ByteCount::gib(5).storage_size().to_string(), "5GB"); // for settings, always exact
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ByteCount(u64);

/// Suffix, short name, IEC name, long name, bytes; largest first.
const UNITS: [(&str, &str, &str, &str, u64); 7] = [
    ("e", "eb", "eib", "exabytes", 1 << 60),
    ("p", "pb", "pib", "petabytes", 1 << 50),
    ("t", "tb", "tib", "terabytes", 1 << 40),
    ("g", "gb", "gib", "gigabytes", 1 << 30),
    ("m", "mb", "mib", "megabytes", 1 << 20),
    ("k", "kb", "kib", "kilobytes", 1 << 10),
    ("b", "b", "byte", "bytes", 1),
];

impl ByteCount {
    /// No bytes.
    pub const ZERO: ByteCount = ByteCount(0);

    /// This many bytes.
    pub const fn new(bytes: u64) -> ByteCount {
        ByteCount(bytes)
    }

    /// This many times 1024 bytes; the largest count if that is more than fits.
    pub const fn kib(n: u64) -> ByteCount {
        ByteCount(n.saturating_mul(1 << 10))
    }

    /// This many times 1024² bytes; the largest count if that is more than fits.
    pub const fn mib(n: u64) -> ByteCount {
        ByteCount(n.saturating_mul(1 << 20))
    }

    /// This many times 1024³ bytes; the largest count if that is more than fits.
    pub const fn gib(n: u64) -> ByteCount {
        ByteCount(n.saturating_mul(1 << 30))
    }

    /// The length of a slice or buffer in memory.
    pub const fn of(bytes: &[u8]) -> ByteCount {
        ByteCount(bytes.len() as u64)
    }

    /// The bare number, for codecs and system calls.
    pub const fn as_u64(self) -> u64 {
        self.0
    }

    /// The count as a length in memory; `None` if no slice can be that long.
    pub fn as_usize(self) -> Option<usize> {
        usize::try_from(self.0).ok().filter(|len| *len <= isize::MAX as usize)
    }

    /// Whether there are no bytes.
    pub const fn is_zero(self) -> bool {
        self.0 == 0
    }

    /// Both together; `None` beyond `u64::MAX`.
    pub fn plus(self, more: ByteCount) -> Option<ByteCount> {
        self.0.checked_add(more.0).map(ByteCount)
    }

    /// What is left after `less`; `None` if there is not that much.
    pub fn minus(self, less: ByteCount) -> Option<ByteCount> {
        self.0.checked_sub(less.0).map(ByteCount)
    }

    /// What is left after `less`, nothing if there is not that much.
    pub const fn saturating_minus(self, less: ByteCount) -> ByteCount {
        ByteCount(self.0.saturating_sub(less.0))
    }

    /// `n` of these; `None` beyond `u64::MAX`.
    pub fn times(self, n: u64) -> Option<ByteCount> {
        self.0.checked_mul(n).map(ByteCount)
    }

    /// How many pieces of `piece` cover this count, the last perhaps short; `None` if a piece has no bytes.
    pub fn pieces_of(self, piece: ByteCount) -> Option<u64> {
        (piece.0 > 0).then(|| self.0.div_ceil(piece.0))
    }

    /// The count as Ozone's settings spell it: the largest unit that needs no fraction, without a space.
    pub const fn storage_size(self) -> StorageSize {
        StorageSize(self)
    }
}

/// A count printed as Ozone's settings spell sizes: `5GB`, `1000KB`, `17B`. Parses back to exactly the same count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StorageSize(ByteCount);

impl fmt::Display for StorageSize {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let bytes = self.0.as_u64();
        let (_, short, _, _, unit) =
            UNITS.iter().find(|unit| bytes > 0 && bytes.is_multiple_of(unit.4)).unwrap_or(&UNITS[6]);
        write!(f, "{}{}", bytes / unit, short.to_ascii_uppercase())
    }
}

/// For people: one decimal at most, rounded to the nearest. `4.8 GiB`, `5 GiB`, `512 B`.
impl fmt::Display for ByteCount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let tenths_in = |unit: u64| (u128::from(self.0) * 10 + u128::from(unit / 2)) / u128::from(unit);
        let largest = UNITS.iter().position(|unit| self.0 >= unit.4).unwrap_or(UNITS.len() - 1);
        // Where rounding would print 1024 of a unit, it prints 1 of the next.
        let carried = largest > 0 && tenths_in(UNITS[largest].4) >= 10_240;
        let (suffix, .., unit) = UNITS[largest - usize::from(carried)];
        let name = match unit {
            1 => "B".to_owned(),
            _ => format!("{}iB", suffix.to_ascii_uppercase()),
        };
        let tenths = tenths_in(unit);
        let text = match tenths % 10 {
            0 => format!("{} {name}", tenths / 10),
            tenth => format!("{}.{tenth} {name}", tenths / 10),
        };
        f.pad(&text)
    }
}

impl FromStr for ByteCount {
    type Err = Malformed;
    fn from_str(text: &str) -> Result<ByteCount, Malformed> {
        let malformed = |at: usize, why: &'static str| Malformed::new("size", text, at, why, "5GB");
        let start = text.len() - text.trim_start().len();
        let body = text.trim();
        let number_len = body.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(body.len());
        let (number, rest) = body.split_at(number_len);
        let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
        if whole.is_empty() {
            return Err(malformed(start, "expected a number"));
        }
        if fraction.contains('.') || (fraction.is_empty() && number.contains('.')) {
            return Err(malformed(start + whole.len() + 1, "expected digits after the point"));
        }
        let name = rest.trim_start().to_ascii_lowercase();
        let unit = match UNITS.iter().find(|u| [u.0, u.1, u.2, u.3].contains(&name.as_str())) {
            Some(unit) => unit.4,
            None if name.is_empty() => 1,
            None => {
                let at = start + number_len + (rest.len() - rest.trim_start().len());
                return Err(malformed(at, "expected one of the units B, KB, MB, GB, TB, PB, EB"));
            }
        };
        let too_large = || malformed(start, "it is more than 18446744073709551615 bytes");
        let whole: u64 = whole.parse().map_err(|_| too_large())?;
        let bytes = whole.checked_mul(unit).ok_or_else(too_large)?;
        bytes.checked_add(fraction_of(unit, fraction)).map(ByteCount).ok_or_else(too_large)
    }
}

/// The whole bytes in `0.digits` of `unit`. Digits past the eighteenth are worth less than a byte of any unit.
fn fraction_of(unit: u64, digits: &str) -> u64 {
    let mut numerator: u128 = 0;
    let mut denominator: u128 = 1;
    for digit in digits.bytes().take(18) {
        numerator = numerator * 10 + u128::from(digit - b'0');
        denominator *= 10;
    }
    u64::try_from(u128::from(unit) * numerator / denominator).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn a_count_survives_its_storage_size(bytes in any::<u64>(), shift in 0..64u32) {
            let count = ByteCount::new(bytes >> shift << (shift / 2));
            prop_assert_eq!(count.storage_size().to_string().parse::<ByteCount>().unwrap(), count);
        }

        #[test]
        fn what_people_read_is_within_a_twentieth_and_reads_back_the_same(bytes in any::<u64>(), shift in 1..64u32) {
            let count = ByteCount::new(bytes >> shift);
            let shown: ByteCount = count.to_string().parse().unwrap();
            prop_assert!(count.as_u64().abs_diff(shown.as_u64()) <= count.as_u64() / 20 + 1);
            prop_assert_eq!(shown.to_string(), count.to_string());
        }

        #[test]
        fn no_text_makes_the_parser_panic(text in "[ 0-9.eEkKgGbBiIé+-]{0,24}") {
            let _ = text.parse::<ByteCount>();
        }
    }

    #[test]
    fn ozones_sizes_are_binary() {
        let table = [
            ("5GB", 5 << 30),
            ("1MB", 1 << 20),
            ("16KB", 16 << 10),
            ("100B", 100),
            ("0B", 0),
            ("1048576", 1 << 20),
            ("64m", 64 << 20),
            ("2 TB", 2 << 40),
            (" 10 megabytes ", 10 << 20),
            ("1e", 1 << 60),
            ("3PB", 3 << 50),
            ("0.5GB", 1 << 29),
            ("1.1KB", 1126),
            ("4.8 GiB", 5_153_960_755),
            ("18446744073709551615", u64::MAX),
        ];
        for (text, bytes) in table {
            assert_eq!(text.parse(), Ok(ByteCount::new(bytes)), "{text:?}");
        }
    }

    #[test]
    fn counts_print_for_people_and_for_settings() {
        let table = [
            (0, "0 B", "0B"),
            (512, "512 B", "512B"),
            (1024, "1 KiB", "1KB"),
            (1_024_000, "1000 KiB", "1000KB"),
            (5 << 30, "5 GiB", "5GB"),
            (5_153_960_756, "4.8 GiB", "5153960756B"),
            ((1 << 20) - 1, "1 MiB", "1048575B"),
            (u64::MAX, "16 EiB", "18446744073709551615B"),
        ];
        for (bytes, people, settings) in table {
            assert_eq!(ByteCount::new(bytes).to_string(), people);
            assert_eq!(ByteCount::new(bytes).storage_size().to_string(), settings);
        }
        assert_eq!(format!("[{:>8}]", ByteCount::kib(1)), "[   1 KiB]");
    }

    #[test]
    fn damaged_sizes_are_refused_at_the_right_place() {
        let table = [
            ("", 1),
            ("GB", 1),
            ("-1GB", 1),
            ("+1GB", 1),
            (".5GB", 1),
            ("1.GB", 3),
            ("1.2.3GB", 3),
            ("5XB", 2),
            ("5 GBs", 3),
            ("1e3", 2),
            ("16EB", 1),
            ("18446744073709551616", 1),
            ("99999999999999999999999999", 1),
        ];
        for (text, character) in table {
            let error = text.parse::<ByteCount>().unwrap_err();
            assert_eq!(error.character(), character, "{error}");
            assert!(error.to_string().ends_with("5GB"));
        }
    }

    #[test]
    fn arithmetic_says_when_it_does_not_fit() {
        let (one, two) = (ByteCount::new(1), ByteCount::new(2));
        assert_eq!(one.plus(two), Some(ByteCount::new(3)));
        assert_eq!(ByteCount::new(u64::MAX).plus(one), None);
        assert_eq!(one.minus(two), None);
        assert_eq!(one.saturating_minus(two), ByteCount::ZERO);
        assert_eq!(ByteCount::new(u64::MAX).times(2), None);
        assert_eq!(ByteCount::new(5).pieces_of(two), Some(3));
        assert_eq!(ByteCount::new(5).pieces_of(ByteCount::ZERO), None);
    }
}
