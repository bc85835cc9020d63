//! A container's life cycle as SCM keeps it.
//!
//! ```text
//! OPEN ─Finalize→ CLOSING ─Close→ CLOSED ─Delete→ DELETING ─Cleanup→ DELETED
//!                    └QuasiClose→ QUASI_CLOSED ─ForceClose→ CLOSED
//!                                      └──────────Delete→ DELETING
//! DELETING, DELETED ─Resurrect→ CLOSED or QUASI_CLOSED
//! ```
//!
//! An event that arrives again, after the container has already gone its way, changes nothing and is no error.
//! Source  Ozone's ContainerStateManagerImpl; names and numbers of the wire's LifeCycleState and LifeCycleEvent.

use std::fmt;

use crate::codes::codes;

codes! {
    /// Where a container is in its life, as SCM knows it. A datanode's view of its copy is
    /// [`ReplicaState`](crate::ReplicaState).
    ContainerState {
        Open = 1, "OPEN";
        Closing = 2, "CLOSING";
        QuasiClosed = 3, "QUASI_CLOSED";
        Closed = 4, "CLOSED";
        Deleting = 5, "DELETING";
        Deleted = 6, "DELETED";
        Recovering = 7, "RECOVERING";
    }
}

/// What can happen to a container in SCM.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum ContainerEvent {
    /// It is full, or its pipeline closes: it shall take no more writes.
    Finalize,
    /// A replica was closed without its Raft group, so perhaps without the last writes.
    QuasiClose,
    /// A replica was closed at the container's BCSID.
    Close,
    /// Enough quasi-closed replicas are known to elect the newest: it is closed at that BCSID.
    ForceClose,
    /// It is empty and shall go.
    Delete,
    /// All its replicas are gone.
    Cleanup,
    /// A replica with data turned up after all: back to CLOSED. SCM's own replicated operation, not a wire event.
    ResurrectClosed,
    /// A replica with data turned up, quasi-closed: back to QUASI_CLOSED.
    ResurrectQuasiClosed,
}

impl ContainerEvent {
    /// Every event.
    pub const ALL: [ContainerEvent; 8] = [
        ContainerEvent::Finalize,
        ContainerEvent::QuasiClose,
        ContainerEvent::Close,
        ContainerEvent::ForceClose,
        ContainerEvent::Delete,
        ContainerEvent::Cleanup,
        ContainerEvent::ResurrectClosed,
        ContainerEvent::ResurrectQuasiClosed,
    ];

    /// The number of the wire's `LifeCycleEvent`; `None` for what never travels as one.
    pub const fn number(self) -> Option<i32> {
        match self {
            ContainerEvent::Finalize => Some(1),
            ContainerEvent::QuasiClose => Some(2),
            ContainerEvent::Close => Some(3),
            ContainerEvent::ForceClose => Some(4),
            ContainerEvent::Delete => Some(5),
            ContainerEvent::Cleanup => Some(6),
            ContainerEvent::ResurrectClosed | ContainerEvent::ResurrectQuasiClosed => None,
        }
    }

    /// The event with this number on the wire.
    pub fn from_number(number: i32) -> Option<ContainerEvent> {
        ContainerEvent::ALL.into_iter().find(|event| event.number() == Some(number))
    }
}

