//! What SCM says of containers, as an administrator asks for it.
//!
//! Source  `StorageContainerLocationProtocol.submitRequest` over Hadoop RPC, which every SCM speaks.

use std::collections::BTreeSet;
use std::time::Duration;

use allotrope_proto::hadoop_rpc::{ClientConfig, HadoopClient};
use allotrope_proto::hdds::{
    ContainerInfoProto, LifeCycleState, Pipeline, ReplicationType, ScmContainerReplicaProto,
};
use allotrope_proto::net::{Plain, Target};
use allotrope_proto::rpc::catalog::ScmContainerSubmit;
use allotrope_proto::rpc::{CallOptions, ClientId, Failover, RpcClient as _};
use allotrope_proto::scm_container::{
    ContainerRequestProto, GetContainerReplicasRequestProto, ScmCloseContainerRequestProto,
    ScmContainerLocationRequest, ScmContainerLocationResponse, ScmListContainerRequestProto, Type,
    container_response_proto::Error,
};
use allotrope_types::ReplicationConfig;

use super::scm::ec_on_wire;
use crate::load::{Trouble, TroubleKind};

/// Ozone's version of clients that know erasure coding and layouts of buckets; to older ones its SCM lists no erasure-coded container.
const CLIENT_VERSION: u32 = 3;
/// Containers of one page of a listing.
const PAGE: u32 = 1000;

/// The SCMs of one group, as administrators see them.
pub struct Containers {
    scms: Failover<HadoopClient<Plain>>,
    deadline: Duration,
}

impl Containers {
    /// The SCMs whose service for administrators is at `targets`. Nothing is sent yet. Needs a tokio runtime.
    pub fn new(targets: &[(String, u16)], user: &str, deadline: Duration, seed: u64) -> Containers {
        let mut chance = fastrand::Rng::with_seed(seed);
        let config = ClientConfig { user: Some(user.to_owned()), ..ClientConfig::default() };
        let client = |(host, port): &(String, u16)| {
            let id = ClientId::from_bytes(chance.u128(..).to_be_bytes());
            HadoopClient::new(Target { host: host.clone(), port: *port }, Plain, id, config.clone())
        };
        Containers { scms: Failover::new(targets.iter().map(client).collect()), deadline }
    }

    async fn ask(
        &self,
        mut request: ScmContainerLocationRequest,
    ) -> Result<ScmContainerLocationResponse, Trouble> {
        request.version = Some(CLIENT_VERSION);
        let options = CallOptions { time_max: Some(self.deadline), ..CallOptions::default() };
        Ok(self.scms.call::<ScmContainerSubmit>(&request, &options).await?)
    }

    /// Has SCM make a container, open, in a pipeline of `replication`.
    ///
    /// # Errors
    /// What SCM refused, or that none can be reached.
    pub(crate) async fn make(
        &self,
        replication: ReplicationConfig,
    ) -> Result<(ContainerInfoProto, Pipeline), Trouble> {
        let asked = ContainerRequestProto {
            replication_type: replication.kind() as i32,
            replication_factor: replication.factor().map(|factor| factor as i32),
            owner: "perf".to_owned(),
            trace_id: None,
            ec_replication_config: ec_on_wire(replication),
        };
        let answer = self
            .ask(ScmContainerLocationRequest {
                cmd_type: Type::AllocateContainer as i32,
                container_request: Some(asked),
                ..Default::default()
            })
            .await?;
        let made = answer.container_response.ok_or_else(|| lacks("the container"))?;
        match Error::try_from(made.error_code) {
            Ok(Error::Success) => {
                Ok((made.container_with_pipeline.container_info, made.container_with_pipeline.pipeline))
            }
            _ => {
                let words = made.error_message.unwrap_or_default();
                Err(Trouble::new(TroubleKind::Refused, format!("SCM makes no container: {words}")))
            }
        }
    }

    /// Has SCM close a container.
    ///
    /// # Errors
    /// What SCM refused, or that none can be reached.
    pub(crate) async fn close(&self, container: i64) -> Result<(), Trouble> {
        let asked = ScmCloseContainerRequestProto { container_id: container, trace_id: None };
        self.ask(ScmContainerLocationRequest {
            cmd_type: Type::CloseContainer as i32,
            scm_close_container_request: Some(asked),
            ..Default::default()
        })
        .await
        .map(drop)
    }

