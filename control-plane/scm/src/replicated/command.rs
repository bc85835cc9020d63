//! Commands and answers, as they lie in the log. Protocol buffers; a number once given is never given again.
//!
//! Source  docs/formats/scm-tables.md lists them beside the tables they change.

use allotrope_proto::{hdds, heartbeat};
use allotrope_types::{ContainerEvent, ContainerId};

/// One change of SCM's tables.
#[derive(Clone, PartialEq, prost::Message)]
pub struct Command {
    /// Which.
    #[prost(oneof = "Change", tags = "1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11")]
    pub change: Option<Change>,
}

/// The changes there are.
#[derive(Clone, PartialEq, prost::Oneof)]
#[allow(clippy::large_enum_variant, reason = "a change is made once and goes straight into the log")]
pub enum Change {
    /// A new container, in a new pipeline or in one that exists. Its id is drawn when it is applied.
    #[prost(message, tag = "1")]
    AddContainer(AddContainer),
    /// A batch of ids.
    #[prost(message, tag = "2")]
    TakeIds(TakeIds),
    /// A container goes on in its life.
    #[prost(message, tag = "3")]
    Step(Step),
    /// A pipeline without a container yet.
    #[prost(message, tag = "4")]
    AddPipeline(hdds::Pipeline),
    /// A pipeline takes no more writes, and its open containers neither.
    #[prost(message, tag = "5")]
    ClosePipeline(OnPipeline),
    /// A closed pipeline is forgotten.
    #[prost(message, tag = "6")]
    RemovePipeline(OnPipeline),
    /// Blocks to be deleted, one transaction a container. Their ids are drawn when they are applied.
    #[prost(message, tag = "7")]
    AddDeletions(AddDeletions),
    /// Transactions that every replica has carried out, or whose container is gone.
    #[prost(message, tag = "8")]
    RemoveDeletions(RemoveDeletions),
    /// A pipeline is set aside or taken up again.
    #[prost(message, tag = "9")]
    SetPipelineState(SetPipelineState),
    /// The replication manager leaves a container alone, or takes care of it again.
    #[prost(message, tag = "10")]
    SetSuppressed(SetSuppressed),
    /// A datanode is taken out of service, or back into it.
    #[prost(message, tag = "11")]
    SetDuty(SetDuty),
}

/// See [`Change::AddContainer`].
#[derive(Clone, PartialEq, prost::Message)]
pub struct AddContainer {
    /// The container; its id is ignored.
    #[prost(message, required, tag = "1")]
    pub container: hdds::ContainerInfoProto,
    /// Its pipeline, if that is new too.
    #[prost(message, optional, tag = "2")]
    pub pipeline: Option<hdds::Pipeline>,
    /// Whether all members of its pipeline have to have a write on stable storage before it is acknowledged.
    #[prost(bool, tag = "3")]
    pub all_acknowledge: bool,
}

/// See [`Change::TakeIds`].
#[derive(Clone, PartialEq, prost::Message)]
pub struct TakeIds {
    /// Which sequence.
    #[prost(string, required, tag = "1")]
    pub sequence: String,
    /// How many ids, at least 1.
    #[prost(uint64, required, tag = "2")]
    pub count: u64,
}

/// See [`Change::Step`].
#[derive(Clone, PartialEq, prost::Message)]
pub struct Step {
    /// The container.
    #[prost(int64, required, tag = "1")]
    pub container: i64,
    /// The event: the wire's `LifeCycleEvent` 1 to 6, 7 and 8 for the two resurrections.
    #[prost(int32, required, tag = "2")]
    pub event: i32,
    /// The largest BCSID known to be safe.
    #[prost(uint64, required, tag = "3")]
    pub bcsid: u64,
    /// Bytes in it, by the reports that the leader has.
    #[prost(uint64, required, tag = "4")]
    pub used: u64,
    /// Blocks in it, by the same.
    #[prost(uint64, required, tag = "5")]
    pub keys: u64,
}

/// See [`Change::ClosePipeline`].
#[derive(Clone, PartialEq, prost::Message)]
pub struct OnPipeline {
    /// Which pipeline.
    #[prost(message, required, tag = "1")]
    pub pipeline: hdds::PipelineId,
}

/// See [`Change::SetPipelineState`].
#[derive(Clone, PartialEq, prost::Message)]
pub struct SetPipelineState {
    /// Which pipeline.
    #[prost(message, required, tag = "1")]
    pub pipeline: hdds::PipelineId,
    /// Its new state, OPEN or DORMANT.
    #[prost(int32, required, tag = "2")]
    pub state: i32,
}

/// See [`Change::SetSuppressed`].
#[derive(Clone, Copy, PartialEq, prost::Message)]
pub struct SetSuppressed {
    /// The container.
    #[prost(int64, required, tag = "1")]
    pub container: i64,
    /// Whether it is left alone.
    #[prost(bool, required, tag = "2")]
    pub suppressed: bool,
}

