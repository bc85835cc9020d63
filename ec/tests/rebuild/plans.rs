//! What is rebuilt, from where, and what is skipped.

use allotrope_ec::{
    BlockOnSource, CellIndex, CellSet, ContainerPlanError, Layout, SetAsideReason, SkipReason, plan_block,
    plan_container,
};
use allotrope_types::ByteCount;
use proptest::prelude::*;

use crate::world::{Container, block, replica};

fn cells(replicas: &[u8]) -> CellSet {
    replicas.iter().map(|&number| replica(number).into()).collect()
}

fn bytes(count: u64) -> ByteCount {
    ByteCount::new(count)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(150))]

    #[test]
    fn a_rebuilt_container_is_the_lost_one(
        config in prop_oneof![Just("rs-3-2-1k"), Just("rs-6-3-1k"), Just("rs-10-4-1k"), Just("xor-2-1-1k")],
        lens in prop::collection::vec(prop_oneof![1u64..40_000, (1u64..40).prop_map(|cells| cells * 1024)], 0..5),
        order in any::<[u32; 32]>(),
        losses in any::<prop::sample::Index>(),
        slice_len in 1usize..2000,
    ) {
        let mut container = Container::new(config);
        for (id, &len) in lens.iter().enumerate() {
            container.write(id as u64 + 1, len);
        }
        let whole = container.clone();
        let scheme = container.layout.scheme();
        let mut numbers: Vec<u8> = (1..=scheme.cells() as u8).collect();
        numbers.sort_by_key(|&number| order[usize::from(number) - 1]);
        let lost = &numbers[..1 + losses.index(scheme.parity())];
        container.lose(lost);

        let plan = container.plan(lost);
        prop_assert_eq!((plan.blocks.len(), plan.skipped.len()), (lens.len(), 0));
        container.rebuild(&plan, lost, slice_len);
        prop_assert!(container.replicas == whole.replicas);
    }
}

proptest! {
    /// Whatever the sources report, the plan is the greatest length that as many sources hold as it takes, and it reads
    /// only sources that hold it.
    #[test]
    fn the_length_is_the_greatest_that_enough_sources_hold(
        reports in prop::collection::vec(prop::option::of((prop::option::of(0u64..9), 0u64..4)), 4),
    ) {
        let layout = Layout::new("rs-3-2-1k".parse().unwrap());
        let sources: Vec<(CellIndex, Option<BlockOnSource>)> = reports
            .iter()
            .enumerate()
            .map(|(i, report)| {
                let block = report.map(|(cells, stripes)| BlockOnSource {
                    group_len: cells.map(|cells| bytes(cells * 700)),
                    block_len: bytes(stripes * 1024),
                });
                (CellIndex::new(i), block)
            })
            .collect();
        let holds = |cell: CellIndex, group_len: u64| {
            sources[cell.get()].1.is_some_and(|block| {
                block.group_len >= Some(bytes(group_len)) && block.block_len >= layout.block_len(bytes(group_len), cell)
            })
        };
        let enough = |group_len: u64| {
            let with_bytes = |cell: &CellIndex| !layout.block_len(bytes(group_len), *cell).is_zero();
            let survivors = (0..4).map(CellIndex::new).filter(with_bytes).filter(|&cell| holds(cell, group_len)).count();
            let padding = (0..3).map(CellIndex::new).filter(|cell| !with_bytes(cell)).count();
            survivors + padding >= 3
        };
        let expected = (1..9).map(|cells| cells * 700).filter(|&len| {
            enough(len) && reports.iter().flatten().any(|(cells, _)| *cells == Some(len / 700))
        }).max();
        match plan_block(layout, &sources, cells(&[5])) {
            Ok(plan) => {
                prop_assert_eq!(Some(plan.group_len().as_u64()), expected);
                prop_assert_eq!(plan.survivors().len(), 3);
                for cell in plan.read().union(plan.spare()) {
                    prop_assert!(holds(cell, plan.group_len().as_u64()));
                    prop_assert!(plan.set_aside().iter().all(|aside| aside.replica != cell.replica()));
                }
            }
            Err((why, _)) => {
                prop_assert_eq!(expected, None);
                let reported = || reports.iter().flatten().filter_map(|(cells, _)| *cells);
                match why {
                    SkipReason::NoGroupLength => prop_assert_eq!(reported().count(), 0),
                    SkipReason::Empty => prop_assert_eq!(reported().max(), Some(0)),
                    SkipReason::TooFewSources { holding, needed, .. } => prop_assert!(holding.len() < needed),
                }
            }
        }
    }
}

