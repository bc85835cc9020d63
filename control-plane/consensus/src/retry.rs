//! Retry records: the answers already given, by client and call, so that a retried command is applied once.
//!
//! Shape   docs/formats/raft-log.md: `raftRetry` finds an answer by (client, call), `raftRetryTime` finds the oldest.
//! Law     a record is written in the batch of the command it answers and goes by log time, never by a clock: every
//!         member forgets the same record at the same entry.

use std::ops::Bound;

use bytes::Bytes;

use crate::{
    batch::Batch,
    codec::{Codec, CodecError, Empty, KeyCodec},
    ids::{CallId, ClientId, LogTime},
    state::RETRY_TABLE,
    table::{Direction, Table, TableError},
};

const RETRY: Table<Caller, Record> = Table::new(RETRY_TABLE);
const RETRY_TIME: Table<Expiry, Empty> = Table::new("raftRetryTime");
/// Most records forgotten for one command applied: more than are added, so that the table shrinks again.
const FORGOTTEN_PER_COMMAND: usize = 4;
const VERSION: u8 = 1;

/// Key: 16 bytes of client, 8 of call, highest first.
struct Caller;
impl Codec for Caller {
    type Item = (ClientId, CallId);
    fn encode((client, call): &Self::Item, out: &mut Vec<u8>) {
        out.extend_from_slice(&client.0);
        out.extend_from_slice(&call.0.to_be_bytes());
    }
    fn decode(bytes: &[u8]) -> Result<Self::Item, CodecError> {
        let error = || CodecError::new("24 bytes of caller", format!("{} bytes", bytes.len()));
        let (client, call) = bytes.split_at_checked(16).ok_or_else(error)?;
        let client = client.try_into().map_err(|_| error())?;
        let call = call.try_into().map_err(|_| error())?;
        Ok((ClientId(client), CallId(u64::from_be_bytes(call))))
    }
}
impl KeyCodec for Caller {}

/// Key: 8 bytes of log time, highest first, then the caller.
struct Expiry;
impl Codec for Expiry {
    type Item = (LogTime, (ClientId, CallId));
    fn encode((time, caller): &Self::Item, out: &mut Vec<u8>) {
        out.extend_from_slice(&time.unix_ms.to_be_bytes());
        Caller::encode(caller, out);
    }
    fn decode(bytes: &[u8]) -> Result<Self::Item, CodecError> {
        let error = || CodecError::new("8 bytes of time", format!("{} bytes", bytes.len()));
        let (time, caller) = bytes.split_first_chunk::<8>().ok_or_else(error)?;
        Ok((LogTime { unix_ms: u64::from_be_bytes(*time) }, Caller::decode(caller)?))
    }
}
impl KeyCodec for Expiry {}

/// Value: version, 8 bytes of log time, the answer.
struct Record;
impl Codec for Record {
    type Item = (LogTime, Bytes);
    fn encode((time, answer): &Self::Item, out: &mut Vec<u8>) {
        out.push(VERSION);
        out.extend_from_slice(&time.unix_ms.to_be_bytes());
        out.extend_from_slice(answer);
    }
    fn decode(bytes: &[u8]) -> Result<Self::Item, CodecError> {
        let error = |reason: &str| CodecError::new("a retry record", reason);
        let (version, rest) = bytes.split_first().ok_or_else(|| error("empty"))?;
        if *version != VERSION {
            return Err(error("of an unknown version"));
        }
        let (time, answer) = rest.split_first_chunk::<8>().ok_or_else(|| error("short"))?;
        Ok((LogTime { unix_ms: u64::from_be_bytes(*time) }, Bytes::copy_from_slice(answer)))
    }
}

/// What is known of a caller.
pub(crate) enum Known {
    /// It was answered so.
    Answered(Bytes),
    /// Nothing that counts; of an expired record that is still there, its time.
    New { expired: Option<LogTime> },
}

/// Whether this caller was answered, and its record has not expired.
pub(crate) fn find(
    batch: &Batch<'_>,
    client: ClientId,
    call: CallId,
    now: LogTime,
    kept_ms: u64,
) -> Result<Known, TableError> {
    // Whether a record counts depends on its time alone, not on how far the removal has come.
    Ok(match RETRY.get(batch, &(client, call))? {
        Some((at, answer)) if now.unix_ms.saturating_sub(at.unix_ms) < kept_ms => Known::Answered(answer),
        found => Known::New { expired: found.map(|(at, _)| at) },
    })
}

/// Keeps the answer to this caller, in place of a record that has `expired`.
pub(crate) fn keep(
    batch: &mut Batch<'_>,
    client: ClientId,
    call: CallId,
    now: LogTime,
    expired: Option<LogTime>,
    answer: &Bytes,
) -> Result<(), TableError> {
    if let Some(earlier) = expired {
        RETRY_TIME.delete(batch, &(earlier, (client, call)))?;
    }
    RETRY.put(batch, &(client, call), &(now, answer.clone()))?;
    RETRY_TIME.put(batch, &(now, (client, call)), &())
}

