//! A small cluster in this process: an OM with sessions and keys, datanodes with block files, and faults to order.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use allotrope_proto::bulk::{Bulky, SplitLimits, split, weave};
use allotrope_proto::checksum::{ChecksumKind, ChecksumSpec, Checksums};
use allotrope_proto::container::{self as dn, ContainerCommandRequestProto, ContainerCommandResponseProto};
use allotrope_proto::om::{self, OmRequest, OmResponse};
use allotrope_proto::{Rope, decode, hdds};
use allotrope_types::{EcConfig, OmStatus, ReplicationConfig};
use prost::Message;

use super::server::{Reply, Server};
use crate::{Client, Config, HedgePolicy, KeyPath, PutOptions, RetryPolicy};

pub(super) struct World {
    pub(super) client: Client,
    pub(super) om: Arc<Mutex<OmState>>,
    nodes: Vec<Node>,
    _om_server: Server,
}

struct Node {
    state: Arc<Mutex<NodeState>>,
    server: Option<Server>,
}

#[derive(Default)]
pub(super) struct NodeState {
    uuid: String,
    pub(super) files: BTreeMap<i64, Vec<u8>>,
    pub(super) blocks: BTreeMap<i64, dn::BlockData>,
    pub(super) log: Vec<ContainerCommandRequestProto>,
    pub(super) fault: Option<Fault>,
}

/// What a datanode does wrong.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Fault {
    /// Its disk is full after so many more chunks.
    FullAfter(usize),
    /// Its container closes after so many more chunks.
    ClosedAfter(usize),
    /// It gives a flipped bit in every chunk.
    Lies,
    /// It answers nothing.
    Silent,
    /// It answers everything so much later.
    Slow(Duration),
}

pub(super) struct OmState {
    replication: ReplicationConfig,
    pub(super) block_len: u64,
    nodes: Vec<hdds::DatanodeDetailsProto>,
    next_id: i64,
    pub(super) keys: BTreeMap<String, om::KeyInfo>,
    pub(super) log: Vec<OmRequest>,
    /// Replicas that OM does not name to readers, by position.
    pub(super) forgotten: BTreeSet<usize>,
    /// Statuses for the next calls, before they are carried out.
    pub(super) refusals: Vec<Reply>,
    /// Carry out the next commit and lose its answer.
    pub(super) lose_commit: bool,
}

pub(super) fn path(key: &str) -> KeyPath {
    format!("/vol/bucket/{key}").parse().unwrap()
}

fn pipeline_id(number: i64) -> String {
    format!("00000000-0000-4000-9000-{number:012}")
}

fn ec_message(ec: EcConfig) -> hdds::EcReplicationConfig {
    hdds::EcReplicationConfig {
        data: ec.data() as i32,
        parity: ec.parity() as i32,
        codec: ec.codec().name().to_owned(),
        ec_chunk_size: ec.cell_len().as_u64() as i32,
    }
}

/// Bytes in which every place differs from its neighbours, cells and chunks.
pub(super) fn bytes(len: usize) -> Vec<u8> {
    (0..len).map(|x| (31 * x + 17 * (x >> 8) + 7 * (x >> 16)) as u8).collect()
}

impl World {
    /// A cluster whose client waits for every answer until its deadline.
    pub(super) async fn new(replication: &str, nodes: usize) -> World {
        World::with(replication, nodes, |_| {}).await
    }

