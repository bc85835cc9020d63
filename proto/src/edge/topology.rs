//! The tree of racks and datanodes, as SCM shows it to OM.
//!
//! A tree nests as deep as its message did; reading a message bounds that.

use super::hdds::DatanodeDetails;
use crate::hdds as wire;

message! {
    /// Where a node of the tree stands.
    NodeTopology = wire => NodeTopology {
        name: Option<String>,
        location: Option<String>,
        cost: Option<u32>,
        level: Option<u32>,
    }
}

message! {
    /// A datanode, or a node with children.
    NetworkNode = wire => NetworkNode {
        datanode_details: Option<DatanodeDetails>,
        inner_node: Option<InnerNode>,
    }
}

message! {
    /// A child and its name.
    NamedNode = wire => ChildrenMap {
        network_name: Option<String>,
        network_node: Option<NetworkNode>,
    }
}

message! {
    /// A node with children: the root, a rack.
    InnerNode = wire => InnerNode {
        node_topology: Option<NodeTopology>,
        num_of_leaves: Option<u32>,
        children_map: Vec<NamedNode>,
    }
}
