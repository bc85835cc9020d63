//! Erasure coding: codecs, stripe geometry and reconstruction plans.
//!
//! Owns    Ozone's Reed-Solomon and XOR codes over GF(2^8), on ISA-L; which byte of a block group lies in which
//!         cell of which replica; what has to be read and coded to rebuild a lost replica.
//! Never   reads a disk, opens a socket or allocates on the coding path: buffers come from the caller.
