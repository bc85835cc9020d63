//! Files and directories of FILE_SYSTEM_OPTIMIZED buckets.

use allotrope_proto::om::*;
use allotrope_types::{BucketLayout, OmStatus};

use super::world::*;

fn create_file(path: &str, recursive: bool, overwrite: bool) -> OmRequest {
    let asked = CreateFileRequest {
        key_args: key_args(path),
        is_recursive: recursive,
        is_overwrite: overwrite,
        client_id: None,
    };
    OmRequest { create_file_request: Some(Box::new(asked)), ..request(Type::CreateFile) }
}

#[test]
fn files_follow_a_file_systems_rules() {
    let mut world = World::with_bucket(BucketLayout::FileSystemOptimized);
    world.refused(create_file("a/file", false, false), OmStatus::DirectoryNotFound);
    let opened = world.ok(create_file("a/file", true, false)).create_file_response.unwrap();
    assert_eq!(opened.key_info.unwrap().key_name, "a/file");
    world.ok(commit_key("a/file", opened.id.unwrap(), 0, Vec::new()));
    world.refused(create_file("a/file", false, false), OmStatus::FileAlreadyExists);
    world.ok(create_file("a/file", false, true));
    world.refused(create_file("a", false, true), OmStatus::NotAFile);
    world.refused(create_file("a/file/below", true, true), OmStatus::NotAFile);
    assert_eq!(world.usage(), (0, 2));
}

#[test]
fn a_file_is_looked_up() {
    let mut world = World::with_bucket(BucketLayout::FileSystemOptimized);
    world.write("a/file", 3);
    let lookup = |path: &str| {
        let asked = LookupFileRequest { key_args: key_args(path) };
        OmRequest { lookup_file_request: Some(Box::new(asked)), ..request(Type::LookupFile) }
    };
    let found = world.ok(lookup("a/file")).lookup_file_response.unwrap().key_info.unwrap();
    assert_eq!((found.key_name.as_str(), found.data_size), ("a/file", 3));
    world.refused(lookup("a"), OmStatus::NotAFile);
    world.refused(lookup("b"), OmStatus::FileNotFound);
    // S3 is shown a directory with a slash.
    let directory = world.key("a");
    assert_eq!((directory.key_name.as_str(), directory.is_file), ("a/", Some(false)));
}

#[test]
fn directories_are_made_with_their_parents() {
    let mut world = World::with_bucket(BucketLayout::FileSystemOptimized);
    world.ok(create_directory("a/b/c"));
    assert_eq!(world.usage(), (0, 3));
    let again = world.ask(create_directory("a/b"));
    assert_eq!(status(&again), OmStatus::DirectoryAlreadyExists);
    assert!(again.create_directory_response.is_some());
    world.write("a/file", 1);
    world.refused(create_directory("a/file"), OmStatus::FileAlreadyExists);
    world.refused(create_directory("a/file/below"), OmStatus::FileAlreadyExists);
    world.refused(create_directory("/"), OmStatus::CannotCreateDirectoryAtRoot);
    let deep = "d/".repeat(256);
    world.refused(create_directory(&deep), OmStatus::InvalidKeyName);
    world.ok(create_directory(&deep[2..]));
    let mut flat = World::with_bucket(BucketLayout::Legacy);
    flat.ok(create_directory("a/b"));
    assert_eq!(flat.key("a/b/").is_file, Some(false));
}

#[test]
fn a_directory_moves_with_everything_in_it() {
    let mut world = World::with_bucket(BucketLayout::FileSystemOptimized);
    for name in ["a/b/1", "a/b/2", "other/x"] {
        world.write(name, 1);
    }
    world.refused(rename_key("none", "x"), OmStatus::KeyNotFound);
    world.refused(rename_key("a", "a/b/c"), OmStatus::KeyRenameError);
    world.refused(rename_key("a", "a"), OmStatus::KeyAlreadyExists);
    world.refused(rename_key("a", "missing/a"), OmStatus::KeyRenameError);
    world.refused(rename_key("a", "other/x"), OmStatus::KeyAlreadyExists);
    world.refused(rename_key("a", "other/x/y"), OmStatus::KeyRenameError);
    world.refused(rename_key("", "x"), OmStatus::InvalidKeyName);
    world.ok(rename_key("other/x", "other/x"));
    world.ok(rename_key("a/b", "moved"));
    world.refused(get_key_info("a/b/1"), OmStatus::KeyNotFound);
    assert_eq!(world.key("moved/1").key_name, "moved/1");
    // Into a directory that exists, under its own name.
    world.ok(rename_key("moved", "other"));
    world.key("other/moved/2");
    world.refused(rename_key("other/moved", "other"), OmStatus::KeyAlreadyExists);
    world.ok(rename_key("other/moved/2", "a/3"));
    world.key("a/3");
    assert_eq!(world.usage(), (3, 6));
}

#[test]
fn a_directory_goes_with_what_it_holds_only_if_asked() {
    let mut world = World::with_bucket(BucketLayout::FileSystemOptimized);
    world.write("a/b/1", 1);
    world.refused(delete_key("a", false), OmStatus::DirectoryNotEmpty);
    world.refused(delete_key("", true), OmStatus::InvalidKeyName);
    world.refused(delete_key("/", true), OmStatus::InvalidKeyName);
    let (session, locations) = world.open("a/b/open", 4);
    world.ok(delete_key("a", true));
    world.refused(get_key_info("a/b/1"), OmStatus::KeyNotFound);
    assert_eq!(world.count("deletedDirectoryTable"), 1);
    // Who was still writing there is told.
    world.refused(commit_key("a/b/open", session, 4, locations), OmStatus::DirectoryNotFound);
    world.write("a/b/1", 2);
    assert_eq!(world.key("a/b/1").data_size, 2);
}

#[test]
fn a_file_does_not_replace_a_directory_made_meanwhile() {
    let mut world = World::with_bucket(BucketLayout::FileSystemOptimized);
    let (session, locations) = world.open("name", 4);
    world.ok(create_directory("name"));
    world.refused(commit_key("name", session, 4, locations), OmStatus::NotAFile);
}

fn purge(world: &mut World) {
    let rows = world.rows("deletedDirectoryTable");
    let path = |row: String| PurgePathRequest { deleted_dir: Some(row), ..PurgePathRequest::default() };
    let asked = PurgeDirectoriesRequest {
        deleted_path: rows.into_iter().map(path).collect(),
        ..PurgeDirectoriesRequest::default()
    };
    world.apply(OmRequest {
        purge_directories_request: Some(Box::new(asked)),
        ..request(Type::PurgeDirectories)
    });
}

#[test]
fn a_deleted_directory_is_emptied_level_by_level() {
    let mut world = World::with_bucket(BucketLayout::FileSystemOptimized);
    for number in 0..1001 {
        world.write(&format!("a/file-{number}"), 1);
    }
    world.write("a/b/c/deep", 5);
    world.ok(delete_key("a", true));
    world.refused(delete_bucket("vol", "bkt"), OmStatus::BucketNotEmpty);
    let mut rounds = 0;
    while world.count("deletedDirectoryTable") > 0 {
        purge(&mut world);
        rounds += 1;
        assert!(rounds < 10);
    }
    assert_eq!(world.usage(), (0, 0));
    assert_eq!(world.count("deletedTable"), 1002);
    assert_eq!(world.count("fileTable") + world.count("directoryTable"), 0);
    world.ok(delete_bucket("vol", "bkt"));
}