    /// As `new`, with settings of the client changed by `change`.
    pub(super) async fn with(replication: &str, nodes: usize, change: impl FnOnce(&mut Config)) -> World {
        let mut details = vec![];
        let mut running = vec![];
        for number in 1..=nodes {
            let uuid = format!("00000000-0000-4000-8000-{number:012}");
            let state = Arc::new(Mutex::new(NodeState { uuid: uuid.clone(), ..NodeState::default() }));
            let serving = state.clone();
            let server = Server::start(move |message| {
                let mut node = serving.lock().unwrap();
                let (pause, reply) = (node.pause(), node.answer(message));
                drop(node);
                async move {
                    tokio::time::sleep(pause).await;
                    reply
                }
            })
            .await;
            details.push(hdds::DatanodeDetailsProto {
                uuid: Some(uuid),
                ip_address: "127.0.0.1".into(),
                host_name: "localhost".into(),
                ports: vec![hdds::Port { name: "STANDALONE".into(), value: server.port.into() }],
                ..Default::default()
            });
            running.push(Node { state, server: Some(server) });
        }
        let om = Arc::new(Mutex::new(OmState {
            replication: replication.parse().unwrap(),
            block_len: 256 << 20,
            nodes: details,
            next_id: 100,
            keys: BTreeMap::new(),
            log: vec![],
            forgotten: BTreeSet::new(),
            refusals: vec![],
            lose_commit: false,
        }));
        let serving = om.clone();
        let om_server =
            Server::start(move |message| std::future::ready(serving.lock().unwrap().answer(message))).await;
        let quick = |attempts_max| RetryPolicy {
            attempts_max,
            delay_first: Duration::from_millis(5),
            delay_max: Duration::from_millis(5),
            budget: Duration::from_secs(20),
        };
        let mut config = Config {
            user: "alice".into(),
            hedge: HedgePolicy::NEVER,
            om_retry: quick(4),
            read_retry: quick(3),
            datanode_deadline: Duration::from_secs(2),
            seed: 7,
            ..Config::at("127.0.0.1", om_server.port)
        };
        change(&mut config);
        World { client: Client::new(config).unwrap(), om, nodes: running, _om_server: om_server }
    }

    pub(super) fn om(&self) -> MutexGuard<'_, OmState> {
        self.om.lock().unwrap()
    }

    pub(super) fn node(&self, at: usize) -> MutexGuard<'_, NodeState> {
        self.nodes[at].state.lock().unwrap()
    }

    pub(super) fn kill(&mut self, at: usize) {
        self.nodes[at].server = None;
    }

    /// Copies what the first node holds to all others, as replicas of the same blocks.
    pub(super) fn copy_to_all(&self) {
        let first = self.node(0);
        let (files, blocks) = (first.files.clone(), first.blocks.clone());
        drop(first);
        for at in 1..self.nodes.len() {
            let mut node = self.node(at);
            (node.files, node.blocks) = (files.clone(), blocks.clone());
        }
        let mut om = self.om();
        let members = om.nodes.clone();
        let lists = om.keys.values_mut().flat_map(|info| &mut info.key_location_list);
        for location in lists.flat_map(|list| &mut list.key_locations) {
            let pipeline = location.pipeline.as_mut().unwrap();
            pipeline.members.clone_from(&members);
            pipeline.member_replica_indexes.clear();
        }
    }

    pub(super) async fn put(&self, key: &str, data: &[u8]) -> Result<crate::Written, crate::Error> {
        let mut writer = self.client.write_key(&path(key), PutOptions::default()).await?;
        // Pieces that fit neither chunks nor cells.
        for piece in data.chunks(300_007) {
            writer.write(bytes::Bytes::copy_from_slice(piece)).await?;
        }
        writer.finish().await
    }

    pub(super) async fn get(&self, key: &str) -> Result<Vec<u8>, crate::Error> {
        self.client.read_key(&path(key)).await?.read_all().await.map(Vec::from)
    }
}

impl NodeState {
    pub(super) fn sent(&self, kind: dn::Type) -> Vec<ContainerCommandRequestProto> {
        self.log.iter().filter(|request| request.cmd_type == kind as i32).cloned().collect()
    }

    fn pause(&self) -> Duration {
        if let Some(Fault::Slow(pause)) = self.fault { pause } else { Duration::ZERO }
    }

    fn answer(&mut self, message: Rope) -> Reply {
        let request: Bulky<ContainerCommandRequestProto> = split(message, SplitLimits::default()).unwrap();
        assert_eq!(request.message.datanode_uuid, self.uuid, "a command goes to the datanode it names");
        self.log.push(request.message.clone());
        if self.fault == Some(Fault::Silent) {
            return Reply::Silence;
        }
        let mut answer = Bulky::from(ContainerCommandResponseProto {
            cmd_type: request.message.cmd_type,
            trace_id: request.message.trace_id.clone(),
            ..Default::default()
        });
        let result = self.carry_out(request, &mut answer);
        answer.message.result = result as i32;
        Reply::Message(weave(answer))
    }

