//! The S3 gateway.
//!
//! Owns    S3's operations, authentication and XML over the native client.
//! Never   speaks to OM, SCM or datanodes but through the client.