/// Forgets expired records, oldest first, a bounded number for the `commands` just applied.
///
/// `gone` is the time before which no record is left, zero if nobody knows; it is moved on. A look from the front would pass every
/// row that was removed and that RocksDB has not compacted away yet: after ten minutes of load these are millions, at each entry.
pub(crate) fn forget(
    batch: &mut Batch<'_>,
    now: LogTime,
    kept_ms: u64,
    commands: usize,
    gone: &mut LogTime,
) -> Result<(), TableError> {
    let Some(until) = now.unix_ms.checked_sub(kept_ms) else { return Ok(()) };
    if gone.unix_ms > until {
        return Ok(());
    }
    let first = |unix_ms| (LogTime { unix_ms }, (ClientId([0; 16]), CallId(0)));
    // Log time does not go back: what is added from now on lies behind.
    let range = (Bound::Included(first(gone.unix_ms)), Bound::Excluded(first(until + 1)));
    let most = commands.max(1) * FORGOTTEN_PER_COMMAND;
    let expired: Vec<_> =
        RETRY_TIME.range(batch, range, Direction::Up)?.take(most).collect::<Result<_, _>>()?;
    *gone = match expired.last() {
        Some(((time, _), ())) if expired.len() == most => *time,
        _ => LogTime { unix_ms: until },
    };
    for ((time, caller), ()) in expired {
        RETRY_TIME.delete(batch, &(time, caller))?;
        RETRY.delete(batch, &caller)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn caller((client, call): ([u8; 16], u64)) -> (ClientId, CallId) {
        (ClientId(client), CallId(call))
    }

    proptest! {
        #[test]
        fn callers_come_back_and_sort_by_client_then_call(a: ([u8; 16], u64), b: ([u8; 16], u64)) {
            let bytes = Caller::to_bytes(&caller(a));
            prop_assert_eq!(Caller::decode(&bytes).unwrap(), caller(a));
            prop_assert_eq!(bytes.cmp(&Caller::to_bytes(&caller(b))), a.cmp(&b));
        }

        #[test]
        fn expiries_come_back_and_sort_by_time(a: (u64, [u8; 16], u64), b: (u64, [u8; 16], u64)) {
            let expiry = |(time, client, call)| (LogTime { unix_ms: time }, caller((client, call)));
            let bytes = Expiry::to_bytes(&expiry(a));
            prop_assert_eq!(Expiry::decode(&bytes).unwrap(), expiry(a));
            prop_assert_eq!(bytes.cmp(&Expiry::to_bytes(&expiry(b))), a.cmp(&b));
        }

        #[test]
        fn records_come_back(time: u64, answer: Vec<u8>) {
            let record = (LogTime { unix_ms: time }, Bytes::from(answer));
            prop_assert_eq!(Record::decode(&Record::to_bytes(&record)).unwrap(), record);
        }
    }

    #[test]
    fn what_was_forgotten_is_not_passed_again_and_everything_goes() {
        use crate::{rocks::RocksShared, state::StateDb};
        use rocksdb::perf::{PerfContext, PerfMetric, PerfStatsLevel, set_perf_stats};
        const ENTRIES: u64 = 2000;
        const CALLS: u64 = 8;
        let dir = tempfile::tempdir().unwrap();
        let db = StateDb::open(&RocksShared::new(1 << 20, 8 << 20).unwrap(), dir.path(), &[]).unwrap();
        set_perf_stats(PerfStatsLevel::EnableCount);
        let passed = |context: &PerfContext| context.metric(PerfMetric::InternalDeleteSkippedCount);
        let (mut context, mut gone, mut most) = (PerfContext::default(), LogTime::default(), 0);
        // As many come as go: an entry a millisecond, each record is kept for a hundred.
        for ms in 1..=ENTRIES {
            let (mut batch, now) = (Batch::new(&db), LogTime { unix_ms: ms });
            for call in 0..CALLS {
                keep(&mut batch, ClientId([7; 16]), CallId(ms * CALLS + call), now, None, &Bytes::new())
                    .unwrap();
            }
            context.reset();
            forget(&mut batch, now, 100, CALLS as usize, &mut gone).unwrap();
            most = most.max(passed(&context));
            batch.write().unwrap();
        }
        assert!(most <= 2 * CALLS, "a look passed {most} removed rows");
        // A member that starts again passes them once, also while there is nothing to forget.
        gone = LogTime::default();
        let passed: Vec<u64> = (0..3)
            .map(|_| {
                context.reset();
                forget(&mut Batch::new(&db), LogTime { unix_ms: ENTRIES }, 100, 1, &mut gone).unwrap();
                passed(&context)
            })
            .collect();
        assert!(passed[0] > 1000 && passed[1..].iter().all(|passed| *passed <= CALLS), "{passed:?}");
        let left = RETRY_TIME.range(&Batch::new(&db), .., Direction::Up).unwrap().count() as u64;
        assert_eq!(left, 100 * CALLS, "those of the last hundred milliseconds");
    }

    #[test]
    fn bytes_of_another_length_or_version_are_refused() {
        assert!(Caller::decode(&[0; 23]).is_err() && Caller::decode(&[0; 25]).is_err());
        assert!(Expiry::decode(&[0; 7]).is_err() && Expiry::decode(&[0; 31]).is_err());
        let newer = [&[VERSION + 1][..], &[0; 8]].concat();
        assert!(Record::decode(&[]).is_err() && Record::decode(&[VERSION; 8]).is_err());
        assert!(Record::decode(&newer).unwrap_err().to_string().contains("unknown version"));
    }
}
