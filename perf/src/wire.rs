//! The wires that the native client does not speak: single commands to a datanode, containers' archives, blocks from SCM, reports to
//! SCM, S3.

mod archive;
mod containers;
mod datanode;
mod reports;
mod s3;
mod scm;
mod simulated;

pub(crate) use archive::{pull, push};
pub use containers::Containers;
pub use datanode::BlockTarget;
pub(crate) use datanode::{Datanodes, chunk_of, command};
pub use reports::Reports;
pub use s3::S3Account;
pub(crate) use s3::{S3, S3Answer, between, encoded};
pub(crate) use scm::id_of;
pub use scm::{Scm, ScmTransport};
pub use simulated::SimulatedDatanode;
