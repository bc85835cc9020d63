//! Input that is wrong, or hostile: a clear refusal, and nothing changed. (`World` checks that a refused request changes no row.)

use allotrope_proto::om::*;
use allotrope_types::{BucketLayout, OmStatus};

use super::world::*;

const LAYOUTS: [BucketLayout; 3] =
    [BucketLayout::ObjectStore, BucketLayout::Legacy, BucketLayout::FileSystemOptimized];

fn tree() -> World {
    World::with_bucket(BucketLayout::FileSystemOptimized)
}

#[test]
fn names_with_any_forbidden_character_are_refused() {
    let mut world = World::with_bucket(BucketLayout::ObjectStore);
    // Every character up to U+00FF that is neither a lower-case letter, a digit, '-' nor '.'.
    let allowed = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-' || c == '.';
    for c in ('\0'..='\u{ff}').filter(|c| !allowed(*c)) {
        let name = format!("ab{c}cd");
        world.refused(create_volume(&name), OmStatus::InvalidVolumeName);
        world.refused(create_bucket(bucket("vol", &name)), OmStatus::InvalidBucketName);
    }
    for name in ["", "ab", "-abc", "abc-", ".abc", "abc.", "a..b", "a.-b", "192.168.1.1", &"a".repeat(64)] {
        world.refused(create_volume(name), OmStatus::InvalidVolumeName);
        world.refused(create_bucket(bucket("vol", name)), OmStatus::InvalidBucketName);
    }
    // In a tree a colon is the one character that a component may not have.
    let mut world = tree();
    for name in [":", "a:b", "dir/a:b", "a:/b"] {
        world.refused(create_key(key_args(name)), OmStatus::InvalidKeyName);
        world.refused(create_directory(name), OmStatus::InvalidKeyName);
        world.refused(get_key_info(name), OmStatus::InvalidKeyName);
    }
    for name in [".snapshot", ".snapshot/s1/key"] {
        world.refused(create_key(key_args(name)), OmStatus::InvalidKeyName);
        world.refused(create_directory(name), OmStatus::InvalidKeyName);
    }
    // Objects' names are opaque: any text is one.
    let mut world = World::with_bucket(BucketLayout::ObjectStore);
    for c in '\u{1}'..='\u{ff}' {
        world.write(&format!("a{c}b"), 1);
    }
    assert_eq!(world.usage().1, 255);
}

#[test]
fn paths_of_4_kib_are_paths_like_others() {
    for layout in LAYOUTS {
        let mut world = World::with_bucket(layout);
        let long = "x".repeat(4096);
        world.write(&long, 1);
        assert_eq!(world.key(&long).key_name, long);
        let deep = vec!["0123456789abcdef"; 4096 / 17].join("/");
        world.write(&deep, 2);
        assert_eq!(world.key(&deep).data_size, 2);
        world.ok(rename_key(&deep, "short"));
        assert_eq!(world.key("short").data_size, 2);
    }
}

#[test]
fn dots_are_resolved_in_trees_and_kept_in_objects() {
    let mut world = tree();
    for name in ["..", "../a", "a/../../b", "a/..", "a/."] {
        world.refused(create_key(key_args(name)), OmStatus::InvalidKeyName);
    }
    world.write("a/./b/../c", 1);
    assert_eq!(world.key("a/c").key_name, "a/c");
    let mut world = World::with_bucket(BucketLayout::ObjectStore);
    for name in ["..", "../a", "a/../b", "a/./b"] {
        world.write(name, 1);
        assert_eq!(world.key(name).key_name, name);
    }
}

#[test]
fn trailing_slashes_make_no_file() {
    let mut world = tree();
    for name in ["a/", "a//", "/", "//"] {
        world.refused(create_key(key_args(name)), OmStatus::InvalidKeyName);
    }
    world.ok(create_directory("a///"));
    world.write("a/b", 1);
    assert_eq!(world.key("/a//b").key_name, "a/b");
    let mut world = World::with_bucket(BucketLayout::ObjectStore);
    world.write("a/", 1);
    world.write("a", 2);
    assert_eq!((world.key("a/").data_size, world.key("a").data_size), (1, 2));
}

