//! Which volume a new container lies on: a pure choice.

use super::Space;
use crate::config::VolumeChoice;

/// What is known of one volume.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Candidate {
    /// Its place in the configuration.
    pub index: usize,
    /// Its space.
    pub space: Space,
    /// Bytes that stay free.
    pub free_min: u64,
    /// Whether it failed.
    pub suspect: bool,
}

impl Candidate {
    /// Bytes that no container may claim yet.
    fn usable(&self) -> u64 {
        self.space.available.saturating_sub(self.space.committed).saturating_sub(self.free_min)
    }
}

/// The volume for a container that may grow to `size`; `None` if none has room. `turn` counts the containers made so
/// far.
pub fn choose(candidates: &[Candidate], size: u64, choice: VolumeChoice, turn: u64) -> Option<usize> {
    let fitting: Vec<_> = candidates.iter().filter(|one| !one.suspect && one.usable() >= size).collect();
    match choice {
        _ if fitting.is_empty() => None,
        VolumeChoice::RoundRobin => Some(fitting[(turn % fitting.len() as u64) as usize].index),
        // Among equals the lowest index, so that a run repeats.
        VolumeChoice::Capacity => {
            fitting.iter().max_by_key(|one| (one.usable(), usize::MAX - one.index)).map(|one| one.index)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn volume(index: usize, available: u64, committed: u64) -> Candidate {
        let space = Space { available, committed, ..Space::default() };
        Candidate { index, space, free_min: 10, suspect: false }
    }

    #[test]
    fn a_container_goes_where_most_is_free_of_claims() {
        let volumes = [volume(0, 100, 0), volume(1, 200, 150), volume(2, 150, 10)];
        assert_eq!(choose(&volumes, 50, VolumeChoice::Capacity, 0), Some(2));
    }

    #[test]
    fn volumes_take_turns() {
        let volumes = [volume(0, 100, 0), volume(1, 20, 0), volume(2, 100, 0)];
        let turns: Vec<_> = (0..4).map(|turn| choose(&volumes, 50, VolumeChoice::RoundRobin, turn)).collect();
        assert_eq!(turns, [Some(0), Some(2), Some(0), Some(2)]);
    }

    #[test]
    fn a_full_or_failed_volume_is_never_chosen() {
        let mut volumes = [volume(0, 59, 0), volume(1, 100, 0)];
        volumes[1].suspect = true;
        assert_eq!(choose(&volumes, 50, VolumeChoice::Capacity, 0), None);
        assert_eq!(choose(&[], 0, VolumeChoice::RoundRobin, 3), None);
    }
}
