//! Tokens: Hadoop's envelope in its text form, and the identifiers of block and container tokens inside it.
//!
//! Owns    `Token.encodeToUrlString` both ways; what a datanode reads in the identifier. Never checks a signature.
//! Units   expiry is milliseconds since 1970.
//! Errors  [`TokenError`] says at which byte the envelope goes wrong; [`WireError`] for identifiers.
//! Source  docs/formats/token.md.

use allotrope_types::{BlockId, ContainerId, SecretKeyId};
use base64::Engine;
use base64::alphabet::URL_SAFE;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use bytes::{Buf, BufMut, Bytes};

use super::field::{At, Field, enums};
use super::hdds::Token;
use crate::hdds::BlockTokenSecretProto;
use crate::{Checked, WireError, decode};

pub use crate::hdds::block_token_secret_proto::AccessModeProto as AccessMode;

enums!(AccessMode);

/// Java writes no padding and reads either.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &URL_SAFE,
    GeneralPurposeConfig::new()
        .with_encode_padding(false)
        .with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// Kind of the tokens that open blocks.
pub const BLOCK_TOKEN_KIND: &str = "HDDS_BLOCK_TOKEN";
/// Kind of the tokens that open containers.
pub const CONTAINER_TOKEN_KIND: &str = "HDDS_CONTAINER_TOKEN";

/// The longest text that is read: far beyond any real token.
pub const TEXT_LEN_MAX: usize = 64 * 1024;

message! {
    /// A token as Hadoop's own messages carry it.
    HadoopToken = crate::hadoop => TokenProto {
        identifier: Bytes,
        password: Bytes,
        kind: String,
        service: String,
    }
}

/// Text that is no token.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TokenError {
    /// The text is longer than any token.
    #[error("a token's text of {len} characters, beyond {TEXT_LEN_MAX}")]
    TooLong {
        /// Its length in bytes.
        len: usize,
    },
    /// The text is not URL-safe base64.
    #[error("a token's text is not URL-safe base64")]
    Base64 {
        /// Where and why.
        source: base64::DecodeError,
    },
    /// What is inside breaks off, or has a length that cannot be.
    #[error("a token's {part} at byte {at}: {why}")]
    Garbled {
        /// identifier, password, kind, service, or what follows them.
        part: &'static str,
        /// Where, counted from the start of the decoded bytes.
        at: usize,
        /// What is wrong there.
        why: &'static str,
    },
}

impl Token {
    /// Reads a token's text form.
    ///
    /// ```
    /// use allotrope_proto::edge::hdds::Token;
    ///
    /// let token = Token::from_text("AmlkAnB3EEhERFNfQkxPQ0tfVE9LRU4RY29uSUQ6IDEgbG9jSUQ6IDI")?;
    /// assert_eq!(token.service, "conID: 1 locID: 2");
    /// # Ok::<(), allotrope_proto::edge::token::TokenError>(())
    /// ```
    ///
    /// # Errors
    /// [`TokenError`] if the text is no token.
    pub fn from_text(text: &str) -> Result<Token, TokenError> {
        if text.len() > TEXT_LEN_MAX {
            return Err(TokenError::TooLong { len: text.len() });
        }
        let bytes = Bytes::from(BASE64.decode(text).map_err(|source| TokenError::Base64 { source })?);
        let mut rest = bytes.clone();
        let mut part = |part| {
            let garbled = |rest: &Bytes, why| TokenError::Garbled { part, at: bytes.len() - rest.len(), why };
            let len = vint(&mut rest).ok_or_else(|| garbled(&rest, "its length is cut off"))?;
            let len = usize::try_from(len).map_err(|_| garbled(&rest, "its length is negative"))?;
            if len > rest.len() {
                return Err(garbled(&rest, "it is cut off"));
            }
            Ok(rest.split_to(len))
        };
        let identifier = part("identifier")?;
        let password = part("password")?;
        let text = |part: &'static str, value: Bytes| {
            let why = "it is not UTF-8";
            String::from_utf8(value.to_vec()).map_err(|_| TokenError::Garbled { part, at: 0, why })
        };
        let kind = text("kind", part("kind")?)?;
        let service = text("service", part("service")?)?;
        if rest.has_remaining() {
            let at = bytes.len() - rest.len();
            return Err(TokenError::Garbled { part: "end", at, why: "more bytes follow" });
        }
        Ok(Token { identifier, password, kind, service })
    }

    /// The token's text form.
    pub fn to_text(&self) -> String {
        let mut bytes = Vec::new();
        for part in [&self.identifier[..], &self.password, self.kind.as_bytes(), self.service.as_bytes()] {
            put_vint(part.len() as i64, &mut bytes);
            bytes.extend_from_slice(part);
        }
        BASE64.encode(bytes)
    }
}

