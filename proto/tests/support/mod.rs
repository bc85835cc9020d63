//! Any message of a `.proto` file, as a well-behaved Java peer could have sent it.
//!
//! Fields are drawn at random from what the file allows; `mend` then makes true what the file cannot say: an id's three
//! forms agree, a checksum has its type's length, a request holds the arguments that its command names.
#![allow(dead_code, reason = "each test takes what it needs")]

use bytes::Bytes;
use prost::Message;
use prost_reflect::{
    DescriptorPool, DynamicMessage, FieldDescriptor, Kind, MessageDescriptor, ReflectMessage, Value,
};

/// Draws numbers from a seed (SplitMix64): the same seed, the same message.
struct Draw(u64);

impl Draw {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ mixed >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ mixed >> 31
    }

    fn below(&mut self, end: u64) -> u64 {
        self.next() % end
    }

    fn uuid(&mut self) -> (i64, i64, String) {
        let (most, least) = (self.next(), self.next());
        let hex = format!("{most:016x}{least:016x}");
        let text = format!("{}-{}-{}-{}-{}", &hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..]);
        (most.cast_signed(), least.cast_signed(), text)
    }

    fn text(&mut self) -> String {
        let pool = ['a', 'Z', '7', '/', ' ', 'é', '漢'];
        (0..self.below(9)).map(|_| pool[self.below(pool.len() as u64) as usize]).collect()
    }

    fn number(&mut self, max: u64) -> u64 {
        match self.below(3) {
            0 => self.below(4),
            1 => self.below(100_000) % max,
            _ => self.next() % max,
        }
    }
}

/// The messages of some `.proto` files.
pub(crate) struct Protocol(DescriptorPool);

impl Protocol {
    pub(crate) fn of(files: &[&str]) -> Protocol {
        let protos = concat!(env!("CARGO_MANIFEST_DIR"), "/../proto/protos");
        let set = protox::compile(files, [protos]).unwrap();
        Protocol(DescriptorPool::from_file_descriptor_set(set).unwrap())
    }

    /// The bytes of some message of this name.
    pub(crate) fn any(&self, name: &str, seed: u64) -> Bytes {
        let descriptor = self.0.get_message_by_name(name).unwrap_or_else(|| panic!("no message {name}"));
        message(&descriptor, &mut Draw(seed), 0).encode_to_vec().into()
    }

    /// The same as a message that can be looked at and damaged.
    pub(crate) fn any_dynamic(&self, name: &str, seed: u64) -> DynamicMessage {
        let descriptor = self.0.get_message_by_name(name).unwrap_or_else(|| panic!("no message {name}"));
        message(&descriptor, &mut Draw(seed), 0)
    }

    /// The commands of an envelope: every number that its `cmdType` may have.
    pub(crate) fn commands(&self, name: &str) -> Vec<i32> {
        let descriptor = self.0.get_message_by_name(name).unwrap_or_else(|| panic!("no message {name}"));
        let Kind::Enum(kinds) = command_type(&descriptor).unwrap().kind() else { unreachable!() };
        kinds.values().map(|value| value.number()).collect()
    }

    /// An envelope with this command in it; `None` if the file gives the command no place.
    pub(crate) fn command(&self, name: &str, number: i32, seed: u64) -> Option<DynamicMessage> {
        let mut made = self.any_dynamic(name, seed);
        let kind = command_type(&made.descriptor())?;
        let mut draw = Draw(seed);
        let (number, payload) = pairs(&made, &kind).into_iter().find(|(known, _)| *known == number)?;
        put_command(&mut made, &kind, number, payload, &mut draw, 0);
        Some(made)
    }
}

fn command_type(descriptor: &MessageDescriptor) -> Option<FieldDescriptor> {
    descriptor.get_field_by_name("cmdType").or(descriptor.get_field_by_name("commandType"))
}

