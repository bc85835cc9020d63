//! `allotrope admin om`: who leads, handing leadership over, preparing for an upgrade.

use std::process::ExitCode;

use allotrope_proto::edge::Empty;
use allotrope_proto::edge::admin::TransferLeadership;
use allotrope_proto::edge::om::service::{PrepareArgs, PreparedAt, ServiceList};
use allotrope_proto::edge::om::{OmAnswer, OmCall, OmRequest, OmResponse, UserInfo};
use allotrope_proto::grpc::{GrpcClient, GrpcClientConfig};
use allotrope_proto::net::{Plain, Target};
use allotrope_proto::rpc::catalog::OmSubmit;
use allotrope_proto::rpc::{CallOptions, ClientId, RpcClient as _};
use allotrope_proto::{WireError, om as wire};
use allotrope_types::OmStatus;
use clap::{Args, Subcommand};
use uuid::Uuid;

use crate::config::Settings;
use crate::roles::{Failure, om};

/// Where the command asks, and how it prints.
#[derive(Debug, Args)]
pub(super) struct OmAdmin {
    #[command(subcommand)]
    task: Task,
    /// Print JSON.
    #[arg(long, global = true)]
    json: bool,
}

#[derive(Debug, Subcommand)]
enum Task {
    /// List the OMs of the service and who leads.
    Roles,
    /// Hand leadership to another OM.
    Transfer {
        /// The OM to lead; any other if none is named.
        #[arg(long, default_value = "")]
        to: String,
    },
    /// Take no more writes, so that the software can be exchanged; or see how that stands, or take writes again.
    Prepare {
        /// Only say how it stands, for each OM.
        #[arg(long)]
        status: bool,
        /// Take writes again.
        #[arg(long, conflicts_with = "status")]
        cancel: bool,
    },
}

/// One OM to ask: its name and where its gRPC is.
struct Om {
    name: String,
    target: Target,
}

fn oms(settings: &Settings) -> Result<Vec<Om>, Failure> {
    let here = |host: String| if host == "0.0.0.0" { "127.0.0.1".to_owned() } else { host };
    let Some((service, nodes)) = om::service(settings) else {
        let (host, _) = settings.address("ozone.om.address", 9862)?;
        let target = Target { host: here(host), port: settings.port("ozone.om.grpc.port")? };
        return Ok(vec![Om { name: settings.text_needed("ozone.om.node.id")?.to_owned(), target }]);
    };
    let one = |node: &String| {
        let (host, _) = om::address_of(settings, &service, node)?;
        let port = om::port_of(settings, "ozone.om.grpc.port", &service, node)?;
        Ok(Om { name: node.clone(), target: Target { host: here(host), port } })
    };
    nodes.iter().map(one).collect()
}

/// What OM says to `call`, if it did what was asked.
async fn ask(om: &Om, call: &OmCall) -> Result<OmResponse, Failure> {
    let id = ClientId::from_bytes(*Uuid::new_v4().as_bytes());
    let client = GrpcClient::new(om.target.clone(), Plain, id, GrpcClientConfig::default())?;
    let answer = client.call::<OmSubmit>(&request(call.clone()), &CallOptions::default()).await;
    let answer = answer.map_err(|error| format!("OM {}: {error}", om.name))?;
    judged(call.kind(), answer).map_err(|why| format!("OM {}: {why}", om.name).into())
}

/// The answer to a call of kind `asked`, if it is one and OM did what was asked.
fn judged(asked: wire::Type, answer: wire::OmResponse) -> Result<OmResponse, String> {
    let answer = OmResponse::try_from(answer).map_err(|why| unusable(&why))?;
    if answer.status != OmStatus::Ok {
        return Err(answer.message.unwrap_or_else(|| answer.status.name().to_owned()));
    }
    if answer.kind != asked {
        let answered = answer.kind.as_str_name();
        return Err(format!("it answered {answered} where {} was asked", asked.as_str_name()));
    }
    Ok(answer)
}

fn unusable(why: &WireError) -> String {
    format!("its answer is unusable: {}", crate::with_causes(why))
}

/// What whichever OM leads says to `call`.
async fn ask_leader(oms: &[Om], call: &OmCall) -> Result<OmResponse, Failure> {
    let mut last: Failure = "the settings name no OM".into();
    for om in oms {
        match ask(om, call).await {
            Ok(answer) => return Ok(answer),
            Err(error) => last = error,
        }
    }
    Err(last)
}

fn request(call: OmCall) -> wire::OmRequest {
    let user_name = ["HADOOP_USER_NAME", "USER", "LOGNAME"].iter().find_map(|name| std::env::var(name).ok());
    let request = OmRequest {
        call,
        trace_id: None,
        client_id: "allotrope-admin".to_owned(),
        user_info: Some(UserInfo { user_name, remote_address: None, host_name: None }),
        version: None,
        layout_version: None,
        read_consistency_hint: None,
        s3_authentication: None,
        update_get_delegation_token_request: None,
        updated_renew_delegation_token_request: None,
        update_get_s3_secret_request: None,
        set_snapshot_property_requests: Vec::new(),
    };
    request.into()
}