#[test]
fn a_hundred_thousand_components_are_refused_quickly() {
    for layout in LAYOUTS {
        let mut world = World::with_bucket(layout);
        let endless = vec!["a"; 100_000].join("/");
        world.refused(create_key(key_args(&endless)), OmStatus::InvalidKeyName);
        world.refused(create_directory(&endless), OmStatus::InvalidKeyName);
        world.refused(get_key_info(&endless), OmStatus::InvalidKeyName);
        world.refused(delete_key(&endless, true), OmStatus::InvalidKeyName);
    }
    // One that is short enough still asks for more directories than one request makes.
    let mut world = tree();
    let many = vec!["a"; 30_000].join("/");
    world.refused(create_key(key_args(&many)), OmStatus::InvalidKeyName);
    world.refused(create_directory(&many), OmStatus::InvalidKeyName);
    world.refused(get_key_info(&many), OmStatus::KeyNotFound);
    world.ok(create_directory(&vec!["a"; 255].join("/")));
}

#[test]
fn a_commit_needs_an_open_session() {
    for layout in LAYOUTS {
        let mut world = World::with_bucket(layout);
        world.refused(commit_key("key", 77, 0, Vec::new()), OmStatus::KeyNotFound);
        world.refused(allocate_block("key", u64::MAX), OmStatus::KeyNotFound);
        let (session, blocks) = world.open("key", 5);
        // Another key's session is not this one's.
        world.refused(commit_key("other", session, 5, blocks.clone()), OmStatus::KeyNotFound);
        world.ok(commit_key("key", session, 5, blocks));
    }
}

#[test]
fn blocks_that_were_never_allocated_are_no_part_of_a_key() {
    let mut world = World::with_bucket(BucketLayout::ObjectStore);
    let (session, blocks) = world.open("key", 5);
    let mut foreign = blocks[0].clone();
    foreign.block_id.container_block_id.local_id += 1000;
    world.refused(commit_key("key", session, 5, vec![foreign.clone()]), OmStatus::InvalidRequest);
    world.refused(
        commit_key("key", session, 10, vec![blocks[0].clone(), blocks[0].clone()]),
        OmStatus::InvalidRequest,
    );
    // With blocks of its own a foreign one is left out.
    world.ok(commit_key("key", session, 5, vec![blocks[0].clone(), foreign]));
    assert_eq!(world.key("key").key_location_list[0].key_locations.len(), 1);
}

#[test]
fn negative_sizes_are_refused() {
    for layout in LAYOUTS {
        let mut world = World::with_bucket(layout);
        let minus_one = (-1i64).cast_unsigned();
        let args = KeyArgs { data_size: Some(minus_one), ..key_args("key") };
        world.refused(create_key(args), OmStatus::InvalidRequest);
        let (session, mut blocks) = world.open("key", 5);
        world.refused(commit_key("key", session, minus_one, blocks.clone()), OmStatus::InvalidRequest);
        blocks[0].length = minus_one;
        world.refused(commit_key("key", session, 5, blocks.clone()), OmStatus::InvalidRequest);
        blocks[0].length = i64::MAX.cast_unsigned();
        world.refused(commit_key("key", session, 5, blocks), OmStatus::InvalidRequest);
        assert_eq!(world.usage(), (0, 0));
    }
}

