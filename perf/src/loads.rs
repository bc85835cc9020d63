//! The loads, a file each kind of server they speak to.
//!
//! Shape   a load holds what all its operations share; `prepare…` makes what must be there before the clock runs.

mod copy;
mod datanode;
mod ec_stress;
mod fleet;
mod key_mixed;
mod key_names;
mod key_read;
mod key_write;
mod om;
mod s3;
mod s3_mixed;
mod scm;
mod storm;

pub use copy::ContainerCopy;
pub use datanode::{BlockPut, Blocks, ChunkRead, ChunkWrite, Echo, SmallFileRead, SmallFileWrite, Written};
pub use ec_stress::{EcStress, EcStressParts, Faults};
pub use fleet::{CopyPace, Fleet, FleetParts, ScmHeartbeat};
pub use key_mixed::{KeyMixed, Mix};
pub use key_names::{KeySet, prepare_keys};
pub use key_read::{KeyRead, ReadWhat};
pub use key_write::{KeyRemove, KeyWrite};
pub use om::{OmCreate, OmMetadata, OmOperation, UnknownOperation};
pub use s3::{S3Bucket, S3Get, S3List, S3Objects, S3Put};
pub use s3_mixed::{S3Mixed, S3Multipart};
pub use scm::BlockAllocate;
pub use storm::ReplicationStorm;
