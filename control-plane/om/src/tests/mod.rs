//! What each request does, told on tables in memory: the same `plan`, `apply` and `read` that a server runs.

mod acl;
mod attributes;
mod bad_input;
mod buckets;
mod files;
mod ha;
mod keys;
mod leases;
mod listing;
mod model;
mod requests;
mod s3;
mod uploads;
mod versions;
mod volumes;
mod world;
