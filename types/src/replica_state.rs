//! The life of one replica of a container, as the datanode that holds it keeps it.
//!
//! ```text
//! OPEN ───────CloseAsked→ CLOSING ─Sealed→ CLOSED
//! RECOVERING ─CloseAsked→ CLOSING    └QuasiSealed→ QUASI_CLOSED ─Sealed→ CLOSED
//! RECOVERING ─Imported→ CLOSED, QUASI_CLOSED or UNHEALTHY, whatever the source was
//! any but DELETED ─Damaged→ UNHEALTHY,  any ─DeleteAsked→ DELETED (OPEN and RECOVERING only by force)
//! ```
//!
//! Source  Ozone's KeyValueHandler and HddsDispatcher; numbers of the wire's ContainerDataProto.State.

use std::fmt;

use crate::DatanodeResult;
use crate::codes::codes;

codes! {
    /// Where a datanode's replica of a container is in its life. RECOVERING exists on datanodes only: it is being
    /// rebuilt or copied, and SCM is not told of it.
    ReplicaState {
        Open = 1, "OPEN";
        Closing = 2, "CLOSING";
        QuasiClosed = 3, "QUASI_CLOSED";
        Closed = 4, "CLOSED";
        Unhealthy = 5, "UNHEALTHY";
        Invalid = 6, "INVALID";
        Deleted = 7, "DELETED";
        Recovering = 8, "RECOVERING";
    }
}

/// The states that a copied replica can have had at its source.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum ImportedAs {
    /// The source was CLOSED.
    Closed,
    /// The source was QUASI_CLOSED.
    QuasiClosed,
    /// The source was UNHEALTHY: copied because nothing better is left.
    Unhealthy,
}

/// What can happen to a replica.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum ReplicaEvent {
    /// It shall take no new writes; those in flight may land.
    CloseAsked,
    /// All its writes are here, at the same point as on the other replicas (or SCM chose this one): seal it.
    Sealed,
    /// Its pipeline is gone: seal it as it is, perhaps without the last writes.
    QuasiSealed,
    /// A scan, a failed write or a lost file showed that it is not what it should be.
    Damaged,
    /// Its metadata cannot be understood.
    FoundInvalid,
    /// A copy has arrived whole and verified.
    Imported(ImportedAs),
    /// It shall go. Whether a replica that still has blocks may go is the caller's question, asked before.
    DeleteAsked {
        /// Whether SCM insists, which removes even a replica that is being written.
        force: bool,
    },
}

impl ReplicaState {
    /// The state after `event`, or why it cannot happen here. No clock, no disk, no log.
    ///
    /// ```
    /// use allotrope_types::{DatanodeResult, ReplicaEvent, ReplicaState};
    /// assert_eq!(ReplicaState::Open.after(ReplicaEvent::CloseAsked), Ok(ReplicaState::Closing));
    /// let refused = ReplicaState::Unhealthy.after(ReplicaEvent::Sealed).unwrap_err();
    /// assert_eq!(refused.result(), DatanodeResult::ContainerUnhealthy);
    /// ```
    pub fn after(self, event: ReplicaEvent) -> Result<ReplicaState, RefusedReplicaEvent> {
        use ReplicaEvent::*;
        use ReplicaState::*;
        match (self, event) {
            (Open | Recovering, CloseAsked) => Ok(Closing),
            (Closing | QuasiClosed | Closed, CloseAsked) => Ok(self), // a retry
            (Closing | QuasiClosed, Sealed) => Ok(Closed),
            (Closed, Sealed) => Ok(Closed), // a retry
            (Closing, QuasiSealed) => Ok(QuasiClosed),
            (QuasiClosed, QuasiSealed) => Ok(QuasiClosed), // a retry
            (Deleted, DeleteAsked { .. }) => Ok(Deleted),  // a retry
            (Open | Recovering, DeleteAsked { force: false }) => {
                Err(RefusedReplicaEvent { state: self, event })
            }
            (_, DeleteAsked { .. }) => Ok(Deleted),
            (Recovering, Imported(ImportedAs::Closed)) => Ok(Closed),
            (Recovering, Imported(ImportedAs::QuasiClosed)) => Ok(QuasiClosed),
            (Recovering, Imported(ImportedAs::Unhealthy)) => Ok(Unhealthy),
            (Deleted, _) => Err(RefusedReplicaEvent { state: self, event }),
            (_, Damaged) => Ok(Unhealthy),
            (_, FoundInvalid) => Ok(Invalid),
            (state, event) => Err(RefusedReplicaEvent { state, event }),
        }
    }

    /// Whether chunks and blocks may be written to it, or the code that a client is answered.
    /// A replica that closes still takes the writes that were on their way.
    pub const fn check_writable(self) -> Result<(), DatanodeResult> {
        match self {
            ReplicaState::Open | ReplicaState::Closing | ReplicaState::Recovering => Ok(()),
            ReplicaState::QuasiClosed | ReplicaState::Closed => Err(DatanodeResult::ClosedContainerIo),
            ReplicaState::Unhealthy => Err(DatanodeResult::ContainerUnhealthy),
            ReplicaState::Invalid => Err(DatanodeResult::InvalidContainerState),
            ReplicaState::Deleted => Err(DatanodeResult::ContainerInternalError),
        }
    }

    /// Whether its bytes no longer change by writes: a copy made now stays true.
    pub const fn is_sealed(self) -> bool {
        matches!(self, ReplicaState::QuasiClosed | ReplicaState::Closed | ReplicaState::Unhealthy)
    }

