//! A missing field, an unknown number and an impossible length are errors that name message and field, in every protocol.
//!
//! Each property draws a good message, damages one place of it, anywhere and at any depth, and reads it.
#![allow(clippy::unwrap_used, reason = "a test may end where its own data is not there")]

mod support;

use std::fmt::Debug;
use std::sync::LazyLock;

use allotrope_proto::edge::{
    heartbeat, inter_scm, om as om_calls, scm_block, scm_container, scm_security, secret_key,
};
use allotrope_proto::{Checked, WireError, decode, om};
use bytes::Bytes;
use proptest::prelude::*;
use prost::Message;
use prost_reflect::{Cardinality, DynamicMessage, FieldDescriptor, Kind, ReflectMessage, Value};
use support::Protocol;

/// Reads bytes as one message, through the edge, and gives only the error.
type Read = fn(Bytes) -> Option<WireError>;

fn read<M: Checked, V: TryFrom<M, Error = WireError>>(bytes: Bytes) -> Option<WireError> {
    decode::<M>(bytes).and_then(V::try_from).err()
}

/// The envelopes of all protocols that have one, and how each is read.
static ENVELOPES: LazyLock<Vec<(Protocol, &'static str, Read)>> = LazyLock::new(|| {
    use allotrope_proto::{
        heartbeat as h, inter_scm as i, scm_block as b, scm_container as c, scm_security as s,
        secret_key as k,
    };
    macro_rules! all {
        ($($file:literal $name:literal $message:ty => $value:ty;)*) => {
            vec![$((Protocol::of(&[$file]), $name, read::<$message, $value> as Read)),*]
        };
    }
    all! {
        "om/request.proto" "hadoop.ozone.OMRequest" om::OmRequest => om_calls::OmRequest;
        "om/request.proto" "hadoop.ozone.OMResponse" om::OmResponse => om_calls::OmResponse;
        "scm_container.proto" "hadoop.hdds.container.ScmContainerLocationRequest" c::ScmContainerLocationRequest => scm_container::LocationRequest;
        "scm_container.proto" "hadoop.hdds.container.ScmContainerLocationResponse" c::ScmContainerLocationResponse => scm_container::LocationResponse;
        "scm_block.proto" "hadoop.hdds.block.SCMBlockLocationRequest" b::ScmBlockLocationRequest => scm_block::BlockRequest;
        "scm_block.proto" "hadoop.hdds.block.SCMBlockLocationResponse" b::ScmBlockLocationResponse => scm_block::BlockResponse;
        "scm_security.proto" "hadoop.hdds.security.SCMSecurityRequest" s::ScmSecurityRequest => scm_security::SecurityRequest;
        "scm_security.proto" "hadoop.hdds.security.SCMSecurityResponse" s::ScmSecurityResponse => scm_security::SecurityResponse;
        "secret_key.proto" "hadoop.hdds.security.symmetric.SCMSecretKeyRequest" k::ScmSecretKeyRequest => secret_key::SecretKeyRequest;
        "secret_key.proto" "hadoop.hdds.security.symmetric.SCMSecretKeyResponse" k::ScmSecretKeyResponse => secret_key::SecretKeyResponse;
        "heartbeat.proto" "hadoop.hdds.SCMDatanodeRequest" h::ScmDatanodeRequest => heartbeat::DatanodeRequest;
        "heartbeat.proto" "hadoop.hdds.SCMDatanodeResponse" h::ScmDatanodeResponse => heartbeat::DatanodeResponse;
        "inter_scm.proto" "CopyDBCheckpointResponseProto" i::CopyDbCheckpointResponseProto => inter_scm::CheckpointPart;
    }
});

/// Every field that is there and that `wanted` names, as the path to its message and the field.
type Place = (Vec<(FieldDescriptor, usize)>, FieldDescriptor);

