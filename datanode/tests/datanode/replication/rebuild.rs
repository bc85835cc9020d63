//! Lost replicas of erasure-coded containers, rebuilt by datanodes on the word of an SCM.

use crate::ask::*;
use crate::replication::processes::{Child, details, ended, leftovers};
use crate::wire::{Client, Scm, config, wait_until};
use allotrope_datanode::commands::Request;
use allotrope_datanode::{Running, start_with};
use allotrope_ec::{CellIndex, Codec, Layout, StripeIndex};
use allotrope_proto::Rope;
use allotrope_proto::bulk::Bulky;
use allotrope_proto::checksum::{ChecksumKind, ChecksumSpec, Checksums};
use allotrope_proto::container::*;
use allotrope_proto::hdds::EcReplicationConfig;
use allotrope_proto::heartbeat::command_status::Status;
use allotrope_proto::heartbeat::{
    DatanodeDetailsAndReplicaIndexProto, ReconstructEcContainersCommandProto, ScmCommandProto,
    scm_command_proto,
};
use allotrope_types::{ByteCount, DatanodeResult, ReplicaState};
use bytes::Bytes;
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

pub(crate) const CONTAINER: i64 = 4;

/// A datanode of the cluster, while it lives.
struct Node {
    root: tempfile::TempDir,
    running: Option<Running>,
    client: Client,
    name: String,
    scm: Scm,
}

/// Datanodes, the first of which hold the replicas of one container.
struct Cluster {
    nodes: Vec<Node>,
    layout: Layout,
    /// Groups by their ids.
    groups: BTreeMap<i64, Bytes>,
}

impl Node {
    fn start() -> Node {
        let (root, scm) = (tempfile::tempdir().unwrap(), Scm::default());
        let (link, mut config) = (scm.clone(), config(root.path()));
        config.shards = 1;
        config.recovering_idle = Duration::from_secs(3);
        let running = start_with(config, move || vec![link]).unwrap();
        wait_until("the volumes to open", || running.is_open());
        let (client, name) = (Client::of(running.address()), running.id().to_string());
        Node { root, running: Some(running), client, name, scm }
    }

    fn details(&self) -> allotrope_proto::hdds::DatanodeDetailsProto {
        let running = self.running.as_ref().unwrap();
        details(&self.name, running.replication_address().port(), running.address().port())
    }

    fn die(&mut self) {
        self.running.take().unwrap().shutdown(Duration::ZERO);
    }

    fn block_file(&self, local: i64) -> PathBuf {
        let at = |disk| {
            let below = format!("current/containerDir0/{CONTAINER}/chunks/{local}.block");
            self.root.path().join(disk).join("hdds").join(crate::world::CLUSTER).join(below)
        };
        ["disk1", "disk2"].map(at).into_iter().find(|path| path.exists()).unwrap()
    }
}

pub(crate) fn replica_id(local: i64, replica: usize) -> DatanodeBlockId {
    DatanodeBlockId { replica_index: Some(replica as i32), ..id(CONTAINER, local) }
}