#[test]
fn a_block_that_enough_sources_hold_is_rebuilt_though_one_lacks_it() {
    let mut container = Container::new("rs-3-2-1k");
    container.write(1, 10_000);
    let whole = container.clone();
    container.lose(&[5]);
    container.on(2).remove(&block(1));
    let plan = container.plan(&[5]);
    let planned = &plan.blocks[&block(1)];
    assert_eq!(planned.read(), cells(&[1, 3, 4]));
    assert_eq!(planned.set_aside()[0].to_string(), "replica 2 does not have the block");
    container.rebuild(&plan, &[5], 512);
    assert_eq!(container.replicas[&replica(5)], whole.replicas[&replica(5)]);
}

#[test]
fn one_source_that_was_left_behind_does_not_shorten_the_block() {
    let mut container = Container::new("rs-3-2-1k");
    container.write(1, 10_000);
    let whole = container.clone();
    container.lose(&[1]);
    container.on(4).get_mut(&block(1)).unwrap().group_len = Some(bytes(3072));
    let plan = container.plan(&[1]);
    let planned = &plan.blocks[&block(1)];
    assert_eq!((planned.group_len(), planned.read()), (bytes(10_000), cells(&[2, 3, 5])));
    let behind = SetAsideReason::Behind { group_len: bytes(3072), others: bytes(10_000) };
    assert_eq!((planned.set_aside()[0].replica, planned.set_aside()[0].why), (replica(4), behind));
    assert_eq!(planned.set_aside()[0].to_string(), "replica 4 knows 3072 of the group's 10000 bytes");
    container.rebuild(&plan, &[1], 4096);
    assert_eq!(container.replicas[&replica(1)], whole.replicas[&replica(1)]);
}

#[test]
fn a_stripe_that_reached_too_few_replicas_is_left_out() {
    // The client died while it put the fourth stripe: two replicas know of it, so nobody was told it is safe.
    let mut container = Container::new("rs-3-2-1k");
    container.write(1, 4 * 3072);
    container.lose(&[5]);
    for number in [2, 3] {
        container.on(number).get_mut(&block(1)).unwrap().group_len = Some(bytes(3 * 3072));
    }
    let plan = container.plan(&[5]);
    let planned = &plan.blocks[&block(1)];
    assert_eq!(planned.group_len(), bytes(3 * 3072));
    assert!(planned.set_aside().is_empty(), "a longer tail is no fault of a source");
    container.rebuild(&plan, &[5], 1024);
    assert_eq!(container.on(5)[&block(1)].bytes.len(), 3 * 1024);
}

#[test]
fn a_source_whose_chunks_are_short_is_not_read() {
    let mut container = Container::new("rs-3-2-1k");
    container.write(1, 10_000);
    container.lose(&[5]);
    container.on(3).get_mut(&block(1)).unwrap().bytes.truncate(3000);
    let plan = container.plan(&[5]);
    let planned = &plan.blocks[&block(1)];
    assert_eq!(planned.read(), cells(&[1, 2, 4]));
    assert_eq!(planned.set_aside()[0].to_string(), "replica 3 holds 3000 of its 3072 bytes");
}

