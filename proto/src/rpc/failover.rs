//! One client for a group of servers: it asks the one that answered last, and the next when that one does not lead or is
//! not there.
//!
//! Law     a server that answers anything but "I do not lead" is believed. A call that was lost on its way goes to the next
//!         server: callers make calls that do no harm when carried out twice.
//! Bounds  all tries together take the call's time; one try takes a part of it, so that a server that hangs does not use
//!         it up. An election fits into the default.
#![allow(clippy::disallowed_methods, reason = "pauses and deadlines follow tokio's clock, which tests pause")]

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tokio::time::Instant;

use super::{CallError, CallOptions, Rpc, RpcClient};

/// How long a call may take in all where its options do not say.
const TIME_MAX: Duration = Duration::from_secs(30);
/// How long one server of several has for its answer.
const TRY_MAX: Duration = Duration::from_secs(8);
/// The pause after each round of all servers.
const PAUSE: Duration = Duration::from_millis(250);

/// Asks whichever server of a group leads. With one server it is that server's client.
#[derive(Debug)]
pub struct Failover<C> {
    servers: Vec<C>,
    /// Which of them answered last.
    current: AtomicUsize,
}

impl<C: RpcClient> Failover<C> {
    /// A client of the group `servers`.
    ///
    /// # Panics
    /// If there is no server.
    pub fn new(servers: Vec<C>) -> Failover<C> {
        assert!(!servers.is_empty(), "a group has at least one server");
        Failover { servers, current: AtomicUsize::new(0) }
    }
}

/// Whether another server may know better.
fn goes_elsewhere(error: &CallError) -> bool {
    match error {
        CallError::Unreachable { .. } | CallError::Lost { .. } | CallError::Deadline { .. } => true,
        CallError::Remote { class, .. } => class.ends_with("NotLeaderException"),
        CallError::RequestTooLarge { .. } | CallError::Malformed { .. } => false,
    }
}

impl<C: RpcClient> RpcClient for Failover<C> {
    async fn call<R: Rpc>(
        &self,
        request: &R::Request,
        options: &CallOptions,
    ) -> Result<R::Response, CallError> {
        if let [only] = self.servers.as_slice() {
            return only.call::<R>(request, options).await;
        }
        let ends = Instant::now() + options.time_max.unwrap_or(TIME_MAX);
        let count = self.servers.len();
        for asked in 1.. {
            let at = self.current.load(Ordering::Relaxed) % count;
            let left = ends.saturating_duration_since(Instant::now());
            let once = CallOptions { time_max: Some(left.min(TRY_MAX)), ..options.clone() };
            let error = match self.servers[at].call::<R>(request, &once).await {
                Err(error) if goes_elsewhere(&error) => error,
                done => return done,
            };
            // Another call may have moved on already.
            let next = (at + 1) % count;
            let _moved = self.current.compare_exchange(at, next, Ordering::Relaxed, Ordering::Relaxed);
            if asked % count == 0 {
                tokio::time::sleep(PAUSE).await;
            }
            if Instant::now() >= ends {
                return Err(error);
            }
        }
        unreachable!("the loop ends by returning")
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use super::*;
    use crate::admin::{CheckpointRequest, CheckpointResponse};
    use crate::rpc::catalog::AdminCheckpoint;

    const NOT_LEADER: &str = "org.apache.hadoop.hdds.ratis.ServerNotLeaderException";

    /// A server that gives its answers in turn, the last one for ever, and notes its calls.
    struct Scripted {
        name: &'static str,
        answers: Mutex<Vec<&'static str>>,
        calls: Arc<Mutex<Vec<&'static str>>>,
    }

    impl RpcClient for Scripted {
        async fn call<R: Rpc>(
            &self,
            _: &R::Request,
            options: &CallOptions,
        ) -> Result<R::Response, CallError> {
            self.calls.lock().unwrap().push(self.name);
            let answer = {
                let mut answers = self.answers.lock().unwrap();
                if answers.len() > 1 { answers.remove(0) } else { answers[0] }
            };
            let (target, method) = (self.name.to_owned(), R::METHOD);
            match answer {
                "answers" => Ok(R::Response::default()),
                "is away" => {
                    let source = std::io::ErrorKind::ConnectionRefused.into();
                    Err(CallError::Unreachable { target, source })
                }
                "hangs" => {
                    let time_max = options.time_max.unwrap();
                    tokio::time::sleep(time_max).await;
                    Err(CallError::Deadline { target, method, time_max })
                }
                class => {
                    let (class, message) = (class.to_owned(), String::new());
                    Err(CallError::Remote { target, method, class, message })
                }
            }
        }
    }

    type Script = (&'static str, &'static [&'static str]);

    async fn ask(servers: &[Script]) -> (Result<CheckpointResponse, CallError>, Vec<&'static str>) {
        let calls = Arc::new(Mutex::new(Vec::new()));
        let scripted = |(name, answers): &Script| Scripted {
            name,
            answers: Mutex::new(answers.to_vec()),
            calls: Arc::clone(&calls),
        };
        let group = Failover::new(servers.iter().map(scripted).collect());
        let done =
            group.call::<AdminCheckpoint>(&CheckpointRequest::default(), &CallOptions::default()).await;
        let calls = calls.lock().unwrap().clone();
        (done, calls)
    }

    #[tokio::test(start_paused = true)]
    async fn the_next_server_is_asked_when_one_is_away_hangs_or_does_not_lead() {
        let (done, calls) =
            ask(&[("a", &["is away", "hangs"]), ("b", &[NOT_LEADER]), ("c", &[NOT_LEADER, "answers"])]).await;
        done.unwrap();
        assert_eq!(calls, ["a", "b", "c", "a", "b", "c"], "an election takes a round");
    }

    #[tokio::test(start_paused = true)]
    async fn an_answer_is_believed_and_a_lone_server_is_asked_once() {
        let refusal = "org.apache.hadoop.hdds.scm.exceptions.SCMException";
        let (done, calls) =
            ask(&[("a", &["org.apache.hadoop.hdds.scm.exceptions.SCMException"]), ("b", &["answers"])]).await;
        assert_eq!((done.unwrap_err().remote_class(), calls.as_slice()), (Some(refusal), &["a"][..]));
        let (done, calls) = ask(&[("a", &["is away"])]).await;
        assert!(done.is_err() && calls == ["a"], "{calls:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn a_group_that_is_away_or_hangs_is_given_up_when_the_calls_time_is_over() {
        for how in ["is away", "hangs"] {
            let began = Instant::now();
            let answers: &'static [&'static str] = if how == "hangs" { &["hangs"] } else { &["is away"] };
            let (done, _) = ask(&[("a", answers), ("b", answers)]).await;
            assert!(done.is_err());
            let took = began.elapsed();
            assert!(took >= TIME_MAX && took < TIME_MAX + 2 * PAUSE, "{how}: {took:?}");
        }
    }
}
