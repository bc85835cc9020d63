//! What the page is drawn from, where Ozone's paths do not say enough: the cluster at a glance, datanodes with their
//! volumes and what they do now, containers with their replicas, what is being repaired.

use std::collections::BTreeMap;
use std::ops::Bound;

use serde_json::{Value, json};

use super::{Query, Trouble, container_id};
use crate::collect::look_now;
use crate::health::Health;
use crate::model::{Container, Datanode, Replica};
use crate::recon::Recon;
use crate::state::{NodeFigures, Repair, State};

/// What SCM counts of its repairs, by the starts of the names.
const REPAIR_FIGURES: [&str; 4] =
    ["scm_repairs_", "scm_containers_ill", "scm_containers_waiting", "scm_replicas_under_way"];

/// `/allotrope/overview`.
pub(super) fn overview(state: &State, now_ms: u64) -> Value {
    let room = state.room();
    let count_state = |wanted: &str| state.count_datanodes(|node| node.state == wanted);
    let mut by_state = BTreeMap::<&str, usize>::new();
    for container in state.containers.values() {
        *by_state.entry(container.state).or_default() += 1;
    }
    let by_health: BTreeMap<&str, usize> =
        Health::ALL.into_iter().map(|health| (health.name(), state.count_health(health))).collect();
    let rules = state.safe_mode.iter().flat_map(|safe| &safe.rules);
    let rules = rules.map(|(name, met, text)| json!({ "name": name, "met": met, "text": text }));
    json!({
        "now": now_ms,
        "sources": state.sources_json(),
        "clusterId": state.cluster_id,
        "scmRoles": state.scm_roles,
        "safeMode": { "on": state.safe_mode.as_ref().map(|safe| safe.is_on), "rules": rules.collect::<Value>() },
        "room": { "capacity": room.capacity, "used": room.used, "remaining": room.remaining, "committed": room.committed },
        "datanodes": {
            "all": state.datanodes.len(),
            "healthy": count_state("HEALTHY") + count_state("HEALTHY_READONLY"),
            "stale": count_state("STALE"),
            "dead": count_state("DEAD"),
            "volumesFailed": state.datanodes.values().map(|node| node.volumes_failed.len()).sum::<usize>(),
        },
        "pipelines": {
            "all": state.pipelines.len(),
            "open": state.pipelines.iter().filter(|pipeline| pipeline.state == "OPEN").count(),
        },
        "containers": { "all": state.containers_all, "kept": state.containers.len(), "states": by_state, "health": by_health },
        "namespace": {
            "volumes": state.volumes_all,
            "buckets": state.buckets_all,
            "keys": state.volumes.iter().map(|volume| volume.names).sum::<u64>(),
            "bytes": state.volumes.iter().map(|volume| volume.used).sum::<u64>(),
        },
    })
}

/// `/allotrope/datanodes`.
pub(super) fn datanodes(state: &State, now_ms: u64) -> Value {
    let pipelines = state.pipelines_by_node();
    let one = |node: &Datanode| {
        let figures = state.figures.get(&*node.id);
        json!({
            "id": &*node.id,
            "host": node.host,
            "address": node.address,
            "rack": node.rack,
            "ports": node.ports.iter().map(|(name, port)| (name.clone(), json!(port))).collect::<serde_json::Map<_, _>>(),
            "state": node.state,
            "operational": node.operational,
            "since": node.since_ms,
            "healthyAt": node.healthy_ms,
            "capacity": node.room.capacity,
            "used": node.room.used,
            "remaining": node.room.remaining,
            "containers": node.containers,
            "pipelines": pipelines.get(&*node.id).map_or(0, Vec::len),
            "volumes": node.volumes,
            "volumesHealthy": node.volumes_healthy,
            "volumesFailed": node.volumes_failed,
            "rooms": figures.map_or_else(|| json!([]), rooms),
            "now": figures.filter(|figures| figures.took_ms > 0).map(doing),
        })
    };
    let all: Value = state.datanodes.values().map(one).collect();
    json!({ "now": now_ms, "sources": state.sources_json(), "datanodes": all })
}

fn rooms(figures: &NodeFigures) -> Value {
    let room = |(path, room): (&String, &crate::figures::VolumeRoom)| json!({ "path": path, "capacity": room.capacity, "used": room.used, "available": room.available });
    figures.page.volumes.iter().map(room).collect()
}

fn doing(figures: &NodeFigures) -> Value {
    let seconds = figures.took_ms as f64 / 1000.0;
    let happened = &figures.happened;
    json!({
        "written": (happened.received / seconds).round(),
        "read": (happened.sent / seconds).round(),
        "writeMost": happened.writes.quantile(0.99),
        "readMost": happened.reads.quantile(0.99),
    })
}

