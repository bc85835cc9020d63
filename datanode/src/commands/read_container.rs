//! ReadContainer: what a container is and counts.

use super::{CommandError, Context};
use crate::store::Store;
use allotrope_proto::container::{ContainerDataProto, ContainerType, KeyValue, ReadContainerResponseProto};

pub(crate) fn run(store: &Store, context: &Context) -> Result<ReadContainerResponseProto, CommandError> {
    let container = context.existing(store)?;
    let (file, counters) = (container.file(), container.facts());
    let pair = |(key, value): (String, String)| KeyValue { key, value: Some(value) };
    let data = ContainerDataProto {
        container_id: file.id.to_wire(),
        metadata: file.metadata.into_iter().map(pair).collect(),
        container_path: Some(container.paths().dir().to_string_lossy().into_owned()),
        bytes_used: Some(counters.bytes_used as i64),
        size: Some(file.size_max.as_u64() as i64),
        block_count: Some(counters.blocks as i64),
        state: Some(file.state.number()),
        container_type: Some(ContainerType::KeyValueContainer.into()),
    };
    Ok(ReadContainerResponseProto { container_data: Some(data) })
}
