//! Containers: what the tables say of each, what datanodes report of their replicas, and what follows from both.
//!
//! Owns    [`Container`] and its message, [`Replicas`] (the replica map, in memory only), the pure function
//!         [`lifecycle::next`].
//! Source  wire facts: scm.md 1.6, 2.4, 2.9.

pub mod lifecycle;
mod replicas;
pub mod report;

use allotrope_proto::hdds;
use allotrope_types::{Bcsid, ByteCount, ContainerId, ContainerState, PipelineId, ReplicationConfig};

pub use replicas::{Replica, Replicas};

use crate::wire::{self, NotOurs};

/// A container as the tables keep it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Container {
    /// Its name; never reused.
    pub id: ContainerId,
    /// Where it is in its life.
    pub state: ContainerState,
    /// The pipeline it was made for; empties out once it is closed.
    pub pipeline: Option<PipelineId>,
    /// How its bytes are kept safe.
    pub config: ReplicationConfig,
    /// Whose blocks it holds: an OM's service id.
    pub owner: String,
    /// Bytes of blocks, by the reports so far.
    pub used: ByteCount,
    /// Blocks, by the reports so far.
    pub keys: u64,
    /// The largest BCSID a healthy replica has reported.
    pub sequence: Bcsid,
    /// When it came into its state, in ms since 1970.
    pub state_entered_ms: u64,
    /// The last deletion transaction made for it.
    pub delete_transaction: u64,
    /// Whether the replication manager leaves it alone.
    pub suppressed: bool,
}

impl Container {
    /// The container as Ozone's message, which is also its value in the tables.
    pub fn to_message(&self) -> hdds::ContainerInfoProto {
        let fields = wire::replication(self.config);
        hdds::ContainerInfoProto {
            container_id: self.id.to_wire(),
            state: self.state.number(),
            pipeline_id: self.pipeline.map(wire::pipeline_id),
            used_bytes: self.used.as_u64(),
            number_of_keys: self.keys,
            state_enter_time: Some(self.state_entered_ms.cast_signed()),
            owner: self.owner.clone(),
            delete_transaction_id: Some(self.delete_transaction.cast_signed()),
            sequence_id: Some(self.sequence.to_wire()),
            replication_factor: fields.factor,
            replication_type: fields.kind,
            ec_replication_config: fields.ec,
            suppressed: self.suppressed.then_some(true),
        }
    }

    /// The container that a message says.
    pub fn of_message(message: &hdds::ContainerInfoProto) -> Result<Container, NotOurs> {
        let state = ContainerState::from_number(message.state)
            .ok_or_else(|| NotOurs::new("state", format!("{} is no container state", message.state)))?;
        let config = wire::replication_of(
            message.replication_type,
            message.replication_factor,
            message.ec_replication_config.as_ref(),
        )?;
        let count =
            |what, number: i64| u64::try_from(number).map_err(|_| NotOurs::new(what, "it is negative"));
        Ok(Container {
            id: ContainerId::try_from(message.container_id).map_err(|e| NotOurs::new("containerID", e))?,
            state,
            pipeline: message.pipeline_id.as_ref().map(wire::pipeline_id_of).transpose()?,
            config,
            owner: message.owner.clone(),
            used: ByteCount::new(message.used_bytes),
            keys: message.number_of_keys,
            sequence: Bcsid::new(count("sequenceId", message.sequence_id().max(0))?),
            state_entered_ms: count("stateEnterTime", message.state_enter_time())?,
            delete_transaction: count("deleteTransactionId", message.delete_transaction_id().max(0))?,
            suppressed: message.suppressed(),
        })
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use proptest::prelude::*;

    pub(crate) fn any_container() -> impl Strategy<Value = Container> {
        let config = prop_oneof![Just("STANDALONE/ONE"), Just("RATIS/THREE"), Just("rs-3-2-1024k")];
        let positive = 0..=i64::MAX.cast_unsigned();
        (
            (positive.clone(), 0..7usize, any::<Option<[u8; 16]>>(), config, "[a-z0-9]{0,8}"),
            (any::<u64>(), any::<u64>(), positive.clone(), positive.clone(), positive, any::<bool>()),
        )
            .prop_map(
                |((id, state, pipeline, config, owner), (used, keys, seq, at, tx, suppressed))| Container {
                    id: ContainerId::new(id),
                    state: ContainerState::ALL[state],
                    pipeline: pipeline.map(PipelineId::from_bytes),
                    config: config.parse().unwrap(),
                    owner,
                    used: ByteCount::new(used),
                    keys,
                    sequence: Bcsid::new(seq),
                    state_entered_ms: at,
                    delete_transaction: tx,
                    suppressed,
                },
            )
    }

    proptest! {
        #[test]
        fn a_container_survives_its_message(container in any_container()) {
            prop_assert_eq!(Container::of_message(&container.to_message()).unwrap(), container);
        }
    }

    #[test]
    fn a_message_that_makes_no_sense_is_refused() {
        let good = hdds::ContainerInfoProto {
            container_id: 1,
            state: 1,
            replication_type: 2,
            replication_factor: Some(1),
            owner: "om".into(),
            ..Default::default()
        };
        assert!(Container::of_message(&good).is_ok());
        for bad in [
            hdds::ContainerInfoProto { container_id: -1, ..good.clone() },
            hdds::ContainerInfoProto { state: 99, ..good.clone() },
            hdds::ContainerInfoProto { replication_type: 4, ..good.clone() },
            hdds::ContainerInfoProto { replication_factor: None, ..good.clone() },
            hdds::ContainerInfoProto { state_enter_time: Some(-5), ..good.clone() },
        ] {
            assert!(Container::of_message(&bad).is_err(), "{bad:?}");
        }
    }
}
