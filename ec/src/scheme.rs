//! Which code protects a stripe, and its generator matrix.
//!
//! Shape   `data` cells are followed by `parity` cells; the generator matrix has a row a cell and a column a data
//!         cell: the identity on top, then one row a parity cell.
//! Units   cells.
//! Errors  a scheme that no code serves is refused by `new`; a set of survivors that determines nothing is `None`.
//! Source  Ozone's Reed-Solomon matrix is ISA-L's first Cauchy matrix: row r, column j holds 1/(r XOR j).

use allotrope_types::{EcCodec, EcConfig};

use crate::cells::{CELLS_MAX, CellIndex, CellSet};
use crate::gf;

/// A code and its numbers of cells, such as RS 6-3.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Scheme {
    code: EcCodec,
    data: u8,
    parity: u8,
}

/// Why a scheme was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SchemeError {
    /// No data or no parity cells were asked for.
    #[error("a stripe needs at least one data and one parity cell, not {data} and {parity}")]
    NoCells {
        /// Data cells asked for.
        data: usize,
        /// Parity cells asked for.
        parity: usize,
    },
    /// More cells were asked for than a stripe can have.
    #[error("a stripe has at most {CELLS_MAX} cells, not {data} data and {parity} parity cells")]
    TooManyCells {
        /// Data cells asked for.
        data: usize,
        /// Parity cells asked for.
        parity: usize,
    },
    /// XOR was asked for more than one parity cell.
    #[error("XOR has one parity cell, not {parity}")]
    XorParity {
        /// Parity cells asked for.
        parity: usize,
    },
}

impl Scheme {
    /// The scheme of `data` and `parity` cells under `code`.
    pub const fn new(code: EcCodec, data: usize, parity: usize) -> Result<Scheme, SchemeError> {
        if data == 0 || parity == 0 {
            return Err(SchemeError::NoCells { data, parity });
        }
        if data > CELLS_MAX || parity > CELLS_MAX || data + parity > CELLS_MAX {
            return Err(SchemeError::TooManyCells { data, parity });
        }
        if matches!(code, EcCodec::Xor) && parity != 1 {
            return Err(SchemeError::XorParity { parity });
        }
        Ok(Scheme { code, data: data as u8, parity: parity as u8 })
    }

    /// Reed-Solomon with `data` and `parity` cells.
    pub const fn reed_solomon(data: usize, parity: usize) -> Result<Scheme, SchemeError> {
        Scheme::new(EcCodec::Rs, data, parity)
    }

    /// XOR of `data` cells into one parity cell.
    pub const fn xor(data: usize) -> Result<Scheme, SchemeError> {
        Scheme::new(EcCodec::Xor, data, 1)
    }

    /// The family of codes.
    pub const fn code(self) -> EcCodec {
        self.code
    }

    /// Data cells of a stripe.
    pub const fn data(self) -> usize {
        self.data as usize
    }

    /// Parity cells of a stripe.
    pub const fn parity(self) -> usize {
        self.parity as usize
    }

    /// Cells of a stripe, data and parity.
    pub const fn cells(self) -> usize {
        self.data() + self.parity()
    }

    /// The data cells.
    pub const fn data_cells(self) -> CellSet {
        CellSet::first(self.data())
    }

    /// The parity cells.
    pub const fn parity_cells(self) -> CellSet {
        CellSet::range(self.data(), self.cells())
    }

    /// Data and parity cells.
    pub const fn all_cells(self) -> CellSet {
        CellSet::first(self.cells())
    }

    /// How much of data cell `column` goes into cell `row`.
    fn coefficient(self, row: usize, column: usize) -> u8 {
        if row < self.data() {
            return u8::from(row == column);
        }
        match self.code {
            EcCodec::Xor => 1,
            EcCodec::Rs => gf::inverse((row ^ column) as u8).expect("a parity row's number is no column's"),
        }
    }

    /// The generator rows of `cells`, ascending, one after the other.
    pub(crate) fn rows(self, cells: CellSet) -> Vec<u8> {
        let row = |cell: CellIndex| (0..self.data()).map(move |column| self.coefficient(cell.get(), column));
        cells.iter().flat_map(row).collect()
    }

    /// What to multiply the cells of `survivors` with to get the cells of `wanted`: a row a wanted cell, a column a
    /// survivor, both ascending. `None` if the survivors do not determine the stripe.
    ///
    /// # Panics
    /// If `survivors` are not exactly as many as the data cells.
    pub(crate) fn rows_from(self, survivors: CellSet, wanted: CellSet) -> Option<Vec<u8>> {
        assert_eq!(survivors.len(), self.data(), "a decode reads as many cells as there are data cells");
        let n = self.data();
        let inverse = inverted(self.rows(survivors), n)?;
        let wanted = self.rows(wanted);
        let entry = |row: &[u8], column: usize| {
            (0..n).fold(0, |sum, k| sum ^ gf::product(row[k], inverse[k * n + column]))
        };
        Some(wanted.chunks_exact(n).flat_map(|row| (0..n).map(move |column| entry(row, column))).collect())
    }
}

