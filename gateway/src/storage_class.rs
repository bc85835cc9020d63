//! S3's storage classes as replication configs: one table, both ways.
//!
//! | storage class | kept as |
//! | --- | --- |
//! | (none given) | the bucket's default |
//! | STANDARD | the bucket's default |
//! | REDUCED_REDUNDANCY | STANDALONE/ONE: one copy |
//! | STANDARD_IA | rs-3-2-1024k |
//! | GLACIER_IR | rs-6-3-1024k |
//! | DEEP_ARCHIVE | rs-10-4-1024k |
//!
//! The others are refused with InvalidStorageClass. What is listed is the row whose config the key has, else STANDARD.

use allotrope_types::ReplicationConfig;
use s3s::S3ErrorCode;

use crate::fault::Fault;

/// The classes that choose a config themselves.
pub(crate) const TABLE: &[(&str, &str)] = &[
    ("REDUCED_REDUNDANCY", "STANDALONE/ONE"),
    ("STANDARD_IA", "rs-3-2-1024k"),
    ("GLACIER_IR", "rs-6-3-1024k"),
    ("DEEP_ARCHIVE", "rs-10-4-1024k"),
];

/// How a key of class `name` is to be kept; `None` leaves it to the bucket.
pub(crate) fn replication(name: Option<&str>) -> Result<Option<ReplicationConfig>, Fault> {
    match name {
        None | Some("STANDARD") => Ok(None),
        Some(name) => match TABLE.iter().find(|(class, _)| *class == name) {
            Some((_, config)) => Ok(Some(config.parse().expect("the table holds configs"))),
            None => {
                let message = "The storage class you specified is not valid";
                Err(Fault::new(S3ErrorCode::InvalidStorageClass, message))
            }
        },
    }
}

/// The class that was asked for, if a response should name it: S3 leaves STANDARD out.
pub(crate) fn shown(noted: Option<&str>) -> Option<String> {
    noted.filter(|name| *name != "STANDARD").map(str::to_owned)
}

/// The class that a key of this config is listed with.
pub(crate) fn listed(replication: Option<ReplicationConfig>) -> &'static str {
    let text = replication.map(|config| config.to_string());
    TABLE.iter().find(|(_, config)| text.as_deref() == Some(*config)).map_or("STANDARD", |(class, _)| class)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_class_of_the_table_is_listed_as_it_was_asked_for() {
        for (class, config) in TABLE {
            let found = replication(Some(class)).unwrap();
            assert_eq!(found.unwrap().to_string(), *config);
            assert!(*class == listed(found) || *class == "STANDARD_IA");
        }
        assert_eq!(replication(Some("STANDARD")).unwrap(), None);
        assert_eq!(replication(Some("OUTPOSTS")).unwrap_err().code, S3ErrorCode::InvalidStorageClass);
        assert_eq!(listed(None), "STANDARD");
    }
}