    /// Whether container reports name it to SCM.
    pub const fn is_reported(self) -> bool {
        !matches!(self, ReplicaState::Recovering)
    }
}

/// An event that cannot happen to a replica in its state.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a replica that is {state} cannot be {event}")]
pub struct RefusedReplicaEvent {
    /// The state the replica stays in.
    pub state: ReplicaState,
    /// What was refused.
    pub event: ReplicaEvent,
}

impl RefusedReplicaEvent {
    /// The code that a client or SCM is answered.
    pub const fn result(self) -> DatanodeResult {
        match (self.state, self.event) {
            (ReplicaState::Open | ReplicaState::Recovering, ReplicaEvent::DeleteAsked { .. }) => {
                DatanodeResult::DeleteOnOpenContainer
            }
            (ReplicaState::Unhealthy, _) => DatanodeResult::ContainerUnhealthy,
            (ReplicaState::Invalid, _) => DatanodeResult::InvalidContainerState,
            _ => DatanodeResult::ContainerInternalError,
        }
    }
}

/// As a participle that fits the sentence "a replica cannot be …".
impl fmt::Display for ReplicaEvent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            ReplicaEvent::CloseAsked => "asked to close",
            ReplicaEvent::Sealed => "sealed",
            ReplicaEvent::QuasiSealed => "quasi-sealed",
            ReplicaEvent::Damaged => "marked damaged",
            ReplicaEvent::FoundInvalid => "marked invalid",
            ReplicaEvent::Imported(_) => "the end of an import",
            ReplicaEvent::DeleteAsked { force: false } => "deleted without force",
            ReplicaEvent::DeleteAsked { force: true } => "deleted by force",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const EVENTS: [ReplicaEvent; 9] = [
        ReplicaEvent::CloseAsked,
        ReplicaEvent::Sealed,
        ReplicaEvent::QuasiSealed,
        ReplicaEvent::Damaged,
        ReplicaEvent::FoundInvalid,
        ReplicaEvent::Imported(ImportedAs::Closed),
        ReplicaEvent::Imported(ImportedAs::QuasiClosed),
        ReplicaEvent::DeleteAsked { force: false },
        ReplicaEvent::DeleteAsked { force: true },
    ];

    /// Rows are states, columns events, a cell is the state after; `.` stays, `-` is refused.
    const TABLE: &str = "
                     Close    Sealed  Quasi         Damaged    Invalid  Imp:Closed Imp:Quasi    Delete   Delete!
        OPEN         CLOSING  -       -             UNHEALTHY  INVALID  -          -            -        DELETED
        CLOSING      .        CLOSED  QUASI_CLOSED  UNHEALTHY  INVALID  -          -            DELETED  DELETED
        QUASI_CLOSED .        CLOSED  .             UNHEALTHY  INVALID  -          -            DELETED  DELETED
        CLOSED       .        .       -             UNHEALTHY  INVALID  -          -            DELETED  DELETED
        UNHEALTHY    -        -       -             .          INVALID  -          -            DELETED  DELETED
        INVALID      -        -       -             UNHEALTHY  .        -          -            DELETED  DELETED
        DELETED      -        -       -             -          -        -          -            .        .
        RECOVERING   CLOSING  -       -             UNHEALTHY  INVALID  CLOSED     QUASI_CLOSED -        DELETED
    ";

    #[test]
    fn a_replica_lives_by_the_table() {
        let mut states = ReplicaState::ALL.iter();
        for row in TABLE.trim().lines().skip(1) {
            let mut cells = row.split_whitespace();
            let state = *states.next().unwrap();
            assert_eq!(cells.next(), Some(state.name()));
            for event in EVENTS {
                let after = match cells.next().unwrap() {
                    "-" => Err(RefusedReplicaEvent { state, event }),
                    "." => Ok(state),
                    name => Ok(ReplicaState::from_name(name).unwrap()),
                };
                assert_eq!(state.after(event), after, "{state} {event}");
            }
        }
        assert_eq!(states.next(), None);
    }

    #[test]
    fn writes_and_refusals_are_answered_as_ozone_answers_them() {
        use DatanodeResult::*;
        let table = [
            (ReplicaState::Open, None, ContainerInternalError),
            (ReplicaState::Closing, None, ContainerInternalError),
            (ReplicaState::QuasiClosed, Some(ClosedContainerIo), ContainerInternalError),
            (ReplicaState::Closed, Some(ClosedContainerIo), ContainerInternalError),
            (ReplicaState::Unhealthy, Some(ContainerUnhealthy), ContainerUnhealthy),
            (ReplicaState::Invalid, Some(InvalidContainerState), InvalidContainerState),
            (ReplicaState::Deleted, Some(ContainerInternalError), ContainerInternalError),
            (ReplicaState::Recovering, None, ContainerInternalError),
        ];
        for (state, write, seal) in table {
            assert_eq!(state.check_writable().err(), write, "{state}");
            assert_eq!(RefusedReplicaEvent { state, event: ReplicaEvent::Sealed }.result(), seal, "{state}");
        }
        let deleting = ReplicaState::Open.after(ReplicaEvent::DeleteAsked { force: false }).unwrap_err();
        assert_eq!(deleting.result(), DeleteOnOpenContainer);
        assert_eq!(deleting.to_string(), "a replica that is OPEN cannot be deleted without force");
    }

    #[test]
    fn nothing_brings_a_deleted_replica_back() {
        for event in EVENTS.into_iter().chain([ReplicaEvent::Imported(ImportedAs::Unhealthy)]) {
            assert!(
                !matches!(ReplicaState::Deleted.after(event), Ok(state) if state != ReplicaState::Deleted)
            );
        }
    }
}