    /// Up to `count_max` closed replicas, in the order of their containers.
    ///
    /// # Errors
    /// What SCM refused, or that none can be reached.
    pub(crate) async fn closed_replicas(
        &self,
        count_max: usize,
    ) -> Result<Vec<ScmContainerReplicaProto>, Trouble> {
        let (mut found, mut next) = (Vec::new(), Some(0));
        while let Some(start) = next {
            let page = self.page(start).await?;
            for info in page.iter().filter(|info| info.state() == LifeCycleState::Closed) {
                let replicas = self.replicas(info.container_id).await?;
                found.extend(replicas.into_iter().filter(|replica| replica.state == "CLOSED"));
                if found.len() >= count_max {
                    found.truncate(count_max);
                    return Ok(found);
                }
            }
            next = page_after(&page);
        }
        Ok(found)
    }

    async fn page(&self, start: u64) -> Result<Vec<ContainerInfoProto>, Trouble> {
        let asked = ScmListContainerRequestProto {
            count: PAGE,
            start_container_id: Some(start),
            ..Default::default()
        };
        let answer = self
            .ask(ScmContainerLocationRequest {
                cmd_type: Type::ListContainer as i32,
                scm_list_container_request: Some(asked),
                ..Default::default()
            })
            .await?;
        Ok(answer.scm_list_container_response.ok_or_else(|| lacks("the containers"))?.containers)
    }

    async fn replicas(&self, container: i64) -> Result<Vec<ScmContainerReplicaProto>, Trouble> {
        let asked = GetContainerReplicasRequestProto { container_id: container, trace_id: None };
        let answer = self
            .ask(ScmContainerLocationRequest {
                cmd_type: Type::GetContainerReplicas as i32,
                get_container_replicas_request: Some(asked),
                ..Default::default()
            })
            .await?;
        Ok(answer.get_container_replicas_response.ok_or_else(|| lacks("the replicas"))?.container_replica)
    }

    /// Erasure-coded containers that lack a good replica when the datanode that listens on `gone` does not count.
    ///
    /// # Errors
    /// What SCM refused, or that none can be reached.
    pub(crate) async fn lacking_without(&self, gone: u16) -> Result<Vec<i64>, Trouble> {
        let (mut lacking, mut next) = (Vec::new(), Some(0));
        while let Some(start) = next {
            let page = self.page(start).await?;
            for info in &page {
                let ends = matches!(info.state(), LifeCycleState::Deleting | LifeCycleState::Deleted);
                let Some(ec) = info.ec_replication_config.as_ref().filter(|_| !ends) else { continue };
                if info.replication_type() != ReplicationType::Ec {
                    continue;
                }
                let wanted = usize::try_from(ec.data + ec.parity).unwrap_or(usize::MAX);
                if self.is_lacking(info.container_id, wanted, gone).await? {
                    lacking.push(info.container_id);
                }
            }
            next = page_after(&page);
        }
        Ok(lacking)
    }

    async fn is_lacking(&self, container: i64, wanted: usize, gone: u16) -> Result<bool, Trouble> {
        let replicas = self.replicas(container).await?;
        let here = replicas.iter().filter(|replica| {
            let good = replica.state == "CLOSED" || replica.state == "OPEN";
            let ports = &replica.datanode_details.ports;
            good && !ports.iter().any(|port| port.name == "STANDALONE" && port.value == u32::from(gone))
        });
        let indexes: BTreeSet<i64> = here.map(|replica| replica.replica_index()).collect();
        // A container that nobody has written to yet has no replica, and lacks none.
        Ok(!replicas.is_empty() && indexes.len() < wanted)
    }
}

/// Where the page behind this one starts; `None` if it was the last.
fn page_after(page: &[ContainerInfoProto]) -> Option<u64> {
    let last = page.last().filter(|_| page.len() as u32 == PAGE)?;
    last.container_id.cast_unsigned().checked_add(1)
}

fn lacks(what: &str) -> Trouble {
    Trouble::new(TroubleKind::Broken, format!("SCM's answer lacks {what}"))
}
