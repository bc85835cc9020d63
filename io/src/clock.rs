//! Time, as it comes in through the door.
//!
//! Shape   [`Moment`] is a point on a clock that only goes forward; [`Clock`] tells it and sleeps until it.
//! Units   nanoseconds since the clock's own zero; wall time is milliseconds since 1970.
//! Source  DESIGN.md, 'Threads': the in-memory twin runs in virtual time.

use crate::sim::SimTime;
use crate::timers::ShardSleep;
use std::future::Future;
use std::ops::{Add, Sub};
use std::pin::Pin;
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll};
use std::time::{Duration, Instant, SystemTime};

/// A point in time on one process' clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Moment(u64);

impl Moment {
    /// Nanoseconds since the clock's zero.
    pub const fn nanos(self) -> u64 {
        self.0
    }

    pub(crate) const fn from_nanos(nanos: u64) -> Moment {
        Moment(nanos)
    }

    /// How long after `earlier` this is; zero if it is not.
    pub fn since(self, earlier: Moment) -> Duration {
        Duration::from_nanos(self.0.saturating_sub(earlier.0))
    }
}

impl Add<Duration> for Moment {
    type Output = Moment;
    fn add(self, by: Duration) -> Moment {
        Moment(self.0.saturating_add(u64::try_from(by.as_nanos()).unwrap_or(u64::MAX)))
    }
}

impl Sub<Duration> for Moment {
    type Output = Moment;
    fn sub(self, by: Duration) -> Moment {
        Moment(self.0.saturating_sub(u64::try_from(by.as_nanos()).unwrap_or(u64::MAX)))
    }
}

/// The deadline passed before the work was done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not done within {0:?}")]
pub struct Elapsed(pub Duration);

/// A clock: real on shards of either back and on tokio, virtual under simulation. Cheap to clone, free to cross
/// threads; the futures it hands out stay on the thread that polls them.
#[derive(Clone, Debug)]
pub struct Clock(Kind);

#[derive(Clone, Debug)]
enum Kind {
    Uring,
    Tokio,
    Virtual(Arc<SimTime>),
}

impl Clock {
    /// The machine's clock, slept on by tokio: for threads that run a tokio runtime with time.
    pub fn tokio() -> Clock {
        Clock(Kind::Tokio)
    }

    /// The machine's clock, slept on by the shard's own timers.
    pub(crate) fn uring() -> Clock {
        Clock(Kind::Uring)
    }

    pub(crate) fn simulated(time: Arc<SimTime>) -> Clock {
        Clock(Kind::Virtual(time))
    }

    /// Now. Never goes back.
    pub fn now(&self) -> Moment {
        static ZERO: OnceLock<Instant> = OnceLock::new();
        match &self.0 {
            Kind::Virtual(time) => time.now(),
            _ => Moment(ZERO.get_or_init(Instant::now).elapsed().as_nanos() as u64),
        }
    }

    /// Wall time in milliseconds since 1970, for stamps that leave the process. May jump.
    pub fn wall_ms(&self) -> u64 {
        match &self.0 {
            Kind::Virtual(time) => time.wall_ms(),
            _ => SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).map_or(0, |d| d.as_millis() as u64),
        }
    }

    /// Resolves `by` from now.
    pub fn sleep(&self, by: Duration) -> Sleep {
        Sleep(match &self.0 {
            Kind::Uring => Wait::Uring(ShardSleep::until(self.now() + by)),
            Kind::Tokio => Wait::Tokio(Box::pin(tokio::time::sleep(by))),
            Kind::Virtual(time) => Wait::Virtual(time.clone(), time.now() + by, None),
        })
    }

    /// Resolves at `at`, at once if that has passed.
    pub fn sleep_until(&self, at: Moment) -> Sleep {
        self.sleep(at.since(self.now()))
    }

    /// `work`, or [`Elapsed`] if it is not done in time; it is dropped then.
    pub async fn timeout<F: Future>(&self, by: Duration, work: F) -> Result<F::Output, Elapsed> {
        let mut work = std::pin::pin!(work);
        let mut end = self.sleep(by);
        std::future::poll_fn(|cx| {
            if let Poll::Ready(done) = work.as_mut().poll(cx) {
                return Poll::Ready(Ok(done));
            }
            Pin::new(&mut end).poll(cx).map(|()| Err(Elapsed(by)))
        })
        .await
    }
}

/// A wait for a moment. Poll and drop it on the thread that made it.
#[derive(Debug)]
pub struct Sleep(Wait);

#[derive(Debug)]
enum Wait {
    Uring(ShardSleep),
    Tokio(Pin<Box<tokio::time::Sleep>>),
    Virtual(Arc<SimTime>, Moment, Option<u64>),
}

impl Future for Sleep {
    type Output = ();
    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        match &mut self.0 {
            Wait::Uring(sleep) => sleep.poll(cx),
            Wait::Tokio(sleep) => sleep.as_mut().poll(cx),
            Wait::Virtual(time, at, key) => time.poll_wait(*at, key, cx),
        }
    }
}

impl Drop for Sleep {
    fn drop(&mut self) {
        if let Wait::Virtual(time, _, Some(key)) = &self.0 {
            time.forget(*key);
        }
    }
}
