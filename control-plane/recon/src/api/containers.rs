//! `/containers` and what lies under it.

use std::ops::Bound;

use serde_json::{Value, json};

use super::{Query, Trouble, container_id};
use crate::collect::look_now;
use crate::health::Health;
use crate::model::{Container, Replica};
use crate::recon::Recon;
use crate::state::State;

/// A page of the containers behind `prevKey` that are `wanted`.
fn page<'a>(
    state: &'a State,
    query: &Query,
    wanted: impl Fn(&Container) -> bool + 'a,
) -> Result<Vec<&'a Container>, Trouble> {
    let after: i64 = query.number("prevKey", query.number("minContainerId", 0)?)?;
    let behind = state.containers.range((Bound::Excluded(after), Bound::Unbounded));
    Ok(behind
        .map(|(_, container)| container)
        .filter(|container| wanted(container))
        .take(query.limit()?)
        .collect())
}

/// `/containers`.
pub(super) fn list(state: &State, query: &Query) -> Result<Value, Trouble> {
    let page = page(state, query, |_| true)?;
    let one = |container: &&Container| {
        json!({
            "ContainerID": container.id,
            "NumberOfKeys": container.keys,
            "pipelines": container.pipeline,
        })
    };
    Ok(json!({
        "data": {
            "totalCount": state.containers_all,
            "prevKey": page.last().map_or(0, |container| container.id),
            "containers": page.iter().map(one).collect::<Value>(),
        },
    }))
}

/// `/containers/deleted` and `/containers/quasiClosed`.
pub(super) fn in_state(state: &State, wanted: &str, query: &Query) -> Result<Value, Trouble> {
    let wanted = wanted.to_owned();
    let page = page(state, query, move |container| container.state == wanted)?;
    let one = |container: &&Container| {
        json!({
            "containerId": container.id,
            "pipelineID": container.pipeline,
            "numberOfKeys": container.keys,
            "containerState": container.state,
            "stateEnterTime": container.since_ms,
            "lastUsed": container.since_ms,
            "usedBytes": container.used,
            "replicationConfig": container.replication.scheme,
            "replicationFactor": container.replication.scheme,
        })
    };
    Ok(page.iter().map(one).collect())
}

/// `/containers/missing`.
pub(super) fn missing(state: &State, query: &Query) -> Result<Value, Trouble> {
    let page = page(state, query, |container| container.health == Health::Missing)?;
    let one = |container: &&Container| {
        json!({
            "containerID": container.id,
            "missingSince": container.health_since_ms,
            "keys": container.keys,
            "pipelineID": container.pipeline,
            "replicas": replicas(state, container),
        })
    };
    Ok(json!({
        "totalCount": state.count_health(Health::Missing),
        "containers": page.iter().map(one).collect::<Value>(),
    }))
}

/// `/containers/unhealthy` and `/containers/unhealthy/{state}`.
pub(super) fn unhealthy(state: &State, of: Option<&str>, query: &Query) -> Result<Value, Trouble> {
    let of = match of {
        None => None,
        // Words of Ozone's for what is not told apart here: nothing stands under them.
        Some("MIS_REPLICATED" | "REPLICA_MISMATCH" | "ALL_REPLICAS_BAD" | "NEGATIVE_SIZE") => Some(None),
        Some(text) => match Health::named(text) {
            Some(health) if health != Health::Healthy => Some(Some(health)),
            _ => {
                return Err(Trouble::bad(format!(
                    "{text} is no unhealthy state, such as MISSING or UNDER_REPLICATED"
                )));
            }
        },
    };
    let wanted = move |container: &Container| match of {
        None => container.health != Health::Healthy,
        Some(of) => Some(container.health) == of,
    };
    let page = page(state, query, wanted)?;
    Ok(json!({
        "missingCount": state.count_health(Health::Missing),
        "underReplicatedCount": state.count_health(Health::UnderReplicated),
        "overReplicatedCount": state.count_health(Health::OverReplicated),
        "misReplicatedCount": 0,
        "replicaMismatchCount": 0,
        "firstKey": page.first().map_or(0, |container| container.id),
        "lastKey": page.last().map_or(0, |container| container.id),
        "containers": page.iter().map(|container| one_unhealthy(state, container)).collect::<Value>(),
    }))
}

fn one_unhealthy(state: &State, container: &Container) -> Value {
    let (expected, actual) = (i64::from(container.replication.needed()), container.present().count() as i64);
    json!({
        "containerID": container.id,
        "containerState": container.health.name(),
        "unhealthySince": container.health_since_ms,
        "expectedReplicaCount": expected,
        "actualReplicaCount": actual,
        "replicaDeltaCount": expected - actual,
        "reason": "",
        "keys": container.keys,
        "pipelineID": container.pipeline,
        "replicas": replicas(state, container),
    })
}

/// `/containers/{id}/replicaHistory`: those of now, and those that Recon saw before.
pub(super) async fn history(recon: &Recon, id: &str) -> Result<Value, Trouble> {
    let id = container_id(id)?;
    look_now(recon, id).await;
    let state = recon.state();
    let container =
        state.containers.get(&id).ok_or_else(|| Trouble::missing(format!("there is no container {id}")))?;
    Ok(replicas(&state, container))
}

fn replicas(state: &State, container: &Container) -> Value {
    let one = |replica: &Replica| {
        json!({
            "containerID": container.id,
            "datanodeUuid": &*replica.node,
            "datanodeHost": state.host_of(&replica.node),
            "firstSeenTime": replica.first_seen_ms,
            "lastSeenTime": replica.last_seen_ms,
            "lastBcsId": replica.sequence,
            "state": replica.state,
        })
    };
    container.replicas.iter().map(one).collect()
}
