//! Files that are read while they are written, and what is begun and never ended.

use allotrope_proto::om::*;
use allotrope_types::{BucketLayout, OmStatus};

use super::world::*;

const LAYOUTS: [BucketLayout; 2] = [BucketLayout::ObjectStore, BucketLayout::FileSystemOptimized];

fn hsynced(layout: BucketLayout) -> World {
    let mut world = World::with_bucket(layout);
    world.settings.hsync = true;
    world
}

fn commit(key: &str, session: u64, size: u64, blocks: &[KeyLocation], how: (bool, bool)) -> OmRequest {
    let mut request = commit_key(key, session, size, blocks.to_vec());
    let asked = request.commit_key_request.as_mut().unwrap();
    (asked.hsync, asked.recovery) = (Some(how.0), Some(how.1));
    request
}

const SYNC: (bool, bool) = (true, false);
const END: (bool, bool) = (false, false);
const RECOVER: (bool, bool) = (false, true);

fn recover(key: &str, force: bool) -> OmRequest {
    let asked = RecoverLeaseRequest {
        volume_name: Some("vol".into()),
        bucket_name: Some("bkt".into()),
        key_name: Some(key.into()),
        force: Some(force),
    };
    OmRequest { recover_lease_request: Some(Box::new(asked)), ..request(Type::RecoverLease) }
}

fn sized(mut blocks: Vec<KeyLocation>, lens: &[u64]) -> Vec<KeyLocation> {
    blocks.truncate(lens.len());
    blocks.iter_mut().zip(lens).for_each(|(block, len)| block.length = *len);
    blocks
}

#[test]
fn a_synced_file_is_read_while_it_is_written() {
    for layout in LAYOUTS {
        let mut world = hsynced(layout);
        let (session, blocks) = world.open("file", 2 * ONE_BLOCK);
        world.ok(commit("file", session, 10, &sized(blocks.clone(), &[10]), SYNC));
        assert_eq!(world.key("file").data_size, 10);
        assert_eq!(world.usage(), (10, 1));
        world.refused(rename_key("file", "other"), OmStatus::RenameOpenFile);
        let more = sized(blocks.clone(), &[ONE_BLOCK, 5]);
        world.ok(commit("file", session, ONE_BLOCK + 5, &more, SYNC));
        assert_eq!(world.usage(), (ONE_BLOCK + 5, 1));
        assert_eq!(world.count("deletedTable"), 0, "its blocks are still its own");
        world.ok(commit("file", session, ONE_BLOCK + 5, &more, END));
        let key = world.key("file");
        assert!(key.metadata.is_empty(), "{:?}", key.metadata);
        assert_eq!((world.usage(), world.count("deletedTable")), ((ONE_BLOCK + 5, 1), 0));
        world.ok(rename_key("file", "other"));
    }
    let mut off = World::with_bucket(BucketLayout::FileSystemOptimized);
    let (session, blocks) = off.open("file", 1);
    off.refused(commit("file", session, 1, &blocks, SYNC), OmStatus::NotSupportedOperation);
}

#[test]
fn a_synced_file_that_goes_takes_its_writer_along() {
    for layout in LAYOUTS {
        for overwrite in [false, true] {
            let mut world = hsynced(layout);
            let (session, blocks) = world.open("file", 2 * ONE_BLOCK);
            world.ok(commit("file", session, 10, &sized(blocks.clone(), &[10]), SYNC));
            match overwrite {
                true => world.write("file", 3),
                false => drop(world.ok(delete_key("file", false))),
            }
            world.refused(commit("file", session, 10, &sized(blocks, &[10]), END), OmStatus::KeyNotFound);
            assert_eq!(world.usage(), if overwrite { (3, 1) } else { (0, 0) });
            // Each block is handed over once: the synced one with the key, the other with its session.
            assert_eq!(world.buried(), 1);
            let row = world.rows(if layout == BucketLayout::ObjectStore {
                "openKeyTable"
            } else {
                "openFileTable"
            });
            world.end_sessions(&row);
            assert_eq!(world.buried(), 2);
        }
    }
}

