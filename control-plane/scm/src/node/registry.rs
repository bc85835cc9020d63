//! The registry of datanodes.
//!
//! Owns    each node's address, versions, health, operational state, room, and the containers promised to it.
//! Shape   a `BTreeMap` by id: iteration has one order everywhere.
//! Errors  a registration is refused with a [`Refusal`] that says why; nothing has changed then.

use std::collections::BTreeMap;
use std::net::IpAddr;

use allotrope_proto::edge::heartbeat::{CommandKind, LayoutVersion};
use allotrope_proto::hdds;
use allotrope_types::{ByteCount, ContainerId, DatanodeId};

use super::{Health, Thresholds, Usage, WatchClock};
use crate::wire;

/// Whether a node is meant to serve, apart from whether it does. Its numbers are the wire's `NodeOperationalState`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
#[repr(i32)]
pub enum OperationalState {
    /// It takes part.
    #[default]
    InService = 1,
    /// It will be away for a while; what must not be missed meanwhile is copied.
    EnteringMaintenance = 2,
    /// It may be away.
    InMaintenance = 3,
    /// It leaves for ever; all it holds is copied.
    Decommissioning = 4,
    /// It may be switched off.
    Decommissioned = 5,
}

impl OperationalState {
    /// Every state, in the order of the numbers.
    pub const ALL: [OperationalState; 5] = [
        OperationalState::InService,
        OperationalState::EnteringMaintenance,
        OperationalState::InMaintenance,
        OperationalState::Decommissioning,
        OperationalState::Decommissioned,
    ];

    /// From the wire's number.
    pub fn from_wire(number: i32) -> Option<OperationalState> {
        OperationalState::ALL.into_iter().find(|state| *state as i32 == number)
    }

    /// From its name.
    pub fn from_name(name: &str) -> Option<OperationalState> {
        OperationalState::ALL.into_iter().find(|state| state.name() == name)
    }

    /// The name on the wire.
    pub const fn name(self) -> &'static str {
        match self {
            OperationalState::InService => "IN_SERVICE",
            OperationalState::EnteringMaintenance => "ENTERING_MAINTENANCE",
            OperationalState::InMaintenance => "IN_MAINTENANCE",
            OperationalState::Decommissioning => "DECOMMISSIONING",
            OperationalState::Decommissioned => "DECOMMISSIONED",
        }
    }
}

/// The layout versions a node says it has; 0 where it says nothing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Layout {
    /// Of its data.
    pub metadata: u32,
    /// Of its software.
    pub software: u32,
}

impl Layout {
    /// What a report says; a report without it counts as version 0.
    pub fn of(report: Option<LayoutVersion>) -> Layout {
        report.map_or_else(Layout::default, |l| Layout {
            metadata: l.metadata_layout_version,
            software: l.software_layout_version,
        })
    }
}

/// One datanode.
#[derive(Clone, Debug)]
pub struct Node {
    /// Its name for ever.
    pub id: DatanodeId,
    /// Its address and ports, as others are told.
    pub details: hdds::DatanodeDetailsProto,
    /// How it is.
    pub health: Health,
    /// Whether it is meant to serve.
    pub operational: OperationalState,
    /// When maintenance ends, in seconds since 1970; 0 for never.
    pub operational_until_s: i64,
    /// The state and its end that the node itself keeps, as it last said.
    pub kept: (OperationalState, i64),
    /// Its layout versions.
    pub layout: Layout,
    /// Its disks.
    pub usage: Usage,
    /// When it was last heard, by the watch clock.
    pub heard_ms: u64,
    /// When it was last heard, by the wall's clock, for people.
    pub heard_unix_ms: u64,
    /// Commands of each type it has queued, as it last said.
    pub queued: BTreeMap<CommandKind, u32>,
    /// Containers promised to it and not yet reported, with when the promise ends (monotonic ms).
    promised: BTreeMap<ContainerId, u64>,
}

impl Node {
    /// Whether it may get new containers and blocks.
    pub fn serves(&self) -> bool {
        self.health == Health::Healthy && self.operational == OperationalState::InService
    }