fn places(message: &DynamicMessage, wanted: fn(&FieldDescriptor) -> bool) -> Vec<Place> {
    fn walk(
        message: &DynamicMessage,
        path: &[(FieldDescriptor, usize)],
        wanted: fn(&FieldDescriptor) -> bool,
        out: &mut Vec<Place>,
    ) {
        for field in message.descriptor().fields().filter(|field| message.has_field(field)) {
            if wanted(&field) {
                out.push((path.to_vec(), field.clone()));
            }
            if !matches!(field.kind(), Kind::Message(_)) {
                continue;
            }
            let value = message.get_field(&field);
            let inner: Vec<&DynamicMessage> = match &*value {
                Value::Message(inner) => vec![inner],
                Value::List(list) => list.iter().filter_map(Value::as_message).collect(),
                _ => vec![],
            };
            for (at, inner) in inner.into_iter().enumerate() {
                walk(inner, &[path, &[(field.clone(), at)]].concat(), wanted, out);
            }
        }
    }
    let mut out = Vec::new();
    walk(message, &[], wanted, &mut out);
    out
}

/// The message at the end of a path.
fn at<'m>(message: &'m mut DynamicMessage, path: &[(FieldDescriptor, usize)]) -> &'m mut DynamicMessage {
    let Some(((field, index), rest)) = path.split_first() else { return message };
    let inner = match message.get_field_mut(field) {
        Value::Message(inner) => inner,
        Value::List(list) => list[*index].as_message_mut().unwrap(),
        other => unreachable!("{other:?} on a path"),
    };
    at(inner, rest)
}

/// Message and field as errors name them.
fn named(place: &Place) -> (String, String) {
    let of = place.1.parent_message();
    let full = of.full_name();
    let package = of.package_name();
    let message = if package.is_empty() { full } else { &full[package.len() + 1..] };
    (message.to_owned(), place.1.name().to_owned())
}

/// Draws a message of any envelope and damages the place of it that `index` chooses; `None` if it has no such place.
fn damaged(
    which: prop::sample::Index,
    seed: u64,
    index: prop::sample::Index,
    wanted: fn(&FieldDescriptor) -> bool,
    damage: impl Fn(&mut DynamicMessage, &FieldDescriptor),
) -> Option<(Place, Option<WireError>)> {
    let (protocol, name, read) = &ENVELOPES[which.index(ENVELOPES.len())];
    let mut message = protocol.any_dynamic(name, seed);
    assert_eq!(read(message.encode_to_vec().into()), None, "{name} is good before it is damaged");
    let places = places(&message, wanted);
    let place = places.get(index.index(places.len().max(1)))?.clone();
    damage(at(&mut message, &place.0), &place.1);
    let error = read(message.encode_to_vec().into());
    Some((place, error))
}

fn is_enum(field: &FieldDescriptor) -> bool {
    matches!(field.kind(), Kind::Enum(_))
}

