//! What S3 keeps with an object besides its bytes, as a key's metadata.
//!
//! Format  `ETag` and `Content-Type` under these names, user metadata under its own in lower case, all else under
//!         `ozone-s3-internal-…`: as Ozone's gateway keeps them, so that either reads what the other wrote.

use std::collections::BTreeMap;

use s3s::S3ErrorCode;
use s3s::dto::{Timestamp, TimestampFormat};

use crate::fault::Fault;
use crate::intake::checksum::{Algorithm, Checksum};

const ETAG: &str = "ETag";
const CONTENT_TYPE: &str = "Content-Type";
const OURS: &str = "ozone-s3-internal-";
/// Bytes of all user metadata, names and values: S3's limit.
const USER_LEN_MAX: usize = 2 * 1024;
/// Bytes of one of the others.
const HEADER_LEN_MAX: usize = 2 * 1024;

/// An object's notes.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Notes {
    pub(crate) etag: Option<String>,
    pub(crate) content_type: Option<String>,
    pub(crate) content_encoding: Option<String>,
    pub(crate) content_disposition: Option<String>,
    pub(crate) content_language: Option<String>,
    pub(crate) cache_control: Option<String>,
    /// As an HTTP date.
    pub(crate) expires: Option<String>,
    /// As it was asked for.
    pub(crate) storage_class: Option<String>,
    pub(crate) checksum: Option<NotedChecksum>,
    pub(crate) user: BTreeMap<String, String>,
}

/// A checksum as it is given back: of the whole object, or of its parts' checksums.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct NotedChecksum {
    pub(crate) algorithm: Algorithm,
    /// S3's text of it; a composite one ends in the number of parts.
    pub(crate) text: String,
    pub(crate) composite: bool,
}

impl From<Checksum> for NotedChecksum {
    fn from(checksum: Checksum) -> NotedChecksum {
        NotedChecksum { algorithm: checksum.algorithm, text: checksum.text(), composite: false }
    }
}

