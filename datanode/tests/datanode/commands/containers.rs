//! CreateContainer, ReadContainer, CloseContainer, DeleteContainer, Echo, GetContainerChecksumInfo.

use super::*;
use allotrope_proto::container::container_data_proto::State;
use allotrope_types::{ByteCount, ReplicaState};
use std::time::Duration;

fn data_of(world: &World, container: i64) -> ContainerDataProto {
    let answer = world.expect(read_container(&world.name(), container));
    answer.message.read_container.unwrap().container_data.unwrap()
}

#[test]
fn a_container_is_made_once_and_making_it_again_is_said() {
    let world = world();
    let node = world.name();
    let request = |container: i64| {
        with(&node, Type::CreateContainer, container, |message| {
            message.pipeline_id = Some("bf52d0e3-6418-4713-b0ff-3846243c3541".into());
            message.create_container = Some(CreateContainerRequestProto {
                replica_index: Some(4),
                metadata: vec![KeyValue { key: "OWNER".into(), value: Some("ozone".into()) }],
                ..Default::default()
            });
        })
    };
    world.expect(request(5));
    let made = data_of(&world, 5);
    assert_eq!((made.state(), made.size, made.block_count), (State::Open, Some(256 << 20), Some(0)));
    assert_eq!(made.metadata, [KeyValue { key: "OWNER".into(), value: Some("ozone".into()) }]);
    assert_eq!(world.refused(request(5)), ContainerAlreadyExists);
    assert_eq!(data_of(&world, 5), made);
}

#[test]
fn a_container_that_cannot_be_made_is_not_made() {
    let mut world = world();
    let node = world.name();
    let create = |fill: &dyn Fn(&mut ContainerCommandRequestProto)| {
        with(&node, Type::CreateContainer, 6, |message| {
            message.create_container = Some(CreateContainerRequestProto::default());
            fill(message);
        })
    };
    type Damage = dyn Fn(&mut ContainerCommandRequestProto);
    let wrong: [(DatanodeResult, &Damage); 6] = [
        (InvalidArgument, &|m| m.create_container.as_mut().unwrap().state = Some(State::Closed.into())),
        (InvalidArgument, &|m| m.create_container.as_mut().unwrap().state = Some(77)),
        (MalformedRequest, &|m| m.create_container.as_mut().unwrap().replica_index = Some(-3)),
        (UnknownContainerType, &|m| m.create_container.as_mut().unwrap().container_type = Some(9)),
        (MalformedRequest, &|m| m.pipeline_id = Some("with\0nul".into())),
        (MalformedRequest, &|m| {
            let pair = KeyValue { key: "OWNER".into(), value: Some("two\nlines: \0".into()) };
            m.create_container.as_mut().unwrap().metadata = vec![pair];
        }),
    ];
    for (wanted, fill) in wrong {
        assert_eq!(world.refused(create(fill)), wanted);
        assert_eq!(world.refused(read_container(&node, 6)), ContainerNotFound);
    }
    // A write that would make it under such a name makes nothing either.
    let mut write = put_block(&node, id(6, 1), vec![], true);
    write.message.pipeline_id = Some("a\0b".into());
    assert_eq!(world.refused(write), MalformedRequest);
    world.expect(create(&|_| {}));
    world.expect(delete_container(&node, 6, true));
    assert_eq!(world.refused(create(&|_| {})), ContainerMissing);
    world.expect(create(&|m| m.create_container.as_mut().unwrap().state = Some(State::Recovering.into())));
    world.kill();
    world.config.container_size = ByteCount::gib(64);
    world.boot();
    assert_eq!(world.refused(create_container(&node, 7, None)), DiskOutOfSpace);
}

#[test]
fn a_container_says_what_it_is_and_counts() {
    let world = world();
    world.put(1, 7, &bytes(1, 1000));
    world.put(1, 8, &bytes(2, 500));
    for _ in 0..2 {
        let data = data_of(&world, 1);
        assert_eq!((data.container_id, data.bytes_used, data.block_count), (1, Some(1500), Some(2)));
        assert_eq!((data.state(), data.container_type()), (State::Open, ContainerType::KeyValueContainer));
        assert!(data.container_path.unwrap().ends_with("/current/containerDir0/1"));
    }
}

#[test]
fn a_container_closes_once_and_stays_closed() {
    let world = world();
    let node = world.name();
    world.put(1, 7, &bytes(1, 1000));
    for _ in 0..2 {
        let answer = world.expect(close_container(&node, 1));
        assert_eq!(answer.message.close_container.unwrap().container_id, Some(1));
        assert_eq!(data_of(&world, 1).state(), State::Closed);
    }
    assert_eq!(world.read(1, 7, 0, 1000), bytes(1, 1000));
}

#[test]
fn each_state_lets_in_what_it_should() {
    let mut world = world();
    let node = world.name();
    let data = bytes(1, 1000);
    let rows = [
        (ReplicaState::Closing, None, Success),
        (ReplicaState::Recovering, None, Success),
        (ReplicaState::QuasiClosed, Some(ClosedContainerIo), Success),
        (ReplicaState::Closed, Some(ClosedContainerIo), Success),
        (ReplicaState::Unhealthy, Some(ContainerUnhealthy), ContainerUnhealthy),
        (ReplicaState::Invalid, Some(InvalidContainerState), InvalidContainerState),
    ];
    for (n, (state, write, close)) in (1..).zip(rows) {
        if state == ReplicaState::Recovering {
            // A start would remove it.
            world.expect(create_container(&node, n, Some(State::Recovering)));
            world.put(n, 7, &data);
        } else {
            world.put(n, 7, &data);
            world.rewrite_container_file(n, |file| file.state = state);
            world.kill();
            world.boot();
        }
        for (kind, request) in block_writes(&node, id(n, 8)) {
            let answer = world.refused(request);
            assert_eq!(answer, write.unwrap_or(Success), "{kind:?} on {state}");
        }
        assert_eq!(world.read(n, 7, 0, 1000), data, "{state}");
        assert_eq!(world.refused(close_container(&node, n)), close, "closing {state}");
    }
}

