//! `/allotrope/level?path=&after=&limit=`: one level of the namespace, a page at a time, as the browser of the page shows it.
//!
//! Law     when OM is silent the page that it gave last for the same question is shown, with its age.

use serde_json::{Value, json};

use super::namespace::{layout_name, replication_of};
use super::walk::{self, Path};
use super::{Query, Trouble};
use crate::model::{Bucket, Volume};
use crate::recon::{AskError, Recon};
use crate::state::{State, Task};

/// Most names of one page of keys.
const KEYS_MAX: usize = 1000;

pub(super) async fn level(recon: &Recon, query: &Query) -> Result<Value, Trouble> {
    let path = Path::read(query.text("path"))?;
    let (after, limit) = (query.text("after"), query.limit()?.clamp(1, KEYS_MAX));
    match (path.volume(), path.bucket()) {
        (None, _) => Ok(volumes(&recon.state(), after, limit)),
        (Some(volume), None) => buckets(&recon.state(), volume, after, limit),
        _ => keys(recon, &path, after, limit).await,
    }
}

fn made(state: &State, path: &str, rows: Vec<Value>, more: bool) -> Value {
    let answered = state.sources.get(&Task::Namespace).and_then(|source| source.answered_ms);
    json!({ "sources": state.sources_json(), "path": path, "rows": rows, "more": more, "at": answered })
}

fn volumes(state: &State, after: &str, limit: usize) -> Value {
    let mut behind = state.volumes.iter().filter(|volume| *volume.info.volume > *after);
    let row = |volume: &Volume| {
        json!({
            "kind": "volume",
            "name": volume.info.volume,
            "owner": volume.info.owner_name,
            "buckets": volume.buckets,
            "keys": volume.names,
            "used": volume.used,
            "quota": volume.info.quota_in_bytes.map_or(-1, u64::cast_signed),
            "modified": volume.info.modification_time.unwrap_or(0),
        })
    };
    let rows = behind.by_ref().take(limit).map(row).collect();
    let more = behind.next().is_some();
    made(state, "/", rows, more)
}

fn buckets(state: &State, volume: &str, after: &str, limit: usize) -> Result<Value, Trouble> {
    if !state.volumes.iter().any(|known| known.info.volume == volume) {
        return Err(Trouble::missing(format!(
            "there is no volume {volume}, or it is newer than the last look"
        )));
    }
    let of = |bucket: &&Bucket| bucket.volume_name == volume && bucket.bucket_name.as_str() > after;
    let mut behind = state.buckets.iter().filter(of);
    let row = |bucket: &Bucket| {
        json!({
            "kind": "bucket",
            "name": bucket.bucket_name,
            "owner": bucket.owner,
            "layout": layout_name(bucket),
            "replication": replication_of(bucket).map(|replication| replication.scheme),
            "link": bucket.source_volume.as_ref().zip(bucket.source_bucket.as_ref()).map(|(v, b)| format!("/{v}/{b}")),
            "keys": bucket.used_namespace.unwrap_or(0),
            "used": bucket.used_bytes.unwrap_or(0),
            "quota": bucket.quota_in_bytes.unwrap_or(-1),
            "versioning": bucket.is_version_enabled,
            "modified": bucket.modification_time.unwrap_or(0),
        })
    };
    let rows = behind.by_ref().take(limit).map(row).collect();
    let more = behind.next().is_some();
    Ok(made(state, &format!("/{volume}"), rows, more))
}

async fn keys(recon: &Recon, path: &Path, after: &str, limit: usize) -> Result<Value, Trouble> {
    let asked = format!("{path}\n{after}\n{limit}");
    // One more for the name that the page begins with, one for whether there are more.
    match walk::page(recon, path, &path.inside(), after, limit as u64 + 2).await {
        Ok(mut entries) => {
            entries.retain(|entry| entry.name != after);
            let more = entries.len() > limit;
            entries.truncate(limit);
            let rows: Vec<Value> = entries.iter().map(row).collect();
            let mut page = made(&recon.state(), &path.to_string(), rows, more);
            page["at"] = json!(recon.now_ms());
            page["after"] = json!(entries.last().map(|entry| &entry.name));
            recon.keep_page(asked, &page);
            Ok(page)
        }
        Err(error) if !error.was_answered() => silent(recon, &asked, error),
        Err(error) => Err(error.into()),
    }
}

fn silent(recon: &Recon, asked: &str, error: AskError) -> Result<Value, Trouble> {
    let Some((at_ms, mut page)) = recon.kept_page(asked) else { return Err(error.into()) };
    page["sources"] = recon.state().sources_json();
    page["at"] = json!(at_ms);
    page["silent"] = json!(error.line());
    Ok(page)
}

fn row(entry: &walk::Entry) -> Value {
    let name = entry.name.rsplit('/').next().unwrap_or_default();
    if entry.is_directory {
        return json!({ "kind": "directory", "name": name, "modified": entry.info.modification_time() });
    }
    let replication = entry.replication();
    json!({
        "kind": "key",
        "name": name,
        "size": entry.info.data_size(),
        "used": replication.on_disk(entry.info.data_size()),
        "replication": replication.scheme,
        "owner": entry.info.owner_name,
        "modified": entry.info.modification_time(),
    })
}
