//! Containers and their replicas, in sweeps.
//!
//! Shape   a sweep lists all containers in pages, and asks for each page's places at once. Only those whose places differ from
//!         what should be, or whose replicas were not well at the last look, are asked for one by one.
//! Bounds  [`PAGE`] containers a question, [`LOOKS_MAX`] single looks a sweep; the rest have their turn in the next one.

use std::collections::BTreeMap;
use std::sync::Arc;

use allotrope_proto::hdds::{ContainerInfoProto, ContainerWithPipeline, ScmContainerReplicaProto};
use allotrope_proto::scm_container::{
    GetContainerReplicasRequestProto, GetExistContainerWithPipelinesInBatchRequestProto,
    ScmListContainerRequestProto, Type,
};

use crate::health::{Copy, Health, judge};
use crate::model::{Container, Replica, uuid_of};
use crate::recon::{AskError, Recon};
use crate::state::{CONTAINERS_MAX, State};

/// Containers a question.
const PAGE: u32 = 500;
/// Single looks a sweep.
const LOOKS_MAX: usize = 500;
/// Replicas that are remembered of one container, those of now included.
const REPLICAS_MAX: usize = 32;

/// One sweep.
pub(super) async fn round(recon: &Recon) -> Result<(), AskError> {
    let mut found: BTreeMap<i64, ()> = BTreeMap::new();
    let (mut start, mut suspects) = (0_u64, Vec::new());
    loop {
        let page = list(recon, start).await?;
        let Some(last) = page.last().and_then(|container| u64::try_from(container.container_id).ok()) else {
            break;
        };
        let room = CONTAINERS_MAX.saturating_sub(found.len());
        let kept = &page[..page.len().min(room)];
        let places = places(recon, kept).await?;
        suspects.extend(take(&mut recon.state(), kept, &places, recon.now_ms()));
        found.extend(kept.iter().map(|container| (container.container_id, ())));
        start = last.saturating_add(1);
        if page.len() < PAGE as usize || kept.len() < page.len() {
            break;
        }
    }
    let count = count(recon).await?;
    {
        let mut state = recon.state();
        state.containers.retain(|id, _| found.contains_key(id));
        state.containers_all = count;
    }
    // Those that have waited longest come first.
    suspects.sort_unstable();
    for (_, id) in suspects.into_iter().take(LOOKS_MAX) {
        look(recon, id).await?;
    }
    Ok(())
}

async fn list(recon: &Recon, start: u64) -> Result<Vec<ContainerInfoProto>, AskError> {
    let answer = recon.ask_scm(Type::ListContainer, |request| {
        request.scm_list_container_request = Some(ScmListContainerRequestProto {
            count: PAGE,
            start_container_id: Some(start),
            ..Default::default()
        });
    });
    Ok(answer.await?.scm_list_container_response.ok_or(AskError::Empty("ListContainer"))?.containers)
}

async fn count(recon: &Recon) -> Result<u64, AskError> {
    let answer = recon.ask_scm(Type::GetContainerCount, |request| {
        request.get_container_count_request = Some(Default::default());
    });
    let count = answer.await?.get_container_count_response.ok_or(AskError::Empty("GetContainerCount"))?;
    Ok(u64::try_from(count.container_count).unwrap_or(0))
}

async fn places(recon: &Recon, page: &[ContainerInfoProto]) -> Result<Vec<ContainerWithPipeline>, AskError> {
    if page.is_empty() {
        return Ok(Vec::new());
    }
    let container_i_ds = page.iter().map(|container| container.container_id).collect();
    let answer = recon.ask_scm(Type::GetExistContainerWithPipelinesInBatch, |request| {
        request.get_exist_container_with_pipelines_in_batch_request =
            Some(GetExistContainerWithPipelinesInBatchRequestProto { container_i_ds, ..Default::default() });
    });
    let answer = answer.await?.get_exist_container_with_pipelines_in_batch_response;
    Ok(answer.ok_or(AskError::Empty("GetExistContainerWithPipelinesInBatch"))?.container_with_pipelines)
}

