//! What a kernel does for the codec: it multiplies a fixed matrix over GF(2^8) with columns of bytes.
//!
//! Shape   `rows × sources` coefficients; source `s` and target `r` are equally long runs of bytes, and byte `i` of
//!         target `r` is the sum of `coefficient[r][s] * source[s][i]`.
//! Units   bytes.
//! Errors  none: the codec has checked numbers and lengths and answers misuse with a typed error; a kernel asserts
//!         what its memory safety rests on.

/// A kernel made for one matrix. Both kernels give the same bytes; the tests hold them against each other.
pub trait Kernel: Sized {
    /// Prepares the matrix: `coefficients` holds its rows one after the other, each `sources` long.
    fn new(coefficients: &[u8], sources: usize) -> Self;

    /// Writes the product of the matrix with `sources` to `targets`. All are equally long.
    ///
    /// # Panics
    /// If a number of slices is not the matrix's or the lengths differ.
    fn product(&self, sources: &[&[u8]], targets: &mut [&mut [u8]]);

    /// Adds what source number `source` contributes to each target, for one source at a time or for a change of it.
    ///
    /// # Panics
    /// If `source` is not a column of the matrix, the number of targets is not its rows or the lengths differ.
    fn add_product(&self, source: usize, bytes: &[u8], targets: &mut [&mut [u8]]);
}

/// What [`DefaultKernel`] is called, for operators.
pub const KERNEL_NAME: &str = if cfg!(feature = "isa-l") { "isa-l" } else { "plain" };

/// The kernel a codec uses unless told otherwise: ISA-L where it was built.
#[cfg(feature = "isa-l")]
pub type DefaultKernel = crate::isa_l::IsaL;

/// The kernel a codec uses unless told otherwise: the plain twin, as ISA-L was not built.
#[cfg(not(feature = "isa-l"))]
pub type DefaultKernel = crate::plain::Plain;

/// Asserts that all slices of one product are as the matrix wants them, and gives their length.
pub(crate) fn product_len(shape: (usize, usize), sources: &[&[u8]], targets: &[&mut [u8]]) -> usize {
    assert_eq!(
        (targets.len(), sources.len()),
        shape,
        "targets and sources are the matrix's rows and columns"
    );
    let len = sources[0].len();
    assert!(sources.iter().all(|source| source.len() == len), "sources are equally long");
    assert!(targets.iter().all(|target| target.len() == len), "targets are as long as sources");
    len
}

/// Asserts that one source's contribution fits the matrix and the targets.
pub(crate) fn check_addition(shape: (usize, usize), source: usize, bytes: &[u8], targets: &[&mut [u8]]) {
    assert!(source < shape.1, "the source is a column of the matrix");
    assert_eq!(targets.len(), shape.0, "targets are the matrix's rows");
    assert!(targets.iter().all(|target| target.len() == bytes.len()), "targets are as long as the source");
}