/// `/allotrope/containers?state=&health=&after=&limit=`.
pub(super) fn containers(state: &State, query: &Query) -> Result<Value, Trouble> {
    let (wanted_state, health) = (query.text("state"), query.text("health"));
    let health = match health {
        "" | "ALL_UNHEALTHY" => None,
        text => Some(
            Health::named(text).ok_or_else(|| Trouble::bad(format!("{text} is no health of a container")))?,
        ),
    };
    let unhealthy = query.text("health") == "ALL_UNHEALTHY";
    let node = query.text("datanode");
    let wanted = |container: &&Container| {
        (wanted_state.is_empty() || container.state == wanted_state)
            && health.is_none_or(|health| container.health == health)
            && (!unhealthy || container.health != Health::Healthy)
            && (node.is_empty() || container.present().any(|replica| &*replica.node == node))
    };
    let after: i64 = query.number("after", 0)?;
    let limit = query.limit()?;
    let behind =
        state.containers.range((Bound::Excluded(after), Bound::Unbounded)).map(|(_, container)| container);
    let mut page: Vec<&Container> = behind.filter(wanted).take(limit + 1).collect();
    let more = page.len() > limit;
    page.truncate(limit);
    let rows: Value = page.iter().map(|container| row(state, container)).collect();
    Ok(
        json!({ "sources": state.sources_json(), "all": state.containers_all, "more": more, "containers": rows }),
    )
}

fn row(state: &State, container: &Container) -> Value {
    let replica = |replica: &Replica| {
        json!({
            "node": &*replica.node,
            "host": state.label_of(&replica.node),
            "nodeState": state.datanodes.get(&replica.node).map_or("UNKNOWN", |node| node.state),
            "index": replica.index,
            "state": replica.state,
        })
    };
    json!({
        "id": container.id,
        "state": container.state,
        "health": container.health.name(),
        "healthSince": container.health_since_ms,
        "replication": container.replication.scheme,
        "kind": container.replication.kind,
        "needed": container.replication.needed(),
        "data": container.replication.data,
        "used": container.used,
        "keys": container.keys,
        "owner": container.owner,
        "since": container.since_ms,
        "pipeline": container.pipeline,
        "replicas": container.present().map(replica).collect::<Value>(),
    })
}

/// `/allotrope/containers/{id}`: as a row, with every replica that is remembered.
pub(super) async fn container(recon: &Recon, id: &str) -> Result<Value, Trouble> {
    let id = container_id(id)?;
    look_now(recon, id).await;
    let state = recon.state();
    let container =
        state.containers.get(&id).ok_or_else(|| Trouble::missing(format!("there is no container {id}")))?;
    let mut shown = row(&state, container);
    let replica = |replica: &Replica| {
        json!({
            "node": &*replica.node,
            "host": state.label_of(&replica.node),
            "nodeState": state.datanodes.get(&replica.node).map_or("UNKNOWN", |node| node.state),
            "index": replica.index,
            "state": replica.state,
            "sequence": replica.sequence,
            "keys": replica.keys,
            "used": replica.used,
            "firstSeen": replica.first_seen_ms,
            "lastSeen": replica.last_seen_ms,
            "present": replica.last_seen_ms == container.looked_ms,
        })
    };
    shown["history"] = container.replicas.iter().map(replica).collect();
    shown["sequence"] = json!(container.sequence);
    shown["sources"] = state.sources_json();
    Ok(shown)
}

/// `/allotrope/repair`.
pub(super) fn repair(state: &State, now_ms: u64) -> Value {
    let report = match &state.repair {
        Repair::Unknown => json!({ "offered": null }),
        Repair::NotOffered(why) => json!({ "offered": false, "why": why }),
        Repair::Report { at_ms, counts, samples } => json!({
            "offered": true,
            "at": at_ms,
            "counts": counts.iter().map(|(name, count)| json!({ "name": name, "count": count })).collect::<Value>(),
            "samples": samples.iter().map(|(name, ids)| json!({ "name": name, "containers": ids })).collect::<Value>(),
        }),
    };
    let figures = |name: &str| {
        let pages = state.figures.values().filter(|figures| !figures.page.scm.is_empty());
        pages
            .flat_map(|figures| figures.page.scm.get(name))
            .copied()
            .fold(None, |sum: Option<f64>, value| Some(sum.unwrap_or(0.0) + value))
    };
    let all: BTreeMap<&str, f64> = state
        .figures
        .values()
        .flat_map(|figures| &figures.page.scm)
        .filter(|(name, _)| REPAIR_FIGURES.iter().any(|start| name.starts_with(start)))
        .map(|(name, value)| (name.as_str(), *value))
        .collect();
    let gone: Value = state
        .datanodes
        .values()
        .filter(|node| node.state != "HEALTHY")
        .map(
            |node| json!({ "id": &*node.id, "host": state.label_of(&node.id), "state": node.state, "since": node.since_ms }),
        )
        .collect();
    let by_health: BTreeMap<&str, usize> =
        Health::ALL.into_iter().map(|health| (health.name(), state.count_health(health))).collect();
    json!({
        "now": now_ms,
        "sources": state.sources_json(),
        "report": report,
        "health": by_health,
        "deletions": figures("scm_deletions_under_way"),
        "figures": all,
        "datanodes": gone,
    })
}
