//! What must hold for any bytes that come from outside.
//!
//! Owns    one function a target: bytes in, nothing out; it panics where a promise is broken. The same functions run under
//!         the fuzzing engine (`./dev fuzz`) and as properties over random and damaged bytes (`cargo test`).
//! Shape   a target is its name, its function, and the folders of seeds its corpus starts from.
//! Never   needs the engine: the binary behind the feature `libfuzzer` does.

use std::fmt::Debug;

use allotrope_proto::bulk::{self, BulkMessage, Bulky, SplitLimits};
use allotrope_proto::edge::command::{CommandRequest, CommandResponse};
use allotrope_proto::edge::hdds::{ContainerWithPipeline, DatanodeDetails, Pipeline, Token};
use allotrope_proto::edge::heartbeat::{DatanodeRequest, DatanodeResponse};
use allotrope_proto::edge::om_bucket::{BucketInfo, VolumeInfo};
use allotrope_proto::edge::om_key::{KeyArgs, KeyInfo};
use allotrope_proto::edge::ratis::{RaftReply, RaftRequest};
use allotrope_proto::edge::scm_block::{BlockRequest, BlockResponse};
use allotrope_proto::edge::token::BlockTokenIdentifier;
use allotrope_proto::edge::transfer::{DownloadPart, UploadPart};
use allotrope_proto::{
    Checked, Rope, WireError, container, decode, hadoop_rpc, hdds, heartbeat, om, ratis, scm_block,
};
use bytes::Bytes;

/// A thing that must hold for any bytes.
#[derive(Clone, Copy)]
pub struct Target {
    /// What `./dev fuzz` calls it.
    pub name: &'static str,
    /// Panics if a promise is broken.
    pub run: fn(&[u8]),
    /// Folders under `proto/tests/golden` whose files are seeds, and how a file's name must end.
    pub seeds: &'static [(&'static str, &'static str)],
}

macro_rules! targets {
    ($($name:ident: $seeds:expr;)*) => {
        /// All of them.
        pub const TARGETS: &[Target] =
            &[$(Target { name: stringify!($name), run: $name, seeds: $seeds }),*];
    };
}

targets! {
    token: &[];
    splitter: &[("dn", ".bin"), ("ratis", ".bin")];
    command: &[("dn", ".req.bin")];
    answer: &[("dn", ".rsp.bin")];
    ratis_request: &[("ratis", ".req.bin")];
    ratis_reply: &[("ratis", ".rsp.bin")];
    transfer: &[];
    datanode_details: &[];
    pipeline: &[];
    heartbeat: &[];
    scm_block: &[];
    om_key: &[];
    om_bucket: &[];
    om_message: &[("om-grpc", ".bin")];
    hadoop_frames: &[("rpc", ".bin"), ("rpc-errors", ".req.bin")];
}

/// The first byte chooses where frames are cut, the rest is the message.
fn frames(data: &[u8]) -> Rope {
    let Some((&cut, message)) = data.split_first() else { return Rope::new() };
    message.chunks(usize::from(cut).max(1)).map(Bytes::copy_from_slice).collect()
}

const LIMITS: SplitLimits = SplitLimits { head_len_max: 1 << 20, bulk_fields_max: 64 };

/// A message that converts gives, written and read again, the same value.
fn converts<M, V>(data: &[u8])
where
    M: Checked + From<V>,
    V: TryFrom<M, Error = WireError> + Clone + PartialEq + Debug,
{
    let Ok(message) = decode::<M>(Bytes::copy_from_slice(data)) else { return };
    let Ok(value) = V::try_from(message) else { return };
    let written = M::from(value.clone()).encode_to_vec();
    let again = V::try_from(decode::<M>(written.into()).expect("what was written is read"));
    assert_eq!(again.expect("what converted once converts again"), value);
}

/// The same for messages with bulk bytes.
fn converts_as_ropes<V: Clone + PartialEq + Debug>(
    data: &[u8],
    read: impl Fn(Rope, SplitLimits) -> Result<V, WireError>,
    write: impl Fn(V) -> Rope,
) {
    let Ok(value) = read(frames(data), LIMITS) else { return };
    let again = read(write(value.clone()), SplitLimits::default());
    assert_eq!(again.expect("what converted once converts again"), value);
}

/// Text that is a token is written the same way, up to base64's padding and spare bits.
pub fn token(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    if let Ok(token) = Token::from_text(text) {
        assert_eq!(Token::from_text(&token.to_text()), Ok(token.clone()));
        let _ = BlockTokenIdentifier::read(token.identifier);
    }
    converts::<hdds::BlockTokenSecretProto, BlockTokenIdentifier>(data);
}

/// A server reads whatever a client sends, from the first byte on and after a good beginning.
pub fn hadoop_frames(data: &[u8]) {
    const FRAME_LEN_MAX: u32 = 1 << 20;
    const PREAMBLE: &[u8] = b"hrpc\x09\x00\x00";
    hadoop_rpc::parse_client_bytes(data, FRAME_LEN_MAX);
    hadoop_rpc::parse_client_bytes(&[PREAMBLE, data].concat(), FRAME_LEN_MAX);
}

