//! Volumes and buckets as clients and OM speak of them, their quotas and access control lists.
//!
//! Times are milliseconds since 1970. Object and update ids are OM's own numbers.

use allotrope_types::{BucketLayout, ByteCount, ReplicationConfig};
use bytes::Bytes;

use super::field::{At, Field, enums};
use super::hdds::{KeyValue, StorageTypeProto};
use super::om_key::{CipherSuiteProto, CryptoProtocolVersionProto};
use crate::WireError;
use crate::om as wire;

pub use crate::om::ozone_acl_info::{OzoneAclScope, OzoneAclType};
pub use crate::om::ozone_obj::{ObjectType, StoreType};

enums!(OzoneAclScope, OzoneAclType, ObjectType, StoreType);

/// How much a volume or bucket may hold, in bytes or in names. Below zero there is no limit: -1 says so, -2 is what
/// volumes and buckets have that were made before there were quotas.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Quota(pub i64);

impl Quota {
    /// No limit.
    pub const NONE: Quota = Quota(-1);

    /// The limit, if there is one.
    pub fn limit(self) -> Option<u64> {
        u64::try_from(self.0).ok()
    }
}

impl Field<i64> for Quota {
    fn read(wire: i64, _: At) -> Result<Self, WireError> {
        Ok(Quota(wire))
    }

    fn write(self) -> i64 {
        self.0
    }
}

/// Some messages have it unsigned, and -1 in it all the same.
impl Field<u64> for Quota {
    fn read(wire: u64, _: At) -> Result<Self, WireError> {
        Ok(Quota(wire.cast_signed()))
    }

    fn write(self) -> u64 {
        self.0.cast_unsigned()
    }
}

/// What an entry of an access control list allows: a set of the ten rights.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct AclRights(u16);

impl AclRights {
    /// Read.
    pub const READ: AclRights = AclRights(1 << 0);
    /// Write.
    pub const WRITE: AclRights = AclRights(1 << 1);
    /// Create.
    pub const CREATE: AclRights = AclRights(1 << 2);
    /// List.
    pub const LIST: AclRights = AclRights(1 << 3);
    /// Delete.
    pub const DELETE: AclRights = AclRights(1 << 4);
    /// Read the list.
    pub const READ_ACL: AclRights = AclRights(1 << 5);
    /// Change the list.
    pub const WRITE_ACL: AclRights = AclRights(1 << 6);
    /// Everything.
    pub const ALL: AclRights = AclRights(1 << 7);
    /// Nothing: the entry denies.
    pub const NONE: AclRights = AclRights(1 << 8);
    /// Act as a role.
    pub const ASSUME_ROLE: AclRights = AclRights(1 << 9);

    const KNOWN: u16 = (1 << 10) - 1;

    /// The rights of both.
    pub const fn and(self, other: AclRights) -> AclRights {
        AclRights(self.0 | other.0)
    }

    /// Whether every right of `other` is named here. ALL is a name of its own: this does not look behind it.
    pub const fn names(self, other: AclRights) -> bool {
        self.0 & other.0 == other.0
    }
}

/// Bits as Java's BitSet writes them: the lowest byte first, no zero bytes at the end.
impl Field<Bytes> for AclRights {
    fn read(wire: Bytes, at: At) -> Result<Self, WireError> {
        let trimmed = wire.iter().rposition(|&byte| byte != 0).map_or(0, |last| last + 1);
        let bits = match wire[..trimmed] {
            [] => 0,
            [low] => u16::from(low),
            [low, high] => u16::from_le_bytes([low, high]),
            _ => return Err(at.invalid(format!("is {} bytes long, and there are ten rights", wire.len()))),
        };
        if bits & !AclRights::KNOWN != 0 {
            return Err(at.invalid(format!("has the bits {bits:#b}, and there are ten rights")));
        }
        Ok(AclRights(bits))
    }