fn message(descriptor: &MessageDescriptor, draw: &mut Draw, depth: usize) -> DynamicMessage {
    let mut message = DynamicMessage::new(descriptor.clone());
    for field in descriptor.fields() {
        if field.containing_oneof().is_some_and(|one| !one.is_synthetic()) {
            continue;
        }
        if field.is_list() {
            let len = if depth > 4 { 0 } else { draw.below(3) };
            let values = (0..len).map(|_| value(&field, draw, depth)).collect();
            message.set_field(&field, Value::List(values));
        } else if required(&field) || (depth < 7 && draw.below(3) > 0) {
            let value = value(&field, draw, depth);
            message.set_field(&field, value);
        }
    }
    for one in descriptor.oneofs().filter(|one| !one.is_synthetic()) {
        let fields: Vec<_> = one.fields().collect();
        let field = &fields[draw.below(fields.len() as u64) as usize];
        let value = value(field, draw, depth);
        message.set_field(field, value);
    }
    mend(&mut message, draw, depth);
    message
}

/// Required by the file, or by what the message means where proto3 has no such word.
fn required(field: &FieldDescriptor) -> bool {
    field.cardinality() == prost_reflect::Cardinality::Required
        || [
            "rpcRequest",
            "rpcReply",
            "raftGroupId",
            "groupId",
            "server",
            "chunkData",
            "requestorId",
            "replyId",
            "peerId",
            "id",
        ]
        .contains(&field.name())
        || (field.parent_message().name() == "WriteChunkRequestProto" && field.name() == "data")
}

fn value(field: &FieldDescriptor, draw: &mut Draw, depth: usize) -> Value {
    let of = field.parent_message();
    match field.kind() {
        Kind::Bool => Value::Bool(draw.below(2) == 1),
        Kind::Int32 if field.name() == "replicaIndex" => Value::I32(1 + draw.below(32) as i32),
        Kind::Int32 | Kind::Sint32 => Value::I32(draw.number(i32::MAX as u64) as i32),
        Kind::Int64 if field.name() == "replicaIndex" => Value::I64(1 + draw.below(32).cast_signed()),
        Kind::Int64 | Kind::Sint64 => Value::I64(draw.number(i64::MAX as u64).cast_signed()),
        Kind::Uint32 if matches!(of.name(), "Port" | "ServicePort") || field.name().ends_with("Port") => {
            Value::U32(draw.below(65536) as u32)
        }
        Kind::Uint32 => Value::U32(draw.number(u64::from(u32::MAX)) as u32),
        Kind::Uint64 => Value::U64(draw.number(i64::MAX as u64)),
        Kind::Double => Value::F64(draw.below(1000) as f64 / 8.0),
        Kind::String => Value::String(match (of.name(), field.name()) {
            (_, "datanodeUuid" | "datanodeUUID" | "dnId" | "pipelineID") => draw.uuid().2,
            ("BlockTokenSecretProto", "blockId") => {
                format!("conID: {} locID: {}", draw.below(1 << 40), draw.below(1 << 60))
            }
            _ => draw.text(),
        }),
        Kind::Bytes => Value::Bytes(match (of.name(), field.name()) {
            (_, "missingContainerIndexes") => {
                (0..1 + draw.below(4)).map(|_| 1 + draw.below(14) as u8).collect()
            }
            ("OzoneAclInfo", "rights") => vec![1 + draw.below(255) as u8].into(),
            (_, "requestorId") | ("RaftGroupIdProto", "id") => (0..16).map(|_| draw.next() as u8).collect(),
            (_, "replyId" | "peerId") | ("RaftPeerProto" | "RaftPeerIdProto", "id") => draw.uuid().2.into(),
            _ => (0..draw.below(20)).map(|_| draw.next() as u8).collect(),
        }),
        Kind::Enum(kind) => {
            let numbers: Vec<i32> = kind.values().map(|value| value.number()).collect();
            Value::EnumNumber(numbers[draw.below(numbers.len() as u64) as usize])
        }
        Kind::Message(inner) => Value::Message(message(&inner, draw, depth + 1)),
        other => unreachable!("{other:?} is in none of our files"),
    }
}

