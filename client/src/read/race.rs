//! Asking replicas that have the same bytes, one after the other or, where one is slow, at once.
//!
//! Shape   the first replica is asked. When it fails the next is asked; when it is slow the next is asked beside it, as far as the
//!         budget of extra reads goes. The first good answer wins, and the other questions are dropped.
//! Errors  the last failure, when all replicas have failed.

use std::future::Future;

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use tokio::time::{Instant, sleep_until};

use crate::client::Client;
use crate::datanode::{BlockAt, DatanodeError};

/// The first of `replicas` that answers `ask` well, and its answer; `preferred` is asked first unless it is avoided. `len` is how many
/// bytes are asked for.
pub(super) async fn first_answer<T, W>(
    client: &Client,
    replicas: &[BlockAt],
    preferred: usize,
    len: u64,
    ask: impl Fn(usize) -> W,
) -> Result<(usize, T), Option<DatanodeError>>
where
    W: Future<Output = Result<T, DatanodeError>>,
{
    let standing = client.datanodes().standing();
    let mut order: Vec<usize> = (0..replicas.len()).map(|step| (preferred + step) % replicas.len()).collect();
    // A stable sort: what is not avoided keeps its order.
    order.sort_by_key(|&number| standing.is_avoided(replicas[number].member.datanode));
    let mut rest = order.into_iter();
    let mut out = FuturesUnordered::new();
    let start = |number: usize| {
        let (began, answer) = (Instant::now(), ask(number));
        async move { (number, began, answer.await) }
    };
    let mut asked: Vec<usize> = vec![];
    let mut failure = None;
    let mut slow_at = standing.slow_at(len);
    loop {
        if out.is_empty() {
            let Some(number) = rest.next() else { return Err(failure) };
            asked.push(number);
            out.push(start(number));
        }
        tokio::select! {
            biased;
            Some((number, began, answer)) = out.next() => {
                asked.retain(|&other| other != number);
                match answer {
                    Ok(answer) => {
                        standing.answered(len, began);
                        asked.iter().for_each(|&slow| client.datanodes().overtaken(&replicas[slow].member));
                        return Ok((number, answer));
                    }
                    Err(error) => {
                        failure = Some(error);
                        // Another may be out still, and slow: nobody waits for it while there is one that was not asked.
                        if let Some(number) = rest.next() {
                            asked.push(number);
                            out.push(start(number));
                        }
                    }
                }
            }
            () = sleep_until(slow_at.unwrap_or_else(Instant::now)), if slow_at.is_some() => {
                slow_at = standing.slow_at(len).filter(|_| rest.len() > 0);
                if slow_at.is_some() && standing.may_hedge(1) {
                    let number = rest.next().expect("there is one");
                    asked.push(number);
                    out.push(start(number));
                }
            }
        }
    }
}
