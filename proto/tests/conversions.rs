//! Every conversion keeps every field: message to value to message gives the message again.
#![allow(clippy::unwrap_used, reason = "a test may end where its own data is not there")]

mod support;

use std::fmt::Debug;
use std::sync::LazyLock;

use allotrope_proto::bulk::SplitLimits;
use allotrope_proto::edge::command::{CommandRequest, CommandResponse};
use allotrope_proto::edge::ratis::{RaftReply, RaftRequest};
use allotrope_proto::edge::transfer::UploadPart;
use allotrope_proto::edge::{chunk, hdds, heartbeat, om_bucket, om_key, scm_block, token};
use allotrope_proto::{Checked, Rope, WireError, container, decode, om, ratis};
use proptest::prelude::*;
use support::Protocol;

static CONTAINER: LazyLock<Protocol> =
    LazyLock::new(|| Protocol::of(&["container.proto", "intra_datanode.proto"]));
static HEARTBEAT: LazyLock<Protocol> = LazyLock::new(|| Protocol::of(&["heartbeat.proto"]));
static SCM_BLOCK: LazyLock<Protocol> = LazyLock::new(|| Protocol::of(&["scm_block.proto"]));
static SCM_CONTAINER: LazyLock<Protocol> = LazyLock::new(|| Protocol::of(&["scm_container.proto"]));
static OM: LazyLock<Protocol> = LazyLock::new(|| Protocol::of(&["om/request.proto"]));
static RATIS: LazyLock<Protocol> = LazyLock::new(|| Protocol::of(&["ratis/raft.proto"]));

/// Message, value and message again.
fn kept<M, V>(protocol: &Protocol, package: &str, seed: u64)
where
    M: Checked + Clone + Debug + PartialEq + From<V>,
    V: TryFrom<M, Error = WireError> + Clone + PartialEq + Debug,
{
    let name = format!("{package}.{}", M::RULES.name);
    let message: M = decode(protocol.any(&name, seed)).unwrap_or_else(|error| panic!("{name}: {error}"));
    let value =
        V::try_from(message.clone()).unwrap_or_else(|error| panic!("{name}: {error:?} in {message:?}"));
    let again = M::from(value.clone());
    assert_eq!(again, message, "{name} changed on its way through");
    // Written and read once more it is the same value.
    assert_eq!(V::try_from(decode(again.encode_to_vec().into()).unwrap()).unwrap(), value);
}

/// The same for messages with bulk bytes, which pass as ropes.
fn kept_as_ropes<M: Checked + Debug + PartialEq, V: Clone + PartialEq + Debug>(
    protocol: &Protocol,
    package: &str,
    seed: u64,
    read: impl Fn(Rope, SplitLimits) -> Result<V, WireError>,
    frames: impl Fn(V) -> Rope,
) {
    let name = format!("{package}.{}", M::RULES.name);
    let bytes = protocol.any(&name, seed);
    let message: M = decode(bytes.clone()).unwrap();
    let pieces = (0..bytes.len()).step_by(11).map(|at| bytes.slice(at..bytes.len().min(at + 11)));
    let value = read(pieces.collect(), SplitLimits::default())
        .unwrap_or_else(|error| panic!("{error} in {message:?}"));
    let again = frames(value.clone());
    assert_eq!(decode::<M>(again.clone().join()).unwrap(), message, "{name} changed on its way through");
    assert_eq!(read(again, SplitLimits::default()), Ok(value));
}

const DATANODE: &str = "hadoop.hdds.datanode";
const HDDS: &str = "hadoop.hdds";
const OZONE: &str = "hadoop.ozone";

macro_rules! kept {
    ($($test:ident: $protocol:ident $package:expr, $($message:ty => $value:ty),+ $(,)?;)*) => {
        proptest! {
            $(#[test]
            fn $test(seed: u64) {
                $(kept::<$message, $value>(&$protocol, $package, seed);)+
            })*
        }
    };
}

