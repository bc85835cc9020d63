//! The messages, one module a protocol, as `build.rs` generates them from `protos/`.

macro_rules! protocols {
    ($($(#[$about:meta])* $module:ident;)*) => {$(
        $(#[$about])*
        pub mod $module {
            #![allow(
                missing_docs,
                unreachable_pub,
                clippy::all,
                reason = "generated; the .proto files carry the comments"
            )]
            include!(concat!(env!("OUT_DIR"), "/", stringify!($module), ".rs"));
        }
    )*};
}

protocols! {
    /// Words all protocols of the storage layer share (package `hadoop.hdds`).
    hdds;
    /// Hadoop RPC's headers, SASL, connection context, and tokens (package `hadoop.common`).
    hadoop;
    /// Clients to a datanode, and datanode to datanode (package `hadoop.hdds.datanode`).
    container;
    /// Datanode to SCM (package `hadoop.hdds`).
    heartbeat;
    /// OM to SCM (package `hadoop.hdds.block`).
    scm_block;
    /// Administrators, OM and Recon to SCM (package `hadoop.hdds.container`).
    scm_container;
    /// Certificates from SCM (package `hadoop.hdds.security`).
    scm_security;
    /// Symmetric keys from SCM (package `hadoop.hdds.security.symmetric`).
    secret_key;
    /// SCM to SCM (no package).
    inter_scm;
    /// A Java SCM's Raft log entries (no package).
    scm_ratis;
    /// Revocation lists as they appear (package `hadoop.hdds.scm`).
    scm_update;
    /// The disk balancer of one datanode (package `hadoop.hdds`).
    disk_balancer;
    /// Settings changed without a restart (package `hadoop.hdds`).
    reconfigure;
    /// Clients to OM (package `hadoop.ozone`).
    om;
    /// Administrators to OM (package `hadoop.ozone`).
    om_admin;
    /// OM to OM (package `hadoop.ozone`).
    om_inter;
    /// Values of OM's own tables (package `hadoop.ozone`).
    om_storage;
    /// Administrators to any role of ours (package `allotrope.v1`).
    admin;
    /// Ratis' messages (package `ratis.common`).
    ratis;
}
