//! What SCM is told when it starts. The command line maps Ozone's property names to these fields.
//!
//! Units   times are `Duration`s, sizes `ByteCount`s; the defaults are Ozone's unless a line says otherwise.
//! Errors  [`ConfigError`] names the field, its value and the fix.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use allotrope_proto::ops::Operators;
use allotrope_types::ByteCount;

use crate::node::Thresholds;
use crate::replication::Settings as ReplicationSettings;

/// SCM's settings. [`Config::new`] gives the defaults.
#[derive(Clone, Debug)]
pub struct Config {
    /// Where its VERSION file, Raft log and tables lie (`ozone.scm.db.dirs`).
    pub dir: PathBuf,
    /// Where datanodes report (`ozone.scm.datanode.address`; port 9861). Port 0 takes a free one.
    pub datanode_address: SocketAddr,
    /// Where OM asks for blocks (`ozone.scm.block.client.address`; port 9863).
    pub block_address: SocketAddr,
    /// Where administrators, OM and Recon ask about containers (`ozone.scm.client.address`; port 9860).
    pub client_address: SocketAddr,
    /// The pages for operators (`ozone.scm.http-address`; port 9876).
    pub operators: Operators,
    /// The name and address this SCM gives in answers about roles and in not-leader errors.
    pub host_name: String,
    /// Where the other SCMs of its group reach it (`ozone.scm.ratis.port`; port 9894). Not listened on when it runs alone.
    pub raft_address: SocketAddr,
    /// Which of `members` this is.
    pub member: u64,
    /// The SCMs that found the group, this one among them, the same list on each; empty when it runs alone. Read only when
    /// its log is empty, apart from the ports that a follower's answers name.
    pub members: Vec<ScmMember>,
    /// Seed of placement and of ids that need not be secret; draw it anew at each start.
    pub seed: u64,
    /// Size of a container (`ozone.scm.container.size`). Default 5 GiB.
    pub container_size: ByteCount,
    /// Size of a block as clients ask for it (`ozone.scm.block.size`). Default 256 MiB. A container without room for
    /// one more is closed.
    pub block_size: ByteCount,
    /// Share of a container's size at which it is closed (`hdds.container.close.threshold`). Default 0.9.
    pub close_threshold: f64,
    /// Open EC pipelines a config has at least (`ozone.scm.ec.pipeline.minimum`). Default 5.
    pub ec_pipelines_min: usize,
    /// Open pipelines wanted for each healthy volume, divided by the nodes of one pipeline
    /// (`ozone.scm.ec.pipeline.per.volume.factor`). Default 1.0.
    pub pipelines_per_volume: f64,
    /// RATIS/THREE pipelines one datanode is in at most (`ozone.scm.datanode.pipeline.limit`). Default 2; 0 makes none
    /// ahead.
    pub pipelines_per_node: usize,
    /// Whether each datanode gets a RATIS/ONE pipeline ahead (`ozone.scm.pipeline.creation.auto.factor.one`). Default true.
    pub pipelines_of_one: bool,
    /// Open containers of one owner for each volume of a RATIS pipeline's weakest member, divided by the pipelines a node
    /// may be in (`ozone.scm.pipeline.owner.container.count`). Default 3.
    pub containers_per_volume: usize,
    /// Longest an allocation waits for a RATIS pipeline that is being made. Default 10 s.
    pub pipeline_wait: Duration,
    /// How long a container is CLOSING before its replicas are told to close, so that writes in flight land
    /// (`ozone.scm.close.container.wait.duration`). Default 150 s.
    pub close_wait: Duration,
    /// How long after a command was sent it is sent again while nothing has changed. Default 60 s.
    pub command_resend: Duration,
    /// A CLOSING container that no datanode holds is CLOSED, empty, after this long. Default 25 min (Ozone: five
    /// intervals of its replication manager).
    pub closing_empty_wait: Duration,
    /// How long a container promised to a datanode occupies a slot there without being reported
    /// (`ozone.scm.pending.container.roll.interval`, twice). Default 10 min.
    pub slot_wait: Duration,
    /// When silence makes a node stale and dead, and how often that is looked at.
    pub nodes: Thresholds,
    /// Datanodes that must have registered before SCM leaves safe mode (`hdds.scm.safemode.min.datanode`). Default 3.
    pub safe_mode_datanodes_min: usize,
    /// Share of containers that must have been reported (`hdds.scm.safemode.threshold.pct`). Default 0.99.
    pub safe_mode_containers: f64,
    /// Whether there is a safe mode at all (`hdds.scm.safemode.enabled`). Default true.
    pub safe_mode: bool,
    /// How often blocks to delete are sent out (`ozone.block.deleting.service.interval`). Default 60 s.
    pub deletion_interval: Duration,
    /// How long a datanode has to acknowledge a deletion before it is sent again. Default 300 s.
    pub deletion_resend: Duration,
    /// Blocks in one round of deletions (`hdds.scm.block.deletion.per-interval.max`). Default 500,000.
    pub deletion_blocks_max: usize,
    /// How often the containers that are on their way to another state are looked at. Default 3 s.
    pub sweep_interval: Duration,
    /// The replication manager's settings.
    pub replication: ReplicationSettings,
    /// The layout version that datanodes must have (`2.2`: 10); others are refused, as Ozone does.
    pub layout_version: u32,
    /// Whether datanodes with an older or newer layout version are let in all the same. Default false.
    pub layout_lenient: bool,
    /// Racks by datanode host name or address; a node that is not named is in `/default-rack`.
    pub racks: std::collections::BTreeMap<String, String>,
    /// A script that prints the rack of the address it is given, for nodes that `racks` does not name
    /// (`net.topology.script.file.name`). Default: none.
    pub rack_script: Option<PathBuf>,
}

