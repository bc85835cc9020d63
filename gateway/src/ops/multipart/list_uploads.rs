//! The uploads of a bucket that are under way, by key; what lies behind a delimiter rolled up into one prefix.

use std::sync::Arc;

use allotrope_client::ListedUpload;
use s3s::dto::*;
use s3s::{S3Request, S3Response};

use super::upload::initiator;
use crate::call::Call;
use crate::fault::{Fault, of_client};
use crate::ops::list::Spelling;
use crate::ops::walk::{LAST, rolled_up};
use crate::ops::{Gateway, count, owner, timestamp};
use crate::storage_class;

/// Uploads of one answer, and of one call to OM.
const PAGE: u16 = 1000;

pub(crate) async fn list(
    _: &Gateway,
    call: &Arc<Call>,
    request: S3Request<ListMultipartUploadsInput>,
) -> Result<S3Response<ListMultipartUploadsOutput>, Fault> {
    let input = request.input;
    let spelling = Spelling::read(input.encoding_type.as_ref())?;
    let count_max = count("max-uploads", input.max_uploads, PAGE)?;
    call.check_owner(&input.bucket, input.expected_bucket_owner.as_deref()).await?;
    let (prefix, delimiter) = (input.prefix.unwrap_or_default(), input.delimiter.unwrap_or_default());
    let (key_marker, id_marker) =
        (input.key_marker.unwrap_or_default(), input.upload_id_marker.unwrap_or_default());
    let after = (key_marker.as_str(), id_marker.as_str());
    let wish = Wish { prefix: &prefix, delimiter: &delimiter, after, count_max };
    let found = walk(call, &input.bucket, wish).await?;
    let (next_key, next_id) = found.next.unzip();
    let uploads = found.uploads.into_iter().map(|upload| MultipartUpload {
        initiated: Some(timestamp(upload.created_ms)),
        initiator: Some(initiator(&call.user)),
        key: Some(spelling.of(&upload.key)),
        owner: Some(owner(&call.user)),
        storage_class: Some(StorageClass::from(storage_class::listed(upload.replication).to_owned())),
        upload_id: Some(upload.id),
        ..MultipartUpload::default()
    });
    let prefixes = found.prefixes.iter().map(|prefix| CommonPrefix { prefix: Some(spelling.of(prefix)) });
    Ok(S3Response::new(ListMultipartUploadsOutput {
        bucket: Some(input.bucket),
        common_prefixes: Some(prefixes.collect()),
        delimiter: spelling.some(&delimiter),
        encoding_type: spelling.named(),
        is_truncated: Some(next_key.is_some()),
        key_marker: Some(spelling.of(&key_marker)),
        max_uploads: Some(i32::from(count_max)),
        next_key_marker: next_key.map(|key| spelling.of(&key)),
        next_upload_id_marker: next_id.filter(|id| !id.is_empty()),
        prefix: spelling.some(&prefix),
        upload_id_marker: (!id_marker.is_empty()).then_some(id_marker),
        uploads: Some(uploads.collect()),
        ..ListMultipartUploadsOutput::default()
    }))
}

/// What is listed.
#[derive(Clone, Copy, Debug)]
struct Wish<'a> {
    prefix: &'a str,
    delimiter: &'a str,
    /// Uploads up to and including this one (a key, or a prefix that was given, and an upload of the key) were seen.
    after: (&'a str, &'a str),
    count_max: u16,
}

/// What was found.
#[derive(Debug, Default)]
struct Found {
    uploads: Vec<ListedUpload>,
    prefixes: Vec<String>,
    /// The last key, or prefix, and upload that were given, if more follow.
    next: Option<(String, String)>,
    last: (String, String),
}

impl Found {
    /// Takes one upload more; false when it belongs to the next answer.
    fn take(&mut self, upload: ListedUpload, wish: &Wish<'_>) -> bool {
        let prefix = rolled_up(&upload.key, wish.prefix, wish.delimiter).map(str::to_owned);
        if prefix.is_some() && self.prefixes.last() == prefix.as_ref() {
            return true;
        }
        if self.uploads.len() + self.prefixes.len() == usize::from(wish.count_max) {
            self.next = Some(std::mem::take(&mut self.last));
            return false;
        }
        match prefix {
            Some(prefix) => {
                self.last = (prefix.clone(), String::new());
                self.prefixes.push(prefix);
            }
            None => {
                self.last = (upload.key.clone(), upload.id.clone());
                self.uploads.push(upload);
            }
        }
        true
    }
}

/// Where to go on behind (`key`, `id`): behind the whole of a prefix, if `key` lies in one.
fn behind(key: &str, id: &str, wish: &Wish<'_>) -> (String, String) {
    match rolled_up(key, wish.prefix, wish.delimiter) {
        Some(prefix) => (format!("{prefix}{LAST}"), String::new()),
        None => (key.to_owned(), id.to_owned()),
    }
}

async fn walk(call: &Call, bucket: &str, wish: Wish<'_>) -> Result<Found, Fault> {
    let bucket = call.bucket(bucket);
    let mut found = Found::default();
    let (mut key, mut id) = behind(wish.after.0, wish.after.1, &wish);
    loop {
        // A page of none still says whether the bucket is there.
        let page = call.client.list_uploads(&bucket, wish.prefix, (&key, &id), u32::from(PAGE)).await;
        let page = page.map_err(of_client)?;
        let Some(end) = page.uploads.last().map(|upload| (upload.key.clone(), upload.id.clone())) else {
            return Ok(found);
        };
        if wish.count_max == 0 {
            return Ok(found);
        }
        for upload in page.uploads {
            if !found.take(upload, &wish) {
                return Ok(found);
            }
        }
        if !page.more {
            return Ok(found);
        }
        (key, id) = behind(&end.0, &end.1, &wish);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn upload(key: &str, id: &str) -> ListedUpload {
        ListedUpload { key: key.to_owned(), id: id.to_owned(), created_ms: 0, replication: None }
    }

    /// Keys with their uploads' ids, prefixes, and where the next answer begins.
    fn listed(count_max: u16) -> (Vec<String>, Vec<String>, Option<(String, String)>) {
        let wish = Wish { prefix: "", delimiter: "/", after: ("", ""), count_max };
        let mut found = Found::default();
        for (key, id) in [("a", "1"), ("a", "2"), ("b/x", "3"), ("b/y", "4"), ("c", "5")] {
            if !found.take(upload(key, id), &wish) {
                break;
            }
        }
        (found.uploads.into_iter().map(|each| each.key + &each.id).collect(), found.prefixes, found.next)
    }

    #[test]
    fn what_lies_behind_a_delimiter_is_one_prefix() {
        let text = |list: &[&str]| list.iter().map(|&name| name.to_owned()).collect::<Vec<_>>();
        assert_eq!(listed(9), (text(&["a1", "a2", "c5"]), text(&["b/"]), None));
        assert_eq!(listed(1), (text(&["a1"]), vec![], Some(("a".to_owned(), "1".to_owned()))));
        assert_eq!(listed(3), (text(&["a1", "a2"]), text(&["b/"]), Some(("b/".to_owned(), String::new()))));
    }

    #[test]
    fn a_prefix_that_was_given_is_stepped_over() {
        let wish = Wish { prefix: "", delimiter: "/", after: ("", ""), count_max: 1 };
        assert_eq!(behind("b/", "", &wish), (format!("b/{LAST}"), String::new()));
        assert_eq!(behind("a", "1", &wish), ("a".to_owned(), "1".to_owned()));
    }
}