/// Takes a Hadoop vint off `rest`: -112..=127 in one byte, else a byte that tells sign and length, then big-endian bytes.
/// A negative number is stored as its complement.
fn vint(rest: &mut Bytes) -> Option<i64> {
    let first = rest.try_get_i8().ok()?;
    if first >= -112 {
        return Some(i64::from(first));
    }
    let (negative, len) =
        if first < -120 { (true, -120 - i32::from(first)) } else { (false, -112 - i32::from(first)) };
    let mut number = 0u64;
    for _ in 0..len {
        number = number << 8 | u64::from(rest.try_get_u8().ok()?);
    }
    Some(if negative { !number } else { number }.cast_signed())
}

/// Writes a Hadoop vint.
fn put_vint(number: i64, target: &mut impl BufMut) {
    if (-112..=127).contains(&number) {
        target.put_i8(number as i8);
        return;
    }
    let (magnitude, start) = if number < 0 { (!number, -120) } else { (number, -112) };
    let len = 8 - magnitude.leading_zeros() as usize / 8;
    target.put_i8((start - len as i32) as i8);
    target.put_slice(&magnitude.to_be_bytes()[8 - len..]);
}

/// What a block token allows: the identifier that its password signs.
#[derive(Clone, Debug, PartialEq)]
pub struct BlockTokenIdentifier {
    /// The user it was made for.
    pub owner: String,
    /// The block; its BCSID and replica index are not part of it.
    pub block: BlockId,
    /// Milliseconds since 1970.
    pub expiry: u64,
    /// What old releases signed with.
    pub om_cert_serial: Option<String>,
    /// What may be done.
    pub modes: Vec<AccessMode>,
    /// Nobody enforces it.
    pub max_length: u64,
    /// The symmetric key that signed it.
    pub secret_key: Option<SecretKeyId>,
}

impl BlockTokenIdentifier {
    /// Reads the identifier of a token. The bytes themselves are what the password signs.
    ///
    /// # Errors
    /// [`WireError`] if they are no such identifier.
    pub fn read(identifier: Bytes) -> Result<BlockTokenIdentifier, WireError> {
        decode::<BlockTokenSecretProto>(identifier)?.try_into()
    }
}

/// `conID: <container> locID: <local>`.
fn block_of_text(text: &str, at: At) -> Result<BlockId, WireError> {
    let (container, local) = text
        .strip_prefix("conID: ")
        .and_then(|rest| rest.split_once(" locID: "))
        .ok_or_else(|| at.invalid("is not of the form 'conID: 1 locID: 2'"))?;
    let container = container.parse().map_err(|source| at.malformed(source))?;
    Ok(BlockId::new(container, local.parse().map_err(|source| at.malformed(source))?))
}

impl TryFrom<BlockTokenSecretProto> for BlockTokenIdentifier {
    type Error = WireError;

    fn try_from(message: BlockTokenSecretProto) -> Result<BlockTokenIdentifier, WireError> {
        let at = |field| At::new(BlockTokenSecretProto::RULES, field);
        Ok(BlockTokenIdentifier {
            owner: message.owner_id,
            block: block_of_text(&message.block_id, at("block_id"))?,
            expiry: message.expiry_date,
            om_cert_serial: message.om_cert_serial_id,
            modes: Field::read(message.modes, at("modes"))?,
            max_length: message.max_length,
            secret_key: Field::read(message.secret_key_id, at("secret_key_id"))?,
        })
    }
}

impl From<BlockTokenIdentifier> for BlockTokenSecretProto {
    fn from(identifier: BlockTokenIdentifier) -> BlockTokenSecretProto {
        let BlockId { container, local, .. } = identifier.block;
        BlockTokenSecretProto {
            owner_id: identifier.owner,
            block_id: format!("conID: {container} locID: {local}"),
            expiry_date: identifier.expiry,
            om_cert_serial_id: identifier.om_cert_serial,
            modes: identifier.modes.write(),
            max_length: identifier.max_length,
            secret_key_id: identifier.secret_key.write(),
        }
    }
}

