//! Records come back as they were; bytes that are not whole records never do.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use openraft::{CommittedLeaderId, EntryPayload};
use proptest::prelude::*;

use super::*;
use crate::ids::Member;

fn entry(payload: EntryPayload<crate::raft::Types>) -> Entry {
    Entry { log_id: LogId::new(CommittedLeaderId::new(3, 2), 77), payload }
}

/// A caller, if it is a client, and its command.
type Asked = (Option<([u8; 16], u64)>, Vec<u8>);

fn commands(time: u64, calls: Vec<Asked>) -> Entry {
    let calls = calls.into_iter().map(|(origin, command)| Call {
        origin: match origin {
            Some((client, call)) => Origin::Client { client: ClientId(client), call: CallId(call) },
            None => Origin::Service,
        },
        command: command.into(),
    });
    let list = CommandList { time: LogTime { unix_ms: time }, calls: calls.collect() };
    entry(EntryPayload::Normal(Commands(Arc::new(list))))
}

proptest! {
    #[test]
    fn commands_come_back(
        time: u64,
        calls in prop::collection::vec((prop::option::of((any::<[u8; 16]>(), any::<u64>())), prop::collection::vec(any::<u8>(), 0..50)), 0..6),
    ) {
        let entry = commands(time, calls);
        prop_assert_eq!(decode(&encode(&entry)).unwrap(), entry);
    }

    #[test]
    fn any_bytes_are_refused_or_an_entry(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let _ = decode(&bytes);
    }
}

#[test]
fn blank_and_membership_come_back() {
    let nodes =
        BTreeMap::from([(1, Member { name: "om1".into(), address: "a:1".into() }), (2, Member::default())]);
    let membership = openraft::Membership::new(vec![BTreeSet::from([1]), BTreeSet::from([1, 2])], nodes);
    for payload in [EntryPayload::Blank, EntryPayload::Membership(membership)] {
        let entry = entry(payload);
        assert_eq!(decode(&encode(&entry)).unwrap(), entry);
    }
}

#[test]
fn every_cut_and_every_flipped_bit_is_noticed() {
    let record = encode(&commands(5, vec![(Some(([9; 16], 4)), b"make".to_vec()), (None, b"do".to_vec())]));
    for cut in 0..record.len() {
        assert_eq!(decode(&record[..cut]), Err(RecordError::Short), "cut at {cut}");
    }
    for bit in 0..record.len() * 8 {
        let mut damaged = record.clone();
        damaged[bit / 8] ^= 1 << (bit % 8);
        assert!(decode(&damaged).is_err(), "bit {bit}");
    }
    assert_eq!(decode(&[&record[..], &[0]].concat()), Err(RecordError::Malformed("bytes after its end")));
}

#[test]
fn a_newer_version_is_named() {
    let mut record = encode(&entry(EntryPayload::Blank));
    record[0] = 9;
    assert_eq!(decode(&record), Err(RecordError::Newer(9)));
}

#[test]
fn the_record_is_drawn_so_in_docs_formats() {
    let record = encode(&commands(0x0102, vec![(None, b"do".to_vec())]));
    let golden = [
        &[1, 1, 0, 0][..],
        &19_u32.to_le_bytes(),
        &3_u64.to_le_bytes(),
        &2_u64.to_le_bytes(),
        &77_u64.to_le_bytes(),
        &0x0102_u64.to_le_bytes(),
        &1_u32.to_le_bytes(),
        &[0],
        &2_u32.to_le_bytes(),
        b"do",
    ]
    .concat();
    assert_eq!(record[..golden.len()], golden);
    assert_eq!(record[golden.len()..], crc32c::crc32c(&golden).to_le_bytes());
}