/// The chunks of a group's replicas, data and parity, as Ozone's client makes them.
pub(crate) fn coded(layout: Layout, local: i64, group: &Bytes) -> Vec<Vec<(ChunkInfo, Bytes)>> {
    let len = ByteCount::new(group.len() as u64);
    let (data, cells) = (layout.scheme().data(), layout.scheme().cells());
    let codec = Codec::new(layout.scheme());
    let spec = ChecksumSpec::new(ChecksumKind::Crc32, WINDOW).unwrap();
    let mut chunks: Vec<Vec<(ChunkInfo, Bytes)>> = vec![Vec::new(); cells];
    let mut rest = &group[..];
    for stripe in 0..layout.stripes(len) {
        let shape = layout.shape(len, StripeIndex::new(stripe)).unwrap();
        let mut cell_bytes: Vec<Vec<u8>> = Vec::new();
        for cell in 0..data {
            let (now, later) = rest.split_at(shape.cell_len(CellIndex::new(cell)));
            cell_bytes.push(now.to_vec());
            rest = later;
        }
        let mut parity = vec![vec![0; shape.coded_len()]; cells - data];
        let sources: Vec<&[u8]> = cell_bytes.iter().map(Vec::as_slice).collect();
        let mut into: Vec<&mut [u8]> = parity.iter_mut().map(Vec::as_mut_slice).collect();
        codec.encode_padded(&sources, &mut into).unwrap();
        cell_bytes.extend(parity);
        let sums: Vec<Checksums> = cell_bytes.iter().map(|cell| Checksums::compute(spec, cell)).collect();
        let joined: Bytes = sums.iter().flat_map(|one| one.joined().to_vec()).collect();
        for (cell, bytes) in cell_bytes.into_iter().enumerate().filter(|(_, bytes)| !bytes.is_empty()) {
            let keeps_all = cell == 0 || cell >= data;
            let mut one = chunk(local, stripe * layout.cell_len() as u64, &bytes);
            one.chunk_name = format!("{local}_chunk_{}", chunks[cell].len() + 1);
            one.stripe_checksum = keeps_all.then(|| joined.clone());
            chunks[cell].push((one, bytes.into()));
        }
    }
    chunks
}

/// The put of a replica's block, of a group of so many bytes.
pub(crate) fn put_cells(node: &str, block: DatanodeBlockId, chunks: Vec<ChunkInfo>, group: usize) -> Request {
    let mut request = put_block(node, block, chunks, true);
    let pair = |key: &str, value: String| KeyValue { key: key.into(), value: Some(value) };
    let put = request.message.put_block.as_mut().unwrap();
    put.block_data.metadata = vec![pair("TYPE", "KEY".into()), pair("blockGroupLen", group.to_string())];
    request
}

impl Cluster {
    /// A closed container of groups of these lengths, and `spare` datanodes more.
    fn with(config: &str, lens: &[usize], spare: usize) -> Cluster {
        let layout = Layout::new(config.parse().unwrap());
        let nodes = (0..layout.scheme().cells() + spare).map(|_| Node::start()).collect();
        let mut cluster = Cluster { nodes, layout, groups: BTreeMap::new() };
        for (n, len) in lens.iter().enumerate() {
            cluster.write(n as i64 + 1, bytes(n as u64 + 1, *len));
        }
        for node in &cluster.nodes[..layout.scheme().cells()] {
            node.client.expect(close_container(&node.name, CONTAINER));
        }
        cluster
    }

    /// Writes a group as Ozone's client does: the chunks, then the blocks.
    fn write(&mut self, local: i64, group: Bytes) {
        for (cell, chunks) in coded(self.layout, local, &group).into_iter().enumerate() {
            let node = &self.nodes[cell];
            for (one, bytes) in &chunks {
                node.client.expect(write_chunk(
                    &node.name,
                    replica_id(local, cell + 1),
                    one.clone(),
                    bytes.clone(),
                ));
            }
            let chunks = chunks.into_iter().map(|(one, _)| one).collect();
            let block = replica_id(local, cell + 1);
            node.client.expect(put_cells(&node.name, block, chunks, group.len()));
        }
        self.groups.insert(local, group);
    }

    /// All blocks of a replica, lists and bytes, as its datanode gives them.
    fn replica(&self, node: usize, replica: usize) -> BTreeMap<i64, (BlockData, Vec<u8>)> {
        let node = &self.nodes[node];
        let block = |local: &i64| {
            let asked = get_block(&node.name, replica_id(*local, replica));
            let list = node.client.expect(asked).message.get_block.unwrap().block_data;
            let mut whole = Vec::new();
            for chunk in &list.chunks {
                let asked = read_chunk(&node.name, replica_id(*local, replica), chunk.offset, chunk.len);
                whole.extend(data(&node.client.expect(asked)));
            }
            (*local, (list, whole))
        };
        self.groups.keys().map(block).collect()
    }