    fn carry_out(
        &mut self,
        request: Bulky<ContainerCommandRequestProto>,
        answer: &mut Bulky<ContainerCommandResponseProto>,
    ) -> dn::Result {
        let Bulky { message, mut bulk } = request;
        if let Some(write) = message.write_chunk {
            match &mut self.fault {
                Some(Fault::FullAfter(0)) => return dn::Result::DiskOutOfSpace,
                Some(Fault::ClosedAfter(0)) => return dn::Result::ClosedContainerIo,
                Some(Fault::FullAfter(left) | Fault::ClosedAfter(left)) => *left -= 1,
                _ => {}
            }
            let (chunk, data) = (write.chunk_data.unwrap(), bulk.remove(0).join());
            let file = self.files.entry(write.block_id.local_id).or_default();
            if chunk.offset > file.len() as u64 {
                return dn::Result::ChunkFileInconsistency;
            }
            let sums = &chunk.checksum_data;
            let spec = ChecksumSpec::new(ChecksumKind::Crc32, sums.bytes_per_checksum).unwrap();
            let sums = Checksums::from_joined(spec, sums.checksums.concat().into()).unwrap();
            if chunk.len != data.len() as u64 || sums.verify(&data).is_err() {
                return dn::Result::ChecksumMismatch;
            }
            file.truncate(chunk.offset as usize);
            file.extend_from_slice(&data);
            answer.message.write_chunk = Some(dn::WriteChunkResponseProto::default());
        } else if let Some(put) = message.put_block {
            let mut block = put.block_data;
            let len: u64 = block.chunks.iter().map(|chunk| chunk.len).sum();
            let id = block.block_id;
            assert!(
                len <= self.files.get(&id.local_id).map_or(0, Vec::len) as u64,
                "a put names bytes that are there"
            );
            block.size = Some(len as i64);
            self.blocks.insert(id.local_id, block);
            let committed =
                dn::GetCommittedBlockLengthResponseProto { block_id: id, block_length: len as i64 };
            answer.message.put_block = Some(dn::PutBlockResponseProto { committed_block_length: committed });
        } else if let Some(get) = message.get_block {
            let Some(block) = self.blocks.get(&get.block_id.local_id) else { return dn::Result::NoSuchBlock };
            if block.block_id.replica_index != get.block_id.replica_index {
                return dn::Result::ContainerNotFound;
            }
            let got = dn::GetBlockResponseProto { block_data: block.clone(), ..Default::default() };
            answer.message.get_block = Some(got);
        } else if let Some(read) = message.read_chunk {
            let file = self.files.get(&read.block_id.local_id).map_or(&[][..], |file| file);
            let (start, len) = (read.chunk_data.offset as usize, read.chunk_data.len as usize);
            let Some(data) = file.get(start..start + len) else { return dn::Result::UnableToFindChunk };
            let mut data = data.to_vec();
            if self.fault == Some(Fault::Lies) {
                data[len / 2] ^= 4;
            }
            let buffers: Vec<Rope> =
                data.chunks(16 << 10).map(|b| Rope::from(bytes::Bytes::copy_from_slice(b))).collect();
            answer.message.read_chunk = Some(dn::ReadChunkResponseProto {
                block_id: read.block_id,
                chunk_data: read.chunk_data,
                response_data: Some(dn::read_chunk_response_proto::ResponseData::DataBuffers(
                    dn::DataBuffers { buffers: vec![bytes::Bytes::new(); buffers.len()] },
                )),
            });
            answer.bulk = buffers;
        } else {
            return dn::Result::UnsupportedRequest;
        }
        dn::Result::Success
    }
}

impl OmState {
    pub(super) fn sent(&self, kind: om::Type) -> Vec<OmRequest> {
        self.log.iter().filter(|request| request.cmd_type == kind as i32).cloned().collect()
    }

    fn answer(&mut self, message: Rope) -> Reply {
        if let Some(refusal) = self.refusals.pop() {
            return refusal;
        }
        let request: OmRequest = decode(message.join()).unwrap();
        self.log.push(request.clone());
        let mut answer = OmResponse {
            cmd_type: request.cmd_type,
            success: Some(true),
            status: OmStatus::Ok.number(),
            ..Default::default()
        };
        if let Err(status) = self.carry_out(request, &mut answer) {
            answer.success = Some(false);
            answer.status = status.number();
            answer.message = Some("as ordered".into());
        }
        if answer.commit_key_response.is_some() && std::mem::take(&mut self.lose_commit) {
            return Reply::Status(14, "the answer was lost");
        }
        Reply::Message(Rope::from(bytes::Bytes::from(answer.encode_to_vec())))
    }

