//! Blocks that grow stripe by stripe: what each PutBlock writes, and what Ozone finds once the container is closed.

use crate::ask::*;
use crate::world::World;
use allotrope_datanode::commands::Request;
use allotrope_datanode::metadata::Family;
use allotrope_proto::container::*;
use allotrope_types::DatanodeResult::*;
use bytes::Bytes;

const STRIPE: usize = 16 << 10;

/// A parity replica as Ozone's erasure-coding client writes it: the whole list each time, the group's length beside it.
struct Writer {
    node: String,
    block: DatanodeBlockId,
    chunks: Vec<ChunkInfo>,
}

impl Writer {
    fn new(world: &World, local: i64) -> Writer {
        let block = DatanodeBlockId { replica_index: Some(4), ..id(1, local) };
        Writer { node: world.name(), block, chunks: Vec::new() }
    }

    fn put(&self) -> Request {
        let mut request = put_block(&self.node, self.block, self.chunks.clone(), false);
        let pair = |key: &str, value: String| KeyValue { key: key.into(), value: Some(value) };
        let group = (3 * STRIPE * self.chunks.len()).to_string();
        let data = &mut request.message.put_block.as_mut().unwrap().block_data;
        data.metadata = vec![pair("TYPE", "KEY".into()), pair("blockGroupLen", group)];
        request
    }

    fn stripe(&mut self, world: &World) {
        let at = self.chunks.len() as u64;
        let data = bytes(at + 1, STRIPE);
        let mut one = chunk(self.block.local_id, at * STRIPE as u64, &data);
        one.stripe_checksum = Some(bytes(at, 20));
        world.expect(write_chunk(&self.node, self.block, one.clone(), data));
        self.chunks.push(one);
        world.expect(self.put());
    }

    /// The block as GetBlock answers it.
    fn get(&self, world: &World) -> BlockData {
        world.expect(get_block(&self.node, self.block)).message.get_block.unwrap().block_data
    }

    /// The whole list, as Ozone stores it.
    fn wanted(&self) -> BlockData {
        let request = self.put();
        let mut wanted = request.message.put_block.unwrap().block_data;
        wanted.size = Some((STRIPE * self.chunks.len()) as i64);
        wanted
    }
}

fn values(world: &World) -> Vec<BlockData> {
    let entries = world.metadata(Family::BlockData);
    entries.into_iter().map(|(_, value)| allotrope_proto::decode(value).unwrap()).collect()
}

#[test]
fn what_a_put_writes_does_not_grow_with_the_block() {
    let mut world = World::seeded(21);
    world.boot();
    let mut writer = Writer::new(&world, 7);
    let mut cost = Vec::new();
    for _ in 0..256 {
        let before = world.metadata_bytes();
        writer.stripe(&world);
        cost.push(world.metadata_bytes() - before);
    }
    // The first makes the container; numbers of more digits take a byte more.
    let (second, most) = (cost[1], *cost[1..].iter().max().unwrap());
    assert!(most <= second + 16, "the second PutBlock wrote {second} bytes, another one {most}");
    assert_eq!(writer.get(&world), writer.wanted());
    world.kill();
    world.boot();
    assert_eq!(writer.get(&world), writer.wanted());
    assert_eq!(world.read_ec(writer.block, 100 * STRIPE as u64, STRIPE as u64), bytes(101, STRIPE));
    // Growth goes on where it stopped.
    let before = world.metadata_bytes();
    writer.stripe(&world);
    assert!(world.metadata_bytes() - before <= second + 16);
    world.expect(close_container(&writer.node, 1));
    assert_eq!(values(&world), [writer.wanted()]);
    assert_eq!(writer.get(&world), writer.wanted());
}

#[test]
fn a_put_that_says_nothing_new_writes_no_list() {
    let mut world = World::seeded(22);
    world.boot();
    let mut writer = Writer::new(&world, 7);
    (0..20).for_each(|_| writer.stripe(&world));
    let before = world.metadata_bytes();
    world.expect(writer.put());
    assert!(world.metadata_bytes() - before < 100);
    assert_eq!(writer.get(&world), writer.wanted());
}

#[test]
fn a_list_that_loses_or_changes_chunks_is_the_blocks_list() {
    let mut world = World::seeded(23);
    world.boot();
    let mut writer = Writer::new(&world, 7);
    (0..9).for_each(|_| writer.stripe(&world));
    for keep in [6, 3, 0] {
        writer.chunks.truncate(keep);
        world.expect(writer.put());
        assert_eq!(writer.get(&world), writer.wanted());
        // The next stripe goes behind the bytes that are there: the file keeps them, the list does not.
        let data = bytes(99, STRIPE);
        let mut other = chunk(7, keep as u64 * STRIPE as u64, &data);
        other.chunk_name = format!("other_{keep}");
        world.expect(write_chunk(&writer.node, writer.block, other.clone(), data.clone()));
        writer.chunks.push(other);
        world.expect(writer.put());
        world.kill();
        world.boot();
        assert_eq!(writer.get(&world), writer.wanted());
        assert_eq!(world.read_ec(writer.block, keep as u64 * STRIPE as u64, STRIPE as u64), data);
    }
    world.expect(close_container(&writer.node, 1));
    assert_eq!(values(&world), [writer.wanted()]);
}

#[test]
fn growing_blocks_are_listed_whole_and_in_pages() {
    let mut world = World::seeded(24);
    world.boot();
    let mut writers: Vec<_> = [9, 10, 100].into_iter().map(|local| Writer::new(&world, local)).collect();
    for (n, writer) in writers.iter_mut().enumerate() {
        (0..=n).for_each(|_| writer.stripe(&world));
    }
    writers.sort_by_key(|writer| writer.block.local_id.to_string());
    let list = |start: Option<i64>, count: u32| {
        let mut message = command(Type::ListBlock, 1, &world.name());
        message.list_block = Some(ListBlockRequestProto { start_local_id: start, count });
        world.expect(message.into()).message.list_block.unwrap().block_data
    };
    let wanted: Vec<_> = writers.iter().map(Writer::wanted).collect();
    assert_eq!(list(None, 10), wanted);
    assert_eq!(list(Some(100), 1), wanted[1..2]);
    world.expect(close_container(&world.name(), 1));
    assert_eq!(list(None, 10), wanted);
}

#[test]
fn a_deleted_container_leaves_nothing_of_its_growth() {
    let mut world = World::seeded(25);
    world.boot();
    let mut writer = Writer::new(&world, 7);
    (0..5).for_each(|_| writer.stripe(&world));
    assert_eq!(world.refused(delete_container(&writer.node, 1, false)), DeleteOnOpenContainer);
    world.expect(delete_container(&writer.node, 1, true));
    assert!(world.metadata(Family::BlockData).is_empty());
}

#[test]
fn a_damaged_record_is_said_and_harms_its_block_alone() {
    let mut world = World::seeded(26);
    world.boot();
    let (mut bad, mut good) = (Writer::new(&world, 7), Writer::new(&world, 8));
    (0..4).for_each(|_| bad.stripe(&world));
    (0..4).for_each(|_| good.stripe(&world));
    world.set_metadata(
        Family::BlockData,
        &b"\0\0\0\0\0\0\0\x01|#chunks#7#\0\0\0\x02"[..],
        Bytes::from_static(b"\x09"),
    );
    world.kill();
    world.boot();
    assert_eq!(world.refused(get_block(&bad.node, bad.block)), UnableToReadMetadataDb);
    assert_eq!(good.get(&world), good.wanted());
}
