//! Names of keys: an object's opaque name, or a file's path.
//!
//! Object  any text that is not empty, kept to the byte: `//a/../b` is a name like others.
//! Path    as a Hadoop path: slashes at the ends and doubled ones go, `.` and `..` are resolved; then no component
//!         may be `..` or contain `:`, and something must be left.
//! Both    at most 65535 bytes (a bound of ours; Ozone states none), and nothing is created in `.snapshot`, which
//!         stands for the bucket's snapshots.
//! Source  Ozone's OMClientRequest.validateAndNormalizeKey, and its TestNormalizePaths for the tables below.

use crate::naming::{LEN_MAX_ANY, text_name};
use crate::{BucketLayout, Malformed};

/// A key's name, normalised where its bucket asks for it.
///
/// ```
/// use allotrope_types::{KeyName, KeyRules};
/// assert_eq!(KeyName::to_create("//a/./b", KeyRules::Path)?.as_str(), "a/b");
/// assert_eq!(KeyName::to_create("//a/./b", KeyRules::Object)?.as_str(), "//a/./b");
/// assert!(KeyName::to_create(".snapshot/s1/a", KeyRules::Path).is_err());
/// assert!(KeyName::new(".snapshot/s1/a", KeyRules::Path).is_ok());
/// # Ok::<(), allotrope_types::Malformed>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct KeyName(Box<str>);

text_name!(KeyName);

/// How a bucket reads the names of its keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum KeyRules {
    /// Names are opaque.
    Object,
    /// Names are paths.
    Path,
}

impl KeyRules {
    /// The rules of a bucket, from its layout and the setting `ozone.om.enable.filesystem.paths`.
    pub const fn of(layout: BucketLayout, filesystem_paths: bool) -> KeyRules {
        match (layout, filesystem_paths) {
            (BucketLayout::FileSystemOptimized, _) | (BucketLayout::Legacy, true) => KeyRules::Path,
            (BucketLayout::ObjectStore, _) | (BucketLayout::Legacy, false) => KeyRules::Object,
        }
    }
}

const WHAT: &str = "key name";
const EXAMPLE: &str = "photos/2026/cat.jpg";
const SNAPSHOTS: &str = ".snapshot";
/// What S3 advises against in names, and `ozone.om.keyname.character.check.enabled` refuses; besides these it
/// refuses U+0080 to U+00FF.
const UNSAFE: &[char] = &['\\', '{', '}', '<', '>', '^', '%', '~', '#', '|', '`', '[', ']', '"'];

impl KeyName {
    /// Bytes of the longest name.
    pub const LEN_MAX: usize = LEN_MAX_ANY;

    /// The name of a key that is looked up, or is listed, renamed or deleted.
    pub fn new(text: &str, rules: KeyRules) -> Result<KeyName, Malformed> {
        KeyName::normalised(text, rules).map(|(name, _)| name)
    }

    /// The name of a key that is written: besides, not inside `.snapshot`, and for a path not one that ends in a dot
    /// component, which only a directory can.
    pub fn to_create(text: &str, rules: KeyRules) -> Result<KeyName, Malformed> {
        let (name, ends_in_dots) = KeyName::normalised(text, rules)?;
        if let Some(at) = ends_in_dots {
            return Err(Malformed::new(
                WHAT,
                text,
                at,
                "a path that ends in . or .. is a directory's",
                EXAMPLE,
            ));
        }
        name.refuse_in_snapshots(text)
    }

    /// The path of a directory that is made.
    pub fn to_create_directory(text: &str) -> Result<KeyName, Malformed> {
        KeyName::new(text, KeyRules::Path)?.refuse_in_snapshots(text)
    }

    /// The check of `ozone.om.keyname.character.check.enabled` (off by default): no character that S3 advises against.
    pub fn check_characters(&self) -> Result<(), Malformed> {
        match self.0.char_indices().find(|(_, c)| UNSAFE.contains(c) || ('\u{80}'..='\u{ff}').contains(c)) {
            None => Ok(()),
            Some((at, character)) => {
                Err(Malformed::new(WHAT, &self.0, at, format!("{character:?} is not safe in S3"), EXAMPLE))
            }
        }
    }

    fn refuse_in_snapshots(self, text: &str) -> Result<KeyName, Malformed> {
        match self.0.strip_prefix(SNAPSHOTS) {
            Some(rest) if rest.is_empty() || rest.starts_with('/') => {
                Err(Malformed::new(WHAT, text, 0, ".snapshot is kept for the bucket's snapshots", EXAMPLE))
            }
            _ => Ok(self),
        }
    }

