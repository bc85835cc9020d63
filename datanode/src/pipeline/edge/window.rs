//! The order of a client's requests on an ordered stream: pure.
//!
//! Law     requests come out in the order of their numbers, from the first on, each once, however they come in.
//! Source  wire facts: datapath.md 4.5.

use std::collections::BTreeMap;

/// Requests that may wait for one before them. A client has 32 under way.
const WAITING_MAX: usize = 256;

/// Bytes of them: twice the longest request. A client's stream keeps its order, so hardly any wait.
const BYTES_MAX: usize = 66 << 20;

/// Requests that wait for those before them.
#[derive(Debug)]
pub(super) struct Window<R> {
    /// The number that comes out next; `None` before the first.
    next: Option<u64>,
    /// Each with its bytes.
    waiting: BTreeMap<u64, (usize, R)>,
}

/// More wait for one request than any client has under way.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("request {missing} does not come, and {WAITING_MAX} others or {BYTES_MAX} bytes wait for it")]
pub(super) struct Gap {
    missing: u64,
}

impl<R> Default for Window<R> {
    fn default() -> Window<R> {
        Window { next: None, waiting: BTreeMap::new() }
    }
}

impl<R> Window<R> {
    /// Takes a request of `len` bytes in. One that was taken before is left out.
    pub(super) fn push(&mut self, number: u64, is_first: bool, len: usize, request: R) -> Result<(), Gap> {
        // A client that has begun anew says so: what it does not send again was answered elsewhere.
        if is_first && self.next.is_none_or(|next| number > next) {
            self.next = Some(number);
            self.waiting = self.waiting.split_off(&number);
        }
        if self.next.is_some_and(|next| number < next) {
            return Ok(());
        }
        self.waiting.entry(number).or_insert((len, request));
        let bytes: usize = self.waiting.values().map(|(len, _)| len).sum();
        match self.waiting.len() > WAITING_MAX || bytes > BYTES_MAX {
            true => Err(Gap { missing: self.next.unwrap_or(1) }),
            false => Ok(()),
        }
    }

    /// The next request in order, if it is here.
    pub(super) fn pop(&mut self) -> Option<R> {
        let next = self.next?;
        let (_, request) = self.waiting.remove(&next)?;
        self.next = Some(next + 1);
        Some(request)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn all<R>(window: &mut Window<R>) -> Vec<R> {
        std::iter::from_fn(|| window.pop()).collect()
    }

    #[test]
    fn nothing_comes_out_before_the_first() {
        let mut window = Window::default();
        window.push(6, false, 1, 6).unwrap();
        assert_eq!(all(&mut window), []);
        window.push(5, true, 1, 5).unwrap();
        window.push(4, false, 1, 4).unwrap();
        assert_eq!(all(&mut window), [5, 6]);
        window.push(6, false, 1, 60).unwrap();
        window.push(7, false, 1, 7).unwrap();
        assert_eq!(all(&mut window), [7], "a request that was taken is not taken again");
    }

    #[test]
    fn a_gap_that_is_never_filled_is_an_error() {
        let mut window = Window::default();
        window.push(1, true, 1, 1).unwrap();
        assert_eq!(all(&mut window), [1]);
        let pushed: Vec<_> = (3..).take(WAITING_MAX + 1).map(|n| window.push(n, false, 1, n)).collect();
        assert_eq!(pushed.last(), Some(&Err(Gap { missing: 2 })));
        assert!(pushed[..WAITING_MAX].iter().all(Result::is_ok));
        let mut window = Window::default();
        assert_eq!(window.push(3, false, BYTES_MAX, 3), Ok(()));
        assert_eq!(window.push(4, false, 1, 4), Err(Gap { missing: 1 }), "few, but long");
    }

    proptest! {
        #[test]
        fn whatever_the_order_each_request_comes_out_once_and_in_order(
            order in Just((1..=40u64).collect::<Vec<_>>()).prop_shuffle(), again in prop::collection::vec(1..=40u64, 0..20),
        ) {
            let mut window = Window::default();
            let mut out = Vec::new();
            for number in order.into_iter().chain(again) {
                window.push(number, number == 1, 1, number).unwrap();
                out.extend(all(&mut window));
            }
            prop_assert_eq!(out, (1..=40).collect::<Vec<_>>());
        }
    }
}