#[test]
fn a_lost_writers_file_is_taken_over() {
    for layout in LAYOUTS {
        let mut world = hsynced(layout);
        let (session, blocks) = world.open("file", 2 * ONE_BLOCK);
        world.refused(recover("file", false), OmStatus::KeyNotFound);
        world.ok(commit("file", session, 10, &sized(blocks.clone(), &[10]), SYNC));
        world.refused(recover("file", false), OmStatus::KeyUnderLeaseSoftLimitPeriod);
        world.now_ms += 61_000;
        let found = world.ok(recover("file", false)).recover_lease_response.unwrap();
        assert_eq!(found.key_info.unwrap().data_size, 10);
        assert_eq!(found.open_key_info.unwrap().key_location_list[0].key_locations.len(), 2);
        // The first writer is locked out, the one that recovers ends the file.
        let ended = sized(blocks, &[12]);
        world.refused(commit("file", session, 12, &ended, END), OmStatus::KeyUnderLeaseRecovery);
        world.refused(allocate_block("file", session), OmStatus::KeyUnderLeaseRecovery);
        world.ok(recover("file", false));
        world.ok(commit("file", session, 12, &ended, RECOVER));
        assert_eq!(world.key("file").data_size, 12);
        world.refused(recover("file", true), OmStatus::KeyAlreadyClosed);
        assert_eq!(world.buried(), 1, "the block that was never written");
    }
}

#[test]
fn sessions_that_never_ended_expire() {
    for layout in LAYOUTS {
        let mut world = hsynced(layout);
        let table = if layout == BucketLayout::ObjectStore { "openKeyTable" } else { "openFileTable" };
        world.open("a/lost", 2 * ONE_BLOCK);
        world.open("a/lost", ONE_BLOCK);
        let (session, blocks) = world.open("synced", 2 * ONE_BLOCK);
        world.ok(commit("synced", session, 10, &sized(blocks, &[10]), SYNC));
        let rows = world.rows(table);
        assert_eq!(rows.len(), 3);
        world.end_sessions(&rows);
        world.end_sessions(&rows);
        assert_eq!(world.count(table), 0);
        assert_eq!(world.buried(), 4, "three lost blocks, and one of the synced file that it never wrote");
        let key = world.key("synced");
        assert_eq!((key.data_size, key.metadata.len()), (10, 0));
        world.end_sessions(&["nonsense".into(), "/a/b/c/d".into(), "/-1/2/3/x/9".into()]);
    }
}

#[test]
fn uploads_that_never_ended_expire() {
    for layout in LAYOUTS {
        let mut world = World::with_bucket(layout);
        let asked = MultipartInfoInitiateRequest { key_args: key_args("a/key"), schema_version: None };
        let asked = OmRequest {
            initiate_multi_part_upload_request: Some(Box::new(asked)),
            ..request(Type::InitiateMultiPartUpload)
        };
        world.ok(asked);
        if layout == BucketLayout::FileSystemOptimized {
            world.ok(rename_key("a", "b"));
        }
        let rows = world.rows("multipartInfoTable");
        let name = |name: &String| ExpiredMultipartUploadInfo { name: name.clone() };
        let bucket = ExpiredMultipartUploadsBucket {
            multipart_uploads: rows.iter().map(name).collect(),
            ..Default::default()
        };
        let asked = MultipartUploadsExpiredAbortRequest {
            expired_multipart_uploads_per_bucket: vec![bucket.clone(), bucket],
        };
        let asked = OmRequest {
            multipart_uploads_expired_abort_request: Some(Box::new(asked)),
            ..request(Type::AbortExpiredMultiPartUploads)
        };
        assert_eq!(world.apply(asked).success, Some(true));
        assert_eq!(world.count("multipartInfoTable"), 0);
        assert_eq!(world.count("openKeyTable") + world.count("openFileTable"), 0);
    }
}

#[test]
fn open_files_are_listed_in_pages() {
    let mut world = World::with_bucket(BucketLayout::FileSystemOptimized);
    world.ok(create_bucket(bucket("vol", "flat")));
    let flat = KeyArgs { bucket_name: "flat".into(), ..key_args("x/1") };
    world.ok(create_key(flat));
    for key in ["dir/a", "dir/b", "dir2/c"] {
        world.ok(create_key(key_args(key)));
    }
    let mut page = |path: &str, token: &str, count| {
        let asked =
            ListOpenFilesRequest { path: Some(path.into()), count: Some(count), token: Some(token.into()) };
        let asked =
            OmRequest { list_open_files_request: Some(Box::new(asked)), ..request(Type::ListOpenFiles) };
        let found = world.ok(asked).list_open_files_response.unwrap();
        let names: Vec<String> = found.key_info.iter().map(|key| key.key_name.clone()).collect();
        assert!(found.client_id.iter().all(|id| *id > 0));
        (names, found.total_open_key_count(), found.has_more(), found.continuation_token().to_owned())
    };
    let (first, total, more, token) = page("/", "", 3);
    assert_eq!((first.len(), total, more), (3, 4, true));
    assert_eq!(first[0], "x/1");
    let (rest, _, more, _) = page("/", &token, 3);
    assert_eq!((rest.len(), more), (1, false));
    assert_eq!(page("/vol/bkt/dir", "", 9).0, ["a", "b"]);
    assert_eq!(page("/vol/flat", "", 9).0, ["x/1"]);
    assert_eq!(page("/vol", "", 9).1, 4);
}