fn set(message: &mut DynamicMessage, field: &str, value: Value) {
    message.set_field_by_name(field, value);
}

/// A sub-message with the two halves of a UUID.
fn halves(message: &DynamicMessage, field: &str, most: i64, least: i64) -> Value {
    let Kind::Message(inner) = message.descriptor().get_field_by_name(field).unwrap().kind() else {
        unreachable!()
    };
    let mut made = DynamicMessage::new(inner.clone());
    if inner.name() == "UUID" {
        set(&mut made, "mostSigBits", Value::I64(most));
        set(&mut made, "leastSigBits", Value::I64(least));
    } else {
        let uuid = halves(&made, "uuid", most, least);
        set(&mut made, "uuid", uuid);
    }
    Value::Message(made)
}

fn list_len(message: &DynamicMessage, field: &str) -> usize {
    message.get_field_by_name(field).unwrap().as_list().unwrap().len()
}

fn mend(message: &mut DynamicMessage, draw: &mut Draw, depth: usize) {
    let descriptor = message.descriptor();
    let has = |field: &str| descriptor.get_field_by_name(field).is_some();
    if has("ecReplicationConfig") && (has("type") || has("replicationType")) {
        mend_replication(message, draw, depth);
    }
    if let Some(kind) = command_type(&descriptor) {
        mend_envelope(message, &kind, draw, depth);
    }
    let (most, least, text) = draw.uuid();
    match descriptor.name() {
        "DatanodeDetailsProto" => {
            for field in ["uuid128", "id"] {
                let value = halves(message, field, most, least);
                set(message, field, value);
            }
            set(message, "uuid", Value::String(text));
        }
        "PipelineID" => {
            let value = halves(message, "uuid128", most, least);
            set(message, "uuid128", value);
            set(message, "id", Value::String(text));
        }
        "Pipeline" => {
            let members = list_len(message, "members");
            let indexes = (0..members).map(|_| Value::U32(draw.below(33) as u32)).collect();
            set(message, "memberReplicaIndexes", Value::List(indexes));
            let orders = (0..members).map(|order| Value::U32(order as u32)).collect();
            set(message, "memberOrders", Value::List(orders));
            let forms = ["leaderID128", "leaderDatanodeID", "suggestedLeaderID", "suggestedLeaderDatanodeID"];
            let led = draw.below(2) == 1;
            for field in forms {
                let value = halves(message, field, most, least);
                set(message, field, value);
                if !led {
                    message.clear_field_by_name(field);
                }
            }
            set(message, "leaderID", Value::String(if led { text } else { String::new() }));
        }
        "ECReplicationConfig" => {
            set(message, "codec", Value::String("rs".into()));
            set(message, "data", Value::I32(1 + draw.below(10) as i32));
            set(message, "parity", Value::I32(1 + draw.below(4) as i32));
            set(message, "ecChunkSize", Value::I32(1024 * (1 + draw.below(4096) as i32)));
        }
        "ChecksumData" => {
            let (kind, len) = [(1, 0), (2, 4), (3, 4), (4, 32), (5, 16)][draw.below(5) as usize];
            let count = if len == 0 { 0 } else { draw.below(5) };
            let checksums = (0..count).map(|_| Value::Bytes(vec![draw.next() as u8; len].into())).collect();
            set(message, "type", Value::EnumNumber(kind));
            set(message, "bytesPerChecksum", Value::U32(1 + draw.below(1 << 20) as u32));
            set(message, "checksums", Value::List(checksums));
        }
        // Java always says the BCSID.
        "DatanodeBlockID" | "BlockID" => {
            let bcsid = draw.number(1 << 40);
            set(message, "blockCommitSequenceId", Value::U64(bcsid));
        }
        // Java's datanodes always say the index.
        "ContainerReplicaProto" if !message.has_field_by_name("replicaIndex") => {
            set(message, "replicaIndex", Value::I32(0));
        }
        "CreatePipelineCommandProto" | "PipelineRequestProto" => {
            let (kind, factor) =
                if has("type") { ("type", "factor") } else { ("replicationType", "replicationFactor") };
            set(message, kind, Value::EnumNumber([1, 2][draw.below(2) as usize]));
            set(message, factor, Value::EnumNumber([1, 3][draw.below(2) as usize]));
        }
        "CopyContainerResponseProto" | "CopyDBCheckpointResponseProto" => {
            let len = message.get_field_by_name("data").unwrap().as_bytes().unwrap().len();
            set(message, "len", Value::U64(len as u64));
        }
        _ => {}
    }
}