    fn location(&mut self, exclude: &[String]) -> Result<om::KeyLocation, OmStatus> {
        self.next_id += 1;
        let count = self.replication.required_nodes();
        let free = self.nodes.iter().filter(|node| !exclude.contains(node.uuid.as_ref().unwrap()));
        let members: Vec<_> = free.take(count).cloned().collect();
        if members.len() < count {
            return Err(OmStatus::InternalError);
        }
        let indexes = if self.replication.ec().is_some() { 1..count as u32 + 1 } else { 0..0 };
        let pipeline = hdds::Pipeline {
            members,
            member_replica_indexes: indexes.collect(),
            id: hdds::PipelineId { id: Some(pipeline_id(self.next_id)), uuid128: None },
            ..Default::default()
        };
        let id = hdds::ContainerBlockId { container_id: self.next_id, local_id: self.next_id * 1000 };
        Ok(om::KeyLocation {
            block_id: hdds::BlockId { container_block_id: id, block_commit_sequence_id: Some(0) },
            length: self.block_len,
            create_version: Some(0),
            pipeline: Some(pipeline),
            ..Default::default()
        })
    }

    fn carry_out(&mut self, request: OmRequest, answer: &mut OmResponse) -> Result<(), OmStatus> {
        if let Some(create) = request.create_key_request {
            let args = create.key_args;
            let ahead = if args.data_size.is_some() { vec![self.location(&[])?] } else { vec![] };
            self.next_id += 1;
            let info = om::KeyInfo {
                volume_name: args.volume_name,
                bucket_name: args.bucket_name,
                key_name: args.key_name.clone(),
                r#type: self.replication.kind() as i32,
                factor: self.replication.factor().map(|factor| factor as i32),
                ec_replication_config: self.replication.ec().map(ec_message),
                key_location_list: vec![om::KeyLocationList {
                    version: Some(0),
                    key_locations: ahead,
                    ..Default::default()
                }],
                ..Default::default()
            };
            self.keys.insert(format!("open {}", self.next_id), info.clone());
            let id = Some(self.next_id as u64);
            answer.create_key_response = Some(Box::new(om::CreateKeyResponse {
                key_info: Some(info),
                id,
                open_version: Some(0),
                ..Default::default()
            }));
        } else if let Some(allocate) = request.allocate_block_request {
            let location = self.location(&allocate.exclude_list.unwrap_or_default().datanodes)?;
            answer.allocate_block_response =
                Some(Box::new(om::AllocateBlockResponse { key_location: Some(location) }));
        } else if let Some(commit) = request.commit_key_request {
            let open = format!("open {}", commit.client_id);
            let mut info = self.keys.remove(&open).ok_or(OmStatus::KeyNotFound)?;
            info.data_size = commit.key_args.data_size.unwrap();
            info.key_location_list[0].key_locations = commit.key_args.key_locations;
            self.keys.insert(commit.key_args.key_name, info);
            answer.commit_key_response = Some(Box::new(om::CommitKeyResponse::default()));
        } else if let Some(get) = request.get_key_info_request {
            let mut info = self.keys.get(&get.key_args.key_name).ok_or(OmStatus::KeyNotFound)?.clone();
            for location in &mut info.key_location_list[0].key_locations {
                let pipeline = location.pipeline.as_mut().unwrap();
                for at in self.forgotten.iter().rev() {
                    pipeline.members.remove(*at);
                    pipeline.member_replica_indexes.remove(*at);
                }
            }
            answer.get_key_info_response =
                Some(Box::new(om::GetKeyInfoResponse { key_info: Some(info), ..Default::default() }));
        } else if let Some(delete) = request.delete_key_request {
            self.keys.remove(&delete.key_args.key_name).ok_or(OmStatus::KeyNotFound)?;
            answer.delete_key_response = Some(Box::new(om::DeleteKeyResponse::default()));
        } else if let Some(create) = request.create_volume_request {
            if create.volume_info.volume == "taken" {
                return Err(OmStatus::VolumeAlreadyExists);
            }
            answer.create_volume_response = Some(Box::new(om::CreateVolumeResponse::default()));
        } else {
            return Err(OmStatus::NotSupportedOperation);
        }
        Ok(())
    }
}
