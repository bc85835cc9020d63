//! Which bucket and which key a request is about, by its host and its path.

use s3s::S3Result;
use s3s::host::{S3Host, VirtualHost};

use crate::auth::sigv4::percent_decoded;

/// Domains under which a first label names a bucket.
#[derive(Clone, Debug, Default)]
pub(crate) struct Domains(Vec<String>);

impl Domains {
    pub(crate) fn new(domains: &[String]) -> Domains {
        Domains(domains.iter().map(|domain| domain.trim_matches('.').to_ascii_lowercase()).collect())
    }

    /// The bucket that a Host header names; `None` leaves it to the path.
    fn bucket<'a>(&self, host: &'a str) -> Option<&'a str> {
        let name = host.rsplit_once(':').map_or(host, |(name, port)| {
            if port.bytes().all(|byte| byte.is_ascii_digit()) { name } else { host }
        });
        let lower = name.to_ascii_lowercase();
        let label = |domain: &String| lower.strip_suffix(domain.as_str())?.strip_suffix('.').map(str::len);
        // The longest domain wins, so that one may lie under another.
        let found = self.0.iter().filter_map(|domain| Some((domain.len(), label(domain)?))).max();
        if self.0.contains(&lower) {
            return None;
        }
        found.map(|(_, len)| &name[..len]).filter(|bucket| !bucket.is_empty())
    }

    /// Bucket and key of a request.
    pub(crate) fn target(&self, host: &str, path: &str) -> Target {
        let decoded = percent_decoded(path).unwrap_or_default();
        let path = decoded.strip_prefix('/').unwrap_or(&decoded);
        let (bucket, key) = match self.bucket(host) {
            Some(bucket) => (bucket, path),
            None => path.split_once('/').unwrap_or((path, "")),
        };
        let some = |text: &str| (!text.is_empty()).then(|| text.to_owned());
        Target { bucket: some(bucket), key: some(key) }
    }
}

/// What a request is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Target {
    pub(crate) bucket: Option<String>,
    pub(crate) key: Option<String>,
}

impl S3Host for Domains {
    fn parse_host_header<'a>(&'a self, host: &'a str) -> S3Result<VirtualHost<'a>> {
        let found = VirtualHost::new(host);
        Ok(match self.bucket(host) {
            Some(bucket) => found.with_bucket(bucket),
            None => found,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bucket_is_named_by_the_host_or_by_the_path() {
        let domains = Domains::new(&["s3.example".to_owned(), "eu.s3.example".to_owned()]);
        let target = |host: &str, path: &str| {
            let Target { bucket, key } = domains.target(host, path);
            (bucket.unwrap_or_default(), key.unwrap_or_default())
        };
        let pair = |bucket: &str, key: &str| (bucket.to_owned(), key.to_owned());
        assert_eq!(target("127.0.0.1:9878", "/b/k/l"), pair("b", "k/l"));
        assert_eq!(target("s3.example", "/b"), pair("b", ""));
        assert_eq!(target("b.s3.example:9878", "/k//l"), pair("b", "k//l"));
        assert_eq!(target("a.b.s3.example", "/"), pair("a.b", ""));
        assert_eq!(target("b.eu.s3.example", "/k"), pair("b", "k"));
        assert_eq!(target("eu.s3.example", "/b/k"), pair("b", "k"));
        assert_eq!(target("other", "//k"), pair("", "k"));
        assert_eq!(target("other", "/b/%2E%2E/%C3%A4"), pair("b", "../ä"));
    }
}