    /// Whether it is meant to serve.
    pub fn is_in_service(&self) -> bool {
        self.operational == OperationalState::InService
    }

    /// Whether what it holds can be read: it was heard lately.
    pub fn reachable(&self) -> bool {
        matches!(self.health, Health::Healthy | Health::HealthyReadonly)
    }

    /// Room for this many more containers, apart from those promised already.
    pub fn slots_free(&self, container_size: ByteCount) -> u64 {
        self.usage.slots(container_size).saturating_sub(self.promised.len() as u64)
    }

    /// Its rack, such as `/default-rack`.
    pub fn rack(&self) -> &str {
        self.details.network_location.as_deref().unwrap_or(DEFAULT_RACK)
    }
}

/// The rack of nodes that no table names.
pub(crate) const DEFAULT_RACK: &str = "/default-rack";

/// What a registration changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Registered {
    /// It was not known.
    New,
    /// It was known under the same address.
    Again,
    /// It was known under another address or other ports: what is cached of it is wrong.
    Moved,
}

/// Why a node may not register.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// Its software's layout is not ours.
    #[error(
        "datanode {node} has software layout version {found}; this SCM serves version {wanted}: upgrade the older of the \
         two, or set the version that SCM serves"
    )]
    Layout {
        /// Whose registration it was.
        node: DatanodeId,
        /// What it has.
        found: u32,
        /// What SCM serves.
        wanted: u32,
    },
    /// Another process that is alive uses the same id.
    #[error(
        "datanode {node} at {new} has the id of the one at {old}, which is alive: remove the copied datanode.id file of \
         one of them"
    )]
    Twin {
        /// The id both use.
        node: DatanodeId,
        /// Where the one that was first is.
        old: String,
        /// Where the one that came now is.
        new: String,
    },
}

/// All datanodes that registered since SCM started.
#[derive(Debug)]
pub struct Nodes {
    nodes: BTreeMap<DatanodeId, Node>,
    watch: WatchClock,
    thresholds: Thresholds,
    layout_version: u32,
    layout_lenient: bool,
    racks: BTreeMap<String, String>,
    /// What administrators have decided, as the log has it.
    duties: BTreeMap<DatanodeId, (OperationalState, i64)>,
    /// Address changes of one id, by id: (count, when the first of them was, by the watch clock).
    moves: BTreeMap<DatanodeId, (u32, u64)>,
}

/// Address changes of one id within the stale interval after which two processes must be using it.
const MOVES_MAX: u32 = 3;

impl Nodes {
    /// No nodes yet.
    pub fn new(config: &crate::Config) -> Nodes {
        Nodes {
            nodes: BTreeMap::new(),
            watch: WatchClock::new(&config.nodes),
            thresholds: config.nodes,
            layout_version: config.layout_version,
            layout_lenient: config.layout_lenient,
            racks: config.racks.clone(),
            duties: BTreeMap::new(),
            moves: BTreeMap::new(),
        }
    }

    /// The node, if it has registered.
    pub fn get(&self, id: DatanodeId) -> Option<&Node> {
        self.nodes.get(&id)
    }

    /// All of them, by id.
    pub fn all(&self) -> impl Iterator<Item = &Node> {
        self.nodes.values()
    }

    /// How many are as `health`.
    pub fn count(&self, health: Health) -> usize {
        self.nodes.values().filter(|node| node.health == health).count()
    }

    /// How many registered, whatever became of them.
    pub fn len(&self) -> usize {
        self.nodes.len()
    }

    /// Whether nobody has registered.
    pub fn is_empty(&self) -> bool {
        self.nodes.is_empty()
    }

    /// Whether the rack of a node of this name or address is known.
    pub fn knows_rack(&self, host: &str, address: IpAddr) -> bool {
        self.racks.contains_key(host) || self.racks.contains_key(&address.to_canonical().to_string())
    }

    /// From now on nodes that register from `address` are in `rack`.
    pub fn set_rack(&mut self, address: IpAddr, rack: String) {
        self.racks.insert(address.to_canonical().to_string(), rack);
    }

