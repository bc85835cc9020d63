//! The storage container manager: the block layer's brain.
//!
//! Owns    nodes, pipelines, containers, placement, block allocation, the replication manager, the certificate
//!         authority.
//! Never   sees a byte of user data; never depends on OM's or the datanode's code.
