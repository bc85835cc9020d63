//! A namespace in memory and the words to ask it things.

use std::collections::BTreeMap;
use std::ops::Bound;

use allotrope_consensus::{Direction, RawRange, RawScan, Read, TableError};
use allotrope_proto::hdds::{
    BlockId, ContainerBlockId, DefaultReplicationConfig, EcReplicationConfig, Pipeline, PipelineId,
};
use allotrope_proto::om::*;
use allotrope_types::{BucketLayout, OmStatus};
use prost::Message as _;

use crate::machine::{self, Envelope};
use crate::requests::{self, Answer, BlockWish, Plan, Scene, Who, table};
use crate::settings::Settings;
use crate::tx::{Db, Tx};

/// Tables as a sorted map.
#[derive(Clone, Default, Debug, PartialEq)]
pub(crate) struct Tables(BTreeMap<(String, Vec<u8>), Vec<u8>>);

impl Read for Tables {
    fn get_raw(&self, table: &str, key: &[u8]) -> Result<Option<Vec<u8>>, TableError> {
        Ok(self.0.get(&(table.to_owned(), key.to_vec())).cloned())
    }

    fn scan_raw<'s>(
        &'s self,
        table: &str,
        range: RawRange,
        way: Direction,
    ) -> Result<RawScan<'s>, TableError> {
        let in_table = |bound: Bound<Vec<u8>>| bound.map(|key| (table.to_owned(), key));
        let from = match range.0 {
            Bound::Unbounded => Bound::Included((table.to_owned(), Vec::new())),
            bound => in_table(bound),
        };
        let to = match range.1 {
            Bound::Unbounded => Bound::Excluded((format!("{table}\0"), Vec::new())),
            bound => in_table(bound),
        };
        let pairs = self.0.range((from, to)).map(|((_, key), value)| Ok((key.clone(), value.clone())));
        assert_eq!(way, Direction::Up);
        Ok(Box::new(pairs))
    }
}

pub(crate) struct World {
    pub(crate) tables: Tables,
    pub(crate) settings: Settings,
    pub(crate) user: String,
    pub(crate) now_ms: u64,
    pub(crate) blocks_given: i64,
}

pub(crate) const ONE_BLOCK: u64 = 1 << 20;

impl World {
    /// An empty namespace whose blocks are 1 MiB.
    pub(crate) fn new() -> World {
        let settings = Settings { block_size: ONE_BLOCK, ..Settings::default() };
        World { tables: Tables::default(), settings, user: "ann".into(), now_ms: 1000, blocks_given: 0 }
    }

    /// With volume `v` and bucket `b` of `layout`, whose keys have one copy.
    pub(crate) fn with_bucket(layout: BucketLayout) -> World {
        let mut world = World::new();
        world.ok(create_volume("vol"));
        let mut bucket = bucket("vol", "bkt");
        bucket.bucket_layout = Some(layout.number());
        bucket.default_replication_config = Some(one_copy());
        world.ok(create_bucket(bucket));
        world
    }

    /// Asks as a server would: a read from the tables, a write planned, given blocks, put through the log's encoding and applied.
    pub(crate) fn ask(&mut self, mut request: OmRequest) -> OmResponse {
        let who = Who { user: self.user.clone(), address: "127.0.0.1".into() };
        let envelope = Envelope::of(&request);
        self.now_ms += 1;
        let row = table::find(Type::try_from(request.cmd_type).unwrap()).unwrap();
        let db = Db::new(&self.tables);
        let scene = Scene {
            db,
            settings: &self.settings,
            who: &who,
            now_ms: self.now_ms,
            upload_id: "upload-7",
            random: &|| 7,
        };
        if let Err(refusal) = requests::check_access(&scene, &request) {
            return envelope.answer(Err(refusal)).unwrap();
        }
        match row.answer {
            Answer::Read(read) => envelope.answer(read(&scene, request)).unwrap(),
            Answer::Write(plan, _) => {
                match plan(&scene, &mut request) {
                    Ok(Plan::Ready) => {}
                    Ok(Plan::Blocks(wish)) => requests::give_blocks(&mut request, self.allocate(&wish)),
                    Err(refusal) => return envelope.answer(Err(refusal)).unwrap(),
                }
                self.apply(request)
            }
            other => panic!("{:?} is answered by {other:?}", row.request),
        }
    }

