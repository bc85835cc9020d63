//! The native client.
//!
//! Owns    calls to OM, SCM and datanodes, erasure-coded and replicated streams, failover and retry.
//! Never   keeps state that another client would need; never depends on a server's code.
