//! The rules that names of volumes and buckets share: those of S3, which are those of DNS.
//!
//! Strict  3 to 63 characters of `a-z 0-9 . -`; neither `.` nor `-` first or last; no `..`, `.-` or `-.`; not only
//!         digits and dots, which would look like an address.
//! Relaxed the same with `_` too (`ozone.om.namespace.s3.strict=false`); a bucket's length is then not Ozone's concern
//!         and only bounded by what a table's key may hold.
//! Source  Ozone's HddsClientUtils.verifyResourceName.

use crate::{BucketLayout, Malformed};

/// Which rule a volume's or bucket's name follows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum NameRules {
    /// What S3 clients can use. Ozone's default.
    #[default]
    Strict,
    /// `_` is allowed as well, for names that came from HDFS; and buckets may be shorter or longer.
    Relaxed,
}

impl NameRules {
    /// The rule for volumes, from the setting `ozone.om.namespace.s3.strict`.
    pub const fn for_volume(s3_strict: bool) -> NameRules {
        if s3_strict { NameRules::Strict } else { NameRules::Relaxed }
    }

    /// The rule for a bucket, from the setting and the bucket's layout: object store buckets are always strict.
    pub const fn for_bucket(s3_strict: bool, layout: BucketLayout) -> NameRules {
        match layout {
            BucketLayout::ObjectStore => NameRules::Strict,
            BucketLayout::Legacy | BucketLayout::FileSystemOptimized => NameRules::for_volume(s3_strict),
        }
    }
}

/// Bytes that a name in a table's key may have where Ozone sets no limit; a bound of ours.
pub(crate) const LEN_MAX_ANY: usize = 65_535;

/// Checks a volume's or bucket's name of `len_min` to `len_max` characters.
pub(crate) fn check(
    what: &'static str,
    text: &str,
    rules: NameRules,
    (len_min, len_max): (usize, usize),
    example: &'static str,
) -> Result<(), Malformed> {
    let malformed = |at: usize, why: String| Err(Malformed::new(what, text, at, why, example));
    let mut before = None;
    for (at, character) in text.char_indices() {
        match character {
            'a'..='z' | '0'..='9' | '.' | '-' => {}
            '_' if rules == NameRules::Relaxed => {}
            'A'..='Z' => return malformed(at, "upper case letters are not allowed".to_owned()),
            other => return malformed(at, format!("{other:?} is not allowed")),
        }
        if let (Some(first @ '.'), second @ ('.' | '-')) | (Some(first @ '-'), second @ '.') =
            (before, character)
        {
            return malformed(at, format!("'{second}' must not follow '{first}'"));
        }
        before = Some(character);
    }
    if text.len() < len_min {
        return malformed(text.len(), format!("it is shorter than {len_min} characters"));
    }
    if text.len() > len_max {
        return malformed(len_max, format!("it is longer than {len_max} characters"));
    }
    if text.starts_with(['.', '-']) {
        return malformed(0, "'.' and '-' must not come first".to_owned());
    }
    if text.ends_with(['.', '-']) {
        return malformed(text.len() - 1, "'.' and '-' must not come last".to_owned());
    }
    if text.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.') {
        return malformed(0, "it must not be only digits and dots, like an address".to_owned());
    }
    Ok(())
}

/// Declares a checked name: what it derefs to, prints and compares as is its text.
macro_rules! text_name {
    ($name:ident) => {
        impl $name {
            /// The name's text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl AsRef<str> for $name {
            fn as_ref(&self) -> &str {
                &self.0
            }
        }

        impl std::borrow::Borrow<str> for $name {
            fn borrow(&self) -> &str {
                &self.0
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.pad(&self.0)
            }
        }

        impl From<$name> for String {
            fn from(name: $name) -> String {
                name.0.into()
            }
        }
    };
}
pub(crate) use text_name;
