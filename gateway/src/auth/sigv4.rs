//! Signature Version 4: pure functions from a claim and a request's head to the text that is signed.
//!
//! Shape   canonical request → string to sign → HMAC chain. Chunks continue the chain from the request's signature.
//! Source  "Signature Calculations for the Authorization Header", AWS' own examples in the tests.

use hmac::{Hmac, KeyInit, Mac};
use http::request::Parts;
use sha2::{Digest, Sha256};

use super::claim::{Carrier, Claim};

/// SHA-256 of nothing, which stands in every chunk's text.
const EMPTY_SHA256: &str = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

/// A signing key: good for one day, one region.
#[derive(Clone)]
pub(crate) struct Key([u8; 32]);

impl std::fmt::Debug for Key {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Key(…)")
    }
}

impl Key {
    pub(crate) fn derive(secret: &str, date: &str, region: &str) -> Key {
        let first = hmac(format!("AWS4{secret}").as_bytes(), date.as_bytes());
        let key = ["s3", "aws4_request"]
            .iter()
            .fold(hmac(&first, region.as_bytes()), |key, part| hmac(&key, part.as_bytes()));
        Key(key)
    }

    pub(crate) fn sign_hex(&self, text: &str) -> String {
        hex(&hmac(&self.0, text.as_bytes()))
    }
}

fn hmac(key: &[u8], message: &[u8]) -> [u8; 32] {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).expect("HMAC takes a key of any length");
    mac.update(message);
    mac.finalize().into_bytes().into()
}

/// The request in its canonical form, with `path` as its path.
pub(crate) fn canonical_request(claim: &Claim, head: &Parts, path: &str) -> String {
    let mut headers = String::new();
    for name in &claim.signed_headers {
        let values = head.headers.get_all(name.as_str()).iter();
        let values: Vec<String> =
            values.map(|value| collapsed(&String::from_utf8_lossy(value.as_bytes()))).collect();
        headers.push_str(&format!("{name}:{}\n", values.join(",")));
    }
    let query = canonical_query(head.uri.query().unwrap_or(""), claim.carrier);
    format!(
        "{}\n{path}\n{query}\n{headers}\n{}\n{}",
        head.method,
        claim.signed_headers.join(";"),
        claim.content_text
    )
}

/// The text that the request's signature covers.
pub(crate) fn string_to_sign(claim: &Claim, canonical: &str) -> String {
    let digest = hex(&Sha256::digest(canonical));
    format!("AWS4-HMAC-SHA256\n{}\n{}\n{digest}", claim.timestamp, claim.scope())
}

fn canonical_query(query: &str, carrier: Carrier) -> String {
    let mut pairs = query_pairs(query).unwrap_or_default();
    if carrier != Carrier::Header {
        pairs.retain(|(name, _)| name != "X-Amz-Signature");
    }
    let mut encoded: Vec<(String, String)> =
        pairs.iter().map(|(name, value)| (encoded(name, false), encoded(value, false))).collect();
    encoded.sort();
    encoded.iter().map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>().join("&")
}

/// A header's value without space around it and with single spaces in it.
fn collapsed(value: &str) -> String {
    value.split_ascii_whitespace().collect::<Vec<_>>().join(" ")
}

/// A path as it is signed: every byte but the unreserved ones and slashes in percent form.
pub(crate) fn encoded_path(path: &str) -> String {
    match percent_decoded_bytes(path) {
        Some(bytes) => encoded_bytes(&bytes, true),
        None => path.to_owned(),
    }
}

fn encoded(text: &str, keep_slash: bool) -> String {
    encoded_bytes(text.as_bytes(), keep_slash)
}

fn encoded_bytes(bytes: &[u8], keep_slash: bool) -> String {
    let mut out = String::with_capacity(bytes.len());
    for &byte in bytes {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => out.push(char::from(byte)),
            b'/' if keep_slash => out.push('/'),
            _ => out.push_str(&format!("%{byte:02X}")),
        }
    }
    out
}

/// Text for a URL, slashes kept: what listings give to clients that ask for it.
pub(crate) fn url_encoded(text: &str) -> String {
    encoded(text, true)
}

