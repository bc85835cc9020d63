//! What a request's headers promise of its body.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use http::HeaderMap;
use s3s::S3ErrorCode;

use super::announced_trailer;
use super::checksum::{Algorithm, Checksum};
use crate::fault::{Fault, code};

/// What the body must turn out to be.
#[derive(Debug)]
pub(crate) struct Promise {
    /// Its bytes, where they are announced.
    pub(crate) len: Option<u64>,
    /// Its bytes at most.
    pub(crate) len_max: u64,
    pub(crate) md5: Option<[u8; 16]>,
    pub(crate) sha256: Option<[u8; 32]>,
    pub(crate) checksum: Option<BodyChecksum>,
}

/// A checksum that is computed, and what it is compared with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum BodyChecksum {
    /// A header says what it must be.
    Header(Checksum),
    /// A trailing header will say it.
    Trailer(Algorithm),
    /// Nobody says it; it is noted with the object.
    Noted(Algorithm),
}

impl BodyChecksum {
    pub(crate) fn algorithm(&self) -> Algorithm {
        match self {
            BodyChecksum::Header(checksum) => checksum.algorithm,
            BodyChecksum::Trailer(algorithm) | BodyChecksum::Noted(algorithm) => *algorithm,
        }
    }

    /// Compares with what was computed.
    pub(crate) fn check(&self, found: &Checksum, trailers: &[(String, String)]) -> Result<(), Fault> {
        let wanted = match self {
            BodyChecksum::Header(wanted) => wanted.clone(),
            BodyChecksum::Noted(_) => return Ok(()),
            BodyChecksum::Trailer(algorithm) => {
                let name = algorithm.header();
                let Some((_, text)) = trailers.iter().find(|(trailer, _)| trailer == name) else {
                    let message = "The trailing header that x-amz-trailer announced is missing.";
                    return Err(Fault::new(code("MalformedTrailerError"), message));
                };
                Checksum::read(*algorithm, text).ok_or_else(|| invalid_value(name))?
            }
        };
        if wanted == *found {
            return Ok(());
        }
        let name = found.algorithm.name();
        let message = format!("The {name} you specified did not match the calculated checksum.");
        Err(Fault::new(S3ErrorCode::BadDigest, message))
    }
}

impl Promise {
    /// Reads the headers of a request whose body may have `len_max` bytes.
    pub(crate) fn read(headers: &HeaderMap, chunked: bool, len_max: u64) -> Result<Promise, Fault> {
        let header = |name: &str| headers.get(name).and_then(|value| value.to_str().ok()).map(str::trim);
        let number = |name: &str| header(name).map(|text| text.parse::<u64>()).transpose();
        let invalid_len = |_| Fault::new(S3ErrorCode::InvalidRequest, "The body's length is no number.");
        let len = match chunked {
            true => number("x-amz-decoded-content-length"),
            false => number("content-length"),
        };
        let len = len.map_err(invalid_len)?;
        let md5 = header("content-md5").map(read_md5).transpose()?;
        let promise = Promise { len, len_max, md5, sha256: None, checksum: read_checksum(headers)? };
        match len.filter(|&len| len > len_max) {
            Some(len) => Err(promise.too_large(len)),
            None => Ok(promise),
        }
    }

    pub(crate) fn too_large(&self, len: u64) -> Fault {
        let message = "Your proposed upload exceeds the maximum allowed size";
        Fault::new(S3ErrorCode::EntityTooLarge, message)
            .detail("ProposedSize", len.to_string())
            .detail("MaxSizeAllowed", self.len_max.to_string())
    }
}

fn read_md5(text: &str) -> Result<[u8; 16], Fault> {
    let bytes = BASE64.decode(text).ok().and_then(|bytes| bytes.try_into().ok());
    bytes.ok_or_else(|| Fault::new(S3ErrorCode::InvalidDigest, "The Content-MD5 you specified was invalid."))
}

