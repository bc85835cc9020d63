//! Shards, aligned buffers, disks and streams.
//!
//! Owns    the thread-per-core runtime behind traits (io_uring and a portable back), the buffer pools, files opened
//!         for direct I/O, sockets on shards, the clock; and the in-memory twin that fault tests run on.
//! Never   knows what a container, a block or a message is.
