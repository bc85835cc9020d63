//! A client of Ratis as it speaks on the wire, and the commands of SCM that make pipelines of one datanode.

use crate::wire::{Client, Once, Scm, wait_until};
use allotrope_datanode::Running;
use allotrope_datanode::commands::Request;
use allotrope_io::ShardId;
use allotrope_proto::Rope;
use allotrope_proto::bulk::{GrpcMessages, content_of_command, grpc_message};
use allotrope_proto::edge::ratis::{
    RaftClientId, RaftKind, RaftReply, RaftRequest, ReplicationLevel, SlidingWindow,
};
use allotrope_proto::hdds::{
    DatanodeDetailsProto, PipelineId as WireId, Port, ReplicationFactor, ReplicationType, Uuid,
};
use allotrope_proto::heartbeat::scm_command_proto::Type;
use allotrope_proto::heartbeat::{ClosePipelineCommandProto, CreatePipelineCommandProto, ScmCommandProto};
use allotrope_proto::ratis::RaftClientReplyProto;
use allotrope_types::{DatanodeId, PipelineId};
use bytes::Bytes;
use hyper::HeaderMap;
use hyper::body::Body;
use std::future::poll_fn;
use std::net::SocketAddr;
use std::pin::Pin;
use std::time::Duration;

pub(super) const ORDERED: &str = "/ratis.grpc.RaftClientProtocolService/ordered";
pub(super) const UNORDERED: &str = "/ratis.grpc.RaftClientProtocolService/unordered";

/// Messages and trailers of one call.
pub(super) fn talk(
    client: &Client,
    address: SocketAddr,
    path: &str,
    messages: Vec<Rope>,
) -> (Vec<Bytes>, HeaderMap) {
    let path = path.to_owned();
    let talked = client.shards.run_on(ShardId(0), "talk", move |shard| async move {
        let work = async {
            let stream = shard.connect(address).await.unwrap();
            let handshake = hyper::client::conn::http2::handshake(shard.clone(), stream);
            let (mut sender, connection) = handshake.await.unwrap();
            drop(shard.spawn("connection", connection));
            let pieces: Vec<Bytes> = messages.into_iter().flat_map(grpc_message).collect();
            let request = hyper::Request::post(format!("http://{address}{path}"))
                .header("content-type", "application/grpc")
                .header("te", "trailers")
                .body(Once(pieces.into_iter()))
                .unwrap();
            let response = sender.send_request(request).await.unwrap();
            let mut end = response.headers().clone();
            let mut body = response.into_body();
            let (mut incoming, mut said) = (GrpcMessages::new(64 << 20), Vec::new());
            while let Some(frame) = poll_fn(|cx| Pin::new(&mut body).poll_frame(cx)).await {
                match frame.unwrap().into_data() {
                    Ok(data) => incoming.push(data),
                    Err(frame) => end = frame.into_trailers().unwrap(),
                }
                while let Some(message) = incoming.next_message().unwrap() {
                    said.push(message.join());
                }
            }
            (said, end)
        };
        shard.clock().timeout(Duration::from_secs(30), work).await.unwrap()
    });
    talked.unwrap().wait().unwrap()
}

/// Replies and trailers of one stream.
pub(super) fn ask(
    client: &Client,
    address: SocketAddr,
    path: &str,
    requests: Vec<RaftRequest>,
) -> (Vec<RaftReply>, HeaderMap) {
    let (said, end) = talk(client, address, path, requests.into_iter().map(RaftRequest::frames).collect());
    let reply = |bytes| -> RaftReply {
        allotrope_proto::decode::<RaftClientReplyProto>(bytes).unwrap().try_into().unwrap()
    };
    (said.into_iter().map(reply).collect(), end)
}

/// A client that writes to one pipeline.
pub(super) struct Writer {
    pub(super) id: u8,
    pub(super) group: PipelineId,
    pub(super) server: DatanodeId,
}

