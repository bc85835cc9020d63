//! Listing a bucket, in S3's first and second form.

use std::sync::Arc;

use allotrope_client::KeyEntry;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use s3s::dto::*;
use s3s::{S3Request, S3Response};

use super::object::listed_etag;
use super::walk::{Found, Wish, walk};
use super::{Gateway, count, owner, timestamp};
use crate::auth::sigv4::url_encoded;
use crate::call::Call;
use crate::fault::Fault;
use crate::storage_class;

/// Keys of one answer.
const PAGE: u16 = 1000;
/// A continuation token is this, and the name it goes on behind, in base64.
const TOKEN_MARK: &str = "1";

/// How names are written in the answer.
#[derive(Clone, Copy)]
pub(crate) struct Spelling {
    url: bool,
}

impl Spelling {
    pub(crate) fn read(asked: Option<&EncodingType>) -> Result<Spelling, Fault> {
        match asked.map(EncodingType::as_str) {
            None | Some("") => Ok(Spelling { url: false }),
            Some(EncodingType::URL) => Ok(Spelling { url: true }),
            Some(other) => {
                let message = "Invalid Encoding Method specified in Request";
                Err(Fault::argument("encoding-type", other, message))
            }
        }
    }

    pub(crate) fn of(self, text: &str) -> String {
        if self.url { url_encoded(text) } else { text.to_owned() }
    }

    pub(crate) fn some(self, text: &str) -> Option<String> {
        (!text.is_empty()).then(|| self.of(text))
    }

    pub(crate) fn named(self) -> Option<EncodingType> {
        self.url.then(|| EncodingType::from_static(EncodingType::URL))
    }
}

fn objects(keys: Vec<KeyEntry>, spelling: Spelling, with_owner: bool) -> ObjectList {
    let object = |key: KeyEntry| Object {
        e_tag: listed_etag(&key),
        key: Some(spelling.of(&key.name)),
        last_modified: Some(timestamp(key.modified_ms)),
        owner: with_owner.then(|| owner(key.owner.as_deref().unwrap_or_default())),
        size: Some(key.len.cast_signed()),
        storage_class: Some(ObjectStorageClass::from(storage_class::listed(key.replication).to_owned())),
        ..Object::default()
    };
    keys.into_iter().map(object).collect()
}

fn prefixes(found: &[String], spelling: Spelling) -> CommonPrefixList {
    found.iter().map(|prefix| CommonPrefix { prefix: Some(spelling.of(prefix)) }).collect()
}

pub(crate) async fn first(
    _: &Gateway,
    call: &Arc<Call>,
    request: S3Request<ListObjectsInput>,
) -> Result<S3Response<ListObjectsOutput>, Fault> {
    let input = request.input;
    let spelling = Spelling::read(input.encoding_type.as_ref())?;
    let count_max = count("max-keys", input.max_keys, PAGE)?;
    call.check_owner(&input.bucket, input.expected_bucket_owner.as_deref()).await?;
    let (prefix, delimiter) = (input.prefix.unwrap_or_default(), input.delimiter.unwrap_or_default());
    let marker = input.marker.unwrap_or_default();
    let wish = Wish { prefix: &prefix, delimiter: &delimiter, after: &marker, count_max };
    let Found { keys, prefixes: rolled, next } =
        walk(&call.client, &call.bucket(&input.bucket), wish).await?;
    Ok(S3Response::new(ListObjectsOutput {
        name: Some(input.bucket),
        prefix: Some(spelling.of(&prefix)),
        marker: Some(spelling.of(&marker)),
        max_keys: Some(i32::from(count_max)),
        is_truncated: Some(next.is_some()),
        contents: Some(objects(keys, spelling, true)),
        common_prefixes: Some(prefixes(&rolled, spelling)),
        delimiter: spelling.some(&delimiter),
        // Without a delimiter the last key is the next marker.
        next_marker: next.filter(|_| !delimiter.is_empty()).map(|next| spelling.of(&next)),
        encoding_type: spelling.named(),
        request_charged: None,
    }))
}

pub(crate) async fn second(
    _: &Gateway,
    call: &Arc<Call>,
    request: S3Request<ListObjectsV2Input>,
) -> Result<S3Response<ListObjectsV2Output>, Fault> {
    let input = request.input;
    let spelling = Spelling::read(input.encoding_type.as_ref())?;
    let count_max = count("max-keys", input.max_keys, PAGE)?;
    call.check_owner(&input.bucket, input.expected_bucket_owner.as_deref()).await?;
    let (prefix, delimiter) = (input.prefix.unwrap_or_default(), input.delimiter.unwrap_or_default());
    let start = input.start_after.unwrap_or_default();
    let after = match &input.continuation_token {
        Some(token) => after_token(token)?,
        None => start.clone(),
    };
    let wish = Wish { prefix: &prefix, delimiter: &delimiter, after: &after, count_max };
    let Found { keys, prefixes: rolled, next } =
        walk(&call.client, &call.bucket(&input.bucket), wish).await?;
    Ok(S3Response::new(ListObjectsV2Output {
        name: Some(input.bucket),
        prefix: Some(spelling.of(&prefix)),
        max_keys: Some(i32::from(count_max)),
        key_count: i32::try_from(keys.len() + rolled.len()).ok(),
        continuation_token: input.continuation_token,
        is_truncated: Some(next.is_some()),
        next_continuation_token: next.as_deref().map(token),
        contents: Some(objects(keys, spelling, input.fetch_owner == Some(true))),
        common_prefixes: Some(prefixes(&rolled, spelling)),
        delimiter: spelling.some(&delimiter),
        encoding_type: spelling.named(),
        start_after: spelling.some(&start),
        request_charged: None,
    }))
}

fn token(name: &str) -> String {
    format!("{TOKEN_MARK}{}", URL_SAFE_NO_PAD.encode(name))
}

fn after_token(token: &str) -> Result<String, Fault> {
    let wrong =
        || Fault::argument("continuation-token", token, "The continuation token provided is incorrect");
    let rest = token.strip_prefix(TOKEN_MARK).ok_or_else(wrong)?;
    let bytes = URL_SAFE_NO_PAD.decode(rest).map_err(|_| wrong())?;
    String::from_utf8(bytes).map_err(|_| wrong())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_survives_and_a_damaged_one_is_refused() {
        for name in ["", "a/b", "ä\u{10FFFF}"] {
            assert_eq!(after_token(&token(name)).unwrap(), name);
        }
        for text in ["", "x", "1?", "1_w"] {
            assert!(after_token(text).is_err(), "{text}");
        }
    }
}