impl From<EcConfig> for Scheme {
    fn from(config: EcConfig) -> Scheme {
        Scheme::new(config.codec(), config.data(), config.parity())
            .expect("a config was checked when it was made")
    }
}

/// The inverse of the square matrix `matrix` with `n` rows, by Gauss and Jordan; `None` if it is singular.
fn inverted(mut matrix: Vec<u8>, n: usize) -> Option<Vec<u8>> {
    let mut inverse: Vec<u8> = (0..n * n).map(|at| u8::from(at / n == at % n)).collect();
    for pivot in 0..n {
        let row = (pivot..n).find(|row| matrix[row * n + pivot] != 0)?;
        for column in 0..n {
            matrix.swap(row * n + column, pivot * n + column);
            inverse.swap(row * n + column, pivot * n + column);
        }
        let scale = gf::inverse(matrix[pivot * n + pivot]).expect("the pivot is not zero");
        for column in 0..n {
            let at = pivot * n + column;
            matrix[at] = gf::product(matrix[at], scale);
            inverse[at] = gf::product(inverse[at], scale);
        }
        for other in (0..n).filter(|&other| other != pivot) {
            let factor = matrix[other * n + pivot];
            for column in 0..n {
                let (at, from) = (other * n + column, pivot * n + column);
                matrix[at] ^= gf::product(factor, matrix[from]);
                inverse[at] ^= gf::product(factor, inverse[from]);
            }
        }
    }
    Some(inverse)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parity_rows_are_ozones() {
        let rows = |data, parity| {
            let scheme = Scheme::reed_solomon(data, parity).unwrap();
            scheme.rows(scheme.parity_cells())
        };
        assert_eq!(rows(3, 2), [0xf4, 0x8e, 0x01, 0x47, 0xa7, 0x7a]);
        assert_eq!(
            rows(6, 3),
            [
                0x7a, 0xba, 0x47, 0xa7, 0x8e, 0xf4, 0xba, 0x7a, 0xa7, 0x47, 0xf4, 0x8e, 0xad, 0x9d, 0xdd,
                0x98, 0x3d, 0xaa
            ]
        );
        assert_eq!(
            rows(10, 4),
            [
                0xdd, 0x98, 0xad, 0x9d, 0x5d, 0x96, 0x3d, 0xaa, 0x8e, 0xf4, 0x98, 0xdd, 0x9d, 0xad, 0x96,
                0x5d, 0xaa, 0x3d, 0xf4, 0x8e, 0x3d, 0xaa, 0x5d, 0x96, 0xad, 0x9d, 0xdd, 0x98, 0x47, 0xa7,
                0xaa, 0x3d, 0x96, 0x5d, 0x9d, 0xad, 0x98, 0xdd, 0xa7, 0x47
            ]
        );
    }

    #[test]
    fn schemes_that_no_code_serves_are_refused() {
        assert_eq!(Scheme::reed_solomon(0, 2), Err(SchemeError::NoCells { data: 0, parity: 2 }));
        assert_eq!(Scheme::reed_solomon(3, 0), Err(SchemeError::NoCells { data: 3, parity: 0 }));
        assert_eq!(Scheme::reed_solomon(30, 3), Err(SchemeError::TooManyCells { data: 30, parity: 3 }));
        assert_eq!(
            Scheme::reed_solomon(usize::MAX, 3),
            Err(SchemeError::TooManyCells { data: usize::MAX, parity: 3 })
        );
        assert_eq!(Scheme::new(EcCodec::Xor, 2, 2), Err(SchemeError::XorParity { parity: 2 }));
        assert!(Scheme::reed_solomon(30, 2).is_ok());
    }

    #[test]
    fn every_choice_of_survivors_of_6_3_determines_the_stripe() {
        let scheme = Scheme::reed_solomon(6, 3).unwrap();
        for bits in 0u32..1 << scheme.cells() {
            let survivors: CellSet =
                scheme.all_cells().iter().filter(|cell| bits >> cell.get() & 1 == 1).collect();
            if survivors.len() == scheme.data() {
                let back = scheme.rows_from(survivors, survivors).unwrap();
                let identity: Vec<u8> = (0..36).map(|at| u8::from(at / 6 == at % 6)).collect();
                assert_eq!(back, identity, "{survivors:?}");
            }
        }
    }

    #[test]
    fn a_singular_matrix_has_no_inverse() {
        assert_eq!(inverted(vec![1, 2, 1, 2], 2), None);
        assert_eq!(inverted(vec![0, 1, 1, 0], 2), Some(vec![0, 1, 1, 0]));
    }
}
