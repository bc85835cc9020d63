//! What the client sends, held byte for byte against what Ozone 2.2.1's client sent for the same key.
//!
//! The captured key has 2.5 MiB on rs-3-2-1024k: cells of 1, 1 and 0.5 MiB, two parity cells. Ids and the datanodes'
//! names are those of the capture's run and are put in; the data of WriteChunk was cut from the capture and is left
//! out.

use allotrope_proto::container::{BlockData, ContainerCommandRequestProto, DatanodeBlockId, Type};
use allotrope_proto::decode;
use bytes::Bytes;
use prost::Message;

use super::world::{World, bytes};

macro_rules! captured {
    ($($name:literal),*) => {
        [$(include_bytes!(concat!("../../../proto/tests/golden/dn/", $name, ".req.bin")).as_slice()),*]
    };
}

const WRITES: [&[u8]; 5] = captured!(
    "put-r1.WriteChunk",
    "put-r2.WriteChunk",
    "put-r3.WriteChunk",
    "put-r4.WriteChunk",
    "put-r5.WriteChunk"
);
const PUTS: [&[u8]; 5] =
    captured!("put-r1.PutBlock", "put-r2.PutBlock", "put-r3.PutBlock", "put-r4.PutBlock", "put-r5.PutBlock");
const GETS: [&[u8]; 3] = captured!("get-r1.GetBlock", "get-r2.GetBlock", "get-r3.GetBlock");
const READS: [&[u8]; 3] = captured!("get-r1.ReadChunk", "get-r2.ReadChunk", "get-r3.ReadChunk");

fn captured(bytes: &'static [u8]) -> ContainerCommandRequestProto {
    let mut message: ContainerCommandRequestProto = decode(Bytes::from_static(bytes)).unwrap();
    if let Some(write) = &mut message.write_chunk {
        write.data = Some(Bytes::new());
    }
    message
}

/// Ours, with the ids of the capture.
fn renamed(
    mut ours: ContainerCommandRequestProto,
    theirs: &ContainerCommandRequestProto,
) -> ContainerCommandRequestProto {
    let local = |block: &DatanodeBlockId| block.local_id;
    let id = |message: &ContainerCommandRequestProto| {
        let data = |block: &BlockData| local(&block.block_id);
        None.or(message.write_chunk.as_ref().map(|m| local(&m.block_id)))
            .or(message.put_block.as_ref().map(|m| data(&m.block_data)))
            .or(message.get_block.as_ref().map(|m| local(&m.block_id)))
            .or(message.read_chunk.as_ref().map(|m| local(&m.block_id)))
            .unwrap()
    };
    let (from, to, container) = (id(&ours), id(theirs), theirs.container_id);
    let rename_block = |block: &mut DatanodeBlockId| {
        block.container_id = container;
        block.local_id = to;
    };
    let rename_chunk = |name: &mut String| *name = name.replace(&from.to_string(), &to.to_string());
    ours.container_id = container;
    ours.datanode_uuid.clone_from(&theirs.datanode_uuid);
    if let Some(write) = &mut ours.write_chunk {
        rename_block(&mut write.block_id);
        rename_chunk(&mut write.chunk_data.as_mut().unwrap().chunk_name);
    }
    if let Some(put) = &mut ours.put_block {
        rename_block(&mut put.block_data.block_id);
        put.block_data.chunks.iter_mut().for_each(|chunk| rename_chunk(&mut chunk.chunk_name));
    }
    if let Some(get) = &mut ours.get_block {
        rename_block(&mut get.block_id);
    }
    if let Some(read) = &mut ours.read_chunk {
        rename_block(&mut read.block_id);
        rename_chunk(&mut read.chunk_data.chunk_name);
    }
    ours
}

#[tokio::test(flavor = "multi_thread")]
async fn every_command_to_a_datanode_is_the_one_that_ozones_client_sends() {
    let world = World::new("rs-3-2-1024k", 5).await;
    let data = bytes(2_621_440);
    world.put("k25", &data).await.unwrap();
    assert!(world.get("k25").await.unwrap() == data);
    let kinds: [(Type, &[&'static [u8]]); 4] = [
        (Type::WriteChunk, &WRITES),
        (Type::PutBlock, &PUTS),
        (Type::GetBlock, &GETS),
        (Type::ReadChunk, &READS),
    ];
    for (kind, captures) in kinds {
        for (cell, capture) in captures.iter().enumerate() {
            let theirs = captured(capture);
            let sent = world.node(cell).sent(kind);
            assert_eq!(sent.len(), 1, "one {} to replica {}", kind.as_str_name(), cell + 1);
            let ours = renamed(sent[0].clone(), &theirs);
            assert_eq!(ours, theirs, "{} to replica {}", kind.as_str_name(), cell + 1);
            assert!(ours.encode_to_vec() == theirs.encode_to_vec());
        }
    }
}
