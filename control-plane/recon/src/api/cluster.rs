//! `/clusterState`, `/datanodes`, `/pipelines`, `/task/status`.

use serde_json::{Value, json};

use crate::health::Health;
use crate::model::{Datanode, Pipeline, Room};
use crate::recon::Recon;
use crate::state::{State, Task};

fn room(room: &Room) -> Value {
    json!({
        "capacity": room.capacity,
        "used": room.used,
        "remaining": room.remaining,
        "committed": room.committed,
        "minimumFreeSpace": room.remaining.saturating_sub(room.to_spare),
        "reserved": room.reserved,
        "filesystemCapacity": room.fs_capacity,
        "filesystemUsed": room.fs_capacity.saturating_sub(room.fs_available),
        "filesystemAvailable": room.fs_available,
    })
}

/// `/clusterState`. Keys count directories too, as OM's own count does; what waits to be deleted OM does not tell.
pub(super) fn state(recon: &Recon) -> Value {
    let state = recon.state();
    let names: u64 = state.volumes.iter().map(|volume| volume.names).sum();
    let in_state = |wanted: &str| state.count_containers(|container| container.state == wanted);
    json!({
        "pipelines": state.pipelines.len(),
        "totalDatanodes": state.datanodes.len(),
        "healthyDatanodes": state.count_datanodes(|node| node.state == "HEALTHY"),
        "storageReport": room(&state.room()),
        "containers": state.containers_all,
        "missingContainers": state.count_health(Health::Missing),
        "openContainers": in_state("OPEN"),
        "deletedContainers": in_state("DELETED"),
        "volumes": state.volumes_all,
        "buckets": state.buckets_all,
        "keys": names,
        "keysPendingDeletion": 0,
        "deletedDirs": 0,
        "scmServiceId": recon.config.scm_service,
        "omServiceId": recon.config.om_service,
    })
}

/// `/datanodes`.
pub(super) fn datanodes(state: &State) -> Value {
    let (open, pipelines) = (state.open_containers_by_node(), state.pipelines_by_node());
    let one = |node: &Datanode| {
        let own = pipelines.get(&*node.id).map(Vec::as_slice).unwrap_or_default();
        let pipelines: Vec<Value> = own.iter().map(|pipeline| pipeline_of_node(state, pipeline)).collect();
        json!({
            "uuid": &*node.id,
            "hostname": node.host,
            "state": node.state,
            "opState": node.operational,
            "lastHeartbeat": node.healthy_ms,
            "storageReport": room(&node.room),
            "leaderCount": own.iter().filter(|pipeline| *pipeline.leader == *node.id).count(),
            "pipelines": pipelines,
            "containers": node.containers,
            "openContainers": open.get(&node.id).copied().unwrap_or(0),
            "version": "",
            "setupTime": 0,
            "revision": "",
            "layoutVersion": 0,
            "networkLocation": node.rack,
        })
    };
    json!({ "totalCount": state.datanodes.len(), "datanodes": state.datanodes.values().map(one).collect::<Value>() })
}

fn pipeline_of_node(state: &State, pipeline: &Pipeline) -> Value {
    json!({
        "pipelineID": pipeline.id,
        "replicationType": pipeline.replication.kind,
        "replicationFactor": pipeline.replication.scheme,
        "leaderNode": leader(state, pipeline),
    })
}

fn leader(state: &State, pipeline: &Pipeline) -> String {
    if pipeline.leader.is_empty() { String::new() } else { state.host_of(&pipeline.leader) }
}

/// `/pipelines`. There are no elections to count: no pipeline here has a log of its own.
pub(super) fn pipelines(state: &State, now_ms: u64) -> Value {
    let mut containers = std::collections::BTreeMap::<&str, usize>::new();
    for container in state.containers.values() {
        *containers.entry(&container.pipeline).or_default() += 1;
    }
    let one = |pipeline: &Pipeline| {
        let members = pipeline.members.iter().map(|(id, host)| {
            let known = state.datanodes.get(id.as_str());
            json!({
                "uuid": id,
                "hostName": host,
                "ipAddress": known.map_or("", |node| &node.address),
                "networkLocation": known.map_or("", |node| &node.rack),
                "state": known.map_or("UNKNOWN", |node| node.state),
            })
        });
        json!({
            "pipelineId": pipeline.id,
            "status": pipeline.state,
            "leaderNode": leader(state, pipeline),
            "datanodes": members.collect::<Value>(),
            "lastLeaderElection": 0,
            "duration": now_ms.saturating_sub(pipeline.created_ms),
            "leaderElections": 0,
            "replicationType": pipeline.replication.kind,
            "replicationFactor": pipeline.replication.scheme,
            "containers": containers.get(pipeline.id.as_str()).copied().unwrap_or(0),
        })
    };
    json!({ "totalCount": state.pipelines.len(), "pipelines": state.pipelines.iter().map(one).collect::<Value>() })
}

/// `/task/status`.
pub(super) fn tasks(state: &State) -> Value {
    let one = |task: Task| {
        let source = state.sources.get(&task).cloned().unwrap_or_default();
        json!({
            "taskName": task.name(),
            "lastUpdatedTimestamp": source.answered_ms.unwrap_or(0),
            "lastUpdatedSeqNumber": source.rounds,
            "lastTaskRunStatus": if source.silent_since_ms.is_some() { -1 } else { 0 },
            "isCurrentTaskRunning": 1,
        })
    };
    Task::ALL.into_iter().map(one).collect()
}
