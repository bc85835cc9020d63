//! Allotrope's vocabulary: the words every other crate speaks.
//!
//! Owns    ids, units, replication configs, the container life cycle, result codes, and the rules for names.
//! Never   does I/O, knows a runtime, reads a clock or names a wire format.
//! Shape   one file a concept; a value that exists is valid, its parser is the door.
//! Errors  text that does not parse is a [`Malformed`]: it shows the text, the place and a valid example. An event
//!         that cannot happen in a state is a [`RefusedContainerEvent`] or [`RefusedReplicaEvent`].
//! Source  Ozone 2.2's messages and classes; where a rule was read from a test of Ozone's, the place says so.
//!
//! ```
//! use allotrope_types::{BlockOffset, ByteCount, ContainerId, ReplicationConfig};
//!
//! let container: ContainerId = "42".parse()?;
//! let config: ReplicationConfig = "rs-6-3-1024k".parse()?;
//! let cell: ByteCount = "1MB".parse()?;
//! assert_eq!(config.required_nodes(), 9);
//! assert_eq!(BlockOffset::ZERO.plus(cell), Some(BlockOffset::new(1_048_576)));
//! assert_eq!(container.to_string(), "42");
//!
//! let wrong = "rs-6-x-1024k".parse::<ReplicationConfig>().unwrap_err();
//! assert_eq!(
//!     wrong.to_string(),
//!     "replication config \"rs-6-x-1024k\": expected a number at character 6; a valid one is rs-6-3-1024k"
//! );
//! # Ok::<(), allotrope_types::Malformed>(())
//! ```

mod advice;
mod bcsid;
mod block_id;
mod bucket_layout;
mod bucket_name;
mod byte_count;
mod codes;
mod container_id;
mod container_state;
mod datanode_id;
mod datanode_result;
mod ec_config;
mod id;
mod key_name;
mod local_id;
mod malformed;
mod naming;
mod offset;
mod om_status;
mod pipeline_id;
mod replica_index;
mod replica_state;
mod replication_config;
mod scm_status;
mod secret_key_id;
mod snapshot_id;
mod term;
mod uuid_id;
mod volume_id;
mod volume_name;

pub use advice::Advice;
pub use bcsid::Bcsid;
pub use block_id::BlockId;
pub use bucket_layout::BucketLayout;
pub use bucket_name::BucketName;
pub use byte_count::{ByteCount, StorageSize};
pub use container_id::ContainerId;
pub use container_state::{ContainerEvent, ContainerState, RefusedContainerEvent};
pub use datanode_id::{DatanodeId, DatanodeIdOnWire};
pub use datanode_result::DatanodeResult;
pub use ec_config::{EcCodec, EcConfig};
pub use key_name::{KeyName, KeyRules};
pub use local_id::LocalId;
pub use malformed::Malformed;
pub use naming::NameRules;
pub use offset::{BlockOffset, FileOffset};
pub use om_status::OmStatus;
pub use pipeline_id::PipelineId;
pub use replica_index::ReplicaIndex;
pub use replica_state::{ImportedAs, RefusedReplicaEvent, ReplicaEvent, ReplicaState};
pub use replication_config::{ConfigNotAllowed, ReplicationConfig, ReplicationFactor, ReplicationType};
pub use scm_status::ScmStatus;
pub use secret_key_id::SecretKeyId;
pub use snapshot_id::SnapshotId;
pub use term::Term;
pub use volume_id::VolumeId;
pub use volume_name::VolumeName;