#[test]
fn an_orphan_is_skipped_and_the_operator_hears_why() {
    let mut container = Container::new("rs-3-2-1k");
    container.write(1, 10_000);
    container.write(2, 10_000);
    container.lose(&[5]);
    container.on(2).remove(&block(1));
    container.on(3).get_mut(&block(1)).unwrap().group_len = None;
    let plan = container.plan(&[5]);
    assert_eq!(plan.blocks.keys().collect::<Vec<_>>(), [&block(2)]);
    let skipped = &plan.skipped[0];
    let why = SkipReason::TooFewSources { group_len: bytes(10_000), holding: cells(&[1, 4]), needed: 3 };
    assert_eq!((skipped.block, skipped.why), (block(1), why));
    assert_eq!(
        skipped.to_string(),
        "block 1 is not rebuilt: 3 sources are needed for its 10000 bytes and only 2 hold them: replicas 1, 4 \
         (replica 2 does not have the block; replica 3 does not know the group's length)"
    );
}

#[test]
fn blocks_without_bytes_or_length_are_skipped() {
    let mut container = Container::new("rs-3-2-1k");
    for id in [1, 2] {
        container.write(id, 100);
    }
    container.lose(&[5]);
    for number in 1..=4 {
        container.on(number).get_mut(&block(1)).unwrap().group_len = None;
        container.on(number).get_mut(&block(2)).unwrap().group_len = Some(ByteCount::ZERO);
    }
    let plan = container.plan(&[5]);
    let reasons: Vec<_> = plan.skipped.iter().map(|skipped| (skipped.block, skipped.why)).collect();
    assert_eq!(reasons, [(block(1), SkipReason::NoGroupLength), (block(2), SkipReason::Empty)]);
}

#[test]
fn a_short_group_needs_only_as_many_sources_as_it_has_cells() {
    let mut container = Container::new("rs-3-2-1k");
    container.write(1, 1500);
    let whole = container.clone();
    container.lose(&[1, 3, 4]);
    let plan = container.plan(&[1, 3, 4]);
    let planned = &plan.blocks[&block(1)];
    assert_eq!((planned.read(), planned.survivors()), (cells(&[2, 5]), cells(&[2, 3, 5])));
    assert_eq!(planned.decoded(), cells(&[1, 4]));
    container.rebuild(&plan, &[1, 3, 4], 100);
    assert!(container.replicas == whole.replicas, "replica 3 gets an empty block");
}

#[test]
fn the_best_sources_are_read_and_spares_stand_in() {
    let mut container = Container::new("rs-3-2-1k");
    container.write(1, 10_000);
    container.lose(&[1]);
    let mut reports = container.reports();
    reports.reverse();
    let plan = plan_container(container.layout, &reports, &[replica(1)]).unwrap();
    let planned = &plan.blocks[&block(1)];
    assert_eq!((planned.read(), planned.spare()), (cells(&[5, 4, 3]), cells(&[2])));
    let again = planned.without(replica(4).into()).unwrap();
    assert_eq!((again.read(), again.spare()), (cells(&[5, 3, 2]), CellSet::EMPTY));
    assert_eq!(again.without(replica(5).into()), None, "no spare is left");
    let fewer = planned.without(replica(2).into()).unwrap();
    assert_eq!((fewer.read(), fewer.spare()), (planned.read(), CellSet::EMPTY));
}

#[test]
fn facts_that_cannot_be_are_refused() {
    let mut container = Container::new("rs-3-2-1k");
    container.lose(&[5]);
    let plan = |targets: &[u8]| {
        let targets: Vec<_> = targets.iter().map(|&number| replica(number)).collect();
        plan_container(container.layout, &container.reports(), &targets)
    };
    assert_eq!(plan(&[6]), Err(ContainerPlanError::NoSuchReplica { replica: replica(6), replicas: 5 }));
    assert_eq!(plan(&[2]), Err(ContainerPlanError::ReplicaTwice { replica: replica(2) }));
    assert_eq!(plan(&[5, 5]), Err(ContainerPlanError::ReplicaTwice { replica: replica(5) }));
    assert_eq!(plan(&[]), Err(ContainerPlanError::NoTargets));
}