    /// The groups, read from these replicas: by node and index.
    fn read(&self, from: &[(usize, usize)]) -> BTreeMap<i64, Vec<u8>> {
        let replicas: Vec<_> =
            from.iter().map(|(node, replica)| (*replica, self.replica(*node, *replica))).collect();
        let codec = Codec::new(self.layout.scheme());
        let group = |(local, group): (&i64, &Bytes)| {
            let len = ByteCount::new(group.len() as u64);
            let mut whole = Vec::new();
            for stripe in 0..self.layout.stripes(len) {
                let shape = self.layout.shape(len, StripeIndex::new(stripe)).unwrap();
                let at = stripe as usize * self.layout.cell_len();
                let mut known: BTreeMap<CellIndex, &[u8]> = BTreeMap::new();
                for cell in shape.padding().iter() {
                    known.insert(cell, &[]);
                }
                for (replica, blocks) in &replicas {
                    let cell = CellIndex::new(replica - 1);
                    known.insert(cell, &blocks[local].1[at..at + shape.cell_len(cell)]);
                }
                let missing: Vec<_> = self
                    .layout
                    .scheme()
                    .data_cells()
                    .iter()
                    .filter(|cell| !known.contains_key(cell))
                    .collect();
                let mut made = vec![vec![0; shape.coded_len()]; missing.len()];
                let sources: Vec<_> = known.iter().map(|(cell, bytes)| (*cell, *bytes)).collect();
                let mut into: Vec<_> =
                    missing.iter().copied().zip(made.iter_mut().map(Vec::as_mut_slice)).collect();
                codec.decode_padded(&sources, &mut into).unwrap();
                for cell in self.layout.scheme().data_cells().iter() {
                    let len = shape.cell_len(cell);
                    match missing.iter().position(|one| *one == cell) {
                        Some(at) => whole.extend_from_slice(&made[at][..len]),
                        None => whole.extend_from_slice(&known[&cell][..len]),
                    }
                }
            }
            (*local, whole)
        };
        self.groups.iter().map(group).collect()
    }

    /// Has the first of `targets`, by node and index, rebuild them all from `sources`; how it ended.
    fn rebuild(&self, cmd_id: i64, sources: &[usize], targets: &[(usize, usize)]) -> (Status, String) {
        let scm = &self.nodes[targets[0].0].scm;
        scm.told(|told| told.commands.push(self.command(cmd_id, sources, targets)));
        ended(scm, cmd_id)
    }

    fn command(&self, cmd_id: i64, sources: &[usize], targets: &[(usize, usize)]) -> ScmCommandProto {
        let scheme = self.layout.scheme();
        let command = ReconstructEcContainersCommandProto {
            container_id: CONTAINER,
            sources: sources
                .iter()
                .map(|index| DatanodeDetailsAndReplicaIndexProto {
                    datanode_details: self.nodes[index - 1].details(),
                    replica_index: *index as i32,
                })
                .collect(),
            targets: targets.iter().map(|(node, _)| self.nodes[*node].details()).collect(),
            missing_container_indexes: targets.iter().map(|(_, index)| *index as u8).collect(),
            ec_replication_config: EcReplicationConfig {
                data: scheme.data() as i32,
                parity: (scheme.cells() - scheme.data()) as i32,
                codec: "rs".into(),
                ec_chunk_size: self.layout.cell_len() as i32,
            },
            cmd_id,
        };
        ScmCommandProto {
            command_type: scm_command_proto::Type::ReconstructEcContainersCommand.into(),
            reconstruct_ec_containers_command_proto: Some(command),
            term: Some(1),
            ..Default::default()
        }
    }

    fn state(&self, node: usize) -> Option<ReplicaState> {
        let node = &self.nodes[node];
        let answer = node.client.ask(read_container(&node.name, CONTAINER));
        if result(&answer) == DatanodeResult::ContainerNotFound {
            return None;
        }
        answer
            .message
            .read_container
            .unwrap()
            .container_data
            .unwrap()
            .state
            .and_then(ReplicaState::from_number)
    }
}

