//! OM to OM: a new member asks to join.

use super::field::enums;
use crate::om_inter as wire;

pub use crate::om_inter::ErrorCode as BootstrapError;

enums!(BootstrapError);

message! {
    /// Who wants to join, and where it is.
    Bootstrap = wire => BootstrapOmRequest {
        node_id: String,
        host_address: String,
        is_listener: Option<bool>,
        ;
        ratis: u16 = (ratis_port),
    }
}
message! {
    /// Whether it is in.
    Bootstrapped = wire => BootstrapOmResponse {
        success: bool,
        error_code: Option<BootstrapError>,
        error_msg: Option<String>,
    }
}
