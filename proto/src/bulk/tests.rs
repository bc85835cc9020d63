//! What goes in comes out, wherever the frames were cut, and no chunk byte is copied on the way.

use std::ops::Range;

use bytes::Bytes;
use proptest::prelude::*;
use prost::Message;

use super::*;
use crate::container::{
    BlockData, ChunkInfo, ContainerCommandRequestProto, ContainerCommandResponseProto,
    CopyContainerResponseProto, DataBuffers, DatanodeBlockId, PutBlockRequestProto, PutSmallFileRequestProto,
    ReadChunkResponseProto, SendContainerRequest, Type, WriteChunkRequestProto,
    read_chunk_response_proto::ResponseData,
};
use crate::ratis::{ClientMessageEntryProto, RaftClientRequestProto, RaftRpcRequestProto};
use crate::{Rope, WireError, decode};

fn write_chunk() -> ContainerCommandRequestProto {
    ContainerCommandRequestProto {
        cmd_type: Type::WriteChunk as i32,
        container_id: 7,
        datanode_uuid: "d".into(),
        encoded_token: Some("token".into()),
        write_chunk: Some(WriteChunkRequestProto {
            block_id: DatanodeBlockId { container_id: 7, local_id: 1, ..Default::default() },
            data: Some(Bytes::new()),
            ..Default::default()
        }),
        ..Default::default()
    }
}

fn read_chunk(buffers: usize) -> ContainerCommandResponseProto {
    ContainerCommandResponseProto {
        cmd_type: Type::ReadChunk as i32,
        result: 1,
        read_chunk: Some(ReadChunkResponseProto {
            response_data: Some(ResponseData::DataBuffers(DataBuffers {
                buffers: vec![Bytes::new(); buffers],
            })),
            ..Default::default()
        }),
        ..Default::default()
    }
}

/// Cuts `whole` into frames of `len` bytes that share one allocation each, as a connection's buffers do.
fn frames(whole: &[u8], len: usize) -> Rope {
    whole.chunks(len).map(Bytes::copy_from_slice).collect()
}

fn memory(rope: &Rope) -> Vec<Range<*const u8>> {
    rope.pieces().map(|piece| piece.as_ptr_range()).collect()
}

/// How many bytes of `rope` lie outside `known` memory: those that somebody copied.
fn bytes_copied(rope: &Rope, known: &[Range<*const u8>]) -> usize {
    let inside = |piece: &&Bytes| {
        let at = piece.as_ptr_range();
        known.iter().any(|known| known.start <= at.start && at.end <= known.end)
    };
    rope.pieces().filter(|piece| !inside(piece)).map(Bytes::len).sum()
}

fn pattern(len: usize) -> Vec<u8> {
    (0..len).map(|at| (at * 31) as u8).collect()
}

#[test]
fn a_write_chunk_goes_from_frames_to_rope_and_back_without_copying_its_data() {
    let data = pattern(1 << 20);
    let mut plain = write_chunk();
    plain.write_chunk.as_mut().unwrap().data = Some(data.clone().into());
    let received = frames(&plain.encode_to_vec(), 16 * 1024);
    let known = memory(&received);

    let bulky = split::<ContainerCommandRequestProto>(received, SplitLimits::default()).unwrap();
    assert_eq!(bulky.message, write_chunk());
    assert_eq!(bulky.bulk, [Rope::from(Bytes::from(data))]);
    assert_eq!(bytes_copied(&bulky.bulk[0], &known), 0);

    let sent = weave(bulky);
    let head_len = write_chunk().encoded_len();
    let copied = bytes_copied(&sent, &known);
    assert!((head_len..head_len + 16).contains(&copied), "{copied} bytes copied beside {head_len} of head");
    assert_eq!(sent.join(), plain.encode_to_vec());
}

#[test]
fn an_answer_is_header_and_data_side_by_side() {
    let mut file = Rope::new();
    file.push(Bytes::from(pattern(16 * 1024)));
    file.push(Bytes::from(pattern(5)));
    let known = memory(&file);
    let second = Rope::from(Bytes::from_static(b"second"));
    let sent = weave(Bulky { message: read_chunk(2), bulk: vec![file.clone(), second.clone()] });
    assert_eq!(sent.len() - bytes_copied(&sent, &known), file.len());

    let framed = grpc_message(sent);
    let mut stream = GrpcMessages::new(1 << 20);
    framed.into_iter().for_each(|piece| stream.push(piece));
    let message = stream.next_message().unwrap().unwrap();
    let back = split::<ContainerCommandResponseProto>(message, SplitLimits::default()).unwrap();
    assert_eq!(back.bulk, [file, second]);
    assert_eq!(stream.pending_len(), 0);
}

