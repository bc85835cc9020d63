//! Erasure coding: codecs, stripe geometry and reconstruction plans.
//!
//! Owns    Ozone's Reed-Solomon and XOR codes over GF(2^8), on ISA-L; which byte of a block group lies in which
//!         cell of which replica; what has to be read and coded to rebuild a lost replica.
//! Never   reads a disk, opens a socket or allocates on the coding path: buffers come from the caller.

/// The vocabulary of this crate's arguments, for the benches, which name this crate alone.
#[cfg(feature = "limits")]
pub use allotrope_types as types;

mod cells;
mod checksum;
mod codec;
mod geometry;
mod gf;
#[cfg(feature = "isa-l")]
pub mod isa_l;
mod kernel;
pub mod plain;
mod rebuild;
mod scheme;

pub use cells::{CELLS_MAX, CellIndex, CellSet, Cells};
pub use checksum::{Crc, Windows};
pub use codec::{COLUMN_SLICE_LEN, Codec, CodecError, Decoder};
pub use geometry::{
    Arrival, CellRead, CellReads, GeometryError, GroupOffset, Layout, Place, StripeIndex, StripeOverflow,
    StripeRead, StripeReads, StripeShape, Unreadable,
};
pub use kernel::{DefaultKernel, KERNEL_NAME, Kernel};
pub use rebuild::{
    BlockOnSource, BlockPlan, CellRun, ContainerPlan, ContainerPlanError, SetAside, SetAsideReason,
    SkipReason, Skipped, SourceReport, Step, plan_block, plan_container,
};
pub use scheme::{Scheme, SchemeError};
