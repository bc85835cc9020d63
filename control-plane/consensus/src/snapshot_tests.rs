//! A snapshot arrives whole or not at all, whatever its sender says.

use super::*;

fn manifest(files: &[(&str, u64)]) -> Manifest {
    let files = files.iter().map(|(name, len)| ((*name).to_owned(), *len)).collect();
    Manifest { meta: SnapshotMeta::default(), files }
}

fn piece(file: u32, at: u64, bytes: &'static [u8]) -> Piece {
    Piece { file, at, crc32c: crc32c::crc32c(bytes), bytes: bytes.into() }
}

#[test]
fn files_arrive_as_they_were_sent_the_empty_ones_too() {
    let dir = tempfile::tempdir().unwrap();
    let into = dir.path().join("incoming-0");
    let mut incoming =
        Incoming::begin(into.clone(), manifest(&[("a", 0), ("b", 5), ("c", 2), ("d", 0)])).unwrap();
    for piece in [piece(1, 0, b"fir"), piece(1, 0, b"fir"), piece(1, 3, b"st"), piece(2, 0, b"zz")] {
        incoming.piece(&piece).unwrap();
    }
    let (_, received) = incoming.end().unwrap();
    let there = files::list(received.dir()).unwrap();
    assert_eq!(there, [("a".into(), 0), ("b".into(), 5), ("c".into(), 2), ("d".into(), 0)]);
    assert_eq!(files::read(&into.join("b")).unwrap().unwrap(), b"first");
    drop(received);
    assert!(!into.exists(), "what is not installed is removed");
}

#[test]
fn an_interrupted_transfer_leaves_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let into = dir.path().join("incoming-0");
    let mut incoming = Incoming::begin(into.clone(), manifest(&[("a", 2), ("b", 2)])).unwrap();
    incoming.piece(&piece(0, 0, b"aa")).unwrap();
    let refused = incoming.end().err().expect("a file is missing");
    assert!(refused.contains("file 1 of 2"), "{refused}");
    assert!(!into.exists());
}

#[test]
fn pieces_that_do_not_fit_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    let damaged = Piece { crc32c: 1, ..piece(0, 0, b"aa") };
    let table: [(Piece, &str); 5] = [
        (damaged, "fails its checksum"),
        (piece(0, 2, b"aa"), "not of 0 at 0"),
        (piece(1, 0, b"aa"), "not of 0 at 0"),
        (piece(0, 0, b"aaaaa"), "ends at 5 of a file of 4"),
        (piece(0, 0, b""), "ends at 0 of a file of 4"),
    ];
    for (wrong, why) in table {
        let mut incoming = Incoming::begin(dir.path().join("in"), manifest(&[("a", 4)])).unwrap();
        let refused = incoming.piece(&wrong).unwrap_err();
        assert!(refused.contains(why), "{refused}");
    }
    let mut incoming = Incoming::begin(dir.path().join("in"), manifest(&[("a", 2)])).unwrap();
    incoming.piece(&piece(0, 0, b"aa")).unwrap();
    assert!(incoming.piece(&piece(1, 0, b"more")).unwrap_err().contains("after the last"));
}

#[test]
fn names_that_lead_elsewhere_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    for name in ["", ".", "..", "../a", "a/b", ".hidden", "a\0b", "ü"] {
        let refused = Incoming::begin(dir.path().join("in"), manifest(&[(name, 1)])).err();
        assert!(refused.is_some_and(|why| why.contains("a snapshot file named")), "{name:?} was taken");
    }
}