#[test]
fn quotas_below_usage_and_below_nothing_are_refused() {
    for layout in LAYOUTS {
        let mut world = World::with_bucket(layout);
        world.write("a", 100);
        world.write("b", 100);
        let quota = |bytes: Option<i64>, names: Option<i64>| {
            set_bucket(BucketArgs {
                volume_name: "vol".into(),
                bucket_name: "bkt".into(),
                quota_in_bytes: bytes.map(i64::cast_unsigned),
                quota_in_namespace: names.map(i64::cast_unsigned),
                ..BucketArgs::default()
            })
        };
        world.refused(quota(Some(199), None), OmStatus::QuotaExceeded);
        world.refused(quota(None, Some(1)), OmStatus::QuotaExceeded);
        for none in [0, -3, i64::MIN] {
            world.refused(quota(Some(none), None), OmStatus::QuotaError);
            world.refused(quota(None, Some(none)), OmStatus::QuotaError);
        }
        world.ok(quota(Some(200), Some(2)));
        world.refused(create_key(KeyArgs { data_size: Some(1), ..key_args("c") }), OmStatus::QuotaExceeded);
        // What makes less use of a quota is always allowed.
        world.write("a", 1);
        world.ok(delete_key("b", false));
        world.ok(quota(Some(-1), Some(-1)));
    }
}

#[test]
fn nothing_is_renamed_into_itself() {
    let mut world = tree();
    world.write("a/b/c", 1);
    world.refused(rename_key("a", "a/b"), OmStatus::KeyRenameError);
    world.refused(rename_key("a", "a/b/d"), OmStatus::KeyRenameError);
    world.refused(rename_key("a", "a"), OmStatus::KeyAlreadyExists);
    world.refused(rename_key("a/b", "a"), OmStatus::KeyAlreadyExists);
    world.ok(rename_key("a/b/c", "a/b/c"));
    world.refused(rename_key("", "x"), OmStatus::InvalidKeyName);
    assert_eq!(world.key("a/b/c").data_size, 1);
    for layout in [BucketLayout::ObjectStore, BucketLayout::Legacy] {
        let mut world = World::with_bucket(layout);
        world.write("a", 1);
        world.refused(rename_key("a", "a"), OmStatus::KeyAlreadyExists);
    }
}

#[test]
fn a_delete_and_a_commit_that_meet_leave_one_outcome() {
    for layout in LAYOUTS {
        let mut world = World::with_bucket(layout);
        // The old key is deleted while the new one is written: the new one stays.
        world.write("dir/key", 1);
        let (session, blocks) = world.open("dir/key", 2);
        world.ok(delete_key("dir/key", false));
        world.ok(commit_key("dir/key", session, 2, blocks));
        assert_eq!(world.key("dir/key").data_size, 2);
        // Two writers: the later commit is the key, and the earlier one's blocks are handed over once.
        let (first, first_blocks) = world.open("dir/key", 3);
        let (second, second_blocks) = world.open("dir/key", 4);
        world.ok(commit_key("dir/key", second, 4, second_blocks));
        world.ok(commit_key("dir/key", first, 3, first_blocks));
        assert_eq!(world.key("dir/key").data_size, 3);
        assert_eq!(world.buried(), 3);
    }
    // The directory goes while a file in it is written: the commit is refused, and nothing comes back to life.
    let mut world = tree();
    let (session, blocks) = world.open("dir/key", 2);
    world.ok(delete_key("dir", true));
    world.refused(commit_key("dir/key", session, 2, blocks), OmStatus::DirectoryNotFound);
    world.refused(get_key_info("dir/key"), OmStatus::KeyNotFound);
}

#[test]
fn the_root_is_not_deleted() {
    for layout in LAYOUTS {
        let mut world = World::with_bucket(layout);
        world.write("a/b", 1);
        world.refused(delete_key("", true), OmStatus::InvalidKeyName);
        if layout == BucketLayout::FileSystemOptimized {
            for root in ["/", "//", ".", "./", "a/.."] {
                world.refused(delete_key(root, true), OmStatus::InvalidKeyName);
            }
        } else {
            world.refused(delete_key("/", true), OmStatus::KeyNotFound);
        }
        assert_eq!(world.key("a/b").data_size, 1);
    }
}
