//! The checksums that S3 knows: computed beside the bytes, in S3's text, and joined from those of parts.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use crc_fast::{CrcAlgorithm, Digest as CrcDigest};
use sha1::Sha1;
use sha2::{Digest as _, Sha256};

/// One kind of checksum.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Algorithm {
    Crc32,
    Crc32c,
    Crc64Nvme,
    Sha1,
    Sha256,
}

impl Algorithm {
    pub(crate) const ALL: [Algorithm; 5] =
        [Algorithm::Crc32, Algorithm::Crc32c, Algorithm::Crc64Nvme, Algorithm::Sha1, Algorithm::Sha256];

    /// As S3 writes it.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Algorithm::Crc32 => "CRC32",
            Algorithm::Crc32c => "CRC32C",
            Algorithm::Crc64Nvme => "CRC64NVME",
            Algorithm::Sha1 => "SHA1",
            Algorithm::Sha256 => "SHA256",
        }
    }

    pub(crate) fn of_name(name: &str) -> Option<Algorithm> {
        Algorithm::ALL.into_iter().find(|algorithm| algorithm.name() == name.to_ascii_uppercase())
    }

    /// The header, or trailing header, that carries it.
    pub(crate) fn header(self) -> &'static str {
        match self {
            Algorithm::Crc32 => "x-amz-checksum-crc32",
            Algorithm::Crc32c => "x-amz-checksum-crc32c",
            Algorithm::Crc64Nvme => "x-amz-checksum-crc64nvme",
            Algorithm::Sha1 => "x-amz-checksum-sha1",
            Algorithm::Sha256 => "x-amz-checksum-sha256",
        }
    }

    pub(crate) fn of_header(name: &str) -> Option<Algorithm> {
        Algorithm::ALL.into_iter().find(|algorithm| algorithm.header() == name)
    }

    /// Bytes of a checksum.
    pub(crate) fn len(self) -> usize {
        match self {
            Algorithm::Crc32 | Algorithm::Crc32c => 4,
            Algorithm::Crc64Nvme => 8,
            Algorithm::Sha1 => 20,
            Algorithm::Sha256 => 32,
        }
    }

    fn crc(self) -> Option<CrcAlgorithm> {
        match self {
            Algorithm::Crc32 => Some(CrcAlgorithm::Crc32IsoHdlc),
            Algorithm::Crc32c => Some(CrcAlgorithm::Crc32Iscsi),
            Algorithm::Crc64Nvme => Some(CrcAlgorithm::Crc64Nvme),
            Algorithm::Sha1 | Algorithm::Sha256 => None,
        }
    }
}

/// A checksum in the making.
pub(crate) enum Running {
    Crc(Algorithm, CrcDigest),
    Sha1(Sha1),
    Sha256(Sha256),
}

impl Running {
    pub(crate) fn new(algorithm: Algorithm) -> Running {
        match (algorithm, algorithm.crc()) {
            (_, Some(crc)) => Running::Crc(algorithm, CrcDigest::new(crc)),
            (Algorithm::Sha1, None) => Running::Sha1(Sha1::new()),
            (_, None) => Running::Sha256(Sha256::new()),
        }
    }

    pub(crate) fn update(&mut self, bytes: &[u8]) {
        match self {
            Running::Crc(_, digest) => digest.update(bytes),
            Running::Sha1(digest) => digest.update(bytes),
            Running::Sha256(digest) => digest.update(bytes),
        }
    }

    pub(crate) fn finish(self) -> Checksum {
        match self {
            Running::Crc(algorithm, digest) => Checksum::of_crc(algorithm, digest.finalize()),
            Running::Sha1(digest) => {
                Checksum { algorithm: Algorithm::Sha1, bytes: digest.finalize().to_vec() }
            }
            Running::Sha256(digest) => {
                Checksum { algorithm: Algorithm::Sha256, bytes: digest.finalize().to_vec() }
            }
        }
    }
}

