//! CreateContainer, and the making of a container for the first write that names it.
//!
//! Steps   the folders and the `.container` file are made durable, then the id is witnessed, then writers see it. A crash
//!         before the `.container` file leaves folders that a start removes; one before the witness, a container that a
//!         start finds and witnesses.

use super::{CommandError, Context};
use crate::container::{Container, Counters};
use crate::format::container_file::ContainerFile;
use crate::format::layout::VolumePaths;
use crate::metadata::{Batch, Durability, Family};
use crate::store::Store;
use crate::volume::Volume;
use crate::volume::choose::{Candidate, choose};
use allotrope_proto::container::{
    ContainerCreateInfo, ContainerType, CreateContainerRequestProto, CreateContainerResponseProto,
};
use allotrope_types::DatanodeResult::{
    ContainerAlreadyExists, DiskOutOfSpace, InvalidArgument, MalformedRequest, UnknownContainerType,
};
use allotrope_types::{ContainerId, ReplicaIndex, ReplicaState};
use prost::Message;
use std::collections::BTreeMap;
use std::rc::Rc;
use std::sync::Arc;

pub(crate) async fn run(
    store: &Rc<Store>,
    context: &Context,
    request: CreateContainerRequestProto,
) -> Result<CreateContainerResponseProto, CommandError> {
    // A number nobody knows must not become the default.
    if request.container_type.is_some_and(|kind| kind != i32::from(ContainerType::KeyValueContainer)) {
        return Err(CommandError::new(UnknownContainerType, "only KeyValueContainer is known"));
    }
    let state = match ReplicaState::from_number(request.state.unwrap_or(ReplicaState::Open.number())) {
        Some(state @ (ReplicaState::Open | ReplicaState::Recovering)) => state,
        _ => return Err(CommandError::new(InvalidArgument, "a container is made OPEN or RECOVERING")),
    };
    let replica = ReplicaIndex::from_wire(request.replica_index())
        .map_err(|e| CommandError::new(MalformedRequest, e.to_string()))?;
    let words = request.metadata.into_iter().map(|pair| (pair.key, pair.value.unwrap_or_default())).collect();
    let making = store.creating.lock().await;
    if store.find(context.container).is_some() {
        let why = format!("container {} is here already", context.container);
        return Err(CommandError::new(ContainerAlreadyExists, why));
    }
    if state != ReplicaState::Recovering {
        store.check_not_missing(context.container)?;
    }
    create(store, context.container, &context.pipeline, state, replica, words).await?;
    drop(making);
    Ok(CreateContainerResponseProto {})
}

/// The container for a write: made OPEN if no other write has made it meanwhile.
pub(crate) async fn for_write(
    store: &Rc<Store>,
    context: &Context,
    replica: Option<ReplicaIndex>,
) -> Result<Rc<Container>, CommandError> {
    let _making = store.creating.lock().await;
    if let Some(made) = store.find(context.container) {
        return Ok(made);
    }
    store.check_not_missing(context.container)?;
    create(store, context.container, &context.pipeline, ReplicaState::Open, replica, BTreeMap::new()).await
}

/// Makes a container. The caller holds the lock on making and knows that it is not here.
pub(crate) async fn create(
    store: &Rc<Store>,
    id: ContainerId,
    pipeline: &str,
    state: ReplicaState,
    replica: Option<ReplicaIndex>,
    metadata: BTreeMap<String, String>,
) -> Result<Rc<Container>, CommandError> {
    check_words(pipeline, &metadata)?;
    if store.node().imports.has(id) {
        let why = format!("container {id} is on its way here from another datanode");
        return Err(CommandError::new(ContainerAlreadyExists, why));
    }
    let volume = volume_for(store, store.node().config.container_size.as_u64()).await?;
    let paths = volume.paths().container(id);
    let path_text = |path: std::path::PathBuf| path.to_string_lossy().into_owned();
    let file = ContainerFile {
        id,
        state,
        size_max: store.node().config.container_size,
        replica,
        origin_node: store.node().id.to_string(),
        origin_pipeline: pipeline.to_owned(),
        metadata,
        chunks_path: path_text(paths.chunks()),
        metadata_path: path_text(paths.metadata()),
        data_scan_ms: None,
    };
    let disk = store.disk();
    for dir in [paths.chunks(), paths.metadata()] {
        disk.create_dir_all(&dir).await?;
    }
    disk.replace(paths.container_file(), file.encode().as_bytes()).await?;
    // The new names from the container's folder up: a crash must not leave the file without a way to it.
    for dir in paths.dir().ancestors().take(3) {
        disk.sync_dir(dir).await?;
    }
    let seen = ContainerCreateInfo {
        state: state.number(),
        replica_index: Some(replica.map_or(0, |index| i32::from(index.number()))),
    };
    let mut batch = Batch::new();
    batch.put(Family::Witnessed, id.as_u64().to_be_bytes(), seen.encode_to_vec());
    store.node().witnessed.commit(batch, Durability::Disk).await?;
    let container = Rc::new(Container::new(volume, paths, file, Counters::default()));
    store.add(container.clone());
    Ok(container)
}

/// Refuses words that Ozone would write otherwise into the container's file than it reads them.
fn check_words(pipeline: &str, metadata: &BTreeMap<String, String>) -> Result<(), CommandError> {
    let words = metadata.iter().flat_map(|(key, value)| [key.as_str(), value.as_str()]);
    match words.chain([pipeline]).find(|word| word.chars().any(char::is_control)) {
        Some(word) => {
            let why = format!("{word:?} has a control character, which a container's file cannot hold");
            Err(CommandError::new(MalformedRequest, why))
        }
        None => Ok(()),
    }
}

/// A volume with room for `size` bytes that no container has claimed yet.
pub(crate) async fn volume_for(store: &Store, size: u64) -> Result<Arc<Volume>, CommandError> {
    loop {
        let volume = choose_volume(store, size)?;
        // A folder whose disk is gone must not grow a tree of its own.
        match store.disk().stat(VolumePaths::version(volume.paths().root())).await {
            Ok(Some(_)) => return Ok(volume),
            Ok(None) => volume.suspect(&"its VERSION is gone: the disk was pulled or emptied"),
            Err(e) => volume.suspect(&e),
        }
    }
}

fn choose_volume(store: &Store, size: u64) -> Result<Arc<Volume>, CommandError> {
    let node = store.node();
    let volumes = node.volumes();
    let candidates: Vec<_> = volumes
        .iter()
        .enumerate()
        .map(|(index, volume)| Candidate {
            index,
            space: volume.space(),
            free_min: volume.kept().hard,
            suspect: volume.is_suspect(),
        })
        .collect();
    let chosen = choose(&candidates, size, node.config.volume_choice, store.turn());
    chosen.map(|index| volumes[index].clone()).ok_or_else(|| {
        let why = format!("no volume has {size} bytes left for a container");
        CommandError::new(DiskOutOfSpace, why)
    })
}