#[test]
fn an_upload_part_is_split_and_woven() {
    let data = vec![Rope::from(Bytes::from(pattern(1 << 20)))];
    let part = SendContainerRequest { container_id: 3, size: Some(9), ..Default::default() };
    let sent = weave(Bulky { message: part.clone(), bulk: data.clone() });
    assert_eq!(split(sent, SplitLimits::default()), Ok(Bulky { message: part, bulk: data.clone() }));
    let part = CopyContainerResponseProto { container_id: 3, eof: true, ..Default::default() };
    let sent = weave(Bulky { message: part.clone(), bulk: data.clone() });
    assert_eq!(split(sent, SplitLimits::default()), Ok(Bulky { message: part, bulk: data }));
}

#[test]
fn a_ratis_request_carries_a_command_with_its_data_behind_it() {
    let data = Rope::from(Bytes::from(pattern(1 << 20)));
    let known = memory(&data);
    let command = Bulky { message: write_chunk(), bulk: vec![data] };
    let request = RaftClientRequestProto {
        rpc_request: Some(RaftRpcRequestProto { call_id: 4, ..Default::default() }),
        message: Some(ClientMessageEntryProto::default()),
        ..Default::default()
    };
    let content = content_of_command(command.clone());
    let sent = weave(Bulky { message: request.clone(), bulk: vec![content] });
    let mut back = split::<RaftClientRequestProto>(sent, SplitLimits::default()).unwrap();
    assert_eq!(back.message, request);
    let back = command_of_content(back.bulk.remove(0), SplitLimits::default()).unwrap();
    assert_eq!(bytes_copied(&back.bulk[0], &known), 0);
    assert_eq!(back, command);
}

#[test]
fn a_ratis_content_that_does_not_add_up_is_refused() {
    let refused =
        |bytes: &[u8]| command_of_content(frames(bytes, 3), SplitLimits::default()).unwrap_err().to_string();
    let content = "ClientMessageEntryProto.content";
    assert_eq!(refused(&[0, 0]), format!("{content} has no room for the command's length"));
    assert_eq!(refused(&[0xff, 0xff, 0xff, 0xfe]), format!("{content} gives the command -2 bytes"));
    assert_eq!(refused(&[0, 0, 0, 9, 1]), format!("{content} is shorter than its command of 9 bytes"));
    let read = ContainerCommandRequestProto { write_chunk: None, ..write_chunk() };
    let mut bytes = content_of_command(read.into()).join().to_vec();
    bytes.push(1);
    assert_eq!(refused(&bytes), format!("{content} has 1 bytes behind a command without data"));
}

#[test]
fn a_bulk_field_that_is_there_twice_is_refused() {
    let mut bytes = SendContainerRequest { container_id: 1, ..Default::default() }.encode_to_vec();
    bytes.extend([3 << 3 | 2, 1, b'x']);
    let twice =
        WireError::Invalid { message: "SendContainerRequest", field: "data", why: "is there twice".into() };
    assert_eq!(split::<SendContainerRequest>(frames(&bytes, 2), SplitLimits::default()), Err(twice));
}

#[test]
fn limits_hold() {
    let limits = SplitLimits { head_len_max: 1000, bulk_fields_max: 3 };
    let answer = |buffers| frames(&read_chunk(buffers).encode_to_vec(), 100);
    assert!(split::<ContainerCommandResponseProto>(answer(3), limits).is_ok());
    let refused = split::<ContainerCommandResponseProto>(answer(4), limits).unwrap_err();
    assert_eq!(refused.to_string(), "DataBuffers.buffers is there more than 3 times");
    let long = ContainerCommandRequestProto { trace_id: Some("t".repeat(1000)), ..write_chunk() };
    let refused =
        split::<ContainerCommandRequestProto>(frames(&long.encode_to_vec(), 100), limits).unwrap_err();
    assert!(matches!(refused, WireError::Garbled { .. }), "{refused}");
}

#[test]
fn a_grpc_stream_that_is_not_ours_is_refused() {
    let next = |bytes: &'static [u8]| {
        let mut stream = GrpcMessages::new(10);
        stream.push(Bytes::from_static(bytes));
        stream.next_message()
    };
    assert_eq!(next(&[0, 0, 0, 0]), Ok(None));
    assert_eq!(next(&[0, 0, 0, 0, 2, 1]), Ok(None));
    assert_eq!(next(&[0, 0, 0, 0, 0]), Ok(Some(Rope::new())));
    assert!(next(&[1, 0, 0, 0, 0]).is_err());
    assert!(next(&[0, 0, 0, 0, 11]).is_err());
    assert!(next(&[0, 0xff, 0xff, 0xff, 0xff]).is_err());
}

/// The message with its data inside, as prost alone reads it.
fn put_small_file(data: &[u8], token: Option<String>) -> ContainerCommandRequestProto {
    ContainerCommandRequestProto {
        cmd_type: Type::PutSmallFile as i32,
        encoded_token: token,
        write_chunk: None,
        put_small_file: Some(PutSmallFileRequestProto {
            data: Bytes::copy_from_slice(data),
            ..Default::default()
        }),
        ..write_chunk()
    }
}