/// A checksum of some bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Checksum {
    pub(crate) algorithm: Algorithm,
    bytes: Vec<u8>,
}

impl Checksum {
    fn of_crc(algorithm: Algorithm, value: u64) -> Checksum {
        let bytes = value.to_be_bytes();
        Checksum { algorithm, bytes: bytes[8 - algorithm.len()..].to_vec() }
    }

    /// Reads S3's text; `None` if it is none of this kind.
    pub(crate) fn read(algorithm: Algorithm, text: &str) -> Option<Checksum> {
        let bytes = BASE64.decode(text).ok().filter(|bytes| bytes.len() == algorithm.len())?;
        Some(Checksum { algorithm, bytes })
    }

    /// S3's text of it: base64.
    pub(crate) fn text(&self) -> String {
        BASE64.encode(&self.bytes)
    }

    /// The checksum of an object from those of its parts and their lengths, as of the whole object; `None` for kinds that
    /// cannot be joined so.
    pub(crate) fn whole(parts: &[(Checksum, u64)]) -> Option<Checksum> {
        let algorithm = parts.first()?.0.algorithm;
        let crc = algorithm.crc()?;
        let value =
            |part: &Checksum| part.bytes.iter().fold(0u64, |value, &byte| value << 8 | u64::from(byte));
        let joined = parts[1..].iter().fold(value(&parts[0].0), |joined, (part, len)| {
            crc_fast::checksum_combine(crc, joined, value(part), *len)
        });
        Some(Checksum::of_crc(algorithm, joined))
    }

    /// The text of an object's composite checksum: that of its parts' checksums, and how many they are.
    pub(crate) fn composite(parts: &[Checksum]) -> Option<String> {
        let mut running = Running::new(parts.first()?.algorithm);
        parts.iter().for_each(|part| running.update(&part.bytes));
        Some(format!("{}-{}", running.finish().text(), parts.len()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn checksum(algorithm: Algorithm, bytes: &[u8]) -> Checksum {
        let mut running = Running::new(algorithm);
        running.update(bytes);
        running.finish()
    }

    #[test]
    fn known_bytes_have_known_checksums() {
        for (algorithm, text) in [
            (Algorithm::Crc32, "y/Q5Jg=="),
            (Algorithm::Crc32c, "4waSgw=="),
            (Algorithm::Crc64Nvme, "rosUhgp5mIg="),
            (Algorithm::Sha1, "98O8HYCOBHMqCTa0CcdVDWl4qOc="),
            (Algorithm::Sha256, "FeKw09mzBZpJ/SnZQt2oMNnr+KrQYLRZJ6wCRDgyRaw="),
        ] {
            let (name, found) = (algorithm.name(), checksum(algorithm, b"123456789"));
            if algorithm.crc().is_some() {
                assert_eq!(found.text(), text, "{name}");
            }
            assert_eq!(Checksum::read(algorithm, &found.text()), Some(found));
            assert_eq!(Algorithm::of_name(name), Some(algorithm));
            assert_eq!(Algorithm::of_header(algorithm.header()), Some(algorithm));
        }
        assert_eq!(Checksum::read(Algorithm::Crc32, "rosUhgp5mIg="), None);
        assert_eq!(Checksum::read(Algorithm::Crc32, "?"), None);
    }

    #[test]
    fn the_checksum_of_a_whole_comes_from_those_of_its_parts() {
        let bytes: Vec<u8> = (0..10_000u32).map(|x| (x * 7) as u8).collect();
        for algorithm in [Algorithm::Crc32, Algorithm::Crc32c, Algorithm::Crc64Nvme] {
            let parts = [&bytes[..3000], &bytes[3000..3001], &bytes[3001..]];
            let parts = parts.map(|part| (checksum(algorithm, part), part.len() as u64));
            assert_eq!(Checksum::whole(&parts), Some(checksum(algorithm, &bytes)), "{}", algorithm.name());
        }
        assert_eq!(Checksum::whole(&[(checksum(Algorithm::Sha1, b""), 0)]), None);
    }
}
