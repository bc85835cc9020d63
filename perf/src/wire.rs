//! The wires that the native client does not speak: single commands to a datanode, blocks from SCM, S3.

mod containers;
mod datanode;
mod s3;
mod scm;

pub use containers::Containers;
pub use datanode::BlockTarget;
pub(crate) use datanode::{Datanodes, chunk_of, command};
pub use s3::S3Account;
pub(crate) use s3::{S3, S3Answer, between, encoded};
pub use scm::{Scm, ScmTransport};