proptest! {
    #[test]
    fn wherever_frames_are_cut_the_splitter_reads_what_prost_reads(
        data in prop::collection::vec(any::<u8>(), 0..2000),
        token in prop::option::of(".{0,20}"),
        frame_len in 1usize..300,
    ) {
        let mut plain = put_small_file(&data, token);
        let command = plain.put_small_file.as_mut().unwrap();
        command.block.block_data.block_id = DatanodeBlockId { container_id: 1, ..Default::default() };
        let bytes = plain.encode_to_vec();
        let bulky = split::<ContainerCommandRequestProto>(frames(&bytes, frame_len), SplitLimits::default()).unwrap();
        prop_assert_eq!(&bulky.bulk, &vec![Rope::from(Bytes::from(data))]);
        prop_assert_eq!(weave(bulky.clone()).join(), bytes);
        plain.put_small_file.as_mut().unwrap().data = Bytes::new();
        prop_assert_eq!(&bulky.message, &plain);
        prop_assert_eq!(command_of_content(content_of_command(bulky.clone()), SplitLimits::default()), Ok(bulky));
    }

    #[test]
    fn damaged_messages_are_errors_or_messages_and_never_panics(
        at in 0usize..60, byte in any::<u8>(), cut in 0usize..80, frame_len in 1usize..20,
    ) {
        let mut plain = write_chunk();
        plain.write_chunk.as_mut().unwrap().data = Some(Bytes::from(pattern(20)));
        let mut bytes = plain.encode_to_vec();
        let index = at % bytes.len();
        bytes[index] = byte;
        bytes.truncate(cut);
        // What splits decodes too, to the same message with its data taken out.
        if let Ok(bulky) = split::<ContainerCommandRequestProto>(frames(&bytes, frame_len), SplitLimits::default()) {
            let whole: Result<ContainerCommandRequestProto, _> = decode(weave(bulky.clone()).join());
            prop_assert!(whole.is_ok());
            prop_assert_eq!(whole.unwrap().cmd_type, bulky.message.cmd_type);
        }
    }

    #[test]
    fn no_bytes_make_the_splitter_panic(bytes in prop::collection::vec(any::<u8>(), 0..200), len in 1usize..50) {
        fn tried<M: BulkMessage>(frames: Rope) {
            let _ = split::<M>(frames, SplitLimits { head_len_max: 100, bulk_fields_max: 2 });
            let _ = M::RULES.name;
        }
        let frames = frames(&bytes, len);
        tried::<ContainerCommandRequestProto>(frames.clone());
        tried::<ContainerCommandResponseProto>(frames.clone());
        tried::<RaftClientRequestProto>(frames.clone());
        let _ = command_of_content(frames, SplitLimits::default());
    }
}

fn put_block(chunks: usize) -> ContainerCommandRequestProto {
    let chunk =
        |n: usize| ChunkInfo { chunk_name: format!("c{n}"), offset: n as u64, len: 1, ..Default::default() };
    ContainerCommandRequestProto {
        cmd_type: Type::PutBlock as i32,
        container_id: 7,
        datanode_uuid: "d".into(),
        put_block: Some(PutBlockRequestProto {
            block_data: BlockData {
                chunks: (0..chunks).map(chunk).collect(),
                size: Some(3),
                ..Default::default()
            },
            eof: Some(false),
            ..Default::default()
        }),
        ..Default::default()
    }
}

#[test]
fn the_list_of_a_put_block_comes_apart_as_it_was_encoded() {
    let message = put_block(300);
    for len in [1, 7, 100_000] {
        let split = split_request(frames(&message.encode_to_vec(), len), SplitLimits::default()).unwrap();
        let list = &message.put_block.as_ref().unwrap().block_data.chunks;
        let decoded: Vec<ChunkInfo> = split.bulk.into_iter().map(|one| decode(one.join()).unwrap()).collect();
        assert_eq!(&decoded, list);
        let mut without = message.clone();
        without.put_block.as_mut().unwrap().block_data.chunks.clear();
        assert_eq!(split.message, without);
    }
}

#[test]
fn a_list_that_cannot_come_apart_is_decoded() {
    let limits = SplitLimits { bulk_fields_max: 10, ..Default::default() };
    let long = put_block(11);
    assert_eq!(split_request(frames(&long.encode_to_vec(), 99), limits).unwrap(), Bulky::from(long));
    // A message that says it is something else.
    let mut other = put_block(2);
    other.write_chunk = write_chunk().write_chunk;
    let split = split_request(frames(&other.encode_to_vec(), 99), SplitLimits::default()).unwrap();
    assert_eq!((split.message, split.bulk), (other, vec![Rope::new()]));
    let write = write_chunk();
    let split = split_request(frames(&write.encode_to_vec(), 99), SplitLimits::default()).unwrap();
    assert_eq!((split.message, split.bulk), (write, vec![Rope::new()]));
}
