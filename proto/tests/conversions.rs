//! Every conversion keeps every field: message to value to message gives the message again.
#![allow(clippy::unwrap_used, reason = "a test may end where its own data is not there")]

mod support;

use std::fmt::Debug;
use std::sync::LazyLock;

use allotrope_proto::bulk::SplitLimits;
use allotrope_proto::edge::command::{CommandRequest, CommandResponse};
use allotrope_proto::edge::ratis::{RaftReply, RaftRequest};
use allotrope_proto::edge::transfer::UploadPart;
use allotrope_proto::edge::transfer::{Download, DownloadPart};
use allotrope_proto::edge::{
    chunk, hdds, heartbeat, inter_scm, om as om_calls, om_admin, om_bucket, om_inter, om_key, scm_block,
    scm_container, scm_security, secret_key, token,
};
use allotrope_proto::{Checked, Rope, WireError, bulk, container, decode, om, ratis};
use proptest::prelude::*;
use prost::Message;
use support::Protocol;

static CONTAINER: LazyLock<Protocol> =
    LazyLock::new(|| Protocol::of(&["container.proto", "intra_datanode.proto"]));
static HEARTBEAT: LazyLock<Protocol> = LazyLock::new(|| Protocol::of(&["heartbeat.proto"]));
static SCM_BLOCK: LazyLock<Protocol> = LazyLock::new(|| Protocol::of(&["scm_block.proto"]));
static SCM_CONTAINER: LazyLock<Protocol> = LazyLock::new(|| Protocol::of(&["scm_container.proto"]));
static SCM_SECURITY: LazyLock<Protocol> = LazyLock::new(|| Protocol::of(&["scm_security.proto"]));
static SECRET_KEY: LazyLock<Protocol> = LazyLock::new(|| Protocol::of(&["secret_key.proto"]));
static INTER_SCM: LazyLock<Protocol> = LazyLock::new(|| Protocol::of(&["inter_scm.proto"]));
static OM_ADMIN: LazyLock<Protocol> = LazyLock::new(|| Protocol::of(&["om_admin.proto"]));
static OM_INTER: LazyLock<Protocol> = LazyLock::new(|| Protocol::of(&["om_inter.proto"]));
static OM: LazyLock<Protocol> = LazyLock::new(|| Protocol::of(&["om/request.proto"]));
static RATIS: LazyLock<Protocol> = LazyLock::new(|| Protocol::of(&["ratis/raft.proto"]));

/// Message, value and message again.
fn kept<M, V>(protocol: &Protocol, package: &str, seed: u64)
where
    M: Checked + Clone + Debug + PartialEq + From<V>,
    V: TryFrom<M, Error = WireError> + Clone + PartialEq + Debug,
{
    let name = full_name::<M>(package);
    kept_of::<M, V>(&name, protocol.any(&name, seed));
}

fn full_name<M: Checked>(package: &str) -> String {
    if package.is_empty() { M::RULES.name.to_owned() } else { format!("{package}.{}", M::RULES.name) }
}

fn kept_of<M, V>(name: &str, bytes: bytes::Bytes)
where
    M: Checked + Clone + Debug + PartialEq + From<V>,
    V: TryFrom<M, Error = WireError> + Clone + PartialEq + Debug,
{
    let message: M = decode(bytes).unwrap_or_else(|error| panic!("{name}: {error}"));
    let value =
        V::try_from(message.clone()).unwrap_or_else(|error| panic!("{name}: {error:?} in {message:?}"));
    let again = M::from(value.clone());
    assert_eq!(again, message, "{name} changed on its way through");
    // Written and read once more it is the same value.
    assert_eq!(V::try_from(decode(again.encode_to_vec().into()).unwrap()).unwrap(), value);
}

