//! Where things are: `/volume/bucket/key`.
//!
//! Text    `/volume/bucket/key`, without the first slash too, or as a URI: `o3://host:port/volume/bucket/key`,
//!         `o3://service/…`, `o3:///…`. A key may hold slashes of its own; OM judges the names.
//! Errors  [`PathError`] shows the text and the form that was expected.

use std::fmt;
use std::str::FromStr;

use crate::channel::Address;

/// A bucket's place.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct BucketPath {
    /// The volume's name.
    pub volume: String,
    /// The bucket's name.
    pub bucket: String,
}

/// A key's place.
///
/// ```
/// use allotrope_client::KeyPath;
///
/// let path: KeyPath = "o3://om1:9862/photos/cats/2026/tabby.jpg".parse()?;
/// assert_eq!(path.to_string(), "/photos/cats/2026/tabby.jpg");
/// assert_eq!((path.bucket.volume.as_str(), path.key.as_str()), ("photos", "2026/tabby.jpg"));
/// # Ok::<(), allotrope_client::PathError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct KeyPath {
    /// The bucket's place.
    pub bucket: BucketPath,
    /// The key's name.
    pub key: String,
}

/// Text that is no place of the kind that was asked for.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} {why}; the form is {form}")]
pub struct PathError {
    /// The text.
    pub text: String,
    /// What is wrong with it, to be read after the text.
    pub why: &'static str,
    /// A form that would do.
    pub form: &'static str,
}

impl BucketPath {
    /// The place of `bucket` in `volume`.
    pub fn new(volume: impl Into<String>, bucket: impl Into<String>) -> BucketPath {
        BucketPath { volume: volume.into(), bucket: bucket.into() }
    }

    /// The place of `key` in this bucket.
    pub fn key(&self, key: impl Into<String>) -> KeyPath {
        KeyPath { bucket: self.clone(), key: key.into() }
    }
}

impl KeyPath {
    const FORM: &'static str = "/volume/bucket/key";
}

/// The host that a URI names (`None` for a plain path and for `o3:///`; port 0 where none stands), and the path behind it.
///
/// # Errors
/// [`PathError`] for another scheme, or a host that is none.
pub fn split_uri(text: &str) -> Result<(Option<Address>, &str), PathError> {
    let Some((scheme, rest)) = text.split_once("://") else { return Ok((None, text)) };
    let refused = |why| PathError { text: text.to_owned(), why, form: "o3://host:port/volume/bucket/key" };
    if scheme != "o3" {
        return Err(refused("has a scheme that is not o3"));
    }
    let (host, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
    if host.is_empty() {
        return Ok((None, path));
    }
    let address = host.parse().map_err(|_| refused("names a host that cannot be understood"))?;
    Ok((Some(address), path))
}

/// The parts between slashes, at most `count`; the last keeps its own.
fn parts<'a>(text: &'a str, count: usize, form: &'static str) -> Result<Vec<&'a str>, PathError> {
    let (_, path) = split_uri(text)?;
    let refused = |why| PathError { text: text.to_owned(), why, form };
    let parts: Vec<&str> = path.strip_prefix('/').unwrap_or(path).splitn(count, '/').collect();
    if parts.iter().any(|part| part.is_empty()) {
        return Err(refused("has an empty part"));
    }
    if parts.len() < count {
        return Err(refused("has too few parts"));
    }
    Ok(parts)
}

impl FromStr for BucketPath {
    type Err = PathError;

    fn from_str(text: &str) -> Result<BucketPath, PathError> {
        let form = "/volume/bucket";
        let parts = parts(text, 2, form)?;
        let bucket = parts[1].strip_suffix('/').unwrap_or(parts[1]);
        if bucket.is_empty() || bucket.contains('/') {
            return Err(PathError { text: text.to_owned(), why: "names more than a bucket", form });
        }
        Ok(BucketPath::new(parts[0], bucket))
    }
}

impl FromStr for KeyPath {
    type Err = PathError;

    fn from_str(text: &str) -> Result<KeyPath, PathError> {
        let parts = parts(text, 3, KeyPath::FORM)?;
        Ok(BucketPath::new(parts[0], parts[1]).key(parts[2]))
    }
}

impl fmt::Display for BucketPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "/{}/{}", self.volume, self.bucket)
    }
}

impl fmt::Display for KeyPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.bucket, self.key)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_survives_its_text() {
        for text in ["/v/b/k", "/v/b/a/b//c/", "/v/b/ ", "/v/b/k?x=1#y"] {
            assert_eq!(text.parse::<KeyPath>().unwrap().to_string(), text);
        }
        for text in ["o3://om:9862/v/b", "o3:///v/b", "v/b", "/v/b/"] {
            assert_eq!(text.parse::<BucketPath>().unwrap(), BucketPath::new("v", "b"), "{text}");
        }
    }

    #[test]
    fn damaged_paths_are_refused_with_the_form_that_would_do() {
        for text in ["", "/", "/v", "/v/b", "/v/b/", "//b/k", "/v//k", "s3://h/v/b/k", "o3://h:x/v/b/k"] {
            let error = text.parse::<KeyPath>().unwrap_err();
            assert!(error.to_string().contains("/volume/bucket/key"), "{error}");
        }
        assert!("/v/b/k".parse::<BucketPath>().is_err());
    }

    #[test]
    fn a_uri_names_its_host() {
        assert_eq!(split_uri("/v").unwrap(), (None, "/v"));
        assert_eq!(split_uri("o3:///v").unwrap(), (None, "/v"));
        let (address, path) = split_uri("o3://om1:9862/v/b").unwrap();
        assert_eq!((address.unwrap().to_string(), path), ("om1:9862".to_owned(), "/v/b"));
        assert_eq!(split_uri("o3://om1").unwrap().1, "");
    }
}
