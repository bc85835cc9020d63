//! The way to the SCM that leads, for administrators' questions.

use std::time::Duration;

use allotrope_proto::grpc::{GrpcClient, GrpcClientConfig};
use allotrope_proto::net::{Plain, Target};
use allotrope_proto::rpc::catalog::ScmContainerSubmit;
use allotrope_proto::rpc::{CallError, CallOptions, ClientId, Failover, RpcClient as _};
use allotrope_proto::scm_container::{ScmContainerLocationRequest, ScmContainerLocationResponse, Type};
use tokio::runtime::Runtime;
use uuid::Uuid;

use crate::config::Settings;
use crate::roles::{Failure, scms};

/// How long a question may take, an election among the SCMs included.
const ANSWER_TIME_MAX: Duration = Duration::from_secs(30);

/// Asks the SCMs that the settings name.
pub(super) struct Scms {
    runtime: Runtime,
    /// Each SCM's name, and the way to it.
    each: Vec<(String, GrpcClient)>,
    leader: Failover<GrpcClient>,
}

fn client(host: &str, port: u16) -> Result<GrpcClient, Failure> {
    let host = if host == "0.0.0.0" { "127.0.0.1" } else { host };
    let id = ClientId::from_bytes(*Uuid::new_v4().as_bytes());
    let target = Target { host: host.to_owned(), port };
    Ok(GrpcClient::new(target, Plain, id, GrpcClientConfig::default())?)
}

impl Scms {
    pub(super) fn of(settings: &Settings) -> Result<Scms, Failure> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let inside = runtime.enter(); // a connection belongs to the runtime it is made in
        let all = scms::everywhere(settings, |scm| scm.client_port, ("ozone.scm.client.address", 9860))?;
        let link = |(name, host, port): (String, String, u16)| Ok((name, client(&host, port)?));
        let each = all.into_iter().map(link).collect::<Result<Vec<_>, Failure>>()?;
        let leader = Failover::new(each.iter().map(|(_, client)| client.clone()).collect());
        drop(inside);
        Ok(Scms { runtime, each, leader })
    }

    /// The leader's answer to `kind`, whose arguments `fill` puts in.
    pub(super) fn ask(
        &self,
        kind: Type,
        fill: impl FnOnce(&mut ScmContainerLocationRequest),
    ) -> Result<ScmContainerLocationResponse, Failure> {
        let request = request(kind, fill);
        let options = CallOptions { time_max: Some(ANSWER_TIME_MAX), ..CallOptions::default() };
        let answer = self.runtime.block_on(self.leader.call::<ScmContainerSubmit>(&request, &options));
        answer.map_err(plain)
    }

    /// Makes the next question go to the leader, also one that every SCM answers about itself.
    pub(super) fn find_leader(&self) -> Result<(), Failure> {
        self.ask(Type::GetContainerCount, |request| {
            request.get_container_count_request = Some(Default::default());
        })
        .map(|_| ())
    }

    /// Each SCM's own answer to `kind`, or why there is none.
    pub(super) fn ask_each(
        &self,
        kind: Type,
        fill: fn(&mut ScmContainerLocationRequest),
    ) -> Vec<(&str, Result<ScmContainerLocationResponse, String>)> {
        let request = request(kind, fill);
        let options = CallOptions { time_max: Some(ANSWER_TIME_MAX / 6), ..CallOptions::default() };
        let ask = |(name, client): &'_ (String, GrpcClient)| {
            let answer = self.runtime.block_on(client.call::<ScmContainerSubmit>(&request, &options));
            answer.map_err(|error| crate::with_causes(&error)).map_err(|why| format!("{name}: {why}"))
        };
        self.each.iter().map(|scm| (scm.0.as_str(), ask(scm))).collect()
    }
}

fn request(kind: Type, fill: impl FnOnce(&mut ScmContainerLocationRequest)) -> ScmContainerLocationRequest {
    let mut request = ScmContainerLocationRequest { cmd_type: kind as i32, ..Default::default() };
    fill(&mut request);
    request
}

/// What SCM said is enough for whoever typed the command; the class and the method are for programs.
fn plain(error: CallError) -> Failure {
    match error {
        CallError::Remote { message, .. } => message.into(),
        other => other.into(),
    }
}

/// The answer's part that is wanted; a server that leaves it out is at fault.
pub(super) fn part<T>(part: Option<T>, what: &str) -> Result<T, Failure> {
    part.ok_or_else(|| format!("SCM's answer lacks {what}").into())
}