const MIB: usize = 1 << 20;

#[test]
fn a_lost_replica_is_rebuilt_byte_for_byte_and_serves_when_a_parity_node_dies_too() {
    let lens = [7 * MIB + 12_345, 3 * MIB, 40_000, 2 * MIB + 5, 1];
    let mut cluster = Cluster::with("rs-3-2-1024k", &lens, 1);
    let lost = cluster.replica(1, 2);
    cluster.nodes[1].die();
    assert_eq!(cluster.rebuild(7, &[1, 3, 4, 5], &[(5, 2)]), (Status::Executed, String::new()));
    assert_eq!(cluster.state(5), Some(ReplicaState::Closed));
    let rebuilt = cluster.replica(5, 2);
    for (local, block) in &lost {
        assert_eq!(rebuilt[local].0, block.0, "block {local}");
        assert!(rebuilt[local].1 == block.1, "block {local}");
    }
    wait_until("SCM to hear of the replica", || {
        let closed = |one: &allotrope_proto::heartbeat::ContainerReplicaProto| {
            (one.container_id, one.state, one.replica_index) == (CONTAINER, 4, Some(2))
        };
        cluster.nodes[5].scm.told(|told| told.reported.iter().any(closed))
    });
    cluster.nodes[4].die();
    let read = cluster.read(&[(0, 1), (5, 2), (2, 3)]);
    assert!(cluster.groups.iter().all(|(local, group)| read[local] == group[..]));
    // And so the rebuilt replica serves to make up for another.
    cluster.nodes[0].die();
    let read = cluster.read(&[(5, 2), (2, 3), (3, 4)]);
    assert!(cluster.groups.iter().all(|(local, group)| read[local] == group[..]));
    assert_eq!(leftovers(cluster.nodes[5].root.path()), Vec::<String>::new());
}

#[test]
fn a_data_and_a_parity_replica_are_rebuilt_at_once_on_two_datanodes() {
    let mut cluster = Cluster::with("rs-3-2-64k", &[500_000, 64 << 10, 1, 777_777], 2);
    let lost = [cluster.replica(0, 1), cluster.replica(4, 5)];
    cluster.nodes[0].die();
    cluster.nodes[4].die();
    assert_eq!(cluster.rebuild(7, &[2, 3, 4], &[(5, 1), (6, 5)]), (Status::Executed, String::new()));
    assert!([cluster.replica(5, 1), cluster.replica(6, 5)] == lost);
}

#[test]
fn a_source_that_fails_in_the_middle_is_replaced_and_without_a_spare_nothing_is_left() {
    let mut cluster = Cluster::with("rs-3-2-64k", &[900_000, 300_000], 1);
    let lost = cluster.replica(2, 3);
    cluster.nodes[2].die();
    let damage = |node: &Node, at: usize| {
        let path = node.block_file(1);
        let mut bytes = std::fs::read(&path).unwrap();
        bytes[at] ^= 1;
        std::fs::write(path, bytes).unwrap();
    };
    // The first to be read, in the third of its five cells.
    damage(&cluster.nodes[0], 150_000);
    assert_eq!(cluster.rebuild(7, &[1, 2, 4, 5], &[(5, 3)]), (Status::Executed, String::new()));
    assert!(cluster.replica(5, 3) == lost);
    // Once more, with two damaged sources: too few are left.
    let node = &cluster.nodes[5];
    node.client.expect(delete_container(&node.name, CONTAINER, true));
    damage(&cluster.nodes[3], 200_000);
    let (status, why) = cluster.rebuild(8, &[1, 2, 4, 5], &[(5, 3)]);
    assert!(status == Status::Failed && why.contains("CHECKSUM_MISMATCH"), "{why}");
    assert_eq!(cluster.state(5), None);
    // A target that has the container already is not touched.
    let (status, why) = cluster.rebuild(9, &[1, 2, 4], &[(4, 5)]);
    assert!(status == Status::Failed && why.contains("already"), "{why}");
    assert_eq!(cluster.state(4), Some(ReplicaState::Closed));
    // The reads that met the damage had its replica scanned.
    wait_until("the damaged source to be condemned", || cluster.state(3) == Some(ReplicaState::Unhealthy));
}

