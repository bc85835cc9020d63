//! Words that the administrators of OM and of SCM share: upgrades, and who leads.

use super::field::enums;
use crate::{hdds as wire, om, scm_container};

pub use crate::hdds::upgrade_finalization_status::Status as UpgradeState;

enums!(UpgradeState);

empty! {
    wire;
    TransferLeadershipResponseProto,
}
message! {
    /// Who shall lead; empty leaves the choice to the ring.
    TransferLeadership = wire => TransferLeadershipRequestProto {
        new_leader_id: String,
    }
}
message! {
    /// How far the finalization of an upgrade is, and what happened since it was asked last.
    UpgradeStatus = wire => UpgradeFinalizationStatus {
        status: UpgradeState,
        messages: Vec<String>,
    }
}
message! {
    /// Makes the upgrade final: the ring writes files of its newest version from now on.
    FinalizeUpgrade = om => FinalizeUpgradeRequest {
        upgrade_client_id: String,
    }
}
converts! {
    FinalizeUpgrade = scm_container => [FinalizeScmUpgradeRequestProto] {
        upgrade_client_id: String,
    }
}
message! {
    /// Asks how far that is; the messages of another client are taken over, or only read.
    UpgradeProgress = om => FinalizeUpgradeProgressRequest {
        upgrade_client_id: String,
        takeover: Option<bool>,
        readonly: Option<bool>,
    }
}
converts! {
    UpgradeProgress = scm_container => [QueryUpgradeFinalizationProgressRequestProto] {
        upgrade_client_id: String,
        takeover: Option<bool>,
        readonly: Option<bool>,
    }
}
