//! SCM's services: one function from request message to response message for each protocol, whatever the transport.
//!
//! Owns    [`datanode`] (port 9861), [`block`] (9863), [`location`] (9860), [`admin`] (9860, from this machine only).
//! Source  wire facts: scm.md 1, 2.1, 2.2; docs/scm-operations.md lists every operation with its test.

pub(crate) mod admin;
pub(crate) mod block;
pub(crate) mod datanode;
pub(crate) mod location;
mod reports;

use allotrope_proto::WireError;
use allotrope_proto::rpc::Fault;

use crate::cluster::Duty;
use crate::replicated::command::{Change, SetDuty};
use crate::scm::ProposeFault;

/// A datanode's new duty as a change of the log.
pub(crate) fn duty_change(duty: Duty) -> Change {
    let Duty { node, state, until_s } = duty;
    Change::SetDuty(SetDuty { node: node.to_string(), state: state as i32, until_s })
}

/// A request whose `cmdType` names a sub-message that is not there.
pub(crate) fn lacks(payload: &str) -> Fault {
    Fault::io(format!("the request lacks {payload}, which its cmdType announces"))
}

/// A request that is not what it should be; message and field are named.
pub(crate) fn malformed(why: WireError) -> Fault {
    let cause = std::error::Error::source(&why).map_or(String::new(), |cause| format!(": {cause}"));
    Fault::io(format!("{why}{cause}"))
}

/// What a client is told about a change that was not made.
pub(crate) fn not_made(why: &ProposeFault) -> Fault {
    use allotrope_consensus::ProposeError;
    match why {
        ProposeFault::Log(ProposeError::Busy) => Fault::overloaded(why.to_string()),
        ProposeFault::Log(_) => Fault::io(why.to_string()),
        ProposeFault::Refused(_) => Fault::application(crate::scm::class::SCM, why.to_string()),
    }
}