/// Fields that are sizes wherever they are: less than nothing is none.
fn is_size(field: &FieldDescriptor) -> bool {
    let of = field.parent_message();
    let sizes = [
        "dataSize",
        "length",
        "offset",
        "size",
        "usedBytes",
        "blockSize",
        "capacity",
        "readOffset",
        "bytesUsed",
    ];
    // These two messages have numbers by that name that nobody takes for bytes.
    let other = ["BalancerIteration", "ListSnapshotRequest"];
    matches!(field.kind(), Kind::Uint64 | Kind::Int64)
        && sizes.contains(&field.name())
        && !other.contains(&of.name())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1500))]

    #[test]
    fn a_required_field_that_is_missing_is_named(
        which: prop::sample::Index, seed: u64, index: prop::sample::Index,
    ) {
        let required = |field: &FieldDescriptor| field.cardinality() == Cardinality::Required;
        let Some((place, error)) = damaged(which, seed, index, required, DynamicMessage::clear_field) else {
            return Ok(());
        };
        let (wanted, field) = named(&place);
        match error {
            Some(WireError::Missing { message, field: missing }) => prop_assert_eq!((message, missing), (&*wanted, &*field)),
            other => prop_assert!(false, "{wanted}.{field} is missing, and there is {other:?}"),
        }
    }

    #[test]
    fn a_number_that_names_nothing_is_refused_by_name(
        which: prop::sample::Index, seed: u64, index: prop::sample::Index, number in 1000..i32::MAX,
    ) {
        let damage = |message: &mut DynamicMessage, field: &FieldDescriptor| {
            let value = Value::EnumNumber(number);
            message.set_field(field, if field.is_list() { Value::List(vec![value]) } else { value });
        };
        let Some((place, error)) = damaged(which, seed, index, is_enum, damage) else { return Ok(()) };
        let (wanted, field) = named(&place);
        match error {
            Some(WireError::UnknownEnum { message, field: unknown, value }) => {
                prop_assert_eq!((message, unknown, value), (&*wanted, &*field, number));
            }
            other => prop_assert!(false, "{wanted}.{field} is {number}, and there is {other:?}"),
        }
    }

    #[test]
    fn a_size_below_zero_is_refused_by_name(which: prop::sample::Index, seed: u64, index: prop::sample::Index) {
        let damage = |message: &mut DynamicMessage, field: &FieldDescriptor| {
            let value = if field.kind() == Kind::Int64 { Value::I64(-1) } else { Value::U64(u64::MAX) };
            message.set_field(field, if field.is_list() { Value::List(vec![value]) } else { value });
        };
        let Some((place, error)) = damaged(which, seed, index, is_size, damage) else { return Ok(()) };
        let (wanted, field) = named(&place);
        match error {
            Some(WireError::Invalid { message, field: wrong, .. }) => prop_assert_eq!((message, wrong), (&*wanted, &*field)),
            other => prop_assert!(false, "{wanted}.{field} is -1, and there is {other:?}"),
        }
    }

    #[test]
    fn no_number_anywhere_makes_the_edge_panic(
        which: prop::sample::Index, seed: u64, index: prop::sample::Index, number: i64,
    ) {
        let any = |field: &FieldDescriptor| {
            matches!(field.kind(), Kind::Int32 | Kind::Uint32 | Kind::Int64 | Kind::Uint64 | Kind::Enum(_))
        };
        let damage = |message: &mut DynamicMessage, field: &FieldDescriptor| {
            let value = match field.kind() {
                Kind::Int32 => Value::I32(number as i32),
                Kind::Uint32 => Value::U32(number as u32),
                Kind::Int64 => Value::I64(number),
                Kind::Uint64 => Value::U64(number.cast_unsigned()),
                _ => Value::EnumNumber(number as i32),
            };
            message.set_field(field, if field.is_list() { Value::List(vec![value]) } else { value });
        };
        damaged(which, seed, index, any, damage);
    }
}

#[test]
fn every_protocol_has_places_to_damage() {
    let found = |name: &str, protocol: &Protocol, wanted: fn(&FieldDescriptor) -> bool| {
        (0..60).map(|seed| places(&protocol.any_dynamic(name, seed), wanted).len()).sum::<usize>()
    };
    let mut sizes = 0;
    for (protocol, name, _) in ENVELOPES.iter() {
        let required = |field: &FieldDescriptor| field.cardinality() == Cardinality::Required;
        assert!(found(name, protocol, required) >= 60, "{name}");
        sizes += found(name, protocol, is_size);
    }
    assert!(sizes >= 150, "{sizes}");
}

/// What reading this message complains about.
fn refused<M: Checked, V: TryFrom<M, Error = WireError> + Debug>(message: M) -> String {
    let error = V::try_from(message).unwrap_err();
    let source = std::error::Error::source(&error).map_or(String::new(), |source| format!(": {source}"));
    format!("{error}{source}")
}

#[test]
fn a_call_without_its_arguments_names_the_field_that_lacks_them() {
    use allotrope_proto::om::{OmRequest, Type};
    let request =
        |kind: Type| OmRequest { cmd_type: kind.into(), client_id: "c".into(), ..Default::default() };
    let refused = |kind| refused::<_, om_calls::OmRequest>(request(kind));
    assert_eq!(refused(Type::InfoVolume), "OMRequest lacks its field infoVolumeRequest");
    assert_eq!(refused(Type::ListStatusLight), "OMRequest lacks its field listStatusRequest");
    assert_eq!(refused(Type::RecoverLease), "OMRequest lacks its field RecoverLeaseRequest");
    assert_eq!(refused(Type::UnknownCommand), "OMRequest.cmdType is 0, which names nothing");
    // Arguments that would say nothing may as well be absent.
    let call = om_calls::OmRequest::try_from(request(Type::ServiceList)).unwrap().call;
    assert_eq!(call, om_calls::OmCall::ServiceList(allotrope_proto::edge::Empty));
    let call = om_calls::OmRequest::try_from(request(Type::SetSnapshotProperty)).unwrap().call;
    assert_eq!(call, om_calls::OmCall::SetSnapshotProperty(None));
}

