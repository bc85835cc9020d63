//! The words of all protocols: datanodes and their ports, pipelines, containers, replication, blocks, tokens.

use std::fmt;

use allotrope_types::{
    ByteCount, ContainerId, ContainerState, DatanodeId, EcCodec, EcConfig, PipelineId, ReplicaIndex,
    ReplicationConfig, ReplicationFactor, ReplicationType,
};
use bytes::Bytes;

use super::field::{At, Field, enums};
use crate::hdds as wire;
use crate::hdds::{
    DatanodeDetailsProto, DefaultReplicationConfig, EcReplicationConfig, Pipeline as PipelineProto,
};
use crate::{Checked, WireError};

pub use crate::hdds::{
    NodeOperationalState, NodeState, NodeType, PipelineState, QueryScope, StorageTypeProto,
};

enums!(NodeOperationalState, NodeState, NodeType, PipelineState, QueryScope, StorageTypeProto);

impl Field<wire::ContainerId> for ContainerId {
    fn read(wire: wire::ContainerId, _: At) -> Result<Self, WireError> {
        ContainerId::read(wire.id, At::new(wire::ContainerId::RULES, "id"))
    }

    fn write(self) -> wire::ContainerId {
        wire::ContainerId { id: self.as_u64() }
    }
}

/// What a datanode's port serves; clients look ports up by this name.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum PortName {
    /// Container commands, 9859.
    Standalone,
    /// Ratis clients, 9858.
    Ratis,
    /// Ratis administration, 9857.
    RatisAdmin,
    /// Ratis peers, 9856.
    RatisServer,
    /// Ratis' data stream, 9855.
    RatisDatastream,
    /// Container archives, 9886.
    Replication,
    /// Metrics and pages, 9882.
    Http,
    /// The same over TLS, 9883.
    Https,
    /// Administration of one datanode, 19864.
    ClientRpc,
    /// What old releases announced.
    Rest,
    /// A name of a newer release, kept as it is.
    Other(String),
}

impl PortName {
    const KNOWN: [(PortName, &'static str); 10] = [
        (PortName::Standalone, "STANDALONE"),
        (PortName::Ratis, "RATIS"),
        (PortName::RatisAdmin, "RATIS_ADMIN"),
        (PortName::RatisServer, "RATIS_SERVER"),
        (PortName::RatisDatastream, "RATIS_DATASTREAM"),
        (PortName::Replication, "REPLICATION"),
        (PortName::Http, "HTTP"),
        (PortName::Https, "HTTPS"),
        (PortName::ClientRpc, "CLIENT_RPC"),
        (PortName::Rest, "REST"),
    ];

    fn of(name: String) -> PortName {
        let known = PortName::KNOWN.into_iter().find(|(_, known)| name.eq_ignore_ascii_case(known));
        known.map_or(PortName::Other(name), |(port, _)| port)
    }
}

/// A name as a message or a file has it, in whatever case.
impl From<&str> for PortName {
    fn from(name: &str) -> PortName {
        PortName::of(name.to_owned())
    }
}

impl fmt::Display for PortName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let PortName::Other(name) = self {
            return f.write_str(name);
        }
        let known = PortName::KNOWN.iter().find(|(known, _)| known == self);
        f.write_str(known.map_or("", |(_, name)| name))
    }
}

impl Field<String> for PortName {
    fn read(wire: String, _: At) -> Result<Self, WireError> {
        Ok(PortName::of(wire))
    }

    fn write(self) -> String {
        self.to_string()
    }
}

/// A TCP port's number.
impl Field<(u32,)> for u16 {
    fn read((wire,): (u32,), at: At) -> Result<Self, WireError> {
        u16::try_from(wire).map_err(|_| at.invalid(format!("is {wire}, beyond 65535")))
    }

    fn write(self) -> (u32,) {
        (u32::from(self),)
    }
}

message! {
    /// A port that a datanode or another server announces.
    Port = wire => Port {
        name: PortName,
        ;
        /// The TCP port; 0 means "the configured default".
        number: u16 = (value),
    }
}

