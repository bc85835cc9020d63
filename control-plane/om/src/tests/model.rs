//! The namespace against a plain model of it: random requests, the same results and listings, by seed; on tables in memory, and
//! on a replica on real files that crashes between any two requests.

use std::collections::BTreeMap;

use allotrope_proto::om::*;
use allotrope_types::{BucketLayout, OmStatus};

use super::world::*;

/// Numbers from a seed.
struct Chance(u64);

impl Chance {
    fn below(&mut self, n: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % n
    }

    /// A path of one to three short names, so that paths meet often.
    fn path(&mut self) -> String {
        let names = ["a", "b", "c", "a-b", "é"];
        let depth = 1 + self.below(3);
        let name = |chance: &mut Chance| names[chance.below(names.len() as u64) as usize].to_owned();
        (0..depth).map(|_| name(self)).collect::<Vec<_>>().join("/")
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Node {
    Directory(BTreeMap<String, Node>),
    File(u64),
}

/// What is asked, in the words of both sides.
#[derive(Clone, Debug)]
enum Step {
    Write(String, u64),
    Delete(String, bool),
    Rename(String, String),
    MakeDirectory(String),
    Read(String),
    Status(String),
    ListKeys { prefix: String, after: String, count: usize },
    ListDirectory { path: String, from: String, count: usize },
}

/// What comes of it: a status, and what was found.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Outcome {
    status: OmStatus,
    found: Vec<(String, u64)>,
}

fn only(status: OmStatus) -> Outcome {
    Outcome { status, found: Vec::new() }
}

/// A directory's mark among the sizes of what is found.
const DIRECTORY: u64 = u64::MAX;

trait Model {
    fn step(&mut self, step: &Step) -> Outcome;
    /// (bytes, names) in use.
    fn usage(&self) -> (u64, u64);
}

/// Keys are names.
#[derive(Default)]
struct Flat(BTreeMap<String, u64>);

impl Model for Flat {
    fn step(&mut self, step: &Step) -> Outcome {
        match step {
            Step::Write(key, size) => {
                self.0.insert(key.clone(), *size);
                only(OmStatus::Ok)
            }
            Step::Delete(key, _) => match self.0.remove(key) {
                Some(_) => only(OmStatus::Ok),
                None => only(OmStatus::KeyNotFound),
            },
            Step::Rename(from, to) => match (self.0.get(from).copied(), self.0.contains_key(to)) {
                (None, _) => only(OmStatus::KeyNotFound),
                (Some(_), true) => only(OmStatus::KeyAlreadyExists),
                (Some(size), false) => {
                    self.0.remove(from);
                    self.0.insert(to.clone(), size);
                    only(OmStatus::Ok)
                }
            },
            Step::MakeDirectory(path) => {
                if self.0.contains_key(path) {
                    return only(OmStatus::FileAlreadyExists);
                }
                match self.0.insert(format!("{path}/"), 0) {
                    Some(_) => only(OmStatus::DirectoryAlreadyExists),
                    None => only(OmStatus::Ok),
                }
            }
            Step::Read(key) => match self.0.get(key) {
                Some(size) => Outcome { status: OmStatus::Ok, found: vec![(key.clone(), *size)] },
                None => only(OmStatus::KeyNotFound),
            },
            Step::Status(path) => match self.0.get(path) {
                Some(size) => Outcome { status: OmStatus::Ok, found: vec![(path.clone(), *size)] },
                None if self.0.keys().any(|key| key.starts_with(&format!("{path}/"))) => {
                    Outcome { status: OmStatus::Ok, found: vec![(path.clone(), DIRECTORY)] }
                }
                None => only(OmStatus::FileNotFound),
            },
            Step::ListKeys { prefix, after, count } => {
                let all = self.0.iter().filter(|(key, _)| key.starts_with(prefix.as_str()) && *key > after);
                let found = all.take(*count).map(|(key, size)| (key.clone(), *size)).collect();
                Outcome { status: OmStatus::Ok, found }
            }
            Step::ListDirectory { .. } => only(OmStatus::Ok),
        }
    }

    fn usage(&self) -> (u64, u64) {
        (self.0.values().sum(), self.0.len() as u64)
    }
}

/// Keys are files in directories.
struct Tree(Node);

fn parts(path: &str) -> Vec<&str> {
    path.split('/').filter(|part| !part.is_empty()).collect()
}

impl Tree {
    fn new() -> Tree {
        Tree(Node::Directory(BTreeMap::new()))
    }

