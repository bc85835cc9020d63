//! S3's operations: one file a family. `table` joins them to `s3s`' trait.
//!
//! Shape   an operation takes the gateway, the call and s3s' request, and gives s3s' output or a [`Fault`].

pub(crate) mod acl;
pub(crate) mod buckets;
pub(crate) mod conditions;
pub(crate) mod copy;
pub(crate) mod delete;
pub(crate) mod get;
pub(crate) mod list;
pub(crate) mod multipart;
pub(crate) mod object;
#[cfg(test)]
mod page;
pub(crate) mod put;
pub(crate) mod refused;
pub(crate) mod table;
pub(crate) mod tags;
pub(crate) mod versions;
pub(crate) mod walk;

use std::time::{Duration, SystemTime};

use s3s::dto::{Owner, Timestamp};

use crate::budget::Budget;
use crate::fault::Fault;
use crate::intake::hashing::HashPool;

/// What the operations share.
#[derive(Clone, Debug)]
pub(crate) struct Gateway {
    pub(crate) region: String,
    pub(crate) pool: HashPool,
    pub(crate) budget: Budget,
}

/// A time of OM's as S3 writes times: whole seconds where HTTP dates are compared.
pub(crate) fn timestamp(ms: u64) -> Timestamp {
    Timestamp::from(SystemTime::UNIX_EPOCH + Duration::from_millis(ms))
}

/// A user as S3 shows owners.
pub(crate) fn owner(name: &str) -> Owner {
    Owner { display_name: Some(name.to_owned()), id: Some(name.to_owned()) }
}

/// The number in a listing's request, within 0 to `most`.
pub(crate) fn count(name: &'static str, given: Option<i32>, most: u16) -> Result<u16, Fault> {
    match given {
        None => Ok(most),
        Some(count) if count < 0 => {
            let message = "Argument must be an integer between 0 and 2147483647";
            Err(Fault::argument(name, count.to_string(), message))
        }
        Some(count) => Ok(u16::try_from(count).unwrap_or(most).min(most)),
    }
}