    fn write(self) -> Bytes {
        let bytes = self.0.to_le_bytes();
        let len = bytes.iter().rposition(|&byte| byte != 0).map_or(0, |last| last + 1);
        Bytes::copy_from_slice(&bytes[..len])
    }
}

message! {
    /// One entry of an access control list: who may do what.
    Acl = wire => OzoneAclInfo {
        r#type: OzoneAclType,
        name: String,
        rights: AclRights,
        acl_scope: OzoneAclScope,
    }
}
message! {
    /// A volume as OM stores and shows it.
    VolumeInfo = wire => VolumeInfo {
        admin_name: String,
        owner_name: String,
        volume: String,
        quota_in_bytes: Option<Quota>,
        metadata: Vec<KeyValue>,
        volume_acls: Vec<Acl>,
        creation_time: Option<u64>,
        object_id: Option<u64>,
        update_id: Option<u64>,
        modification_time: Option<u64>,
        quota_in_namespace: Option<Quota>,
        used_namespace: Option<u64>,
        ref_count: Option<i64>,
    }
}
message! {
    /// A bucket as OM stores and shows it.
    BucketInfo = wire => BucketInfo {
        volume_name: String,
        bucket_name: String,
        acls: Vec<Acl>,
        is_version_enabled: bool,
        storage_type: StorageTypeProto,
        creation_time: Option<u64>,
        metadata: Vec<KeyValue>,
        beinfo: Option<BucketEncryptionInfo>,
        object_id: Option<u64>,
        update_id: Option<u64>,
        modification_time: Option<u64>,
        source_volume: Option<String>,
        source_bucket: Option<String>,
        used_bytes: Option<ByteCount>,
        quota_in_bytes: Option<Quota>,
        quota_in_namespace: Option<Quota>,
        used_namespace: Option<u64>,
        bucket_layout: Option<BucketLayout>,
        owner: Option<String>,
        default_replication_config: Option<ReplicationConfig>,
        snapshot_used_bytes: Option<ByteCount>,
        snapshot_used_namespace: Option<u64>,
        tags: Vec<KeyValue>,
    }
}
message! {
    /// What a client wants changed of a bucket; absent parts stay.
    BucketArgs = wire => BucketArgs {
        volume_name: String,
        bucket_name: String,
        is_version_enabled: Option<bool>,
        storage_type: Option<StorageTypeProto>,
        metadata: Vec<KeyValue>,
        quota_in_bytes: Option<Quota>,
        quota_in_namespace: Option<Quota>,
        owner_name: Option<String>,
        default_replication_config: Option<ReplicationConfig>,
        bek_info: Option<BucketEncryptionInfo>,
        tags: Vec<KeyValue>,
    }
}

impl BucketArgs {
    /// A bucket by its name, of which nothing is to change.
    pub fn named(volume: impl Into<String>, bucket: impl Into<String>) -> BucketArgs {
        BucketArgs {
            volume_name: volume.into(),
            bucket_name: bucket.into(),
            is_version_enabled: None,
            storage_type: None,
            metadata: vec![],
            quota_in_bytes: None,
            quota_in_namespace: None,
            owner_name: None,
            default_replication_config: None,
            bek_info: None,
            tags: vec![],
        }
    }
}

message! {
    /// What an access control list belongs to.
    OzoneObj = wire => OzoneObj {
        res_type: ObjectType,
        store_type: StoreType,
        path: String,
    }
}
message! {
    /// Which key a bucket's files are encrypted under.
    BucketEncryptionInfo = wire => BucketEncryptionInfoProto {
        key_name: String,
        suite: Option<CipherSuiteProto>,
        crypto_protocol_version: Option<CryptoProtocolVersionProto>,
    }
}
message! {
    /// The access control list of a prefix.
    PrefixInfo = wire => PrefixInfo {
        name: String,
        acls: Vec<Acl>,
        metadata: Vec<KeyValue>,
        object_id: Option<u64>,
        update_id: Option<u64>,
    }
}
