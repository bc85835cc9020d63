//! A pipeline as its clients see it over sockets: a captured client's own requests, and what each kind of trouble says.

use super::ratis::{self, *};
use crate::ask::{self, *};
use crate::wire::{Client, running, wait_until};
use allotrope_proto::container::{ContainerCommandRequestProto, ContainerCommandResponseProto};
use allotrope_proto::edge::ratis::{EMPTY_STACK_TRACE, RaftFailure, RaftKind, RaftReply, RaftRequest};
use allotrope_proto::heartbeat::{CloseContainerCommandProto, ScmCommandProto, scm_command_proto};
use allotrope_proto::ratis::{
    GroupInfoReplyProto, GroupInfoRequestProto, GroupListReplyProto, RaftClientRequestProto, RaftGroupIdProto,
};
use allotrope_proto::{Rope, bulk};
use allotrope_types::{DatanodeResult, PipelineId};
use bytes::Bytes;
use hyper::HeaderMap;
use std::path::Path;
use std::time::{Duration, Instant};

const GROUP_MISMATCH: &str = "org.apache.ratis.protocol.exceptions.GroupMismatchException";

fn pipeline(n: u8) -> PipelineId {
    PipelineId::from_random_bytes([n; 16])
}

fn content(reply: &RaftReply) -> ContainerCommandResponseProto {
    allotrope_proto::decode(reply.content.clone().unwrap()).unwrap()
}

fn is_group_mismatch(end: &HeaderMap) {
    assert_eq!(end.get("grpc-status").unwrap(), "13", "{end:?}");
    assert_eq!(end.get("exception-type").unwrap(), GROUP_MISMATCH);
}

fn golden(name: &str) -> Bytes {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../proto/tests/golden/ratis").join(name);
    std::fs::read(path).unwrap().into()
}

/// A captured request, with the whole data that was sent, for another group.
fn captured(name: &str, writer: &Writer, data: &Bytes) -> RaftRequest {
    let message: RaftClientRequestProto = allotrope_proto::decode(golden(name)).unwrap();
    let content = message.message.as_ref().map(|message| message.content.clone());
    let mut request = RaftRequest::try_from(bulk::Bulky { message, bulk: Vec::new() }).unwrap();
    (request.group, request.server) = (writer.group, writer.server);
    if let Some(content) = content {
        let len = u32::from_be_bytes(content[..4].try_into().unwrap()) as usize;
        let mut command: ContainerCommandRequestProto =
            allotrope_proto::decode(content.slice(4..4 + len)).unwrap();
        command.pipeline_id = Some(writer.group.to_string());
        let has_data = command.write_chunk.is_some();
        if let Some(write) = &mut command.write_chunk {
            write.data = Some(Bytes::new());
        }
        let bulk = has_data.then(|| Rope::from(data.clone())).into_iter().collect();
        request.content = Some(bulk::content_of_command(bulk::Bulky { message: command, bulk }));
    }
    request
}