kept! {
    chunks_and_blocks_keep_every_field: CONTAINER DATANODE,
        container::ChunkInfo => chunk::ChunkInfo,
        container::BlockData => chunk::BlockData;
    datanodes_pipelines_and_containers_keep_every_field: HEARTBEAT HDDS,
        allotrope_proto::hdds::DatanodeDetailsProto => hdds::DatanodeDetails,
        allotrope_proto::hdds::ExtendedDatanodeDetailsProto => hdds::ExtendedDatanodeDetails,
        allotrope_proto::hdds::Pipeline => hdds::Pipeline,
        allotrope_proto::hdds::ContainerInfoProto => hdds::ContainerInfo,
        allotrope_proto::hdds::ContainerWithPipeline => hdds::ContainerWithPipeline,
        allotrope_proto::hdds::ExcludeListProto => hdds::ExcludeList,
        allotrope_proto::hdds::Node => hdds::Node,
        allotrope_proto::hdds::TokenProto => hdds::Token,
        allotrope_proto::hdds::BlockTokenSecretProto => token::BlockTokenIdentifier;
    heartbeats_and_commands_keep_every_field: HEARTBEAT HDDS,
        allotrope_proto::heartbeat::ScmDatanodeRequest => heartbeat::DatanodeRequest,
        allotrope_proto::heartbeat::ScmDatanodeResponse => heartbeat::DatanodeResponse,
        allotrope_proto::heartbeat::ScmCommandProto => heartbeat::ScmCommand;
    block_calls_keep_every_field: SCM_BLOCK "hadoop.hdds.block",
        allotrope_proto::scm_block::ScmBlockLocationRequest => scm_block::BlockRequest,
        allotrope_proto::scm_block::ScmBlockLocationResponse => scm_block::BlockResponse;
    container_tokens_keep_every_field: SCM_CONTAINER "hadoop.hdds.container",
        allotrope_proto::scm_container::ContainerTokenSecretProto => token::ContainerTokenIdentifier;
    keys_keep_every_field: OM OZONE,
        om::KeyArgs => om_key::KeyArgs,
        om::KeyInfo => om_key::KeyInfo,
        om::KeyLocation => om_key::KeyLocation,
        om::KeyInfoProtoLight => om_key::KeyInfoLight,
        om::BasicKeyInfo => om_key::BasicKeyInfo,
        om::RepeatedKeyInfo => om_key::RepeatedKeyInfo,
        om::DirectoryInfo => om_key::DirectoryInfo,
        om::OzoneFileStatusProto => om_key::OzoneFileStatus,
        om::OzoneFileStatusProtoLight => om_key::OzoneFileStatusLight;
    volumes_and_buckets_keep_every_field: OM OZONE,
        om::VolumeInfo => om_bucket::VolumeInfo,
        om::BucketInfo => om_bucket::BucketInfo,
        om::BucketArgs => om_bucket::BucketArgs,
        om::OzoneAclInfo => om_bucket::Acl,
        om::OzoneObj => om_bucket::OzoneObj,
        om::PrefixInfo => om_bucket::PrefixInfo;
    ratis_replies_keep_every_field: RATIS "ratis.common",
        ratis::RaftClientReplyProto => RaftReply;
}

proptest! {
    #[test]
    fn commands_and_answers_keep_every_field(seed: u64) {
        kept_as_ropes::<container::ContainerCommandRequestProto, _>(
            &CONTAINER, DATANODE, seed, CommandRequest::read, CommandRequest::frames);
        kept_as_ropes::<container::ContainerCommandResponseProto, _>(
            &CONTAINER, DATANODE, seed, CommandResponse::read, CommandResponse::frames);
        kept_as_ropes::<container::SendContainerRequest, _>(
            &CONTAINER, DATANODE, seed, UploadPart::read, UploadPart::frames);
        kept_as_ropes::<ratis::RaftClientRequestProto, _>(
            &RATIS, "ratis.common", seed, RaftRequest::read, RaftRequest::frames);
    }
}