/// See [`Change::SetDuty`].
#[derive(Clone, PartialEq, prost::Message)]
pub struct SetDuty {
    /// The datanode's id, as text.
    #[prost(string, required, tag = "1")]
    pub node: String,
    /// The wire's `NodeOperationalState`.
    #[prost(int32, required, tag = "2")]
    pub state: i32,
    /// When that ends by itself, in seconds since 1970; 0 for never.
    #[prost(int64, required, tag = "3")]
    pub until_s: i64,
}

/// See [`Change::AddDeletions`].
#[derive(Clone, PartialEq, prost::Message)]
pub struct AddDeletions {
    /// The transactions; their ids are ignored.
    #[prost(message, repeated, tag = "1")]
    pub transactions: Vec<heartbeat::DeletedBlocksTransaction>,
}

/// See [`Change::RemoveDeletions`].
#[derive(Clone, PartialEq, prost::Message)]
pub struct RemoveDeletions {
    /// The transactions' ids.
    #[prost(uint64, repeated, tag = "1")]
    pub transactions: Vec<u64>,
}

/// What a command led to.
#[derive(Clone, PartialEq, prost::Message)]
pub struct Answer {
    /// Which.
    #[prost(oneof = "Outcome", tags = "1, 2, 3, 4")]
    pub outcome: Option<Outcome>,
}

/// The outcomes there are.
#[derive(Clone, PartialEq, prost::Oneof)]
#[allow(clippy::large_enum_variant, reason = "an outcome is read once, where it arrives")]
pub enum Outcome {
    /// It is as the command wants it.
    #[prost(message, tag = "1")]
    Done(Done),
    /// The container that was added.
    #[prost(message, tag = "2")]
    Container(hdds::ContainerInfoProto),
    /// The ids that were taken.
    #[prost(message, tag = "3")]
    Ids(Ids),
    /// The command makes no sense here; nothing has changed.
    #[prost(string, tag = "4")]
    Refused(String),
}

/// Nothing more to say.
#[derive(Clone, Copy, PartialEq, prost::Message)]
pub struct Done {}

/// A run of ids that nobody else gets.
#[derive(Clone, Copy, PartialEq, prost::Message)]
pub struct Ids {
    /// The first.
    #[prost(uint64, required, tag = "1")]
    pub first: u64,
    /// The last, at least the first.
    #[prost(uint64, required, tag = "2")]
    pub last: u64,
}

impl From<Change> for Command {
    fn from(change: Change) -> Command {
        Command { change: Some(change) }
    }
}

impl Answer {
    pub(crate) fn done() -> Answer {
        Answer { outcome: Some(Outcome::Done(Done {})) }
    }

    pub(crate) fn refused(why: impl ToString) -> Answer {
        Answer { outcome: Some(Outcome::Refused(why.to_string())) }
    }
}

/// An event's number in a [`Step`].
pub fn event_number(event: ContainerEvent) -> i32 {
    match event {
        ContainerEvent::ResurrectClosed => 7,
        ContainerEvent::ResurrectQuasiClosed => 8,
        wire => wire.number().expect("every other event has a number on the wire"),
    }
}

/// The event of a number in a [`Step`].
pub fn event_of(number: i32) -> Option<ContainerEvent> {
    ContainerEvent::ALL.into_iter().find(|event| event_number(*event) == number)
}

impl Step {
    /// A step of `container`.
    pub fn new(container: ContainerId, event: ContainerEvent, bcsid: u64, used: u64, keys: u64) -> Step {
        Step { container: container.to_wire(), event: event_number(event), bcsid, used, keys }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_event_has_its_own_number() {
        for event in ContainerEvent::ALL {
            assert_eq!(event_of(event_number(event)), Some(event));
        }
        assert_eq!(event_of(0), None);
        assert_eq!(event_of(9), None);
    }

    #[test]
    fn commands_of_the_first_release_are_read_for_ever() {
        use prost::Message;
        let step =
            Command::from(Change::Step(Step::new(ContainerId::new(5), ContainerEvent::Close, 7, 8, 9)));
        let bytes = [0x1a, 10, 8, 5, 16, 3, 24, 7, 32, 8, 40, 9];
        assert_eq!(step.encode_to_vec(), bytes);
        assert_eq!(Command::decode(&bytes[..]).unwrap(), step);
        let ids = Command::from(Change::TakeIds(TakeIds { sequence: "localId".into(), count: 1000 }));
        let bytes = [&[0x12, 12, 10, 7][..], b"localId", &[16, 0xe8, 7]].concat();
        assert_eq!(ids.encode_to_vec(), bytes);
    }
}
