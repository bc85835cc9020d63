//! The settings that Allotrope reads, each with its default, an example and its meaning.
//!
//! One row a setting; `getconf`, `genconf`, the environment's names and the nearest-name hint are made from it.

/// One setting that some role reads.
pub(crate) struct Known {
    /// The property's name.
    pub(crate) name: &'static str,
    /// What holds when it is not given; empty where there is no default.
    pub(crate) default: &'static str,
    /// A value that would do.
    pub(crate) example: &'static str,
    /// What kind of value it is; every value given is checked against it before anything starts.
    pub(crate) kind: Kind,
    /// What it decides, and what moves when it changes.
    pub(crate) about: &'static str,
}

/// What a value may look like; `values` reads each.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Any text.
    Text,
    /// One of these words.
    Choice(&'static [&'static str]),
    /// A number of bytes with a binary unit.
    Size,
    /// A whole number and its unit of time.
    Time,
    /// A number of things.
    Count,
    /// A TCP port.
    Port,
    /// `HOST:PORT` or `HOST`.
    Address,
    /// Folders, separated by commas.
    Folders,
}

impl Known {
    /// The environment variable that sets it: `hdds.datanode.dir` is `HDDS_DATANODE_DIR`.
    pub(crate) fn env_name(&self) -> String {
        self.name.chars().map(|c| if c == '.' || c == '-' { '_' } else { c.to_ascii_uppercase() }).collect()
    }
}

/// The row of `name`, if Allotrope reads such a setting.
pub(crate) fn row(name: &str) -> Option<&'static Known> {
    KNOWN.iter().find(|known| known.name == name)
}

/// Names of Ozone's settings, one a line: known to Ozone, whether or not Allotrope reads them.
const OZONE_NAMES: &str = include_str!("ozone-names.txt");

/// Does Ozone have a setting of this name? Settings with a node's or service's id at the end count by their stem.
pub(crate) fn is_ozone(name: &str) -> bool {
    OZONE_NAMES
        .lines()
        .any(|known| name.strip_prefix(known).is_some_and(|rest| rest.is_empty() || rest.starts_with('.')))
}

macro_rules! known {
    ($($name:literal: $kind:expr => $default:literal, $example:literal, $about:literal;)*) => {
        /// Every setting that Allotrope reads.
        pub(crate) const KNOWN: &[Known] = &[$(Known {
            name: $name, default: $default, example: $example, kind: $kind, about: $about,
        }),*];
    };
}

use Kind::{Address, Choice, Count, Folders, Port, Size, Text, Time};

