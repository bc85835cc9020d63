//! A stripe whose bytes are still arriving, in order: which columns can be coded already.
//!
//! Shape   cells fill one after the other, so columns complete only while the last data cell fills.
//! Units   bytes of the stripe, columns.
//! Errors  more bytes than a stripe holds.

use std::ops::Range;

use crate::geometry::Layout;

/// Counts the bytes of one stripe as they arrive and hands out each column once, as soon as it is complete in every
/// data cell.
///
/// ```
/// use allotrope_ec::{Arrival, Layout};
///
/// let mut stripe = Arrival::new(Layout::new("rs-3-2-1k".parse()?));
/// assert_eq!(stripe.arrived(2048)?, 0..0); // two cells: no column is complete
/// assert_eq!(stripe.arrived(100)?, 0..100);
/// assert_eq!(stripe.arrived(10)?, 100..110);
/// assert_eq!(stripe.finish(), 110..1024); // the rest of the third cell is padding
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct Arrival {
    layout: Layout,
    arrived: u64,
}

/// More bytes arrived than the stripe has room for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{given} bytes arrived for a stripe that has room for {room}")]
pub struct StripeOverflow {
    /// Bytes that arrived.
    pub given: u64,
    /// Bytes there was room for.
    pub room: u64,
}

impl Arrival {
    /// An empty stripe of `layout`.
    pub fn new(layout: Layout) -> Arrival {
        Arrival { layout, arrived: 0 }
    }

    /// Bytes there is room for.
    pub fn room(&self) -> u64 {
        self.layout.stripe_len() - self.arrived
    }

    /// Takes note of `len` more bytes and gives the columns that are complete since. With too many bytes nothing
    /// changes.
    pub fn arrived(&mut self, len: u64) -> Result<Range<usize>, StripeOverflow> {
        if len > self.room() {
            return Err(StripeOverflow { given: len, room: self.room() });
        }
        let before = self.complete();
        self.arrived += len;
        Ok(before..self.complete())
    }

    /// The columns that are left to code when no more bytes come: cells that are short or empty are padded.
    pub fn finish(self) -> Range<usize> {
        self.complete()..self.arrived.min(self.layout.cell_len() as u64) as usize
    }

    /// Columns that are complete in every data cell.
    fn complete(&self) -> usize {
        let others = self.layout.stripe_len() - self.layout.cell_len() as u64;
        self.arrived.saturating_sub(others) as usize
    }
}
