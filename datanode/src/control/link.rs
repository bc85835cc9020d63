//! The way to one SCM: requests there, answers back, whatever carries them.
//!
//! Shape   [`ScmLink`] carries messages; [`ask`] is the edge: values of the domain on this side, messages on that one. Of an
//!         answer's commands each is read by itself.
//! Errors  [`LinkError`], which names the SCM; where its answer is malformed the cause names message and field.

use allotrope_proto::WireError;
use allotrope_proto::edge::heartbeat::apart::{
    DatanodeAnswerApart, DatanodeResponseApart, ScmDatanodeResponseApart,
};
use allotrope_proto::edge::heartbeat::{DatanodeCall, DatanodeRequest, Status};
use allotrope_proto::heartbeat::ScmDatanodeRequest;
use allotrope_proto::rpc::catalog::DatanodeHeartbeatApart;
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

/// Carries messages to one SCM and back. Put no deadline around it: it keeps its own.
pub trait ScmLink: Send + 'static {
    /// Which SCM, for logs.
    fn name(&self) -> String;

    /// Sends a request and waits for its answer.
    fn submit(
        &self,
        request: ScmDatanodeRequest,
    ) -> impl Future<Output = Result<ScmDatanodeResponseApart, LinkError>> + Send;
}

/// Asks one SCM. An answer that is an error, or is none to what was asked, is an error here.
pub async fn ask<L: ScmLink>(link: &L, call: DatanodeCall) -> Result<DatanodeAnswerApart, String> {
    let asked = call.kind();
    let request = DatanodeRequest { call, trace_id: None };
    let message = link.submit(request.into()).await.map_err(|e| e.to_string())?;
    let malformed = |e: WireError| format!("{}'s answer is malformed: {}", link.name(), chain(&e));
    let response = DatanodeResponseApart::try_from(message).map_err(malformed)?;
    if response.status != Status::Ok {
        return Err(response.message.unwrap_or_else(|| "SCM answered with an error".into()));
    }
    match response.answer {
        Some(answer) if response.kind == asked => Ok(answer),
        _ => Err(format!("{} does not answer {}", link.name(), asked.as_str_name())),
    }
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

    async fn submit(&self, request: ScmDatanodeRequest) -> Result<ScmDatanodeResponseApart, LinkError> {
        let options = CallOptions { time_max: Some(ANSWER_WAIT), ..CallOptions::default() };
        let answered = self.client.call::<DatanodeHeartbeatApart>(&request, &options).await;
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
