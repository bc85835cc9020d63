//! What a real client and its servers said: every captured message is read whole and written back byte for byte.
//!
//! `golden/` holds the captures of an Ozone 2.2.1 cluster, one message a file; `golden/index.tsv` says what each is.
#![allow(clippy::disallowed_methods, reason = "a test reads its own captures from the source tree")]
#![allow(clippy::unwrap_used, reason = "a test may end where its own data is not there")]

use std::path::{Path, PathBuf};

use allotrope_proto::bulk::{self, SplitLimits};
use allotrope_proto::checksum::{ChecksumKind, ChecksumSpec, Checksums};
use allotrope_proto::container::{ContainerCommandRequestProto, ContainerCommandResponseProto};
use allotrope_proto::edge::command::{CommandRequest, CommandResponse};
use allotrope_proto::edge::om as om_calls;
use allotrope_proto::edge::om_bucket::{BucketInfo, VolumeInfo};
use allotrope_proto::edge::om_key::{KeyArgs, KeyInfo};
use allotrope_proto::edge::ratis::{RaftReply, RaftRequest};
use allotrope_proto::hadoop::{
    IpcConnectionContextProto, RequestHeaderProto, RpcRequestHeaderProto, RpcResponseHeaderProto,
};
use allotrope_proto::om::{OmRequest, OmResponse};
use allotrope_proto::ratis::{RaftClientReplyProto, RaftClientRequestProto};
use allotrope_proto::{Checked, Rope, WireError, decode};
use bytes::{Buf, Bytes};
use prost::Message;

fn files(folder: &str) -> Vec<(PathBuf, Bytes)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(folder);
    let mut files: Vec<_> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| name(path).ends_with(".bin")) // beside them lie whole connections
        .map(|path| (path.clone(), std::fs::read(path).unwrap().into()))
        .collect();
    files.sort();
    assert!(!files.is_empty());
    files
}

fn name(path: &Path) -> &str {
    path.file_name().unwrap().to_str().unwrap()
}

/// Reads `bytes` as `M` with all its required fields, and sees that it writes the same bytes.
fn same_again<M: Checked>(path: &Path, bytes: &Bytes) -> M {
    let message: M = decode(bytes.clone()).unwrap_or_else(|error| panic!("{}: {error}", name(path)));
    assert!(message.encode_to_vec() == *bytes, "{} is written differently", name(path));
    message
}

/// As [`same_again`], through the splitter and the weaver, from frames of a few bytes.
fn same_through_ropes<M: bulk::BulkMessage>(path: &Path, bytes: &Bytes) {
    let frames: Rope =
        (0..bytes.len()).step_by(7).map(|at| bytes.slice(at..bytes.len().min(at + 7))).collect();
    let bulky = bulk::split::<M>(frames, SplitLimits::default()).unwrap();
    assert!(bulk::weave(bulky).join() == *bytes, "{} is woven differently", name(path));
}

#[test]
fn every_datanode_message_is_read_and_written_back() {
    for (path, bytes) in files("dn") {
        if name(&path).ends_with(".req.bin") {
            same_again::<ContainerCommandRequestProto>(&path, &bytes);
            same_through_ropes::<ContainerCommandRequestProto>(&path, &bytes);
        } else {
            same_again::<ContainerCommandResponseProto>(&path, &bytes);
            same_through_ropes::<ContainerCommandResponseProto>(&path, &bytes);
        }
    }
}

#[test]
fn every_datanode_message_passes_the_edge_unchanged() {
    for (path, bytes) in files("dn") {
        let limits = SplitLimits::default();
        let again = if name(&path).ends_with(".req.bin") {
            CommandRequest::read(bytes.clone().into(), limits).unwrap().frames()
        } else {
            CommandResponse::read(bytes.clone().into(), limits).unwrap().frames()
        };
        assert!(again.join() == bytes, "{} is written differently", name(&path));
    }
    for (path, bytes) in files("ratis") {
        if name(&path).ends_with(".req.bin") {
            let request = RaftRequest::read(bytes.clone().into(), SplitLimits::default()).unwrap();
            assert!(request.frames().join() == bytes, "{} is written differently", name(&path));
        } else {
            let reply: RaftReply = decode::<RaftClientReplyProto>(bytes.clone()).unwrap().try_into().unwrap();
            assert!(RaftClientReplyProto::from(reply).encode_to_vec() == bytes, "{}", name(&path));
        }
    }
}

/// Sees that a value passes the edge unchanged, if the message holds it.
fn unchanged<V, M>(message: Option<M>) -> usize
where
    V: TryFrom<M, Error = WireError>,
    M: Clone + std::fmt::Debug + PartialEq + From<V>,
{
    let Some(message) = message else { return 0 };
    assert_eq!(M::from(V::try_from(message.clone()).unwrap()), message);
    1
}

#[test]
fn every_key_volume_and_bucket_that_was_sent_passes_the_edge_unchanged() {
    let mut seen = 0;
    for (path, bytes) in files("om-grpc") {
        if name(&path).ends_with(".req.bin") {
            let request: OmRequest = decode(bytes).unwrap();
            seen += unchanged::<KeyArgs, _>(request.create_key_request.map(|request| request.key_args));
            seen += unchanged::<KeyArgs, _>(request.commit_key_request.map(|request| request.key_args));
        } else {
            let response: OmResponse = decode(bytes).unwrap();
            seen +=
                unchanged::<KeyInfo, _>(response.create_key_response.and_then(|response| response.key_info));
            seen += unchanged::<BucketInfo, _>(
                response.info_bucket_response.and_then(|response| response.bucket_info),
            );
            seen += unchanged::<VolumeInfo, _>(
                response.info_volume_response.and_then(|response| response.volume_info),
            );
        }
    }
    assert_eq!(seen, 5);
}

