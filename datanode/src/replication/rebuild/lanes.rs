//! Which sources of a stripe are asked at once, and which one after the other: pure.
//!
//! Shape   all are asked at once, until one takes long, and longer than all others together: then these are asked in turn beside it.
//!
//! Nothing gets slower by it: a disk that is only busy takes less than [`LONG`], and the others would wait for the one. And a source that takes its time since clients use it is spared the company of others that hurry for
//! nothing: on their disks, in this datanode's memory, and on cores and links that it may share with them.

use std::collections::BTreeMap;
use std::time::Duration;

/// From when on an answer takes long: its datanode makes it wait, or is in trouble.
const LONG: Duration = Duration::from_millis(25);

/// Whether one of these took long, and twice as long as all others together.
pub(super) fn is_held_back(times: impl Iterator<Item = Duration> + Clone) -> bool {
    let (all, longest) = (times.clone().sum::<Duration>(), times.clone().max().unwrap_or_default());
    times.count() > 2 && longest >= LONG && longest >= 2 * (all - longest)
}

/// The lanes in which `wanted` are read, where the last answers took as long as `took` says.
pub(super) fn lanes<K: Copy + Ord, T>(wanted: Vec<(K, T)>, took: &BTreeMap<K, Duration>) -> Vec<Vec<T>> {
    let times = wanted.iter().filter_map(|(key, _)| took.get(key).copied());
    // One that has not answered yet may be any.
    if times.clone().count() < wanted.len() || !is_held_back(times) {
        return wanted.into_iter().map(|(_, one)| vec![one]).collect();
    }
    let slowest = wanted.iter().max_by_key(|(key, _)| took.get(key)).map(|(key, _)| *key);
    let (slow, others): (Vec<_>, Vec<_>) = wanted.into_iter().partition(|(key, _)| Some(*key) == slowest);
    [slow, others].map(|lane| lane.into_iter().map(|(_, one)| one).collect()).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn others_take_turns_only_beside_one_that_takes_much_longer_than_all_of_them() {
        let wanted = |keys: [u8; 4]| keys.map(|key| (key, key)).to_vec();
        let took = |ms: [u64; 4]| (0u8..).zip(ms.map(Duration::from_millis)).collect::<BTreeMap<_, _>>();
        let alone = vec![vec![0], vec![1], vec![2], vec![3]];
        assert_eq!(lanes(wanted([0, 1, 2, 3]), &BTreeMap::new()), alone, "nobody has answered yet");
        assert_eq!(lanes(wanted([0, 1, 2, 3]), &took([5, 6, 7, 8])), alone);
        assert_eq!(lanes(wanted([0, 1, 2, 3]), &took([5, 60, 7, 8])), [vec![1], vec![0, 2, 3]]);
        assert_eq!(lanes(wanted([0, 1, 2, 3]), &took([1, 20, 1, 1])), alone, "a disk is busy");
        assert_eq!(lanes(wanted([0, 1, 2, 9]), &took([5, 60, 7, 8])).len(), 4, "a spare may be the slowest");
        let two = vec![(1, 1), (2, 2)];
        assert_eq!(lanes(two, &took([5, 60, 7, 8])), [[1], [2]]);
        assert_eq!(lanes(Vec::<(u8, u8)>::new(), &BTreeMap::new()), Vec::<Vec<u8>>::new());
    }
}