#[test]
fn a_captured_clients_put_is_answered_as_ozone_answered_it() {
    let root = tempfile::tempdir().unwrap();
    let (running, client, scm) = running(root.path());
    let id = pipeline(1);
    pipeline_of_one(&running, &scm, id);
    let writer = Writer { id: 1, group: id, server: running.id() };
    let file: Bytes =
        (0..2_621_440u64).map(|x| (31 * x + 17 * (x >> 8) + 7 * (x >> 16)) as u8).collect::<Vec<_>>().into();
    let names = ["put.1.watch.req.bin", "put.2.WriteChunk.req.bin", "put.3.PutBlock.req.bin"];
    let requests = names.map(|name| captured(name, &writer, &file)).to_vec();
    assert!(requests[0].sliding_window.as_ref().is_some_and(|place| place.is_first));
    let (replies, end) = ratis::ask(&client, running.pipeline_address(), ORDERED, requests);
    assert_eq!(end.get("grpc-status").unwrap(), "0");
    let [dummy, written, put] = &replies[..] else { panic!("{replies:?}") };
    for (reply, name) in [
        (dummy, "put.1.watch.rsp.bin"),
        (written, "put.2.WriteChunk.rsp.bin"),
        (put, "put.3.PutBlock.rsp.bin"),
    ] {
        let theirs =
            allotrope_proto::decode::<allotrope_proto::ratis::RaftClientReplyProto>(golden(name)).unwrap();
        let theirs: RaftReply = theirs.try_into().unwrap();
        assert_eq!((reply.client, reply.call_id, reply.success), (theirs.client, theirs.call_id, true));
        assert_eq!((reply.server, reply.group), (running.id(), id));
        assert!(reply.failure.is_none());
        assert_eq!(reply.content.is_some(), theirs.content.is_some(), "{name}");
        assert_eq!(reply.commit_infos.len(), 1);
        assert_eq!(reply.commit_infos[0].server.0.id, running.id());
        if reply.content.is_some() {
            let (ours, mut theirs) = (content(reply), content(&theirs));
            if let Some(put) = &mut theirs.put_block {
                put.committed_block_length.block_id.block_commit_sequence_id = Some(2);
            }
            assert_eq!(ours, theirs, "{name}");
        }
    }
    assert_eq!((written.log_index, put.log_index), (1, 2));
    assert_eq!(put.commit_infos[0].commit_index, 2);
    let mut watch = captured("put.4.watch.req.bin", &writer, &file);
    let RaftKind::Watch { index, .. } = &mut watch.kind else { panic!("{watch:?}") };
    *index = 2;
    let (replies, _) = ratis::ask(&client, running.pipeline_address(), UNORDERED, vec![watch]);
    assert_eq!((replies[0].success, replies[0].log_index), (true, 2));
    // Readers come by the other port, and ask for the index.
    let put = content(put).put_block.unwrap().committed_block_length.block_id;
    let read = client.expect(read_chunk(&running.id().to_string(), put, 0, 2_621_440));
    assert!(ask::data(&read) == file);
    running.shutdown(Duration::from_secs(5));
}

/// A block of one chunk, as commands.
fn block(node: &str, container: i64, local: i64, data: &Bytes) -> [allotrope_datanode::commands::Request; 2] {
    let one = chunk(local, 0, data);
    let write = write_chunk(node, id(container, local), one.clone(), data.clone());
    [write, put_block(node, id(container, local), vec![one], true)]
}

#[test]
fn requests_are_carried_out_in_their_order_and_repeats_once() {
    let root = tempfile::tempdir().unwrap();
    let (running, client, scm) = running(root.path());
    let id = pipeline(2);
    pipeline_of_one(&running, &scm, id);
    let (node, writer) = (running.id().to_string(), Writer { id: 2, group: id, server: running.id() });
    let data = bytes(1, 5000);
    let commands: Vec<_> = (1..=5).flat_map(|local| block(&node, 1, local, &data)).collect();
    let requests: Vec<_> =
        commands.into_iter().enumerate().map(|(n, command)| writer.write(n as u64 + 1, command)).collect();
    let mut shuffled = writer.in_order(requests.clone());
    shuffled.reverse();
    let first = shuffled.pop().unwrap();
    shuffled.insert(3, first.clone());
    shuffled.push(first);
    let (replies, end) = ratis::ask(&client, running.pipeline_address(), ORDERED, shuffled);
    assert_eq!(end.get("grpc-status").unwrap(), "0");
    let indexes: Vec<u64> = replies.iter().map(|reply| reply.log_index).collect();
    assert_eq!(indexes, (1..=10).collect::<Vec<_>>());
    assert!(replies.iter().all(|reply| content(reply).result == DatanodeResult::Success.number()));
    // The same calls on a new stream are answered as they were.
    let again = writer.in_order(requests);
    let (again, _) = ratis::ask(&client, running.pipeline_address(), ORDERED, again);
    assert_eq!(again.iter().map(|reply| reply.log_index).collect::<Vec<_>>(), indexes);
    running.shutdown(Duration::from_secs(5));
}