    /// What lies at `path`; `Err` if a file is in the way.
    fn at(&self, path: &[&str]) -> Result<Option<&Node>, ()> {
        let mut node = &self.0;
        for part in path {
            let Node::Directory(children) = node else { return Err(()) };
            match children.get(*part) {
                Some(child) => node = child,
                None => return Ok(None),
            }
        }
        Ok(Some(node))
    }

    /// The children of the directory at `path`, made where it is missing.
    fn make(&mut self, path: &[&str]) -> Option<&mut BTreeMap<String, Node>> {
        let mut node = &mut self.0;
        for part in path {
            let Node::Directory(children) = node else { return None };
            node = children.entry((*part).to_owned()).or_insert_with(|| Node::Directory(BTreeMap::new()));
        }
        match node {
            Node::Directory(children) => Some(children),
            Node::File(_) => None,
        }
    }

    fn take(&mut self, path: &[&str]) -> Node {
        let (leaf, parent) = path.split_last().unwrap();
        self.make(parent).unwrap().remove(*leaf).unwrap()
    }

    fn rename(&mut self, from: &str, to: &str) -> OmStatus {
        let source = parts(from);
        let is_directory = match self.at(&source) {
            Ok(Some(Node::Directory(_))) => true,
            Ok(Some(Node::File(_))) => false,
            _ => return OmStatus::KeyNotFound,
        };
        if from == to {
            return if is_directory { OmStatus::KeyAlreadyExists } else { OmStatus::Ok };
        }
        if is_directory && to.starts_with(&format!("{from}/")) {
            return OmStatus::KeyRenameError;
        }
        let mut target = parts(to);
        if matches!(self.at(&target), Ok(Some(Node::Directory(_)))) {
            target.push(source.last().unwrap());
        }
        let (leaf, parent) = target.split_last().unwrap();
        match (self.at(&target), self.at(parent)) {
            (Ok(Some(_)), _) => return OmStatus::KeyAlreadyExists,
            (Ok(None), Ok(Some(Node::Directory(_)))) => {}
            _ => return OmStatus::KeyRenameError,
        }
        let node = self.take(&source);
        self.make(parent).unwrap().insert((*leaf).to_owned(), node);
        OmStatus::Ok
    }
}

/// Everything below, directories with a slash at the end, depth first.
fn walk(node: &Node, path: &str, found: &mut Vec<(String, u64)>) {
    let Node::Directory(children) = node else { return };
    for (name, child) in children {
        match child {
            Node::File(size) => found.push((format!("{path}{name}"), *size)),
            Node::Directory(_) => {
                let path = format!("{path}{name}/");
                found.push((path.clone(), 0));
                walk(child, &path, found);
            }
        }
    }
}

impl Model for Tree {
    fn step(&mut self, step: &Step) -> Outcome {
        match step {
            Step::Write(key, size) => {
                let path = parts(key);
                match self.at(&path) {
                    Err(()) | Ok(Some(Node::Directory(_))) => return only(OmStatus::NotAFile),
                    Ok(_) => {}
                }
                let (leaf, parent) = path.split_last().unwrap();
                self.make(parent).unwrap().insert((*leaf).to_owned(), Node::File(*size));
                only(OmStatus::Ok)
            }
            Step::Delete(key, recursive) => {
                let path = parts(key);
                match self.at(&path) {
                    Ok(Some(Node::Directory(children))) if !children.is_empty() && !recursive => {
                        return only(OmStatus::DirectoryNotEmpty);
                    }
                    Ok(Some(_)) => {}
                    _ => return only(OmStatus::KeyNotFound),
                }
                self.take(&path);
                only(OmStatus::Ok)
            }
            Step::Rename(from, to) => only(self.rename(from, to)),
            Step::MakeDirectory(path) => {
                let path = parts(path);
                match self.at(&path) {
                    Ok(Some(Node::Directory(_))) => return only(OmStatus::DirectoryAlreadyExists),
                    Err(()) | Ok(Some(Node::File(_))) => return only(OmStatus::FileAlreadyExists),
                    Ok(None) => {}
                }
                self.make(&path).unwrap();
                only(OmStatus::Ok)
            }
            Step::Read(key) => match self.at(&parts(key)) {
                Ok(Some(Node::File(size))) => {
                    Outcome { status: OmStatus::Ok, found: vec![(key.clone(), *size)] }
                }
                Ok(Some(Node::Directory(_))) => {
                    Outcome { status: OmStatus::Ok, found: vec![(format!("{key}/"), 0)] }
                }
                _ => only(OmStatus::KeyNotFound),
            },
            Step::Status(path) => match self.at(&parts(path)) {
                Ok(Some(Node::File(size))) => {
                    Outcome { status: OmStatus::Ok, found: vec![(path.clone(), *size)] }
                }
                Ok(Some(Node::Directory(_))) => {
                    Outcome { status: OmStatus::Ok, found: vec![(path.clone(), DIRECTORY)] }
                }
                _ => only(OmStatus::FileNotFound),
            },
            Step::ListKeys { .. } => only(OmStatus::Ok),
            Step::ListDirectory { path, from, count } => match self.at(&parts(path)) {
                Ok(Some(Node::Directory(children))) => {
                    let page = children.iter().filter(|(name, _)| *name >= from).take(*count);
                    let separator = if path.is_empty() { "" } else { "/" };
                    let found = page
                        .map(|(name, child)| {
                            let size = if let Node::File(size) = child { *size } else { DIRECTORY };
                            (format!("{path}{separator}{name}"), size)
                        })
                        .collect();
                    Outcome { status: OmStatus::Ok, found }
                }
                Ok(Some(Node::File(size))) => {
                    Outcome { status: OmStatus::Ok, found: vec![(path.clone(), *size)] }
                }
                _ => only(OmStatus::FileNotFound),
            },
        }
    }

