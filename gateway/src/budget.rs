//! The memory that bodies in flight may hold, all together.
//!
//! Shape   a body takes its share before its first byte moves and gives it back at its end. One that finds none waits for a
//!         while, and is then told to come again.
//! Units   shares of 1 MiB.

use std::sync::Arc;
use std::time::Duration;

use s3s::S3ErrorCode;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::fault::Fault;

/// What one writer holds at most: its stripes on their way, the batch that comes in and the one that is hashed.
const WRITE_MAX: u64 = 18 << 20;
/// What one reader holds at most: what it asks for ahead, and the answer's buffers.
const READ_MAX: u64 = 6 << 20;
/// How long a body waits for its share.
const WAIT_MAX: Duration = Duration::from_secs(20);
const SHARE: u64 = 1 << 20;

/// Shares, and who has them.
#[derive(Clone, Debug)]
pub(crate) struct Budget {
    shares: Arc<Semaphore>,
    whole: u32,
}

/// A body's shares; given back when dropped.
#[derive(Debug)]
pub(crate) struct Held {
    _shares: OwnedSemaphorePermit,
}

impl Budget {
    pub(crate) fn new(memory: u64) -> Budget {
        let whole = u32::try_from((memory / SHARE).clamp(1, 1 << 20)).expect("it was clamped");
        Budget { shares: Arc::new(Semaphore::new(whole as usize)), whole }
    }

    /// A writer's share for a body of `len` bytes.
    pub(crate) async fn write(&self, len: Option<u64>) -> Result<Held, Fault> {
        self.take(len.unwrap_or(u64::MAX).saturating_mul(2).min(WRITE_MAX)).await
    }

    /// A reader's share for `len` bytes.
    pub(crate) async fn read(&self, len: u64) -> Result<Held, Fault> {
        self.take(len.min(READ_MAX)).await
    }

    async fn take(&self, bytes: u64) -> Result<Held, Fault> {
        let shares = u32::try_from(bytes.div_ceil(SHARE)).unwrap_or(self.whole).clamp(1, self.whole);
        match tokio::time::timeout(WAIT_MAX, self.shares.clone().acquire_many_owned(shares)).await {
            Ok(Ok(shares)) => Ok(Held { _shares: shares }),
            _ => Err(Fault::new(S3ErrorCode::SlowDown, "Please reduce your request rate.")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_body_waits_for_its_share_and_is_told_when_there_is_none() {
        let budget = Budget::new(20 << 20);
        let first = budget.write(Some(1 << 40)).await.unwrap();
        let small = budget.read(1).await.unwrap();
        assert_eq!(budget.write(None).await.unwrap_err().code, S3ErrorCode::SlowDown);
        let (waited, ()) = tokio::join!(budget.write(Some(9 << 20)), async {
            tokio::time::sleep(Duration::from_secs(1)).await;
            drop(first);
        });
        assert!(waited.is_ok());
        drop((small, waited));
        assert!(Budget::new(0).write(None).await.is_ok(), "one body always passes");
    }
}
