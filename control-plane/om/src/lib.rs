//! The Ozone manager: the namespace.
//!
//! Owns    volumes, buckets, keys, files, multipart uploads, ACLs, quotas, snapshots.
//! Never   sees a byte of user data; never depends on SCM's or the datanode's code.
