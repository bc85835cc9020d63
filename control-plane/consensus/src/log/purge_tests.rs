//! The log lets go of nothing that the state does not have.

use openraft::CommittedLeaderId;

use super::{twin::TwinDisk, *};
use crate::{
    batch::Batch,
    ids::{ClusterId, MemberId},
    rocks::RocksShared,
    state::{Position, put_position},
};

fn id(index: u64) -> LogId {
    LogId::new(CommittedLeaderId::new(1, 1), index)
}

fn apply(state: &State, index: u64) {
    let db = state.current();
    let position = Position { cluster: "test".into(), applied: Some(id(index)), ..Position::default() };
    let mut batch = Batch::new(&db);
    put_position(&mut batch, &position).unwrap();
    batch.write().unwrap();
}

#[tokio::test(start_paused = true)]
async fn the_log_lets_go_of_entries_when_the_state_has_them_and_not_before() {
    let dir = tempfile::tempdir().unwrap();
    let rocks = RocksShared::new(8 << 20, 32 << 20).unwrap();
    let cluster = ClusterId("test".into());
    let state = Arc::new(State::open(&rocks, dir.path(), vec![], &cluster).unwrap());
    let disk = TwinDisk::new(1, 4, rocks::new_head(&cluster, MemberId(1)));
    let log = Log::new(disk.open().unwrap(), Arc::clone(&state), 1 << 20);
    apply(&state, 6);
    let mut purging = log.clone();
    let purge = tokio::spawn(async move { purging.purge(id(7)).await });
    pause(Duration::from_secs(5)).await;
    assert!(!purge.is_finished() && log.inner().head.purged.is_none(), "entry 7 is nowhere");
    apply(&state, 7);
    purge.await.unwrap().unwrap();
    assert_eq!(log.inner().head.purged, Some(id(7)));
    let asked = log.read(7, 9, usize::MAX).unwrap_err();
    assert!(asked.to_string().contains("the log begins at 8"), "{asked}");
}
