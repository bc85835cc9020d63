//! Between Ozone's messages and our words: ids, replication configs, datanodes' addresses.
//!
//! Errors  [`NotOurs`] says which part of a message cannot be used and why; nothing here panics on bytes from outside.

use allotrope_proto::hdds;
use allotrope_types::{
    DatanodeId, DatanodeIdOnWire, EcCodec, EcConfig, PipelineId, ReplicationConfig, ReplicationFactor,
    ReplicationType,
};

/// A part of a message that names nothing here.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{what}: {why}")]
pub struct NotOurs {
    /// Which part.
    pub what: &'static str,
    /// Why it cannot be used.
    pub why: String,
}

impl NotOurs {
    pub(crate) fn new(what: &'static str, why: impl ToString) -> NotOurs {
        NotOurs { what, why: why.to_string() }
    }
}

/// The two halves of a UUID as a message.
pub(crate) fn uuid((most_sig_bits, least_sig_bits): (i64, i64)) -> hdds::Uuid {
    hdds::Uuid { most_sig_bits, least_sig_bits }
}

/// The id in a datanode's details.
pub(crate) fn datanode_id(details: &hdds::DatanodeDetailsProto) -> Result<DatanodeId, NotOurs> {
    let halves = |uuid: &hdds::Uuid| (uuid.most_sig_bits, uuid.least_sig_bits);
    let on_wire = DatanodeIdOnWire {
        uuid: details.uuid.clone(),
        uuid128: details.uuid128.as_ref().map(halves),
        id: details.id.as_ref().map(|id| halves(&id.uuid)),
    };
    on_wire.read().map_err(|e| NotOurs::new("datanodeDetails", e))
}

/// Writes `id` into all three places that readers of different ages look at.
pub(crate) fn put_datanode_id(details: &mut hdds::DatanodeDetailsProto, id: DatanodeId) {
    details.uuid = Some(id.to_string());
    details.uuid128 = Some(uuid(id.to_halves()));
    details.id = Some(hdds::DatanodeIdProto { uuid: uuid(id.to_halves()) });
}

/// A pipeline's id as a message, in both its forms.
pub(crate) fn pipeline_id(id: PipelineId) -> hdds::PipelineId {
    hdds::PipelineId { id: Some(id.to_string()), uuid128: Some(uuid(id.to_halves())) }
}

/// The id in a message; the halves win over the text, as in Java.
pub(crate) fn pipeline_id_of(message: &hdds::PipelineId) -> Result<PipelineId, NotOurs> {
    match (&message.uuid128, &message.id) {
        (Some(uuid), _) => Ok(PipelineId::from_halves(uuid.most_sig_bits, uuid.least_sig_bits)),
        (None, Some(text)) => text.parse().map_err(|e| NotOurs::new("pipelineID", e)),
        (None, None) => Err(NotOurs::new("pipelineID", "neither its text nor its halves are given")),
    }
}

/// An EC scheme as a message.
pub(crate) fn ec_config(ec: EcConfig) -> hdds::EcReplicationConfig {
    let number = |n: usize| i32::try_from(n).expect("a scheme has at most 32 cells");
    hdds::EcReplicationConfig {
        data: number(ec.data()),
        parity: number(ec.parity()),
        codec: ec.codec().name().to_owned(),
        ec_chunk_size: i32::try_from(ec.cell_len().as_u64()).expect("a cell is below 2 GiB"),
    }
}

/// The three fields in which messages carry a replication config.
pub(crate) struct ReplicationFields {
    pub(crate) kind: i32,
    pub(crate) factor: Option<i32>,
    pub(crate) ec: Option<hdds::EcReplicationConfig>,
}

/// A config as those three fields.
pub(crate) fn replication(config: ReplicationConfig) -> ReplicationFields {
    ReplicationFields {
        kind: config.kind() as i32,
        factor: config.factor().map(|factor| factor as i32),
        ec: config.ec().map(ec_config),
    }
}

/// The config that those three fields say.
pub(crate) fn replication_of(
    kind: i32,
    factor: Option<i32>,
    ec: Option<&hdds::EcReplicationConfig>,
) -> Result<ReplicationConfig, NotOurs> {
    let factor = || {
        let number = factor.unwrap_or(0);
        let known = ReplicationFactor::from_wire(number);
        known.ok_or_else(|| {
            NotOurs::new("factor", format!("{number} is no replication factor; use ONE or THREE"))
        })
    };
    match ReplicationType::from_wire(kind) {
        Some(ReplicationType::Ratis) => Ok(ReplicationConfig::Ratis(factor()?)),
        Some(ReplicationType::StandAlone) => Ok(ReplicationConfig::StandAlone(factor()?)),
        Some(ReplicationType::Ec) => {
            let ec = ec.ok_or_else(|| {
                NotOurs::new("ecReplicationConfig", "the type is EC and no scheme is given")
            })?;
            let codec: EcCodec = ec.codec.parse().map_err(|e| NotOurs::new("ecReplicationConfig", e))?;
            let scheme = EcConfig::new(codec, ec.data, ec.parity, ec.ec_chunk_size);
            scheme.map(ReplicationConfig::Ec).map_err(|e| NotOurs::new("ecReplicationConfig", e))
        }
        None => Err(NotOurs::new("type", format!("{kind} is no replication type; use STAND_ALONE or EC"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn configs_survive_their_three_fields() {
        for text in
            ["RATIS/ONE", "RATIS/THREE", "STANDALONE/ONE", "rs-3-2-1024k", "rs-10-4-512k", "xor-2-1-1024k"]
        {
            let config: ReplicationConfig = text.parse().unwrap();
            let fields = replication(config);
            assert_eq!(replication_of(fields.kind, fields.factor, fields.ec.as_ref()), Ok(config), "{text}");
        }
    }

    #[test]
    fn configs_that_mean_nothing_are_refused_by_name() {
        let table = [
            (3, Some(1), "no replication type"),
            (-1, Some(1), "no replication type"),
            (2, Some(0), "no replication factor"),
            (1, None, "no replication factor"),
            (4, None, "no scheme"),
        ];
        for (kind, factor, why) in table {
            let error = replication_of(kind, factor, None).unwrap_err();
            assert!(error.to_string().contains(why), "{error}");
        }
        let bad = hdds::EcReplicationConfig { data: 40, parity: 2, codec: "rs".into(), ec_chunk_size: 1024 };
        assert!(replication_of(4, None, Some(&bad)).is_err());
    }

    #[test]
    fn ids_are_written_in_every_form_and_read_from_any() {
        let id = DatanodeId::from_random_bytes([7; 16]);
        let mut details = hdds::DatanodeDetailsProto::default();
        put_datanode_id(&mut details, id);
        assert_eq!(datanode_id(&details), Ok(id));
        details.uuid = None;
        assert_eq!(datanode_id(&details), Ok(id));
        assert!(datanode_id(&hdds::DatanodeDetailsProto::default()).is_err());
        let pipeline = PipelineId::from_random_bytes([9; 16]);
        let mut message = pipeline_id(pipeline);
        message.uuid128 = None;
        assert_eq!(pipeline_id_of(&message), Ok(pipeline));
        message.id = None;
        assert!(pipeline_id_of(&message).is_err());
    }
}
