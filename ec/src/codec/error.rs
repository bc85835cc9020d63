//! How a call to a codec can be wrong.

use std::ops::Range;

use crate::cells::{CellIndex, CellSet};

/// A call that does not fit the scheme. Nothing was written; the caller's slices or numbers are to be corrected, save
/// for [`TooFewSurvivors`](CodecError::TooFewSurvivors), which more cells of the same stripe cure.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CodecError {
    /// Not one slice for each data cell.
    #[error("{given} data cells were given, the scheme has {needed}")]
    DataCells {
        /// Slices given.
        given: usize,
        /// Data cells of the scheme.
        needed: usize,
    },
    /// Not one slice for each parity cell.
    #[error("{given} parity cells were given, the scheme has {needed}")]
    ParityCells {
        /// Slices given.
        given: usize,
        /// Parity cells of the scheme.
        needed: usize,
    },
    /// Not one slice for each cell the decoder reads.
    #[error("{given} source cells were given, the decoder reads {needed}")]
    SourceCells {
        /// Slices given.
        given: usize,
        /// Sources of the decoder.
        needed: usize,
    },
    /// Not one slice for each cell the decoder writes.
    #[error("{given} target cells were given, the decoder writes {needed}")]
    TargetCells {
        /// Slices given.
        given: usize,
        /// Targets of the decoder.
        needed: usize,
    },
    /// A cell's slice is not as long as the others.
    #[error("cell {cell} is {len} bytes long, the others are {needed}")]
    CellLen {
        /// The cell.
        cell: CellIndex,
        /// Its length in bytes.
        len: usize,
        /// The length it must have.
        needed: usize,
    },
    /// A cell's slice is longer than the cells to write.
    #[error("cell {cell} is {len} bytes long, longer than the {len_max} of the cells to write")]
    CellTooLong {
        /// The cell.
        cell: CellIndex,
        /// Its length in bytes.
        len: usize,
        /// The longest it may be.
        len_max: usize,
    },
    /// The columns do not lie in the cells.
    #[error("columns {columns:?} do not lie in cells of {cell_len} bytes")]
    NoSuchColumns {
        /// The columns asked for.
        columns: Range<usize>,
        /// Length of the cells.
        cell_len: usize,
    },
    /// A cell number beyond the scheme's, or a parity cell where a data cell is due.
    #[error("cell {cell} is not one of the {cells} cells it could be")]
    NoSuchCell {
        /// The cell.
        cell: CellIndex,
        /// How many cells there are to name.
        cells: usize,
    },
    /// One cell was named twice, as survivor, as missing or as both.
    #[error("cell {cell} was named twice")]
    CellTwice {
        /// The cell.
        cell: CellIndex,
    },
    /// Fewer cells survive than the stripe has data cells.
    #[error("only cells {survivors:?} survive, {needed} are needed")]
    TooFewSurvivors {
        /// The cells that survive.
        survivors: CellSet,
        /// How many it takes.
        needed: usize,
    },
    /// Not one run of checksums for each cell.
    #[error("checksums of {given} cells were given, {needed} are made")]
    ChecksumCells {
        /// Runs given.
        given: usize,
        /// Cells that get checksums.
        needed: usize,
    },
    /// A cell's run of checksums does not hold one for each window.
    #[error("cell {cell} got room for {given} checksums, it has {needed} windows")]
    Checksums {
        /// The cell.
        cell: CellIndex,
        /// Checksums there is room for.
        given: usize,
        /// Windows of the cell.
        needed: usize,
    },
}