impl OmAdmin {
    pub(super) fn run(self, settings: &Settings) -> Result<ExitCode, Failure> {
        let oms = oms(settings)?;
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        runtime.block_on(async {
            match self.task {
                Task::Roles => roles(&oms, self.json).await?,
                Task::Transfer { to } => transfer(&oms, &to).await?,
                Task::Prepare { status: true, .. } => prepare_status(&oms, self.json).await?,
                Task::Prepare { cancel: true, .. } => {
                    ask_leader(&oms, &OmCall::CancelPrepare(Empty)).await?;
                    println!("the service takes writes again");
                }
                Task::Prepare { .. } => prepare(&oms).await?,
            }
            Ok(ExitCode::SUCCESS)
        })
    }
}

async fn roles(oms: &[Om], json: bool) -> Result<(), Failure> {
    let answer = ask_leader(oms, &OmCall::ServiceList(Empty)).await?;
    match answer.answered() {
        Ok(OmAnswer::ServiceList(list)) => print_roles(&list, json),
        Ok(_) => unreachable!("an answer to another call was refused"),
        Err(why) => return Err(unusable(&why).into()),
    }
    Ok(())
}

fn print_roles(list: &ServiceList, json: bool) {
    let services = &list.service_info;
    let rows: Vec<(&str, &str, &str)> = services
        .iter()
        .filter_map(|service| {
            let role = service.om_role.as_ref()?;
            Some((role.node_id.as_str(), service.hostname.as_str(), role.server_role.as_str()))
        })
        .collect();
    if json {
        let rows: Vec<_> = rows
            .iter()
            .map(|(node, host, role)| serde_json::json!({ "node": node, "host": host, "role": role }))
            .collect();
        println!("{}", serde_json::Value::from(rows));
        return;
    }
    println!("{:<12} {:<32} ROLE", "NODE", "HOST");
    for (node, host, role) in rows {
        println!("{node:<12} {host:<32} {role}");
    }
}

async fn transfer(oms: &[Om], to: &str) -> Result<(), Failure> {
    let asked = TransferLeadership { new_leader_id: to.to_owned() };
    ask_leader(oms, &OmCall::TransferLeadership(asked)).await?;
    println!("leadership was handed to {}", if to.is_empty() { "another OM" } else { to });
    Ok(())
}

async fn prepare(oms: &[Om]) -> Result<(), Failure> {
    let args = PrepareArgs { txn_apply_wait_timeout_seconds: None, txn_apply_check_interval_seconds: None };
    let answer = ask_leader(oms, &OmCall::Prepare(args)).await?;
    let change = match answer.answered() {
        Ok(OmAnswer::Prepare(PreparedAt { txn_id })) => txn_id,
        Ok(_) => unreachable!("an answer to another call was refused"),
        Err(why) => return Err(unusable(&why).into()),
    };
    println!("the service takes no writes since change {change}");
    Ok(())
}

async fn prepare_status(oms: &[Om], json: bool) -> Result<(), Failure> {
    let asked = OmCall::PrepareStatus(PreparedAt { txn_id: 0 });
    for om in oms {
        let state = match ask(om, &asked).await.map(OmResponse::answered) {
            Ok(Ok(OmAnswer::PrepareStatus(state))) => state.status.as_str_name().to_owned(),
            Ok(Ok(_)) => unreachable!("an answer to another call was refused"),
            Ok(Err(why)) => format!("OM {}: {}", om.name, unusable(&why)),
            Err(error) => error.to_string(),
        };
        match json {
            true => println!("{}", serde_json::json!({ "node": om.name, "status": state })),
            false => println!("{:<12} {state}", om.name),
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_that_cannot_be_is_told_with_its_message_and_field() {
        let well = |kind: wire::Type| wire::OmResponse {
            cmd_type: kind as i32,
            status: OmStatus::Ok.number(),
            ..Default::default()
        };
        let kind = wire::Type::PrepareStatus;
        let silent = judged(kind, well(kind)).unwrap().answered().unwrap_err();
        assert_eq!(
            unusable(&silent),
            "its answer is unusable: OMResponse lacks its field prepareStatusResponse"
        );
        let status = wire::PrepareStatusResponse { status: 9, current_txn_index: None };
        let unknown = wire::OmResponse { prepare_status_response: Some(Box::new(status)), ..well(kind) };
        let unknown = judged(kind, unknown).unwrap_err();
        assert_eq!(unknown, "its answer is unusable: PrepareStatusResponse.status is 9, which names nothing");
        let other = judged(kind, well(wire::Type::Prepare)).unwrap_err();
        assert_eq!(other, "it answered Prepare where PrepareStatus was asked");
        let message = Some("as ordered".to_owned());
        let refused = wire::OmResponse { status: OmStatus::AccessDenied.number(), message, ..well(kind) };
        assert_eq!(judged(kind, refused).unwrap_err(), "as ordered");
    }
}