/// One kind with what it needs, and nothing that it does not.
fn mend_replication(message: &mut DynamicMessage, draw: &mut Draw, depth: usize) {
    let descriptor = message.descriptor();
    let name =
        |a: &'static str, b: &'static str| if descriptor.get_field_by_name(a).is_some() { a } else { b };
    let (kind, factor) = (name("type", "replicationType"), name("factor", "replicationFactor"));
    let field = descriptor.get_field_by_name(kind).unwrap();
    for part in [factor, "ecReplicationConfig"] {
        message.clear_field_by_name(part);
    }
    let optional =
        field.cardinality() != prost_reflect::Cardinality::Required && descriptor.name() != "Pipeline";
    if optional && draw.below(3) == 0 {
        message.clear_field_by_name(kind);
        return;
    }
    let number = [1, 2, 4][draw.below(3) as usize];
    set(message, kind, Value::EnumNumber(number));
    if number == 4 {
        let ec = descriptor.get_field_by_name("ecReplicationConfig").unwrap();
        let value = value(&ec, draw, depth);
        message.set_field(&ec, value);
    } else {
        set(message, factor, Value::EnumNumber([1, 3][draw.below(2) as usize]));
    }
}

/// The arguments of one command, and no others.
fn mend_envelope(message: &mut DynamicMessage, kind: &FieldDescriptor, draw: &mut Draw, depth: usize) {
    let pairs = pairs(message, kind);
    assert!(pairs.len() > 2, "{}", message.descriptor().name());
    let (number, payload) = pairs[draw.below(pairs.len() as u64) as usize].clone();
    put_command(message, kind, number, payload, draw, depth);
}

fn put_command(
    message: &mut DynamicMessage,
    kind: &FieldDescriptor,
    number: i32,
    payload: Option<FieldDescriptor>,
    draw: &mut Draw,
    depth: usize,
) {
    for payload in payloads(message) {
        message.clear_field(&payload);
    }
    message.set_field(kind, Value::EnumNumber(number));
    if let Some(payload) = payload {
        let value = value(&payload, draw, depth);
        message.set_field(&payload, value);
    }
}

/// What an envelope has for itself: sub-messages that are nobody's arguments.
const OWN: [&str; 9] = [
    "userInfo",
    "layoutVersion",
    "readConsistencyHint",
    "s3Authentication",
    "omLockDetails",
    "updateGetDelegationTokenRequest",
    "updatedRenewDelegationTokenRequest",
    "updateGetS3SecretRequest",
    "SetSnapshotPropertyRequests",
];

fn payloads(message: &DynamicMessage) -> Vec<FieldDescriptor> {
    let is_payload =
        |field: &FieldDescriptor| matches!(field.kind(), Kind::Message(_)) && !OWN.contains(&field.name());
    message.descriptor().fields().filter(is_payload).collect()
}