#[test]
fn deleting_takes_force_where_there_is_something_to_lose() {
    let world = world();
    let node = world.name();
    world.put(5, 1, &bytes(1, 10));
    assert_eq!(world.refused(delete_container(&node, 5, false)), DeleteOnOpenContainer);
    world.expect(close_container(&node, 5));
    assert_eq!(world.refused(delete_container(&node, 5, false)), DeleteOnNonEmptyContainer);
    assert_eq!(world.read(5, 1, 0, 10), bytes(1, 10));
    world.expect(delete_container(&node, 5, true));
    assert_eq!(world.refused(delete_container(&node, 5, true)), ContainerNotFound);
    all_refused(&world, block_writes(&node, id(5, 2)), ContainerMissing);
    // An empty closed one goes without force.
    world.expect(create_container(&node, 6, None));
    world.expect(close_container(&node, 6));
    world.expect(delete_container(&node, 6, false));
}

#[test]
fn a_write_makes_no_container_if_it_is_told_not_to() {
    let world = world();
    let node = world.name();
    for (kind, mut request) in block_writes(&node, id(4, 1)) {
        let message = &mut request.message;
        if let Some(write) = &mut message.write_chunk {
            write.container_auto_create = Some(false);
        }
        if let Some(put) = &mut message.put_block {
            put.container_auto_create = Some(false);
        }
        if let Some(small) = &mut message.put_small_file {
            small.block.container_auto_create = Some(false);
        }
        assert_eq!(world.refused(request), ContainerNotFound, "{kind:?}");
    }
    assert_eq!(world.refused(read_container(&node, 4)), ContainerNotFound);
    for (container, (_, request)) in (10..).zip(block_writes(&node, id(0, 1))) {
        let mut request = request;
        request.message.container_id = container;
        let ids = [
            request.message.write_chunk.as_mut().map(|one| &mut one.block_id),
            request.message.put_block.as_mut().map(|one| &mut one.block_data.block_id),
            request.message.put_small_file.as_mut().map(|one| &mut one.block.block_data.block_id),
        ];
        ids.into_iter().flatten().for_each(|id| id.container_id = container);
        world.expect(request);
        assert_eq!(data_of(&world, container).state(), State::Open);
    }
}

#[test]
fn a_volume_below_its_minimum_takes_no_writes_and_serves_what_it_has() {
    let world = world();
    let node = world.name();
    let data = bytes(1, 1000);
    world.put(1, 7, &data);
    world.disk.set_capacity(1 << 20);
    world.sim().run_for(Duration::from_secs(61));
    all_refused(&world, block_writes(&node, id(1, 8)), DiskOutOfSpace);
    all_refused(&world, block_writes(&node, id(2, 8)), DiskOutOfSpace);
    assert_eq!(world.read(1, 7, 0, 1000), data);
    world.disk.set_capacity(4 << 30);
    world.sim().run_for(Duration::from_secs(61));
    world.put(1, 8, &data);
}

#[test]
fn echo_answers_as_many_bytes_as_are_asked_for() {
    let world = world();
    let node = world.name();
    world.expect(create_container(&node, 1, None));
    for len in [0, 1, 100_000] {
        let answer = world.expect(echo(&node, 1, len)).message.echo.unwrap();
        assert_eq!(answer.payload.unwrap().len(), len as usize);
    }
    assert_eq!(world.refused(echo(&node, 1, -1)), MalformedRequest);
    assert_eq!(world.refused(echo(&node, 1, i32::MAX)), MalformedRequest);
}

#[test]
fn the_tree_of_a_sealed_container_is_answered_the_same_each_time() {
    let mut world = world();
    let node = world.name();
    world.put(1, 7, &bytes(1, 1000));
    assert_eq!(world.refused(checksum_info(&node, 1)), UnclosedContainerIo);
    world.expect(close_container(&node, 1));
    let tree = || {
        let answer = world.expect(checksum_info(&node, 1)).message.get_container_checksum_info.unwrap();
        (answer.container_id, answer.container_checksum_info.unwrap())
    };
    let (container, first) = tree();
    assert_eq!(container, Some(1));
    assert_eq!(tree().1, first);
    // Without its file it is built from the metadata.
    let path = world.node().volumes()[0].paths().container(allotrope_types::ContainerId::new(1)).tree();
    world.on_disk(move |disk| async move { disk.remove(path).await.unwrap() });
    assert_eq!(tree().1, first);
    world.kill();
}

#[test]
fn a_rebuild_that_stalls_is_removed_and_one_that_goes_on_is_not() {
    let world = world();
    let node = world.name();
    for container in [1, 2] {
        world.expect(create_container(&node, container, Some(State::Recovering)));
    }
    world.expect(create_container(&node, 3, None));
    let minutes = |n: u64| Duration::from_secs(60 * n);
    for local in 1..4 {
        world.sim().run_for(minutes(12));
        world.put(2, local, &bytes(1, 100));
    }
    assert_eq!(world.refused(read_container(&node, 1)), ContainerNotFound);
    assert_eq!(data_of(&world, 2).state(), State::Recovering);
    assert_eq!(data_of(&world, 3).state(), State::Open);
    all_refused(&world, block_writes(&node, id(1, 9)), ContainerMissing);
    world.sim().run_for(minutes(22));
    assert_eq!(world.refused(read_container(&node, 2)), ContainerNotFound);
}
