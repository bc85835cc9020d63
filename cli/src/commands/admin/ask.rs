//! The way to the SCM that leads, for administrators' questions.
//!
//! Shape   a question is one value of the edge; what SCM says to it is another. `ask!` takes the answer to that very question.
//! Errors  SCM's own words where it refuses; an answer that cannot be is told with its message and field.

use std::time::Duration;

use allotrope_proto::WireError;
use allotrope_proto::edge::scm_container::state::Ask;
use allotrope_proto::edge::scm_container::{
    LocationAnswer, LocationCall, LocationRequest, LocationResponse, LocationStatus,
};
use allotrope_proto::grpc::{GrpcClient, GrpcClientConfig};
use allotrope_proto::net::{Plain, Target};
use allotrope_proto::rpc::catalog::ScmContainerSubmit;
use allotrope_proto::rpc::{CallError, CallOptions, ClientId, Failover, RpcClient as _};
use allotrope_proto::scm_container as wire;
use tokio::runtime::Runtime;
use uuid::Uuid;

use crate::config::Settings;
use crate::roles::{Failure, scms};

/// Asks the SCM that leads and takes the answer to that very question: `ask!(scms, QueryNode(asked))?`.
macro_rules! ask {
    ($scms:expr, $kind:ident($asked:expr)) => {
        match $scms.ask(::allotrope_proto::edge::scm_container::LocationCall::$kind($asked)) {
            Ok(::allotrope_proto::edge::scm_container::LocationAnswer::$kind(answer)) => Ok(answer),
            Ok(_) => unreachable!("an answer to another question was refused"),
            Err(error) => Err(error),
        }
    };
}
pub(super) use ask;

/// A question without arguments.
pub(super) const NOTHING: Ask = Ask { trace_id: None };

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

    /// What the leader says to `call`.
    pub(super) fn ask(&self, call: LocationCall) -> Result<LocationAnswer, Failure> {
        let kind = call.kind();
        self.carry(call)?.answered().map_err(|why| unusable(kind, &why))
    }

    /// Has the leader do `call`, of which no more is to be known than that it was done.
    pub(super) fn order(&self, call: LocationCall) -> Result<(), Failure> {
        self.carry(call).map(drop)
    }

    fn carry(&self, call: LocationCall) -> Result<LocationResponse, Failure> {
        let (kind, request) = (call.kind(), request(call));
        let options = CallOptions { time_max: Some(ANSWER_TIME_MAX), ..CallOptions::default() };
        let answer = self.runtime.block_on(self.leader.call::<ScmContainerSubmit>(&request, &options));
        judged(kind, answer.map_err(plain)?)
    }

    /// Makes the next question go to the leader, also one that every SCM answers about itself.
    pub(super) fn find_leader(&self) -> Result<(), Failure> {
        // Containers of whatever state.
        self.order(LocationCall::GetContainerCount(Some(None)))
    }

    /// Each SCM's own answer to `call`, or why there is none.
    pub(super) fn ask_each(&self, call: LocationCall) -> Vec<(&str, Result<LocationResponse, String>)> {
        let (kind, request) = (call.kind(), request(call));
        let options = CallOptions { time_max: Some(ANSWER_TIME_MAX / 6), ..CallOptions::default() };
        let ask = |(name, client): &'_ (String, GrpcClient)| {
            let answer = self.runtime.block_on(client.call::<ScmContainerSubmit>(&request, &options));
            let answer = answer.map_err(|error| crate::with_causes(&error));
            let judged = answer.and_then(|answer| judged(kind, answer).map_err(|why| why.to_string()));
            judged.map_err(|why| format!("{name}: {why}"))
        };
        self.each.iter().map(|scm| (scm.0.as_str(), ask(scm))).collect()
    }
}

fn request(call: LocationCall) -> wire::ScmContainerLocationRequest {
    LocationRequest { call, trace_id: None, version: None }.into()
}

/// The answer to a question of kind `asked`, if SCM did what was asked.
fn judged(
    asked: wire::Type,
    answer: wire::ScmContainerLocationResponse,
) -> Result<LocationResponse, Failure> {
    let answer = LocationResponse::try_from(answer).map_err(|why| unusable(asked, &why))?;
    if answer.status != LocationStatus::Ok {
        let status = answer.status.as_str_name();
        return Err(answer
            .message
            .map_or_else(|| status.to_owned(), |why| format!("{status}: {why}"))
            .into());
    }
    if answer.kind != asked {
        let answered = answer.kind.as_str_name();
        return Err(format!("SCM answered {answered} where {} was asked", asked.as_str_name()).into());
    }
    Ok(answer)
}

/// SCM's answer is not what it should be.
pub(super) fn unusable(asked: wire::Type, why: &WireError) -> Failure {
    let why = crate::with_causes(why);
    format!("SCM's answer to {} is unusable: {why}", asked.as_str_name()).into()
}

/// What SCM said is enough for whoever typed the command; the class and the method are for programs.
fn plain(error: CallError) -> Failure {
    match error {
        CallError::Remote { message, .. } => message.into(),
        other => other.into(),
    }
}

/// A part of the answer that must be there: `field` of `message`, as the `.proto` files spell them.
pub(super) fn part<T>(
    asked: wire::Type,
    part: Option<T>,
    message: &'static str,
    field: &'static str,
) -> Result<T, Failure> {
    part.ok_or_else(|| unusable(asked, &WireError::Missing { message, field }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use allotrope_proto::hdds;

    fn refused(answer: wire::ScmContainerLocationResponse) -> String {
        let kind = wire::Type::QueryNode;
        let answer = wire::ScmContainerLocationResponse { cmd_type: kind as i32, ..answer };
        let said = judged(kind, answer).and_then(|said| said.answered().map_err(|why| unusable(kind, &why)));
        said.unwrap_err().to_string()
    }

    fn well() -> wire::ScmContainerLocationResponse {
        wire::ScmContainerLocationResponse { status: LocationStatus::Ok as i32, ..Default::default() }
    }

    fn nodes(node: hdds::Node) -> wire::ScmContainerLocationResponse {
        let found = wire::NodeQueryResponseProto { datanodes: vec![node] };
        wire::ScmContainerLocationResponse { node_query_response: Some(found), ..well() }
    }

    #[test]
    fn an_answer_that_cannot_be_is_told_with_its_message_and_field() {
        let unusable = |why: &str| format!("SCM's answer to QueryNode is unusable: {why}");
        assert_eq!(
            refused(well()),
            unusable("ScmContainerLocationResponse lacks its field nodeQueryResponse")
        );
        let details =
            hdds::DatanodeDetailsProto { uuid: Some(uuid::Uuid::nil().to_string()), ..Default::default() };
        let node = hdds::Node { node_id: details, ..Default::default() };
        let unknown = hdds::Node { node_states: vec![77], ..node.clone() };
        assert_eq!(refused(nodes(unknown)), unusable("Node.nodeStates is 77, which names nothing"));
        let ports = vec![hdds::Port { name: "RATIS".into(), value: 70_000 }];
        let details = hdds::DatanodeDetailsProto { ports, ..node.node_id.clone() };
        let far = hdds::Node { node_id: details, ..node };
        assert_eq!(refused(nodes(far)), unusable("Port.value is 70000, beyond 65535"));
    }

    #[test]
    fn a_refusal_is_told_in_scms_words() {
        let status = LocationStatus::ContainerIsMissing as i32;
        let message = Some("as ordered".to_owned());
        let answer = wire::ScmContainerLocationResponse { status, message, ..well() };
        assert_eq!(refused(answer), "CONTAINER_IS_MISSING: as ordered");
    }
}