    /// Registers a node that called from `peer`, or registers it again.
    ///
    /// Its address becomes the one it called from, its place in the network is looked up; the operational state that a new
    /// one kept becomes SCM's view.
    pub fn register(
        &mut self,
        id: DatanodeId,
        mut details: hdds::DatanodeDetailsProto,
        peer: IpAddr,
        layout: Layout,
        usage: Usage,
        unix_ms: u64,
    ) -> Result<Registered, Refusal> {
        if layout.software != self.layout_version && !self.layout_lenient {
            return Err(Refusal::Layout { node: id, found: layout.software, wanted: self.layout_version });
        }
        details.ip_address = peer.to_canonical().to_string();
        details.network_name = Some(id.to_string());
        let rack =
            [&details.host_name, &details.ip_address].into_iter().find_map(|name| self.racks.get(name));
        details.network_location = Some(rack.map_or(DEFAULT_RACK, String::as_str).to_owned());
        wire::put_datanode_id(&mut details, id);
        let kept = details.persisted_op_state.and_then(OperationalState::from_wire).unwrap_or_default();
        let until_s = details.persisted_op_state_expiry.unwrap_or(0);
        let now_ms = self.watch.now_ms();

        let registered = match self.nodes.get(&id) {
            None => Registered::New,
            Some(old) if address(&old.details) == address(&details) => Registered::Again,
            Some(old) => {
                let (moves, since_ms) = self.moves.entry(id).or_insert((0, now_ms));
                if now_ms.saturating_sub(*since_ms) >= crate::config::ms(self.thresholds.stale) {
                    (*moves, *since_ms) = (0, now_ms);
                }
                if *moves >= MOVES_MAX && old.reachable() {
                    let (old, new) = (place(&old.details), place(&details));
                    return Err(Refusal::Twin { node: id, old, new });
                }
                *moves += 1;
                Registered::Moved
            }
        };
        let old = self.nodes.remove(&id);
        // What SCM has decided since, the node may not have heard: it is told by its next heartbeats.
        let known = old.as_ref().map(|old| (old.operational, old.operational_until_s));
        let decided = self.duties.get(&id).copied().or(known);
        let (operational, operational_until_s) = decided.unwrap_or((kept, until_s));
        let promised = old.map(|old| old.promised).unwrap_or_default();
        let node = Node {
            id,
            details,
            health: Health::after_heartbeat(layout.metadata == self.layout_version || self.layout_lenient),
            operational,
            operational_until_s,
            kept: (kept, until_s),
            layout,
            usage,
            heard_ms: now_ms,
            heard_unix_ms: unix_ms,
            queued: BTreeMap::new(),
            promised,
        };
        self.nodes.insert(id, node);
        Ok(registered)
    }

    /// Notes a heartbeat; `None` if the node has to register first, else its health before.
    pub fn heard(&mut self, id: DatanodeId, layout: Layout, unix_ms: u64) -> Option<Health> {
        let ours = self.layout_lenient || layout.metadata == self.layout_version;
        let now_ms = self.watch.now_ms();
        let node = self.nodes.get_mut(&id)?;
        let before = node.health;
        node.health = Health::after_heartbeat(ours);
        node.layout = layout;
        node.heard_ms = now_ms;
        node.heard_unix_ms = unix_ms;
        Some(before)
    }

    /// Notes what a node reports of its disks.
    pub fn reported_usage(&mut self, id: DatanodeId, usage: Usage) {
        if let Some(node) = self.nodes.get_mut(&id) {
            node.usage = usage;
        }
    }

    /// Notes how many commands a node has queued; types it does not name count as none.
    pub fn reported_queue(&mut self, id: DatanodeId, queued: BTreeMap<CommandKind, u32>) {
        if let Some(node) = self.nodes.get_mut(&id) {
            node.queued = queued;
        }
    }

    /// Notes the operational state that a node says it keeps.
    pub fn keeps(&mut self, id: DatanodeId, state: OperationalState, until_s: i64) {
        if let Some(node) = self.nodes.get_mut(&id) {
            node.kept = (state, until_s);
        }
    }

    /// Whether the log says what the node is meant to do.
    pub fn has_duty(&self, id: DatanodeId) -> bool {
        self.duties.contains_key(&id)
    }

