//! Signatures of S3 requests, version 4: whether a request was signed with the secret of its access id.
//!
//! Shape   the gateway sends what the client was to sign (`stringToSign`) and the signature it sent; the third line of the
//!         former is the scope `<date>/<region>/<service>/aws4_request`, from which the signing key is derived.
//! Law     pure. The comparison takes the same time wherever two signatures differ.
//! Source  AWS, "Signature Version 4 signing process".

use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;

use crate::requests::hex;

fn sign(key: &[u8], text: &str) -> Vec<u8> {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).expect("a key of any length does");
    mac.update(text.as_bytes());
    mac.finalize().into_bytes().to_vec()
}

/// The key that `secret` signs with in the scope of `string_to_sign`; `None` if that is not what S3 signs.
pub(crate) fn signing_key(secret: &str, string_to_sign: &str) -> Option<Vec<u8>> {
    let mut scope = string_to_sign.split('\n').nth(2)?.split('/');
    let mut next = || scope.next().filter(|part| !part.is_empty());
    let (date, region, service, end) = (next()?, next()?, next()?, next()?);
    let key = sign(format!("AWS4{secret}").as_bytes(), date);
    let key = sign(&sign(&key, region), service);
    Some(sign(&key, end))
}

/// Whether `signature` is that of `string_to_sign` with `secret`.
pub(crate) fn is_signed(secret: &str, string_to_sign: &str, signature: &str) -> bool {
    let Some(key) = signing_key(secret, string_to_sign) else { return false };
    let wanted = hex(&sign(&key, string_to_sign));
    let differences = wanted.bytes().zip(signature.bytes()).fold(0, |sum, (a, b)| sum | (a ^ b));
    wanted.len() == signature.len() && differences == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The example of AWS's documentation: GET Object, 24 May 2013.
    const SECRET: &str = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY";
    const TO_SIGN: &str = "AWS4-HMAC-SHA256\n20130524T000000Z\n20130524/us-east-1/s3/aws4_request\n\
                           7344ae5b7ee6c3e7e6b0fe0640412a37625d1fbfff95c48bbb2dc43964946972";
    const SIGNATURE: &str = "f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41";

    #[test]
    fn a_signature_holds_for_its_secret_and_text_alone() {
        assert!(is_signed(SECRET, TO_SIGN, SIGNATURE));
        assert!(!is_signed("other", TO_SIGN, SIGNATURE));
        assert!(!is_signed(SECRET, &TO_SIGN.replace("us-east-1", "eu-west-1"), SIGNATURE));
        assert!(!is_signed(SECRET, TO_SIGN, &SIGNATURE[..63]));
        assert!(!is_signed(SECRET, TO_SIGN, ""));
        for text in ["", "a\nb", "a\nb\n20130524/us-east-1", "a\nb\n///"] {
            assert!(!is_signed(SECRET, text, SIGNATURE), "{text:?}");
        }
    }
}