message! {
    /// What a container token allows: the identifier that its password signs.
    ContainerTokenIdentifier = crate::scm_container => ContainerTokenSecretProto {
        owner_id: String,
        container_id: ContainerId,
        expiry_date: u64,
        cert_serial_id: Option<String>,
        ;
        /// The symmetric key that signed it.
        secret_key: Option<SecretKeyId> = (secret_key_id),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const TEXT: &str = "AmlkAnB3EEhERFNfQkxPQ0tfVE9LRU4RY29uSUQ6IDEgbG9jSUQ6IDI";

    #[test]
    fn the_text_that_java_wrote_reads_and_writes_the_same() {
        let token = Token::from_text(TEXT).unwrap();
        let wanted = Token {
            identifier: Bytes::from_static(b"id"),
            password: Bytes::from_static(b"pw"),
            kind: BLOCK_TOKEN_KIND.into(),
            service: "conID: 1 locID: 2".into(),
        };
        assert_eq!(token, wanted);
        assert_eq!(token.to_text(), TEXT);
        assert_eq!(Token::from_text(&format!("{TEXT}=")), Ok(wanted));
    }

    #[test]
    fn damaged_texts_are_refused_where_they_break() {
        let text = |bytes: &[u8]| BASE64.encode(bytes);
        let refused = |text: &str| Token::from_text(text).unwrap_err().to_string();
        assert_eq!(refused(""), "a token's identifier at byte 0: its length is cut off");
        assert_eq!(refused(&text(&[5, 1])), "a token's identifier at byte 1: it is cut off");
        assert_eq!(refused(&text(&[0, 0x80 | 0x10])), "a token's password at byte 2: its length is negative");
        assert_eq!(refused(&text(&[0, 0, 0, 0, 9])), "a token's end at byte 4: more bytes follow");
        assert_eq!(refused(&text(&[0, 0, 1, 0xff, 0])), "a token's kind at byte 0: it is not UTF-8");
        assert!(refused("@@@").contains("base64"));
        assert!(refused(&"A".repeat(TEXT_LEN_MAX + 1)).contains("beyond"));
        for len in 0..TEXT.len() {
            assert!(Token::from_text(&TEXT[..len]).is_err(), "cut at {len}");
        }
    }

    proptest! {
        #[test]
        fn a_vint_reads_back(number in any::<i64>(), small in -300i64..300) {
            for number in [number, small, number >> 30, number >> 50] {
                let mut bytes = Vec::new();
                put_vint(number, &mut bytes);
                prop_assert_eq!(vint(&mut Bytes::from(bytes)), Some(number));
            }
        }

        #[test]
        fn a_token_survives_its_text(
            identifier in prop::collection::vec(any::<u8>(), 0..600),
            password in prop::collection::vec(any::<u8>(), 0..64),
            kind in ".{0,20}",
            service in ".{0,150}",
        ) {
            let token = Token { identifier: identifier.into(), password: password.into(), kind, service };
            prop_assert_eq!(Token::from_text(&token.to_text()), Ok(token));
        }

        #[test]
        fn a_block_tokens_identifier_survives_its_message(
            owner in ".{0,9}", container in 0..i64::MAX as u64, local in 0..i64::MAX as u64, expiry: u64, key: (i64, i64),
        ) {
            let identifier = BlockTokenIdentifier {
                owner,
                block: BlockId::new(ContainerId::new(container), allotrope_types::LocalId::new(local)),
                expiry,
                om_cert_serial: None,
                modes: vec![AccessMode::Read, AccessMode::Write],
                max_length: 1,
                secret_key: Some(SecretKeyId::from_halves(key.0, key.1)),
            };
            let bytes = prost::Message::encode_to_vec(&BlockTokenSecretProto::from(identifier.clone()));
            prop_assert_eq!(BlockTokenIdentifier::read(bytes.into()), Ok(identifier));
        }

        #[test]
        fn no_text_makes_the_token_parser_panic(text in "[A-Za-z0-9_-]{0,80}", any in ".{0,40}") {
            let _ = Token::from_text(&text);
            let _ = Token::from_text(&any);
        }
    }
}