    /// What a node is meant to do, as the log has it: known also while the node is not.
    pub fn set_duty(&mut self, id: DatanodeId, state: OperationalState, until_s: i64) {
        self.duties.insert(id, (state, until_s));
        self.set_operational(id, state, until_s);
    }

    /// Forgets what the log said, before it is read anew.
    pub fn clear_duties(&mut self) {
        self.duties.clear();
    }

    /// Changes what a node is meant to do.
    pub fn set_operational(&mut self, id: DatanodeId, state: OperationalState, until_s: i64) {
        if let Some(node) = self.nodes.get_mut(&id) {
            node.operational = state;
            node.operational_until_s = until_s;
            node.details.persisted_op_state = Some(state as i32);
            node.details.persisted_op_state_expiry = Some(until_s);
        }
    }

    /// Promises a slot on `id` to `container` until `until_ms` (monotonic) or until it is reported.
    pub fn promise(&mut self, id: DatanodeId, container: ContainerId, until_ms: u64) {
        if let Some(node) = self.nodes.get_mut(&id) {
            node.promised.insert(container, until_ms);
        }
    }

    /// The container has arrived on `id`: its space is part of the node's own figures from now on.
    pub fn arrived(&mut self, id: DatanodeId, container: ContainerId) {
        if let Some(node) = self.nodes.get_mut(&id) {
            node.promised.remove(&container);
        }
    }

    /// Looks at everybody's silence; returns those whose health has changed, with their new health.
    pub fn check_silence(&mut self, monotonic_ms: u64) -> Vec<(DatanodeId, Health)> {
        let paused_ms = self.watch.check(monotonic_ms);
        if paused_ms > 0 {
            tracing::warn!(paused_ms, "SCM was paused; no datanode is held responsible for that time");
        }
        let mut changed = Vec::new();
        for node in self.nodes.values_mut() {
            node.promised.retain(|_, until_ms| *until_ms > monotonic_ms);
            let silent_ms = self.watch.now_ms().saturating_sub(node.heard_ms);
            let health = node.health.after_silence(silent_ms, &self.thresholds);
            if health != node.health {
                node.health = health;
                changed.push((node.id, health));
            }
        }
        changed
    }
}

type Address<'a> = (&'a str, &'a str, Vec<(&'a str, u32)>);

fn address(details: &hdds::DatanodeDetailsProto) -> Address<'_> {
    let mut ports: Vec<_> = details.ports.iter().map(|port| (port.name.as_str(), port.value)).collect();
    ports.sort_unstable();
    (&details.ip_address, &details.host_name, ports)
}

fn place(details: &hdds::DatanodeDetailsProto) -> String {
    let port = details.ports.iter().find(|port| port.name == "STANDALONE").map_or(0, |port| port.value);
    format!("{} ({}:{port})", details.host_name, details.ip_address)
}

#[cfg(test)]
mod tests {
    use super::*;

    const PEER: IpAddr = IpAddr::V4(std::net::Ipv4Addr::LOCALHOST);

    fn nodes() -> Nodes {
        let mut config = crate::Config::new("/unused");
        config.nodes = Thresholds::FAST;
        config.racks.insert("dn-7".into(), "/rack-2".into());
        Nodes::new(&config)
    }

    fn details(host: &str, port: u32) -> hdds::DatanodeDetailsProto {
        hdds::DatanodeDetailsProto {
            host_name: host.into(),
            ip_address: "10.1.1.1".into(),
            ports: vec![hdds::Port { name: "STANDALONE".into(), value: port }],
            ..Default::default()
        }
    }

    const OURS: Layout = Layout { metadata: 10, software: 10 };

    #[test]
    fn a_node_gets_the_address_it_called_from_and_its_rack() {
        let mut nodes = nodes();
        let id = DatanodeId::from_random_bytes([1; 16]);
        let registered = nodes.register(id, details("dn-7", 9859), PEER, OURS, Usage::default(), 5);
        assert_eq!(registered, Ok(Registered::New));
        let node = nodes.get(id).unwrap();
        assert_eq!(node.details.ip_address, "127.0.0.1");
        assert_eq!(node.details.network_name, Some(id.to_string()));
        assert_eq!(node.rack(), "/rack-2");
        assert!(node.serves());
    }

