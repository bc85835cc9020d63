//! `allotrope sh key list`: the keys of a bucket, or of all buckets of a volume.

use allotrope_client::{BucketPath, Client, KeyListing, KeyPath};
use serde_json::Value;

use super::{Done, ListArgs, connect, json, out, volume};
use crate::config::Settings;

pub(super) async fn list(settings: &Settings, uri: &str, list: &ListArgs) -> Done {
    if let Ok(volume) = volume::name(uri) {
        return in_volume(&connect(settings, uri)?, &volume, list).await;
    }
    // A third part of the path is a prefix, which --prefix goes on.
    let (bucket, prefix) = match uri.parse::<BucketPath>() {
        Ok(bucket) => (bucket, list.prefix.clone()),
        Err(error) => {
            let path: KeyPath = uri.parse().map_err(|_| error)?;
            (path.bucket, path.key + &list.prefix)
        }
    };
    let mut listing = connect(settings, uri)?.list_keys(&bucket, &prefix, &list.start).await?;
    let shown = page(&mut listing, &bucket, list.count_max()).await?;
    let count = shown.len();
    out::json(&Value::Array(shown))?;
    if listing.next().await?.is_some() {
        there_is_more(count);
    }
    Ok(())
}

/// As `ozone sh` does: a list for each bucket, by the buckets' names, with as many keys in all as were asked for. `--start` and
/// `--prefix` hold in each bucket.
async fn in_volume(client: &Client, volume: &str, list: &ListArgs) -> Done {
    let buckets = client.list_buckets(volume, "", "", usize::MAX).await?;
    let mut count = 0;
    for (at, bucket) in buckets.iter().enumerate() {
        let mut listing = client.list_keys(&bucket.path, &list.prefix, &list.start).await?;
        let shown = page(&mut listing, &bucket.path, list.count_max() - count).await?;
        count += shown.len();
        out::json(&Value::Array(shown))?;
        let full = count >= list.count_max();
        if full && (at + 1 < buckets.len() || listing.next().await?.is_some()) {
            there_is_more(count);
            return Ok(());
        }
    }
    Ok(())
}

/// At most `count_max` of the keys that `listing` gives.
async fn page(
    listing: &mut KeyListing,
    bucket: &BucketPath,
    count_max: usize,
) -> Result<Vec<Value>, allotrope_client::Error> {
    let mut shown = vec![];
    while shown.len() < count_max {
        let Some(entry) = listing.next().await? else { break };
        shown.push(json::entry(bucket, &entry));
    }
    Ok(shown)
}

fn there_is_more(count: usize) {
    eprintln!("these are the first {count} keys\n  try: --length COUNT for more of them, --all for all");
}
