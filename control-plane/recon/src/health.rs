//! Is a container as safe as it should be? Facts in, one word out.
//!
//! Source  the words are those of Ozone's Recon (`/containers/unhealthy/{state}`).

use crate::model::Replication;

/// How a container's replicas stand.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Health {
    /// Nothing lacks, or it is still written.
    Healthy,
    /// Fewer replicas than can be read from: its data cannot be read now.
    Missing,
    /// As missing, of a container that holds nothing.
    EmptyMissing,
    /// Readable, with fewer replicas than there should be.
    UnderReplicated,
    /// More replicas than there should be.
    OverReplicated,
    /// Every replica that there is was found damaged.
    Unhealthy,
}

impl Health {
    /// In the order in which people want to hear of them.
    pub(crate) const ALL: [Health; 6] = [
        Health::Missing,
        Health::Unhealthy,
        Health::UnderReplicated,
        Health::OverReplicated,
        Health::EmptyMissing,
        Health::Healthy,
    ];

    /// The word on the API.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Health::Healthy => "HEALTHY",
            Health::Missing => "MISSING",
            Health::EmptyMissing => "EMPTY_MISSING",
            Health::UnderReplicated => "UNDER_REPLICATED",
            Health::OverReplicated => "OVER_REPLICATED",
            Health::Unhealthy => "UNHEALTHY",
        }
    }

    /// The one that `text` names.
    pub(crate) fn named(text: &str) -> Option<Health> {
        Health::ALL.into_iter().find(|health| health.name() == text)
    }
}

/// One replica, as far as this decision cares.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Copy {
    pub(crate) index: u32,
    /// It was not found damaged.
    pub(crate) is_sound: bool,
    /// Its datanode is not dead.
    pub(crate) is_there: bool,
}

/// Judges a container in `state` that holds `used` bytes.
pub(crate) fn judge(state: &str, replication: &Replication, used: u64, copies: &[Copy]) -> Health {
    let there: Vec<&Copy> = copies.iter().filter(|copy| copy.is_there).collect();
    let sound: Vec<u32> = there.iter().filter(|copy| copy.is_sound).map(|copy| copy.index).collect();
    let counted = match replication.is_coded() {
        true => {
            let mut distinct = sound.clone();
            distinct.sort_unstable();
            distinct.dedup();
            distinct.len()
        }
        false => sound.len(),
    };
    let counted = u32::try_from(counted).unwrap_or(u32::MAX);
    let total = u32::try_from(sound.len()).unwrap_or(u32::MAX);
    match state {
        // Its replicas come with the first write; or they are on their way out.
        "OPEN" | "DELETING" | "DELETED" | "RECOVERING" | "UNKNOWN" => Health::Healthy,
        // Nothing was written to it, or nobody has reported yet.
        "CLOSING" if used == 0 && copies.is_empty() => Health::Healthy,
        _ if counted < replication.data && used == 0 && there.is_empty() => Health::EmptyMissing,
        _ if counted < replication.data && sound.is_empty() && !there.is_empty() => Health::Unhealthy,
        _ if counted < replication.data => Health::Missing,
        _ if counted < replication.needed() => Health::UnderReplicated,
        _ if total > replication.needed() => Health::OverReplicated,
        _ => Health::Healthy,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use allotrope_proto::hdds::EcReplicationConfig;

    fn copies(indexes: &[u32]) -> Vec<Copy> {
        indexes.iter().map(|&index| Copy { index, is_sound: true, is_there: true }).collect()
    }

    #[test]
    fn an_erasure_coded_container_counts_distinct_indexes() {
        let ec = EcReplicationConfig { data: 3, parity: 2, codec: "rs".into(), ec_chunk_size: 1 << 20 };
        let coded = Replication::read(4, None, Some(&ec));
        for (indexes, wanted) in [
            (&[1, 2, 3, 4, 5][..], Health::Healthy),
            (&[1, 2, 3, 4], Health::UnderReplicated),
            (&[1, 2, 2, 2, 2], Health::Missing),
            (&[1, 2, 3, 4, 5, 5], Health::OverReplicated),
            (&[], Health::Missing),
        ] {
            assert_eq!(judge("CLOSED", &coded, 9, &copies(indexes)), wanted, "{indexes:?}");
        }
        assert_eq!(judge("OPEN", &coded, 9, &[]), Health::Healthy);
        assert_eq!(judge("CLOSING", &coded, 0, &[]), Health::Healthy);
        assert_eq!(judge("CLOSING", &coded, 0, &copies(&[1, 2, 3, 4])), Health::UnderReplicated);
        assert_eq!(judge("CLOSED", &coded, 0, &[]), Health::EmptyMissing);
    }

    #[test]
    fn copies_that_are_damaged_or_on_dead_datanodes_do_not_count() {
        let three = Replication::read(1, Some(3), None);
        let mut all = copies(&[0, 0, 0]);
        assert_eq!(judge("CLOSED", &three, 9, &all), Health::Healthy);
        all[0].is_there = false;
        assert_eq!(judge("QUASI_CLOSED", &three, 9, &all), Health::UnderReplicated);
        all[1].is_sound = false;
        all[2].is_sound = false;
        assert_eq!(judge("CLOSED", &three, 9, &all), Health::Unhealthy);
        all[1].is_there = false;
        all[2].is_there = false;
        assert_eq!(judge("CLOSED", &three, 9, &all), Health::Missing);
    }

    #[test]
    fn every_word_is_found_again() {
        for health in Health::ALL {
            assert_eq!(Health::named(health.name()), Some(health));
        }
        assert_eq!(Health::named("healthy"), None);
    }
}
