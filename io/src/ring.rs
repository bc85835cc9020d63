//! The disk engine of the uring back: futures over the shard's ring.
//!
//! Shape   an operation is pushed by the task that wants it, and a few of them are submitted with one system call; one driver
//!         task a shard submits what is left of a turn, takes the answers and wakes their tasks.
//! Errors  `io::Error` as the kernel gives it.
//!
//! A dropped future leaves its operation with the ring, which keeps the buffer until the kernel has answered.

use crate::blocking::BlockingPool;
use crate::sys::{Ring, RingOp};
use crate::task::ShardCounters;
use glommio::io::{PollState, PollableFd};
use slab::Slab;
use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::future::{Future, poll_fn};
use std::io;
use std::os::fd::{AsRawFd, RawFd};
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::task::{Context, Poll, Waker};

/// Answers that are handed over before their tasks run: those ask for more, and the device has something to do while the next are
/// handed over.
const ANSWERS_AT_ONCE: usize = 8;

/// The engine. Clones share the ring.
#[derive(Clone)]
pub(crate) struct RingEngine {
    inner: Rc<Inner>,
    /// For what the ring does not carry.
    pub(crate) blocking: BlockingPool,
}

struct Inner {
    ring: RefCell<Ring>,
    slots: RefCell<Slab<Slot>>,
    backlog: RefCell<VecDeque<(RingOp, usize)>>,
    driver: RefCell<Option<Waker>>,
    /// The driver was woken and has not run yet.
    called: Cell<bool>,
    counters: Arc<ShardCounters>,
}

enum Slot {
    Waiting(Option<Waker>),
    Done(RingOp, io::Result<usize>),
    /// The future was dropped; the answer goes nowhere.
    Abandoned,
}

struct RingFd(RawFd);

impl AsRawFd for RingFd {
    fn as_raw_fd(&self) -> RawFd {
        self.0
    }
}

impl RingEngine {
    pub(crate) fn new(ring: Ring, counters: Arc<ShardCounters>, blocking: BlockingPool) -> RingEngine {
        let inner = Rc::new(Inner {
            ring: RefCell::new(ring),
            slots: RefCell::default(),
            backlog: RefCell::default(),
            driver: RefCell::default(),
            called: Cell::new(false),
            counters,
        });
        RingEngine { inner, blocking }
    }

    /// Carries `op` out. Its number of bytes is 0 for operations that move none.
    pub(crate) fn run(&self, op: RingOp) -> Running {
        let slot = self.inner.slots.borrow_mut().insert(Slot::Waiting(None));
        let mut ring = self.inner.ring.borrow_mut();
        if self.inner.backlog.borrow().is_empty() && ring.has_room() {
            ring.push(op, slot);
            if ring.is_submit_due() {
                // An error comes up again in the driver's turn, which answers for the ring.
                let _ = ring.submit();
            }
        } else {
            self.inner.backlog.borrow_mut().push_back((op, slot));
        }
        drop(ring);
        self.inner.counters.disk_operations.fetch_add(1, Relaxed);
        self.inner.call_driver();
        Running { inner: self.inner.clone(), slot }
    }

    /// Submits and answers for ever; the shard runs this as its one driver task. Ends with the engine's last handle.
    pub(crate) async fn drive(self) -> io::Result<()> {
        let fd = PollableFd::new(RingFd(self.inner.ring.borrow().as_raw_fd()))?;
        let weak = Rc::downgrade(&self.inner);
        drop(self);
        let mut wait = PollState::new();
        let mut answers = 0;
        poll_fn(|cx| {
            let Some(inner) = weak.upgrade() else { return Poll::Ready(Ok(())) };
            inner.called.set(false);
            loop {
                if answers == 0 {
                    answers = inner.ring.borrow_mut().answers();
                }
                answers -= inner.turn(answers.min(ANSWERS_AT_ONCE))?;
                if answers > 0 {
                    // Those who were answered go first. Only what was there is taken in this way: the rest of the shard waits.
                    inner.called.set(true);
                    cx.waker().wake_by_ref();
                    break;
                }
                if inner.ring.borrow().in_flight() == 0 {
                    break;
                }
                match fd.poll_readable(cx, &mut wait) {
                    Poll::Ready(ready) => ready?,
                    Poll::Pending => break,
                }
            }
            *inner.driver.borrow_mut() = Some(cx.waker().clone());
            Poll::Pending
        })
        .await
    }
}

impl Inner {
    fn call_driver(&self) {
        if !self.called.replace(true)
            && let Some(driver) = &*self.driver.borrow()
        {
            driver.wake_by_ref();
        }
    }

    /// Submits what was pushed, takes up to `most` answers, starts what waited for room. How many answers there were.
    fn turn(&self, most: usize) -> io::Result<usize> {
        let mut ring = self.ring.borrow_mut();
        if ring.pending() > 0 {
            ring.submit()?;
        }
        let reaped = ring.reap(most, |slot, op, moved| self.answer(slot, op, moved));
        let mut backlog = self.backlog.borrow_mut();
        while ring.has_room()
            && let Some((op, slot)) = backlog.pop_front()
        {
            ring.push(op, slot);
        }
        if ring.pending() > 0 {
            ring.submit()?;
        }
        Ok(reaped)
    }

    fn answer(&self, slot: usize, op: RingOp, moved: io::Result<usize>) {
        let mut slots = self.slots.borrow_mut();
        match std::mem::replace(&mut slots[slot], Slot::Done(op, moved)) {
            Slot::Waiting(waker) => {
                drop(slots);
                if let Some(waker) = waker {
                    waker.wake();
                }
            }
            Slot::Abandoned => {
                slots.remove(slot);
            }
            Slot::Done(..) => unreachable!("an operation is answered once"),
        }
    }
}

/// An operation under way. Cancel safety: if dropped, the operation still happens and its buffer is freed after it.
pub(crate) struct Running {
    inner: Rc<Inner>,
    slot: usize,
}

/// A slot number that is no longer ours.
const TAKEN: usize = usize::MAX;

impl Future for Running {
    type Output = (RingOp, io::Result<usize>);
    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = &mut *self;
        let mut slots = this.inner.slots.borrow_mut();
        if let Slot::Waiting(waker) = &mut slots[this.slot] {
            match waker {
                Some(waker) => waker.clone_from(cx.waker()),
                None => *waker = Some(cx.waker().clone()),
            }
            return Poll::Pending;
        }
        let Slot::Done(op, moved) = slots.remove(this.slot) else {
            unreachable!("only a dropped future abandons its slot")
        };
        drop(slots);
        this.slot = TAKEN;
        Poll::Ready((op, moved))
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if self.slot == TAKEN {
            return;
        }
        let mut slots = self.inner.slots.borrow_mut();
        if let Slot::Done(..) = slots[self.slot] {
            let done = slots.remove(self.slot);
            drop(slots);
            drop(done);
        } else {
            slots[self.slot] = Slot::Abandoned;
        }
    }
}
