//! Distance: which of some datanodes are nearest to a client, and the tree of racks that OM sorts by itself.
//!
//! Units   0 on the client's own machine, 2 in its rack, 4 elsewhere: hops in a tree of racks and nodes.

use std::collections::BTreeMap;

use allotrope_proto::hdds::{ChildrenMap, DatanodeDetailsProto, InnerNode, NetworkNode, NodeTopology};
use allotrope_proto::scm_block::{
    GetClusterTreeResponseProto, SortDatanodesRequestProto, SortDatanodesResponseProto,
};

use crate::cluster::Cluster;
use crate::node::Node;
use crate::scm::Scm;

/// The rack of the node that the client names as its own; `None` if it runs on no datanode.
fn client_rack<'a>(cluster: &'a Cluster, client: &str) -> Option<&'a str> {
    let is = |node: &&Node| node.details.host_name == client || node.details.ip_address == client;
    cluster.nodes.all().find(is).map(Node::rack)
}

fn distance(details: &DatanodeDetailsProto, client: &str, rack: Option<&str>) -> u32 {
    let same_host = details.host_name == client || details.ip_address == client;
    match (same_host, rack) {
        (true, _) => 0,
        (false, Some(rack)) if details.network_location.as_deref() == Some(rack) => 2,
        _ => 4,
    }
}

/// The positions of `members` from the nearest to the farthest; nodes equally far stay in their order.
pub(super) fn orders(cluster: &Cluster, client: &str, members: &[DatanodeDetailsProto]) -> Vec<u32> {
    let rack = client_rack(cluster, client);
    let mut at: Vec<usize> = (0..members.len()).collect();
    at.sort_by_key(|n| distance(&members[*n], client, rack));
    at.into_iter().filter_map(|n| u32::try_from(n).ok()).collect()
}

pub(super) fn answer(scm: &Scm, asked: &SortDatanodesRequestProto) -> SortDatanodesResponseProto {
    let cluster = scm.cluster();
    let rack = client_rack(&cluster, &asked.client);
    let ids = asked.node_network_name.iter().filter_map(|name| name.parse().ok());
    let mut node: Vec<DatanodeDetailsProto> = ids.filter_map(|id| cluster.details(id)).collect();
    node.sort_by_key(|details| distance(details, &asked.client, rack));
    SortDatanodesResponseProto { node }
}

/// The root, its racks, and their nodes.
pub(super) fn tree(scm: &Scm) -> GetClusterTreeResponseProto {
    let cluster = scm.cluster();
    let mut racks: BTreeMap<String, Vec<ChildrenMap>> = BTreeMap::new();
    for node in cluster.nodes.all() {
        racks.entry(node.rack().to_owned()).or_default().push(ChildrenMap {
            network_name: node.details.network_name.clone(),
            network_node: Some(NetworkNode {
                datanode_details: Some(node.details.clone()),
                inner_node: None,
            }),
        });
    }
    let count = |n: usize| u32::try_from(n).ok();
    let topology = |name: &str, location: &str, cost, level| {
        Some(NodeTopology {
            name: Some(name.to_owned()),
            location: Some(location.to_owned()),
            cost: Some(cost),
            level: Some(level),
        })
    };
    let leaves = count(cluster.nodes.len());
    let children = racks.into_iter().map(|(rack, nodes)| {
        let name = rack.trim_start_matches('/').to_owned();
        let inner = InnerNode {
            node_topology: topology(&name, "", 1, 2),
            num_of_leaves: count(nodes.len()),
            children_map: nodes,
        };
        ChildrenMap {
            network_name: Some(name),
            network_node: Some(NetworkNode { datanode_details: None, inner_node: Some(inner) }),
        }
    });
    GetClusterTreeResponseProto {
        cluster_tree: InnerNode {
            node_topology: topology("", "", 1, 1),
            num_of_leaves: leaves,
            children_map: children.collect(),
        },
    }
}