/// Takes a page in; the containers that want a look of their own, with when they last had one.
fn take(
    state: &mut State,
    page: &[ContainerInfoProto],
    places: &[ContainerWithPipeline],
    now_ms: u64,
) -> Vec<(u64, i64)> {
    let mut suspects = Vec::new();
    let places: BTreeMap<i64, &ContainerWithPipeline> =
        places.iter().map(|place| (place.container_info.container_id, place)).collect();
    for info in page {
        let before = state.containers.get(&info.container_id);
        let looked_ms = before.map_or(0, |before| before.looked_ms);
        let mut container = Container::read(info, before);
        let members: Vec<Replica> =
            places.get(&info.container_id).map_or_else(Vec::new, |place| members(place));
        let judged = judged(state, &container, &members);
        let is_sealed = matches!(container.state, "CLOSED" | "QUASI_CLOSED");
        if judged == Health::Healthy && container.health == Health::Healthy {
            // What SCM reads a sealed container through are its replicas; what it writes one through are to be.
            if is_sealed || container.replicas.is_empty() {
                remember(&mut container, members, now_ms);
            }
        } else {
            suspects.push((looked_ms, container.id));
        }
        state.containers.insert(container.id, container);
    }
    suspects
}

fn members(place: &ContainerWithPipeline) -> Vec<Replica> {
    let pipeline = &place.pipeline;
    let index = |at: usize| pipeline.member_replica_indexes.get(at).copied().unwrap_or(0);
    let replica = |(at, node)| Replica {
        node: Arc::from(uuid_of(node)),
        index: index(at),
        state: String::new(),
        sequence: place.container_info.sequence_id.unwrap_or(0),
        keys: place.container_info.number_of_keys,
        used: place.container_info.used_bytes,
        first_seen_ms: 0,
        last_seen_ms: 0,
    };
    pipeline.members.iter().enumerate().map(replica).collect()
}

fn judged(state: &State, container: &Container, replicas: &[Replica]) -> Health {
    let copy = |replica: &Replica| Copy {
        index: replica.index,
        is_sound: !matches!(replica.state.as_str(), "UNHEALTHY" | "INVALID" | "DELETED"),
        is_there: state.datanodes.get(&replica.node).is_none_or(|node| node.state != "DEAD"),
    };
    let copies: Vec<Copy> = replicas.iter().map(copy).collect();
    judge(container.state, &container.replication, container.used, &copies)
}

/// Makes `now` the container's replicas; what was there before is remembered for a while.
fn remember(container: &mut Container, now: Vec<Replica>, now_ms: u64) {
    let mut replicas = Vec::with_capacity(now.len());
    for mut replica in now {
        let same = |known: &&Replica| known.node == replica.node && known.index == replica.index;
        let before = container.replicas.iter().find(same);
        replica.first_seen_ms = before.map_or(now_ms, |before| before.first_seen_ms);
        replica.last_seen_ms = now_ms;
        if let Some(before) = before {
            replica.node = Arc::clone(&before.node);
            if replica.state.is_empty() {
                replica.state.clone_from(&before.state);
            }
        }
        replicas.push(replica);
    }
    let gone = |old: &Replica| !replicas.iter().any(|new| new.node == old.node && new.index == old.index);
    let mut old: Vec<Replica> = container.replicas.iter().filter(|old| gone(old)).cloned().collect();
    old.sort_by_key(|replica| std::cmp::Reverse(replica.last_seen_ms));
    replicas.extend(old);
    replicas.truncate(REPLICAS_MAX);
    (container.replicas, container.looked_ms) = (replicas, now_ms);
}

/// Looks at one container's replicas now, and judges it.
async fn look(recon: &Recon, id: i64) -> Result<(), AskError> {
    let answer = recon.ask_scm(Type::GetContainerReplicas, |request| {
        request.get_container_replicas_request =
            Some(GetContainerReplicasRequestProto { container_id: id, trace_id: None });
    });
    let replicas = match answer.await {
        Ok(answer) => answer.get_container_replicas_response.unwrap_or_default().container_replica,
        // It went since the sweep saw it.
        Err(AskError::Refused(_)) => return Ok(()),
        Err(error) => return Err(error),
    };
    take_look(&mut recon.state(), id, replicas, recon.now_ms());
    Ok(())
}

/// As [`look`]; SCM's silence leaves what was known.
pub(crate) async fn look_now(recon: &Recon, id: i64) {
    // The sweep's own round says that SCM is silent.
    drop(look(recon, id).await);
}

