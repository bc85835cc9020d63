//! Multipart uploads: `upload` begins and aborts them, `list_uploads` lists them, `part` writes their parts, `complete` makes the object.
//!
//! Format  OM keeps one text with a part, its ETag. Here that is the part's MD5 in hex and, behind a colon, its checksum:
//!         `0123…cdef:CRC32=AAAAAA==` ([`PartNote`]). Clients see the MD5 alone.

pub(crate) mod complete;
pub(crate) mod list_uploads;
pub(crate) mod part;
pub(crate) mod upload;

use crate::auth::sigv4::{hex, hex_decoded};
use crate::fault::Fault;
use crate::intake::Taken;
use crate::intake::checksum::{Algorithm, Checksum};

/// The highest number of a part.
const PART_NUMBER_MAX: i32 = 10_000;

/// What is noted with a part.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct PartNote {
    /// Its MD5 in hex; another text where another gateway wrote the part.
    pub(crate) etag: String,
    pub(crate) checksum: Option<Checksum>,
}

impl PartNote {
    fn of(taken: &Taken) -> PartNote {
        PartNote { etag: hex(&taken.md5), checksum: taken.checksum.clone() }
    }

    fn text(&self) -> String {
        match &self.checksum {
            Some(checksum) => format!("{}:{}={}", self.etag, checksum.algorithm.name(), checksum.text()),
            None => self.etag.clone(),
        }
    }

    fn read(text: &str) -> PartNote {
        let text = text.trim_matches('"');
        let (etag, rest) = text.split_once(':').unwrap_or((text, ""));
        let checksum =
            rest.split_once('=').and_then(|(name, text)| Checksum::read(Algorithm::of_name(name)?, text));
        PartNote { etag: etag.to_owned(), checksum }
    }

    fn md5(&self) -> Option<[u8; 16]> {
        hex_decoded(&self.etag)
    }
}

/// A part's number, if a part can have it.
fn part_number(number: i32) -> Result<u32, Fault> {
    match u32::try_from(number) {
        Ok(found) if (1..=PART_NUMBER_MAX).contains(&number) => Ok(found),
        _ => {
            let message = "Part number must be an integer between 1 and 10000, inclusive";
            Err(Fault::argument("partNumber", number.to_string(), message))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_parts_note_survives_its_text() {
        let etag = "0123456789abcdef0123456789abcdef".to_owned();
        for checksum in [None, Checksum::read(Algorithm::Crc32, "y/Q5Jg==")] {
            let note = PartNote { etag: etag.clone(), checksum };
            assert_eq!(PartNote::read(&note.text()), note);
        }
        assert_eq!(PartNote::read(&format!("\"{etag}\"")).etag, etag);
        assert_eq!(PartNote::read("x:CRC32=?").checksum, None);
        assert!(part_number(0).is_err() && part_number(10_001).is_err() && part_number(10_000).is_ok());
    }
}