    #[test]
    fn another_software_layout_is_refused_and_another_metadata_layout_is_read_only() {
        let mut nodes = nodes();
        let id = DatanodeId::from_random_bytes([1; 16]);
        let old = Layout { metadata: 8, software: 8 };
        let error = nodes.register(id, details("a", 1), PEER, old, Usage::default(), 0).unwrap_err();
        assert!(error.to_string().contains("version 8"), "{error}");
        assert!(nodes.is_empty());
        let half = Layout { metadata: 9, software: 10 };
        nodes.register(id, details("a", 1), PEER, half, Usage::default(), 0).unwrap();
        assert_eq!(nodes.get(id).unwrap().health, Health::HealthyReadonly);
        nodes.heard(id, OURS, 0);
        assert_eq!(nodes.get(id).unwrap().health, Health::Healthy);
    }

    #[test]
    fn silence_is_noticed_and_a_heartbeat_mends_it() {
        let mut nodes = nodes();
        let id = DatanodeId::from_random_bytes([1; 16]);
        assert_eq!(nodes.heard(id, OURS, 0), None, "an unknown node has to register");
        nodes.check_silence(0);
        nodes.register(id, details("a", 1), PEER, OURS, Usage::default(), 0).unwrap();
        let mut seen = Vec::new();
        for second in 1..=20 {
            seen.extend(nodes.check_silence(second * 1000).into_iter().map(|(_, health)| (second, health)));
        }
        assert_eq!(seen, [(5, Health::Stale), (15, Health::Dead)]);
        assert_eq!(nodes.heard(id, OURS, 0), Some(Health::Dead));
        assert!(nodes.get(id).unwrap().serves());
        assert_eq!(nodes.check_silence(20_000 + 86_400_000), [], "a day's pause of SCM kills nobody");
    }

    #[test]
    fn two_processes_with_one_id_are_found_out() {
        let mut nodes = nodes();
        let id = DatanodeId::from_random_bytes([1; 16]);
        let mut results = Vec::new();
        for turn in 0..6 {
            results.push(nodes.register(id, details("a", 9000 + turn % 2), PEER, OURS, Usage::default(), 0));
        }
        assert_eq!(results[0], Ok(Registered::New));
        assert_eq!(results[1], Ok(Registered::Moved), "a node may move");
        assert!(matches!(results[4], Err(Refusal::Twin { .. })), "{:?}", results[4]);
        // The one that stays may go on.
        assert_eq!(
            nodes.register(id, details("a", 9001), PEER, OURS, Usage::default(), 0),
            Ok(Registered::Again)
        );
    }

    #[test]
    fn a_promise_takes_a_slot_until_it_is_kept_or_expires() {
        let mut nodes = nodes();
        let id = DatanodeId::from_random_bytes([1; 16]);
        let volume = super::super::Volume { remaining: 30, capacity: 30, ..Default::default() };
        let usage = Usage { volumes: vec![volume], metadata_volumes: 1 };
        nodes.register(id, details("a", 1), PEER, OURS, usage, 0).unwrap();
        let free = |nodes: &Nodes| nodes.get(id).unwrap().slots_free(ByteCount::new(10));
        assert_eq!(free(&nodes), 3);
        nodes.promise(id, ContainerId::new(1), 1000);
        nodes.promise(id, ContainerId::new(2), 5000);
        assert_eq!(free(&nodes), 1);
        nodes.arrived(id, ContainerId::new(2));
        assert_eq!(free(&nodes), 2);
        nodes.check_silence(1000);
        assert_eq!(free(&nodes), 3);
    }

    #[test]
    fn the_state_a_node_kept_becomes_ours() {
        let mut nodes = nodes();
        let id = DatanodeId::from_random_bytes([1; 16]);
        let mut kept = details("a", 1);
        kept.persisted_op_state = Some(4);
        nodes.register(id, kept, PEER, OURS, Usage::default(), 0).unwrap();
        let node = nodes.get(id).unwrap();
        assert_eq!(node.operational, OperationalState::Decommissioning);
        assert!(!node.serves() && node.reachable());
    }
}