/// One SCM of a group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ScmMember {
    /// Its number in the group; never given to another. [`member_number`] makes it from the name.
    pub number: u64,
    /// Its name in the group, such as `scm1`.
    pub name: String,
    /// Its host, as clients and the other members reach it.
    pub host: String,
    /// Its port for the other members.
    pub raft_port: u16,
    /// Its port for datanodes.
    pub datanode_port: u16,
    /// Its port for OM.
    pub block_port: u16,
    /// Its port for administrators.
    pub client_port: u16,
}

/// The number of the member `name` in the log: N for `scmN`, otherwise drawn from the name (FNV-1a), so that it is the same
/// whatever order the members are listed in.
pub fn member_number(name: &str) -> u64 {
    let number = name.strip_prefix("scm").filter(|text| !text.starts_with(['0', '+']));
    if let Some(Ok(number)) = number.map(str::parse::<u32>) {
        return number.into();
    }
    let step = |hash: u64, byte: u8| (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3);
    1 << 62 | name.bytes().fold(0xcbf2_9ce4_8422_2325, step) >> 2
}

/// A value that cannot work.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[error("{field} is {value}: {fix}")]
pub struct ConfigError {
    /// The field of [`Config`].
    pub field: &'static str,
    /// What it holds.
    pub value: String,
    /// What to do.
    pub fix: &'static str,
}

impl Config {
    /// The defaults, for an SCM that lives in `dir` and listens on Ozone's ports of the loopback address.
    pub fn new(dir: impl Into<PathBuf>) -> Config {
        let at = |port| SocketAddr::from(([127, 0, 0, 1], port));
        Config {
            dir: dir.into(),
            datanode_address: at(9861),
            block_address: at(9863),
            client_address: at(9860),
            operators: Operators::default(),
            host_name: "localhost".to_owned(),
            raft_address: at(9894),
            member: 1,
            members: Vec::new(),
            seed: 0,
            container_size: ByteCount::gib(5),
            block_size: ByteCount::mib(256),
            close_threshold: 0.9,
            ec_pipelines_min: 5,
            pipelines_per_volume: 1.0,
            pipelines_per_node: 2,
            pipelines_of_one: true,
            containers_per_volume: 3,
            pipeline_wait: Duration::from_secs(10),
            close_wait: Duration::from_secs(150),
            command_resend: Duration::from_secs(60),
            closing_empty_wait: Duration::from_secs(25 * 60),
            slot_wait: Duration::from_secs(600),
            nodes: Thresholds::default(),
            safe_mode_datanodes_min: 3,
            safe_mode_containers: 0.99,
            safe_mode: true,
            deletion_interval: Duration::from_secs(60),
            deletion_resend: Duration::from_secs(300),
            deletion_blocks_max: 500_000,
            sweep_interval: Duration::from_secs(3),
            replication: ReplicationSettings::default(),
            layout_version: 10,
            layout_lenient: false,
            racks: std::collections::BTreeMap::new(),
            rack_script: None,
        }
    }

