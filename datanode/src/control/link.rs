//! The way to one SCM: requests there, answers back, whatever carries them.

use allotrope_proto::heartbeat::{ScmDatanodeRequest, ScmDatanodeResponse};
use allotrope_proto::rpc::catalog::DatanodeHeartbeat;
use allotrope_proto::rpc::{CallOptions, RpcClient};
use std::future::Future;
use std::time::Duration;

/// Longest time SCM is given for one answer (`ozone.scm.heartbeat.rpc-timeout`).
const ANSWER_WAIT: Duration = Duration::from_secs(5);

/// SCM did not answer.
#[derive(Debug, thiserror::Error)]
#[error("{scm} did not answer: {why}")]
pub struct LinkError {
    /// Which SCM.
    pub scm: String,
    /// What the transport said.
    pub why: String,
}

/// Asks one SCM. Put no deadline around it: it keeps its own.
pub trait ScmLink: Send + 'static {
    /// Which SCM, for logs.
    fn name(&self) -> String;

    /// Sends a request and waits for its answer.
    fn submit(
        &self,
        request: ScmDatanodeRequest,
    ) -> impl Future<Output = Result<ScmDatanodeResponse, LinkError>> + Send;
}

/// An SCM reached by one of the RPC transports.
#[derive(Clone, Debug)]
pub struct RpcLink<C> {
    client: C,
    name: String,
}

impl<C> RpcLink<C> {
    /// The SCM that `client` reaches, called `name` in logs.
    pub fn new(client: C, name: impl Into<String>) -> RpcLink<C> {
        RpcLink { client, name: name.into() }
    }
}

impl<C: RpcClient> ScmLink for RpcLink<C> {
    fn name(&self) -> String {
        self.name.clone()
    }

    async fn submit(&self, request: ScmDatanodeRequest) -> Result<ScmDatanodeResponse, LinkError> {
        let options = CallOptions { time_max: Some(ANSWER_WAIT), ..CallOptions::default() };
        let answered = self.client.call::<DatanodeHeartbeat>(&request, &options).await;
        answered.map_err(|e| LinkError { scm: self.name.clone(), why: chain(&e) })
    }
}

/// An error and its causes in one line.
pub(crate) fn chain(e: &dyn std::error::Error) -> String {
    let mut text = e.to_string();
    let mut cause = e.source();
    while let Some(e) = cause {
        text.push_str(": ");
        text.push_str(&e.to_string());
        cause = e.source();
    }
    text
}
