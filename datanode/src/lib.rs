//! The datanode: containers, blocks and chunks, durable, on shards.
//!
//! Owns    volumes and their layout on disk, container and block life cycles, chunk I/O, replication and
//!         reconstruction of containers, scanners.
//! Never   knows a key, a bucket or a volume of the namespace; never depends on SCM's or OM's code.
//!
//! Filled by the datanode issues (README.md, 'Folders').