    /// A page of the bucket's versions.
    pub(crate) fn list_versions(&self, asked: &ListMultipartUploadsRequest) -> ListKeysResponse {
        let who = Who::default();
        let scene = Scene {
            db: Db::new(&self.tables),
            settings: &self.settings,
            who: &who,
            now_ms: self.now_ms,
            upload_id: "",
            random: &|| 7,
        };
        requests::list_versions(&scene, asked).unwrap()
    }

    /// Puts `request` through the log's encoding and applies it.
    pub(crate) fn apply(&mut self, request: OmRequest) -> OmResponse {
        let request = OmRequest::decode(request.encode_to_vec().as_slice()).unwrap();
        let before = self.tables.clone();
        let mut tx = Tx::after(&self.tables, self.now_ms).unwrap();
        let response = machine::apply(&mut tx, request).unwrap();
        for (table, key, value) in tx.into_writes().into_raw().collect::<Vec<_>>() {
            match value {
                Some(value) => self.tables.0.insert((table.to_owned(), key), value),
                None => self.tables.0.remove(&(table.to_owned(), key)),
            };
        }
        let partial = [OmStatus::PartialDelete.number(), OmStatus::PartialRename.number()];
        if response.success == Some(false) && !partial.contains(&response.status) {
            assert_eq!(before, self.tables, "a refused request changes nothing");
        }
        response
    }

    fn allocate(&mut self, wish: &BlockWish) -> Vec<KeyLocation> {
        (0..wish.count)
            .map(|_| {
                self.blocks_given += 1;
                let id = ContainerBlockId { container_id: 7, local_id: self.blocks_given };
                KeyLocation {
                    block_id: BlockId { container_block_id: id, block_commit_sequence_id: Some(0) },
                    offset: 0,
                    length: wish.size,
                    create_version: Some(0),
                    pipeline: Some(Pipeline { id: PipelineId::default(), ..Pipeline::default() }),
                    ..KeyLocation::default()
                }
            })
            .collect()
    }

    /// Asks, and expects success.
    pub(crate) fn ok(&mut self, request: OmRequest) -> OmResponse {
        let response = self.ask(request);
        assert_eq!(status(&response), OmStatus::Ok, "{:?}", response.message);
        assert_eq!(response.success, Some(true));
        response
    }

    /// Asks, and expects a refusal with `wanted`.
    pub(crate) fn refused(&mut self, request: OmRequest, wanted: OmStatus) -> OmResponse {
        let response = self.ask(request);
        assert_eq!(status(&response), wanted, "{:?}", response.message);
        assert_eq!(response.success, Some(false));
        assert!(response.message.as_ref().is_some_and(|text| !text.is_empty()));
        response
    }

    /// Asks, and expects that a part was done.
    pub(crate) fn refused_partly(&mut self, request: OmRequest) -> OmResponse {
        let response = self.ask(request);
        assert_eq!(response.success, Some(false));
        response
    }

    /// The keys of the rows of a table.
    pub(crate) fn rows(&self, table: &str) -> Vec<String> {
        let rows = self.tables.0.keys().filter(|(name, _)| name == table);
        rows.map(|(_, key)| String::from_utf8(key.clone()).unwrap()).collect()
    }

    /// Writes a key of `size` bytes in one go.
    pub(crate) fn write(&mut self, key: &str, size: u64) {
        let (session, locations) = self.open(key, size);
        self.ok(commit_key(key, session, size, locations));
    }

    /// Opens a session for a key of `size` bytes: its id, and the locations with the lengths that a client would write.
    pub(crate) fn open(&mut self, key: &str, size: u64) -> (u64, Vec<KeyLocation>) {
        let mut args = key_args(key);
        args.data_size = Some(size);
        let response = self.ok(create_key(args)).create_key_response.unwrap();
        let mut left = size;
        let mut locations = response.key_info.unwrap().key_location_list.pop().unwrap().key_locations;
        for location in &mut locations {
            location.length = left.min(ONE_BLOCK);
            left -= location.length;
        }
        (response.id.unwrap(), locations)
    }