/// The same for each command of an envelope in turn; `placeless` have no field in any message.
fn each_command_kept<M, V>(protocol: &Protocol, package: &str, placeless: &[i32])
where
    M: Checked + Clone + Debug + PartialEq + From<V>,
    V: TryFrom<M, Error = WireError> + Clone + PartialEq + Debug,
{
    let name = full_name::<M>(package);
    for number in protocol.commands(&name) {
        for seed in 0..6 {
            match protocol.command(&name, number, seed) {
                Some(message) => kept_of::<M, V>(&name, message.encode_to_vec().into()),
                None => assert!(placeless.contains(&number), "{name}: where does command {number} go?"),
            }
        }
    }
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
    calls_of_scm_keep_every_field: SCM_CONTAINER "hadoop.hdds.container",
        allotrope_proto::scm_container::ScmContainerLocationRequest => scm_container::LocationRequest,
        allotrope_proto::scm_container::ScmContainerLocationResponse => scm_container::LocationResponse;
    calls_about_certificates_keep_every_field: SCM_SECURITY "hadoop.hdds.security",
        allotrope_proto::scm_security::ScmSecurityRequest => scm_security::SecurityRequest,
        allotrope_proto::scm_security::ScmSecurityResponse => scm_security::SecurityResponse;
    calls_about_secret_keys_keep_every_field: SECRET_KEY "hadoop.hdds.security.symmetric",
        allotrope_proto::secret_key::ScmSecretKeyRequest => secret_key::SecretKeyRequest,
        allotrope_proto::secret_key::ScmSecretKeyResponse => secret_key::SecretKeyResponse;
    checkpoints_between_scms_keep_every_field: INTER_SCM "",
        allotrope_proto::inter_scm::CopyDbCheckpointRequestProto => inter_scm::DownloadCheckpoint,
        allotrope_proto::inter_scm::CopyDbCheckpointResponseProto => inter_scm::CheckpointPart;
    calls_of_oms_administrators_keep_every_field: OM_ADMIN OZONE,
        allotrope_proto::om_admin::OmConfigurationResponse => om_admin::OmConfiguration,
        allotrope_proto::om_admin::DecommissionOmRequest => om_admin::DecommissionOm,
        allotrope_proto::om_admin::DecommissionOmResponse => om_admin::Done,
        allotrope_proto::om_admin::CompactRequest => om_admin::Compact,
        allotrope_proto::om_admin::CompactResponse => om_admin::Done,
        allotrope_proto::om_admin::TriggerSnapshotDefragRequest => om_admin::DefragSnapshots,
        allotrope_proto::om_admin::TriggerSnapshotDefragResponse => om_admin::DefraggedSnapshots;
    calls_between_oms_keep_every_field: OM_INTER OZONE,
        allotrope_proto::om_inter::BootstrapOmRequest => om_inter::Bootstrap,
        allotrope_proto::om_inter::BootstrapOmResponse => om_inter::Bootstrapped;
    archives_are_asked_for_with_every_field: CONTAINER DATANODE,
        container::CopyContainerRequestProto => Download;
    calls_of_om_keep_every_field: OM OZONE,
        om::OmRequest => om_calls::OmRequest,
        om::OmResponse => om_calls::OmResponse;
    values_of_oms_tables_keep_every_field: OM OZONE,
        om::MultipartKeyInfo => om_calls::multipart::MultipartKeyInfo,
        om::MultipartPartInfo => om_calls::multipart::MultipartPartInfo,
        om::SnapshotInfo => om_calls::snapshot::SnapshotInfo,
        om::UserVolumeInfo => om_calls::volume::UserVolumes,
        om::S3Secret => om_calls::tenant::S3Secret,
        om::TenantState => om_calls::tenant::TenantState,
        om::LifecycleConfiguration => om_calls::lifecycle::LifecycleConfiguration,
        om::OmTokenProto => om_calls::token::OmTokenIdentifier;
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
        kept_as_ropes::<container::CopyContainerResponseProto, DownloadPart>(
            &CONTAINER,
            DATANODE,
            seed,
            |frames, limits| bulk::split::<container::CopyContainerResponseProto>(frames, limits)?.try_into(),
            |part| bulk::weave(bulk::Bulky::<container::CopyContainerResponseProto>::from(part)),
        );
        kept_as_ropes::<ratis::RaftClientRequestProto, _>(
            &RATIS, "ratis.common", seed, RaftRequest::read, RaftRequest::frames);
    }
}

#[test]
fn each_of_oms_calls_and_answers_keeps_every_field() {
    // UnknownCommand stands for no call.
    each_command_kept::<om::OmRequest, om_calls::OmRequest>(&OM, OZONE, &[0]);
    each_command_kept::<om::OmResponse, om_calls::OmResponse>(&OM, OZONE, &[0]);
}

#[test]
fn each_of_scms_calls_and_answers_keeps_every_field() {
    use allotrope_proto::{scm_container as c, scm_security as s, secret_key as k};
    const PACKAGE: &str = "hadoop.hdds.container";
    each_command_kept::<c::ScmContainerLocationRequest, scm_container::LocationRequest>(
        &SCM_CONTAINER,
        PACKAGE,
        &[],
    );
    each_command_kept::<c::ScmContainerLocationResponse, scm_container::LocationResponse>(
        &SCM_CONTAINER,
        PACKAGE,
        &[],
    );
    each_command_kept::<s::ScmSecurityRequest, scm_security::SecurityRequest>(
        &SCM_SECURITY,
        "hadoop.hdds.security",
        &[],
    );
    each_command_kept::<s::ScmSecurityResponse, scm_security::SecurityResponse>(
        &SCM_SECURITY,
        "hadoop.hdds.security",
        &[],
    );
    const SYMMETRIC: &str = "hadoop.hdds.security.symmetric";
    each_command_kept::<k::ScmSecretKeyRequest, secret_key::SecretKeyRequest>(&SECRET_KEY, SYMMETRIC, &[]);
    each_command_kept::<k::ScmSecretKeyResponse, secret_key::SecretKeyResponse>(&SECRET_KEY, SYMMETRIC, &[]);
}