impl ContainerState {
    /// The state after `event`, or why it cannot happen here. No clock, no disk, no log.
    ///
    /// ```
    /// use allotrope_types::{ContainerEvent, ContainerState};
    /// assert_eq!(ContainerState::Open.after(ContainerEvent::Finalize), Ok(ContainerState::Closing));
    /// assert!(ContainerState::Open.after(ContainerEvent::Delete).is_err());
    /// ```
    pub fn after(self, event: ContainerEvent) -> Result<ContainerState, RefusedContainerEvent> {
        use ContainerEvent::*;
        use ContainerState::*;
        match (self, event) {
            (Open, Finalize) => Ok(Closing),
            (Closing, QuasiClose) => Ok(QuasiClosed),
            (Closing, Close) => Ok(Closed),
            (QuasiClosed, ForceClose) => Ok(Closed),
            (QuasiClosed | Closed, Delete) => Ok(Deleting),
            (Deleting, Cleanup) => Ok(Deleted),
            (Deleting | Deleted, ResurrectClosed) => Ok(Closed),
            (Deleting | Deleted, ResurrectQuasiClosed) => Ok(QuasiClosed),
            // From here on: the event came before, or what it asks for is already behind the container.
            (Closing | QuasiClosed | Closed | Deleting | Deleted, Finalize) => Ok(self),
            (QuasiClosed | Closed | Deleting | Deleted, QuasiClose) => Ok(self),
            (Closed | Deleting | Deleted, Close | ForceClose) => Ok(self),
            (Deleting | Deleted, Delete) => Ok(self),
            (Deleted, Cleanup) => Ok(self),
            (state, event) => Err(RefusedContainerEvent { state, event }),
        }
    }

    /// Whether SCM may hand out new blocks in it.
    pub const fn takes_new_blocks(self) -> bool {
        matches!(self, ContainerState::Open)
    }
}

/// An event that cannot happen to a container in its state.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a container that is {state} cannot take the event {event:?}")]
pub struct RefusedContainerEvent {
    /// The state the container stays in.
    pub state: ContainerState,
    /// What was refused.
    pub event: ContainerEvent,
}

impl fmt::Display for ContainerEvent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            ContainerEvent::Finalize => "FINALIZE",
            ContainerEvent::QuasiClose => "QUASI_CLOSE",
            ContainerEvent::Close => "CLOSE",
            ContainerEvent::ForceClose => "FORCE_CLOSE",
            ContainerEvent::Delete => "DELETE",
            ContainerEvent::Cleanup => "CLEANUP",
            ContainerEvent::ResurrectClosed => "RESURRECT_CLOSED",
            ContainerEvent::ResurrectQuasiClosed => "RESURRECT_QUASI_CLOSED",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Rows are states, columns events, a cell is the state after; `.` stays, `-` is refused.
    const TABLE: &str = "
                     Finalize  QuasiClose    Close   ForceClose  Delete    Cleanup  ResClosed  ResQuasi
        OPEN         CLOSING   -             -       -           -         -        -          -
        CLOSING      .         QUASI_CLOSED  CLOSED  -           -         -        -          -
        QUASI_CLOSED .         .             -       CLOSED      DELETING  -        -          -
        CLOSED       .         .             .       .           DELETING  -        -          -
        DELETING     .         .             .       .           .         DELETED  CLOSED     QUASI_CLOSED
        DELETED      .         .             .       .           .         .        CLOSED     QUASI_CLOSED
        RECOVERING   -         -             -       -           -         -        -          -
    ";

    #[test]
    fn a_container_lives_by_the_table() {
        let mut states = ContainerState::ALL.iter();
        for row in TABLE.trim().lines().skip(1) {
            let mut cells = row.split_whitespace();
            let state = *states.next().unwrap();
            assert_eq!(cells.next(), Some(state.name()));
            for event in ContainerEvent::ALL {
                let after = match cells.next().unwrap() {
                    "-" => Err(RefusedContainerEvent { state, event }),
                    "." => Ok(state),
                    name => Ok(ContainerState::from_name(name).unwrap()),
                };
                assert_eq!(state.after(event), after, "{state} {event}");
            }
        }
        assert_eq!(states.next(), None);
    }

    #[test]
    fn an_event_that_comes_twice_changes_nothing_the_second_time() {
        for &state in ContainerState::ALL {
            for event in ContainerEvent::ALL.into_iter().filter(|event| event.number().is_some()) {
                if let Ok(after) = state.after(event) {
                    assert_eq!(after.after(event), Ok(after), "{state} {event}");
                }
            }
        }
    }

    #[test]
    fn events_keep_the_wires_numbers() {
        for number in 0..=7 {
            let event = ContainerEvent::from_number(number);
            assert_eq!(event.is_some(), (1..=6).contains(&number));
            assert_eq!(event.and_then(ContainerEvent::number), (1..=6).contains(&number).then_some(number));
        }
    }
}