    pub(crate) fn key(&mut self, key: &str) -> KeyInfo {
        self.ok(get_key_info(key)).get_key_info_response.unwrap().key_info.unwrap()
    }

    pub(crate) fn bucket(&mut self) -> BucketInfo {
        self.ok(info_bucket("vol", "bkt")).info_bucket_response.unwrap().bucket_info.unwrap()
    }

    /// (bytes, names) in use.
    pub(crate) fn usage(&mut self) -> (u64, u64) {
        let bucket = self.bucket();
        (bucket.used_bytes(), bucket.used_namespace())
    }

    /// Changes what a bucket's row says of its usage.
    pub(crate) fn correct(&mut self, volume: &str, bucket: &str, bytes: i64, names: i64) {
        let count = BucketQuotaCount {
            vol_name: volume.into(),
            bucket_name: bucket.into(),
            diff_used_bytes: bytes,
            diff_used_namespace: names,
            ..BucketQuotaCount::default()
        };
        let asked = QuotaRepairRequest { bucket_count: vec![count], support_volume_old_quota: false };
        let asked = OmRequest { quota_repair_request: Some(Box::new(asked)), ..request(Type::QuotaRepair) };
        assert_eq!(self.apply(asked).success, Some(true));
    }

    /// How many blocks await deletion.
    pub(crate) fn buried(&self) -> usize {
        let rows = self.tables.0.iter().filter(|((table, _), _)| table == "deletedTable");
        let keys = rows.flat_map(|(_, value)| RepeatedKeyInfo::decode(value.as_slice()).unwrap().key_info);
        keys.map(|key| crate::namespace::keys::blocks(&key).count()).sum()
    }

    /// Ends the sessions of these rows, as the expiry service asks for it.
    pub(crate) fn end_sessions(&mut self, rows: &[String]) {
        let keys = rows.iter().map(|name| OpenKey { name: name.clone(), client_id: None }).collect();
        let bucket = OpenKeyBucket { keys, ..OpenKeyBucket::default() };
        let asked = DeleteOpenKeysRequest { open_keys_per_bucket: vec![bucket], bucket_layout: None };
        let asked =
            OmRequest { delete_open_keys_request: Some(Box::new(asked)), ..request(Type::DeleteOpenKeys) };
        assert_eq!(self.apply(asked).success, Some(true));
    }

    pub(crate) fn count(&self, table: &str) -> usize {
        self.tables.0.keys().filter(|(name, _)| name == table).count()
    }
}

pub(crate) fn status(response: &OmResponse) -> OmStatus {
    OmStatus::from_number(response.status).unwrap()
}

