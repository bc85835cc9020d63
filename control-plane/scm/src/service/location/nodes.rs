//! Datanodes: who there is, and how full they are.

use allotrope_proto::hdds::{DatanodeUsageInfoProto, Node as NodeMessage};
use allotrope_proto::rpc::Fault;
use allotrope_proto::scm_container::{
    DatanodeUsageInfoRequestProto, DatanodeUsageInfoResponseProto, NodeQueryRequestProto,
    NodeQueryResponseProto, SingleNodeQueryRequestProto, SingleNodeQueryResponseProto,
};
use allotrope_types::DatanodeId;

use crate::cluster::Cluster;
use crate::node::{Node, Volume};
use crate::scm::Scm;

fn message(node: &Node) -> NodeMessage {
    let count = |n: usize| i32::try_from(n).ok();
    let failed = node.usage.volumes.iter().filter(|volume| volume.failed);
    NodeMessage {
        node_id: node.details.clone(),
        node_states: vec![node.health as i32],
        node_operational_states: vec![node.operational as i32],
        total_volume_count: count(node.usage.volumes.len()),
        healthy_volume_count: count(node.usage.healthy_volumes()),
        failed_volumes: failed.map(|volume| volume.location.clone()).collect(),
    }
}

pub(super) fn query(scm: &Scm, asked: &NodeQueryRequestProto) -> NodeQueryResponseProto {
    let cluster = scm.cluster();
    let wanted = |node: &&Node| {
        asked.state.is_none_or(|state| node.health as i32 == state)
            && asked.op_state.is_none_or(|state| node.operational as i32 == state)
    };
    NodeQueryResponseProto { datanodes: cluster.nodes.all().filter(wanted).map(message).collect() }
}

pub(super) fn query_one(scm: &Scm, asked: &SingleNodeQueryRequestProto) -> SingleNodeQueryResponseProto {
    let id = DatanodeId::from_halves(asked.uuid.most_sig_bits, asked.uuid.least_sig_bits);
    SingleNodeQueryResponseProto { datanode: scm.cluster().nodes.get(id).map(message) }
}

fn usage_of(cluster: &Cluster, node: &Node) -> DatanodeUsageInfoProto {
    let sum = |figure: fn(&Volume) -> u64| i64::try_from(node.usage.sum(figure)).ok();
    let count = |n: usize| i64::try_from(n).ok();
    DatanodeUsageInfoProto {
        capacity: sum(|v| v.capacity),
        used: sum(|v| v.used),
        remaining: sum(|v| v.remaining),
        node: Some(node.details.clone()),
        container_count: count(cluster.replicas.count_on(node.id)),
        committed: sum(|v| v.committed),
        free_space_to_spare: sum(|v| v.to_spare),
        pipeline_count: count(cluster.pipelines_of(node.id).len()),
        reserved: sum(|v| v.reserved),
        fs_capacity: sum(|v| v.fs_capacity),
        fs_available: sum(|v| v.fs_available),
    }
}

pub(super) fn usage(
    scm: &Scm,
    asked: &DatanodeUsageInfoRequestProto,
) -> Result<DatanodeUsageInfoResponseProto, Fault> {
    let cluster = scm.cluster();
    if let Some(most_used) = asked.most_used {
        let mut nodes: Vec<&Node> = cluster.nodes.all().filter(|node| node.serves()).collect();
        nodes.sort_by(|a, b| a.usage.share_used().total_cmp(&b.usage.share_used()));
        if most_used {
            nodes.reverse();
        }
        let count = asked.count.and_then(|n| usize::try_from(n).ok()).unwrap_or(usize::MAX);
        let info = nodes.into_iter().take(count).map(|node| usage_of(&cluster, node)).collect();
        return Ok(DatanodeUsageInfoResponseProto { info });
    }
    let uuid = asked.uuid.as_deref().filter(|text| !text.is_empty());
    let uuid: Option<DatanodeId> =
        uuid.map(str::parse).transpose().map_err(|e: allotrope_types::Malformed| Fault::io(e.to_string()))?;
    let address = asked.ipaddress.as_deref().filter(|text| !text.is_empty());
    if uuid.is_none() && address.is_none() {
        return Err(Fault::io("give a datanode's uuid or address, or ask for the most or least used ones"));
    }
    let wanted = |node: &&Node| match uuid {
        Some(id) => node.id == id,
        None => address.is_some_and(|at| node.details.ip_address == at || node.details.host_name == at),
    };
    let info = cluster.nodes.all().filter(wanted).map(|node| usage_of(&cluster, node)).collect();
    Ok(DatanodeUsageInfoResponseProto { info })
}
