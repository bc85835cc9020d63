//! Lists of names and values, as metadata and tags travel.

use std::collections::BTreeMap;

use allotrope_proto::edge::hdds::KeyValue;

/// Metadata and tags, in the order of their names. A name without a value has an empty one, as for Java.
pub(crate) fn pairs(list: Vec<KeyValue>) -> BTreeMap<String, String> {
    list.into_iter().map(|pair| (pair.key, pair.value.unwrap_or_default())).collect()
}

/// The same on its way to OM.
pub(crate) fn wire_pairs(map: &BTreeMap<String, String>) -> Vec<KeyValue> {
    let pair = |(key, value): (&String, &String)| KeyValue { key: key.clone(), value: Some(value.clone()) };
    map.iter().map(pair).collect()
}