#[test]
fn a_coordinator_that_dies_leaves_nothing_that_counts_and_the_next_one_rebuilds() {
    let mut cluster = Cluster::with("rs-3-2-1024k", &[40 * MIB, 40 * MIB], 1);
    let lost = cluster.replica(4, 5);
    cluster.nodes[0].die();
    cluster.nodes[4].die();
    let root = tempfile::tempdir().unwrap();
    let mut child = Child::start(root.path());
    let target = cluster.nodes[5].details();
    let mut command = cluster.command(7, &[2, 3, 4], &[(5, 1), (5, 5)]);
    let rebuild = command.reconstruct_ec_containers_command_proto.as_mut().unwrap();
    rebuild.targets = vec![details(&child.node, child.replication, child.standalone), target];
    child.command(&command);
    wait_until("the rebuild to begin", || cluster.state(5) == Some(ReplicaState::Recovering));
    child.die();
    assert_ne!(cluster.state(5), Some(ReplicaState::Closed), "it had ended before");
    // The coordinator's own share goes with its restart, the other's when nobody has written to it for a while.
    let child = Child::start(root.path());
    let answer = child.client.ask(read_container(&child.node, CONTAINER));
    assert_eq!(result(&answer), DatanodeResult::ContainerNotFound);
    wait_until("the other share to expire", || cluster.state(5).is_none());
    assert_eq!(cluster.rebuild(8, &[2, 3, 4], &[(5, 5)]), (Status::Executed, String::new()));
    assert!(cluster.replica(5, 5) == lost);
}

#[test]
fn a_rebuilt_cell_that_the_stripes_checksums_do_not_know_is_never_closed() {
    let mut cluster = Cluster::with("rs-3-2-64k", &[400_000], 1);
    cluster.nodes[1].die();
    // A source whose bytes and checksums agree and are of another life: only the stripe's checksums tell.
    let node = &cluster.nodes[2];
    let list = cluster.replica(2, 3)[&1].0.clone();
    node.client.expect(delete_container(&node.name, CONTAINER, true));
    let mut create = command(Type::CreateContainer, CONTAINER, &node.name);
    create.create_container = Some(CreateContainerRequestProto {
        replica_index: Some(3),
        state: Some(ReplicaState::Recovering.number()),
        ..Default::default()
    });
    node.client.expect(create.into());
    let mut chunks = Vec::new();
    for one in &list.chunks {
        let other = bytes(99 + one.offset, one.len as usize);
        let mut message = command(Type::WriteChunk, CONTAINER, &node.name);
        let mut info = chunk(1, one.offset, &other);
        info.chunk_name = one.chunk_name.clone();
        message.write_chunk = Some(WriteChunkRequestProto {
            block_id: replica_id(1, 3),
            chunk_data: Some(info.clone()),
            data: Some(Bytes::new()),
            ..Default::default()
        });
        node.client.expect(Bulky { message, bulk: vec![Rope::from(other)] });
        chunks.push(info);
    }
    let mut message = command(Type::PutBlock, CONTAINER, &node.name);
    let block_data = BlockData { chunks, size: None, ..list };
    message.put_block =
        Some(PutBlockRequestProto { block_data, eof: Some(true), container_auto_create: None });
    node.client.expect(message.into());
    node.client.expect(close_container(&node.name, CONTAINER));
    let (status, why) = cluster.rebuild(7, &[1, 3, 4], &[(5, 2)]);
    assert!(status == Status::Failed && why.contains("not the one that was written"), "{why}");
    assert_eq!(cluster.state(5), None);
}
