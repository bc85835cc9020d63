//! What a check finds, and what it wants done.

use allotrope_types::{Bcsid, ContainerEvent, DatanodeId, ReplicaIndex};

/// What can ail a container. Names and order are those of Ozone's reports.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Condition {
    /// It has fewer replicas in service than it should.
    UnderReplicated,
    /// Its replicas stand on too few racks.
    MisReplicated,
    /// It has more replicas than it should.
    OverReplicated,
    /// Too few replicas are known to read it.
    Missing,
    /// It can be read only with replicas that are damaged.
    Unhealthy,
    /// It is closed, and nothing is in it.
    Empty,
    /// It is written, and a replica is not open.
    OpenUnhealthy,
    /// Its replicas were closed each alone, and some that may know more have not been heard.
    QuasiClosedStuck,
    /// It is to be written, and has no pipeline.
    OpenWithoutPipeline,
}

impl Condition {
    /// Every condition, in the order of reports.
    pub const ALL: [Condition; 9] = [
        Condition::UnderReplicated,
        Condition::MisReplicated,
        Condition::OverReplicated,
        Condition::Missing,
        Condition::Unhealthy,
        Condition::Empty,
        Condition::OpenUnhealthy,
        Condition::QuasiClosedStuck,
        Condition::OpenWithoutPipeline,
    ];

    /// The name on the wire.
    pub const fn name(self) -> &'static str {
        match self {
            Condition::UnderReplicated => "UNDER_REPLICATED",
            Condition::MisReplicated => "MIS_REPLICATED",
            Condition::OverReplicated => "OVER_REPLICATED",
            Condition::Missing => "MISSING",
            Condition::Unhealthy => "UNHEALTHY",
            Condition::Empty => "EMPTY",
            Condition::OpenUnhealthy => "OPEN_UNHEALTHY",
            Condition::QuasiClosedStuck => "QUASI_CLOSED_STUCK",
            Condition::OpenWithoutPipeline => "OPEN_WITHOUT_PIPELINE",
        }
    }
}

/// What should be done about a container.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Want {
    /// These replicas of an EC container are rebuilt from others.
    Rebuild(Vec<ReplicaIndex>),
    /// One of `sources` is copied to `count` other datanodes.
    Copy {
        /// Who holds what is copied; each would do.
        sources: Vec<DatanodeId>,
        /// Which part of an EC group it is.
        index: Option<ReplicaIndex>,
        /// How many copies.
        count: usize,
    },
    /// The replica on `node` is copied to a rack with fewer; its own copy goes later, as one too many.
    Move {
        /// Who holds it.
        node: DatanodeId,
        /// Which part of an EC group it is.
        index: Option<ReplicaIndex>,
    },
    /// A replica is deleted.
    Delete(Removal),
    /// The container goes on in its life.
    Step(ContainerEvent, Bcsid),
}

/// A replica that may go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Removal {
    /// Who holds it.
    pub node: DatanodeId,
    /// Which part of an EC group it is.
    pub index: Option<ReplicaIndex>,
}

/// What a container's check has found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Verdict {
    /// What ails it; nothing if it is healthy.
    pub conditions: Vec<Condition>,
    /// What should be done. What is under way already is left out.
    pub wants: Vec<Want>,
    /// A replica that may go where its datanode is needed for another one.
    pub dispensable: Option<Removal>,
    /// How many more losses it bears.
    pub redundancy: usize,
    /// All that it lacks, it lacks because datanodes leave: what they hold is still there.
    pub only_leaving: bool,
}

/// The place in the queue of a container that only lacks what leaving datanodes still hold.
const LEAVING: u32 = 5;
/// The place of those that are misplaced, and of those that have too much.
const MISPLACED: u32 = 50;
const SURPLUS: u32 = 100;

impl Verdict {
    /// A verdict of one condition and nothing to do.
    pub fn of(condition: Condition) -> Verdict {
        Verdict { conditions: vec![condition], ..Verdict::default() }
    }

    /// Whether it has that condition.
    pub fn has(&self, condition: Condition) -> bool {
        self.conditions.contains(&condition)
    }

    /// Whether it has fewer replicas than it should, so that no datanode that holds one may leave.
    pub fn lacks_replicas(&self) -> bool {
        use Condition::{Missing, UnderReplicated, Unhealthy};
        [UnderReplicated, Missing, Unhealthy].iter().any(|condition| self.has(*condition))
    }

    /// Its place in the queue: what bears the fewest losses comes first.
    pub fn weight(&self) -> u32 {
        let repairs = |want: &Want| matches!(want, Want::Rebuild(_) | Want::Copy { .. });
        let steps = |want: &Want| matches!(want, Want::Step(..));
        if self.wants.iter().any(repairs) {
            if self.only_leaving { LEAVING } else { u32::try_from(self.redundancy).unwrap_or(u32::MAX) }
        } else if self.wants.iter().any(steps) {
            LEAVING
        } else if self.wants.iter().any(|want| matches!(want, Want::Move { .. })) {
            MISPLACED
        } else {
            SURPLUS
        }
    }
}
