//! What each request does, told on tables in memory: the same `plan`, `apply` and `read` that a server runs.

mod acl;
mod attributes;
mod buckets;
mod files;
mod keys;
mod listing;
mod requests;
mod s3;
mod uploads;
mod versions;
mod volumes;
mod world;
