//! Names of volumes, the top of the namespace.

use std::str::FromStr;

use crate::naming::{check, text_name};
use crate::{Malformed, NameRules};

/// A volume's name: 3 to 63 characters by the rules of S3.
///
/// ```
/// use allotrope_types::VolumeName;
/// let volume: VolumeName = "s3v".parse()?;
/// assert_eq!(volume.as_str(), "s3v");
/// assert_eq!(
///     "s3v_".parse::<VolumeName>().unwrap_err().to_string(),
///     "volume name \"s3v_\": '_' is not allowed at character 4; a valid one is sales-2026"
/// );
/// # Ok::<(), allotrope_types::Malformed>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct VolumeName(Box<str>);

text_name!(VolumeName);

impl VolumeName {
    /// The name, if `text` follows `rules`.
    pub fn new(text: &str, rules: NameRules) -> Result<VolumeName, Malformed> {
        check("volume name", text, rules, (3, 63), "sales-2026")?;
        Ok(VolumeName(text.into()))
    }
}

/// By the strict rules.
impl FromStr for VolumeName {
    type Err = Malformed;
    fn from_str(text: &str) -> Result<VolumeName, Malformed> {
        VolumeName::new(text, NameRules::Strict)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn a_name_is_its_text(text in "[a-z][a-z0-9]{2,30}([.-][a-z0-9]{1,15}){0,2}") {
            prop_assert_eq!(text.parse::<VolumeName>().unwrap().to_string(), text);
        }

        #[test]
        fn no_text_makes_the_check_panic(text in ".{0,70}") {
            let _ = VolumeName::new(&text, NameRules::Relaxed);
        }
    }

    #[test]
    fn names_follow_the_rules_of_s3() {
        let long = "a".repeat(63);
        let too_long = "a".repeat(64);
        let table = [
            ("abc", None),
            ("a.b-c9", None),
            ("9to5", None),
            (long.as_str(), None),
            ("", Some((1, "shorter than 3"))),
            ("ab", Some((3, "shorter than 3"))),
            (too_long.as_str(), Some((64, "longer than 63"))),
            ("aBc", Some((2, "upper case"))),
            ("a_c", Some((2, "'_' is not allowed"))),
            ("a/c", Some((2, "'/' is not allowed"))),
            ("aéc", Some((2, "'é' is not allowed"))),
            (".abc", Some((1, "must not come first"))),
            ("-abc", Some((1, "must not come first"))),
            ("abc.", Some((4, "must not come last"))),
            ("abc-", Some((4, "must not come last"))),
            ("a..b", Some((3, "'.' must not follow '.'"))),
            ("a.-b", Some((3, "'-' must not follow '.'"))),
            ("a-.b", Some((3, "'.' must not follow '-'"))),
            ("a--b", None),
            ("192.168.1.1", Some((1, "like an address"))),
            ("12345", Some((1, "like an address"))),
        ];
        for (text, wrong) in table {
            match (text.parse::<VolumeName>(), wrong) {
                (Ok(_), None) => {}
                (Err(error), Some((character, why))) => {
                    assert_eq!(error.character(), character, "{error}");
                    assert!(error.to_string().contains(why), "{error}");
                }
                (got, _) => panic!("{text:?}: {got:?}"),
            }
        }
    }

    #[test]
    fn relaxed_rules_add_the_underscore_only() {
        assert!(VolumeName::new("data_lake", NameRules::Relaxed).is_ok());
        assert!(VolumeName::new("_ab", NameRules::Relaxed).is_ok());
        assert!(VolumeName::new("ab", NameRules::Relaxed).is_err());
        assert!(VolumeName::new("Data", NameRules::Relaxed).is_err());
    }
}
