//! Reconstruction plans: which sources, which slices, which targets, and what is skipped and why.
//!
//! Shape   facts in (what each surviving replica of a container reports), a plan out: for each block the length that is
//!         safe, the replicas to read and the steps to take. No I/O; a loop at the datanode carries the steps out.
//! Units   bytes; steps are column slices of one stripe.
//! Errors  [`ContainerPlanError`] for facts that cannot be; a block that cannot be rebuilt is no error but a
//!         [`Skipped`] with its reason, which goes to the operator.
//! Source  Ozone's `ECReconstructionCoordinator`. It drops a block that any source lacks, and cuts a block to the
//!         shortest length any source reports. Here a block is rebuilt as soon as enough sources hold it, to the
//!         greatest length that enough of them hold: a damaged source then costs nobody his bytes.
//!
//! Why that length is safe: a client acknowledges a length after all replicas have put it, so no choice of enough
//! sources is shorter than what was acknowledged. And a replica puts a length after all replicas have written its
//! chunks, and no stripe is ever rewritten in the same group, so all sources of one length hold the same stripes.

mod block;
mod container;
mod steps;

pub use block::{BlockOnSource, BlockPlan, SetAside, SetAsideReason, SkipReason, plan_block};
pub use container::{ContainerPlan, ContainerPlanError, Skipped, SourceReport, plan_container};
pub use steps::{CellRun, Step};