/// Names and values of a query, decoded; `None` if they are no text.
pub(crate) fn query_pairs(query: &str) -> Option<Vec<(String, String)>> {
    let pairs = query.split('&').filter(|pair| !pair.is_empty());
    pairs
        .map(|pair| {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            Some((percent_decoded(&name.replace('+', " "))?, percent_decoded(&value.replace('+', " "))?))
        })
        .collect()
}

/// Decodes percent escapes; `None` if they are none, or not UTF-8.
pub(crate) fn percent_decoded(text: &str) -> Option<String> {
    String::from_utf8(percent_decoded_bytes(text)?).ok()
}

fn percent_decoded_bytes(text: &str) -> Option<Vec<u8>> {
    let mut out = Vec::with_capacity(text.len());
    let mut bytes = text.bytes();
    while let Some(byte) = bytes.next() {
        if byte != b'%' {
            out.push(byte);
            continue;
        }
        let digit = |byte: Option<u8>| char::from(byte?).to_digit(16);
        let (high, low) = (digit(bytes.next())?, digit(bytes.next())?);
        out.push((high * 16 + low) as u8);
    }
    Some(out)
}

/// Lower-case hexadecimal.
pub(crate) fn hex(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let digit = |half: u8| char::from(DIGITS[usize::from(half)]);
    bytes.iter().flat_map(|byte| [digit(byte >> 4), digit(byte & 15)]).collect()
}

/// `N` bytes of hexadecimal.
pub(crate) fn hex_decoded<const N: usize>(text: &str) -> Option<[u8; N]> {
    let bytes = text.as_bytes();
    if bytes.len() != N * 2 {
        return None;
    }
    let digit = |byte: u8| char::from(byte).to_digit(16);
    let mut out = [0; N];
    for (at, pair) in bytes.chunks_exact(2).enumerate() {
        out[at] = (digit(pair[0])? * 16 + digit(pair[1])?) as u8;
    }
    Some(out)
}

/// Signs one chunk after the other, each over the one before.
#[derive(Clone, Debug)]
pub(crate) struct ChunkSigner {
    key: Key,
    timestamp: String,
    scope: String,
    previous: String,
}

impl ChunkSigner {
    pub(crate) fn new(key: Key, claim: &Claim) -> ChunkSigner {
        ChunkSigner {
            key,
            timestamp: claim.timestamp.clone(),
            scope: claim.scope(),
            previous: claim.signature.clone(),
        }
    }

    /// The signature of the next chunk, whose bytes have this digest.
    pub(crate) fn next_chunk(&mut self, digest: &[u8]) -> String {
        let digests = format!("{EMPTY_SHA256}\n{}", hex(digest));
        self.next("PAYLOAD", &digests)
    }

    /// The signature of the trailing headers in their canonical form.
    pub(crate) fn trailer(&mut self, canonical: &str) -> String {
        let digest = hex(&Sha256::digest(canonical));
        self.next("TRAILER", &digest)
    }