#[test]
fn a_pipeline_of_one_goes_on_behind_its_old_indexes_after_a_restart() {
    let root = tempfile::tempdir().unwrap();
    let id = pipeline(3);
    let data = bytes(1, 5000);
    let (first, client, scm) = running(root.path());
    pipeline_of_one(&first, &scm, id);
    let (node, writer) = (first.id().to_string(), Writer { id: 3, group: id, server: first.id() });
    let write = |call: u64, local: i64| {
        let [chunk, put] = block(&node, 1, local, &data);
        writer.in_order(vec![writer.write(call, chunk), writer.write(call + 1, put)])
    };
    let (before, _) = ratis::ask(&client, first.pipeline_address(), ORDERED, write(1, 1));
    first.kill();
    let (second, client, scm) = running(root.path());
    wait_until("SCM to hear of the pipeline again", || reported(&scm, id) == Some(true));
    let (after, _) = ratis::ask(&client, second.pipeline_address(), ORDERED, write(3, 2));
    assert!(after[0].log_index > before[1].log_index, "{} after {}", after[0].log_index, before[1].log_index);
    for local in [1, 2] {
        assert!(ask::data(&client.expect(read_chunk(&node, ask::id(1, local), 0, 5000))) == data);
    }
    // SCM closes it: it is over for good.
    scm.told(|told| told.commands.push(close(id, 9)));
    wait_until("the pipeline to be gone", || reported(&scm, id).is_none());
    let (replies, end) = ratis::ask(&client, second.pipeline_address(), ORDERED, write(5, 3));
    assert!(replies.is_empty());
    is_group_mismatch(&end);
    second.shutdown(Duration::from_secs(5));
    let (third, client, scm) = running(root.path());
    wait_until("SCM to hear a heartbeat", || scm.told(|told| told.registered > 0));
    let (_, end) = ratis::ask(&client, third.pipeline_address(), ORDERED, write(7, 3));
    is_group_mismatch(&end);
    third.shutdown(Duration::from_secs(5));
}

#[test]
fn a_closed_container_is_a_state_machine_exception_that_java_can_make_again() {
    let root = tempfile::tempdir().unwrap();
    let (running, client, scm) = running(root.path());
    let id = pipeline(4);
    pipeline_of_one(&running, &scm, id);
    let (node, writer) = (running.id().to_string(), Writer { id: 4, group: id, server: running.id() });
    let data = bytes(1, 5000);
    let [chunk, put] = block(&node, 5, 1, &data);
    let requests = writer.in_order(vec![writer.write(1, chunk), writer.write(2, put)]);
    ratis::ask(&client, running.pipeline_address(), ORDERED, requests);
    let close = CloseContainerCommandProto {
        container_id: 5,
        pipeline_id: wire_id(id),
        cmd_id: 5,
        force: Some(false),
    };
    scm.told(|told| {
        told.commands.push(ScmCommandProto {
            command_type: scm_command_proto::Type::CloseContainerCommand.into(),
            close_container_command_proto: Some(close),
            term: Some(1),
            ..Default::default()
        });
    });
    wait_until("SCM to hear that the container is closed", || {
        scm.told(|told| {
            told.reported
                .iter()
                .any(|one| one.container_id == 5 && one.state == 4 && one.block_commit_sequence_id == Some(2))
        })
    });
    let [chunk, _] = block(&node, 5, 2, &data);
    let late = writer.in_order(vec![writer.write(3, chunk)]);
    let (replies, _) = ratis::ask(&client, running.pipeline_address(), ORDERED, late);
    let Some(RaftFailure::StateMachine(told)) = &replies[0].failure else { panic!("{replies:?}") };
    let class = "org.apache.hadoop.hdds.scm.container.common.helpers.ContainerNotOpenException";
    assert_eq!(told.exception_class_name, class);
    assert_eq!(&told.stacktrace[..], EMPTY_STACK_TRACE);
    assert!(!replies[0].success);
    // The pipeline goes on with other containers.
    let [chunk, _] = block(&node, 6, 2, &data);
    let other = writer.in_order(vec![writer.write(4, chunk)]);
    let (replies, _) = ratis::ask(&client, running.pipeline_address(), ORDERED, other);
    assert!(replies[0].success);
    running.shutdown(Duration::from_secs(5));
}

