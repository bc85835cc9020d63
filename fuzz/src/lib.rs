//! What must hold for any bytes that come from outside.
//!
//! Owns    one function a target: bytes in, nothing out; it panics where a promise is broken. The same functions run under
//!         the fuzzing engine (`./dev fuzz`) and as properties over random and damaged bytes (`cargo test`).
//! Shape   a target is its name, its function, the folders of captures and the kinds of messages its corpus starts from.
//! Never   needs the engine: the binary behind the feature `libfuzzer` does.

use std::fmt::Debug;

use allotrope_proto::bulk::{self, BulkMessage, Bulky, SplitLimits};
use allotrope_proto::edge::chunk::{BlockData, ChunkInfo};
use allotrope_proto::edge::command::{CommandRequest, CommandResponse};
use allotrope_proto::edge::hdds::{ContainerWithPipeline, DatanodeDetails, Pipeline, Token};
use allotrope_proto::edge::heartbeat::apart::{DatanodeResponseApart, ScmDatanodeResponseApart};
use allotrope_proto::edge::heartbeat::{DatanodeRequest, DatanodeResponse};
use allotrope_proto::edge::inter_scm::{CheckpointPart, DownloadCheckpoint};
use allotrope_proto::edge::om as om_calls;
use allotrope_proto::edge::om_admin as admin_calls;
use allotrope_proto::edge::om_bucket::{BucketInfo, PrefixInfo, VolumeInfo};
use allotrope_proto::edge::om_inter::{Bootstrap, Bootstrapped};
use allotrope_proto::edge::om_key::{DirectoryInfo, KeyArgs, KeyInfo, RepeatedKeyInfo};
use allotrope_proto::edge::ratis::{RaftReply, RaftRequest};
use allotrope_proto::edge::scm_block::{BlockRequest, BlockResponse};
use allotrope_proto::edge::scm_container::{LocationRequest, LocationResponse};
use allotrope_proto::edge::scm_security::{SecurityRequest, SecurityResponse};
use allotrope_proto::edge::secret_key::{SecretKeyRequest, SecretKeyResponse};
use allotrope_proto::edge::token::{BlockTokenIdentifier, ContainerTokenIdentifier};
use allotrope_proto::edge::transfer::{Download, DownloadPart, UploadPart};
use allotrope_proto::{
    Checked, Rope, WireError, container, decode, hadoop_rpc, hdds, heartbeat, inter_scm, om, om_admin,
    om_inter, ratis, scm_block, scm_container, scm_security, secret_key,
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
    /// Messages it reads, each by the `.proto` file that leads to it and its full name: some of each are seeds too.
    pub messages: &'static [(&'static str, &'static str)],
    /// Whether the first byte says where the frames of the message behind it are cut.
    pub cuts: bool,
}

macro_rules! targets {
    ($($name:ident: $seeds:expr, [$($file:literal $message:literal),*] $($cuts:ident)?;)*) => {
        /// All of them.
        pub const TARGETS: &[Target] = &[$(Target {
            name: stringify!($name),
            run: $name,
            seeds: $seeds,
            messages: &[$(($file, $message)),*],
            cuts: !matches!(stringify!($($cuts)?).as_bytes(), b""),
        }),*];
    };
}