#[test]
fn arguments_of_another_call_are_not_taken_for_this_ones() {
    use allotrope_proto::om::{DeleteVolumeRequest, OmRequest, Type};
    let request = OmRequest {
        cmd_type: Type::InfoVolume.into(),
        client_id: "c".into(),
        delete_volume_request: Some(Box::new(DeleteVolumeRequest { volume_name: "v".into() })),
        ..Default::default()
    };
    assert_eq!(refused::<_, om_calls::OmRequest>(request), "OMRequest lacks its field infoVolumeRequest");
}

#[test]
fn lengths_that_cannot_be_are_refused_by_name() {
    use allotrope_proto::hdds::DatanodeUsageInfoProto;
    use allotrope_proto::inter_scm::CopyDbCheckpointResponseProto;
    use allotrope_proto::om::{BasicKeyInfo, KeyArgs, PartInfo, ServicePort};
    let args = KeyArgs { data_size: Some(u64::MAX), ..Default::default() };
    let text = refused::<_, allotrope_proto::edge::om_key::KeyArgs>(args);
    assert_eq!(text, "KeyArgs.dataSize is 18446744073709551615, beyond 63 bits");
    let light = BasicKeyInfo { factor: Some(9), r#type: Some(1), ..Default::default() };
    let text = refused::<_, allotrope_proto::edge::om_key::BasicKeyInfo>(light);
    assert_eq!(text, "BasicKeyInfo.factor is 9, which names nothing");
    let part = PartInfo { size: u64::MAX, ..Default::default() };
    let text = refused::<_, om_calls::multipart::UploadedPart>(part);
    assert_eq!(text, "PartInfo.size is 18446744073709551615, beyond 63 bits");
    let port = ServicePort { r#type: 1, value: 70_000 };
    let text = refused::<_, om_calls::service::ServicePort>(port);
    assert_eq!(text, "ServicePort.value is 70000, beyond 65535");
    let usage = DatanodeUsageInfoProto { capacity: Some(-1), ..Default::default() };
    let text = refused::<_, scm_container::nodes::DatanodeUsage>(usage);
    assert_eq!(text, "DatanodeUsageInfoProto.capacity is -1, less than nothing");
    let part =
        CopyDbCheckpointResponseProto { len: 3, data: Bytes::from_static(b"four"), ..Default::default() };
    let text = refused::<_, inter_scm::CheckpointPart>(part);
    assert_eq!(text, "CopyDBCheckpointResponseProto.len is 3, and there are 4 bytes");
}

#[test]
fn ids_that_cannot_be_are_refused_by_name() {
    use allotrope_proto::hdds::ScmContainerReplicaProto;
    use allotrope_proto::scm_container::GetContainerRequestProto;
    let text = refused::<_, scm_container::containers::NamedContainer>(GetContainerRequestProto {
        container_id: -1,
        ..Default::default()
    });
    assert!(text.starts_with("GetContainerRequestProto.containerID holds a wrong value"), "{text}");
    for index in [33, i64::MAX, -1] {
        let text = refused::<_, scm_container::containers::ReplicaOnDatanode>(ScmContainerReplicaProto {
            replica_index: Some(index),
            datanode_details: allotrope_proto::hdds::DatanodeDetailsProto {
                uuid: Some("f81d4fae-7dec-41d0-a765-00a0c91e6bf6".into()),
                ..Default::default()
            },
            ..Default::default()
        });
        assert!(text.starts_with("SCMContainerReplicaProto.replicaIndex"), "{text}");
    }
}

#[test]
fn what_is_less_than_zero_on_purpose_passes() {
    use allotrope_proto::om::{SetTimesRequest, SetVolumePropertyRequest};
    let times = SetTimesRequest { mtime: u64::MAX, atime: 7, ..Default::default() };
    let times = om_calls::file::SetTimes::try_from(times).unwrap();
    assert_eq!((times.mtime.0, times.atime.0), (-1, 7));
    let quota = SetVolumePropertyRequest { quota_in_bytes: Some(u64::MAX), ..Default::default() };
    let quota = om_calls::volume::SetVolumeProperty::try_from(quota).unwrap().quota_in_bytes;
    assert_eq!(quota, Some(allotrope_proto::edge::om_bucket::Quota::NONE));
}
