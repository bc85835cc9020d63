//! Reading many ranges of a file with few operations.
//!
//! Shape   ranges that lie close together become one read; the answers are slices of its buffer.
//! Units   bytes.
//! Errors  as for a read; a range that no buffer holds is refused before anything is read.

use crate::buffer::{BufferPool, PAGE};
use crate::error::{Act, DiskError};
use crate::file::File;
use bytes::Bytes;
use futures_util::stream::{StreamExt, TryStreamExt};
use std::io;
use std::ops::Range;

/// One read that serves several ranges.
#[derive(Debug, PartialEq, Eq)]
struct Merged {
    bytes: Range<u64>,
    /// Which of the ranges asked for lie in it.
    serves: Vec<usize>,
}

/// The reads that serve `ranges`: neighbours at most `gap_max` apart share one, as long as it is no longer than `len_max`.
fn merge(ranges: &[Range<u64>], gap_max: u64, len_max: u64) -> Vec<Merged> {
    let mut order: Vec<usize> = (0..ranges.len()).filter(|n| !ranges[*n].is_empty()).collect();
    order.sort_by_key(|n| (ranges[*n].start, ranges[*n].end));
    let mut reads: Vec<Merged> = Vec::new();
    for n in order {
        let range = &ranges[n];
        if let Some(last) = reads.last_mut() {
            let end = last.bytes.end.max(range.end);
            if range.start <= last.bytes.end.saturating_add(gap_max) && end - last.bytes.start <= len_max {
                last.bytes.end = end;
                last.serves.push(n);
                continue;
            }
        }
        reads.push(Merged { bytes: range.clone(), serves: vec![n] });
    }
    reads
}

impl File {
    /// Reads several ranges of the file and answers their bytes in the order asked for, which may be any. Ranges that lie
    /// within `gap_max` bytes of each other are read with one operation, and their slices share its buffer. A range that
    /// reaches past the end of the file is an error of kind `UnexpectedEof`; one that no buffer of `pool` holds (its
    /// longest less one page) of kind `InvalidInput`. At most `at_once` operations are under way.
    ///
    /// Cancel safety: as [`read_at`](Self::read_at).
    pub async fn read_ranges(
        &self,
        pool: &BufferPool,
        ranges: &[Range<u64>],
        gap_max: u64,
        at_once: usize,
    ) -> Result<Vec<Bytes>, DiskError> {
        let len_max = pool.buffer_max().saturating_sub(PAGE) as u64;
        if let Some(long) = ranges.iter().find(|range| range.end.saturating_sub(range.start) > len_max) {
            return Err(self.failed(Act::Read, long.start, io::ErrorKind::InvalidInput));
        }
        let reads = futures_util::stream::iter(merge(ranges, gap_max, len_max)).map(|read| async move {
            let (at, len) = (read.bytes.start, (read.bytes.end - read.bytes.start) as usize);
            // A direct file reads whole pages: there is room for what lies before the range in its first.
            let buf = pool.take(len + PAGE.min((at % PAGE as u64) as usize)).await;
            let buf = buf.map_err(|e| self.failed(Act::Read, at, io::Error::other(e)))?;
            let (buf, done) = self.read_exact_at(buf, at, len).await;
            done.map(|()| (read, buf.freeze()))
        });
        let reads: Vec<_> = reads.buffer_unordered(at_once.max(1)).try_collect().await?;
        let mut parts = vec![Bytes::new(); ranges.len()];
        for (read, bytes) in reads {
            for n in read.serves {
                let from = (ranges[n].start - read.bytes.start) as usize;
                let len = (ranges[n].end - ranges[n].start) as usize;
                parts[n] = bytes.slice(from..from + len);
            }
        }
        Ok(parts)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn neighbours_share_a_read_and_strangers_do_not() {
        let ranges = [100..200, 0..50, 60..100, 5000..6000, 70..80];
        let reads = merge(&ranges, 10, 4096);
        assert_eq!(
            reads,
            [
                Merged { bytes: 0..200, serves: vec![1, 2, 4, 0] },
                Merged { bytes: 5000..6000, serves: vec![3] }
            ]
        );
        assert_eq!(merge(&ranges, 10, 150).len(), 3, "no read is longer than a buffer");
    }

    proptest! {
        #[test]
        fn every_range_lies_in_exactly_one_read_that_fits(
            ranges in proptest::collection::vec((0..10_000u64, 0..2_000u64).prop_map(|(at, len)| at..at + len), 0..40),
            gap in 0..500u64,
        ) {
            let reads = merge(&ranges, gap, 4096);
            let mut served = vec![0; ranges.len()];
            for read in &reads {
                prop_assert!(read.bytes.end - read.bytes.start <= 4096);
                for n in &read.serves {
                    served[*n] += 1;
                    prop_assert!(read.bytes.start <= ranges[*n].start && ranges[*n].end <= read.bytes.end);
                }
            }
            for (n, range) in ranges.iter().enumerate() {
                prop_assert_eq!(served[n], usize::from(!range.is_empty()));
            }
        }
    }
}