#[test]
fn every_om_message_is_read_and_written_back() {
    for (path, bytes) in files("om-grpc") {
        if name(&path).ends_with(".req.bin") {
            same_again::<OmRequest>(&path, &bytes);
        } else {
            same_again::<OmResponse>(&path, &bytes);
        }
    }
}

/// As [`same_again`], through the typed value.
fn same_value_again<M, V>(path: &Path, bytes: &Bytes)
where
    M: Checked + From<V>,
    V: TryFrom<M, Error = WireError>,
{
    let value =
        V::try_from(decode(bytes.clone()).unwrap()).unwrap_or_else(|error| panic!("{}: {error}", name(path)));
    assert!(M::from(value).encode_to_vec() == *bytes, "{} is another message now", name(path));
}

#[test]
fn every_om_message_passes_the_edge_unchanged() {
    for (path, bytes) in files("om-grpc") {
        if name(&path).ends_with(".req.bin") {
            same_value_again::<OmRequest, om_calls::OmRequest>(&path, &bytes);
        } else {
            same_value_again::<OmResponse, om_calls::OmResponse>(&path, &bytes);
        }
    }
    for (path, mut frame) in files("rpc") {
        if name(&path).contains(".preamble.") || name(&path).contains(".context.") {
            continue;
        }
        frame.advance(4);
        delimited(&mut frame);
        if name(&path).ends_with(".rsp.bin") {
            same_value_again::<OmResponse, om_calls::OmResponse>(&path, &delimited(&mut frame));
        } else {
            delimited(&mut frame);
            same_value_again::<OmRequest, om_calls::OmRequest>(&path, &delimited(&mut frame));
        }
    }
}

#[test]
fn every_ratis_message_is_read_and_written_back() {
    for (path, bytes) in files("ratis") {
        if name(&path).ends_with(".req.bin") {
            let request: RaftClientRequestProto = same_again(&path, &bytes);
            same_through_ropes::<RaftClientRequestProto>(&path, &bytes);
            let Some(message) = request.message else { continue };
            let command =
                bulk::command_of_content(message.content.clone().into(), SplitLimits::default()).unwrap();
            assert!(bulk::content_of_command(command).join() == message.content, "{}", name(&path));
        } else {
            let reply: RaftClientReplyProto = same_again(&path, &bytes);
            let Some(content) =
                reply.message.map(|message| message.content).filter(|content| !content.is_empty())
            else {
                continue;
            };
            let answer = bulk::response_of_content(content.clone(), SplitLimits::default()).unwrap();
            assert_eq!(answer.encode_to_vec(), content);
        }
    }
}

/// Takes one delimited message off `frame`.
fn delimited(frame: &mut Bytes) -> Bytes {
    let len = prost::decode_length_delimiter(&mut *frame).unwrap();
    frame.split_to(len)
}

#[test]
fn every_hadoop_rpc_frame_is_read_and_written_back() {
    for (path, mut frame) in files("rpc") {
        if name(&path).contains(".preamble.") {
            assert_eq!(frame.as_ref(), b"hrpc\x09\0\0");
            continue;
        }
        assert_eq!(frame.get_u32() as usize, frame.len());
        let head = delimited(&mut frame);
        if name(&path).ends_with(".rsp.bin") {
            same_again::<RpcResponseHeaderProto>(&path, &head);
            same_again::<OmResponse>(&path, &delimited(&mut frame));
        } else {
            same_again::<RpcRequestHeaderProto>(&path, &head);
            if name(&path).contains(".context.") {
                same_again::<IpcConnectionContextProto>(&path, &delimited(&mut frame));
            } else {
                same_again::<RequestHeaderProto>(&path, &delimited(&mut frame));
                same_again::<OmRequest>(&path, &delimited(&mut frame));
            }
        }
        assert!(frame.is_empty(), "{} has more", name(&path));
    }
}

/// The file that the captured client put: byte x of it.
fn put_byte(x: usize) -> u8 {
    (31 * x + 17 * (x >> 8) + 7 * (x >> 16)) as u8
}

#[test]
fn the_captured_clients_checksums_are_ours() {
    const CELL_LEN: usize = 1 << 20;
    let file: Vec<u8> = (0..2_621_440).map(put_byte).collect();
    for (replica, cell) in file.chunks(CELL_LEN).enumerate() {
        let path = Path::new(env!("CARGO_MANIFEST_DIR"))
            .join(format!("tests/golden/dn/put-r{}.WriteChunk.req.bin", replica + 1));
        let request: ContainerCommandRequestProto = decode(std::fs::read(path).unwrap().into()).unwrap();
        let write = request.write_chunk.unwrap();
        let chunk = write.chunk_data.unwrap();
        let sums = chunk.checksum_data;
        let spec = ChecksumSpec::new(ChecksumKind::Crc32, sums.bytes_per_checksum).unwrap();
        assert_eq!(chunk.len, cell.len() as u64);
        assert_eq!(Checksums::compute(spec, cell).joined(), &sums.checksums.concat());
    }
}
