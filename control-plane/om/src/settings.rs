//! What an OM is told about how to serve.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use allotrope_types::{BucketLayout, ReplicationConfig, ReplicationFactor};

/// Settings that requests are planned and answered by. They are the leader's; what they decide goes into the log.
#[derive(Clone)]
pub struct Settings {
    /// Bytes of one block (`ozone.scm.block.size`). Default 256 MiB.
    pub block_size: u64,
    /// How keys are kept whose client and bucket do not say. Default RATIS/THREE.
    pub default_replication: ReplicationConfig,
    /// The layout of buckets whose maker does not say. Default FILE_SYSTEM_OPTIMIZED.
    pub default_layout: BucketLayout,
    /// Volumes that one owner may have (`ozone.om.user.max.volume`). Default 1024.
    pub volumes_per_owner_max: usize,
    /// Most entries of one page of a listing (`ozone.om.server.list.max.size`). Default 1000.
    pub list_max: usize,
    /// Whether names follow S3's rules strictly (`ozone.om.namespace.s3.strict`). Default true.
    pub s3_strict: bool,
    /// The volume that S3 buckets lie in (`ozone.s3g.volume.name`). Default `s3v`.
    pub s3_volume: String,
    /// Users who may do everything (`ozone.administrators`), besides [`Settings::own_user`].
    pub admins: BTreeSet<String>,
    /// The user this OM acts as. Default `om`.
    pub own_user: String,
    /// Whether requests that say they come from S3 have to be signed with their access id's secret. Default false: the access id
    /// is believed, as every user name is without security.
    pub s3_signatures: bool,
    /// Groups whose members may do everything (`ozone.administrators.groups`).
    pub admin_groups: BTreeSet<String>,
    /// Whether rights are enforced (`ozone.acl.enabled`). Default false: lists are kept and shown.
    pub acl_enabled: bool,
    /// Whether everybody may list all volumes (`ozone.om.volume.listall.allowed`). Default true.
    pub list_all_volumes: bool,
    /// Whether files may be synced before their end (`ozone.fs.hsync.enabled`). Default false.
    pub hsync: bool,
    /// How long a writer may be silent before another may take its file (`ozone.om.lease.soft.limit`). Default 60 s.
    pub lease_soft_limit: Duration,
    /// Who knows which group a user belongs to.
    pub groups: Arc<dyn Groups>,
}

impl Default for Settings {
    fn default() -> Settings {
        Settings {
            block_size: 256 << 20,
            default_replication: ReplicationConfig::Ratis(ReplicationFactor::Three),
            default_layout: BucketLayout::FileSystemOptimized,
            volumes_per_owner_max: 1024,
            list_max: 1000,
            s3_strict: true,
            s3_volume: "s3v".to_owned(),
            admins: BTreeSet::new(),
            own_user: "om".to_owned(),
            s3_signatures: false,
            admin_groups: BTreeSet::new(),
            acl_enabled: false,
            list_all_volumes: true,
            hsync: false,
            lease_soft_limit: Duration::from_secs(60),
            groups: Arc::new(NoGroups),
        }
    }
}

impl Settings {
    /// Whether `user` may do everything.
    pub fn is_admin(&self, user: &str) -> bool {
        user == self.own_user
            || self.admins.contains(user)
            || !self.admin_groups.is_empty()
                && self.groups.all(user).iter().any(|group| self.admin_groups.contains(group))
    }
}

impl std::fmt::Debug for Settings {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Settings")
            .field("block_size", &self.block_size)
            .field("default_replication", &self.default_replication)
            .field("default_layout", &self.default_layout)
            .finish_non_exhaustive()
    }
}

/// Knows the groups of users. The wire carries only a user's name.
pub trait Groups: Send + Sync {
    /// The primary group of `user`; `None` if the user is unknown here, who then gets no entry for a group.
    fn primary_group(&self, user: &str) -> Option<String>;

    /// All groups of `user`.
    fn all(&self, user: &str) -> Vec<String> {
        self.primary_group(user).into_iter().collect()
    }
}

/// Knows no user.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoGroups;

impl Groups for NoGroups {
    fn primary_group(&self, _: &str) -> Option<String> {
        None
    }
}