fn take_look(state: &mut State, id: i64, wire: Vec<ScmContainerReplicaProto>, now_ms: u64) {
    let Some(mut container) = state.containers.remove(&id) else { return };
    let count = |n: i64| u64::try_from(n).unwrap_or(0);
    let replica = |wire: ScmContainerReplicaProto| Replica {
        node: Arc::from(uuid_of(&wire.datanode_details)),
        index: wire.replica_index.and_then(|index| u32::try_from(index).ok()).unwrap_or(0),
        state: wire.state,
        sequence: wire.sequence_id,
        keys: count(wire.key_count),
        used: count(wire.bytes_used),
        first_seen_ms: 0,
        last_seen_ms: 0,
    };
    let replicas: Vec<Replica> = wire.into_iter().map(replica).collect();
    let health = judged(state, &container, &replicas);
    remember(&mut container, replicas, now_ms);
    if health != container.health {
        (container.health, container.health_since_ms) = (health, now_ms);
    }
    state.containers.insert(id, container);
}

#[cfg(test)]
mod tests {
    use super::*;
    use allotrope_proto::hdds::{
        DatanodeDetailsProto, LifeCycleState, Pipeline as PipelineProto, ReplicationFactor, ReplicationType,
    };

    fn details(id: &str) -> DatanodeDetailsProto {
        DatanodeDetailsProto { uuid: Some(id.into()), host_name: id.into(), ..Default::default() }
    }

    fn info(state: LifeCycleState) -> ContainerInfoProto {
        ContainerInfoProto {
            container_id: 7,
            state: state as i32,
            used_bytes: 100,
            replication_type: ReplicationType::Ratis as i32,
            replication_factor: Some(ReplicationFactor::Three as i32),
            ..Default::default()
        }
    }

    fn place(info: ContainerInfoProto, nodes: &[&str]) -> ContainerWithPipeline {
        let members = nodes.iter().map(|id| details(id)).collect();
        ContainerWithPipeline {
            container_info: info,
            pipeline: PipelineProto { members, ..Default::default() },
        }
    }

    fn replica(node: &str, state: &str) -> ScmContainerReplicaProto {
        ScmContainerReplicaProto {
            container_id: 7,
            state: state.into(),
            datanode_details: details(node),
            sequence_id: 3,
            ..Default::default()
        }
    }

    #[test]
    fn a_container_that_lacks_a_replica_gets_a_look_and_its_history_remembers_who_had_one() {
        let mut state = State::default();
        let closed = info(LifeCycleState::Closed);
        let whole = place(closed.clone(), &["a", "b", "c"]);
        assert_eq!(take(&mut state, std::slice::from_ref(&closed), std::slice::from_ref(&whole), 100), []);
        assert_eq!(state.containers[&7].present().count(), 3);
        let less = place(closed.clone(), &["a", "b"]);
        assert_eq!(take(&mut state, std::slice::from_ref(&closed), &[less], 200), [(100, 7)]);
        take_look(&mut state, 7, vec![replica("a", "CLOSED"), replica("b", "CLOSED")], 300);
        let container = &state.containers[&7];
        assert_eq!((container.health, container.health_since_ms), (Health::UnderReplicated, 300));
        assert_eq!((container.present().count(), container.replicas.len()), (2, 3));
        let gone = container.replicas.iter().find(|replica| &*replica.node == "c").unwrap();
        assert_eq!((gone.first_seen_ms, gone.last_seen_ms), (100, 100));
        // It is looked at until it is whole again.
        assert_eq!(take(&mut state, std::slice::from_ref(&closed), &[whole], 400), [(300, 7)]);
        let repaired = ["a", "b", "d"].map(|node| replica(node, "CLOSED"));
        take_look(&mut state, 7, repaired.into(), 500);
        assert_eq!(state.containers[&7].health, Health::Healthy);
        assert_eq!(state.containers[&7].replicas[0].sequence, 3);
    }

    #[test]
    fn what_is_remembered_of_one_container_is_bounded() {
        let mut state = State::default();
        let closed = info(LifeCycleState::Closed);
        take(&mut state, &[closed], &[], 1);
        for round in 0..100_u64 {
            take_look(&mut state, 7, vec![replica(&format!("n{round}"), "UNHEALTHY")], 10 + round);
        }
        let container = &state.containers[&7];
        assert_eq!((container.replicas.len(), container.present().count()), (REPLICAS_MAX, 1));
        assert_eq!((&*container.replicas[0].node, container.health), ("n99", Health::Unhealthy));
    }
}