/// Commands whose field is named otherwise than they are: the field's name without `Request` or `Response`.
const NAMED_OTHERWISE: [(&str, &str); 37] = [
    ("ListKeysLight", "listKeys"),
    ("ListStatusLight", "listStatus"),
    ("TransferLeadership", "transferOmLeadership"),
    ("TransferLeadership", "transferScmLeadership"),
    ("ListSnapshotDiffJobs", "listSnapshotDiffJob"),
    ("AbortExpiredMultiPartUploads", "multipartUploadsExpiredAbort"),
    ("GetSnapshotInfo", "SnapshotInfo"),
    ("AllocateContainer", "container"),
    ("ListContainer", "scmListContainer"),
    ("DeleteContainer", "scmDeleteContainer"),
    ("CloseContainer", "scmCloseContainer"),
    ("ListContainerIDs", "scmListContainerIDs"),
    ("QueryNode", "nodeQuery"),
    ("AllocatePipeline", "pipeline"),
    ("ListPipelines", "listPipeline"),
    ("GetReplicationManagerStatus", "seplicationManagerStatus"),
    ("GetReplicationManagerStatus", "replicationManagerStatus"),
    ("GetContainerToken", "containerToken"),
    ("GetContainerBalancerStatus", "containerBalancerStatus"),
    ("GetContainerBalancerStatusInfo", "containerBalancerStatusInfo"),
    ("GetReplicationManagerReport", "replicationManagerReport"),
    ("GetFailedDeletedBlocksTransaction", "getFailedDeletedBlocksTxn"),
    ("GetDeletedBlocksTransactionSummary", "getDeletedBlocksTxnSummary"),
    ("GetClosedContainerCount", "getContainerCount"),
    ("GetDataNodeCertificate", "getDataNodeCert"),
    ("GetDataNodeCertificate", "getCert"),
    ("GetOMCertificate", "getOMCert"),
    ("GetOMCertificate", "getCert"),
    ("GetCertificate", "getCert"),
    ("GetCACertificate", "getCert"),
    ("GetSCMCertificate", "getCert"),
    ("GetRootCACertificate", "getCACertificate"),
    ("GetRootCACertificate", "getCert"),
    ("ListCACertificate", "listCertificate"),
    ("GetAllRootCaCertificates", "allRootCaCertificates"),
    ("GetCurrentSecretKey", "currentSecretKey"),
    ("GetAllSecretKeys", "secretKeysList"),
];

/// Commands that have no field in one of their envelopes.
const WITHOUT_FIELD: [&str; 5] =
    ["GetCurrentSecretKey", "GetAllSecretKeys", "DeleteOpenKeys", "RevokeS3Secret", "SnapshotMoveTableKeys"];

/// Each command of an envelope with the field that holds its arguments.
fn pairs(message: &DynamicMessage, kind: &FieldDescriptor) -> Vec<(i32, Option<FieldDescriptor>)> {
    let payloads = payloads(message);
    let Kind::Enum(kinds) = kind.kind() else { unreachable!() };
    let pair = |name: &str| {
        let of =
            |wanted: &dyn Fn(&FieldDescriptor) -> bool| payloads.iter().find(|field| wanted(field)).cloned();
        of(&|field| base(field.name()) == name.to_ascii_lowercase())
            .or_else(|| {
                let others = NAMED_OTHERWISE.iter().filter(|(command, _)| *command == name);
                others
                    .flat_map(|(_, other)| of(&|field| base(field.name()) == other.to_ascii_lowercase()))
                    .next()
            })
            .or_else(|| of(&|field| plain(field.name()) == plain(name)))
    };
    kinds
        .values()
        .filter_map(|value| match pair(value.name()) {
            Some(payload) => Some((value.number(), Some(payload))),
            None => WITHOUT_FIELD.contains(&value.name()).then_some((value.number(), None)),
        })
        .collect()
}

/// A field's name without what says only that it is an argument.
fn base(name: &str) -> String {
    let name = name.to_ascii_lowercase();
    let name = name.strip_suffix("proto").unwrap_or(&name);
    let name = name.strip_suffix("request").or(name.strip_suffix("response")).unwrap_or(name);
    name.to_owned()
}

fn plain(name: &str) -> String {
    let name = name.to_ascii_lowercase();
    ["request", "response", "proto", "command", "info"].iter().fold(name, |name, part| name.replace(part, ""))
}
