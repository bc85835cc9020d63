//! ISA-L's kernels behind safe functions: the one module of this crate that hands pointers to C.
//!
//! Shape   ISA-L's expanded tables, 32 bytes a coefficient, in the layout its dispatcher chose for this processor.
//! Units   bytes; ISA-L counts lengths in `int`, longer runs are handed over in parts.
//! Errors  none; shapes are asserted before each call, since the C code trusts them.
//! Source  intel/isa-l `erasure_code.h`, bundled by `erasure-isa-l`. Its functions are declared safe although they
//!         follow any pointer and length they get, so each call here carries a SAFETY line as if they were not.

use std::ptr;

use erasure_isa_l::ec;

use crate::cells::CELLS_MAX;
use crate::kernel::{Kernel, check_addition, product_len};

/// Bytes of table ISA-L expands one coefficient to.
const TABLE_LEN: usize = 32;

/// The longest run handed over at once: far below `i32::MAX`, and a multiple of every vector's length.
const RUN_LEN_MAX: usize = 1 << 30;

/// One matrix as ISA-L's tables.
#[derive(Debug)]
pub struct IsaL {
    tables: Vec<u8>,
    rows: usize,
    sources: usize,
}

impl Kernel for IsaL {
    fn new(coefficients: &[u8], sources: usize) -> IsaL {
        assert!(0 < sources && sources <= CELLS_MAX, "at most {CELLS_MAX} sources");
        assert!(coefficients.len().is_multiple_of(sources), "rows are whole");
        let rows = coefficients.len() / sources;
        assert!(rows <= CELLS_MAX, "at most {CELLS_MAX} rows");
        let mut tables = vec![0; TABLE_LEN * coefficients.len()];
        // SAFETY: reads rows * sources bytes of `coefficients` and writes TABLE_LEN bytes of `tables` for each; both
        // lengths are so by construction, three lines up.
        ec::init_tables(sources as i32, rows as i32, coefficients, &mut tables);
        IsaL { tables, rows, sources }
    }

    fn product(&self, sources: &[&[u8]], targets: &mut [&mut [u8]]) {
        let len = product_len((self.rows, self.sources), sources, targets);
        let mut from = [ptr::null::<u8>(); CELLS_MAX];
        let mut to = [ptr::null_mut::<u8>(); CELLS_MAX];
        for start in (0..len).step_by(RUN_LEN_MAX) {
            let end = len.min(start + RUN_LEN_MAX);
            for (pointer, source) in from.iter_mut().zip(sources) {
                *pointer = source[start..end].as_ptr();
            }
            for (pointer, target) in to.iter_mut().zip(targets.iter_mut()) {
                *pointer = target[start..end].as_mut_ptr();
            }
            // SAFETY: the first `sources` pointers are good for reading and the first `rows` for writing `end - start`
            // bytes, as they come from slices of that length, asserted equally many by `product_len`; the targets
            // are exclusive borrows, so nothing overlaps. `tables` was made for this matrix by `new`.
            ec::encode_data(
                (end - start) as i32,
                self.sources as i32,
                self.rows as i32,
                &self.tables,
                &from,
                &mut to,
            );
        }
    }

    fn add_product(&self, source: usize, bytes: &[u8], targets: &mut [&mut [u8]]) {
        check_addition((self.rows, self.sources), source, bytes, targets);
        let mut to = [ptr::null_mut::<u8>(); CELLS_MAX];
        for start in (0..bytes.len()).step_by(RUN_LEN_MAX) {
            let end = bytes.len().min(start + RUN_LEN_MAX);
            for (pointer, target) in to.iter_mut().zip(targets.iter_mut()) {
                *pointer = target[start..end].as_mut_ptr();
            }
            // SAFETY: `bytes[start..end]` and the first `rows` targets are `end - start` bytes long, asserted by
            // `check_addition`; the targets are exclusive borrows. `source` is a column of the tables.
            ec::encode_data_update(
                (end - start) as i32,
                self.sources as i32,
                self.rows as i32,
                source as i32,
                &self.tables,
                &bytes[start..end],
                &mut to,
            );
        }
    }
}

/// ISA-L on pointers that were prepared ahead: what the benches measure the codec against.
#[cfg(feature = "limits")]
pub struct Bare<'a> {
    kernel: IsaL,
    from: [*const u8; CELLS_MAX],
    to: [*mut u8; CELLS_MAX],
    len: i32,
    borrowed: std::marker::PhantomData<(&'a [u8], &'a mut [u8])>,
}

#[cfg(feature = "limits")]
impl<'a> Bare<'a> {
    /// The encoding of all parity cells.
    pub fn encode(scheme: crate::Scheme, data: &[&'a [u8]], parity: &mut [&'a mut [u8]]) -> Bare<'a> {
        Bare::new(&scheme.rows(scheme.parity_cells()), data, parity)
    }

    /// The decoding of `missing` from `survivors`, as many as the data cells; slices ascend.
    ///
    /// # Panics
    /// If there are not as many survivors as data cells.
    pub fn decode(
        scheme: crate::Scheme,
        (survivors, sources): (crate::CellSet, &[&'a [u8]]),
        (missing, targets): (crate::CellSet, &mut [&'a mut [u8]]),
    ) -> Bare<'a> {
        let rows = scheme.rows_from(survivors, missing).expect("any survivors determine the stripe");
        Bare::new(&rows, sources, targets)
    }

    fn new(rows: &[u8], sources: &[&'a [u8]], targets: &mut [&'a mut [u8]]) -> Bare<'a> {
        let kernel = IsaL::new(rows, sources.len());
        let len = product_len((kernel.rows, kernel.sources), sources, targets);
        assert!(len <= RUN_LEN_MAX, "one call of ISA-L");
        let (mut from, mut to) = ([ptr::null(); CELLS_MAX], [ptr::null_mut(); CELLS_MAX]);
        from.iter_mut().zip(sources).for_each(|(pointer, source)| *pointer = source.as_ptr());
        to.iter_mut().zip(targets).for_each(|(pointer, target)| *pointer = target.as_mut_ptr());
        Bare { kernel, from, to, len: len as i32, borrowed: std::marker::PhantomData }
    }

    /// One call of ISA-L.
    pub fn run(&mut self) {
        // SAFETY: the pointers come from slices of `len` bytes, as many as the tables have columns and rows, asserted
        // by `new`; the slices stay borrowed, the targets exclusively, for as long as `self` lives.
        ec::encode_data(
            self.len,
            self.kernel.sources as i32,
            self.kernel.rows as i32,
            &self.kernel.tables,
            &self.from,
            &mut self.to,
        );
    }
}
