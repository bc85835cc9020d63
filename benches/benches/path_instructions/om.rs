//! What OM does to its tables for a commit.

use allotrope_consensus::{Direction, RawRange, RawScan, Read, TableError};
use allotrope_om::requests::{self, Answer, Plan, Scene, Who, table};
use allotrope_om::settings::Settings;
use allotrope_om::tx::Tx;
use allotrope_proto::hdds::{
    BlockId, ContainerBlockId, Pipeline, PipelineId, ReplicationFactor, ReplicationType,
};
use allotrope_proto::om::{
    BucketInfo, CommitKeyRequest, CreateBucketRequest, CreateKeyRequest, CreateVolumeRequest, KeyArgs,
    KeyLocation, OmRequest, OmResponse, Type, VolumeInfo,
};
use allotrope_types::BucketLayout;

use crate::counted_region;

const KEY_LEN: u64 = 4096;
/// Commits that are counted.
const COMMITS: u64 = 10;
/// When, by the log.
const NOW_MS: u64 = 1000;

/// Empty tables: everything that is known was written above them.
struct Nothing;

impl Read for Nothing {
    fn get_raw(&self, _: &str, _: &[u8]) -> Result<Option<Vec<u8>>, TableError> {
        Ok(None)
    }

    fn scan_raw<'s>(&'s self, _: &str, _: RawRange, _: Direction) -> Result<RawScan<'s>, TableError> {
        Ok(Box::new(std::iter::empty()))
    }
}

/// A request, made ready for the log as the leader does.
fn planned(tx: &Tx<'_>, mut request: OmRequest) -> OmRequest {
    let (settings, who) = (Settings::default(), Who { user: "ann".into(), address: "127.0.0.1".into() });
    let scene = Scene {
        db: tx.db(),
        settings: &settings,
        who: &who,
        now_ms: NOW_MS,
        upload_id: "upload-7",
        random: &|| 7,
    };
    let kind = Type::try_from(request.cmd_type).expect("a request of Ozone's");
    let Some(Answer::Write(plan, _)) = table::find(kind).map(|row| row.answer) else {
        unreachable!("each is a write")
    };
    match plan(&scene, &mut request).unwrap_or_else(|why| panic!("{kind:?}: {why:?}")) {
        Plan::Ready => {}
        Plan::Blocks(wish) => requests::give_blocks(&mut request, vec![location(); wish.count as usize]),
    }
    request
}

fn location() -> KeyLocation {
    let id = ContainerBlockId { container_id: 7, local_id: 11 };
    KeyLocation {
        block_id: BlockId { container_block_id: id, block_commit_sequence_id: Some(0) },
        length: KEY_LEN,
        create_version: Some(0),
        pipeline: Some(Pipeline { id: PipelineId::default(), ..Pipeline::default() }),
        ..KeyLocation::default()
    }
}

/// Applies a request as every member of the group does.
fn apply(tx: &mut Tx<'_>, request: OmRequest) -> OmResponse {
    let kind = Type::try_from(request.cmd_type).expect("a request of Ozone's");
    match table::find(kind).map(|row| row.answer) {
        Some(Answer::Write(_, apply)) => apply(tx, request).unwrap_or_else(|why| panic!("{kind:?}: {why:?}")),
        _ => unreachable!("each is a write"),
    }
}

fn request(kind: Type) -> OmRequest {
    OmRequest { cmd_type: kind as i32, client_id: "client-bench".into(), ..OmRequest::default() }
}

fn args(number: u64) -> KeyArgs {
    KeyArgs {
        volume_name: "vol".into(),
        bucket_name: "bkt".into(),
        key_name: format!("folder/key-{number:08}"),
        data_size: Some(KEY_LEN),
        r#type: Some(ReplicationType::StandAlone as i32),
        factor: Some(ReplicationFactor::One as i32),
        ..KeyArgs::default()
    }
}

/// Ten commits of keys of one block, each in a change of its own.
pub(crate) fn commit_apply() {
    let nothing = Nothing;
    let mut known = Tx::after(&nothing, NOW_MS).expect("nothing is damaged");
    let mut done = |request: OmRequest| {
        let request = planned(&known, request);
        apply(&mut known, request)
    };
    let volume = VolumeInfo {
        volume: "vol".into(),
        admin_name: "ann".into(),
        owner_name: "ann".into(),
        ..VolumeInfo::default()
    };
    done(OmRequest {
        create_volume_request: Some(Box::new(CreateVolumeRequest { volume_info: volume })),
        ..request(Type::CreateVolume)
    });
    let bucket = BucketInfo {
        volume_name: "vol".into(),
        bucket_name: "bkt".into(),
        bucket_layout: Some(BucketLayout::ObjectStore.number()),
        ..BucketInfo::default()
    };
    done(OmRequest {
        create_bucket_request: Some(Box::new(CreateBucketRequest { bucket_info: bucket })),
        ..request(Type::CreateBucket)
    });
    let commits: Vec<OmRequest> = (0..COMMITS)
        .map(|number| {
            let asked = CreateKeyRequest { key_args: args(number), ..CreateKeyRequest::default() };
            let created =
                done(OmRequest { create_key_request: Some(Box::new(asked)), ..request(Type::CreateKey) });
            let session = created.create_key_response.and_then(|created| created.id).expect("a session");
            let key_args = KeyArgs { key_locations: vec![location()], ..args(number) };
            let asked = CommitKeyRequest { key_args, client_id: session, ..CommitKeyRequest::default() };
            OmRequest { commit_key_request: Some(Box::new(asked)), ..request(Type::CommitKey) }
        })
        .collect();
    let commits: Vec<OmRequest> = commits.into_iter().map(|commit| planned(&known, commit)).collect();
    counted_region(|| {
        for commit in commits {
            let mut tx = Tx::after(&known, NOW_MS + 1).expect("nothing is damaged");
            std::hint::black_box(apply(&mut tx, commit));
            std::hint::black_box(tx.into_writes());
        }
    });
}