    /// The name, and where a last component `.` or `..` stood.
    fn normalised(text: &str, rules: KeyRules) -> Result<(KeyName, Option<usize>), Malformed> {
        let malformed = |at: usize, why: &'static str| Malformed::new(WHAT, text, at, why, EXAMPLE);
        if text.len() > KeyName::LEN_MAX {
            return Err(malformed(KeyName::LEN_MAX, "it is longer than 65535 bytes"));
        }
        if text.is_empty() {
            return Err(malformed(0, "it is empty"));
        }
        if rules == KeyRules::Object {
            return Ok((KeyName(text.into()), None));
        }
        let mut kept: Vec<&str> = Vec::new();
        let mut ends_in_dots = None;
        let mut at = 0;
        for component in text.split('/') {
            match component {
                "" => {}
                "." => ends_in_dots = Some(at),
                ".." if kept.pop().is_none() => return Err(malformed(at, "'..' leads out of the bucket")),
                ".." => ends_in_dots = Some(at),
                name => {
                    if let Some(colon) = name.find(':') {
                        return Err(malformed(at + colon, "':' is not allowed in a path"));
                    }
                    kept.push(name);
                    ends_in_dots = None;
                }
            }
            at += component.len() + 1;
        }
        if kept.is_empty() {
            return Err(malformed(0, "nothing is left of the path"));
        }
        Ok((KeyName(kept.join("/").into()), ends_in_dots))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn a_normal_path_stays_as_it_is(text in "[a-z.é]{1,6}(/[a-z.é]{1,6}){0,4}") {
            if let Ok(name) = KeyName::new(&text, KeyRules::Path) {
                prop_assert_eq!(&KeyName::new(name.as_str(), KeyRules::Path).unwrap(), &name);
                prop_assert!(!name.as_str().starts_with('/') && !name.as_str().ends_with('/'));
                prop_assert!(name.as_str().split('/').all(|part| !["", ".", ".."].contains(&part)));
            }
        }

        #[test]
        fn an_object_keeps_every_byte(text in ".{1,40}") {
            let name = KeyName::new(&text, KeyRules::Object).unwrap();
            prop_assert_eq!(name.as_str(), text);
        }

        #[test]
        fn no_text_makes_the_check_panic(text in "[a/.:é]{0,20}") {
            let _ = KeyName::to_create(&text, KeyRules::Path);
        }
    }

    #[test]
    fn paths_are_normalised_as_ozone_does() {
        let table = [
            ("a/b/c/d", "a/b/c/d"),
            ("/a/b/c/d", "a/b/c/d"),
            ("////a/b/////c/d", "a/b/c/d"),
            ("////a/b/////c/...../d/", "a/b/c/...../d"),
            ("/a/b/c/../d", "a/b/d"),
            ("a", "a"),
            ("/a/./b", "a/b"),
            (".//a/./b", "a/b"),
            ("//./b/c/", "b/c"),
            ("a/b/c/d/", "a/b/c/d"),
        ];
        for (text, path) in table {
            assert_eq!(KeyName::to_create(text, KeyRules::Path).unwrap().as_str(), path, "{text}");
        }
    }

    #[test]
    fn damaged_paths_are_refused_at_the_right_place() {
        let table = [
            ("", 1, "empty"),
            ("/", 1, "nothing is left"),
            ("/////", 1, "nothing is left"),
            ("/a/..", 1, "nothing is left"),
            ("/a/b/c/../../../../../d", 17, "leads out"),
            ("../a/b/c/", 1, "leads out"),
            ("/../..a/b/c/", 2, "leads out"),
            ("/:/:", 2, "':'"),
            ("a/b:c", 4, "':'"),
            ("/a/.", 4, "directory"),
            ("/a/b/..", 6, "directory"),
            (".snapshot", 1, "snapshots"),
            ("/.snapshot/s1/a", 1, "snapshots"),
        ];
        for (text, character, why) in table {
            let error = KeyName::to_create(text, KeyRules::Path).unwrap_err();
            assert_eq!(error.character(), character, "{error}");
            assert!(error.to_string().contains(why), "{error}");
        }
        assert!(KeyName::new(&"a".repeat(65_536), KeyRules::Object).is_err());
        assert!(KeyName::new(&"a".repeat(65_535), KeyRules::Object).is_ok());
    }

    #[test]
    fn only_the_word_snapshot_itself_is_kept_back() {
        assert!(KeyName::to_create(".snapshots/a", KeyRules::Path).is_ok());
        assert!(KeyName::to_create("a/.snapshot", KeyRules::Path).is_ok());
        assert!(KeyName::to_create(".snapshot", KeyRules::Object).is_err());
        assert!(KeyName::to_create_directory("/a/b/").is_ok());
        assert!(KeyName::to_create_directory(".snapshot/x").is_err());
        assert!(KeyName::to_create_directory("/a/.").is_ok());
    }

    #[test]
    fn layouts_choose_the_rules() {
        let table = [
            (BucketLayout::ObjectStore, true, KeyRules::Object),
            (BucketLayout::Legacy, false, KeyRules::Object),
            (BucketLayout::Legacy, true, KeyRules::Path),
            (BucketLayout::FileSystemOptimized, false, KeyRules::Path),
        ];
        for (layout, filesystem_paths, rules) in table {
            assert_eq!(KeyRules::of(layout, filesystem_paths), rules);
        }
    }

    #[test]
    fn the_character_check_names_the_character() {
        let name = KeyName::new("a/b#c", KeyRules::Object).unwrap();
        assert_eq!(name.check_characters().unwrap_err().character(), 4);
        assert!(KeyName::new("é", KeyRules::Object).unwrap().check_characters().is_err());
        assert!(KeyName::new("日本/-_.!*'()", KeyRules::Object).unwrap().check_characters().is_ok());
    }
}