#[test]
fn what_no_client_should_send_changes_nothing() {
    let root = tempfile::tempdir().unwrap();
    let (running, client, scm) = running(root.path());
    let (id, address) = (pipeline(5), running.pipeline_address());
    pipeline_of_one(&running, &scm, id);
    let (node, writer) = (running.id().to_string(), Writer { id: 5, group: id, server: running.id() });
    let [chunk, put] = block(&node, 1, 1, &bytes(1, 5000));
    let status = |requests: Vec<Rope>| {
        let (said, end) = talk(&client, address, ORDERED, requests);
        assert!(said.is_empty(), "{end:?}");
        end.get("grpc-status").unwrap().to_str().unwrap().to_owned()
    };
    let one = |request: RaftRequest| vec![writer.in_order(vec![request]).remove(0).frames()];
    assert_eq!(status(vec![Bytes::from_static(b"\xff\xff\xff").into()]), "3", "no request");
    assert_eq!(status(vec![writer.write(1, chunk.clone()).frames()]), "3", "no place in the order");
    let mut empty = writer.write(1, chunk.clone());
    empty.content = None;
    assert_eq!(status(one(empty)), "3", "no command");
    let mut cut = writer.write(1, chunk.clone());
    cut.content = Some(Bytes::from_static(b"\0\0\xff\xff").into());
    assert_eq!(status(one(cut)), "3", "less than it says");
    let mut elsewhere = chunk.clone();
    elsewhere.message.pipeline_id = Some(pipeline(6).to_string());
    assert_eq!(status(one(writer.write(1, elsewhere))), "3", "another pipeline's command");
    let stranger = Writer { group: pipeline(6), ..writer };
    let (_, end) =
        ratis::ask(&client, address, ORDERED, stranger.in_order(vec![stranger.write(1, chunk.clone())]));
    is_group_mismatch(&end);
    // A chunk whose bytes are not those of its checksums is refused, and so is the block that names it.
    let mut torn = chunk.clone();
    torn.bulk = vec![bytes(2, 5000).into()];
    let writer = Writer { group: id, ..stranger };
    let requests = writer.in_order(vec![writer.write(1, torn), writer.write(2, put)]);
    let (replies, _) = ratis::ask(&client, address, ORDERED, requests);
    let whys: Vec<_> = replies
        .iter()
        .map(|reply| match &reply.failure {
            Some(RaftFailure::StateMachine(told)) => told.error_msg.clone(),
            _ => panic!("{reply:?}"),
        })
        .collect();
    assert!(whys[0].starts_with("CHECKSUM_MISMATCH"), "{whys:?}");
    assert_eq!(reported(&scm, id), Some(true), "the pipeline goes on");
    running.shutdown(Duration::from_secs(5));
}

#[test]
fn an_index_that_nothing_reaches_is_answered_in_time() {
    let root = tempfile::tempdir().unwrap();
    let mut config = crate::wire::config(root.path());
    config.pipelines.watch_max = Duration::from_millis(300);
    let scm = crate::wire::Scm::default();
    let link = scm.clone();
    let running = allotrope_datanode::start_with(config, move || vec![link]).unwrap();
    let client = Client::of(running.address());
    let id = pipeline(7);
    pipeline_of_one(&running, &scm, id);
    let writer = Writer { id: 7, group: id, server: running.id() };
    let (replies, _) = ratis::ask(
        &client,
        running.pipeline_address(),
        UNORDERED,
        vec![writer.watch(4, 77), writer.watch(5, 0)],
    );
    // As they come, not as they were asked.
    assert_eq!((replies[0].call_id, replies[0].success), (5, true));
    let Some(RaftFailure::NotReplicated(told)) = &replies[1].failure else { panic!("{replies:?}") };
    assert_eq!((told.call_id, told.log_index, replies[1].commit_infos.len()), (4, 77, 1));
    running.shutdown(Duration::from_secs(5));
}