message! {
    /// A datanode as every message shows it.
    DatanodeDetails = wire => DatanodeDetailsProto {
        ip_address: String,
        host_name: String,
        ports: Vec<Port>,
        cert_serial_id: Option<String>,
        /// The name in the topology; servers of release 2.2 give the id's text.
        network_name: Option<String>,
        network_location: Option<String>,
        persisted_op_state: Option<NodeOperationalState>,
        /// Seconds since 1970; 0 for never.
        persisted_op_state_expiry: Option<i64>,
        /// What the datanode can do: 1 has separate Ratis ports, 2 takes PutBlock with WriteChunk, 3 streams blocks.
        current_version: Option<i32>,
        /// How deep in the topology.
        level: Option<u32>,
        ;
        id: DatanodeId = (uuid, uuid128, id),
    }
}

impl DatanodeDetails {
    /// The port that serves `name`, if it is announced.
    pub fn port(&self, name: &PortName) -> Option<u16> {
        self.ports.iter().find(|port| port.name == *name).map(|port| port.number)
    }
}

message! {
    /// What else a datanode says of itself when it registers.
    ExtendedDatanodeDetails = wire => ExtendedDatanodeDetailsProto {
        datanode_details: DatanodeDetails,
        version: Option<String>,
        setup_time: Option<i64>,
        revision: Option<String>,
        build_date: Option<String>,
    }
}

message! {
    /// A name and, perhaps, a value.
    KeyValue = wire => KeyValue {
        key: String,
        value: Option<String>,
    }
}

impl Field<EcReplicationConfig> for EcConfig {
    fn read(wire: EcReplicationConfig, at: At) -> Result<Self, WireError> {
        let codec: EcCodec = wire
            .codec
            .parse()
            .map_err(|source| At::new(EcReplicationConfig::RULES, "codec").malformed(source))?;
        EcConfig::new(codec, wire.data, wire.parity, wire.ec_chunk_size)
            .map_err(|source| at.malformed(source))
    }

    fn write(self) -> EcReplicationConfig {
        // EcConfig is built from these 32-bit numbers, so they fit.
        EcReplicationConfig {
            data: self.data() as i32,
            parity: self.parity() as i32,
            codec: self.codec().name().to_owned(),
            ec_chunk_size: self.cell_len().as_u64() as i32,
        }
    }
}

/// A config from its parts. For EC the factor says nothing: Java peers leave it out or at a default.
fn replication(
    kind: ReplicationType,
    factor: Option<ReplicationFactor>,
    ec: Option<EcConfig>,
) -> Option<ReplicationConfig> {
    match kind {
        ReplicationType::Ratis => factor.map(ReplicationConfig::Ratis),
        ReplicationType::StandAlone => factor.map(ReplicationConfig::StandAlone),
        ReplicationType::Ec => ec.map(ReplicationConfig::Ec),
    }
}

/// A factor that says something: `ZERO` stands for "not given".
fn factor(wire: Option<i32>, at: At) -> Result<Option<ReplicationFactor>, WireError> {
    let wire = wire.filter(|&number| number != wire::ReplicationFactor::Zero as i32);
    Field::read(wire, at.beside(&["factor", "replicationFactor"]))
}

/// The three fields of a config: type, factor, EC scheme. A type without what it needs is an error.
impl Field<(i32, Option<i32>, Option<EcReplicationConfig>)> for ReplicationConfig {
    fn read(
        (kind, number, ec): (i32, Option<i32>, Option<EcReplicationConfig>),
        at: At,
    ) -> Result<Self, WireError> {
        let kind = ReplicationType::read(kind, at)?;
        // A factor that EC ignores may be anything; of the others it must be one we know.
        let factor = if kind == ReplicationType::Ec { None } else { factor(number, at)? };
        let ec = if kind == ReplicationType::Ec { Field::read(ec, at)? } else { None };
        replication(kind, factor, ec).ok_or_else(|| {
            at.invalid(format!("is {}, and the field that says how many copies is absent", kind.name()))
        })
    }

    fn write(self) -> (i32, Option<i32>, Option<EcReplicationConfig>) {
        (self.kind().write(), self.factor().map(Field::write), self.ec().map(Field::write))
    }
}

/// A config of copies, where the message has no place for an EC scheme.
impl Field<(i32, i32)> for ReplicationConfig {
    fn read((kind, factor): (i32, i32), at: At) -> Result<Self, WireError> {
        Field::read((kind, Some(factor), None), at)
    }