    fn usage(&self) -> (u64, u64) {
        let mut all = Vec::new();
        walk(&self.0, "", &mut all);
        (all.iter().map(|(_, size)| size).sum(), all.len() as u64)
    }
}

/// Something that answers requests, and can empty deleted directories.
pub(super) trait Asked {
    fn ask(&mut self, request: OmRequest) -> OmResponse;
    fn empty_deleted_directories(&mut self);
}

impl Asked for World {
    fn ask(&mut self, request: OmRequest) -> OmResponse {
        World::ask(self, request)
    }

    fn empty_deleted_directories(&mut self) {
        while self.count("deletedDirectoryTable") > 0 {
            let path = |row| PurgePathRequest { deleted_dir: Some(row), ..PurgePathRequest::default() };
            let deleted_path = self.rows("deletedDirectoryTable").into_iter().map(path).collect();
            let asked = PurgeDirectoriesRequest { deleted_path, ..PurgeDirectoriesRequest::default() };
            self.apply(OmRequest {
                purge_directories_request: Some(Box::new(asked)),
                ..request(Type::PurgeDirectories)
            });
        }
    }
}

fn get_status(path: &str) -> OmRequest {
    let asked = GetFileStatusRequest { key_args: key_args(path) };
    OmRequest { get_file_status_request: Some(Box::new(asked)), ..request(Type::GetFileStatus) }
}

fn list_directory(path: &str, start_key: String, count: usize) -> OmRequest {
    let asked = ListStatusRequest {
        key_args: key_args(path),
        recursive: false,
        start_key,
        num_entries: count as u64,
        allow_partial_prefix: None,
    };
    OmRequest { list_status_request: Some(Box::new(asked)), ..request(Type::ListStatusLight) }
}

/// Asks for `step` in the words of the wire.
fn ask(om: &mut dyn Asked, step: &Step) -> Outcome {
    match step {
        Step::Write(key, size) => {
            let args = KeyArgs { data_size: Some(*size), ..key_args(key) };
            let opened = om.ask(create_key(args));
            let Some(opened_key) = opened.create_key_response else { return only(status(&opened)) };
            let mut left = *size;
            let mut blocks = opened_key.key_info.unwrap().key_location_list.pop().unwrap().key_locations;
            for block in &mut blocks {
                block.length = left.min(ONE_BLOCK);
                left -= block.length;
            }
            only(status(&om.ask(commit_key(key, opened_key.id.unwrap(), *size, blocks))))
        }
        Step::Delete(key, recursive) => only(status(&om.ask(delete_key(key, *recursive)))),
        Step::Rename(from, to) => only(status(&om.ask(rename_key(from, to)))),
        Step::MakeDirectory(path) => only(status(&om.ask(create_directory(path)))),
        Step::Read(key) => {
            let response = om.ask(get_key_info(key));
            let found = response.get_key_info_response.as_ref().and_then(|found| found.key_info.clone());
            let found = found.into_iter().map(|key| (key.key_name, key.data_size)).collect();
            Outcome { status: status(&response), found }
        }
        Step::Status(path) => {
            let response = om.ask(get_status(path));
            let found = response.get_file_status_response.as_ref().map(|found| &found.status);
            let found = found.map(|found| {
                let key = found.key_info.clone().unwrap_or_default();
                let size = if found.is_directory() { DIRECTORY } else { key.data_size };
                (key.key_name, size)
            });
            Outcome { status: status(&response), found: found.into_iter().collect() }
        }
        Step::ListKeys { prefix, after, count } => {
            let response = om.ask(list_keys(Type::ListKeysLight, prefix, after, *count as i32));
            let keys = response.list_keys_light_response.clone().unwrap_or_default().basic_key_info;
            let found = keys.into_iter().map(|key| (key.key_name.unwrap(), key.data_size.unwrap()));
            Outcome { status: status(&response), found: found.collect() }
        }
        Step::ListDirectory { path, from, count } => {
            let start = match (path.is_empty(), from.is_empty()) {
                (_, true) => String::new(),
                (true, false) => from.clone(),
                (false, false) => format!("{path}/{from}"),
            };
            let response = om.ask(list_directory(path, start, *count));
            let found = response.list_status_light_response.clone().unwrap_or_default().statuses;
            let found = found.into_iter().map(|found| {
                let directory = found.is_directory();
                let key = found.basic_key_info.unwrap();
                (key.key_name.unwrap(), if directory { DIRECTORY } else { key.data_size.unwrap() })
            });
            Outcome { status: status(&response), found: found.collect() }
        }
    }
}

fn next(chance: &mut Chance, flat: bool) -> Step {
    match chance.below(if flat { 9 } else { 10 }) {
        0..=2 => Step::Write(chance.path(), chance.below(3 * ONE_BLOCK)),
        3 => Step::Delete(chance.path(), chance.below(2) == 0),
        4 => Step::Rename(chance.path(), chance.path()),
        5 => Step::MakeDirectory(chance.path()),
        6 => Step::Read(chance.path()),
        7 => Step::Status(chance.path()),
        _ if flat => {
            let prefix = ["", "a", "a/", "b/c"][chance.below(4) as usize].to_owned();
            let after = if chance.below(2) == 0 { String::new() } else { chance.path() };
            Step::ListKeys { prefix, after, count: 1 + chance.below(5) as usize }
        }
        _ => {
            let path = if chance.below(3) == 0 { String::new() } else { chance.path() };
            let from = ["", "a", "a-b", "b"][chance.below(4) as usize].to_owned();
            Step::ListDirectory { path, from, count: 1 + chance.below(5) as usize }
        }
    }
}

/// Asks `steps` random requests of `om` and of a model, and compares; `between` comes between any two.
pub(super) fn compare(
    om: &mut dyn Asked,
    layout: BucketLayout,
    seed: u64,
    steps: usize,
    between: &mut dyn FnMut(&mut dyn Asked, u64),
) {
    let flat = layout != BucketLayout::FileSystemOptimized;
    let mut model: Box<dyn Model> = if flat { Box::new(Flat::default()) } else { Box::new(Tree::new()) };
    let mut chance = Chance(seed | 1);
    for number in 0..steps {
        let step = next(&mut chance, flat);
        let (got, wanted) = (ask(om, &step), model.step(&step));
        assert_eq!(
            got, wanted,
            "step {number}, {step:?}\nrepeat with: ALLOTROPE_SEED={seed} ./dev test -p allotrope-om model"
        );
        between(om, chance.below(1000));
        if number % 50 == 49 {
            om.empty_deleted_directories();
            let info = om.ask(info_bucket("vol", "bkt")).info_bucket_response.unwrap().bucket_info.unwrap();
            assert_eq!(
                (info.used_bytes(), info.used_namespace()),
                model.usage(),
                "usage after step {number}\nrepeat with: ALLOTROPE_SEED={seed} ./dev test -p allotrope-om model"
            );
        }
    }
}

#[allow(clippy::disallowed_methods, reason = "the seed of a run that failed")]
pub(super) fn seeds(usual: std::ops::Range<u64>) -> Vec<u64> {
    match std::env::var("ALLOTROPE_SEED") {
        Ok(seed) => vec![seed.parse().unwrap()],
        Err(_) => usual.map(|number| number.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1).collect(),
    }
}

#[test]
fn requests_do_what_the_model_does() {
    for seed in seeds(1..13) {
        for layout in [BucketLayout::ObjectStore, BucketLayout::FileSystemOptimized, BucketLayout::Legacy] {
            let mut world = World::with_bucket(layout);
            compare(&mut world, layout, seed, 600, &mut |_, _| {});
        }
    }
}