targets! {
    token: &[], ["hdds.proto" "hadoop.hdds.BlockTokenSecretProto",
        "scm_container.proto" "hadoop.hdds.container.ContainerTokenSecretProto"];
    splitter: &[("dn", ".bin"), ("ratis", ".bin")], [] cuts;
    command: &[("dn", ".req.bin")], ["container.proto" "hadoop.hdds.datanode.ContainerCommandRequestProto"] cuts;
    answer: &[("dn", ".rsp.bin")], ["container.proto" "hadoop.hdds.datanode.ContainerCommandResponseProto"] cuts;
    block: &[], ["container.proto" "hadoop.hdds.datanode.BlockData", "container.proto" "hadoop.hdds.datanode.ChunkInfo"];
    ratis_request: &[("ratis", ".req.bin")], ["ratis/raft.proto" "ratis.common.RaftClientRequestProto"] cuts;
    ratis_reply: &[("ratis", ".rsp.bin")], ["ratis/raft.proto" "ratis.common.RaftClientReplyProto"];
    transfer: &[], ["intra_datanode.proto" "hadoop.hdds.datanode.SendContainerRequest",
        "intra_datanode.proto" "hadoop.hdds.datanode.CopyContainerResponseProto"] cuts;
    datanode_details: &[], ["hdds.proto" "hadoop.hdds.DatanodeDetailsProto"];
    pipeline: &[], ["hdds.proto" "hadoop.hdds.Pipeline", "hdds.proto" "hadoop.hdds.ContainerWithPipeline"];
    heartbeat: &[], ["heartbeat.proto" "hadoop.hdds.SCMDatanodeRequest", "heartbeat.proto" "hadoop.hdds.SCMDatanodeResponse"];
    scm_block: &[], ["scm_block.proto" "hadoop.hdds.block.SCMBlockLocationRequest",
        "scm_block.proto" "hadoop.hdds.block.SCMBlockLocationResponse"];
    scm_container: &[], ["scm_container.proto" "hadoop.hdds.container.ScmContainerLocationRequest",
        "scm_container.proto" "hadoop.hdds.container.ScmContainerLocationResponse"];
    scm_security: &[], ["scm_security.proto" "hadoop.hdds.security.SCMSecurityRequest",
        "scm_security.proto" "hadoop.hdds.security.SCMSecurityResponse"];
    secret_key: &[], ["secret_key.proto" "hadoop.hdds.security.symmetric.SCMSecretKeyRequest",
        "secret_key.proto" "hadoop.hdds.security.symmetric.SCMSecretKeyResponse"];
    inter_scm: &[], ["inter_scm.proto" "CopyDBCheckpointRequestProto", "inter_scm.proto" "CopyDBCheckpointResponseProto"];
    om_key: &[], ["om/key.proto" "hadoop.ozone.KeyArgs", "om/key.proto" "hadoop.ozone.KeyInfo"];
    om_bucket: &[], ["om/volume.proto" "hadoop.ozone.VolumeInfo", "om/bucket.proto" "hadoop.ozone.BucketInfo"];
    om_request: &[("om-grpc", ".req.bin")], ["om/request.proto" "hadoop.ozone.OMRequest"];
    om_response: &[("om-grpc", ".rsp.bin")], ["om/request.proto" "hadoop.ozone.OMResponse"];
    om_tables: &[], ["om/multipart.proto" "hadoop.ozone.MultipartKeyInfo", "om/snapshot.proto" "hadoop.ozone.SnapshotInfo",
        "om/acl.proto" "hadoop.ozone.PrefixInfo", "om/lifecycle.proto" "hadoop.ozone.LifecycleConfiguration"];
    om_admin: &[], ["om_admin.proto" "hadoop.ozone.OMConfigurationResponse", "om_inter.proto" "hadoop.ozone.BootstrapOMRequest"];
    hadoop_frames: &[("rpc", ".bin"), ("rpc-errors", ".req.bin")], [];
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
    converts::<scm_container::ContainerTokenSecretProto, ContainerTokenIdentifier>(data);
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

/// Blocks and chunks.
pub fn block(data: &[u8]) {
    converts::<container::BlockData, BlockData>(data);
    converts::<container::ChunkInfo, ChunkInfo>(data);
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
    converts::<container::CopyContainerRequestProto, Download>(data);
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
    // Command by command an answer is read wherever it is read as a whole.
    let bytes = Bytes::copy_from_slice(data);
    let whole = decode::<heartbeat::ScmDatanodeResponse>(bytes.clone()).and_then(DatanodeResponse::try_from);
    let apart = decode::<ScmDatanodeResponseApart>(bytes).and_then(DatanodeResponseApart::try_from);
    assert!(whole.is_err() || apart.is_ok(), "{whole:?} and {apart:?}");
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

/// Administrators, OM and Recon to SCM and back.
pub fn scm_container(data: &[u8]) {
    converts::<scm_container::ScmContainerLocationRequest, LocationRequest>(data);
    converts::<scm_container::ScmContainerLocationResponse, LocationResponse>(data);
}

/// Certificates.
pub fn scm_security(data: &[u8]) {
    converts::<scm_security::ScmSecurityRequest, SecurityRequest>(data);
    converts::<scm_security::ScmSecurityResponse, SecurityResponse>(data);
}

/// Secret keys.
pub fn secret_key(data: &[u8]) {
    converts::<secret_key::ScmSecretKeyRequest, SecretKeyRequest>(data);
    converts::<secret_key::ScmSecretKeyResponse, SecretKeyResponse>(data);
}

/// Checkpoints between SCMs.
pub fn inter_scm(data: &[u8]) {
    converts::<inter_scm::CopyDbCheckpointRequestProto, DownloadCheckpoint>(data);
    converts::<inter_scm::CopyDbCheckpointResponseProto, CheckpointPart>(data);
}

/// Everything that is asked of OM.
pub fn om_request(data: &[u8]) {
    converts::<om::OmRequest, om_calls::OmRequest>(data);
}

/// Everything that OM says.
pub fn om_response(data: &[u8]) {
    converts::<om::OmResponse, om_calls::OmResponse>(data);
}

/// What OM's tables hold beside keys, buckets and volumes.
pub fn om_tables(data: &[u8]) {
    converts::<om::MultipartKeyInfo, om_calls::multipart::MultipartKeyInfo>(data);
    converts::<om::MultipartPartInfo, om_calls::multipart::MultipartPartInfo>(data);
    converts::<om::SnapshotInfo, om_calls::snapshot::SnapshotInfo>(data);
    converts::<om::LifecycleConfiguration, om_calls::lifecycle::LifecycleConfiguration>(data);
    converts::<om::OmTokenProto, om_calls::token::OmTokenIdentifier>(data);
    converts::<om::S3Secret, om_calls::tenant::S3Secret>(data);
    converts::<om::TenantState, om_calls::tenant::TenantState>(data);
    converts::<om::PrefixInfo, PrefixInfo>(data);
    converts::<om::DirectoryInfo, DirectoryInfo>(data);
    converts::<om::RepeatedKeyInfo, RepeatedKeyInfo>(data);
}

/// Administrators to OM, and OM to OM.
pub fn om_admin(data: &[u8]) {
    converts::<om_admin::OmConfigurationResponse, admin_calls::OmConfiguration>(data);
    converts::<om_admin::DecommissionOmRequest, admin_calls::DecommissionOm>(data);
    converts::<om_admin::CompactRequest, admin_calls::Compact>(data);
    converts::<om_admin::TriggerSnapshotDefragResponse, admin_calls::DefraggedSnapshots>(data);
    converts::<om_inter::BootstrapOmRequest, Bootstrap>(data);
    converts::<om_inter::BootstrapOmResponse, Bootstrapped>(data);
}