    fn write(self) -> (i32, i32) {
        let (kind, factor, _) = self.write();
        (kind, factor.unwrap_or(wire::ReplicationFactor::Zero as i32))
    }
}

/// The same where the type is optional: absent, or `NONE`, is no config (the server's default).
impl Field<(Option<i32>, Option<i32>, Option<EcReplicationConfig>)> for Option<ReplicationConfig> {
    fn read(
        (kind, factor, ec): (Option<i32>, Option<i32>, Option<EcReplicationConfig>),
        at: At,
    ) -> Result<Self, WireError> {
        match kind {
            Some(kind) if kind != wire::ReplicationType::None as i32 => {
                Field::read((kind, factor, ec), at).map(Some)
            }
            _ => Ok(None),
        }
    }

    fn write(self) -> (Option<i32>, Option<i32>, Option<EcReplicationConfig>) {
        self.map_or((None, None, None), |config| {
            let (kind, factor, ec) = config.write();
            (Some(kind), factor, ec)
        })
    }
}

impl Field<DefaultReplicationConfig> for ReplicationConfig {
    fn read(wire: DefaultReplicationConfig, _: At) -> Result<Self, WireError> {
        let at = At::new(DefaultReplicationConfig::RULES, "type");
        Field::read((wire.r#type, wire.factor, wire.ec_replication_config), at)
    }

    fn write(self) -> DefaultReplicationConfig {
        let (r#type, factor, ec_replication_config) = self.write();
        DefaultReplicationConfig { r#type, factor, ec_replication_config }
    }
}

/// A datanode's place in a pipeline.
#[derive(Clone, Debug, PartialEq)]
pub struct Member {
    /// The datanode.
    pub datanode: DatanodeDetails,
    /// The replica it holds, where the pipeline is erasure coded.
    pub replica: Option<ReplicaIndex>,
}

/// The datanodes that hold a container, or take its writes.
#[derive(Clone, Debug, PartialEq)]
pub struct Pipeline {
    /// Its name.
    pub id: PipelineId,
    /// Its datanodes.
    pub members: Vec<Member>,
    /// Where it is in its life; absent from old peers.
    pub state: Option<PipelineState>,
    /// How its containers are kept.
    pub replication: ReplicationConfig,
    /// The member that leads the Raft group, where one is known.
    pub leader: Option<DatanodeId>,
    /// The member that SCM would have lead.
    pub suggested_leader: Option<DatanodeId>,
    /// Positions of the members by their distance from the reader, nearest first; empty if nobody asked.
    pub member_orders: Vec<u32>,
    /// Milliseconds since 1970.
    pub creation_time_stamp: Option<u64>,
}

impl TryFrom<PipelineProto> for Pipeline {
    type Error = WireError;

    fn try_from(message: PipelineProto) -> Result<Pipeline, WireError> {
        let at = |field| At::new(PipelineProto::RULES, field);
        let PipelineProto {
            members,
            state,
            r#type,
            factor,
            id,
            leader_id,
            member_orders,
            creation_time_stamp,
            suggested_leader_id,
            member_replica_indexes,
            ec_replication_config,
            leader_id128,
            leader_datanode_id,
            suggested_leader_datanode_id,
        } = message;
        // Java reads an absent type as STAND_ALONE and an absent factor as ONE: the message says so.
        let kind = r#type.unwrap_or(wire::ReplicationType::StandAlone as i32);
        let factor = factor.or(Some(wire::ReplicationFactor::One as i32));
        let replication = Field::read((kind, factor, ec_replication_config), at("type"))?;
        if !member_replica_indexes.is_empty() && member_replica_indexes.len() != members.len() {
            let (indexes, members) = (member_replica_indexes.len(), members.len());
            let why = format!("has {indexes} entries for {members} members");
            return Err(at("member_replica_indexes").invalid(why));
        }
        let indexes = member_replica_indexes.into_iter().map(Some).chain(std::iter::repeat(None));
        let member = |(datanode, index): (DatanodeDetailsProto, Option<u32>)| {
            let at = at("member_replica_indexes");
            let index =
                i32::try_from(index.unwrap_or(0)).map_err(|_| at.invalid("holds no replica index"))?;
            Ok(Member { datanode: datanode.try_into()?, replica: Field::read((index,), at)? })
        };
        let members = members.into_iter().zip(indexes).map(member).collect::<Result<Vec<_>, WireError>>()?;
        if let Some(order) = member_orders.iter().find(|&&order| order as usize >= members.len()) {
            return Err(at("member_orders").invalid(format!("names member {order} of {}", members.len())));
        }
        Ok(Pipeline {
            id: Field::read(id, at("id"))?,
            members,
            state: Field::read(state, at("state"))?,
            replication,
            leader: Field::read((leader_id, leader_id128, leader_datanode_id), at("leader_id"))?,
            suggested_leader: Field::read(
                (suggested_leader_id, suggested_leader_datanode_id),
                at("suggested_leader_id"),
            )?,
            member_orders,
            creation_time_stamp,
        })
    }
}

impl From<Pipeline> for PipelineProto {
    fn from(pipeline: Pipeline) -> PipelineProto {
        let (kind, factor, ec_replication_config) = pipeline.replication.write();
        let (leader_id, leader_id128, leader_datanode_id) = pipeline.leader.write();
        let (suggested_leader_id, suggested_leader_datanode_id) = pipeline.suggested_leader.write();
        let index = |member: &Member| member.replica.map_or(0, |index| u32::from(index.number()));
        PipelineProto {
            member_replica_indexes: pipeline.members.iter().map(index).collect(),
            members: pipeline.members.into_iter().map(|member| member.datanode.into()).collect(),
            state: pipeline.state.write(),
            r#type: Some(kind),
            factor,
            id: pipeline.id.write(),
            // Java's own pipelines give an empty text where nobody leads.
            leader_id: leader_id.or(Some(String::new())),
            member_orders: pipeline.member_orders,
            creation_time_stamp: pipeline.creation_time_stamp,
            suggested_leader_id,
            ec_replication_config,
            leader_id128,
            leader_datanode_id,
            suggested_leader_datanode_id,
        }
    }
}

through_try_from!(Pipeline, PipelineProto);

message! {
    /// What SCM knows of a container.
    ContainerInfo = wire => ContainerInfoProto {
        container_id: ContainerId,
        state: ContainerState,
        pipeline_id: Option<PipelineId>,
        used_bytes: ByteCount,
        number_of_keys: u64,
        /// Milliseconds since 1970.
        state_enter_time: Option<i64>,
        owner: String,
        delete_transaction_id: Option<i64>,
        /// The container's BCSID.
        sequence_id: Option<i64>,
        suppressed: Option<bool>,
        ;
        replication: ReplicationConfig = (replication_type, replication_factor, ec_replication_config),
    }
}

message! {
    /// A container and where its replicas are.
    ContainerWithPipeline = wire => ContainerWithPipeline {
        container_info: ContainerInfo,
        pipeline: Pipeline,
    }
}

message! {
    /// A token as SCM hands it out.
    Token = wire => TokenProto {
        identifier: Bytes,
        password: Bytes,
        kind: String,
        service: String,
    }
}

message! {
    /// What an allocation shall stay away from.
    ExcludeList = wire => ExcludeListProto {
        /// Ids as text; a client may name one that is no UUID, which excludes nothing.
        datanodes: Vec<String>,
        container_ids: Vec<ContainerId>,
        pipeline_ids: Vec<PipelineId>,
    }
}

message! {
    /// A datanode and how SCM sees it.
    Node = wire => Node {
        node_states: Vec<NodeState>,
        node_operational_states: Vec<NodeOperationalState>,
        total_volume_count: Option<i32>,
        healthy_volume_count: Option<i32>,
        failed_volumes: Vec<String>,
        ;
        datanode: DatanodeDetails = (node_id),
    }
}

message! {
    /// Who SCM is.
    ScmInfo = wire => GetScmInfoResponseProto {
        cluster_id: String,
        scm_id: String,
        peer_roles: Vec<String>,
    }
}

message! {
    /// Asks who SCM is.
    GetScmInfo = wire => GetScmInfoRequestProto {
        trace_id: Option<String>,
    }
}

message! {
    /// Adds an SCM to the ring.
    AddScm = wire => AddScmRequestProto {
        cluster_id: String,
        scm_id: String,
        ratis_addr: String,
    }
}

message! {
    /// Whether it was added.
    AddedScm = wire => AddScmResponseProto {
        success: bool,
        scm_id: Option<String>,
    }
}