impl Writer {
    fn request(&self, call: u64, kind: RaftKind, content: Option<Rope>) -> RaftRequest {
        RaftRequest {
            client: RaftClientId([self.id; 16]),
            server: self.server,
            group: self.group,
            call_id: call,
            to_leader: true,
            span: None,
            replied_call_ids: Vec::new(),
            timeout_ms: 0,
            routing_table: None,
            sliding_window: None,
            kind,
            content,
        }
    }

    /// A command, as the client's `call`th.
    pub(super) fn write(&self, call: u64, command: Request) -> RaftRequest {
        let kind = RaftKind::Write(ReplicationLevel::Majority);
        self.request(call, kind, Some(content_of_command(command)))
    }

    pub(super) fn watch(&self, call: u64, index: u64) -> RaftRequest {
        self.request(call, RaftKind::Watch { index, level: ReplicationLevel::AllCommitted }, None)
    }

    /// These requests as an ordered stream numbers them, from 1.
    pub(super) fn in_order(&self, requests: Vec<RaftRequest>) -> Vec<RaftRequest> {
        let place = |(n, request): (usize, RaftRequest)| {
            let sliding_window = Some(SlidingWindow { seq_num: n as u64 + 1, is_first: n == 0 });
            RaftRequest { sliding_window, ..request }
        };
        requests.into_iter().enumerate().map(place).collect()
    }
}

pub(super) fn wire_id(id: PipelineId) -> WireId {
    let (most_sig_bits, least_sig_bits) = id.to_halves();
    WireId { id: Some(id.to_string()), uuid128: Some(Uuid { most_sig_bits, least_sig_bits }) }
}

/// SCM's command to make a pipeline of these datanodes, which the first leads.
pub(super) fn create(id: PipelineId, members: &[&Running], cmd_id: i64) -> ScmCommandProto {
    let details = |running: &&Running| DatanodeDetailsProto {
        uuid: Some(running.id().to_string()),
        ip_address: "127.0.0.1".into(),
        ports: vec![
            Port { name: "RATIS".into(), value: running.pipeline_address().port().into() },
            Port { name: "RATIS_ADMIN".into(), value: running.admin_address().port().into() },
        ],
        ..Default::default()
    };
    let factor = if members.len() == 1 { ReplicationFactor::One } else { ReplicationFactor::Three };
    ScmCommandProto {
        command_type: Type::CreatePipelineCommand.into(),
        create_pipeline_command_proto: Some(CreatePipelineCommandProto {
            pipeline_id: wire_id(id),
            r#type: ReplicationType::Ratis.into(),
            factor: factor.into(),
            datanode: members.iter().map(details).collect(),
            cmd_id,
            priority: (0..members.len()).map(|n| i32::from(n == 0)).collect(),
        }),
        term: Some(1),
        ..Default::default()
    }
}

pub(super) fn close(id: PipelineId, cmd_id: i64) -> ScmCommandProto {
    ScmCommandProto {
        command_type: Type::ClosePipelineCommand.into(),
        close_pipeline_command_proto: Some(ClosePipelineCommandProto { pipeline_id: wire_id(id), cmd_id }),
        term: Some(1),
        ..Default::default()
    }
}

/// Makes a pipeline of one, and waits until SCM hears of it.
pub(super) fn pipeline_of_one(running: &Running, scm: &Scm, id: PipelineId) {
    scm.told(|told| told.commands.push(create(id, &[running], id.to_halves().1)));
    wait_until("SCM to hear of the pipeline", || reported(scm, id) == Some(true));
}

/// Whether SCM was told of a pipeline lately, and that the datanode leads it.
pub(super) fn reported(scm: &Scm, id: PipelineId) -> Option<bool> {
    let wanted = wire_id(id);
    scm.told(|told| {
        let found = told.pipelines.iter().find(|one| one.pipeline_id == wanted);
        found.map(|one| one.is_leader)
    })
}