/// The splitter takes nothing that prost refuses, loses no byte, and copies no bulk byte.
pub fn splitter(data: &[u8]) {
    fn splits<M: BulkMessage + PartialEq + Debug>(frames: &Rope) {
        let Ok(bulky) = bulk::split::<M>(frames.clone(), LIMITS) else { return };
        let inside = |piece: &Bytes| {
            frames.pieces().any(|frame| {
                let (frame, piece) = (frame.as_ptr_range(), piece.as_ptr_range());
                frame.start <= piece.start && piece.end <= frame.end
            })
        };
        for rope in &bulky.bulk {
            assert!(rope.pieces().all(inside), "bulk bytes were copied");
        }
        let whole = decode::<M>(frames.clone().join()).expect("what splits decodes");
        let woven = bulk::weave(Bulky { message: bulky.message, bulk: bulky.bulk });
        assert_eq!(decode::<M>(woven.join()).expect("what is woven decodes"), whole);
    }
    let frames = frames(data);
    splits::<container::ContainerCommandRequestProto>(&frames);
    splits::<container::ContainerCommandResponseProto>(&frames);
    splits::<container::SendContainerRequest>(&frames);
    splits::<container::CopyContainerResponseProto>(&frames);
    splits::<ratis::RaftClientRequestProto>(&frames);
    if let Ok(command) = bulk::command_of_content(frames.clone(), LIMITS) {
        let _ = CommandRequest::try_from(command);
    }
    let mut stream = bulk::GrpcMessages::new(1 << 16);
    frames.into_iter().for_each(|frame| stream.push(frame));
    while let Ok(Some(message)) = stream.next_message() {
        assert!(message.len() <= 1 << 16);
    }
}

/// A datanode's requests.
pub fn command(data: &[u8]) {
    converts_as_ropes(data, CommandRequest::read, CommandRequest::frames);
}

/// A datanode's answers.
pub fn answer(data: &[u8]) {
    converts_as_ropes(data, CommandResponse::read, CommandResponse::frames);
}

/// Ratis requests, and the command inside.
pub fn ratis_request(data: &[u8]) {
    converts_as_ropes(data, RaftRequest::read, RaftRequest::frames);
    let Ok(request) = RaftRequest::read(frames(data), LIMITS) else { return };
    let Some(Ok(command)) = request.content.map(|content| bulk::command_of_content(content, LIMITS)) else {
        return;
    };
    let _ = CommandRequest::try_from(command);
}

/// Ratis replies.
pub fn ratis_reply(data: &[u8]) {
    converts::<ratis::RaftClientReplyProto, RaftReply>(data);
}

/// Parts of container archives.
pub fn transfer(data: &[u8]) {
    converts_as_ropes(data, UploadPart::read, UploadPart::frames);
    let read =
        |frames, limits| bulk::split::<container::CopyContainerResponseProto>(frames, limits)?.try_into();
    converts_as_ropes(data, read, |part: DownloadPart| {
        bulk::weave(Bulky::<container::CopyContainerResponseProto>::from(part))
    });
}

/// Datanodes with their ids and ports.
pub fn datanode_details(data: &[u8]) {
    converts::<hdds::DatanodeDetailsProto, DatanodeDetails>(data);
}

/// Pipelines, and containers with theirs.
pub fn pipeline(data: &[u8]) {
    converts::<hdds::Pipeline, Pipeline>(data);
    converts::<hdds::ContainerWithPipeline, ContainerWithPipeline>(data);
}

/// Datanodes to SCM and back.
pub fn heartbeat(data: &[u8]) {
    converts::<heartbeat::ScmDatanodeRequest, DatanodeRequest>(data);
    converts::<heartbeat::ScmDatanodeResponse, DatanodeResponse>(data);
}

/// OM to SCM and back.
pub fn scm_block(data: &[u8]) {
    converts::<scm_block::ScmBlockLocationRequest, BlockRequest>(data);
    converts::<scm_block::ScmBlockLocationResponse, BlockResponse>(data);
}

/// Keys.
pub fn om_key(data: &[u8]) {
    converts::<om::KeyArgs, KeyArgs>(data);
    converts::<om::KeyInfo, KeyInfo>(data);
}

/// Volumes and buckets.
pub fn om_bucket(data: &[u8]) {
    converts::<om::VolumeInfo, VolumeInfo>(data);
    converts::<om::BucketInfo, BucketInfo>(data);
}

/// OM's whole messages: what decodes lacks nothing, so what is written decodes again.
pub fn om_message(data: &[u8]) {
    fn again<M: Checked>(data: &[u8]) {
        if let Ok(message) = decode::<M>(Bytes::copy_from_slice(data)) {
            decode::<M>(message.encode_to_vec().into()).expect("what was written is read");
        }
    }
    again::<om::OmRequest>(data);
    again::<om::OmResponse>(data);
}
