//! Names of buckets.

use std::str::FromStr;

use crate::naming::{LEN_MAX_ANY, check, text_name};
use crate::{Malformed, NameRules};

/// A bucket's name: 3 to 63 characters by the rules of S3, or any length by the relaxed ones.
///
/// ```
/// use allotrope_types::{BucketLayout, BucketName, NameRules};
/// assert!("photos-2026".parse::<BucketName>().is_ok());
/// let rules = NameRules::for_bucket(false, BucketLayout::FileSystemOptimized);
/// assert!(BucketName::new("warehouse_raw", rules).is_ok());
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct BucketName(Box<str>);

text_name!(BucketName);

impl BucketName {
    /// The name, if `text` follows `rules`.
    pub fn new(text: &str, rules: NameRules) -> Result<BucketName, Malformed> {
        let lens = match rules {
            NameRules::Strict => (3, 63),
            NameRules::Relaxed => (1, LEN_MAX_ANY),
        };
        check("bucket name", text, rules, lens, "photos-2026")?;
        Ok(BucketName(text.into()))
    }
}

/// By the strict rules.
impl FromStr for BucketName {
    type Err = Malformed;
    fn from_str(text: &str) -> Result<BucketName, Malformed> {
        BucketName::new(text, NameRules::Strict)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::BucketLayout;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn a_name_is_its_text(text in "[a-z][a-z0-9]{2,30}([.-][a-z0-9]{1,15}){0,2}") {
            let name: BucketName = text.parse().unwrap();
            prop_assert_eq!(name.as_str(), text);
        }
    }

    #[test]
    fn only_object_store_buckets_are_always_strict() {
        let table = [
            (true, BucketLayout::ObjectStore, false),
            (true, BucketLayout::FileSystemOptimized, false),
            (true, BucketLayout::Legacy, false),
            (false, BucketLayout::ObjectStore, false),
            (false, BucketLayout::FileSystemOptimized, true),
            (false, BucketLayout::Legacy, true),
        ];
        for (s3_strict, layout, relaxed) in table {
            let rules = NameRules::for_bucket(s3_strict, layout);
            for text in ["a_b", "ab", "a".repeat(64).as_str()] {
                assert_eq!(BucketName::new(text, rules).is_ok(), relaxed, "{text} {layout}");
            }
        }
        for text in ["", "-", "a/b", "a..b", "1.2.3.4"] {
            assert!(BucketName::new(text, NameRules::Relaxed).is_err(), "{text:?}");
        }
    }
}
