//! `allotrope admin om`: who leads, handing leadership over, preparing for an upgrade.

use std::process::ExitCode;

use allotrope_proto::grpc::{GrpcClient, GrpcClientConfig};
use allotrope_proto::hdds::TransferLeadershipRequestProto;
use allotrope_proto::net::{Plain, Target};
use allotrope_proto::om::prepare_status_response::PrepareStatus;
use allotrope_proto::om::{
    OmRequest, OmResponse, PrepareRequest, PrepareRequestArgs, PrepareStatusRequest, ServiceListRequest,
    Status, Type, UserInfo,
};
use allotrope_proto::rpc::catalog::OmSubmit;
use allotrope_proto::rpc::{CallOptions, ClientId, RpcClient as _};
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

async fn ask(om: &Om, request: &OmRequest) -> Result<OmResponse, Failure> {
    let id = ClientId::from_bytes(*Uuid::new_v4().as_bytes());
    let client = GrpcClient::new(om.target.clone(), Plain, id, GrpcClientConfig::default())?;
    let answer = client.call::<OmSubmit>(request, &CallOptions::default()).await;
    Ok(answer.map_err(|error| format!("OM {}: {error}", om.name))?)
}

/// The answer of whichever OM leads.
async fn ask_leader(oms: &[Om], request: &OmRequest) -> Result<OmResponse, Failure> {
    let mut last: Failure = "the settings name no OM".into();
    for om in oms {
        match ask(om, request).await {
            Ok(answer) if answer.status == Status::Ok as i32 => return Ok(answer),
            Ok(answer) => last = format!("OM {}: {}", om.name, answer.message()).into(),
            Err(error) => last = error,
        }
    }
    Err(last)
}

fn request(kind: Type) -> OmRequest {
    let user_name = ["HADOOP_USER_NAME", "USER", "LOGNAME"].iter().find_map(|name| std::env::var(name).ok());
    OmRequest {
        cmd_type: kind as i32,
        client_id: "allotrope-admin".to_owned(),
        user_info: Some(Box::new(UserInfo { user_name, ..UserInfo::default() })),
        ..OmRequest::default()
    }
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
                    ask_leader(&oms, &request(Type::CancelPrepare)).await?;
                    println!("the service takes writes again");
                }
                Task::Prepare { .. } => prepare(&oms).await?,
            }
            Ok(ExitCode::SUCCESS)
        })
    }
}

async fn roles(oms: &[Om], json: bool) -> Result<(), Failure> {
    let asked = OmRequest {
        service_list_request: Some(Box::new(ServiceListRequest {})),
        ..request(Type::ServiceList)
    };
    let mut last: Failure = "the settings name no OM".into();
    for om in oms {
        match ask(om, &asked).await {
            Ok(answer) => {
                print_roles(&answer, json);
                return Ok(());
            }
            Err(error) => last = error,
        }
    }
    Err(last)
}

fn print_roles(answer: &OmResponse, json: bool) {
    let services = answer.service_list_response.as_ref().map_or(&[][..], |list| &list.service_info);
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
    let asked = TransferLeadershipRequestProto { new_leader_id: to.to_owned() };
    let asked = OmRequest {
        transfer_om_leadership_request: Some(Box::new(asked)),
        ..request(Type::TransferLeadership)
    };
    ask_leader(oms, &asked).await?;
    println!("leadership was handed to {}", if to.is_empty() { "another OM" } else { to });
    Ok(())
}

async fn prepare(oms: &[Om]) -> Result<(), Failure> {
    let args = PrepareRequestArgs::default();
    let asked =
        OmRequest { prepare_request: Some(Box::new(PrepareRequest { args })), ..request(Type::Prepare) };
    let answer = ask_leader(oms, &asked).await?;
    let change = answer.prepare_response.map_or(0, |answer| answer.txn_id);
    println!("the service takes no writes since change {change}");
    Ok(())
}

async fn prepare_status(oms: &[Om], json: bool) -> Result<(), Failure> {
    let asked = OmRequest {
        prepare_status_request: Some(Box::new(PrepareStatusRequest { txn_id: 0 })),
        ..request(Type::PrepareStatus)
    };
    for om in oms {
        let state = match ask(om, &asked).await {
            Ok(answer) => {
                let status = answer.prepare_status_response.map_or(0, |answer| answer.status);
                let status = PrepareStatus::try_from(status).unwrap_or(PrepareStatus::NotPrepared);
                status.as_str_name().to_owned()
            }
            Err(error) => error.to_string(),
        };
        match json {
            true => println!("{}", serde_json::json!({ "node": om.name, "status": state })),
            false => println!("{:<12} {state}", om.name),
        }
    }
    Ok(())
}