pub(crate) fn one_copy() -> DefaultReplicationConfig {
    DefaultReplicationConfig { r#type: 2, factor: Some(1), ec_replication_config: None }
}

pub(crate) fn ec() -> EcReplicationConfig {
    EcReplicationConfig { data: 3, parity: 2, codec: "rs".into(), ec_chunk_size: 1 << 20 }
}

pub(crate) fn request(kind: Type) -> OmRequest {
    OmRequest { cmd_type: kind as i32, client_id: "test".into(), ..OmRequest::default() }
}

pub(crate) fn create_volume(name: &str) -> OmRequest {
    let volume_info = VolumeInfo {
        admin_name: "ann".into(),
        owner_name: "ann".into(),
        volume: name.into(),
        ..VolumeInfo::default()
    };
    OmRequest {
        create_volume_request: Some(Box::new(CreateVolumeRequest { volume_info })),
        ..request(Type::CreateVolume)
    }
}

pub(crate) fn info_volume(name: &str) -> OmRequest {
    let asked = InfoVolumeRequest { volume_name: name.into() };
    OmRequest { info_volume_request: Some(Box::new(asked)), ..request(Type::InfoVolume) }
}

pub(crate) fn delete_volume(name: &str) -> OmRequest {
    let asked = DeleteVolumeRequest { volume_name: name.into() };
    OmRequest { delete_volume_request: Some(Box::new(asked)), ..request(Type::DeleteVolume) }
}

pub(crate) fn bucket(volume: &str, name: &str) -> BucketInfo {
    BucketInfo {
        volume_name: volume.into(),
        bucket_name: name.into(),
        bucket_layout: Some(BucketLayout::ObjectStore.number()),
        ..BucketInfo::default()
    }
}

pub(crate) fn create_bucket(bucket_info: BucketInfo) -> OmRequest {
    OmRequest {
        create_bucket_request: Some(Box::new(CreateBucketRequest { bucket_info })),
        ..request(Type::CreateBucket)
    }
}

pub(crate) fn info_bucket(volume: &str, name: &str) -> OmRequest {
    let asked = InfoBucketRequest { volume_name: volume.into(), bucket_name: name.into() };
    OmRequest { info_bucket_request: Some(Box::new(asked)), ..request(Type::InfoBucket) }
}

pub(crate) fn delete_bucket(volume: &str, name: &str) -> OmRequest {
    let asked = DeleteBucketRequest { volume_name: volume.into(), bucket_name: name.into() };
    OmRequest { delete_bucket_request: Some(Box::new(asked)), ..request(Type::DeleteBucket) }
}

pub(crate) fn set_bucket(args: BucketArgs) -> OmRequest {
    let asked = SetBucketPropertyRequest { bucket_args: Some(args), modification_time: None };
    OmRequest { set_bucket_property_request: Some(Box::new(asked)), ..request(Type::SetBucketProperty) }
}

pub(crate) fn key_args(key: &str) -> KeyArgs {
    KeyArgs {
        volume_name: "vol".into(),
        bucket_name: "bkt".into(),
        key_name: key.into(),
        ..KeyArgs::default()
    }
}

pub(crate) fn create_key(key_args: KeyArgs) -> OmRequest {
    let asked = CreateKeyRequest { key_args, ..CreateKeyRequest::default() };
    OmRequest { create_key_request: Some(Box::new(asked)), ..request(Type::CreateKey) }
}

pub(crate) fn allocate_block(key: &str, session: u64) -> OmRequest {
    let asked = AllocateBlockRequest { key_args: key_args(key), client_id: session, ..Default::default() };
    OmRequest { allocate_block_request: Some(Box::new(asked)), ..request(Type::AllocateBlock) }
}

pub(crate) fn commit_key(key: &str, session: u64, size: u64, key_locations: Vec<KeyLocation>) -> OmRequest {
    let key_args = KeyArgs { data_size: Some(size), key_locations, ..key_args(key) };
    let asked = CommitKeyRequest { key_args, client_id: session, hsync: None, recovery: None };
    OmRequest { commit_key_request: Some(Box::new(asked)), ..request(Type::CommitKey) }
}

pub(crate) fn get_key_info(key: &str) -> OmRequest {
    let asked = GetKeyInfoRequest { key_args: key_args(key), assume_s3_context: None };
    OmRequest { get_key_info_request: Some(Box::new(asked)), ..request(Type::GetKeyInfo) }
}

pub(crate) fn rename_key(from: &str, to: &str) -> OmRequest {
    let asked = RenameKeyRequest { key_args: key_args(from), to_key_name: to.into(), update_id: None };
    OmRequest { rename_key_request: Some(Box::new(asked)), ..request(Type::RenameKey) }
}

pub(crate) fn delete_key(key: &str, recursive: bool) -> OmRequest {
    let key_args = KeyArgs { recursive: Some(recursive), ..key_args(key) };
    OmRequest {
        delete_key_request: Some(Box::new(DeleteKeyRequest { key_args })),
        ..request(Type::DeleteKey)
    }
}

pub(crate) fn create_directory(path: &str) -> OmRequest {
    let asked = CreateDirectoryRequest { key_args: key_args(path) };
    OmRequest { create_directory_request: Some(Box::new(asked)), ..request(Type::CreateDirectory) }
}

pub(crate) fn list_keys(kind: Type, prefix: &str, after: &str, count: i32) -> OmRequest {
    let asked = ListKeysRequest {
        volume_name: "vol".into(),
        bucket_name: "bkt".into(),
        start_key: Some(after.into()),
        prefix: Some(prefix.into()),
        count: Some(count),
    };
    OmRequest { list_keys_request: Some(Box::new(asked)), ..request(kind) }
}