    fn next(&mut self, kind: &str, digests: &str) -> String {
        let (timestamp, scope, previous) = (&self.timestamp, &self.scope, &self.previous);
        let text = format!("AWS4-HMAC-SHA256-{kind}\n{timestamp}\n{scope}\n{previous}\n{digests}");
        self.previous = self.key.sign_hex(&text);
        self.previous.clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// AWS' examples share this secret and day.
    const SECRET: &str = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY";

    fn head(method: &str, uri: &str, headers: &[(&str, &str)]) -> Parts {
        let mut request = http::Request::builder().method(method).uri(uri);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        request.body(()).unwrap().into_parts().0
    }

    fn signature(head: &Parts) -> String {
        let claim = Claim::read(head).unwrap();
        let key = Key::derive(SECRET, &claim.date, &claim.region);
        let canonical = canonical_request(&claim, head, &encoded_path(head.uri.path()));
        key.sign_hex(&string_to_sign(&claim, &canonical))
    }

    fn authorization(signed: &str) -> String {
        format!(
            "AWS4-HMAC-SHA256 Credential=AKIAIOSFODNN7EXAMPLE/20130524/us-east-1/s3/aws4_request,\
             SignedHeaders={signed},Signature=0"
        )
    }

    #[test]
    fn the_documents_examples_come_out() {
        let get = head(
            "GET",
            "/test.txt",
            &[
                ("host", "examplebucket.s3.amazonaws.com"),
                ("range", "bytes=0-9"),
                ("x-amz-content-sha256", EMPTY_SHA256),
                ("x-amz-date", "20130524T000000Z"),
                ("authorization", &authorization("host;range;x-amz-content-sha256;x-amz-date")),
            ],
        );
        assert_eq!(signature(&get), "f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41");
        let put = head(
            "PUT",
            "/test%24file.text",
            &[
                ("host", "examplebucket.s3.amazonaws.com"),
                ("date", "Fri, 24 May 2013 00:00:00 GMT"),
                ("x-amz-date", "20130524T000000Z"),
                ("x-amz-storage-class", "REDUCED_REDUNDANCY"),
                ("x-amz-content-sha256", "44ce7dd67c959e0d3524ffac1771dfbba87d2b6b4b4e99e42034a8b803f8b072"),
                (
                    "authorization",
                    &authorization("date;host;x-amz-content-sha256;x-amz-date;x-amz-storage-class"),
                ),
            ],
        );
        assert_eq!(signature(&put), "98ad721746da40c64f1a55b78f14c238d841ea1380cd77a1b5971af0ece108bd");
        let list = head(
            "GET",
            "/?max-keys=2&prefix=J",
            &[
                ("host", "examplebucket.s3.amazonaws.com"),
                ("x-amz-content-sha256", EMPTY_SHA256),
                ("x-amz-date", "20130524T000000Z"),
                ("authorization", &authorization("host;x-amz-content-sha256;x-amz-date")),
            ],
        );
        assert_eq!(signature(&list), "34b48302e7b5fa45bde8084f4b7868a86f0a534bc59db6670ed5711ef69dc6f7");
    }

    #[test]
    fn the_documents_presigned_url_comes_out() {
        let url = "/test.txt?X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=AKIAIOSFODNN7EXAMPLE%2F20130524\
                   %2Fus-east-1%2Fs3%2Faws4_request&X-Amz-Date=20130524T000000Z&X-Amz-Expires=86400\
                   &X-Amz-SignedHeaders=host&X-Amz-Signature=0";
        let get = head("GET", url, &[("host", "examplebucket.s3.amazonaws.com")]);
        assert_eq!(signature(&get), "aeeed9bbccd4d02ee5c0109b86d86835f995330da4c265957d157751f604d404");
    }

    #[test]
    fn the_documents_chunks_come_out() {
        let mut signer = ChunkSigner {
            key: Key::derive(SECRET, "20130524", "us-east-1"),
            timestamp: "20130524T000000Z".to_owned(),
            scope: "20130524/us-east-1/s3/aws4_request".to_owned(),
            previous: "4f232c4386841ef735655705268965c44a0e4690baa4adea153f7db9fa80a0a9".to_owned(),
        };
        let mut chunk = |len: usize| signer.next_chunk(&Sha256::digest(vec![b'a'; len]));
        assert_eq!(chunk(65536), "ad80c730a21e5b8d04586a2213dd63b9a0e99e0e2307b0ade35a65485a288648");
        assert_eq!(chunk(1024), "0055627c9e194cb4542bae2aa5492e3c1575bbb81b612b7d234b86a503ef5497");
        assert_eq!(chunk(0), "b6c6ea8a5354eaf15b3cb7646744f4275b71ea724fed81ceb9323e279d449df9");
    }

    #[test]
    fn escapes_survive_and_damaged_ones_are_refused() {
        assert_eq!(encoded_path("/a b/%C3%A4/%2F/..//x"), "/a%20b/%C3%A4///..//x");
        assert_eq!(percent_decoded("%c3%a4"), Some("ä".to_owned()));
        for text in ["%", "%4", "%zz", "%ff"] {
            assert_eq!(percent_decoded(text), None, "{text}");
        }
        assert_eq!(hex_decoded::<2>(&hex(&[0, 255])), Some([0, 255]));
        assert_eq!(hex_decoded::<2>("0g00"), None);
    }
}