    /// Refuses values that cannot work together.
    pub fn check(&self) -> Result<(), ConfigError> {
        let wrong = |field, value: String, fix| Err(ConfigError { field, value, fix });
        if self.container_size.is_zero() {
            return wrong("container_size", self.container_size.to_string(), "give a size such as 5GB");
        }
        if self.block_size.is_zero() || self.block_size > self.container_size {
            let fix = "a block has to fit a container: lower ozone.scm.block.size or raise ozone.scm.container.size";
            return wrong("block_size", self.block_size.to_string(), fix);
        }
        let mut numbers: Vec<u64> = self.members.iter().map(|member| member.number).collect();
        numbers.sort_unstable();
        numbers.dedup();
        let distinct = numbers.len() == self.members.len();
        if !self.members.is_empty() && (!distinct || !numbers.contains(&self.member)) {
            let fix = "each member has a number of its own, and this one is among them";
            return wrong("members", format!("{numbers:?} for member {}", self.member), fix);
        }
        for (field, share) in
            [("close_threshold", self.close_threshold), ("safe_mode_containers", self.safe_mode_containers)]
        {
            if !(0.0..=1.0).contains(&share) {
                return wrong(field, share.to_string(), "give a share between 0 and 1");
            }
        }
        if !self.pipelines_per_volume.is_finite() || self.pipelines_per_volume < 0.0 {
            return wrong(
                "pipelines_per_volume",
                self.pipelines_per_volume.to_string(),
                "give a number from 0 on",
            );
        }
        let share = self.replication.in_flight_share;
        if !(share > 0.0 && share <= 1.0) {
            return wrong(
                "replication.in_flight_share",
                share.to_string(),
                "give a share above 0, and 1 at most",
            );
        }
        if self.replication.datanode_gives_up_before >= self.replication.operation_time_max {
            let fix = "a datanode has to have time before SCM gives up: lower \
                       hdds.scm.replication.event.timeout.datanode.offset";
            let value = format!("{:?}", self.replication.datanode_gives_up_before);
            return wrong("replication.datanode_gives_up_before", value, fix);
        }
        let Thresholds { check, stale, dead } = self.nodes;
        if check.is_zero() || stale <= check || dead <= stale {
            let fix =
                "the interval of the check has to be below the stale interval, and that below the dead one";
            return wrong("nodes", format!("{check:?}, {stale:?}, {dead:?}"), fix);
        }
        Ok(())
    }

    /// Bytes at which a container takes no further blocks.
    pub(crate) fn close_at(&self) -> ByteCount {
        // A share of a size below 2^53 bytes: the product is exact enough for a threshold.
        ByteCount::new((self.container_size.as_u64() as f64 * self.close_threshold) as u64)
    }
}

/// A duration in milliseconds, as the pure parts count them.
pub(crate) fn ms(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_members_number_is_that_of_its_name() {
        assert_eq!((member_number("scm1"), member_number("scm12")), (1, 12));
        let drawn: Vec<u64> = ["scm", "scm01", "scm+1", "west", "east"].map(member_number).to_vec();
        assert!(drawn.iter().all(|number| *number > u64::from(u32::MAX)), "{drawn:?}");
        assert_eq!(drawn.iter().collect::<std::collections::BTreeSet<_>>().len(), 5);
    }

    #[test]
    fn the_defaults_hold_together_and_wrong_values_name_their_field() {
        assert_eq!(Config::new("/tmp/scm").check(), Ok(()));
        let mut config = Config::new("/tmp/scm");
        config.block_size = ByteCount::gib(6);
        let error = config.check().unwrap_err();
        assert_eq!(error.field, "block_size");
        assert!(error.to_string().contains("ozone.scm.block.size"), "{error}");
        let mut config = Config::new("/tmp/scm");
        config.nodes.dead = config.nodes.stale;
        assert_eq!(config.check().unwrap_err().field, "nodes");
        let mut config = Config::new("/tmp/scm");
        let member = |number| ScmMember {
            number,
            name: format!("scm{number}"),
            host: "a".into(),
            raft_port: 1,
            datanode_port: 2,
            block_port: 3,
            client_port: 4,
        };
        config.members = vec![member(2), member(3)];
        assert_eq!(config.check().unwrap_err().field, "members", "this one is number 1");
        config.members = vec![member(1), member(1)];
        assert_eq!(config.check().unwrap_err().field, "members");
        let mut config = Config::new("/tmp/scm");
        config.close_threshold = f64::NAN;
        assert_eq!(config.check().unwrap_err().field, "close_threshold");
    }
}
