//! SCM's own state: safe mode with its rules, and who leads.

use allotrope_consensus::MemberId;
use allotrope_proto::rpc::Fault;
use allotrope_proto::scm_container::{
    DecommissionScmResponseProto, ForceExitSafeModeResponseProto, GetSafeModeRuleStatusesResponseProto,
    InSafeModeResponseProto, SafeModeRuleStatusProto,
};

use crate::members;
use crate::safe_mode;
use crate::scm::{Scm, class};

pub(super) fn in_safe_mode(scm: &Scm) -> InSafeModeResponseProto {
    InSafeModeResponseProto { in_safe_mode: scm.cluster().safe_mode.is_on() }
}

pub(super) fn force_exit(scm: &Scm) -> ForceExitSafeModeResponseProto {
    let exited = scm.cluster().force_exit_safe_mode();
    tracing::warn!(exited, "an administrator ends safe mode");
    ForceExitSafeModeResponseProto { exited_safe_mode: true }
}

pub(super) fn rules(scm: &Scm) -> GetSafeModeRuleStatusesResponseProto {
    let rules = safe_mode::rules(&scm.cluster().safe_mode_counts());
    let message = |rule: safe_mode::Rule| SafeModeRuleStatusProto {
        rule_name: rule.name.to_owned(),
        validate: rule.holds,
        status_text: rule.text,
    };
    GetSafeModeRuleStatusesResponseProto {
        safe_mode_rule_statuses_proto: rules.into_iter().map(message).collect(),
    }
}

/// Hands leadership to the member of that name, number or host; to any other one if none is named.
pub(super) async fn transfer_leadership(scm: &Scm, to: &str) -> Result<(), Fault> {
    let others = scm.config.members.iter().filter(|member| member.number != scm.config.member);
    let named =
        |m: &&crate::ScmMember| to.is_empty() || m.name == to || m.host == to || m.number.to_string() == to;
    let mut fitting = others.filter(named);
    let refused = |why: String| Fault::application(class::SCM, why);
    let Some(member) = fitting.next() else {
        return Err(refused(format!("no other SCM of this group has the name, number or host {to:?}")));
    };
    let number = MemberId(member.number);
    scm.raft.transfer_leadership(number).await.map_err(|why| refused(why.to_string()))
}

/// Takes an SCM out of the group. What speaks against it is said in the answer, as Ozone's command shows it.
pub(super) async fn decommission(scm: &Scm, asked: &str) -> DecommissionScmResponseProto {
    let removed = members::remove(scm, asked).await;
    let error_msg = removed.as_ref().err().map(ToString::to_string);
    DecommissionScmResponseProto { success: removed.is_ok(), error_msg }
}