fn read_checksum(headers: &HeaderMap) -> Result<Option<BodyChecksum>, Fault> {
    let header = |name: &str| headers.get(name).and_then(|value| value.to_str().ok()).map(str::trim);
    let given: Vec<(Algorithm, &str)> = Algorithm::ALL
        .into_iter()
        .filter_map(|algorithm| Some((algorithm, header(algorithm.header())?)))
        .collect();
    let named = header("x-amz-sdk-checksum-algorithm").or(header("x-amz-checksum-algorithm"));
    let named = named
        .map(|name| Algorithm::of_name(name).ok_or_else(|| {
            let message = "Checksum algorithm provided is unsupported. Please try again with any of the valid types: \
                           [CRC32, CRC32C, CRC64NVME, SHA1, SHA256]";
            Fault::new(S3ErrorCode::InvalidRequest, message)
        }))
        .transpose()?;
    if given.len() > 1 {
        let message = "Expecting a single x-amz-checksum- header. Multiple checksum Types are not allowed.";
        return Err(Fault::new(S3ErrorCode::InvalidRequest, message));
    }
    if let Some((algorithm, text)) = given.first() {
        if named.is_some_and(|named| named != *algorithm) {
            let message = "Value for x-amz-sdk-checksum-algorithm header is invalid.";
            return Err(Fault::new(S3ErrorCode::InvalidRequest, message));
        }
        let checksum = Checksum::read(*algorithm, text).ok_or_else(|| invalid_value(algorithm.header()))?;
        return Ok(Some(BodyChecksum::Header(checksum)));
    }
    if let Some(algorithm) = header("x-amz-trailer").and_then(announced_trailer) {
        return Ok(Some(BodyChecksum::Trailer(algorithm)));
    }
    Ok(named.map(BodyChecksum::Noted))
}

fn invalid_value(header: &str) -> Fault {
    Fault::new(S3ErrorCode::InvalidRequest, format!("Value for {header} header is invalid."))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(pairs: &[(&'static str, &'static str)]) -> Result<Promise, Fault> {
        let headers =
            pairs.iter().map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap())).collect();
        Promise::read(&headers, false, 1000)
    }

    fn refused(pairs: &[(&'static str, &'static str)]) -> String {
        read(pairs).unwrap_err().code.as_str().to_owned()
    }

    #[test]
    fn what_is_promised_is_read() {
        let promise = read(&[("content-length", "7"), ("content-md5", "1B2M2Y8AsgTpgAmY7PhCfg==")]).unwrap();
        assert_eq!((promise.len, promise.md5.unwrap()[0]), (Some(7), 0xd4));
        let checksum = |pairs: &[_]| read(pairs).unwrap().checksum;
        assert_eq!(checksum(&[]), None);
        assert!(matches!(checksum(&[("x-amz-checksum-crc32", "y/Q5Jg==")]), Some(BodyChecksum::Header(_))));
        let trailer = checksum(&[("x-amz-trailer", "x-amz-checksum-sha256")]);
        assert_eq!(trailer, Some(BodyChecksum::Trailer(Algorithm::Sha256)));
        let named = checksum(&[("x-amz-sdk-checksum-algorithm", "crc32c")]);
        assert_eq!(named, Some(BodyChecksum::Noted(Algorithm::Crc32c)));
    }

    #[test]
    fn what_cannot_be_is_refused_by_code() {
        assert_eq!(refused(&[("content-length", "-1")]), "InvalidRequest");
        assert_eq!(refused(&[("content-length", "1001")]), "EntityTooLarge");
        assert_eq!(refused(&[("content-md5", "x")]), "InvalidDigest");
        assert_eq!(refused(&[("content-md5", "y/Q5Jg==")]), "InvalidDigest");
        assert_eq!(refused(&[("x-amz-checksum-crc32", "AAAA")]), "InvalidRequest");
        assert_eq!(refused(&[("x-amz-sdk-checksum-algorithm", "CRC16")]), "InvalidRequest");
        let two = [("x-amz-checksum-crc32", "y/Q5Jg=="), ("x-amz-checksum-crc32c", "4waSgw==")];
        assert_eq!(refused(&two), "InvalidRequest");
    }
}