known! {
    "ozone.metadata.dirs": Folders => "", "/var/lib/allotrope",
        "Folder for metadata of every role that has no folder of its own set.";
    "ozone.om.address": Address => "0.0.0.0:9862", "om1:9862",
        "Host and port of OM's Hadoop RPC; clients take the host from it.";
    "ozone.om.grpc.port": Port => "8981", "8981",
        "Port of OM's gRPC service.";
    "ozone.om.service.ids": Text => "", "omservice",
        "Name of the OM service where there are several OMs; ozone.om.nodes.NAME lists them, ozone.om.address.NAME.NODE is each one's address.";
    "ozone.om.ratis.port": Port => "9872", "9872",
        "Port on which OMs of a service reach each other.";
    "ozone.om.node.id": Text => "om1", "om1",
        "Name of this OM among the OMs.";
    "ozone.administrators": Text => "", "ann,bob",
        "Users who may do everything, separated by commas, besides the one that the server runs as.";
    "ozone.administrators.groups": Text => "", "staff",
        "Groups whose members may do everything, separated by commas.";
    "ozone.acl.enabled": Choice(&["false", "true"]) => "false", "true",
        "Whether OM enforces the rights that are written on volumes, buckets, keys and prefixes. User names are believed.";
    "ozone.om.volume.listall.allowed": Choice(&["true", "false"]) => "true", "false",
        "Whether every user may list the volumes of all users, where rights are enforced.";
    "ozone.s3g.volume.name": Text => "s3v", "s3v",
        "Volume that S3's buckets lie in; OM makes it.";
    "allotrope.om.s3-signatures": Choice(&["unchecked", "checked"]) => "unchecked", "checked",
        "Whether OM checks that a request from S3 is signed with the secret of its access id.";
    "allotrope.om.scm-transport": Choice(&["grpc", "hadoop-rpc"]) => "grpc", "hadoop-rpc",
        "How OM speaks to SCM: gRPC with an SCM of ours, Hadoop RPC with one of Ozone's.";
    "fs.trash.interval": Count => "0", "1440",
        "Minutes for which OM keeps what clients moved to the trash of a bucket; 0 keeps it for ever.";
    "ozone.fs.hsync.enabled": Choice(&["false", "true"]) => "false", "true",
        "Whether files can be synced, and read, before their writer ends them.";
    "ozone.om.lease.soft.limit": Time => "60s", "60s",
        "Silence of a file's writer after which another client may take the file over.";
    "ozone.om.lease.hard.limit": Time => "7d", "7d",
        "Silence of a synced file's writer after which OM ends the file.";
    "ozone.om.open.key.expire.threshold": Time => "7d", "7d",
        "Age at which a key that was begun and never committed is given up.";
    "ozone.om.open.key.cleanup.service.interval": Time => "24h", "24h",
        "Time between two looks for keys and multipart uploads that were begun and never ended.";
    "ozone.om.open.mpu.expire.threshold": Time => "30d", "30d",
        "Age at which a multipart upload that was never completed is given up.";
    "ozone.block.deleting.service.interval": Time => "1m", "1m",
        "Time between two rounds in which OM hands the blocks of deleted keys to SCM.";
    "ozone.om.db.dirs": Folders => "", "/var/lib/allotrope/om",
        "Folder of OM's database; ozone.metadata.dirs holds it when this is empty.";
    "ozone.scm.names": Text => "", "scm1",
        "Host of SCM, for datanodes.";
    "ozone.scm.service.ids": Text => "", "cluster1",
        "Name of a group of SCMs; ozone.scm.nodes.NAME lists its members, and ozone.scm.address.NAME.NODE says where each is.";
    "ozone.scm.default.service.id": Text => "", "cluster1",
        "Which group this is, where ozone.scm.service.ids names several.";
    "ozone.scm.node.id": Text => "", "scm1",
        "Which member of the group an SCM is.";
    "ozone.scm.ratis.port": Port => "9894", "9894",
        "Port of each SCM of a group for the other SCMs; with .NAME.NODE at its end, of one of them.";
    "ozone.scm.client.port": Port => "9860", "9860",
        "Port of each SCM of a group for administration; with .NAME.NODE at its end, of one of them.";
    "ozone.scm.block.client.port": Port => "9863", "9863",
        "Port of each SCM of a group for OM; with .NAME.NODE at its end, of one of them.";
    "ozone.scm.datanode.port": Port => "9861", "9861",
        "Port of each SCM of a group for datanodes; with .NAME.NODE at its end, of one of them.";
    "net.topology.table.file.name": Text => "", "/etc/allotrope/racks",
        "File with a datanode's host name or address and its rack on each line; SCM reads it when it starts.";
    "net.topology.script.file.name": Text => "", "/etc/allotrope/rack-of",
        "Script that prints the rack of the address it is given, for datanodes that no table names.";
    "ozone.scm.db.dirs": Folders => "", "/var/lib/allotrope/scm",
        "Folder of SCM's database; ozone.metadata.dirs holds it when this is empty.";
    "ozone.scm.client.address": Address => "", "scm1:9860",
        "Host and port of SCM's service for administration.";
    "ozone.scm.block.client.address": Address => "", "scm1:9863",
        "Host and port of SCM's block service, for OM.";
    "ozone.scm.datanode.address": Address => "", "scm1:9861",
        "Host and port of SCM's service for datanodes.";
    "ozone.scm.block.size": Size => "256MB", "256MB",
        "Length of a full block.";
    "ozone.scm.container.size": Size => "5GB", "5GB",
        "Length at which a container is full.";
    "ozone.server.default.replication": Text => "THREE", "rs-3-2-1024k",
        "Replication of keys whose bucket and client name none.";
    "ozone.server.default.replication.type": Choice(&["RATIS", "STAND_ALONE", "EC"]) => "RATIS", "EC",
        "Type that ozone.server.default.replication is read with.";
    "hdds.datanode.dir": Folders => "", "/data/disk1,/data/disk2",
        "A datanode's data directories, one a disk, separated by commas.";
    "hdds.container.ipc.port": Port => "9859", "9859",
        "Port on which a datanode serves blocks and chunks.";
    "hdds.container.ratis.ipc.port": Port => "9858", "9858",
        "Port on which a datanode serves writers of RATIS keys, and the other members of its pipelines.";
    "hdds.container.ratis.admin.port": Port => "9857", "9857",
        "Port on which a datanode tells administrators of its pipelines.";
    "hdds.ratis.raft.server.watch.timeout": Time => "30s", "30s",
        "Longest that a writer may wait until all members have what it wrote.";
    "allotrope.pipeline.member-deadline": Time => "10s", "10s",
        "Longest that a member of a pipeline may be away or leave a write unanswered; then the pipeline ends.";
    "allotrope.pipeline.memory": Size => "256MB", "256MB",
        "Bytes of writes that a datanode may have under way as a leader, and as many again as a follower.";
    "ozone.scm.datanode.pipeline.limit": Count => "2", "2",
        "RATIS/THREE pipelines that one datanode is in at most; 0: none are made ahead.";
    "ozone.scm.ec.pipeline.minimum": Count => "5", "10",
        "Erasure-coded pipelines of one replication that are open at least, each with a container that is written to.";
    "ozone.scm.pipeline.creation.auto.factor.one": Choice(&["true", "false"]) => "true", "true",
        "Whether each datanode gets a RATIS/ONE pipeline ahead.";
    "hdds.datanode.block.deleting.service.interval": Time => "60s", "60s",
        "How often a datanode deletes the blocks that SCM named.";
    "hdds.datanode.block.deleting.limit.per.interval": Count => "20000", "20000",
        "Blocks that a datanode deletes in one such interval at most.";
    "hdds.datanode.periodic.disk.check.interval.minutes": Count => "60", "60",
        "Minutes between checks of a datanode's volumes.";
    "hdds.datanode.disk.check.min.gap": Time => "10m", "10m",
        "Least time between two checks of one volume, however many errors there are.";
    "hdds.datanode.disk.check.timeout": Time => "10m", "10m",
        "How long a check of a volume may take before it counts as failed.";
    "hdds.datanode.failed.data.volumes.tolerated": Text => "-1", "1",
        "Failed volumes with which a datanode lives on; -1: as long as one is good.";
    "hdds.container.scrub.enabled": Choice(&["true", "false"]) => "true", "true",
        "Whether a datanode scans its containers for damage.";
    "hdds.container.scrub.metadata.scan.interval": Time => "3h", "3h",
        "Time between scans of all containers' metadata.";
    "hdds.container.scrub.data.scan.interval": Time => "7d", "7d",
        "Time between scans of a container's data.";
    "hdds.container.scrub.volume.bytes.per.second": Size => "5MB", "5MB",
        "What the data scan of one volume may read a second.";
    "hdds.container.scrub.on.demand.volume.bytes.per.second": Size => "5MB", "5MB",
        "What scans on demand of one volume may read a second.";
    "hdds.container.scrub.min.gap": Time => "15m", "15m",
        "Least time between two scans of one container's data.";
    "hdds.container.report.interval": Time => "60m", "60m",
        "Time between a datanode's reports of all its containers.";
    "allotrope.datanode.scm-transport": Choice(&["grpc", "hadoop-rpc"]) => "grpc", "hadoop-rpc",
        "How a datanode reaches SCM: gRPC, which ours answers, or Hadoop RPC, which Java's answers too.";
    "allotrope.datanode.layout-version": Count => "10", "10",
        "The layout version that a datanode tells SCM; a Java SCM takes only its own (2.2: 10).";
    "hdds.datanode.replication.port": Port => "9886", "9886",
        "Port on which a datanode takes containers from other datanodes and gives them.";
    "hdds.datanode.replication.streams.limit": Count => "10", "4",
        "Containers that a datanode sends or rebuilds at once, and as many that it receives.";
    "hdds.datanode.replication.queue.limit": Count => "4096", "4096",
        "SCM's copy and reconstruction commands that may wait at a datanode.";
    "hdds.container.replication.compression": Choice(&["NO_COMPRESSION", "GZIP", "SNAPPY", "LZ4", "ZSTD"]) => "NO_COMPRESSION", "ZSTD",
        "How a container's archive is compressed on its way to another datanode.";
    "hdds.heartbeat.interval": Time => "30s", "30s",
        "Time between a datanode's heartbeats.";
    "ozone.scm.stale.node.interval": Time => "5m", "5m",
        "Silence after which SCM calls a datanode stale.";
    "ozone.scm.dead.node.interval": Time => "10m", "10m",
        "Silence after which SCM calls a datanode dead.";
    "hdds.scm.wait.time.after.safemode.exit": Time => "5m", "1m",
        "Time after safe mode, and after an SCM has begun to lead, in which nothing is repaired: datanodes that start late are not missing.";
    "ozone.scm.close.container.wait.duration": Time => "150s", "30s",
        "Time that a container is closing before its datanodes are told to close it, so that writes under way land.";
    "hdds.scm.replication.thread.interval": Time => "300s", "1h",
        "Time between two checks of every container; one that changes is checked at once.";
    "hdds.scm.replication.event.timeout": Time => "12m", "20m",
        "Time that a copy, reconstruction or deletion may take before SCM counts it as lost.";
    "hdds.scm.replication.event.timeout.datanode.offset": Time => "6m", "6m",
        "How much earlier a datanode gives up on it, so that a late one never overlaps what SCM orders next.";
    "hdds.scm.replication.push": Choice(&["true", "false"]) => "true", "false",
        "Whether the datanode that has a container sends it, or the one that shall have it fetches it.";
    "hdds.scm.replication.datanode.replication.limit": Count => "20", "40",
        "Copies that SCM has one datanode make at a time; twice as many while it leaves.";
    "hdds.scm.replication.datanode.reconstruction.weight": Count => "3", "3",
        "As how many copies a reconstruction counts.";
    "hdds.scm.replication.datanode.delete.container.limit": Count => "40", "40",
        "Replicas that SCM has one datanode delete at a time.";
    "hdds.scm.replication.maintenance.replica.minimum": Count => "2", "1",
        "Copies of a replicated container that stay in service while others are in maintenance.";
    "hdds.scm.replication.maintenance.remaining.redundancy": Count => "1", "0",
        "Losses that an erasure-coded container still bears while replicas are in maintenance.";
    "hdds.scm.replication.container.sample.limit": Count => "100", "1000",
        "Containers that 'allotrope admin container report' names for each condition.";
    "ozone.scm.datanode.admin.monitor.interval": Time => "30s", "5s",
        "Time between two looks at what is left on datanodes that leave.";
    "hdds.scm.safemode.min.datanode": Count => "3", "1",
        "Datanodes that must register before SCM leaves safe mode.";
    "allotrope.datanode.shards": Count => "0", "8",
        "Shards of a datanode, one a core; 0 takes all cores.";
    "allotrope.datanode.memory": Size => "256MB", "1GB",
        "Aligned buffers of a datanode, all shards together.";
    "allotrope.datanode.read-cache": Size => "32MB", "1GB",
        "Answers to reads that come again, kept by a datanode's shards together beside its buffers; 0 keeps none.";
    "allotrope.datanode.io": Choice(&["auto", "uring", "portable"]) => "auto", "uring",
        "What runs a datanode's shards: io_uring, or the portable back; auto takes io_uring where it works (allotrope doctor).";
    "allotrope.datanode.durability": Choice(&["disk", "page-cache"]) => "disk", "page-cache",
        "What a PutBlock's answer means: bytes on stable storage (disk), or in the page cache as Ozone's does.";
    "allotrope.datanode.replication.bandwidth": Size => "0B", "500MB",
        "Bytes a second that containers may leave a datanode with, all copies together; 0 is no limit.";
    "allotrope.datanode.replication.busy.bandwidth": Size => "32MB", "200MB",
        "Bytes a second that reconstructions move at a datanode, and copies to datanodes of ours leave it with, while clients use it; 0: no limit.";
    "allotrope.datanode.verify-reads": Choice(&["true", "false"]) => "true", "false",
        "Whether bytes from the disk are verified before they leave a datanode; false leaves that to clients.";
    "hdds.datanode.volume.choosing.policy": Text => "org.apache.hadoop.ozone.container.common.volume.CapacityVolumeChoosingPolicy", "org.apache.hadoop.ozone.container.common.volume.RoundRobinVolumeChoosingPolicy",
        "How a new container's volume is chosen: the one with the most usable space, or one after the other.";
    "ozone.recovering.container.timeout": Time => "20m", "1h",
        "Time after which a container that is being rebuilt, and that nobody writes to, is removed.";
    "hdds.datanode.hostname": Text => "", "node7.example",
        "Host name that a datanode announces; the machine's name when empty.";
    "hdds.datanode.volume.min.free.space": Text => "-1", "50GB",
        "Bytes that stay free on each of a datanode's volumes; -1 keeps 2 % free for SCM and refuses writes below 1.5 %.";
    "hdds.datanode.dir.du.reserved": Text => "", "/data/disk1:100GB,/data/disk2:5GB",
        "Bytes of volumes that are left to others than the datanode, as FOLDER:SIZE, separated by commas.";
    "hdds.datanode.dir.du.reserved.percent": Text => "0.0001", "0.1",
        "Share of each other volume that is left to others, from 0 to 1.";
    "allotrope.scm.failure-detection": Choice(&["ozone", "fast"]) => "ozone", "fast",
        "Whether SCM waits for Ozone's intervals, or calls a silent datanode stale after 5 s and dead after 15 s.";
    "ozone.s3g.http-address": Address => "0.0.0.0:9878", "0.0.0.0:9878",
        "Host and port on which the S3 gateway listens.";
    "ozone.s3g.domain.name": Text => "", "s3.example,s3.internal",
        "Domains under which the first label of a host names a bucket, separated by commas.";
    "allotrope.s3g.region": Text => "us-east-1", "eu-central-1",
        "Region that S3 requests must be signed for.";
    "allotrope.s3g.user": Text => "s3g", "s3g",
        "User as whom the S3 gateway asks OM for secrets; OM answers it if ozone.administrators names it.";
    "allotrope.s3g.connections": Count => "1024", "4096",
        "Connections that the S3 gateway serves at a time; one more is answered SlowDown.";
    "allotrope.s3g.idle": Time => "60s", "60s",
        "Longest that a client of the S3 gateway may stand still.";
    "hdds.datanode.http.enabled": Choice(&["true", "false"]) => "true", "true",
        "Whether a datanode serves pages for operators: /prom, /conf, /healthz, /readyz, /logLevel.";
    "hdds.datanode.http-address": Address => "0.0.0.0:9882", "127.0.0.1:9882",
        "Host and port of a datanode's pages for operators.";
    "hdds.datanode.http-bind-host": Text => "", "127.0.0.1",
        "Host at which a datanode's pages are listened for, if another than their address's.";
    "ozone.om.http.enabled": Choice(&["true", "false"]) => "true", "true",
        "Whether OM serves pages for operators: /prom, /conf, /healthz, /readyz, /logLevel.";
    "ozone.om.http-address": Address => "0.0.0.0:9874", "127.0.0.1:9874",
        "Host and port of OM's pages for operators.";
    "ozone.om.http-bind-host": Text => "", "127.0.0.1",
        "Host at which OM's pages are listened for, if another than their address's.";
    "ozone.scm.http.enabled": Choice(&["true", "false"]) => "true", "true",
        "Whether SCM serves pages for operators: /prom, /conf, /healthz, /readyz, /logLevel.";
    "ozone.scm.http-address": Address => "0.0.0.0:9876", "127.0.0.1:9876",
        "Host and port of SCM's pages for operators.";
    "ozone.scm.http-bind-host": Text => "", "127.0.0.1",
        "Host at which SCM's pages are listened for, if another than their address's.";
    "ozone.s3g.webadmin.http.enabled": Choice(&["true", "false"]) => "true", "true",
        "Whether the S3 gateway serves pages for operators: /prom, /conf, /healthz, /readyz, /logLevel.";
    "ozone.s3g.webadmin.http-address": Address => "0.0.0.0:19878", "127.0.0.1:19878",
        "Host and port of the S3 gateway's pages for operators.";
    "ozone.s3g.webadmin.http-bind-host": Text => "", "127.0.0.1",
        "Host at which the S3 gateway's pages are listened for, if another than their address's.";
    "ozone.recon.http-address": Address => "0.0.0.0:9888", "127.0.0.1:9888",
        "Host and port of Recon's API and page.";
    "ozone.recon.http-bind-host": Text => "", "127.0.0.1",
        "Host at which Recon's API and page are listened for, if another than their address's.";
    "allotrope.recon.user": Text => "recon", "recon",
        "User as whom Recon asks OM; where rights are enforced one of ozone.administrators, or it sees only what everybody may.";
    "allotrope.recon.interval": Time => "2s", "5s",
        "Time between two rounds in which Recon asks SCM, OM and every server's metrics.";
    "allotrope.log.level": Text => "info", "info,allotrope_datanode=debug",
        "Which log lines a server writes, by level and by part.";
    "allotrope.log.format": Choice(&["text", "json"]) => "text", "json",
        "How a server writes log lines.";
    "allotrope.datanode.address": Text => "", "192.0.2.7",
        "Address that a datanode announces; the host name's address when empty.";
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_row_is_named_as_ozone_names_it_or_as_ours() {
        for known in KNOWN {
            let ours = known.name.starts_with("allotrope.");
            assert!(ours != is_ozone(known.name), "{} is neither Ozone's nor ours, or both", known.name);
        }
    }

    #[test]
    fn no_two_rows_share_a_name_or_an_environment_variable() {
        let mut names: Vec<_> = KNOWN.iter().map(Known::env_name).collect();
        names.sort();
        names.dedup();
        assert_eq!(names.len(), KNOWN.len());
    }

    #[test]
    fn a_setting_with_a_node_id_counts_as_ozones() {
        assert!(is_ozone("ozone.om.address.service1.om1"));
        assert!(!is_ozone("ozone.om.addresses"));
    }
}
