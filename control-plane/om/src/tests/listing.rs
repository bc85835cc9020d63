//! Listings of keys and of one level.

use allotrope_proto::om::*;
use allotrope_types::{BucketLayout, OmStatus};

use super::world::*;

fn names(world: &mut World, prefix: &str, after: &str, count: i32) -> (Vec<String>, bool) {
    let full = world.ok(list_keys(Type::ListKeys, prefix, after, count)).list_keys_response.unwrap();
    let light =
        world.ok(list_keys(Type::ListKeysLight, prefix, after, count)).list_keys_light_response.unwrap();
    let of_full: Vec<String> = full.key_info.into_iter().map(|key| key.key_name).collect();
    let of_light: Vec<String> = light.basic_key_info.iter().map(|key| key.key_name().to_owned()).collect();
    assert_eq!((&of_full, full.is_truncated), (&of_light, light.is_truncated));
    (of_full, light.is_truncated())
}

#[test]
fn keys_are_listed_in_pages() {
    let mut world = World::with_bucket(BucketLayout::ObjectStore);
    for name in ["b", "a/2", "a/1", "a-b", "a", "ü"] {
        world.write(name, 1);
    }
    assert_eq!(
        names(&mut world, "", "", 100),
        (["a", "a-b", "a/1", "a/2", "b", "ü"].map(String::from).into(), false)
    );
    assert_eq!(names(&mut world, "", "a-b", 2), (["a/1", "a/2"].map(String::from).into(), true));
    assert_eq!(names(&mut world, "a/", "a/1", 9), (["a/2"].map(String::from).into(), false));
    assert_eq!(names(&mut world, "", "ü", 9), (vec![], false));
    assert_eq!(names(&mut world, "x", "", 9), (vec![], false));
    world.settings.list_max = 3;
    assert_eq!(names(&mut world, "", "", 1000).0.len(), 3);
    assert_eq!(names(&mut world, "", "", -1).0.len(), 3);
}

#[test]
fn a_tree_is_listed_depth_first() {
    let mut world = World::with_bucket(BucketLayout::FileSystemOptimized);
    for name in ["b", "a/x/2", "a/x/1", "a/y", "c/z"] {
        world.write(name, 1);
    }
    let all = ["a/", "a/x/", "a/x/1", "a/x/2", "a/y", "b", "c/", "c/z"];
    assert_eq!(names(&mut world, "", "", 100).0, all);
    // Every page continues where the last one ended.
    for size in 1..=all.len() as i32 {
        let (mut seen, mut after) = (Vec::new(), String::new());
        loop {
            let (page, more) = names(&mut world, "", &after, size);
            after = page.last().cloned().unwrap_or_default();
            seen.extend(page);
            if !more {
                break;
            }
        }
        assert_eq!(seen, all, "pages of {size}");
    }
    assert_eq!(names(&mut world, "a/x", "", 9).0, ["a/x/", "a/x/1", "a/x/2"]);
    assert_eq!(names(&mut world, "a/x/", "", 9).0, ["a/x/1", "a/x/2"]);
    assert_eq!(names(&mut world, "nothing/there", "", 9).0, Vec::<String>::new());
}

fn status_request(kind: Type, path: &str, start: &str, count: u64, partial: bool) -> OmRequest {
    let asked = ListStatusRequest {
        key_args: key_args(path),
        recursive: false,
        start_key: start.into(),
        num_entries: count,
        allow_partial_prefix: Some(partial),
    };
    OmRequest { list_status_request: Some(Box::new(asked)), ..request(kind) }
}

fn level(world: &mut World, path: &str, start: &str, count: u64, partial: bool) -> Vec<String> {
    let shown = |name: &str, directory: bool| format!("{name}{}", if directory { "/" } else { "" });
    let full =
        world.ok(status_request(Type::ListStatus, path, start, count, partial)).list_status_response.unwrap();
    let light = world.ok(status_request(Type::ListStatusLight, path, start, count, partial));
    let full = full
        .statuses
        .iter()
        .map(|status| shown(&status.key_info.as_ref().unwrap().key_name, status.is_directory()));
    let light = light.list_status_light_response.unwrap().statuses;
    let light = light
        .iter()
        .map(|status| shown(status.basic_key_info.as_ref().unwrap().key_name(), status.is_directory()));
    let full: Vec<String> = full.collect();
    assert_eq!(full, light.collect::<Vec<_>>());
    full
}

#[test]
fn a_level_is_listed_in_pages() {
    for layout in [BucketLayout::FileSystemOptimized, BucketLayout::Legacy] {
        let mut world = World::with_bucket(layout);
        for name in ["d/x/1", "d/x/2", "d/y", "d/w", "e", "d/v/1"] {
            world.write(name, 1);
        }
        assert_eq!(level(&mut world, "", "", 100, false), ["d/", "e"]);
        assert_eq!(level(&mut world, "d", "", 100, false), ["d/v/", "d/w", "d/x/", "d/y"]);
        assert_eq!(level(&mut world, "/d/", "", 100, false), ["d/v/", "d/w", "d/x/", "d/y"]);
        // The start key is part of the page.
        assert_eq!(level(&mut world, "d", "d/w", 2, false), ["d/w", "d/x/"]);
        assert_eq!(level(&mut world, "d", "d/x", 2, false), ["d/x/", "d/y"]);
        assert_eq!(level(&mut world, "e", "", 9, false), ["e"]);
        // A directory's path is the directory where there are directories, and the beginning of names where not.
        let first = if layout == BucketLayout::FileSystemOptimized { "d/x/1" } else { "d/x/" };
        assert_eq!(level(&mut world, "d/x", "", 1, true), [first]);
        assert_eq!(level(&mut world, "d/x/", "", 9, true), ["d/x/1", "d/x/2"]);
        assert!(level(&mut world, "q/r", "", 9, true).is_empty());
        world.refused(status_request(Type::ListStatus, "none", "", 9, false), OmStatus::FileNotFound);
    }
}

#[test]
fn a_path_has_a_status() {
    for layout in [BucketLayout::FileSystemOptimized, BucketLayout::Legacy] {
        let mut world = World::with_bucket(layout);
        world.write("d/e/key", 5);
        let mut status = |path: &str| {
            let asked = GetFileStatusRequest { key_args: key_args(path) };
            let response = world.ask(OmRequest {
                get_file_status_request: Some(Box::new(asked)),
                ..request(Type::GetFileStatus)
            });
            response.get_file_status_response.map(|found| found.status)
        };
        let root = status("").unwrap();
        assert!(root.is_directory() && root.key_info.is_none());
        for path in ["d", "d/e", "d/e/"] {
            let found = status(path).unwrap();
            assert!(found.is_directory(), "{path}");
            assert_eq!(found.key_info.unwrap().key_name, path.trim_end_matches('/'));
        }
        let file = status("d/e/key").unwrap();
        assert!(!file.is_directory() && file.block_size() == ONE_BLOCK);
        assert_eq!(file.key_info.unwrap().data_size, 5);
        assert!(status("d/none").is_none() && status("d/e/key/below").is_none());
        let asked = GetFileStatusRequest { key_args: key_args("none") };
        let asked =
            OmRequest { get_file_status_request: Some(Box::new(asked)), ..request(Type::GetFileStatus) };
        world.refused(asked, OmStatus::FileNotFound);
    }
}
