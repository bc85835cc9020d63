//! Keys as clients and OM speak of them: arguments, blocks, listings, checksums, encryption.
//!
//! Times are milliseconds since 1970. Object and update ids are OM's own numbers.

use allotrope_types::{BlockId, BlockOffset, ByteCount, ReplicationConfig};
use bytes::Bytes;

use super::field::enums;
use super::hdds::{KeyValue, Pipeline};
use super::om_bucket::Acl;
use super::token::HadoopToken;
use crate::om as wire;

pub use crate::om::{ChecksumTypeProto, CipherSuiteProto, CryptoProtocolVersionProto, FileChecksumTypeProto};

enums!(ChecksumTypeProto, CipherSuiteProto, CryptoProtocolVersionProto, FileChecksumTypeProto);

message! {
    /// What a client says of a key; each call reads its own part.
    KeyArgs = wire => KeyArgs {
        volume_name: String,
        bucket_name: String,
        key_name: String,
        data_size: Option<ByteCount>,
        key_locations: Vec<KeyLocation>,
        is_multipart_key: Option<bool>,
        multipart_upload_id: Option<String>,
        multipart_number: Option<u32>,
        metadata: Vec<KeyValue>,
        acls: Vec<Acl>,
        modification_time: Option<u64>,
        sort_datanodes: Option<bool>,
        file_encryption_info: Option<FileEncryptionInfo>,
        latest_version_location: Option<bool>,
        recursive: Option<bool>,
        head_op: Option<bool>,
        force_update_container_cache_from_scm: Option<bool>,
        owner_name: Option<String>,
        tags: Vec<KeyValue>,
        expected_data_generation: Option<u64>,
        expected_e_tag: Option<String>,
        ;
        replication: Option<ReplicationConfig> = (r#type, factor, ec_replication_config),
    }
}

impl KeyArgs {
    /// A key by its name, of which nothing more is said.
    pub fn named(volume: impl Into<String>, bucket: impl Into<String>, key: impl Into<String>) -> KeyArgs {
        KeyArgs {
            volume_name: volume.into(),
            bucket_name: bucket.into(),
            key_name: key.into(),
            data_size: None,
            key_locations: vec![],
            is_multipart_key: None,
            multipart_upload_id: None,
            multipart_number: None,
            metadata: vec![],
            acls: vec![],
            modification_time: None,
            sort_datanodes: None,
            file_encryption_info: None,
            latest_version_location: None,
            recursive: None,
            head_op: None,
            force_update_container_cache_from_scm: None,
            owner_name: None,
            tags: vec![],
            expected_data_generation: None,
            expected_e_tag: None,
            replication: None,
        }
    }
}

message! {
    /// One block, or block group, of a key.
    KeyLocation = wire => KeyLocation {
        offset: BlockOffset,
        length: ByteCount,
        create_version: Option<u64>,
        token: Option<HadoopToken>,
        pipeline: Option<Pipeline>,
        part_number: Option<i32>,
        ;
        block: BlockId = (block_id),
    }
}
message! {
    /// The blocks of one version of a key.
    KeyLocationList = wire => KeyLocationList {
        version: Option<u64>,
        key_locations: Vec<KeyLocation>,
        file_encryption_info: Option<FileEncryptionInfo>,
        is_multipart_key: Option<bool>,
    }
}
message! {
    /// A key as OM stores and shows it.
    KeyInfo = wire => KeyInfo {
        volume_name: String,
        bucket_name: String,
        key_name: String,
        data_size: ByteCount,
        key_location_list: Vec<KeyLocationList>,
        creation_time: u64,
        modification_time: u64,
        latest_version: Option<u64>,
        metadata: Vec<KeyValue>,
        file_encryption_info: Option<FileEncryptionInfo>,
        acls: Vec<Acl>,
        object_id: Option<u64>,
        update_id: Option<u64>,
        parent_id: Option<u64>,
        file_checksum: Option<FileChecksum>,
        is_file: Option<bool>,
        owner_name: Option<String>,
        tags: Vec<KeyValue>,
        expected_data_generation: Option<u64>,
        ;
        replication: ReplicationConfig = (r#type, factor, ec_replication_config),
    }
}
message! {
    /// A key in a listing, without its blocks.
    KeyInfoLight = wire => KeyInfoProtoLight {
        volume_name: String,
        bucket_name: String,
        key_name: String,
        data_size: ByteCount,
        creation_time: u64,
        modification_time: u64,
        object_id: Option<u64>,
        update_id: Option<u64>,
        parent_id: Option<u64>,
        is_file: Option<bool>,
        ;
        replication: ReplicationConfig = (r#type, factor, ec_replication_config),
    }
}
message! {
    /// A key in a listing, with what most callers need.
    BasicKeyInfo = wire => BasicKeyInfo {
        key_name: Option<String>,
        data_size: Option<ByteCount>,
        creation_time: Option<u64>,
        modification_time: Option<u64>,
        e_tag: Option<String>,
        owner_name: Option<String>,
        is_encrypted: Option<bool>,
        is_file: Option<bool>,
        ;
        replication: Option<ReplicationConfig> = (r#type, factor, ec_replication_config),
    }
}
message! {
    /// A file's checksum as a CRC over all its blocks.
    CompositeCrcFileChecksum = wire => CompositeCrcFileChecksumProto {
        checksum_type: ChecksumTypeProto,
        bytes_per_crc: u32,
        crc: u32,
    }
}
message! {
    /// A file's checksum as HDFS computes it.
    Md5Md5Crc32FileChecksum = wire => Md5md5Crc32FileChecksumProto {
        checksum_type: ChecksumTypeProto,
        bytes_per_crc: u32,
        crc_per_block: u64,
        md5: Bytes,
    }
}
message! {
    /// A file's checksum, in the one form that its type names.
    FileChecksum = wire => FileChecksumProto {
        checksum_type: FileChecksumTypeProto,
        composite_crc: Option<CompositeCrcFileChecksum>,
        md5_crc: Option<Md5Md5Crc32FileChecksum>,
    }
}
message! {
    /// How a file is encrypted: its encrypted data key and the key that opens it.
    FileEncryptionInfo = wire => FileEncryptionInfoProto {
        suite: CipherSuiteProto,
        crypto_protocol_version: CryptoProtocolVersionProto,
        key: Bytes,
        iv: Bytes,
        key_name: String,
        ez_key_version_name: String,
    }
}
message! {
    /// A directory of a bucket in file system layout.
    DirectoryInfo = wire => DirectoryInfo {
        name: String,
        creation_time: u64,
        modification_time: u64,
        metadata: Vec<KeyValue>,
        acls: Vec<Acl>,
        object_id: u64,
        update_id: u64,
        parent_id: u64,
        owner_name: Option<String>,
    }
}
message! {
    /// Versions of a deleted key.
    RepeatedKeyInfo = wire => RepeatedKeyInfo {
        key_info: Vec<KeyInfo>,
        bucket_id: Option<u64>,
    }
}
message! {
    /// A file or directory; no key for a bucket's root.
    OzoneFileStatus = wire => OzoneFileStatusProto {
        key_info: Option<KeyInfo>,
        block_size: Option<ByteCount>,
        is_directory: Option<bool>,
    }
}
message! {
    /// A file or directory in a listing.
    OzoneFileStatusLight = wire => OzoneFileStatusProtoLight {
        volume_name: Option<String>,
        bucket_name: Option<String>,
        basic_key_info: Option<BasicKeyInfo>,
        block_size: Option<ByteCount>,
        is_directory: Option<bool>,
    }
}