impl Notes {
    fn named(&self) -> [(&'static str, &Option<String>); 6] {
        [
            ("content-encoding", &self.content_encoding),
            ("content-disposition", &self.content_disposition),
            ("content-language", &self.content_language),
            ("cache-control", &self.cache_control),
            ("expires", &self.expires),
            ("storage-class", &self.storage_class),
        ]
    }

    /// Refuses what is too long, and names that are ours.
    pub(crate) fn check(&self) -> Result<(), Fault> {
        let len: usize = self.user.iter().map(|(name, value)| name.len() + value.len()).sum();
        if len > USER_LEN_MAX {
            let message = "Your metadata headers exceed the maximum allowed metadata size";
            return Err(Fault::new(S3ErrorCode::MetadataTooLarge, message)
                .detail("Size", len.to_string())
                .detail("MaxSizeAllowed", USER_LEN_MAX.to_string()));
        }
        if let Some(name) = self.user.keys().find(|name| name.starts_with(OURS)) {
            return Err(Fault::argument("x-amz-meta", name.clone(), "This name of metadata is reserved"));
        }
        let own_type = ("content-type", &self.content_type);
        for (name, value) in self.named().into_iter().chain([own_type]) {
            if value.as_ref().is_some_and(|value| value.len() > HEADER_LEN_MAX) {
                let message = format!("The header {name} is too long");
                return Err(Fault::new(S3ErrorCode::MetadataTooLarge, message));
            }
        }
        Ok(())
    }

    /// As a key's metadata.
    pub(crate) fn metadata(&self) -> BTreeMap<String, String> {
        let mut map = self.user.clone();
        let mut put = |name: String, value: &Option<String>| {
            if let Some(value) = value {
                map.insert(name, value.clone());
            }
        };
        put(ETAG.to_owned(), &self.etag);
        put(CONTENT_TYPE.to_owned(), &self.content_type);
        for (name, value) in self.named() {
            put(format!("{OURS}{name}"), value);
        }
        if let Some(checksum) = &self.checksum {
            put(format!("{OURS}checksum-algorithm"), &Some(checksum.algorithm.name().to_owned()));
            put(format!("{OURS}checksum"), &Some(checksum.text.clone()));
            let kind = if checksum.composite { "COMPOSITE" } else { "FULL_OBJECT" };
            put(format!("{OURS}checksum-type"), &Some(kind.to_owned()));
        }
        map
    }

    /// From a key's metadata.
    pub(crate) fn read(metadata: &BTreeMap<String, String>) -> Notes {
        let get = |name: &str| metadata.get(name).cloned();
        let ours = |name: &str| get(&format!("{OURS}{name}"));
        let checksum = || {
            Some(NotedChecksum {
                algorithm: Algorithm::of_name(&ours("checksum-algorithm")?)?,
                text: ours("checksum")?,
                composite: ours("checksum-type")? == "COMPOSITE",
            })
        };
        // What Ozone itself notes with a key is not lower case.
        let is_user =
            |name: &str| !name.starts_with(OURS) && !name.bytes().any(|byte| byte.is_ascii_uppercase());
        Notes {
            etag: get(ETAG),
            content_type: get(CONTENT_TYPE),
            content_encoding: ours("content-encoding"),
            content_disposition: ours("content-disposition"),
            content_language: ours("content-language"),
            cache_control: ours("cache-control"),
            expires: ours("expires"),
            storage_class: ours("storage-class"),
            checksum: checksum(),
            user: metadata
                .iter()
                .filter(|(name, _)| is_user(name))
                .map(|(k, v)| (k.clone(), v.clone()))
                .collect(),
        }
    }

    pub(crate) fn expires_time(&self) -> Option<Timestamp> {
        Timestamp::parse(TimestampFormat::HttpDate, self.expires.as_deref()?).ok()
    }
}

/// The text of an Expires header.
pub(crate) fn http_date(at: &Timestamp) -> Option<String> {
    let mut text = vec![];
    at.format(TimestampFormat::HttpDate, &mut text).ok()?;
    String::from_utf8(text).ok()
}

/// A Content-Encoding without `aws-chunked`, which is the transfer's and not the object's.
pub(crate) fn content_encoding(value: Option<String>) -> Option<String> {
    let value = value?;
    let parts: Vec<&str> =
        value.split(',').map(str::trim).filter(|part| !part.is_empty() && *part != "aws-chunked").collect();
    (!parts.is_empty()).then(|| parts.join(","))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn notes() -> Notes {
        let text = |text: &str| Some(text.to_owned());
        Notes {
            etag: text("0123"),
            content_type: text("text/plain"),
            content_encoding: text("gzip"),
            content_disposition: text("attachment"),
            content_language: text("de"),
            cache_control: text("no-cache"),
            expires: text("Fri, 24 May 2013 00:00:00 GMT"),
            storage_class: text("STANDARD_IA"),
            checksum: Some(NotedChecksum {
                algorithm: Algorithm::Sha1,
                text: "x".to_owned(),
                composite: true,
            }),
            user: [("etag".to_owned(), "mine".to_owned()), ("content-type".to_owned(), "mine".to_owned())]
                .into(),
        }
    }

    #[test]
    fn notes_survive_a_keys_metadata() {
        assert_eq!(Notes::read(&notes().metadata()), notes());
        assert_eq!(Notes::read(&Notes::default().metadata()), Notes::default());
        assert!(notes().expires_time().is_some());
    }

    #[test]
    fn too_much_is_refused() {
        let with = |name: &str, len: usize| Notes {
            user: [(name.to_owned(), "x".repeat(len))].into(),
            ..Notes::default()
        };
        assert!(with("a", 2047).check().is_ok());
        assert_eq!(with("a", 2048).check().unwrap_err().code, S3ErrorCode::MetadataTooLarge);
        assert_eq!(with("ozone-s3-internal-x", 1).check().unwrap_err().code, S3ErrorCode::InvalidArgument);
    }

    #[test]
    fn the_transfers_encoding_is_not_the_objects() {
        let encoding = |text: &str| content_encoding(Some(text.to_owned()));
        assert_eq!(encoding("aws-chunked"), None);
        assert_eq!(encoding("gzip, aws-chunked"), Some("gzip".to_owned()));
        assert_eq!(encoding("aws-chunked,gzip"), Some("gzip".to_owned()));
    }
}
