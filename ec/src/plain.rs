//! The plain-Rust twin of ISA-L's kernels: the oracle of the tests, and the kernel where ISA-L cannot be built.
//!
//! Shape   a table of 256 products a coefficient, rows one after the other.
//! Units   bytes.
//! Errors  none; wrong shapes are a broken invariant of the codec and panic.

use crate::gf;
use crate::kernel::{Kernel, check_addition, product_len};

/// One matrix as tables of products.
#[derive(Debug)]
pub struct Plain {
    products: Vec<[u8; 256]>,
    sources: usize,
}

impl Plain {
    fn shape(&self) -> (usize, usize) {
        (self.products.len() / self.sources, self.sources)
    }
}

impl Kernel for Plain {
    fn new(coefficients: &[u8], sources: usize) -> Plain {
        assert!(sources > 0 && coefficients.len().is_multiple_of(sources), "rows are whole");
        let table = |&c: &u8| std::array::from_fn(|byte| gf::product(c, byte as u8));
        Plain { products: coefficients.iter().map(table).collect(), sources }
    }

    fn product(&self, sources: &[&[u8]], targets: &mut [&mut [u8]]) {
        product_len(self.shape(), sources, targets);
        for (target, row) in targets.iter_mut().zip(self.products.chunks_exact(self.sources)) {
            target.fill(0);
            for (source, products) in sources.iter().zip(row) {
                add_scaled(products, source, target);
            }
        }
    }

    fn add_product(&self, source: usize, bytes: &[u8], targets: &mut [&mut [u8]]) {
        check_addition(self.shape(), source, bytes, targets);
        for (target, row) in targets.iter_mut().zip(self.products.chunks_exact(self.sources)) {
            add_scaled(&row[source], bytes, target);
        }
    }
}

fn add_scaled(products: &[u8; 256], source: &[u8], target: &mut [u8]) {
    for (to, from) in target.iter_mut().zip(source) {
        *to ^= products[usize::from(*from)];
    }
}
