//! Walking a bucket's keys as S3 lists them: by name, what lies behind a delimiter rolled up into one prefix.
//!
//! Shape   pages of OM's, each from a cursor; a prefix that was rolled up is stepped over, not read through, when it is
//!         longer than the page.

use allotrope_client::{BucketPath, Client, KeyEntry};

use crate::fault::{Fault, of_client};

/// Keys that one call to OM brings.
const PAGE: u16 = 1000;
/// The last character there is: behind it nothing of a prefix follows.
pub(crate) const LAST: char = '\u{10FFFF}';

/// What is listed.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Wish<'a> {
    pub(crate) prefix: &'a str,
    pub(crate) delimiter: &'a str,
    /// Names up to and including this one were seen.
    pub(crate) after: &'a str,
    pub(crate) count_max: u16,
}

/// What was found.
#[derive(Debug, Default)]
pub(crate) struct Found {
    pub(crate) keys: Vec<KeyEntry>,
    pub(crate) prefixes: Vec<String>,
    /// The last name or prefix that was given, if more follow.
    pub(crate) next: Option<String>,
}

impl Found {
    fn count(&self) -> usize {
        self.keys.len() + self.prefixes.len()
    }
}

/// The prefix that `name` is rolled up into: up to the first delimiter behind the asked `prefix`.
pub(crate) fn rolled_up<'a>(name: &'a str, prefix: &str, delimiter: &str) -> Option<&'a str> {
    if delimiter.is_empty() {
        return None;
    }
    let rest = name.strip_prefix(prefix)?;
    let at = rest.find(delimiter)?;
    Some(&name[..prefix.len() + at + delimiter.len()])
}

fn rolled<'a>(name: &'a str, wish: &Wish<'_>) -> Option<&'a str> {
    rolled_up(name, wish.prefix, wish.delimiter)
}

/// Takes one name more; false when it belongs to the next answer.
fn take(entry: KeyEntry, wish: &Wish<'_>, found: &mut Found, last: &mut String) -> bool {
    let prefix = rolled(&entry.name, wish).map(str::to_owned);
    if let Some(prefix) = &prefix
        && (found.prefixes.last() == Some(prefix) || wish.after.starts_with(prefix.as_str()))
    {
        return true;
    }
    if found.count() == usize::from(wish.count_max) {
        found.next = Some(last.clone());
        return false;
    }
    match prefix {
        Some(prefix) => {
            last.clone_from(&prefix);
            found.prefixes.push(prefix);
        }
        None => {
            last.clone_from(&entry.name);
            found.keys.push(entry);
        }
    }
    true
}

/// Walks `bucket`.
pub(crate) async fn walk(client: &Client, bucket: &BucketPath, wish: Wish<'_>) -> Result<Found, Fault> {
    let mut found = Found::default();
    if wish.count_max == 0 {
        // The bucket must still be there.
        client.bucket(bucket).await.map_err(of_client)?;
        return Ok(found);
    }
    let mut last = String::new();
    let mut cursor = match rolled(wish.after, &wish) {
        // The whole of that prefix was given already.
        Some(prefix) if prefix == wish.after => format!("{prefix}{LAST}"),
        _ => wish.after.to_owned(),
    };
    loop {
        let left = usize::from(wish.count_max) - found.count();
        let page = if wish.delimiter.is_empty() { (left + 1).min(PAGE.into()) as u16 } else { PAGE };
        let (keys, more) =
            client.list_keys_page(bucket, wish.prefix, &cursor, page).await.map_err(of_client)?;
        let Some(end) = keys.last().map(|key| key.name.clone()) else { return Ok(found) };
        for entry in keys {
            if !take(entry, &wish, &mut found, &mut last) {
                return Ok(found);
            }
        }
        if !more {
            return Ok(found);
        }
        cursor = match rolled(&end, &wish) {
            Some(prefix) => format!("{prefix}{LAST}"),
            None => end,
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(name: &str) -> KeyEntry {
        KeyEntry {
            name: name.to_owned(),
            len: 0,
            replication: None,
            created_ms: 0,
            modified_ms: 0,
            owner: None,
            is_file: true,
            etag: None,
        }
    }

    fn listed(names: &[&str], wish: Wish<'_>) -> (Vec<String>, Vec<String>, Option<String>) {
        let (mut found, mut last) = (Found::default(), String::new());
        for name in names.iter().filter(|name| name.starts_with(wish.prefix) && **name > wish.after) {
            if !take(entry(name), &wish, &mut found, &mut last) {
                break;
            }
        }
        (found.keys.into_iter().map(|key| key.name).collect(), found.prefixes, found.next)
    }

    #[test]
    fn what_lies_behind_a_delimiter_is_one_prefix() {
        let names = ["a", "b/1", "b/2", "b/c/3", "d", "e/4"];
        let all = Wish { prefix: "", delimiter: "/", after: "", count_max: 10 };
        let text = |list: &[&str]| list.iter().map(|&name| name.to_owned()).collect::<Vec<_>>();
        assert_eq!(listed(&names, all), (text(&["a", "d"]), text(&["b/", "e/"]), None));
        let below = Wish { prefix: "b/", ..all };
        assert_eq!(listed(&names, below), (text(&["b/1", "b/2"]), text(&["b/c/"]), None));
        let two = Wish { count_max: 2, ..all };
        assert_eq!(listed(&names, two), (text(&["a"]), text(&["b/"]), Some("b/".to_owned())));
        let rest = Wish { after: "b/", ..two };
        assert_eq!(listed(&names, rest), (text(&["d"]), text(&["e/"]), None));
        let within = Wish { after: "b/1", ..all };
        assert_eq!(listed(&names, within), (text(&["d"]), text(&["e/"]), None));
        let flat = Wish { delimiter: "", count_max: 3, ..all };
        assert_eq!(listed(&names, flat).2, Some("b/2".to_owned()));
    }
}