#[test]
fn a_thousand_pipelines_live_on_one_datanode() {
    let root = tempfile::tempdir().unwrap();
    let (running, client, scm) = running(root.path());
    let ids: Vec<PipelineId> = (0..1000u16)
        .map(|n| {
            let mut bytes = [9; 16];
            bytes[..2].copy_from_slice(&n.to_be_bytes());
            PipelineId::from_random_bytes(bytes)
        })
        .collect();
    let began = Instant::now();
    scm.told(|told| {
        let all = ids.iter().enumerate();
        told.commands.extend(all.map(|(n, id)| create(*id, &[&running], n as i64 + 1)));
    });
    wait_until("SCM to hear of all pipelines", || scm.told(|told| told.pipelines.len() == 1000));
    println!("1000 pipelines in {:?}", began.elapsed());
    let (node, data) = (running.id().to_string(), bytes(1, 2000));
    for (n, id) in ids.iter().enumerate().step_by(100) {
        let writer = Writer { id: 8, group: *id, server: running.id() };
        let [chunk, put] = block(&node, 1 + n as i64, 1, &data);
        let requests = writer.in_order(vec![writer.write(1, chunk), writer.write(2, put)]);
        let (replies, _) = ratis::ask(&client, running.pipeline_address(), ORDERED, requests);
        assert!(replies.iter().all(|reply| reply.success));
        assert!(ask::data(&client.expect(read_chunk(&node, ask::id(1 + n as i64, 1), 0, 2000))) == data);
    }
    let empty = Rope::from(Bytes::new());
    let (said, end) =
        talk(&client, running.admin_address(), "/ratis.grpc.AdminProtocolService/groupList", vec![empty]);
    assert_eq!(end.get("grpc-status").unwrap(), "0");
    let list: GroupListReplyProto = allotrope_proto::decode(said[0].clone()).unwrap();
    assert_eq!(list.group_id.len(), 1000);
    running.shutdown(Duration::from_secs(5));
}

#[test]
fn administrators_are_told_of_a_group() {
    let root = tempfile::tempdir().unwrap();
    let (running, client, scm) = running(root.path());
    let id = pipeline(9);
    pipeline_of_one(&running, &scm, id);
    let info = |id: PipelineId| {
        let group_id = Some(RaftGroupIdProto { id: Bytes::copy_from_slice(id.as_bytes()) });
        let request = GroupInfoRequestProto { group_id, ..Default::default() };
        let bytes = Bytes::from(prost::Message::encode_to_vec(&request));
        talk(
            &client,
            running.admin_address(),
            "/ratis.grpc.AdminProtocolService/groupInfo",
            vec![bytes.into()],
        )
    };
    let (said, _) = info(id);
    let reply: GroupInfoReplyProto = allotrope_proto::decode(said[0].clone()).unwrap();
    assert!(reply.is_raft_storage_healthy);
    assert_eq!(reply.role.unwrap().role, 0, "it leads");
    assert_eq!(reply.group.unwrap().peers.len(), 1);
    let (_, end) = info(pipeline(10));
    is_group_mismatch(&end);
    let (_, end) =
        talk(&client, running.admin_address(), "/ratis.grpc.AdminProtocolService/other", Vec::new());
    assert_eq!(end.get("grpc-status").unwrap(), "12");
    running.shutdown(Duration::from_secs(5));
}
