//! A key's row on its way from OM's table to an answer: as the message that it is, and through the domain's type.
//!
//! Why     docs/decisions/0018: OM works on Ozone's messages; this says what the other way would cost a lookup.

use super::{black_box, median, timed};
use allotrope_proto::edge::om_key::KeyInfo as Key;
use allotrope_proto::hdds::{
    BlockId, ContainerBlockId, DatanodeDetailsProto, KeyValue, Pipeline, PipelineId, Port,
};
use allotrope_proto::om::{KeyInfo, KeyLocation, KeyLocationList, OzoneAclInfo};
use prost::Message;
use std::fmt::Write as _;

/// Blocks of a key: 256 MiB, 4 GiB and 64 GiB in blocks of 256 MiB.
const BLOCKS: [usize; 3] = [1, 16, 256];
/// Rows that are read at one look at the clock.
const AT_ONCE: usize = 64;

/// A row of OM's key table, of a key with `blocks` blocks; pipelines are not stored.
fn row(blocks: usize) -> Vec<u8> {
    let location = |n: usize| KeyLocation {
        block_id: BlockId {
            container_block_id: ContainerBlockId {
                container_id: n as i64 + 1,
                local_id: 113_750_153_625_600_001 + n as i64,
            },
            block_commit_sequence_id: Some(77),
        },
        length: 256 << 20,
        create_version: Some(0),
        ..KeyLocation::default()
    };
    let list = KeyLocationList {
        version: Some(0),
        key_locations: (0..blocks).map(location).collect(),
        ..KeyLocationList::default()
    };
    let key = KeyInfo {
        volume_name: "vol1".into(),
        bucket_name: "bucket1".into(),
        key_name: "warehouse/sales/day=2026-01-01/part-00017.parquet".into(),
        data_size: (blocks as u64) << 28,
        r#type: 2,
        factor: Some(3),
        key_location_list: vec![list],
        creation_time: 1_767_225_600_000,
        modification_time: 1_767_225_600_000,
        latest_version: Some(0),
        metadata: vec![KeyValue {
            key: "ETag".into(),
            value: Some("9e107d9d372bb6826bd81d3542a419d6".into()),
        }],
        acls: vec![OzoneAclInfo {
            name: "spark".into(),
            rights: vec![0x80].into(),
            ..OzoneAclInfo::default()
        }],
        object_id: Some(1 << 40),
        update_id: Some(1 << 20),
        owner_name: Some("spark".into()),
        ..KeyInfo::default()
    };
    key.encode_to_vec()
}

/// What a lookup puts into each block of its answer: a pipeline of three datanodes.
fn pipeline() -> Pipeline {
    let node = |n: usize| DatanodeDetailsProto {
        uuid: Some(format!("5d639e5c-ce06-40ca-8859-c07b8e8c56c{n}")),
        ip_address: format!("10.0.0.{n}"),
        host_name: format!("datanode{n}.example"),
        ports: vec![
            Port { name: "STANDALONE".into(), value: 9859 },
            Port { name: "RATIS".into(), value: 9858 },
        ],
        ..DatanodeDetailsProto::default()
    };
    Pipeline {
        members: (1..=3).map(node).collect(),
        state: Some(2),
        r#type: Some(2),
        factor: Some(3),
        id: PipelineId { id: Some("c9a6a4f0-8f5b-4a6c-9b0e-0b7b1f0b5a11".into()), ..PipelineId::default() },
        ..Pipeline::default()
    }
}

fn with_pipelines(mut key: KeyInfo, pipeline: &Pipeline) -> KeyInfo {
    for location in key.key_location_list.iter_mut().flat_map(|list| &mut list.key_locations) {
        location.pipeline = Some(pipeline.clone());
    }
    key
}

/// As OM does it: the row is the message.
fn as_message(row: &[u8], pipeline: &Pipeline) -> Vec<u8> {
    with_pipelines(KeyInfo::decode(row).expect("it is a row"), pipeline).encode_to_vec()
}

/// The same, with the domain's type between the row and the answer.
fn through_the_domain(row: &[u8], pipeline: &Pipeline) -> Vec<u8> {
    let key = Key::try_from(KeyInfo::decode(row).expect("it is a row")).expect("it is a key");
    with_pipelines(KeyInfo::from(key), pipeline).encode_to_vec()
}

/// A table of both.
pub(super) fn table(laps: usize) -> String {
    let mut text = String::from(
        "\n## A key's row becomes an answer\n\nOf a RATIS/THREE key: decoded from OM's table, a pipeline put into each block, encoded. \
         'Through the domain' converts the whole message to the domain's type and back in between. CPU time of the thread; the ratio is the \
         median over pairs.\n\n\
         | blocks | as the message, µs | through the domain, µs | ratio |\n| ---: | ---: | ---: | ---: |\n",
    );
    let pipeline = pipeline();
    for blocks in BLOCKS {
        let row = row(blocks);
        assert_eq!(as_message(&row, &pipeline), through_the_domain(&row, &pipeline), "both answer the same");
        let (mut direct, mut detour, mut ratios) = (Vec::new(), Vec::new(), Vec::new());
        for _ in 0..laps * 20 {
            let a = timed(|| (0..AT_ONCE).for_each(|_| drop(black_box(as_message(&row, &pipeline)))));
            let b = timed(|| (0..AT_ONCE).for_each(|_| drop(black_box(through_the_domain(&row, &pipeline)))));
            direct.push(a);
            detour.push(b);
            ratios.push(b / a);
        }
        let us = |times| median(times) / AT_ONCE as f64 * 1e6;
        writeln!(text, "| {blocks} | {:.2} | {:.2} | {:.2} |", us(direct), us(detour), median(ratios))
            .expect("a string grows");
    }
    text
}
